#include "bridge/rpc/tls_certificate.h"

#include <cstddef>
#include <optional>
#include <utility>

#include <openssl/pem.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/openssl.h"
#include "bridge/base/status_macros.h"

namespace bridge::rpc {
namespace {

using auth::BioPtr;
using auth::EvpPkeyPtr;
using auth::X509Ptr;

// A bundle of all authorities that a system trusts has some 200 KiB.
constexpr size_t kFileBytesMax = size_t{1} << 20;

constexpr absl::string_view kCertificateFile = "grpc.tls.certificate_file";
constexpr absl::string_view kKeyFile = "grpc.tls.key_file";
constexpr absl::string_view kClientCaFile = "grpc.tls.client_ca_file";

BioPtr Reader(const std::string& pem) { return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

int NoPassphrase(char* /*buffer*/, int /*bytes*/, int /*is_writing*/, void* /*data*/) { return -1; }

X509Ptr FirstCertificate(const std::string& pem) {
  return X509Ptr(PEM_read_bio_X509(Reader(pem).get(), nullptr, NoPassphrase, nullptr));
}

absl::Status Wrong(absl::string_view key, const auth::WatchedFile& file, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", file.path(), " ", what));
}

constexpr absl::string_view kNoCertificate = "has no certificate in PEM (-----BEGIN CERTIFICATE-----)";

// Reads `file` into `content` where it has changed, and says whether it has.
absl::StatusOr<bool> ReadInto(auth::WatchedFile& file, absl::string_view key, std::string& content) {
  if (file.path().empty()) {
    return false;
  }
  absl::StatusOr<std::optional<std::string>> bytes = file.ReadIfChanged();
  if (!bytes.ok()) {
    return absl::Status(bytes.status().code(), absl::StrCat(key, ": ", bytes.status().message()));
  }
  if (!bytes->has_value()) {
    return false;
  }
  content = **std::move(bytes);
  return true;
}

}  // namespace

TlsCertificate::TlsCertificate(const Files& files)
    : certificate_(files.certificate, kFileBytesMax),
      key_(files.key, kFileBytesMax),
      client_ca_(files.client_ca, kFileBytesMax) {}

absl::StatusOr<std::unique_ptr<TlsCertificate>> TlsCertificate::Open(const Files& files) {
  auto opened = std::unique_ptr<TlsCertificate>(new TlsCertificate(files));
  RETURN_IF_ERROR(opened->Reload());
  return opened;
}

absl::Status TlsCertificate::Reload() {
  ASSIGN_OR_RETURN(const bool is_new_certificate, ReadInto(certificate_, kCertificateFile, read_.certificate));
  ASSIGN_OR_RETURN(const bool is_new_key, ReadInto(key_, kKeyFile, read_.key));
  ASSIGN_OR_RETURN(const bool is_new_ca, ReadInto(client_ca_, kClientCaFile, read_.client_ca));
  if (!is_new_certificate && !is_new_key && !is_new_ca) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckRead());
  const absl::MutexLock lock(&mutex_);
  pem_ = std::make_shared<const TlsPem>(read_);
  return absl::OkStatus();
}

absl::Status TlsCertificate::CheckRead() const {
  const auth::OpensslErrorScope errors;
  const X509Ptr certificate = FirstCertificate(read_.certificate);
  if (certificate == nullptr) {
    return Wrong(kCertificateFile, certificate_, kNoCertificate);
  }
  const EvpPkeyPtr key(PEM_read_bio_PrivateKey(Reader(read_.key).get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return Wrong(kKeyFile, key_, "has no private key in PEM without a passphrase (-----BEGIN PRIVATE KEY-----)");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Wrong(kKeyFile, key_, absl::StrCat("is not the key of the first certificate in ", certificate_.path()));
  }
  // Also an empty file: it must not turn the verification of clients off.
  if (!client_ca_.path().empty() && FirstCertificate(read_.client_ca) == nullptr) {
    return Wrong(kClientCaFile, client_ca_, kNoCertificate);
  }
  return absl::OkStatus();
}

std::shared_ptr<const TlsPem> TlsCertificate::Pem() const {
  const absl::MutexLock lock(&mutex_);
  return pem_;
}

}  // namespace bridge::rpc
