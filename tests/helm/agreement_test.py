"""What the chart's objects say of each other and of the bridge's configuration agrees, in every case."""

import functools
import re
import unittest

import chart

SIDES = ("http", "grpc", "admin")
MIB = 1 << 20
IDEMPOTENCY_KEY_BYTES = 45
DEFAULTS = dict(re.findall(r"^\| `([a-z_.]+)` \| `([^`]*)` \|", (chart.ROOT / "docs/configuration.md").read_text("utf-8"), re.MULTILINE))


def size(text):
    """Of a size as the bridge or Kubernetes writes it: 64MiB, 3Gi."""
    number, unit = re.fullmatch(r"([0-9.]+)([KMGT]?)(?:i?B?)", str(text)).groups()
    return int(float(number) * 1024 ** " KMGT".index(unit or " "))


def memory_bounds(configuration):
    """What a bridge with this configuration holds at most, in the order of the table of docs/operations.md: [(key, bytes)]."""

    def value(key):
        found = configuration
        for part in key.split("."):
            found = found.get(part, {}) if isinstance(found, dict) else {}
        return size(found or DEFAULTS[key])

    in_flight = value("grpc.max_bytes_in_flight_total")
    return [
        ("`log.history.max_bytes`", value("log.history.max_bytes")),
        ("`calls.log.max_bytes`", value("calls.log.max_bytes") * 3 // 2),
        ("`log.idempotency_keys_max`", value("log.idempotency_keys_max") * IDEMPOTENCY_KEY_BYTES),
        ("`grpc.max_bytes_in_flight_total`", in_flight * 5 // 4),
        ("the same, and 64 MiB", in_flight + 64 * MIB),
        ("`calls.max_bytes_in_flight`", value("calls.max_bytes_in_flight")),
        ("`http.max_pinned_bytes`", value("http.max_pinned_bytes")),
        ("`limits.pattern_bytes`", value("limits.pattern_bytes")),
        ("no key", 64 * MIB),
        ("no key", 64 * MIB),
    ]


def matches(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def in_every_case(test):
    """A test that gets the manifests of each case in turn."""

    @functools.wraps(test)
    def run(self):
        for case in chart.CASES:
            with self.subTest(case):
                test(self, chart.rendered(case))

    return run


class Agreement(unittest.TestCase):
    @in_every_case
    def test_the_container_has_the_ports_on_which_the_bridge_listens(self, manifests):
        ports = {port["name"]: port["containerPort"] for port in manifests.container["ports"]}
        self.assertEqual(ports, {side: manifests.listen_port(side) for side in SIDES})

    @in_every_case
    def test_services_lead_to_those_ports_of_the_bridges_pods_alone(self, manifests):
        pod = manifests.workload["spec"]["template"]["metadata"]["labels"]
        others = [other["metadata"]["labels"] for other in manifests.all("Pod")]
        for side in SIDES:
            service = manifests.one("Service", f"{manifests.name}-{side}")
            (port,) = service["spec"]["ports"]
            self.assertEqual((port["name"], port["targetPort"]), (side, side))
            self.assertTrue(matches(service["spec"]["selector"], pod))
            self.assertFalse(any(matches(service["spec"]["selector"], other) for other in others))
            if service["spec"].get("clusterIP") == "None":
                self.assertEqual(port["port"], manifests.listen_port(side), "a headless Service translates no port")

    @in_every_case
    def test_services_say_what_is_spoken(self, manifests):
        for side, plain in (("http", "http"), ("grpc", "kubernetes.io/h2c")):
            (port,) = manifests.one("Service", f"{manifests.name}-{side}")["spec"]["ports"]
            self.assertEqual(port["appProtocol"], "https" if "tls" in manifests.configuration[side] else plain)

    @in_every_case
    def test_what_chooses_the_pods_chooses_them(self, manifests):
        pod = manifests.workload["spec"]["template"]["metadata"]["labels"]
        chosen = [manifests.workload["spec"]["selector"]["matchLabels"]]
        chosen += [policy["spec"]["podSelector"]["matchLabels"] for policy in manifests.all("NetworkPolicy")]
        chosen += [budget["spec"]["selector"]["matchLabels"] for budget in manifests.all("PodDisruptionBudget")]
        for selector in chosen:
            self.assertTrue(selector)
            self.assertTrue(matches(selector, pod))

    @in_every_case
    def test_probes_ask_where_the_bridge_answers(self, manifests):
        readiness = manifests.container["readinessProbe"]["httpGet"]
        self.assertEqual(readiness, {"path": "/readyz", "port": "admin"})
        for probe in ("startupProbe", "livenessProbe"):
            probe = manifests.container[probe]
            if "grpc" in probe:
                self.assertEqual(probe["grpc"], {"port": manifests.listen_port("grpc"), "service": ""})
                self.assertNotIn("tls", manifests.configuration["grpc"])
            else:
                self.assertEqual(probe["httpGet"], {"path": "/livez", "port": "admin"})

    @in_every_case
    def test_the_grace_period_holds_the_drain(self, manifests):
        drain = sum(chart.seconds(manifests.configuration["drain"][part]) for part in ("delay", "window"))
        self.assertGreaterEqual(manifests.pod["terminationGracePeriodSeconds"], drain + 10)
        self.assertLess(manifests.pod["terminationGracePeriodSeconds"], drain + 11)
        self.assertNotIn("lifecycle", manifests.container)

    @in_every_case
    def test_the_network_policy_opens_what_the_bridge_listens_on(self, manifests):
        rules = {rule["ports"][0]["port"]: rule.get("from") for rule in manifests.one("NetworkPolicy")["spec"]["ingress"]}
        admin = manifests.listen_port("admin")
        self.assertEqual(set(rules) - {admin}, {manifests.listen_port("http"), manifests.listen_port("grpc")})
        self.assertTrue(rules[manifests.listen_port("grpc")], "the gRPC port is for who is named")
        self.assertTrue(rules.get(admin, True), "the admin port is for who is named")

    @in_every_case
    def test_the_self_test_gets_in(self, manifests):
        peers = {rule["ports"][0]["port"]: rule.get("from") for rule in manifests.one("NetworkPolicy")["spec"]["ingress"]}
        for pod in manifests.all("Pod"):
            arguments = pod["spec"]["containers"][0]["args"]
            given = dict(zip(arguments, arguments[1:]))
            for side in ("http", "grpc"):
                service = manifests.one("Service", f"{manifests.name}-{side}")
                host, _, port = given[f"--{side}"].rpartition("//")[2].partition(":")
                self.assertEqual(host, f"{service['metadata']['name']}.{chart.NAMESPACE}.svc")
                self.assertEqual(int(port), service["spec"]["ports"][0]["port"])
                self.assertEqual("https://" in given[f"--{side}"], "tls" in manifests.configuration[side])
                of_the_namespace = [
                    peer["podSelector"].get("matchLabels", {})
                    for peer in peers[manifests.listen_port(side)] or [{"podSelector": {}}]
                    if "podSelector" in peer and "namespaceSelector" not in peer
                ]
                self.assertTrue(any(matches(labels, pod["metadata"]["labels"]) for labels in of_the_namespace), side)

    def test_there_is_a_self_test_where_it_can_get_in(self):
        with_test = {case for case in chart.CASES if chart.rendered(case).all("Pod")}
        # One has no secret to make a token with; in the other clients show certificates.
        self.assertEqual(set(chart.CASES) - with_test, {"jetstream-ha", "tls-cert-manager"})
        token = {"test": {"token": {"existingSecret": "token"}}, "auth": {"keys": [{"algorithm": "ES256", "existingSecret": "issuer"}]}}
        self.assertIn("/etc/sse-bridge/token/token", chart.render(token).one("Pod")["spec"]["containers"][0]["args"])

    @in_every_case
    def test_ingresses_and_routes_lead_to_services(self, manifests):
        ports = {service["metadata"]["name"]: service["spec"]["ports"][0] for service in manifests.all("Service")}
        for ingress in manifests.all("Ingress"):
            for rule in ingress["spec"]["rules"]:
                backend = rule["http"]["paths"][0]["backend"]["service"]
                self.assertEqual(ports[backend["name"]]["name"], backend["port"]["name"])
        for route in manifests.all("HTTPRoute") + manifests.all("GRPCRoute"):
            (backend,) = route["spec"]["rules"][0]["backendRefs"]
            self.assertEqual(ports[backend["name"]]["port"], backend["port"])

    def test_the_monitor_chooses_the_admin_service(self):
        manifests = chart.rendered("everything-on")
        monitor = manifests.one("ServiceMonitor")["spec"]
        wanted = monitor["selector"]["matchLabels"]
        chosen = [service["metadata"]["name"] for service in manifests.all("Service") if matches(wanted, service["metadata"]["labels"])]
        self.assertEqual(chosen, ["push-admin"])
        self.assertEqual(monitor["endpoints"][0]["port"], "admin")

    def test_the_autoscaler_scales_the_deployment_and_shrinks_slowly(self):
        manifests = chart.rendered("jetstream-ha")
        scaler = manifests.one("HorizontalPodAutoscaler")["spec"]
        self.assertEqual(scaler["scaleTargetRef"], {"apiVersion": "apps/v1", "kind": "Deployment", "name": manifests.name})
        self.assertNotIn("replicas", manifests.workload["spec"])
        self.assertEqual(scaler["metrics"][0]["pods"]["metric"]["name"], "sse_bridge_event_streams")
        self.assertEqual(scaler["metrics"][0]["pods"]["target"]["averageValue"], "15000")
        self.assertEqual(scaler["behavior"]["scaleDown"]["policies"], [{"type": "Pods", "value": 1, "periodSeconds": 300}])

    def test_no_log_of_a_pod_is_ever_two(self):
        memory = chart.rendered("defaults")
        self.assertEqual(memory.one("Deployment")["spec"]["strategy"], {"type": "Recreate"})
        disk = chart.rendered("disk")
        self.assertEqual(disk.one("StatefulSet")["spec"]["podManagementPolicy"], "OrderedReady")
        self.assertEqual(disk.one("StatefulSet")["spec"]["serviceName"], disk.one("Service", f"{disk.name}-admin")["metadata"]["name"])
        jetstream = chart.rendered("jetstream-ha").one("Deployment")["spec"]["strategy"]
        self.assertEqual(jetstream, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})

    def test_the_log_on_disk_lies_on_the_volume(self):
        manifests = chart.rendered("disk")
        (claim,) = manifests.one("StatefulSet")["spec"]["volumeClaimTemplates"]
        mount = next(mount for mount in manifests.container["volumeMounts"] if mount["name"] == claim["metadata"]["name"])
        log = manifests.configuration["log"]["disk"]
        self.assertEqual(log["path"].rpartition("/")[0], mount["mountPath"])
        self.assertEqual(claim["spec"]["resources"]["requests"]["storage"], "100Gi")
        # A tenth of the volume is left to the file system.
        self.assertAlmostEqual(3 * log["max_bytes"] + 3 * 2 * (512 << 20), 90 << 30, delta=10)
        few_calls = chart.render({"log": {"disk": {"enabled": True, "size": "1Gi"}}, "config": {"calls": {"log": {"max_bytes": "10MiB"}}}})
        self.assertAlmostEqual(3 * few_calls.configuration["log"]["disk"]["max_bytes"] + (60 << 20), 0.9 * (1 << 30), delta=10)
        again = chart.render({"log": {"disk": {"enabled": True, "existingClaim": "kept"}}})
        self.assertNotIn("volumeClaimTemplates", again.workload["spec"])
        self.assertIn({"name": "log", "persistentVolumeClaim": {"claimName": "kept"}}, again.pod["volumes"])

    def test_a_budget_is_there_where_more_than_one_pod_is(self):
        budgets = {case: len(chart.rendered(case).all("PodDisruptionBudget")) for case in chart.CASES}
        self.assertEqual({case for case, count in budgets.items() if count}, {"alb", "calls", "everything-on", "jetstream-ha"})

    @in_every_case
    def test_the_memory_holds_what_the_configuration_bounds(self, manifests):
        bounds = sum(most for _, most in memory_bounds(manifests.configuration))
        # What the allocator has not given back, and streams.
        self.assertGreater(size(manifests.container["resources"]["limits"]["memory"]), 1.2 * bounds)

    def test_the_page_about_operations_has_these_bounds(self):
        page = (chart.ROOT / "docs/operations.md").read_text("utf-8")
        bounds = memory_bounds({})
        rows = re.findall(r"^\| (.*?) \| ([0-9]+) MiB \|", page, re.MULTILINE)
        self.assertEqual(rows, [(key, str(round(most / MIB))) for key, most in bounds])
        self.assertIn(f"That is {sum(most for _, most in bounds) / MIB:,.0f} MiB", page)

    def test_the_memory_of_the_compose_file_holds_what_its_configuration_bounds(self):
        bounds = memory_bounds(chart.read_yaml((chart.ROOT / "deploy/compose/bridge.yaml").read_text("utf-8")))
        (limit,) = re.findall(r"^  mem_limit: (\d+)g$", (chart.ROOT / "docker-compose.yml").read_text("utf-8"), re.MULTILINE)
        self.assertGreater(int(limit) << 30, 1.2 * sum(most for _, most in bounds))

    @in_every_case
    def test_pods_can_neither_write_nor_speak_to_the_api(self, manifests):
        for pod in [manifests.pod] + [pod["spec"] for pod in manifests.all("Pod")]:
            self.assertIs(pod["automountServiceAccountToken"], False)
            for container in pod["containers"]:
                self.assertIs(container["securityContext"]["readOnlyRootFilesystem"], True)
            for volume in pod["volumes"]:
                self.assertTrue({"configMap", "secret", "persistentVolumeClaim"} & set(volume), volume)


class Ingress(unittest.TestCase):
    def annotations(self, case, side):
        manifests = chart.rendered(case)
        return manifests.one("Ingress", f"{manifests.name}-{side}")["metadata"]["annotations"]

    def test_nginx_passes_streams_on(self):
        browsers = self.annotations("ingress-nginx", "http")
        self.assertEqual(browsers["nginx.ingress.kubernetes.io/proxy-buffering"], "off")
        self.assertEqual(browsers["nginx.ingress.kubernetes.io/proxy-read-timeout"], "60")
        self.assertEqual(browsers["cert-manager.io/cluster-issuer"], "letsencrypt")
        publishers = self.annotations("ingress-nginx", "grpc")
        self.assertEqual(publishers["nginx.ingress.kubernetes.io/backend-protocol"], "GRPC")
        self.assertEqual(publishers["nginx.ingress.kubernetes.io/proxy-body-size"], "0")
        self.assertEqual(publishers["nginx.ingress.kubernetes.io/proxy-read-timeout"], "3600")

    def test_a_front_waits_for_four_heartbeats(self):
        for heartbeat, seconds in (("100ms", 60), ("15s", 60), ("15100ms", 61), ("1m30s", 360), ("1h", 3600), ("${HEARTBEAT}", 60)):
            with self.subTest(heartbeat):
                values = {"preset": "nginx", "http": {"enabled": True}}
                manifests = chart.render({"ingress": values, "config": {"http": {"heartbeat": heartbeat}}})
                annotations = manifests.one("Ingress")["metadata"]["annotations"]
                for name in ("read", "send"):
                    self.assertEqual(annotations[f"nginx.ingress.kubernetes.io/proxy-{name}-timeout"], str(seconds))

    def test_traefik_is_told_on_the_service_how_to_speak(self):
        manifests = chart.rendered("everything-on")
        for side in ("http", "grpc"):
            annotations = manifests.one("Service", f"push-{side}")["metadata"]["annotations"]
            self.assertEqual(annotations["traefik.ingress.kubernetes.io/service.serversscheme"], "https")
        plain = chart.render({"ingress": {"preset": "traefik", "grpc": {"enabled": True}}, "networkPolicy": {"enabled": False}})
        annotations = plain.one("Service", f"{plain.name}-grpc")["metadata"]["annotations"]
        self.assertEqual(annotations["traefik.ingress.kubernetes.io/service.serversscheme"], "h2c")

    def test_a_load_balancer_of_aws_asks_the_admin_port_and_waits_for_the_drain(self):
        manifests = chart.rendered("alb")
        annotations = self.annotations("alb", "http")
        self.assertEqual(annotations["alb.ingress.kubernetes.io/healthcheck-port"], str(manifests.listen_port("admin")))
        self.assertEqual(annotations["alb.ingress.kubernetes.io/target-group-attributes"], "deregistration_delay.timeout_seconds=25")
        self.assertEqual(self.annotations("alb", "grpc")["alb.ingress.kubernetes.io/backend-protocol-version"], "GRPC")

    def test_the_bridge_keeps_connections_for_longer_than_a_load_balancer_of_aws(self):
        alb = {"ingress": {"preset": "alb", "http": {"enabled": True}, "grpc": {"enabled": True}}, "networkPolicy": {"enabled": False}}
        for heartbeat, idle, kept in (("15s", 60, "75s"), ("30s", 120, "135s")):
            manifests = chart.render({**alb, "config": {"http": {"heartbeat": heartbeat}}})
            for side, seconds in (("http", idle), ("grpc", 3600)):
                annotations = manifests.one("Ingress", f"{manifests.name}-{side}")["metadata"]["annotations"]
                attributes = annotations["alb.ingress.kubernetes.io/load-balancer-attributes"]
                self.assertEqual(attributes, f"idle_timeout.timeout_seconds={seconds}")
            self.assertEqual(manifests.configuration["http"]["idle_timeout"], kept)
        own = chart.render({**alb, "config": {"http": {"idle_timeout": "2m"}}})
        self.assertEqual(own.configuration["http"]["idle_timeout"], "2m")
        publishers_alone = chart.render({**alb, "ingress": {"preset": "alb", "grpc": {"enabled": True}}})
        self.assertNotIn("idle_timeout", publishers_alone.configuration["http"])

    def test_the_bridge_keeps_connections_for_longer_than_other_controllers(self):
        for preset, kept in (("nginx", "75s"), ("traefik", "105s")):
            manifests = chart.render({"ingress": {"preset": preset, "http": {"enabled": True}}})
            self.assertEqual(manifests.configuration["http"]["idle_timeout"], kept)

    def test_the_presets_can_be_overridden(self):
        name = "nginx.ingress.kubernetes.io/proxy-read-timeout"
        manifests = chart.render({"ingress": {"preset": "nginx", "http": {"enabled": True, "annotations": {name: "90"}}}})
        self.assertEqual(manifests.one("Ingress")["metadata"]["annotations"][name], "90")

    def test_an_event_stream_has_no_timeout_in_a_gateway(self):
        (rule,) = chart.rendered("gateway-api").one("HTTPRoute")["spec"]["rules"]
        self.assertEqual(rule["timeouts"], {"request": "0s", "backendRequest": "0s"})


if __name__ == "__main__":
    unittest.main()
