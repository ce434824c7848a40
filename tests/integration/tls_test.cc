// HTTP and event streams over TLS, as clients of good will see them.
#include <algorithm>
#include <csignal>
#include <memory>
#include <random>
#include <set>
#include <sys/socket.h>

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

constexpr size_t kKilobyte = 1024;
// Most of it is OpenSSL's: since 3.2 it has for each direction an object with room for 32 records.
constexpr size_t kStreamBytesMax = (OPENSSL_VERSION_PREREQ(3, 2) ? 24 : 16) * kKilobyte;
constexpr absl::string_view kGet = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr absl::string_view kGetAndClose = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

TEST_F(TlsTest, AnswersRequestsInEachVersion) {
  const BridgeProcess bridge(Settings());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsClient client({.ca_pem = authority_.pem(), .version_min = version, .version_max = version});
    EXPECT_EQ(Fetch(bridge.http_port(), "GET", "/", "", "", &client).status, 200);
    const HttpResponse bad =
        Fetch(bridge.http_port(), "POST", "/events", "Content-Type: application/json\r\n", "{}", &client);
    EXPECT_EQ(bad.status, 400);
    EXPECT_EQ(bad.Header("Content-Type"), "application/problem+json");
    const RawConnection connection(bridge.http_port(), client);
    ASSERT_TRUE(connection.is_connected());
    EXPECT_EQ(SSL_version(connection.ssl()), version);
    EXPECT_EQ(SSL_get_current_compression(connection.ssl()), nullptr);
  }
}

TEST_F(TlsTest, SpeaksHttp11AndSaysSo) {
  const BridgeProcess bridge(Settings());
  const auto selected = [&](const std::string& offered) {
    const TlsClient client({.ca_pem = authority_.pem(), .alpn = offered});
    const RawConnection connection(bridge.http_port(), client);
    if (!connection.is_connected()) {
      return std::string("refused");
    }
    const unsigned char* name = nullptr;
    unsigned int bytes = 0;
    SSL_get0_alpn_selected(connection.ssl(), &name, &bytes);
    return std::string(reinterpret_cast<const char*>(name), bytes);
  };
  EXPECT_EQ(selected("\x02h2\x08http/1.1"), "http/1.1");
  EXPECT_EQ(selected(""), "");
  EXPECT_EQ(selected("\x02h2"), "refused");
}

TEST_F(TlsTest, RefusesVersionsAndKeyExchangesThatAreNotSound) {
  const BridgeProcess bridge(Settings());
  const TlsClient old({.ca_pem = authority_.pem(), .version_min = TLS1_VERSION, .version_max = TLS1_1_VERSION});
  EXPECT_FALSE(RawConnection(bridge.http_port(), old).is_connected());
  const TlsClient costly({.ca_pem = authority_.pem(), .groups = "ffdhe8192"});
  EXPECT_FALSE(RawConnection(bridge.http_port(), costly).is_connected());
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_http_tls_handshakes_total{result=\"failed\"}", 2));
  const TlsClient elliptic({.ca_pem = authority_.pem(), .groups = "P-384"});
  EXPECT_TRUE(RawConnection(bridge.http_port(), elliptic).is_connected());
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_http_tls_handshakes", 0));
}

TEST_F(TlsTest, AnswersPipelinedRequestsAndTheLastIsFollowedByCloseNotify) {
  const BridgeProcess bridge(Settings());
  RawConnection connection(bridge.http_port(), client_);
  std::string requests;
  constexpr int kRequests = 60;
  for (int i = 0; i < kRequests; ++i) {
    requests += std::string(kGet);
  }
  ASSERT_TRUE(connection.Send(requests + std::string(kGetAndClose)));
  const auto answers = connection.ReceiveToEnd();
  ASSERT_TRUE(answers);
  int count = 0;
  for (size_t at = 0; (at = answers->find("HTTP/1.1 200 OK\r\n", at)) != std::string::npos; ++at) {
    ++count;
  }
  EXPECT_EQ(count, kRequests + 1);
  EXPECT_TRUE(connection.has_close_notify());
}

TEST_F(TlsTest, TakesARequestThatComesAByteARecord) {
  const BridgeProcess bridge(Settings());
  RawConnection connection(bridge.http_port(), client_);
  const std::string request =
      absl::StrCat("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ", std::string(2000, 'x'), "\r\n\r\n");
  for (const char byte : request) {
    ASSERT_TRUE(connection.Send(absl::string_view(&byte, 1)));
  }
  EXPECT_EQ(ParseResponse(connection.ReceiveToEnd().value_or("")).status, 200);
}

TEST_F(TlsTest, SaysContinueWhereTheClientWaitsForIt) {
  const BridgeProcess bridge(Settings());
  RawConnection connection(bridge.http_port(), client_);
  connection.Send(
      "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 17\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.Receive(), "HTTP/1.1 100 Continue\r\n\r\n");
  connection.Send(R"({"topics":["a."]})");
  EXPECT_THAT(connection.Receive(), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
}

TEST_F(TlsTest, AnswersAClientThatHasEndedItsSide) {
  const BridgeProcess bridge(Settings());
  RawConnection by_fin(bridge.http_port(), client_);
  by_fin.Send(kGet);
  by_fin.CloseWriting();
  EXPECT_THAT(by_fin.ReceiveToEnd().value_or(""), StartsWith("HTTP/1.1 200 OK\r\n"));
  RawConnection by_close_notify(bridge.http_port(), client_);
  by_close_notify.Send(kGet);
  SSL_shutdown(by_close_notify.ssl());
  EXPECT_THAT(by_close_notify.ReceiveToEnd().value_or(""), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(TlsTest, StreamsEventsAndResumesThemExactly) {
  const BridgeProcess bridge(Settings());
  Publisher publisher(bridge.grpc_target());
  std::string last_id;
  {
    SseClient client(bridge.http_port(), Asking("/events?topic=a"));
    last_id = client.ReadOpen();
    publisher.Publish({TextEvent("a", "1"), TextEvent("a", "2")});
    for (const char* text : {"1", "2"}) {
      const auto event = client.NextOwn();
      ASSERT_TRUE(event);
      EXPECT_EQ(event->data, text);
      last_id = event->id;
    }
  }
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 0));
  publisher.Publish({TextEvent("a", "3"), TextEvent("a", "4")});
  SseClient::Options again = Asking("/events?topic=a");
  again.last_event_id = last_id;
  SseClient client(bridge.http_port(), again);
  EXPECT_EQ(client.NextData(2), (std::vector<std::string>{"3", "4"}));
}

// Texts of all lengths about the size of a record and far beyond it.
std::vector<v1::Event> EventsOfManySizes(int count) {
  std::mt19937 random(1);
  std::vector<v1::Event> events;
  for (int i = 0; i < count; ++i) {
    const size_t size = i % 10 == 0 ? random() % (100 * kKilobyte) : random() % (6 * kKilobyte);
    events.push_back(TextEvent("a", absl::StrCat(i, " ", std::string(size, static_cast<char>('a' + i % 26)))));
  }
  return events;
}

TEST_F(TlsTest, ALargeReplayReachesASlowReaderWhole) {
  const BridgeProcess bridge(Settings());
  Publisher publisher(bridge.grpc_target());
  const std::vector<v1::Event> events = EventsOfManySizes(1500);
  for (size_t i = 0; i < events.size(); i += 100) {
    publisher.Publish({events.begin() + static_cast<ptrdiff_t>(i), events.begin() + static_cast<ptrdiff_t>(i) + 100});
  }
  SseClient::Options slow = Asking("/events?topic=a&replay=all");
  slow.receive_buffer_bytes = 4096;
  SseClient client(bridge.http_port(), slow);
  client.ReadOpen();
  for (const v1::Event& event : events) {
    const auto received = client.NextOwn();
    ASSERT_TRUE(received);
    ASSERT_EQ(received->data, event.text());
  }
}

TEST_F(TlsTest, ASlowReaderGetsAGapWhenHistoryPassesItAndGoesOn) {
  const BridgeProcess bridge(Settings({"log.history.max_events=50"}));
  Publisher publisher(bridge.grpc_target());
  SseClient::Options stalled = Asking("/events?topic=a");
  stalled.receive_buffer_bytes = 4096;
  SseClient slow(bridge.http_port(), stalled);
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 1));
  for (int i = 0; i < 20; ++i) {
    publisher.Publish(std::vector<v1::Event>(100, TextEvent("a", std::string(kKilobyte, 'x'))));
  }
  const std::string last_id = publisher.Publish(TextEvent("a", "last")).first_id();
  std::string previous = slow.ReadOpen();
  bool has_gap = false;
  while (previous != last_id) {
    const auto event = slow.Next();
    ASSERT_TRUE(event);
    if (event->type == "bridge.gap") {
      has_gap = true;
      EXPECT_THAT(event->data, HasSubstr(absl::StrCat("\"requested\":\"", previous, "\"")));
    } else if (event->data != "last") {
      ASSERT_EQ(event->data, std::string(kKilobyte, 'x'));
    }
    previous = event->id;
  }
  EXPECT_TRUE(has_gap);
}

TEST_F(TlsTest, AParkedStreamGoesOnWhenItsClientChangesItsKeys) {
  const BridgeProcess bridge(Settings());
  Publisher publisher(bridge.grpc_target());
  SseClient client(bridge.http_port(), Asking("/events?topic=a"));
  client.ReadOpen();
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(SSL_key_update(client.connection().ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_TRUE(client.connection().Send("x"));  // which is dropped
    publisher.Publish(TextEvent("a", absl::StrCat(i)));
    const auto event = client.NextOwn();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->data, absl::StrCat(i));
  }
}

TEST_F(TlsTest, AParkedStreamEndsWhenItsClientSaysGoodbye) {
  const BridgeProcess bridge(Settings());
  SseClient client(bridge.http_port(), Asking("/events?topic=a"));
  client.ReadOpen();
  SSL_shutdown(client.connection().ssl());
  EXPECT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", 0));
  EXPECT_TRUE(client.WaitForEnd());
}

TEST_F(TlsTest, ARequestAndWhatFollowsItInOneRecordParks) {
  const BridgeProcess bridge(Settings());
  Publisher publisher(bridge.grpc_target());
  SseClient::Options options = Asking("/events?topic=a");
  options.method = "GET";
  options.body = std::string(3000, 'x');  // read and dropped
  SseClient client(bridge.http_port(), options);
  client.ReadOpen();
  publisher.Publish(TextEvent("a", "1"));
  EXPECT_EQ(client.NextData(1), std::vector<std::string>{"1"});
}

TEST_F(TlsTest, ADrainEndsEachStreamWithItsLastChunkAndCloseNotify) {
  BridgeProcess bridge(Settings({"drain.delay=0s", "drain.window=6s"}));
  Publisher publisher(bridge.grpc_target());
  std::vector<std::unique_ptr<SseClient>> clients;
  for (int i = 0; i < 10; ++i) {
    SseClient::Options options = Asking("/events?topic=a");
    options.receive_buffer_bytes = i == 0 ? std::optional<int>(4096) : std::nullopt;
    clients.push_back(std::make_unique<SseClient>(bridge.http_port(), options));
    clients.back()->ReadOpen();
  }
  // More than the kernel takes for the one that has not read it by the time of the drain.
  publisher.Publish(std::vector<v1::Event>(100, TextEvent("a", std::string(3 * kKilobyte, 'x'))));
  bridge.Signal(SIGTERM);
  for (auto& client : clients) {
    EXPECT_EQ(client->NextData(100).size(), 100U);
    const auto closing = client->Next();
    ASSERT_TRUE(closing);
    EXPECT_EQ(closing->type, "bridge.closing");
    EXPECT_TRUE(client->WaitForEnd());
    EXPECT_TRUE(client->has_ended_cleanly());
    EXPECT_TRUE(client->connection().has_close_notify());
  }
  EXPECT_EQ(bridge.WaitForExit(), 0);
}

TEST_F(TlsTest, AThousandParkedStreamsCostLittleAndGiveItBack) {
  const BridgeProcess bridge(Settings({"http.heartbeat=1s"}));
  const auto open = [&](size_t count) {
    std::vector<std::unique_ptr<SseClient>> clients;
    for (size_t i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<SseClient>(bridge.http_port(), Asking("/events?topic=a")));
      clients.back()->ReadOpen();
    }
    return clients;
  };
  constexpr size_t kFew = 100;
  constexpr size_t kMany = 1000;
  const auto few = open(kFew);
  const uint64_t with_few = bridge.ResidentBytes();
  {
    const auto many = open(kMany);
    // Buffers that a write has used are given back after it.
    const double heartbeats = bridge.Metric("sse_bridge_heartbeats_total");
    ASSERT_TRUE(
        Eventually([&] { return bridge.Metric("sse_bridge_heartbeats_total") > heartbeats + 2 * (kFew + kMany); }));
    if (CanMeasureMemory()) {
      EXPECT_LT((bridge.ResidentBytes() - with_few) / kMany, kStreamBytesMax);
    }
    Publisher(bridge.grpc_target()).Publish(TextEvent("a", "to all"));
    for (const auto& client : many) {
      ASSERT_EQ(client->NextData(1), std::vector<std::string>{"to all"});
    }
  }
  ASSERT_TRUE(bridge.WaitForMetric("sse_bridge_event_streams", kFew));
  if (CanMeasureMemory()) {
    EXPECT_TRUE(Eventually([&] { return bridge.ResidentBytes() < with_few + (uint64_t{6} << 20); }))
        << bridge.ResidentBytes() - with_few;
  }
}

// The session that a client can come back with.
auth::OpensslPtr<SSL_SESSION, SSL_SESSION_free> SessionAfterAnAnswer(uint16_t port, const TlsClient& client) {
  RawConnection connection(port, client);
  connection.Send(kGet);
  connection.Receive();            // TLS 1.3 gives tickets with the first bytes
  SSL_shutdown(connection.ssl());  // else OpenSSL takes the session for damaged
  return auth::OpensslPtr<SSL_SESSION, SSL_SESSION_free>(SSL_get1_session(connection.ssl()));
}

TEST_F(TlsTest, AClientThatComesBackResumesItsSession) {
  const BridgeProcess bridge(Settings());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsClient client({.ca_pem = authority_.pem(), .version_min = version, .version_max = version});
    const auto session = SessionAfterAnAnswer(bridge.http_port(), client);
    const RawConnection again(bridge.http_port(), client, std::nullopt, session.get());
    ASSERT_TRUE(again.is_connected());
    EXPECT_EQ(SSL_session_reused(again.ssl()), 1);
    EXPECT_EQ(SSL_SESSION_get_max_early_data(session.get()), 0U);
  }
}

TEST_F(TlsTest, LetsOnlyClientsInThatShowACertificateWhereItAsksForThem) {
  const BridgeProcess bridge(Settings({"http.tls.client_ca_file=" + folder_.ca_file()}));
  const auto status = [&](const IssuedCertificate& shown) {
    const TlsClient client(
        {.ca_pem = authority_.pem(), .certificate_pem = shown.certificate_pem, .key_pem = shown.key_pem});
    RawConnection connection(bridge.http_port(), client);
    connection.Send(kGetAndClose);
    return ParseResponse(connection.ReceiveToEnd().value_or("")).status;
  };
  EXPECT_EQ(status({}), 0);
  EXPECT_EQ(status(CertificateAuthority("another authority").Issue()), 0);
  CertificateAuthority::Request expired;
  expired.ends_in = -absl::Minutes(1);
  EXPECT_EQ(status(authority_.Issue(expired)), 0);
  EXPECT_EQ(bridge.Metric("sse_bridge_http_requests_total"), 0);
  RawConnection told_why(bridge.http_port(), client_);
  told_why.Send(kGet);
  told_why.Receive();
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
  const IssuedCertificate good = authority_.Issue();
  EXPECT_EQ(status(good), 200);
  // Each connection shows its own: there is nothing to resume.
  const TlsClient client(
      {.ca_pem = authority_.pem(), .certificate_pem = good.certificate_pem, .key_pem = good.key_pem});
  const auto session = SessionAfterAnAnswer(bridge.http_port(), client);
  const RawConnection again(bridge.http_port(), client, std::nullopt, session.get());
  ASSERT_TRUE(again.is_connected());
  EXPECT_EQ(SSL_session_reused(again.ssl()), 0);
}

}  // namespace
}  // namespace bridge::test
