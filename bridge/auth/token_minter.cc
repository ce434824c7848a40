#include "bridge/auth/token_minter.h"

#include <utility>

#include <google/protobuf/struct.pb.h>

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

using google::protobuf::Struct;

void SetUnlessEmpty(Struct& object, absl::string_view name, absl::string_view text) {
  if (!text.empty()) {
    SetText(object, name, text);
  }
}

absl::Status SetPatterns(Struct& claims, absl::string_view path, const std::vector<std::string>& patterns) {
  RETURN_IF_ERROR(PatternSet::Parse({patterns.begin(), patterns.end()}).status());
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  Struct* object = &claims;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    object = (*object->mutable_fields())[names[i]].mutable_struct_value();
  }
  auto& list = *(*object->mutable_fields())[names.back()].mutable_list_value();
  for (const std::string& pattern : patterns) {
    list.add_values()->set_string_value(pattern);
  }
  return absl::OkStatus();
}

}  // namespace

TokenMinter::TokenMinter(SigningKey key, std::string kid) : key_(std::move(key)), kid_(std::move(kid)) {}

absl::StatusOr<std::string> TokenMinter::Mint(const TokenContents& contents, absl::Duration ttl, absl::Time now) const {
  if (ttl < absl::Seconds(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ttl of ", absl::FormatDuration(ttl), " is too short: write 1s or more"));
  }
  Struct header;
  SetText(header, "alg", NameOf(key_.algorithm()));
  SetText(header, "typ", "JWT");
  SetUnlessEmpty(header, "kid", kid_);
  Struct claims;
  SetUnlessEmpty(claims, "sub", contents.subject);
  SetUnlessEmpty(claims, "iss", contents.issuer);
  SetUnlessEmpty(claims, "aud", contents.audience);
  const int64_t issued = absl::ToUnixSeconds(now);
  (*claims.mutable_fields())["iat"].set_number_value(static_cast<double>(issued));
  (*claims.mutable_fields())["exp"].set_number_value(static_cast<double>(issued + absl::ToInt64Seconds(ttl)));
  RETURN_IF_ERROR(SetPatterns(claims, contents.subscribe_claim, contents.subscribe));
  RETURN_IF_ERROR(SetPatterns(claims, contents.publish_claim, contents.publish));

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
