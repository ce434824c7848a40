#include "bridge/log/jetstream/stream_setup.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/base/status_macros.h"
#include "bridge/ops/logging.h"

namespace bridge::log::jetstream {
namespace {

// What a stored record may have beside the payload of its frame: topic, type, publisher, key, headers.
constexpr size_t kRecordOverheadMax = 2048;

constexpr absl::Duration kMakeDelayMax = absl::Milliseconds(200);

// A cluster has made up its mind about a new stream where it says the same for so long.
constexpr base::MonotonicClock::duration kSettledAfter = std::chrono::seconds(1);
constexpr absl::Duration kSettleInterval = absl::Milliseconds(100);
constexpr base::MonotonicClock::duration kSettleTimeout = std::chrono::seconds(20);

struct Difference {
  std::string what;
  std::string is;
  std::string wanted;
};

void Compare(absl::string_view what, const std::string& is, const std::string& wanted, std::vector<Difference>* out) {
  if (is != wanted) {
    out->push_back({.what = std::string(what), .is = is, .wanted = wanted});
  }
}

std::vector<Difference> DifferentLimits(const StreamConfig& is, const StreamConfig& wanted) {
  std::vector<Difference> differences;
  Compare("max_age", absl::FormatDuration(is.max_age), absl::FormatDuration(wanted.max_age), &differences);
  Compare("max_bytes", absl::StrCat(is.max_bytes), absl::StrCat(wanted.max_bytes), &differences);
  Compare("replicas", absl::StrCat(is.replicas), absl::StrCat(wanted.replicas), &differences);
  if (wanted.duplicate_window > absl::ZeroDuration()) {
    Compare("duplicate_window", absl::FormatDuration(is.duplicate_window),
            absl::FormatDuration(wanted.duplicate_window), &differences);
  }
  return differences;
}

// Where two replicas make a stream at once, a cluster may make it twice, and forget what the first one held: so nobody
// uses a new one before that is over.
absl::StatusOr<StreamInfo> AwaitSettled(NatsConnection& connection, const std::string& stream) {
  const base::MonotonicTime start = base::MonotonicClock::now();
  base::MonotonicTime same_since = start;
  uint64_t created = 0;
  while (true) {
    ASSIGN_OR_RETURN(StreamInfo info, GetStream(connection, stream));
    const base::MonotonicTime now = base::MonotonicClock::now();
    if (std::exchange(created, info.created) != info.created) {
      same_since = now;
    }
    if (now - same_since >= kSettledAfter || now - start >= kSettleTimeout) {
      return info;
    }
    absl::SleepFor(kSettleInterval);
  }
}

}  // namespace

StreamConfig WantedStream(const JetStreamOptions& options) {
  return {.subjects = {absl::StrCat(options.subject_prefix, ".kept.>")},
          .storage = "file",
          .retention = "limits",
          .discard = "old",
          .max_age = options.max_age,
          .max_bytes = static_cast<int64_t>(options.max_bytes),
          .replicas = options.replicas,
          // The server refuses one that is longer than its messages live.
          .duplicate_window = std::min(options.idempotency_window, options.max_age)};
}

absl::Status CheckStream(const StreamInfo& is, const JetStreamOptions& options) {
  const StreamConfig wanted = WantedStream(options);
  std::vector<Difference> wrong;
  Compare("subjects", absl::StrJoin(is.config.subjects, ", "), absl::StrJoin(wanted.subjects, ", "), &wrong);
  Compare("storage", is.config.storage, wanted.storage, &wrong);
  Compare("retention", is.config.retention, wanted.retention, &wrong);
  Compare("discard", is.config.discard, wanted.discard, &wrong);
  Compare("no_ack", is.config.no_ack ? "true" : "false", "false", &wrong);
  if (wrong.empty()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "stream \"", options.stream, "\" is no bridge's: ",
      absl::StrJoin(wrong, "; ",
                    [](std::string* out, const Difference& difference) {
                      absl::StrAppend(out, "its ", difference.what, " is \"", difference.is,
                                      "\", it would have to be \"", difference.wanted, "\"");
                    }),
      ". Set log.jetstream.stream and log.jetstream.subject_prefix to names that nobody else uses, or change or remove "
      "this stream: the bridge makes it where there is none"));
}

absl::Status CheckMessageBytes(size_t max_payload, const StreamInfo& is, const JetStreamOptions& options) {
  const size_t needed = options.frame_bytes_max + kRecordOverheadMax;
  if (max_payload < needed) {
    return absl::FailedPreconditionError(absl::StrCat(
        "max_payload of the NATS server is ", max_payload, " bytes, http.max_frame_bytes is ", options.frame_bytes_max,
        ": records of this size need a max_payload of ", needed, "; raise it, or lower http.max_frame_bytes to ",
        max_payload - std::min(max_payload, kRecordOverheadMax)));
  }
  const int64_t stream_max = is.config.max_message_bytes;
  if (stream_max >= 0 && std::cmp_less(stream_max, needed)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "max_msg_size of stream \"", options.stream, "\" is ", stream_max, " bytes, http.max_frame_bytes is ",
        options.frame_bytes_max, ": records of this size need a max_msg_size of ", needed, ", or -1"));
  }
  return absl::OkStatus();
}

absl::StatusOr<StreamInfo> FindOrMakeStream(NatsConnection& connection, const JetStreamOptions& options) {
  absl::StatusOr<StreamInfo> found = GetStream(connection, options.stream);
  const StreamConfig wanted = WantedStream(options);
  if (absl::IsNotFound(found.status())) {
    // All replicas miss it together.
    absl::SleepFor(kMakeDelayMax * absl::Uniform(absl::BitGen(), 0.0, 1.0));
    found = GetStream(connection, options.stream);
  }
  if (absl::IsNotFound(found.status())) {
    absl::Status made = CreateStream(connection, options.stream, wanted);
    if (made.ok()) {
      ops::LogInfo("stream_made", {{"stream", options.stream}, {"subjects", wanted.subjects.front()}});
    }
    found = GetStream(connection, options.stream);  // also where another replica was faster
    if (absl::IsNotFound(found.status())) {
      return made;
    }
  }
  if (found.ok() && found->last == 0 && wanted.replicas > 1) {
    found = AwaitSettled(connection, options.stream);
  }
  RETURN_IF_ERROR(found.status());
  RETURN_IF_ERROR(CheckStream(*found, options));
  RETURN_IF_ERROR(CheckMessageBytes(connection.max_payload(), *found, options));
  const std::vector<Difference> differences = DifferentLimits(found->config, wanted);
  for (const Difference& difference : differences) {
    ops::Log(
        options.update ? ops::LogLevel::kInfo : ops::LogLevel::kWarn,
        options.update ? "stream_limit_set" : "stream_limit_differs",
        {{"stream", options.stream}, {"limit", difference.what}, {"is", difference.is}, {"wanted", difference.wanted}});
  }
  if (!differences.empty() && options.update) {
    RETURN_IF_ERROR(UpdateLimits(connection, options.stream, *found, wanted));
  }
  return found;
}

}  // namespace bridge::log::jetstream
