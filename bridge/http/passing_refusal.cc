#include "bridge/http/passing_refusal.h"

#include <cmath>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

#include "bridge/http/exchange.h"
#include "bridge/http/problem.h"
#include "bridge/hub/control_events.h"
#include "bridge/sse/encoder.h"

namespace bridge::http {
namespace {

absl::string_view DetailOf(PassingRefusal refusal) {
  switch (refusal) {
    case PassingRefusal::kStarting:
      return "the bridge has not caught up with its log yet; ask again later";
    case PassingRefusal::kDraining:
      return "the bridge is about to stop; ask again, another replica will answer";
    case PassingRefusal::kOverloaded:
      return "the bridge serves as many event streams as it may (http.max_event_streams), or as many different "
             "patterns (limits.pattern_bytes); ask again later";
    case PassingRefusal::kKeysPending:
      return "the token's key is not known yet, and the keys are being fetched (auth.jwt.jwks_url); ask again later";
    case PassingRefusal::kTicketsExhausted:
      return "so many tickets were used of late that no more can be taken; ask again later";
    case PassingRefusal::kTooFast:
      return "this address opens event streams faster than it may (limits.connects_per_second); ask again later";
    case PassingRefusal::kAddressFull:
      return "this address has as many event streams open as it may (limits.streams_per_address); close one, or ask "
             "again later";
    case PassingRefusal::kSubjectFull:
      return "the token's subject has as many event streams open as it may (limits.streams_per_subject); close one, or "
             "ask again later";
    case PassingRefusal::kNoWorker:
      return "nobody answers this call now; ask again later";
    case PassingRefusal::kLogAway:
      return "the log of calls cannot be reached now; ask again later";
    case PassingRefusal::kReadersFull:
      return "the answer is read as many times as it may at once (calls.readers_per_call); ask again later";
  }
  return "ask again later";
}

bool IsClients(PassingRefusal refusal) {
  return refusal == PassingRefusal::kTooFast || refusal == PassingRefusal::kAddressFull ||
         refusal == PassingRefusal::kSubjectFull || refusal == PassingRefusal::kReadersFull;
}

}  // namespace

absl::string_view NameOf(PassingRefusal refusal) {
  switch (refusal) {
    case PassingRefusal::kStarting:
      return "starting";
    case PassingRefusal::kDraining:
      return "draining";
    case PassingRefusal::kOverloaded:
      return "overloaded";
    case PassingRefusal::kKeysPending:
      return "keys_pending";
    case PassingRefusal::kTicketsExhausted:
      return "tickets_exhausted";
    case PassingRefusal::kTooFast:
      return "too_fast";
    case PassingRefusal::kAddressFull:
      return "address_full";
    case PassingRefusal::kSubjectFull:
      return "subject_full";
    case PassingRefusal::kNoWorker:
      return "no_worker";
    case PassingRefusal::kLogAway:
      return "log_away";
    case PassingRefusal::kReadersFull:
      return "readers_full";
  }
  return "unknown";
}

void SetStreamHeaders(httplib::Response* response) {
  response->set_header("Cache-Control", "no-cache, no-transform");
  response->set_header("X-Accel-Buffering", "no");  // nginx and others that follow it: do not buffer
}

void AnswerPassing(PassingRefusal refusal, absl::Duration retry, const httplib::Request& request,
                   httplib::Response* response) {
  AnswerPassing(refusal, std::string(DetailOf(refusal)), retry, request, response);
}

void AnswerPassing(PassingRefusal refusal, const std::string& detail, absl::Duration retry,
                   const httplib::Request& request, httplib::Response* response) {
  Exchange::Current().must_close = true;
  if (request.method == "POST" || request.method == "DELETE") {
    SetProblem({.status = IsClients(refusal) ? 429 : 503, .detail = detail}, response);
    response->set_header("Retry-After", absl::StrCat(static_cast<int64_t>(std::ceil(absl::ToDoubleSeconds(retry)))));
    return;
  }
  SetStreamHeaders(response);
  response->set_content(hub::EncodeClosing(/*id=*/"", NameOf(refusal), retry), std::string(sse::kContentType));
}

}  // namespace bridge::http
