#include "bridge/log/fingerprint.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <openssl/evp.h>
#include <openssl/rand.h>

namespace bridge::log {
namespace {

// OpenSSL fails here only for want of memory, of random numbers or of SipHash itself, without which there is no telling
// repeats.
void Require(bool is_done, const char* what) {
  if (!is_done) {
    std::fprintf(stderr, "OpenSSL: %s failed\n", what);
    std::abort();
  }
}

EVP_MAC_CTX* NewSipHash() {
  EVP_MAC* const siphash = EVP_MAC_fetch(nullptr, "SIPHASH", nullptr);
  Require(siphash != nullptr, "EVP_MAC_fetch of SIPHASH");
  EVP_MAC_CTX* const context = EVP_MAC_CTX_new(siphash);
  EVP_MAC_free(siphash);  // the context holds it
  Require(context != nullptr, "EVP_MAC_CTX_new");
  return context;
}

// With its size before it, so that ("ab", "c") is not ("a", "bc").
void AppendField(const std::string& field, std::string* out) {
  const uint64_t size = field.size();
  out->append(reinterpret_cast<const char*>(&size), sizeof(size));
  out->append(field);
}

}  // namespace

Fingerprinter::Key Fingerprinter::RandomKey() {
  Key key = {};
  Require(RAND_bytes(key.data(), static_cast<int>(key.size())) == 1, "RAND_bytes");
  return key;
}

Fingerprinter::Fingerprinter(const Key& key) : key_(key), context_(NewSipHash()) {}

Fingerprinter::~Fingerprinter() = default;

Fingerprint Fingerprinter::Of(const Record& record) {
  scratch_.clear();
  AppendField(record.publisher, &scratch_);
  AppendField(record.topic, &scratch_);
  AppendField(record.idempotency_key, &scratch_);

  std::array<unsigned char, sizeof(Fingerprint)> digest = {};
  size_t digest_size = 0;
  Require(EVP_MAC_init(context_.get(), key_.data(), key_.size(), nullptr) == 1 &&
              EVP_MAC_update(context_.get(), reinterpret_cast<const unsigned char*>(scratch_.data()),
                             scratch_.size()) == 1 &&
              EVP_MAC_final(context_.get(), digest.data(), &digest_size, digest.size()) == 1 &&
              digest_size == digest.size(),
          "SIPHASH");
  Fingerprint fingerprint;
  std::memcpy(&fingerprint, digest.data(), digest.size());
  return fingerprint;
}

void Fingerprinter::Free::operator()(evp_mac_ctx_st* context) const { EVP_MAC_CTX_free(context); }

}  // namespace bridge::log
