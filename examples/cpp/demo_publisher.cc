// Feeds the bridge's page: metrics, orders, prices, notifications, and answers that are typed token by token. Also
// answers its calls of "chat".

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <google/protobuf/util/json_util.h>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "answers.h"
#include "chat.h"
#include "demo.pb.h"
#include "publisher_client.h"
#include "stop_signals.h"
#include "worker_client.h"

namespace demo {
namespace {

using ::bridge::v1::Event;

struct Flags {
  std::string target = "127.0.0.1:9090";
  // Of orders and of prices, a second.
  double rate = 2;
  // Of an answer, a second.
  double token_rate = 30;
  double answer_pause_s = 6;
  // That it answers at a time; 0 for none.
  uint32_t calls = 8;
};

double Round(double value, int digits) {
  const double scale = std::pow(10, digits);
  return std::round(value * scale) / scale;
}

// Makes the demo's events and publishes each when its time has come. Not thread-safe.
class Demo {
 public:
  // `client` outlives the demo.
  Demo(Flags flags, PublisherClient* client);

  // Publishes until `is_over` says so; `is_over` waits until the given time.
  void Run(const std::function<bool(absl::Time)>& is_over);

 private:
  // Publishes what is due and says how long it is until the next time.
  struct Producer {
    absl::Time due;
    std::function<absl::Duration()> produce;
  };

  void PublishMetrics();
  void PublishOrder();
  void PublishPrice();
  void PublishNotification();
  absl::Duration PublishNextOfAnswer();

  // Publishes `message` as JSON, with its number in the series of the topic. A number is used only once an event has
  // it, so that a series has no hole where the bridge was away for too long.
  template <typename Message>
  void PublishJson(const std::string& topic, const std::string& type, Message message);
  bool Publish(Event event);

  double Jitter() { return absl::Uniform(bits_, 0.6, 1.4); }

  const Flags flags_;
  PublisherClient& client_;
  absl::BitGen bits_;
  // Differs from run to run: the numbers of a series start at 1 in each.
  const std::string run_;
  std::map<std::string, uint32_t> last_n_;
  std::vector<Producer> producers_;

  double load_ = 0.4;
  uint32_t order_ = 1000;
  std::map<std::string, double> prices_ = {
      {"EURUSD", 1.0842}, {"GBPUSD", 1.2711}, {"USDJPY", 149.32}, {"XAUUSD", 2381.5}};
  size_t next_notification_ = 0;

  // The answer that is being typed; none where `tokens_` is empty.
  size_t next_answer_ = 0;
  std::string answer_topic_;
  std::vector<std::string> tokens_;
  size_t next_token_ = 0;
  absl::Time answer_start_;
};

Demo::Demo(Flags flags, PublisherClient* client)
    : flags_(std::move(flags)), client_(*client), run_(absl::StrFormat("%04x", absl::Uniform<uint16_t>(bits_))) {
  const auto every = [this](absl::Duration period, void (Demo::*publish)()) {
    producers_.push_back({.due = absl::Now(), .produce = [this, period, publish] {
                            (this->*publish)();
                            return period * Jitter();
                          }});
  };
  every(absl::Seconds(1 / flags_.rate), &Demo::PublishOrder);
  every(absl::Seconds(1 / flags_.rate), &Demo::PublishPrice);
  every(absl::Seconds(10), &Demo::PublishNotification);
  producers_.push_back({.due = absl::Now(), .produce = [this] {
                          PublishMetrics();
                          return absl::Milliseconds(500);
                        }});
  producers_.push_back({.due = absl::Now() + absl::Seconds(1), .produce = [this] { return PublishNextOfAnswer(); }});
}

void Demo::Run(const std::function<bool(absl::Time)>& is_over) {
  while (true) {
    const auto next = std::min_element(producers_.begin(), producers_.end(),
                                       [](const Producer& a, const Producer& b) { return a.due < b.due; });
    if (is_over(next->due)) return;
    next->due = std::max(next->due + next->produce(), absl::Now() - absl::Seconds(1));
  }
}

void Demo::PublishMetrics() {
  // A slow wave, noise, and now and then a burst.
  const double wave = 0.45 + 0.18 * std::sin(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()) / 9);
  const double burst = absl::Bernoulli(bits_, 0.03) ? 0.35 : 0.0;
  load_ = std::clamp(0.8 * load_ + 0.2 * wave + burst + absl::Gaussian(bits_, 0.0, 0.03), 0.04, 0.98);
  Metrics metrics;
  metrics.set_cpu(Round(100 * load_, 1));
  metrics.set_requests(static_cast<uint32_t>(1400 * load_ + absl::Uniform(bits_, 0.0, 120.0)));
  PublishJson("demo.metrics", "update", std::move(metrics));
}

void Demo::PublishOrder() {
  static constexpr std::pair<const char*, double> kItems[] = {{"Kaffee, 1 kg", 14.9},
                                                              {"Teapot", 32.0},
                                                              {"Crème brûlée set", 24.5},
                                                              {"Ελληνικός καφές", 9.8},
                                                              {"Notebook", 6.2}};
  const auto& [item, price] = kItems[absl::Uniform<size_t>(bits_, 0, std::size(kItems))];
  Order order;
  order.set_order(absl::StrCat("A-", ++order_));
  order.set_item(item);
  order.set_quantity(absl::Uniform<uint32_t>(bits_, 1, 6));
  order.set_total(Round(price * order.quantity(), 2));
  PublishJson("demo.orders", "order", std::move(order));
}

void Demo::PublishPrice() {
  const auto pair = std::next(prices_.begin(), absl::Uniform<int>(bits_, 0, static_cast<int>(prices_.size())));
  pair->second *= 1 + absl::Gaussian(bits_, 0.0, 0.0004);
  Price price;
  price.set_pair(pair->first);
  price.set_price(Round(pair->second, pair->second < 10 ? 4 : 2));
  PublishJson(absl::StrCat("demo.prices.", pair->first), "price", std::move(price));
}

void Demo::PublishNotification() {
  struct Text {
    const char* level;
    const char* title;
    const char* text;
  };
  static constexpr Text kTexts[] = {
      {"success", "Deployment finished", "checkout 2.14.0 is live on all 6 replicas."},
      {"info", "New sign-in", "From a browser that was not seen before, in Zürich."},
      {"warning", "Queue is growing", "invoices: 1,204 jobs wait, the oldest for 48 s."},
      {"info", "Report ready", "Revenue by region, week 42."},
      {"success", "Backup verified", "orders: 18.4 GB restored and compared in 3 min 12 s."},
      {"warning", "Certificate expires soon", "api.example.com: in 14 days."},
  };
  const Text& text = kTexts[next_notification_++ % std::size(kTexts)];
  Notification notification;
  notification.set_level(text.level);
  notification.set_title(text.title);
  notification.set_text(text.text);
  PublishJson("demo.notifications", "notification", std::move(notification));
}

absl::Duration Demo::PublishNextOfAnswer() {
  if (tokens_.empty()) {
    const QuestionAndAnswer& next = Answers()[next_answer_++ % Answers().size()];
    answer_start_ = absl::Now();
    // A topic of its own, also after a restart of the demo: with replay=all a page gets this answer and no other.
    answer_topic_ = absl::StrCat("ai.demo.", absl::ToUnixSeconds(answer_start_));
    tokens_ = Tokenize(next.answer);
    next_token_ = 0;
    Answer answer;
    answer.set_topic(answer_topic_);
    answer.set_prompt(std::string(next.question));
    PublishJson("demo.ai", "answer", std::move(answer));
    return absl::Milliseconds(600);
  }
  Event event;
  event.set_topic(answer_topic_);
  if (next_token_ < tokens_.size()) {
    const std::string& token = tokens_[next_token_];
    event.set_type("token");
    event.mutable_json()->set_string_value(token);
    if (Publish(std::move(event))) ++next_token_;
    const double pause = token.back() == '.' || token.back() == ':' ? 4 : 1;
    return absl::Seconds(pause / flags_.token_rate) * Jitter();
  }
  AnswerEnd end;
  end.set_tokens(static_cast<uint32_t>(tokens_.size()));
  end.set_seconds(Round(absl::ToDoubleSeconds(absl::Now() - answer_start_), 1));
  event.set_type("end");
  if (!google::protobuf::util::MessageToJsonString(end, event.mutable_text()).ok() || !Publish(std::move(event))) {
    return absl::Seconds(1);
  }
  tokens_.clear();
  return absl::Seconds(flags_.answer_pause_s);
}

template <typename Message>
void Demo::PublishJson(const std::string& topic, const std::string& type, Message message) {
  const uint32_t n = last_n_[topic] + 1;
  message.set_series(absl::StrCat(topic, "/", run_));
  message.set_n(n);
  message.set_t(static_cast<double>(absl::ToUnixMillis(absl::Now())));
  Event event;
  event.set_topic(topic);
  event.set_type(type);
  if (google::protobuf::util::MessageToJsonString(message, event.mutable_text()).ok() && Publish(std::move(event))) {
    last_n_[topic] = n;
  }
}

bool Demo::Publish(Event event) {
  // The demo's events are worth nothing later: no waiting for room.
  return client_.Publish(std::move(event), absl::InfinitePast()).ok();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Publishes a demo's events to a bridge until it is interrupted.");
  app.add_option("--target", flags.target, "Host and port of the bridge's gRPC side")->capture_default_str();
  app.add_option("--rate", flags.rate, "Orders, and prices, a second")
      ->check(CLI::Range(0.1, 1000.0))
      ->capture_default_str();
  app.add_option("--token-rate", flags.token_rate, "Tokens of an answer a second")
      ->check(CLI::Range(1.0, 1000.0))
      ->capture_default_str();
  app.add_option("--answer-pause", flags.answer_pause_s, "Seconds between two answers")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--calls", flags.calls, "Calls of \"chat\" that it answers at a time; 0 for none")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const StopSignals stop_signals;
  PublisherClient client({
      .target = flags.target,
      .on_rejected =
          [](const Event& event, const bridge::v1::Rejection& rejection) {
            std::cerr << "rejected topic=" << event.topic() << " code=" << rejection.code() << ": "
                      << rejection.message() << '\n';
          },
      .on_stream_end =
          [&flags](const grpc::Status& status, absl::Duration pause) {
            std::cerr << "stream to " << flags.target << " ended: code=" << status.error_code() << " "
                      << status.error_message() << "; next try in "
                      << absl::FormatDuration(absl::Trunc(pause, absl::Milliseconds(1))) << '\n';
          },
  });
  Chat chat({.token_rate = flags.token_rate}, &client);
  std::optional<WorkerClient> worker;
  if (flags.calls > 0) {
    worker.emplace(WorkerClient::Options{.target = flags.target, .names = {"chat"}, .calls_max = flags.calls},
                   [&chat](WorkerClient::Answer& answer) { return chat.Handle(answer); });
  }
  std::cerr << "publishing to " << flags.target << '\n';
  Demo(flags, &client).Run([&stop_signals](absl::Time time) { return stop_signals.Await(time); });

  if (worker.has_value()) worker->Close(absl::Now() + absl::Seconds(1)).IgnoreError();
  const absl::Status closed = client.Close(absl::Now() + absl::Seconds(3));
  if (!closed.ok()) std::cerr << "stopped: " << closed.message() << '\n';
  return closed.ok() ? 0 : 1;
}

}  // namespace
}  // namespace demo

int main(int argc, char** argv) { return demo::Main(argc, argv); }
