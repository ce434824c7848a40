#include "bridge/hub/topic_table.h"

#include "bridge/base/allocated_bytes.h"

namespace bridge::hub {

const TopicTable::Topic* TopicTable::Find(absl::string_view name) const {
  const auto found = numbers_.find(name);
  return found == numbers_.end() ? nullptr : &topics_[*found];
}

uint32_t TopicTable::NumberOf(const base::RefCountedString& name) {
  if (const auto found = numbers_.find(name.view()); found != numbers_.end()) {
    return *found;
  }
  auto number = static_cast<uint32_t>(topics_.size());
  if (free_.empty()) {
    topics_.emplace_back();
  } else {
    number = *free_.begin();
    free_.erase(free_.begin());
  }
  topics_[number].name = name;
  numbers_.insert(number);
  return number;
}

void TopicTable::Erase(uint32_t number) {
  numbers_.erase(number);
  if (numbers_.size() <= numbers_.capacity() / 8) {
    numbers_.rehash(0);  // by itself it never gives memory back
  }
  topics_[number] = {};
  free_.insert(number);
  while (!free_.empty() && *free_.rbegin() + 1 == topics_.size()) {
    free_.erase(*free_.rbegin());
    topics_.pop_back();
  }
}

void TopicTable::Clear() {
  numbers_.clear();
  free_.clear();
  topics_.clear();
}

size_t TopicTable::FootprintOf(const base::RefCountedString& name) {
  // A place in a table is a number and a byte, and 7/16 of them are taken when it has just grown.
  constexpr size_t kPlace = (sizeof(uint32_t) + 1) * 16 / 7;
  return kPlace + sizeof(Topic) + base::AllocatedBytes(name.footprint_bytes());
}

}  // namespace bridge::hub
