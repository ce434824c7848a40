#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

#include "bridge/calls/call_types.h"
#include "bridge/log/event_log.h"
#include "bridge/log/v1/call.pb.h"

namespace bridge::calls {

// One call, as its records in log order say: every replica that follows them comes to the same state.
//
//   open -> claim(1) [-> release(1) -> claim(2) ...] -> answers -> end
//
// A stop may stand anywhere before the end. The first valid claim of an attempt and the first end win; what does not
// fit is void and changes nothing. A worker's end fits behind its last event alone; what a replica has decided because
// of who has the call fits where it knew that (`turn`). Not thread-safe; no clock and no side effects.
class Call {
 public:
  // `sequence` is that of the record with `open`.
  Call(std::string id, uint64_t sequence, log::v1::CallOpen open);

  // Takes the next record of this call; false where it is void. REQUIRES: `record` is no open.
  bool Apply(const log::v1::CallRecord& record, const log::Entry& entry);

  const std::string& id() const { return id_; }
  uint64_t opened_sequence() const { return opened_sequence_; }
  // Its body is empty once no worker can get it any more.
  const log::v1::CallOpen& request() const { return request_; }

  bool is_ended() const { return !end_.empty(); }
  bool is_claimed() const { return is_claimed_; }
  // Of the claim, or the one that is to be claimed next.
  uint32_t attempt() const { return attempt_; }
  // Of the last claim; empty before the first.
  const std::string& worker() const { return worker_; }
  // That keeps the call's time: the one that has claimed it, else the one that has opened it.
  const std::string& replica() const { return is_claimed_ ? replica_ : request_.replica(); }
  // How many valid claims and releases there have been.
  uint32_t turn() const { return turn_; }
  // How many events the answer has.
  uint64_t next_index() const { return next_index_; }
  // Their types and data.
  uint64_t answer_bytes() const { return answer_bytes_; }
  // The sequence of the newest event or the end; 0 for none.
  uint64_t newest() const { return newest_; }
  std::optional<StopReason> stop() const { return stop_; }
  const std::string& stop_message() const { return stop_message_; }
  // The data of the end; empty before it.
  const std::string& end() const { return end_; }
  EndStatus end_status() const { return end_status_; }

 private:
  bool Claim(const log::v1::CallClaim& claim);
  bool Release(const log::v1::CallRelease& release);
  bool Answer(const log::v1::CallAnswer& answer, const log::Entry& entry);
  bool Stop(const log::v1::CallStop& stop);
  bool End(const log::v1::CallEnd& end, const log::Entry& entry);

  const std::string id_;
  const uint64_t opened_sequence_;
  log::v1::CallOpen request_;
  bool is_claimed_ = false;
  uint32_t attempt_ = 1;
  std::string worker_;
  uint64_t stream_ = 0;
  std::string replica_;
  uint32_t turn_ = 0;
  uint64_t next_index_ = 0;
  uint64_t answer_bytes_ = 0;
  uint64_t newest_ = 0;
  std::optional<StopReason> stop_;
  std::string stop_message_;
  std::string end_;
  EndStatus end_status_ = EndStatus::kOk;
};

}  // namespace bridge::calls
