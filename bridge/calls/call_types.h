#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge::calls {

// How a call ended: the status of bridge.end. The numbers are stored.
enum class EndStatus {
  kOk = 0,
  kFailed = 1,
  kCancelled = 2,
  kAbandoned = 3,
  kDeadline = 4,
  kLimit = 5,
  kNoWorker = 6,
  kWorkerLost = 7,
  kLost = 8
};
inline constexpr size_t kEndStatuses = 9;
absl::string_view NameOf(EndStatus status);

// Why a worker is told to stop; the numbers are those of bridge.v1.CallCancel.Reason.
enum class StopReason { kClient = 1, kAbandoned = 2, kDeadline = 3, kLimit = 4, kLost = 5, kShutdown = 6 };
// What the call's status is when it ends after that.
EndStatus StatusAfter(StopReason reason);

// What happens to a call that nobody reads; the numbers are those of bridge.log.v1.OnDisconnect.
enum class OnDisconnect { kGrace = 0, kCancel = 1, kContinue = 2 };

// Whom a call belongs to: the token's issuer and subject, both empty without a token. A value.
struct Owner {
  std::string issuer;
  std::string subject;

  friend bool operator==(const Owner&, const Owner&) = default;
};

// What limits.calls_per_subject counts by; empty without a subject.
std::string SubjectKeyOf(absl::string_view issuer, absl::string_view subject);

// What a browser asks.
struct CallRequest {
  // By the grammar of topics.
  std::string name;
  std::string body;
  std::string content_type;
  Owner owner;
  // Names in lower case.
  std::vector<std::pair<std::string, std::string>> metadata;
  // For the whole answer; at most calls.max_duration.
  absl::Duration timeout;
  OnDisconnect on_disconnect = OnDisconnect::kGrace;
  // The answer is not read by who asks (Prefer: respond-async).
  bool is_async = false;
  // Empty for none.
  std::string idempotency_key;
  // What limits.calls_per_address counts by; empty where it does not count.
  std::string address;
};

// Why a browser does not get its call.
struct Refusal {
  enum class Kind {
    kUnknownName,  // it is not among the names that can be called
    kNotFound,     // no such call, or another's, or one that is no longer kept
    kOtherBody,    // the idempotency key stands for another request
    kNoWorker,     // nobody serves the name
    kOverloaded,   // a bound of all has been reached
    kSubjectFull,
    kAddressFull,
    kReadersFull,
    kDraining,
    kStarting,  // this replica has not caught up with the log
    kLogAway,
  };
  Kind kind;
  // What is wrong and what would be right.
  std::string message;
};

}  // namespace bridge::calls
