#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <google/protobuf/io/zero_copy_stream.h>

#include "absl/strings/string_view.h"

namespace bridge::payload {

// Collects a text of at most `bytes_max` bytes, from a protobuf serializer or piece by piece; the rest is dropped while
// it is written.
class BoundedOutput : public google::protobuf::io::ZeroCopyOutputStream {
 public:
  explicit BoundedOutput(size_t bytes_max) : bytes_max_(bytes_max) {}

  // At least so many bytes are about to be written: where these are more than there may be, none is taken.
  void Expect(size_t bytes_min);

  void Append(absl::string_view piece);

  bool Next(void** data, int* size) override;
  void BackUp(int count) override;
  int64_t ByteCount() const override;

  // More was written than there may be.
  bool is_over() const { return is_refused_ || text_.size() > bytes_max_; }
  const std::string& text() const { return text_; }
  // REQUIRES: !is_over().
  std::string Take() && { return std::move(text_); }

 private:
  const size_t bytes_max_;
  bool is_refused_ = false;
  std::string text_;
};

}  // namespace bridge::payload
