// Calls over HTTP, on a log of this process, with a worker that is part of the test.
#include "bridge/http/calls_handlers.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"
#include "tests/support/tokens.h"
#include "tests/unit/http/http_fixture.h"

#include "bridge/hub/feed.h"
#include "bridge/hub/hub.h"
#include "bridge/log/memory_log.h"
#include "bridge/log/position.h"

namespace bridge::http {
namespace {

using test::Eventually;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const char kSecret[] = "a secret of the tests, of 32 bytes and more";
constexpr absl::string_view kKey = "Idempotency-Key: 0123456789012345678901\r\n";

// A worker that notes what it is told.
class FakeWorker final : public calls::WorkerStream {
 public:
  void OnCall(calls::AssignedCall call) override {
    const absl::MutexLock lock(&mutex_);
    calls_.push_back(std::move(call));
  }
  void OnStop(absl::string_view /*call_id*/, uint32_t /*attempt*/, calls::StopReason reason) override {
    const absl::MutexLock lock(&mutex_);
    stops_.push_back(reason);
  }
  void OnAck(calls::CallAck /*ack*/) override {}
  void OnAcks(std::vector<calls::CallAck> /*acks*/) override {}
  void OnReplaced() override {}

  std::vector<calls::AssignedCall> calls() const {
    const absl::MutexLock lock(&mutex_);
    return calls_;
  }
  std::vector<calls::StopReason> stops() const {
    const absl::MutexLock lock(&mutex_);
    return stops_;
  }
  // The call of that number.
  calls::AssignedCall Await(size_t number) const {
    EXPECT_TRUE(Eventually([&] { return calls().size() > number; }));
    return calls().at(number);
  }
  bool AwaitsStop(calls::StopReason reason) const {
    return Eventually([&] { return !stops().empty() && stops().back() == reason; });
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<calls::AssignedCall> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<calls::StopReason> stops_ ABSL_GUARDED_BY(mutex_);
};

class OneKey final : public auth::KeySource {
 public:
  std::shared_ptr<const auth::KeySet> Keys() const override {
    return std::make_shared<const auth::KeySet>(std::vector<auth::Key>{*auth::Key::FromSecret({}, kSecret)});
  }
  bool MayStillCome(absl::string_view) override { return false; }
};

class CallsHandlersTest : public HttpFixture {
 protected:
  ~CallsHandlersTest() override {
    Stop();
    if (hub_ != nullptr) {
      loop_->BlockOn([&] {
        hub_->loop().AssertOnLoop();
        hub_->EndAll(hub::EndReason::kDraining);
      });
    }
    feed_.Detach();
    log_ = nullptr;
    calls_loop_.BlockOn([&] { calls_ = nullptr; });
    loop_->BlockOn([&] { hub_ = nullptr; });
  }

  struct Settings {
    calls::Calls::Options calls = {};
    CallsHandlers::Options handlers = {};
    StreamLimits::Options limits = {};
    Cors::Options cors = {};
    // With keys, also tickets.
    std::unique_ptr<auth::Authenticator> authenticator = std::make_unique<auth::Authenticator>();
    ConnectionLimits connections = {};
  };
  void StartCalls(Settings settings) {
    authenticator_ = std::move(settings.authenticator);
    cors_ = std::make_unique<Cors>(settings.cors);
    gate_ = std::make_unique<Gate>(authenticator_.get(), CredentialPlaces{.ticket_parameter = "ticket"}, cors_.get());
    limits_ = std::make_unique<StreamLimits>(settings.limits);
    loop_->BlockOn([&] {
      hub_ = std::make_unique<hub::Hub>(&loop_->loop(), log_.get(), nullptr,
                                        hub::HubOptions{.history = {},
                                                        .heartbeats = hub::Heartbeats::kCommentsOnly,
                                                        .stream_max_age = {},
                                                        .end_type = "bridge.end"},
                                        [this] { is_ready_ = true; });
    });
    calls_loop_.BlockOn(
        [&] { calls_ = std::make_unique<calls::Calls>(&calls_loop_.loop(), log_.get(), &feed_, settings.calls); });
    feed_.Start([calls = calls_.get()] { calls->ResumeAnswers(); }, {hub_.get()});
    log_->Follow(calls_.get(), {});
    EXPECT_TRUE(Eventually([&] { return is_ready_.load(); }));
    settings.handlers.rules.other_parameters = gate_->parameters();
    handlers_ = std::make_unique<CallsHandlers>(settings.handlers, std::vector<hub::Hub*>{hub_.get()}, calls_.get(),
                                                gate_.get(), &addresses_, cors_.get(), limits_.get());
    handlers_->AddRoutes(&dispatcher_);
    dispatcher_.SetFinisher([this](const httplib::Request& request, httplib::Response& response) {
      cors_->AddHeaders(request, &response);
    });
    Start(settings.connections);
  }
  void StartCalls() { StartCalls(Settings()); }
  // With a worker for "chat" that takes so many calls at once.
  void StartWithWorker(Settings settings, uint32_t concurrent = 100) {
    StartCalls(std::move(settings));
    worker_handle_ = calls_->AddWorker(worker_, "team");
    calls_->SetServe(worker_handle_, {.worker_id = "w", .names = {"chat"}, .max_concurrent = concurrent, .held = {}},
                     [] {});
  }
  void StartWithWorker() { StartWithWorker(Settings()); }

  void Say(const calls::AssignedCall& call, uint64_t index, const std::vector<std::string>& tokens) {
    calls::CallUpdate update{.call_id = call.id, .attempt = call.attempt, .first_index = index};
    for (const std::string& token : tokens) {
      update.events.push_back({.type = "", .data = token, .retry = {}});
    }
    calls_->Update(worker_handle_, {std::move(update)}, [](bool /*is_taken*/) {});
  }
  void EndCall(const calls::AssignedCall& call, uint64_t index) {
    calls::CallUpdate update{.call_id = call.id, .attempt = call.attempt, .first_index = index};
    update.has_end = true;
    update.end = {.code = 0, .message = "", .usage = R"({"tokens":2})"};
    calls_->Update(worker_handle_, {std::move(update)}, [](bool /*is_taken*/) {});
  }

  test::SseClient Post(const std::string& headers = "", const std::string& target = "/calls/chat",
                       const std::string& body = "hello") const {
    return {port_, {.target = target, .headers = headers, .method = "POST", .body = body}};
  }
  test::SseClient Get(const std::string& id, const std::string& last_event_id = "", const std::string& headers = "") {
    return {port_, {.target = "/calls/" + id, .last_event_id = last_event_id, .headers = headers}};
  }
  // As Post, where no stream is to come.
  test::HttpResponse FetchPost(const std::string& headers = "", const std::string& target = "/calls/chat",
                               const std::string& body = "hello") const {
    const bool has_type = absl::StrContains(headers, "Content-Type");
    return test::Fetch(port_, "POST", target, headers + (has_type ? "" : "Content-Type: application/json\r\n"), body);
  }
  // The events up to the stream's end.
  static std::vector<test::SseEvent> All(test::SseClient* client) {
    std::vector<test::SseEvent> events;
    while (auto event = client->Next()) {
      events.push_back(*std::move(event));
    }
    EXPECT_TRUE(client->has_ended_cleanly());
    return events;
  }
  static std::vector<std::string> TypesOf(const std::vector<test::SseEvent>& events) {
    std::vector<std::string> types;
    for (const test::SseEvent& event : events) {
      types.push_back(event.type);
    }
    return types;
  }
  // An answer of "1", "2" and its end, with the key.
  std::vector<test::SseEvent> WholeAnswer() {
    test::SseClient client = Post(std::string(kKey));
    const calls::AssignedCall call = worker_->Await(0);
    Say(call, 0, {"1", "2"});
    EndCall(call, 2);
    std::vector<test::SseEvent> events = All(&client);
    EXPECT_THAT(TypesOf(events), ElementsAre("bridge.open", "message", "message", "bridge.end"));
    return events;
  }

  static Settings WithKeys() {
    Settings settings;
    auth::TokenRules rules;
    rules.issuer = "id";
    settings.authenticator = std::make_unique<auth::Authenticator>(
        auth::Identity(), std::make_unique<const auth::TokenVerifier>(rules, std::vector<auth::KeySource*>{&key_}),
        *auth::Tickets::Create({.ttl = absl::Seconds(30)}, kSecret));
    return settings;
  }
  // A header with a token of those claims.
  static std::string Token(const std::string& claims) {
    return absl::StrCat("Authorization: Bearer ",
                        test::SignToken(absl::StrCat(R"({"iss": "id", "exp": )",
                                                     absl::ToUnixSeconds(absl::Now() + absl::Hours(1)), claims, "}"),
                                        test::SecretSigner(kSecret)),
                        "\r\n");
  }
  static std::string TokenOf(const std::string& subject) {
    return Token(absl::StrCat(R"(, "sub": ")", subject, R"(", "bridge": {"call": ["chat"]})"));
  }

  static inline OneKey key_;
  std::shared_ptr<FakeWorker> worker_ = std::make_shared<FakeWorker>();
  calls::Calls::WorkerHandle worker_handle_;
  std::atomic<bool> is_ready_{false};
  ClientAddresses addresses_{{}, ClientAddresses::Header::kXForwardedFor};
  std::unique_ptr<auth::Authenticator> authenticator_;
  std::unique_ptr<Cors> cors_;
  std::unique_ptr<Gate> gate_;
  std::unique_ptr<StreamLimits> limits_;
  std::unique_ptr<log::MemoryLog> log_ = std::make_unique<log::MemoryLog>(log::MemoryLog::Options{.epoch = 5});
  hub::Feed feed_;
  std::unique_ptr<hub::Hub> hub_;
  loop::LoopThread calls_loop_{"calls"};
  std::unique_ptr<calls::Calls> calls_;
  std::unique_ptr<CallsHandlers> handlers_;
};

TEST_F(CallsHandlersTest, APostIsAnsweredWithTheEventsOfAWorker) {
  StartWithWorker();
  test::SseClient client = Post("", "/calls/chat?timeout=30s");
  const auto open = client.Next();
  ASSERT_TRUE(open.has_value());
  const test::HttpResponse& head = client.Head();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("Content-Type"), "text/event-stream");
  EXPECT_THAT(head.Header("Cache-Control"), HasSubstr("no-transform"));
  const calls::AssignedCall call = worker_->Await(0);
  EXPECT_EQ(head.Header("Location"), call.id);
  EXPECT_EQ(open->type, "bridge.open");
  EXPECT_EQ(open->data,
            absl::StrCat(R"({"call_id":")", call.id, R"(","url":")", call.id, R"(","heartbeat_ms":15000})"));
  EXPECT_EQ(call.name, "chat");
  EXPECT_EQ(call.body, "hello");
  EXPECT_EQ(call.content_type, "application/json");
  EXPECT_LE(call.timeout, absl::Seconds(30));

  Say(call, 0, {"1"});
  EXPECT_EQ(client.Next()->data, "1");
  Say(call, 1, {"2"});
  EXPECT_EQ(client.Next()->data, "2");
  EndCall(call, 2);
  const auto end = client.Next();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->type, "bridge.end");
  EXPECT_THAT(end->data, AllOf(HasSubstr(R"("status":"ok")"), HasSubstr(R"("tokens":2)")));
  EXPECT_NE(end->id, "");
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_TRUE(client.has_ended_cleanly());
  EXPECT_EQ(handlers_->opened(), 1U);
  EXPECT_TRUE(Eventually([&] { return limits_->open() == 0; }));
}

TEST_F(CallsHandlersTest, AnAnswerIsReadFromTheBeginningOrBehindAnId) {
  StartWithWorker();
  const std::vector<test::SseEvent> events = WholeAnswer();
  const std::string id = worker_->Await(0).id;
  test::SseClient whole = Get(id);
  std::vector<test::SseEvent> again = All(&whole);
  EXPECT_THAT(again[0].data, HasSubstr(absl::StrCat(R"("call_id":")", id)));
  ASSERT_THAT(again, SizeIs(events.size()));
  for (size_t i = 1; i < events.size(); ++i) {
    EXPECT_EQ(again[i], events[i]);
  }

  test::SseClient behind = Get(id, events[1].id);
  EXPECT_THAT(TypesOf(All(&behind)), ElementsAre("bridge.open", "message", "bridge.end"));
  // What is no place in this answer begins anew, without a word: its id is another's, or none.
  for (const std::string& other :
       {std::string("4-100"), std::string("5-0"), std::string("5-1"), std::string("nonsense")}) {
    test::SseClient anew = Get(id, other);
    EXPECT_THAT(TypesOf(All(&anew)), ElementsAre("bridge.open", "message", "message", "bridge.end")) << other;
  }
}

TEST_F(CallsHandlersTest, AReaderThatHasTheEndIsToldToStop) {
  StartWithWorker();
  const std::vector<test::SseEvent> events = WholeAnswer();
  const std::string target = "/calls/" + worker_->Await(0).id;
  const test::HttpResponse done =
      test::Fetch(port_, "GET", target, absl::StrCat("Last-Event-ID: ", events.back().id, "\r\n"));
  EXPECT_EQ(done.status, 204);
  EXPECT_EQ(done.body, "");
  EXPECT_EQ(test::Fetch(port_, "GET", absl::StrCat(target, "?lastEventId=", events.back().id)).status, 204);
  EXPECT_EQ(test::Fetch(port_, "HEAD", absl::StrCat(target, "?lastEventId=", events.back().id)).status, 204);
  const test::HttpResponse head = test::Fetch(port_, "HEAD", target);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("Content-Type"), "text/event-stream");
  EXPECT_EQ(head.body, "");
}

TEST_F(CallsHandlersTest, SeveralReadersGetALiveAnswer) {
  StartWithWorker();
  test::SseClient first = Post();
  const calls::AssignedCall call = worker_->Await(0);
  Say(call, 0, {"1"});
  ASSERT_EQ(first.NextData(1), std::vector<std::string>{"1"});
  test::SseClient second = Get(call.id);
  EXPECT_EQ(second.NextData(1), std::vector<std::string>{"1"});
  Say(call, 1, {"2"});
  EndCall(call, 2);
  EXPECT_THAT(TypesOf(All(&first)), ElementsAre("message", "bridge.end"));
  EXPECT_THAT(TypesOf(All(&second)), ElementsAre("message", "bridge.end"));
}

TEST_F(CallsHandlersTest, AnAnswerMayBeReadLater) {
  StartWithWorker();
  const test::HttpResponse accepted = FetchPost("Prefer: wait=1, respond-async\r\n");
  EXPECT_EQ(accepted.status, 202);
  const std::string id = worker_->Await(0).id;
  EXPECT_EQ(accepted.Header("Location"), id);
  EXPECT_EQ(accepted.Header("Preference-Applied"), "respond-async");
  EXPECT_EQ(accepted.Header("Content-Type"), "application/json");
  EXPECT_EQ(accepted.body, absl::StrCat(R"({"call_id":")", id, R"(","url":")", id, "\"}"));
  EXPECT_EQ(limits_->open(), 0U);
  test::SseClient reader = Get(id);
  EndCall(worker_->Await(0), 0);
  EXPECT_THAT(TypesOf(All(&reader)), ElementsAre("bridge.open", "bridge.end"));
}

TEST_F(CallsHandlersTest, APostWithTheSameKeyJoinsTheCall) {
  StartWithWorker();
  test::SseClient first = Post(std::string(kKey));
  const calls::AssignedCall call = worker_->Await(0);
  Say(call, 0, {"1"});
  ASSERT_TRUE(first.Next().has_value());
  const std::string id_1 = first.Next()->id;
  test::SseClient whole = Post(std::string(kKey));
  EXPECT_EQ(whole.Head().Header("Location"), call.id);
  EXPECT_EQ(whole.NextData(1), std::vector<std::string>{"1"});
  test::SseClient behind = Post(absl::StrCat(kKey, "Last-Event-ID: ", id_1, "\r\n"));
  ASSERT_EQ(behind.Next()->type, "bridge.open");
  Say(call, 1, {"2"});
  EXPECT_EQ(behind.Next()->data, "2");
  EndCall(call, 2);
  const auto end = behind.Next();
  ASSERT_EQ(end->type, "bridge.end");

  // Never 204, which some clients take for an error; they would make another call.
  test::SseClient again = Post(absl::StrCat(kKey, "Last-Event-ID: ", end->id, "\r\n"));
  EXPECT_EQ(again.Head().status, 200);
  const std::vector<test::SseEvent> repeated = All(&again);
  EXPECT_THAT(TypesOf(repeated), ElementsAre("bridge.open", "bridge.end"));
  EXPECT_EQ(repeated[1], *end);
  test::SseClient beyond = Post(absl::StrCat(kKey, "Last-Event-ID: 5-999999\r\n"));
  EXPECT_THAT(TypesOf(All(&beyond)), ElementsAre("bridge.open", "bridge.end"));

  EXPECT_EQ(FetchPost(absl::StrCat(kKey, "Prefer: respond-async\r\n")).status, 202);
  const test::HttpResponse other = FetchPost(std::string(kKey), "/calls/chat", "another body");
  EXPECT_EQ(other.status, 422);
  EXPECT_THAT(other.body, HasSubstr("Unprocessable Content"));
  EXPECT_THAT(worker_->calls(), SizeIs(1));
}

TEST_F(CallsHandlersTest, AnIdThatANewCallCannotKnowIsNotWaitedFor) {
  StartWithWorker();
  test::SseClient client = Post(absl::StrCat(kKey, "Last-Event-ID: 5-999999\r\n"));
  Say(worker_->Await(0), 0, {"1"});
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"1"});
}

TEST_F(CallsHandlersTest, ADeleteCancels) {
  StartWithWorker();
  test::SseClient client = Post();
  const calls::AssignedCall call = worker_->Await(0);
  const std::string target = "/calls/" + call.id;
  for (int i = 0; i < 2; ++i) {
    const test::HttpResponse cancelled = test::Fetch(port_, "DELETE", target);
    EXPECT_EQ(cancelled.status, 202);
    EXPECT_EQ(cancelled.body, absl::StrCat(R"({"call_id":")", call.id, "\"}"));
  }
  EXPECT_TRUE(worker_->AwaitsStop(calls::StopReason::kClient));
  EndCall(call, 0);
  const std::vector<test::SseEvent> events = All(&client);
  EXPECT_THAT(events.back().data, HasSubstr(R"("status":"cancelled")"));
  const test::HttpResponse ended = test::Fetch(port_, "DELETE", target);
  EXPECT_EQ(ended.status, 200);
  EXPECT_EQ(ended.body, absl::StrCat(R"({"call_id":")", call.id, R"(","end":)", events.back().data, "}"));
  EXPECT_EQ(test::Fetch(port_, "DELETE", target + "?x=y").status, 400);
}

TEST_F(CallsHandlersTest, AClientThatGoesIsNoReaderAnyMore) {
  StartWithWorker();
  for (size_t i = 0; i < 2; ++i) {
    auto client = std::make_unique<test::SseClient>(Post("", "/calls/chat?on_disconnect=cancel"));
    ASSERT_TRUE(client->Next().has_value());
    worker_->Await(i);
    if (i == 0) {
      client->connection().Reset();
    }
    client = nullptr;
    EXPECT_TRUE(Eventually([&] { return worker_->stops().size() == i + 1; }));
    EXPECT_TRUE(worker_->AwaitsStop(calls::StopReason::kAbandoned));
    EXPECT_TRUE(Eventually([&] { return limits_->open() == 0; }));
  }
  // Before the answer has come.
  auto client = std::make_unique<test::SseClient>(Post("", "/calls/chat?on_disconnect=cancel"));
  client->connection().Reset();
  client = nullptr;
  EXPECT_TRUE(Eventually([&] { return limits_->open() == 0; }));
  EXPECT_TRUE(Eventually([&] { return worker_->stops().size() == worker_->calls().size(); }));
}

TEST_F(CallsHandlersTest, BodiesAreOfAnyTypeUpToTheirLimit) {
  Settings settings;
  settings.handlers.body_bytes_max = 100'000;
  StartWithWorker(std::move(settings));
  const std::string body = std::string("--x\r\n\0\xff", 7) + std::string(90'000, 'x');
  size_t number = 0;
  for (const char* const type :
       {"multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/octet-stream"}) {
    EXPECT_EQ(
        FetchPost(absl::StrCat("Prefer: respond-async\r\nContent-Type: ", type, "\r\n"), "/calls/chat", body).status,
        202);
    EXPECT_EQ(worker_->Await(number).body, body);
    EXPECT_EQ(worker_->Await(number++).content_type, type);
  }
  const test::HttpResponse large = FetchPost("", "/calls/chat", std::string(100'001, 'x'));
  EXPECT_EQ(large.status, 413);
  EXPECT_THAT(large.body, HasSubstr("calls.max_body_bytes, 100000"));
}

TEST_F(CallsHandlersTest, WhatIsWrongIsSaidBeforeACallIsOpened) {
  Settings settings;
  settings.calls.names = {*topic::Pattern::Parse("chat"), *topic::Pattern::Parse("report.*")};
  StartWithWorker(std::move(settings));
  EXPECT_EQ(FetchPost("", "/calls/other").status, 404);
  EXPECT_EQ(FetchPost("", "/calls/a..b").status, 404);
  EXPECT_EQ(FetchPost("", "/calls/" + std::string(300, 'x')).status, 404);
  EXPECT_EQ(FetchPost("", "/calls/chat?topic=a").status, 400);
  EXPECT_EQ(FetchPost("Idempotency-Key: short\r\n").status, 400);
  EXPECT_EQ(FetchPost("Last-Event-ID: 5-1\r\n").status, 400);
  EXPECT_EQ(FetchPost("Content-Encoding: gzip\r\n").status, 415);
  const test::HttpResponse nobody = FetchPost("", "/calls/report.a");
  EXPECT_EQ(nobody.status, 503);
  EXPECT_NE(nobody.Header("Retry-After"), "");
  EXPECT_THAT(nobody.body, HasSubstr("no worker serves"));
  for (const char* const id : {"chat", "0123456789012345678901", "01234567890123456789.1"}) {
    EXPECT_EQ(test::Fetch(port_, "GET", absl::StrCat("/calls/", id)).status, 404) << id;
    EXPECT_EQ(test::Fetch(port_, "HEAD", absl::StrCat("/calls/", id)).status, 404) << id;
    EXPECT_EQ(test::Fetch(port_, "DELETE", absl::StrCat("/calls/", id)).status, 404) << id;
  }
  EXPECT_EQ(test::Fetch(port_, "PUT", "/calls/chat").status, 405);
  EXPECT_THAT(worker_->calls(), IsEmpty());
  EXPECT_EQ(limits_->open(), 0U);
}

TEST_F(CallsHandlersTest, AnswersCountAmongTheEventStreams) {
  Settings settings;
  settings.limits.streams_max = 1;
  StartWithWorker(std::move(settings));
  test::SseClient client = Post();
  ASSERT_TRUE(client.Next().has_value());
  const std::string id = worker_->Await(0).id;
  const test::HttpResponse post = FetchPost();
  EXPECT_EQ(post.status, 503);
  EXPECT_NE(post.Header("Retry-After"), "");
  test::SseClient get = Get(id);
  EXPECT_EQ(get.Next()->data, R"({"reason":"overloaded"})");
  EXPECT_EQ(FetchPost("Prefer: respond-async\r\n").status, 202) << "it opens no stream";
  worker_->Await(1);
  EXPECT_THAT(worker_->calls(), SizeIs(2));
}

TEST_F(CallsHandlersTest, ReadersThatAreTooManyAreToComeAgain) {
  Settings settings;
  settings.calls.readers_per_call = 1;
  StartWithWorker(std::move(settings));
  test::SseClient client = Post(std::string(kKey));
  ASSERT_TRUE(client.Next().has_value());
  const std::string id = worker_->Await(0).id;
  test::SseClient get = Get(id);
  const auto closing = get.Next();
  EXPECT_EQ(closing->type, "bridge.closing");
  EXPECT_EQ(closing->data, R"({"reason":"readers_full"})");
  EXPECT_EQ(FetchPost(std::string(kKey)).status, 429);
  EXPECT_EQ(test::Fetch(port_, "HEAD", "/calls/" + id).status, 200);
  client.connection().Reset();
  EXPECT_TRUE(Eventually([&] { return Get(id).Next()->type == "bridge.open"; }));
}

TEST_F(CallsHandlersTest, PagesOfOtherOriginsMakeNoCalls) {
  Settings settings;
  settings.cors.allowed_origins = {"https://app.example"};
  settings.handlers.rules.metadata = {"x-trace"};
  StartWithWorker(std::move(settings));
  const std::string evil = "Origin: https://evil.example\r\n";
  const test::HttpResponse text = FetchPost(evil + "Content-Type: text/plain\r\n");
  EXPECT_EQ(text.status, 403);
  EXPECT_THAT(text.body, HasSubstr("http.cors.allowed_origins"));
  EXPECT_EQ(FetchPost(evil, "/calls/a..b").status, 403) << "before anything else";
  EXPECT_EQ(test::Fetch(port_, "GET", "/calls/0123456789012345678901", evil).status, 403);
  EXPECT_EQ(test::Fetch(port_, "DELETE", "/calls/0123456789012345678901", evil).status, 403);
  EXPECT_EQ(test::Fetch(port_, "OPTIONS", "/calls/chat", evil).status, 403);
  EXPECT_THAT(worker_->calls(), IsEmpty());

  const std::string app = "Origin: https://app.example\r\n";
  const test::HttpResponse preflight = test::Fetch(port_, "OPTIONS", "/calls/chat", app);
  EXPECT_EQ(preflight.status, 204);
  EXPECT_THAT(preflight.Header("Access-Control-Allow-Methods"), AllOf(HasSubstr("POST"), HasSubstr("DELETE")));
  EXPECT_THAT(preflight.Header("Access-Control-Allow-Headers"),
              AllOf(HasSubstr("Idempotency-Key"), HasSubstr("Prefer"), HasSubstr("x-trace")));
  const test::HttpResponse accepted = FetchPost(app + "X-Trace: 7\r\nPrefer: respond-async\r\n");
  EXPECT_EQ(accepted.status, 202);
  EXPECT_EQ(accepted.Header("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_THAT(accepted.Header("Access-Control-Expose-Headers"), HasSubstr("Location"));
  EXPECT_THAT(worker_->Await(0).metadata, ElementsAre(std::pair<std::string, std::string>("x-trace", "7")));
  EXPECT_EQ(FetchPost(absl::StrCat("Origin: http://127.0.0.1:", port_, "\r\nPrefer: respond-async\r\n")).status, 403)
      << "its host is called otherwise here";
}

TEST_F(CallsHandlersTest, AnHttp10ClientGetsAnAnswerThatEndsWithItsConnection) {
  StartWithWorker();
  test::RawConnection connection(port_);
  ASSERT_TRUE(connection.Send("POST /calls/chat HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"));
  const calls::AssignedCall call = worker_->Await(0);
  Say(call, 0, {"1"});
  EndCall(call, 1);
  const std::string text = connection.ReceiveToEnd().value_or("");
  EXPECT_THAT(text, AllOf(HasSubstr("data: 1\n"), HasSubstr("event: bridge.end"), Not(HasSubstr("\r\n0\r\n"))));
}

TEST_F(CallsHandlersTest, WhileItDrainsClientsAreSentElsewhereAndMayStillCancel) {
  StartWithWorker();
  test::SseClient client = Post();
  ASSERT_TRUE(client.Next().has_value());
  const calls::AssignedCall call = worker_->Await(0);
  handlers_->BeginDrain();
  EXPECT_EQ(FetchPost().status, 503);
  test::SseClient get = Get(call.id);
  EXPECT_EQ(get.Next()->data, R"({"reason":"draining"})");
  EXPECT_EQ(test::Fetch(port_, "DELETE", "/calls/" + call.id).status, 202);
}

TEST_F(CallsHandlersTest, WhereCallsDoNotAnswerClientsAreToComeAgain) {
  Settings settings;
  settings.connections.answer_timeout = absl::Milliseconds(100);
  StartWithWorker(std::move(settings));
  absl::Notification is_over;
  calls_loop_.loop().Post([&] { is_over.WaitForNotification(); });
  const test::HttpResponse post = FetchPost();
  EXPECT_EQ(post.status, 503);
  EXPECT_NE(post.Header("Retry-After"), "");
  test::SseClient get = Get("0123456789012345678901");
  EXPECT_EQ(get.Next()->data, R"({"reason":"log_away"})");
  is_over.Notify();
  EXPECT_TRUE(Eventually([&] { return limits_->open() == 0; }));
}

TEST_F(CallsHandlersTest, ATokenSaysWhoMayCallAndWhoseCallsAre) {
  StartWithWorker(WithKeys());
  EXPECT_EQ(FetchPost().status, 401);
  EXPECT_EQ(FetchPost(Token(R"(, "sub": "ann")")).status, 403);
  EXPECT_EQ(FetchPost(Token(R"(, "sub": "ann", "bridge": {"call": ["report.>"]})")).status, 403);
  const test::HttpResponse without_subject = FetchPost(Token(R"(, "bridge": {"call": [">"]})"));
  EXPECT_EQ(without_subject.status, 403);
  EXPECT_THAT(without_subject.body, HasSubstr("sub"));
  EXPECT_THAT(worker_->calls(), IsEmpty());

  const std::string ann = TokenOf("ann");
  test::SseClient client = Post(ann + "Idempotency-Key: 1\r\n");
  ASSERT_TRUE(client.Next().has_value()) << "a short key is no secret here";
  const calls::AssignedCall call = worker_->Await(0);
  EXPECT_EQ(call.subject, "ann");
  const std::string target = "/calls/" + call.id;
  EXPECT_EQ(test::Fetch(port_, "GET", target).status, 401);
  EXPECT_EQ(test::Fetch(port_, "GET", target, TokenOf("bob")).status, 404);
  EXPECT_EQ(test::Fetch(port_, "DELETE", target, TokenOf("bob")).status, 404);
  EXPECT_EQ(test::Fetch(port_, "DELETE", target).status, 401);
  EXPECT_EQ(FetchPost(TokenOf("bob") + "Idempotency-Key: 1\r\nPrefer: respond-async\r\n").status, 202)
      << "another's key is another key";
  EXPECT_THAT(worker_->Await(1).subject, "bob");
  Say(call, 0, {"1"});
  test::SseClient reader = Get(call.id, "", ann);
  EXPECT_EQ(reader.NextData(1), std::vector<std::string>{"1"});
  EXPECT_EQ(test::Fetch(port_, "DELETE", target, ann).status, 202);
}

TEST_F(CallsHandlersTest, ATicketReadsAnAnswerOnce) {
  StartWithWorker(WithKeys());
  EXPECT_EQ(FetchPost(TokenOf("ann") + "Prefer: respond-async\r\n").status, 202);
  const calls::AssignedCall call = worker_->Await(0);
  EndCall(call, 0);
  auth::Identity identity;
  identity.issuer = "id";
  identity.subject = "ann";
  identity.call = *auth::PatternSet::Parse({"chat"});
  identity.expires = absl::Now() + absl::Hours(1);
  const std::string ticket = authenticator_->tickets()->Mint(identity, absl::Now())->text;
  const std::string target = absl::StrCat("/calls/", call.id, "?ticket=", ticket);
  EXPECT_EQ(test::Fetch(port_, "DELETE", target).status, 400);
  EXPECT_EQ(test::Fetch(port_, "HEAD", target).status, 200);
  test::SseClient reader(port_, target);
  const std::vector<test::SseEvent> events = All(&reader);
  EXPECT_THAT(TypesOf(events), ElementsAre("bridge.open", "bridge.end"));
  EXPECT_EQ(test::Fetch(port_, "GET", target).status, 401);
  // An EventSource comes again with the same URL, and has the end.
  EXPECT_EQ(test::Fetch(port_, "GET", target, absl::StrCat("Last-Event-ID: ", events.back().id, "\r\n")).status, 204);
}

}  // namespace
}  // namespace bridge::http
