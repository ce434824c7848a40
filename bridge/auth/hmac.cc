#include "bridge/auth/hmac.h"

#include <array>
#include <cstddef>
#include <utility>

#include <openssl/core_names.h>

namespace bridge::auth {
namespace {

const unsigned char* Bytes(absl::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

Hmac::Hmac(Algorithm algorithm, absl::string_view secret) {
  const OpensslErrorScope errors;
  const EvpMacPtr mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  EvpMacCtxPtr context(mac == nullptr ? nullptr : EVP_MAC_CTX_new(mac.get()));
  const std::array digest = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(DigestOf(algorithm)), 0),
      OSSL_PARAM_construct_end()};
  if (context != nullptr && EVP_MAC_init(context.get(), Bytes(secret), secret.size(), digest.data()) == 1) {
    prepared_ = std::move(context);
  }
}

std::string Hmac::Of(absl::string_view text) const {
  const OpensslErrorScope errors;
  const EvpMacCtxPtr context(prepared_ == nullptr ? nullptr : EVP_MAC_CTX_dup(prepared_.get()));
  std::string mac(EVP_MAX_MD_SIZE, '\0');
  size_t bytes = 0;
  if (context == nullptr || EVP_MAC_update(context.get(), Bytes(text), text.size()) != 1 ||
      EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(mac.data()), &bytes, mac.size()) != 1) {
    return "";
  }
  mac.resize(bytes);
  return mac;
}

}  // namespace bridge::auth
