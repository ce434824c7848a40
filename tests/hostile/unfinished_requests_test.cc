// Requests that come slowly, in part or not at all.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/hostile/attacked.h"
#include "tests/support/crowd.h"

namespace bridge::test {
namespace {

constexpr const char* kHeadBegun = "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nX: ";
constexpr const char* kPostHead = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

class SlowRequests : public Attacked {
 protected:
  SlowRequests() : Attacked({"http.head_timeout=1s", "http.idle_timeout=2s"}) {}

  // Sends a beginning, and then a little again and again, until the bridge has ended all connections.
  void Trickle(absl::string_view begin, absl::string_view more) {
    constexpr size_t kSlow = 500;
    Crowd crowd({.port = bridge_.http_port(), .size = kSlow});
    crowd.Send(begin);
    const auto have_ended = [&] {
      crowd.Send(more);
      crowd.Receive(SIZE_MAX);
      return crowd.ended() == kSlow;
    };
    EXPECT_TRUE(Eventually(have_ended, absl::Seconds(20))) << crowd.ended();
    EXPECT_EQ(crowd.CountAnswered("HTTP/1.1 408 "), kSlow);
    EXPECT_EQ(bridge_.Metric("sse_bridge_http_requests_timed_out_total"), kSlow);
  }
};

TEST_F(SlowRequests, HeadsThatGrowByAByteAreTimedOutAllTheSame) { Trickle(kHeadBegun, "x"); }

TEST_F(SlowRequests, BodiesThatGrowByAByteAreTimedOutAllTheSame) {
  Trickle(absl::StrCat(kPostHead, "Content-Length: 60000\r\n\r\n"), " ");
}

TEST_F(SlowRequests, BodiesThatGrowByAChunkAreTimedOutAllTheSame) {
  Trickle(absl::StrCat(kPostHead, "Transfer-Encoding: chunked\r\n\r\n"), "1;x=y\r\n \r\n");
}

TEST_F(SlowRequests, HeadsThatStopAreTimedOut) { Trickle(kHeadBegun, ""); }

TEST_F(SlowRequests, ConnectionsWithoutARequestAreClosedQuietly) { EXPECT_EQ(Exchange(""), ""); }

class UnfinishedRequests : public Attacked {
 protected:
  // Long: what they take is looked at before it is over.
  UnfinishedRequests() : Attacked({"http.head_timeout=5m", "http.idle_timeout=5m"}) {}

  void ExpectConnections(size_t count) const {
    EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_http_connections", static_cast<double>(count), absl::Seconds(60)))
        << bridge_.Metric("sse_bridge_http_connections");
  }
  void ExpectGrowthBelow(uint64_t bytes) const {
    if (CanMeasureMemory()) {  // a sanitizer's allocator takes more
      EXPECT_LT(bystander_.PeakGrowthBytes(), bytes);
    }
  }
};

constexpr size_t kMany = 15'000;

TEST_F(UnfinishedRequests, FifteenThousandHalfOpenConnectionsCostLittle) {
  const size_t size = Crowd::SizeWithin(kMany);
  Crowd crowd({.port = bridge_.http_port(), .size = size});
  crowd.Send(kHeadBegun);
  ExpectConnections(size);
  ExpectGrowthBelow(size * 1024);
  EXPECT_EQ(Fetch(bridge_.http_port(), "GET", "/nothing").status, 404);
}

TEST_F(UnfinishedRequests, FifteenThousandConnectionsWithoutARequestCostLittle) {
  const size_t size = Crowd::SizeWithin(kMany);
  const Crowd crowd({.port = bridge_.http_port(), .size = size});
  ExpectConnections(size);
  ExpectGrowthBelow(size * 512);
  EXPECT_EQ(Fetch(bridge_.http_port(), "GET", "/nothing").status, 404);
}

TEST_F(UnfinishedRequests, ConnectionsThatHadALargeRequestKeepNothingOfIt) {
  constexpr size_t kIdle = 5000;
  Crowd crowd({.port = bridge_.http_port(), .size = kIdle});
  std::string large = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nX: ";
  absl::StrAppend(&large, std::string(7000, 'x'), "\r\nY: ", std::string(7000, 'y'), "\r\n\r\n");
  crowd.Send(large);
  EXPECT_TRUE(Eventually([&] {
    crowd.Receive(SIZE_MAX);
    return crowd.CountAnswered("HTTP/1.1 404 ") == kIdle;
  }));
  ExpectConnections(kIdle);
  ExpectGrowthBelow(kIdle * 2048);
}

TEST_F(UnfinishedRequests, LargeOnesAreRefusedWhereTheyAreTooManyTogether) {
  constexpr size_t kLarge = 5000;
  Crowd crowd({.port = bridge_.http_port(), .size = kLarge});
  crowd.Send(absl::StrCat(kPostHead, "Content-Length: 60000\r\n\r\n"));
  // As much as the sockets take at a time, and nearly all of it.
  for (size_t left = 59'000; left > 0; left -= 1000) {
    crowd.Send(std::string(1000, ' '));
    crowd.Receive(SIZE_MAX);
  }
  EXPECT_TRUE(Eventually([&] {
    crowd.Receive(SIZE_MAX);
    return crowd.CountAnswered("HTTP/1.1 503 ") > kLarge / 2;
  })) << crowd.CountAnswered("HTTP/1.1 503 ");
  ExpectGrowthBelow(uint64_t{100} << 20);
  // Those that come whole are served.
  const HttpResponse response =
      Fetch(bridge_.http_port(), "POST", "/events", "Content-Type: application/json\r\n", "{}");
  EXPECT_EQ(response.status, 400);
}

}  // namespace
}  // namespace bridge::test
