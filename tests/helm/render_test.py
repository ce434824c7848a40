"""The chart renders in all its cases, into objects that the API's types know to the last field and pods that pass the standard "restricted"."""

import pathlib
import re
import tempfile
import unittest

import chart


class Render(unittest.TestCase):
    def test_every_case_stands_up_to_helms_strict_lint(self):
        for case in chart.CASES:
            with self.subTest(case):
                chart.must_run([chart.HELM, "lint", "--strict", str(chart.CHART), "--values", str(chart.values_file(case))])

    def test_the_chart_packages_without_its_cases(self):
        with tempfile.TemporaryDirectory() as folder:
            chart.must_run([chart.HELM, "package", str(chart.CHART), "--destination", folder])
            (archive,) = pathlib.Path(folder).iterdir()
            files = chart.must_run(["tar", "--list", "--file", str(archive)]).splitlines()
        self.assertIn("grpc-sse-bridge/dashboards/grpc-sse-bridge.json", files)
        self.assertIn("grpc-sse-bridge/alerts.yaml", files)
        self.assertEqual([file for file in files if "/ci/" in file], [])

    def test_every_case_is_strictly_valid(self):
        for case in chart.CASES:
            with self.subTest(case):
                self.assertTrue(chart.rendered(case).documents)

    def test_a_field_that_the_api_does_not_know_is_found(self):
        with self.assertRaisesRegex(AssertionError, 'unknown field "spec.template.spec.containers\\[0\\].ports\\[0\\].prot"'):
            text = chart.template("defaults").stdout.replace("protocol: TCP}\n", "prot: TCP}\n")
            chart.must_run([chart.STRICT], input=text)

    def test_a_pod_that_is_not_restricted_is_found(self):
        with self.assertRaisesRegex(AssertionError, "not restricted: allowPrivilegeEscalation != false"):
            chart.render({"securityContext": {"allowPrivilegeEscalation": True}})

    def test_without_values_there_is_one_closed_pod(self):
        manifests = chart.rendered("defaults")
        kinds = sorted(document["kind"] for document in manifests.documents)
        self.assertEqual(
            kinds,
            ["ConfigMap", "Deployment", "NetworkPolicy", "Pod", "Secret", "Service", "Service", "Service", "ServiceAccount"],
        )
        self.assertEqual(manifests.workload["spec"]["replicas"], 1)
        self.assertEqual({service["spec"].get("type", "ClusterIP") for service in manifests.all("Service")}, {"ClusterIP"})
        (key,) = manifests.configuration["auth"]["jwt"]["keys"]
        self.assertEqual(key, {"algorithm": "HS256", "secret_file": "/etc/sse-bridge/secrets/hs256"})
        self.assertNotIn("log", manifests.configuration)

    def test_what_the_readme_shows_renders(self):
        snippets = re.findall(r"^```yaml\n(.*?)^```$", (chart.CHART / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
        self.assertGreater(len(snippets), 2)
        for snippet in snippets:
            with self.subTest(snippet):
                chart.render(chart.read_yaml(snippet))

    def test_the_image_that_pages_build_is_the_one_that_they_install(self):
        for page in ("README.md", "helm/README.md"):
            text = (chart.ROOT / page).read_text("utf-8")
            built = re.search(r"^docker build --tag (\S+) \.$", text, re.MULTILINE)[1]
            self.assertIn(f"\ndocker push {built}\n", text)
            self.assertIn(f"`kind load docker-image {built}`", text)
            (repository,) = re.findall(r"^helm install .* --set image\.repository=(\S+)$", text, re.MULTILINE)
            manifests = chart.render({"image": {"repository": repository}})
            self.assertEqual(manifests.container["image"], built, page)
            self.assertIn(f"\ndocker push {built}\n", (chart.ROOT / "docs/deployment.md").read_text("utf-8"))

    def test_what_helm_prints_tells_how_to_try_it(self):
        notes = chart.notes("defaults")
        self.assertIn("exec deploy/push-grpc-sse-bridge -- sse-bridge token --subscribe '>' --publish '>'", notes)
        self.assertIn("--key /etc/sse-bridge/secrets/hs256", notes)
        self.assertIn("port-forward deploy/push-grpc-sse-bridge 8080:8080 9090:9090", notes)
        self.assertIn("helm test push -n edge", notes)
        self.assertIn("Only pods of this namespace reach the gRPC port", notes)

    def test_what_helm_prints_fits_what_is_installed(self):
        self.assertIn("exec statefulset/push-grpc-sse-bridge", chart.notes({"log": {"disk": {"enabled": True}}}))
        anonymous = chart.notes("gateway-api")
        self.assertNotIn("TOKEN", anonymous)
        self.assertIn("port-forward deploy/push-grpc-sse-bridge 8080:8080 9090:9091", anonymous)
        elsewhere = chart.notes("jetstream-ha")
        self.assertNotIn("sse-bridge token", elsewhere)
        self.assertNotIn("helm test", elsewhere)
        proxied = {"ingress": {"http": {"enabled": True}}}
        self.assertIn("trustedProxies is empty", chart.notes(proxied))
        self.assertNotIn("trustedProxies is empty", chart.notes({**proxied, "trustedProxies": ["10.0.0.0/8"]}))


class Everything(unittest.TestCase):
    """The case in which all is on has one of each."""

    def test_every_kind_is_there(self):
        kinds = {document["kind"] for case in chart.CASES for document in chart.rendered(case).documents}
        self.assertEqual(
            kinds,
            {
                "Certificate", "ConfigMap", "Deployment", "GRPCRoute", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "Pod",
                "PodDisruptionBudget", "PrometheusRule", "Secret", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet",
            },
        )  # fmt: skip

    def test_the_pod_has_what_the_values_add(self):
        manifests = chart.rendered("everything-on")
        container = manifests.container
        self.assertEqual(container["image"], "grpc-sse-bridge@sha256:" + 64 * "0")
        self.assertIn({"name": "ORIGIN", "value": "https://app.example.com"}, container["env"])
        self.assertEqual(container["envFrom"][0]["configMapRef"]["name"], "push-environment")
        self.assertEqual(container["args"][-2:], ["--set", "logging.level=debug"])
        self.assertIn({"name": "descriptors", "mountPath": "/etc/shop"}, container["volumeMounts"])
        self.assertEqual(manifests.pod["priorityClassName"], "high")
        self.assertEqual(manifests.pod["nodeSelector"], {"kubernetes.io/arch": "amd64"})
        template = manifests.workload["spec"]["template"]["metadata"]
        self.assertEqual(template["labels"]["tier"], "edge")
        self.assertEqual(template["annotations"]["example.com/note"], "push")
        self.assertEqual(manifests.configuration["http"]["event_loops"], 3)

    def test_a_change_of_the_configuration_starts_new_pods(self):
        def checksum(values):
            return chart.render(values).workload["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

        self.assertEqual(checksum({}), checksum({"metrics": {"dashboard": {"enabled": True}}}))
        self.assertNotEqual(checksum({}), checksum({"config": {"http": {"heartbeat": "10s"}}}))


if __name__ == "__main__":
    unittest.main()
