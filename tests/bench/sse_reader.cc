#include "tests/bench/sse_reader.h"

#include <algorithm>
#include <charconv>

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>

namespace bridge::bench {

void SseReader::FeedHead(std::string_view& bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const size_t seen = carry_.size();
  carry_ += bytes;
  const size_t end = carry_.find(kEnd);
  if (end == std::string::npos) {
    bytes = {};
    return;
  }
  bytes.remove_prefix(end + kEnd.size() - seen);
  carry_.resize(end);
  const size_t code = std::min(carry_.find(' ') + 1, end);
  std::from_chars(carry_.data() + code, carry_.data() + end, status_);
  absl::AsciiStrToLower(&carry_);
  if (absl::StrContains(carry_, "\r\ntransfer-encoding: chunked")) framing_ = Framing::kSize;
  state_ = status_ == 200 ? State::kOpen : State::kRefused;
  carry_.clear();
  carry_.shrink_to_fit();
}

std::string_view SseReader::NextPart(std::string_view& bytes) {
  while (framing_ != Framing::kNone && framing_ != Framing::kData && !bytes.empty() && state_ == State::kOpen) {
    TakeFramingByte(bytes.front());
    bytes.remove_prefix(1);
  }
  if (state_ != State::kOpen) return {};
  const size_t size = framing_ == Framing::kNone ? bytes.size() : std::min(chunk_left_, bytes.size());
  const std::string_view part = bytes.substr(0, size);
  bytes.remove_prefix(size);
  if (framing_ == Framing::kData) {
    chunk_left_ -= size;
    if (chunk_left_ == 0) framing_ = Framing::kDataEnd;
  }
  return part;
}

// RFC 9112 §7.1, of which this knows what servers send: a size without extensions, the data, a line end.
void SseReader::TakeFramingByte(char byte) {
  if (byte == '\n') {
    if (framing_ == Framing::kDataEnd) {
      framing_ = Framing::kSize;
    } else if (chunk_left_ == 0) {
      state_ = State::kEnded;
    } else {
      framing_ = Framing::kData;
    }
    return;
  }
  unsigned digit = 0;
  if (framing_ == Framing::kSize && std::from_chars(&byte, &byte + 1, digit, 16).ptr == &byte + 1) {
    chunk_left_ = chunk_left_ * 16 + digit;
  } else if (framing_ == Framing::kSize) {
    framing_ = Framing::kSizeEnd;
  }
}

}  // namespace bridge::bench
