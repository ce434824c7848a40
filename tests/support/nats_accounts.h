#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "tests/support/temp_dir.h"

#include "bridge/auth/openssl.h"

namespace bridge::test {

// A key as NATS writes it: 32 bytes of Ed25519 in base32, behind a letter for what its owner is.
class NatsKey {
 public:
  enum class Owner { kOperator, kAccount, kUser };
  explicit NatsKey(Owner owner);

  const std::string& public_text() const { return public_text_; }
  std::string SeedText() const;
  // A JWT as NATS has them, signed by this key. `nats` is the JSON object of that name.
  std::string SignJwt(absl::string_view subject, absl::string_view nats) const;

 private:
  Owner owner_;
  auth::EvpPkeyPtr key_;
  std::string public_text_;
};

// An operator with one account, which has JetStream, and its users: who may connect stands in JWTs that the account
// has signed, not in the server's configuration. They do not expire.
class NatsOperator {
 public:
  NatsOperator();

  // Lines for the configuration of its servers, which read the account's JWT when they start.
  std::string ServerConfiguration() const;

  struct User {
    std::string public_text;
    // Of the user's credentials file.
    std::string credentials;
  };
  User MakeUser() const;
  // What the account has signed for this user counts no longer, at servers that start from now on.
  void Revoke(const User& user) const;

 private:
  void WriteAccount(absl::string_view revocations) const;

  const NatsKey operator_{NatsKey::Owner::kOperator};
  const NatsKey system_account_{NatsKey::Owner::kAccount};
  const NatsKey account_{NatsKey::Owner::kAccount};
  const TempDir directory_;
};

}  // namespace bridge::test
