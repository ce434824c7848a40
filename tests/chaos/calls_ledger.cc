#include "tests/chaos/calls_ledger.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "bridge/log/position.h"

namespace bridge::chaos {
namespace {

// One cause makes many.
constexpr size_t kViolationsShown = 30;

// How much later than a fault's end all is well again: a replica that was killed is taken to be gone after 3 s, and
// workers and bridges find each other again.
constexpr absl::Duration kRecovery = absl::Seconds(5);

std::optional<Token> ParseToken(const std::string& data) {
  const std::vector<std::string> parts = absl::StrSplit(data, ' ');
  Token token;
  if (parts.size() < 3 || !absl::SimpleAtoi(parts[1], &token.attempt) || !absl::SimpleAtoi(parts[2], &token.index)) {
    return std::nullopt;
  }
  token.worker = parts[0];
  return token;
}

// A text in flat JSON; empty where there is none.
std::string TextIn(absl::string_view json, absl::string_view name) {
  const std::string key = absl::StrCat("\"", name, "\":\"");
  const size_t at = json.find(key);
  if (at == absl::string_view::npos) {
    return "";
  }
  const absl::string_view rest = json.substr(at + key.size());
  return std::string(rest.substr(0, rest.find('"')));
}

}  // namespace

std::string DataOf(const Token& token) { return absl::StrCat(token.worker, " ", token.attempt, " ", token.index); }

CallsLedger::CallsLedger(const Options& options) : options_(options), readers_(options.readers) {}

// --- Workers.

void CallsLedger::NoteGiven(const std::string& call_id, uint32_t attempt, const std::string& worker) {
  const absl::MutexLock lock(&mutex_);
  const auto [given, is_new] = calls_[call_id].attempts.try_emplace(attempt, Attempt{.worker = worker});
  if (!is_new) {
    Complain(absl::StrCat("attempt ", attempt, " of call ", call_id, " was given to ", given->second.worker,
                          " and then to ", worker));
  }
}

void CallsLedger::NoteComplete(const std::string& call_id, uint32_t attempt, uint64_t tokens) {
  const absl::MutexLock lock(&mutex_);
  calls_[call_id].attempts[attempt].tokens = tokens;
}

void CallsLedger::NoteStopped(const std::string& call_id, uint32_t attempt, absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  Attempt& stopped = calls_[call_id].attempts[attempt];
  if (!stopped.stopped_at.has_value()) {
    stopped.stopped_at = now;
  }
}

void CallsLedger::NoteDead(const std::string& worker, absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  dead_.insert(worker);
  for (auto& [id, call] : calls_) {
    for (auto& [number, attempt] : call.attempts) {
      if (attempt.worker == worker && !attempt.stopped_at.has_value()) {
        attempt.stopped_at = now;
      }
    }
  }
}

// --- Readers.

void CallsLedger::NoteReads(size_t reader, From from) {
  const absl::MutexLock lock(&mutex_);
  Reader& reads = readers_[reader];
  if (from == From::kBeginning) {
    reads.next_index = 0;
    reads.attempt = 0;
    reads.last_sequence = 0;
    reads.has_end = false;
  }
}

void CallsLedger::NoteReceived(size_t reader, const test::SseEvent& event) {
  const absl::MutexLock lock(&mutex_);
  TakeId(reader, event);
  if (event.type == "bridge.open") {
    SetCall(reader, TextIn(event.data, "call_id"));
  } else if (event.type == "bridge.end") {
    TakeEnd(reader, event.data);
  } else if (event.type == "message") {
    TakeToken(reader, event);
  } else if (event.type != "bridge.closing") {
    Complain(absl::StrCat(Describe(reader), " got ", event.type, " ", event.data));
  }
}

void CallsLedger::NoteAnswered(size_t reader, const std::string& call_id) {
  const absl::MutexLock lock(&mutex_);
  SetCall(reader, call_id);
}

void CallsLedger::NoteCancels(size_t reader) {
  const absl::MutexLock lock(&mutex_);
  readers_[reader].cancels = true;
}

void CallsLedger::NoteLeft(size_t reader, absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  readers_[reader].left_at = now;
}

void CallsLedger::NoteReturned(size_t reader, absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  readers_[reader].returned_at = now;
}

void CallsLedger::SetCall(size_t index, const std::string& call_id) {
  Reader& reader = readers_[index];
  if (reader.call_id.empty()) {
    reader.call_id = call_id;
    calls_[call_id];
  } else if (reader.call_id != call_id) {
    Complain(absl::StrCat(Describe(index), " was then answered with call ", call_id));
  }
}

void CallsLedger::TakeId(size_t index, const test::SseEvent& event) {
  // Control events without an id repeat the last one, and bridge.open and bridge.closing say where the stream stands.
  if (event.type != "message" && event.type != "bridge.end") {
    return;
  }
  Reader& reader = readers_[index];
  const auto position = log::ParseEventId(event.id);
  if (!position.ok()) {
    Complain(absl::StrCat(Describe(index), " got an event without an id: ", event.data));
  } else if (position->sequence <= reader.last_sequence && !reader.has_end) {
    Complain(absl::StrCat(Describe(index), " got ", event.id, " after sequence ", reader.last_sequence));
  } else {
    reader.last_sequence = position->sequence;
  }
}

void CallsLedger::TakeToken(size_t index, const test::SseEvent& event) {
  ++received_;
  Reader& reader = readers_[index];
  const std::optional<Token> token = ParseToken(event.data);
  if (!token.has_value()) {
    Complain(absl::StrCat(Describe(index), " got what nobody sent: ", event.data));
    return;
  }
  if (reader.has_end) {
    Complain(absl::StrCat(Describe(index), " got token ", token->index, " after the end"));
  }
  if (reader.attempt != 0 && token->attempt != reader.attempt) {
    Complain(absl::StrCat(Describe(index), " got tokens of attempts ", reader.attempt, " and ", token->attempt));
  }
  reader.attempt = token->attempt;
  if (token->index != reader.next_index) {
    Complain(absl::StrCat(Describe(index), " got token ", token->index, " where ", reader.next_index,
                          " comes next: ", token->index < reader.next_index ? "a double" : "a loss"));
  }
  reader.next_index = token->index + 1;
  const auto& attempts = calls_[reader.call_id].attempts;
  const auto given = attempts.find(token->attempt);
  if (given == attempts.end() || given->second.worker != token->worker) {
    Complain(absl::StrCat(Describe(index), " got a token of ", token->worker, ", which does not have attempt ",
                          token->attempt));
  }
}

void CallsLedger::TakeEnd(size_t index, const std::string& data) {
  Reader& reader = readers_[index];
  Call& call = calls_[reader.call_id];
  if (call.end.empty()) {
    call.end = data;
  } else if (call.end != data) {
    Complain(absl::StrCat(Describe(index), " ended with ", call.end, " and then with ", data));
  }
  reader.has_end = true;
  reader.had_end = true;
  if (const std::string why = CheckEnd(reader, call); !why.empty()) {
    Complain(absl::StrCat(Describe(index), " ended with ", data, ": ", why));
  }
}

std::string CallsLedger::CheckEnd(const Reader& reader, const Call& call) const {
  const std::string status = TextIn(call.end, "status");
  if (status == "ok") {
    const auto attempt = call.attempts.find(reader.attempt);
    const uint64_t tokens = attempt != call.attempts.end() ? attempt->second.tokens.value_or(0) : 0;
    return tokens == reader.next_index && tokens > 0
               ? ""
               : absl::StrCat("it has ", reader.next_index, " tokens, its worker sent ", tokens);
  }
  if (status == "cancelled") {
    return reader.cancels ? "" : "nobody cancelled it";
  }
  if (status == "abandoned") {
    return reader.left_at.has_value() ? "" : "its reader had not left";
  }
  if (status == "worker_lost") {
    for (const auto& [number, attempt] : call.attempts) {
      if (dead_.contains(attempt.worker)) {
        return "";
      }
    }
    return "its worker lives";
  }
  return "nothing here makes a call end so";
}

// --- The run.

void CallsLedger::NoteFault(absl::Time begin, absl::Duration lasts) {
  const absl::MutexLock lock(&mutex_);
  faults_.emplace_back(begin, lasts);
}

void CallsLedger::NoteViolation(std::string violation) {
  const absl::MutexLock lock(&mutex_);
  Complain(std::move(violation));
}

void CallsLedger::Complain(std::string violation) {
  ++violation_count_;
  if (violations_.size() < kViolationsShown) {
    violations_.push_back(std::move(violation));
  }
}

bool CallsLedger::HasEnd(size_t reader) const {
  const absl::MutexLock lock(&mutex_);
  return readers_[reader].had_end;
}

std::string CallsLedger::Describe(size_t index) const {
  const std::string& id = readers_[index].call_id;
  std::string text = absl::StrCat("reader ", index, " of call ", id.empty() ? "(none)" : id);
  const auto call = calls_.find(id);
  if (call != calls_.end()) {
    for (const auto& [number, attempt] : call->second.attempts) {
      absl::StrAppend(&text, ", attempt ", number, " ", attempt.worker,
                      dead_.contains(attempt.worker) ? " (dead)" : "");
    }
  }
  return text;
}

void CallsLedger::CheckStops(size_t index, absl::Time now, std::vector<std::string>* violations) const {
  const Reader& reader = readers_[index];
  const auto call = calls_.find(reader.call_id);
  if (!reader.left_at.has_value() || call == calls_.end()) {
    return;
  }
  for (const auto& [number, attempt] : call->second.attempts) {
    const absl::Time stopped_at = std::min(attempt.stopped_at.value_or(now), reader.returned_at.value_or(now));
    absl::Time deadline = *reader.left_at + options_.grace + options_.stop_slack;
    for (const auto& [begin, lasts] : faults_) {
      if (begin < stopped_at && begin + lasts + kRecovery > *reader.left_at) {
        deadline += lasts + kRecovery;
      }
    }
    if (stopped_at > deadline) {
      violations->push_back(absl::StrCat(
          Describe(index), ": ", attempt.worker, " worked on for ", absl::FormatDuration(stopped_at - *reader.left_at),
          " after its reader had left, ", absl::FormatDuration(deadline - *reader.left_at), " may be",
          attempt.stopped_at.has_value() ? "" : ", and has not stopped"));
    }
  }
}

std::vector<std::string> CallsLedger::Check(absl::Time now) const {
  const absl::MutexLock lock(&mutex_);
  std::vector<std::string> violations = violations_;
  if (violation_count_ > violations_.size()) {
    violations.push_back(absl::StrCat("and ", violation_count_ - violations_.size(), " more"));
  }
  for (size_t i = 0; i < readers_.size() && violations.size() < 2 * kViolationsShown; ++i) {
    if (!readers_[i].had_end) {
      violations.push_back(absl::StrCat(Describe(i), " got no end, and ", readers_[i].next_index, " tokens"));
    }
    CheckStops(i, now, &violations);
  }
  return violations;
}

CallsLedger::Totals CallsLedger::totals() const {
  const absl::MutexLock lock(&mutex_);
  Totals totals{.received = received_};
  for (const auto& [id, call] : calls_) {
    ++totals.opened;
    totals.attempts += call.attempts.size();
    if (!call.end.empty()) {
      ++totals.ended;
      ++totals.statuses[TextIn(call.end, "status")];
    }
  }
  return totals;
}

}  // namespace bridge::chaos
