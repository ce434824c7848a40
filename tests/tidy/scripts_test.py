"""Shell scripts stand up to shellcheck."""

import shutil
import subprocess
import unittest

import tree


def is_shell(path):
    with open(tree.ROOT / path, "rb") as file:
        first = file.readline(64)
    return first.startswith(b"#!") and (b"bash" in first or b"/sh" in first)


class Scripts(unittest.TestCase):
    @unittest.skipUnless(shutil.which("shellcheck"), "there is no shellcheck")
    def test_shellcheck_finds_nothing(self):
        scripts = [str(path) for path in tree.files() if is_shell(path)]
        self.assertTrue(scripts)
        checked = subprocess.run(["shellcheck", *scripts], cwd=tree.ROOT, capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stdout)


if __name__ == "__main__":
    unittest.main()
