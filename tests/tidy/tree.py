"""The repository's own files: what git tracks or would track, else what is there without what builds make."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
MADE = {".git", ".venv", "__pycache__", "bridgev1", "build", "node_modules"}


def paths_of_git(*arguments):
    """The paths that a command of git lists; None where there is no git, no repository, or no such thing in it."""
    if not shutil.which("git"):
        return None
    command = ["git", "-c", f"safe.directory={ROOT}", *arguments, "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        return None
    return [pathlib.Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name]


def files():
    """All files as paths relative to ROOT, sorted."""
    paths = paths_of_git("ls-files", "--cached", "--others", "--exclude-standard")
    if paths is not None:
        return sorted(path for path in paths if (ROOT / path).is_file())
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE]
        found += [pathlib.Path(folder, name).relative_to(ROOT) for name in names]
    return sorted(found)


def lines(path):
    """The numbered lines of a text file, from 1."""
    return enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), start=1)
