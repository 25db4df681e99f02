"""Interruption: at any line of the package, in threads, and by real signals, a part is never taken for the whole."""

import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim import engine, plots
from mastsim.interruption import Interrupted, heard
from mastsim.verification import SuiteInterrupted, run_suite
from mastsim.verification.attack import AttackInterrupted, attack, replay
from mastsim.verification.attack.search import Evaluator
from tests.examples import examples

pytestmark = pytest.mark.slow

PACKAGE = str(Path(ms.__file__).parent)
A, y = np.random.default_rng(0).standard_normal((7, 4)), np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0])
F = ms.Mast(ms.LogisticRegression(A, y, l2=0.2), ms.RandK(4, k=2))
METHODS = [ms.DSGD(0.05), ms.GD(0.05), ms.PAGE(0.05, probability=0.5)]


class Tripwire:
    """Raises KeyboardInterrupt, once, at the n-th line of the package that is run; never for None, and then it counts."""

    def __init__(self, n):
        self.n, self.count = n, 0

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.count += 1
            if self.count == self.n:
                raise KeyboardInterrupt
        return self

    def __enter__(self):
        sys.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(None)


def simulated(method, **more):
    return ms.simulate(method, F, steps=6, replicas=3, every=2, seed=5, engine="array", x0="normal", **more)


@cache
def whole_of(method):
    return simulated(method)


@cache
def lines_of(method):
    with Tripwire(None) as wire:
        simulated(method)
    return wire.count


def same(one, two):
    assert one.request == two.request
    assert one.recorded.tolist() == two.recorded.tolist()
    for name in one.traces:
        assert np.array_equal(one.traces[name], two.traces[name]), name
    for name in one.state:
        assert np.array_equal(one.state[name], two.state[name]), name


@settings(max_examples=examples(80), deadline=None)
@given(which=st.integers(0, len(METHODS) - 1), where=st.floats(0, 1))
def test_interrupted_at_any_line_a_run_is_whole_or_resumes_to_the_whole(which, where):
    method = METHODS[which]
    whole = whole_of(method)
    wire = Tripwire(1 + int(where * lines_of(method)))
    try:
        with wire:
            found = simulated(method)
    except Interrupted as stop:
        part = stop.run
        assert part.complete == (part.steps_done == 6)
        assert np.array_equal(part.gap, whole.gap[:, : len(part.recorded)])
        same(simulated(method, resume=part), whole)
    except KeyboardInterrupt:
        # Before the first step, or after the last record, when the whole is on its way.
        pass
    else:
        same(found, whole)


@pytest.mark.parametrize("method", METHODS)
def test_most_lines_hand_on_what_was_recorded(method):
    count, kept = lines_of(method), []
    for n in range(1, count, max(1, count // 60)):
        try:
            with Tripwire(n):
                simulated(method)
        except Interrupted as stop:
            kept.append(stop.run.steps_done)
        except KeyboardInterrupt:
            kept.append(None)
    assert kept == sorted(kept, key=lambda done: -1 if done is None else done)
    assert set(kept) >= {None, 0, 2, 4}


def test_it_is_no_exception_that_is_caught_by_chance():
    assert issubclass(Interrupted, KeyboardInterrupt)
    assert not issubclass(Interrupted, Exception)
    assert ms.Interrupted is Interrupted


def test_measuring_stops_in_every_thread(monkeypatch):
    """Of two threads with 800 points each the second stops soon after the first is interrupted, before its last point."""
    seen, real = [], engine.measure_points

    def slow(objective, x, *rest):
        if len(seen) >= 6 and x[0, 0] < 0.8:
            raise KeyboardInterrupt
        seen.append(len(x))
        time.sleep(0.002 * len(x))
        return real(objective, x, *rest)

    monkeypatch.setattr(engine, "measure_points", slow)
    x0 = np.arange(1600)[:, None] / 1000 * np.eye(4)[0]
    with pytest.raises(Interrupted, match="up to step 0"):
        ms.simulate(ms.DSGD(0.1), F, steps=4, replicas=1600, threads=2, chunk=800, measures=("f",), x0=x0)
    assert sum(seen) < 800


def test_a_part_is_neither_judged_nor_drawn(tmp_path):
    part = simulated(ms.DSGD(0.05)).asked_for(9)
    assert not part.complete
    with pytest.raises(ValueError, match="ended at step 6 of 9, and a part of a run is not drawn"):
        plots.plot_run(part, None, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_suite_hands_on_its_verdicts(monkeypatch):
    from mastsim.verification import tasks

    data, decided, real = ms.load("synthetic:n=20,d=3"), [], tasks.decide_inequality

    def stopping(claim, *rest):
        if len(decided) == 3:
            raise KeyboardInterrupt
        decided.append(claim)
        return real(claim, *rest)

    monkeypatch.setattr(tasks, "decide_inequality", stopping)
    with pytest.raises(SuiteInterrupted, match=r"3 of \d+ verdicts, a part that says nothing about the rest") as caught:
        run_suite(data, only=("lemma1",), effort=ms.verification.QUICK)
    assert len(caught.value.verdicts) == 3 < caught.value.total


@pytest.mark.parametrize("at", [5, 60, 150])
def test_an_attack_keeps_its_best_witness(monkeypatch, tmp_path, at):
    calls, real = [], Evaluator.__call__

    def stopping(self, *arguments):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(Evaluator, "__call__", stopping)
    with pytest.raises(AttackInterrupted) as caught:
        attack("theorem1/nonconvex", budget=500)
    found = caught.value.attack
    assert found.evaluations == at - 1
    found.save(tmp_path / "witness.json")
    again = replay(tmp_path / "witness.json")
    assert (again.ratio, again.verdict, again.witness) == (found.ratio, found.verdict, found.witness)


def test_signals_are_heard_and_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.unraisablehook
    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(KeyboardInterrupt), heard() as signals:
            os.kill(os.getpid(), number)
        assert signals.came
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.unraisablehook) == before


def test_an_interruption_that_a_callback_dropped_comes_again():
    class Dropping:
        def __del__(self):
            raise KeyboardInterrupt

    def wait():
        Dropping()
        for _ in range(600):
            time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt), heard() as signals:
        wait()
    assert signals.came


COMMANDS = {
    "simulate": ["simulate", "--data", "synthetic:n=40,d=5", "--sketch", "randk:0.5", "--steps=100000", "--every=500"],
    "verify": ["verify", "--data", "synthetic:n=40,d=5", "--quick"],
    "reproduce": ["reproduce", "variance-reduction", "--data", "synthetic:n=40,d=5", "--quick"],
}
OUTPUTS = {
    "simulate": ("--out", "run.npz", "--plot", "run.png"),
    "verify": ("--report", "report", "--json", "all.json"),
    "reproduce": ("--out", "figures"),
}
WHOLE = {"simulate": 2, "verify": 4, "reproduce": 3}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_130_and_no_file_or_the_whole(tmp_path, number):
    """The moment is anywhere in the first seconds; what is asked holds at every one of them."""
    path = os.pathsep.join([str(Path(PACKAGE).parent), os.environ.get("PYTHONPATH", "")])
    started = {}
    for command in COMMANDS:
        program = [sys.executable, "-c", "from mastsim.cli import main; main()", *COMMANDS[command], *OUTPUTS[command]]
        (tmp_path / command).mkdir()
        started[command] = subprocess.Popen(
            program,
            cwd=tmp_path / command,
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    time.sleep(np.random.default_rng(number).uniform(1, 6))
    for process in started.values():
        process.send_signal(number)
    for command, process in started.items():
        _, said = process.communicate(timeout=120)
        check_files(command, process.returncode, said, [p for p in (tmp_path / command).rglob("*") if p.is_file()], number)


def check_files(command, code, said, files, number):
    assert "Traceback" not in said
    # One that comes before Python is up ends it in the system's way.
    if code in (130, -number) and len(files) < WHOLE[command]:
        assert [found.name for found in files] in ([], ["run.npz"] if command == "simulate" else [])
        for found in files:
            assert not ms.Run.load(found).complete
    else:
        # It may also come when all is written and the process is about to end.
        assert code in (0, 1, 130, -number)
        assert len(files) == WHOLE[command]
        assert all(ms.Run.load(found).complete for found in files if found.suffix == ".npz")
