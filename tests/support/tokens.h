#pragma once

#include <string>

#include "absl/strings/string_view.h"

#include "bridge/auth/signing_key.h"

namespace bridge::test {

// A fresh key pair in PEM.
struct KeyPair {
  std::string private_pem;
  std::string public_pem;

  auth::SigningKey Signer() const;
};

KeyPair MakeRsaKeyPair(unsigned bits = 2048);
// One of 2,048 bits for the whole process: making one takes a tenth of a second, and more on a busy machine.
const KeyPair& SharedRsaKeyPair();
// `curve` as OpenSSL names it: "P-256", "P-384".
KeyPair MakeEcKeyPair(const char* curve);
KeyPair MakeEd25519KeyPair();
// The public key of `pair` in a certificate that it signed itself, in PEM.
std::string MakeCertificate(const KeyPair& pair);

// The public key as a JWK, an object of JSON; `more` is put between its members: `, "kid": "a"`.
std::string ToJwk(const KeyPair& pair, absl::string_view more = "");

// A token of any header and payload, valid or not.
std::string SignToken(absl::string_view header, absl::string_view payload, const auth::SigningKey& key);
// The same with a header of the key's own algorithm.
std::string SignToken(absl::string_view payload, const auth::SigningKey& key);

// A key from a secret for HMAC.
auth::SigningKey SecretSigner(absl::string_view secret, auth::Algorithm algorithm = auth::Algorithm::kHs256);

}  // namespace bridge::test
