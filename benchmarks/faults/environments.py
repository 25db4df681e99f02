"""Faults of the environment: encodings, closed streams, broken outputs, limits, signals, folders that cannot be written."""

import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.faults.cases import Case, Ended
from benchmarks.faults.running import ROOT, apart

TINY = ("--data", "synthetic:n=12,d=4,condition=10")
RANDK = ("--sketch", "randk:0.5")
COMMANDS = {
    "help": ("simulate", "--help"),
    "constants": ("constants", *TINY, *RANDK),
    "constants --json -": ("constants", *TINY, *RANDK, "--json", "-"),
    "stepsize": ("stepsize", *TINY, *RANDK),
    "simulate": ("simulate", *TINY, *RANDK, "--steps", "5", "--replicas", "2", "--out", "{}/run.npz"),
    "verify": ("verify", "--quick", *TINY, "--theorem", "lemma1", "--json", "{}/v.json"),
    "data list": ("data", "list"),
}
WRITERS = {
    "constants": ("constants", *TINY, *RANDK, "--json"),
    "simulate --out": ("simulate", *TINY, *RANDK, "--steps", "5", "--replicas", "9", "--out"),
    "simulate --plot": ("simulate", *TINY, *RANDK, "--steps", "5", "--replicas", "2", "--plot"),
    "verify --witness": ("verify", "--attack", "theorem1/nonconvex", "--budget", "200", "--witness"),
}
SUFFIX = {"simulate --out": ".npz", "simulate --plot": ".png"}
FOLDERS = {
    "verify --report": ("verify", "--quick", *TINY, "--theorem", "theorem2", "--report", "{}/report"),
    "verify --pages": ("verify", "--quick", *TINY, "--theorem", "theorem2", "--pages", "{}/pages"),
    "reproduce": ("reproduce", "theory-table", "--quick", "--data", "synthetic:n=20,d=3", "--out", "{}/figures"),
}
MOMENTS = 14
MIB = 1 << 20


def streams() -> Iterator[Case]:
    """Yield encodings that lack Greek, closed streams, closed pipes, and full devices."""
    for encoding in ("latin-1", "cp1252", "ascii"):
        for command, words in COMMANDS.items():
            sound = _is_ascii_json if command == "constants --json -" else None
            around = {"PYTHONIOENCODING": encoding}
            yield Case(f"encoding {encoding}", command, encoding, apart(*words, environment=around), "handle", sound)
    for redirected in ("2>&-", ">&-", ">&- 2>&-", "<&-", "| head -1", "| true"):
        for command, words in COMMANDS.items():
            told = "closed pipe" if "|" in redirected else "closed stream"
            yield Case(told, command, redirected, apart(*words, shell=redirected), "handle")
    for command in ("help", "constants", "data list"):
        yield Case("stdout is full", command, "> /dev/full", apart(*COMMANDS[command], shell="> /dev/full"), "refuse")


def outputs() -> Iterator[Case]:
    """Yield output paths where nothing can be written, before the work and during it."""
    for command, words in WRITERS.items():
        suffix = SUFFIX.get(command, ".json")
        for name, (make, must) in _OBSTACLES.items():
            yield Case(
                "output path", command, name, _after(make, suffix, apart(*words, f"{{}}/x{suffix}")), must, _kept(name)
            )
    for command, words in (WRITERS | FOLDERS).items():
        target = () if command in FOLDERS else (f"{{}}/x{SUFFIX.get(command, '.json')}",)
        limited = apart(*words, *target, limit=(resource.RLIMIT_FSIZE, 2000))
        yield Case("disk full", command, "RLIMIT_FSIZE of 2000 bytes", limited, "refuse", _no_part)


def _link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to.replace("{}", str(path.parent)))


def _read_only(path: Path) -> None:
    path.write_text("kept")
    path.chmod(0o444)


_OBSTACLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "refuse"),
    "a pipe": (os.mkfifo, "refuse"),
    "a link to itself": (lambda path: path.symlink_to(path), "refuse"),
    "a link to nowhere": (_link("{}/none/x"), "refuse"),
    "a link to a file": (_link("{}/target"), "handle"),
    "a link to /dev/full": (_link("/dev/full"), "refuse"),
    "a file that is read-only": (_read_only, "end"),
}


def _after(make: Callable[[Path], object], suffix: str, ran: Callable[[Path], Ended]) -> Callable[[Path], Ended]:
    def run(folder: Path) -> Ended:
        make(folder / f"x{suffix}")
        return ran(folder)

    return run


def _kept(name: str) -> Callable[[Path, Ended], str | None]:
    def sound(folder: Path, _: Ended) -> str | None:
        for path in folder.glob("x.*"):
            if "link" in name and not path.is_symlink():
                return "the link was replaced"
            if name == "a pipe" and path.is_file():
                return "the pipe was replaced"
        return None

    return sound


def _no_part(folder: Path, ended: Ended) -> str | None:
    left = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size >= 2000]
    named = str(folder) in ended.err
    return f"left {left}" if left else None if named else "the file is not named"


def _is_ascii_json(_: Path, ended: Ended) -> str | None:
    try:
        json.loads(ended.out)
    except ValueError as problem:
        return str(problem)
    return None if ended.out.isascii() else "not ASCII"


def memory() -> Iterator[Case]:
    """Yield limits on memory, from too little to import anything to nearly enough."""
    for command, words in {name: COMMANDS[name] for name in ("constants", "simulate", "verify")}.items():
        for room in (200, 400, 600, 705, 720, 740, 760, 800, 1000, 1400):
            limited = apart(*words, limit=(resource.RLIMIT_AS, room * MIB))
            yield Case("memory limit", command, f"RLIMIT_AS of {room} MiB", limited)
    for size in ("n=100000,d=2000", "n=2000,d=100000"):
        words = ("constants", "--data", f"synthetic:{size}", *RANDK)
        yield Case("memory limit", "constants", f"{size} in 1500 MiB", apart(*words, limit=(resource.RLIMIT_AS, 1500 * MIB)))


def signals(seed: int, moments: int = MOMENTS) -> Iterator[Case]:
    """Yield SIGINT at moments spread over a run, and SIGTERM at some; a run without one says how long it takes."""
    for command in ("verify --report", "reproduce"):
        lasts: list[float] = []
        whole: set[str] = set()
        for number in range(moments):
            for which in (signal.SIGINT,) if number % 4 else (signal.SIGINT, signal.SIGTERM):
                share = (number + 0.5) / moments
                run = _interrupted(FOLDERS[command], which, share, lasts, whole)
                told = f"{which.name} after {share:.0%} of the time"
                yield Case("signal", command, told, run, "end", _all_or_none(whole))


def _interrupted(
    words: tuple[str, ...], which: signal.Signals, share: float, lasts: list[float], whole: set[str]
) -> Callable[[Path], Ended]:
    def run(folder: Path) -> Ended:
        if not lasts:
            for _ in range(2):  # the first compiles
                begun = time.monotonic()
                apart(*words)(folder)
                last = time.monotonic() - begun
            lasts.append(last)
            whole.update(path.name for path in folder.rglob("*") if path.is_file())
            shutil.rmtree(folder)
            folder.mkdir()
        return apart(*words, signals=((share * lasts[0], which),))(folder)

    return run


def _all_or_none(whole: set[str]) -> Callable[[Path, Ended], str | None]:
    def sound(folder: Path, ended: Ended) -> str | None:
        left = {path.name for path in folder.rglob("*") if path.is_file()}
        if ended.code in (-2, -15):
            return None if not left else f"left {left}"
        if ended.code not in (0, 130):
            return f"ended with {ended.code}"
        allowed = [whole] if ended.code == 0 else [set(), whole]
        return None if left in allowed else f"left {left}"

    return sound


def places() -> Iterator[Case]:
    """Yield environments of Python and of folders in which nothing can be kept."""
    homes = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null", "NUMBA_CACHE_DIR": ""}
    for command in ("constants", "simulate", "verify"):
        copied = apart(*COMMANDS[command], environment=homes | {"PYTHONPATH": "{}/site", "TMPDIR": "{}/tmp"})
        yield Case("read-only HOME and package", command, "kernels go to TMPDIR", _with_copy(copied), "handle")
    for name, around in _AROUND.items():
        for command in ("constants", "simulate", "verify"):
            yield Case("environment", command, name, apart(*COMMANDS[command], environment=around), "handle")
    for command in ("constants", "verify"):
        words = (*COMMANDS[command], "2>/dev/null")[:-1]
        yield Case(
            "environment", command, "sys.stderr is None", apart(*words, prefix="import sys; sys.stderr = None"), "handle"
        )
    yield Case("environment", "simulate", "no GPU", apart(*COMMANDS["simulate"], "--device", "gpu"))


_AROUND = {
    "PYTHONOPTIMIZE=2": {"PYTHONOPTIMIZE": "2"},
    "NUMBA_DISABLE_JIT=1": {"NUMBA_DISABLE_JIT": "1"},
    "NUMBA_THREADING_LAYER=workqueue": {"NUMBA_THREADING_LAYER": "workqueue"},
    "LC_ALL=C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no temporary folder": {"TMPDIR": "/dev/null"},
}


def _with_copy(ran: Callable[[Path], Ended]) -> Callable[[Path], Ended]:
    """Run with a copy of the package beside which nothing can be kept, not even by root."""

    def run(folder: Path) -> Ended:
        shutil.copytree(ROOT / "mastsim", folder / "site" / "mastsim", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "site" / "mastsim" / "__pycache__").write_text("")
        (folder / "tmp").mkdir()
        ended = ran(folder)
        shutil.rmtree(folder / "site")
        return ended

    return run
