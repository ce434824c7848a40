"""Checks all C++ of the project with clang-format and clang-tidy; scripts/lint says how it is called."""

import argparse
import collections
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import tree

CLANG_FORMAT = "clang-format-19"
CLANG_TIDY = str(tree.ROOT / "build" / "venv" / "bin" / "clang-tidy")
BUILD = tree.ROOT / "build" / "dev"
FOLDERS = {"bridge", "examples", "tests"}

# Its own commands, and what clang-tidy has passed: a digest a line, of all that its answer depends on.
LINT = tree.ROOT / "build" / "lint"
PASSED = LINT / "passed"

# How a source is compiled, and the files that it includes.
Unit = collections.namedtuple("Unit", ["entry", "dependencies"])


def cpp_files():
    """All C++ of the project, as paths relative to the root."""
    return [path for path in tree.files() if path.suffix in {".cc", ".h"} and path.parts[0] in FOLDERS]


def run(*command, check=True):
    return subprocess.run(command, cwd=tree.ROOT, check=check, capture_output=True, text=True)


def misformatted(paths):
    """The files of `paths` that clang-format would write differently, and what it says."""
    if not paths:
        return set(), ""
    checked = run(CLANG_FORMAT, "--dry-run", "-Werror", *map(str, paths), check=False)
    found = set(re.findall(r"^(.+?):\d+:\d+: ", checked.stderr, re.MULTILINE))
    if checked.returncode != 0 and not found:
        sys.exit(f"lint: {CLANG_FORMAT}: {checked.stderr}")
    return found, checked.stderr


def includes():
    """By object file, the files that its source includes, as ninja has seen them; the source is the first."""
    files = {}
    for paragraph in run("ninja", "-C", str(BUILD), "-t", "deps").stdout.split("\n\n"):
        head, *lines = paragraph.splitlines() or [""]
        files[head.partition(":")[0]] = [(BUILD / line.strip()).resolve() for line in lines]
    return files


def units():
    """The sources of the project that the build compiles, by their paths relative to the root."""
    dependencies = includes()
    found = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8")):
        source = pathlib.Path(entry["file"])
        if not source.is_relative_to(BUILD):
            # Without the precompiled header: clang-tidy looks at all that is in it, for every source.
            command = re.sub(r" -Xclang -include(?:-pch)? -Xclang \S+", "", entry["command"])
            words = shlex.split(command)
            unit = Unit({**entry, "command": command}, dependencies.get(words[words.index("-o") + 1], [source]))
            found[source.relative_to(tree.ROOT)] = unit
    return found


@functools.cache
def digest_of_file(path):
    return hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""


@functools.cache
def digest_of_rules():
    rules = b"".join((tree.ROOT / path).read_bytes() for path in [".clang-tidy", "examples/.clang-tidy", "tests/.clang-tidy"])
    return hashlib.sha256(run(CLANG_TIDY, "--version").stdout.encode() + rules).digest()


def digest(unit):
    """Of all that clang-tidy's answer depends on."""
    whole = hashlib.sha256(digest_of_rules() + unit.entry["command"].encode())
    for path in unit.dependencies:
        whole.update(digest_of_file(path))
    return whole.hexdigest()


def tidy(source):
    """What clang-tidy has against a source and the project's headers that it includes; empty where it has nothing."""
    checked = run(CLANG_TIDY, "-p", str(LINT), "--quiet", str(source), check=False)
    return "" if checked.returncode == 0 else checked.stdout or checked.stderr


def changed(base):
    """The C++ that differs from the commit `base`."""
    differing = tree.paths_of_git("diff", "--name-only", base)
    if differing is None:
        sys.exit(f"lint: git knows no commit {base}")
    new = tree.paths_of_git("ls-files", "--others", "--exclude-standard")
    return sorted(set(differing + new) & set(cpp_files()))


def sources_that_show(paths, all_units):
    """Sources by which clang-tidy sees all of `paths`: of a header, its own .cc or else any that includes it."""
    chosen = set()
    for path in paths:
        if path in all_units:
            chosen.add(path)
        elif path.with_suffix(".cc") in all_units:
            chosen.add(path.with_suffix(".cc"))
        else:
            chosen |= set([source for source, unit in all_units.items() if tree.ROOT / path in unit.dependencies][:1])
    return chosen


def tidy_all(sources, all_units, jobs):
    """Runs clang-tidy on those of `sources` that it has not passed as they are; how many it passes, and how many not."""
    digests = {source: digest(all_units[source]) for source in sorted(sources)}
    passed = set(PASSED.read_text(encoding="ascii").split()) if PASSED.is_file() else set()
    waiting = [source for source in digests if digests[source] not in passed]
    print(f"lint: clang-tidy: {len(digests)} sources, {len(digests) - len(waiting)} of them as they were when they passed", flush=True)
    LINT.mkdir(parents=True, exist_ok=True)
    (LINT / "compile_commands.json").write_text(json.dumps([unit.entry for unit in all_units.values()]), encoding="utf-8")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool, PASSED.open("a", encoding="ascii") as file:
        findings = {pool.submit(tidy, source): source for source in waiting}
        for number, future in enumerate(concurrent.futures.as_completed(findings), start=1):
            source = findings[future]
            print(f"lint: {number}/{len(waiting)} {source}", flush=True)
            if future.result():
                failed += 1
                print(future.result(), flush=True)
            else:
                print(digests[source], file=file, flush=True)
    return len(digests) - failed, failed


def main():
    parser = argparse.ArgumentParser(prog="scripts/lint", description=__doc__)
    parser.add_argument("--changed", nargs="?", const="HEAD", metavar="BASE", help="only what differs from the commit BASE (default: %(const)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="as many at a time (default: one a core)")
    parser.add_argument("files", nargs="*", type=pathlib.Path, metavar="FILE", help="only these")
    arguments = parser.parse_args()
    paths = arguments.files or (changed(arguments.changed) if arguments.changed else cpp_files())
    badly, said = misformatted(paths)
    print(said, end="")
    all_units = units()
    passed, failed = tidy_all(sources_that_show(paths, all_units), all_units, arguments.jobs)
    print(f"{len(paths) - len(badly) + passed} passed, {len(badly) + failed} failed")
    return 1 if badly or failed else 0


if __name__ == "__main__":
    sys.exit(main())
