#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/auth/signing_key.h"

namespace bridge::auth {

// What a token is to say. What is empty is left out.
struct TokenContents {
  std::string subject;
  std::string issuer;
  std::string audience;
  std::vector<std::string> subscribe;
  std::vector<std::string> publish;
  std::vector<std::string> call = {};
  std::vector<std::string> serve = {};
  // Where the patterns go: "bridge.subscribe" is the member "subscribe" of the object "bridge".
  std::string subscribe_claim = "bridge.subscribe";
  std::string publish_claim = "bridge.publish";
  std::string call_claim = "bridge.call";
  std::string serve_claim = "bridge.serve";
};

// Makes tokens for trying the bridge; those of users come from who knows the users. A value.
class TokenMinter {
 public:
  // `kid` goes into the header where it is not empty.
  explicit TokenMinter(SigningKey key, std::string kid = "");

  // A token from `now`, the wall clock's time, for `ttl`, both in whole seconds. INVALID_ARGUMENT: a pattern is none,
  // there are too many, the ttl is less than a second, or the token would be longer than the bridge accepts.
  absl::StatusOr<std::string> Mint(const TokenContents& contents, absl::Duration ttl, absl::Time now) const;

 private:
  SigningKey key_;
  std::string kid_;
};

}  // namespace bridge::auth
