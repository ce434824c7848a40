#include "tests/chaos/call_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/raw_http.h"

namespace bridge::chaos {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(100);
// A bridge says something each second; one that is silent for so long stands still.
constexpr absl::Duration kPatience = absl::Seconds(3);
constexpr absl::Duration kPauseMin = absl::Milliseconds(50);
constexpr absl::Duration kPauseMax = absl::Milliseconds(500);

// Of the times that it goes on: how many begin anew, and how many post again.
constexpr uint64_t kReloadsOneIn = 4;
constexpr uint64_t kPostsOneIn = 3;

}  // namespace

CallReader::Kind CallReader::KindOf(uint64_t chance) {
  const uint64_t percent = chance % 100;
  return percent < 60
             ? Kind::kStays
             : (percent < 72 ? Kind::kContinues
                             : (percent < 80 ? Kind::kAsync : (percent < 90 ? Kind::kCancels : Kind::kLeaves)));
}

CallReader::CallReader(Options options, CallsLedger* ledger)
    : options_(std::move(options)),
      ledger_(ledger),
      key_(absl::StrCat("the-key-of-the-question-", options_.index)),
      random_(options_.seed),
      turn_(random_()),
      thread_([this] { Run(); }) {}

CallReader::~CallReader() {
  is_ending_ = true;
  thread_.join();
}

bool CallReader::Sleep(absl::Duration duration) const {
  const absl::Time end = absl::Now() + duration;
  for (absl::Time now = absl::Now(); now < end && !is_ending_; now = absl::Now()) {
    absl::SleepFor(std::min(kLook, end - now));
  }
  return !is_ending_;
}

void CallReader::Run() {
  if (!Sleep(options_.starts_after)) {
    return;
  }
  absl::Duration pause = kPauseMin;
  while (!has_end_) {
    if (Connect()) {
      pause = kPauseMin;
    }
    if (has_acted_ && options_.kind == Kind::kLeaves && !has_looked_) {
      has_looked_ = true;
      last_event_id_.clear();
      if (!Sleep(options_.looks_after)) {
        return;
      }
      ledger_->NoteReturned(options_.index, absl::Now());
      ledger_->NoteReads(options_.index, CallsLedger::From::kBeginning);
    } else if (!Sleep(pause)) {
      return;
    }
    ++turn_;
    pause = std::min(2 * pause, kPauseMax);
  }
}

test::SseClient::Options CallReader::NextRequest() {
  const bool posts = call_id_.empty() || (options_.kind != Kind::kAsync && random_() % kPostsOneIn == 0);
  // Where the first POST was not answered, this one may be the first that counts.
  const bool reloads = !call_id_.empty() && !last_event_id_.empty() && random_() % kReloadsOneIn == 0;
  if (reloads) {
    last_event_id_.clear();
    tokens_ = 0;
    ledger_->NoteReads(options_.index, CallsLedger::From::kBeginning);
  }
  test::SseClient::Options request{.target = absl::StrCat("/calls/", call_id_), .last_event_id = last_event_id_};
  if (posts) {
    request.target =
        absl::StrCat("/calls/", options_.name, options_.kind == Kind::kContinues ? "?on_disconnect=continue" : "");
    request.headers = absl::StrCat("Idempotency-Key: \"", key_, "\"\r\n",
                                   options_.kind == Kind::kAsync ? "Prefer: respond-async\r\n" : "");
    request.method = "POST";
    request.body = absl::StrCat(R"({"question":)", options_.index, "}");
  }
  return request;
}

bool CallReader::Connect() {
  ++connects_;
  is_to_cut_ = false;
  const test::SseClient::Options request = NextRequest();
  test::SseClient client(options_.ports[turn_ % options_.ports.size()], request);
  if (!client.connection().is_connected()) {
    return false;
  }
  const test::HttpResponse& head = client.Head(kPatience);
  switch (head.status) {
    case 200:
      return Follow(client);
    case 202:
      call_id_ = head.Header("Location");
      ledger_->NoteAnswered(options_.index, call_id_);
      return true;
    case 0:    // it stands still, or has gone
    case 429:  // a passing refusal
    case 503:
      return false;
    default:
      ledger_->NoteViolation(absl::StrCat("reader ", options_.index, " asked ", request.method, " ", request.target,
                                          " after \"", request.last_event_id, "\" and got ", head.head));
      return false;
  }
}

bool CallReader::Follow(test::SseClient& client) {
  absl::Time heard_at = absl::Now();
  uint64_t comments = client.parser().comments();
  bool has_events = false;
  while (!is_ending_ && !is_to_cut_ && absl::Now() - heard_at < kPatience) {
    const auto event = client.Next(kLook);
    if (event.has_value()) {
      Take(*event);
      heard_at = absl::Now();
      has_events = has_events || !absl::StartsWith(event->type, "bridge.");
    } else if (client.has_ended() || client.has_ended_cleanly()) {
      break;
    }
    if (std::exchange(comments, client.parser().comments()) != comments) {
      heard_at = absl::Now();
    }
    if (!has_acted_ && IsTimeToAct() && options_.kind == Kind::kCancels) {
      Cancel();
    }
    if (!has_acted_ && !has_end_ && IsTimeToAct() && options_.kind == Kind::kLeaves) {
      has_acted_ = true;
      ledger_->NoteLeft(options_.index, absl::Now());
      break;
    }
  }
  if (is_to_cut_ && random_() % 2 == 0) {
    client.connection().Reset();
  }
  return has_events;
}

void CallReader::Take(const test::SseEvent& event) {
  ledger_->NoteReceived(options_.index, event);
  if (event.type == "bridge.open" && call_id_.empty()) {
    const size_t at = event.data.find(R"("call_id":")");
    call_id_ = at == std::string::npos ? "" : event.data.substr(at + 11, 22);
  }
  if (event.type == "bridge.closing") {
    return;  // a refusal has no id
  }
  last_event_id_ = event.id.empty() ? last_event_id_ : event.id;
  tokens_ += event.type == "message" ? 1 : 0;
  has_end_ = has_end_ || event.type == "bridge.end";
}

void CallReader::Cancel() {
  ledger_->NoteCancels(options_.index);
  const uint16_t port = options_.ports[random_() % options_.ports.size()];
  test::RawConnection connection(port);
  connection.Send(
      absl::StrCat("DELETE /calls/", call_id_, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  const int status = test::ParseResponse(connection.ReceiveToEnd(kPatience).value_or("")).status;
  has_acted_ = status == 202 || status == 200;
  if (!has_acted_ && status != 0 && status != 503) {
    ledger_->NoteViolation(absl::StrCat("reader ", options_.index, " cancelled call ", call_id_, " and got ", status));
  }
}

}  // namespace bridge::chaos
