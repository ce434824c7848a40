#include "bridge/log/jetstream_log.h"

#include <cstdlib>
#include <fstream>
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
#include "tests/support/temp_dir.h"

#include "bridge/log/record_codec.h"

namespace bridge::log {
namespace {

using ::bridge::test::DataOf;
using ::bridge::test::Eventually;
using ::bridge::test::MakeEphemeral;
using ::bridge::test::MakeRecord;
using ::bridge::test::MakeRecords;
using ::bridge::test::NatsServer;
using ::bridge::test::RawNats;
using ::bridge::test::Replica;
using ::bridge::test::SequencesOf;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class JetStreamLogTest : public testing::Test {
 protected:
  JetStreamOptions Options() const { return {.url = server_.url()}; }

  const NatsServer server_;
};

// --- The stream.

struct WrongStream {
  std::string name;
  std::function<void(jsStreamConfig*)> change;
  std::string is;
  std::string wanted;

  friend void PrintTo(const WrongStream& wrong, std::ostream* out) { *out << wrong.name; }
};

const char* two_subjects[] = {"bridge.kept.>", "others.>"};

class WrongStreams : public JetStreamLogTest, public testing::WithParamInterface<WrongStream> {};

TEST_P(WrongStreams, AreToldOnceAndLeftAlone) {
  RawNats raw(server_.url());
  raw.MakeStream(Options(), GetParam().change);
  Replica replica(Options());
  EXPECT_THAT(replica.AwaitFatal(),
              AllOf(HasSubstr("stream \"BRIDGE\""), HasSubstr(GetParam().is), HasSubstr(GetParam().wanted)));
  EXPECT_FALSE(replica.health().ok());
  EXPECT_EQ(replica.Append(MakeRecords(1)).status().code(), absl::StatusCode::kUnavailable);
  raw.DeleteStream("BRIDGE");
  EXPECT_TRUE(replica.AwaitCaughtUp()) << "mended, it goes on";
  EXPECT_THAT(replica.fatal(), SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(
    , WrongStreams,
    testing::Values(WrongStream{.name = "Subjects",
                                .change =
                                    [](jsStreamConfig* config) {
                                      config->Subjects = two_subjects;
                                      config->SubjectsLen = 2;
                                    },
                                .is = "its subjects is \"bridge.kept.>, others.>\"",
                                .wanted = "it would have to be \"bridge.kept.>\""},
                    WrongStream{.name = "Storage",
                                .change = [](jsStreamConfig* config) { config->Storage = js_MemoryStorage; },
                                .is = "its storage is \"memory\"",
                                .wanted = "\"file\""},
                    WrongStream{.name = "Retention",
                                .change = [](jsStreamConfig* config) { config->Retention = js_InterestPolicy; },
                                .is = "its retention is \"interest\"",
                                .wanted = "\"limits\""},
                    WrongStream{.name = "Discard",
                                .change = [](jsStreamConfig* config) { config->Discard = js_DiscardNew; },
                                .is = "its discard is \"new\"",
                                .wanted = "\"old\""},
                    WrongStream{.name = "NoAcks",
                                .change = [](jsStreamConfig* config) { config->NoAck = true; },
                                .is = "its no_ack is \"true\"",
                                .wanted = "\"false\""},
                    WrongStream{.name = "SmallMessages",
                                .change = [](jsStreamConfig* config) { config->MaxMsgSize = 1000; },
                                .is = "max_msg_size of stream \"BRIDGE\" is 1000",
                                .wanted = "http.max_frame_bytes is 524288"}),
    [](const auto& test) { return test.param.name; });

TEST_F(JetStreamLogTest, MakesTheStreamWithItsLimits) {
  JetStreamOptions options = Options();
  options.max_age = absl::Hours(3);
  options.max_bytes = 5 << 20;
  options.idempotency_window = absl::Minutes(7);
  Replica replica(options);
  ASSERT_TRUE(replica.AwaitCaughtUp());
  const RawNats::Limits limits = RawNats(server_.url()).LimitsOf("BRIDGE");
  EXPECT_EQ(limits.max_age_ns, absl::ToInt64Nanoseconds(options.max_age));
  EXPECT_EQ(limits.max_bytes, 5 << 20);
  EXPECT_EQ(limits.duplicate_window_ns, absl::ToInt64Nanoseconds(options.idempotency_window));
}

TEST_F(JetStreamLogTest, OtherLimitsAreLeftOrSet) {
  RawNats raw(server_.url());
  raw.MakeStream(Options(), [](jsStreamConfig* config) { config->MaxBytes = 1 << 20; });
  JetStreamOptions options = Options();
  {
    Replica replica(options);
    ASSERT_TRUE(replica.AwaitCaughtUp());
    EXPECT_EQ(raw.LimitsOf("BRIDGE").max_bytes, 1 << 20);
    EXPECT_THAT(replica.fatal(), IsEmpty());
  }
  options.update = true;
  options.max_age = absl::Hours(1);
  options.idempotency_window = absl::Minutes(1);
  Replica replica(options);
  ASSERT_TRUE(replica.AwaitCaughtUp());
  const RawNats::Limits limits = raw.LimitsOf("BRIDGE");
  EXPECT_EQ(limits.max_bytes, int64_t{10} << 30);
  EXPECT_EQ(limits.max_age_ns, absl::ToInt64Nanoseconds(absl::Hours(1)));
  EXPECT_EQ(limits.duplicate_window_ns, absl::ToInt64Nanoseconds(absl::Minutes(1)));
}

TEST(JetStreamServers, AreRefusedWhereTheirMessagesAreTooSmall) {
  const NatsServer server({.configuration = "max_payload: 65536"});
  const Replica replica({.url = server.url()});
  EXPECT_THAT(replica.AwaitFatal(),
              AllOf(HasSubstr("max_payload of the NATS server is 65536"), HasSubstr("http.max_frame_bytes is 524288")));
}

TEST(JetStreamServers, WithoutJetStreamAreSaidToBe) {
  const NatsServer server({.with_jetstream = false});
  Replica replica({.url = server.url()});
  EXPECT_TRUE(replica.AwaitHealthToSay("JetStream is not enabled")) << replica.health();
  EXPECT_EQ(replica.Append(MakeRecords(1)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(replica.GetBounds().status().code(), absl::StatusCode::kUnavailable);
}

// --- Replicas.

TEST_F(JetStreamLogTest, ReplicasHaveTheSameIdsAndRecords) {
  Replica a(Options());
  Replica b(Options());
  ASSERT_TRUE(a.AwaitCaughtUp() && b.AwaitCaughtUp());
  std::vector<std::thread> publishers;
  for (Replica* replica : {&a, &b}) {
    publishers.emplace_back([replica] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(replica->Append(MakeRecords(3)).ok());
      }
    });
  }
  for (std::thread& publisher : publishers) {
    publisher.join();
  }
  ASSERT_TRUE(a.follower().WaitForEntries(300) && b.follower().WaitForEntries(300));
  EXPECT_EQ(a.follower().epoch(), b.follower().epoch());
  EXPECT_EQ(SequencesOf(a.follower().entries()), SequencesOf(b.follower().entries()));
  EXPECT_EQ(DataOf(a.follower().entries()), DataOf(b.follower().entries()));
  EXPECT_EQ(DataOf(b.ReadAll()), DataOf(a.follower().entries()));
}

TEST_F(JetStreamLogTest, AResendToAnotherReplicaIsARepeat) {
  Replica a(Options());
  Replica b(Options());
  ASSERT_TRUE(a.AwaitCaughtUp() && b.AwaitCaughtUp());
  Record record = MakeRecord("orders", "first", "key");
  record.publisher = "shop";
  const auto first = a.Append({record});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto again = b.Append({record});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->at(0).is_duplicate);
  EXPECT_EQ(again->at(0).position, first->at(0).position);
  record.publisher = "bank";
  EXPECT_FALSE(b.Append({record})->at(0).is_duplicate);
  EXPECT_THAT(b.ReadAll(), SizeIs(2));
}

TEST_F(JetStreamLogTest, WithoutAWindowNothingIsARepeat) {
  JetStreamOptions options = Options();
  options.idempotency_window = absl::ZeroDuration();
  Replica replica(options);
  ASSERT_TRUE(replica.AwaitCaughtUp());
  EXPECT_EQ(replica.Append({MakeRecord("t", "", "key")})->at(0).position.sequence, 1);
  EXPECT_EQ(replica.Append({MakeRecord("t", "", "key")})->at(0).position.sequence, 2);
}

TEST_F(JetStreamLogTest, EphemeralRecordsReachEveryReplicaAndNoHistory) {
  Replica a(Options());
  Replica b(Options());
  ASSERT_TRUE(a.AwaitCaughtUp() && b.AwaitCaughtUp());
  ASSERT_TRUE(a.Append({MakeEphemeral("orders", "now")}).ok());
  for (Replica* replica : {&a, &b}) {
    ASSERT_TRUE(replica->follower().WaitForEntries(1));
    EXPECT_TRUE(replica->follower().entries().at(0).record.ephemeral);
    EXPECT_THAT(DataOf(replica->follower().entries()), ElementsAre("now"));
  }
  EXPECT_THAT(b.ReadAll(), IsEmpty());
}

// --- What is handed over and read.

TEST_F(JetStreamLogTest, StartsWithTheTail) {
  Replica first(Options());
  ASSERT_TRUE(first.AwaitCaughtUp());
  ASSERT_TRUE(first.Append(MakeRecords(100)).ok());
  Replica by_events(Options(), {.events_max = 10, .bytes_max = 1 << 20});
  ASSERT_TRUE(by_events.AwaitCaughtUp());
  EXPECT_THAT(by_events.follower().entries(), SizeIs(10));
  EXPECT_EQ(by_events.follower().entries().front().sequence, 91);
  const uint64_t mean_bytes = by_events.log().stats().store_bytes / 100;
  Replica by_bytes(Options(), {.events_max = 1000, .bytes_max = 20 * mean_bytes});
  ASSERT_TRUE(by_bytes.AwaitCaughtUp());
  EXPECT_THAT(by_bytes.follower().entries(), SizeIs(20));
  Replica all(Options(), {.events_max = 1000, .bytes_max = 1 << 20});
  ASSERT_TRUE(all.AwaitCaughtUp());
  EXPECT_THAT(all.follower().entries(), SizeIs(100));
}

TEST_F(JetStreamLogTest, WhatHasBeenTrimmedIsOutOfRange) {
  const JetStreamOptions options = Options();
  RawNats raw(server_.url());
  raw.MakeStream(options, [](jsStreamConfig* config) { config->MaxMsgs = 10; });
  Replica replica(options);
  ASSERT_TRUE(replica.AwaitCaughtUp());
  ASSERT_TRUE(replica.Append(MakeRecords(30)).ok());
  const uint64_t epoch = replica.follower().epoch();
  EXPECT_EQ(replica.GetBounds()->oldest, 21);
  EXPECT_EQ(replica.Read({.after = {.epoch = epoch, .sequence = 19}}).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(replica.Read({.after = {.epoch = epoch, .sequence = 20}})->entries, SizeIs(10));
  const auto users = topic::Pattern::Parse("users");
  EXPECT_EQ(replica.Read({.after = {.epoch = epoch, .sequence = 19}, .pattern = *users}).status().code(),
            absl::StatusCode::kOutOfRange);
}

TEST_F(JetStreamLogTest, WhatIsTrimmedWhileAReplicaIsCutOffIsAGap) {
  RawNats(server_.url()).MakeStream(Options(), [](jsStreamConfig* config) { config->MaxMsgs = 10; });
  test::FaultProxy proxy(server_.port());
  Replica cut_off({.url = absl::StrCat("nats://127.0.0.1:", proxy.port())});
  Replica other(Options());
  ASSERT_TRUE(cut_off.AwaitCaughtUp() && other.AwaitCaughtUp());
  ASSERT_TRUE(other.Append(MakeRecords(5)).ok());
  ASSERT_TRUE(cut_off.follower().WaitForEntries(5));
  proxy.SetTraffic(test::FaultProxy::Traffic::kRefused);
  ASSERT_TRUE(cut_off.AwaitHealthToSay(""));
  ASSERT_TRUE(other.Append(MakeRecords(30)).ok());
  proxy.SetTraffic(test::FaultProxy::Traffic::kPasses);
  ASSERT_TRUE(cut_off.follower().WaitForEntries(15));
  EXPECT_THAT(cut_off.follower().gaps(), ElementsAre(25));
  EXPECT_EQ(cut_off.follower().entries().back().sequence, 35);
  EXPECT_THAT(cut_off.follower().violations(), IsEmpty());
}

TEST_F(JetStreamLogTest, WhatIsTrimmedWhileAFollowerStallsIsAGap) {
  Replica stalled(Options());
  Replica other(Options());
  ASSERT_TRUE(stalled.AwaitCaughtUp() && other.AwaitCaughtUp());
  stalled.follower().StallAt(1);
  constexpr size_t kRecords = 6000;  // more than it has asked for
  ASSERT_TRUE(other.Append(MakeRecords(kRecords)).ok());
  ASSERT_TRUE(stalled.follower().WaitForEntries(1));
  RawNats(server_.url()).TrimBefore("BRIDGE", kRecords - 9);
  stalled.follower().NeverStall();
  stalled.log().ResumeFollow();
  ASSERT_TRUE(Eventually([&] { return stalled.follower().entries().back().sequence == kRecords; }));
  EXPECT_THAT(stalled.follower().gaps(), ElementsAre(kRecords - 10));
  EXPECT_LT(stalled.follower().size(), kRecords - 10);
  EXPECT_THAT(stalled.follower().violations(), IsEmpty());
}

TEST_F(JetStreamLogTest, WhatIsTrimmedWhileAPageIsReadIsOutOfRange) {
  test::FaultProxy proxy(server_.port());
  Replica replica({.url = absl::StrCat("nats://127.0.0.1:", proxy.port())});
  ASSERT_TRUE(replica.AwaitCaughtUp());
  constexpr size_t kRecords = 3000;
  ASSERT_TRUE(replica.Append(MakeRecords(kRecords)).ok());
  ASSERT_TRUE(replica.follower().WaitForEntries(kRecords));
  const uint64_t epoch = replica.follower().epoch();
  RawNats raw(server_.url());
  proxy.SetDelay(absl::Milliseconds(200));
  test::Answer<Page> page;
  replica.log().Read({.after = {.epoch = epoch, .sequence = 0}, .entries_max = 1500}, page.Callback());
  // It has been given what it asked for first, and asks for the rest when that has come.
  ASSERT_TRUE(Eventually([&] { return raw.HasConsumerAt("BRIDGE", 1000); }));
  raw.TrimBefore("BRIDGE", 1201);
  const auto read = page.Wait();
  EXPECT_EQ(read.status().code(), absl::StatusCode::kOutOfRange) << read.status();
}

TEST_F(JetStreamLogTest, DeletedMessagesAreNoGap) {
  Replica first(Options());
  ASSERT_TRUE(first.AwaitCaughtUp());
  ASSERT_TRUE(first.Append(MakeRecords(5)).ok());
  RawNats(server_.url()).DeleteMessage("BRIDGE", 3);
  Replica next(Options(), {.events_max = 5, .bytes_max = 1 << 20});
  ASSERT_TRUE(next.AwaitCaughtUp());
  EXPECT_THAT(SequencesOf(next.follower().entries()), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(next.follower().gaps(), IsEmpty());
}

TEST_F(JetStreamLogTest, DeletedMessagesAreNoTrimming) {
  Replica replica(Options());
  ASSERT_TRUE(replica.AwaitCaughtUp());
  ASSERT_TRUE(replica.Append(MakeRecords(5)).ok());
  RawNats raw(server_.url());
  for (const uint64_t deleted : {2U, 3U, 5U}) {
    raw.DeleteMessage("BRIDGE", deleted);
  }
  const uint64_t epoch = replica.follower().epoch();
  const auto page = replica.Read({.after = {.epoch = epoch, .sequence = 1}});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(SequencesOf(page->entries), ElementsAre(4));
  EXPECT_EQ(page->read_to.sequence, 5);
}

TEST_F(JetStreamLogTest, APatternIsFilteredAndReadToTheEnd) {
  Replica replica(Options());
  ASSERT_TRUE(replica.AwaitCaughtUp());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(replica.Append({MakeRecord("orders.eu", ""), MakeRecord("users", "")}).ok());
  }
  const uint64_t epoch = replica.follower().epoch();
  for (const auto& [text, count] : std::vector<std::pair<std::string, size_t>>{
           {"orders.*", 20}, {"orders.>", 20}, {"users", 20}, {">", 40}, {"none.*", 0}}) {
    const auto pattern = topic::Pattern::Parse(text);
    size_t read = 0;
    Position next = {.epoch = epoch, .sequence = 0};
    while (next.sequence < 40) {
      const auto page = replica.Read({.after = next, .entries_max = 7, .pattern = *pattern});
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_GT(page->read_to.sequence, next.sequence) << text;
      read += page->entries.size();
      next = page->read_to;
    }
    EXPECT_EQ(read, count) << text;
  }
}

TEST_F(JetStreamLogTest, PagesBoundedInBytesReadEveryRecordOnce) {
  Replica replica(Options());
  ASSERT_TRUE(replica.AwaitCaughtUp());
  std::vector<std::string> expected;
  std::vector<Record> records;
  for (size_t i = 0; i < 300; ++i) {
    expected.emplace_back(i % 50 == 0 ? 20'000 : i % 7, 'x');
    records.push_back(MakeRecord("t", expected.back()));
  }
  ASSERT_TRUE(replica.Append(std::move(records)).ok());
  for (const size_t bytes_max : {size_t{1}, size_t{100}, size_t{5000}, size_t{100'000}}) {
    std::vector<Entry> entries;
    Position next = {.epoch = replica.follower().epoch(), .sequence = 0};
    while (next.sequence < 300) {
      const auto page = replica.Read({.after = next, .bytes_max = bytes_max});
      ASSERT_TRUE(page.ok()) << page.status();
      ASSERT_FALSE(page->entries.empty());
      entries.insert(entries.end(), page->entries.begin(), page->entries.end());
      next = page->read_to;
    }
    EXPECT_EQ(DataOf(entries), expected) << bytes_max;
  }
}

TEST_F(JetStreamLogTest, WhatIsNoRecordIsLeftOutAndCounted) {
  Replica replica(Options());
  ASSERT_TRUE(replica.AwaitCaughtUp());
  RawNats raw(server_.url());
  ASSERT_TRUE(replica.Append({MakeRecord("orders", "0")}).ok());
  raw.Publish("bridge.kept.orders", "no record");
  raw.Publish("bridge.kept.orders", "");
  raw.Publish("bridge.kept.users", EncodeRecord(MakeRecord("orders", "of another topic")));
  raw.PublishUnstored("bridge.live.orders", "no record");
  ASSERT_TRUE(replica.Append({MakeRecord("orders", "4")}).ok());
  ASSERT_TRUE(replica.follower().WaitForEntries(2));
  EXPECT_THAT(SequencesOf(replica.follower().entries()), ElementsAre(1, 5));
  EXPECT_TRUE(Eventually([&] { return replica.log().stats().unreadable_records == 4; }));
  const auto before = replica.Read({.after = {.epoch = replica.follower().epoch(), .sequence = 0}});
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_THAT(SequencesOf(before->entries), ElementsAre(1));
  EXPECT_EQ(before->damaged_to, 0);
  const auto behind = replica.Read({.after = before->read_to});
  ASSERT_TRUE(behind.ok()) << behind.status();
  EXPECT_THAT(SequencesOf(behind->entries), ElementsAre(5));
  EXPECT_EQ(behind->damaged_to, 4);
}

TEST_F(JetStreamLogTest, ARecordThatIsTooLargeIsRefusedAlone) {
  Replica replica(Options());
  ASSERT_TRUE(replica.AwaitCaughtUp());
  const auto appended =
      replica.Append({MakeRecord("t", "0"), MakeRecord("t", std::string(2 << 20, 'x')), MakeRecord("t", "2")});
  ASSERT_TRUE(appended.ok()) << appended.status();
  EXPECT_TRUE(appended->at(0).status.ok());
  EXPECT_THAT(appended->at(1).status.ToString(), HasSubstr("max_payload"));
  EXPECT_TRUE(appended->at(2).status.ok());
  EXPECT_THAT(replica.ReadAll(), SizeIs(2));
}

TEST_F(JetStreamLogTest, EndsWhileMessagesArrive) {
  RawNats raw(server_.url());
  Replica publisher(Options());
  ASSERT_TRUE(publisher.AwaitCaughtUp());
  std::atomic<bool> is_ending = false;
  std::thread load([&] {
    while (!is_ending) {
      publisher.Append({MakeRecord("orders", "kept"), MakeEphemeral("orders", "live")}).status().IgnoreError();
    }
  });
  for (int i = 0; i < 20; ++i) {
    std::vector<test::Answer<std::vector<Appended>>> appends;
    test::Answer<Page> page;
    {
      Replica replica(Options(), {.events_max = 1000, .bytes_max = 1 << 20});
      if (i % 2 == 0) {
        ASSERT_TRUE(replica.AwaitCaughtUp());
      }
      for (int k = 0; k < 100; ++k) {
        appends.push_back(replica.Start({MakeRecord("orders", "more"), MakeEphemeral("orders", "live")}));
      }
      replica.log().Read({.after = {.epoch = publisher.follower().epoch(), .sequence = 0}}, page.Callback());
    }
    for (const auto& append : appends) {
      EXPECT_TRUE(append.HasAnswer());
    }
    EXPECT_TRUE(page.HasAnswer());
  }
  is_ending = true;
  load.join();
}

// --- Who may.

TEST(JetStreamSecurity, ANameAndPasswordStandInTheUrlAndNeverInAMessage) {
  const NatsServer server(
      {.configuration = "authorization { user: bridge, password: secret }", .user_info = "bridge:secret@"});
  Replica replica({.url = server.url()});
  EXPECT_TRUE(replica.AwaitCaughtUp());
  const Replica wrong({.url = absl::StrCat("nats://bridge:guessed@127.0.0.1:", server.port())});
  EXPECT_TRUE(wrong.AwaitHealthToSay("Authorization")) << wrong.health();
  EXPECT_THAT(wrong.health().ToString(), testing::Not(HasSubstr("guessed")));
}

TEST(JetStreamSecurity, ARefusedPermissionIsNamed) {
  const NatsServer server({.configuration = R"(authorization { users: [ { user: a, password: b, permissions: {
      publish: ["nothing"], subscribe: ">" } } ] })",
                           .user_info = "a:b@"});
  const Replica replica({.url = server.url()});
  EXPECT_TRUE(replica.AwaitHealthToSay("Permissions Violation")) << replica.health();
}

TEST(JetStreamSecurity, TlsIsCheckedAgainstTheAuthority) {
  const test::TempDir files;
  const auto file = [&files](const std::string& name) { return files.path() + "/" + name; };
  const std::string make = absl::StrCat(
      "cd ", files.path(),
      " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca -keyout "
      "ca.key "
      "-out ca.pem"
      " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=nats -keyout server.key -out "
      "server.csr"
      " && printf 'subjectAltName=IP:127.0.0.1\n' > san"
      " && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out "
      "server.pem) >/dev/null 2>&1");
  ASSERT_EQ(std::system(absl::StrCat("(", make).c_str()), 0);  // NOLINT(bugprone-command-processor): a test's own files
  const NatsServer server({.configuration = absl::StrCat("tls { cert_file: \"", file("server.pem"), "\", key_file: \"",
                                                         file("server.key"), "\" }")});
  Replica replica({.url = server.url(), .tls = {.ca_file = file("ca.pem")}});
  EXPECT_TRUE(replica.AwaitCaughtUp()) << replica.health();
  const Replica stranger({.url = absl::StrCat("tls://127.0.0.1:", server.port())});
  EXPECT_TRUE(stranger.AwaitHealthToSay("SSL")) << stranger.health();
}

}  // namespace
}  // namespace bridge::log
