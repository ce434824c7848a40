// Opens event streams and counts what arrives on them, under the orders of whoever wrote to its standard input:
//
//   reset      counts from 0 again
//   await N    reports when N events have arrived since the last reset, or when nothing has for --patience seconds
//   report     reports now
//   (its end)  resets all connections and exits
//
// The first line it prints says that all streams are open. Every line is one JSON object; see StreamLoad::PrintReport.
#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>
#include <absl/strings/strip.h>

#include "tests/bench/clock.h"
#include "tests/bench/orders.h"
#include "tests/bench/report.h"
#include "tests/bench/stream_load.h"

namespace bridge::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int kTickMs = 20;

struct Limits {
  int64_t patience_seconds = 3;
  int64_t max_seconds = 120;
};

// The orders from standard input, carried out on a StreamLoad.
class Session {
 public:
  Session(StreamLoad& load, const Limits& limits)
      : load_(load), limits_(limits), end_ns_(NowNs() + limits.max_seconds * kNsPerSecond) {}

  // Until standard input ends.
  void Run() {
    while (!orders_.are_over()) {
      if (load_.Poll(kTickMs, orders_.fd())) orders_.Read();
      while (const std::optional<std::string> order = orders_.Next()) Obey(*order);
      CheckOpen();
      CheckAwaited();
      if (NowNs() > end_ns_) Fail(absl::StrCat("not done after --max-seconds=", limits_.max_seconds));
    }
  }

 private:
  void Obey(absl::string_view order) {
    uint64_t count = 0;
    if (order == "reset") {
      load_.Reset();
    } else if (order == "report") {
      load_.PrintReport("report");
    } else if (absl::ConsumePrefix(&order, "await ") && absl::SimpleAtoi(order, &count)) {
      awaited_ = count;
      progressed_ns_ = NowNs();
    } else {
      Fail(absl::StrCat("\"", order, "\" is no order; orders are: reset, report, await N"));
    }
  }

  void CheckOpen() {
    if (was_open_ || !load_.is_open()) return;
    was_open_ = true;
    load_.PrintReport("open");
  }

  void CheckAwaited() {
    if (!awaited_) return;
    if (load_.deliveries() != seen_) {
      seen_ = load_.deliveries();
      progressed_ns_ = NowNs();
    }
    if (seen_ >= *awaited_ || NowNs() - progressed_ns_ > limits_.patience_seconds * kNsPerSecond) {
      load_.PrintReport(seen_ >= *awaited_ ? "complete" : "incomplete");
      awaited_.reset();
    }
  }

  StreamLoad& load_;
  const Limits limits_;
  const int64_t end_ns_;
  Orders orders_;
  std::optional<uint64_t> awaited_;
  uint64_t seen_ = 0;
  int64_t progressed_ns_ = 0;
  bool was_open_ = false;
};

int Main(int argc, char** argv) {
  StreamLoadOptions options;
  Limits limits;
  CLI::App app("Opens event streams and counts what arrives on them.");
  app.add_option("--target", options.host, "the server's address, 127.0.0.1:8080")->required();
  app.add_option("--path", options.path, "what to GET; {} becomes the stream's number modulo --topics")->required();
  app.add_option("--streams", options.streams, "how many")->check(CLI::Range(1, 1'000'000));
  app.add_option("--topics", options.topics, "see --path")->check(CLI::Range(1, 1'000'000));
  app.add_option("--connecting-max", options.connecting_max, "connections that are opened at a time")
      ->check(CLI::Range(1, 4096));
  app.add_option("--last-event-id", options.last_event_id, "sent by every stream");
  app.add_option("--token", options.token, "shown by every stream");
  app.add_flag("--tls", options.is_tls, "over TLS; the certificate is not looked at");
  app.add_option("--progress", options.progress_file, "where to tell the publisher how far the slowest stream is");
  app.add_option("--patience", limits.patience_seconds, "seconds without an event after which await gives up");
  app.add_option("--max-seconds", limits.max_seconds, "seconds after which the program ends with an error");
  CLI11_PARSE(app, argc, argv);
  options.target = ParseAddress(options.host);

  StreamLoad load(options);
  Session(load, limits).Run();
  return 0;
}

}  // namespace
}  // namespace bridge::bench

int main(int argc, char** argv) { return bridge::bench::Main(argc, argv); }
