#include "bridge/auth/key.h"

#include <array>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

// RFC 7518 §3.3 wants 2,048; beyond 8,192 a verification takes too long for an event loop.
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;
// Verifying takes as many multiplications as the exponent has bits; 65,537 is what everybody uses.
constexpr int kRsaExponentBitsMax = 64;

const unsigned char* Bytes(absl::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

absl::Status CheckRsa(const EVP_PKEY& key) {
  const int bits = EVP_PKEY_get_bits(&key);
  if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("is an RSA key of ", bits, " bits; from ", kRsaBitsMin, " to ", kRsaBitsMax, " are accepted"));
  }
  BIGNUM* exponent = nullptr;
  EVP_PKEY_get_bn_param(&key, OSSL_PKEY_PARAM_RSA_E, &exponent);
  const BignumPtr owner(exponent);
  if (exponent == nullptr || BN_num_bits(exponent) < 2 || BN_num_bits(exponent) > kRsaExponentBitsMax) {
    return absl::InvalidArgumentError("is an RSA key with an exponent that no sound key has");
  }
  return absl::OkStatus();
}

// RFC 7518 §3.4 puts r and s side by side, OpenSSL wants them in DER. Empty where the length is not the curve's.
std::string EcSignatureInDer(absl::string_view raw, size_t part_bytes) {
  if (raw.size() != 2 * part_bytes) {
    return "";
  }
  const EcdsaSigPtr signature(ECDSA_SIG_new());
  BignumPtr r(BN_bin2bn(Bytes(raw), static_cast<int>(part_bytes), nullptr));
  BignumPtr s(BN_bin2bn(Bytes(raw) + part_bytes, static_cast<int>(part_bytes), nullptr));
  if (signature == nullptr || r == nullptr || s == nullptr) {
    return "";
  }
  // Fails only where it is given none.
  ECDSA_SIG_set0(signature.get(), r.release(), s.release());
  std::string der(static_cast<size_t>(std::max(0, i2d_ECDSA_SIG(signature.get(), nullptr))), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(signature.get(), &out);
  return der;
}

bool VerifiesPublicly(Algorithm algorithm, EVP_PKEY& key, absl::string_view text, absl::string_view signature) {
  const EvpMdCtxPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;  // belongs to `context`
  if (context == nullptr ||
      EVP_DigestVerifyInit_ex(context.get(), &key_context, DigestOf(algorithm), nullptr, nullptr, &key, nullptr) != 1) {
    return false;
  }
  // RFC 8017 §8.1.2: as long as the modulus. OpenSSL would take one whose leading zeros are left out.
  if (algorithm == Algorithm::kPs256 && (signature.size() != static_cast<size_t>(EVP_PKEY_get_size(&key)) ||
                                         EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) != 1 ||
                                         EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(text), text.size()) == 1;
}

}  // namespace

absl::StatusOr<KeyType> TypeOf(const EVP_PKEY& key) {
  if (EVP_PKEY_is_a(&key, "RSA") == 1) {
    RETURN_IF_ERROR(CheckRsa(key));
    return KeyType::kRsa;
  }
  if (EVP_PKEY_is_a(&key, "ED25519") == 1) {
    return KeyType::kEd25519;
  }
  std::array<char, 64> group{};
  size_t group_bytes = 0;
  if (EVP_PKEY_is_a(&key, "EC") == 1 && EVP_PKEY_get_group_name(&key, group.data(), group.size(), &group_bytes) == 1) {
    const absl::string_view name(group.data(), group_bytes);
    if (name == SN_X9_62_prime256v1) {
      return KeyType::kP256;
    }
    if (name == SN_secp384r1) {
      return KeyType::kP384;
    }
  }
  return absl::InvalidArgumentError("is of a kind that signs no tokens here: RSA, P-256, P-384 and Ed25519 do");
}

size_t EcPartBytes(KeyType type) { return type == KeyType::kP256 ? 32 : 48; }

absl::StatusOr<Key> Key::FromSecret(Name name, absl::string_view secret) {
  const Algorithm algorithm = name.algorithm.value_or(Algorithm::kHs256);
  const size_t bytes_min = SecretBytesMin(algorithm);
  if (secret.size() < bytes_min) {
    return absl::InvalidArgumentError(absl::StrCat("has ", secret.size(), " bytes; a secret for ", NameOf(algorithm),
                                                   " has at least ", bytes_min,
                                                   ", as \"openssl rand -base64 48\" makes them"));
  }
  Key key(std::move(name), KeyType::kSecret);
  for (const Algorithm each : {Algorithm::kHs256, Algorithm::kHs384, Algorithm::kHs512}) {
    if (key.name_.algorithm.value_or(each) == each && secret.size() >= SecretBytesMin(each)) {
      key.hmacs_.emplace(each, Hmac(each, secret));
    }
  }
  return key;
}

absl::StatusOr<Key> Key::FromPem(Name name, absl::string_view pem) {
  const OpensslErrorScope errors;
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  EvpPkeyPtr key;
  if (absl::StrContains(pem, "-----BEGIN CERTIFICATE-----")) {
    const X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    key.reset(certificate == nullptr ? nullptr : X509_get_pubkey(certificate.get()));
  } else {
    key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  }
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrContains(pem, "PRIVATE KEY-----")
            ? "is a private key: the bridge needs the public one, as \"openssl pkey -pubout\" makes it"
            : R"(is neither a public key (-----BEGIN PUBLIC KEY-----) nor a certificate in PEM)");
  }
  return FromOpenssl(std::move(name), std::move(key));
}

absl::StatusOr<Key> Key::FromOpenssl(Name name, EvpPkeyPtr pkey) {
  const OpensslErrorScope errors;
  ASSIGN_OR_RETURN(const KeyType type, TypeOf(*pkey));
  if (name.algorithm.has_value() && KeyTypeOf(*name.algorithm) != type) {
    return absl::InvalidArgumentError(absl::StrCat("is ", NameOf(type), "; ", NameOf(*name.algorithm), " takes ",
                                                   NameOf(KeyTypeOf(*name.algorithm))));
  }
  Key key(std::move(name), type);
  key.public_key_ = std::shared_ptr<EVP_PKEY>(std::move(pkey));
  return key;
}

bool Key::IsFor(Algorithm algorithm) const {
  if (type_ == KeyType::kSecret) {
    return hmacs_.contains(algorithm);
  }
  return KeyTypeOf(algorithm) == type_ && name_.algorithm.value_or(algorithm) == algorithm;
}

bool Key::Verifies(Algorithm algorithm, absl::string_view text, absl::string_view signature) const {
  if (!IsFor(algorithm)) {
    return false;
  }
  const OpensslErrorScope errors;
  if (type_ == KeyType::kSecret) {
    const std::string mac = hmacs_.at(algorithm).Of(text);
    return !mac.empty() && mac.size() == signature.size() &&
           CRYPTO_memcmp(mac.data(), signature.data(), mac.size()) == 0;
  }
  if (type_ == KeyType::kP256 || type_ == KeyType::kP384) {
    const std::string der = EcSignatureInDer(signature, EcPartBytes(type_));
    return !der.empty() && VerifiesPublicly(algorithm, *public_key_, text, der);
  }
  return VerifiesPublicly(algorithm, *public_key_, text, signature);
}

}  // namespace bridge::auth
