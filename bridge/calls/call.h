#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/flyweight.hpp>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/base/ref_counted_string.h"
#include "bridge/calls/call_types.h"
#include "bridge/log/event_log.h"
#include "bridge/log/v1/call.pb.h"

namespace bridge::calls {

// A text that many calls have alike, held once for all of them. Thread-safe.
using SharedText = boost::flyweight<std::string>;

// What a worker gets of a call.
struct CallInput {
  std::string body;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> metadata;
};

// One call, as its records in log order say: every replica that follows them comes to the same state.
//
//   open -> claim(1) [-> release(1) -> claim(2) ...] -> answers -> end
//
// A stop may stand anywhere before the end. The first valid claim of an attempt and the first end win; what does not
// fit is void and changes nothing. A worker's end fits behind its last event alone; what a replica has decided because
// of who has the call fits where it knew that (`turn`). Not thread-safe; no clock and no side effects. Some 200 bytes
// beside its texts: there are many.
class Call {
 public:
  // `sequence` is that of the record with `open`.
  Call(absl::string_view id, uint64_t sequence, log::v1::CallOpen open);

  // Takes the next record of this call; false where it is void. REQUIRES: `record` is no open.
  bool Apply(const log::v1::CallRecord& record, const log::Entry& entry);

  const base::RefCountedString& id() const { return id_; }
  uint64_t opened_sequence() const { return opened_sequence_; }

  // --- What the request says.

  const std::string& name() const { return name_; }
  // Whose it is.
  const std::string& issuer() const { return issuer_; }
  const std::string& subject() const { return subject_; }
  // For the whole answer; what the bridge allows at most is not known here.
  absl::Duration timeout() const { return timeout_; }
  OnDisconnect on_disconnect() const { return on_disconnect_; }
  bool is_async() const { return is_async_; }
  // Both empty without an idempotency key.
  absl::string_view key_fingerprint() const { return Fingerprint(&Fingerprints::key); }
  absl::string_view body_fingerprint() const { return Fingerprint(&Fingerprints::body); }
  // nullptr once no worker can get it any more.
  const CallInput* input() const { return input_.get(); }

  // --- What has become of it.

  bool is_ended() const { return ended_ != nullptr; }
  bool is_claimed() const { return is_claimed_; }
  // Of the claim, or the one that is to be claimed next.
  uint32_t attempt() const { return attempt_; }
  // Of the last claim; empty before the first.
  const std::string& worker() const { return worker_; }
  // That keeps the call's time: the one that has claimed it, else the one that has opened it.
  const std::string& replica() const { return is_claimed_ ? replica_ : opener_; }
  // How many valid claims and releases there have been.
  uint32_t turn() const { return turn_; }
  // How many events the answer has.
  uint64_t next_index() const { return next_index_; }
  // Their types and data.
  uint64_t answer_bytes() const { return answer_bytes_; }
  // The sequence of the newest event or the end; 0 for none.
  uint64_t newest() const { return newest_; }
  std::optional<StopReason> stop() const {
    return stopped_ == nullptr ? std::nullopt : std::optional(stopped_->reason);
  }
  // Empty before the stop.
  absl::string_view stop_message() const { return stopped_ == nullptr ? absl::string_view() : stopped_->message; }
  // The data of the end; empty before it.
  absl::string_view end() const { return ended_ == nullptr ? absl::string_view() : ended_->data; }
  // REQUIRES, both: is_ended(). The time is that of the record, the same on every replica.
  EndStatus end_status() const { return ended_->status; }
  absl::Time end_time() const { return ended_->time; }

 private:
  struct Fingerprints {
    std::string key;
    std::string body;
  };
  struct Stopped {
    StopReason reason;
    std::string message;
  };
  struct Ended {
    EndStatus status;
    std::string data;
    absl::Time time;
  };

  absl::string_view Fingerprint(std::string Fingerprints::* which) const {
    return fingerprints_ == nullptr ? absl::string_view() : (*fingerprints_).*which;
  }

  bool Claim(const log::v1::CallClaim& claim);
  bool Release(const log::v1::CallRelease& release);
  bool Answer(const log::v1::CallAnswer& answer, const log::Entry& entry);
  bool Stop(const log::v1::CallStop& stop);
  bool End(const log::v1::CallEnd& end, const log::Entry& entry);

  const base::RefCountedString id_;
  const uint64_t opened_sequence_;
  const SharedText name_;
  const SharedText issuer_;
  const SharedText subject_;
  // The replica that got the request.
  const SharedText opener_;
  const absl::Duration timeout_;
  const OnDisconnect on_disconnect_;
  const bool is_async_;
  bool is_claimed_ = false;
  std::unique_ptr<const Fingerprints> fingerprints_;
  std::unique_ptr<const CallInput> input_;

  uint32_t attempt_ = 1;
  uint32_t turn_ = 0;
  SharedText worker_;
  SharedText replica_;
  uint64_t stream_ = 0;
  uint64_t next_index_ = 0;
  uint64_t answer_bytes_ = 0;
  uint64_t newest_ = 0;
  std::unique_ptr<const Stopped> stopped_;
  std::unique_ptr<const Ended> ended_;
};

}  // namespace bridge::calls
