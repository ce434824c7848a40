// Text that wants to be more than text: in events, answers, headers and the log.
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/hostile/attacked.h"
#include "tests/support/publisher.h"
#include "tests/support/sse_client.h"

namespace bridge::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using std::string_literals::operator""s;

// Is in everything that is tried, and must not be seen where it would be obeyed.
constexpr const char* kMarker = "injected";

class Injection : public Attacked {
 protected:
  Injection() : Attacked({"logging.level=debug", "http.cors.allowed_origins=[\"https://app.example\"]"}) {}

  void TearDown() override {
    publisher_.reset();
    EXPECT_THAT(bridge_.Log(), Not(HasSubstr(kMarker)));
    Attacked::TearDown();
  }

  std::unique_ptr<Publisher> publisher_ = std::make_unique<Publisher>(bridge_.grpc_target());
};

// Payloads that would end their line, their event, their chunk or the whole response, and begin another one.
const std::vector<std::string>& Payloads() {
  static const auto* const payloads = new std::vector<std::string>{
      "\nevent: bridge.closing\ndata: {\"reason\":\"injected\"}\n\n",
      "\n\nevent: bridge.gap\nid: injected\ndata: {}\n\n",
      "\revent: injected\r\rid: injected\r\r",
      "\r\n\r\nretry: 1\r\n\r\nid: injected\r\n\r\n",
      "x\nid\nid:\nevent: injected",
      "\n\n0\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: injected\r\nContent-Length: 0\r\n\r\n",
      "\n0\r\n\r\n",
      "\0\nevent: injected\n\0"s,
      "\xef\xbb\xbf"
      "event: injected\n\n",
      "\xe2\x80\xa8"
      "event: injected"
      "\xe2\x80\xa9\xc2\x85"
      "id: injected",
      "\v\fevent: injected\x1c\x1d\x1e",
      ": injected\n:\n::",
      "data: injected\ndata",
      "\n\n\n",
  };
  return *payloads;
}

// As an event's data is told: each end of a line is one line feed.
std::string Lines(const std::string& text) { return absl::StrReplaceAll(text, {{"\r\n", "\n"}, {"\r", "\n"}}); }

TEST_F(Injection, PayloadIsTheDataOfOneEventAndNothingElse) {
  SseClient client(bridge_.http_port(), "/events?topic=a");
  client.ReadOpen();
  const auto retry = client.parser().retry_ms();
  for (const std::string& payload : Payloads()) {
    const std::string id = publisher_->Publish(TextEvent("a", payload)).first_id();
    const auto event = client.Next();
    ASSERT_TRUE(event) << payload;
    EXPECT_EQ(*event, (SseEvent{.id = id, .type = "message", .data = Lines(payload)}));
  }
  publisher_->Publish(TextEvent("a", "last"));
  EXPECT_THAT(client.NextData(1), ElementsAre("last"));
  EXPECT_EQ(client.parser().retry_ms(), retry);
}

TEST_F(Injection, PayloadAsJsonIsOneLine) {
  SseClient client(bridge_.http_port(), "/events?topic=a");
  client.ReadOpen();
  for (const std::string& payload : Payloads()) {
    v1::Event event;
    event.set_topic("a");
    (*event.mutable_json()->mutable_struct_value()->mutable_fields())[payload].set_string_value(payload);
    const std::string id = publisher_->Publish(event).first_id();
    const auto received = client.Next();
    ASSERT_TRUE(received) << payload;
    EXPECT_EQ(received->id, id);
    EXPECT_EQ(received->type, "message");
    EXPECT_THAT(received->data, Not(HasSubstr("\n")));
  }
}

TEST_F(Injection, TypeIsATypeAndNeverThatOfAControlEvent) {
  SseClient client(bridge_.http_port(), "/events?topic=a");
  client.ReadOpen();
  for (const std::string type : {" bridge.closing", "\tbridge.closing", "Bridge.closing", "bridge",
                                 "\xe2\x80\x8b"
                                 "bridge.closing",
                                 "id: injected", ": injected", "data: injected", "<script>injected</script>",
                                 "\xe2\x80\xa8"
                                 "id: injected",
                                 "\v", " "}) {
    const std::string id = publisher_->Publish(TextEvent("a", "x", type)).first_id();
    const auto event = client.Next();
    ASSERT_TRUE(event) << type;
    EXPECT_EQ(*event, (SseEvent{.id = id, .type = type, .data = "x"}));
  }
  for (const std::string& type :
       {std::string("bridge."), std::string("bridge.closing"), std::string("bridge.injected"),
        std::string("\nid: injected"), std::string("a\r"), "\0"s, std::string(1 << 20, 'x')}) {
    const v1::Ack ack = publisher_->Publish(TextEvent("a", "x", type));
    ASSERT_EQ(ack.rejected_size(), 1) << type;
    EXPECT_LT(ack.rejected(0).message().size(), 500U);
  }
}

TEST_F(Injection, TopicIsChecked) {
  for (const std::string& topic : {std::string("a\nid: injected"), std::string("a\r"), "a\0b"s, std::string("a b"),
                                   std::string("a/../b"), std::string("*"), std::string("a.>"), std::string("\xc3\xa4"),
                                   std::string("a.\xe2\x80\xa8"), std::string("$JS.API"), std::string(1 << 20, '\n')}) {
    const v1::Ack ack = publisher_->Publish(TextEvent(topic, "x"));
    ASSERT_EQ(ack.rejected_size(), 1) << topic;
    EXPECT_LT(ack.rejected(0).message().size(), 500U);
    EXPECT_THAT(ack.rejected(0).message(), Not(HasSubstr("\n")));
  }
}

TEST_F(Injection, RequestIdComesBackAsItIsOrNotAtAll) {
  for (const std::string& id : {std::string("\r\ngrpc-status: 16\r\ninjected: x"), "\0"s, std::string("\xe2\x80\xa8"),
                                std::string(128, '\n')}) {
    v1::PublishRequest request;
    request.set_request_id(id);
    *request.add_events() = TextEvent("a", "x");
    v1::Ack ack;
    ASSERT_TRUE(publisher_->TryPublish(request, &ack).ok());
    EXPECT_EQ(ack.request_id(), id);
  }
  v1::PublishRequest request;
  request.set_request_id(std::string(1 << 20, '\n'));
  v1::Ack ack;
  const grpc::Status status = publisher_->TryPublish(request, &ack);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_LT(status.error_message().size(), 500U);
}

TEST_F(Injection, LastEventIdIsToldAsTextOfABoundedLength) {
  const auto expect_gap = [&](SseClient* client, const std::string& id) {
    const auto open = client->Next();
    ASSERT_TRUE(open) << id;
    EXPECT_EQ(open->type, "bridge.open");
    const auto gap = client->Next();
    ASSERT_TRUE(gap) << id;
    EXPECT_EQ(gap->type, "bridge.gap");
    EXPECT_THAT(gap->data, HasSubstr("\"reason\":\"malformed\""));
    EXPECT_THAT(gap->data, Not(HasSubstr("\n")));
    EXPECT_LT(gap->data.size(), 600U);
    EXPECT_THAT(gap->id, Not(HasSubstr(kMarker)));
    const std::string next = publisher_->Publish(TextEvent("a", "x")).first_id();
    EXPECT_EQ(client->Next(), (SseEvent{.id = next, .type = "message", .data = "x"}));
  };
  for (const std::string& id :
       {std::string("injected"), std::string(R"("}\n\nevent: injected)"), std::string("\xff\xfe\x80"),
        std::string("<script>"), std::string("\xe2\x80\xa8"), std::string("1-1\tinjected"), std::string("-1--1"),
        std::string(8000, '\x80'), std::string(8000, '"')}) {
    SseClient client(bridge_.http_port(), "/events?topic=a", id);
    expect_gap(&client, id);
  }
  for (const std::string id :
       {"%0a%0aevent:%20injected%0adata:%20x%0a%0a", "%0d%0a%0d%0aHTTP/1.1%20200%20OK", "%c0%80", "%ff"}) {
    SseClient client(bridge_.http_port(), absl::StrCat("/events?topic=a&lastEventId=", id));
    expect_gap(&client, id);
  }
}

TEST_F(Injection, WhatARequestSaysIsNeverAHeaderNorMarkupOfTheAnswer) {
  const std::string line = "%0d%0aSet-Cookie:%20injected%0d%0a%0d%0a<script>injected</script>";
  const std::string encoded = absl::StrReplaceAll(line, {{"<", "%3C"}, {">", "%3E"}});
  const auto expect_harmless = [](const std::string& answer) {
    EXPECT_THAT(answer, Not(HasSubstr("\nSet-Cookie")));
    EXPECT_THAT(answer, Not(HasSubstr("<script>")));
    EXPECT_THAT(answer, HasSubstr("X-Content-Type-Options: nosniff"));
    EXPECT_GE(ParseResponse(answer).status, 400);
    EXPECT_EQ(ParseResponse(answer).Header("Content-Type"), "application/problem+json");
  };
  for (const std::string& text : {line, encoded}) {
    for (const std::string target :
         {"/", "/events?", "/events?topic=", "/events?topic=a&type=", "/events?topic=a&replay=",
          "/events?topic=a&heartbeat=", "/events?topic=a&x=y&", "/events/"}) {
      expect_harmless(Exchange(absl::StrCat("GET ", target, text, target == "/events?topic=a&type=" ? "%00" : "",
                                            " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")));
    }
  }
  for (const std::string name : {"Origin", "Host", "User-Agent", "Referer", "Last-Event-ID", "X-Forwarded-For",
                                 "Access-Control-Request-Headers", "Access-Control-Request-Method", "Cookie"}) {
    for (const std::string value :
         {"<script>injected</script>", "https://app.example\tSet-Cookie: injected", "\"\xff\""}) {
      for (const std::string method : {"GET", "POST", "PUT"}) {
        expect_harmless(
            Exchange(absl::StrCat(method, " /events HTTP/1.1\r\n", name, ": ", value,
                                  name == "Host" ? "" : "\r\nHost: localhost", "\r\nConnection: close\r\n\r\n")));
      }
    }
  }
  for (const std::string json :
       {R"({"topics":["\r\nSet-Cookie: injected <script>"]})", R"({"topics":["a"],"types":["\n<script>"]})",
        R"({"<script>injected":1})", R"({"topics":["a"],"heartbeat":"\r\nSet-Cookie: <script>"})"}) {
    expect_harmless(Exchange(
        absl::StrCat("POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: "
                     "close\r\nContent-Length: ",
                     json.size(), "\r\n\r\n", json)));
  }
}

}  // namespace
}  // namespace bridge::test
