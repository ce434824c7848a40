// Publishes events at a rate or as fast as they are acked, over gRPC to the bridge or by HTTP POST to its peer, and
// prints what became of them as one line of JSON.
#include <cstddef>
#include <string>

#include <CLI/CLI.hpp>

#include "tests/bench/grpc_publisher.h"
#include "tests/bench/http_publisher.h"
#include "tests/bench/once_publisher.h"
#include "tests/bench/publish_plan.h"
#include "tests/bench/report.h"

namespace bridge::bench {
namespace {

int Main(int argc, char** argv) {
  PublishOptions options;
  GrpcReply reply = GrpcReply::kAcks;
  std::string http_path;
  size_t connections = 16;
  bool is_unary = false;
  CLI::App app("Publishes events and prints what became of them.");
  app.add_option("--target", options.target, "the server's address, 127.0.0.1:9090")->required();
  app.add_option("--topic", options.topic, "{} in it becomes 0 to --topics less 1, in turn")->required();
  app.add_option("--topics", options.topics, "see --topic")->check(CLI::Range(1, 1'000'000));
  app.add_option("--payload", options.payload_bytes, "bytes of a payload");
  app.add_option("--events", options.events, "events to publish; 0: as many as --seconds allow");
  app.add_option("--seconds", options.seconds, "the longest time to publish for")->check(CLI::Range(0.1, 600.0));
  app.add_option("--rate", options.events_per_second, "events per second; 0: as fast as it goes");
  app.add_option("--batch", options.batch, "events in a request")->check(CLI::Range(1, 1000));
  app.add_option("--window", options.window, "requests that may wait for their acks")->check(CLI::Range(1, 100'000));
  app.add_option("--progress", options.progress_file, "where sse_load tells how far its slowest stream is");
  app.add_option("--lag-max", options.lag_events_max, "with --progress: events of its topic that it may be behind")
      ->check(CLI::Range(1, 100'000));
  app.add_flag("--echo{1}", reply, "the server sends each request back instead of acks");
  app.add_option("--token", options.token, "shown to the server, by gRPC");
  app.add_flag("--once", is_unary, "publish with PublishOnce, one request after the other");
  app.add_option("--http-path", http_path, "publish by POST to this path, in which {topic} stands for the topic");
  app.add_option("--connections", connections, "with --http-path: kept-alive connections")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);

  const PublishResult result = is_unary            ? PublishOnceByGrpc(options)
                               : http_path.empty() ? PublishByGrpc(options, reply)
                                                   : PublishByHttp(options, http_path, connections);
  Report()
      .Set("events", static_cast<double>(result.events))
      .Set("rejected", static_cast<double>(result.rejected))
      .Set("seconds", result.seconds)
      .Set("ack_p50_ms", result.ack_latency.QuantileMs(0.5))
      .Set("ack_p99_ms", result.ack_latency.QuantileMs(0.99))
      .Set("last_id", result.last_id)
      .Print();
  return 0;
}

}  // namespace
}  // namespace bridge::bench

int main(int argc, char** argv) { return bridge::bench::Main(argc, argv); }
