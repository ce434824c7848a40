#include "tests/support/jetstream_replica.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/event_log_fixture.h"

namespace bridge::test {

RawNats::RawNats(const std::string& url) {
  const bool is_connected =
      Eventually([&] { return natsConnection_ConnectTo(&connection_, url.c_str()) == NATS_OK; }, absl::Seconds(30));
  EXPECT_TRUE(is_connected) << url;
  EXPECT_EQ(natsConnection_JetStream(&jetstream_, connection_, nullptr), NATS_OK);
}

RawNats::~RawNats() {
  jsCtx_Destroy(jetstream_);
  natsConnection_Destroy(connection_);
}

void RawNats::MakeStream(const log::JetStreamOptions& options, const std::function<void(jsStreamConfig*)>& change) {
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const std::string subject = absl::StrCat(options.subject_prefix, ".kept.>");
  const char* subjects = subject.c_str();
  config.Name = options.stream.c_str();
  config.Subjects = &subjects;
  config.SubjectsLen = 1;
  config.MaxBytes = static_cast<int64_t>(options.max_bytes);
  config.MaxAge = absl::ToInt64Nanoseconds(options.max_age);
  config.Duplicates = absl::ToInt64Nanoseconds(options.idempotency_window);
  change(&config);
  EXPECT_EQ(js_AddStream(nullptr, jetstream_, &config, nullptr, nullptr), NATS_OK);
}

bool RawNats::HasPlaceFor(size_t replicas) {
  const char* subject = "place";
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = "PLACE";
  config.Subjects = &subject;
  config.SubjectsLen = 1;
  config.Replicas = static_cast<int64_t>(replicas);
  return js_AddStream(nullptr, jetstream_, &config, nullptr, nullptr) == NATS_OK &&
         js_DeleteStream(jetstream_, config.Name, nullptr, nullptr) == NATS_OK;
}

void RawNats::DeleteStream(const std::string& stream) {
  EXPECT_EQ(js_DeleteStream(jetstream_, stream.c_str(), nullptr, nullptr), NATS_OK);
}

void RawNats::DeleteMessage(const std::string& stream, uint64_t sequence) {
  EXPECT_EQ(js_DeleteMsg(jetstream_, stream.c_str(), sequence, nullptr, nullptr), NATS_OK);
}

void RawNats::TrimBefore(const std::string& stream, uint64_t sequence) {
  jsOptions options;
  jsOptions_Init(&options);
  options.Stream.Purge.Sequence = sequence;
  EXPECT_EQ(js_PurgeStream(jetstream_, stream.c_str(), &options, nullptr), NATS_OK);
}

void RawNats::StepDown(const std::string& stream) {
  natsMsg* answer = nullptr;
  natsConnection_RequestString(&answer, connection_, absl::StrCat("$JS.API.STREAM.LEADER.STEPDOWN.", stream).c_str(),
                               "",
                               /*timeout=*/1000);
  natsMsg_Destroy(answer);
}

bool RawNats::HasConsumerAt(const std::string& stream, uint64_t sequence) {
  jsConsumerInfoList* list = nullptr;
  if (js_Consumers(&list, jetstream_, stream.c_str(), nullptr, nullptr) != NATS_OK) {
    return false;
  }
  const bool has_it = std::any_of(list->List, list->List + list->Count, [sequence](const jsConsumerInfo* consumer) {
    return consumer->Delivered.Stream == sequence;
  });
  jsConsumerInfoList_Destroy(list);
  return has_it;
}

void RawNats::Publish(const std::string& subject, std::string_view data) {
  EXPECT_EQ(
      js_Publish(nullptr, jetstream_, subject.c_str(), data.data(), static_cast<int>(data.size()), nullptr, nullptr),
      NATS_OK);
}

void RawNats::PublishUnstored(const std::string& subject, std::string_view data) {
  EXPECT_EQ(natsConnection_Publish(connection_, subject.c_str(), data.data(), static_cast<int>(data.size())), NATS_OK);
}

RawNats::Limits RawNats::LimitsOf(const std::string& stream) {
  jsStreamInfo* info = nullptr;
  EXPECT_EQ(js_GetStreamInfo(&info, jetstream_, stream.c_str(), nullptr, nullptr), NATS_OK);
  if (info == nullptr) {
    return {};
  }
  const Limits limits = {.max_age_ns = info->Config->MaxAge,
                         .max_bytes = info->Config->MaxBytes,
                         .duplicate_window_ns = info->Config->Duplicates};
  jsStreamInfo_Destroy(info);
  return limits;
}

std::string RawNats::LeaderOf(const std::string& stream) {
  jsStreamInfo* info = nullptr;
  if (js_GetStreamInfo(&info, jetstream_, stream.c_str(), nullptr, nullptr) != NATS_OK) {
    return "";
  }
  std::string leader = info->Cluster != nullptr && info->Cluster->Leader != nullptr ? info->Cluster->Leader : "";
  jsStreamInfo_Destroy(info);
  return leader;
}

Replica::Replica(log::JetStreamOptions options, const log::EventLog::Tail& tail) {
  log_ = std::make_unique<log::JetStreamLog>(std::move(options), [fatal = fatal_](const absl::Status& status) {
    const absl::MutexLock lock(&fatal->mutex);
    fatal->told.push_back(status);
  });
  log_->Follow(&follower_, tail);
}

std::vector<absl::Status> Replica::fatal() const {
  const absl::MutexLock lock(&fatal_->mutex);
  return fatal_->told;
}

std::string Replica::AwaitFatal() const {
  return Eventually([this] { return !fatal().empty(); }, absl::Seconds(30)) ? fatal().front().ToString() : "";
}

bool Replica::AwaitHealthy() const {
  return Eventually([this] { return health().ok(); }, absl::Seconds(60));
}

bool Replica::AwaitHealthToSay(std::string_view text) const {
  return Eventually([this, text] { return !health().ok() && health().ToString().find(text) != std::string::npos; },
                    absl::Seconds(60));
}

Answer<std::vector<log::Appended>> Replica::Start(std::vector<log::Record> records) {
  return Start(std::move(records), log_->failures());
}

Answer<std::vector<log::Appended>> Replica::Start(std::vector<log::Record> records, uint64_t failures_seen) {
  Answer<std::vector<log::Appended>> answer;
  log_->Append(std::move(records), failures_seen, answer.Callback());
  return answer;
}

absl::StatusOr<std::vector<log::Appended>> Replica::Append(std::vector<log::Record> records) {
  return Start(std::move(records)).Wait();
}

uint64_t Replica::AppendUntilAcked(const log::Record& record) {
  uint64_t sequence = 0;
  EXPECT_TRUE(Eventually(
      [&] {
        const auto appended = Append({record});
        sequence = appended.ok() ? appended->at(0).position.sequence : 0;
        return appended.ok();
      },
      absl::Seconds(60)));
  return sequence;
}

absl::StatusOr<log::Page> Replica::Read(const log::EventLog::ReadOptions& options) {
  Answer<log::Page> answer;
  log_->Read(options, answer.Callback());
  return answer.Wait();
}

absl::StatusOr<log::Bounds> Replica::GetBounds() {
  Answer<log::Bounds> answer;
  log_->GetBounds(answer.Callback());
  return answer.Wait();
}

std::vector<log::Entry> Replica::ReadAll(size_t entries_max) {
  std::vector<log::Entry> entries;
  absl::StatusOr<log::Bounds> bounds = absl::UnavailableError("");
  Eventually(
      [&] {
        bounds = GetBounds();
        return !absl::IsUnavailable(bounds.status());
      },
      absl::Seconds(60));
  EXPECT_TRUE(bounds.ok()) << bounds.status();
  log::Position next = {.epoch = bounds.value_or(log::Bounds()).epoch,
                        .sequence = bounds.value_or(log::Bounds()).oldest - 1};
  while (true) {
    absl::StatusOr<log::Page> page = absl::UnavailableError("");
    Eventually(
        [&] {
          page = Read({.after = next, .entries_max = entries_max});
          return !absl::IsUnavailable(page.status());
        },
        absl::Seconds(60));
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok() || page->entries.empty()) {
      return entries;
    }
    entries.insert(entries.end(), page->entries.begin(), page->entries.end());
    next = page->read_to;
  }
}

std::vector<uint64_t> Replica::PublishKeyed(size_t count, const std::function<void(size_t)>& on_progress) {
  constexpr size_t kInFlight = 50;
  const absl::Time deadline = absl::Now() + absl::Seconds(120);
  std::vector<uint64_t> sequences;
  while (sequences.size() < count && absl::Now() < deadline) {
    std::vector<Answer<std::vector<log::Appended>>> answers;
    const uint64_t failures_seen = log_->failures();
    for (size_t i = sequences.size(); i < std::min(count, sequences.size() + kInFlight); ++i) {
      answers.push_back(Start({MakeRecord("orders.eu", absl::StrCat(i), absl::StrCat("key", i))}, failures_seen));
    }
    bool has_failed = false;
    for (const auto& answer : answers) {
      const auto appended = answer.Wait();
      EXPECT_FALSE(appended.ok() && has_failed) << "an append overtook one that failed";
      has_failed = !appended.ok();
      if (appended.ok()) {
        sequences.push_back(appended->at(0).position.sequence);
      }
    }
    if (has_failed) {
      absl::SleepFor(absl::Milliseconds(10));  // a publisher's backoff
    }
    on_progress(sequences.size());
  }
  return sequences;
}

}  // namespace bridge::test
