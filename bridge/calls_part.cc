#include "bridge/calls_part.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"
#include "bridge/config/value_syntax.h"
#include "bridge/open_log.h"
#include "bridge/topic/pattern.h"

namespace bridge {
namespace {

// Beside its body, an open record has headers and who asked.
constexpr uint64_t kOpenRecordBytes = uint64_t{64} << 10;

// How long records are kept: as long as an answer may be read.
absl::Duration AgeMax(const config::v1::Calls& calls) {
  return config::FromProto(calls.max_duration()) + config::FromProto(calls.history());
}

// The log of calls is of the same kind as that of events, beside it, with bounds of its own.
config::v1::Config LogConfigOf(const config::v1::Config& config) {
  config::v1::Config own = config;
  const google::protobuf::Duration age = config::ToProto(AgeMax(config.calls()));
  config::v1::JetStream& jetstream = *own.mutable_log()->mutable_jetstream();
  jetstream.set_stream(absl::StrCat(jetstream.stream(), "-calls"));
  jetstream.set_subject_prefix(absl::StrCat(jetstream.subject_prefix(), "-calls"));
  *jetstream.mutable_max_age() = age;
  // What is open is never trimmed: new calls are refused before.
  jetstream.set_max_bytes(2 * config.calls().log().max_bytes());
  config::v1::Disk& disk = *own.mutable_log()->mutable_disk();
  if (!disk.path().empty()) {
    disk.set_path(absl::StrCat(disk.path(), "/calls"));
  }
  *disk.mutable_max_age() = age;
  disk.set_max_bytes(2 * config.calls().log().max_bytes());
  own.mutable_http()->set_max_frame_bytes(
      std::max(config.http().max_frame_bytes(), config.calls().max_body_bytes() + kOpenRecordBytes));
  return own;
}

calls::Calls::Options OptionsOf(const config::v1::Config& config) {
  const config::v1::Calls& calls = config.calls();
  std::vector<topic::Pattern> names;
  for (const std::string& name : calls.names()) {
    names.push_back(*topic::Pattern::Parse(name));  // it has been validated
  }
  const LogKind kind = KindOf(config.log());
  return {.names = std::move(names),
          .grace = config::FromProto(calls.grace()),
          .max_duration = config::FromProto(calls.max_duration()),
          .history = config::FromProto(calls.history()),
          .queue_timeout = config::FromProto(calls.queue_timeout()),
          .queue_max = calls.queue_max(),
          .first_event_timeout = config::FromProto(calls.first_event_timeout()),
          .idle_timeout = config::FromProto(calls.idle_timeout()),
          .cancel_timeout = config::FromProto(calls.cancel_timeout()),
          .worker_grace = config::FromProto(calls.worker_grace()),
          .attempts_max = calls.max_attempts(),
          .answer_bytes_max = calls.max_answer_bytes(),
          .open_max = calls.max_open(),
          .bytes_in_flight_max = calls.max_bytes_in_flight(),
          .readers_per_call = calls.readers_per_call(),
          .calls_per_subject = config.limits().calls_per_subject(),
          .calls_per_address = config.limits().calls_per_address(),
          .log_bytes_max = calls.log().max_bytes(),
          .is_log_durable = kind != LogKind::kMemory,
          .has_replicas = kind == LogKind::kJetStream};
}

// Answers are kept whole for as long as they may be read; how many there are is bounded before they are opened.
hub::HubOptions HubOptionsOf(hub::HubOptions options, const config::v1::Calls& calls) {
  options.history = {.events_max = std::numeric_limits<uint64_t>::max(),
                     .bytes_max = std::numeric_limits<uint64_t>::max(),
                     .topics_max = std::numeric_limits<uint64_t>::max(),
                     .age_max = absl::ToChronoNanoseconds(AgeMax(calls))};
  options.heartbeats = hub::Heartbeats::kCommentsOnly;
  options.replay_events_per_second = 0;
  options.replay_bytes_per_second = 0;
  options.end_type = std::string(log::kCallEndType);
  return options;
}

}  // namespace

CallsPart::CallsPart(const config::v1::Config& config, const Loops* loops, const hub::HubOptions& options,
                     Callbacks callbacks)
    : config_(config),
      loops_(loops),
      options_(HubOptionsOf(options, config.calls())),
      callbacks_(std::move(callbacks)) {}

absl::Status CallsPart::Start() {
  ASSIGN_OR_RETURN(OpenedLog opened, OpenLog(LogConfigOf(config_), callbacks_.on_unusable));
  log_ = std::move(opened.log);
  std::vector<hub::FrameSink*> sinks;
  for (const auto& thread : *loops_) {
    hubs_.emplace_back();
    thread->BlockOn([&, hub = &hubs_.back()] {
      *hub = std::make_unique<hub::Hub>(&thread->loop(), log_.get(), /*store=*/nullptr, options_,
                                        [on_ready = callbacks_.on_ready] { on_ready(); });
    });
    sinks.push_back(hubs_.back().get());
  }
  loop_.BlockOn(
      [this] { calls_ = std::make_unique<calls::Calls>(&loop_.loop(), log_.get(), &feed_, OptionsOf(config_)); });
  feed_.Start([calls = calls_.get()] { calls->ResumeAnswers(); }, std::move(sinks));
  log_->Follow(calls_.get(),
               {.events_max = std::numeric_limits<size_t>::max(), .bytes_max = 2 * config_.calls().log().max_bytes()});
  return absl::OkStatus();
}

CallsPart::~CallsPart() {
  if (calls_ == nullptr) {
    return;
  }
  EndStreams();
  loop_.BlockOn([this] {
    calls_->loop().AssertOnLoop();
    calls_->Detach();
  });
  feed_.Detach();
  log_ = nullptr;
  loop_.BlockOn([this] { calls_ = nullptr; });
  for (size_t i = 0; i < hubs_.size(); ++i) {
    (*loops_)[i]->BlockOn([hub = &hubs_[i]] { *hub = nullptr; });
  }
}

void CallsPart::EndStreams() {
  for (size_t i = 0; i < hubs_.size(); ++i) {
    (*loops_)[i]->BlockOn([hub = hubs_[i].get()] {
      hub->loop().AssertOnLoop();
      hub->EndAll(hub::EndReason::kDraining);
    });
  }
}

std::vector<hub::Hub*> CallsPart::hubs() const {
  std::vector<hub::Hub*> hubs;
  hubs.reserve(hubs_.size());
  for (const auto& hub : hubs_) {
    hubs.push_back(hub.get());
  }
  return hubs;
}

}  // namespace bridge
