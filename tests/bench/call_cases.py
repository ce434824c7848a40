"""The measurements of calls: their processes share both cores, for there are three of them."""

import contextlib
import time

from cases import Case, Variant, fan_out, ingest
from log_systems import BridgeOnJetStream, BridgeOnMemory, LogPlan
from processes import Driven, MeasurementError
from systems import BareGrpc, BareSend, Plan

GROUP = "calls"
CALLS, TOKENS_PER_SECOND, TOKEN_BYTES, BODY_BYTES = 1000, 10, 64, 1024
# How long an answer takes: so many calls begin, and end, in a second.
ANSWER_SECONDS, MEASURED_SECONDS = 5, 10
SHORT_CALLS = 100
FEW, MANY, HELD_TOKENS = 1000, 9000, 10
# At which calls come that are held: what the allocator keeps of a burst is no memory of calls.
HELD_PER_SECOND = 2000

# What stands in the way of a load from one address with nothing to wait for.
SETTINGS = {"calls.max_open": 30_000, "calls.queue_max": 100_000, "calls.log.max_bytes": "2GiB", "calls.max_bytes_in_flight": "1GiB"}


@contextlib.contextmanager
def driven(machine, program, *arguments):
    with Driven([machine.program(program), *arguments], machine.load_core) as program_there:
        yield program_there


def serve(machine, system, *, tokens, rate=0, options=()):
    """A worker that answers with so many tokens, each of them `rate` times a second."""
    return driven(machine, "serve_calls", "--target", system.grpc, "--tokens", tokens, "--rate", rate, "--payload", TOKEN_BYTES, *options)


def call(machine, system, calls, *, tokens, calls_max=0, rate=0, body=BODY_BYTES):
    """Browsers that keep so many calls open."""
    return driven(machine, "make_calls", "--target", system.http, "--path", "/calls/bench", "--calls", calls, "--calls-max", calls_max,
                  "--rate", rate, "--tokens", tokens, "--body", body)


def check(load, worker):
    if load["failed"] or worker["rejected"] or worker["cancelled"]:
        raise MeasurementError(f"{load['failed']:.0f} answers failed; {worker['rejected']:.0f} updates were rejected and "
                               f"{worker['cancelled']:.0f} calls cancelled")


def measured(server, system, load, worker, seconds):
    """The reports of load and worker, and the CPU time that server and store took, of so many seconds."""
    load.reset()
    worker.reset()
    cpu, store_cpu = server.cpu_seconds(), system.store_cpu_seconds()
    time.sleep(seconds)
    reports = load.report(), worker.report()
    cpu, store_cpu = server.cpu_seconds() - cpu, system.store_cpu_seconds() - store_cpu
    check(*reports)
    return *reports, cpu, store_cpu


def at_a_rate(machine, variant, scale):
    """Many calls at a time, each of which gets its tokens one by one; when one has ended another one begins."""
    calls = scale.streams(CALLS)
    rate = calls * TOKENS_PER_SECOND
    if variant.system is BareGrpc:
        sample = ingest(machine, variant, scale, Plan(streams=0, rate=rate, seconds=scale.seconds(MEASURED_SECONDS), payload=TOKEN_BYTES))
        return {"token_p50_ms": sample["ack_p50_ms"], "token_p99_ms": sample["ack_p99_ms"], "cpu_us": 1e6 / sample["per_cpu_second"]}
    if variant.system is BareSend:
        sample = fan_out(machine, variant, Plan(streams=calls, topics=calls, rate=rate, events=scale.events(rate * MEASURED_SECONDS),
                                                payload=TOKEN_BYTES))
        return {"token_p50_ms": sample["p50_ms"], "token_p99_ms": sample["p99_ms"], "cpu_us": 1e6 / sample["per_cpu_second"]}
    answer_seconds = scale.seconds(ANSWER_SECONDS)
    tokens = int(answer_seconds * TOKENS_PER_SECOND)
    system = variant.system(machine)
    with system.running(LogPlan(streams=calls), SETTINGS) as server, \
            serve(machine, system, tokens=tokens, rate=TOKENS_PER_SECOND) as worker:
        worker.read_report()
        # A little faster than calls end, so that as many as may be are open.
        with call(machine, system, calls, tokens=tokens, rate=1.1 * calls / answer_seconds) as load:
            time.sleep(1.2 * answer_seconds)
            calling, serving, cpu, store_cpu = measured(server, system, load, worker, scale.seconds(MEASURED_SECONDS))
    sample = {"token_p50_ms": calling["p50_ms"], "token_p99_ms": calling["p99_ms"], "post_p50_ms": serving["p50_ms"],
              "post_p99_ms": serving["p99_ms"], "open": calling["open"], "calls_per_second": calling["ended"] / calling["seconds"],
              "tokens_per_second": calling["tokens"] / calling["seconds"], "cpu_us": cpu / max(calling["tokens"], 1) * 1e6}
    return sample | ({"store_cpu_us": store_cpu / max(calling["tokens"], 1) * 1e6} if store_cpu else {})


def short(machine, variant, scale):
    """Calls that are answered at once, one after the other on each of some connections."""
    calls, tokens = scale.streams(SHORT_CALLS), 1
    system = variant.system(machine)
    with system.running(LogPlan(streams=calls), SETTINGS) as server, serve(machine, system, tokens=tokens) as worker:
        worker.read_report()
        with call(machine, system, calls, tokens=tokens) as load:
            time.sleep(scale.seconds(1))
            calling, serving, cpu, store_cpu = measured(server, system, load, worker, scale.seconds(5))
    return {"per_second": calling["ended"] / calling["seconds"], "per_cpu_second": calling["ended"] / max(cpu, 0.01),
            "per_cpu_second_of_all": calling["ended"] / max(cpu + store_cpu, 0.01),
            "post_p50_ms": serving["p50_ms"], "post_p99_ms": serving["p99_ms"]}


def memory(machine, variant, scale):
    """Memory with few and with many calls open, and when they and their history are over."""
    few, many, tokens = scale.streams(FEW), scale.streams(MANY), variant.options["tokens"]
    kept_seconds = max(round(30 * scale.length), 5)
    settings = {"calls.max_duration": f"{kept_seconds}s", "calls.history": "1s"} | variant.options.get("settings", {})
    system = variant.system(machine)
    with system.running(LogPlan(streams=many), SETTINGS | settings) as server:

        def settled_bytes():
            time.sleep(scale.seconds(5))
            return server.memory_bytes()

        with serve(machine, system, tokens=tokens, options=["--held"]) as worker:
            worker.read_report()
            with call(machine, system, few, tokens=tokens, calls_max=few, rate=HELD_PER_SECOND) as load:
                answer = load.read_report()
                at_few = settled_bytes()
                with call(machine, system, many - few, tokens=tokens, calls_max=many - few, rate=HELD_PER_SECOND) as more:
                    more.read_report()
                    at_many = settled_bytes()
                    worker.order("finish")
                    for program in (load, more):
                        program.order("stop")
                        check(program.read_report(), worker.report())
            time.sleep(kept_seconds + 3)
            after = settled_bytes()
        with serve(machine, system, tokens=tokens, options=["--held"]) as worker:
            worker.read_report()
            with call(machine, system, few, tokens=tokens, calls_max=few, rate=HELD_PER_SECOND) as load:
                load.read_report()
                at_few_again = settled_bytes()
    per_call = (at_many - at_few) / (many - few)
    # The answer as its reader gets it; nothing is kept of a body once there are events.
    event_bytes = answer["answer_bytes"] / answer["tokens"] if tokens else 0
    own = event_bytes * tokens if tokens else BODY_BYTES
    return {"bytes_per_call": per_call, "beside_bytes": per_call - own, "event_bytes": event_bytes,
            "kept_share": (at_few_again - at_few) / max(at_many - at_few, 1),
            "few_bytes": at_few, "many_bytes": at_many, "after_bytes": after, "few_again_bytes": at_few_again}


def case(name, title, variants, measure):
    return Case(name, title, variants, measure, group=GROUP, is_pinned=False)


MEMORY, JETSTREAM = Variant("memory", BridgeOnMemory), Variant("jetstream", BridgeOnJetStream)

CALL_CASES = [
    case("calls_rate", f"{CALLS:,} calls at a time, {TOKENS_PER_SECOND} events/s each, beside a gRPC echo and bare send",
         [MEMORY, Variant("echo", BareGrpc), Variant("bare", BareSend), JETSTREAM], at_a_rate),
    case("calls_short", f"calls of one event as fast as they go, {SHORT_CALLS} at a time", [MEMORY, JETSTREAM], short),
    case("calls_memory", f"open calls, from {FEW:,} to {MANY:,}",
         [Variant("asked", BridgeOnMemory, {"tokens": 0}), Variant("answered", BridgeOnMemory, {"tokens": HELD_TOKENS}),
          Variant("two_loops", BridgeOnMemory, {"tokens": HELD_TOKENS, "settings": {"http.event_loops": 2}})], memory),
]
