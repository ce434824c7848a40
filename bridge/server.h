#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "bridge/config/v1/config.pb.h"
#include "bridge/http/cors.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/events_handlers.h"
#include "bridge/http/http_server.h"
#include "bridge/hub/feed.h"
#include "bridge/hub/hub.h"
#include "bridge/log/event_log.h"
#include "bridge/loop/event_loop.h"
#include "bridge/payload/transcoder.h"
#include "bridge/rpc/grpc_server.h"
#include "bridge/rpc/publisher_service.h"

namespace bridge {

// The whole bridge, put together from its configuration: the list of its parts, the order of their start and of their
// end.
//
// Lives on the control loop, which is the main thread's: it accepts connections, serves the admin port and drives the
// drain.
class Server {
 public:
  // `control` outlives it and must not run yet.
  Server(const config::v1::Config& config, loop::EventLoop* control);
  // Ends everything that is still open. REQUIRES: the control loop does not run.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Checks what the configuration names outside itself (files), as Start would. The error says what to change.
  static absl::Status Check(const config::v1::Config& config);

  // Starts to serve. The error says what to change.
  absl::Status Start();

  enum class DrainDelay { kConfigured, kNone };
  // Not ready but still serving for drain.delay; then tells publishers to finish, writes each event stream up to the
  // log's end and closes them one by one over drain.window; then stops the control loop. On the control loop.
  void Drain(DrainDelay delay);

 private:
  class ControlTimer;

  void CreateHubs();
  absl::Status StartHttp();
  absl::Status StartAdmin();
  absl::Status StartGrpc();
  bool GuardHost(const httplib::Request& request, httplib::Response& response) const;
  void FinishResponse(const httplib::Request& request, httplib::Response& response) const;
  std::string NotReadyReason() const;
  std::string Metrics() const;

  // Gives memory back to the system after many streams have left or much history has gone, which the allocator does not
  // do by itself.
  void TrimMemory();

  void BeginDrainWindow();
  void DrainEventStreams();
  void NoteDrained();

  const config::v1::Config config_;
  loop::EventLoop* const control_;

  // In the order of construction; they are destroyed in the reverse order, but for what ~Server says.
  hub::Feed feed_;
  std::vector<std::unique_ptr<loop::LoopThread>> loops_;
  std::unique_ptr<payload::Transcoder> transcoder_;
  std::unique_ptr<log::EventLog> log_;
  std::vector<std::unique_ptr<hub::Hub>> hubs_;
  std::unique_ptr<http::Cors> cors_;
  std::unique_ptr<http::EventsHandlers> events_;
  std::unique_ptr<http::Dispatcher> dispatcher_;
  std::unique_ptr<http::HttpServer> http_;
  std::unique_ptr<http::Dispatcher> admin_dispatcher_;
  std::unique_ptr<http::HttpServer> admin_;
  std::unique_ptr<rpc::PublisherService> service_;
  std::unique_ptr<rpc::GrpcServer> grpc_;

  bool is_started_ = false;
  bool is_draining_ = false;
  uint64_t descriptors_ = 0;
  absl::Time drain_end_;
  // Hubs that have not drained.
  size_t undrained_ = 0;
  std::unique_ptr<ControlTimer> delay_timer_;
  std::unique_ptr<ControlTimer> publishers_timer_;
  std::unique_ptr<ControlTimer> trim_timer_;
  // About what is held by streams and history: the most since memory was last given back.
  uint64_t held_bytes_max_ = 0;
  std::thread grpc_drain_;
};

}  // namespace bridge
