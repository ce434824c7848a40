#!/usr/bin/env python3
"""Measures the bridge, its peer and the limits in turn, and writes docs/benchmarks.md. scripts/bench builds and calls it."""

import argparse
import datetime
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys

import results
from cases import CASES, Scale
from processes import MeasurementError, OthersWatch
from systems import Machine

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/benchmarks.md"
DIRECTORY = ROOT / "docs/benchmarks"
LATEST = DIRECTORY / "latest.json"
# The share of the machine's CPU time above which other programs spoil a measurement.
OTHERS_SHARE_MAX = 0.05


def options():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the bridge beside nginx with Nchan and the limits.")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="only this one; may be repeated")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of half the length; writes nothing")
    parser.add_argument("--smoke", action="store_true", help="one tiny round that only shows that all of it works; writes nothing")
    parser.add_argument("--no-write", action="store_true", help="leave docs/ as it is")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/release/bin", help="where the binaries are")
    chosen = parser.parse_args()
    if chosen.quick or chosen.smoke:
        chosen.repeat, chosen.no_write = 1, True
    return chosen


def measure(case, machine, scale, rounds):
    """All rounds of a case; the systems of a round follow each other at once, in an order that rotates."""
    missing = {variant.key: variant.system.missing(machine) for variant in case.variants}
    present = [variant for variant in case.variants if not missing[variant.key]]
    measured = []
    for number in range(rounds):
        samples = {}
        turn = number % max(len(present), 1)
        for variant in present[turn:] + present[:turn]:
            print(f"{case.name}, round {number + 1}, {variant.key}: ", end="", flush=True)
            samples[variant.key] = take_sample(case, machine, variant, scale)
            print(json.dumps(samples[variant.key]), flush=True)
        measured.append(samples)
    return {"missing": {key: reason for key, reason in missing.items() if reason}, "rounds": measured}


def take_sample(case, machine, variant, scale):
    watch = OthersWatch()
    try:
        sample = case.measure(machine, variant, scale)
    except (MeasurementError, OSError, ValueError, subprocess.SubprocessError) as error:
        return {"error": str(error) or type(error).__name__}
    sample["others_share"] = watch.share()
    return {figure: round(value, 4) for figure, value in sample.items()}


def output_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return (done.stdout + done.stderr).strip()


def machine_facts(machine):
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "linux": ".".join(platform.release().split(".")[:2]),
        "nginx": output_of("nginx", "-v").rpartition("/")[2],
        "nchan": output_of("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"),
        "sse-bridge": output_of(machine.program("sse-bridge"), "--version"),
    }


def write(machine, measured):
    """Keeps the cases that were not measured this time as they are."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    latest = json.loads(LATEST.read_text()) if LATEST.exists() else {"cases": {}}
    latest["machine"] = machine_facts(machine)
    latest["cases"].update(measured)
    LATEST.write_text(json.dumps(latest, indent=1, ensure_ascii=False) + "\n")
    results.write_document(DOCUMENT, latest["cases"])
    if shutil.which("gnuplot"):
        results.draw(DIRECTORY, latest["cases"])
    else:
        print("gnuplot is not installed: the plots stay as they are")
    print(f"written: {DOCUMENT.relative_to(ROOT)}, {LATEST.relative_to(ROOT)}")


def samples_of(measured):
    return [sample for case in measured.values() for one in case["rounds"] for sample in one.values()]


def main():
    chosen = options()
    scale = Scale(size=0.02, length=0.1) if chosen.smoke else Scale(length=0.5 if chosen.quick else 1)
    machine = Machine(chosen.programs)
    today = datetime.date.today().isoformat()
    measured = {}
    for case in CASES:
        if not chosen.case or case.name in chosen.case:
            measured[case.name] = {"measured": today, **measure(case, machine, scale, chosen.repeat)}
    print("\n" + results.markdown(results.table(measured)))
    busiest = max((sample.get("others_share", 0) for sample in samples_of(measured)), default=0)
    if busiest > OTHERS_SHARE_MAX:
        print(f"\nOther programs took up to {busiest:.0%} of this machine meanwhile: these figures are not to be trusted.")
    if not chosen.no_write:
        write(machine, measured)
    return 1 if any("error" in sample for sample in samples_of(measured)) else 0


if __name__ == "__main__":
    sys.exit(main())
