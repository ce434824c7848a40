#include "bridge/rpc/connection_guard.h"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"

namespace bridge::rpc {
namespace {

constexpr ConnectionGuard::Limits kLimits = {.open_calls_max = 10,
                                             .wasted_calls_max = 5,
                                             .wasted_calls_per_second = 2,
                                             .stranger_bytes_max = 1000,
                                             .publisher_bytes_max = 10'000,
                                             .bytes_max_total = 30'000};

// A listening socket on loopback, and how it is dialled.
class Port {
 public:
  Port() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address_), size), 0);
    EXPECT_EQ(listen(fd_, 64), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size), 0);
  }
  ~Port() { close(fd_); }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  int Connect() const {
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)), 0);
    return client;
  }
  int Accept() const { return accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); }

 private:
  int fd_;
  sockaddr_in address_{};
};

// A connection of which the test has both ends, as the bridge has one and a client the other.
class Connection {
 public:
  explicit Connection(const Port& port) : client_(port.Connect()), server_(port.Accept()) {}
  ~Connection() {
    close(client_);
    CloseServer();
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int server() const { return server_; }
  std::string peer() const {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    EXPECT_EQ(getsockname(client_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    return absl::StrCat("ipv4:127.0.0.1:", ntohs(address.sin_port));
  }
  // Returns when the other end has it.
  void Send(size_t bytes) const {
    const std::string text(bytes, 'x');
    EXPECT_EQ(send(client_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
    std::string received(bytes, '\0');
    EXPECT_EQ(recv(server_, received.data(), received.size(), MSG_PEEK | MSG_WAITALL), static_cast<ssize_t>(bytes));
  }
  // Sends a byte from the bridge's end.
  void Answer() const { EXPECT_EQ(send(server_, "x", 1, MSG_NOSIGNAL), 1); }
  // What a read at the bridge's end gives now.
  std::optional<std::string> Read() const {
    std::array<char, 64> bytes{};
    const ssize_t count = recv(server_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    return count < 0 ? std::nullopt : std::optional(std::string(bytes.data(), static_cast<size_t>(count)));
  }
  void CloseServer() {
    if (server_ >= 0) {
      shutdown(server_, SHUT_RDWR);
      close(server_);
    }
    server_ = -1;
  }
  bool ClientSeesReset() const {
    char byte = 0;
    return recv(client_, &byte, 1, 0) < 0 && errno == ECONNRESET;
  }

 private:
  int client_;
  int server_;
};

class ConnectionGuardTest : public ::testing::Test {
 protected:
  std::unique_ptr<Connection> Connect() {
    auto connection = std::make_unique<Connection>(port_);
    guard_.Add(connection->server(), now_);
    return connection;
  }
  void Check() { guard_.Check(now_); }
  uint64_t Cuts(ConnectionGuard::Reason reason) const { return guard_.metrics().cut.at(reason).value(); }

  base::MonotonicTime now_ = base::MonotonicClock::now();
  ConnectionGuard guard_{kLimits};

 private:
  const Port port_;
};

TEST_F(ConnectionGuardTest, BytesThatAreNeverAnsweredAreCutOff) {
  const auto connection = Connect();
  connection->Send(kLimits.stranger_bytes_max);
  Check();
  EXPECT_EQ(Cuts(ConnectionGuard::kBytes), 0);
  connection->Send(1);
  Check();
  EXPECT_EQ(Cuts(ConnectionGuard::kBytes), 1);
  EXPECT_FALSE(connection->Read().has_value()) << "what was received and not read is still there";
  EXPECT_TRUE(connection->ClientSeesReset());
}

TEST_F(ConnectionGuardTest, BytesThatAreAnsweredMayComeForEver) {
  const auto connection = Connect();
  for (int i = 0; i < 100; ++i) {
    connection->Send(kLimits.stranger_bytes_max);
    Check();
    connection->Answer();
    Check();
  }
  EXPECT_EQ(Cuts(ConnectionGuard::kBytes), 0);
}

TEST_F(ConnectionGuardTest, APublisherMayHaveMoreOnItsWay) {
  const auto connection = Connect();
  guard_.Begin(connection->peer())->NoteLetIn();
  connection->Send(kLimits.publisher_bytes_max);
  Check();
  EXPECT_EQ(Cuts(ConnectionGuard::kBytes), 0);
  connection->Send(1);
  Check();
  EXPECT_EQ(Cuts(ConnectionGuard::kBytes), 1);
}

TEST_F(ConnectionGuardTest, TheConnectionWithTheMostGoesWhereAllTogetherHaveTooMuch) {
  std::vector<std::unique_ptr<Connection>> connections;
  for (size_t i = 0; i < 4; ++i) {
    connections.push_back(Connect());
    guard_.Begin(connections.back()->peer())->NoteLetIn();
  }
  for (const auto& connection : connections) {
    connection->Send(7000);
  }
  Check();
  EXPECT_EQ(Cuts(ConnectionGuard::kBytes), 0);
  connections[2]->Send(3000);
  Check();
  EXPECT_EQ(Cuts(ConnectionGuard::kBytes), 1);
  EXPECT_TRUE(connections[2]->ClientSeesReset());
  Check();
  EXPECT_EQ(Cuts(ConnectionGuard::kBytes), 1) << "what has gone still counts";
}

TEST_F(ConnectionGuardTest, CallsThatAreGivenUpAreForgivenWithTime) {
  const auto connection = Connect();
  const auto give_up = [&](uint64_t calls) {
    for (uint64_t i = 0; i < calls; ++i) {
      guard_.Begin(connection->peer())->NoteGivenUp();
    }
  };
  give_up(kLimits.wasted_calls_max);
  now_ += std::chrono::seconds(1);
  Check();
  give_up(kLimits.wasted_calls_per_second);
  EXPECT_EQ(Cuts(ConnectionGuard::kWastedCalls), 0);
  give_up(1);
  EXPECT_EQ(Cuts(ConnectionGuard::kWastedCalls), 1);
  EXPECT_TRUE(connection->ClientSeesReset());
}

TEST_F(ConnectionGuardTest, CallsOfOtherServicesAreWaste) {
  const auto connection = Connect();
  for (uint64_t i = 0; i <= kLimits.wasted_calls_max; ++i) {
    guard_.NoteForeignCall(connection->peer());
  }
  EXPECT_EQ(Cuts(ConnectionGuard::kWastedCalls), 1);
}

TEST_F(ConnectionGuardTest, CallsThatAreNotOverAreBounded) {
  const auto connection = Connect();
  std::vector<std::shared_ptr<ConnectionGuard::Call>> calls;
  for (uint64_t i = 0; i < kLimits.open_calls_max; ++i) {
    calls.push_back(guard_.Begin(connection->peer()));
  }
  calls.pop_back();
  calls.push_back(guard_.Begin(connection->peer()));
  EXPECT_EQ(Cuts(ConnectionGuard::kOpenCalls), 0);
  calls.push_back(guard_.Begin(connection->peer()));
  EXPECT_EQ(Cuts(ConnectionGuard::kOpenCalls), 1);
}

TEST_F(ConnectionGuardTest, AClosedConnectionIsForgotten) {
  const auto connection = Connect();
  EXPECT_EQ(guard_.metrics().open.value(), 1);
  const std::string peer = connection->peer();
  connection->CloseServer();
  Check();
  EXPECT_EQ(guard_.metrics().open.value(), 0);
  for (uint64_t i = 0; i <= kLimits.wasted_calls_max; ++i) {
    guard_.NoteForeignCall(peer);
  }
  EXPECT_EQ(Cuts(ConnectionGuard::kWastedCalls), 0);
}

TEST_F(ConnectionGuardTest, ACallOfAnUnknownPeerIsNotGuarded) {
  const auto call = guard_.Begin("unknown");
  call->NoteLetIn();
  for (uint64_t i = 0; i <= kLimits.wasted_calls_max; ++i) {
    call->NoteGivenUp();
  }
  EXPECT_EQ(Cuts(ConnectionGuard::kWastedCalls), 0);
}

}  // namespace
}  // namespace bridge::rpc
