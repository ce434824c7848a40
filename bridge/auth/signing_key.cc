#include "bridge/auth/signing_key.h"

#include <cstddef>
#include <utility>

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "bridge/auth/key.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

Algorithm UsualAlgorithm(KeyType type) {
  switch (type) {
    case KeyType::kSecret:
      return Algorithm::kHs256;
    case KeyType::kRsa:
      return Algorithm::kRs256;
    case KeyType::kP256:
      return Algorithm::kEs256;
    case KeyType::kP384:
      return Algorithm::kEs384;
    case KeyType::kEd25519:
      return Algorithm::kEdDsa;
  }
  return Algorithm::kHs256;
}

// OpenSSL would ask for a passphrase at the terminal.
int RefusePassphrase(char*, int, int, void*) { return -1; }

// The reverse of what Key does before it verifies. Empty where `der` is no signature.
std::string RawEcSignature(absl::string_view der, size_t part_bytes) {
  const auto* in = reinterpret_cast<const unsigned char*>(der.data());
  const EcdsaSigPtr signature(d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size())));
  std::string raw(2 * part_bytes, '\0');
  auto* const out = reinterpret_cast<unsigned char*>(raw.data());
  const int bytes = static_cast<int>(part_bytes);
  if (signature == nullptr || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, bytes) != bytes ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + part_bytes, bytes) != bytes) {
    return "";
  }
  return raw;
}

}  // namespace

absl::StatusOr<SigningKey> SigningKey::FromSecret(Algorithm algorithm, absl::string_view secret) {
  RETURN_IF_ERROR(Key::FromSecret({.kid = "", .algorithm = algorithm}, secret).status());
  SigningKey key(algorithm);
  key.hmac_.emplace(algorithm, secret);
  return key;
}

absl::StatusOr<SigningKey> SigningKey::Parse(absl::string_view bytes, std::optional<Algorithm> algorithm) {
  if (!absl::StrContains(bytes, "-----BEGIN ")) {
    const Algorithm wanted = algorithm.value_or(UsualAlgorithm(KeyType::kSecret));
    if (KeyTypeOf(wanted) != KeyType::kSecret) {
      return absl::InvalidArgumentError(
          absl::StrCat("is no private key in PEM; ", NameOf(wanted), " takes ", NameOf(KeyTypeOf(wanted))));
    }
    return FromSecret(wanted, absl::StripSuffix(bytes, "\n"));
  }
  const OpensslErrorScope errors;
  const BioPtr bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  EvpPkeyPtr private_key(PEM_read_bio_PrivateKey(bio.get(), nullptr, RefusePassphrase, nullptr));
  if (private_key == nullptr) {
    return absl::InvalidArgumentError("is no private key in PEM, or one with a passphrase");
  }
  ASSIGN_OR_RETURN(const KeyType type, TypeOf(*private_key));
  SigningKey key(algorithm.value_or(UsualAlgorithm(type)));
  if (KeyTypeOf(key.algorithm_) != type) {
    return absl::InvalidArgumentError(
        absl::StrCat("is ", NameOf(type), "; ", NameOf(key.algorithm_), " takes ", NameOf(KeyTypeOf(key.algorithm_))));
  }
  key.private_key_ = std::shared_ptr<EVP_PKEY>(std::move(private_key));
  return key;
}

absl::StatusOr<std::string> SigningKey::Sign(absl::string_view text) const {
  if (hmac_.has_value()) {
    return hmac_->Of(text);
  }
  const OpensslErrorScope errors;
  const EvpMdCtxPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;  // belongs to `context`
  const auto* const in = reinterpret_cast<const unsigned char*>(text.data());
  size_t bytes = 0;
  bool is_ok = EVP_DigestSignInit_ex(context.get(), &key_context, DigestOf(algorithm_), nullptr, nullptr,
                                     private_key_.get(), nullptr) == 1;
  if (is_ok && algorithm_ == Algorithm::kPs256) {
    is_ok = EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  is_ok = is_ok && EVP_DigestSign(context.get(), nullptr, &bytes, in, text.size()) == 1;
  std::string signature(bytes, '\0');
  is_ok = is_ok && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &bytes, in,
                                  text.size()) == 1;
  if (!is_ok) {
    return absl::InternalError(absl::StrCat("signing with ", NameOf(algorithm_), " failed"));
  }
  signature.resize(bytes);
  const KeyType type = KeyTypeOf(algorithm_);
  return type == KeyType::kP256 || type == KeyType::kP384 ? RawEcSignature(signature, EcPartBytes(type)) : signature;
}

}  // namespace bridge::auth
