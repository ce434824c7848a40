// A hub of a memory log on a loop of its own, and streams whose transports are the test's.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/bridge_process.h"
#include "tests/support/sse_parser.h"

#include "bridge/hub/feed.h"
#include "bridge/hub/hub.h"
#include "bridge/log/memory_log.h"

namespace bridge::hub {

// What one stream got. Written on the loop, read by the test.
class Client {
 public:
  void Take(absl::string_view bytes) {
    const absl::MutexLock lock(&mutex_);
    bytes_.append(bytes.data(), bytes.size());
    parser_.Feed(bytes);
    for (test::SseEvent& event : parser_.TakeEvents()) {
      events_.push_back(std::move(event));
    }
  }
  void End() { has_ended_ = true; }

  bool has_ended() const { return has_ended_; }
  std::string bytes() const {
    const absl::MutexLock lock(&mutex_);
    return bytes_;
  }
  std::vector<test::SseEvent> events() const {
    const absl::MutexLock lock(&mutex_);
    return events_;
  }
  std::vector<std::string> types() const {
    std::vector<std::string> types;
    for (const test::SseEvent& event : events()) {
      types.push_back(event.type);
    }
    return types;
  }
  bool Awaits(const std::vector<std::string>& wanted) const {
    return test::Eventually([&] { return types() == wanted; });
  }
  bool AwaitsEnd() const {
    return test::Eventually([&] { return has_ended(); });
  }

  // How many bytes the transport takes in all.
  std::atomic<size_t> room{1 << 20};
  // The last one. Used on the loop.
  Subscription* stream = nullptr;

 private:
  mutable absl::Mutex mutex_;
  std::string bytes_ ABSL_GUARDED_BY(mutex_);
  test::SseParser parser_ ABSL_GUARDED_BY(mutex_);
  std::vector<test::SseEvent> events_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> has_ended_{false};
};

class FakeStream final : public Subscription {
 public:
  explicit FakeStream(Client* client) : client_(client) { client->stream = this; }

 private:
  ssize_t Write(absl::Span<const iovec> pieces) override {
    size_t written = 0;
    for (const iovec& piece : pieces) {
      const size_t size = std::min(piece.iov_len, client_->room.load());
      client_->Take({static_cast<const char*>(piece.iov_base), size});
      client_->room -= size;
      written += size;
    }
    return static_cast<ssize_t>(written);
  }
  void OnEnd(EndReason /*reason*/) override {
    client_->End();
    delete this;
  }

  Client* const client_;
};

class HubFixture : public ::testing::Test {
 protected:
  explicit HubFixture(const HubOptions& options) {
    loop_.BlockOn([&] {
      hub_ = std::make_unique<Hub>(&loop_.loop(), log_.get(), nullptr, options, [this] { is_ready_ = true; });
    });
    feed_.Start([log = log_.get()] { log->ResumeFollow(); }, {hub_.get()});
    log_->Follow(&feed_, {.events_max = 1000, .bytes_max = 1 << 20});
    EXPECT_TRUE(test::Eventually([&] { return is_ready_.load(); }));
  }
  ~HubFixture() override {
    OnLoop([&] {
      hub_->loop().AssertOnLoop();
      hub_->EndAll(EndReason::kDraining);
    });
    feed_.Detach();
    log_ = nullptr;
    loop_.BlockOn([&] { hub_ = nullptr; });
  }

  Client& NewClient() { return clients_.emplace_back(); }
  void OnLoop(std::function<void()> task) { loop_.BlockOn(std::move(task)); }
  // On the loop.
  void Add(Client* client, Selection selection, const Start& start, const StreamTerms& terms = {}) {
    hub_->loop().AssertOnLoop();
    const Hub::Opening opening = hub_->Open(selection, start);
    std::string text = opening.text;
    hub_->Add(*new FakeStream(client), std::move(selection), opening, std::move(text), terms);
  }
  void Open(Client* client, Selection selection, const Start& start, const StreamTerms& terms = {}) {
    OnLoop([&] { Add(client, std::move(selection), start, terms); });
  }
  static Selection SelectionOf(const std::string& pattern, Framing framing = Framing::kPlain) {
    Selection selection;
    selection.patterns.push_back(*topic::Pattern::Parse(pattern));
    selection.framing = framing;
    return selection;
  }
  // The client's transport takes so many bytes from now on.
  void MakeRoom(Client* client, size_t bytes = 1 << 20) {
    OnLoop([&] {
      hub_->loop().AssertOnLoop();
      client->room = bytes;
      hub_->NoteWritable(*client->stream);
    });
  }
  void Publish(const std::string& topic, const std::string& data, const std::string& type = "") {
    log::Record record;
    record.topic = topic;
    record.type = type;
    record.data = data;
    log_->Append({record}, [](const auto&) {});
  }
  bool HasTaken(uint64_t events) {
    return test::Eventually([&] { return hub_->metrics().history_events.value() == events; });
  }
  uint64_t Ends(EndReason reason) const { return hub_->metrics().ends[static_cast<size_t>(reason)].value(); }

  // They outlive their streams.
  std::deque<Client> clients_;
  std::atomic<bool> is_ready_{false};
  loop::LoopThread loop_{"test"};
  Feed feed_;
  std::unique_ptr<log::EventLog> log_ = std::make_unique<log::MemoryLog>(log::MemoryLog::Options{.epoch = 1});
  std::unique_ptr<Hub> hub_;
};

}  // namespace bridge::hub
