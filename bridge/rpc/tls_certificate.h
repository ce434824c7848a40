#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "bridge/auth/certificate_files.h"

namespace bridge::rpc {

// The certificate of the gRPC listener, its key, and who signs clients' certificates, in PEM.
struct TlsPem {
  // The listener's own first, then those of its issuers.
  std::string certificate;
  std::string key;
  // Empty where clients show none.
  std::string client_ca;
};

// A TlsPem in files, which are read again when they change; what is wrong does not replace what was right. Thread-safe.
class TlsCertificate {
 public:
  // Errors as of CertificateFiles.
  static absl::StatusOr<std::unique_ptr<TlsCertificate>> Open(const auth::CertificateFiles::Options& files);

  // For a FileWatcher: costs little where nothing has changed, and tells an error once. Called by one thread.
  absl::Status Reload();

  // Another pointer means another content.
  std::shared_ptr<const TlsPem> Pem() const;

 private:
  explicit TlsCertificate(const auth::CertificateFiles::Options& files) : files_(files) {}

  auth::CertificateFiles files_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const TlsPem> pem_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::rpc
