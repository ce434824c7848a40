#pragma once

#include <string>

#include "tests/support/tokens.h"

namespace bridge::test {

// A certificate and its private key, in PEM.
struct Certified {
  std::string certificate;
  std::string key;
};

// Who signs certificates in a test.
class Authority {
 public:
  explicit Authority(const std::string& name = "test authority");

  // Its own certificate, in PEM.
  const std::string& certificate() const { return certificate_; }

  // A certificate for an hour. `names` are its subject alternative names as OpenSSL writes them:
  // "DNS:localhost,URI:spiffe://a/b"; none where that is empty.
  Certified Issue(const std::string& names, const std::string& common_name = "somebody") const;

 private:
  const std::string name_;
  const KeyPair pair_ = MakeEcKeyPair("P-256");
  std::string certificate_;
};

}  // namespace bridge::test
