#pragma once

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

#include "bridge/topic/grammar.h"
#include "bridge/topic/lean_set.h"
#include "bridge/topic/pattern.h"

namespace bridge::topic {

// Finds the values whose patterns match a topic. T is a pointer or as cheap to copy and to compare as one.
//
// Not thread-safe.
//
// Literal patterns stand in a hash map, the others in a trie of their tokens. A match costs one look-up and a walk of
// the trie that follows, at each token, the node of that token and the node of "*": in practice as many nodes as there
// are matches times their depth, however many patterns there are. The worst that patterns can be made to cost is 2^n
// nodes for a topic of n tokens, and never more nodes than the trie has: a topic of 4 tokens costs 16 at most whatever
// strangers subscribe to, one of 16 tokens 65,536, for which it takes as many patterns.
//
// A pattern with one value takes about 100 bytes where it is literal; where it is not, about 180 for each token that it
// shares with no other pattern, and 110 for "*". What Remove leaves empty is given back.
template <typename T>
class PatternIndex {
 public:
  // Adding what is there already changes nothing, nor does removing what is not there.
  void Add(const Pattern& pattern, T value) {
    if (pattern.IsLiteral()) {
      literals_[pattern.text()].Insert(value);
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
    if (const auto found = literals_.find(topic); found != literals_.end()) {
      ReportAll(found->second, report);
    }
    MatchBelow(root_, topic, report);
  }

  bool empty() const { return literals_.empty() && root_.empty(); }

 private:
  // Where a pattern stands after some of its tokens.
  struct Node {
    absl::flat_hash_map<std::string, std::unique_ptr<Node>> by_token;
    std::unique_ptr<Node> any_token;
    // Of the patterns that end here, and of those that have only ">" after this.
    LeanSet<T> ending;
    LeanSet<T> any_rest;

    bool empty() const { return by_token.empty() && any_token == nullptr && ending.empty() && any_rest.empty(); }
  };

  static void ReportAll(const LeanSet<T>& values, absl::FunctionRef<void(T)> report) {
    for (const T& value : values) {
      report(value);
    }
  }

  // Erases from a hash map, which by itself never gives memory back.
  template <typename Map>
  static void EraseAndShrink(Map& map, typename Map::iterator place) {
    map.erase(place);
    if (map.size() <= map.capacity() / 8) {
      map.rehash(0);
    }
  }

  static void AddBelow(Node& node, absl::string_view rest, T value) {
    Node* at = &node;
    while (!rest.empty()) {
      const absl::string_view token = TakeToken(rest);
      if (token == ">") {
        at->any_rest.Insert(value);
        return;
      }
      std::unique_ptr<Node>& next = token == "*" ? at->any_token : at->by_token[token];
      if (next == nullptr) {
        next = std::make_unique<Node>();
      }
      at = next.get();
    }
    at->ending.Insert(value);
  }

  // As deep as the pattern has tokens.
  static void RemoveBelow(Node& node, absl::string_view rest, T value) {
    if (rest.empty()) {
      node.ending.Erase(value);
      return;
    }
    const absl::string_view token = TakeToken(rest);
    if (token == ">") {
      node.any_rest.Erase(value);
    } else if (token == "*") {
      if (node.any_token != nullptr) {
        RemoveBelow(*node.any_token, rest, value);
        if (node.any_token->empty()) {
          node.any_token.reset();
        }
      }
    } else if (const auto found = node.by_token.find(token); found != node.by_token.end()) {
      RemoveBelow(*found->second, rest, value);
      if (found->second->empty()) {
        EraseAndShrink(node.by_token, found);
      }
    }
  }

  // As deep as the topic has tokens.
  static void MatchBelow(const Node& node, absl::string_view rest, absl::FunctionRef<void(T)> report) {
    if (rest.empty()) {
      ReportAll(node.ending, report);
      return;
    }
    ReportAll(node.any_rest, report);
    const absl::string_view token = TakeToken(rest);
    if (node.any_token != nullptr) {
      MatchBelow(*node.any_token, rest, report);
    }
    if (const auto found = node.by_token.find(token); found != node.by_token.end()) {
      MatchBelow(*found->second, rest, report);
    }
  }

  absl::flat_hash_map<std::string, LeanSet<T>> literals_;
  Node root_;
};

}  // namespace bridge::topic
