#include "bridge/auth/token_minter.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/base64url.h"
#include "bridge/auth/grants.h"
#include "bridge/auth/json_object.h"
#include "bridge/auth/jws.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

namespace json = boost::json;

void SetUnlessEmpty(json::object& object, json::string_view name, absl::string_view text) {
  if (!text.empty()) {
    object[name] = base::JsonText(text);
  }
}

absl::Status SetPatterns(json::object& claims, absl::string_view path, const std::vector<std::string>& patterns) {
  RETURN_IF_ERROR(PatternSet::Parse({patterns.begin(), patterns.end()}).status());
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  json::object* object = &claims;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    json::value& inner = (*object)[base::JsonText(names[i])];
    object = inner.is_object() ? &inner.get_object() : &inner.emplace_object();
  }
  json::array& list = (*object)[base::JsonText(names.back())].emplace_array();
  for (const std::string& pattern : patterns) {
    list.emplace_back(base::JsonText(pattern));
  }
  return absl::OkStatus();
}

absl::Status SetPatternsUnlessEmpty(json::object& claims, absl::string_view path,
                                    const std::vector<std::string>& patterns) {
  return patterns.empty() ? absl::OkStatus() : SetPatterns(claims, path, patterns);
}

}  // namespace

TokenMinter::TokenMinter(SigningKey key, std::string kid) : key_(std::move(key)), kid_(std::move(kid)) {}

absl::StatusOr<std::string> TokenMinter::Mint(const TokenContents& contents, absl::Duration ttl, absl::Time now) const {
  if (ttl < absl::Seconds(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ttl of ", absl::FormatDuration(ttl), " is too short: write 1s or more"));
  }
  json::object header = {{"alg", base::JsonText(NameOf(key_.algorithm()))}, {"typ", "JWT"}};
  SetUnlessEmpty(header, "kid", kid_);
  json::object claims;
  SetUnlessEmpty(claims, "sub", contents.subject);
  SetUnlessEmpty(claims, "iss", contents.issuer);
  SetUnlessEmpty(claims, "aud", contents.audience);
  const int64_t issued = absl::ToUnixSeconds(now);
  claims["iat"] = issued;
  claims["exp"] = issued + absl::ToInt64Seconds(ttl);
  RETURN_IF_ERROR(SetPatterns(claims, contents.subscribe_claim, contents.subscribe));
  RETURN_IF_ERROR(SetPatterns(claims, contents.publish_claim, contents.publish));
  RETURN_IF_ERROR(SetPatternsUnlessEmpty(claims, contents.call_claim, contents.call));
  RETURN_IF_ERROR(SetPatternsUnlessEmpty(claims, contents.serve_claim, contents.serve));

  const std::string signed_text = JoinSignedText(header, claims);
  ASSIGN_OR_RETURN(const std::string signature, key_.Sign(signed_text));
  std::string token = absl::StrCat(signed_text, ".", EncodeBase64Url(signature));
  if (token.size() > kTokenBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("the token would have ", token.size(), " bytes; at most ",
                                                   kTokenBytesMax, " are accepted: use wider patterns"));
  }
  return token;
}

}  // namespace bridge::auth
