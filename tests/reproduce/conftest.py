"""Numbers of every figure on tiny data, computed once for all tests of this folder."""

import json

import pytest

import mastsim as ms
from mastsim.documents import dumps
from mastsim.reproduce import ALL_FIGURES

TINY = "synthetic:n=24,d=3,condition=20"


@pytest.fixture(scope="session")
def computed():
    """Return the numbers of a figure, through their JSON, computed once."""
    held = {}

    def numbers(name):
        if name not in held:
            held[name] = json.loads(dumps(ALL_FIGURES[name].compute(ms.load(TINY), True, 3)))
        return held[name]

    return numbers
