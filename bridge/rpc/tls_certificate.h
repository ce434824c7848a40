#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "bridge/auth/watched_file.h"

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
  struct Files {
    std::string certificate;
    std::string key;
    // Empty for none.
    std::string client_ca;
  };

  // INVALID_ARGUMENT: there is no certificate, no key that can be used without a passphrase, not the certificate's key,
  // or no certificate of issuers; or why a file cannot be read. The message starts with the key of the configuration
  // and the file.
  static absl::StatusOr<std::unique_ptr<TlsCertificate>> Open(const Files& files);

  // For a FileWatcher: costs little where nothing has changed, and tells an error once. Called by one thread.
  absl::Status Reload();

  // Another pointer means another content.
  std::shared_ptr<const TlsPem> Pem() const;

 private:
  explicit TlsCertificate(const Files& files);

  absl::Status CheckRead() const;

  auth::WatchedFile certificate_;
  auth::WatchedFile key_;
  auth::WatchedFile client_ca_;
  // As the files are now, right or wrong.
  TlsPem read_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const TlsPem> pem_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::rpc
