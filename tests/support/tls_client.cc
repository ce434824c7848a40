#include "tests/support/tls_client.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <openssl/pem.h>

namespace bridge::test {
namespace {

auth::BioPtr Reading(const std::string& pem) {
  return auth::BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

void Check(bool is_fine, const char* what) {
  if (!is_fine) {
    std::fprintf(stderr, "a TLS client cannot be made: %s\n", what);
    std::abort();
  }
}

}  // namespace

TlsClient::TlsClient(const Options& options) : context_(SSL_CTX_new(TLS_client_method())) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own writes raise it where the peer has gone
  SSL_CTX* const context = context_.get();
  // Else it does not begin a handshake of an old version at all, where OpenSSL is new enough.
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_min_proto_version(context, options.version_min);
  SSL_CTX_set_max_proto_version(context, options.version_max);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const auth::X509Ptr root(PEM_read_bio_X509(Reading(options.ca_pem).get(), nullptr, nullptr, nullptr));
  Check(root != nullptr && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root.get()) == 1, "its authority");
  SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(options.alpn.data()),
                          static_cast<unsigned int>(options.alpn.size()));
  Check(options.groups.empty() || SSL_CTX_set1_groups_list(context, options.groups.c_str()) == 1, "its groups");
  if (!options.certificate_pem.empty()) {
    const auth::X509Ptr own(PEM_read_bio_X509(Reading(options.certificate_pem).get(), nullptr, nullptr, nullptr));
    const auth::EvpPkeyPtr key(PEM_read_bio_PrivateKey(Reading(options.key_pem).get(), nullptr, nullptr, nullptr));
    Check(SSL_CTX_use_certificate(context, own.get()) == 1 && SSL_CTX_use_PrivateKey(context, key.get()) == 1,
          "its certificate");
  }
}

SslPtr TlsClient::NewSession(int fd, SSL_SESSION* resumed) const {
  SslPtr ssl(SSL_new(context_.get()));
  SSL_set_fd(ssl.get(), fd);
  SSL_set_tlsext_host_name(ssl.get(), "localhost");
  SSL_set1_host(ssl.get(), "localhost");
  SSL_set_connect_state(ssl.get());
  if (resumed != nullptr) {
    SSL_set_session(ssl.get(), resumed);
  }
  return ssl;
}

}  // namespace bridge::test
