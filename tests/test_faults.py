"""The harness of hostile inputs and faults: what it tries, and how it judges."""

import random
from pathlib import Path

import pytest

from benchmarks.faults import arguments, environments
from benchmarks.faults.__main__ import all_inputs, tried
from benchmarks.faults.cases import (
    CRASH,
    FAILURES,
    HANDLED,
    HANG,
    INTERRUPTED,
    REFUSED,
    SILENT,
    TRACEBACK,
    Case,
    Ended,
    outcome,
)

pytestmark = pytest.mark.slow


def judged(ended: Ended, folder: Path, must: str = "end", wrong: str | None = None) -> str:
    return outcome(Case("", "", "", lambda _: ended, must, lambda *_: wrong), folder, ended)


@pytest.mark.parametrize(
    ("ended", "must", "found"),
    [
        (Ended(0, "", ""), "end", HANDLED),
        (Ended(0, "", ""), "refuse", SILENT),
        (Ended(2, "", "Error: no"), "end", REFUSED),
        (Ended(3, "", "Error: no"), "refuse", REFUSED),
        (Ended(2, "", "Error: no"), "handle", SILENT),
        (Ended(2, "", "oh no"), "end", SILENT),
        (Ended(1, "", "Error: no"), "end", TRACEBACK),
        (Ended(0, "", "Traceback (most recent call last):"), "end", TRACEBACK),
        (Ended(130, "", "Interrupted."), "end", INTERRUPTED),
        (Ended(-11, "", ""), "end", CRASH),
        (Ended(None, "", ""), "end", HANG),
    ],
)
def test_how_a_run_ended(tmp_path, ended, must, found):
    assert judged(ended, tmp_path, must) == found


def test_what_lies_on_disk_counts(tmp_path):
    assert judged(Ended(0, "", ""), tmp_path, wrong="half a file") == SILENT
    (tmp_path / ".x.partial").write_text("")
    assert judged(Ended(130, "", ""), tmp_path) == SILENT


def test_enough_is_tried_and_a_seed_says_what():
    inputs = all_inputs(0)
    kinds = (environments.streams, environments.outputs, environments.memory, environments.places)
    faults = [case for kind in kinds for case in kind()]
    moments = [case for case in environments.signals(0) if "SIGINT" in case.told]
    assert len(inputs) >= 400
    assert len(faults) + len(moments) >= 60
    assert [sum(case.command == command for case in moments) for command in ("verify --report", "reproduce")] == [14, 14]
    told = [[case.told for case in arguments.mixtures(50, seed)] for seed in (0, 0, 1)]
    assert told[0] == told[1] != told[2]


def test_a_sample_of_edges_ends_as_it_should():
    cases = [case for case in arguments.edges() if case.command in ("constants", "stepsize", "simulate")]
    random.Random(0).shuffle(cases)
    assert [(case.told, found) for case, found in tried(cases[:25], float("inf"), speak=False) if found in FAILURES] == []
