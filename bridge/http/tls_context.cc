#include "bridge/http/tls_context.h"

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

#include "bridge/base/status_macros.h"
#include "bridge/ops/logging.h"

namespace bridge::http {
namespace {

// Forward secrecy and authenticated encryption only. TLS 1.3 has no others.
constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

// In our order, but for clients that are quicker with ChaCha20: they say so.
constexpr const char* kTls13Ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

// No finite fields: with the largest, a handshake of the client's choice takes a tenth of a second here.
constexpr const char* kGroups = "X25519:P-256:P-384";
// Where OpenSSL knows it (3.5): what is recorded today cannot be read by a quantum computer either.
constexpr const char* kGroupsWithHybrid = "X25519MLKEM768:X25519:P-256:P-384";

// What a client that shows certificates may send of them.
constexpr long kClientCertificateBytesMax = 16L << 10;

// A ticket's key lives as long as its context, and whoever learned it could read the TLS 1.2 sessions that were
// resumed.
constexpr absl::Duration kTicketKeyTime = absl::Hours(12);
constexpr long kTicketSeconds = 2L * 60 * 60;

// RFC 7301: the only protocol that is spoken here. A client that names others only is told so.
int SelectProtocol(SSL* /*ssl*/, const unsigned char** selected, unsigned char* selected_bytes,
                   const unsigned char* offered, unsigned int offered_bytes, void* /*context*/) {
  static constexpr absl::string_view kHttp11 = "http/1.1";
  absl::string_view rest(reinterpret_cast<const char*>(offered), offered_bytes);
  while (!rest.empty()) {
    const absl::string_view name = rest.substr(1, static_cast<unsigned char>(rest[0]));
    if (name == kHttp11) {
      *selected = reinterpret_cast<const unsigned char*>(name.data());
      *selected_bytes = static_cast<unsigned char>(name.size());
      return SSL_TLSEXT_ERR_OK;
    }
    rest.remove_prefix(1 + name.size());
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void Harden(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, kTls12Ciphers);
  SSL_CTX_set_ciphersuites(context, kTls13Ciphers);
  if (SSL_CTX_set1_groups_list(context, kGroupsWithHybrid) != 1) {
    SSL_CTX_set1_groups_list(context, kGroups);
  }
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_PRIORITIZE_CHACHA |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_send_fragment(context, kTlsRecordBytes);
  SSL_CTX_set_max_cert_list(context, kClientCertificateBytesMax);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, kTicketSeconds);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_alpn_select_cb(context, SelectProtocol, nullptr);
}

// REQUIRES: `roots` is not empty.
bool AskForCertificates(SSL_CTX* context, const std::vector<auth::X509Ptr>& roots) {
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const auth::X509Ptr& root : roots) {
    if (X509_STORE_add_cert(store, root.get()) != 1 || SSL_CTX_add_client_CA(context, root.get()) != 1) {
      return false;
    }
  }
  // One that is trusted need not be a root of its own.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  return true;
}

bool ShowCertificate(SSL_CTX* context, const auth::Certificate& certificate) {
  if (SSL_CTX_use_certificate(context, certificate.chain.front().get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, certificate.key.get()) != 1) {
    return false;
  }
  for (size_t i = 1; i < certificate.chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, certificate.chain[i].get()) != 1) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Open(const auth::CertificateFiles::Options& options) {
  std::unique_ptr<TlsContext> context(new TlsContext(options));
  RETURN_IF_ERROR(context->Reload());
  return context;
}

absl::StatusOr<TlsContext::ContextPtr> TlsContext::Create(const auth::Certificate& certificate) const {
  const auth::OpensslErrorScope errors;
  ContextPtr context(SSL_CTX_new(TLS_server_method()));
  Harden(context.get());
  if (!ShowCertificate(context.get(), certificate) ||
      (!certificate.client_roots.empty() && !AskForCertificates(context.get(), certificate.client_roots))) {
    const char* const reason = ERR_reason_error_string(ERR_peek_error());
    return absl::InvalidArgumentError(absl::StrCat(
        options_.section, ".certificate_file: ", options_.certificate_file, ": TLS does not take it (",
        reason == nullptr ? "no reason given" : reason,
        "): certificates have RSA keys of 2048 bits or more, or elliptic ones, and signatures by SHA-256 or better"));
  }
  return context;
}

absl::Status TlsContext::Use(const auth::Certificate& certificate) {
  ASSIGN_OR_RETURN(ContextPtr context, Create(certificate));
  const absl::MutexLock lock(&mutex_);
  context_ = std::move(context);
  valid_until_ = certificate.valid_until;
  return absl::OkStatus();
}

absl::Status TlsContext::Reload() {
  const absl::MutexLock lock(&reload_);
  ASSIGN_OR_RETURN(std::optional<auth::Certificate> changed, files_.ReadIfChanged());
  const absl::Time now = absl::Now();
  if (!changed) {
    if (now - created_ < kTicketKeyTime) {
      return absl::OkStatus();
    }
    created_ = now;
    return Use(certificate_);
  }
  RETURN_IF_ERROR(Use(*changed));
  certificate_ = *std::move(changed);
  created_ = now;
  ops::LogInfo("certificate_taken", {{"file", options_.certificate_file},
                                     {"valid_until", absl::FormatTime(certificate_.valid_until, absl::UTCTimeZone())}});
  if (now < certificate_.valid_from || now > certificate_.valid_until) {
    ops::LogWarn("certificate_out_of_time",
                 {{"file", options_.certificate_file},
                  {"valid_from", absl::FormatTime(certificate_.valid_from, absl::UTCTimeZone())},
                  {"valid_until", absl::FormatTime(certificate_.valid_until, absl::UTCTimeZone())},
                  {"fix", "clients refuse it: put a renewed one in its place, which is taken without a restart"}});
  }
  return absl::OkStatus();
}

SslPtr TlsContext::NewSession() const {
  const absl::MutexLock lock(&mutex_);
  return SslPtr(SSL_new(context_.get()));
}

absl::Time TlsContext::valid_until() const {
  const absl::MutexLock lock(&mutex_);
  return valid_until_;
}

}  // namespace bridge::http
