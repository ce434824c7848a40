#include "bridge/config/validate_tls.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/config/address.h"
#include "bridge/config/validate_auth.h"

namespace bridge::config {
namespace {

// What a record may have beside its payload is bounded, and this is a part of it.
constexpr size_t kSanBytesMax = 255;

absl::Status ValidateClient(const v1::GrpcClient& client) {
  const std::string& san = client.san();
  if (san.empty()) {
    return absl::InvalidArgumentError("san: is missing: write a name of the certificate, as in orders.example.com");
  }
  if (san.size() > kSanBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("san: has ", san.size(), " bytes; at most ", kSanBytesMax, " are allowed"));
  }
  if (!absl::StrContains(san, "://") && !IsUrlHost(san)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "san: ", base::Quoted(san), " is neither a URI, as in spiffe://example.com/orders, nor a DNS name without ",
        "wildcards, as in orders.example.com"));
  }
  if (client.publish().empty() && client.serve().empty()) {
    return absl::InvalidArgumentError(
        "publish: is missing: list the patterns that this client may publish on, or in serve the calls that it may "
        "serve");
  }
  return absl::OkStatus();
}

absl::Status ValidateClients(const v1::GrpcTls& tls) {
  std::set<std::string> names;
  for (int i = 0; i < tls.clients_size(); ++i) {
    const std::string path = absl::StrCat("grpc.tls.clients[", i, "].");
    if (const absl::Status status = ValidateClient(tls.clients(i)); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(path, status.message()));
    }
    const std::string& san = tls.clients(i).san();
    const bool is_new = names.insert(absl::StrContains(san, "://") ? san : absl::AsciiStrToLower(san))
                            .second;  // DNS names have no case
    if (!is_new) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, "san: ", base::Quoted(san), " stands there before: list its patterns in one place"));
    }
  }
  return absl::OkStatus();
}

// `tls` is a message with the three files.
template <typename Tls>
absl::Status ValidateFiles(const Tls& tls, absl::string_view path) {
  if (tls.certificate_file().empty() != tls.key_file().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, tls.key_file().empty() ? ".key_file" : ".certificate_file",
                                                   ": is missing: a certificate and its key belong together"));
  }
  if (!tls.client_ca_file().empty() && tls.certificate_file().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ".client_ca_file: is set, and without a certificate of its own the bridge has no TLS in ",
                     "which clients could show theirs: set ", path, ".certificate_file and ", path, ".key_file"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateHttpTls(const v1::Config& config) { return ValidateFiles(config.http().tls(), "http.tls"); }

absl::Status ValidateGrpcTls(const v1::Config& config) {
  const v1::GrpcTls& tls = config.grpc().tls();
  RETURN_IF_ERROR(ValidateFiles(tls, "grpc.tls"));
  if (!tls.clients().empty() && tls.client_ca_file().empty()) {
    return absl::InvalidArgumentError(
        "grpc.tls.client_ca_file: is missing: without it clients show no certificates, and grpc.tls.clients means "
        "nothing");
  }
  if (HasClientCa(config) && tls.clients().empty() && !HasKeys(config.auth()) &&
      config.auth().anonymous().publish().empty() && config.auth().anonymous().serve().empty()) {
    return absl::InvalidArgumentError(
        "grpc.tls.clients: is missing: nobody could publish. List the certificates' names and what they may publish, "
        "as "
        "in [{san: orders.example.com, publish: [orders.>]}], or in auth.anonymous.publish what every holder of a "
        "certificate may");
  }
  return ValidateClients(tls);
}

bool HasClientCa(const v1::Config& config) { return !config.grpc().tls().client_ca_file().empty(); }

}  // namespace bridge::config
