// Answers calls of "chat" with a made-up text, token by token, until it is interrupted; then it finishes what it has.

#include <cstdint>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "chat.h"
#include "publisher_client.h"
#include "stop_signals.h"
#include "worker_client.h"

namespace demo {
namespace {

struct Flags {
  std::string target = "127.0.0.1:9090";
  std::string name = "chat";
  uint32_t calls = 8;
  double token_rate = 30;
  double thinking_s = 0.3;
  double finish_s = 30;
};

void AddOptions(CLI::App* app, Flags* flags) {
  app->add_option("--target", flags->target, "Host and port of the bridge's gRPC side")->capture_default_str();
  app->add_option("--name", flags->name, "The name of the calls that it answers")->capture_default_str();
  app->add_option("--calls", flags->calls, "Calls that it answers at a time")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app->add_option("--token-rate", flags->token_rate, "Tokens of an answer a second")
      ->check(CLI::Range(0.1, 10'000.0))
      ->capture_default_str();
  app->add_option("--thinking", flags->thinking_s, "Seconds before the first token")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app->add_option("--finish", flags->finish_s, "Seconds that its calls have when it is interrupted")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Answers calls with a made-up text until it is interrupted.");
  AddOptions(&app, &flags);
  CLI11_PARSE(app, argc, argv);

  const StopSignals stop_signals;
  PublisherClient publisher({.target = flags.target});
  Chat chat({.token_rate = flags.token_rate, .thinking = absl::Seconds(flags.thinking_s)}, &publisher);
  WorkerClient worker({
                          .target = flags.target,
                          .names = {flags.name},
                          .calls_max = flags.calls,
                          .on_rejected =
                              [](const bridge::v1::Rejection& rejection) {
                                std::cerr << "rejected code=" << rejection.code() << ": " << rejection.message()
                                          << '\n';
                              },
                          .on_stream_end =
                              [&flags](const grpc::Status& status, absl::Duration pause) {
                                std::cerr << "stream to " << flags.target << " ended: code=" << status.error_code()
                                          << " " << status.error_message() << "; next try in "
                                          << absl::FormatDuration(absl::Trunc(pause, absl::Milliseconds(1))) << '\n';
                              },
                      },
                      [&chat](WorkerClient::Answer& answer) { return chat.Handle(answer); });
  std::cerr << "answering calls of " << flags.name << " from " << flags.target << '\n';
  stop_signals.Await(absl::InfiniteFuture());

  const absl::Status closed = worker.Close(absl::Now() + absl::Seconds(flags.finish_s));
  publisher.Close(absl::Now() + absl::Seconds(1)).IgnoreError();
  if (!closed.ok()) std::cerr << "stopped: " << closed.message() << '\n';
  return closed.ok() ? 0 : 1;
}

}  // namespace
}  // namespace demo

int main(int argc, char** argv) { return demo::Main(argc, argv); }
