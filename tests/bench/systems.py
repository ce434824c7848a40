"""What is measured: the bridge, its peer nginx with Nchan, a bare loop of sends, and gRPC servers with nothing behind them."""

import contextlib
import copy
import dataclasses
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile

from processes import Load, MeasurementError, Server, free_port, run_to_end

NCHAN_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

NGINX_CONF = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
{user}
events {{ worker_connections {connections}; multi_accept on; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  nchan_shared_memory_size 512m;
  nchan_message_buffer_length 1000;
  nchan_message_timeout 1h;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /pub {{ nchan_publisher http; nchan_channel_id $arg_id; }}
    location = /sub {{
      nchan_subscriber eventsource;
      nchan_channel_id $arg_id;
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval 15;
    }}
  }}
}}
"""


@dataclasses.dataclass
class Plan:
    """What is published, to how many."""

    streams: int
    topics: int = 1
    events: int = 0  # 0: as many as `seconds` allow
    seconds: float = 20
    rate: float = 0  # events per second; 0: as fast as it goes
    batch: int = 1  # events in a gRPC request
    window: int = 1000  # requests without an ack
    lag_max: int = 0  # events of its topic that the slowest stream may be behind; 0: any
    events_per_send: int = 1  # of the bare loop
    payload: int = 256  # bytes of an event

    def limits(self):
        return ["--events", self.events, "--seconds", self.seconds, "--rate", self.rate, "--payload", self.payload]


class Machine:
    """Where things are and on which cores they run."""

    def __init__(self, programs):
        self.programs = pathlib.Path(programs)
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise SystemExit("The benchmark needs two cores: one for the server, one for the load.")
        self.server_core, self.load_core = cores[0], cores[1]
        self.directory = tempfile.TemporaryDirectory(prefix="sse-bridge-bench-")

    def path(self, name):
        return pathlib.Path(self.directory.name) / name

    def program(self, name):
        return self.programs / name

    def sharing_cores(self):
        """The same machine, where all processes run on both cores: for measurements of more processes than cores."""
        machine = copy.copy(self)
        machine.server_core = machine.load_core = f"{self.server_core},{self.load_core}"
        return machine

    def load(self, system, streams, *, topic, topics=1, query="", realtime=False, **options):
        """An sse_load on a system; the options are its own, with underscores."""
        argv = [self.program("sse_load"), "--target", system.http, "--path", system.subscribe_path(topic) + query, "--streams", streams,
                "--topics", topics]
        argv += getattr(system, "load_options", [])
        for name, value in options.items():
            argv += ["--" + name.replace("_", "-"), value]
        return Load(argv, self.load_core, realtime)


class Publishing:
    """A system that has publishers of its own: what the bridge and its peer share."""

    def __init__(self, machine):
        self.machine = machine

    def publish(self, plan, topic, realtime=False):
        argv = [self.machine.program("publish_load"), "--topic", topic, "--topics", plan.topics, *plan.limits(), *self.publisher(plan)]
        if plan.lag_max:
            argv += ["--progress", self.machine.path("progress"), "--lag-max", plan.lag_max]
        report = run_to_end(argv, self.machine.load_core, realtime)
        if report["rejected"]:
            raise MeasurementError(f"{report['rejected']:.0f} events were rejected")
        if not report["events"]:
            raise MeasurementError("nothing was acked in all that time")
        return report


class Bridge(Publishing):
    """This project: the shipped binary with its defaults, but for one event loop."""

    label = "sse-bridge"

    @staticmethod
    def missing(machine):
        return None if machine.program("sse-bridge").exists() else "not built"

    @contextlib.contextmanager
    def running(self, _plan, settings=None):
        argv = [self.machine.program("sse-bridge"), "--set", "http.event_loops=1"]
        for key in ("http", "grpc", "admin"):
            argv += ["--set", f"{key}.address=127.0.0.1:0"]
        for key, value in (settings or {}).items():
            argv += ["--set", f"{key}={value}"]
        with Server(argv, self.machine.server_core) as server:
            listening = server.wait_listening()
            self.http, self.grpc, self.admin = listening["http"], listening["grpc"], listening["admin"]
            yield server

    def subscribe_path(self, topic):
        return f"/events?topic={topic}"

    def publisher(self, plan):
        return ["--target", self.grpc, "--batch", plan.batch, "--window", plan.window]


class BridgeTls(Bridge):
    """The same with TLS for the event streams: an elliptic certificate, TLS 1.3, AES-128-GCM."""

    label = "sse-bridge with TLS"
    load_options = ["--tls"]

    @contextlib.contextmanager
    def running(self, plan, settings=None):
        certificate, key = self.machine.path("certificate.pem"), self.machine.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                        "-days", "2", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        tls = {"http.tls.certificate_file": certificate, "http.tls.key_file": key}
        with super().running(plan, {**tls, **(settings or {})}) as server:
            yield server


class BridgeAuth(Bridge):
    """The same with tokens for publishers and event streams, and with every limit on, none of which is reached."""

    label = "sse-bridge with tokens and limits"

    @contextlib.contextmanager
    def running(self, plan, settings=None):
        secret = self.machine.path("secret")
        secret.write_text("a secret of the benchmark that is long enough")
        made = subprocess.run([self.machine.program("sse-bridge"), "token", "--subscribe", ">", "--publish", ">", "--subject", "bench", "--ttl",
                               "1h", "--key", secret], check=True, capture_output=True, text=True)
        self.load_options = ["--token", made.stdout.strip()]
        much = 1_000_000_000
        limits = {"streams_per_address": much, "streams_per_subject": much, "connects_per_second": much, "replay_events_per_second": much,
                  "replay_bytes_per_second": much, "publish_events_per_second": much, "publish_bytes_per_second": much}
        auth = {"auth.jwt.keys": f"[{{kid: bench, algorithm: HS256, secret_file: {secret}}}]"}
        auth |= {f"limits.{key}": value for key, value in limits.items()}
        with super().running(plan, auth | (settings or {})) as server:
            yield server

    def publisher(self, plan):
        return super().publisher(plan) + self.load_options


class Nchan(Publishing):
    """nginx with Nchan, one worker."""

    label = "nginx with Nchan"

    @staticmethod
    def missing(_machine):
        if shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") is None:
            return "nginx is not installed"
        return None if NCHAN_MODULE.exists() else "libnginx-mod-nchan is not installed"

    @contextlib.contextmanager
    def running(self, plan):
        directory = self.machine.path("nginx")
        directory.mkdir(exist_ok=True)
        port = free_port()
        # It closes waiting connections when less than a sixteenth of its connections is free.
        conf = directory / "nginx.conf"
        conf.write_text(NGINX_CONF.format(module=NCHAN_MODULE, directory=directory, port=port, connections=plan.streams * 5 // 4 + 1000,
                                          descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1], user="user root;" if os.geteuid() == 0 else ""))
        self.http = f"127.0.0.1:{port}"
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        server = Server([nginx, "-p", directory, "-c", conf, "-e", directory / "error.log"], self.machine.server_core)
        try:
            server.wait_accepting(port)
            yield server
        finally:
            server.stop(signal.SIGTERM)  # the worker would outlive a killed master

    def subscribe_path(self, topic):
        return f"/sub?id={topic}"

    def publisher(self, _plan):
        return ["--target", self.http, "--http-path", "/pub?id={topic}"]


class BareSend:
    """The limit: see bare_send.cc."""

    label = "bare send"

    def __init__(self, machine):
        self.machine = machine

    @staticmethod
    def missing(_machine):
        return None

    @contextlib.contextmanager
    def running(self, plan):
        argv = [self.machine.program("bare_send"), "--streams", plan.streams, *plan.limits(), "--events-per-send", plan.events_per_send]
        argv += ["--in-turn"] if plan.topics > 1 else []
        with Server(argv, self.machine.server_core) as self._server:
            self.http = self._server.wait_listening()["http"]
            yield self._server

    def subscribe_path(self, _topic):
        return "/"

    def publish(self, _plan, _topic):
        self._server.say("start")
        return self._server.read_report()


class BareGrpc(Publishing):
    """The ceiling of ingest: see grpc_echo.cc."""

    reply = "echo"
    label = "gRPC echo"

    @staticmethod
    def missing(_machine):
        return None

    @contextlib.contextmanager
    def running(self, _plan):
        with Server([self.machine.program("grpc_echo"), "--reply", self.reply], self.machine.server_core) as server:
            self.grpc = server.wait_listening()["grpc"]
            yield server

    def publisher(self, plan):
        echo = ["--echo"] if self.reply == "echo" else []
        return ["--target", self.grpc, "--batch", plan.batch, "--window", plan.window, *echo]


class BareGrpcAcks(BareGrpc):
    """The same, but it parses and answers with acks as the bridge does."""

    reply = "ack"
    label = "gRPC parse and ack"
