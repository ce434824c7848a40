"""C++ stands as clang-format writes it."""

import shutil
import unittest

import lint


class Format(unittest.TestCase):
    @unittest.skipUnless(shutil.which(lint.CLANG_FORMAT), f"there is no {lint.CLANG_FORMAT}")
    def test_clang_format_would_change_nothing(self):
        paths = lint.cpp_files()
        self.assertTrue(paths)
        _, said = lint.misformatted(paths)
        if said:
            self.fail("\n" + said)


if __name__ == "__main__":
    unittest.main()
