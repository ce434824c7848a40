// A token is an identity that ends, or UNAUTHENTICATED with a reason, whatever it holds. The first byte says what the
// rest is: a token; a header and a payload with a NUL between them, which get a right signature; or a key set.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/base64url.h"
#include "bridge/auth/hmac.h"
#include "bridge/auth/jwks.h"
#include "bridge/auth/key.h"
#include "bridge/auth/key_set.h"
#include "bridge/auth/token_verifier.h"

namespace {

using bridge::auth::Algorithm;
using bridge::auth::EncodeBase64Url;
using bridge::auth::Key;
using bridge::auth::KeySet;

constexpr char kSecret[] = "a secret of at least 64 bytes, so that it is long enough for every HMAC";

class OneSecret : public bridge::auth::KeySource {
 public:
  std::shared_ptr<const KeySet> Keys() const override { return keys_; }
  bool MayStillCome(absl::string_view) override { return false; }

 private:
  const std::shared_ptr<const KeySet> keys_ = std::make_shared<const KeySet>(
      std::vector<Key>{*Key::FromSecret({.kid = "", .algorithm = Algorithm::kHs256}, kSecret)});
};

void Verify(const std::string& token) {
  static OneSecret source;
  static const bridge::auth::TokenVerifier verifier({}, {&source});
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const absl::StatusOr<bridge::auth::Identity> identity = verifier.Verify(token, now);
  if (identity.ok() ? identity->expires <= now || identity->expires == absl::InfiniteFuture()
                    : identity.status().code() != absl::StatusCode::kUnauthenticated) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  const char mode = text.empty() ? 't' : text[0];
  text.remove_prefix(text.empty() ? 0 : 1);
  if (mode == 's') {
    const size_t nul = std::min(text.find('\0'), text.size());
    const std::string signed_text = absl::StrCat(EncodeBase64Url(text.substr(0, nul)), ".",
                                                 EncodeBase64Url(text.substr(std::min(nul + 1, text.size()))));
    Verify(absl::StrCat(signed_text, ".",
                        EncodeBase64Url(bridge::auth::Hmac(Algorithm::kHs256, kSecret).Of(signed_text))));
  } else if (mode == 'k') {
    const auto keys = bridge::auth::ParseJwks(text, bridge::auth::JwksSecrets::kAccepted);
    if (keys.ok()) {
      for (const Key& key : *keys) {
        if (key.Verifies(Algorithm::kHs256, "text", "") ||
            key.Verifies(Algorithm::kEs256, "text", std::string(64, 'a'))) {
          std::abort();
        }
      }
    }
  } else {
    Verify(std::string(text));
  }
  return 0;
}
