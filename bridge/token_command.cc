#include "bridge/token_command.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/auth/algorithm.h"
#include "bridge/auth/signing_key.h"
#include "bridge/base/annotated.h"
#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/config/value_syntax.h"
#include "bridge/option_file.h"

namespace bridge {
namespace {

absl::StatusOr<std::optional<auth::Algorithm>> AlgorithmOf(const std::string& name) {
  const std::optional<auth::Algorithm> algorithm = auth::ParseAlgorithm(name);
  if (!name.empty() && !algorithm.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--algorithm: ", base::Quoted(name), " is none of ", auth::AlgorithmNames()));
  }
  return algorithm;
}

}  // namespace

TokenCommand::TokenCommand(CLI::App* app)
    : command_(app->add_subcommand("token", "Makes a token for trying the bridge, and writes it to standard output.")) {
  command_
      ->add_option("--subscribe", contents_.subscribe,
                   "A pattern of topics that its holder may subscribe to, as in "
                   "'orders.>'. May be repeated.")
      ->type_name("PATTERN")
      ->expected(1)
      ->take_all();
  command_->add_option("--publish", contents_.publish, "A pattern that its holder may publish on. May be repeated.")
      ->type_name("PATTERN")
      ->expected(1)
      ->take_all();
  command_
      ->add_option("--call", contents_.call, "A pattern of names of calls that its holder may make. May be repeated.")
      ->type_name("PATTERN")
      ->expected(1)
      ->take_all();
  command_
      ->add_option("--serve", contents_.serve,
                   "A pattern of names of calls that its holder may serve, as a worker. May be repeated.")
      ->type_name("PATTERN")
      ->expected(1)
      ->take_all();
  command_->add_option("--ttl", ttl_, "How long it is good, as in 30s, 15m or 24h.")
      ->type_name("DURATION")
      ->capture_default_str();
  command_
      ->add_option("--key", key_file_,
                   "The file of a secret (auth.jwt.keys' secret_file), or of the private key of a public_key_file, in "
                   "PEM.")
      ->type_name("FILE")
      ->required();
  command_->add_option("--subject", contents_.subject, "Who its holder is (sub).")->type_name("NAME");
  command_->add_option("--issuer", contents_.issuer, "Who makes it (iss), where auth.jwt.issuer is set.")
      ->type_name("NAME");
  command_->add_option("--audience", contents_.audience, "What it is for (aud), where auth.jwt.audience is set.")
      ->type_name("NAME");
  command_->add_option("--kid", kid_, "The key's name, where the configuration gives it one.")->type_name("NAME");
  command_
      ->add_option("--algorithm", algorithm_,
                   absl::StrCat("One of ", auth::AlgorithmNames(),
                                ". Without it, what is usual for the key; HS256 for a secret."))
      ->type_name("NAME");
  command_->add_option("--subscribe-claim", contents_.subscribe_claim, "As auth.jwt.subscribe_claim.")
      ->type_name("PATH")
      ->capture_default_str();
  command_->add_option("--publish-claim", contents_.publish_claim, "As auth.jwt.publish_claim.")
      ->type_name("PATH")
      ->capture_default_str();
  command_->add_option("--call-claim", contents_.call_claim, "As auth.jwt.call_claim.")
      ->type_name("PATH")
      ->capture_default_str();
  command_->add_option("--serve-claim", contents_.serve_claim, "As auth.jwt.serve_claim.")
      ->type_name("PATH")
      ->capture_default_str();
  command_->footer("sse-bridge token --subscribe 'orders.>' --subject ann --ttl 1h --key secret");
}

absl::StatusOr<std::string> TokenCommand::Mint(absl::Time now) const {
  if (contents_.subscribe.empty() && contents_.publish.empty() && contents_.call.empty() && contents_.serve.empty()) {
    return absl::InvalidArgumentError(
        "a token without --subscribe, --publish, --call and --serve grants nothing: give it a pattern");
  }
  const absl::StatusOr<absl::Duration> ttl = config::ParseDuration(ttl_);
  if (!ttl.ok()) {
    return base::Annotated(ttl.status(), absl::StrCat("--ttl: ", base::Quoted(ttl_), " "));
  }
  ASSIGN_OR_RETURN(const std::optional<auth::Algorithm> algorithm, AlgorithmOf(algorithm_));
  ASSIGN_OR_RETURN(const std::string bytes, ReadOptionFile("--key", key_file_));
  absl::StatusOr<auth::SigningKey> key = auth::SigningKey::Parse(bytes, algorithm);
  if (!key.ok()) {
    return base::Annotated(key.status(), absl::StrCat("--key: ", key_file_, " "));
  }
  return auth::TokenMinter(*std::move(key), kid_).Mint(contents_, *ttl, now);
}

}  // namespace bridge
