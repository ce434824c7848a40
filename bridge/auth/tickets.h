#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/auth/grants.h"
#include "bridge/auth/key.h"
#include "bridge/auth/signing_key.h"

namespace bridge::auth {

// Makes and takes tickets: short-lived texts for a URL that let somebody subscribe or call once in the name of a
// token. Thread-safe.
//
// A ticket holds all that it stands for and is signed, so any replica with the same secret takes it. That it is taken
// once is remembered by each process for itself. It is a JWT of a type of its own: no ticket is a token, and no token
// a ticket, even where one secret signs both.
class Tickets {
 public:
  // Beside the rest of a URL in the line of a request, for which proxies have 8 KiB.
  static constexpr size_t kTicketBytesMax = size_t{4} << 10;
  static constexpr size_t kSecretBytesMin = 32;
  // 3,000 a second of tickets that live for 30 s.
  static constexpr size_t kUsedMax = 100'000;

  struct Options {
    // How long a ticket can be used.
    absl::Duration ttl;
    size_t used_max = kUsedMax;
  };
  // INVALID_ARGUMENT: the secret is shorter than kSecretBytesMin; goes on from a secret that is already named.
  static absl::StatusOr<std::unique_ptr<Tickets>> Create(Options options, absl::string_view secret);
  // A secret for Create that only this process knows.
  static std::string RandomSecret();

  struct Minted {
    std::string text;
    // Until when it can be used.
    absl::Time expires;
  };
  // A ticket with the issuer, the subject, the patterns to subscribe to and to call, and the end of `identity`. `now`
  // is the wall clock's time. UNAUTHENTICATED: the identity has ended, or never ends (is no token's).
  // RESOURCE_EXHAUSTED: it has too many patterns for kTicketBytesMax.
  absl::StatusOr<Minted> Mint(const Identity& identity, absl::Time now) const;

  // Tells a ticket from all others: its expiry in Unix seconds, and random bytes.
  using Id = std::pair<int64_t, std::array<char, 16>>;
  struct Ticket {
    Id id;
    Identity identity;
  };
  // Whom the ticket of that text stands for, used or not. UNAUTHENTICATED: it is none, or has expired.
  absl::StatusOr<Ticket> Read(absl::string_view text, absl::Time now) const;

  // From now on the ticket is used: to be called last, so that a request that fails for another reason costs no ticket.
  // UNAUTHENTICATED: it was used before. RESOURCE_EXHAUSTED: so many were used of late that no more can be remembered;
  // it is not used.
  absl::Status Use(const Id& id, absl::Time now);

  // From now on tickets are signed with `secret`; those signed with the last one are still good. Errors as of Create.
  absl::Status SetSecret(absl::string_view secret);

 private:
  struct Secret {
    SigningKey signer;
    Key verifier;
  };

  Tickets(Options options, Secret secret) : options_(options), secret_(std::move(secret)) {}
  static absl::StatusOr<Secret> ParseSecret(absl::string_view secret);

  const Options options_;
  mutable absl::Mutex mutex_;
  Secret secret_ ABSL_GUARDED_BY(mutex_);
  std::optional<Key> last_verifier_ ABSL_GUARDED_BY(mutex_);
  // Forgotten when there is no more room, the ones that expired first first: so a clock that is set back revives few.
  absl::btree_set<Id> used_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bridge::auth
