"""The processes of a measurement: started on one core, read from /proc, ended with their owner."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 15


class MeasurementError(Exception):
    """A measurement that cannot be counted, with the reason."""


def pinned(core, argv, realtime=False):
    """The command line that runs argv on one core and ends it when we end."""
    prefix = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core)]
    if realtime:
        prefix += ["chrt", "-f", "1"]
    return prefix + [str(argument) for argument in argv]


def may_be_realtime():
    """Whether chrt works here."""
    return subprocess.run(["chrt", "-f", "1", "true"], capture_output=True).returncode == 0


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class OthersWatch:
    """The share of the machine's CPU time that others than this process and its ended children take, from now on."""

    def __init__(self):
        self._start, self._busy, self._own = time.monotonic(), self._busy_seconds(), self._own_seconds()

    @staticmethod
    def _busy_seconds():
        with open("/proc/stat", encoding="ascii") as stat:
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND

    @staticmethod
    def _own_seconds():
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    def share(self):
        others = self._busy_seconds() - self._busy - (self._own_seconds() - self._own)
        return max(others, 0) / (time.monotonic() - self._start) / os.cpu_count()


class Server:
    """A server process that has said `name=address` for each of its listeners on standard error."""

    def __init__(self, argv, core):
        self._log = tempfile.TemporaryFile(mode="w+b")
        self._process = subprocess.Popen(pinned(core, argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(f"\nthe server said: {self.log()[-2000:]}", file=sys.stderr)
        self.stop(signal.SIGKILL)

    def stop(self, how):
        self._process.send_signal(how)
        self._process.wait(START_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            stream.close()

    def wait_listening(self):
        """The addresses by name."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            said = re.search(r"listening((?: \w+=\S+)+)", self.log())
            if said:
                return dict(pair.split("=", 1) for pair in said[1].split())
            time.sleep(0.02)
        raise MeasurementError(f"{self._process.args[-1]} does not listen; it said: {self.log()[-500:]}")

    def wait_accepting(self, port):
        """For a server that does not say where it listens."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.02)
        raise MeasurementError(f"nobody listens on port {port}; the server said: {self.log()[-500:]}")

    def log(self):
        # The server writes at the position of this same open file: reading must not move it.
        log = self._log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")

    def say(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def read_report(self):
        return json.loads(self._process.stdout.readline())

    def pids(self):
        """This process and its children (nginx has its worker as a child)."""
        pid = self._process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            return [pid, *map(int, children.read().split())]

    def cpu_seconds(self):
        """User and system time of all threads, from /proc/PID/stat."""
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_SECOND

    def memory_bytes(self):
        """Anonymous and shared memory, without the files that are mapped; what two processes share counts once."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                total += sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", rollup.read(), re.MULTILINE))) * 1024
        return total


class Driven:
    """A running program that takes orders on its standard input and reports by lines."""

    def __init__(self, argv, core, realtime=False):
        self._name = argv[0].name
        self._process = subprocess.Popen(pinned(core, argv, realtime), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends all its connections."""
        if self._process.poll() is None:
            self._process.stdin.close()
        try:
            self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()

    def read_report(self):
        line = self._process.stdout.readline()
        if not line:
            raise MeasurementError(f"{self._name} ended: {self._process.stderr.read().strip()}")
        return json.loads(line)

    def order(self, line):
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise MeasurementError(f"{self._name} ended: {self._process.stderr.read().strip()}") from None

    def reset(self):
        """Counts from 0; returns when it does."""
        self.order("reset")
        self.report()

    def report(self):
        """The next report that was asked for: what is said of its own accord may stand before it."""
        self.order("report")
        report = self.read_report()
        while report["kind"] != "report":
            report = self.read_report()
        return report


class Load(Driven):
    """A running sse_load."""

    def await_deliveries(self, count):
        """The report when so many events have arrived; each stream's sequence has to be whole."""
        self.order(f"await {count}")
        report = self.read_report()
        if report["deliveries"] != count or report["lost"] or report["disordered"] or report["closed"]:
            raise MeasurementError("{deliveries:.0f} deliveries, {lost:.0f} lost, {disordered:.0f} disordered, {closed:.0f} closed"
                                   " streams".format(**report) + f"; {count} deliveries were to come")
        return report


def run_to_end(argv, core, realtime=False):
    """The report of a program that ends by itself."""
    done = subprocess.run(pinned(core, argv, realtime), capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise MeasurementError(f"{argv[0].name}: {done.stderr.strip()}")
    return json.loads(done.stdout)
