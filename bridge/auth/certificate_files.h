#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "bridge/auth/openssl.h"
#include "bridge/auth/watched_file.h"

namespace bridge::auth {

// A certificate with what belongs to it: what a side of TLS shows, and whom it asks for.
struct Certificate {
  // The certificate itself, then those that lead from it to its root.
  std::vector<X509Ptr> chain;
  EvpPkeyPtr key;
  // The roots of the clients' certificates; empty where none are asked for.
  std::vector<X509Ptr> client_roots;
  absl::Time valid_from;
  absl::Time valid_until;
  // The files as they are, for who takes PEM.
  std::string chain_pem;
  std::string key_pem;
  std::string client_roots_pem;
};

// The files of a certificate, all in PEM. Not thread-safe. Reads block.
class CertificateFiles {
 public:
  struct Options {
    // The section of the configuration, for errors: "http.tls".
    std::string section;
    std::string certificate_file;
    std::string key_file;
    // Empty for none.
    std::string client_ca_file;
  };

  explicit CertificateFiles(const Options& options);

  // The certificate where one of its files is another than at the last call, or has changed since; none where none has,
  // which costs a stat each. An error says which key of the configuration and which file, and what would be right; it
  // comes once for each state of the files.
  absl::StatusOr<std::optional<Certificate>> ReadIfChanged();

 private:
  struct Part {
    std::string name;
    WatchedFile file;
    std::string bytes;
  };

  // True where the part is another than before.
  static absl::StatusOr<bool> Read(Part* part);
  absl::StatusOr<Certificate> Parse() const;

  Part certificate_;
  Part key_;
  std::optional<Part> client_ca_;
};

}  // namespace bridge::auth
