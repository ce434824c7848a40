#include "bridge/http/chunked_decoder.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bridge::http {
namespace {

// A size, and room for an extension that some proxy adds.
constexpr size_t kSizeLineMax = 256;
constexpr size_t kTrailerBytesMax = 4096;

Refusal BadChunk(absl::string_view what) { return {.status = 400, .detail = absl::StrCat("chunked body: ", what)}; }

}  // namespace

std::optional<Refusal> ChunkedDecoder::Decode(absl::string_view* input, std::string* body) {
  while (state_ != State::kDone && !input->empty()) {
    if (state_ == State::kData) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(chunk_left_, input->size()));
      body->append(input->data(), size);
      input->remove_prefix(size);
      chunk_left_ -= size;
      if (chunk_left_ == 0) {
        state_ = State::kDataEnd;
      }
      continue;
    }
    if (state_ == State::kDataEnd && input->front() != '\r') {
      return BadChunk("a chunk is longer than its size");
    }
    const size_t end = input->find('\n');
    if (end == absl::string_view::npos) {
      if (input->size() > kSizeLineMax) {
        return BadChunk("a line between the chunks is too long");
      }
      return std::nullopt;
    }
    if (end > kSizeLineMax || end == 0 || (*input)[end - 1] != '\r') {
      return BadChunk("a line between the chunks is too long or does not end with CR LF");
    }
    const absl::string_view line = input->substr(0, end - 1);
    input->remove_prefix(end + 1);
    switch (state_) {
      case State::kSize:
        if (auto refusal = TakeSizeLine(line)) {
          return refusal;
        }
        if (chunk_left_ > body_bytes_max_ - std::min(body_bytes_max_, body->size())) {
          return Refusal{.status = 413,
                         .detail = absl::StrCat("the body is larger than ", key_, ", ", body_bytes_max_)};
        }
        break;
      case State::kDataEnd:
        if (!line.empty()) {
          return BadChunk("a chunk is longer than its size");
        }
        state_ = State::kSize;
        break;
      default:
        trailer_bytes_ += line.size();
        if (trailer_bytes_ > kTrailerBytesMax) {
          return BadChunk("the trailers are too long");
        }
        if (line.empty()) {
          state_ = State::kDone;
        }
        break;
    }
  }
  return std::nullopt;
}

std::optional<Refusal> ChunkedDecoder::TakeSizeLine(absl::string_view line) {
  const absl::string_view digits = line.substr(0, line.find(';'));
  constexpr size_t kDigitsMax = 8;
  if (digits.empty() || digits.size() > kDigitsMax ||
      !std::all_of(digits.begin(), digits.end(),
                   [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); }) ||
      !absl::SimpleHexAtoi(digits, &chunk_left_)) {
    return BadChunk("a chunk's size must be one to eight hexadecimal digits");
  }
  if (std::any_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; })) {
    return BadChunk("a chunk extension holds a control character");
  }
  state_ = chunk_left_ == 0 ? State::kTrailer : State::kData;
  return std::nullopt;
}

}  // namespace bridge::http
