"""Run the command line: in this process, where an input cannot harm it, or in one of its own."""

import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from click.testing import CliRunner

from benchmarks.faults.cases import Ended
from mastsim.cli import main

PATIENCE = 300
"""Seconds after which something hangs."""
PROGRAM = [sys.executable, "-c", "from mastsim.cli import main; main()"]
ROOT = Path(__file__).parent.parent.parent


class HangError(BaseException):
    """Raised by the alarm; no handler of errors stops it."""


def here(*words: str) -> Callable[[Path], Ended]:
    """Return how to run a command line in this process; ``{}`` in a word is the folder."""

    def run(folder: Path) -> Ended:
        return guarded(lambda: _invoked([word.replace("{}", str(folder)) for word in words]))

    return run


def guarded(work: Callable[[], Ended]) -> Ended:
    """Do something that must end in time."""

    def late(_: int, __: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        return work()
    except HangError:
        return Ended(None, "", "")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _invoked(words: list[str]) -> Ended:
    result = CliRunner().invoke(main, words)
    deep = result.exception is not None and not isinstance(result.exception, SystemExit)
    if isinstance(result.exception, HangError):
        raise result.exception
    trace = "".join(traceback.format_exception(result.exception)) if deep else ""
    return Ended(result.exit_code, result.stdout, result.stderr + trace)


def apart(
    *words: str,
    environment: dict[str, str] | None = None,
    limit: tuple[int, int] | None = None,
    shell: str | None = None,
    signals: tuple[tuple[float, int], ...] = (),
    prefix: str = "",
) -> Callable[[Path], Ended]:
    """Return how to run a command line in a process of its own.

    Parameters
    ----------
    *words : str
        The command line; ``{}`` in a word is the folder.
    environment : dict, optional
        What is set beside what is set here.
    limit : (resource, int), optional
        A limit of the process.
    shell : str, optional
        Redirections, as bash writes them.
    signals : tuple of (seconds, number)
        What is sent, and when.
    prefix : str
        Python code before the program.
    """

    def run(folder: Path) -> Ended:
        command = [sys.executable, "-c", prefix + "\nfrom mastsim.cli import main; main()"] if prefix else list(PROGRAM)
        command += [word.replace("{}", str(folder)) for word in words]
        if shell is not None:
            command = ["bash", "-c", f'exec "$@" {shell}' if "|" not in shell else f'"$@" {shell}', "bash", *command]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        around = os.environ | threads | {"PYTHONPATH": str(ROOT)} | (environment or {})
        process = subprocess.Popen(
            command,
            env={name: text.replace("{}", str(folder)) for name, text in around.items()},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=None if limit is None else lambda: resource.setrlimit(limit[0], (limit[1], limit[1])),
        )
        return _ended(process, signals)

    return run


def _ended(process: "subprocess.Popen[bytes]", signals: tuple[tuple[float, int], ...]) -> Ended:
    begun = time.monotonic()
    for moment, number in signals:
        try:
            process.wait(max(0.0, begun + moment - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(number)
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Ended(None, "", "")
    return Ended(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
