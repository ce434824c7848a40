#include "tests/support/nats_accounts.h"

#include <array>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/certificates.h"
#include "tests/support/files.h"

#include "bridge/auth/base64url.h"

namespace bridge::test {
namespace {

constexpr size_t kKeyBytes = 32;

// What stands in the first five bits of a key's text: the letters S, O, A and U of base32.
constexpr unsigned kSeedLetter = 18;
unsigned LetterOf(NatsKey::Owner owner) {
  switch (owner) {
    case NatsKey::Owner::kOperator:
      return 14;
    case NatsKey::Owner::kAccount:
      return 0;
    case NatsKey::Owner::kUser:
      return 20;
  }
  std::abort();
}

// CRC-16/XMODEM, the low byte first.
std::string ChecksumOf(absl::string_view bytes) {
  uint32_t crc = 0;
  for (const char byte : bytes) {
    crc ^= uint32_t{static_cast<unsigned char>(byte)} << 8U;
    for (int bit = 0; bit < 8; ++bit) {
      crc = ((crc << 1U) ^ ((crc & 0x8000U) != 0 ? 0x1021U : 0U)) & 0xFFFFU;
    }
  }
  return {static_cast<char>(crc & 0xFFU), static_cast<char>(crc >> 8U)};
}

// RFC 4648 §6, without padding.
std::string EncodeBase32(absl::string_view bytes) {
  constexpr absl::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string text;
  uint32_t pending = 0;
  unsigned bits = 0;
  for (const char byte : bytes) {
    pending = (pending << 8U) | static_cast<unsigned char>(byte);
    for (bits += 8; bits >= 5; bits -= 5) {
      text.push_back(kAlphabet[(pending >> (bits - 5)) & 31U]);
    }
  }
  if (bits > 0) {
    text.push_back(kAlphabet[(pending << (5 - bits)) & 31U]);
  }
  return text;
}

std::string TextOf(absl::string_view head, absl::string_view key) {
  const std::string bytes = absl::StrCat(head, key);
  return EncodeBase32(absl::StrCat(bytes, ChecksumOf(bytes)));
}

std::string HeadOf(unsigned letter) { return {static_cast<char>(letter << 3U)}; }

}  // namespace

NatsKey::NatsKey(Owner owner) : owner_(owner), key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")) {
  std::array<unsigned char, kKeyBytes> key = {};
  size_t size = key.size();
  if (EVP_PKEY_get_raw_public_key(key_.get(), key.data(), &size) != 1) {
    std::abort();
  }
  public_text_ = TextOf(HeadOf(LetterOf(owner)), {reinterpret_cast<const char*>(key.data()), size});
}

std::string NatsKey::SeedText() const {
  std::array<unsigned char, kKeyBytes> seed = {};
  size_t size = seed.size();
  if (EVP_PKEY_get_raw_private_key(key_.get(), seed.data(), &size) != 1) {
    std::abort();
  }
  // Two letters: of a seed, and of its owner, whose five bits stand across the two bytes.
  const unsigned owner = LetterOf(owner_) << 3U;
  const std::string head = {static_cast<char>((kSeedLetter << 3U) | (owner >> 5U)),
                            static_cast<char>((owner & 31U) << 3U)};
  return TextOf(head, {reinterpret_cast<const char*>(seed.data()), size});
}

std::string NatsKey::SignJwt(absl::string_view subject, absl::string_view nats) const {
  const std::string text =
      absl::StrCat(auth::EncodeBase64Url(R"({"typ":"JWT","alg":"ed25519-nkey"})"), ".",
                   auth::EncodeBase64Url(absl::StrCat(R"({"jti":"1","iat":)", absl::ToUnixSeconds(absl::Now()),
                                                      R"(,"iss":")", public_text_, R"(","name":"test","sub":")",
                                                      subject, R"(","nats":)", nats, "}")));
  std::array<unsigned char, 64> signature = {};
  size_t size = signature.size();
  const auth::EvpMdCtxPtr context(EVP_MD_CTX_new());
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, reinterpret_cast<const unsigned char*>(text.data()),
                     text.size()) != 1) {
    std::abort();
  }
  return absl::StrCat(text, ".", auth::EncodeBase64Url({reinterpret_cast<const char*>(signature.data()), size}));
}

NatsOperator::NatsOperator() { WriteAccount("{}"); }

std::string NatsOperator::ServerConfiguration() const {
  const std::string operator_jwt = operator_.SignJwt(
      operator_.public_text(),
      absl::StrCat(R"({"type":"operator","version":2,"system_account":")", system_account_.public_text(), R"("})"));
  return absl::StrCat("operator: \"", operator_jwt, "\"\nsystem_account: \"", system_account_.public_text(),
                      "\"\nresolver { type: full, dir: \"", directory_.path(), "\" }\n");
}

NatsOperator::User NatsOperator::MakeUser() const {
  const NatsKey user(NatsKey::Owner::kUser);
  const std::string jwt = account_.SignJwt(
      user.public_text(), R"({"type":"user","version":2,"pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1})");
  return {.public_text = user.public_text(),
          .credentials = absl::StrCat("-----BEGIN NATS USER JWT-----\n", jwt,
                                      "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n",
                                      user.SeedText(), "\n------END USER NKEY SEED------\n")};
}

void NatsOperator::Revoke(const User& user) const {
  WriteAccount(absl::StrCat("{\"", user.public_text, "\":", absl::ToUnixSeconds(absl::Now()), "}"));
}

void NatsOperator::WriteAccount(absl::string_view revocations) const {
  constexpr absl::string_view kUnlimited =
      R"("limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1)";
  const auto write = [this](const NatsKey& account, absl::string_view nats) {
    ReplaceFile(absl::StrCat(directory_.path(), "/", account.public_text(), ".jwt"),
                operator_.SignJwt(account.public_text(), nats));
  };
  write(system_account_, absl::StrCat(R"({"type":"account","version":2,)", kUnlimited, "}}"));
  write(account_, absl::StrCat(R"({"type":"account","version":2,"revocations":)", revocations, ",", kUnlimited,
                               R"(,"mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1}})"));
}

}  // namespace bridge::test
