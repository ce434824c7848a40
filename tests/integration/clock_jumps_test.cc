// A wall clock that is set, under a bridge that runs: what ends by it is the right of a token or ticket to something,
// and nothing else. Durations, ages and deadlines are of the monotonic clock, and nothing of what was acked is lost.
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/publisher.h"
#include "tests/support/raw_http.h"
#include "tests/support/sse_client.h"
#include "tests/support/store.h"
#include "tests/support/token_issuer.h"
#include "tests/support/wall_clock.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;

constexpr char kOrders[] = R"("orders.>")";
constexpr absl::Duration kDay = absl::Hours(24);

class ClockJumps : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CanMeasureMemory()) {
      GTEST_SKIP() << "a sanitizer wants to be loaded before all else itself";
    }
    clock_ = std::make_unique<WallClock>();
  }

  void Start(std::vector<std::string> settings = {}) {
    settings.insert(settings.end(), {"auth.jwt.leeway=0s", "http.heartbeat=200ms", "drain.delay=0s",
                                     absl::StrCat("auth.tickets.secret_file=", issuer_.secret_path())});
    bridge_ = std::make_unique<BridgeProcess>(issuer_.Settings(settings));
    publisher_ = std::make_unique<Publisher>(bridge_->grpc_target());
  }

  // Opens a stream of all orders, with a token that ends so long after the test began.
  std::unique_ptr<SseClient> Open(absl::Duration lifetime, const std::string& last_event_id = "",
                                  absl::string_view more = "") {
    return std::make_unique<SseClient>(
        bridge_->http_port(), SseClient::Options{.target = absl::StrCat("/events?topic=orders.>&heartbeat=event", more),
                                                 .last_event_id = last_event_id,
                                                 .headers = issuer_.Bearer(kOrders, lifetime)});
  }

  // Opens a stream and reads all numbers that there are. A stream without a replay begins where this replica has read
  // its log, which may be behind what a publisher was told.
  std::unique_ptr<SseClient> OpenAndCatchUp(absl::Duration lifetime) {
    std::unique_ptr<SseClient> client = Open(lifetime, "", "&replay=all");
    ExpectNumbers(client.get(), 0);
    return client;
  }

  // Publishes so many numbers, from the last one on.
  void Publish(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string number = absl::StrCat(numbers_.size());
      ids_.push_back(publisher_->Publish(TextEvent("orders.a", number)).first_id());
      numbers_.push_back(number);
    }
  }

  // The numbers from the `first` on, and no gap before them.
  void ExpectNumbers(SseClient* client, size_t first) const {
    for (size_t i = first; i < numbers_.size(); ++i) {
      std::optional<SseEvent> event = client->Next();
      while (event && (event->type == "bridge.heartbeat" || event->type == "bridge.open")) {
        event = client->Next();
      }
      ASSERT_TRUE(event) << "nothing came instead of " << i;
      ASSERT_EQ(event->data, numbers_[i]) << event->type;
    }
  }

  // All that was acked is there: for a client that comes now, and for one that comes again.
  void ExpectAllIsThere() {
    ExpectNumbers(Open(10 * kDay, "", "&replay=all").get(), 0);
    ExpectNumbers(Open(10 * kDay, ids_.front()).get(), 1);
    ExpectNumbers(Open(10 * kDay, ids_[ids_.size() / 2]).get(), ids_.size() / 2 + 1);
  }

  // Heartbeats come as they did.
  static void ExpectHeartbeats(SseClient* client) {
    for (int i = 0; i < 5; ++i) {
      const auto event = client->Next(absl::Seconds(5));
      ASSERT_TRUE(event);
      EXPECT_EQ(event->type, "bridge.heartbeat");
    }
  }

  HttpResponse Ticket(absl::Duration lifetime) const {
    return Fetch(bridge_->http_port(), "POST", "/tickets",
                 absl::StrCat(issuer_.Bearer(kOrders, lifetime), "Content-Type: application/json\r\n"), "{}");
  }
  static std::string TicketIn(const HttpResponse& response) {
    google::protobuf::Struct object;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(response.body, &object).ok()) << response.body;
    return object.fields().at("ticket").string_value();
  }

  TokenIssuer issuer_;
  std::unique_ptr<WallClock> clock_;
  std::unique_ptr<BridgeProcess> bridge_;
  std::unique_ptr<Publisher> publisher_;
  std::vector<std::string> numbers_;
  std::vector<std::string> ids_;
};

class ClockJumpsOfLogs : public ClockJumps, public ::testing::WithParamInterface<StoreKind> {
 protected:
  void StartOnStore() {
    store_ = GetParam().make();
    Start(store_ == nullptr ? std::vector<std::string>() : store_->settings());
  }

  std::unique_ptr<Store> store_;
};

TEST_P(ClockJumpsOfLogs, ADayForwardEndsWhatATokenHasEndedAndNothingElse) {
  StartOnStore();
  Publish(50);
  const auto ends = OpenAndCatchUp(absl::Hours(1));
  const auto stays = OpenAndCatchUp(2 * kDay);

  clock_->Jump(kDay);
  const std::optional<SseEvent> last = ends->NextButHeartbeats();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->type, "bridge.closing");
  EXPECT_THAT(last->data, HasSubstr("token_expired"));
  EXPECT_TRUE(ends->WaitForEnd());
  EXPECT_TRUE(bridge_->WaitForMetric("sse_bridge_event_streams_closed_total{reason=\"token_expired\"}", 1));
  ExpectHeartbeats(stays.get());
  Publish(50);
  ExpectNumbers(stays.get(), 50);
  ExpectAllIsThere();
  EXPECT_EQ(bridge_->Metric("sse_bridge_history_events"), 100);
  EXPECT_EQ(bridge_->Metric("sse_bridge_event_streams_closed_total{reason=\"token_expired\"}"), 1);
}

TEST_P(ClockJumpsOfLogs, ADayBackEndsAndHoldsUpNothing) {
  StartOnStore();
  Publish(50);
  const auto stays = OpenAndCatchUp(absl::Hours(1));

  clock_->Jump(-kDay);
  ExpectHeartbeats(stays.get());
  Publish(50);
  ExpectNumbers(stays.get(), 50);
  ExpectAllIsThere();
  EXPECT_EQ(bridge_->Metric("sse_bridge_history_events"), 100);
  EXPECT_EQ(bridge_->Metric("sse_bridge_event_streams_closed_total{reason=\"token_expired\"}"), 0);
}

TEST_P(ClockJumpsOfLogs, RepeatsAreRecognisedAfterwards) {
  StartOnStore();
  v1::Event event = TextEvent("orders.a", "x");
  event.set_idempotency_key("key");
  const std::string id = publisher_->Publish(event).first_id();
  for (const absl::Duration by : {kDay, -2 * kDay}) {
    clock_->Jump(by);
    EXPECT_EQ(publisher_->Publish(event).first_id(), id) << by;
  }
}

TEST_P(ClockJumpsOfLogs, AStoreIsNotTrimmedByARestartAfterwards) {
  StartOnStore();
  if (store_ == nullptr) {
    GTEST_SKIP() << "what is in memory alone goes with its process";
  }
  Publish(50);
  for (const absl::Duration by : {kDay, -2 * kDay}) {
    clock_->Jump(by);
    bridge_->Restart(SIGTERM);
    publisher_ = std::make_unique<Publisher>(bridge_->grpc_target(), Publisher::Channel::kOwn);
    Publish(10);
    ExpectAllIsThere();
  }
}

std::vector<StoreKind> AllKinds() {
  std::vector<StoreKind> kinds = StoreKinds();
  kinds.push_back({.name = "Memory", .make = [] { return std::unique_ptr<Store>(); }});
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(, ClockJumpsOfLogs, testing::ValuesIn(AllKinds()),
                         [](const auto& test) { return test.param.name; });

TEST_F(ClockJumps, AStreamThatHasEndedIsNotRevivedAndAUsedTicketStaysUsed) {
  Start();
  const std::string ticket = TicketIn(Ticket(absl::Hours(1)));
  const std::string target = absl::StrCat("/events?topic=orders.>&ticket=", ticket);
  SseClient client(bridge_->http_port(), target);
  client.ReadOpen();
  clock_->Jump(kDay);
  EXPECT_TRUE(client.WaitForEnd());
  EXPECT_EQ(Ticket(absl::Hours(1)).status, 401);
  EXPECT_THAT(Fetch(bridge_->http_port(), "GET", target).body, HasSubstr("has expired"));

  clock_->Jump(-kDay);
  const HttpResponse again = Fetch(bridge_->http_port(), "GET", target);
  EXPECT_EQ(again.status, 401);
  EXPECT_THAT(again.body, HasSubstr("has been used"));
  EXPECT_EQ(Ticket(absl::Hours(1)).status, 200);
}

TEST_F(ClockJumps, ATokenThatIsNotYetGoodWaitsForTheClock) {
  Start();
  const std::string bearer =
      BearerHeader(issuer_.TokenWith(absl::StrCat("\"exp\": ", absl::ToUnixSeconds(clock_->Now() + 2 * kDay),
                                                  ", \"nbf\": ", absl::ToUnixSeconds(clock_->Now() + absl::Hours(12))),
                                     kOrders));
  EXPECT_EQ(Fetch(bridge_->http_port(), "GET", "/events?topic=orders.a", bearer).status, 401);
  clock_->Jump(kDay);
  SseClient client(bridge_->http_port(), {.target = "/events?topic=orders.a", .headers = bearer});
  client.ReadOpen();
}

TEST_F(ClockJumps, APublishersTokenEndsByTheClockAndItsStreamNotBefore) {
  Start({"auth.anonymous.publish=[]"});
  const auto token = [this](absl::Duration lifetime) {
    return issuer_.TokenWith(absl::StrCat("\"exp\": ", absl::ToUnixSeconds(clock_->Now() + lifetime)),
                             absl::StrCat(kOrders, R"(], "publish": ["orders.>")"));
  };
  publisher_->SetToken(token(absl::Hours(1)));
  PublishCall ends(publisher_.get());
  publisher_->SetToken(token(3 * kDay));
  PublishCall stays(publisher_.get());
  const auto publish = [](PublishCall* call) {
    EXPECT_TRUE(call->Send("1", {TextEvent("orders.a", "x")}));
    return call->NextAck();
  };
  EXPECT_TRUE(publish(&ends));
  EXPECT_TRUE(publish(&stays));
  clock_->Jump(-kDay);
  EXPECT_TRUE(publish(&ends));
  clock_->Jump(2 * kDay);
  EXPECT_EQ(ends.NextAck(), std::nullopt);
  EXPECT_EQ(ends.Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(publish(&stays));
  stays.HalfClose();
  EXPECT_TRUE(stays.Finish().ok());
}

TEST_F(ClockJumps, TimeoutsPassAsTheyWould) {
  Start({"http.head_timeout=3s"});
  for (const absl::Duration by : {kDay, -2 * kDay}) {
    RawConnection in_time(bridge_->http_port());
    RawConnection too_late(bridge_->http_port());
    in_time.Send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n");
    too_late.Send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n");
    EXPECT_TRUE(bridge_->WaitForMetric("sse_bridge_http_connections", 2));
    clock_->Jump(by);
    in_time.Send("Connection: close\r\n\r\n");
    EXPECT_THAT(in_time.ReceiveToEnd().value_or(""), HasSubstr("HTTP/1.1 404 ")) << by;
    EXPECT_THAT(too_late.ReceiveToEnd().value_or(""), HasSubstr("HTTP/1.1 408 ")) << by;
  }
}

TEST_F(ClockJumps, ADrainTakesItsWindow) {
  for (const absl::Duration by : {kDay, -kDay}) {
    Start({"drain.window=2s"});
    std::vector<std::unique_ptr<SseClient>> streams;
    for (int i = 0; i < 20; ++i) {
      streams.push_back(Open(10 * kDay));
      streams.back()->ReadOpen();
    }
    PublishCall publisher(publisher_.get());
    EXPECT_TRUE(publisher.Send("1", {TextEvent("orders.a", "x")}));
    EXPECT_TRUE(publisher.NextAck());
    bridge_->Signal(SIGTERM);
    EXPECT_TRUE(Eventually([&] { return absl::StrContains(bridge_->Log(), "draining"); }));
    const absl::Time start = absl::Now();
    clock_->Jump(by);
    publisher.HalfClose();
    EXPECT_TRUE(publisher.Finish().ok());
    EXPECT_EQ(bridge_->WaitForExit(), 0) << by;
    EXPECT_GT(absl::Now() - start, absl::Milliseconds(500)) << "not all at once: " << by;
  }
}

TEST_F(ClockJumps, FilesThatChangeAreReadAgain) {
  Start();
  for (const absl::Duration by : {kDay, -2 * kDay}) {
    clock_->Jump(by);
    issuer_.Change(absl::StrCat("another secret of the tests, of 32 bytes and more ", absl::FormatDuration(by)));
    EXPECT_TRUE(Eventually([&] { return Ticket(10 * kDay).status == 200; }, absl::Seconds(20))) << by;
  }
}

}  // namespace
}  // namespace bridge::test
