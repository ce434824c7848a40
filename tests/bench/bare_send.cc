// The limit: one thread that sends the same bytes as the bridge to all its connections, and does nothing else. No
// parsing, no topics, no history: whatever a server adds to this is its own cost.
//
// It accepts --streams connections, answers each with the head of an event stream, and begins when a line comes on
// standard input. Prints one line of JSON at its end.
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>

#include "tests/bench/clock.h"
#include "tests/bench/payload.h"
#include "tests/bench/report.h"
#include "tests/bench/sockets.h"

namespace bridge::bench {
namespace {

constexpr int kAcceptTimeoutMs = 30'000;
constexpr std::string_view kHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

struct Options {
  size_t streams = 1;
  uint64_t events = 0;  // 0: as many as --seconds allow
  double seconds = 10;
  double events_per_second = 0;  // 0: as fast as it goes
  uint64_t events_per_send = 1;
  bool is_in_turn = false;  // each event goes to one connection
  size_t payload_bytes = 256;
};

bool WaitFor(int fd, int16_t what, int timeout_ms) {
  pollfd wait{.fd = fd, .events = what, .revents = 0};
  return poll(&wait, 1, timeout_ms) > 0;
}

// Sends all of it, waiting where the connection's buffer is full.
void SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno != EAGAIN || !WaitFor(fd, POLLOUT, kAcceptTimeoutMs)) {
      FailErrno("send");
    }
  }
}

std::vector<Fd> AcceptStreams(const Fd& listener, size_t count) {
  std::vector<Fd> streams;
  while (streams.size() < count) {
    if (!WaitFor(listener.get(), POLLIN, kAcceptTimeoutMs)) {
      Fail(absl::StrCat("only ", streams.size(), " of ", count, " connections came"));
    }
    Fd stream(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!stream.is_open()) FailErrno("accept");
    std::array<char, 2048> request{};
    if (!WaitFor(stream.get(), POLLIN, kAcceptTimeoutMs) ||
        recv(stream.get(), request.data(), request.size(), 0) <= 0) {
      FailErrno("reading a request");
    }
    SendAll(stream.get(), kHead);
    streams.push_back(std::move(stream));
  }
  return streams;
}

// An event as the bridge frames it, with an id of the bridge's length.
void AppendFrame(uint64_t sequence, std::string& payload, std::string& out) {
  WriteStamp({.sequence = sequence, .sent_ns = NowNs()}, payload);
  const std::string event = absl::StrCat("id: 19a0c3f5b7e1d2a4-", sequence, "\ndata: ", payload, "\n\n");
  absl::StrAppend(&out, absl::Hex(event.size()), "\r\n", event, "\r\n");
}

uint64_t SendEvents(const Options& options, const std::vector<Fd>& streams) {
  std::string payload = MakePayload(options.payload_bytes);
  std::string frames;
  const auto start = std::chrono::steady_clock::now();
  const auto end = start + std::chrono::duration<double>(options.seconds);
  uint64_t sent = 0;
  while ((options.events == 0 || sent < options.events) && std::chrono::steady_clock::now() < end) {
    if (options.events_per_second > 0) {
      std::this_thread::sleep_until(
          start + std::chrono::duration<double>(static_cast<double>(sent) / options.events_per_second));
    }
    frames.clear();
    if (options.is_in_turn) {
      AppendFrame(sent / streams.size() + 1, payload, frames);
      SendAll(streams[sent++ % streams.size()].get(), frames);
      continue;
    }
    for (uint64_t i = 0; i < options.events_per_send; ++i) AppendFrame(++sent, payload, frames);
    for (const Fd& stream : streams) SendAll(stream.get(), frames);
  }
  return sent;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Sends pre-encoded events to all its connections from one thread.");
  app.add_option("--streams", options.streams, "connections to wait for")->check(CLI::Range(1, 1'000'000));
  app.add_option("--events", options.events, "events to send; 0: as many as --seconds allow");
  app.add_option("--seconds", options.seconds, "the longest time to send for")->check(CLI::Range(0.1, 600.0));
  app.add_option("--rate", options.events_per_second, "events per second; 0: as fast as it goes");
  app.add_option("--events-per-send", options.events_per_send, "events that go out in one send")
      ->check(CLI::Range(1, 1000));
  app.add_flag("--in-turn", options.is_in_turn, "each event goes to one connection, one after the other");
  app.add_option("--payload", options.payload_bytes, "bytes of a payload");
  CLI11_PARSE(app, argc, argv);

  RaiseDescriptorLimit(options.streams);
  uint16_t port = 0;
  const Fd listener = Listen(port);
  std::cerr << "listening http=127.0.0.1:" << port << '\n';
  const std::vector<Fd> streams = AcceptStreams(listener, options.streams);

  std::string line;
  std::getline(std::cin, line);
  const int64_t start_ns = NowNs();
  const uint64_t events = SendEvents(options, streams);
  Report()
      .Set("events", static_cast<double>(events))
      .Set("seconds", static_cast<double>(NowNs() - start_ns) / 1e9)
      .Print();
  std::getline(std::cin, line);  // until the end of input, so that its CPU time can still be read
  return 0;
}

}  // namespace
}  // namespace bridge::bench

int main(int argc, char** argv) { return bridge::bench::Main(argc, argv); }
