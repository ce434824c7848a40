#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/support/answer.h"
#include "tests/support/event_log_fixture.h"
#include "tests/support/temp_dir.h"

#include "bridge/log/disk_log.h"

namespace bridge::test {

// The clocks of a machine that a test sets. Thread-safe.
class FakeMachine {
 public:
  // Time that passes while the machine runs.
  void Advance(std::chrono::nanoseconds by) { now_ += by.count(); }
  // A new start, after which its clocks begin again.
  void Restart() {
    ++starts_;
    now_ = 1;
  }

  log::disk::LogClock::Sources Clocks() {
    return {.monotonic = [this] { return base::MonotonicTime(std::chrono::nanoseconds(now_)); },
            .since_boot = [this] { return std::chrono::nanoseconds(now_); },
            .boot_id = absl::StrCat("start ", starts_)};
  }

 private:
  std::atomic<int64_t> now_{std::chrono::nanoseconds(std::chrono::hours(1)).count()};
  int starts_ = 0;
};

// A log on disk that is opened again and again, and calls that wait for their answers.
class DiskLogTest : public testing::Test {
 protected:
  using AppendAnswer = Answer<std::vector<log::Appended>>;

  static log::DiskLog::Options Defaults(const std::string& path) {
    return {.path = path,
            .bytes_max = uint64_t{1} << 30,
            .age_max = std::chrono::hours(24),
            .idempotency_window = std::chrono::minutes(2),
            .idempotency_keys_max = 1000};
  }

  // The log is open afterwards, or the test has failed.
  void Open() {
    absl::StatusOr<std::unique_ptr<log::DiskLog>> log = log::DiskLog::Open(options_);
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
    epoch_ = GetBounds().epoch;
  }
  void Close() { log_ = nullptr; }
  void Reopen() {
    Close();
    Open();
  }
  // Why it cannot be opened.
  absl::Status OpenError() { return log::DiskLog::Open(options_).status(); }

  log::DiskLog& log() { return *log_; }

  AppendAnswer Append(std::vector<log::Record> records) {
    AppendAnswer answer;
    log_->Append(std::move(records), answer.Callback());
    return answer;
  }
  AppendAnswer Append(std::vector<log::Record> records, uint64_t failures_seen) {
    AppendAnswer answer;
    log_->Append(std::move(records), failures_seen, answer.Callback());
    return answer;
  }
  // The sequence of each record.
  std::vector<uint64_t> MustAppend(std::vector<log::Record> records) {
    const auto answer = Append(std::move(records)).Wait();
    EXPECT_TRUE(answer.ok()) << answer.status();
    std::vector<uint64_t> sequences;
    for (const log::Appended& appended : answer.value_or(std::vector<log::Appended>())) {
      sequences.push_back(appended.position.sequence);
    }
    return sequences;
  }

  log::Bounds GetBounds() {
    Answer<log::Bounds> answer;
    log_->GetBounds(answer.Callback());
    return answer.Wait().value();
  }
  log::Position At(uint64_t sequence) const { return {.epoch = epoch_, .sequence = sequence}; }
  absl::StatusOr<log::Page> Read(const log::EventLog::ReadOptions& options) {
    Answer<log::Page> answer;
    log_->Read(options, answer.Callback());
    return answer.Wait();
  }
  // All that can be read after `after`; damaged records are left out.
  std::vector<log::Entry> ReadAll(uint64_t after = 0) {
    std::vector<log::Entry> entries;
    while (true) {
      absl::StatusOr<log::Page> page = Read({.after = At(after)});
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok() || page->read_to == At(after)) {
        return entries;
      }
      entries.insert(entries.end(), page->entries.begin(), page->entries.end());
      after = page->read_to.sequence;
    }
  }

  TempDir directory_;
  const std::string path_ = directory_.path() + "/log";
  log::DiskLog::Options options_ = Defaults(path_);
  uint64_t epoch_ = 0;

 private:
  std::unique_ptr<log::DiskLog> log_;
};

}  // namespace bridge::test
