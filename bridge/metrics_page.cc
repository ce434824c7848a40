#include "bridge/metrics_page.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <utility>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "bridge/hub/control_events.h"

namespace bridge {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Collects families; a family is begun and then filled.
class Page {
 public:
  Page& Counter(const std::string& name, const std::string& help) { return Begin(name, help, MetricType::Counter); }
  Page& Gauge(const std::string& name, const std::string& help) { return Begin(name, help, MetricType::Gauge); }

  Page& Value(uint64_t value, std::vector<ClientMetric::Label> labels = {}) {
    return Value(static_cast<double>(value), std::move(labels));
  }
  Page& Value(double value, std::vector<ClientMetric::Label> labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
    return *this;
  }

  void Histogram(const std::string& name, const std::string& help,
                 const std::vector<const base::LatencyHistogram*>& parts) {
    Begin(name, help, MetricType::Histogram);
    ClientMetric metric;
    uint64_t cumulative = 0;
    for (size_t i = 0; i <= base::LatencyHistogram::kBounds; ++i) {
      for (const auto* part : parts) {
        cumulative += part->count(i);
      }
      const double bound = i < base::LatencyHistogram::kBounds ? base::LatencyHistogram::BoundSeconds(i)
                                                               : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({.cumulative_count = cumulative, .upper_bound = bound});
    }
    metric.histogram.sample_count = cumulative;
    for (const auto* part : parts) {
      metric.histogram.sample_sum += part->sum_seconds();
    }
    families_.back().metric.push_back(std::move(metric));
  }

  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  Page& Begin(const std::string& name, const std::string& help, MetricType type) {
    MetricFamily family;
    family.name = absl::StrCat("sse_bridge_", name);
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
    return *this;
  }

  std::vector<MetricFamily> families_;
};

ClientMetric::Label Label(std::string name, absl::string_view value) {
  return {.name = std::move(name), .value = std::string(value)};
}

uint64_t Sum(const MetricsSources& sources, base::Metric hub::HubMetrics::* member) {
  uint64_t sum = 0;
  for (const auto* hub : sources.hubs) {
    sum += (hub->*member).value();
  }
  return sum;
}

// `Reason` is the enum that the array's places stand for.
template <typename Reason, size_t reasons>
void AddByReason(const MetricsSources& sources, std::array<base::Metric, reasons> hub::HubMetrics::* member,
                 Page* page) {
  for (size_t i = 0; i < reasons; ++i) {
    uint64_t sum = 0;
    for (const auto* hub : sources.hubs) {
      sum += (hub->*member)[i].value();
    }
    page->Value(sum, {Label("reason", hub::NameOf(static_cast<Reason>(i)))});
  }
}

enum class Refused { kOthers, kCalls };

void AddRefusals(const http::RefusalMetrics& refusals, Refused refused, Page* page) {
  page->Value(refusals.bad_request.value(), {Label("reason", "bad_request")});
  page->Value(refusals.unauthenticated.value(), {Label("reason", "unauthenticated")});
  page->Value(refusals.forbidden.value(), {Label("reason", "forbidden")});
  if (refused == Refused::kCalls) {
    page->Value(refusals.not_found.value(), {Label("reason", "not_found")});
  }
  const size_t reasons = refused == Refused::kCalls ? http::kPassingRefusals : http::kPassingRefusalsButOfCalls;
  for (size_t i = 0; i < reasons; ++i) {
    page->Value(refusals.passing[i].value(), {Label("reason", http::NameOf(static_cast<http::PassingRefusal>(i)))});
  }
}

void AddStreams(const MetricsSources& sources, Page* page) {
  page->Gauge("event_streams", "Event streams that are open.").Value(sources.events->open_streams());
  page->Counter("event_streams_opened_total", "Event streams that have been opened.").Value(sources.events->opened());
  page->Counter("event_streams_closed_total", "Event streams that have ended, by reason.");
  AddByReason<hub::EndReason>(sources, &hub::HubMetrics::ends, page);
  page->Counter("event_streams_refused_total", "Event streams that were not opened, by reason.");
  AddRefusals(sources.events->refusals(), Refused::kOthers, page);
  page->Counter("gaps_total", "Times that a stream was told that events may be missing, by reason.");
  AddByReason<hub::GapReason>(sources, &hub::HubMetrics::gaps, page);
}

void AddTickets(const MetricsSources& sources, Page* page) {
  if (sources.tickets == nullptr) {
    return;
  }
  page->Counter("tickets_made_total", "Tickets that were given to the holders of tokens.")
      .Value(sources.tickets->made());
  page->Counter("tickets_refused_total", "Requests for a ticket that got none, by reason.");
  AddRefusals(sources.tickets->refusals(), Refused::kOthers, page);
}

void AddDeliveries(const MetricsSources& sources, Page* page) {
  page->Counter("deliveries_total", "Events that have been handed to sockets, once per stream.")
      .Value(Sum(sources, &hub::HubMetrics::deliveries));
  page->Counter("delivered_bytes_total", "Bytes that have been handed to the sockets of event streams.")
      .Value(Sum(sources, &hub::HubMetrics::delivered_bytes));
  page->Counter("heartbeats_total", "Heartbeats that have been sent.")
      .Value(Sum(sources, &hub::HubMetrics::heartbeats));
  std::vector<const base::LatencyHistogram*> latencies;
  latencies.reserve(sources.hubs.size());
  for (const auto* hub : sources.hubs) {
    latencies.push_back(&hub->latency);
  }
  page->Histogram("delivery_latency_seconds",
                  "From the acceptance of an event to its handing to a socket, for streams that keep up.", latencies);
}

void AddHistory(const MetricsSources& sources, Page* page) {
  // Every loop has the same ring; the frames are shared.
  uint64_t events = 0;
  uint64_t bytes = 0;
  uint64_t oldest_ms = 0;
  for (const auto* hub : sources.hubs) {
    events = std::max(events, hub->history_events.value());
    bytes = std::max(bytes, hub->history_bytes.value());
    oldest_ms = std::max(oldest_ms, hub->history_oldest_ms.value());
  }
  page->Gauge("history_events", "Events that can be replayed from memory.").Value(events);
  page->Gauge("history_bytes", "Memory of the events that can be replayed.").Value(bytes);
  page->Gauge("history_oldest_age_seconds", "Age of the oldest event that can be replayed.")
      .Value(static_cast<double>(oldest_ms) / 1000);
  page->Gauge("pattern_bytes", "Memory that the patterns of event streams take, roughly.")
      .Value(Sum(sources, &hub::HubMetrics::pattern_bytes));
  page->Gauge("pinned_bytes", "Frames that blocked streams have sent a part of.")
      .Value(Sum(sources, &hub::HubMetrics::pinned_bytes));
}

void AddLog(const MetricsSources& sources, Page* page) {
  const log::EventLog::Stats stats = sources.log->stats();
  page->Gauge("log_up", "1 where the log's store can be reached, 0 where not.")
      .Value(static_cast<uint64_t>(sources.log->health().ok()));
  page->Counter("log_append_failures_total", "Appends that failed because of the store.").Value(stats.append_failures);
  page->Counter("log_disconnects_total", "Times that the connection to the store was lost.").Value(stats.disconnects);
  page->Counter("log_unreadable_records_total", "Records that were left out: damaged, or of a newer format.")
      .Value(stats.unreadable_records);
  page->Gauge("log_store_events", "Events in the store, as of when it was last asked.").Value(stats.store_events);
  page->Gauge("log_store_bytes", "Their bytes.").Value(stats.store_bytes);
  page->Gauge("idempotency_keys", "Idempotency keys that this process remembers.").Value(stats.idempotency_keys);
  page->Counter("idempotency_keys_evicted_total", "Idempotency keys that were forgotten before their time.")
      .Value(stats.idempotency_keys_evicted);
}

void AddCalls(const MetricsSources& sources, Page* page) {
  const calls::CallsMetrics& calls = *sources.calls;
  page->Gauge("calls_open", "Calls that have not ended, on all replicas.").Value(calls.open.value());
  page->Gauge("calls_queued", "Of them, those that wait for a worker.").Value(calls.queued.value());
  page->Gauge("call_workers", "Workers that have a stream to this replica.").Value(calls.workers.value());
  page->Counter("calls_opened_total", "Calls that clients of this replica have opened.").Value(calls.opened.value());
  page->Counter("calls_refused_total", "Requests below /calls/ that were refused, by reason.");
  AddRefusals(*sources.call_refusals, Refused::kCalls, page);
  page->Counter("calls_ended_total", "Calls that have ended, on all replicas, by status.");
  for (size_t i = 0; i < calls::kEndStatuses; ++i) {
    page->Value(calls.ends[i].value(), {Label("status", calls::NameOf(static_cast<calls::EndStatus>(i)))});
  }
  page->Counter("call_events_total", "Events of answers, on all replicas.").Value(calls.events.value());
  page->Gauge("calls_log_bytes", "What the calls that are kept take of calls.log.max_bytes.")
      .Value(calls.log_bytes.value());
  page->Histogram("call_queue_wait_seconds", "From a POST to the hand-over to a worker of this replica.",
                  {&calls.queue_wait});
  page->Histogram("call_first_event_seconds", "From a POST to the first event of its answer.", {&calls.first_event});
}

void AddPublishers(const MetricsSources& sources, Page* page) {
  const rpc::RpcMetrics& rpc = *sources.rpc;
  page->Gauge("publishers", "Publish streams that are open.").Value(rpc.streams.value());
  page->Counter("publishers_opened_total", "Publish streams that have been opened.").Value(rpc.streams_opened.value());
  page->Counter("publish_requests_total", "Requests that publishers have sent.").Value(rpc.requests.value());
  page->Counter("events_accepted_total", "Events that have been accepted, ephemeral ones too.")
      .Value(rpc.accepted.value());
  page->Counter("events_ephemeral_total", "Ephemeral events that have been accepted.").Value(rpc.ephemeral.value());
  page->Counter("events_deduplicated_total", "Repeats of events that had been accepted before.")
      .Value(rpc.duplicates.value());
  page->Counter("events_rejected_total", "Events that have been rejected, by google.rpc.Code.");
  for (size_t code = 1; code < rpc::RpcMetrics::kCodes; ++code) {
    if (rpc.rejected[code].value() != 0 || code == static_cast<size_t>(absl::StatusCode::kInvalidArgument)) {
      page->Value(rpc.rejected[code].value(),
                  {Label("code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code)))});
    }
  }
  page->Counter("publishers_refused_total",
                "Publish streams and calls that were refused or ended for want of a good token, by reason.")
      .Value(rpc.refused[rpc::RpcMetrics::kUnauthenticated].value(), {Label("reason", "unauthenticated")})
      .Value(rpc.refused[rpc::RpcMetrics::kKeyNotThere].value(), {Label("reason", "key_not_there")})
      .Value(rpc.refused[rpc::RpcMetrics::kExpired].value(), {Label("reason", "expired")});
  page->Counter("publishers_rate_limited_total",
                "Times that a Publish stream was held up, or a PublishOnce rejected, for limits.publish_*_per_second.")
      .Value(sources.rates->limited());
  page->Gauge("publish_bytes_in_flight", "Bytes of requests that have been read and that the log does not have yet.")
      .Value(rpc.request_bytes.value());
  page->Gauge("publish_ack_bytes", "Bytes of acks that wait to be written to their publishers.")
      .Value(rpc.ack_bytes.value());
  page->Counter("publishers_timed_out_total", "Publish streams and calls that took no response for grpc.send_timeout.")
      .Value(rpc.streams_timed_out.value());
}

void AddGrpcConnections(const MetricsSources& sources, Page* page) {
  using Guard = rpc::ConnectionGuard;
  const Guard::Metrics& metrics = sources.grpc_connections->metrics();
  page->Counter("grpc_connections_total", "Connections of the gRPC port that have been accepted.")
      .Value(metrics.accepted.value());
  page->Gauge("grpc_connections", "Connections of the gRPC port that are open.").Value(metrics.open.value());
  page->Counter("grpc_connections_cut_total",
                "Connections of the gRPC port that took what no publisher does, by what.");
  for (size_t i = 0; i < Guard::kReasons; ++i) {
    page->Value(metrics.cut[i].value(), {Label("reason", Guard::NameOf(static_cast<Guard::Reason>(i)))});
  }
}

void AddConnections(const MetricsSources& sources, Page* page) {
  const http::ConnectionMetrics& connections = *sources.connections;
  page->Counter("http_connections_total", "Connections that have been accepted.").Value(connections.accepted.value());
  page->Gauge("http_connections",
              "Connections that are not event streams: they send a request, wait for an answer or are idle.")
      .Value(connections.open.value());
  page->Counter("http_requests_total", "Requests that have been answered by a handler.")
      .Value(connections.requests.value());
  page->Counter("http_requests_refused_total", "Requests that were too large, too slow or malformed.")
      .Value(connections.refused.value());
  page->Counter("http_requests_timed_out_total", "Requests that did not arrive in time.")
      .Value(connections.timed_out.value());
  page->Counter("http_connections_gave_way_total",
                "Connections that waited for their clients and were closed because no descriptors were left.")
      .Value(connections.gave_way.value());
  page->Gauge("http_unsent_bytes", "Bytes of responses that wait to be sent, event streams not counted.")
      .Value(connections.unsent_bytes.value());
  page->Gauge("http_request_bytes", "Bytes of requests that are not whole or not yet answered.")
      .Value(connections.request_bytes.value());
}

void AddTls(const MetricsSources& sources, Page* page) {
  if (sources.handshakes == nullptr) {
    return;
  }
  const http::HandshakeMetrics& handshakes = sources.handshakes->metrics();
  page->Gauge("http_tls_handshakes", "Connections whose TLS handshake is not done.").Value(handshakes.waiting.value());
  page->Counter("http_tls_handshakes_total", "TLS handshakes, by what became of them.")
      .Value(handshakes.done.value(), {Label("result", "done")})
      .Value(handshakes.failed.value(), {Label("result", "failed")})
      .Value(handshakes.timed_out.value(), {Label("result", "timed_out")})
      .Value(handshakes.crowded.value(), {Label("result", "crowded")})
      .Value(handshakes.gave_way.value(), {Label("result", "gave_way")})
      .Value(handshakes.not_tls.value(), {Label("result", "not_tls")});
  page->Gauge("http_tls_certificate_valid_until_seconds", "When the certificate ends, in Unix time.")
      .Value(absl::ToDoubleSeconds(sources.handshakes->tls().valid_until() - absl::UnixEpoch()));
}

void AddLoops(const MetricsSources& sources, Page* page) {
  page->Gauge("loop_longest_turn_seconds",
              "The longest turn of an event loop since the last scrape: nothing of that loop went out meanwhile.");
  for (size_t i = 0; i < sources.lags.size(); ++i) {
    page->Value(static_cast<double>(sources.lags[i]->longest_turn_ns.exchange(0, std::memory_order_relaxed)) / 1e9,
                {Label("loop", absl::StrCat(i))});
  }
  page->Counter("loop_busy_seconds_total", "Time that an event loop was not waiting.");
  for (size_t i = 0; i < sources.lags.size(); ++i) {
    page->Value(static_cast<double>(sources.lags[i]->busy_ns.load(std::memory_order_relaxed)) / 1e9,
                {Label("loop", absl::StrCat(i))});
  }
  page->Counter("loop_turns_total", "Turns of an event loop.");
  for (size_t i = 0; i < sources.lags.size(); ++i) {
    page->Value(sources.lags[i]->turns.load(std::memory_order_relaxed), {Label("loop", absl::StrCat(i))});
  }
}

}  // namespace

std::string MetricsPage(const MetricsSources& sources) {
  Page page;
  AddStreams(sources, &page);
  AddTickets(sources, &page);
  AddDeliveries(sources, &page);
  AddHistory(sources, &page);
  AddLog(sources, &page);
  AddCalls(sources, &page);
  AddPublishers(sources, &page);
  AddGrpcConnections(sources, &page);
  AddConnections(sources, &page);
  AddTls(sources, &page);
  AddLoops(sources, &page);
  return page.Text();
}

}  // namespace bridge
