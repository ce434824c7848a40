// Attacks on the gRPC side.
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/hostile/attacked.h"
#include "tests/support/http2_frames.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"

namespace bridge::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Optional;

std::string Frame(FrameType type, uint32_t stream, absl::string_view payload) {
  return Http2Frame(type, 0, stream, payload);
}

class GrpcAttack : public Attacked {
 protected:
  GrpcAttack() : Attacked({"grpc.send_timeout=1s", "log.history.max_events=1000"}) {}

  void TearDown() override {
    EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_publishers", 0));
    EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_publish_ack_bytes", 0));
    Attacked::TearDown();
    EXPECT_EQ(bridge_.Metric("sse_bridge_publish_bytes_in_flight"), 0);
  }

  // Whether the connection is still served: a PING is answered.
  static bool IsServed(RawConnection& connection) {
    connection.Send(Frame(FrameType::kPing, 0, "12345678"));
    std::string answer;
    while (!absl::StrContains(answer, "12345678") && !connection.has_ended()) {
      const std::string more = connection.Receive();
      EXPECT_TRUE(!more.empty() || connection.has_ended()) << "neither an answer nor an end";
      if (more.empty()) {
        break;
      }
      answer += more;
    }
    return !connection.has_ended();
  }

  // What the attack has made the bridge take for a moment is bounded.
  void ExpectSmallPeak() const {
    if (CanMeasureMemory()) {
      EXPECT_LT(bridge_.PeakResidentBytes(), resident_bytes_before_ + kPeakMax);
    }
  }

 private:
  static constexpr uint64_t kPeakMax = uint64_t{200} << 20;
  const uint64_t resident_bytes_before_ = bridge_.ResidentBytes();
};

enum class Outcome { kEnds, kGoesOn };

struct BadFrames {
  std::string name;
  std::string bytes;
  Outcome outcome = Outcome::kEnds;
};

void PrintTo(const BadFrames& bad, std::ostream* out) { *out << bad.name; }

class MalformedFrames : public GrpcAttack, public ::testing::WithParamInterface<BadFrames> {};

TEST_P(MalformedFrames, EndTheirConnectionOrAreIgnored) {
  for (int i = 0; i < 20; ++i) {
    RawConnection connection(bridge_.grpc_port());
    connection.Send(Http2Preface());
    connection.Send(GetParam().bytes);
    EXPECT_EQ(IsServed(connection) ? Outcome::kGoesOn : Outcome::kEnds, GetParam().outcome);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, MalformedFrames,
    ::testing::Values(BadFrames{"SettingsOfAWrongSize", Frame(FrameType::kSettings, 0, "12345")},
                      BadFrames{"SettingsOnAStream", Frame(FrameType::kSettings, 1, "")},
                      BadFrames{"AWindowTooLarge",
                                Frame(FrameType::kSettings, 0, absl::string_view("\x00\x04\xff\xff\xff\xff", 6))},
                      BadFrames{"DataWithoutAStream", Frame(FrameType::kData, 0, "x"), Outcome::kGoesOn},
                      BadFrames{"AFrameTooLarge", Frame(FrameType::kData, 1, std::string(1 << 20, 'x'))},
                      BadFrames{"PingOfAWrongSize", Frame(FrameType::kPing, 0, "1234567")},
                      BadFrames{"ResetOfAWrongSize", Frame(FrameType::kReset, 1, "123")},
                      BadFrames{"WindowUpdateOfNothing",
                                Frame(FrameType::kWindowUpdate, 0, absl::string_view("\x00\x00\x00\x00", 4))},
                      BadFrames{"GoawayOfAWrongSize", Frame(FrameType::kGoaway, 0, "1")},
                      BadFrames{"ContinuationOfNothing", Frame(FrameType::kContinuation, 1, "x")},
                      BadFrames{"HeadersThatAnotherFrameInterrupts",
                                absl::StrCat(Http2Frame(FrameType::kHeaders, 0, 1, HeaderBlock({{":method", "POST"}})),
                                             Frame(FrameType::kPing, 0, "12345678"))},
                      BadFrames{"HeadersOfAnEvenStream",
                                absl::StrCat(CallHeaders(3, "Publish"), Http2Frame(FrameType::kHeaders, kEndHeaders, 2,
                                                                                   HeaderBlock({{":method", "POST"}}))),
                                Outcome::kGoesOn},
                      BadFrames{"PushFromAClient", Frame(FrameType::kPushPromise, 1, "1234"), Outcome::kGoesOn}),
    [](const auto& test) { return test.param.name; });

TEST_F(GrpcAttack, NoHttp2IsNotAnswered) {
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), std::string(100'000, '\0'),
                                   std::string("\x16\x03\x01")}) {
    RawConnection connection(bridge_.grpc_port());
    connection.Send(bytes);
    if (bytes.size() < 24) {
      connection.CloseWriting();  // shorter than a preface
    }
    EXPECT_TRUE(connection.ReceiveToEnd().has_value());
  }
}

TEST_F(GrpcAttack, HeadersWithoutAnEndAreCut) {
  RawConnection connection(bridge_.grpc_port());
  connection.Send(Http2Preface());
  connection.Send(Http2Frame(FrameType::kHeaders, 0, 1, HeaderBlock({{":method", "POST"}})));
  const std::string more = Http2Frame(FrameType::kContinuation, 0, 1, HeaderBlock({{"x", std::string(10'000, 'x')}}));
  int sent = 0;
  while (sent < 20'000 && connection.Send(more)) {  // up to 200 MB
    ++sent;
  }
  EXPECT_LT(sent, 20'000);
  EXPECT_EQ(bridge_.Metric("sse_bridge_grpc_connections_cut_total{reason=\"bytes\"}"), 1);
  ExpectSmallPeak();
}

// A byte stands for a header of fifty: what is held is a hundred times what is sent.
TEST_F(GrpcAttack, HeadersThatGrowAreCut) {
  RawConnection connection(bridge_.grpc_port());
  connection.Send(Http2Preface());
  connection.Send(Http2Frame(FrameType::kHeaders, 0, 1, HeaderBlock({{":method", "POST"}})));
  constexpr char kAcceptEncodingGzip = '\x90';  // RFC 7541, appendix A
  const std::string frame = Http2Frame(FrameType::kContinuation, 0, 1, std::string(300, kAcceptEncodingGzip));
  std::string burst;
  for (int i = 0; i < 1000; ++i) {
    burst += frame;
  }
  int sent = 0;
  while (sent < 500 && connection.Send(burst)) {  // up to 150 MB
    ++sent;
  }
  EXPECT_LT(sent, 500);
  EXPECT_EQ(bridge_.Metric("sse_bridge_grpc_connections_cut_total{reason=\"bytes\"}"), 1);
  ExpectSmallPeak();
}

TEST_F(GrpcAttack, AGiantMessageEndsItsCall) {
  v1::PublishRequest request;
  *request.add_events() = TextEvent("a", std::string(8'000'000, 'x'));
  for (int i = 0; i < 3; ++i) {
    v1::Ack ack;
    // UNAVAILABLE where gRPC, on a loaded machine, answers so late that the first message of a connection looks like a
    // head without an end: the connection is cut then.
    EXPECT_THAT(Publisher(bridge_.grpc_target(), Publisher::Channel::kOwn).TryPublish(request, &ack).error_code(),
                AnyOf(grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::UNAVAILABLE));
  }
}

TEST_F(GrpcAttack, AThousandStreamsOfAConnectionAreTakenAndNoMore) {
  RawConnection connection(bridge_.grpc_port());
  connection.Send(Http2Preface());
  connection.Receive();
  // The bridge's SETTINGS hold from here on.
  constexpr uint8_t kAcknowledged = 0x1;
  connection.Send(Http2Frame(FrameType::kSettings, kAcknowledged, 0, ""));
  for (uint32_t i = 0; i < 1000; ++i) {
    connection.Send(CallHeaders(2 * i + 1, "Publish"));
  }
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_publishers", 1000));
  EXPECT_TRUE(IsServed(connection));
  connection.Send(CallHeaders(2001, "Publish"));
  EXPECT_FALSE(IsServed(connection));
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_publishers", 0));
}

TEST_F(GrpcAttack, StreamsOfReflectionHaveFewThreads) {
  const auto threads = [this] {
    const std::filesystem::directory_iterator tasks(absl::StrCat("/proc/", bridge_.pid(), "/task"));
    return std::distance(begin(tasks), end(tasks));
  };
  RawConnection connection(bridge_.grpc_port());
  connection.Send(Http2Preface());
  for (uint32_t i = 0; i < 900; ++i) {
    connection.Send(Http2Frame(FrameType::kHeaders, kEndHeaders, 2 * i + 1,
                               HeaderBlock(CallTo("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"))));
  }
  EXPECT_TRUE(IsServed(connection));
  EXPECT_LT(threads(), 100);
  connection.Reset();
}

// What is opened and reset again: calls of publishers, of another service, of none.
class ResetFlood : public GrpcAttack, public ::testing::WithParamInterface<std::string> {};

TEST_P(ResetFlood, IsCut) {
  constexpr uint32_t kStreams = 100'000;
  RawConnection connection(bridge_.grpc_port());
  connection.Send(Http2Preface());
  uint32_t sent = 0;
  for (std::string burst; sent < kStreams; burst.clear()) {
    for (int i = 0; i < 100; ++i, ++sent) {
      const uint32_t stream = (2 * sent) + 1;
      absl::StrAppend(&burst, Http2Frame(FrameType::kHeaders, kEndHeaders, stream, HeaderBlock(CallTo(GetParam()))),
                      Frame(FrameType::kReset, stream, absl::string_view("\x00\x00\x00\x08", 4)));
    }
    if (!connection.Send(burst)) {
      break;
    }
  }
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_grpc_connections", 1));  // the bystander's
  // By which of its bounds depends on how fast gRPC is.
  double cuts = 0;
  for (const std::string reason : {"wasted_calls", "open_calls", "bytes"}) {
    cuts += bridge_.Metric(absl::StrCat("sse_bridge_grpc_connections_cut_total{reason=\"", reason, "\"}"));
  }
  EXPECT_EQ(cuts, 1);
  ExpectSmallPeak();
}

INSTANTIATE_TEST_SUITE_P(All, ResetFlood,
                         ::testing::Values("/bridge.v1.Publisher/Publish", "/bridge.v1.Publisher/PublishOnce",
                                           "/grpc.health.v1.Health/Check", "/nobody.Knows/This"));

TEST_F(GrpcAttack, DeadlinesOfAnyKindEndTheirStreamAtMost) {
  RawConnection connection(bridge_.grpc_port());
  connection.Send(Http2Preface());
  uint32_t stream = 1;
  for (const std::string value : {"1n", "0S", "99999999H", "999999999999H", "-1S", "S", "", "1x", "1 S"}) {
    connection.Send(CallHeaders(stream, "Publish", {{"grpc-timeout", value}}));
    stream += 2;
  }
  EXPECT_TRUE(IsServed(connection));
  connection.Reset();
}

TEST_F(GrpcAttack, MetadataAreBounded) {
  grpc::ClientContext context;
  context.AddMetadata("x", std::string(100'000, 'x'));
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  Publisher publisher(bridge_.grpc_target(), Publisher::Channel::kOwn);
  const v1::PublishRequest request;
  v1::Ack ack;
  const grpc::Status status = publisher.stub().PublishOnce(&context, request, &ack);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(GrpcAttack, AnswersThatNobodyTakesAreGivenUp) {
  // A client that lets nothing through on its streams, and asks for a thousand rejections on each.
  const std::string no_window = Frame(FrameType::kSettings, 0, absl::string_view("\x00\x04\x00\x00\x00\x00", 6));
  std::string request;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&request, "\x12", absl::string_view("\0", 1));
  }
  RawConnection connection(bridge_.grpc_port());
  connection.Send(Http2Preface());
  connection.Send(no_window);
  for (uint32_t i = 0; i < 200; ++i) {
    const uint32_t stream = 2 * i + 1;
    connection.Send(CallHeaders(stream, i % 2 == 0 ? "PublishOnce" : "Publish"));
    connection.Send(
        Http2Frame(FrameType::kData, kEndStream, stream, GrpcMessage(request, static_cast<uint32_t>(request.size()))));
    connection.Receive(absl::Milliseconds(1));  // frames about the connection itself
  }
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_publishers_timed_out_total", 200, absl::Seconds(20)));
  EXPECT_TRUE(bridge_.WaitForMetric("sse_bridge_publish_ack_bytes", 0));
  connection.Reset();
}

TEST_F(GrpcAttack, GrpcOnTheHttpPortIsToldTheVersions) {
  RawConnection connection(bridge_.http_port());
  connection.Send(Http2Preface());
  connection.Send(CallHeaders(1, "Publish"));
  const auto answer = connection.ReceiveToEnd();
  EXPECT_THAT(answer, Optional(HasSubstr("HTTP/1.1 505 ")));
}

}  // namespace
}  // namespace bridge::test
