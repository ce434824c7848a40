#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

#include "bridge/auth/key.h"

namespace bridge::auth {

// Keys at one moment. Immutable and thread-safe; what changes is replaced by another one as a whole.
class KeySet {
 public:
  KeySet() = default;
  explicit KeySet(std::vector<Key> keys) : keys_(std::move(keys)) {}

  size_t size() const { return keys_.size(); }
  bool HasKid(absl::string_view kid) const;

  // Those that may have signed a token with this `algorithm` and `kid`: the ones that have the kid; where none has, the
  // ones without any. Without a kid, all that are for the algorithm.
  std::vector<const Key*> Candidates(Algorithm algorithm, const std::optional<std::string>& kid) const;

 private:
  std::vector<Key> keys_;
};

// Where keys come from. Thread-safe.
class KeySource {
 public:
  KeySource() = default;
  virtual ~KeySource() = default;
  KeySource(const KeySource&) = delete;
  KeySource& operator=(const KeySource&) = delete;

  // Those of now; never null. Does not wait.
  virtual std::shared_ptr<const KeySet> Keys() const = 0;

  // None of Keys() has `kid` (empty: of a token without one). Whether one may come, because the source now asks for its
  // keys again. Does not wait.
  virtual bool MayStillCome(absl::string_view kid) = 0;
};

}  // namespace bridge::auth
