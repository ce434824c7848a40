"""The measurements of the logs. Their processes share both cores: with a store beside it there are more of them than cores."""

import functools
import os
import time

from cases import Case, Variant, fan_out
from log_systems import BridgeOnDisk, BridgeOnDiskByInterval, BridgeOnJetStream, BridgeOnMemory, LogPlan, Replicas

GROUP = "logs"
LOGS = {"memory": BridgeOnMemory, "jetstream": BridgeOnJetStream, "each_batch": BridgeOnDisk, "interval": BridgeOnDiskByInterval}
STORES = {key: system for key, system in LOGS.items() if key != "memory"}

# As many events wait for acks in each, below the bridge's own limit for a stream.
SHAPES = {
    "1": {"batch": 1, "window": 4000},
    "10": {"batch": 10, "window": 400},
    "100": {"batch": 100, "window": 40},
    "4x10": {"batch": 10, "window": 100, "publishers": 4},
}

REPLAYED, REPLAYED_TO_MANY, REPLAY_STREAMS, REPLAY_TOPICS, RING = 500_000, 50_000, 100, 100, 1000


def children_cpu_seconds():
    """Of the processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def ingest(machine, variant, scale):
    """Publishers and no subscribers; then the bare store with the same load."""
    plan = LogPlan(streams=0, seconds=scale.seconds(3), **variant.options)
    system = variant.system(machine)
    with system.running(plan) as server:
        cpu, store_cpu, load_cpu = server.cpu_seconds(), system.store_cpu_seconds(), children_cpu_seconds()
        transactions = system.transactions()
        published = system.publish_all(plan, "bench")
        cpu, store_cpu = server.cpu_seconds() - cpu, system.store_cpu_seconds() - store_cpu
        load_cpu = children_cpu_seconds() - load_cpu
        events_per_commit = published["events"] / max(system.transactions() - transactions, 1) if transactions is not None else None
    sample = {"per_second": published["events"] / published["seconds"], "ack_p50_ms": published["ack_p50_ms"],
              "ack_p99_ms": published["ack_p99_ms"]}
    for figure, seconds in (("cpu_us", cpu), ("store_cpu_us", store_cpu), ("load_cpu_us", load_cpu)):
        if seconds:
            sample[figure] = seconds / published["events"] * 1e6
    if events_per_commit:
        sample["events_per_commit"] = events_per_commit
    cpu = children_cpu_seconds()
    bare = system.bare(plan, events_per_commit)
    if bare:
        sample["bare_per_second"] = bare["events"] / bare["seconds"]
        sample["bare_cpu_us"] = (children_cpu_seconds() - cpu) / bare["events"] * 1e6
        sample["to_bare"] = sample["per_second"] / sample["bare_per_second"]
    return sample


def libnats(machine, variant, scale):
    """libnats alone, in other ways than the one that the others are measured against."""
    plan = LogPlan(streams=0, seconds=scale.seconds(3), **SHAPES["1"])
    cpu = children_cpu_seconds()
    report = variant.system(machine).bare(plan, None, *variant.options["arguments"])
    return {"per_second": report["events"] / report["seconds"], "cpu_us": (children_cpu_seconds() - cpu) / report["events"] * 1e6}


def latency(streams, rate):
    def measure(machine, variant, scale):
        plan = LogPlan(streams=scale.streams(streams) if streams > 1 else 1, rate=rate, events=scale.events(rate * 6))
        sample = fan_out(machine, variant, plan)
        return {"p50_ms": sample["p50_ms"], "p99_ms": sample["p99_ms"], "cpu_seconds": sample["cpu_seconds"]}

    return measure


def replicas(streams, rate):
    """What is published to one bridge, to streams of both."""
    def measure(machine, variant, scale):
        plan = LogPlan(streams=scale.streams(streams) if streams > 1 else 1, rate=rate, events=scale.events(rate * 6))
        system = variant.system(machine)
        with system.running(plan), machine.load(system, plan.streams, topic="bench") as first, \
                machine.load(system.second, plan.streams, topic="bench") as second:
            for load in (first, second):
                load.read_report()
                load.reset()
            events = int(system.publish(plan, "bench")["events"])
            reports = [load.await_deliveries(events * plan.streams) for load in (first, second)]
        sample = {f"{name}{figure}": report[figure] for name, report in zip(("", "second_"), reports) for figure in ("p50_ms", "p99_ms")}
        return sample | {"late_ms": sample["second_p50_ms"] - 1.5 * sample["p50_ms"]}

    return measure


def replay(machine, variant, scale, *, streams=1, events=REPLAYED, topics=1):
    """Streams that begin with replay=all, where the ring holds the last few events only. With more topics than one, of the first of them."""
    events = scale.events(events) // topics * topics
    streams = scale.streams(streams) if streams > 1 else 1
    topic = "bench.{}" if topics > 1 else "bench"
    plan = LogPlan(streams=streams, topics=topics, events=events, seconds=60, batch=100, window=40, **{"ring": RING} | variant.options)
    system = variant.system(machine)
    with system.running(plan) as server:
        system.publish(plan, topic)
        cpu, store_cpu = server.cpu_seconds(), system.store_cpu_seconds()
        start = time.monotonic()
        with machine.load(system, streams, topic=topic.format(0), query="&replay=all") as load:
            load.read_report()
            load.await_deliveries(streams * events // topics)
            seconds = time.monotonic() - start
        cpu, store_cpu = server.cpu_seconds() - cpu, system.store_cpu_seconds() - store_cpu
    return {"per_second": streams * events / seconds, "cpu_seconds": cpu, "store_cpu_seconds": store_cpu}


def acks(machine, variant, scale):
    """One request of one event at a time; then the bare store so."""
    plan = LogPlan(streams=0, seconds=scale.seconds(3), window=1, **variant.options)
    system = variant.system(machine)
    with system.running(plan):
        published = system.publish(plan, "bench")
    sample = {"p50_ms": published["ack_p50_ms"], "p99_ms": published["ack_p99_ms"]}
    bare = system.bare(plan, 1)
    return sample | ({"bare_p50_ms": bare["ack_p50_ms"], "bare_p99_ms": bare["ack_p99_ms"]} if bare else {})


def case(name, title, variants, measure):
    return Case(name, title, variants, measure, group=GROUP, is_pinned=False)


def variants_of(systems, **options):
    return [Variant(key, system, options) for key, system in systems.items()]


# A replay of the memory log is one of the ring, which has to hold all of it then.
REPLAY_VARIANTS = [Variant("memory", BridgeOnMemory, {"ring": 2 * REPLAYED}), *variants_of(STORES)]

LOG_CASES = [
    *(case(f"log_ingest_{shape}", "publishers and no subscribers, beside the bare store: " +
           "{publishers} × {batch} a message".format(**{"publishers": 1} | options), variants_of(LOGS, **options), ingest)
      for shape, options in SHAPES.items()),
    case("log_libnats", "libnats alone: with acks by an inbox, with a follower beside it, and with js_PublishAsync",
         [Variant(key, BridgeOnJetStream, {"arguments": arguments})
          for key, arguments in {"inbox": (), "followed": ("--follow",), "library": ("--acks", "library")}.items()], libnats),
    case("log_latency_1", "publish to receive, 1 stream, 1,000 events/s", variants_of(LOGS), latency(1, 1000)),
    case("log_latency_1k", "publish to receive, 1,000 streams, 50 events/s", variants_of(LOGS), latency(1000, 50)),
    case("log_replicas_1", "publish to receive on two replicas, 1 stream each, 1,000 events/s", [Variant("jetstream", Replicas)],
         replicas(1, 1000)),
    case("log_replicas_1k", "publish to receive on two replicas, 1,000 streams each, 50 events/s", [Variant("jetstream", Replicas)],
         replicas(1000, 50)),
    case("log_replay", f"replay of {REPLAYED:,} events behind the ring", REPLAY_VARIANTS, replay),
    case("log_replay_many", f"replay of {REPLAYED_TO_MANY:,} events behind the ring to {REPLAY_STREAMS} streams at once", REPLAY_VARIANTS,
         functools.partial(replay, streams=REPLAY_STREAMS, events=REPLAYED_TO_MANY)),
    case("log_replay_filtered", f"replay of 1 in {REPLAY_TOPICS} of {REPLAYED:,} events behind the ring", REPLAY_VARIANTS,
         functools.partial(replay, topics=REPLAY_TOPICS)),
    case("log_acks_once", "PublishOnce, one after the other", variants_of(LOGS, once=True), acks),
    case("log_acks_stream", "one Publish stream, one request in flight", variants_of(LOGS), acks),
]
