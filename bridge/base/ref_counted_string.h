#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

namespace bridge::base {

// An immutable text that its copies share: each is a pointer, and there is one allocation for all of them. Compares and
// hashes as the text does. Copies may be used on any threads.
class RefCountedString {
 public:
  // Empty.
  RefCountedString() = default;
  // REQUIRES: less than 4 GiB.
  explicit RefCountedString(absl::string_view text) : text_(text.empty() ? nullptr : Text::Make(text)) {}

  absl::string_view view() const { return text_ == nullptr ? absl::string_view() : text_->view(); }
  operator absl::string_view() const { return view(); }  // NOLINT(misc-explicit-constructor): it is one

  // The memory that the text takes, once for all copies.
  size_t footprint_bytes() const { return text_ == nullptr ? 0 : sizeof(Text) + view().size(); }

  friend bool operator==(const RefCountedString& a, const RefCountedString& b) { return a.view() == b.view(); }
  friend std::strong_ordering operator<=>(const RefCountedString& a, const RefCountedString& b) {
    return a.view().compare(b.view()) <=> 0;
  }
  template <typename H>
  friend H AbslHashValue(H state, const RefCountedString& text) {
    return H::combine(std::move(state), text.view());
  }

  // For tables in which a text is looked for.
  struct Hash {
    using is_transparent = void;
    size_t operator()(absl::string_view text) const { return absl::Hash<absl::string_view>()(text); }
  };
  struct Eq {
    using is_transparent = void;
    bool operator()(absl::string_view a, absl::string_view b) const { return a == b; }
  };

 private:
  // Its bytes stand behind it.
  class Text : public boost::intrusive_ref_counter<Text, boost::thread_safe_counter> {
   public:
    static Text* Make(absl::string_view text);
    // NOLINTNEXTLINE(misc-new-delete-overloads): Make allocates it, with more than its own size
    static void operator delete(void* memory) { ::operator delete(memory); }

    absl::string_view view() const { return {reinterpret_cast<const char*>(this + 1), size_}; }

   private:
    explicit Text(uint32_t size) : size_(size) {}

    const uint32_t size_;
  };

  boost::intrusive_ptr<const Text> text_;
};

}  // namespace bridge::base
