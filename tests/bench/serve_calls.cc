// A worker that answers calls, under the orders of whoever wrote to its standard input:
//
//   reset      counts from 0 again
//   report     reports now
//   finish     ends all calls that are held (--held)
//   (its end)  ends the stream and exits
//
// The first line it prints says that the bridge gives it calls. Every line is one JSON object; see
// CallWorker::PrintReport.
#include <optional>
#include <poll.h>
#include <string>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>

#include "tests/bench/call_worker.h"
#include "tests/bench/orders.h"
#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

void Obey(const std::string& order, CallWorker& worker) {
  if (order == "reset") {
    worker.Reset();
  } else if (order == "report") {
    worker.PrintReport("report");
  } else if (order == "finish") {
    worker.Finish();
  } else {
    Fail(absl::StrCat("\"", order, "\" is no order; orders are: reset, report, finish"));
  }
}

int Main(int argc, char** argv) {
  CallWorkerOptions options;
  CLI::App app("Answers calls with stamped tokens.");
  app.add_option("--target", options.target, "the server's address, 127.0.0.1:9090")->required();
  app.add_option("--name", options.name, "of the calls");
  app.add_option("--concurrent", options.concurrent, "calls that it takes at a time")->check(CLI::Range(1, 10'000));
  app.add_option("--tokens", options.tokens, "events of an answer")->check(CLI::Range(0, 1'000'000));
  app.add_option("--rate", options.tokens_per_second, "events per second of each call; 0: all at once");
  app.add_option("--payload", options.payload_bytes, "bytes of an event");
  app.add_flag("--held", options.is_held, "end calls only by the order finish");
  CLI11_PARSE(app, argc, argv);

  CallWorker worker(options);
  worker.Start();
  worker.PrintReport("serving");
  Orders orders;
  while (!orders.are_over()) {
    pollfd input{.fd = orders.fd(), .events = POLLIN, .revents = 0};
    poll(&input, 1, -1);
    orders.Read();
    while (const std::optional<std::string> order = orders.Next()) Obey(*order, worker);
  }
  worker.Stop();
  return 0;
}

}  // namespace
}  // namespace bridge::bench

int main(int argc, char** argv) { return bridge::bench::Main(argc, argv); }
