#include "bridge/rpc/intake.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/payload/transcoder.h"

namespace bridge::rpc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const char kId[] = "abcdefghijklmnopqrstuv";
const char kOtherId[] = "ABCDEFGHIJ0123456789_-";

PublisherIdentity Worker(const std::vector<absl::string_view>& serve) {
  auth::Identity token;
  token.publish = *auth::PatternSet::Parse({">"});
  token.serve = *auth::PatternSet::Parse(serve);
  return PublisherIdentity::OfToken(token);
}

grpc::ByteBuffer BytesOf(const std::string& text) {
  const grpc::Slice slice(text);
  return {&slice, 1};
}

class IntakeTest : public ::testing::Test {
 protected:
  static v1::PublishRequest Parsed(const std::string& text) {
    v1::PublishRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
    return request;
  }
  absl::StatusOr<Intake::Batch> TakeBytes(const std::string& bytes,
                                          const absl::Status& calls = absl::OkStatus()) const {
    return intake_.Take(BytesOf(bytes), identity_, calls);
  }
  absl::StatusOr<Intake::Batch> Take(const v1::PublishRequest& request) const {
    return TakeBytes(request.SerializeAsString());
  }
  absl::StatusOr<Intake::Batch> Take(const std::string& text) const { return Take(Parsed(text)); }
  std::string ErrorOf(const v1::PublishRequest& request) const {
    const absl::Status status = Take(request).status();
    return status.ok() ? "" : status.ToString();
  }
  // What becomes of one update.
  calls::CallUpdate Taken(const v1::PublishRequest& request) const {
    absl::StatusOr<Intake::Batch> batch = Take(request);
    EXPECT_TRUE(batch.ok()) << batch.status();
    if (!batch.ok() || batch->updates.size() != 1) {
      ADD_FAILURE() << "no update";
      return {};
    }
    return std::move(batch->updates[0]);
  }
  calls::CallUpdate Taken(const std::string& update) const {
    return Taken(Parsed(absl::StrCat("call_updates { call_id: '", kId, "' attempt: 1 ", update, " }")));
  }

  const payload::Transcoder transcoder_ = *payload::Transcoder::Create({});
  const Intake intake_{{.events_per_request_max = 5, .content = {.frame_bytes_max = 2000}}, &transcoder_};
  PublisherIdentity identity_ = Worker({"chat", "reports.*"});
};

TEST_F(IntakeTest, AnUpdateIsTakenAsItIs) {
  const calls::CallUpdate update = Taken(
      "first_index: 7 events { type: 'token' text: 'a' } events { json { number_value: 1 } retry { seconds: 1 } } "
      "end { code: 3 message: 'no' usage { fields { key: 'tokens' value { number_value: 12 } } } }");
  EXPECT_EQ(update.call_id, kId);
  EXPECT_EQ(update.attempt, 1U);
  EXPECT_EQ(update.first_index, 7U);
  ASSERT_EQ(update.events.size(), 2U);
  EXPECT_EQ(update.events[0].type, "token");
  EXPECT_EQ(update.events[0].data, "a");
  EXPECT_EQ(update.events[1].data, "1");
  EXPECT_EQ(update.events[1].retry, absl::Seconds(1));
  EXPECT_TRUE(update.rejected.ok()) << update.rejected;
  ASSERT_TRUE(update.has_end);
  EXPECT_EQ(update.end.code, 3);
  EXPECT_EQ(update.end.message, "no");
  EXPECT_EQ(update.end.usage, R"({"tokens":12})");
}

TEST_F(IntakeTest, AnEmptyUpdateIsOne) {
  const calls::CallUpdate update = Taken("");
  EXPECT_THAT(update.events, IsEmpty());
  EXPECT_FALSE(update.has_end);
  EXPECT_TRUE(update.rejected.ok());
  const calls::CallUpdate end = Taken("end {}");
  EXPECT_TRUE(end.has_end);
  EXPECT_EQ(end.end.usage, "") << "none is said";
  EXPECT_EQ(Taken("end { usage {} }").end.usage, "{}");
}

struct BadEvent {
  const char* name;
  std::string event;
  const char* error;
};

class BadEvents : public IntakeTest, public ::testing::WithParamInterface<BadEvent> {};

TEST_P(BadEvents, CutTheUpdateThere) {
  const calls::CallUpdate update =
      Taken(absl::StrCat("events { text: 'a' } events { ", GetParam().event, " } events { text: 'c' } end {}"));
  ASSERT_EQ(update.events.size(), 1U);
  EXPECT_EQ(update.events[0].data, "a");
  EXPECT_TRUE(absl::IsInvalidArgument(update.rejected)) << update.rejected;
  EXPECT_THAT(std::string(update.rejected.message()), HasSubstr(GetParam().error));
  EXPECT_FALSE(update.has_end) << "it stands behind what was dropped";
}

INSTANTIATE_TEST_SUITE_P(
    All, BadEvents,
    ::testing::Values(BadEvent{"Topic", "topic: 'chat' text: 'b'", "topic \"chat\": is set"},
                      BadEvent{"Key", "idempotency_key: 'k' text: 'b'", "idempotency_key \"k\": is set"},
                      BadEvent{"Ephemeral", "ephemeral: true text: 'b'", "ephemeral: is set"},
                      BadEvent{"Payload", "type: 'b'", "payload: none is set"},
                      BadEvent{"ReservedType", "type: 'bridge.end' text: 'b'", "type \"bridge.end\""},
                      BadEvent{"TypeWithALineFeed", "type: 'a\\nb' text: 'b'", "type \"a\\nb\""},
                      BadEvent{"Retry", "text: 'b' retry { seconds: 100000 }", "http.retry_max"},
                      BadEvent{"Infinity", "json { number_value: inf }", "payload.json: "},
                      BadEvent{"Frame", absl::StrCat("text: '", std::string(2000, 'b'), "'"), "http.max_frame_bytes"}),
    [](const auto& each) { return each.param.name; });

struct BadEnd {
  const char* name;
  std::string end;
  const char* error;
};

class BadEnds : public IntakeTest, public ::testing::WithParamInterface<BadEnd> {};

TEST_P(BadEnds, AreRejectedAndTheEventsBeforeThemAreNot) {
  const calls::CallUpdate update = Taken(absl::StrCat("events { text: 'a' } end { ", GetParam().end, " }"));
  EXPECT_EQ(update.events.size(), 1U);
  EXPECT_TRUE(absl::IsInvalidArgument(update.rejected)) << update.rejected;
  EXPECT_THAT(std::string(update.rejected.message()), HasSubstr(GetParam().error));
  EXPECT_FALSE(update.has_end);
  EXPECT_EQ(update.end.usage, "");
}

std::string Levels(int count) {
  std::string value = "number_value: 1";
  for (int i = 0; i < count; ++i) {
    value = absl::StrCat("list_value { values { ", value, " } }");
  }
  return absl::StrCat("usage { fields { key: 'a' value { ", value, " } } }");
}

INSTANTIATE_TEST_SUITE_P(
    All, BadEnds,
    ::testing::Values(
        BadEnd{"Code", "code: 17", "end.code: 17 is no google.rpc.Code"},
        BadEnd{"NegativeCode", "code: -1", "end.code: -1"},
        BadEnd{"Message", absl::StrCat("message: '", std::string(1025, 'a'), "'"), "end.message: has 1025 bytes"},
        BadEnd{"NaN", "usage { fields { key: 'a' value { number_value: nan } } }", "end.usage: "},
        BadEnd{"Infinity", "usage { fields { key: 'a' value { number_value: -inf } } }", "end.usage: "},
        BadEnd{"UnsetValue", "usage { fields { key: 'a' value {} } }", "end.usage: "},
        BadEnd{"Depth", Levels(70), "end.usage: "},
        BadEnd{"Usage",
               absl::StrCat("usage { fields { key: 'a' value { string_value: '", std::string(16 << 10, 'a'), "' } } }"),
               "end.usage: its text is longer than 16384 bytes"}),
    [](const auto& each) { return each.param.name; });

TEST_F(IntakeTest, AnUpdateForNoCallIsAnsweredAndHarmsNoOther) {
  for (const std::string bad : {"", "short", "abcdefghijklmnopqrstu.", "abcdefghijklmnopqrstuvw"}) {
    v1::PublishRequest request = Parsed(absl::StrCat("call_updates { attempt: 3 events { text: 'a' } }",
                                                     "call_updates { call_id: '", kId, "' events { text: 'b' } }"));
    request.mutable_call_updates(0)->set_call_id(bad);
    const absl::StatusOr<Intake::Batch> batch = Take(request);
    ASSERT_TRUE(batch.ok()) << batch.status();
    ASSERT_EQ(batch->call_acks.size(), 1U);
    EXPECT_EQ(batch->call_acks[0].id, bad);
    EXPECT_EQ(batch->call_acks[0].attempt, 3U);
    EXPECT_TRUE(absl::IsInvalidArgument(batch->call_acks[0].status));
    EXPECT_THAT(std::string(batch->call_acks[0].status.message()), HasSubstr("22 of [A-Za-z0-9_-]"));
    ASSERT_EQ(batch->updates.size(), 1U);
    EXPECT_EQ(batch->updates[0].events[0].data, "b");
  }
  v1::PublishRequest request;
  request.add_call_updates()->set_call_id(std::string(100'000, 'a'));
  EXPECT_EQ(Take(request)->call_acks[0].id, "") << "what is long is not repeated";
}

TEST_F(IntakeTest, EventsOfUpdatesCountAsOthers) {
  v1::PublishRequest request = Parsed(absl::StrCat(
      "request_id: 'r' events { topic: 'a' text: 'x' } events { topic: 'a' text: 'x' } call_updates { call_id: '", kId,
      "' attempt: 4 first_index: 9 events { text: 'a' } events { text: 'a' } } call_updates { call_id: '", kOtherId,
      "' end {} }"));
  absl::StatusOr<Intake::Batch> batch = Take(request);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->events(), 5U);
  EXPECT_EQ(batch->records.size(), 2U);
  EXPECT_EQ(batch->updates.size(), 2U);

  request.add_call_updates()->set_call_id("none");
  batch = Take(request);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->ack.request_id(), "r");
  EXPECT_THAT(batch->records, IsEmpty());
  ASSERT_EQ(batch->ack.rejected_size(), 2);
  EXPECT_THAT(batch->ack.rejected(0).message(), HasSubstr("the request has 6 events"));
  ASSERT_EQ(batch->updates.size(), 2U);
  EXPECT_EQ(batch->updates[0].call_id, kId);
  EXPECT_EQ(batch->updates[0].attempt, 4U);
  EXPECT_EQ(batch->updates[0].first_index, 9U);
  EXPECT_THAT(batch->updates[0].events, IsEmpty());
  EXPECT_THAT(std::string(batch->updates[0].rejected.message()), HasSubstr("grpc.max_events_per_request, 5"));
  EXPECT_FALSE(batch->updates[1].has_end);
  EXPECT_TRUE(absl::IsInvalidArgument(batch->updates[1].rejected));
  ASSERT_EQ(batch->call_acks.size(), 1U);
  EXPECT_EQ(batch->call_acks[0].id, "");
}

TEST_F(IntakeTest, AMillionUpdatesEndTheStream) {
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) {
    bytes.append("\x22\x00", 2);
  }
  EXPECT_THAT(TakeBytes(bytes).status().ToString(), HasSubstr("the message has 1000000 events"));
}

TEST_F(IntakeTest, WorkCountsForUpdatesToo) {
  const Intake intake({.events_per_request_max = 100, .content = {.work_per_request_max = 1000}}, &transcoder_);
  v1::PublishRequest request = Parsed(absl::StrCat("call_updates { call_id: '", kId, "' }"));
  for (int i = 0; i < 10; ++i) {
    v1::Event* const event = request.mutable_call_updates(0)->add_events();
    (*event->mutable_json()->mutable_struct_value()->mutable_fields())["a"].set_number_value(1);
  }
  const absl::StatusOr<Intake::Batch> batch =
      intake.Take(BytesOf(request.SerializeAsString()), identity_, absl::OkStatus());
  ASSERT_TRUE(batch.ok());
  EXPECT_GT(batch->updates[0].events.size(), 0U);
  EXPECT_LT(batch->updates[0].events.size(), 10U);
  EXPECT_TRUE(absl::IsResourceExhausted(batch->updates[0].rejected));
}

TEST_F(IntakeTest, ServeIsTakenAsItIs) {
  const absl::StatusOr<Intake::Batch> batch =
      Take(absl::StrCat("serve { worker_id: 'w' names: 'chat' names: 'reports.eu' max_concurrent: 3 held { call_id: '",
                        kId, "' attempt: 2 } }"));
  ASSERT_TRUE(batch.ok()) << batch.status();
  ASSERT_TRUE(batch->serving.has_value());
  const calls::Serve& serve = batch->serving->serve;
  EXPECT_EQ(serve.worker_id, "w");
  EXPECT_THAT(serve.names, ElementsAre("chat", "reports.eu"));
  EXPECT_EQ(serve.max_concurrent, 3U);
  ASSERT_EQ(serve.held.size(), 1U);
  EXPECT_EQ(serve.held[0].call_id, kId);
  EXPECT_EQ(serve.held[0].attempt, 2U);
  EXPECT_EQ(batch->serving->answer.rejected_size(), 0);
}

TEST_F(IntakeTest, NamesThatAreNotGrantedAreRejectedOneByOne) {
  const absl::StatusOr<Intake::Batch> batch =
      Take("serve { worker_id: 'w' names: 'mail' names: 'chat' names: 'reports' }");
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_THAT(batch->serving->serve.names, ElementsAre("chat"));
  const v1::Serving& answer = batch->serving->answer;
  ASSERT_EQ(answer.rejected_size(), 2);
  EXPECT_EQ(answer.rejected(0).index(), 0U);
  EXPECT_EQ(answer.rejected(0).code(), static_cast<int>(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(answer.rejected(0).message(), HasSubstr("call \"mail\""));
  EXPECT_EQ(answer.rejected(1).index(), 2U);
}

TEST_F(IntakeTest, WhoWouldHaveToShowATokenIsToldSo) {
  identity_ =
      PublisherIdentity::Anonymous({.publish = {}, .serve = *auth::PatternSet::Parse({"chat"})}, "send a token");
  EXPECT_TRUE(Take("serve { worker_id: 'w' names: 'chat' }").ok());
  EXPECT_TRUE(absl::IsUnauthenticated(Take("serve { worker_id: 'w' names: 'chat' names: 'mail' }").status()));
}

TEST_F(IntakeTest, ABadServeSaysWhatWouldBeRight) {
  const auto with = [](const std::function<void(v1::Serve*)>& change) {
    v1::PublishRequest request;
    request.mutable_serve()->set_worker_id("w");
    request.mutable_serve()->add_names("chat");
    change(request.mutable_serve());
    return request;
  };
  EXPECT_EQ(ErrorOf(with([](v1::Serve*) {})), "");
  EXPECT_EQ(ErrorOf(with([](v1::Serve* serve) { serve->set_worker_id(std::string(128, 'w')); })), "");
  EXPECT_THAT(ErrorOf(with([](v1::Serve* serve) { serve->clear_worker_id(); })),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("serve.worker_id"), HasSubstr("1 to 128 bytes")));
  EXPECT_THAT(ErrorOf(with([](v1::Serve* serve) { serve->set_worker_id(std::string(129, 'w')); })),
              HasSubstr("has 129 bytes"));
  EXPECT_THAT(ErrorOf(with([](v1::Serve* serve) { serve->add_names("chat.*"); })),
              AllOf(HasSubstr("serve.names[1]: "), HasSubstr("[A-Za-z0-9_-]")));
  EXPECT_THAT(ErrorOf(with([](v1::Serve* serve) {
                for (int i = 0; i < 100; ++i) {
                  serve->add_names("chat");
                }
              })),
              HasSubstr("serve.names: there are 101; at most 100"));
  EXPECT_THAT(ErrorOf(with([](v1::Serve* serve) { serve->set_max_concurrent(10'001); })),
              HasSubstr("serve.max_concurrent: is 10001; at most 10000"));
  EXPECT_THAT(ErrorOf(with([](v1::Serve* serve) { serve->add_held()->set_call_id("x"); })),
              AllOf(HasSubstr("serve.held[0]: "), HasSubstr("22 of [A-Za-z0-9_-]")));
  EXPECT_THAT(ErrorOf(with([](v1::Serve* serve) {
                for (int i = 0; i < 10'001; ++i) {
                  serve->add_held()->set_call_id(kId);
                }
              })),
              HasSubstr("serve.held: there are 10001; at most 10000"));
}

TEST_F(IntakeTest, ServeHasNoPlaceInARequestThatIsTooLarge) {
  v1::PublishRequest request = Parsed("serve { worker_id: 'w' }");
  for (int i = 0; i < 6; ++i) {
    request.add_events();
  }
  EXPECT_THAT(ErrorOf(request), HasSubstr("serve: comes with 6 events"));
}

TEST_F(IntakeTest, WhereCallsAreNoneTheyAreTheErrorThatTheyAreToBe) {
  const absl::Status none = absl::InvalidArgumentError("calls are not served");
  for (const std::string text :
       {"serve { worker_id: 'w' }", "call_updates {}", "serve { worker_id: 'w' } call_updates {}"}) {
    EXPECT_EQ(TakeBytes(Parsed(text).SerializeAsString(), none).status(), none) << text;
  }
  EXPECT_TRUE(TakeBytes(Parsed("events { topic: 'a' text: 'x' }").SerializeAsString(), none).ok());
}

TEST_F(IntakeTest, WhatIsNoRequestIsAnError) {
  const std::string good = Parsed(absl::StrCat("serve { worker_id: 'w' names: 'chat' } call_updates { call_id: '", kId,
                                               "' attempt: 1 events { text: 'a' } end { message: 'm' } }"))
                               .SerializeAsString();
  ASSERT_TRUE(TakeBytes(good).ok());
  for (size_t size = 1; size < good.size(); ++size) {
    const absl::StatusOr<Intake::Batch> batch = TakeBytes(good.substr(0, size));
    EXPECT_TRUE(batch.ok() || absl::IsInvalidArgument(batch.status())) << size;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(TakeBytes("\x22\xff\xff\xff\xff\xff").status()))
      << "a length of 32 bits and more";
  EXPECT_TRUE(absl::IsInvalidArgument(TakeBytes("\x1a\x03\x0a\x01\xff").status())) << "no UTF-8";
}

}  // namespace
}  // namespace bridge::rpc
