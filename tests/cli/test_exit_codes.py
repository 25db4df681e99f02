"""Every way to end is one line and an exit code: what is wrong with an argument, with the machine, and interruptions."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mastsim
import mastsim.cli.trial
from mastsim import devices, memory
from mastsim.cli import main
from mastsim.cli.program import INTERRUPTED

pytestmark = pytest.mark.slow

TINY = ("--data", "synthetic:n=9,d=3", "--sketch", "identity")
COMMANDS = {
    "constants": ("constants", *TINY),
    "stepsize": ("stepsize", *TINY),
    "simulate": ("simulate", *TINY, "--steps", "2"),
    "verify": ("verify", "--data", "synthetic:n=9,d=3", "--quick", "--theorem", "lemma1"),
    "reproduce": ("reproduce", "gap", "--data", "synthetic:n=9,d=3", "--quick"),
    "data path": ("data", "path", "a5a"),
    "data fetch": ("data", "fetch", "a5a"),
    "data list": ("data", "list"),
}
PLACES = (
    "spec.description.load",
    "problems.load",
    *(f"problems.catalogue.{name}" for name in ("locate", "fetch", "listing")),
)
ERRORS = [
    (ValueError("no such thing"), 2, "no such thing"),
    (TypeError("not a number"), 2, "not a number"),
    (np.linalg.LinAlgError("singular"), 2, "singular"),
    (ZeroDivisionError("division by zero"), 2, "too large or too small"),
    (OverflowError("math range error"), 2, "too large or too small"),
    (FloatingPointError("underflow"), 2, "too large or too small"),
    (EOFError(), 2, "EOFError without a reason"),
    (RecursionError("maximum depth"), 2, "maximum depth"),
    (FileNotFoundError(2, "No such file or directory", "a.txt"), 2, "'a.txt': No such file"),
    (MemoryError(), 3, "not enough memory"),
    (MemoryError("Unable to allocate 8 GiB"), 3, "Unable to allocate 8 GiB"),
    (memory.TooLargeError("the table: 9 GiB are needed"), 3, "9 GiB"),
    (devices.NoDeviceError("there is no GPU"), 3, "no GPU"),
    (OSError(28, "No space left on device", "x.json"), 3, "'x.json': No space left"),
    (PermissionError(13, "Permission denied", "x.json"), 3, "'x.json': Permission denied"),
    (ConnectionError("no\nnetwork"), 3, "no network"),
    (RuntimeError("can't start new thread"), 3, "can't start new thread"),
    (ImportError("libfoo.so: cannot allocate memory"), 3, "libfoo.so"),
]


def fail_with(monkeypatch, error: BaseException) -> None:
    def fail(*_, **__):
        raise error

    for place in PLACES:
        monkeypatch.setattr(f"mastsim.{place}", fail)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("error", "code", "said"), ERRORS, ids=lambda each: type(each).__name__)
def test_what_is_wrong_with_input_or_machine_is_one_line(monkeypatch, command, error, code, said):
    fail_with(monkeypatch, error)
    found = CliRunner().invoke(main, COMMANDS[command])
    assert found.exit_code == code, found.output
    assert found.stderr.startswith("Error: ")
    assert found.stderr.count("\n") == 1
    assert said in found.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("error", [AssertionError("a fault"), KeyError("a fault"), AttributeError("a fault")])
def test_a_fault_of_the_program_is_not_passed_off_as_anything_else(monkeypatch, command, error):
    fail_with(monkeypatch, error)
    assert CliRunner().invoke(main, COMMANDS[command]).exception is error


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interruption_is_130(monkeypatch, command):
    fail_with(monkeypatch, KeyboardInterrupt())
    found = CliRunner().invoke(main, COMMANDS[command])
    assert found.exit_code == INTERRUPTED == 130
    assert "Interrupted" in found.stderr
    assert found.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_interrupt(monkeypatch, number):
    before = signal.getsignal(number)
    monkeypatch.setattr("mastsim.spec.description.load", lambda *_, **__: signal.raise_signal(number))
    assert CliRunner().invoke(main, COMMANDS["constants"]).exit_code == 130
    assert signal.getsignal(number) is before


class Swallowing:
    """An object whose destructor is interrupted, which Python only reports."""

    def __del__(self):
        raise KeyboardInterrupt


def test_an_interruption_that_a_destructor_swallows_is_heard(monkeypatch):
    def load(*_, **__):
        Swallowing()
        time.sleep(60)

    begun, hook = time.monotonic(), sys.unraisablehook
    monkeypatch.setattr("mastsim.spec.description.load", load)
    found = CliRunner().invoke(main, COMMANDS["constants"])
    assert found.exit_code == 130
    assert time.monotonic() - begun < 50
    assert "Traceback" not in found.stderr
    assert sys.unraisablehook is hook


def test_a_gpu_that_is_not_there_is_the_machine(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    found = CliRunner().invoke(main, [*COMMANDS["simulate"], "--device", "gpu"])
    assert found.exit_code == 3
    assert "--device" in found.stderr or "device='gpu'" in found.stderr


def test_what_does_not_fit_in_memory_is_the_machine(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 1 << 30)
    found = CliRunner().invoke(main, ["constants", "--data", "synthetic:n=100000,d=100000", "--sketch", "identity"])
    assert found.exit_code == 3
    assert "GiB" in found.stderr


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({room}, {room}))
from mastsim.cli import main
try:
    main()
finally:
    print("numpy" in sys.modules)
"""


@pytest.mark.parametrize(
    ("mebibytes", "threads", "helps"), [(200, 1, False), (500, 1, False), (703, 1, False), (720, 8, True)]
)
def test_too_few_addresses_are_refused_before_a_library_can_hang(mebibytes, threads, helps):
    # Between 450 and 520 MiB the libraries hung, aborted or ended the process themselves.
    around = os.environ | {"PYTHONPATH": str(Path(mastsim.__file__).parent.parent), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", LIMITED.format(room=mebibytes << 20), *COMMANDS["stepsize"]]
    done = subprocess.run(command, env=around, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (3, "False\n"), done.stderr
    assert done.stderr.startswith(f"Error: this process may use {mebibytes}.0 MiB of addresses (ulimit -v)")
    assert ("OPENBLAS_NUM_THREADS=1" in done.stderr) == helps


def test_an_interpreter_that_fails_without_a_word_is_the_machine(monkeypatch):
    def fail(*_, **__):
        raise SystemError("error return without exception set")

    monkeypatch.setattr("mastsim.spec.description.load", fail)
    found = CliRunner().invoke(main, COMMANDS["constants"])
    assert found.exit_code == 3
    assert found.stderr == (
        "Error: Python itself failed (error return without exception set), as it does when memory runs out\n"
    )


def test_help_and_the_documents_name_every_code():
    said = CliRunner().invoke(main, ["--help"]).output
    for code in ("0", "1", "2", "3", "130"):
        assert any(line.split()[:1] == [code] for line in said.splitlines()), code


EARLY = """
import signal, sys
class Early:
    def find_spec(self, name, *_):
        if name == {name!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Early())
from mastsim.cli import main
main()
"""


@pytest.mark.parametrize("name", ["click", "mastsim.cli.trial", "mastsim.documents", "numpy", "mastsim.advice"])
def test_an_interruption_during_imports_is_130_without_a_traceback(name):
    around = os.environ | {"PYTHONPATH": str(Path(mastsim.__file__).parent.parent)}
    command = [sys.executable, "-c", EARLY.format(name=name), *COMMANDS["stepsize"]]
    done = subprocess.run(command, env=around, capture_output=True, text=True, timeout=120)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
