#include "bridge/http/deferred_answer.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/bridge_process.h"
#include "tests/support/raw_http.h"
#include "tests/unit/http/http_fixture.h"

#include "bridge/http/exchange.h"

namespace bridge::http {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kHead = " HTTP/1.1\r\nHost: a\r\n";

class DeferredAnswerTest : public HttpFixture {
 protected:
  DeferredAnswerTest() {
    const auto defer = [this](const httplib::Request& /*request*/, httplib::Response& response) {
      response.set_content("not sent", "text/plain");
      const absl::MutexLock lock(&mutex_);
      bodies_.push_back(std::move(*Exchange::Current().body));
      deferred_.push_back(Exchange::Current().Defer());
    };
    dispatcher_.RouteBelow("GET", "/later/", defer);
    dispatcher_.RouteBelow("POST", "/later/", defer);
    dispatcher_.Route("GET", "/now", [](const httplib::Request& /*request*/, httplib::Response& response) {
      response.set_content("now", "text/plain");
    });
    dispatcher_.SetFinisher([](const httplib::Request& /*request*/, httplib::Response& response) {
      response.set_header("X-Finished", "yes");
    });
  }

  // The oldest request that waits.
  DeferredAnswer Take() {
    DeferredAnswer* taken = nullptr;
    EXPECT_TRUE(test::Eventually([&] {
      const absl::MutexLock lock(&mutex_);
      return deferred_.size() > taken_;
    }));
    const absl::MutexLock lock(&mutex_);
    taken = &deferred_.at(taken_++);
    return std::move(*taken);
  }
  static ResumedHandler Say(std::string text) {
    return [said = std::move(text)](const httplib::Request& request, httplib::Response& response) {
      response.set_content(absl::StrCat(request.path, " ", std::string(Exchange::Current().segment), " ", said),
                           "text/plain");
    };
  }
  void Request(test::RawConnection* connection, absl::string_view target, absl::string_view headers = "") {
    ASSERT_TRUE(connection->Send(absl::StrCat("GET ", target, kHead, headers, "\r\n")));
  }

  absl::Mutex mutex_;
  std::vector<DeferredAnswer> deferred_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> bodies_ ABSL_GUARDED_BY(mutex_);
  size_t taken_ = 0;
};

TEST_F(DeferredAnswerTest, AnAnswerComesLaterAndTheConnectionGoesOn) {
  Start();
  test::RawConnection connection(port_);
  Request(&connection, "/later/x");
  DeferredAnswer answer = Take();
  EXPECT_EQ(connection.Receive(absl::Milliseconds(100)), "");
  answer.Resume(Say("at last"));
  const test::HttpResponse response = ReceiveOne(&connection);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "/later/x x at last");
  EXPECT_EQ(response.Header("X-Finished"), "yes");
  Request(&connection, "/now");
  EXPECT_EQ(ReceiveOne(&connection).body, "now");
  Request(&connection, "/later/y");
  Take().Resume(Say("again"));
  EXPECT_EQ(ReceiveOne(&connection).body, "/later/y y again");
  EXPECT_EQ(server_->metrics().requests.value(), 3U);
}

TEST_F(DeferredAnswerTest, ManyThreadsAnswerManyConnections) {
  Start();
  constexpr size_t kConnections = 200;
  std::vector<std::unique_ptr<test::RawConnection>> connections;
  for (size_t i = 0; i < kConnections; ++i) {
    connections.push_back(std::make_unique<test::RawConnection>(port_));
    Request(connections.back().get(), absl::StrCat("/later/", i));
  }
  std::vector<DeferredAnswer> answers;
  for (size_t i = 0; i < kConnections; ++i) {
    answers.push_back(Take());
  }
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = thread; i < kConnections; i += 4) {
        answers[i].Resume(Say("x"));
      }
    });
  }
  for (size_t i = 0; i < kConnections; ++i) {
    EXPECT_EQ(ReceiveOne(connections[i].get()).body, absl::StrCat("/later/", i, " ", i, " x"));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(DeferredAnswerTest, AnAnswerMayComeBeforeTheHandlerThatDefersReturns) {
  dispatcher_.Route("GET", "/at-once", [](const httplib::Request& /*request*/, httplib::Response& /*response*/) {
    Exchange::Current().Defer().Resume(Say("soon"));
  });
  // And may be deferred again.
  dispatcher_.Route("GET", "/twice", [](const httplib::Request& /*request*/, httplib::Response& /*response*/) {
    Exchange::Current().Defer().Resume([](const httplib::Request& /*request*/, httplib::Response& /*response*/) {
      Exchange::Current().Defer().Resume(Say("then"));
    });
  });
  Start();
  EXPECT_EQ(test::Fetch(port_, "GET", "/at-once").body, "/at-once  soon");
  EXPECT_EQ(test::Fetch(port_, "GET", "/twice").body, "/twice  then");
}

TEST_F(DeferredAnswerTest, RequestsBehindItWaitInOrder) {
  Start();
  test::RawConnection connection(port_);
  ASSERT_TRUE(connection.Send(
      absl::StrCat("GET /later/1", kHead, "\r\nGET /now", kHead, "\r\nGET /later/2", kHead, "\r\nGET /now", kHead)));
  DeferredAnswer first = Take();
  EXPECT_EQ(connection.Receive(absl::Milliseconds(100)), "");
  first.Resume(Say("x"));
  Take().Resume(Say("x"));
  ASSERT_TRUE(connection.Send("Connection: close\r\n\r\n"));
  const std::string all = connection.ReceiveToEnd().value_or("");
  const size_t at_1 = all.find("/later/1 1 x");
  const size_t at_2 = all.find("/later/2 2 x");
  ASSERT_NE(at_1, std::string::npos);
  ASSERT_NE(at_2, std::string::npos);
  EXPECT_THAT(all.substr(at_1, at_2 - at_1), HasSubstr("now"));
  EXPECT_THAT(all.substr(at_2), HasSubstr("now"));
}

TEST_F(DeferredAnswerTest, WhatIsSentMeanwhileIsNotReadWithoutBound) {
  Start({.head_bytes_max = 1024});
  test::RawConnection connection(port_, 4096);
  Request(&connection, "/later/x");
  DeferredAnswer answer = Take();
  const std::string request = absl::StrCat("GET /now", kHead, "\r\n");
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += request;
  }
  ASSERT_TRUE(connection.Send(many));
  EXPECT_TRUE(test::Eventually([&] { return server_->metrics().request_bytes.value() > 4096; }));
  EXPECT_LT(server_->metrics().request_bytes.value(), 40'000U);
  answer.Resume(Say("x"));
  EXPECT_THAT(connection.Receive(), StartsWith("HTTP/1.1 200"));
}

TEST_F(DeferredAnswerTest, AClientThatGoesClosesTheConnectionAndWhatItWasToGetIsDestroyed) {
  Start();
  for (const bool is_reset : {false, true}) {
    auto connection = std::make_unique<test::RawConnection>(port_);
    Request(connection.get(), "/later/x");
    DeferredAnswer answer = Take();
    ASSERT_EQ(open_connections(), 1U);
    if (is_reset) {
      connection->Reset();
    }
    connection = nullptr;
    ASSERT_TRUE(AwaitsOpenConnections(0));
    const auto held = std::make_shared<int>(0);
    answer.Resume([held](const httplib::Request& /*request*/, httplib::Response& /*response*/) { FAIL(); });
    EXPECT_TRUE(test::Eventually([&] { return held.use_count() == 1; }));
  }
  EXPECT_EQ(server_->metrics().request_bytes.value(), 0U);
}

TEST_F(DeferredAnswerTest, AnAnswerAndTheEndOfTheClientMayMeet) {
  Start();
  for (int i = 0; i < 200; ++i) {
    auto connection = std::make_unique<test::RawConnection>(port_);
    Request(connection.get(), "/later/x");
    DeferredAnswer answer = Take();
    std::thread resume([&] { answer.Resume(Say("x")); });
    connection = nullptr;
    resume.join();
  }
  EXPECT_TRUE(AwaitsOpenConnections(0));
}

TEST_F(DeferredAnswerTest, AHandleThatIsDroppedIsAnAnswerToo) {
  Start();
  test::RawConnection connection(port_);
  Request(&connection, "/later/x");
  {
    const DeferredAnswer dropped = Take();
  }
  EXPECT_EQ(ReceiveOne(&connection).status, 500);
  Request(&connection, "/now");
  EXPECT_EQ(ReceiveOne(&connection).body, "now");
}

TEST_F(DeferredAnswerTest, NeitherTheIdleNorTheHeadTimeCountsWhileItWaits) {
  Start({.head_timeout = absl::Milliseconds(100),
         .idle_timeout = absl::Milliseconds(100),
         .send_timeout = absl::Milliseconds(100),
         .answer_timeout = absl::Milliseconds(700)});
  test::RawConnection connection(port_);
  Request(&connection, "/later/x");
  DeferredAnswer answer = Take();
  EXPECT_EQ(connection.Receive(absl::Milliseconds(400)), "");
  answer.Resume(Say("x"));
  EXPECT_EQ(ReceiveOne(&connection).status, 200);

  test::RawConnection patient(port_);
  Request(&patient, "/later/x");
  DeferredAnswer late = Take();
  const test::HttpResponse response = test::ParseResponse(patient.ReceiveToEnd().value_or(""));
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.Header("Retry-After"), "");
  late.Resume(Say("nobody hears"));
}

TEST_F(DeferredAnswerTest, WhatIsToBeSaidOfALateAnswerIsSaid) {
  std::optional<DeferredAnswer> late;
  dispatcher_.Route("GET", "/late", [&](const httplib::Request& /*request*/, httplib::Response& /*response*/) {
    late.emplace(Exchange::Current().Defer(Say("late")));
  });
  Start({.answer_timeout = absl::Milliseconds(100)});
  test::RawConnection connection(port_);
  Request(&connection, "/late");
  EXPECT_EQ(ReceiveOne(&connection).body, "/late  late");
  late->Resume(Say("later"));
  Request(&connection, "/now");
  EXPECT_EQ(ReceiveOne(&connection).body, "now");
}

TEST_F(DeferredAnswerTest, TheServerStopsWhileAnswersAreWaitedForAndHandlesOutliveIt) {
  Start();
  test::RawConnection connection(port_);
  Request(&connection, "/later/x");
  test::RawConnection other(port_);
  Request(&other, "/later/y");
  DeferredAnswer answer = Take();
  DeferredAnswer outliving = Take();
  Stop();
  EXPECT_TRUE(connection.ReceiveToEnd().has_value());
  answer.Resume(Say("x"));
  EndLoop();
  outliving.Resume(Say("x"));
}

TEST_F(DeferredAnswerTest, WhoWaitsForAnAnswerGivesWayToNobodyAndIsClosedWithTheOthers) {
  LoneConnection lone(loop_.get(), &dispatcher_, absl::StrCat("GET /later/x", kHead, "\r\n"));
  const DeferredAnswer answer = Take();
  loop_->BlockOn([&] {
    for (const auto which : {GiveWay::Which::kIdle, GiveWay::Which::kUnfinished, GiveWay::Which::kUnread}) {
      EXPECT_EQ(Connection::MakeRoom(&lone.context, {.which = which, .waited_min = {}, .count_max = 10}), 0U);
    }
    EXPECT_EQ(lone.metrics.open.value(), 1U);
    Connection::CloseAll(&lone.context);
  });
  EXPECT_EQ(lone.metrics.open.value(), 0U);
  char byte = 0;
  EXPECT_EQ(read(lone.client_fd, &byte, 1), 0);
}

TEST_F(DeferredAnswerTest, OtherKindsOfAnswersWorkAsAtOnce) {
  Start();
  test::RawConnection head(port_);
  ASSERT_TRUE(head.Send(absl::StrCat("HEAD /later/x", kHead, "Connection: close\r\n\r\n")));
  Take().Resume(Say("x"));
  const test::HttpResponse without_body = test::ParseResponse(head.ReceiveToEnd().value_or(""));
  EXPECT_EQ(without_body.status, 200);
  EXPECT_EQ(without_body.body, "");

  test::RawConnection old(port_);
  ASSERT_TRUE(old.Send("GET /later/x HTTP/1.0\r\n\r\n"));
  Take().Resume(Say("x"));
  EXPECT_EQ(test::ParseResponse(old.ReceiveToEnd().value_or("")).body, "/later/x x x");

  // Content that is provided, and a socket that goes elsewhere.
  std::atomic<bool> is_parked{false};
  test::RawConnection parked(port_);
  Request(&parked, "/later/x");
  Take().Resume([&](const httplib::Request& /*request*/, httplib::Response& response) {
    response.set_chunked_content_provider("text/event-stream", [&](size_t /*offset*/, httplib::DataSink& sink) {
      sink.write("data: 1\n\n", 9);
      Exchange::Current().park = [&](ParkedSocket socket) {
        socket.loop->AssertOnLoop();
        socket.loop->Unwatch(socket.transport.fd(), socket.watcher);
        const iovec piece = {.iov_base = socket.unsent.data(), .iov_len = socket.unsent.size()};
        socket.transport.Write({&piece, 1});
        is_parked = true;
      };
      return false;
    });
  });
  const std::string text = parked.ReceiveToEnd().value_or("");
  EXPECT_TRUE(is_parked);
  EXPECT_THAT(text, HasSubstr("data: 1\n\n"));
}

TEST_F(DeferredAnswerTest, TheBodyMayBeTakenAndIsHeldNoMore) {
  dispatcher_.LimitBodiesBelow("/later/", {.bytes_max = 1 << 20, .key = "later"});
  Start();
  test::RawConnection connection(port_);
  const std::string body(1 << 20, 'x');
  ASSERT_TRUE(connection.Send(absl::StrCat("POST /later/x", kHead, "Content-Length: ", body.size(), "\r\n\r\n", body)));
  DeferredAnswer answer = Take();
  {
    const absl::MutexLock lock(&mutex_);
    EXPECT_EQ(bodies_.at(0), body);
  }
  EXPECT_TRUE(test::Eventually([&] { return server_->metrics().request_bytes.value() < 50'000; }));
  answer.Resume(Say("x"));
  EXPECT_EQ(ReceiveOne(&connection).body, "/later/x x x");
  ASSERT_TRUE(connection.Send(absl::StrCat("GET /now", kHead, "\r\n")));
  EXPECT_EQ(ReceiveOne(&connection).body, "now");
}

TEST_F(DeferredAnswerTest, RequestsThatWaitCountAmongThoseThatAreHeld) {
  Start({.head_bytes_max = 8192, .request_bytes_max = 20'000});
  const std::string large = absl::StrCat("X-Large: ", std::string(6000, 'x'), "\r\n");
  std::vector<std::unique_ptr<test::RawConnection>> connections;
  std::vector<DeferredAnswer> answers;
  for (int i = 0; i < 4; ++i) {
    connections.push_back(std::make_unique<test::RawConnection>(port_));
    Request(connections.back().get(), "/later/x", large);
    answers.push_back(Take());
  }
  const test::HttpResponse refused = test::ParseResponse(connections.back()->ReceiveToEnd().value_or(""));
  EXPECT_EQ(refused.status, 503);
  for (DeferredAnswer& answer : answers) {
    answer.Resume(Say("x"));
  }
  EXPECT_EQ(ReceiveOne(connections.front().get()).status, 200);
}

}  // namespace
}  // namespace bridge::http
