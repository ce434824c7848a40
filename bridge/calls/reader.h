#pragma once

#include <cstdint>
#include <utility>

#include "bridge/base/ref_counted_string.h"

namespace bridge::calls {

class Calls;

// Somebody reads the answer to a call, as long as this lives. Thread-safe; Calls outlives it.
class Reader {
 public:
  Reader() = default;
  Reader(Reader&& other) noexcept { *this = std::move(other); }
  Reader& operator=(Reader&& other) noexcept {
    std::swap(calls_, other.calls_);
    std::swap(generation_, other.generation_);
    std::swap(call_id_, other.call_id_);
    return *this;
  }
  ~Reader();

 private:
  friend class Calls;
  Reader(Calls* calls, uint32_t generation, base::RefCountedString call_id)
      : calls_(calls), generation_(generation), call_id_(std::move(call_id)) {}

  Calls* calls_ = nullptr;
  // Of the slots: a call that is followed anew, under the same id, has not counted this reader.
  uint32_t generation_ = 0;
  base::RefCountedString call_id_;
};

}  // namespace bridge::calls
