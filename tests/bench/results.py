"""From samples to the table, the plots and the files in docs/."""

import dataclasses
import re
import statistics
import subprocess

TABLE_BEGIN, TABLE_END = "<!-- table: scripts/bench writes it -->", "<!-- end of table -->"


@dataclasses.dataclass
class Row:
    """One line of the table: figures as text, ratios as numbers where there are any."""

    case: str
    bridge: str = "–"
    peer: str = "–"
    limit: str = "–"
    to_peer: float | None = None
    to_limit: float | None = None
    goal: str = ""
    reached: bool | None = None


class Samples:
    """The samples of one case: for each round the systems that could be measured, seconds apart from each other."""

    def __init__(self, case):
        self._rounds = case["rounds"]
        self._missing = case["missing"]

    def over_rounds(self, of, key, figure):
        values = [one[key][figure] for one in self._rounds if figure in one.get(key, {})]
        return of(values) if values else None

    def median(self, key, figure):
        return self.over_rounds(statistics.median, key, figure)

    def ratio(self, key, other, figure):
        """The median over the rounds of the ratio within a round: what drifts from round to round drops out."""
        ratios = [one[key][figure] / one[other][figure] for one in self._rounds
                  if figure in one.get(key, {}) and one.get(other, {}).get(figure)]
        return statistics.median(ratios) if ratios else None

    def show(self, key, *figures, form, of=statistics.median):
        values = [self.over_rounds(of, key, figure) for figure in figures]
        if None not in values:
            return form(*values)
        errors = [one[key]["error"] for one in self._rounds if "error" in one.get(key, {})]
        return self._missing.get(key) or ("failed: " + errors[0] if errors else "–")


def thousands(value):
    return f"{value / 1000:,.0f} k" if value >= 10_000 else f"{value:,.0f}"


def milliseconds(*values):
    return " / ".join(f"{value:.1f}" for value in values) + " ms"


def kibibytes(value):
    return f"{value / 1024:.2f} KiB"


def at_least(value, goal):
    return None if value is None else value >= goal


def at_most(value, goal):
    return None if value is None else value <= goal


def both(*conditions):
    return None if None in conditions else all(conditions)


def throughput_row(samples, case, *, figure="per_cpu_second", key="bridge", peer_goal=None, limit=None, limit_goal=None):
    to_peer = samples.ratio(key, "nchan", figure)
    to_limit = samples.ratio(key, limit, figure) if limit else None
    goals = [f"≥ {peer_goal} × peer"] + ([f"≥ {limit_goal} × limit"] if limit_goal else [])
    reached = at_least(to_peer, peer_goal)
    return Row(case, samples.show(key, figure, form=thousands), samples.show("nchan", figure, form=thousands),
               samples.show(limit, figure, form=thousands) if limit else "–", to_peer, to_limit, ", ".join(goals),
               both(reached, at_least(to_limit, limit_goal)) if limit_goal else reached)


def fanout_1k_rows(samples):
    yield throughput_row(samples, "1 topic, 1,000 streams, 50 events/s: deliveries per CPU-s", peer_goal=1.5, limit="bare", limit_goal=0.9)
    p50, p99 = samples.ratio("bridge", "nchan", "p50_ms"), samples.ratio("bridge", "nchan", "p99_ms")
    yield Row("– publish to receive there, p50 / p99", *(samples.show(key, "p50_ms", "p99_ms", form=milliseconds)
                                                       for key in ("bridge", "nchan", "bare")), p50,
              samples.ratio("bridge", "bare", "p50_ms"), "not above peer", both(at_most(p50, 1), at_most(p99, 1)))


def fanout_10k_rows(samples):
    yield throughput_row(samples, "1 topic, 10,000 streams, 5 events/s: deliveries per CPU-s", peer_goal=1.4, limit="bare", limit_goal=0.9)


def saturated_rows(samples):
    yield throughput_row(samples, "1 topic, 1,000 streams, as fast as it goes: deliveries per s", figure="per_second", peer_goal=4,
                         limit="bare")
    yield Row("– deliveries per CPU-s; the limit sends 4 events at a time",
              *(samples.show(key, "per_cpu_second", form=thousands) for key in ("bridge", "nchan", "bare_4")),
              samples.ratio("bridge", "nchan", "per_cpu_second"), samples.ratio("bridge", "bare_4", "per_cpu_second"))
    yield Row("– publish to receive there, p50 / p99",
              *(samples.show(key, "p50_ms", "p99_ms", form=milliseconds) for key in ("bridge", "nchan", "bare")))


def topics_rows(samples):
    yield throughput_row(samples, "10,000 topics × 1 stream, with publishing, 1 event a message: events per CPU-s", peer_goal=2)
    yield throughput_row(samples, "– 10 events a message", key="bridge_10", peer_goal=4)


def memory_rows(samples):
    yield Row("memory per idle stream, from 2,000 to 18,000",
              *(samples.show(key, "bytes_per_stream", form=kibibytes) for key in ("bridge", "nchan")),
              to_peer=samples.ratio("bridge", "nchan", "bytes_per_stream"), goal="≤ 0.6 KiB",
              reached=at_most(samples.median("bridge", "bytes_per_stream"), 0.6 * 1024))
    yield Row("– share of it kept after they have left",
              *(samples.show(key, "kept_share", form="{:.0%}".format) for key in ("bridge", "nchan")),
              goal="it returns", reached=at_most(samples.median("bridge", "kept_share"), 0.25))


def replay_rows(samples):
    yield throughput_row(samples, "replay of 100 events to each of 5,000 reconnecting clients: events per CPU-s", peer_goal=5)


def storm_rows(samples):
    yield Row("10,000 connects: connects per s", *(samples.show(key, "connects_per_second", form=thousands) for key in ("bridge", "nchan")),
              to_peer=samples.ratio("bridge", "nchan", "connects_per_second"), goal="reported")
    yield Row("– longest delay of a live stream meanwhile (just before)",
              *(samples.show(key, "live_max_ms", "quiet_max_ms", form="{:.1f} ms ({:.1f})".format, of=max) for key in ("bridge", "nchan")),
              goal="≤ 20 ms in every round", reached=at_most(samples.over_rounds(max, "bridge", "live_max_ms"), 20))


def ingest_rows(samples):
    for batch in (1, 10, 100):
        to_echo = samples.ratio(f"bridge_{batch}", f"echo_{batch}", "per_second")
        yield Row(f"ingest on one gRPC stream, {batch} a message: events per s (limit: echo)",
                  samples.show(f"bridge_{batch}", "per_second", form=thousands), "–",
                  samples.show(f"echo_{batch}", "per_second", form=thousands), None, to_echo, "≥ 0.8 × limit", at_least(to_echo, 0.8))
        yield Row(f"– {batch} a message: events per CPU-s (limit: parse and ack)",
                  samples.show(f"bridge_{batch}", "per_cpu_second", form=thousands), "–",
                  samples.show(f"acks_{batch}", "per_cpu_second", form=thousands), None,
                  samples.ratio(f"bridge_{batch}", f"acks_{batch}", "per_cpu_second"))


def growth_row(few, many):
    """CPU time per delivery at 10,000 streams against 1,000; the ratios are made of ratios within a round."""
    def growth(key):
        at_few, at_many = few.median(key, "per_cpu_second"), many.median(key, "per_cpu_second")
        return f"{at_few / at_many:.2f} ×" if at_few and at_many else "–"

    def against(other):
        at_few, at_many = (samples.ratio("bridge", other, "per_cpu_second") for samples in (few, many))
        return at_few / at_many if at_few and at_many else None

    return Row("CPU time per delivery at 10,000 streams against 1,000", growth("bridge"), growth("nchan"), growth("bare"),
               against("nchan"), against("bare"), "≤ 1.1 × limit", at_most(against("bare"), 1.1))


ROWS = {"fanout_1k": fanout_1k_rows, "fanout_10k": fanout_10k_rows, "saturated": saturated_rows, "topics": topics_rows,
        "memory": memory_rows, "replay": replay_rows, "storm": storm_rows, "ingest": ingest_rows}


def table(cases):
    """The rows of all cases that have been measured."""
    samples = {name: Samples(case) for name, case in cases.items()}
    rows = [row for name, rows_of in ROWS.items() if name in samples for row in rows_of(samples[name])]
    if "fanout_1k" in samples and "fanout_10k" in samples:
        rows.append(growth_row(samples["fanout_1k"], samples["fanout_10k"]))
    return rows


def markdown(rows):
    lines = ["| case | sse-bridge | nginx with Nchan (peer) | limit | ÷ peer | ÷ limit | to reach | |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        ratios = ["" if ratio is None else f"{ratio:.2f}" for ratio in (row.to_peer, row.to_limit)]
        verdict = {None: "", True: "✓", False: "**missed**"}[row.reached]
        lines.append("| " + " | ".join([row.case, row.bridge, row.peer, row.limit, *ratios, row.goal, verdict]) + " |")
    return "\n".join(lines)


def write_between(path, begin, end, tables):
    """Puts tables between their markers in a document."""
    text = path.read_text()
    between = re.compile(re.escape(begin) + ".*" + re.escape(end), re.DOTALL)
    if not between.search(text):
        raise SystemExit(f"{path} has no place for its tables: {begin} … {end}")
    path.write_text(between.sub(lambda _: f"{begin}\n\n{tables}\n\n{end}", text))


PLOT = """
set terminal svg size 900,{height} dynamic background rgb 'white' font 'sans-serif,13'
set output '{output}'
set title '{title}'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 border -1
set boxwidth 0.9
set grid ytics linecolor rgb '#dddddd'
set yrange [0:*]
set ylabel '{unit}'
set key outside top center horizontal
set bmargin 4
set border 3
set tics nomirror
$data << EOD
{data}
EOD
plot $data using 2:xtic(1) title columnheader linecolor rgb '#2563eb', \\
     '' using 3 title columnheader linecolor rgb '#f59e0b', \\
     '' using 4 title columnheader linecolor rgb '#9ca3af'
"""


def plot(output, title, unit, lines):
    """Draws clustered bars: lines of (label, bridge, peer, limit), None where there is none."""
    cells = lambda values: " ".join("?" if value is None else f"{value:.4g}" for value in values)
    data = '"" "sse-bridge" "nginx with Nchan" "bare send"\n' + "\n".join(f'"{label}" {cells(values)}' for label, *values in lines)
    script = PLOT.format(height=420, output=output, title=title, unit=unit, data=data)
    subprocess.run(["gnuplot"], input="set datafile missing '?'\n" + script, text=True, check=True)


def draw(directory, cases):
    samples = {name: Samples(case) for name, case in cases.items()}

    def line(label, case, figure, scale, keys=("bridge", "nchan", "bare")):
        values = [samples[case].median(key, figure) if key else None for key in keys]
        return [label, *(value and value * scale for value in values)]

    if {"fanout_1k", "fanout_10k", "saturated", "topics"} <= samples.keys():
        plot(directory / "throughput.svg", "Events delivered per CPU-second of the server", "thousands", [
            line("1,000 streams\\n50 events/s", "fanout_1k", "per_cpu_second", 1e-3),
            line("10,000 streams\\n5 events/s", "fanout_10k", "per_cpu_second", 1e-3),
            line("1,000 streams\\nas fast as it goes", "saturated", "per_cpu_second", 1e-3),
            line("10,000 topics\\none at a time", "topics", "per_cpu_second", 1e-3, ("bridge", "nchan", None)),
            line("10,000 topics\\nten at a time", "topics", "per_cpu_second", 1e-3, ("bridge_10", "nchan", None)),
        ])
    if "fanout_1k" in samples:
        plot(directory / "latency.svg", "From publish to receive, 1 topic, 1,000 streams, 50 events/s", "milliseconds", [
            line("p50", "fanout_1k", "p50_ms", 1), line("p99", "fanout_1k", "p99_ms", 1)])
