#include "bridge/auth/key_files.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "bridge/auth/jwks.h"
#include "bridge/base/annotated.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

// A certificate with its chain.
constexpr size_t kKeyFileBytesMax = size_t{64} << 10;

}  // namespace

KeyFiles::KeyFiles(std::vector<KeyFile> keys, const std::string& jwks_path) {
  for (KeyFile& key : keys) {
    sources_.push_back({WatchedFile(std::move(key.path), kKeyFileBytesMax), std::move(key.name), {}});
  }
  if (!jwks_path.empty()) {
    sources_.push_back({WatchedFile(jwks_path, kJwksBytesMax), std::nullopt, {}});
  }
}

absl::StatusOr<std::unique_ptr<KeyFiles>> KeyFiles::Open(std::vector<KeyFile> keys, const std::string& jwks_path) {
  std::unique_ptr<KeyFiles> files(new KeyFiles(std::move(keys), jwks_path));
  RETURN_IF_ERROR(files->Reload());
  return files;
}

absl::StatusOr<std::vector<Key>> KeyFiles::Parse(const Source& source, absl::string_view bytes) {
  if (!source.name.has_value()) {
    return ParseJwks(bytes, JwksSecrets::kAccepted);
  }
  const std::optional<Algorithm> algorithm = source.name->algorithm;
  const bool is_secret = algorithm.has_value() && KeyTypeOf(*algorithm) == KeyType::kSecret;
  ASSIGN_OR_RETURN(Key key,
                   is_secret ? Key::FromSecret(*source.name, SecretIn(bytes)) : Key::FromPem(*source.name, bytes));
  return std::vector<Key>{std::move(key)};
}

absl::Status KeyFiles::Reload() {
  const absl::MutexLock reload_lock(&reload_);
  absl::Status first_error;
  bool has_changed = false;
  for (Source& source : sources_) {
    absl::StatusOr<std::optional<std::string>> bytes = source.file.ReadIfChanged();
    if (!bytes.ok()) {
      first_error.Update(bytes.status());
      continue;
    }
    const std::optional<std::string> changed = *std::move(bytes);
    if (!changed.has_value()) {
      continue;
    }
    absl::StatusOr<std::vector<Key>> keys = Parse(source, *changed);
    if (!keys.ok()) {
      first_error.Update(base::Annotated(keys.status(), absl::StrCat(source.file.path(), ": ")));
      continue;
    }
    source.keys = *std::move(keys);
    has_changed = true;
  }
  if (has_changed) {
    std::vector<Key> all;
    for (const Source& source : sources_) {
      all.insert(all.end(), source.keys.begin(), source.keys.end());
    }
    const absl::MutexLock lock(&mutex_);
    keys_ = std::make_shared<const KeySet>(std::move(all));
  }
  return first_error;
}

std::shared_ptr<const KeySet> KeyFiles::Keys() const {
  const absl::MutexLock lock(&mutex_);
  return keys_;
}

}  // namespace bridge::auth
