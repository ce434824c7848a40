// A part of Ring; for this folder only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

#include "bridge/base/ref_counted_string.h"
#include "bridge/hub/posting_list.h"

namespace bridge::hub {

// The topics of which a ring holds records, numbered, so that a record has four bytes for its topic. The number of a
// topic that has gone is given out again, the lowest first, and what the highest take is given back: a burst of topics
// takes next to no memory when it is over.
//
// Not thread-safe.
class TopicTable {
 public:
  struct Topic {
    base::RefCountedString name;
    PostingList postings;
  };

  TopicTable() : numbers_(0, Hash{&topics_}, Eq{&topics_}) {}
  TopicTable(const TopicTable&) = delete;
  TopicTable& operator=(const TopicTable&) = delete;

  size_t size() const { return numbers_.size(); }
  Topic& operator[](uint32_t number) { return topics_[number]; }
  const Topic& operator[](uint32_t number) const { return topics_[number]; }

  // nullptr where there is none of that name.
  const Topic* Find(absl::string_view name) const;
  // The number of the topic of that name; a new one, without postings, where there is none.
  uint32_t NumberOf(const base::RefCountedString& name);
  void Erase(uint32_t number);
  void Clear();

  // The memory that a topic takes, with its name, which others may share, and without its postings.
  static size_t FootprintOf(const base::RefCountedString& name);

 private:
  using Topics = std::deque<Topic>;

  struct Hash {
    using is_transparent = void;
    size_t operator()(absl::string_view name) const { return base::RefCountedString::Hash()(name); }
    size_t operator()(uint32_t number) const { return (*this)((*topics)[number].name); }
    const Topics* topics;
  };
  struct Eq {
    using is_transparent = void;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(uint32_t number, absl::string_view name) const { return (*topics)[number].name.view() == name; }
    const Topics* topics;
  };

  // By their numbers; those of `free_` are empty.
  Topics topics_;
  absl::btree_set<uint32_t> free_;
  // To be found by their names.
  absl::flat_hash_set<uint32_t, Hash, Eq> numbers_;
};

}  // namespace bridge::hub
