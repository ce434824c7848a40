#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/time/time.h"

#include "bridge/base/metric.h"
#include "bridge/http/connection.h"
#include "bridge/http/room_maker.h"
#include "bridge/http/tls_context.h"
#include "bridge/loop/event_loop.h"
#include "bridge/ops/log_limiter.h"

namespace bridge::http {

// What becomes of handshakes. Thread-safe.
struct HandshakeMetrics {
  base::SharedMetric waiting;
  base::SharedMetric done;
  base::SharedMetric failed;
  base::SharedMetric timed_out;
  base::SharedMetric crowded;
  base::SharedMetric gave_way;
  base::SharedMetric not_tls;
};

// Does TLS handshakes on threads of its own, because each takes a third of a millisecond, and with a large RSA key
// several; then hands the connections to their event loops. The threads give way to the event loops where the cores are
// busy.
//
// A client that has said nothing yet costs its socket and a small object. Of the handshakes that have begun there are
// at most so many; one more, and the one that began first ends: a client needs a round trip or two, those that hold
// their place longest are the least likely to be clients. And none takes longer than its deadline.
//
// Used by one thread, but for what it counts. Destroying it ends the handshakes.
class TlsHandshakes {
 public:
  struct Options {
    size_t threads = 1;
    // On all threads together.
    size_t begun_max = 1024;
    absl::Duration timeout = absl::Seconds(10);
  };

  // `tls` outlives it.
  TlsHandshakes(const TlsContext* tls, const Options& options);
  ~TlsHandshakes();
  TlsHandshakes(const TlsHandshakes&) = delete;
  TlsHandshakes& operator=(const TlsHandshakes&) = delete;

  // Takes over connected, non-blocking sockets; those that get through become connections of `target`, on its loop. One
  // that speaks HTTP without TLS is answered so there.
  void Take(std::vector<int> fds, ConnectionContext* target);

  // Ends some handshakes, and calls `answer` on each thread with how many.
  void MakeRoom(const GiveWay& wanted, const std::function<void(size_t)>& answer);
  size_t thread_count() const { return workers_.size(); }

  const TlsContext& tls() const { return *tls_; }
  const HandshakeMetrics& metrics() const { return metrics_; }

 private:
  class Handshake;
  // What the handshakes of one thread share.
  struct Worker;

  const TlsContext* const tls_;
  const Options options_;
  HandshakeMetrics metrics_;
  ops::LogLimiter crowded_limiter_;
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t next_ = 0;
};

}  // namespace bridge::http
