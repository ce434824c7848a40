// Changes of a pattern index and matches in it, compared with a list of all that is in it.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/naive_topics.h"

#include "bridge/topic/pattern.h"
#include "bridge/topic/pattern_index.h"
#include "bridge/topic/topic.h"

namespace bridge {
namespace {

using Value = const int*;

constexpr std::array<int, 8> kValues{};

void Check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

class Model {
 public:
  void Add(const topic::Pattern& pattern, Value value) {
    index_.Add(pattern, value);
    if (std::find(all_.begin(), all_.end(), std::make_pair(pattern, value)) == all_.end()) {
      all_.emplace_back(pattern, value);
    }
  }

  void Remove(const topic::Pattern& pattern, Value value) {
    index_.Remove(pattern, value);
    std::erase(all_, std::make_pair(pattern, value));
    Check(index_.empty() == all_.empty());
  }

  void RemoveAll() {
    while (!all_.empty()) {
      const auto [pattern, value] = all_.back();
      Remove(pattern, value);
    }
  }

  void CheckMatches(const std::string& topic) const {
    std::vector<Value> found;
    index_.Match(topic, [&found](Value value) { found.push_back(value); });
    std::vector<Value> expected;
    for (const auto& [pattern, value] : all_) {
      if (test::NaiveMatches(pattern.text(), topic)) {
        expected.push_back(value);
      }
    }
    std::sort(found.begin(), found.end(), std::less<>());
    std::sort(expected.begin(), expected.end(), std::less<>());
    Check(found == expected);
  }

 private:
  topic::PatternIndex<Value> index_;
  std::vector<std::pair<topic::Pattern, Value>> all_;
};

// One command: "+" or "-", the digit of a value, and a pattern; or a topic to match.
void Run(const std::string& command, Model& model) {
  if (command.size() > 2 && (command[0] == '+' || command[0] == '-')) {
    const absl::StatusOr<topic::Pattern> pattern = topic::Pattern::Parse(command.substr(2));
    const Value value = &kValues[static_cast<unsigned char>(command[1]) % kValues.size()];
    if (pattern.ok()) {
      command[0] == '+' ? model.Add(*pattern, value) : model.Remove(*pattern, value);
    }
  } else if (topic::ValidateTopic(command).ok()) {
    model.CheckMatches(command);
  }
}

}  // namespace
}  // namespace bridge

// One command a line.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(data, data + size);
  bridge::Model model;
  for (size_t begin = 0; begin < input.size();) {
    const size_t end = std::min(input.find('\n', begin), input.size());
    bridge::Run(input.substr(begin, end - begin), model);
    begin = end + 1;
  }
  model.RemoveAll();
  return 0;
}
