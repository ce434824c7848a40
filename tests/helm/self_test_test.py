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


def run_self_test(values, missing=None):
    """Runs the test pod's container as the pod would, with its files under a folder and the Services' names resolved to the bridge. `missing` is a
    file that an optional volume does not have."""
    manifests = chart.render({**values, "config": {**DRAIN, **values.get("config", {})}})
    pod = manifests.one("Pod")["spec"]
    with tempfile.TemporaryDirectory() as root:
        files.make(manifests, root)
        files.make_volumes(pod, root)
        if missing:
            pathlib.Path(root + missing).unlink()
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

    def test_a_certificate_of_cert_manager_is_trusted_by_its_authority(self):
        issued = {"certManager": {"enabled": True, "issuer": {"name": "ca"}}}
        values = {"tls": {"http": issued, "grpc": issued}}
        tested = run_self_test(values)
        self.assertEqual(tested.returncode, 0, tested.stderr)
        (volume,) = [volume for volume in chart.render(values).one("Pod")["spec"]["volumes"] if volume["name"] == "ca"]
        self.assertTrue(volume["secret"]["optional"], "an issuer may tell no authority")

    def test_there_is_no_pod_that_would_trust_no_certificate(self):
        def pods(http=None, grpc=None, ca=""):
            sides = {"http": http, "grpc": grpc}
            issued = {side: {"certManager": {"enabled": True, "issuer": {"name": "ca"}, **own}} for side, own in sides.items() if own is not None}
            return len(chart.render({"tls": issued, "test": {"ca": {"existingSecret": ca}}}).all("Pod"))

        of_another = {"issuer": {"name": "other"}}
        public = {"dnsNames": ["events.example.com"], "serviceNames": False}
        with_its_name = {"dnsNames": ["push-grpc-sse-bridge-http.edge.svc"], "serviceNames": False}
        self.assertEqual(pods(http={}, grpc={}), 1)
        self.assertEqual(pods(http=public), 0)
        self.assertEqual(pods(http={}, grpc=public, ca="both"), 0)
        self.assertEqual(pods(http=with_its_name), 1)
        self.assertEqual(pods(http={}, grpc=of_another), 0)
        self.assertEqual(pods(http={}, grpc=of_another, ca="both"), 1)

    def test_an_authority_that_is_missing_is_named(self):
        issued = {"certManager": {"enabled": True, "issuer": {"name": "public"}}}
        tested = run_self_test({"tls": {"http": issued, "grpc": issued}}, missing="/etc/sse-bridge/ca/ca.crt")
        self.assertEqual(tested.returncode, 1)
        self.assertIn("/etc/sse-bridge/ca/ca.crt", tested.stderr)

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
