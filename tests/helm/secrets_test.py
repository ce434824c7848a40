"""The secrets that the chart makes: random, and kept over upgrades. Helm looks for them in the cluster."""

import base64
import unittest

import chart
import cluster

SECRET = f"{chart.RELEASE}-grpc-sse-bridge-secrets"
SECRET_PATH = f"/api/v1/namespaces/{chart.NAMESPACE}/secrets/{SECRET}"
def rendered_with(secret, values):
    """The chart's Secret, rendered where the cluster has `secret`, or none."""
    with cluster.serve({SECRET_PATH: secret}) as option:
        return chart.render(values, "--dry-run=server", option).one("Secret")["data"]


def secret_with(data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": chart.NAMESPACE}, "data": data}


class Secrets(unittest.TestCase):
    def test_each_installation_has_others(self):
        first, second = rendered_with(None, {}), rendered_with(None, {})
        self.assertEqual(set(first), {"hs256", "tickets"})
        self.assertEqual(len({*first.values(), *second.values()}), 4)
        for secret in first.values():
            self.assertRegex(base64.b64decode(secret).decode(), "^[0-9A-Za-z]{64}$")

    def test_an_upgrade_keeps_them(self):
        made = rendered_with(None, {})
        self.assertEqual(rendered_with(secret_with(made), {"config": {"http": {"heartbeat": "10s"}}}), made)

    def test_an_upgrade_adds_what_is_missing(self):
        upgraded = rendered_with(secret_with({"hs256": "b2xk"}), {})
        self.assertEqual(upgraded["hs256"], "b2xk")
        self.assertEqual(len(base64.b64decode(upgraded["tickets"])), 64)

    def test_where_others_are_named_none_is_made(self):
        named = {"auth": {"keys": [{"algorithm": "HS256", "existingSecret": "a"}], "tickets": {"existingSecret": "b"}}}
        self.assertEqual(chart.render(named).all("Secret"), [])
        self.assertEqual(chart.render({"config": {"auth": {"allow_anonymous": True}}}).all("Secret"), [])

    def test_an_issuer_elsewhere_leaves_the_secret_of_tickets(self):
        manifests = chart.render({"config": {"auth": {"jwt": {"jwks_url": "https://id.example.com/jwks.json"}}}})
        self.assertEqual(set(manifests.one("Secret")["data"]), {"tickets"})


if __name__ == "__main__":
    unittest.main()
