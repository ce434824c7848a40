#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include "absl/strings/string_view.h"

#include "bridge/base/clock.h"
#include "bridge/sse/encoder.h"

namespace bridge::sse {

class Frame;
using FramePtr = boost::intrusive_ptr<const Frame>;

// A record encoded as SSE bytes, once, shared by every connection that gets it: wrapped as one HTTP chunk, so that a
// delivery is a send of shared bytes. Immutable, thread-safe, one allocation.
class Frame {
 public:
  struct Options {
    // The record's sequence in the log; 0 for an ephemeral one.
    uint64_t sequence = 0;
    // When the record was accepted: its age and latency count from here.
    base::MonotonicTime received;
    Event event;
  };
  // REQUIRES: the type has at most 128 bytes.
  static FramePtr Make(const Options& options);

  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  uint64_t sequence() const { return sequence_; }
  bool is_ephemeral() const { return sequence_ == 0; }
  base::MonotonicTime received() const { return received_; }
  // As it was given: "message" for the empty one.
  absl::string_view type() const {
    return type_size_ == 0 ? absl::string_view("message") : absl::string_view(bytes_, type_size_);
  }

  // The encoded event as an HTTP chunk, and without that framing (for HTTP/1.0).
  absl::string_view chunk() const { return {bytes_ + type_size_, chunk_size_}; }
  absl::string_view text() const {
    return chunk().substr(chunk_head_size_, chunk_size_ - chunk_head_size_ - kChunkTailSize);
  }

  // The memory that the frame takes.
  size_t footprint_bytes() const { return FootprintOf(type_size_, chunk_size_); }

 private:
  static constexpr size_t kChunkTailSize = 2;

  friend void intrusive_ptr_add_ref(const Frame* frame) {
    // Relaxed: a new reference comes from an existing one.
    frame->references_.fetch_add(1, std::memory_order_relaxed);
  }
  friend void intrusive_ptr_release(const Frame* frame);

  Frame(const Options& options, size_t text_size, size_t chunk_head_size);

  static size_t FootprintOf(size_t type_size, size_t chunk_size);

  mutable std::atomic<uint32_t> references_{0};
  const uint32_t chunk_size_;
  const uint64_t sequence_;
  const base::MonotonicTime received_;
  const uint8_t type_size_;
  const uint8_t chunk_head_size_;
  // The type, then the chunk, which go on behind the object: there are many, and so no byte is left out.
  char bytes_[6];
};

}  // namespace bridge::sse
