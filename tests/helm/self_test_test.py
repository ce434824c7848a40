"""What `helm test` runs, run: the real bridge with the rendered configuration, and the test pod's own arguments against it."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

import chart
import files

TLS = {
    "tls": {"http": {"existingSecret": "tls"}, "grpc": {"existingSecret": "tls"}},
    "test": {"ca": {"existingSecret": "ca"}},
}
DRAIN = {"drain": {"delay": "0s", "window": "0s"}}


@contextlib.contextmanager
def bridge(manifests, root):
    """Starts a bridge with the rendered configuration on free ports of this machine: {"http": address, "grpc": address}."""
    file = pathlib.Path(root, "etc/sse-bridge/config/sse-bridge.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(manifests.configuration_text.replace(" /etc/", f" {root}/etc/"), "utf-8")
    free = [part for side in ("http", "grpc", "admin") for part in ("--set", f"{side}.address=127.0.0.1:0")]
    log = pathlib.Path(root, "log")
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen([chart.BRIDGE, "--config", str(file), *free, "--set", "logging.format=text"], stderr=output)
    try:
        deadline = time.monotonic() + 20
        while not (listening := re.search(r"\blistening\b.*\bhttp=(\S+) grpc=(\S+)", log.read_text("utf-8"))):
            if time.monotonic() > deadline or process.poll() is not None:
                raise AssertionError(log.read_text("utf-8"))
            time.sleep(0.01)
        yield {"http": listening[1], "grpc": listening[2]}
    finally:
        process.terminate()
        process.wait(timeout=20)


def run_self_test(values):
    """Runs the test pod's container as the pod would, with its files under a folder and the Services' names resolved to the bridge."""
    manifests = chart.render({**values, "config": {**DRAIN, **values.get("config", {})}})
    pod = manifests.one("Pod")["spec"]
    with tempfile.TemporaryDirectory() as root:
        files.make(manifests, root)
        files.make_volumes(pod, root)
        with bridge(manifests, root) as addresses:
            arguments = pod["containers"][0]["args"]
            for side, address in addresses.items():
                service = rf"{manifests.name}-{side}\.{chart.NAMESPACE}\.svc:\d+"
                arguments = [re.sub(service, address, argument) for argument in arguments]
            arguments = [re.sub("^/etc/", f"{root}/etc/", argument) for argument in arguments]
            return chart.run([chart.BRIDGE, *arguments], env={**os.environ, "NO_PROXY": "*"})


class SelfTest(unittest.TestCase):
    def test_an_event_comes_through(self):
        for what, values in {
            "with the secret that the chart made": {},
            "with a key of one's own, a name for it, an issuer and an audience": {
                "auth": {"keys": [{"algorithm": "HS384", "existingSecret": "key", "kid": "first"}]},
                "config": {"auth": {"jwt": {"issuer": "https://id.example.com/", "audience": "push"}}},
            },
            "with TLS": TLS,
            "without authentication": {"config": {"auth": {"allow_anonymous": True}}},
        }.items():
            with self.subTest(what):
                tested = run_self_test(values)
                self.assertEqual(tested.returncode, 0, tested.stderr)

    def test_a_key_that_the_bridge_does_not_have_fails(self):
        manifests = chart.render({"config": DRAIN})
        with tempfile.TemporaryDirectory() as root:
            files.make(manifests, root)
            with bridge(manifests, root) as addresses:
                other = pathlib.Path(root, "other")
                other.write_text(files.content("other", None), "utf-8")
                arguments = ["--self-test", "--http", f"http://{addresses['http']}", "--grpc", addresses["grpc"], "--key-file", str(other)]
                tested = chart.run([chart.BRIDGE, *arguments])
        self.assertEqual(tested.returncode, 1)
        self.assertTrue(tested.stderr)


if __name__ == "__main__":
    unittest.main()
