#pragma once

#include <string>

#include <openssl/ssl.h>

#include "bridge/auth/openssl.h"

namespace bridge::test {

using SslPtr = auth::OpensslPtr<SSL, SSL_free>;

// How clients speak TLS: whom they trust, and what they show. Thread-safe once made.
class TlsClient {
 public:
  struct Options {
    // Whom it trusts, in PEM.
    std::string ca_pem;
    // What it shows, in PEM; empty for nothing.
    std::string certificate_pem = {};
    std::string key_pem = {};
    int version_min = TLS1_2_VERSION;
    int version_max = TLS1_3_VERSION;
    // As on the wire: each protocol behind its length. Empty for none.
    std::string alpn = "\x08http/1.1";
    // The groups for its key exchange, as OpenSSL lists them; empty for OpenSSL's own.
    std::string groups = {};
  };
  explicit TlsClient(const Options& options);

  // A session on a socket that is connected, before its handshake. It goes on with `resumed` where that is not nullptr.
  SslPtr NewSession(int fd, SSL_SESSION* resumed = nullptr) const;

 private:
  auth::OpensslPtr<SSL_CTX, SSL_CTX_free> context_;
};

}  // namespace bridge::test
