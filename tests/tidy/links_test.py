"""Relative links in Markdown lead somewhere: to a file or folder, and to a heading where they name one."""

import re
import unittest
import urllib.parse

import tree

FENCE = re.compile(r"^\s*(```|~~~)")
CODE = re.compile(r"`[^`]*`")
LINK = re.compile(r"\]\(<?([^()\s<>]+)>?(?:\s+\"[^\"]*\")?\)")
DEFINITION = re.compile(r"^\s*\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")


def prose(path):
    """The numbered lines outside of code blocks."""
    is_code = False
    for number, line in tree.lines(path):
        if FENCE.match(line):
            is_code = not is_code
        elif not is_code:
            yield number, line


def anchors(path):
    """The anchors of a Markdown file's headings, as GitHub makes them."""
    found = set()
    for _, line in prose(path):
        match = HEADING.match(line)
        if match:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def broken_links(path):
    for number, line in prose(path):
        text = CODE.sub("", line)
        for target in LINK.findall(text) + DEFINITION.findall(text):
            file, _, anchor = urllib.parse.unquote(target).partition("#")
            if re.match(r"[a-z][a-z0-9+.-]*:", file):
                continue
            aim = (tree.ROOT / path).parent / file if file else tree.ROOT / path
            if not aim.exists():
                yield f"{path}:{number}: {target}: there is no such file"
            elif anchor and aim.suffix == ".md" and anchor not in anchors(aim.resolve().relative_to(tree.ROOT)):
                yield f"{path}:{number}: {target}: there is no such heading"


class Links(unittest.TestCase):
    def test_relative_links_lead_somewhere(self):
        broken = [link for path in tree.files() if path.suffix == ".md" for link in broken_links(path)]
        if broken:
            self.fail("\n" + "\n".join(broken))


if __name__ == "__main__":
    unittest.main()
