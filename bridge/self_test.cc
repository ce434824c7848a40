#include "bridge/self_test.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

#include "bridge/auth/json_object.h"
#include "bridge/base/shown.h"
#include "bridge/base/status_macros.h"
#include "bridge/event_reader.h"
#include "bridge/http_get.h"
#include "bridge/option_file.h"
#include "bridge/v1/publisher.grpc.pb.h"

namespace bridge {
namespace {

// A type that no page listens to.
constexpr absl::string_view kType = "self-test";
constexpr size_t kAnswerBytesMax = 4096;

absl::Status Failed(absl::string_view step, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("self-test: ", step, ": ", why));
}

std::string Authorization(const std::string& token) { return token.empty() ? "" : absl::StrCat("Bearer ", token); }

// gRPC's own lines would stand before the one that says what is wrong.
void SilenceGrpc() {
  gpr_set_log_function([](gpr_log_func_args* /*line*/) {});
}

// What an answer other than 200 says, of its problem+json where it has that.
std::string Explained(int status, const std::string& body) {
  const auto problem = auth::ParseJsonObject(body);
  const std::optional<absl::string_view> detail = problem.ok() ? auth::FindText(*problem, "detail") : std::nullopt;
  if (detail.has_value()) {
    return absl::StrCat("answered ", status, ": ", base::Shown(*detail, kAnswerBytesMax));
  }
  return absl::StrCat("answered ", status, ", and not as the bridge does: does --http lead to it?");
}

// One run. Everything happens in the thread of Run: the event is published when the stream has been opened.
class SelfTest {
 public:
  explicit SelfTest(const SelfTestOptions& options) : options_(options), deadline_(absl::Now() + options.timeout) {}

  absl::StatusOr<absl::Duration> Run();

 private:
  // Each returns false where the stream is not to be read any further.
  bool OnBody(int status, absl::string_view bytes);
  bool OnEvent(const EventReader::Event& event);

  absl::Status Publish();
  absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel() const;
  // Why the stream ended without the event.
  absl::Status Explain(const absl::StatusOr<int>& answered) const;

  const SelfTestOptions& options_;
  const absl::Time deadline_;
  EventReader reader_;
  // Of an answer other than 200.
  std::string answer_;
  absl::Time published_ = absl::InfiniteFuture();
  absl::Time received_ = absl::InfiniteFuture();
  absl::Status status_;
};

absl::StatusOr<absl::Duration> SelfTest::Run() {
  const std::string url =
      absl::StrCat(absl::StripSuffix(options_.http_url, "/"), "/events?topic=", options_.access.topic, "&type=", kType);
  const HttpRequest request = {.url = url,
                               .authorization = Authorization(options_.access.token),
                               .ca_file = options_.ca_file,
                               .timeout = deadline_ - absl::Now()};
  const absl::StatusOr<int> answered =
      HttpGet(request, [this](int status, absl::string_view bytes) { return OnBody(status, bytes); });
  if (received_ != absl::InfiniteFuture()) {
    return received_ - published_;
  }
  return Explain(answered);
}

bool SelfTest::OnBody(int status, absl::string_view bytes) {
  if (status != 200) {
    absl::StrAppend(&answer_, bytes.substr(0, kAnswerBytesMax - answer_.size()));
    return answer_.size() < kAnswerBytesMax;
  }
  return reader_.Read(bytes, [this](const EventReader::Event& event) { return OnEvent(event); });
}

bool SelfTest::OnEvent(const EventReader::Event& event) {
  if (event.type == "bridge.open") {
    published_ = absl::Now();
    status_ = Publish();
    return status_.ok();
  }
  if (event.type == "bridge.closing") {
    status_ = Failed("subscribe", absl::StrCat(options_.http_url, " refuses event streams for now: ", event.data));
    return false;
  }
  if (event.type == kType && event.data == options_.access.topic) {
    received_ = absl::Now();
    return false;
  }
  return true;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> SelfTest::OpenChannel() const {
  absl::string_view target = options_.grpc_target;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!absl::ConsumePrefix(&target, "https://")) {
    absl::ConsumePrefix(&target, "http://");
    return grpc::CreateCustomChannel(std::string(target), grpc::InsecureChannelCredentials(), arguments);
  }
  grpc::SslCredentialsOptions tls;
  if (!options_.ca_file.empty()) {
    ASSIGN_OR_RETURN(tls.pem_root_certs, ReadOptionFile("--ca-file", options_.ca_file));
  }
  return grpc::CreateCustomChannel(std::string(target), grpc::SslCredentials(tls), arguments);
}

absl::Status SelfTest::Publish() {
  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = OpenChannel();
  if (!channel.ok()) {
    return Failed("publish", channel.status().message());
  }
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline_));
  if (!options_.access.token.empty()) {
    context.AddMetadata("authorization", Authorization(options_.access.token));
  }
  v1::PublishRequest request;
  v1::Event& event = *request.add_events();
  event.set_topic(options_.access.topic);
  event.set_type(std::string(kType));
  event.set_text(options_.access.topic);
  v1::Ack ack;
  const grpc::Status called = v1::Publisher::NewStub(*channel)->PublishOnce(&context, request, &ack);
  if (!called.ok()) {
    const bool is_reached = called.error_code() != grpc::StatusCode::UNAVAILABLE &&
                            called.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED;
    return Failed("publish", absl::StrCat(options_.grpc_target, ": ", called.error_message(),
                                          is_reached ? "" : "; is --grpc the bridge's gRPC side, https:// for TLS?"));
  }
  if (ack.rejected_size() > 0) {
    return Failed("publish", absl::StrCat("the event was rejected: ", ack.rejected(0).message()));
  }
  return absl::OkStatus();
}

absl::Status SelfTest::Explain(const absl::StatusOr<int>& answered) const {
  RETURN_IF_ERROR(status_);
  if (published_ != absl::InfiniteFuture()) {
    return Failed("receive", absl::StrCat("the event was acked and did not come within ",
                                          absl::FormatDuration(options_.timeout), " from ", options_.http_url,
                                          ": does --http lead to a bridge that shares its log with that of --grpc?"));
  }
  if (absl::IsDeadlineExceeded(answered.status())) {
    return Failed("subscribe", absl::StrCat(answered.status().message(),
                                            ": does --http lead to the bridge, and does a proxy before it buffer?"));
  }
  if (!answered.ok()) {
    return Failed("subscribe", absl::StrCat(answered.status().message(), "; is --http the bridge's HTTP side?"));
  }
  if (*answered != 200) {
    return Failed("subscribe", absl::StrCat(options_.http_url, " ", Explained(*answered, answer_)));
  }
  return Failed("subscribe", absl::StrCat(options_.http_url, " is no event stream of a bridge"));
}

}  // namespace

absl::StatusOr<absl::Duration> RunSelfTest(const SelfTestOptions& options) {
  SilenceGrpc();
  return SelfTest(options).Run();
}

}  // namespace bridge
