// The log on JetStream while NATS dies, stands still, or loses its stream.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/bridge_process.h"
#include "tests/support/event_log_fixture.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/jetstream_replica.h"
#include "tests/support/nats_server.h"

#include "bridge/log/jetstream/publisher.h"
#include "bridge/log/jetstream_log.h"
#include "bridge/log/record_codec.h"

namespace bridge::log {
namespace {

using ::bridge::test::DataOf;
using ::bridge::test::Eventually;
using ::bridge::test::MakeEphemeral;
using ::bridge::test::MakeRecord;
using ::bridge::test::MakeRecords;
using ::bridge::test::NatsCluster;
using ::bridge::test::NatsServer;
using ::bridge::test::RawNats;
using ::bridge::test::Replica;
using ::bridge::test::SequencesOf;
using ::testing::AnyOf;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> Numbers(size_t count) {
  std::vector<std::string> numbers;
  for (size_t i = 0; i < count; ++i) {
    numbers.push_back(std::to_string(i));
  }
  return numbers;
}

// What it has been handed last; sequence 0 for nothing.
Entry LastOf(Replica& replica) {
  const std::vector<Entry> entries = replica.follower().entries();
  return entries.empty() ? Entry() : entries.back();
}

// Each replica has been handed, and reads, what was acked: all of it, once, at its sequence.
void ExpectExactlyWhatWasAcked(const std::vector<Replica*>& replicas, const std::vector<uint64_t>& acked) {
  for (Replica* replica : replicas) {
    ASSERT_TRUE(replica->AwaitHealthy()) << replica->health();
    ASSERT_TRUE(replica->follower().WaitForEntries(acked.size()));
    const std::vector<Entry> followed = replica->follower().entries();
    ASSERT_EQ(followed.size(), acked.size());
    for (const Entry& entry : followed) {
      EXPECT_EQ(entry.sequence, acked.at(std::stoul(entry.record.data)));
    }
    EXPECT_EQ(DataOf(replica->ReadAll()), DataOf(followed));
    EXPECT_THAT(replica->follower().violations(), IsEmpty());
  }
}

TEST(JetStreamFailures, StartsWithoutNatsAndGoesOnWhenItIsThere) {
  NatsServer server;
  server.Kill();
  Replica replica({.url = server.url()});
  EXPECT_TRUE(replica.AwaitHealthToSay("cannot connect to NATS at nats://127.0.0.1:")) << replica.health();
  EXPECT_EQ(replica.Append(MakeRecords(1)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(replica.Append({MakeEphemeral("t", "")}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(replica.GetBounds().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(replica.Read({}).status().code(), absl::StatusCode::kUnavailable);
  server.Start();
  ASSERT_TRUE(replica.AwaitCaughtUp());
  EXPECT_TRUE(replica.Append(MakeRecords(1)).ok());
}

TEST(JetStreamFailures, AKilledServerLosesAndDoublesNothing) {
  NatsServer server;
  Replica a({.url = server.url()});
  Replica b({.url = server.url()});
  ASSERT_TRUE(a.AwaitCaughtUp() && b.AwaitCaughtUp());
  constexpr size_t kRecords = 5000;
  size_t next_kill = kRecords / 5;
  const std::vector<uint64_t> acked = a.PublishKeyed(kRecords, [&](size_t done) {
    if (done >= next_kill) {
      next_kill += kRecords / 5;
      // With records in flight.
      std::vector<test::Answer<std::vector<Appended>>> in_flight;
      for (size_t i = done; i < std::min(done + 500, kRecords); ++i) {
        in_flight.push_back(a.Start({MakeRecord("orders.eu", absl::StrCat(i), absl::StrCat("key", i))}));
      }
      server.Kill();
      server.Start();
      for (const auto& answer : in_flight) {
        answer.Wait().status().IgnoreError();
      }
    }
  });
  ASSERT_THAT(acked, SizeIs(kRecords));
  EXPECT_TRUE(std::is_sorted(acked.begin(), acked.end()));
  ExpectExactlyWhatWasAcked({&a, &b}, acked);
  EXPECT_EQ(DataOf(b.follower().entries()), Numbers(kRecords));
  EXPECT_GE(a.log().stats().disconnects, 4);
}

TEST(JetStreamFailures, AServerThatStandsStillIsNotWaitedForLong) {
  NatsServer server;
  Replica replica({.url = server.url()});
  ASSERT_TRUE(replica.AwaitCaughtUp());
  ASSERT_EQ(replica.AppendUntilAcked(MakeRecord("t", "0", "0")), 1);
  const Position start = {.epoch = replica.follower().epoch(), .sequence = 0};
  server.Stop();
  // As large as it takes to fill what lies between, so that publishing itself stops.
  const absl::Time before = absl::Now();
  std::vector<test::Answer<std::vector<Appended>>> answers;
  for (int i = 0; i < 200; ++i) {
    answers.push_back(replica.Start({MakeRecord("t", std::string(200'000, 'x'), absl::StrCat("large", i))}));
  }
  test::Answer<Page> page;
  replica.log().Read({.after = start}, page.Callback());
  for (const auto& answer : answers) {
    EXPECT_EQ(answer.Wait().status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_THAT(page.Wait().status().code(), AnyOf(absl::StatusCode::kUnavailable, absl::StatusCode::kOk));
  EXPECT_LT(absl::Now() - before, absl::Seconds(20));
  EXPECT_TRUE(replica.AwaitHealthToSay("")) << replica.health();
  server.Continue();
  ASSERT_TRUE(replica.AwaitHealthy()) << replica.health();
  EXPECT_GE(replica.AppendUntilAcked(MakeRecord("t", "last", "last")), 2);
  ASSERT_TRUE(Eventually([&] { return LastOf(replica).record.data == "last"; }, absl::Seconds(30)));
  EXPECT_EQ(SequencesOf(replica.ReadAll()), SequencesOf(replica.follower().entries()));
}

TEST(JetStreamFailures, AFollowerThatStallsForLongRefusesNothing) {
  NatsServer server;
  test::FaultProxy proxy(server.port());
  Replica replica({.url = absl::StrCat("nats://127.0.0.1:", proxy.port())});
  ASSERT_TRUE(replica.AwaitCaughtUp());
  proxy.SetDelay(absl::Milliseconds(50));  // so that each ack is waited for
  replica.follower().StallAt(1);
  constexpr size_t kRecords = jetstream::Publisher::kAckedAheadMax + 4096;
  const test::Answer<std::vector<Appended>> append = replica.Start(MakeRecords(kRecords));
  ASSERT_TRUE(replica.follower().WaitForEntries(1));
  absl::SleepFor(absl::Seconds(7));  // longer than an ack is waited for
  EXPECT_FALSE(append.HasAnswer());
  replica.follower().NeverStall();
  replica.log().ResumeFollow();
  const auto appended = append.Wait();
  EXPECT_TRUE(appended.ok()) << appended.status();
  EXPECT_EQ(replica.log().stats().append_failures, 0);
}

TEST(JetStreamFailures, AStreamMadeAnewIsANewEpoch) {
  NatsServer server;
  Replica a({.url = server.url()});
  Replica b({.url = server.url()});
  ASSERT_TRUE(a.AwaitCaughtUp() && b.AwaitCaughtUp());
  for (int round = 0; round < 3; ++round) {
    const uint64_t epoch = a.follower().epoch();
    ASSERT_TRUE(a.Append(MakeRecords(static_cast<size_t>(3 - round))).ok());
    RawNats(server.url()).DeleteStream("BRIDGE");
    for (Replica* replica : {&a, &b}) {
      ASSERT_TRUE(Eventually([&] { return replica->follower().epoch() != epoch; }, absl::Seconds(30)));
      ASSERT_TRUE(replica->AwaitCaughtUp());
    }
    EXPECT_EQ(a.follower().epoch(), b.follower().epoch());
    EXPECT_EQ(a.Read({.after = {.epoch = epoch, .sequence = 1}}).status().code(), absl::StatusCode::kNotFound);
    const size_t before = b.follower().size();
    EXPECT_EQ(a.AppendUntilAcked(MakeRecord("t", "anew", absl::StrCat(round))), 1);
    ASSERT_TRUE(b.follower().WaitForEntries(before + 1));
    EXPECT_EQ(LastOf(b).sequence, 1);
    EXPECT_EQ(LastOf(b).record.data, "anew");
  }
  EXPECT_THAT(a.follower().violations(), IsEmpty());
}

TEST(JetStreamFailures, AStreamMadeAnewByOthersUnderAppendsIsANewEpoch) {
  NatsServer server;
  Replica replica({.url = server.url()});
  ASSERT_TRUE(replica.AwaitCaughtUp());
  ASSERT_TRUE(replica.Append(MakeRecords(100)).ok());
  const uint64_t epoch = replica.follower().epoch();
  RawNats raw(server.url());
  raw.DeleteStream("BRIDGE");
  raw.MakeStream({}, [](jsStreamConfig*) {});
  EXPECT_TRUE(Eventually(
      [&] {
        replica.Append(MakeRecords(1)).status().IgnoreError();
        return replica.follower().epoch() != epoch;
      },
      absl::Seconds(30)));
  ASSERT_TRUE(replica.AwaitCaughtUp());
  const uint64_t last = replica.AppendUntilAcked(MakeRecord("t", "last"));
  ASSERT_TRUE(Eventually([&] { return LastOf(replica).sequence == last; }, absl::Seconds(30)));
  EXPECT_THAT(replica.follower().violations(), IsEmpty());
}

TEST(JetStreamFailures, AStoreThatIsGoneAfterARestartIsANewEpoch) {
  NatsServer server;
  Replica replica({.url = server.url()});
  ASSERT_TRUE(replica.AwaitCaughtUp());
  ASSERT_TRUE(replica.Append(MakeRecords(10)).ok());
  ASSERT_TRUE(replica.follower().WaitForEntries(10));
  const uint64_t epoch = replica.follower().epoch();
  server.Kill();
  server.RemoveStore();
  server.Start();
  ASSERT_TRUE(Eventually([&] { return replica.follower().epoch() != epoch; }, absl::Seconds(30)));
  ASSERT_TRUE(replica.AwaitCaughtUp());
  EXPECT_EQ(replica.AppendUntilAcked(MakeRecord("t", "anew")), 1);
  ASSERT_TRUE(Eventually([&] { return replica.follower().size() == 11; }, absl::Seconds(30)));
}

// What of a stream's history was lost is not hidden by what others have published since.
TEST(JetStreamFailures, AStreamThatHasGrownBeyondTheEndThatItLostStartsAnew) {
  NatsServer server;
  test::FaultProxy proxy(server.port());
  Replica cut_off({.url = absl::StrCat("nats://127.0.0.1:", proxy.port())}, {.events_max = 100, .bytes_max = 1 << 20});
  ASSERT_TRUE(cut_off.AwaitCaughtUp());
  ASSERT_TRUE(cut_off.Append({MakeRecord("t", "kept")}).ok());
  server.Kill();
  server.CopyStore();
  server.Start();
  cut_off.AppendUntilAcked(MakeRecord("t", "lost", "lost"));
  ASSERT_TRUE(cut_off.follower().WaitForEntries(2));
  proxy.SetTraffic(test::FaultProxy::Traffic::kRefused);
  server.Kill();
  server.PutBackStore();
  server.Start();
  {
    Replica other({.url = server.url()});
    ASSERT_TRUE(other.AwaitCaughtUp());
    ASSERT_EQ(other.AppendUntilAcked(MakeRecord("t", "1")), LastOf(cut_off).sequence);
    other.AppendUntilAcked(MakeRecord("t", "2"));
  }
  proxy.SetTraffic(test::FaultProxy::Traffic::kPasses);
  EXPECT_TRUE(cut_off.follower().WaitForEntries(5));
  EXPECT_THAT(DataOf(cut_off.follower().entries()), testing::ElementsAre("kept", "lost", "kept", "1", "2"));
  EXPECT_THAT(cut_off.follower().gaps(), IsEmpty()) << "it is told as a log that starts anew";
  EXPECT_THAT(cut_off.follower().violations(), IsEmpty());
}

TEST(JetStreamFailures, ALogThatHasHandedOverNothingNoticesThatToo) {
  NatsServer server;
  test::FaultProxy proxy(server.port());
  const auto publish = [&server](const std::string& data) {
    RawNats(server.url()).Publish("bridge.kept.t", EncodeRecord(MakeRecord("t", data)));
  };
  RawNats(server.url()).MakeStream({}, [](jsStreamConfig*) {});
  publish("kept");
  server.Kill();
  server.CopyStore();
  server.Start();
  publish("lost");
  Replica cut_off({.url = absl::StrCat("nats://127.0.0.1:", proxy.port())});
  ASSERT_TRUE(cut_off.AwaitCaughtUp());
  ASSERT_TRUE(Eventually([&] { return RawNats(server.url()).HasConsumerAt("BRIDGE", 2); }));
  proxy.SetTraffic(test::FaultProxy::Traffic::kRefused);
  server.Kill();
  server.PutBackStore();
  server.Start();
  publish("1");
  publish("2");
  proxy.SetTraffic(test::FaultProxy::Traffic::kPasses);
  EXPECT_TRUE(Eventually([&] { return cut_off.follower().epochs() == 2; }, absl::Seconds(30)));
  EXPECT_THAT(cut_off.follower().entries(), IsEmpty()) << "all of that stands before where the log ended then";
}

// Two replicas whose log is on three servers.
class ClusterFailures : public ::testing::Test {
 protected:
  void SetUp() override {
    const JetStreamOptions options = {.url = cluster_.url(), .replicas = 3};
    for (std::optional<Replica>* replica : {&a_, &b_}) {
      replica->emplace(options);
      ASSERT_TRUE((*replica)->AwaitCaughtUp()) << (*replica)->health();
    }
  }

  NatsCluster cluster_;
  std::optional<Replica> a_;
  std::optional<Replica> b_;
};

TEST_F(ClusterFailures, TheLeaderMayDie) {
  constexpr size_t kRecords = 2000;
  size_t killed = NatsCluster::kServers;
  const std::vector<uint64_t> acked = a_->PublishKeyed(kRecords, [&](size_t done) {
    if (done < kRecords / 2 || killed < NatsCluster::kServers) {
      return;
    }
    std::string leader;
    ASSERT_TRUE(
        Eventually([&] { return !(leader = RawNats(cluster_.url()).LeaderOf("BRIDGE")).empty(); }, absl::Seconds(60)));
    killed = std::stoul(leader.substr(1));
    cluster_.server(killed).Kill();
  });
  ASSERT_THAT(acked, SizeIs(kRecords));
  ExpectExactlyWhatWasAcked({&*a_, &*b_}, acked);
}

TEST_F(ClusterFailures, TheLeaderMayChange) {
  constexpr size_t kRecords = 5000;
  std::atomic<bool> is_over = false;
  std::thread changes([&] {
    RawNats raw(cluster_.url());
    while (!is_over) {
      absl::SleepFor(absl::Milliseconds(100));  // the leader's time
      raw.StepDown("BRIDGE");
    }
  });
  const std::vector<uint64_t> acked = a_->PublishKeyed(kRecords, [](size_t /*done*/) {});
  is_over = true;
  changes.join();
  ASSERT_THAT(acked, SizeIs(kRecords));  // in what order is not promised then
  EXPECT_GT(a_->log().stats().append_failures, 0);
  ExpectExactlyWhatWasAcked({&*a_, &*b_}, acked);
}

TEST(JetStreamFailures, ReplicasThatStartTogetherMakeOneStream) {
  NatsCluster cluster;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Replica>> replicas;
    for (int i = 0; i < 5; ++i) {
      const JetStreamOptions options = {.url = cluster.url(),
                                        .stream = absl::StrCat("BRIDGE", round),
                                        .subject_prefix = absl::StrCat("bridge", round),
                                        .replicas = 3};
      replicas.push_back(std::make_unique<Replica>(options, EventLog::Tail{.events_max = 1000, .bytes_max = 1 << 20}));
    }
    ASSERT_TRUE(replicas.front()->follower().WaitForEpoch());
    const uint64_t epoch = replicas.front()->follower().epoch();
    const std::vector<uint64_t> acked = replicas.front()->PublishKeyed(100, [](size_t) {});
    ASSERT_THAT(acked, SizeIs(100));
    for (const std::unique_ptr<Replica>& replica : replicas) {
      ExpectExactlyWhatWasAcked({replica.get()}, acked);
      EXPECT_EQ(replica->follower().epoch(), epoch);
    }
  }
}

}  // namespace
}  // namespace bridge::log
