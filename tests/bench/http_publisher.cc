#include "tests/bench/http_publisher.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include "tests/bench/clock.h"
#include "tests/bench/payload.h"
#include "tests/bench/report.h"
#include "tests/bench/sockets.h"

namespace bridge::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int kConnectTimeoutMs = 5000;

struct Connection {
  Fd fd;
  std::string answer;
  int64_t sent_ns = 0;
  bool is_waiting = false;
};

// The size of the answer at the front of `bytes`, if all of it is there.
std::optional<size_t> AnswerSize(std::string_view bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const size_t end = bytes.find(kEnd);
  if (end == std::string_view::npos) return std::nullopt;
  const size_t at = bytes.find(kLength);
  size_t length = 0;
  if (at != std::string_view::npos && at < end) {
    std::from_chars(bytes.data() + at + kLength.size(), bytes.data() + end, length);
  }
  const size_t size = end + kEnd.size() + length;
  return bytes.size() >= size ? std::optional(size) : std::nullopt;
}

class HttpPublisher {
 public:
  HttpPublisher(const PublishOptions& options, std::string path, size_t connections)
      : options_(options),
        path_(std::move(path)),
        plan_(options),
        payload_(MakePayload(options.payload_bytes)),
        connections_(connections) {
    for (Connection& connection : connections_) {
      connection.fd = StartConnect(ParseAddress(options.target), 0);
      pollfd connecting{.fd = connection.fd.get(), .events = POLLOUT, .revents = 0};
      if (poll(&connecting, 1, kConnectTimeoutMs) != 1) Fail(absl::StrCat("cannot connect to ", options.target));
    }
  }

  PublishResult Run() {
    plan_.Start();
    while (!plan_.is_over() || waiting_ > 0) {
      while (MayPublish()) Publish();
      Wait();
    }
    return std::move(result_);
  }

 private:
  Connection& Next() { return connections_[plan_.taken() % options_.topics % connections_.size()]; }

  bool MayPublish() { return !Next().is_waiting && plan_.MayPublish(); }

  void Publish() {
    Connection& connection = Next();
    const std::string& topic = plan_.topic(plan_.TakeEvent(payload_));
    const std::string request =
        absl::StrCat("POST ", absl::StrReplaceAll(path_, {{"{topic}", topic}}), " HTTP/1.1\r\nHost: ", options_.target,
                     "\r\nContent-Type: text/plain\r\nContent-Length: ", payload_.size(), "\r\n\r\n", payload_);
    if (send(connection.fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      FailErrno("sending a POST");
    }
    connection.sent_ns = NowNs();
    connection.is_waiting = true;
    ++waiting_;
  }

  void Wait() {
    std::vector<pollfd> ready;
    for (const Connection& connection : connections_) {
      ready.push_back({.fd = connection.fd.get(), .events = POLLIN, .revents = 0});
    }
    const int64_t wait_ns = plan_.WaitNs();
    const timespec timeout{.tv_sec = wait_ns / kNsPerSecond, .tv_nsec = wait_ns % kNsPerSecond};
    if (ppoll(ready.data(), ready.size(), &timeout, nullptr) <= 0) return;
    for (size_t i = 0; i < ready.size(); ++i) {
      if (ready[i].revents != 0) Read(connections_[i]);
    }
  }

  void Read(Connection& connection) {
    std::array<char, size_t{16} << 10> bytes{};
    const ssize_t size = recv(connection.fd.get(), bytes.data(), bytes.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) Fail("the server closed a publisher's connection");
    connection.answer.append(bytes.data(), static_cast<size_t>(size));
    const std::optional<size_t> answer_size = AnswerSize(connection.answer);
    if (!answer_size) return;
    if (!absl::StartsWith(connection.answer, "HTTP/1.1 20"))
      Fail(absl::StrCat("a POST was answered: ", connection.answer));
    connection.answer.erase(0, *answer_size);
    connection.is_waiting = false;
    --waiting_;
    result_.ack_latency.Record(NowNs() - connection.sent_ns);
    result_.events = plan_.taken();
    result_.seconds = plan_.ElapsedSeconds();
  }

  const PublishOptions options_;
  const std::string path_;
  PublishPlan plan_;
  std::string payload_;
  std::vector<Connection> connections_;
  size_t waiting_ = 0;
  PublishResult result_;
};

}  // namespace

PublishResult PublishByHttp(const PublishOptions& options, const std::string& path, size_t connections) {
  return HttpPublisher(options, path, std::min(connections, options.topics)).Run();
}

}  // namespace bridge::bench
