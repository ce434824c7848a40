"""The bridge on each of its logs, and the bare stores under them."""

import concurrent.futures
import contextlib
import dataclasses
import http.client
import pathlib
import shutil
import tempfile
import time

from processes import START_SECONDS, MeasurementError, Server, free_port, run_to_end
from systems import Bridge, Plan

# What the bridge lets wait for JetStream's acks (jetstream::Publisher::kUnackedMax).
JETSTREAM_WINDOW = 2048


@dataclasses.dataclass
class LogPlan(Plan):
    """What is published to a log."""

    publishers: int = 1  # each on a stream and a topic of its own
    once: bool = False  # by PublishOnce, one request after the other
    ring: int = 100_000  # the events of the bridge's ring; what is older is in the store only


class BridgeOnMemory(Bridge):
    """The log without a store under it: what the others are measured against."""

    label = "memory"

    @contextlib.contextmanager
    def running(self, plan, settings=None):
        ring = {"log.history.max_events": plan.ring, "log.history.max_bytes": "2GiB"}
        with super().running(plan, ring | (settings or {})) as server:
            self._wait_ready()
            yield server

    def _wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection(self.admin, timeout=1)
            with contextlib.closing(connection), contextlib.suppress(OSError):
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            time.sleep(0.02)
        raise MeasurementError(f"the bridge on {self.label} is not ready")

    def publisher(self, plan):
        return super().publisher(plan) + (["--once"] if plan.once else [])

    def publish_all(self, plan, topic):
        """As publish, with all publishers at the same time; what they did together."""
        if plan.publishers == 1:
            return self.publish(plan, topic)
        with concurrent.futures.ThreadPoolExecutor(plan.publishers) as pool:
            reports = list(pool.map(lambda number: self.publish(plan, f"{topic}.{number}"), range(plan.publishers)))
        return {"events": sum(report["events"] for report in reports), "seconds": max(report["seconds"] for report in reports),
                **{figure: max(report[figure] for report in reports) for figure in ("ack_p50_ms", "ack_p99_ms")}}

    def store_cpu_seconds(self):
        """CPU time of the store's own process, where it has one."""
        return 0

    def transactions(self):
        """The store's commits so far; None where it has none."""
        return None

    def bare(self, _plan, _events_per_commit):
        """The report of the store alone under this load; None where there is no store."""
        return None

    def _run_bare(self, program, *arguments):
        return run_to_end([self.machine.program(program), *arguments], self.machine.load_core)

    @contextlib.contextmanager
    def _directory(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="store-", dir=self.machine.path(".")))
        try:
            yield path
        finally:
            shutil.rmtree(path)


class BridgeOnDisk(BridgeOnMemory):
    """LMDB, an ack means synced."""

    label = "disk, each_batch"
    sync = "each_batch"

    @contextlib.contextmanager
    def running(self, plan, settings=None):
        with self._directory() as self._path:
            disk = {"log.disk.path": self._path, "log.disk.sync": self.sync}
            with super().running(plan, disk | (settings or {})) as server:
                yield server

    def transactions(self):
        return self._run_bare("bare_lmdb", "--transactions-of", self._path / "data.mdb")["transactions"]

    def bare(self, plan, events_per_commit):
        with self._directory() as path:
            return self._run_bare("bare_lmdb", "--file", path / "data.mdb", "--seconds", plan.seconds,
                                  "--batch", max(round(events_per_commit), 1))


class BridgeOnDiskByInterval(BridgeOnDisk):
    """LMDB, synced five times a second."""

    label = "disk, interval"
    sync = "interval"


class BridgeOnJetStream(BridgeOnMemory):
    """A nats-server on this machine, its store on the same disk as LMDB's."""

    label = "JetStream"

    @staticmethod
    def missing(machine):
        return BridgeOnMemory.missing(machine) or (None if shutil.which("nats-server") else "nats-server is not installed")

    @contextlib.contextmanager
    def running(self, plan, settings=None):
        with self._nats() as (self._nats_server, url), super().running(plan, {"log.jetstream.url": url} | (settings or {})) as server:
            self._url = url
            yield server

    @contextlib.contextmanager
    def _nats(self):
        port = free_port()
        with self._directory() as path:
            argv = ["nats-server", "-js", "-a", "127.0.0.1", "-p", port, "-sd", path]
            with Server(argv, self.machine.server_core) as server:
                server.wait_accepting(port)
                yield server, f"nats://127.0.0.1:{port}"

    def store_cpu_seconds(self):
        return self._nats_server.cpu_seconds()

    def bare(self, plan, _events_per_commit, *options):
        with self._nats() as (_server, url):
            return self._run_bare("bare_jetstream", "--url", url, "--seconds", plan.seconds,
                                  "--window", min(plan.window * plan.batch * plan.publishers, JETSTREAM_WINDOW), *options)


class Replicas(BridgeOnJetStream):
    """Two bridges on one nats-server; what is published to the first one arrives at both."""

    label = "two replicas on JetStream"

    @contextlib.contextmanager
    def running(self, plan, settings=None):
        self.second = BridgeOnMemory(self.machine)
        with super().running(plan, settings) as server, self.second.running(plan, {"log.jetstream.url": self._url}):
            yield server
