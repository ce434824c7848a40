#pragma once

#include <algorithm>
#include <cstddef>

namespace bridge::base {

// What glibc's allocator takes for `bytes`: 8 more, in steps of 16, and never less than 32. All but 8 of it can be
// used.
constexpr size_t AllocatedBytes(size_t bytes) { return std::max<size_t>(32, (bytes + 8 + 15) / 16 * 16); }

}  // namespace bridge::base
