#pragma once

#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <utility>

namespace bridge::bench {

// A file descriptor that is closed with its owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { Close(); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

// Ends the program where this process may not have `count` descriptors (and some more of its own) open.
void RaiseDescriptorLimit(size_t count);

// "127.0.0.1:8080"; ends the program where the text is nothing of the kind.
sockaddr_in ParseAddress(const std::string& text);

// A non-blocking socket that is connecting (or connected) to `target`, bound to 127.0.0.`source_host` where that is not
// 0. It is closed with a reset, so that no TIME_WAIT is left to the next run.
Fd StartConnect(const sockaddr_in& target, uint8_t source_host);

// A non-blocking listener on a free port of 127.0.0.1, which is stored in `port`.
Fd Listen(uint16_t& port);

}  // namespace bridge::bench
