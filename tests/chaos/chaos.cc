// Runs bridges, NATS servers, nginx, backends and event streams, kills, freezes and cuts them by a seeded schedule, and
// compares what was delivered with what was acked. Ends with 0 where every promise was kept.
//
//   chaos --log cluster --seed 42 --events 400000 --faults 400
//   chaos --log nats --calls 200 --tokens 500 --seed 42 --faults 100

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "tests/chaos/calls_run.h"
#include "tests/chaos/run.h"
#include "tests/support/random_seed.h"

int main(int argc, char** argv) {
  bridge::chaos::RunOptions options{.seed = bridge::test::RandomSeed()};
  bridge::chaos::CallsOptions calls{.calls = 0};
  std::string log = "nats";
  CLI::App app("Chaos: nothing acked is lost, doubled or reordered, whatever fails");
  app.add_option("--log", log, "memory, disk, nats (one server) or cluster (three)")->capture_default_str();
  app.add_option("--seed", options.seed, "of the schedule and all choices; else $BRIDGE_TEST_SEED or a new one");
  app.add_option("--events", options.events, "how many are published")->capture_default_str();
  app.add_option("--faults", options.faults, "how many strike")->capture_default_str();
  app.add_option("--only", options.only, "the faults whose name begins so, such as \"freeze nats\"");
  app.add_option("--streams", options.streams, "how many follow")->capture_default_str();
  app.add_option("--backends", options.backends, "how many publish")->capture_default_str();
  app.add_option("--calls", calls.calls, "calls are made and answered instead, so many");
  app.add_option("--tokens", calls.tokens, "how many events an answer has")->capture_default_str();
  app.add_option("--workers", calls.workers, "how many answer")->capture_default_str();
  app.add_flag("!--without-keys", options.has_keys, "publish without idempotency keys, which has to fail");
  CLI11_PARSE(app, argc, argv);
  const auto kind = bridge::chaos::ParseLogKind(log);
  if (!kind.ok()) {
    std::fprintf(stderr, "chaos: %s\n", std::string(kind.status().message()).c_str());
    return 2;
  }
  options.log = *kind;

  calls.log = *kind;
  calls.seed = options.seed;
  calls.faults = options.faults;
  calls.only = options.only;

  const std::string what = calls.calls == 0 ? absl::StrCat("--events ", options.events)
                                            : absl::StrCat("--calls ", calls.calls, " --tokens ", calls.tokens,
                                                           " --workers ", calls.workers);
  const std::string again =
      absl::StrCat("--log ", log, " --seed ", options.seed, " ", what, " --faults ", options.faults);
  std::printf("chaos %s\n", again.c_str());
  const std::vector<std::string> violations =
      calls.calls == 0 ? bridge::chaos::Run(options) : bridge::chaos::RunCalls(calls);
  for (const std::string& violation : violations) {
    std::printf("%s\n", violation.c_str());
  }
  std::printf("chaos %s: %s\n", again.c_str(), violations.empty() ? "every promise was kept" : "FAILED");
  return violations.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
}
