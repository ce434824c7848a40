#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bridge/config/v1/config.pb.h"

namespace bridge {

// How a self-test shows who it is, and a topic that it may publish on and subscribe to.
struct SelfTestAccess {
  // Empty: nothing is shown.
  std::string token;
  std::string topic;
};

// For a bridge without keys, or one that lets everybody use the topics of self-tests, "bridge-self-test.*".
SelfTestAccess AnonymousAccess();

// With the token in a file. The topic is one of self-tests where the token lets it, else one within the token's
// patterns. INVALID_ARGUMENT: it is no token, or lets nobody receive what he publishes.
absl::StatusOr<SelfTestAccess> AccessByToken(const std::string& path, const config::v1::Jwt& jwt);

// With a token made for it at `now`, the wall clock's time, by the key in a file: with the issuer, the audience and the
// claims that `jwt` wants, and the name and algorithm under which it lists the file.
absl::StatusOr<SelfTestAccess> AccessByKey(const std::string& path, const config::v1::Jwt& jwt, absl::Time now);

}  // namespace bridge
