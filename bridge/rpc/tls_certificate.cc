#include "bridge/rpc/tls_certificate.h"

#include <optional>
#include <utility>

#include "bridge/base/status_macros.h"

namespace bridge::rpc {

absl::StatusOr<std::unique_ptr<TlsCertificate>> TlsCertificate::Open(const auth::CertificateFiles::Options& files) {
  auto opened = std::unique_ptr<TlsCertificate>(new TlsCertificate(files));
  RETURN_IF_ERROR(opened->Reload());
  return opened;
}

absl::Status TlsCertificate::Reload() {
  ASSIGN_OR_RETURN(std::optional<auth::Certificate> changed, files_.ReadIfChanged());
  if (!changed.has_value()) {
    return absl::OkStatus();
  }
  auto pem = std::make_shared<const TlsPem>(TlsPem{.certificate = std::move(changed->chain_pem),
                                                   .key = std::move(changed->key_pem),
                                                   .client_ca = std::move(changed->client_roots_pem)});
  const absl::MutexLock lock(&mutex_);
  pem_ = std::move(pem);
  return absl::OkStatus();
}

std::shared_ptr<const TlsPem> TlsCertificate::Pem() const {
  const absl::MutexLock lock(&mutex_);
  return pem_;
}

}  // namespace bridge::rpc
