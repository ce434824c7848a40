#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <openssl/ssl.h>

#include "tests/bench/latency.h"
#include "tests/bench/progress.h"
#include "tests/bench/sockets.h"
#include "tests/bench/sse_reader.h"

namespace bridge::bench {

struct StreamLoadOptions {
  sockaddr_in target{};
  std::string host;           // for the Host header
  std::string path;           // "{}" in it becomes the stream's number modulo `topics`
  std::string last_event_id;  // sent by every stream where not empty
  std::string token;          // the same
  size_t streams = 1;
  size_t topics = 1;
  size_t connecting_max = 256;  // connections that are being opened at one time
  std::string progress_file;    // see Progress; empty for none
  bool is_tls = false;          // the certificate is not looked at
};

// Opens many event streams, reads what comes and checks that each stream gets its topic's sequence without hole or
// repeat. Not thread-safe; one thread calls everything.
class StreamLoad {
 public:
  explicit StreamLoad(StreamLoadOptions options);

  // Waits at most `timeout_ms` for something to happen and handles it. `wake_fd` ends the wait too where it becomes
  // readable; true is returned then.
  bool Poll(int timeout_ms, int wake_fd);

  // Every stream has its response head with status 200.
  bool is_open() const { return open_ == streams_.size(); }
  uint64_t deliveries() const { return counts_.deliveries; }

  // Forgets all that was counted, and the sequences: what comes next may begin anywhere.
  void Reset();
  // Prints a line with everything counted since the last Reset.
  void PrintReport(std::string_view kind) const;

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  struct Stream {
    Fd fd;
    std::unique_ptr<SSL, FreeSsl> ssl;  // with TLS
    SseReader reader;
    uint64_t last_sequence = 0;
    bool is_requested = false;
  };
  struct Counts {
    uint64_t deliveries = 0;
    uint64_t bytes = 0;
    uint64_t lost = 0;        // holes in a stream's sequence
    uint64_t disordered = 0;  // an event that is not after its predecessor
    uint64_t closed = 0;      // streams that the server ended
    std::string first_id;     // of stream 0
    std::string last_id;
  };

  void ConnectMore();
  // False where the handshake goes on.
  bool HasHandshake(size_t index);
  void SendRequest(size_t index);
  // As recv does, from TLS too.
  ssize_t ReadSome(Stream& stream);
  void Read(size_t index);
  void Take(size_t index, ssize_t size);
  void Receive(Stream& stream, std::string_view id, std::string_view data, int64_t now_ns);
  void EndStream(size_t index);
  void Watch(int operation, int fd, uint32_t events, uint64_t tag) const;
  void PublishProgress();

  const StreamLoadOptions options_;
  const Fd epoll_;
  std::unique_ptr<SSL_CTX, FreeSsl> tls_;
  int wake_fd_ = -1;
  std::vector<Stream> streams_;
  std::vector<char> buffer_;
  size_t started_ = 0;
  size_t open_ = 0;
  int64_t first_connect_ns_ = 0;
  int64_t last_open_ns_ = 0;
  Counts counts_;
  Latency latency_;
  std::optional<Progress> progress_;
};

}  // namespace bridge::bench
