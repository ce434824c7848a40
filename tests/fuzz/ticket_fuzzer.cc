// A ticket is an identity once, or a reason why not, whatever it holds. The first byte says what the rest is: a ticket,
// or the payload of one that is signed as it should be.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/base64url.h"
#include "bridge/auth/hmac.h"
#include "bridge/auth/key.h"
#include "bridge/auth/tickets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using bridge::auth::Algorithm;
  using bridge::auth::EncodeBase64Url;
  constexpr char kSecret[] = "a secret of tickets, of 32 bytes and more";
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  static const auto tickets = *bridge::auth::Tickets::Create({.ttl = absl::Seconds(30), .used_max = 1000}, kSecret);

  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  std::string ticket(text.substr(text.empty() ? 0 : 1));
  if (!text.empty() && text[0] == 's') {
    const std::string signed_text =
        absl::StrCat(EncodeBase64Url(R"({"alg":"HS256","typ":"bridge-ticket+jwt"})"), ".", EncodeBase64Url(ticket));
    ticket =
        absl::StrCat(signed_text, ".", EncodeBase64Url(bridge::auth::Hmac(Algorithm::kHs256, kSecret).Of(signed_text)));
  }
  const absl::StatusOr<bridge::auth::Tickets::Ticket> read = tickets->Read(ticket, now);
  if (read.ok() &&
      (read->identity.expires <= now || (tickets->Use(read->id, now).ok() && tickets->Use(read->id, now).ok()))) {
    std::abort();
  }
  return 0;
}
