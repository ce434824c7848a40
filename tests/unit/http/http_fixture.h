// A server of HTTP with one loop, and connections to it of which a test decides each byte.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "tests/support/bridge_process.h"
#include "tests/support/raw_http.h"

#include "bridge/http/connection.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/http_server.h"
#include "bridge/loop/event_loop.h"

namespace bridge::http {

class HttpFixture : public ::testing::Test {
 protected:
  ~HttpFixture() override { Stop(); }

  // Once all routes have been added.
  void Start(const ConnectionLimits& limits = {}, const Cors* cors = nullptr) {
    accept_loop_.BlockOn([&] {
      server_ = std::make_unique<HttpServer>(&accept_loop_.loop(), std::vector<loop::EventLoop*>{&loop_->loop()},
                                             &dispatcher_, limits, cors);
      ASSERT_TRUE(server_->Listen("127.0.0.1", 0).ok());
      const std::string& address = server_->address();
      int port = 0;
      ASSERT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
      port_ = static_cast<uint16_t>(port);
    });
  }
  void Stop() {
    accept_loop_.BlockOn([&] { server_ = nullptr; });
  }
  // With all connections.
  void EndLoop() {
    Stop();
    loop_ = nullptr;
  }

  // One response, as far as its Content-Length says, from a connection that may go on.
  test::HttpResponse ReceiveOne(test::RawConnection* connection) {
    std::string text = std::exchange(rests_[connection], "");
    while (true) {
      test::HttpResponse response = test::ParseResponse(text);
      size_t length = 0;
      const bool has_head = absl::StrContains(text, "\r\n\r\n");
      const bool has_length = absl::SimpleAtoi(response.Header("Content-Length"), &length);
      if (has_head && has_length && response.body.size() >= length) {
        rests_[connection] = response.body.substr(length);
        response.body.resize(length);
        return response;
      }
      const std::string more = connection->Receive();
      if (more.empty()) {
        return response;
      }
      text += more;
    }
  }
  // A connection without a server, which has sent `request`; the test holds its other end.
  struct LoneConnection {
    LoneConnection(loop::LoopThread* loop, Dispatcher* dispatcher, absl::string_view request)
        : context{.loop = &loop->loop(),
                  .loop_index = 0,
                  .dispatcher = dispatcher,
                  .limits = {},
                  .metrics = &metrics,
                  .cors = nullptr} {
      std::array<int, 2> ends{};
      EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
      loop->BlockOn([&] { Connection::Start(&context, Transport(ends[0])); });
      client_fd = ends[1];
      EXPECT_EQ(write(client_fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    }
    LoneConnection(const LoneConnection&) = delete;
    LoneConnection& operator=(const LoneConnection&) = delete;
    ~LoneConnection() { close(client_fd); }

    ConnectionMetrics metrics;
    ConnectionContext context;
    int client_fd = -1;
  };

  uint64_t open_connections() const { return server_->metrics().open.value(); }
  bool AwaitsOpenConnections(uint64_t count) const {
    return test::Eventually([&] { return open_connections() == count; });
  }

  Dispatcher dispatcher_{std::chrono::seconds(60)};
  loop::LoopThread accept_loop_{"accept"};
  std::unique_ptr<loop::LoopThread> loop_ = std::make_unique<loop::LoopThread>("test");
  std::unique_ptr<HttpServer> server_;
  uint16_t port_ = 0;

 private:
  // What has come behind a response.
  std::map<test::RawConnection*, std::string> rests_;
};

}  // namespace bridge::http
