// The side of the browsers, and the admin port: what is served where, and what every response has.
#include <algorithm>
#include <chrono>
#include <sys/resource.h>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "bridge/base/status_macros.h"
#include "bridge/config/listener.h"
#include "bridge/config/validate_auth.h"
#include "bridge/config/value_syntax.h"
#include "bridge/http/console_handlers.h"
#include "bridge/server.h"

namespace bridge {
namespace {

// Descriptors that are kept for everything but event streams: publishers, requests, the log's own.
constexpr uint64_t kReservedDescriptors = 1000;
// And of these, what browsers cannot have, so that publishers, the log and files that are read again have some; and
// what clients of the admin port cannot have.
constexpr uint64_t kReservedFromHttp = 500;
constexpr uint64_t kReservedFromAdmin = 250;

uint64_t StreamsMax(const config::v1::Http& http) {
  if (http.max_event_streams() != 0) {
    return http.max_event_streams();
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);  // PrepareDescriptors has raised it
  const uint64_t descriptors = limit.rlim_cur;
  return descriptors > 2 * kReservedDescriptors ? descriptors - kReservedDescriptors : descriptors / 2;
}

http::ConnectionLimits LimitsOf(const config::v1::Config& config, uint64_t reserved_descriptors) {
  constexpr uint64_t kRequestBytes = uint64_t{64} << 20;
  constexpr uint64_t kLargestRequests = 4;  // that fit together, whatever is configured
  const config::v1::Http& http = config.http();
  const uint64_t largest_body = std::max(http.max_body_bytes(), config.calls().max_body_bytes());
  return {.head_bytes_max = http.max_head_bytes(),
          .body_bytes_max = http.max_body_bytes(),
          .head_timeout = config::FromProto(http.head_timeout()),
          .idle_timeout = config::FromProto(http.idle_timeout()),
          .send_timeout = config::FromProto(http.send_timeout()),
          .request_bytes_max = std::max(kRequestBytes, kLargestRequests * (http.max_head_bytes() + largest_body)),
          .reserved_descriptors = reserved_descriptors};
}

http::StreamLimits::Options StreamLimitsOf(const config::v1::Config& config) {
  const config::v1::Limits& limits = config.limits();
  return {.streams_max = StreamsMax(config.http()),
          .streams_per_address = limits.streams_per_address(),
          .streams_per_subject = limits.streams_per_subject(),
          .connects_per_second = limits.connects_per_second()};
}

std::unique_ptr<http::ClientAddresses> ClientAddressesOf(const config::v1::Http& http) {
  std::vector<base::IpNetwork> trusted;
  for (const std::string& network : http.trusted_proxies()) {
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access): it has been validated
    trusted.push_back(*base::IpNetwork::Parse(network));
  }
  return std::make_unique<http::ClientAddresses>(std::move(trusted),
                                                 http.forwarded_header() == config::v1::Http::forwarded
                                                     ? http::ClientAddresses::Header::kForwarded
                                                     : http::ClientAddresses::Header::kXForwardedFor);
}

http::CredentialPlaces CredentialPlacesOf(const config::v1::Auth& auth) {
  return {.cookie = auth.jwt().cookie(),
          .token_parameter = auth.jwt().query(),
          .ticket_parameter = config::HasTickets(auth) ? "ticket" : ""};
}

http::CallRules CallRulesOf(const config::v1::Calls& calls, const std::vector<std::string>& other_parameters) {
  std::vector<std::string> metadata;
  for (const std::string& name : calls.metadata()) {
    metadata.push_back(absl::AsciiStrToLower(name));
  }
  return {.max_duration = config::FromProto(calls.max_duration()),
          .metadata = std::move(metadata),
          .other_parameters = other_parameters};
}

std::chrono::seconds WholeSeconds(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(std::max<int64_t>(duration.seconds(), 1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<http::TlsContext>> Server::OpenTls(const config::v1::Http& http, FileWatcher* watcher) {
  const config::v1::Tls& tls = http.tls();
  if (tls.certificate_file().empty()) {
    return nullptr;
  }
  ASSIGN_OR_RETURN(std::unique_ptr<http::TlsContext> context,
                   http::TlsContext::Open({.section = "http.tls",
                                           .certificate_file = tls.certificate_file(),
                                           .key_file = tls.key_file(),
                                           .client_ca_file = tls.client_ca_file()}));
  watcher->Add([target = context.get()] { return target->Reload(); });
  return context;
}

absl::Status Server::StartHttp() {
  control_->AssertOnLoop();
  const config::v1::Http& http = config_.http();
  cors_ = std::make_unique<http::Cors>(http::Cors::Options{
      .allowed_origins = {http.cors().allowed_origins().begin(), http.cors().allowed_origins().end()},
      .allow_credentials = http.cors().allow_credentials()});
  std::vector<hub::Hub*> hubs;
  std::vector<loop::EventLoop*> loops;
  for (size_t i = 0; i < hubs_.size(); ++i) {
    hubs.push_back(hubs_[i].get());
    loops.push_back(&loops_[i]->loop());
  }
  gate_ = std::make_unique<http::Gate>(auth_.authenticator.get(), CredentialPlacesOf(config_.auth()), cors_.get());
  client_addresses_ = ClientAddressesOf(http);
  events_ = std::make_unique<http::EventsHandlers>(
      http::EventsHandlers::Options{.rules = {.topics_max = http.max_topics(), .other_parameters = gate_->parameters()},
                                    .limits = StreamLimitsOf(config_),
                                    .pattern_bytes_max = config_.limits().pattern_bytes()},
      std::move(hubs), gate_.get(), client_addresses_.get(), cors_.get());
  dispatcher_ = std::make_unique<http::Dispatcher>(WholeSeconds(http.idle_timeout()));
  events_->AddRoutes(dispatcher_.get());
  calls_handlers_ = std::make_unique<http::CallsHandlers>(
      http::CallsHandlers::Options{.rules = CallRulesOf(config_.calls(), gate_->parameters()),
                                   .body_bytes_max = config_.calls().max_body_bytes(),
                                   .heartbeat = config::FromProto(http.heartbeat())},
      calls_->hubs(), calls_->calls(), gate_.get(), client_addresses_.get(), cors_.get(), events_->limits());
  calls_handlers_->AddRoutes(dispatcher_.get());
  if (auth_.authenticator->tickets() != nullptr) {
    tickets_ = std::make_unique<http::TicketsHandlers>(config::FromProto(http.retry()), auth_.authenticator->tickets(),
                                                       gate_.get(), cors_.get());
    tickets_->AddRoutes(dispatcher_.get());
  }
  if (config::IsOn(config_.console().enabled(), http.address())) {
    http::AddConsoleRoutes(dispatcher_.get());
  }
  if (!auth_.authenticator->has_keys() && config::IsLoopback(config::ListenAddress(http.address()))) {
    dispatcher_->SetGuard(
        [this](const httplib::Request& request, httplib::Response& response) { return GuardHost(request, response); });
  }
  dispatcher_->SetFinisher(
      [this](const httplib::Request& request, httplib::Response& response) { FinishResponse(request, response); });
  http_ = std::make_unique<http::HttpServer>(control_, std::move(loops), dispatcher_.get(),
                                             LimitsOf(config_, kReservedFromHttp), cors_.get(), tls_.get());
  const config::Address address = config::ListenAddress(http.address());
  return http_->Listen(address.host, address.port);
}

absl::Status Server::StartAdmin() {
  control_->AssertOnLoop();
  admin_dispatcher_ = std::make_unique<http::Dispatcher>(WholeSeconds(config_.http().idle_timeout()));
  http::AddAdminRoutes({.metrics = [this] { return Metrics(); }, .readiness = [this] { return Readiness(); }},
                       admin_dispatcher_.get());
  admin_ = std::make_unique<http::HttpServer>(control_, std::vector<loop::EventLoop*>{control_},
                                              admin_dispatcher_.get(), LimitsOf(config_, kReservedFromAdmin));
  const config::Address address = config::ListenAddress(config_.admin().address());
  return admin_->Listen(address.host, address.port);
}

bool Server::GuardHost(const httplib::Request& /*request*/, httplib::Response& response) const {
  const std::string host = absl::AsciiStrToLower(http::Exchange::Current().head->host);
  // A page of another name that resolves to this machine must not read its events (DNS rebinding); addresses and
  // localhost are no such names.
  const bool is_address =
      absl::StrContains(host, ":") || (!host.empty() && absl::ascii_isdigit(static_cast<unsigned char>(host.back())));
  const auto& allowed = config_.http().allowed_hosts();
  if (host.empty() || is_address || host == "localhost" || absl::EndsWith(host, ".localhost") ||
      std::any_of(allowed.begin(), allowed.end(),
                  [&](const std::string& name) { return absl::EqualsIgnoreCase(name, host); })) {
    return true;
  }
  http::SetProblem(
      {.status = 421,
       .detail = absl::StrCat("the bridge listens on a loopback address without authentication and is not called \"",
                              host, "\"; if it is, add the name to http.allowed_hosts"),
       .parameter = "Host",
       .example = "localhost"},
      &response);
  return false;
}

void Server::FinishResponse(const httplib::Request& request, httplib::Response& response) const {
  cors_->AddHeaders(request, &response);
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_header("Date", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()));
  if (response.status == 204 || response.status == 304) {
    response.headers.erase("Content-Length");  // RFC 9110 §8.6
  }
  if (http::Exchange::Current().must_close || response.get_header_value("Content-Type") == sse::kContentType) {
    response.headers.erase("Keep-Alive");  // an event stream ends with its connection
    response.headers.erase("Accept-Ranges");
  }
  if (http::Exchange::Current().must_close && !response.has_header("Connection")) {
    response.set_header("Connection", "close");
  }
}

}  // namespace bridge
