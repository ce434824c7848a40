#include "bridge/auth/algorithm.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bridge::auth {
namespace {

struct Row {  // NOLINT(cppcoreguidelines-pro-type-member-init): each has all of it
  Algorithm algorithm;
  absl::string_view name;
  KeyType key_type;
  const char* digest;
  size_t digest_bytes;
};

// In the order of the enum.
constexpr std::array kRows = {
    Row{Algorithm::kHs256, "HS256", KeyType::kSecret, "SHA256", 32},
    Row{Algorithm::kHs384, "HS384", KeyType::kSecret, "SHA384", 48},
    Row{Algorithm::kHs512, "HS512", KeyType::kSecret, "SHA512", 64},
    Row{Algorithm::kRs256, "RS256", KeyType::kRsa, "SHA256", 32},
    Row{Algorithm::kRs384, "RS384", KeyType::kRsa, "SHA384", 48},
    Row{Algorithm::kRs512, "RS512", KeyType::kRsa, "SHA512", 64},
    Row{Algorithm::kPs256, "PS256", KeyType::kRsa, "SHA256", 32},
    Row{Algorithm::kEs256, "ES256", KeyType::kP256, "SHA256", 32},
    Row{Algorithm::kEs384, "ES384", KeyType::kP384, "SHA384", 48},
    Row{Algorithm::kEdDsa, "EdDSA", KeyType::kEd25519, nullptr, 0},
};

constexpr bool IsInOrder() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<size_t>(kRows[i].algorithm) != i) {
      return false;
    }
  }
  return true;
}
static_assert(IsInOrder());

const Row& RowOf(Algorithm algorithm) { return kRows[static_cast<size_t>(algorithm)]; }

}  // namespace

std::optional<Algorithm> ParseAlgorithm(absl::string_view name) {
  const auto* const row = std::ranges::find(kRows, name, &Row::name);
  return row == kRows.end() ? std::nullopt : std::optional(row->algorithm);
}

absl::string_view NameOf(Algorithm algorithm) { return RowOf(algorithm).name; }

std::string AlgorithmNames() {
  const auto append_name = [](std::string* names, const Row& row) { absl::StrAppend(names, row.name); };
  return absl::StrJoin(kRows, ", ", append_name);
}

KeyType KeyTypeOf(Algorithm algorithm) { return RowOf(algorithm).key_type; }

absl::string_view NameOf(KeyType type) {
  switch (type) {
    case KeyType::kSecret:
      return "a secret";
    case KeyType::kRsa:
      return "an RSA key";
    case KeyType::kP256:
      return "a P-256 key";
    case KeyType::kP384:
      return "a P-384 key";
    case KeyType::kEd25519:
      return "an Ed25519 key";
  }
  return "";
}

const char* DigestOf(Algorithm algorithm) { return RowOf(algorithm).digest; }

size_t SecretBytesMin(Algorithm algorithm) { return RowOf(algorithm).digest_bytes; }

}  // namespace bridge::auth
