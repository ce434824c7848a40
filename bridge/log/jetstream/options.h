#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace bridge::log {

// What a JetStreamLog is to be like.
struct JetStreamOptions {
  // One NATS server, or several of a cluster with commas. A name and password may stand in it.
  std::string url = {};
  std::string stream = "BRIDGE";
  // Records are stored as PREFIX.kept.TOPIC; ephemeral ones travel on PREFIX.live.TOPIC, beside the stream.
  std::string subject_prefix = "bridge";
  // How many servers hold the stream, and how much of it.
  uint32_t replicas = 1;
  absl::Duration max_age = absl::Hours(24);
  uint64_t max_bytes = uint64_t{10} << 30;
  // A stream that is there with other limits: true sets these, false warns and leaves it.
  bool update = false;
  // A JWT and its seed; empty for none.
  std::string credentials_file = {};
  // TLS is on where one of them is set, or where the URL says tls://. In PEM; empty: the system's authorities, and no
  // certificate of our own.
  struct Tls {
    std::string ca_file = {};
    std::string certificate_file = {};
    std::string key_file = {};
  } tls = {};
  // How long an idempotency key counts; 0: not at all.
  absl::Duration idempotency_window = absl::Minutes(2);
  // The largest frame that is made of a record; the server has to take messages that are a bit larger.
  size_t frame_bytes_max = size_t{512} << 10;
};

}  // namespace bridge::log
