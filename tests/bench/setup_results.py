"""The tables of the bridge in another set-up, beside its defaults."""

import dataclasses

from results import Samples, kibibytes, milliseconds, thousands


@dataclasses.dataclass
class SetupTable:
    """The cases of one set-up: they are named KEY_..., and its variant is KEY."""

    key: str
    label: str
    rows: list  # the case without the key, the figure, its words, and how it is shown

    @property
    def marks(self):
        """What the table stands between in the document."""
        return f"<!-- table of {self.label}: scripts/bench writes it -->", f"<!-- end of table of {self.label} -->"

    def markdown(self, cases):
        rows = [self._row(cases, *row) for row in self.rows if self._case(row[0]) in cases]
        if not rows:
            return ""
        lines = [f"| case | plain | {self.label} | {self.label} ÷ plain |", "|---|---|---|---|"]
        return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])

    def _case(self, name):
        return f"{self.key}_{name}"

    def _row(self, cases, name, figure, words, form):
        samples = Samples(cases[self._case(name)])
        ratio = samples.ratio(self.key, "bridge", figure)
        return [words, *(samples.show(key, figure, form=form) for key in ("bridge", self.key)), "" if ratio is None else f"{ratio:.2f}"]


SETUP_TABLES = [
    SetupTable("tls", "TLS", [
        ("fanout_1k", "per_cpu_second", "1 topic, 1,000 streams, 50 events/s: deliveries per CPU-s", thousands),
        ("fanout_1k", "p99_ms", "– publish to receive there, p99", milliseconds),
        ("saturated", "per_cpu_second", "1 topic, 1,000 streams, as fast as it goes: deliveries per CPU-s", thousands),
        ("memory", "bytes_per_stream", "memory per idle stream, from 2,000 to 12,000", kibibytes),
        ("memory", "kept_share", "– share of it kept after they have left", "{:.0%}".format),
        ("replay", "per_cpu_second", "replay of 100 events to each of 5,000 reconnecting clients: events per CPU-s", thousands),
        ("storm", "connects_per_cpu_second", "10,000 connects: connects per CPU-s", thousands),
        ("storm", "live_max_ms", "– longest delay of a live stream meanwhile", milliseconds),
    ]),
    SetupTable("auth", "tokens and limits", [
        ("fanout_1k", "per_cpu_second", "1 topic, 1,000 streams, 50 events/s: deliveries per CPU-s", thousands),
        ("fanout_1k", "p99_ms", "– publish to receive there, p99", milliseconds),
        ("saturated", "per_cpu_second", "1 topic, 1,000 streams, as fast as it goes: deliveries per CPU-s", thousands),
        ("memory", "bytes_per_stream", "memory per idle stream, from 2,000 to 18,000", kibibytes),
        ("memory", "kept_share", "– share of it kept after they have left", "{:.0%}".format),
        ("replay", "per_cpu_second", "replay of 100 events to each of 5,000 reconnecting clients: events per CPU-s", thousands),
        ("storm", "connects_per_cpu_second", "10,000 connects: connects per CPU-s", thousands),
        ("storm", "live_max_ms", "– longest delay of a live stream meanwhile", milliseconds),
        ("ingest_1", "per_cpu_second", "ingest on one gRPC stream, 1 a message: events per CPU-s", thousands),
        ("ingest_10", "per_cpu_second", "– 10 a message", thousands),
    ]),
]
