#include "bridge/log/history.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::log {
namespace {

constexpr uint64_t kEpoch = 0x18c;
constexpr base::MonotonicTime kStart{std::chrono::hours(1)};
constexpr History::Limits kRoomy = {.events_max = 1000, .bytes_max = 1 << 20, .age_max = std::chrono::hours(1)};

Entry At(uint64_t sequence, base::MonotonicTime received = kStart) {
  Entry entry;
  entry.sequence = sequence;
  entry.record.data = "data";
  entry.received = received;
  return entry;
}

TEST(History, OfNoEventsHasTheBoundsOfTheLog) {
  History history(kEpoch, {.events_max = 0, .bytes_max = 1 << 20, .age_max = std::chrono::hours(1)});
  history.Add(At(1));
  history.Add(At(2));
  EXPECT_EQ(history.bounds().epoch, kEpoch);
  EXPECT_EQ(history.bounds().oldest, 3);
  EXPECT_EQ(history.bounds().newest, 2);
  EXPECT_EQ(history.events(), 0);
  EXPECT_EQ(history.bytes(), 0);
  EXPECT_EQ(history.Read({.after = {.epoch = kEpoch, .sequence = 1}}).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(history.Read({.after = {.epoch = kEpoch, .sequence = 2}}).ok());
}

TEST(History, DropsARecordThatIsTooLargeByItself) {
  History history(kEpoch, {.events_max = 10, .bytes_max = 5000, .age_max = std::chrono::hours(1)});
  history.Add(At(1));
  Entry large = At(2);
  large.record.data = std::string(6000, 'x');
  history.Add(std::move(large));
  EXPECT_EQ(history.bounds().oldest, 3);
  EXPECT_EQ(history.bounds().newest, 2);
  EXPECT_EQ(history.bytes(), 0);
}

TEST(History, CountsWhatEntriesTake) {
  History history(kEpoch, kRoomy);
  history.Add(At(1));
  Entry entry = At(2);
  entry.record.topic = std::string(10, 't');
  entry.record.type = std::string(20, 't');
  entry.record.publisher = std::string(30, 'p');
  entry.record.idempotency_key = std::string(40, 'k');
  history.Add(std::move(entry));
  EXPECT_EQ(history.events(), 2);
  EXPECT_EQ(history.bytes(), 2 * (sizeof(Entry) + 4) + 100);
}

TEST(History, DropsOnlyWhatIsOlderThanTheLimit) {
  History history(kEpoch, kRoomy);
  history.Add(At(1, kStart));
  history.Add(At(2, kStart + std::chrono::seconds(1)));
  history.DropOld(kStart + std::chrono::hours(1));
  EXPECT_EQ(history.bounds().oldest, 1);
  history.DropOld(kStart + std::chrono::hours(1) + std::chrono::seconds(1));
  EXPECT_EQ(history.bounds().oldest, 2);
}

TEST(History, ErrorsSayWhichEventsThereAre) {
  History history(kEpoch, {.events_max = 1, .bytes_max = 1 << 20, .age_max = std::chrono::hours(1)});
  history.Add(At(1));
  history.Add(At(2));
  EXPECT_EQ(history.Read({.after = {.epoch = kEpoch, .sequence = 0}}).status().message(),
            "events after 18c-0 have been trimmed; the oldest is 18c-2");
  EXPECT_EQ(history.Read({.after = {.epoch = 0x99, .sequence = 7}}).status().message(),
            "event id 99-7 is of another epoch; this log has 18c-2 last");
}

}  // namespace
}  // namespace bridge::log
