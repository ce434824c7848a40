"""What every file keeps to: in the build, of readable length, without leftovers."""

import collections
import re
import statistics
import unittest

import tree

LINE_LENGTH_MAX = 150
CPP_LINE_LENGTH_MAX = 120
BRIDGE_LINES_MAX = 400
# Nine files of ten have fewer lines than this, and half of them fewer than that.
MOST_LINES_MAX = 300
HALF_LINES_MAX = 100

TEXT = {".c", ".cc", ".cmake", ".css", ".go", ".h", ".html", ".js", ".mjs", ".md", ".proto", ".py", ".sh", ".yaml", ".yml"}
SOURCE = {".cc", ".h"}

# What has no place in a file, and why.
LEFTOVERS = [
    (re.compile(r"\bTODO\b(?!\([^)]+\): \S)"), "a TODO says whose or which issue's, and what: TODO(#12): ..."),
    (re.compile(r"\b(?:FIXME|XXX|HACK)\b"), "fix it, or make it a TODO with a reason"),
    (re.compile(r"^(?:<{7}|>{7}) "), "a merge conflict"),
    (re.compile(r"(?<![\w.}])/(?:home|root|work|Users)/\w"), "a path of somebody's own machine"),
    (re.compile(r'"resolved": "http'), "a lock file names no registry: npm's --omit-lockfile-registry-resolved"),
]
CPP_LEFTOVERS = [
    (re.compile(r"^\s*using namespace\b"), "no using-directives"),
    (re.compile(r"\b(?:s?rand|gets|strcpy|strcat|sprintf|gmtime|localtime|strtok)\("), "not thread-safe or not bounded"),
    (re.compile(r"\.detach\(\)"), "a thread is joined"),
    (re.compile(r"\bNOLINT(?:NEXTLINE|BEGIN)?\b(?!\()"), "a NOLINT names its check and the reason"),
    (re.compile(r"\bNOLINT(?:NEXTLINE|BEGIN)?\([^)]*\)(?!: \S| - \S)"), "a NOLINT gives its reason after a colon"),
]
# What the bridge itself, which meets strangers, must not call.
BRIDGE_LEFTOVERS = [
    (re.compile(r"\bstd::(?:endl|cout|cerr)\b"), "the bridge logs with bridge/ops"),
    (re.compile(r"\bstd::regex\b"), "std::regex recurses on its input"),
    (re.compile(r"\bstd::(?:\w*mutex|\w+_lock|lock_guard|condition_variable)\b"), "absl::Mutex, which clang's analysis knows"),
    (re.compile(r"\b(?:system|popen|alloca)\("), "no shell, and no stack of a stranger's length"),
]
# A test waits for what it wants (Eventually), and no longer.
TEST_LEFTOVERS = [(re.compile(r"\b(?:[Ss]leep|SleepFor|sleep_for|usleep)\((?!.*//)"), "a sleep that is not a wait says at its line's end what for")]
# A name that is declared, and cut short. The libraries' own are theirs.
SHORT = "arg|args|buf|cb|cfg|cnt|conn|ctx|cur|evt|fn|func|idx|impl|len|mgr|msg|num|opts|param|params|prev|ptr|req|res|resp|str|tmp|val"
CPP_LEFTOVERS.append((re.compile(rf"(?:[\w>]\s+|[&*]\s*)(?:\w+_)?(?:{SHORT})_?\s*(?:[;,={{)\[]|$)"), "names are words"))
# Folders that would hold anything.
SHAPELESS = {"common", "helper", "helpers", "misc", "util", "utils"}
# What is read where it stands, without being named: by tools, or one by one.
UNNAMED = re.compile(
    r"^(?:docs/adr/|helm/(?:ci|templates)/|deploy/compose/grafana/)|(?:^|/)(?:\.[^/]+|CMakeLists\.txt|CMakePresets\.json|go\.sum)$")
THIS = "tests/tidy/files_test.py"
# Words and names of files.
WORD = re.compile(r"[A-Za-z0-9_](?:[\w.-]*\w)?")


def is_text(path):
    return path.suffix in TEXT or path.name in {"CMakeLists.txt", "Dockerfile", "package-lock.json"} or path.parts[0] in {"scripts", ".ci"}


def is_own_text(path):
    """Text that people write, and not a tool."""
    return is_text(path) and path.name != "package-lock.json" and not any(part.endswith("_corpus") for part in path.parts)


def leftovers_of(path):
    rules = list(LEFTOVERS)
    if path.suffix in SOURCE:
        rules += CPP_LEFTOVERS
    if path.suffix in SOURCE and path.parts[0] == "bridge":
        rules += BRIDGE_LEFTOVERS
    if path.name.endswith(("_test.cc", ".test.mjs")):
        rules += TEST_LEFTOVERS
    return rules


def names_of(path):
    """What others may call a file."""
    # A corpus is its fuzzer's, and a file of Go its package's.
    if path.parent.name.endswith("_corpus"):
        return {path.parent.name.removesuffix("_corpus")}
    if path.suffix == ".go":
        return {path.name, path.parent.name}
    plain = re.sub(r"_test\.cc$|_fuzzer\.cc$|_test\.py$|\.test\.mjs$", "", path.name)
    return {path.name, plain, path.stem} if path.suffix in {".cmake", ".py"} else {path.name, plain}


def line_length_max(path):
    return CPP_LINE_LENGTH_MAX if path.suffix in SOURCE else LINE_LENGTH_MAX


def may_be_long(line):
    """Addresses, rows of tables and drawings cannot be broken."""
    return "://" in line or "<svg" in line or line.lstrip().startswith("|")


class Files(unittest.TestCase):
    def assert_none(self, found):
        if found:
            self.fail("\n" + "\n".join(found))

    def test_lines_are_readable(self):
        self.assert_none([
            f"{path}:{number}: {len(line)} characters, at most {line_length_max(path)}"
            for path in filter(is_own_text, tree.files())
            for number, line in tree.lines(path)
            if len(line) > line_length_max(path) and not may_be_long(line)
        ])

    def test_no_tabs_and_no_spaces_at_the_end(self):
        self.assert_none([
            f"{path}:{number}"
            for path in filter(is_own_text, tree.files())
            for number, line in tree.lines(path)
            # Go is indented with tabs, also in Markdown.
            if line != line.rstrip() or ("\t" in line and path.suffix not in {".go", ".md"})
        ])

    def test_files_end_with_one_line_feed(self):
        def text_of(path):
            return (tree.ROOT / path).read_text(encoding="utf-8")

        self.assert_none([
            str(path) for path in filter(is_own_text, tree.files()) if not text_of(path).endswith("\n") or text_of(path).endswith("\n\n")
        ])

    def test_nothing_is_left_over(self):
        self.assert_none([
            f"{path}:{number}: {why}"
            for path in filter(is_text, tree.files())
            if str(path) != THIS
            for number, line in tree.lines(path)
            for pattern, why in leftovers_of(path)
            if pattern.search(line)
        ])

    def test_headers_are_included_once(self):
        headers = [path for path in tree.files() if path.suffix == ".h"]
        self.assert_none([str(path) for path in headers if "#pragma once" not in (line for _, line in tree.lines(path))])

    def test_files_of_the_bridge_are_short(self):
        sizes = {path: sum(1 for _ in tree.lines(path)) for path in tree.files() if path.parts[0] == "bridge" and is_own_text(path)}
        self.assert_none([f"{path}: {size} lines, at most {BRIDGE_LINES_MAX}" for path, size in sizes.items() if size > BRIDGE_LINES_MAX])
        self.assertLess(statistics.quantiles(sizes.values(), n=10)[-1], MOST_LINES_MAX, "lines of the longest tenth")
        self.assertLess(statistics.median(sizes.values()), HALF_LINES_MAX, "lines of the median")

    def test_folders_say_what_is_in_them(self):
        self.assert_none([str(path) for path in tree.files() if SHAPELESS & {path.stem, *path.parts}])

    def test_no_file_is_dead(self):
        named_in = collections.defaultdict(set)
        for path in tree.files():
            for _, line in tree.lines(path) if is_text(path) or path.name == "CMakePresets.json" else ():
                for word in WORD.findall(line):
                    named_in[word].add(path)
        self.assert_none([
            f"{path}: nothing names it"
            for path in tree.files()
            if not UNNAMED.search(path.as_posix()) and not any(named_in[name] - {path} for name in names_of(path))
        ])


class Build(unittest.TestCase):
    """Every source is named in the CMakeLists.txt of its folder, or of one above it."""

    def assert_built(self, paths, name_of):
        missing = []
        for path in paths:
            for folder in path.parents:
                lists = tree.ROOT / folder / "CMakeLists.txt"
                name = re.escape(name_of(path.relative_to(folder)))
                if lists.is_file() and re.search(rf"(?<![\w/.]){name}(?![\w/.])", lists.read_text(encoding="utf-8")):
                    break
            else:
                missing.append(str(path))
        if missing:
            self.fail("not in the build:\n" + "\n".join(missing))

    def paths(self, first, suffixes):
        return [path for path in tree.files() if path.parts[0] == first and path.name.endswith(suffixes)]

    def test_sources_of_the_bridge(self):
        self.assert_built(self.paths("bridge", (".cc", ".h")), str)

    def test_gtest_programs(self):
        self.assert_built(self.paths("tests", "_test.cc"), lambda path: str(path).removesuffix("_test.cc"))

    def test_fuzzers(self):
        self.assert_built(self.paths("tests", "_fuzzer.cc"), lambda path: str(path).removesuffix("_fuzzer.cc"))

    def test_tests_in_javascript(self):
        self.assert_built(self.paths("tests", ".test.mjs"), lambda path: str(path).removesuffix(".test.mjs"))

    def test_tests_in_python(self):
        self.assert_built(self.paths("tests", "_test.py"), lambda path: str(path).removesuffix("_test.py"))


class Rules(unittest.TestCase):
    def found(self, line, rules=tuple(LEFTOVERS)):
        return any(pattern.search(line) for pattern, _ in rules)

    def test_a_todo_has_a_reason(self):
        self.assertTrue(self.found("// TODO: later"))
        self.assertTrue(self.found("// TODO"))
        self.assertFalse(self.found("// TODO(#12): take the store's own bound"))

    def test_a_suppressed_warning_has_a_name_and_a_reason(self):
        self.assertTrue(self.found("f();  // NOLINT", CPP_LEFTOVERS))
        self.assertTrue(self.found("f();  // NOLINT(misc-x)", CPP_LEFTOVERS))
        self.assertFalse(self.found("f();  // NOLINT(misc-x): the library wants it", CPP_LEFTOVERS))

    def test_a_short_name_is_found_where_it_is_declared(self):
        for line in ["  int len = 0;", "f(const std::string& buf)", "Value* tmp;", "size_t body_len_ = 0;", "auto cb = [] {"]:
            self.assertTrue(self.found(line, CPP_LEFTOVERS), line)
        for line in ["piece.iov_len = 3;", "text.c_str()", "e.msg));", "std::prev(end)", "int length = 0;"]:
            self.assertFalse(self.found(line, CPP_LEFTOVERS), line)

    def test_a_path_of_a_machine_is_found(self):
        self.assertTrue(self.found("see /home/somebody/notes"))
        self.assertFalse(self.found("${root}/home/page and a.b/home/x"))


if __name__ == "__main__":
    unittest.main()
