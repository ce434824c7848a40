"""The measurements. Each case is run on several systems in turn, and gives one sample (a dict of figures) per system and round."""

import concurrent.futures
import dataclasses
import time
from typing import Callable

from processes import may_be_realtime
from systems import BareGrpc, BareGrpcAcks, BareSend, Bridge, BridgeAuth, BridgeTls, Nchan, Plan

MANY_TOPICS = "bench.{}"


@dataclasses.dataclass
class Scale:
    """How large and how long: the real thing, or something small that only shows that it works."""

    size: float = 1
    length: float = 1

    def streams(self, count):
        return max(int(count * self.size), 10)

    def events(self, count):
        return max(int(count * self.length), 10)

    def seconds(self, seconds):
        return max(seconds * self.length, 0.5)


@dataclasses.dataclass
class Variant:
    """One system in a case."""

    key: str
    system: type
    options: dict = dataclasses.field(default_factory=dict)  # fields of the Plan


@dataclasses.dataclass
class Case:
    name: str
    title: str
    variants: list[Variant]
    measure: Callable  # (machine, variant, scale) -> sample
    group: str = "peer"
    is_pinned: bool = True  # the server on one core, load and publisher on the other


def fan_out(machine, variant, plan, *, topic="bench"):
    """Publishes as planned to open streams; deliveries, CPU time of the server and latencies."""
    system = variant.system(machine)
    options = {"progress": machine.path("progress")} if plan.lag_max else {}
    with system.running(plan) as server, machine.load(system, plan.streams, topic=topic, topics=plan.topics, **options) as load:
        load.read_report()
        load.reset()
        before = server.cpu_seconds()
        published = system.publish(plan, topic)
        per_event = plan.streams // plan.topics
        report = load.await_deliveries(int(published["events"]) * per_event)
        cpu = server.cpu_seconds() - before
    return {
        "deliveries": report["deliveries"],
        "cpu_seconds": cpu,
        "per_cpu_second": report["deliveries"] / max(cpu, 0.01),
        "per_second": report["deliveries"] / published["seconds"],
        "bytes_per_delivery": report["bytes"] / report["deliveries"],
        "p50_ms": report["p50_ms"],
        "p99_ms": report["p99_ms"],
    }


def at_a_rate(streams, rate, seconds):
    def measure(machine, variant, scale):
        events = scale.events(rate * seconds)
        return fan_out(machine, variant, Plan(streams=scale.streams(streams), rate=rate, events=events, **variant.options))

    return measure


def as_fast_as_it_goes(machine, variant, scale):
    """The publisher waits while the slowest stream is `lag_max` events behind, so that the lag cannot grow."""
    return fan_out(machine, variant, Plan(streams=scale.streams(1000), seconds=scale.seconds(6), lag_max=64, **variant.options))


def many_topics(machine, variant, scale):
    streams = scale.streams(10_000)
    plan = Plan(streams=streams, topics=streams, events=streams * scale.events(20), seconds=30, lag_max=4, **variant.options)
    return fan_out(machine, variant, plan, topic=MANY_TOPICS)


def idle_memory(machine, variant, scale, most=18_000):
    """Memory without streams, with few, with many, and after the many have left."""
    few, many = scale.streams(2000), scale.streams(most)
    system = variant.system(machine)
    with system.running(Plan(streams=many)) as server:

        def settled_bytes():
            time.sleep(scale.seconds(2))
            return server.memory_bytes()

        without = settled_bytes()
        with machine.load(system, few, topic="bench") as load:
            load.read_report()
            at_few = settled_bytes()
            with machine.load(system, many - few, topic="bench") as more:
                more.read_report()
                at_many = settled_bytes()
            after = settled_bytes()
    return {"bytes_per_stream": (at_many - at_few) / (many - few), "kept_share": (after - at_few) / max(at_many - at_few, 1),
            "without_bytes": without, "few_bytes": at_few, "many_bytes": at_many, "after_bytes": after}


def replay(machine, variant, scale):
    """Many clients come back at once, each with the id after which it misses 100 events."""
    streams, missed = scale.streams(5000), 100
    plan = Plan(streams=streams, events=missed + 1, rate=1000)
    system = variant.system(machine)
    with system.running(plan) as server:
        with machine.load(system, 1, topic="bench") as first:
            first.read_report()
            first.reset()
            system.publish(plan, "bench")
            last_seen = first.await_deliveries(missed + 1)["first_id"]
        before = server.cpu_seconds()
        start = time.monotonic()
        with machine.load(system, streams, topic="bench", last_event_id=last_seen) as load:
            load.read_report()
            load.await_deliveries(streams * missed)
            seconds = time.monotonic() - start
            cpu = server.cpu_seconds() - before
    return {"cpu_seconds": cpu, "per_cpu_second": streams * missed / max(cpu, 0.01), "per_second": streams * missed / seconds}


class Background:
    """A call on a thread of its own; join() gives what it returned or raised."""

    def __init__(self, call, *arguments):
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._future = self._pool.submit(call, *arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown()

    def join(self):
        return self._future.result()


def storm(machine, variant, scale):
    """New clients connect as fast as they can while others receive 50 events a second."""
    live, comers = scale.streams(100), scale.streams(10_000)
    plan = Plan(streams=live + comers, rate=50, events=10_000_000, seconds=scale.seconds(4))
    system = variant.system(machine)
    realtime = may_be_realtime()  # else the comers' own work on the load's core would count as delay
    with system.running(plan) as server, machine.load(system, live, topic="live", realtime=realtime) as load:
        load.read_report()
        load.reset()
        with Background(system.publish, plan, "live", realtime) as publishing:
            time.sleep(plan.seconds / 4)
            quiet = load.report()
            load.reset()
            before = server.cpu_seconds()
            with machine.load(system, comers, topic="comers", connecting_max=512) as storming:
                opened = storming.read_report()
                cpu = server.cpu_seconds() - before
                stormy = load.report()
                publishing.join()
    return {
        "connects_per_second": comers / max(opened["open_seconds"], 0.001),
        "connects_per_cpu_second": comers / max(cpu, 0.01),
        "live_max_ms": stormy["max_ms"],
        "live_deliveries": stormy["deliveries"],
        "quiet_max_ms": quiet["max_ms"],
    }


def ingest(machine, variant, scale, plan=None):
    """One publisher, one stream, nobody receives."""
    plan = plan or Plan(streams=0, seconds=scale.seconds(3), **variant.options)
    system = variant.system(machine)
    with system.running(plan) as server:
        before = server.cpu_seconds()
        published = system.publish(plan, "bench")
        cpu = server.cpu_seconds() - before
    return {"per_second": published["events"] / published["seconds"], "per_cpu_second": published["events"] / max(cpu, 0.01),
            "ack_p50_ms": published["ack_p50_ms"], "ack_p99_ms": published["ack_p99_ms"]}


def idle_memory_to(most):
    return lambda machine, variant, scale: idle_memory(machine, variant, scale, most)


BRIDGE, NCHAN, BARE = Variant("bridge", Bridge), Variant("nchan", Nchan), Variant("bare", BareSend)
TLS, AUTH = Variant("tls", BridgeTls), Variant("auth", BridgeAuth)


def ingest_variants():
    # As many events wait for acks in each of them, well below the bridge's own limit.
    for batch, window in ((1, 4000), (10, 400), (100, 40)):
        for key, system in (("bridge", Bridge), ("echo", BareGrpc), ("acks", BareGrpcAcks)):
            yield Variant(f"{key}_{batch}", system, {"batch": batch, "window": window})


CASES = [
    Case("fanout_1k", "1 topic, 1,000 streams, 50 events/s", [BRIDGE, NCHAN, BARE], at_a_rate(1000, 50, seconds=8)),
    Case("fanout_10k", "1 topic, 10,000 streams, 5 events/s", [BRIDGE, NCHAN, BARE], at_a_rate(10_000, 5, seconds=8)),
    Case("saturated", "1 topic, 1,000 streams, as fast as it goes",
         [BRIDGE, NCHAN, BARE, Variant("bare_4", BareSend, {"events_per_send": 4})], as_fast_as_it_goes),
    Case("topics", "10,000 topics × 1 stream",
         [BRIDGE, Variant("bridge_10", Bridge, {"batch": 10, "window": 100}), NCHAN], many_topics),
    Case("memory", "idle streams, from 2,000 to 18,000", [BRIDGE, NCHAN], idle_memory),
    Case("replay", "100 events to each of 5,000 reconnecting clients", [BRIDGE, NCHAN], replay),
    Case("storm", "10,000 connects", [BRIDGE, NCHAN], storm),
    Case("ingest", "one publisher, no subscribers", list(ingest_variants()), ingest),
    Case("tls_fanout_1k", "1 topic, 1,000 streams, 50 events/s", [BRIDGE, TLS], at_a_rate(1000, 50, seconds=8), group="tls"),
    Case("tls_saturated", "1 topic, 1,000 streams, as fast as it goes", [BRIDGE, TLS], as_fast_as_it_goes, group="tls"),
    Case("tls_memory", "idle streams, from 2,000 to 12,000", [BRIDGE, TLS], idle_memory_to(12_000), group="tls"),
    Case("tls_replay", "100 events to each of 5,000 reconnecting clients", [BRIDGE, TLS], replay, group="tls"),
    Case("tls_storm", "10,000 connects", [BRIDGE, TLS], storm, group="tls"),
    Case("auth_fanout_1k", "1 topic, 1,000 streams, 50 events/s", [BRIDGE, AUTH], at_a_rate(1000, 50, seconds=8), group="auth"),
    Case("auth_saturated", "1 topic, 1,000 streams, as fast as it goes", [BRIDGE, AUTH], as_fast_as_it_goes, group="auth"),
    Case("auth_memory", "idle streams, from 2,000 to 18,000", [BRIDGE, AUTH], idle_memory, group="auth"),
    Case("auth_replay", "100 events to each of 5,000 reconnecting clients", [BRIDGE, AUTH], replay, group="auth"),
    Case("auth_storm", "10,000 connects", [BRIDGE, AUTH], storm, group="auth"),
    *(Case(f"auth_ingest_{batch}", f"one publisher, no subscribers, {batch} a message",
           [Variant("bridge", Bridge, options), Variant("auth", BridgeAuth, options)], ingest, group="auth")
      for batch, options in ((1, {"batch": 1, "window": 4000}), (10, {"batch": 10, "window": 400}))),
]
