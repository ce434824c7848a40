#include "bridge/base/ref_counted_string.h"

#include <cassert>
#include <cstring>
#include <limits>

namespace bridge::base {

RefCountedString::Text* RefCountedString::Text::Make(absl::string_view text) {
  assert(text.size() <= std::numeric_limits<uint32_t>::max());
  void* const memory = ::operator new(sizeof(Text) + text.size());
  std::memcpy(static_cast<char*>(memory) + sizeof(Text), text.data(), text.size());
  return new (memory) Text(static_cast<uint32_t>(text.size()));
}

}  // namespace bridge::base
