#include "tests/support/tokens.h"

#include <cstdlib>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "bridge/auth/base64url.h"
#include "bridge/auth/openssl.h"

namespace bridge::test {
namespace {

std::string TextOf(BIO& bio) {
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(&bio, &data);
  return {data, static_cast<size_t>(bytes)};
}

KeyPair ToPem(auth::EvpPkeyPtr key) {
  const auth::BioPtr private_bio(BIO_new(BIO_s_mem()));
  const auth::BioPtr public_bio(BIO_new(BIO_s_mem()));
  if (key == nullptr ||
      PEM_write_bio_PrivateKey(private_bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_PUBKEY(public_bio.get(), key.get()) != 1) {
    std::abort();
  }
  return {.private_pem = TextOf(*private_bio), .public_pem = TextOf(*public_bio)};
}

auth::EvpPkeyPtr ReadPrivateKey(const std::string& pem) {
  const auth::BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return auth::EvpPkeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

std::string Number(const EVP_PKEY& key, const char* name, int bytes) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(&key, name, &number);
  const auth::BignumPtr owner(number);
  std::string out(static_cast<size_t>(bytes == 0 ? BN_num_bytes(number) : bytes), '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
  return auth::EncodeBase64Url(out);
}

}  // namespace

auth::SigningKey KeyPair::Signer() const {
  absl::StatusOr<auth::SigningKey> key = auth::SigningKey::Parse(private_pem);
  return *std::move(key);
}

KeyPair MakeRsaKeyPair(unsigned bits) { return ToPem(auth::EvpPkeyPtr(EVP_RSA_gen(bits))); }

const KeyPair& SharedRsaKeyPair() {
  static const KeyPair pair = MakeRsaKeyPair();
  return pair;
}

KeyPair MakeEcKeyPair(const char* curve) { return ToPem(auth::EvpPkeyPtr(EVP_EC_gen(curve))); }

KeyPair MakeEd25519KeyPair() { return ToPem(auth::EvpPkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"))); }

std::string MakeCertificate(const KeyPair& pair) {
  const auth::EvpPkeyPtr key = ReadPrivateKey(pair.private_pem);
  const auth::X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  const auth::BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate.get());
  return TextOf(*bio);
}

std::string ToJwk(const KeyPair& pair, absl::string_view more) {
  const auth::EvpPkeyPtr key = ReadPrivateKey(pair.private_pem);
  if (EVP_PKEY_is_a(key.get(), "RSA") == 1) {
    return absl::StrCat(R"({"kty": "RSA", "n": ")", Number(*key, OSSL_PKEY_PARAM_RSA_N, 0), R"(", "e": ")",
                        Number(*key, OSSL_PKEY_PARAM_RSA_E, 0), "\"", more, "}");
  }
  if (EVP_PKEY_is_a(key.get(), "EC") == 1) {
    const int bytes = (EVP_PKEY_get_bits(key.get()) + 7) / 8;
    return absl::StrCat(R"({"kty": "EC", "crv": "P-)", 8 * bytes, R"(", "x": ")",
                        Number(*key, OSSL_PKEY_PARAM_EC_PUB_X, bytes), R"(", "y": ")",
                        Number(*key, OSSL_PKEY_PARAM_EC_PUB_Y, bytes), "\"", more, "}");
  }
  std::string raw(32, '\0');
  size_t bytes = raw.size();
  EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(raw.data()), &bytes);
  return absl::StrCat(R"({"kty": "OKP", "crv": "Ed25519", "x": ")", auth::EncodeBase64Url(raw), "\"", more, "}");
}

std::string SignToken(absl::string_view header, absl::string_view payload, const auth::SigningKey& key) {
  const std::string text = absl::StrCat(auth::EncodeBase64Url(header), ".", auth::EncodeBase64Url(payload));
  const absl::StatusOr<std::string> signature = key.Sign(text);
  return absl::StrCat(text, ".", auth::EncodeBase64Url(*signature));
}

std::string SignToken(absl::string_view payload, const auth::SigningKey& key) {
  return SignToken(absl::StrCat(R"({"alg": ")", auth::NameOf(key.algorithm()), R"("})"), payload, key);
}

auth::SigningKey SecretSigner(absl::string_view secret, auth::Algorithm algorithm) {
  absl::StatusOr<auth::SigningKey> key = auth::SigningKey::Parse(secret, algorithm);
  return *std::move(key);
}

}  // namespace bridge::test
