#pragma once

#include <memory>
#include <string>

#include <google/protobuf/repeated_field.h>

#include "absl/status/statusor.h"

#include "bridge/auth/authenticator.h"
#include "bridge/auth/grants.h"
#include "bridge/auth/jwks_fetcher.h"
#include "bridge/auth/key_files.h"
#include "bridge/config/v1/config.pb.h"
#include "bridge/file_watcher.h"

namespace bridge {

// Who may do what, and the keys by which that is known.
struct OpenedAuth {
  // nullptr where the configuration names none.
  std::unique_ptr<auth::KeyFiles> key_files;
  std::unique_ptr<auth::JwksFetcher> jwks;
  // Uses the keys.
  std::unique_ptr<auth::Authenticator> authenticator;
};

// INVALID_ARGUMENT as of auth::PatternSet::Parse.
absl::StatusOr<auth::PatternSet> PatternsOf(const google::protobuf::RepeatedPtrField<std::string>& texts);

// As the configuration says. Its files are watched by `watcher`, to be started later and stopped before the result
// goes. The error says which file cannot be taken, and why.
absl::StatusOr<OpenedAuth> OpenAuth(const config::v1::Auth& config, FileWatcher* watcher);

}  // namespace bridge
