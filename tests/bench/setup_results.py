"""The table of TLS beside plain HTTP."""

from results import Samples, kibibytes, milliseconds, thousands

TABLE_BEGIN, TABLE_END = "<!-- table of TLS: scripts/bench writes it -->", "<!-- end of table of TLS -->"

# The case, the figure, its words, and how it is shown.
ROWS = [
    ("tls_fanout_1k", "per_cpu_second", "1 topic, 1,000 streams, 50 events/s: deliveries per CPU-s", thousands),
    ("tls_fanout_1k", "p99_ms", "– publish to receive there, p99", milliseconds),
    ("tls_saturated", "per_cpu_second", "1 topic, 1,000 streams, as fast as it goes: deliveries per CPU-s", thousands),
    ("tls_memory", "bytes_per_stream", "memory per idle stream, from 2,000 to 12,000", kibibytes),
    ("tls_memory", "kept_share", "– share of it kept after they have left", "{:.0%}".format),
    ("tls_replay", "per_cpu_second", "replay of 100 events to each of 5,000 reconnecting clients: events per CPU-s", thousands),
    ("tls_storm", "connects_per_cpu_second", "10,000 connects: connects per CPU-s", thousands),
    ("tls_storm", "live_max_ms", "– longest delay of a live stream meanwhile", milliseconds),
]


def row(cases, name, figure, words, form):
    samples = Samples(cases[name])
    ratio = samples.ratio("tls", "bridge", figure)
    return [words, *(samples.show(key, figure, form=form) for key in ("bridge", "tls")), "" if ratio is None else f"{ratio:.2f}"]


def table(cases):
    rows = [row(cases, *one) for one in ROWS if one[0] in cases]
    if not rows:
        return ""
    lines = ["| case | plain | TLS | TLS ÷ plain |", "|---|---|---|---|"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])
