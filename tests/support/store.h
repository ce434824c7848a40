#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace bridge::test {

// A place where a bridge keeps its log, made for one test.
class Store {
 public:
  virtual ~Store() = default;

  // The --set arguments of a bridge that uses it.
  virtual std::vector<std::string> settings() const = 0;
  // One more, with which it keeps a few MiB only.
  virtual std::string trim_setting() const = 0;
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<Store>()> make;

  friend void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }
};

// Every kind of log that outlives its bridge.
std::vector<StoreKind> StoreKinds();

}  // namespace bridge::test
