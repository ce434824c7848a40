#include "tests/chaos/ledger.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/support/naive_topics.h"

namespace bridge::chaos {
namespace {

// Of each kind; one cause makes many.
constexpr size_t kViolationsShown = 20;

std::optional<EventName> ParseData(const std::string& data) {
  const std::vector<std::string> parts = absl::StrSplit(data, ' ');
  EventName name;
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &name.publisher) || !absl::SimpleAtoi(parts[1], &name.number)) {
    return std::nullopt;
  }
  return name;
}

std::string TextOf(const EventName& name) {
  return absl::StrCat("event ", name.number, " of publisher ", name.publisher);
}

}  // namespace

std::string DataOf(const EventName& name) { return absl::StrCat(name.publisher, " ", name.number); }

Ledger::Ledger(std::vector<std::string> topics, std::vector<std::vector<std::string>> streams)
    : topics_(std::move(topics)), newest_(topics_.size()) {
  for (std::vector<std::string>& patterns : streams) {
    Stream stream;
    for (const std::string& topic : topics_) {
      stream.wants.push_back(std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
        return test::NaiveMatches(pattern, topic);
      }));
    }
    stream.patterns = std::move(patterns);
    streams_.push_back(std::move(stream));
  }
}

size_t Ledger::NotePublished(size_t publisher, size_t topic) {
  const absl::MutexLock lock(&mutex_);
  publishers_.resize(std::max(publishers_.size(), publisher + 1));
  publishers_[publisher].push_back({.topic = topic});
  return publishers_[publisher].size() - 1;
}

void Ledger::NoteAcked(const Acked& acked) {
  const absl::MutexLock lock(&mutex_);
  acks_.push_back(acked);
  for (size_t number = acked.begin; number < acked.end; ++number) {
    Published& published = publishers_.at(acked.publisher).at(number);
    if (!published.is_acked) {
      published.is_acked = true;
      ++acked_;
      acked_unseen_ += published.sequence == 0 ? 1 : 0;
    }
  }
}

void Ledger::NoteReceived(size_t index, const test::SseEvent& event) {
  const absl::MutexLock lock(&mutex_);
  if (event.type == "bridge.gap") {
    Complain(absl::StrCat(DescribeStream(index), " was told of a gap: ", event.data));
  }
  const std::optional<uint64_t> sequence = TakeId(index, event);
  if (!sequence || absl::StartsWith(event.type, "bridge.")) {
    return;
  }
  ++received_;
  streams_[index].sequences.push_back(*sequence);
  const std::optional<EventName> name = ParseData(event.data);
  if (!name || Find(*name) == nullptr) {
    Complain(absl::StrCat(DescribeStream(index), " got what nobody published: \"", event.data, "\""));
    return;
  }
  Place(*name, *sequence, index);
}

std::optional<uint64_t> Ledger::TakeId(size_t index, const test::SseEvent& event) {
  Stream& stream = streams_[index];
  const bool is_control = absl::StartsWith(event.type, "bridge.");
  if (is_control && event.id.empty()) {
    return std::nullopt;  // a refusal's bridge.closing
  }
  const absl::StatusOr<log::Position> position = log::ParseEventId(event.id);
  if (!position.ok()) {
    Complain(absl::StrCat(DescribeStream(index), " got ", event.type, " \"", event.data, "\" with the id \"", event.id,
                          "\""));
    return std::nullopt;
  }
  if (position->epoch != epoch_.value_or(position->epoch)) {
    Complain(absl::StrCat(DescribeStream(index), " got ", event.type, " of another epoch: ", event.id));
    return std::nullopt;
  }
  epoch_ = position->epoch;
  const uint64_t least = stream.last_id_sequence + (is_control ? 0 : 1);
  if (position->sequence < least) {
    Complain(absl::StrCat(DescribeStream(index), " got ", event.type, " \"", event.data, "\" at ", position->sequence,
                          " after an id at ", stream.last_id_sequence));
  }
  stream.last_id_sequence = position->sequence;
  return position->sequence;
}

void Ledger::Place(const EventName& name, uint64_t sequence, size_t index) {
  const auto [entry, is_new] = log_.try_emplace(sequence, name);
  if (!is_new) {
    if (entry->second != name) {
      Complain(absl::StrCat(DescribeStream(index), " got ", TextOf(name), " at ", sequence, ", where others got ",
                            TextOf(entry->second)));
    }
    return;
  }
  Published& published = publishers_[name.publisher][name.number];
  if (published.sequence != 0) {
    Complain(absl::StrCat(TextOf(name), " is in the log twice, at ", published.sequence, " and ", sequence));
    return;
  }
  published.sequence = sequence;
  acked_unseen_ -= published.is_acked ? 1 : 0;
  newest_[published.topic] = std::max(newest_[published.topic], sequence);
}

void Ledger::NoteViolation(std::string violation) {
  const absl::MutexLock lock(&mutex_);
  Complain(std::move(violation));
}

void Ledger::Complain(std::string violation) {
  if (violation_count_++ < kViolationsShown) {
    violations_.push_back(std::move(violation));
  }
}

bool Ledger::IsCaughtUp() const {
  const absl::MutexLock lock(&mutex_);
  if (acked_unseen_ > 0) {
    return false;
  }
  return std::all_of(streams_.begin(), streams_.end(), [this](const Stream& stream) ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    uint64_t newest = 0;
    for (size_t topic = 0; topic < topics_.size(); ++topic) {
      newest = std::max(newest, stream.wants[topic] ? newest_[topic] : 0);
    }
    return newest == 0 || (!stream.sequences.empty() && stream.sequences.back() >= newest);
  });
}

std::vector<std::string> Ledger::Check() const {
  const absl::MutexLock lock(&mutex_);
  Violations violations = violations_;
  if (violation_count_ > violations_.size()) {
    violations.push_back(absl::StrCat("... and ", violation_count_ - violations_.size(), " more like these"));
  }
  CheckAcks(&violations);
  CheckOrder(&violations);
  for (size_t i = 0; i < streams_.size(); ++i) {
    CheckStream(i, &violations);
  }
  return violations;
}

void Ledger::CheckAcks(Violations* violations) const {
  const size_t shown_max = violations->size() + kViolationsShown;
  for (const Acked& acked : acks_) {
    uint64_t first = UINT64_MAX;
    uint64_t last = 0;
    for (size_t number = acked.begin; number < acked.end; ++number) {
      const uint64_t sequence = publishers_[acked.publisher][number].sequence;
      if (sequence == 0 && violations->size() < shown_max) {
        violations->push_back(absl::StrCat(TextOf({acked.publisher, number}), " was acked (", acked.first_id, " to ",
                                           acked.last_id, ") and is lost"));
      }
      first = std::min(first, sequence);
      last = std::max(last, sequence);
    }
    const std::string first_id = log::EventIdOf({.epoch = epoch_.value_or(0), .sequence = first});
    const std::string last_id = log::EventIdOf({.epoch = epoch_.value_or(0), .sequence = last});
    if (first != 0 && (first_id != acked.first_id || last_id != acked.last_id) && violations->size() < shown_max) {
      violations->push_back(absl::StrCat("events ", acked.begin, " to ", acked.end - 1, " of publisher ",
                                         acked.publisher, " were acked with ", acked.first_id, " to ", acked.last_id,
                                         " and are at ", first_id, " to ", last_id));
    }
  }
}

void Ledger::CheckOrder(Violations* violations) const {
  const size_t shown_max = violations->size() + kViolationsShown;
  for (size_t publisher = 0; publisher < publishers_.size(); ++publisher) {
    uint64_t last = 0;
    for (size_t number = 0; number < publishers_[publisher].size(); ++number) {
      const uint64_t sequence = publishers_[publisher][number].sequence;
      if (sequence != 0 && sequence < last && violations->size() < shown_max) {
        violations->push_back(
            absl::StrCat(TextOf({publisher, number}), " is at ", sequence, ", behind a later one at ", last));
      }
      last = std::max(last, sequence);
    }
  }
}

void Ledger::CheckStream(size_t index, Violations* violations) const {
  const Stream& stream = streams_[index];
  std::vector<uint64_t> wanted;
  for (const auto& [sequence, name] : log_) {
    if (stream.wants[publishers_[name.publisher][name.number].topic]) {
      wanted.push_back(sequence);
    }
  }
  std::vector<uint64_t> got = stream.sequences;
  std::sort(got.begin(), got.end());  // what came out of order has been complained of when it came
  std::vector<uint64_t> differing;
  std::set_symmetric_difference(wanted.begin(), wanted.end(), got.begin(), got.end(), std::back_inserter(differing));
  if (differing.empty()) {
    return;
  }
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(differing.size(), kViolationsShown); ++i) {
    const bool is_lost = std::binary_search(wanted.begin(), wanted.end(), differing[i]) &&
                         !std::binary_search(got.begin(), got.end(), differing[i]);
    texts.push_back(absl::StrCat(is_lost ? "without " : "too often or unasked for ", DescribePlace(differing[i])));
  }
  violations->push_back(absl::StrCat(DescribeStream(index), " got ", got.size(), " events instead of ", wanted.size(),
                                     ": ", absl::StrJoin(texts, ", ")));
}

const Ledger::Published* Ledger::Find(const EventName& name) const {
  const bool is_known = name.publisher < publishers_.size() && name.number < publishers_[name.publisher].size();
  return is_known ? &publishers_[name.publisher][name.number] : nullptr;
}

std::string Ledger::DescribeStream(size_t index) const {
  return absl::StrCat("stream ", index, " (", absl::StrJoin(streams_[index].patterns, ","), ")");
}

std::string Ledger::DescribePlace(uint64_t sequence) const {
  const auto entry = log_.find(sequence);
  return absl::StrCat(entry == log_.end() ? "an unknown event" : TextOf(entry->second), " at ", sequence);
}

Ledger::Totals Ledger::totals() const {
  const absl::MutexLock lock(&mutex_);
  Totals totals{.acked = acked_, .received = received_};
  for (const std::vector<Published>& published : publishers_) {
    totals.published += published.size();
    totals.never_acked_but_kept +=
        static_cast<size_t>(std::count_if(published.begin(), published.end(),
                                          [](const Published& each) { return !each.is_acked && each.sequence != 0; }));
  }
  return totals;
}

}  // namespace bridge::chaos
