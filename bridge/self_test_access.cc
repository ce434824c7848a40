#include "bridge/self_test_access.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "bridge/auth/algorithm.h"
#include "bridge/auth/claims.h"
#include "bridge/auth/grants.h"
#include "bridge/auth/json_object.h"
#include "bridge/auth/jws.h"
#include "bridge/auth/signing_key.h"
#include "bridge/auth/token_minter.h"
#include "bridge/base/annotated.h"
#include "bridge/base/status_macros.h"
#include "bridge/option_file.h"
#include "bridge/topic/pattern.h"
#include "bridge/topic/topic.h"

namespace bridge {
namespace {

constexpr absl::Duration kTokenLifetime = absl::Minutes(5);

// No two self-tests have the same.
std::string NewName() {
  absl::BitGen bits;
  return absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(bits), absl::kZeroPad16));
}

std::string NewTopic() { return absl::StrCat("bridge-self-test.", NewName()); }

// A topic that the pattern matches.
std::string TopicOf(const std::string& pattern) {
  std::vector<std::string> tokens = absl::StrSplit(pattern, '.');
  for (std::string& token : tokens) {
    if (token == "*" || token == ">") {
      token = absl::StrCat("self-test-", NewName());
    }
  }
  return absl::StrJoin(tokens, ".");
}

bool LetsBoth(const std::string& topic, const auth::PatternSet& subscribe, const auth::PatternSet& publish) {
  return topic::ValidateTopic(topic).ok() && publish.Matches(topic) &&
         subscribe.Contains(*topic::Pattern::Parse(topic));
}

std::optional<std::string> TopicWithin(const auth::PatternSet& subscribe, const auth::PatternSet& publish) {
  std::vector<std::string> topics = {NewTopic()};
  for (const auth::PatternSet* const side : {&publish, &subscribe}) {
    for (const std::string& pattern : side->texts()) {
      topics.push_back(TopicOf(pattern));
    }
  }
  for (std::string& topic : topics) {
    if (LetsBoth(topic, subscribe, publish)) {
      return std::move(topic);
    }
  }
  return std::nullopt;
}

// The topic that fits the token, whose signature the bridge will look at.
absl::StatusOr<std::string> TopicFor(const std::string& token, const config::v1::Jwt& jwt) {
  ASSIGN_OR_RETURN(const auth::Jws jws, auth::ParseJws(token));
  const absl::StatusOr<boost::json::object> claims = auth::ParseJsonObject(jws.payload);
  if (!claims.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("the token's payload ", claims.status().message()));
  }
  ASSIGN_OR_RETURN(const auth::PatternSet subscribe, auth::ReadPatterns(*claims, jwt.subscribe_claim()));
  ASSIGN_OR_RETURN(const auth::PatternSet publish, auth::ReadPatterns(*claims, jwt.publish_claim()));
  std::optional<std::string> topic = TopicWithin(subscribe, publish);
  if (!topic.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the token lets nobody subscribe to what he may publish: list bridge-self-test.* in its claims ",
                     jwt.subscribe_claim(), " and ", jwt.publish_claim()));
  }
  return *std::move(topic);
}

}  // namespace

SelfTestAccess AnonymousAccess() { return {.token = "", .topic = NewTopic()}; }

absl::StatusOr<SelfTestAccess> AccessByToken(const std::string& path, const config::v1::Jwt& jwt) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadOptionFile("--token-file", path));
  SelfTestAccess access = {.token = std::string(absl::StripAsciiWhitespace(bytes)), .topic = ""};
  absl::StatusOr<std::string> topic = TopicFor(access.token, jwt);
  if (!topic.ok()) {
    return base::Annotated(topic.status(), absl::StrCat("--token-file: ", path, ": "));
  }
  access.topic = *std::move(topic);
  return access;
}

absl::StatusOr<SelfTestAccess> AccessByKey(const std::string& path, const config::v1::Jwt& jwt, absl::Time now) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadOptionFile("--key-file", path));
  std::optional<auth::Algorithm> algorithm;
  std::string kid;
  for (const config::v1::JwtKey& listed : jwt.keys()) {
    if (listed.secret_file() == path) {
      algorithm = auth::ParseAlgorithm(config::v1::Jwt::Algorithm_Name(listed.algorithm()));
      kid = listed.kid();
    }
  }
  absl::StatusOr<auth::SigningKey> key = auth::SigningKey::Parse(bytes, algorithm);
  if (!key.ok()) {
    return base::Annotated(key.status(), absl::StrCat("--key-file: ", path, " "));
  }
  const std::string topic = NewTopic();
  const auth::TokenContents contents = {.subject = "self-test",
                                        .issuer = jwt.issuer(),
                                        .audience = jwt.audience(),
                                        .subscribe = {topic},
                                        .publish = {topic},
                                        .subscribe_claim = jwt.subscribe_claim(),
                                        .publish_claim = jwt.publish_claim()};
  ASSIGN_OR_RETURN(std::string token, auth::TokenMinter(*std::move(key), kid).Mint(contents, kTokenLifetime, now));
  return SelfTestAccess{.token = std::move(token), .topic = topic};
}

}  // namespace bridge
