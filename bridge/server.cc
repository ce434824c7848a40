#include "bridge/server.h"

#include <algorithm>
#include <sys/resource.h>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/base/status_macros.h"
#include "bridge/config/value_syntax.h"
#include "bridge/metrics_page.h"
#include "bridge/open_log.h"
#include "bridge/ops/logging.h"

namespace bridge {
namespace {

constexpr auto kTrimInterval = std::chrono::seconds(2);
constexpr auto kWatchLogInterval = std::chrono::milliseconds(500);
// About what a call takes beside its texts and its event stream.
constexpr uint64_t kBytesPerCall = 1024;

// How long the start waits for the log before it goes on without.
constexpr absl::Duration kLogPatience = absl::Seconds(3);

hub::Ring::Limits HistoryOf(const config::v1::Config& config) {
  const config::v1::History& history = config.log().history();
  return {.events_max = history.max_events(),
          .bytes_max = history.max_bytes(),
          .topics_max = config.limits().distinct_topics(),
          .age_max = absl::ToChronoNanoseconds(config::FromProto(history.max_age()))};
}

absl::StatusOr<payload::Transcoder> CreateTranscoder(const config::v1::Config& config) {
  const config::v1::Payload& payload = config.payload();
  const bool is_original = payload.json_names() == config::v1::Payload::original;
  return payload::Transcoder::Create(
      {.descriptor_set_files = {payload.descriptor_sets().begin(), payload.descriptor_sets().end()},
       .json_names = is_original ? payload::JsonNames::kOriginal : payload::JsonNames::kLowerCamel,
       .bytes_max = config.http().max_frame_bytes()});
}

}  // namespace

Server::Server(config::v1::Config config, loop::EventLoop* control) : config_(std::move(config)), control_(control) {}

Server::~Server() {
  control_->AssertOnLoop();
  file_watcher_.Stop();
  // No new events, then no new connections, then the streams, then the log, which the hubs follow.
  if (grpc_drain_.joinable()) {
    grpc_drain_.join();
  }
  grpc_ = nullptr;
  admin_ = nullptr;
  http_ = nullptr;
  for (size_t i = 0; i < hubs_.size(); ++i) {
    loops_[i]->BlockOn([hub = hubs_[i].get()] {
      hub->loop().AssertOnLoop();
      hub->EndAll(hub::EndReason::kDraining);
    });
  }
  feed_.Detach();
  log_ = nullptr;
  if (calls_ != nullptr) {
    calls_->EndStreams();
  }
  // Their log answers what workers have sent last, to their streams and what those share.
  calls_ = nullptr;
  service_ = nullptr;
  for (size_t i = 0; i < hubs_.size(); ++i) {
    loops_[i]->BlockOn([hub = &hubs_[i]] { *hub = nullptr; });
  }
  loops_.clear();
}

absl::Status Server::Start() {
  ASSIGN_OR_RETURN(payload::Transcoder transcoder, CreateTranscoder(config_));
  transcoder_ = std::make_unique<payload::Transcoder>(std::move(transcoder));
  ASSIGN_OR_RETURN(auth_, OpenAuth(config_.auth(), &file_watcher_));
  ASSIGN_OR_RETURN(grpc_certificate_, OpenGrpcCertificate(config_.grpc().tls(), &file_watcher_));
  ASSIGN_OR_RETURN(tls_, OpenTls(config_.http(), &file_watcher_));
  RETURN_IF_ERROR(StartLog());
  RETURN_IF_ERROR(StartCalls());
  RETURN_IF_ERROR(StartAdmin());
  RETURN_IF_ERROR(StartHttp());
  RETURN_IF_ERROR(StartGrpc());
  control_->AssertOnLoop();
  trim_timer_ = std::make_unique<loop::CallbackTimer>([this] { TrimMemory(); });
  TrimMemory();
  log_timer_ = std::make_unique<loop::CallbackTimer>([this] { WatchLogs(); });
  WatchLogs();
  file_watcher_.Start();
  ops::LogInfo("listening", {{"http", http_->address()},
                             {"grpc", grpc_->address()},
                             {"admin", admin_->address()},
                             {"http_tls", tls_ != nullptr}});
  return absl::OkStatus();
}

absl::Status Server::Check(const config::v1::Config& config) {
  RETURN_IF_ERROR(CreateTranscoder(config).status());
  FileWatcher watcher;
  RETURN_IF_ERROR(OpenGrpcCertificate(config.grpc().tls(), &watcher).status());
  RETURN_IF_ERROR(OpenTls(config.http(), &watcher).status());
  return OpenAuth(config.auth(), &watcher).status();
}

absl::Status Server::StartLog() {
  ASSIGN_OR_RETURN(OpenedLog opened, OpenLog(config_, [this](const absl::Status& why) { NoteUnusableLog(why); }));
  log_ = std::move(opened.log);
  if (opened.has_store) {
    store_reader_ = std::make_unique<hub::StoreReader>(log_.get());
  }
  CreateHubs();
  const absl::MutexLock lock(&mutex_);
  const auto is_decided = [this]()
                              ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return unready_hubs_ == 0 || !unusable_log_.ok(); };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&is_decided), kLogPatience)) {
    ops::LogWarn("log_not_reached", {{"reason", log_->health().message()}});
  }
  return unusable_log_;
}

void Server::NoteUnusableLog(const absl::Status& why) {
  {
    const absl::MutexLock lock(&mutex_);
    unusable_log_ = why;
  }
  control_->Post([this] { control_->Stop(); });
}

absl::Status Server::Outcome() const {
  const absl::MutexLock lock(&mutex_);
  return unusable_log_;
}

void Server::WatchLogs() {
  control_->AssertOnLoop();
  if (NoteHealth("events", log_->health(), &log_health_)) {
    grpc_->SetServing(log_health_.ok());
  }
  NoteHealth("calls", calls_->log_health(), &calls_log_health_);
  control_->Schedule(*log_timer_, kWatchLogInterval);
}

bool Server::NoteHealth(absl::string_view log, const absl::Status& health, absl::Status* noted) {
  const bool has_changed = health.ok() != noted->ok();
  if (has_changed && health.ok()) {
    ops::LogInfo("log_back", {{"log", log}});
  } else if (has_changed) {
    ops::LogWarn("log_away", {{"log", log}, {"reason", health.message()}});
  }
  *noted = health;
  return has_changed;
}

absl::Status Server::StartCalls() {
  {
    const absl::MutexLock lock(&mutex_);
    unready_call_hubs_ = loops_.size();
  }
  const auto note_ready = [this] {
    const absl::MutexLock lock(&mutex_);
    unready_call_hubs_ -= unready_call_hubs_ > 0 ? 1 : 0;
  };
  calls_ = std::make_unique<CallsPart>(
      config_, &loops_, HubOptionsOf(loops_.size()),
      CallsPart::Callbacks{.on_unusable = [this](const absl::Status& why) { NoteUnusableCallsLog(why); },
                           .on_ready = note_ready});
  RETURN_IF_ERROR(calls_->Start());
  const absl::MutexLock lock(&mutex_);
  const auto are_known = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return unready_call_hubs_ == 0; };
  // Where it takes longer, the bridge is not ready until they are, as with events.
  mutex_.AwaitWithTimeout(absl::Condition(&are_known), kLogPatience);
  return absl::OkStatus();
}

void Server::NoteUnusableCallsLog(const absl::Status& why) {
  ops::LogError("calls_not_served", {{"reason", why.message()}});
  const absl::MutexLock lock(&mutex_);
  unready_call_hubs_ = 0;
}

hub::HubOptions Server::HubOptionsOf(size_t loops) const {
  const config::v1::Http& http = config_.http();
  return {.history = HistoryOf(config_),
          .heartbeat = config::FromProto(http.heartbeat()),
          .retry = config::FromProto(http.retry()),
          .send_timeout = config::FromProto(http.send_timeout()),
          .stream_max_age = config::FromProto(http.stream_max_age()),
          .slow_client =
              http.slow_client() == config::v1::Http::disconnect ? hub::SlowClient::kDisconnect : hub::SlowClient::kGap,
          .pinned_bytes_max = std::max<uint64_t>(http.max_pinned_bytes() / loops, http.max_frame_bytes()),
          .replay_events_per_second = config_.limits().replay_events_per_second(),
          .replay_bytes_per_second = config_.limits().replay_bytes_per_second()};
}

void Server::CreateHubs() {
  const config::v1::Http& http = config_.http();
  const size_t count = http.event_loops() != 0 ? http.event_loops() : std::max(std::thread::hardware_concurrency(), 1U);
  const hub::HubOptions options = HubOptionsOf(count);
  {
    const absl::MutexLock lock(&mutex_);
    unready_hubs_ = count;
  }
  const auto note_ready = [this] {
    const absl::MutexLock lock(&mutex_);
    --unready_hubs_;
  };
  std::vector<hub::FrameSink*> sinks;
  for (size_t i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<loop::LoopThread>(absl::StrCat("loop-", i).c_str()));
    hubs_.emplace_back();
    loops_[i]->BlockOn([&, hub = &hubs_[i]] {
      *hub = std::make_unique<hub::Hub>(&loops_[i]->loop(), log_.get(), store_reader_.get(), options, note_ready);
    });
    sinks.push_back(hubs_[i].get());
  }
  feed_.Start([log = log_.get()] { log->ResumeFollow(); }, std::move(sinks));
  log_->Follow(&feed_,
               {.events_max = config_.log().history().max_events(), .bytes_max = config_.log().history().max_bytes()});
}

http::AdminSources::Readiness Server::Readiness() const {
  if (is_draining_) {
    return {.is_ready = false, .text = "draining"};
  }
  const std::string log_text =
      absl::StrCat(log_health_.ok() ? "" : absl::StrCat("\nlog: ", log_health_.message()),
                   calls_log_health_.ok() ? "" : absl::StrCat("\nlog of calls: ", calls_log_health_.message()));
  const absl::MutexLock lock(&mutex_);
  // Once ready it stays so while the store is away: that would take all replicas out of service, and end their streams.
  return unready_hubs_ == 0 && unready_call_hubs_ == 0
             ? http::AdminSources::Readiness{.is_ready = true, .text = absl::StrCat("ok", log_text)}
             : http::AdminSources::Readiness{.is_ready = false, .text = absl::StrCat("starting", log_text)};
}

std::string Server::Metrics() const {
  MetricsSources sources{.events = events_.get(),
                         .tickets = tickets_.get(),
                         .connections = &http_->metrics(),
                         .handshakes = http_->handshakes(),
                         .rpc = &service_->metrics(),
                         .rates = &service_->limiter(),
                         .grpc_connections = connection_guard_.get(),
                         .log = log_.get(),
                         .calls = &calls_->metrics(),
                         .call_refusals = &calls_handlers_->refusals(),
                         .hubs = {},
                         .lags = {}};
  for (size_t i = 0; i < hubs_.size(); ++i) {
    sources.hubs.push_back(&hubs_[i]->metrics());
    sources.lags.push_back(&loops_[i]->loop().lag());
  }
  return MetricsPage(sources);
}

void Server::TrimMemory() {
  control_->AssertOnLoop();
  const uint64_t bytes_per_connection = tls_ == nullptr ? 1024 : 14 * 1024;
  const http::ConnectionMetrics& connections = http_->metrics();
  uint64_t held = (events_->open_streams() + connections.open.value()) * bytes_per_connection +
                  connections.request_bytes.value() + connections.unsent_bytes.value() +
                  service_->metrics().request_bytes.value() + service_->metrics().ack_bytes.value();
  for (const auto& hub : hubs_) {
    held += hub->metrics().history_bytes.value();
  }
  held += calls_->metrics().open.value() * kBytesPerCall + calls_->metrics().log_bytes.value();
  for (const hub::Hub* hub : calls_->hubs()) {
    held += hub->metrics().streams.value() * bytes_per_connection;
  }
  memory_trimmer_.Look(held);
  control_->Schedule(*trim_timer_, kTrimInterval);
}

}  // namespace bridge
