"""The tables of the logs."""

from log_cases import LOGS, SHAPES
from results import Samples, thousands

TABLE_BEGIN, TABLE_END = "<!-- tables of the logs: scripts/bench writes them -->", "<!-- end of tables -->"

LABELS = {key: system.label for key, system in LOGS.items()}
OF_BARE_GOAL, REPLAY_GOAL, REPLICA_FACTOR, REPLICA_MS = 0.8, 100_000, 1.5, 1


def verdict(reached):
    return {None: "", True: "✓", False: "**missed**"}[reached]


def markdown(title, head, rows):
    lines = [f"**{title}**", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def precise_milliseconds(*values):
    return " / ".join(f"{value:.2f}" for value in values) + " ms"


def with_range(samples, key, figure, form):
    """The median, and the least and the most of the rounds."""
    values = [samples.over_rounds(of, key, figure) for of in (min, max)]
    return samples.show(key, figure, form=form) + ("" if None in values else f" ({form(values[0])} – {form(values[1])})")


def ratio(value):
    return f"{value:.2f}"


def microseconds(value):
    return f"{value:.1f}"


def shown(samples, key, figure, form):
    """The median; a dash where the system has no such figure."""
    return "–" if samples.median(key, figure) is None else samples.show(key, figure, form=form)


def ingest_row(samples, shape, key):
    to_bare = samples.median(key, "to_bare")
    return [f"{shape.get('publishers', 1)} × {shape['batch']}", LABELS[key],
            with_range(samples, key, "per_second", thousands), shown(samples, key, "bare_per_second", thousands),
            "–" if to_bare is None else with_range(samples, key, "to_bare", ratio),
            verdict(None if to_bare is None else to_bare >= OF_BARE_GOAL),
            *(shown(samples, key, figure, microseconds) for figure in ("cpu_us", "store_cpu_us", "load_cpu_us", "bare_cpu_us")),
            shown(samples, key, "events_per_commit", "{:,.0f}".format)]


def ingest(samples):
    rows = [ingest_row(samples[f"log_ingest_{name}"], shape, key)
            for name, shape in SHAPES.items() if f"log_ingest_{name}" in samples for key in LABELS]
    head = ["publishers × events a message", "log", "events per s", "the store alone", "÷ alone", f"≥ {OF_BARE_GOAL}",
            "CPU µs an event: bridge", "nats-server", "publishers", "the store alone", "events a commit"]
    return markdown("Ingest: publishers and no subscribers", head, rows) if rows else None


def libnats(samples):
    ways = {"inbox": "acks by an inbox, as above", "followed": "and an ordered consumer that reads all of it back", "library": "js_PublishAsync"}
    of_case = samples.get("log_libnats")
    rows = [[way, with_range(of_case, key, "per_second", thousands), shown(of_case, key, "cpu_us", microseconds)]
            for key, way in ways.items() if of_case]
    return markdown("libnats alone", ["how", "events acked per s", "CPU µs an event, with nats-server"], rows) if rows else None


def present(samples, titles):
    return [(samples[name], title) for name, title in titles.items() if name in samples]


def latency(samples):
    cases = present(samples, {"log_latency_1": "1 stream, 1,000 events/s", "log_latency_1k": "1,000 streams, 50 events/s"})
    rows = [[label, *(one.show(key, "p50_ms", "p99_ms", form=precise_milliseconds) for one, _ in cases)] for key, label in LABELS.items()]
    return markdown("Publish to receive, p50 / p99", ["log", *(title for _, title in cases)], rows) if cases else None


def replicas(samples):
    cases = present(samples, {"log_replicas_1": "1 stream on each, 1,000 events/s", "log_replicas_1k": "1,000 streams on each, 50 events/s"})
    rows = []
    for one, title in cases:
        late = one.median("jetstream", "late_ms")
        rows.append([title, *(one.show("jetstream", f"{which}p50_ms", f"{which}p99_ms", form=precise_milliseconds) for which in ("", "second_")),
                     verdict(None if late is None else late <= REPLICA_MS)])
    head = ["two bridges on JetStream", "the one that is published to, p50 / p99", "the other one, p50 / p99",
            f"≤ {REPLICA_FACTOR} × its p50 + {REPLICA_MS} ms"]
    return markdown("Publish to receive on two replicas", head, rows) if cases else None


def replay(samples):
    cases = present(samples, {"log_replay": "500,000 to 1 stream", "log_replay_many": "50,000 to each of 100 streams",
                              "log_replay_filtered": "500,000, of which 1 in 100 match"})
    rows = []
    for key, label in LABELS.items():
        figures = [one.median(key, "per_second") for one, _ in cases]
        reached = None if key == "memory" or None in figures else all(figure >= REPLAY_GOAL for figure in figures)
        rows.append([label + (", from the ring" if key == "memory" else ""),
                     *(with_range(one, key, "per_second", thousands) for one, _ in cases), verdict(reached)])
    head = ["log", *(title for _, title in cases), f"≥ {thousands(REPLAY_GOAL)}"]
    return markdown("Replay of what is behind the ring, events per s", head, rows) if cases else None


def acks(samples):
    cases = present(samples, {"log_acks_once": "PublishOnce", "log_acks_stream": "a stream, one request in flight"})
    rows = []
    for key, label in LABELS.items():
        alone = [one.show(key, "bare_p50_ms", "bare_p99_ms", form=precise_milliseconds) for one, _ in cases[-1:]]
        rows.append([label, *(one.show(key, "p50_ms", "p99_ms", form=precise_milliseconds) for one, _ in cases), *alone])
    head = ["log", *(title for _, title in cases), "the store alone"]
    return markdown("From request to ack, one at a time, p50 / p99", head, rows) if cases else None


def tables(cases):
    """All tables of the cases that have been measured; empty where there are none."""
    samples = {name: Samples(case) for name, case in cases.items()}
    texts = [make(samples) for make in (ingest, libnats, latency, replicas, replay, acks)]
    return "\n\n".join(text for text in texts if text)
