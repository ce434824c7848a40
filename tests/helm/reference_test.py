"""What is written down twice about the chart agrees."""

import re
import subprocess
import sys
import unittest

import chart


class Reference(unittest.TestCase):
    def test_the_table_of_values_and_the_schema_are_current(self):
        checked = subprocess.run(
            [sys.executable, chart.ROOT / "scripts/chart-reference", "--check"], capture_output=True, text=True, check=False
        )
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_the_chart_has_the_bridges_version(self):
        project = re.search(r"^project\(.* VERSION ([0-9.]+)", (chart.ROOT / "CMakeLists.txt").read_text("utf-8"), re.MULTILINE)[1]
        about = (chart.CHART / "Chart.yaml").read_text("utf-8")
        self.assertEqual(re.search(r"^appVersion: (.*)$", about, re.MULTILINE)[1], project)

    def test_every_alert_that_the_values_name_is_there(self):
        names = re.findall(r"SseBridge\w+", chart.values_file("everything-on").read_text("utf-8"))
        self.assertTrue(names)
        for name in names:
            self.assertIn(f"- alert: {name}\n", (chart.CHART / "alerts.yaml").read_text("utf-8"))


if __name__ == "__main__":
    unittest.main()
