// The ceiling of the log on JetStream: libnats alone, which publishes the bridge's records to a stream like the
// bridge's and waits for their acks in a pipeline.
//
//   --acks inbox    each message has a reply subject of its own below one inbox, as the bridge does it
//   --acks library  js_PublishAsync, whose acks are the library's business
//   --follow        beside that, an ordered consumer reads all of it back, as the bridge's follower has to
//
// Prints one line of JSON at its end.
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <CLI/CLI.hpp>
#include <absl/base/thread_annotations.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <nats/nats.h>

#include "tests/bench/clock.h"
#include "tests/bench/latency.h"
#include "tests/bench/report.h"
#include "tests/bench/store_record.h"

namespace bridge::bench {
namespace {

enum class Acks { kInbox, kLibrary };

constexpr char kStream[] = "BRIDGE";
constexpr char kSubjects[] = "bridge.kept.>";
constexpr int64_t kMaxAgeNs = int64_t{24} * 3600 * 1'000'000'000;
constexpr int64_t kDuplicateWindowNs = int64_t{120} * 1'000'000'000;
constexpr int64_t kMaxBytes = int64_t{10} << 30;
constexpr int64_t kAckTimeoutMs = 10'000;

struct Options {
  std::string url;
  std::string topic = "bench";
  size_t payload_bytes = 256;
  uint64_t events = 0;  // 0: as many as `seconds` allow
  double seconds = 3;
  uint64_t window = 2048;  // messages without an ack
  Acks acks = Acks::kInbox;
  bool is_followed = false;
};

struct Result {
  uint64_t events = 0;
  double seconds = 0;  // from the first message to the last ack
  Latency ack_latency;
};

struct Free {
  void operator()(natsConnection* connection) const { natsConnection_Destroy(connection); }
  void operator()(jsCtx* context) const { jsCtx_Destroy(context); }
  void operator()(natsMsg* message) const { natsMsg_Destroy(message); }
  void operator()(natsSubscription* subscription) const { natsSubscription_Destroy(subscription); }
};
using Connection = std::unique_ptr<natsConnection, Free>;
using Context = std::unique_ptr<jsCtx, Free>;
using Message = std::unique_ptr<natsMsg, Free>;

void Require(natsStatus status, const std::string& what) {
  if (status != NATS_OK) Fail(absl::StrCat(what, ": ", natsStatus_GetText(status)));
}

// The time and number that bound a run.
class Bounds {
 public:
  explicit Bounds(const Options& options) : options_(options) {}
  bool AreReached(uint64_t events) const {
    return (options_.events != 0 && events >= options_.events) || ElapsedSeconds() >= options_.seconds;
  }
  double ElapsedSeconds() const { return static_cast<double>(NowNs() - start_ns_) / 1e9; }

 private:
  const Options& options_;
  const int64_t start_ns_ = NowNs();
};

Context MakeStream(natsConnection* connection, const Options& options) {
  jsOptions js_options;
  Require(jsOptions_Init(&js_options), "jsOptions_Init");
  js_options.PublishAsync.MaxPending = static_cast<int64_t>(options.window);
  js_options.PublishAsync.StallWait = kAckTimeoutMs;
  js_options.PublishAsync.ErrHandler = [](jsCtx*, jsPubAckErr* error, void*) {
    Fail(absl::StrCat("a message was not acked: ", error->ErrText == nullptr ? "" : error->ErrText));
  };
  jsCtx* context = nullptr;
  Require(natsConnection_JetStream(&context, connection, &js_options), "natsConnection_JetStream");
  Context owned(context);
  jsStreamConfig config;
  Require(jsStreamConfig_Init(&config), "jsStreamConfig_Init");
  const char* subjects[] = {kSubjects};
  config.Name = kStream;
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  config.MaxAge = kMaxAgeNs;
  config.MaxBytes = kMaxBytes;
  config.Duplicates = kDuplicateWindowNs;
  Require(js_AddStream(nullptr, context, &config, nullptr, nullptr), "js_AddStream");
  return owned;
}

// Reads the stream as it grows, on a thread of the library's.
class Follower {
 public:
  explicit Follower(jsCtx* context) {
    jsSubOptions how;
    Require(jsSubOptions_Init(&how), "jsSubOptions_Init");
    how.Ordered = true;
    natsSubscription* subscription = nullptr;
    Require(js_Subscribe(&subscription, context, kSubjects, &Follower::OnMessage, this, nullptr, &how, nullptr),
            "js_Subscribe");
    subscription_.reset(subscription);
  }

  // Waits until it has read so many.
  void Await(uint64_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto has_all = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return read_ >= count; };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&has_all), absl::Milliseconds(kAckTimeoutMs))) {
      Fail(absl::StrCat("the follower has ", read_, " of ", count, " records"));
    }
  }

 private:
  static void OnMessage(natsConnection* /*connection*/, natsSubscription* /*subscription*/, natsMsg* message,
                        void* self) {
    natsMsg_Destroy(message);
    auto* const follower = static_cast<Follower*>(self);
    const absl::MutexLock lock(&follower->mutex_);
    ++follower->read_;
  }

  std::unique_ptr<natsSubscription, Free> subscription_;
  absl::Mutex mutex_;
  uint64_t read_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One thread publishes, another takes the acks.
class InboxPublisher {
 public:
  InboxPublisher(natsConnection* connection, const Options& options) : connection_(connection), options_(options) {
    natsInbox* inbox = nullptr;
    Require(natsInbox_Create(&inbox), "natsInbox_Create");
    inbox_ = inbox;
    natsInbox_Destroy(inbox);
    Require(natsConnection_SubscribeSync(&acks_, connection, absl::StrCat(inbox_, ".*").c_str()), "subscribing");
    Require(natsConnection_Flush(connection), "natsConnection_Flush");
  }
  ~InboxPublisher() { natsSubscription_Destroy(acks_); }
  InboxPublisher(const InboxPublisher&) = delete;
  InboxPublisher& operator=(const InboxPublisher&) = delete;

  Result Run() {
    const std::string subject = absl::StrCat("bridge.kept.", options_.topic);
    const std::string record = MakeStoreRecord(options_.topic, options_.payload_bytes);
    const Bounds bounds(options_);
    std::thread acks([this] { TakeAcks(); });
    uint64_t sent = 0;
    for (; !bounds.AreReached(sent); ++sent) {
      {
        const absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &InboxPublisher::HasRoom));
        sent_ns_.push_back(NowNs());
      }
      Require(natsConnection_PublishRequest(connection_, subject.c_str(), absl::StrCat(inbox_, ".", sent).c_str(),
                                            record.data(), static_cast<int>(record.size())),
              "publishing");
    }
    {
      const absl::MutexLock lock(&mutex_);
      is_over_ = true;
    }
    acks.join();
    const absl::MutexLock lock(&mutex_);
    return {.events = sent, .seconds = bounds.ElapsedSeconds(), .ack_latency = latency_};
  }

 private:
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return sent_ns_.size() < options_.window; }

  // Until the last message is acked. Acks of one stream come in the order of its messages.
  void TakeAcks() {
    while (true) {
      {
        const absl::MutexLock lock(&mutex_);
        const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return is_over_ || !sent_ns_.empty(); };
        mutex_.Await(absl::Condition(&has_work));
        if (sent_ns_.empty()) return;
      }
      natsMsg* next = nullptr;
      Require(natsSubscription_NextMsg(&next, acks_, kAckTimeoutMs), "no ack");
      const Message ack(next);
      const absl::string_view said(natsMsg_GetData(next), static_cast<size_t>(natsMsg_GetDataLength(next)));
      uint64_t number = 0;
      if (!absl::StrContains(said, R"("seq")") ||
          !absl::SimpleAtoi(natsMsg_GetSubject(next) + inbox_.size() + 1, &number) || number != acked_) {
        Fail(absl::StrCat("instead of ack ", acked_, " came: ", natsMsg_GetSubject(next), " ", std::string(said)));
      }
      ++acked_;
      const absl::MutexLock lock(&mutex_);
      latency_.Record(NowNs() - sent_ns_.front());
      sent_ns_.pop_front();
    }
  }

  natsConnection* const connection_;
  const Options& options_;
  std::string inbox_;
  natsSubscription* acks_ = nullptr;
  uint64_t acked_ = 0;  // touched by the thread that takes the acks

  absl::Mutex mutex_;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<int64_t> sent_ns_ ABSL_GUARDED_BY(mutex_);  // of the messages without an ack
  Latency latency_ ABSL_GUARDED_BY(mutex_);
};

Result PublishByLibrary(jsCtx* context, const Options& options) {
  const std::string subject = absl::StrCat("bridge.kept.", options.topic);
  const std::string record = MakeStoreRecord(options.topic, options.payload_bytes);
  const Bounds bounds(options);
  Result result;
  for (; !bounds.AreReached(result.events); ++result.events) {
    Require(js_PublishAsync(context, subject.c_str(), record.data(), static_cast<int>(record.size()), nullptr),
            "js_PublishAsync");
  }
  jsPubOptions patience;
  Require(jsPubOptions_Init(&patience), "jsPubOptions_Init");
  patience.MaxWait = kAckTimeoutMs;
  Require(js_PublishAsyncComplete(context, &patience), "js_PublishAsyncComplete");
  result.seconds = bounds.ElapsedSeconds();
  return result;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Publishes records to JetStream with libnats and nothing else.");
  app.add_option("--url", options.url, "nats://127.0.0.1:4222")->required();
  app.add_option("--topic", options.topic, "of all records");
  app.add_option("--payload", options.payload_bytes, "bytes of a payload");
  app.add_option("--events", options.events, "records to publish; 0: as many as --seconds allow");
  app.add_option("--seconds", options.seconds, "the longest time to publish for")->check(CLI::Range(0.1, 600.0));
  app.add_option("--window", options.window, "messages that may wait for their acks")->check(CLI::Range(1, 100'000));
  app.add_option("--acks", options.acks, "inbox or library")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, Acks>{{"inbox", Acks::kInbox}, {"library", Acks::kLibrary}}));
  app.add_flag("--follow", options.is_followed, "read the records back at the same time");
  CLI11_PARSE(app, argc, argv);

  natsConnection* connected = nullptr;
  Require(natsConnection_ConnectTo(&connected, options.url.c_str()), absl::StrCat("connecting to ", options.url));
  const Connection connection(connected);
  const Context context = MakeStream(connected, options);
  std::optional<Follower> follower;
  if (options.is_followed) follower.emplace(context.get());
  const Result result = options.acks == Acks::kInbox ? InboxPublisher(connected, options).Run()
                                                     : PublishByLibrary(context.get(), options);
  if (follower) follower->Await(result.events);
  Report()
      .Set("events", static_cast<double>(result.events))
      .Set("seconds", result.seconds)
      .Set("ack_p50_ms", result.ack_latency.QuantileMs(0.5))
      .Set("ack_p99_ms", result.ack_latency.QuantileMs(0.99))
      .Print();
  return 0;
}

}  // namespace
}  // namespace bridge::bench

int main(int argc, char** argv) { return bridge::bench::Main(argc, argv); }
