"""This version beside an older one: ``python -m benchmarks.against_commit REVISION [ROUNDS]``.

The older one is checked out beside it for a while. Two processes take turns at every row, and start-up is timed by processes
of its own. Seconds are those of the processor, on one thread; a ratio above 1 says that this version is faster.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.startup import COMMAND, SPENT, first_example
from benchmarks.timing import ratio_line

ROOT = Path(__file__).resolve().parent.parent
STARTS = {
    "import mastsim": "import mastsim",
    "mastsim --help": COMMAND.format(["--help"]),
    "mastsim constants": COMMAND.format(["constants", "--sketch", "randk:0.4", "--json", "-"]),
}


@contextlib.contextmanager
def checked_out(revision):
    """Check a revision out into a folder that goes at the end."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "--quiet", str(tree), revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def environment(tree, cache):
    """Return the environment of a process of a version, one thread, kernels in a folder of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    return os.environ | threads | {"PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(cache)}


class Version:
    """A process that times rows."""

    def __init__(self, tree, cache):
        self.environment = environment(tree, cache)
        command = [sys.executable, str(ROOT / "benchmarks" / "commit_rows.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=self.environment, text=True, cwd=cache, **pipes)
        self.rows = self.process.stdout.readline().rstrip("\n").split("\t")

    def row(self, title):
        """Return the seconds of a row, or why there are none."""
        print(title, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def start(self, code):
        """Return the seconds of a fresh process, or why there are none."""
        done = subprocess.run([sys.executable, "-c", code + SPENT], env=self.environment, capture_output=True, text=True)
        words = (done.stdout if done.returncode == 0 else done.stderr).split("\n")
        return next(word for word in reversed(words) if word.strip()).strip()


def tell(title, old, new, rounds):
    """Print the ratio of a row whose seconds two functions return, in turn, or why there is none."""
    pairs = []
    for _ in range(rounds):
        found = old(), new()
        try:
            pairs.append([float(words) for words in found])
        except ValueError:
            print(f"{title:62s} not in both: old {found[0]}, new {found[1]}", flush=True)
            return
    print(ratio_line(title, *zip(*pairs, strict=True)), f"  {1e3 * min(b for _, b in pairs):.3g} ms now", flush=True)


def main(revision, rounds):
    """Print a line a row."""
    with checked_out(revision) as tree, tempfile.TemporaryDirectory() as caches:
        folders = [Path(caches, name) for name in ("old", "new")]
        for folder in folders:
            folder.mkdir()
        old, new = (Version(where, folder) for where, folder in zip((tree, ROOT), folders, strict=True))
        print(f"seconds of {revision} over those of this version, median (lowest .. highest) of {rounds} rounds", flush=True)
        cold, constants = "README's first example, nothing compiled", STARTS["mastsim constants"]
        tell(cold, lambda: old.start(first_example()), lambda: new.start(first_example()), 1)
        # What is compiled at first does not count below.
        for version in (old, new):
            version.start(constants)
        for title, code in STARTS.items():
            tell(title, lambda code=code: old.start(code), lambda code=code: new.start(code), rounds)
        for title in new.rows:
            tell(title, lambda title=title: old.row(title), lambda title=title: new.row(title), rounds)
        for version in (old, new):
            version.process.terminate()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5)
