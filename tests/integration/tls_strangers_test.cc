// What strangers send to a port with TLS.
#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/publisher.h"
#include "tests/support/tls_fixture.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The first bytes of a handshake: a record that says it has 500 bytes.
constexpr absl::string_view kHalfAHello("\x16\x03\x01\x01\xf4\x01\x00\x01\xf0\x03\x03", 11);

std::string Result(absl::string_view result) {
  return absl::StrCat("sse_bridge_http_tls_handshakes_total{result=\"", result, "\"}");
}

class TlsStrangersTest : public TlsTest {};

TEST_F(TlsStrangersTest, PlainHttpIsToldToUseTls) {
  const BridgeProcess bridge(Settings());
  for (const char* method : {"GET", "OPTIONS", "PATCH"}) {
    const HttpResponse answer = Fetch(bridge.http_port(), method, "/events?topic=a");
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.body, HasSubstr("https://"));
  }
  EXPECT_EQ(bridge.Metric(Result("not_tls")), 3);
}

TEST_F(TlsStrangersTest, TlsOnAPlainPortIsRefusedAtOnce) {
  const BridgeProcess bridge;
  RawConnection connection(bridge.http_port());
  connection.Send(kHalfAHello);
  EXPECT_THAT(connection.ReceiveToEnd(absl::Seconds(5)).value_or(""), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_FALSE(RawConnection(bridge.http_port(), client_).is_connected());
  EXPECT_FALSE(RawConnection(bridge.admin_port(), client_).is_connected());
}

TEST_F(TlsStrangersTest, OtherBytesEndTheConnection) {
  const BridgeProcess bridge(Settings());
  for (const absl::string_view bytes : {absl::string_view("\0\0\0\0", 4), absl::string_view("\x80\x2e\x01"),
                                        absl::string_view("ssh-2.0\r\n"), absl::string_view("\x16hello, world")}) {
    RawConnection connection(bridge.http_port());
    connection.Send(bytes);
    EXPECT_TRUE(connection.ReceiveToEnd());
  }
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_http_tls_handshakes", 0));
}

TEST_F(TlsStrangersTest, AHandshakeThatDoesNotGoOnEndsAtTheHeadTimeout) {
  const BridgeProcess bridge(Settings({"http.head_timeout=1s"}));
  RawConnection silent(bridge.http_port());
  RawConnection slow(bridge.http_port());
  slow.Send(kHalfAHello);
  const absl::Time start = absl::Now();
  EXPECT_TRUE(silent.ReceiveToEnd(absl::Seconds(5)));
  EXPECT_TRUE(slow.ReceiveToEnd(absl::Seconds(5)));
  EXPECT_GT(absl::Now() - start, absl::Milliseconds(500));
  EXPECT_EQ(bridge.Metric(Result("timed_out")), 2);
}

TEST_F(TlsStrangersTest, ABytewiseHandshakeHasNoMoreTime) {
  const BridgeProcess bridge(Settings({"http.head_timeout=1s"}));
  RawConnection slow(bridge.http_port());
  ASSERT_TRUE(slow.Send(kHalfAHello));
  // A byte every now and then does not prolong it.
  EXPECT_TRUE(
      Eventually([&] { return !slow.Send("x") || !slow.Receive(absl::Milliseconds(50)).empty() || slow.has_ended(); },
                 absl::Seconds(5)));
  EXPECT_EQ(bridge.Metric(Result("timed_out")), 1);
}

TEST_F(TlsStrangersTest, AHelloWithoutEndIsCut) {
  const BridgeProcess bridge(Settings());
  RawConnection connection(bridge.http_port());
  // A message of 128 KiB, in records of 1 KiB.
  connection.Send(
      absl::StrCat("\x16\x03\x01", absl::string_view("\x04\x00\x01\x01\xff\xff", 6), std::string(1020, 'x')));
  for (int i = 0; i < 200; ++i) {
    connection.Send(absl::StrCat("\x16\x03\x01", absl::string_view("\x04\x00", 2), std::string(1024, 'x')));
  }
  EXPECT_TRUE(connection.ReceiveToEnd(absl::Seconds(5)));
  EXPECT_TRUE(bridge.WaitForMetric(Result("failed"), 1));
}

TEST_F(TlsStrangersTest, AThousandHalfHandshakesKeepNobodyOut) {
  const BridgeProcess bridge(Settings());
  std::vector<std::unique_ptr<RawConnection>> strangers;
  for (int i = 0; i < 1500; ++i) {
    strangers.push_back(std::make_unique<RawConnection>(bridge.http_port()));
    strangers.back()->Send(kHalfAHello);
  }
  ASSERT_TRUE(bridge.WaitForMetric(Result("crowded"), 1500 - 1024));
  const absl::Time start = absl::Now();
  EXPECT_EQ(Fetch(bridge.http_port(), "GET", "/", "", "", &client_).status, 200);
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
  // Those that have held their place longest had to give it up.
  EXPECT_TRUE(strangers.front()->ReceiveToEnd(absl::Seconds(1)));
  EXPECT_THAT(bridge.Log(), HasSubstr("tls_handshakes_crowded"));
}

// Clients that make handshakes, full ones, one after the other, until they are destroyed.
class Flood {
 public:
  Flood(uint16_t port, const TlsClient& client) {
    for (int i = 0; i < 8; ++i) {
      strangers_.emplace_back([this, port, &client] {
        while (!is_over_) {
          const RawConnection connection(port, client);
        }
      });
    }
  }
  ~Flood() {
    is_over_ = true;
    for (std::thread& stranger : strangers_) {
      stranger.join();
    }
  }

 private:
  std::atomic<bool> is_over_{false};
  std::vector<std::thread> strangers_;
};

TEST_F(TlsStrangersTest, AFloodOfHandshakesDoesNotDelayOpenStreams) {
  CertificateAuthority::Request rsa;
  rsa.key = SharedRsaKeyPair();
  folder_.Replace(authority_.Issue(rsa));
  const BridgeProcess bridge(Settings());
  Publisher publisher(bridge.grpc_target());
  SseClient stream(bridge.http_port(), Asking("/events?topic=a"));
  stream.ReadOpen();
  const auto median_latency = [&] {
    std::vector<absl::Duration> all;
    for (int i = 0; i < 300; ++i) {
      const absl::Time start = absl::Now();
      publisher.Publish(TextEvent("a", "x"));
      EXPECT_EQ(stream.NextData(1).size(), 1U);
      all.push_back(absl::Now() - start);
    }
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  };
  const absl::Duration quiet = median_latency();
  const double before = bridge.Metric(Result("done"));
  {
    const Flood flood(bridge.http_port(), client_);
    ASSERT_TRUE(Eventually([&] { return bridge.Metric(Result("done")) > before + 20; }));
    // The strangers' own work on these cores is in it.
    EXPECT_LT(median_latency(), quiet + absl::Milliseconds(10));
    ASSERT_TRUE(Eventually([&] { return bridge.Metric(Result("done")) > before + 500; }, absl::Seconds(30)));
  }
  // However busy the machine is: it is not the event loops that work.
  EXPECT_GT(bridge.CpuTimeOfThreads("tls"), 2 * bridge.CpuTimeOfThreads("loop-"));
}

TEST_F(TlsStrangersTest, AParkedStreamThatIsSentTooMuchIsClosed) {
  const BridgeProcess bridge(Settings());
  SseClient client(bridge.http_port(), Asking("/events?topic=a"));
  client.ReadOpen();
  ASSERT_TRUE(client.connection().Send(std::string(5000, 'x')));
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_EQ(bridge.Metric("sse_bridge_event_streams_closed_total{reason=\"flood\"}"), 1);
}

TEST_F(TlsStrangersTest, KeyUpdatesWithoutEndEndTheConnection) {
  const BridgeProcess bridge(Settings());
  SseClient stream(bridge.http_port(), Asking("/events?topic=a"));
  stream.ReadOpen();
  RawConnection idle(bridge.http_port(), client_);
  for (RawConnection* connection : {&stream.connection(), &idle}) {
    for (int i = 0; i < 100; ++i) {
      SSL_key_update(connection->ssl(), SSL_KEY_UPDATE_NOT_REQUESTED);
      SSL_do_handshake(connection->ssl());
    }
    EXPECT_TRUE(connection->ReceiveToEnd(absl::Seconds(5)));
  }
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 0));
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_http_connections", 0));
}

TEST_F(TlsStrangersTest, NobodyIsLetIntoANewHandshakeOnAnOldConnection) {
  const BridgeProcess bridge(Settings());
  const TlsClient client({.ca_pem = authority_.pem(), .version_max = TLS1_2_VERSION});
  RawConnection connection(bridge.http_port(), client);
  ASSERT_TRUE(connection.is_connected());
  SSL_renegotiate(connection.ssl());
  int result = 0;
  EXPECT_TRUE(Eventually([&] {
    ERR_clear_error();
    result = SSL_do_handshake(connection.ssl());
    return SSL_get_error(connection.ssl(), result) != SSL_ERROR_WANT_READ;
  }));
  EXPECT_NE(result, 1);
  EXPECT_EQ(bridge.Metric(Result("done")), 1);
}

}  // namespace
}  // namespace bridge::test
