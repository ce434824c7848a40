#include "tests/support/certificates.h"

#include <cstdio>
#include <cstdlib>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "absl/random/random.h"
#include "absl/strings/str_join.h"
#include "tests/support/files.h"

#include "bridge/auth/openssl.h"

namespace bridge::test {
namespace {

auth::EvpPkeyPtr ParseKey(const KeyPair& pair) {
  const auth::BioPtr bio(BIO_new_mem_buf(pair.private_pem.data(), static_cast<int>(pair.private_pem.size())));
  return auth::EvpPkeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

void SetName(X509_NAME* out, const std::string& name) {
  X509_NAME_add_entry_by_txt(out, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  const auth::OpensslPtr<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    std::fprintf(stderr, "no such extension: %s\n", value.c_str());
    std::abort();
  }
}

auth::X509Ptr Begin(const CertificateAuthority::Request& request) {
  auth::X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()),
                          absl::Uniform<uint64_t>(absl::BitGen(), 1, UINT64_MAX));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), absl::ToInt64Seconds(request.starts_in));
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), absl::ToInt64Seconds(request.ends_in));
  X509_set_pubkey(certificate.get(), ParseKey(request.key).get());
  SetName(X509_get_subject_name(certificate.get()), request.name);
  return certificate;
}

std::string Sign(X509* certificate, const KeyPair& key) {
  X509_sign(certificate, ParseKey(key).get(), EVP_sha256());
  const auth::BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(bytes)};
}

}  // namespace

CertificateAuthority::CertificateAuthority(const std::string& name) : key_(MakeEcKeyPair("P-256")), name_(name) {
  Request request;
  request.name = name;
  request.key = key_;
  const auth::X509Ptr certificate = Begin(request);
  SetName(X509_get_issuer_name(certificate.get()), name);
  AddExtension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate.get(), NID_key_usage, "critical,keyCertSign");
  pem_ = Sign(certificate.get(), key_);
}

IssuedCertificate CertificateAuthority::Issue(const Request& request) const {
  const auth::X509Ptr certificate = Begin(request);
  SetName(X509_get_issuer_name(certificate.get()), name_);
  AddExtension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  if (!request.alternative_names.empty()) {
    AddExtension(certificate.get(), NID_subject_alt_name, absl::StrJoin(request.alternative_names, ","));
  }
  return {.certificate_pem = Sign(certificate.get(), key_), .key_pem = request.key.private_pem};
}

CertificateFolder::CertificateFolder(const IssuedCertificate& certificate, const CertificateAuthority& authority) {
  Replace(certificate);
  ReplaceFile(ca_file(), authority.pem());
}

void CertificateFolder::Replace(const IssuedCertificate& certificate) const {
  ReplaceFile(certificate_file(), certificate.certificate_pem);
  ReplaceFile(key_file(), certificate.key_pem);
}

}  // namespace bridge::test
