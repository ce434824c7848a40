#include "tests/support/certificates.h"

#include <cstdlib>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "bridge/auth/openssl.h"

namespace bridge::test {
namespace {

using ExtensionPtr = auth::OpensslPtr<X509_EXTENSION, X509_EXTENSION_free>;

struct Contents {
  std::string subject;
  std::string issuer;
  // OpenSSL's name of an extension, and its value; none where that is empty.
  int extension;
  std::string extension_value;
};

auth::EvpPkeyPtr PrivateKeyOf(const KeyPair& pair) {
  const auth::BioPtr bio(BIO_new_mem_buf(pair.private_pem.data(), static_cast<int>(pair.private_pem.size())));
  return auth::EvpPkeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

void SetCommonName(X509_NAME* name, const std::string& text) {
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1,
                             0);
}

std::string Sign(const Contents& contents, const KeyPair& subject, const KeyPair& issuer) {
  static int serial = 0;
  const auth::X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), PrivateKeyOf(subject).get());
  SetCommonName(X509_get_subject_name(certificate.get()), contents.subject);
  SetCommonName(X509_get_issuer_name(certificate.get()), contents.issuer);
  if (!contents.extension_value.empty()) {
    const ExtensionPtr extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, contents.extension, contents.extension_value.c_str()));
    X509_add_ext(certificate.get(), extension.get(), -1);
  }
  if (X509_sign(certificate.get(), PrivateKeyOf(issuer).get(), EVP_sha256()) == 0) {
    std::abort();
  }
  const auth::BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate.get());
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(bytes)};
}

}  // namespace

Authority::Authority(const std::string& name)
    : name_(name),
      certificate_(Sign(
          {.subject = name, .issuer = name, .extension = NID_basic_constraints, .extension_value = "critical,CA:TRUE"},
          pair_, pair_)) {}

Certified Authority::Issue(const std::string& names, const std::string& common_name) const {
  const KeyPair pair = MakeEcKeyPair("P-256");
  return {.certificate = Sign(
              {.subject = common_name, .issuer = name_, .extension = NID_subject_alt_name, .extension_value = names},
              pair, pair_),
          .key = pair.private_pem};
}

}  // namespace bridge::test
