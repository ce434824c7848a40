#pragma once

#include <optional>
#include <string>

namespace bridge::bench {

// The lines that come on standard input, for a program that does something else meanwhile. Not thread-safe; one a
// process.
class Orders {
 public:
  // Makes standard input non-blocking.
  Orders();

  // To be waited for.
  int fd() const;
  // Reads what has come.
  void Read();
  // The next line that is complete.
  std::optional<std::string> Next();
  // Standard input has ended.
  bool are_over() const { return are_over_; }

 private:
  std::string text_;
  bool are_over_ = false;
};

}  // namespace bridge::bench
