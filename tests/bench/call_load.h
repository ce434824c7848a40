#pragma once

#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/latency.h"
#include "tests/bench/sockets.h"
#include "tests/bench/sse_reader.h"

namespace bridge::bench {

struct CallLoadOptions {
  sockaddr_in target{};
  std::string host;             // for the Host header
  std::string path;             // of the POSTs
  size_t calls = 1;             // that are open at a time
  uint64_t calls_max = 0;       // in all; 0: any number
  double calls_per_second = 0;  // the most that are made; 0: as fast as others end
  uint64_t tokens = 10;         // of each answer
  size_t body_bytes = 256;      // of a POST, at least a stamp
};

// Browsers that call: each connection is a POST whose body is stamped, and reads its answer to the end. When one has
// ended another takes its place. Answers have to have all their tokens, in order, and an end that says "ok".
//
// Not thread-safe; one thread calls everything.
class CallLoad {
 public:
  explicit CallLoad(CallLoadOptions options);

  // Waits at most `timeout_ms` for something to happen and handles it. `wake_fd` ends the wait too where it becomes
  // readable; true is returned then.
  bool Poll(int timeout_ms, int wake_fd);

  // All calls that may be open at a time are, and their answers have begun.
  bool is_open() const { return open_ == calls_.size(); }
  // None is.
  bool is_idle() const { return free_.size() == calls_.size(); }
  uint64_t ended() const { return counts_.ended + counts_.failed; }

  // Makes no new calls from now on.
  void StopCalling() { is_stopping_ = true; }
  // Forgets all that was counted.
  void Reset();
  // Prints a line with everything counted since the last Reset.
  void PrintReport(std::string_view kind) const;

 private:
  struct Call {
    Fd fd;
    SseReader reader;
    uint64_t tokens = 0;
    bool is_posted = false;
    bool is_open = false;
    bool has_end = false;
    bool is_wrong = false;
  };
  struct Counts {
    uint64_t posted = 0;
    uint64_t tokens = 0;
    uint64_t answer_bytes = 0;  // of the events of these
    uint64_t ended = 0;
    uint64_t failed = 0;
  };

  void CallMore();
  void Post(size_t index);
  void Read(size_t index);
  void Receive(Call& call, std::string_view id, std::string_view data, int64_t now_ns);
  void End(size_t index);
  void Watch(int operation, int fd, uint32_t events, uint64_t tag) const;

  const CallLoadOptions options_;
  const Fd epoll_;
  int wake_fd_ = -1;
  std::vector<Call> calls_;
  std::vector<size_t> free_;
  std::vector<char> buffer_;
  std::string body_;
  uint64_t called_ = 0;
  size_t open_ = 0;
  int64_t next_call_ns_ = 0;
  int64_t counts_from_ns_ = 0;
  bool is_stopping_ = false;
  Counts counts_;
  Latency latency_;
};

}  // namespace bridge::bench
