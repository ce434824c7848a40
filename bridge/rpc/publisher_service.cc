#include "bridge/rpc/publisher_service.h"

#include <utility>

#include <grpc/grpc_security_constants.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

#include "bridge/ops/logging.h"
#include "bridge/rpc/grpc_status.h"

namespace bridge::rpc {
namespace {

absl::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

PublisherCredentials CredentialsOf(const grpc::CallbackServerContext& context) {
  PublisherCredentials credentials;
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  for (auto it = first; it != last; ++it) {
    credentials.authorizations.push_back(View(it->second));
  }
  // Empty without TLS, and where clients show no certificate.
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  for (const grpc::string_ref& uri : peer->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
    credentials.uris.emplace_back(View(uri));
  }
  for (const grpc::string_ref& name : peer->FindPropertyValues(GRPC_PEER_DNS_PROPERTY_NAME)) {
    credentials.dns_names.emplace_back(View(name));
  }
  return credentials;
}

// A stream that ends at once.
class RefusedStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  RefusedStream(std::shared_ptr<ConnectionGuard::Call> call, const absl::Status& why) : call_(std::move(call)) {
    Finish(ToGrpcStatus(why));
  }
  void OnCancel() override { call_->NoteGivenUp(); }
  void OnDone() override { delete this; }

 private:
  const std::shared_ptr<ConnectionGuard::Call> call_;
};

// Those of `map` that are not about to end.
template <typename T>
std::vector<std::shared_ptr<T>> Living(const absl::flat_hash_map<T*, std::weak_ptr<T>>& map) {
  std::vector<std::shared_ptr<T>> living;
  for (const auto& [unused, weak] : map) {
    if (auto one = weak.lock()) {
      living.push_back(std::move(one));
    }
  }
  return living;
}

}  // namespace

PublisherService::PublisherService(const Options& options, PublisherIdentities identities,
                                   const payload::Transcoder* transcoder, log::EventLog* log, calls::Calls* calls,
                                   ConnectionGuard* guard)
    : stream_limits_(options.stream),
      identities_(std::move(identities)),
      log_(log),
      calls_(calls),
      guard_(guard),
      intake_(options.intake, transcoder),
      budget_(options.bytes_in_flight_max_total, &metrics_.request_bytes, &metrics_.ack_bytes),
      limiter_(options.rates) {}

PublishParts PublisherService::Parts(std::shared_ptr<ConnectionGuard::Call> call,
                                     std::shared_ptr<const PublisherIdentity> identity) {
  call->NoteLetIn();
  auto allowance = limiter_.Of(identity->name(), base::MonotonicClock::now());
  return {.call = std::move(call),
          .identity = std::move(identity),
          .allowance = std::move(allowance),
          .intake = &intake_,
          .log = log_,
          .calls = calls_,
          .budget = &budget_,
          .limiter = &limiter_,
          .metrics = &metrics_};
}

absl::StatusOr<std::shared_ptr<const PublisherIdentity>> PublisherService::IdentityOf(
    const grpc::CallbackServerContext& context) {
  auto identity = identities_.Of(CredentialsOf(context), absl::Now());
  if (!identity.ok()) {
    metrics_.NoteRefusal(identity.status());
    if (const auto suppressed = refusals_.Admit()) {
      ops::LogWarn("publisher_refused", {{"peer", context.peer()},
                                         {"reason", identity.status().message()},
                                         {"suppressed", absl::StrCat(*suppressed)}});
    }
  }
  return identity;
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* PublisherService::Publish(
    grpc::CallbackServerContext* context) {
  auto guarded = guard_->Begin(context->peer());
  auto identity = IdentityOf(*context);
  if (!identity.ok()) {
    return new RefusedStream(std::move(guarded), identity.status());
  }
  const auto forget = [this](PublishStream* stream) {
    const absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  };
  const auto stream =
      PublishStream::Create(Parts(std::move(guarded), *std::move(identity)), stream_limits_, context, forget);
  bool is_draining = false;
  {
    const absl::MutexLock lock(&mutex_);
    streams_.emplace(stream.get(), stream);
    is_draining = is_draining_;
  }
  stream->Begin();
  if (is_draining) {
    stream->TellDraining();
  }
  return stream.get();
}

grpc::ServerUnaryReactor* PublisherService::PublishOnce(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto guarded = guard_->Begin(context->peer());
  auto identity = IdentityOf(*context);
  if (!identity.ok()) {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(identity.status()));
    return reactor;
  }
  const auto forget = [this](PublishOnceCall* call) {
    const absl::MutexLock lock(&mutex_);
    once_calls_.erase(call);
  };
  const auto call = PublishOnceCall::Create(Parts(std::move(guarded), *std::move(identity)),
                                            {.context = context, .request = request, .response = response}, forget);
  {
    const absl::MutexLock lock(&mutex_);
    once_calls_.emplace(call.get(), call);
  }
  call->Begin();
  return call.get();
}

void PublisherService::Check() {
  const base::MonotonicTime now = base::MonotonicClock::now();
  const absl::Time wall_now = absl::Now();
  for (const auto& stream : OpenStreams()) {
    stream->Check(now, wall_now);
  }
  std::vector<std::shared_ptr<PublishOnceCall>> calls;
  {
    const absl::MutexLock lock(&mutex_);
    calls = Living(once_calls_);
  }
  for (const auto& call : calls) {
    call->Check(now, stream_limits_.send_timeout);
  }
}

void PublisherService::BeginDrain() {
  {
    const absl::MutexLock lock(&mutex_);
    is_draining_ = true;
  }
  for (const auto& stream : OpenStreams()) {
    stream->TellDraining();
  }
}

void PublisherService::EndStreams() {
  for (const auto& stream : OpenStreams()) {
    stream->End("the bridge stops; connect again and send what was not acked");
  }
}

void PublisherService::BlockUntilIdle(absl::Time deadline) {
  const auto is_idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return streams_.empty() && once_calls_.empty(); };
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithDeadline(absl::Condition(&is_idle), deadline);
}

std::vector<std::shared_ptr<PublishStream>> PublisherService::OpenStreams() {
  const absl::MutexLock lock(&mutex_);
  return Living(streams_);
}

}  // namespace bridge::rpc
