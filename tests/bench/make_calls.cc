// Makes calls and reads their answers, under the orders of whoever wrote to its standard input:
//
//   reset      counts from 0 again
//   report     reports now
//   stop       makes no new calls, and reports when those that are open have ended, or when none has for --patience
//              seconds
//   (its end)  resets all connections and exits
//
// The first line it prints says that as many calls are open as may be. Every line is one JSON object; see
// CallLoad::PrintReport.
#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>

#include "tests/bench/call_load.h"
#include "tests/bench/clock.h"
#include "tests/bench/orders.h"
#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
// A pace has to be kept.
constexpr int kTickMs = 1;

// The orders from standard input, carried out on a CallLoad.
class Session {
 public:
  Session(CallLoad& load, int64_t patience_seconds) : load_(load), patience_ns_(patience_seconds * kNsPerSecond) {}

  // Until standard input ends.
  void Run() {
    while (!orders_.are_over()) {
      if (load_.Poll(kTickMs, orders_.fd())) orders_.Read();
      while (const std::optional<std::string> order = orders_.Next()) Obey(*order);
      CheckOpen();
      CheckStopped();
    }
  }

 private:
  void Obey(const std::string& order) {
    if (order == "reset") {
      load_.Reset();
    } else if (order == "report") {
      load_.PrintReport("report");
    } else if (order == "stop") {
      load_.StopCalling();
      progressed_ns_ = NowNs();
      is_stopping_ = true;
    } else {
      Fail(absl::StrCat("\"", order, "\" is no order; orders are: reset, report, stop"));
    }
  }

  void CheckOpen() {
    if (was_open_ || !load_.is_open()) return;
    was_open_ = true;
    load_.PrintReport("open");
  }

  void CheckStopped() {
    if (!is_stopping_) return;
    if (load_.ended() != seen_) {
      seen_ = load_.ended();
      progressed_ns_ = NowNs();
    }
    if (!load_.is_idle() && NowNs() - progressed_ns_ <= patience_ns_) return;
    load_.PrintReport(load_.is_idle() ? "complete" : "incomplete");
    is_stopping_ = false;
  }

  CallLoad& load_;
  const int64_t patience_ns_;
  Orders orders_;
  uint64_t seen_ = 0;
  int64_t progressed_ns_ = 0;
  bool was_open_ = false;
  bool is_stopping_ = false;
};

int Main(int argc, char** argv) {
  CallLoadOptions options;
  int64_t patience_seconds = 10;
  CLI::App app("Makes calls and reads their answers.");
  app.add_option("--target", options.host, "the server's address, 127.0.0.1:8080")->required();
  app.add_option("--path", options.path, "what to POST to")->required();
  app.add_option("--calls", options.calls, "how many are open at a time")->check(CLI::Range(1, 1'000'000));
  app.add_option("--calls-max", options.calls_max, "how many are made in all; 0: any number");
  app.add_option("--rate", options.calls_per_second, "calls per second; 0: as fast as others end");
  app.add_option("--tokens", options.tokens, "events of an answer");
  app.add_option("--body", options.body_bytes, "bytes of a POST");
  app.add_option("--patience", patience_seconds, "seconds without an end after which stop gives up");
  CLI11_PARSE(app, argc, argv);
  options.target = ParseAddress(options.host);

  CallLoad load(options);
  Session(load, patience_seconds).Run();
  return 0;
}

}  // namespace
}  // namespace bridge::bench

int main(int argc, char** argv) { return bridge::bench::Main(argc, argv); }
