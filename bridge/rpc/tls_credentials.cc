#include "bridge/rpc/tls_credentials.h"

#include <string>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace bridge::rpc {
namespace {

// gRPC's C++ has two ways to TLS on a server: one whose certificates cannot change, and an experimental one that takes
// whatever stands in its files, also a certificate without its key. Its C core asks for the certificate at each
// connection and keeps to the last good one.
class ReloadingCredentials final : public grpc::ServerCredentials {
 public:
  explicit ReloadingCredentials(const TlsCertificate* certificate) : certificate_(certificate) {
    const bool has_client_ca = !certificate->Pem()->client_ca.empty();
    credentials_ =
        grpc_ssl_server_credentials_create_with_options(grpc_ssl_server_credentials_create_options_using_config_fetcher(
            has_client_ca ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                          : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
            &ReloadingCredentials::Fetch, this));
  }
  ~ReloadingCredentials() override { grpc_server_credentials_release(credentials_); }
  ReloadingCredentials(const ReloadingCredentials&) = delete;
  ReloadingCredentials& operator=(const ReloadingCredentials&) = delete;

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  static grpc_ssl_certificate_config_reload_status Fetch(void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<ReloadingCredentials*>(self)->FetchIfChanged(config);
  }

  grpc_ssl_certificate_config_reload_status FetchIfChanged(grpc_ssl_server_certificate_config** config) {
    std::shared_ptr<const TlsPem> pem = certificate_->Pem();
    const absl::MutexLock lock(&mutex_);
    if (pem == given_) {
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    const grpc_ssl_pem_key_cert_pair pair = {.private_key = pem->key.c_str(), .cert_chain = pem->certificate.c_str()};
    // The core wants authorities also where it asks for no client certificates, and then does not look at them.
    const std::string& authorities = pem->client_ca.empty() ? pem->certificate : pem->client_ca;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, /*num_key_cert_pairs=*/1);
    given_ = std::move(pem);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const TlsCertificate* const certificate_;
  grpc_server_credentials* credentials_;
  absl::Mutex mutex_;
  std::shared_ptr<const TlsPem> given_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> TlsServerCredentials(const TlsCertificate* certificate) {
  return std::make_shared<ReloadingCredentials>(certificate);
}

}  // namespace bridge::rpc
