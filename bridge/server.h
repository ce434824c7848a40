#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/calls_part.h"
#include "bridge/config/v1/config.pb.h"
#include "bridge/file_watcher.h"
#include "bridge/http/admin_handlers.h"
#include "bridge/http/calls_handlers.h"
#include "bridge/http/client_address.h"
#include "bridge/http/cors.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/events_handlers.h"
#include "bridge/http/gate.h"
#include "bridge/http/http_server.h"
#include "bridge/http/tickets_handlers.h"
#include "bridge/http/tls_context.h"
#include "bridge/hub/feed.h"
#include "bridge/hub/hub.h"
#include "bridge/hub/hub_options.h"
#include "bridge/hub/store_reader.h"
#include "bridge/log/event_log.h"
#include "bridge/loop/callback_timer.h"
#include "bridge/loop/event_loop.h"
#include "bridge/memory_trimmer.h"
#include "bridge/open_auth.h"
#include "bridge/payload/transcoder.h"
#include "bridge/rpc/connection_guard.h"
#include "bridge/rpc/grpc_server.h"
#include "bridge/rpc/publisher_service.h"
#include "bridge/rpc/tls_certificate.h"

namespace bridge {

// The whole bridge, put together from its configuration: the list of its parts, the order of their start and of their
// end.
//
// Lives on the control loop, which is the main thread's: it accepts connections, serves the admin port and drives the
// drain.
class Server {
 public:
  // `control` outlives it and must not run yet.
  Server(config::v1::Config config, loop::EventLoop* control);
  // Ends everything that is still open. REQUIRES: the control loop does not run.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Checks what the configuration names outside itself (files), as Start would. The error says what to change.
  static absl::Status Check(const config::v1::Config& config);

  // Starts to serve, when the log has been caught up with or has not been for a few seconds (then it goes on to try,
  // and is not ready until it has). The error says what to change.
  absl::Status Start();
  // After the control loop has stopped: OK where it was drained, else why the bridge cannot go on.
  absl::Status Outcome() const;

  enum class DrainDelay { kConfigured, kNone };
  // Not ready but still serving for drain.delay; then tells publishers to finish, writes each event stream up to the
  // log's end and closes them one by one over drain.window; then stops the control loop. On the control loop.
  void Drain(DrainDelay delay);

 private:
  absl::Status StartLog();
  absl::Status StartCalls();
  hub::HubOptions HubOptionsOf(size_t loops) const;
  void CreateHubs();
  // Of the log of calls: events are served without it.
  void NoteUnusableCallsLog(const absl::Status& why);
  void NoteUnusableLog(const absl::Status& why);
  // Tells publishers' load balancers, and the operator, when a store goes away and comes back.
  void WatchLogs();
  // Whether it has become well or ceased to be.
  static bool NoteHealth(absl::string_view log, const absl::Status& health, absl::Status* noted);
  // nullptr where the configuration names no certificate. Its files are watched by `watcher`.
  static absl::StatusOr<std::unique_ptr<http::TlsContext>> OpenTls(const config::v1::Http& http, FileWatcher* watcher);
  absl::Status StartHttp();
  absl::Status StartAdmin();
  absl::Status StartGrpc();
  // nullptr where the configuration names none. Its files are watched by `watcher`.
  static absl::StatusOr<std::unique_ptr<rpc::TlsCertificate>> OpenGrpcCertificate(const config::v1::GrpcTls& tls,
                                                                                  FileWatcher* watcher);
  // Ends publishers that have to end by now.
  void CheckPublishers();
  bool GuardHost(const httplib::Request& request, httplib::Response& response) const;
  void FinishResponse(const httplib::Request& request, httplib::Response& response) const;
  http::AdminSources::Readiness Readiness() const;
  std::string Metrics() const;

  // Gives memory back to the system after many streams have left or much history has gone, which the allocator does not
  // do by itself.
  void TrimMemory();

  void BeginDrainWindow();
  void DrainPublishers();
  void DrainEventStreams();
  void NoteDrained();

  const config::v1::Config config_;
  loop::EventLoop* const control_;

  // In the order of construction; they are destroyed in the reverse order, but for what ~Server says.
  FileWatcher file_watcher_;
  OpenedAuth auth_;
  std::unique_ptr<http::TlsContext> tls_;
  hub::Feed feed_;
  std::vector<std::unique_ptr<loop::LoopThread>> loops_;
  std::unique_ptr<payload::Transcoder> transcoder_;
  // Outlives the log, which calls it; nullptr where the hubs' rings are all the history.
  std::unique_ptr<hub::StoreReader> store_reader_;
  std::unique_ptr<log::EventLog> log_;
  std::vector<std::unique_ptr<hub::Hub>> hubs_;
  std::unique_ptr<CallsPart> calls_;
  std::unique_ptr<http::Cors> cors_;
  std::unique_ptr<http::Gate> gate_;
  std::unique_ptr<http::ClientAddresses> client_addresses_;
  std::unique_ptr<http::EventsHandlers> events_;
  std::unique_ptr<http::CallsHandlers> calls_handlers_;
  // nullptr where there are no tickets.
  std::unique_ptr<http::TicketsHandlers> tickets_;
  std::unique_ptr<http::Dispatcher> dispatcher_;
  std::unique_ptr<http::HttpServer> http_;
  std::unique_ptr<http::Dispatcher> admin_dispatcher_;
  std::unique_ptr<http::HttpServer> admin_;
  std::unique_ptr<rpc::TlsCertificate> grpc_certificate_;
  std::unique_ptr<rpc::ConnectionGuard> connection_guard_;
  std::unique_ptr<rpc::PublisherService> service_;
  std::unique_ptr<rpc::GrpcServer> grpc_;

  mutable absl::Mutex mutex_;
  size_t unready_hubs_ ABSL_GUARDED_BY(mutex_) = 0;
  // Those of calls; none where their log is of no use.
  size_t unready_call_hubs_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status unusable_log_ ABSL_GUARDED_BY(mutex_);

  absl::Status log_health_;
  absl::Status calls_log_health_;
  bool is_draining_ = false;
  base::MonotonicTime drain_end_;
  // Hubs that have not drained.
  size_t undrained_ = 0;
  std::unique_ptr<loop::CallbackTimer> delay_timer_;
  std::unique_ptr<loop::CallbackTimer> publishers_timer_;
  std::unique_ptr<loop::CallbackTimer> trim_timer_;
  std::unique_ptr<loop::CallbackTimer> log_timer_;
  std::unique_ptr<loop::CallbackTimer> check_timer_;
  MemoryTrimmer memory_trimmer_;
  std::thread grpc_drain_;
};

}  // namespace bridge
