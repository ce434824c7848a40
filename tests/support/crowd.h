#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bridge::test {

// Many connections of attackers, to 127.0.0.1. Not thread-safe.
class Crowd {
 public:
  struct Options {
    uint16_t port = 0;
    size_t size = 1;
    // What the kernel takes for a client that does not read.
    int receive_buffer_bytes = 4096;
  };
  // Returns when they have connected, or have been refused. Aborts the test program where it has no descriptors.
  explicit Crowd(const Options& options);
  // By resets.
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // `wanted`, or as many as the limit of open files allows, which is raised as far as may be; says so where these are
  // fewer.
  static size_t SizeWithin(size_t wanted);

  // Offers every connection the bytes. What its socket does not take at once is not sent later: returns the bytes that
  // were taken, of all.
  size_t Send(absl::string_view bytes);
  // Reads at most so many bytes of each connection, if there are any.
  void Receive(size_t bytes_max);

  // Connections that the bridge has ended, as of the last Receive.
  size_t ended() const;
  // Connections whose first bytes are these (at most 256 are kept).
  size_t CountAnswered(absl::string_view start) const;

 private:
  struct Member {
    int fd = -1;
    bool has_ended = false;
    std::string first_bytes;
  };

  std::vector<Member> members_;
};

}  // namespace bridge::test
