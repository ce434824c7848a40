#include "bridge/calls/call.h"

#include <utility>

namespace bridge::calls {
namespace {

using log::v1::CallRecord;

absl::Duration TimeoutOf(const log::v1::CallOpen& open) {
  return absl::Seconds(open.timeout().seconds()) + absl::Nanoseconds(open.timeout().nanos());
}

}  // namespace

Call::Call(absl::string_view id, uint64_t sequence, log::v1::CallOpen open)
    : id_(id),
      opened_sequence_(sequence),
      name_(open.name()),
      issuer_(open.issuer()),
      subject_(open.subject()),
      opener_(open.replica()),
      timeout_(TimeoutOf(open)),
      on_disconnect_(static_cast<OnDisconnect>(open.on_disconnect())),
      is_async_(open.is_async()),
      input_(std::make_unique<CallInput>(CallInput{.body = std::move(*open.mutable_body()),
                                                   .content_type = std::move(*open.mutable_content_type()),
                                                   .metadata = {open.metadata().begin(), open.metadata().end()}})) {
  if (!open.key_fingerprint().empty()) {
    fingerprints_ =
        std::make_unique<Fingerprints>(Fingerprints{.key = open.key_fingerprint(), .body = open.body_fingerprint()});
  }
}

bool Call::Apply(const CallRecord& record, const log::Entry& entry) {
  if (is_ended()) {
    return false;
  }
  switch (record.kind_case()) {
    case CallRecord::kClaim:
      return Claim(record.claim());
    case CallRecord::kRelease:
      return Release(record.release());
    case CallRecord::kAnswer:
      return Answer(record.answer(), entry);
    case CallRecord::kStop:
      return Stop(record.stop());
    case CallRecord::kEnd:
      return End(record.end(), entry);
    case CallRecord::kOpen:
    case CallRecord::kPresence:
    case CallRecord::KIND_NOT_SET:
      break;
  }
  return false;
}

bool Call::Claim(const log::v1::CallClaim& claim) {
  if (claim.attempt() != attempt_ || claim.worker().empty() || claim.replica().empty()) {
    return false;
  }
  if (is_claimed_ ? claim.worker() != worker() || claim.stream() < stream_ : stopped_ != nullptr) {
    return false;
  }
  ++turn_;
  is_claimed_ = true;
  worker_ = claim.worker();
  stream_ = claim.stream();
  replica_ = claim.replica();
  return true;
}

bool Call::Release(const log::v1::CallRelease& release) {
  if (!is_claimed_ || release.attempt() != attempt_ || release.turn() != turn_ || next_index_ != 0 ||
      stopped_ != nullptr) {
    return false;
  }
  ++turn_;
  is_claimed_ = false;
  ++attempt_;
  return true;
}

bool Call::Answer(const log::v1::CallAnswer& answer, const log::Entry& entry) {
  if (!is_claimed_ || answer.attempt() != attempt_ || answer.index() != next_index_) {
    return false;
  }
  ++next_index_;
  answer_bytes_ += entry.record.type.size() + entry.record.data.size();
  newest_ = entry.sequence;
  input_ = nullptr;  // no other worker can get it any more
  return true;
}

bool Call::Stop(const log::v1::CallStop& stop) {
  const int reason = stop.reason();
  if (stopped_ != nullptr || reason < static_cast<int>(StopReason::kClient) ||
      reason > static_cast<int>(StopReason::kShutdown)) {
    return false;
  }
  stopped_ = std::make_unique<Stopped>(Stopped{.reason = static_cast<StopReason>(reason), .message = stop.message()});
  return true;
}

bool Call::End(const log::v1::CallEnd& end, const log::Entry& entry) {
  const bool fits = end.attempt() != 0 ? is_claimed_ && end.attempt() == attempt_ && end.index() == next_index_
                                       : !end.has_turn() || end.turn() == turn_;
  if (!fits || entry.record.data.empty() || end.status() >= kEndStatuses) {
    return false;
  }
  ended_ = std::make_unique<Ended>(
      Ended{.status = static_cast<EndStatus>(end.status()), .data = entry.record.data, .time = entry.record.time});
  newest_ = entry.sequence;
  input_ = nullptr;
  return true;
}

}  // namespace bridge::calls
