// Frames whose match takes long, because of the patterns of strangers.
#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/bridge_process.h"
#include "tests/support/sse_parser.h"

#include "bridge/hub/feed.h"
#include "bridge/hub/hub.h"
#include "bridge/log/memory_log.h"

namespace bridge::hub {
namespace {

constexpr const char* kTopic = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a";
constexpr size_t kTokens = 16;
constexpr size_t kPatternsOfStream = 100;

// A pattern whose first tokens are the topic's or "*", by the bits of `number`, and whose last one is `last`.
std::string PatternOf(size_t number, const std::string& last) {
  std::string pattern;
  for (size_t bit = 0; bit + 1 < kTokens; ++bit) {
    absl::StrAppend(&pattern, (number >> bit) % 2 == 0 ? "*." : "a.");
  }
  return pattern + last;
}

// Keeps the sequences that it gets. Used on the loop, and after it.
class Stream final : public Subscription {
 public:
  // What a stream got: the sequence of bridge.open, and then those of its events.
  struct Got {
    std::vector<uint64_t> sequences;
    bool has_ended = false;
  };
  explicit Stream(Got* got) : got_(got) {}

 private:
  ssize_t Write(absl::Span<const iovec> pieces) override {
    size_t written = 0;
    for (const iovec& piece : pieces) {
      parser_.Feed({static_cast<const char*>(piece.iov_base), piece.iov_len});
      written += piece.iov_len;
    }
    for (const test::SseEvent& event : parser_.TakeEvents()) {
      got_->sequences.push_back(log::ParseEventId(event.id)->sequence);
    }
    return static_cast<ssize_t>(written);
  }
  void OnEnd(EndReason /*reason*/) override {
    got_->has_ended = true;
    delete this;
  }

  Got* const got_;
  test::SseParser parser_;
};

class HubArrivalsTest : public ::testing::Test {
 protected:
  HubArrivalsTest() {
    HubOptions options;
    options.history = {.events_max = 20'000};
    options.heartbeat = absl::Hours(1);
    loop_.BlockOn([&] {
      hub_ = std::make_unique<Hub>(&loop_.loop(), log_.get(), nullptr, options, [this] { is_ready_ = true; });
    });
    feed_.Start([log = log_.get()] { log->ResumeFollow(); }, {hub_.get()});
    log_->Follow(&feed_, {.events_max = 1000, .bytes_max = 1 << 20});
    EXPECT_TRUE(test::Eventually([&] { return is_ready_.load(); }));
  }
  ~HubArrivalsTest() override {
    loop_.BlockOn([&] {
      hub_->loop().AssertOnLoop();
      hub_->EndAll(EndReason::kDraining);
    });
    feed_.Detach();
    log_ = nullptr;
    loop_.BlockOn([&] { hub_ = nullptr; });
  }

  // On the loop.
  Stream* Open(const std::vector<std::string>& patterns) {
    hub_->loop().AssertOnLoop();
    Selection selection;
    for (const std::string& pattern : patterns) {
      selection.patterns.push_back(*topic::Pattern::Parse(pattern));
    }
    selection.framing = Framing::kPlain;
    const Hub::Opening opening = hub_->Open(selection, {});
    std::string text = opening.text;
    auto* const stream = new Stream(&got_.emplace_back());  // owns itself
    hub_->Add(*stream, std::move(selection), opening, std::move(text), {});
    return stream;
  }

  // Streams of so many patterns, all different.
  void OpenBomb(size_t patterns, const std::string& last) {
    loop_.BlockOn([&] {
      for (size_t first = 0; first < patterns; first += kPatternsOfStream) {
        std::vector<std::string> of_stream;
        for (size_t number = first; number < std::min(first + kPatternsOfStream, patterns); ++number) {
          of_stream.push_back(PatternOf(number, last));
        }
        Open(of_stream);
      }
    });
  }

  // One batch.
  void Publish(size_t events) {
    log::Record record;
    record.topic = kTopic;
    record.data = "x";
    log_->Append(std::vector<log::Record>(events, record), [](const auto&) {});
  }
  bool HasTaken(uint64_t events) {
    return test::Eventually([&] { return hub_->metrics().history_events.value() == events; }, absl::Seconds(60));
  }

  std::atomic<bool> is_ready_{false};
  // They outlive their streams.
  std::deque<Stream::Got> got_;
  loop::LoopThread loop_{"test"};
  Feed feed_;
  std::unique_ptr<log::EventLog> log_ = std::make_unique<log::MemoryLog>(log::MemoryLog::Options{.epoch = 1});
  std::unique_ptr<Hub> hub_;
};

TEST_F(HubArrivalsTest, TakeAsManyTurnsAsTheyNeedWhateverThePatterns) {
  OpenBomb(size_t{1} << 14, "b");  // nothing matches, which is seen at the last token
  constexpr size_t kEvents = 100;
  const uint64_t turns_before = loop_.loop().lag().turns;
  Publish(kEvents);
  ASSERT_TRUE(HasTaken(kEvents));
  // Each event visits some 30,000 nodes, a turn some 8,000. How long that takes is the machine's business.
  EXPECT_GT(loop_.loop().lag().turns - turns_before, 3 * kEvents);
}

TEST_F(HubArrivalsTest, ReachStreamsThatComeAndGoMeanwhileOnceEach) {
  OpenBomb(size_t{1} << 12, "a");
  constexpr uint64_t kEvents = 50;
  constexpr size_t kTogether = 5;
  const size_t bombs = got_.size();
  std::deque<Stream*> streams;
  // Each turn one comes, with patterns that are its own or another's, and the oldest one goes.
  std::function<void()> change = [&] {
    hub_->loop().AssertOnLoop();
    const size_t number = got_.size();
    streams.push_back(Open({number % 3 == 0 ? "a.>" : "*.*.>", absl::StrCat("b", number % 2 == 0 ? 0 : number)}));
    if (streams.size() > kTogether) {
      hub_->End(*streams.front(), EndReason::kClientClosed);
      streams.pop_front();
    }
    if (hub_->metrics().history_events.value() < kEvents) {
      loop_.loop().Post([&] { change(); });
    }
  };
  loop_.loop().Post([&] { change(); });
  Publish(kEvents);
  ASSERT_TRUE(HasTaken(kEvents));
  const auto have_all = [&] {
    bool have = false;
    loop_.BlockOn([&] {
      have = std::all_of(got_.begin(), got_.end(), [](const Stream::Got& got) {
        return got.has_ended || (!got.sequences.empty() && got.sequences.back() == kEvents);
      });
    });
    return have;
  };
  EXPECT_TRUE(test::Eventually(have_all));
  loop_.BlockOn([&] {
    hub_->loop().AssertOnLoop();
    hub_->EndAll(EndReason::kDraining);
  });

  size_t came_between = 0;
  for (size_t i = 0; i < got_.size(); ++i) {
    const std::vector<uint64_t>& sequences = got_[i].sequences;
    ASSERT_FALSE(sequences.empty());
    for (size_t j = 1; j < sequences.size(); ++j) {
      EXPECT_EQ(sequences[j], sequences[0] + j) << "stream " << i;
    }
    came_between += i >= bombs && sequences[0] > 0 && sequences[0] < kEvents ? 1 : 0;
  }
  EXPECT_GT(came_between, kEvents);  // of one frame more than one
  EXPECT_EQ(hub_->metrics().pattern_bytes.value(), 0U);
}

}  // namespace
}  // namespace bridge::hub
