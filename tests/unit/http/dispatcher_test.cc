#include "bridge/http/dispatcher.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/raw_http.h"
#include "tests/unit/http/http_fixture.h"

#include "bridge/http/exchange.h"

namespace bridge::http {
namespace {

using ::testing::HasSubstr;

class DispatcherTest : public HttpFixture {
 protected:
  DispatcherTest() {
    const auto echo = [](const httplib::Request& request, httplib::Response& response) {
      const Exchange& exchange = Exchange::Current();
      response.set_content(absl::StrCat(request.method, " ", std::string(exchange.segment), ": ", *exchange.body),
                           "text/plain");
    };
    for (const char* const method : {"POST", "GET", "DELETE"}) {
      dispatcher_.RouteBelow(method, "/things/", echo);
    }
    dispatcher_.Route("POST", "/literal", echo);
  }

  test::HttpResponse Post(absl::string_view target, const std::string& content_type, const std::string& body) const {
    return test::Fetch(port_, "POST", target, absl::StrCat("Content-Type: ", content_type, "\r\n"), body);
  }
};

TEST_F(DispatcherTest, APathBelowAPrefixIsServedWithItsSegment) {
  Start();
  EXPECT_EQ(test::Fetch(port_, "GET", "/things/a.B_c-1?x=y").body, "GET a.B_c-1: ");
  EXPECT_EQ(test::Fetch(port_, "DELETE", "/things/1").body, "DELETE 1: ");
  EXPECT_EQ(test::Fetch(port_, "HEAD", "/things/1").status, 200);
  for (const char* const target : {"/things/", "/things", "/things/a/b", "/things/a/", "/things/%61", "/things/a%2Fb",
                                   "/thing%73/a", "/things/a+b", "/things/?a", "/other/a"}) {
    EXPECT_EQ(test::Fetch(port_, "GET", target).status, 404) << target;
    EXPECT_EQ(test::Fetch(port_, "POST", target, "", "x").status, 404) << target;
  }
}

TEST_F(DispatcherTest, OtherMethodsBelowAPrefixAreToldWhichThereAre) {
  Start();
  const test::HttpResponse put = test::Fetch(port_, "PUT", "/things/a");
  EXPECT_EQ(put.status, 405);
  EXPECT_EQ(put.Header("Allow"), "DELETE, GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(test::Fetch(port_, "OPTIONS", "/things/a").status, 204);
}

TEST_F(DispatcherTest, BodiesAreOfAnyType) {
  Start();
  const std::string binary("\0\r\n\r\n--x\xff", 9);
  for (const char* const type : {"multipart/form-data; boundary=x", "multipart/form-data",
                                 "application/x-www-form-urlencoded", "application/octet-stream", "text/plain", ""}) {
    EXPECT_EQ(Post("/things/a", type, binary).body, "POST a: " + binary) << type;
  }
  EXPECT_EQ(Post("/literal", "multipart/form-data; boundary=x", binary).body, "POST : " + binary);
  EXPECT_EQ(test::Fetch(port_, "POST", "/things/a").body, "POST a: ");
}

TEST_F(DispatcherTest, ABodyIsNoNextRequest) {
  Start();
  test::RawConnection connection(port_);
  const std::string hidden = "GET /things/hidden HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_TRUE(connection.Send(absl::StrCat("POST /things/a HTTP/1.1\r\nHost: a\r\nContent-Length: ", hidden.size(),
                                           "\r\n\r\n", hidden, "GET /things/b HTTP/1.1\r\nHost: a\r\n\r\n")));
  EXPECT_EQ(ReceiveOne(&connection).body, "POST a: " + hidden);
  EXPECT_EQ(ReceiveOne(&connection).body, "GET b: ");
}

TEST_F(DispatcherTest, PostsBelowAPrefixHaveALimitOfTheirOwn) {
  dispatcher_.LimitBodiesBelow("/things/", {.bytes_max = 100'000, .key = "things.max_body_bytes"});
  Start({.body_bytes_max = 1000});
  const std::string large(100'000, 'x');
  EXPECT_EQ(Post("/things/a", "text/plain", large).body, "POST a: " + large);
  const test::HttpResponse larger = Post("/things/a", "text/plain", large + "x");
  EXPECT_EQ(larger.status, 413);
  EXPECT_THAT(larger.body, HasSubstr("things.max_body_bytes, 100000"));
  const test::HttpResponse literal = Post("/literal", "text/plain", large);
  EXPECT_EQ(literal.status, 413);
  EXPECT_THAT(literal.body, HasSubstr("http.max_body_bytes, 1000"));
  EXPECT_EQ(test::Fetch(port_, "DELETE", "/things/a", "", large).status, 413);
  EXPECT_EQ(Post("/things/a/b", "text/plain", large).status, 413);

  for (const auto& [size, status] : std::vector<std::pair<size_t, int>>{{100'000, 200}, {100'001, 413}}) {
    test::RawConnection chunked(port_);
    chunked.Send(absl::StrCat("POST /things/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                              absl::Hex(size), "\r\n", std::string(size, 'x'), "\r\n0\r\n\r\n"));
    const test::HttpResponse response = ReceiveOne(&chunked);
    EXPECT_EQ(response.status, status) << size;
    if (status == 413) {
      EXPECT_THAT(response.body, HasSubstr("things.max_body_bytes"));
    }
  }
}

TEST_F(DispatcherTest, TheGuardAndTheFinisherSeeRequestsBelowAPrefix) {
  dispatcher_.SetGuard([](const httplib::Request& request, httplib::Response& response) {
    response.status = 403;
    return !request.has_header("X-Bad");
  });
  dispatcher_.SetFinisher([](const httplib::Request& /*request*/, httplib::Response& response) {
    response.set_header("X-Finished", "yes");
  });
  Start();
  const test::HttpResponse bad = test::Fetch(port_, "POST", "/things/a", "X-Bad: 1\r\n", "x");
  EXPECT_EQ(bad.status, 403);
  EXPECT_EQ(bad.Header("X-Finished"), "yes");
}

}  // namespace
}  // namespace bridge::http
