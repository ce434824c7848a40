#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "bridge/auth/key_set.h"
#include "bridge/auth/watched_file.h"

namespace bridge::auth {

// A file with one key: a secret where the algorithm takes one, else a public key or a certificate in PEM.
struct KeyFile {
  std::string path;
  Key::Name name;
};

// The keys that stand in files. Thread-safe.
class KeyFiles : public KeySource {
 public:
  // `jwks_path` is that of a JWK Set; empty for none. Errors name the file, and what would be right.
  // REQUIRES: each key has an algorithm.
  static absl::StatusOr<std::unique_ptr<KeyFiles>> Open(std::vector<KeyFile> keys, const std::string& jwks_path);

  // Reads again the files that have changed; costs a stat each where none has. A file that is broken keeps the keys
  // that it had, and its error is returned once, not at every call until it is mended. Blocks; for a timer every few
  // seconds.
  absl::Status Reload();

  std::shared_ptr<const KeySet> Keys() const override;
  bool MayStillCome(absl::string_view) override { return false; }

 private:
  struct Source {
    WatchedFile file;
    // None for a JWK Set.
    std::optional<Key::Name> name;
    std::vector<Key> keys;
  };

  KeyFiles(std::vector<KeyFile> keys, const std::string& jwks_path);
  static absl::StatusOr<std::vector<Key>> Parse(const Source& source, absl::string_view bytes);

  // Held while files are read; the other one for moments only.
  absl::Mutex reload_;
  std::vector<Source> sources_ ABSL_GUARDED_BY(reload_);

  mutable absl::Mutex mutex_;
  std::shared_ptr<const KeySet> keys_ ABSL_GUARDED_BY(mutex_) = std::make_shared<const KeySet>();
};

}  // namespace bridge::auth
