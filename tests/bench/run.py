#!/usr/bin/env python3
"""Measures the bridge, its peer, the limits, the logs and calls in turn, and writes docs/benchmarks.md. scripts/bench builds and calls it."""

import argparse
import datetime
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

import call_results
import log_results
import results
from call_cases import CALL_CASES
from cases import CASES, Scale
from log_cases import LOG_CASES
from processes import MeasurementError, OthersWatch
from setup_results import SETUP_TABLES
from systems import Machine

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/benchmarks.md"
DIRECTORY = ROOT / "docs/benchmarks"
LATEST = DIRECTORY / "latest.json"
ALL_CASES = CASES + LOG_CASES + CALL_CASES
GROUPS = list(dict.fromkeys(case.group for case in ALL_CASES))
# The share of the machine's CPU time above which other programs spoil a measurement.
OTHERS_SHARE_MAX = 0.05
QUIET_SECONDS = 0.5


def list_of_cases():
    lines = [f"\n{group}:" + "".join(f"\n  {case.name:22}{case.title}" for case in ALL_CASES if case.group == group) for group in GROUPS]
    return "The groups and their cases:\n" + "\n".join(lines)


def options():
    parser = argparse.ArgumentParser(prog="scripts/bench", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=list_of_cases(),
                                     description="Measures the bridge beside nginx with Nchan and the limits, and its logs beside their stores.")
    parser.add_argument("--group", action="append", choices=GROUPS, help="only the cases of this group; may be repeated")
    parser.add_argument("--case", action="append", choices=[case.name for case in ALL_CASES], metavar="CASE",
                        help="only this one; may be repeated")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of half the length; writes nothing")
    parser.add_argument("--smoke", action="store_true", help="one tiny round that only shows that all of it works; writes nothing")
    parser.add_argument("--patience", type=float, default=0, metavar="SECONDS",
                        help="for each sample, wait so long at most for a machine that does nothing else, and repeat it where it was disturbed")
    parser.add_argument("--no-write", action="store_true", help="leave docs/ as it is")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/release/bin", help="where the binaries are")
    chosen = parser.parse_args()
    if chosen.quick or chosen.smoke:
        chosen.repeat, chosen.no_write = 1, True
    return chosen


def measure(case, machine, scale, chosen):
    """All rounds of a case; the systems of a round follow each other at once, in an order that rotates."""
    missing = {variant.key: variant.system.missing(machine) for variant in case.variants}
    present = [variant for variant in case.variants if not missing[variant.key]]
    measured = []
    machine = machine if case.is_pinned else machine.sharing_cores()
    for number in range(chosen.repeat):
        samples = {}
        turn = number % max(len(present), 1)
        for variant in present[turn:] + present[:turn]:
            print(f"{case.name}, round {number + 1}, {variant.key}: ", end="", flush=True)
            samples[variant.key] = take_quiet_sample(case, machine, variant, scale, chosen.patience)
            print(json.dumps(samples[variant.key]), flush=True)
        measured.append(samples)
    return {"missing": {key: reason for key, reason in missing.items() if reason}, "rounds": measured}


def take_quiet_sample(case, machine, variant, scale, patience):
    deadline = time.monotonic() + patience
    while True:
        while time.monotonic() < deadline and others_share(QUIET_SECONDS) > OTHERS_SHARE_MAX:
            pass
        sample = take_sample(case, machine, variant, scale)
        if sample.get("others_share", 0) <= OTHERS_SHARE_MAX or time.monotonic() >= deadline:
            return sample


def others_share(seconds):
    watch = OthersWatch()
    time.sleep(seconds)
    return watch.share()


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
        "nats-server": output_of("nats-server", "--version").rpartition(" ")[2],
        "libnats": output_of("pkg-config", "--modversion", "libnats"),
        "lmdb": output_of("pkg-config", "--modversion", "lmdb"),
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
    results.write_between(DOCUMENT, results.TABLE_BEGIN, results.TABLE_END, results.markdown(results.table(latest["cases"])))
    results.write_between(DOCUMENT, log_results.TABLE_BEGIN, log_results.TABLE_END, log_results.tables(latest["cases"]))
    results.write_between(DOCUMENT, call_results.TABLE_BEGIN, call_results.TABLE_END, call_results.tables(latest["cases"]))
    for table in SETUP_TABLES:
        results.write_between(DOCUMENT, *table.marks, table.markdown(latest["cases"]))
    if shutil.which("gnuplot"):
        results.draw(DIRECTORY, latest["cases"])
    else:
        print("gnuplot is not installed: the plots stay as they are")
    print(f"written: {DOCUMENT.relative_to(ROOT)}, {LATEST.relative_to(ROOT)}")


def samples_of(measured):
    return [sample for case in measured.values() for one in case["rounds"] for sample in one.values()]


def is_chosen(case, chosen):
    return (not chosen.case and not chosen.group) or case.name in (chosen.case or ()) or case.group in (chosen.group or ())


def tables_of(measured):
    rows = results.table(measured)
    return filter(None, [results.markdown(rows) if rows else "", log_results.tables(measured), call_results.tables(measured),
                         *(table.markdown(measured) for table in SETUP_TABLES)])


def main():
    chosen = options()
    scale = Scale(size=0.02, length=0.1) if chosen.smoke else Scale(length=0.5 if chosen.quick else 1)
    machine = Machine(chosen.programs)
    today = datetime.date.today().isoformat()
    measured = {}
    for case in ALL_CASES:
        if is_chosen(case, chosen):
            measured[case.name] = {"measured": today, **measure(case, machine, scale, chosen)}
    print("\n" + "\n\n".join(tables_of(measured)))
    busiest = max((sample.get("others_share", 0) for sample in samples_of(measured)), default=0)
    if busiest > OTHERS_SHARE_MAX:
        print(f"\nOther programs took up to {busiest:.0%} of this machine meanwhile: these figures are not to be trusted.")
    if not chosen.no_write:
        write(machine, measured)
    return 1 if any("error" in sample for sample in samples_of(measured)) else 0


if __name__ == "__main__":
    sys.exit(main())
