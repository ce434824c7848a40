"""Alerts and dashboard ask for what the real bridge tells; promtool reads the alerts and has them fire."""

import json
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request

import chart
import files

METRIC = re.compile(r"\b(sse_bridge_[a-z_]+)\s*(?:\{([^}]*)\})?")
# What Prometheus adds to each series.
ADDED = {"namespace", "job", "pod", "instance"}
DASHBOARD = json.loads((chart.CHART / "dashboards/grpc-sse-bridge.json").read_text("utf-8"))


def scrape():
    """/metrics of a bridge with TLS and keys, which has all families."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tls.crt", "tls.key", "secret"):
            pathlib.Path(folder, name).write_text(files.content(name, None), "utf-8")
        settings = [
            "http.address=127.0.0.1:0", "grpc.address=127.0.0.1:0", "admin.address=127.0.0.1:0", "drain.delay=0s", "drain.window=0s",
            f"http.tls.certificate_file={folder}/tls.crt", f"http.tls.key_file={folder}/tls.key",
            f"auth.jwt.keys=[{{algorithm: HS256, secret_file: {folder}/secret}}]",
        ]  # fmt: skip
        command = [chart.BRIDGE, *(part for setting in settings for part in ("--set", setting))]
        with open(pathlib.Path(folder, "log"), "w+", encoding="utf-8") as log, subprocess.Popen(command, stderr=log) as bridge:
            try:
                address = eventually(lambda: re.search(r"\blistening\b.*\badmin=(\S+)", pathlib.Path(log.name).read_text("utf-8")))[1]
                direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with direct.open(f"http://{address}/metrics", timeout=10) as page:
                    return page.read().decode()
            finally:
                bridge.terminate()


def eventually(probe):
    deadline = time.monotonic() + 20
    while not (result := probe()):
        if time.monotonic() > deadline:
            raise AssertionError("not within 20 s")
        time.sleep(0.01)
    return result


def asked_for(expression):
    """The metrics of an expression, and the labels that it chooses by: [(name, {label: matched})]."""
    return [
        (name, dict(re.findall(r'(\w+)=~?"([^"]*)"', labels or "")))
        for name, labels in METRIC.findall(expression)
    ]  # fmt: skip


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = scrape()
        cls.series = {}
        for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", cls.page, re.MULTILINE):
            cls.series.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))

    def assert_told(self, expression):
        for name, labels in asked_for(expression):
            self.assertIn(name, self.series, expression)
            for label, wanted in labels.items():
                if label not in ADDED:
                    told = {series.get(label) for series in self.series[name]}
                    self.assertLessEqual(set(wanted.split("|")), told, f"{name}, {label} in {expression}")
        for labels in re.findall(r"\bby \(([^)]*)\)", expression):
            for label in set(labels.replace(" ", "").split(",")) - ADDED:
                self.assertTrue(any(label in series for name, _ in asked_for(expression) for series in self.series[name]), expression)

    def test_alerts_ask_for_what_the_bridge_tells(self):
        rules = chart.read_yaml((chart.CHART / "alerts.yaml").read_text("utf-8"))
        self.assertTrue(rules)
        for rule in rules:
            with self.subTest(rule["alert"]):
                self.assertIn("SELECTOR", rule["expr"])
                self.assert_told(rule["expr"].replace("SELECTOR,", "").replace("SELECTOR", ""))

    def test_the_page_about_metrics_has_the_alerts_as_they_are(self):
        page = (chart.ROOT / "docs/metrics.md").read_text("utf-8")
        rows = dict(re.findall(r"^\| `(SseBridge\w+)` \| (.*?) \|(?= [^|]* \|$)", page, re.MULTILINE))
        rules = chart.read_yaml((chart.CHART / "alerts.yaml").read_text("utf-8"))
        self.assertEqual(list(rows), [rule["alert"] for rule in rules])
        for rule in rules:
            expression = re.sub(r"\bup\{SELECTOR\}", 'up{job="sse-bridge"}', rule["expr"]).replace("{SELECTOR}", "").replace("SELECTOR,", "")
            lasting = f", for {rule['for']}".replace("m", " min") if "for" in rule else ""
            self.assertEqual(rows[rule["alert"]].replace("\\|", "|"), f"`{expression.strip()}`{lasting}")

    def test_the_dashboard_asks_for_what_the_bridge_tells(self):
        targets = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
        self.assertGreater(len(targets), 30)
        for target in targets:
            with self.subTest(target["expr"]):
                self.assertTrue(asked_for(target["expr"]))
                self.assert_told(target["expr"])
                legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) - ADDED
                for label in legend:
                    self.assertIn(label, self.series[asked_for(target["expr"])[0][0]][0])
        for variable in DASHBOARD["templating"]["list"]:
            if variable["type"] == "query":
                self.assert_told(variable["definition"])

    def test_panels_do_not_overlap(self):
        taken = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            self.assertFalse(taken & cells, panel["title"])
            taken |= cells
        self.assertLess(max(x for x, _ in taken), 24)


# What a pod tells, in promtool's notation of a value a minute, and whether the alert fires after twenty of them.
FIRES = {
    "SseBridgeDown": ("up", "0x30", True),
    "SseBridgePodDown": ("up", "0x30", True),
    "SseBridgeLogDown": ("sse_bridge_log_up", "0x30", True),
    "SseBridgeAppendsFail": ("sse_bridge_log_append_failures_total", "0+5x30", True),
    "SseBridgeRecordsUnreadable": ("sse_bridge_log_unreadable_records_total", "0x15 1x15", True),
    "SseBridgeStreamsMissEvents": ('sse_bridge_gaps_total{reason="trimmed"}', "0+60x30", True),
    "SseBridgeOverloaded": ('sse_bridge_event_streams_refused_total{reason="overloaded"}', "0+5x30", True),
    "SseBridgeLoopBusy": ('sse_bridge_loop_busy_seconds_total{loop="0"}', "0+59x30", True),
    "SseBridgePublishersRefused": ('sse_bridge_publishers_refused_total{reason="unauthenticated"}', "0+5x30", True),
    "SseBridgeKeysForgotten": ("sse_bridge_idempotency_keys_evicted_total", "0x10 9x20", True),
    "SseBridgeCertificateEnds": ("sse_bridge_http_tls_certificate_valid_until_seconds", "500000x30", True),
    "SseBridgeCallsFail": ('sse_bridge_calls_ended_total{status="no_worker"}', "0+1x30", True),
}
QUIET = {
    "SseBridgeDown": ("up", "1x30", False),
    "SseBridgeLogDown": ("sse_bridge_log_up", "1x30", False),
    "SseBridgeStreamsMissEvents": ('sse_bridge_gaps_total{reason="epoch"}', "0+60x30", False),
    "SseBridgeOverloaded": ('sse_bridge_event_streams_refused_total{reason="draining"}', "0+5x30", False),
    "SseBridgeCertificateEnds": ("sse_bridge_http_tls_certificate_valid_until_seconds", "5000000x30", False),
    "SseBridgeCallsFail": ('sse_bridge_calls_ended_total{status="cancelled"}', "0+9x30", False),
}


def test_case(name, series, values, fires):
    metric, _, labels = series.partition("{")
    named = ",".join(filter(None, ['namespace="edge",job="push-admin",pod="push-0"', labels.rstrip("}")]))
    return {
        "interval": "1m",
        "input_series": [{"series": f"{metric}{{{named}}}", "values": values}],
        "promql_expr_test": [{
            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
            "eval_time": "20m",
            "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
        }],
    }  # fmt: skip


class Promtool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manifests = chart.rendered("everything-on")

    def rules(self, folder, **values):
        """The rules as a Prometheus of the cluster gets them."""
        metrics = {"serviceMonitor": {"enabled": True}, "rules": {"enabled": True, **values}}
        manifests = chart.render({"fullnameOverride": "push", "metrics": metrics, "networkPolicy": {"enabled": False}})
        file = pathlib.Path(folder, "rules.json")
        file.write_text(json.dumps(manifests.one("PrometheusRule")["spec"]), "utf-8")
        return file

    def test_promtool_takes_the_alerts(self):
        with tempfile.TemporaryDirectory() as folder:
            chart.must_run([chart.PROMTOOL, "check", "rules", str(self.rules(folder))])

    def test_promtool_takes_what_the_dashboard_asks(self):
        expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
        asked = [expression.replace("$__rate_interval", "5m") for expression in expressions]
        rules = [{"record": f"panel:{index}", "expr": expression} for index, expression in enumerate(asked)]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "rules.json")
            file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
            chart.must_run([chart.PROMTOOL, "check", "rules", str(file)])

    def test_alerts_fire_when_they_should_and_only_then(self):
        cases = [test_case(name, *case) for table in (FIRES, QUIET) for name, case in table.items()]
        with tempfile.TemporaryDirectory() as folder:
            self.rules(folder)
            file = pathlib.Path(folder, "tests.json")
            file.write_text(json.dumps({"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": cases}), "utf-8")
            chart.must_run([chart.PROMTOOL, "test", "rules", str(file)])

    def test_alerts_can_be_left_out_and_labelled(self):
        (group,) = self.manifests.one("PrometheusRule")["spec"]["groups"]
        names = [rule["alert"] for rule in group["rules"]]
        self.assertNotIn("SseBridgeLoopBusy", names)
        self.assertIn("SseBridgeLogDown", names)
        self.assertEqual({rule["labels"]["team"] for rule in group["rules"]}, {"web"})
        self.assertEqual({rule["labels"]["severity"] for rule in group["rules"]}, {"critical", "warning"})

    def test_the_dashboard_is_in_its_config_map_as_it_is_in_the_file(self):
        config_map = self.manifests.one("ConfigMap", "push-dashboard")
        self.assertEqual(config_map["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(json.loads(config_map["data"]["grpc-sse-bridge.json"]), DASHBOARD)


if __name__ == "__main__":
    unittest.main()
