"""The tables of calls."""

import statistics

from call_cases import ANSWER_SECONDS, CALLS, FEW, HELD_TOKENS, MANY, SHORT_CALLS, TOKEN_BYTES, TOKENS_PER_SECOND
from log_results import markdown, microseconds, precise_milliseconds, shown, verdict
from results import Samples, kibibytes, thousands

TABLE_BEGIN, TABLE_END = "<!-- tables of calls: scripts/bench writes them -->", "<!-- end of tables of calls -->"

LABELS = {"memory": "memory", "jetstream": "JetStream"}
BARE_FACTOR, BARE_MS, BESIDE_BYTES, KEPT_SHARE = 1.5, 1, 2048, 0.25


def late_ms(one, figure):
    """By how much a round's p99 is above what it may be, given that round's echo and send."""
    values = [one.get(key, {}).get(name) for key, name in (("memory", figure), ("echo", "token_p99_ms"), ("bare", "token_p99_ms"))]
    if None in values:
        return None
    p99, echo, bare = values
    return p99 - BARE_FACTOR * (echo + bare)


def is_in_time(case, figure):
    late = [value for value in (late_ms(one, figure) for one in case["rounds"]) if value is not None]
    return statistics.median(late) <= BARE_MS if late else None


def rate(cases, samples):
    of_case = samples["calls_rate"]
    rows = []
    for key, label in LABELS.items():
        in_time = [is_in_time(cases["calls_rate"], figure) for figure in ("post_p99_ms", "token_p99_ms")] if key == "memory" else [None] * 2
        rows.append([f"calls, {label}", of_case.show(key, "post_p50_ms", "post_p99_ms", form=precise_milliseconds), verdict(in_time[0]),
                     of_case.show(key, "token_p50_ms", "token_p99_ms", form=precise_milliseconds), verdict(in_time[1]),
                     *(shown(of_case, key, figure, form) for figure, form in
                       (("tokens_per_second", thousands), ("cpu_us", microseconds), ("store_cpu_us", microseconds)))])
    for key, label in (("echo", "a bare gRPC echo, there and back"), ("bare", "a bare send to each in turn")):
        rows.append([label, "–", "", of_case.show(key, "token_p50_ms", "token_p99_ms", form=precise_milliseconds), "", "–",
                     shown(of_case, key, "cpu_us", microseconds), "–"])
    goal = f"≤ {BARE_FACTOR} × (echo + send) + {BARE_MS} ms"
    head = ["", "from POST to the worker, p50 / p99", goal, "from the worker's event to the browser, p50 / p99", goal, "events per s",
            "CPU µs an event: server", "nats-server"]
    return markdown(f"{CALLS:,} calls at a time, {TOKENS_PER_SECOND} events/s each, for {ANSWER_SECONDS} s", head, rows)


def short(_cases, samples):
    of_case = samples["calls_short"]
    rows = [[label, of_case.show(key, "per_second", form=thousands), of_case.show(key, "per_cpu_second", form=thousands),
             of_case.show(key, "per_cpu_second_of_all", form=thousands),
             of_case.show(key, "post_p50_ms", "post_p99_ms", form=precise_milliseconds)] for key, label in LABELS.items()]
    return markdown(f"Calls of one event, as fast as they go, {SHORT_CALLS} at a time, each on a connection of its own",
                    ["log", "calls per s", "calls per CPU-s of the bridge", "with nats-server", "from POST to the worker, p50 / p99"], rows)


def memory(_cases, samples):
    of_case = samples["calls_memory"]
    rows = []
    for key, label in (("asked", "waiting for its first event"), ("answered", f"with {HELD_TOKENS} events"),
                       ("two_loops", f"with {HELD_TOKENS} events, two event loops")):
        beside, kept = (of_case.median(key, figure) for figure in ("beside_bytes", "kept_share"))
        rows.append([label, of_case.show(key, "bytes_per_call", form=kibibytes), of_case.show(key, "beside_bytes", form=kibibytes),
                     verdict(None if beside is None else beside <= BESIDE_BYTES), of_case.show(key, "kept_share", form="{:.0%}".format),
                     verdict(None if kept is None else kept <= KEPT_SHARE)])
    head = ["an open call", "memory", "beside body or answer", "≤ 2 KiB", "share kept after all have ended and been forgotten",
            f"≤ {KEPT_SHARE:.0%}"]
    table = markdown(f"Memory per open call, from {FEW:,} to {MANY:,}", head, rows)
    event_bytes = of_case.median("answered", "event_bytes")
    return table if event_bytes is None else f"{table}\n\nAn event of {TOKEN_BYTES} bytes of data is {event_bytes:.0f} bytes of an answer."


def tables(cases):
    """All tables of the cases that have been measured; empty where there are none."""
    samples = {name: Samples(case) for name, case in cases.items()}
    texts = [make(cases, samples) for name, make in (("calls_rate", rate), ("calls_short", short), ("calls_memory", memory)) if name in cases]
    return "\n\n".join(texts)
