#include "bridge/log/jetstream/nats_connection.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/base/status_macros.h"
#include "bridge/ops/log_limiter.h"
#include "bridge/ops/logging.h"

namespace bridge::log::jetstream {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(2);
// A server that does not read is given up after this; so nobody waits for longer.
constexpr absl::Duration kWriteDeadline = absl::Seconds(3);
constexpr absl::Duration kSendNowMax = absl::Milliseconds(5);
// A server that does not answer pings is given up after three of them.
constexpr absl::Duration kPingInterval = absl::Seconds(2);
constexpr int kPingsUnansweredMax = 2;
// Far more than come late.
constexpr NatsConnection::InboxLimits kAnswers = {.messages = 1 << 16, .bytes = std::numeric_limits<int>::max()};

absl::Status ToStatus(natsStatus status, absl::string_view what) {
  if (status == NATS_OK) {
    return absl::OkStatus();
  }
  const char* const name = natsStatus_GetText(status);
  // The details are those of this thread's last failure: of this one, or of none. "(conn.c:1905): " stands before them.
  natsStatus last = NATS_OK;
  const char* const text = nats_GetLastError(&last);
  absl::string_view details = text != nullptr && last == status ? text : "";
  if (absl::StartsWith(details, "(")) {
    details = details.substr(std::min(details.size(), details.find(')') + 3));
  }
  return absl::UnavailableError(details.empty() || details == name ? absl::StrCat(what, ": ", name)
                                                                   : absl::StrCat(what, ": ", name, ": ", details));
}

// "user:password@" of a URL, or nothing.
absl::string_view UserInfoOf(absl::string_view url) {
  const size_t scheme = url.find("://");
  const absl::string_view rest = scheme == absl::string_view::npos ? url : url.substr(scheme + 3);
  return rest.substr(0, rest.rfind('@') == absl::string_view::npos ? 0 : rest.rfind('@') + 1);
}

std::vector<std::string> SplitUrl(absl::string_view url) {
  std::vector<std::string> servers;
  for (const absl::string_view part : absl::StrSplit(url, ',')) {
    const absl::string_view server = absl::StripAsciiWhitespace(part);
    if (!server.empty()) {
      servers.emplace_back(server);
    }
  }
  return servers;
}

struct FreeOptions {
  void operator()(natsOptions* options) const { natsOptions_Destroy(options); }
};
using OptionsPtr = std::unique_ptr<natsOptions, FreeOptions>;

// The servers to try; those that others named get the name and password of the first one that has some.
std::vector<std::string> AllServers(const JetStreamOptions& options, const std::vector<std::string>& more_servers) {
  std::vector<std::string> servers = SplitUrl(options.url);
  std::string user_info;
  for (const std::string& server : servers) {
    if (user_info.empty()) {
      user_info = std::string(UserInfoOf(server));
    }
  }
  for (const std::string& server : more_servers) {
    const auto [scheme, address] =
        std::pair<std::string, std::string>(absl::StrSplit(server, absl::MaxSplits("://", 1)));
    servers.push_back(address.empty() ? absl::StrCat("nats://", user_info, scheme)
                                      : absl::StrCat(scheme, "://", user_info, address));
  }
  return servers;
}

natsStatus SetTls(const JetStreamOptions& options, natsOptions* to) {
  const JetStreamOptions::Tls& tls = options.tls;
  natsStatus status = NATS_OK;
  if (!tls.ca_file.empty() || !tls.certificate_file.empty() || absl::StrContains(options.url, "tls://")) {
    status = natsOptions_SetSecure(to, true);
  }
  if (status == NATS_OK && !tls.ca_file.empty()) {
    status = natsOptions_LoadCATrustedCertificates(to, tls.ca_file.c_str());
  }
  if (status == NATS_OK && !tls.certificate_file.empty()) {
    status = natsOptions_LoadCertificatesChain(to, tls.certificate_file.c_str(), tls.key_file.c_str());
  }
  return status;
}

absl::StatusOr<OptionsPtr> MakeOptions(const JetStreamOptions& options, const std::vector<std::string>& more_servers) {
  natsOptions* made = nullptr;
  RETURN_IF_ERROR(ToStatus(natsOptions_Create(&made), "NATS"));
  OptionsPtr to(made);
  const std::vector<std::string> servers = AllServers(options, more_servers);
  std::vector<const char*> urls;
  urls.reserve(servers.size());
  for (const std::string& server : servers) {
    urls.push_back(server.c_str());
  }
  RETURN_IF_ERROR(ToStatus(natsOptions_SetServers(made, urls.data(), static_cast<int>(urls.size())), "NATS servers"));
  for (const natsStatus status : {natsOptions_SetName(made, "sse-bridge"), natsOptions_SetAllowReconnect(made, false),
                                  natsOptions_SetTimeout(made, absl::ToInt64Milliseconds(kConnectTimeout)),
                                  natsOptions_SetWriteDeadline(made, absl::ToInt64Milliseconds(kWriteDeadline)),
                                  natsOptions_SetPingInterval(made, absl::ToInt64Milliseconds(kPingInterval)),
                                  natsOptions_SetMaxPingsOut(made, kPingsUnansweredMax)}) {
    RETURN_IF_ERROR(ToStatus(status, "NATS options"));
  }
  RETURN_IF_ERROR(ToStatus(SetTls(options, made), "TLS to NATS"));
  if (!options.credentials_file.empty()) {
    RETURN_IF_ERROR(ToStatus(natsOptions_SetUserCredentialsFromFiles(made, options.credentials_file.c_str(), nullptr),
                             absl::StrCat("NATS credentials file ", options.credentials_file)));
  }
  return to;
}

// A subject that nobody else subscribes to.
std::string NewInboxSubject() {
  natsInbox* inbox = nullptr;
  if (natsInbox_Create(&inbox) != NATS_OK) {
    std::abort();  // out of memory
  }
  std::string subject = inbox;
  natsInbox_Destroy(inbox);
  return subject;
}

}  // namespace

// What the library's threads tell; outlives the connection until they are done with it.
struct NatsConnection::Events {
  absl::AnyInvocable<void()> on_closed;
  mutable absl::Mutex mutex;
  bool is_closed ABSL_GUARDED_BY(mutex) = false;
  std::string last_error ABSL_GUARDED_BY(mutex);
  ops::LogLimiter error_lines{absl::Seconds(10)};
};

absl::StatusOr<std::shared_ptr<NatsConnection>> NatsConnection::Connect(const JetStreamOptions& options,
                                                                        const std::vector<std::string>& more_servers,
                                                                        absl::AnyInvocable<void()> on_closed) {
  ASSIGN_OR_RETURN(const OptionsPtr to, MakeOptions(options, more_servers));
  auto events = std::make_shared<Events>();
  events->on_closed = std::move(on_closed);
  // OnClosed is the last callback of a connection, and frees it.
  auto closure = std::make_unique<std::shared_ptr<Events>>(events);
  RETURN_IF_ERROR(ToStatus(natsOptions_SetClosedCB(to.get(), &OnClosed, closure.get()), "NATS options"));
  RETURN_IF_ERROR(ToStatus(natsOptions_SetErrorHandler(to.get(), &OnError, closure.get()), "NATS options"));
  natsConnection* connection = nullptr;
  RETURN_IF_ERROR(ToStatus(natsConnection_Connect(&connection, to.get()),
                           absl::StrCat("cannot connect to NATS at ", ServersOf(options.url))));
  static_cast<void>(closure.release());  // NATS has it, until OnClosed
  return std::shared_ptr<NatsConnection>(new NatsConnection(connection, std::move(events)));
}

NatsConnection::NatsConnection(natsConnection* connection, std::shared_ptr<Events> events)
    : connection_(connection),
      events_(std::move(events)),
      max_payload_(static_cast<size_t>(natsConnection_GetMaxPayload(connection))) {}

NatsConnection::~NatsConnection() {
  Close();
  {
    const absl::MutexLock lock(&events_->mutex);
    events_->mutex.Await(absl::Condition(&events_->is_closed));
  }
  inboxes_.clear();  // the library's reader has ended
  natsConnection_Destroy(connection_);
}

void NatsConnection::Close() { natsConnection_Close(connection_); }

bool NatsConnection::is_open() const { return !natsConnection_IsClosed(connection_); }

std::string NatsConnection::last_error() const {
  const absl::MutexLock lock(&events_->mutex);
  return events_->last_error;
}

std::string NatsConnection::server() const {
  std::string url(256, '\0');
  if (natsConnection_GetConnectedUrl(connection_, url.data(), url.size()) != NATS_OK) {
    return "";
  }
  return ServersOf(url.c_str());
}

std::vector<std::string> NatsConnection::DiscoveredServers() const {
  char** servers = nullptr;
  int count = 0;
  std::vector<std::string> discovered;
  if (natsConnection_GetDiscoveredServers(connection_, &servers, &count) == NATS_OK) {
    for (int i = 0; i < count; ++i) {
      discovered.emplace_back(servers[i]);
      std::free(servers[i]);
    }
    std::free(static_cast<void*>(servers));
  }
  return discovered;
}

absl::Status NatsConnection::Publish(const Outgoing& message) {
  constexpr absl::string_view kWhat = "publishing to NATS";
  const char* const subject = message.subject.c_str();
  const char* const reply = message.reply.empty() ? nullptr : message.reply.c_str();
  const char* const data = message.data.data();
  const int size = static_cast<int>(message.data.size());
  if (message.message_id.empty()) {
    return ToStatus(reply == nullptr ? natsConnection_Publish(connection_, subject, data, size)
                                     : natsConnection_PublishRequest(connection_, subject, reply, data, size),
                    kWhat);
  }
  natsMsg* created = nullptr;
  natsStatus status = natsMsg_Create(&created, subject, reply, data, size);
  const Message to_send(created);
  if (status == NATS_OK) {
    status = natsMsgHeader_Set(created, "Nats-Msg-Id", message.message_id.c_str());
  }
  if (status == NATS_OK) {
    status = natsConnection_PublishMsg(connection_, created);
  }
  return ToStatus(status, kWhat);
}

absl::StatusOr<std::string> NatsConnection::Request(const std::string& subject, absl::string_view data,
                                                    absl::Duration timeout) {
  const base::MonotonicTime deadline = base::MonotonicClock::now() + absl::ToChronoNanoseconds(timeout);
  ASSIGN_OR_RETURN(AnswerInbox answers, TakeAnswerInbox());
  const std::string reply = absl::StrCat(answers.address.subject, ".", ++answers.asked);
  const absl::Status sent = Publish({.subject = subject, .reply = reply, .data = data, .message_id = {}});
  Message answer;
  if (sent.ok()) {
    SendNow();
    answer = AwaitAnswer(reply, deadline, answers.address.inbox);
  }
  GiveBack(std::move(answers));
  RETURN_IF_ERROR(sent);
  if (!answer) {
    const std::string said = last_error();
    return absl::UnavailableError(absl::StrCat(subject, said.empty() ? "" : absl::StrCat(" (NATS said: ", said, ")"),
                                               is_open() ? ": Timeout" : ": Connection Closed"));
  }
  if (answer.says_no_responders()) {
    return absl::UnavailableError(
        absl::StrCat("nobody answers to ", subject,
                     ": JetStream is not enabled on the NATS server (nats-server -js) or for this account, or has no "
                     "leader for now"));
  }
  return std::string(answer.data());
}

Message NatsConnection::AwaitAnswer(const std::string& reply, base::MonotonicTime deadline, Inbox* inbox) const {
  while (is_open()) {
    const absl::Duration left = absl::FromChrono(deadline - base::MonotonicClock::now());
    if (left <= absl::ZeroDuration()) {
      break;
    }
    Message message = inbox->Next(left);
    if (message.subject() == reply || message.says_no_responders()) {
      return message;
    }
  }
  return {};
}

absl::StatusOr<NatsConnection::AnswerInbox> NatsConnection::TakeAnswerInbox() {
  {
    const absl::MutexLock lock(&mutex_);
    if (!idle_answer_inboxes_.empty()) {
      AnswerInbox answers = std::move(idle_answer_inboxes_.back());
      idle_answer_inboxes_.pop_back();
      return answers;
    }
  }
  ASSIGN_OR_RETURN(Address address, SubscribeBelowNew(kAnswers));
  return AnswerInbox{.address = std::move(address)};
}

void NatsConnection::GiveBack(AnswerInbox answers) {
  const absl::MutexLock lock(&mutex_);
  idle_answer_inboxes_.push_back(std::move(answers));
}

absl::StatusOr<Inbox*> NatsConnection::Subscribe(const std::string& subject, const InboxLimits& limits) {
  natsSubscription* subscription = nullptr;
  RETURN_IF_ERROR(ToStatus(natsConnection_SubscribeSync(&subscription, connection_, subject.c_str()), subject));
  auto owned = std::make_unique<Inbox>(subscription);
  Inbox* const inbox = owned.get();
  {
    const absl::MutexLock lock(&mutex_);
    inboxes_.push_back(std::move(owned));
  }
  RETURN_IF_ERROR(ToStatus(natsSubscription_SetPendingLimits(subscription, limits.messages, limits.bytes), subject));
  return inbox;
}

absl::StatusOr<Address> NatsConnection::SubscribeBelowNew(const InboxLimits& limits) {
  Address address = {.subject = NewInboxSubject()};
  ASSIGN_OR_RETURN(address.inbox, Subscribe(absl::StrCat(address.subject, ".*"), limits));
  return address;
}

absl::Status NatsConnection::Flush() {
  return ToStatus(natsConnection_FlushTimeout(connection_, absl::ToInt64Milliseconds(kConnectTimeout)), "NATS");
}

void NatsConnection::SendNow() {
  // A server that is too slow for this is no failure yet.
  static_cast<void>(natsConnection_FlushTimeout(connection_, absl::ToInt64Milliseconds(kSendNowMax)));
}

void NatsConnection::OnClosed(natsConnection* connection, void* closure) {
  const std::unique_ptr<std::shared_ptr<Events>> owned(static_cast<std::shared_ptr<Events>*>(closure));
  const std::shared_ptr<Events>& events = *owned;
  events->on_closed();
  const char* why = nullptr;
  const natsStatus status = natsConnection_GetLastError(connection, &why);
  const absl::MutexLock lock(&events->mutex);
  if (status != NATS_OK && events->last_error.empty()) {
    events->last_error = why != nullptr && *why != '\0' ? why : natsStatus_GetText(status);
  }
  events->is_closed = true;
}

void NatsConnection::OnError(natsConnection* connection, natsSubscription* /*subscription*/, natsStatus error,
                             void* closure) {
  if (error == NATS_SLOW_CONSUMER) {
    return;  // who reads the inbox sees what is missing
  }
  const char* what = nullptr;
  natsConnection_GetLastError(connection, &what);
  const std::shared_ptr<Events>& events = *static_cast<std::shared_ptr<Events>*>(closure);
  const std::string reason = what != nullptr && *what != '\0' ? what : natsStatus_GetText(error);
  // A subject that is not permitted is told so, and not by an answer: what is sent to it gets none.
  if (const auto suppressed = events->error_lines.Admit()) {
    ops::LogWarn("nats_error", {{"reason", reason}, {"suppressed", *suppressed}});
  }
  const absl::MutexLock lock(&events->mutex);
  events->last_error = reason;
}

std::string ServersOf(absl::string_view url) {
  return absl::StrJoin(SplitUrl(url), ",", [](std::string* out, absl::string_view server) {
    const absl::string_view user_info = UserInfoOf(server);
    const size_t at = user_info.empty() ? 0 : server.find(user_info);
    absl::StrAppend(out, server.substr(0, at), server.substr(at + user_info.size()));
  });
}

}  // namespace bridge::log::jetstream
