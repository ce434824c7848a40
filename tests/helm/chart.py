"""The chart as tests see it: rendered by Helm, strictly checked, and read as JSON.

  manifests = chart.render("disk")          # helm/ci/disk-values.yaml
  manifests = chart.render({"replicas": 2}) # values of the test's own
  manifests.one("Deployment"), manifests.all("Service")
  manifests.configuration                   # of the bridge, out of the ConfigMap
  chart.refusal({...})                      # the message with which rendering fails
"""

import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
RELEASE = "push"
NAMESPACE = "edge"

BRIDGE = os.environ.get("BRIDGE_BIN", str(ROOT / "build/dev/bin/sse-bridge"))
HELM = os.environ.get("HELM", str(ROOT / "build/go/bin/helm"))
STRICT = os.environ.get("STRICT", str(ROOT / "build/go/bin/strict"))
PROMTOOL = os.environ.get("PROMTOOL", str(ROOT / "build/prometheus/usr/bin/promtool"))

# No test reaches a cluster of whoever runs it.
os.environ["KUBECONFIG"] = os.devnull

CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*.yaml"))


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def must_run(command, **options):
    done = run(command, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return done.stdout


def values_file(case):
    return CHART / "ci" / f"{case}-values.yaml"


def template(values, *more, path=CHART):
    """Runs `helm template` with the values of a case, or with a dictionary."""
    named = isinstance(values, str)
    file = str(values_file(values)) if named else "-"
    command = [HELM, "template", RELEASE, str(path), "--namespace", NAMESPACE, "--values", file, *more]
    return run(command, input=None if named else json.dumps(values))


def refusal(values):
    """What rendering says, which has to fail."""
    done = template(values)
    if done.returncode == 0:
        raise AssertionError(f"rendered: {values}")
    return done.stderr


def render(values, *more):
    done = template(values, *more)
    if done.returncode != 0:
        raise AssertionError(f"helm template of {values}: {done.stderr}")
    return Manifests(json.loads(must_run([STRICT], input=done.stdout)))


@functools.cache
def rendered(case):
    return render(case)


def notes(values):
    """What Helm prints after an installation, which it shows of an installation only: here out of a ConfigMap in a copy of the chart."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "chart")
        shutil.copytree(CHART, path)
        shutil.copy(path / "templates/NOTES.txt", path / "notes")
        shown = path / "templates/notes.yaml"
        shown.write_text('apiVersion: v1\nkind: ConfigMap\ndata: {notes: {{ tpl (.Files.Get "notes") . | toJson }}}\n', "utf-8")
        done = template(values, "--show-only", "templates/notes.yaml", path=path)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return read_yaml(done.stdout)["data"]["notes"]


def read_yaml(text):
    return json.loads(must_run([STRICT, "--yaml"], input=text))[0]


def seconds(duration):
    """Of a duration as the bridge writes it: 1h30m."""
    factors = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(float(number) * factors[unit] for number, unit in re.findall(r"([0-9.]+)(ms|s|m|h)", duration))


class Manifests:
    def __init__(self, documents):
        self.documents = documents

    def all(self, kind):
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind, name=None):
        found = [document for document in self.all(kind) if name in (None, document["metadata"]["name"])]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} of {kind} {name or ''}")
        return found[0]

    @functools.cached_property
    def workload(self):
        return (self.all("Deployment") + self.all("StatefulSet"))[0]

    @property
    def pod(self):
        return self.workload["spec"]["template"]["spec"]

    @property
    def container(self):
        return self.pod["containers"][0]

    @functools.cached_property
    def name(self):
        return self.workload["metadata"]["name"]

    @functools.cached_property
    def configuration_text(self):
        return self.one("ConfigMap", self.name)["data"]["sse-bridge.yaml"]

    @functools.cached_property
    def configuration(self):
        return read_yaml(self.configuration_text)

    def listen_port(self, side):
        return int(self.configuration[side]["address"].rpartition(":")[2])
