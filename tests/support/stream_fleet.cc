#include "tests/support/stream_fleet.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace bridge::test {
namespace {

// Those after which the time to a reconnect grows no more.
constexpr int kFailuresCounted = 10;

}  // namespace

struct StreamFleet::Stream {
  int fd = -1;
  absl::Time connect_at = absl::InfinitePast();
  std::string last_event_id;
  bool is_open = false;
  int failures = 0;  // connects since it was open
  size_t bytes_left = 0;
  // What is not yet a whole head or chunk.
  std::string raw;
  bool has_head = false;
  SseParser parser;
};

StreamFleet::StreamFleet(Options options)
    : options_(std::move(options)), random_(options_.seed), epoll_fd_(epoll_create1(EPOLL_CLOEXEC)) {
  for (size_t i = 0; i < options_.streams; ++i) {
    streams_.push_back(std::make_unique<Stream>());
    if (options_.starts_after) {
      streams_.back()->connect_at = absl::Now() + options_.starts_after(i);
    }
  }
  thread_ = std::thread([this] { Run(); });
}

StreamFleet::~StreamFleet() {
  is_ending_ = true;
  thread_.join();
  for (size_t i = 0; i < streams_.size(); ++i) {
    Disconnect(i);
  }
  close(epoll_fd_);
}

void StreamFleet::Run() {
  absl::Time next_look = absl::InfinitePast();
  while (!is_ending_) {
    if (const absl::Time now = absl::Now(); now >= next_look) {
      next_look = now + absl::Milliseconds(5);
      CutSome();
      for (size_t i = 0; i < streams_.size(); ++i) {
        if (streams_[i]->fd < 0 && streams_[i]->connect_at <= now) {
          Connect(i);
        }
      }
    }
    std::array<epoll_event, 256> ready = {};
    const int count = epoll_wait(epoll_fd_, ready.data(), static_cast<int>(ready.size()), 5);
    for (int i = 0; i < count; ++i) {
      Receive(ready[static_cast<size_t>(i)].data.u64);
    }
  }
}

void StreamFleet::CutSome() {
  const double share = share_to_cut_.exchange(0);
  for (size_t i = 0; share > 0 && i < streams_.size(); ++i) {
    if (streams_[i]->fd >= 0 && std::bernoulli_distribution(share)(random_)) {
      ++cuts_;
      Disconnect(i);
    }
  }
}

void StreamFleet::Connect(size_t index) {
  Stream& stream = *streams_[index];
  stream.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port_of ? options_.port_of(index) : options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string request = absl::StrCat("GET ", options_.target(index), " HTTP/1.1\r\nHost: localhost\r\n");
  if (!stream.last_event_id.empty()) {
    absl::StrAppend(&request, "Last-Event-ID: ", stream.last_event_id, "\r\n");
  }
  request += "\r\n";
  if (connect(stream.fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      send(stream.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    Disconnect(index);
    return;
  }
  ++connects_;
  stream.bytes_left = options_.cut_after_bytes == 0 ? SIZE_MAX : random_() % (2 * options_.cut_after_bytes);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = index;
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, stream.fd, &event);
}

void StreamFleet::Disconnect(size_t index) {
  Stream& stream = *streams_[index];
  if (stream.fd >= 0) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};  // no TIME_WAIT
    setsockopt(stream.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(stream.fd);
  }
  stream.fd = -1;
  stream.failures = stream.is_open ? 0 : std::min(stream.failures + 1, kFailuresCounted);
  const absl::Duration most = std::max(options_.reconnect_max, std::min(options_.reconnect_max * (1 << stream.failures),
                                                                        options_.reconnect_backoff_max));
  stream.connect_at = absl::Now() + absl::Milliseconds(static_cast<int64_t>(
                                        random_() % (static_cast<uint64_t>(absl::ToInt64Milliseconds(most)) + 1)));
  open_streams_ -= std::exchange(stream.is_open, false) ? 1 : 0;
  stream.raw.clear();
  stream.has_head = false;
  stream.parser = SseParser();
}

void StreamFleet::Receive(size_t index) {
  Stream& stream = *streams_[index];
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): it is written to first
  const ssize_t received = recv(stream.fd, buffer.data(), std::min(buffer.size(), stream.bytes_left), MSG_DONTWAIT);
  if (received < 0 && errno == EAGAIN) {
    return;
  }
  if (received <= 0) {
    cuts_ += stream.bytes_left == 0 ? 1 : 0;
    Disconnect(index);
    return;
  }
  stream.bytes_left -= static_cast<size_t>(received);
  stream.raw.append(buffer.data(), static_cast<size_t>(received));
  if (!TakeHead(index)) {
    return;
  }
  size_t taken = 0;
  bool has_last_chunk = false;
  while (!has_last_chunk) {
    const size_t line_end = stream.raw.find("\r\n", taken);
    if (line_end == std::string::npos) {
      break;
    }
    const size_t size = std::strtoul(stream.raw.c_str() + taken, nullptr, 16);
    if (stream.raw.size() < line_end + size + 4) {
      break;
    }
    stream.parser.Feed(absl::string_view(stream.raw).substr(line_end + 2, size));
    taken = line_end + size + 4;
    has_last_chunk = size == 0;
  }
  stream.raw.erase(0, taken);
  for (const SseEvent& event : stream.parser.TakeEvents()) {
    Take(index, event);
  }
  if (has_last_chunk) {
    Disconnect(index);  // a proxy keeps the connection for another request
  }
}

bool StreamFleet::TakeHead(size_t index) {
  Stream& stream = *streams_[index];
  if (stream.has_head) {
    return true;
  }
  const size_t end = stream.raw.find("\r\n\r\n");
  if (end == std::string::npos) {
    return false;
  }
  // A stream has no length; a bridge that drains answers 200 too, with a few bytes that say so.
  const absl::string_view head = absl::string_view(stream.raw).substr(0, end + 2);
  if (!absl::StartsWith(head, "HTTP/1.1 200 ") || !absl::StrContains(head, "\r\nTransfer-Encoding: chunked\r\n")) {
    Disconnect(index);
    return false;
  }
  stream.raw.erase(0, end + 4);
  stream.has_head = true;
  return true;
}

void StreamFleet::Take(size_t index, const SseEvent& event) {
  Stream& stream = *streams_[index];
  if (!event.id.empty()) {
    stream.last_event_id = event.id;
  }
  if (event.type == "bridge.open") {
    stream.is_open = true;
    ++open_streams_;
  } else {
    ++events_;
  }
  options_.on_event(index, event);
}

}  // namespace bridge::test
