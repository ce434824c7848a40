#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "bridge/calls/worker_stream.h"
#include "bridge/rpc/event_content.h"
#include "bridge/rpc/publisher_identity.h"
#include "bridge/rpc/request_outline.h"
#include "bridge/v1/publisher.pb.h"

namespace bridge::rpc {

// Turns what a request says of calls into what calls::Calls takes. Thread-safe: it has no state.
class CallIntake {
 public:
  // `content` outlives it.
  explicit CallIntake(const ContentReader* content) : content_(content) {}

  // What is to be served, and what the worker is told about it: which names it may not serve.
  struct Serving {
    calls::Serve serve;
    v1::Serving answer;
  };
  // INVALID_ARGUMENT: something of it is no good, with what would be right. UNAUTHENTICATED: for one of the names the
  // publisher would have to show who it is.
  static absl::StatusOr<Serving> TakeServe(v1::Serve&& serve, const PublisherIdentity& publisher);
  // The error of TakeServe for what is too much to be parsed.
  static absl::Status CheckServe(const RequestOutline& outline);

  // Takes out of `update` what comes before the first event, or end, that is bad; `rejected` then tells why that is.
  // Raises `work` by what the payloads took. INVALID_ARGUMENT: it is for nothing that could be a call.
  absl::StatusOr<calls::CallUpdate> TakeUpdate(v1::CallUpdate& update, uint64_t* work) const;

  // How such an update is answered.
  static calls::CallAck AckOfNone(absl::string_view call_id, uint32_t attempt, const absl::Status& why);

 private:
  absl::Status TakeEvents(v1::CallUpdate& update, uint64_t* work, calls::CallUpdate* taken) const;
  absl::Status TakeEnd(v1::CallEnd& end, uint64_t* work, calls::CallUpdate* taken) const;

  const ContentReader* const content_;
};

// INVALID_ARGUMENT: `call_id` is none.
absl::Status CheckCallId(absl::string_view call_id);

}  // namespace bridge::rpc
