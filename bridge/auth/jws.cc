#include "bridge/auth/jws.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "bridge/auth/base64url.h"
#include "bridge/auth/json_object.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

namespace json = boost::json;

absl::Status ReadHeader(const json::object& header, Jws& jws) {
  if (FindMember(header, "crit") != nullptr) {
    return absl::UnauthenticatedError("the token's header has crit, and no extension is known here");
  }
  const std::optional<Algorithm> algorithm = ParseAlgorithm(FindText(header, "alg").value_or(""));
  if (!algorithm.has_value()) {
    return absl::UnauthenticatedError(absl::StrCat("the token's alg is none of ", AlgorithmNames()));
  }
  jws.algorithm = *algorithm;
  if (FindMember(header, "kid") != nullptr) {
    const std::optional<absl::string_view> kid = FindText(header, "kid");
    if (!kid.has_value() || kid->empty() || kid->size() > kKidBytesMax) {
      return absl::UnauthenticatedError(absl::StrCat("the token's kid is not a text of 1 to ", kKidBytesMax, " bytes"));
    }
    jws.kid = std::string(*kid);
  }
  if (FindMember(header, "typ") != nullptr) {
    const std::optional<absl::string_view> type = FindText(header, "typ");
    if (!type.has_value() || type->empty()) {
      return absl::UnauthenticatedError("the token's typ is no text");
    }
    const std::string lower = absl::AsciiStrToLower(*type);
    jws.type = std::string(absl::StripPrefix(lower, "application/"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Jws> ParseJws(absl::string_view token) {
  if (token.size() > kTokenBytesMax) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token has ", token.size(), " bytes; at most ", kTokenBytesMax, " are accepted"));
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  if (parts.size() != 3) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token has ", parts.size(), " parts; a signed JWT has three, with dots between them"));
  }
  const std::optional<std::string> header_text = DecodeBase64Url(parts[0]);
  std::optional<std::string> payload = DecodeBase64Url(parts[1]);
  std::optional<std::string> signature = DecodeBase64Url(parts[2]);
  if (!header_text.has_value() || !payload.has_value() || !signature.has_value()) {
    return absl::UnauthenticatedError("a part of the token is not base64url without padding");
  }
  if (header_text->size() > kTokenHeaderBytesMax) {
    return absl::UnauthenticatedError(absl::StrCat("the token's header has ", header_text->size(), " bytes; at most ",
                                                   kTokenHeaderBytesMax, " are accepted"));
  }
  const absl::StatusOr<json::object> header = ParseJsonObject(*header_text);
  if (!header.ok()) {
    return absl::UnauthenticatedError(absl::StrCat("the token's header ", header.status().message()));
  }
  Jws jws{};
  RETURN_IF_ERROR(ReadHeader(*header, jws));
  jws.signed_text = token.substr(0, parts[0].size() + 1 + parts[1].size());
  jws.payload = *std::move(payload);
  jws.signature = *std::move(signature);
  return jws;
}

std::string JoinSignedText(const json::object& header, const json::object& payload) {
  return absl::StrCat(EncodeBase64Url(json::serialize(header)), ".", EncodeBase64Url(json::serialize(payload)));
}

}  // namespace bridge::auth
