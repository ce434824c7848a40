#include "bridge/auth/jwks.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <openssl/core_names.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/auth/base64url.h"
#include "bridge/auth/json_object.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

namespace json = boost::json;

// A modulus of 8,192 bits and some room.
constexpr size_t kMemberBytesMax = 1100;

absl::StatusOr<std::string> BytesOf(const json::object& jwk, absl::string_view member) {
  const std::optional<absl::string_view> text = FindText(jwk, member);
  std::optional<std::string> bytes =
      !text.has_value() || text->size() > 2 * kMemberBytesMax ? std::nullopt : DecodeBase64Url(*text);
  if (!bytes.has_value() || bytes->empty() || bytes->size() > kMemberBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("has no \"", member, "\" in base64url"));
  }
  return *std::move(bytes);
}

absl::StatusOr<EvpPkeyPtr> MakeKey(const char* kind, const OSSL_PARAM_BLD& build) {
  const OsslParamPtr params(OSSL_PARAM_BLD_to_param(const_cast<OSSL_PARAM_BLD*>(&build)));
  const EvpPkeyCtxPtr context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return absl::InvalidArgumentError("is no public key");
  }
  return EvpPkeyPtr(key);
}

absl::StatusOr<EvpPkeyPtr> RsaKey(const json::object& jwk) {
  ASSIGN_OR_RETURN(const std::string n_bytes, BytesOf(jwk, "n"));
  ASSIGN_OR_RETURN(const std::string e_bytes, BytesOf(jwk, "e"));
  const auto number = [](const std::string& bytes) {
    return BignumPtr(
        BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
  };
  const BignumPtr n = number(n_bytes);
  const BignumPtr e = number(e_bytes);
  const OsslParamBldPtr build(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return MakeKey("RSA", *build);
}

absl::StatusOr<EvpPkeyPtr> EcKey(const json::object& jwk) {
  const std::optional<absl::string_view> curve = FindText(jwk, "crv");
  const bool is_p256 = curve == "P-256";
  if (!is_p256 && curve != "P-384") {
    return absl::InvalidArgumentError("is on a curve that is not P-256 or P-384");
  }
  const size_t bytes = EcPartBytes(is_p256 ? KeyType::kP256 : KeyType::kP384);
  ASSIGN_OR_RETURN(const std::string x, BytesOf(jwk, "x"));
  ASSIGN_OR_RETURN(const std::string y, BytesOf(jwk, "y"));
  if (x.size() != bytes || y.size() != bytes) {
    return absl::InvalidArgumentError("has coordinates of another curve's length");
  }
  const std::string point = absl::StrCat("\x04", x, y);  // uncompressed; OpenSSL checks that it is on the curve
  const OsslParamBldPtr build(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, is_p256 ? "prime256v1" : "secp384r1", 0);
  OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return MakeKey("EC", *build);
}

absl::StatusOr<EvpPkeyPtr> OkpKey(const json::object& jwk) {
  const std::optional<absl::string_view> curve = FindText(jwk, "crv");
  if (curve != "Ed25519") {
    return absl::InvalidArgumentError("is on a curve that is not Ed25519");
  }
  ASSIGN_OR_RETURN(const std::string x, BytesOf(jwk, "x"));
  EvpPkeyPtr key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                             reinterpret_cast<const unsigned char*>(x.data()), x.size()));
  if (key == nullptr) {
    return absl::InvalidArgumentError("is no public key");
  }
  return key;
}

// Whether "use" and "key_ops", where they are there, let the key verify.
bool IsForVerifying(const json::object& jwk) {
  if (FindMember(jwk, "use") != nullptr && FindText(jwk, "use") != "sig") {
    return false;
  }
  const json::value* const operations = FindMember(jwk, "key_ops");
  return operations == nullptr ||
         (operations->is_array() &&
          std::ranges::find(operations->get_array(), json::value("verify")) != operations->get_array().end());
}

absl::StatusOr<Key> ParseJwk(const json::object& jwk, JwksSecrets secrets) {
  if (!IsForVerifying(jwk)) {
    return absl::InvalidArgumentError("is not for verifying signatures");
  }
  Key::Name name;
  name.kid = std::string(FindText(jwk, "kid").value_or(""));
  if (FindMember(jwk, "alg") != nullptr) {
    name.algorithm = ParseAlgorithm(FindText(jwk, "alg").value_or(""));
    if (!name.algorithm.has_value()) {
      return absl::InvalidArgumentError("is for an algorithm that is not known here");
    }
  }
  const absl::string_view kty = FindText(jwk, "kty").value_or("");
  if (kty == "oct") {
    if (secrets == JwksSecrets::kIgnored) {
      return absl::InvalidArgumentError("is a secret (kty oct), and what is at a URL is none");
    }
    if (name.algorithm.has_value() && KeyTypeOf(*name.algorithm) != KeyType::kSecret) {
      return absl::InvalidArgumentError("is a secret for an algorithm that takes public keys");
    }
    ASSIGN_OR_RETURN(const std::string secret, BytesOf(jwk, "k"));
    return Key::FromSecret(std::move(name), secret);
  }
  absl::StatusOr<EvpPkeyPtr> key = kty == "RSA"  ? RsaKey(jwk)
                                   : kty == "EC" ? EcKey(jwk)
                                   : kty == "OKP"
                                       ? OkpKey(jwk)
                                       : absl::InvalidArgumentError("is of a kind (kty) that is not known here");
  if (!key.ok()) {
    return std::move(key).status();
  }
  return Key::FromOpenssl(std::move(name), *std::move(key));
}

}  // namespace

absl::StatusOr<std::vector<Key>> ParseJwks(absl::string_view text, JwksSecrets secrets) {
  if (text.size() > kJwksBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", text.size(), " bytes; a key set has at most ", kJwksBytesMax));
  }
  ASSIGN_OR_RETURN(const json::object set, ParseJsonObject(text));
  const json::value* const members = FindMember(set, "keys");
  if (members == nullptr || !members->is_array()) {
    return absl::InvalidArgumentError("is no key set: it has no list \"keys\"");
  }
  const json::array& jwks = members->get_array();
  if (jwks.size() > kJwksKeysMax) {
    return absl::InvalidArgumentError(absl::StrCat("has ", jwks.size(), " keys; at most ", kJwksKeysMax, " are taken"));
  }
  const OpensslErrorScope errors;
  std::vector<Key> keys;
  absl::Status first_error;
  for (const json::value& jwk : jwks) {
    absl::StatusOr<Key> key =
        jwk.is_object() ? ParseJwk(jwk.get_object(), secrets) : absl::InvalidArgumentError("is no object");
    if (key.ok()) {
      keys.push_back(*std::move(key));
    } else if (first_error.ok()) {
      first_error = std::move(key).status();
    }
  }
  if (keys.empty() && !first_error.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has no key that verifies tokens; the first one ", first_error.message()));
  }
  return keys;
}

}  // namespace bridge::auth
