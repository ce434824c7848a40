#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokens.h"

namespace bridge::test {

// A certificate and its key, in PEM.
struct IssuedCertificate {
  std::string certificate_pem;
  std::string key_pem;
};

// An authority that signs certificates for servers and clients. Making one takes milliseconds.
class CertificateAuthority {
 public:
  explicit CertificateAuthority(const std::string& name = "authority of the tests");

  struct Request {
    // The subject's common name.
    std::string name = "localhost";
    // As OpenSSL writes them.
    std::vector<std::string> alternative_names = {"DNS:localhost", "IP:127.0.0.1"};
    absl::Duration starts_in = -absl::Hours(1);
    absl::Duration ends_in = absl::Hours(24);
    KeyPair key = MakeEcKeyPair("P-256");
  };
  IssuedCertificate Issue(const Request& request) const;
  IssuedCertificate Issue() const { return Issue(Request()); }

  // Its own certificate, in PEM.
  const std::string& pem() const { return pem_; }

 private:
  KeyPair key_;
  std::string name_;
  std::string pem_;
};

// A certificate, its key and an authority as files of a directory of their own.
class CertificateFolder {
 public:
  CertificateFolder(const IssuedCertificate& certificate, const CertificateAuthority& authority);

  // Puts another certificate and key in their place, each at once.
  void Replace(const IssuedCertificate& certificate) const;

  std::string certificate_file() const { return directory_.path() + "/certificate.pem"; }
  std::string key_file() const { return directory_.path() + "/key.pem"; }
  std::string ca_file() const { return directory_.path() + "/ca.pem"; }

 private:
  TempDir directory_;
};

}  // namespace bridge::test
