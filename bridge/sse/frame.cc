#include "bridge/sse/frame.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <limits>
#include <new>

namespace bridge::sse {
namespace {

size_t HexDigits(size_t number) { return (static_cast<size_t>(std::bit_width(number | 1)) + 3) / 4; }

}  // namespace

FramePtr Frame::Make(const Options& options) {
  const size_t text_size = EncodedSize(options.event);
  const size_t chunk_head_size = HexDigits(text_size) + 2;
  const size_t chunk_size = chunk_head_size + text_size + kChunkTailSize;
  assert(chunk_size <= std::numeric_limits<uint32_t>::max());
  void* const memory = ::operator new(FootprintOf(options.event.type.size(), chunk_size));
  return FramePtr(new (memory) Frame(options, text_size, chunk_head_size));
}

size_t Frame::FootprintOf(size_t type_size, size_t chunk_size) {
  static_assert(sizeof(Frame) == offsetof(Frame, bytes_) + sizeof(bytes_));
  return std::max(sizeof(Frame), offsetof(Frame, bytes_) + type_size + chunk_size);
}

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): bytes_ is written to, and more
Frame::Frame(const Options& options, size_t text_size, size_t chunk_head_size)
    : chunk_size_(static_cast<uint32_t>(chunk_head_size + text_size + kChunkTailSize)),
      sequence_(options.sequence),
      received_(options.received),
      type_size_(static_cast<uint8_t>(options.event.type.size())),
      chunk_head_size_(static_cast<uint8_t>(chunk_head_size)) {
  char* out = std::copy(options.event.type.begin(), options.event.type.end(), bytes_);
  out = std::to_chars(out, out + chunk_head_size, text_size, 16).ptr;
  *out++ = '\r';
  *out++ = '\n';
  out = WriteEvent(options.event, out);
  *out++ = '\r';
  *out++ = '\n';
}

void intrusive_ptr_release(const Frame* frame) {
  // Acquire and release: what other owners did with the frame happened before it is freed.
  if (frame->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    frame->~Frame();
    ::operator delete(const_cast<Frame*>(frame));
  }
}

}  // namespace bridge::sse
