#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/auth/certificate_files.h"
#include "bridge/http/tls_session.h"

namespace bridge::http {

// The settings of TLS and the certificate, as they are now, for new connections. TLS 1.2 and 1.3, HTTP/1.1, without
// compression, renegotiation and early data. A client that comes back may resume its session by a ticket that holds it;
// nothing is kept of it here. Where clients show certificates there are no tickets: each connection shows its own.
//
// Thread-safe.
class TlsContext {
 public:
  // The error says which file cannot be taken, and what would be right. A certificate that is out of its time is
  // logged, and taken.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Open(const auth::CertificateFiles::Options& options);

  // Takes the files that have changed, for connections from now on. Where they are broken everything stays as it was,
  // and their error is returned, once. Blocks; for a timer every few seconds.
  absl::Status Reload();

  // A new session of the server's side.
  SslPtr NewSession() const;

  // When the certificate ends.
  absl::Time valid_until() const;

 private:
  using ContextPtr = auth::OpensslPtr<SSL_CTX, SSL_CTX_free>;

  explicit TlsContext(const auth::CertificateFiles::Options& options) : options_(options), files_(options) {}

  absl::StatusOr<ContextPtr> Create(const auth::Certificate& certificate) const;
  absl::Status Use(const auth::Certificate& certificate);

  const auth::CertificateFiles::Options options_;

  // Held while files are read; the other one for moments only.
  absl::Mutex reload_;
  auth::CertificateFiles files_ ABSL_GUARDED_BY(reload_);
  auth::Certificate certificate_ ABSL_GUARDED_BY(reload_);
  absl::Time created_ ABSL_GUARDED_BY(reload_);

  mutable absl::Mutex mutex_;
  ContextPtr context_ ABSL_GUARDED_BY(mutex_);
  absl::Time valid_until_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::http
