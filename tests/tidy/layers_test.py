"""Dependencies between the folders of bridge/ point one way, in the #includes and in CMake."""

import re
import unittest

import tree

# Who stands directly on whom. A folder may also use what is further below.
ARROWS = {
    "base": [],
    "auth": ["topic"],
    "config": ["topic"],
    "loop": ["base"],
    "ops": ["base"],
    "payload": ["base"],
    "sse": ["base"],
    "topic": ["base"],
    "web": ["base"],
    "log": ["topic"],
    "hub": ["log", "loop", "sse", "topic"],
    "calls": ["auth", "log", "loop", "topic"],
    "http": ["auth", "calls", "hub", "web"],
    "rpc": ["auth", "calls", "log", "loop", "payload", "sse", "topic"],
}
# Logging and metrics: for everybody above base.
FOR_ALL = {"base", "ops"}

INCLUDE = re.compile(r'^\s*#\s*include\s+"bridge/([a-z]+)/(?:[a-z_]+/)*[a-z_]+\.h"')
LIBRARY = re.compile(r"\bbridge_library\(\s*([a-z]+)(.*?)\)", re.DOTALL)
DEPENDENCY = re.compile(r"\bbridge::([a-z]+)\b(?!_)")


def below(folder):
    """The folders that `folder` may use."""
    reached = set(FOR_ALL) if folder != "base" else set()
    for direct in ARROWS[folder]:
        reached |= {direct} | below(direct)
    return reached - {folder}


def wrong_arrows(folder, used):
    return [f"bridge/{folder} -> bridge/{other}" for other in sorted(used) if other != folder and other not in below(folder)]


def folder_of(path):
    """The folder of bridge/ that a source belongs to; None for the root of bridge/, which knows them all."""
    return path.parts[1] if path.parts[0] == "bridge" and len(path.parts) > 2 else None


class Layers(unittest.TestCase):
    def setUp(self):
        self.includes = {}  # folder -> {included folder -> the first place}
        self.dependencies = {}  # folder -> set of folders in DEPS
        for path in tree.files():
            folder = folder_of(path)
            if folder is None:
                continue
            if path.suffix in {".cc", ".h"}:
                places = self.includes.setdefault(folder, {})
                for number, line in tree.lines(path):
                    match = INCLUDE.match(line)
                    if match and match[1] != folder and not line.rstrip().endswith('.pb.h"'):
                        places.setdefault(match[1], f"{path}:{number}")
            elif path.name == "CMakeLists.txt":
                for name, body in LIBRARY.findall((tree.ROOT / path).read_text(encoding="utf-8")):
                    used = {other for other in DEPENDENCY.findall(body) if other in ARROWS}
                    self.dependencies.setdefault(name, set()).update(used)

    def test_every_folder_has_its_place(self):
        self.assertEqual(sorted(set(self.includes) - set(ARROWS)), [], "folders that ARROWS does not name")

    def test_includes_point_one_way(self):
        wrong = [
            f"{places[other]}: bridge/{folder} must not use bridge/{other}"
            for folder, places in sorted(self.includes.items())
            for other in sorted(places)
            if wrong_arrows(folder, {other})
        ]
        self.assertEqual(wrong, [])

    def test_libraries_point_one_way(self):
        wrong = [arrow for folder, used in sorted(self.dependencies.items()) for arrow in wrong_arrows(folder, used)]
        self.assertEqual(wrong, [])

    def test_what_is_included_is_a_dependency(self):
        missing = [
            f"{places[other]}: bridge::{other} is not in the DEPS of bridge/{folder}/CMakeLists.txt"
            for folder, places in sorted(self.includes.items())
            for other in sorted(places)
            if other not in self.dependencies.get(folder, set())
        ]
        self.assertEqual(missing, [])

    def test_examples_know_only_the_proto(self):
        wrong = [
            f"{path}:{number}"
            for path in tree.files()
            if path.parts[0] == "examples" and path.suffix in {".cc", ".h"}
            for number, line in tree.lines(path)
            if INCLUDE.match(line) and ".pb.h" not in line
        ]
        self.assertEqual(wrong, [])


class Rule(unittest.TestCase):
    def test_rpc_and_http_never_meet(self):
        self.assertEqual(wrong_arrows("rpc", {"http"}), ["bridge/rpc -> bridge/http"])
        self.assertEqual(wrong_arrows("http", {"rpc"}), ["bridge/http -> bridge/rpc"])

    def test_no_folder_is_below_itself(self):
        for folder in ARROWS:
            for other in below(folder) - FOR_ALL:
                self.assertNotIn(folder, below(other))

    def test_base_stands_on_nothing(self):
        self.assertEqual(wrong_arrows("base", {"ops"}), ["bridge/base -> bridge/ops"])


if __name__ == "__main__":
    unittest.main()
