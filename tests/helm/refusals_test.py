"""What would not run, or would not do what it seems to say, is refused before it reaches the cluster, with what to change."""

import unittest

import chart

JETSTREAM = {"log": {"jetstream": {"url": "nats://nats:4222"}}}
DISK = {"log": {"disk": {"enabled": True}}}

REFUSED = {
    "two pods with the log in memory": (
        {"replicas": 2},
        "replicas: 2 pods with the log in the pod (memory) would each have other events: set log.jetstream.url, or replicas: 1",
    ),
    "two pods with the log on disk": ({"replicas": 2, **DISK}, "replicas: 2 pods with the log in the pod (disk)"),
    "an autoscaler with the log in memory": (
        {"autoscaling": {"enabled": True}},
        "autoscaling.enabled: the log is in the pod (memory), so a second pod would have other events: set log.jetstream.url",
    ),
    "an autoscaler with the log on disk": ({"autoscaling": {"enabled": True}, **DISK}, "autoscaling.enabled: the log is in the pod (disk)"),
    "more pods at least than at most": (
        {"autoscaling": {"enabled": True, "minReplicas": 7}, **JETSTREAM},
        "autoscaling.minReplicas: 7 is more than maxReplicas, which is 6",
    ),
    "an autoscaler that looks at nothing": ({"autoscaling": {"enabled": True, "cpu": 0}, **JETSTREAM}, "eventStreams and cpu are both 0"),
    "a share of a CPU that is not requested": (
        {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}, **JETSTREAM},
        "autoscaling.cpu: is a share of resources.requests.cpu, which is not set",
    ),
    "two logs": (
        {"log": {**JETSTREAM["log"], **DISK["log"]}},
        "log.disk.enabled: log.jetstream.url is set too, and there is one log: leave out one of the two",
    ),
    "two logs, one of them in the configuration": (
        {**DISK, "config": {"log": {"jetstream": {"url": "nats://nats:4222"}}}},
        "log.disk.enabled: log.jetstream.url is set too",
    ),
    "a password in a ConfigMap": (
        {"log": {"jetstream": {"url": "nats://bridge:hunter2@nats:4222"}}},
        "log.jetstream.url: has a password or a token in it, which would stand in a ConfigMap: write ${NAME}",
    ),
    "a token in a ConfigMap": ({"config": {"log": {"jetstream": {"url": "nats://a,nats://s3cr3t@nats:4222"}}}}, "log.jetstream.url: has a password"),
    "a volume that the log outgrows": (
        {**DISK, "config": {"log": {"disk": {"max_bytes": "20GiB"}}}},
        "log.disk.size: 32Gi is too small: the log's file takes up to three times config.log.disk.max_bytes, which is 20GiB, and that of calls",
    ),
    "a volume that the log outgrows with that of calls": (
        {**DISK, "config": {"log": {"disk": {"max_bytes": "9GiB"}}, "calls": {"log": {"max_bytes": "1GiB"}}}},
        "and that of calls six times config.calls.log.max_bytes, together 35433480192 bytes",
    ),
    "a volume that calls take alone": (
        {"log": {"disk": {"enabled": True, "size": "3Gi"}}},
        "log.disk.size: 3Gi is too small: the log's file takes up to three times config.log.disk.max_bytes",
    ),
    "a volume that leaves nothing to events": (
        {"log": {"disk": {"enabled": True, "size": "3.5Gi"}}},
        "log.disk.size: 3.5Gi is too small: the file of calls takes up to 3221225472 bytes of it, six times config.calls.log.max_bytes",
    ),
    "a drain of unknown length": (
        {"config": {"drain": {"window": "${WINDOW}"}}},
        "config.drain.window: the pod's grace period is computed from it",
    ),
    "an address that only the pod reaches": (
        {"config": {"admin": {"address": "127.0.0.1:8081"}}},
        "config.admin.address: nobody outside the pod reaches 127.0.0.1:8081, not even the kubelet: write 0.0.0.0 or [::]",
    ),
    "a port that nobody knows": ({"config": {"http": {"address": "0.0.0.0:0"}}}, "config.http.address: 0.0.0.0:0 has no port"),
    "two listeners on one port": (
        {"config": {"grpc": {"address": "0.0.0.0:8080"}}},
        "config.grpc.address: port 8080 is another listener's too",
    ),
    "a probe by gRPC where gRPC has TLS": (
        {"probes": {"grpc": True}, "tls": {"grpc": {"existingSecret": "tls"}}},
        "probes.grpc: the gRPC side has TLS, which the kubelet's probes do not speak",
    ),
    "a headless load balancer": (
        {"service": {"grpc": {"headless": True, "type": "LoadBalancer"}}},
        "service.grpc.headless: a Service of the type LoadBalancer has an address",
    ),
    "two certificates": (
        {"tls": {"http": {"existingSecret": "tls", "certManager": {"enabled": True, "issuer": {"name": "ca"}}}}},
        "tls.http: existingSecret and certManager.enabled are both set",
    ),
    "a certificate that nobody signs": (
        {"tls": {"grpc": {"certManager": {"enabled": True}}}},
        "tls.grpc.certManager.issuer.name: is missing",
    ),
    "a certificate for no name": (
        {"tls": {"http": {"certManager": {"enabled": True, "issuer": {"name": "ca"}, "serviceNames": False}}}},
        "tls.http.certManager: a certificate without a name",
    ),
    "certificates of clients without TLS": (
        {"tls": {"http": {"clientCa": {"existingSecret": "ca"}}}},
        "tls.http.clientCa: clients show certificates only over TLS",
    ),
    "a route without a Gateway": ({"gateway": {"http": {"enabled": True}}}, "gateway.http.enabled: a route belongs to a Gateway"),
    "a monitor that reaches nothing": (
        {"metrics": {"serviceMonitor": {"enabled": True}}},
        "metrics.serviceMonitor.enabled: the network policy keeps Prometheus from the admin port: name it in networkPolicy.admin.from",
    ),
    "alerts about nothing": ({"metrics": {"rules": {"enabled": True}}}, "metrics.rules.enabled: the alerts ask for the ServiceMonitor's job"),
    "a load balancer whose health checks fail": (
        {"ingress": {"preset": "alb", "http": {"enabled": True}}},
        "ingress.preset: the load balancer asks the admin port whether a pod is ready",
    ),
    "an ingress that reaches no publishing side": (
        {"ingress": {"grpc": {"enabled": True}}},
        "ingress.grpc.enabled: the network policy lets pods of the release's namespace alone reach the gRPC port: name where publishers come from",
    ),
    "a gateway that reaches no publishing side": (
        {"gateway": {"parentRefs": [{"name": "public"}], "grpc": {"enabled": True}}},
        "gateway.grpc.enabled: the network policy lets pods of the release's namespace alone reach the gRPC port",
    ),
    "keys in two places": (
        {
            "auth": {"keys": [{"algorithm": "HS256", "existingSecret": "key"}]},
            "config": {"auth": {"jwt": {"keys": [{"algorithm": "HS256", "secret_file": "/etc/key"}]}}},
        },
        "config.auth.jwt.keys: would take the place of those of auth.keys: list all in one of the two",
    ),
    "keys beside no authentication": (
        {"auth": {"keys": [{"algorithm": "HS256", "existingSecret": "key"}]}, "config": {"auth": {"allow_anonymous": True}}},
        "config.auth.allow_anonymous: lets everybody do everything, and auth.keys has keys",
    ),
}

# What the schema refuses, and how it names the place.
MISTYPED = {
    "a value that is not known": ({"replica": 2}, "replica"),
    "a value that is not known, further down": ({"service": {"grpc": {"headles": True}}}, "headles"),
    "a key of the configuration that is not known": ({"config": {"http": {"heartbeats": "10s"}}}, "heartbeats"),
    "a word that the configuration does not know": ({"config": {"logging": {"level": "verbose"}}}, "level"),
    "a key without a Secret": ({"auth": {"keys": [{"algorithm": "HS256"}]}}, "existingSecret"),
    "a secret in place": ({"auth": {"keys": [{"algorithm": "HS256", "existingSecret": "a", "secret": "b"}]}}, "secret"),
    "an algorithm that is none": ({"auth": {"keys": [{"algorithm": "none", "existingSecret": "a"}]}}, "algorithm"),
    "a preset that is not known": ({"ingress": {"preset": "haproxy"}}, "preset"),
    "a policy that closes the gRPC port": ({"networkPolicy": {"grpc": {"from": []}}}, "from"),
    "a drain without a unit": ({"drain": {"delay": "5"}}, "delay"),
}


class Refusals(unittest.TestCase):
    def test_what_cannot_work_is_refused_with_what_to_change(self):
        for what, (values, message) in REFUSED.items():
            with self.subTest(what):
                self.assertIn(message, chart.refusal(values))

    def test_what_is_mistyped_is_refused_by_the_schema(self):
        for what, (values, place) in MISTYPED.items():
            with self.subTest(what):
                said = chart.refusal(values)
                self.assertIn("values don't meet the specifications of the schema", said)
                self.assertIn(place, said)

    def test_what_is_nearly_refused_renders(self):
        for values in [
            {"replicas": 0},
            {"replicas": 2, **JETSTREAM},
            {"replicas": 2, "config": {"log": {"jetstream": {"url": "nats://nats:4222"}}}, "autoscaling": {"enabled": True}},
            {"log": {"jetstream": {"url": "nats://bridge:${NATS_PASSWORD}@nats-0:4222,nats://nats-1:4222"}}},
            {"log": {"jetstream": {"url": "nats://${NATS_TOKEN}@nats-0:4222"}}},
            {"config": {"logging": {"level": "${LEVEL}"}}},
            {**DISK, "config": {"log": {"disk": {"max_bytes": "9GiB"}}}},
            {**DISK, "config": {"log": {"disk": {"max_bytes": "1MiB"}}}},
            {**DISK, "config": {"calls": {"log": {"max_bytes": "${CALLS_BYTES}"}}}},
            {"ingress": {"grpc": {"enabled": True}}, "networkPolicy": {"enabled": False}},
            {"ingress": {"grpc": {"enabled": True}}, "networkPolicy": {"grpc": {"from": [{"podSelector": {"matchLabels": {"app": "nginx"}}}]}}},
            {"global": {"anything": "of a chart around it"}},
        ]:
            with self.subTest(values):
                chart.render(values)


if __name__ == "__main__":
    unittest.main()
