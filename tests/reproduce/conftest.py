"""Numbers of every figure on tiny data, computed once for all tests of this folder, on whatever worker."""

import fcntl
import json
import os

import pytest

import mastsim as ms
from mastsim.documents import dumps
from mastsim.reproduce import ALL_FIGURES

TINY = "synthetic:n=24,d=3,condition=20"


@pytest.fixture(scope="session")
def computed(tmp_path_factory):
    """Return the numbers of a figure, through their JSON, that one worker computes while others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def numbers(name):
        kept = shared / f"{name}.json"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                kept.write_text(dumps(ALL_FIGURES[name].compute(ms.load(TINY), True, 3)), encoding="utf-8")
        return json.loads(kept.read_text(encoding="utf-8"))

    return numbers
