#include "bridge/payload/bounded_output.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace bridge::payload {
namespace {

constexpr size_t kFirstBufferBytes = 256;
constexpr size_t kBufferBytesMax = size_t{64} << 10;
// A CodedOutputStream asks for its next buffer before it needs it, when less than this is left.
constexpr size_t kSlackBytes = 64;

}  // namespace

void BoundedOutput::Expect(size_t bytes_min) { is_refused_ = is_refused_ || bytes_min > bytes_max_; }

void BoundedOutput::Append(absl::string_view piece) {
  if (is_over() || piece.size() > bytes_max_ - text_.size()) {
    is_refused_ = true;
    return;
  }
  absl::StrAppend(&text_, piece);
}

bool BoundedOutput::Next(void** data, int* size) {
  const size_t filled = text_.size();
  const size_t room = bytes_max_ + kSlackBytes - filled;
  if (is_refused_ || room == 0) {
    is_refused_ = true;
    return false;
  }
  const size_t buffer = std::min({std::max(filled, kFirstBufferBytes), kBufferBytesMax, room});
  text_.resize(filled + buffer);
  *data = text_.data() + filled;
  *size = static_cast<int>(buffer);
  return true;
}

void BoundedOutput::BackUp(int count) { text_.resize(text_.size() - static_cast<size_t>(count)); }

int64_t BoundedOutput::ByteCount() const { return static_cast<int64_t>(text_.size()); }

}  // namespace bridge::payload
