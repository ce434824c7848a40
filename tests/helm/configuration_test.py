"""The configuration of every case is one that the real bridge takes, with the files that the pod mounts and no others."""

import os
import pathlib
import tempfile
import unittest

import chart
import files

ENVIRONMENT = {"NATS_PASSWORD": "a password", "ORIGIN": "https://app.example.com"}


class Configuration(unittest.TestCase):
    def check(self, manifests):
        """Runs `sse-bridge --check-config` with the pod's root in a folder."""
        with tempfile.TemporaryDirectory() as root:
            files.make(manifests, root)
            shop = pathlib.Path(root, "etc/shop")
            shop.mkdir(parents=True)
            support = chart.ROOT / "tests/support"
            chart.must_run([
                "protoc", f"--proto_path={support}", "--include_imports", f"--descriptor_set_out={shop}/shop.binpb", f"{support}/shop.proto",
            ])  # fmt: skip
            file = pathlib.Path(root, "sse-bridge.yaml")
            file.write_text(manifests.configuration_text.replace(" /etc/", f" {root}/etc/"), "utf-8")
            return chart.run([chart.BRIDGE, "--config", str(file), "--check-config"], env={**os.environ, **ENVIRONMENT})

    def test_the_bridge_takes_the_configuration_of_every_case(self):
        for case in chart.CASES:
            with self.subTest(case):
                checked = self.check(chart.rendered(case))
                self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_a_file_that_is_not_mounted_would_be_noticed(self):
        manifests = chart.render("disk")
        manifests.container["volumeMounts"] = [mount for mount in manifests.container["volumeMounts"] if mount["name"] != "key-0"]
        checked = self.check(manifests)
        self.assertNotEqual(checked.returncode, 0)
        self.assertIn("key-0/key", checked.stderr)

    def test_the_configuration_is_read_from_where_it_is_mounted(self):
        manifests = chart.rendered("defaults")
        self.assertEqual(manifests.container["args"], ["--config", "/etc/sse-bridge/config/sse-bridge.yaml"])
        self.assertIn({"name": "config", "mountPath": "/etc/sse-bridge/config", "readOnly": True}, manifests.container["volumeMounts"])

    def test_what_is_given_counts_more_than_what_the_chart_sets(self):
        given = {"http": {"event_loops": 7}, "logging": {"format": "text"}, "drain": {"window": "0s"}}
        merged = chart.render({"config": given}).configuration
        self.assertEqual(merged["http"], {"address": "0.0.0.0:8080", "event_loops": 7})
        self.assertEqual(merged["logging"], {"format": "text"})
        self.assertEqual(merged["drain"], {"delay": "5s", "window": "0s"})

    def test_words_that_yaml_takes_for_booleans_stay_words(self):
        switches = {"console": {"enabled": True}, "grpc": {"reflection": True}, "auth": {"tickets": {"enabled": False}}}
        merged = chart.render({"config": switches}).configuration
        self.assertEqual(merged["console"], {"enabled": "on"})
        self.assertEqual(merged["grpc"]["reflection"], "on")
        self.assertEqual(merged["auth"]["tickets"], {"enabled": "off"})

    def test_large_numbers_stay_numbers(self):
        self.assertIn("max_events: 5000000\n", chart.rendered("jetstream-ha").configuration_text)


if __name__ == "__main__":
    unittest.main()
