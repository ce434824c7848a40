#include "bridge/open_auth.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/auth/watched_file.h"
#include "bridge/base/annotated.h"
#include "bridge/base/status_macros.h"
#include "bridge/config/validate_auth.h"
#include "bridge/config/value_syntax.h"
#include "bridge/ops/logging.h"

namespace bridge {
namespace {

constexpr size_t kSecretFileBytesMax = size_t{64} << 10;

// REQUIRES: the configuration has been validated, so it names a known one.
auth::Algorithm AlgorithmOf(config::v1::Jwt::Algorithm algorithm) {
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): it has been validated
  return *auth::ParseAlgorithm(config::v1::Jwt::Algorithm_Name(algorithm));
}

absl::StatusOr<std::unique_ptr<auth::KeyFiles>> OpenKeyFiles(const config::v1::Jwt& jwt, FileWatcher* watcher) {
  std::vector<auth::KeyFile> files;
  for (const config::v1::JwtKey& key : jwt.keys()) {
    files.push_back({.path = key.secret_file().empty() ? key.public_key_file() : key.secret_file(),
                     .name = {.kid = key.kid(), .algorithm = AlgorithmOf(key.algorithm())}});
  }
  ASSIGN_OR_RETURN(std::unique_ptr<auth::KeyFiles> opened, auth::KeyFiles::Open(std::move(files), jwt.jwks_file()));
  watcher->Add([keys = opened.get()] { return keys->Reload(); });
  return opened;
}

void NoteFetched(const absl::Status& status) {
  if (status.ok()) {
    ops::LogDebug("keys_fetched");
  } else {
    ops::LogWarn("keys_not_fetched", {{"reason", status.message()}});
  }
}

absl::StatusOr<std::unique_ptr<auth::JwksFetcher>> StartFetcher(const std::string& url) {
  auth::JwksFetcher::Options options;
  options.url = url;
  options.on_fetched = NoteFetched;
  return auth::JwksFetcher::Start(std::move(options));
}

absl::Status AboutFile(const std::string& path, const absl::Status& status) {
  return base::Annotated(status, absl::StrCat("auth.tickets.secret_file: ", path, " "));
}

absl::StatusOr<std::unique_ptr<auth::Tickets>> CreateTickets(const config::v1::Tickets& config, FileWatcher* watcher) {
  const auth::Tickets::Options options = {.ttl = config::FromProto(config.ttl())};
  if (config.secret_file().empty()) {
    return auth::Tickets::Create(options, auth::Tickets::RandomSecret());
  }
  const auto file = std::make_shared<auth::WatchedFile>(config.secret_file(), kSecretFileBytesMax);
  ASSIGN_OR_RETURN(const std::optional<std::string> bytes, file->ReadIfChanged());
  auto tickets = auth::Tickets::Create(options, auth::SecretIn(bytes.value_or("")));
  if (!tickets.ok()) {
    return AboutFile(config.secret_file(), tickets.status());
  }
  watcher->Add([file, target = tickets->get()]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<std::string> changed, file->ReadIfChanged());
    if (!changed.has_value()) {
      return absl::OkStatus();
    }
    const absl::Status set = target->SetSecret(auth::SecretIn(*changed));
    return set.ok() ? set : AboutFile(file->path(), set);
  });
  return tickets;
}

auth::TokenRules RulesOf(const config::v1::Jwt& jwt) {
  auth::TokenRules rules{.issuer = jwt.issuer(),
                         .audience = jwt.audience(),
                         .algorithms = {},
                         .leeway = config::FromProto(jwt.leeway()),
                         .subscribe_claim = jwt.subscribe_claim(),
                         .publish_claim = jwt.publish_claim(),
                         .call_claim = jwt.call_claim(),
                         .serve_claim = jwt.serve_claim()};
  for (const int algorithm : jwt.algorithms()) {
    rules.algorithms.push_back(AlgorithmOf(static_cast<config::v1::Jwt::Algorithm>(algorithm)));
  }
  return rules;
}

}  // namespace

absl::StatusOr<auth::PatternSet> PatternsOf(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  return auth::PatternSet::Parse(std::vector<absl::string_view>(texts.begin(), texts.end()));
}

absl::StatusOr<OpenedAuth> OpenAuth(const config::v1::Auth& config, FileWatcher* watcher) {
  OpenedAuth opened;
  if (!config::HasKeys(config)) {
    opened.authenticator = std::make_unique<auth::Authenticator>();
    return opened;
  }
  const config::v1::Jwt& jwt = config.jwt();
  std::vector<auth::KeySource*> sources;
  if (!jwt.keys().empty() || !jwt.jwks_file().empty()) {
    ASSIGN_OR_RETURN(opened.key_files, OpenKeyFiles(jwt, watcher));
    sources.push_back(opened.key_files.get());
  }
  if (!jwt.jwks_url().empty()) {
    ASSIGN_OR_RETURN(opened.jwks, StartFetcher(jwt.jwks_url()));
    sources.push_back(opened.jwks.get());
  }
  auth::Identity anonymous;
  ASSIGN_OR_RETURN(anonymous.subscribe, PatternsOf(config.anonymous().subscribe()));
  ASSIGN_OR_RETURN(anonymous.publish, PatternsOf(config.anonymous().publish()));
  ASSIGN_OR_RETURN(anonymous.call, PatternsOf(config.anonymous().call()));
  ASSIGN_OR_RETURN(anonymous.serve, PatternsOf(config.anonymous().serve()));
  std::unique_ptr<auth::Tickets> tickets;
  if (config::HasTickets(config)) {
    ASSIGN_OR_RETURN(tickets, CreateTickets(config.tickets(), watcher));
  }
  opened.authenticator = std::make_unique<auth::Authenticator>(
      std::move(anonymous), std::make_unique<const auth::TokenVerifier>(RulesOf(jwt), std::move(sources)),
      std::move(tickets));
  return opened;
}

}  // namespace bridge
