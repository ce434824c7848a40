#pragma once

#include <cstddef>
#include <httplib.h>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge::http {

// Why something was refused although the request was right: the client should come again.
enum class PassingRefusal {
  kStarting,
  kDraining,
  kOverloaded,
  kKeysPending,
  kTicketsExhausted,
  kTooFast,
  kAddressFull,
  kSubjectFull,
  // From here on only calls are refused for it.
  kNoWorker,
  kLogAway,
  kReadersFull,
};
inline constexpr size_t kPassingRefusals = 11;
inline constexpr size_t kPassingRefusalsButOfCalls = static_cast<size_t>(PassingRefusal::kNoWorker);
absl::string_view NameOf(PassingRefusal refusal);

// Asks the client to come again in about `retry`, and closes the connection. A POST or a DELETE is answered with
// Retry-After and 503, or 429 where it is the client that has too much. A GET with 200 and an event stream that says
// bridge.closing, because an EventSource never comes back after another status. REQUIRES: called inside a handler.
void AnswerPassing(PassingRefusal refusal, absl::Duration retry, const httplib::Request& request,
                   httplib::Response* response);
// The same, with what is wrong and what would be right in more than general words.
void AnswerPassing(PassingRefusal refusal, const std::string& detail, absl::Duration retry,
                   const httplib::Request& request, httplib::Response* response);

// What an event stream has beside its content type, so that nothing in between holds it back.
void SetStreamHeaders(httplib::Response* response);

}  // namespace bridge::http
