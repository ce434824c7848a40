#include "bridge/config/validate.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/config/address.h"
#include "bridge/config/schema.h"
#include "bridge/config/validate_auth.h"
#include "bridge/config/validate_calls.h"
#include "bridge/config/validate_tls.h"
#include "bridge/config/value_syntax.h"

namespace bridge::config {
namespace {

// A field and its value, for an error.
struct Named {
  absl::string_view path;
  uint64_t value;
};

// `low` has to be at most `high`; `why` is the sentence's end.
absl::Status CheckOrder(Named low, Named high, absl::string_view why, std::string (*format)(uint64_t)) {
  if (low.value <= high.value) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(high.path, ": ", format(high.value), " is smaller than ", low.path,
                                                 ", which is ", format(low.value), ": ", why));
}

std::string FormatCount(uint64_t count) { return absl::StrCat(count); }

// An event larger than its log would be acked, and gone.
absl::Status CheckHoldsEvent(Named log, Named frame) {
  // What may be stored with a frame: topic, publisher, key, and where it stands.
  constexpr uint64_t kRecordOverheadMax = 4096;
  if (log.value >= frame.value + kRecordOverheadMax) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(log.path, ": ", FormatSize(log.value), " is too small for an event of ", frame.path, ", which is ",
                   FormatSize(frame.value), ": it would be trimmed as it is stored; write ",
                   FormatSize(frame.value + kRecordOverheadMax), " or more, or make ", frame.path, " smaller"));
}

absl::Status ValidateSizes(const v1::Config& config) {
  const v1::Http& http = config.http();
  const v1::Grpc& grpc = config.grpc();
  const Named frame = {"http.max_frame_bytes", http.max_frame_bytes()};
  const v1::Calls& calls = config.calls();
  const Named body = {"calls.max_body_bytes", calls.max_body_bytes()};
  for (const Named& bound : {Named{"calls.max_bytes_in_flight", calls.max_bytes_in_flight()},
                             Named{"calls.log.max_bytes", calls.log().max_bytes()}}) {
    RETURN_IF_ERROR(CheckOrder(body, bound, "the largest call could never be opened", FormatSize));
  }
  const Named in_flight = {"grpc.max_bytes_in_flight", grpc.max_bytes_in_flight()};
  RETURN_IF_ERROR(CheckOrder({"grpc.max_request_bytes", grpc.max_request_bytes()}, in_flight,
                             "the largest request could never be read", FormatSize));
  RETURN_IF_ERROR(CheckOrder(in_flight, {"grpc.max_bytes_in_flight_total", grpc.max_bytes_in_flight_total()},
                             "one stream could never reach its own bound", FormatSize));
  RETURN_IF_ERROR(CheckOrder({"grpc.max_events_per_request", grpc.max_events_per_request()},
                             {"grpc.max_events_in_flight", grpc.max_events_in_flight()},
                             "the largest request could never be read", FormatCount));
  RETURN_IF_ERROR(CheckOrder(frame, {"log.history.max_bytes", config.log().history().max_bytes()},
                             "the largest event could never be replayed", FormatSize));
  RETURN_IF_ERROR(CheckHoldsEvent({"log.disk.max_bytes", config.log().disk().max_bytes()}, frame));
  RETURN_IF_ERROR(CheckHoldsEvent({"log.jetstream.max_bytes", config.log().jetstream().max_bytes()}, frame));
  return CheckOrder(frame, {"http.max_pinned_bytes", http.max_pinned_bytes()},
                    "one slow stream within the largest event would be closed", FormatSize);
}

absl::Status ValidateDurations(const v1::Config& config) {
  const absl::Duration retry_min = FromProto(config.http().retry_min());
  const absl::Duration retry_max = FromProto(config.http().retry_max());
  if (retry_min > retry_max) {
    return absl::InvalidArgumentError(absl::StrCat("http.retry_max: ", absl::FormatDuration(retry_max),
                                                   " is shorter than http.retry_min, which is ",
                                                   absl::FormatDuration(retry_min), ": no event could set its retry"));
  }
  const auto check_max_age = [](absl::string_view path, absl::Duration age) {
    return age == absl::ZeroDuration() || age >= absl::Seconds(1)
               ? absl::OkStatus()
               : absl::InvalidArgumentError(absl::StrCat(path, ": ", absl::FormatDuration(age),
                                                         " is too short: write 1s or more, or 0s for never"));
  };
  RETURN_IF_ERROR(check_max_age("http.stream_max_age", FromProto(config.http().stream_max_age())));
  return check_max_age("grpc.stream_max_age", FromProto(config.grpc().stream_max_age()));
}

absl::Status ValidateCors(const v1::Cors& cors) {
  const auto& origins = cors.allowed_origins();
  if (cors.allow_credentials() && std::ranges::find(origins, "*") != origins.end()) {
    return absl::InvalidArgumentError(
        "http.cors.allow_credentials: true does not go with the origin \"*\" in http.cors.allowed_origins, any page "
        "could read a user's events: name the origins, as in https://app.example.com");
  }
  return absl::OkStatus();
}

// A section has been named, and not the key that gives it a meaning.
template <typename Section>
absl::Status CheckNamed(const Section& section, const std::string& key, absl::string_view path) {
  Section defaults;
  RETURN_IF_ERROR(SetDefaults(defaults));
  if (key.empty() && !google::protobuf::util::MessageDifferencer::Equals(section, defaults)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is missing, and without it the section means nothing"));
  }
  return absl::OkStatus();
}

absl::Status ValidateLog(const v1::Log& log) {
  RETURN_IF_ERROR(CheckNamed(log.jetstream(), log.jetstream().url(), "log.jetstream.url"));
  RETURN_IF_ERROR(CheckNamed(log.disk(), log.disk().path(), "log.disk.path"));
  if (!log.jetstream().url().empty() && !log.disk().path().empty()) {
    return absl::InvalidArgumentError(
        "log.disk.path: log.jetstream.url is set too, and there is one log: leave out one of the two");
  }
  const v1::NatsTls& tls = log.jetstream().tls();
  if (tls.certificate_file().empty() != tls.key_file().empty()) {
    return absl::InvalidArgumentError(
        "log.jetstream.tls: certificate_file and key_file belong together: set both or none");
  }
  return absl::OkStatus();
}

absl::Status ValidateAddresses(const v1::Config& config) {
  struct Listener {
    absl::string_view path;
    absl::string_view address;
  };
  const std::array listeners = {Listener{"http.address", config.http().address()},
                                Listener{"grpc.address", config.grpc().address()},
                                Listener{"admin.address", config.admin().address()}};
  for (size_t i = 0; i < listeners.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      ASSIGN_OR_RETURN(const Address address, ParseAddress(listeners[i].address));
      if (listeners[i].address == listeners[j].address && address.port != 0) {
        return absl::InvalidArgumentError(absl::StrCat(listeners[i].path, ": ", base::Quoted(listeners[i].address),
                                                       " is taken by ", listeners[j].path,
                                                       ": each needs a port of its own"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const v1::Config& config) {
  RETURN_IF_ERROR(ValidateAddresses(config));
  RETURN_IF_ERROR(ValidateSizes(config));
  RETURN_IF_ERROR(ValidateCalls(config.calls()));
  RETURN_IF_ERROR(ValidateDurations(config));
  RETURN_IF_ERROR(ValidateLog(config.log()));
  RETURN_IF_ERROR(ValidateGrpcTls(config));
  RETURN_IF_ERROR(ValidateAuth(config));
  RETURN_IF_ERROR(ValidateHttpTls(config));
  return ValidateCors(config.http().cors());
}

}  // namespace bridge::config
