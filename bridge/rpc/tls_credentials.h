#pragma once

#include <memory>

#include <grpcpp/security/server_credentials.h>

#include "bridge/rpc/tls_certificate.h"

namespace bridge::rpc {

// Credentials for a gRPC listener that take the certificate anew for each connection: TLS 1.2 and 1.3, with ALPN. Where
// `certificate` has a client CA, which does not change while it lives, each client has to show a certificate signed by
// it. The credentials, and `certificate`, outlive the server.
std::shared_ptr<grpc::ServerCredentials> TlsServerCredentials(const TlsCertificate* certificate);

}  // namespace bridge::rpc
