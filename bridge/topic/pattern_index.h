#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "bridge/base/ref_counted_string.h"
#include "bridge/topic/grammar.h"
#include "bridge/topic/lean_set.h"
#include "bridge/topic/pattern.h"
#include "bridge/topic/topic.h"

namespace bridge::topic {

// Finds the values whose patterns match a topic. T is a pointer or as cheap to copy and to compare as one.
//
// Not thread-safe.
//
// Literal patterns stand in a hash map, the others in a trie of their tokens. A match costs one look-up and a walk of
// the trie that follows, at each token, the node of that token and the node of "*": in practice as many nodes as there
// are matches times their depth, however many patterns there are. The worst that patterns can be made to cost is 2^n
// nodes for a topic of n tokens, and never more nodes than the trie has: a topic of 4 tokens costs 16 at most whatever
// strangers subscribe to, one of 16 tokens 65,536, for which it takes as many patterns. Such a match takes some
// milliseconds, and can be made in parts.
//
// A pattern with one value takes 40 to 80 bytes where it is literal, and shares its text with the pattern; where it is
// not, some 250 and the tokens that it shares with no other pattern: tokens at which the trie does not branch take no
// node of their own. What Remove leaves empty is given back.
template <typename T>
class PatternIndex {
 public:
  // Where a match stands that is made in parts.
  class Walk;

  // Adding what is there already changes nothing, nor does removing what is not there.
  void Add(const Pattern& pattern, T value) {
    if (pattern.IsLiteral()) {
      literals_[pattern.shared_text()].Insert(value);
    } else {
      AddBelow(root_, pattern.text(), value);
    }
  }

  void Remove(const Pattern& pattern, T value) {
    if (!pattern.IsLiteral()) {
      RemoveBelow(root_, pattern.text(), value);
    } else if (const auto found = literals_.find(pattern.text()); found != literals_.end()) {
      found->second.Erase(value);
      if (found->second.empty()) {
        EraseAndShrink(literals_, found);
      }
    }
  }

  // Calls `report` for each value one of whose patterns matches `topic`, once for each such pattern: what was added
  // under "orders.*" and under "orders.>" is reported twice. REQUIRES: `topic` is valid (topic.h); `report` changes
  // nothing here.
  void Match(absl::string_view topic, absl::FunctionRef<void(T)> report) const {
    Walk walk;
    Begin(topic, walk);
    Continue(walk, std::numeric_limits<size_t>::max(), report);
  }

  // The same in parts. REQUIRES: until the walk is done, nothing is added or removed and `topic` stays.
  void Begin(absl::string_view topic, Walk& walk) const {
    const auto found = literals_.find(topic);
    walk.values_ = found != literals_.end() ? &found->second : nullptr;
    walk.reported_ = 0;
    walk.depth_ = 0;
    walk.Push(root_, topic);
  }
  // Takes at most so many steps, each a node or a value. Returns how many it has taken.
  static size_t Continue(Walk& walk, size_t steps_max, absl::FunctionRef<void(T)> report) {
    size_t steps = 0;
    while (steps < steps_max && !walk.is_done()) {
      steps += walk.values_ != nullptr ? walk.Report(steps_max - steps, report) : walk.Visit();
    }
    return steps;
  }

  bool empty() const { return literals_.empty() && root_.empty(); }

 private:
  using Values = LeanSet<T>;

  // Where patterns stand after some of their tokens.
  struct Node {
    // The tokens that all patterns here have next: "*.b". The rest of the node is about what comes after them.
    std::string path;
    absl::flat_hash_map<std::string, std::unique_ptr<Node>> by_token;
    std::unique_ptr<Node> any_token;
    // Of the patterns that end here, and of those that have only ">" after this.
    Values ending;
    Values any_rest;

    bool empty() const { return by_token.empty() && any_token == nullptr && ending.empty() && any_rest.empty(); }

    // The child for patterns that go on with `token`, which may not be there yet.
    std::unique_ptr<Node>& Below(absl::string_view token) { return token == "*" ? any_token : by_token[token]; }
  };

  static void Append(absl::string_view tokens, std::string& path) {
    if (!tokens.empty()) {
      absl::StrAppend(&path, path.empty() ? "" : ".", tokens);
    }
  }

  // Takes the tokens off `rest` that `path` begins with; returns what is left of `path`.
  static absl::string_view TakeCommon(absl::string_view path, absl::string_view& rest) {
    while (!path.empty() && !rest.empty()) {
      absl::string_view path_after = path;
      absl::string_view rest_after = rest;
      if (TakeToken(path_after) != TakeToken(rest_after)) {
        break;
      }
      path = path_after;
      rest = rest_after;
    }
    return path;
  }

  // Has `node` end in front of `left`, the end of its path, which becomes a node below it.
  static void Split(Node& node, absl::string_view left) {
    auto upper = std::string(absl::string_view(node.path).substr(0, node.path.size() - left.size()));
    absl::string_view rest = left;
    const std::string token(TakeToken(rest));
    auto lower = std::make_unique<Node>();
    lower->path = std::string(rest);
    std::swap(lower->by_token, node.by_token);
    std::swap(lower->any_token, node.any_token);
    std::swap(lower->ending, node.ending);
    std::swap(lower->any_rest, node.any_rest);
    if (!upper.empty()) {
      upper.pop_back();  // the dot
    }
    upper.shrink_to_fit();
    node.path = std::move(upper);
    node.Below(token) = std::move(lower);
  }

  // Undoes a split, where nothing ends at `node` and all goes on with one token.
  static void Join(Node& node) {
    if (!node.ending.empty() || !node.any_rest.empty() || node.by_token.size() + (node.any_token != nullptr) != 1) {
      return;
    }
    std::string path = std::move(node.path);
    Append(node.any_token != nullptr ? "*" : absl::string_view(node.by_token.begin()->first), path);
    const std::unique_ptr<Node> only =
        std::move(node.any_token != nullptr ? node.any_token : node.by_token.begin()->second);
    Append(only->path, path);
    path.shrink_to_fit();
    node = std::move(*only);
    node.path = std::move(path);
  }

  // Erases from a hash map, which by itself never gives memory back.
  template <typename Map>
  static void EraseAndShrink(Map& map, Map::iterator place) {
    map.erase(place);
    if (map.size() <= map.capacity() / 8) {
      map.rehash(0);
    }
  }

  static void AddBelow(Node& root, absl::string_view rest, T value) {
    Node* at = &root;
    while (true) {
      if (const absl::string_view left = TakeCommon(at->path, rest); !left.empty()) {
        Split(*at, left);
      }
      if (rest.empty()) {
        at->ending.Insert(value);
        return;
      }
      const absl::string_view token = TakeToken(rest);
      if (token == ">") {
        at->any_rest.Insert(value);
        return;
      }
      std::unique_ptr<Node>& next = at->Below(token);
      if (next == nullptr) {
        next = std::make_unique<Node>();
        // A last ">" is no token of a path.
        next->path = std::string(rest == ">" ? "" : absl::StripSuffix(rest, ".>"));
      }
      at = next.get();
    }
  }

  // As deep as the pattern has tokens.
  static void RemoveBelow(Node& node, absl::string_view rest, T value) {
    if (!TakeCommon(node.path, rest).empty()) {
      return;
    }
    if (rest.empty()) {
      node.ending.Erase(value);
      return;
    }
    const absl::string_view token = TakeToken(rest);
    if (token == ">") {
      node.any_rest.Erase(value);
    } else if (token == "*") {
      if (node.any_token != nullptr) {
        RemoveIn(*node.any_token, rest, value);
        if (node.any_token->empty()) {
          node.any_token.reset();
        }
      }
    } else if (const auto found = node.by_token.find(token); found != node.by_token.end()) {
      RemoveIn(*found->second, rest, value);
      if (found->second->empty()) {
        EraseAndShrink(node.by_token, found);
      }
    }
  }

  static void RemoveIn(Node& child, absl::string_view rest, T value) {
    RemoveBelow(child, rest, value);
    Join(child);
  }

  absl::flat_hash_map<base::RefCountedString, Values, base::RefCountedString::Hash, base::RefCountedString::Eq>
      literals_;
  // Its path is empty.
  Node root_;
};

template <typename T>
class PatternIndex<T>::Walk {
 public:
  bool is_done() const { return values_ == nullptr && depth_ == 0; }

 private:
  friend PatternIndex;

  // A node to be visited, and what of the topic is left for it.
  struct Place {
    const Node* node = nullptr;
    absl::string_view rest = {};
  };

  void Push(const Node& node, absl::string_view rest) { places_[depth_++] = {&node, rest}; }

  size_t Report(size_t values_max, absl::FunctionRef<void(T)> report) {
    const size_t end = reported_ + std::min(values_->size() - reported_, values_max);
    const size_t begin = std::exchange(reported_, end);
    std::for_each(values_->begin() + begin, values_->begin() + end, report);
    if (end == values_->size()) {
      values_ = nullptr;
    }
    return end - begin;
  }

  // Visits the next node: what it has to report stands in values_ then.
  size_t Visit() {
    const Place place = places_[--depth_];
    const Node& node = *place.node;
    absl::string_view rest = place.rest;
    absl::string_view path = node.path;
    while (!path.empty()) {
      const absl::string_view wanted = TakeToken(path);
      if (rest.empty()) {
        return 1;
      }
      if (const absl::string_view token = TakeToken(rest); wanted != "*" && wanted != token) {
        return 1;
      }
    }
    const Values& values = rest.empty() ? node.ending : node.any_rest;
    values_ = values.empty() ? nullptr : &values;
    reported_ = 0;
    if (rest.empty()) {
      return 1;
    }
    const absl::string_view token = TakeToken(rest);
    if (const auto found = node.by_token.find(token); found != node.by_token.end()) {
      Push(*found->second, rest);
    }
    if (node.any_token != nullptr) {
      Push(*node.any_token, rest);
    }
    return 1;
  }

  // What is being reported, and how much of it has been; nullptr where that is done.
  const Values* values_ = nullptr;
  size_t reported_ = 0;
  // At most two of each depth: a visit takes one away and adds two that are deeper.
  std::array<Place, kTopicTokensMax + 2> places_;
  size_t depth_ = 0;
};

}  // namespace bridge::topic
