#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <utility>

namespace bridge::test {

// A small HTTP server of the test's own, on a free port of 127.0.0.1. One connection at a time, one request on each.
class HttpOrigin {
 public:
  // Sends to the connection `fd` what it likes, and returns when it is done with it or `is_stopping`.
  using Answer = std::function<void(int fd, const std::atomic<bool>& is_stopping)>;

  explicit HttpOrigin(Answer answer) : HttpOrigin(std::move(answer), true) {}
  // One that gives out connections of which nothing was read, for what is no HTTP.
  static HttpOrigin OfConnections(Answer answer) { return HttpOrigin(std::move(answer), false); }
  ~HttpOrigin();
  HttpOrigin(const HttpOrigin&) = delete;
  HttpOrigin& operator=(const HttpOrigin&) = delete;

  // "http://127.0.0.1:PORT/keys".
  std::string url() const;
  // How many requests have come.
  int requests() const { return requests_.load(); }

  // A whole answer with that status line ("200 OK"), more header lines and a body.
  static void Send(int fd, const std::string& status, const std::string& headers, const std::string& body);

 private:
  HttpOrigin(Answer answer, bool reads_request);
  void Run();

  const Answer answer_;
  const bool reads_request_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> is_stopping_{false};
  std::atomic<int> requests_{0};
  std::thread thread_;
};

}  // namespace bridge::test
