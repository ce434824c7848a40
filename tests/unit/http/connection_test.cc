// Connections that hold what others need.
#include "bridge/http/connection.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/raw_http.h"
#include "tests/unit/http/http_fixture.h"

namespace bridge::http {
namespace {

using ::testing::StartsWith;

constexpr const char* kHead = " HTTP/1.1\r\nHost: a\r\n";

class ConnectionTest : public HttpFixture {
 protected:
  ConnectionTest() {
    dispatcher_.RouteBelow("POST", "/take/", [](const httplib::Request& /*request*/, httplib::Response& response) {
      response.set_content("taken", "text/plain");
    });
    dispatcher_.Route("GET", "/large", [](const httplib::Request& /*request*/, httplib::Response& response) {
      response.set_content(std::string(4 << 20, 'x'), "text/plain");
    });
  }
};

TEST_F(ConnectionTest, OfRequestsThatAreNotWholeTheOneThatHasHeldLongestIsRefused) {
  Start({.request_bytes_max = 60'000});
  const auto begin = [](size_t length, size_t sent) {
    return absl::StrCat("POST /take/x", kHead, "Content-Length: ", length, "\r\n\r\n", std::string(sent, 'x'));
  };
  test::RawConnection stuck(port_);
  ASSERT_TRUE(stuck.Send(begin(40'000, 30'000)));
  ASSERT_TRUE(test::Eventually([&] { return server_->metrics().request_bytes.value() >= 30'000; }));
  test::RawConnection honest(port_);
  ASSERT_TRUE(honest.Send(begin(40'000, 30'000)));
  EXPECT_THAT(stuck.ReceiveToEnd().value_or(""), StartsWith("HTTP/1.1 503 "));
  ASSERT_TRUE(honest.Send(std::string(10'000, 'x')));
  EXPECT_EQ(ReceiveOne(&honest).body, "taken");
}

TEST_F(ConnectionTest, WhoDoesNotTakeItsAnswerGivesWay) {
  LoneConnection lone(loop_.get(), &dispatcher_, absl::StrCat("GET /large", kHead, "\r\n"));
  ASSERT_TRUE(test::Eventually([&] { return lone.metrics.unsent_bytes.value() > 0; }));
  const auto make_room = [&](GiveWay::Which which, absl::Duration waited) {
    size_t closed = 0;
    loop_->BlockOn([&] {
      closed = Connection::MakeRoom(&lone.context,
                                    {.which = which, .waited_min = absl::ToChronoNanoseconds(waited), .count_max = 10});
    });
    return closed;
  };
  EXPECT_EQ(make_room(GiveWay::Which::kUnfinished, absl::ZeroDuration()), 0U);
  EXPECT_EQ(make_room(GiveWay::Which::kUnread, absl::Minutes(1)), 0U);
  EXPECT_EQ(make_room(GiveWay::Which::kUnread, absl::ZeroDuration()), 1U);
  EXPECT_EQ(lone.metrics.open.value(), 0U);
  EXPECT_EQ(lone.metrics.gave_way.value(), 1U);
}

}  // namespace
}  // namespace bridge::http
