#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/auth/token_minter.h"

namespace bridge {

// `sse-bridge token`: makes a token for trying the bridge, from the key that stands in its configuration or the private
// half of it. Not thread-safe.
class TokenCommand {
 public:
  // Adds the subcommand and its options to `app`, which outlives it.
  explicit TokenCommand(CLI::App* app);

  // The arguments ask for a token.
  bool IsCalled() const { return command_->parsed(); }

  // The token from `now` on, the wall clock's time. Errors say which option or file is wrong.
  absl::StatusOr<std::string> Mint(absl::Time now) const;

 private:
  CLI::App* const command_;
  auth::TokenContents contents_;
  std::string ttl_ = "1h";
  std::string key_file_;
  std::string kid_;
  std::string algorithm_;
};

}  // namespace bridge
