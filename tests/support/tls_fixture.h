#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/bridge_process.h"
#include "tests/support/certificates.h"
#include "tests/support/sse_client.h"
#include "tests/support/tls_client.h"

namespace bridge::test {

// An authority, a certificate that it signed for localhost, and a client that trusts it.
class TlsTest : public testing::Test {
 protected:
  // Settings of a bridge that shows the certificate, and these.
  std::vector<std::string> Settings(std::vector<std::string> more = {}) const {
    more.push_back("http.tls.certificate_file=" + folder_.certificate_file());
    more.push_back("http.tls.key_file=" + folder_.key_file());
    return more;
  }

  SseClient::Options Asking(const std::string& target) const { return {.target = target, .tls = &client_}; }

  const CertificateAuthority authority_;
  const CertificateFolder folder_{authority_.Issue(), authority_};
  const TlsClient client_{{.ca_pem = authority_.pem()}};
};

}  // namespace bridge::test
