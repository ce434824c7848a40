#include "bridge/calls/call_types.h"

#include "absl/strings/str_cat.h"

namespace bridge::calls {

std::string SubjectKeyOf(absl::string_view issuer, absl::string_view subject) {
  return subject.empty() ? std::string() : absl::StrCat(issuer, "\n", subject);
}

absl::string_view NameOf(EndStatus status) {
  switch (status) {
    case EndStatus::kOk:
      return "ok";
    case EndStatus::kFailed:
      return "failed";
    case EndStatus::kCancelled:
      return "cancelled";
    case EndStatus::kAbandoned:
      return "abandoned";
    case EndStatus::kDeadline:
      return "deadline";
    case EndStatus::kLimit:
      return "limit";
    case EndStatus::kNoWorker:
      return "no_worker";
    case EndStatus::kWorkerLost:
      return "worker_lost";
    case EndStatus::kLost:
      return "lost";
  }
  return "unknown";
}

EndStatus StatusAfter(StopReason reason) {
  switch (reason) {
    case StopReason::kClient:
      return EndStatus::kCancelled;
    case StopReason::kAbandoned:
      return EndStatus::kAbandoned;
    case StopReason::kDeadline:
      return EndStatus::kDeadline;
    case StopReason::kLimit:
      return EndStatus::kLimit;
    case StopReason::kLost:
    case StopReason::kShutdown:
      return EndStatus::kLost;
  }
  return EndStatus::kLost;
}

}  // namespace bridge::calls
