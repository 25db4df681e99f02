"""Content hashes: kept by what can never change, taken anew of everything else, and data read once."""

import hashlib
import pickle
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import mastsim as ms
from mastsim import provenance
from mastsim.provenance import content_hash
from mastsim.readonly import FrozenDict, ReadOnly, frozen

A = np.random.default_rng(0).normal(size=(30, 4))
Y = np.where(A[:, 0] > 0, 1.0, -1.0)
DENSE, SPARSE = ms.LogisticRegression(A, Y, l2=0.1), ms.LeastSquares(sp.csr_array(A * (A > 0)), Y, l2=0.1)
QUADRATIC = ms.Quadratic(np.eye(4), np.ones(4))
KEEPING = {
    "dense": lambda: replace(DENSE),
    "sparse": lambda: replace(SPARSE),
    "sum": lambda: ms.FiniteSum([replace(DENSE), replace(SPARSE)]),
    "network": lambda: ms.TwoLayerNetwork(A, Y, width=2, l2=0.1),
    "mask": lambda: ms.BlockBernoulli(4, np.array([0, 0, 1, 1]), [0.5, 0.25]),
    "matrices": lambda: ms.FiniteSupport([2 * np.diag([1.0, 0, 1, 0]), 2 * np.diag([0.0, 1, 0, 1])]),
    "rotated": lambda: ms.Rotated(ms.RandK(4, k=1), np.eye(4)),
    "objective": lambda: ms.Mast(replace(DENSE), ms.RandK(4, k=1), shift=np.ones(4)),
    "clients": lambda: ms.Distributed([replace(QUADRATIC), replace(SPARSE)], ms.PermK(4, clients=2)),
    "sampling": lambda: ms.IndependentSampling([0.5, 0.25]),
}


@dataclass(frozen=True, eq=False)
class Holder(ReadOnly):
    """What freezes nothing of what it is given."""

    held: Any

    def __post_init__(self):
        pass


class Counted:
    """SHA-256 with a count of all bytes that went in."""

    fed = 0

    def __init__(self, data=b""):
        self.digest = (own := hashlib.sha256()).digest
        self.own = own
        self.update(data)

    def update(self, data):
        Counted.fed += len(data)
        self.own.update(data)


@pytest.mark.parametrize("make", KEEPING.values(), ids=KEEPING)
def test_what_cannot_change_keeps_its_hash(make, monkeypatch):
    thing = make()
    found = content_hash(thing)
    again, another = pickle.loads(pickle.dumps(thing)), make()
    assert content_hash(another) == found
    monkeypatch.setattr(provenance, "hashlib", SimpleNamespace())
    assert content_hash(thing) == content_hash(again) == found


def first(array):
    array[0] += 1


@pytest.mark.parametrize(
    ("held", "change"),
    [
        (np.zeros(2), first),
        (sp.csr_array(np.eye(2)), lambda held: first(held.data)),
        ([1.0], first),
        ({"a": 1}, lambda held: held.update(a=2)),
        ((1, (2, [3])), lambda held: first(held[1][1])),
        (FrozenDict(a=np.zeros(2)), lambda held: first(held["a"])),
        (Holder(np.zeros(2)), lambda held: first(held.held)),
        ((frozen(np.zeros(2)), Holder({"a": [1]})), lambda held: held[1].held["a"].append(2)),
    ],
)
def test_what_can_change_is_hashed_anew(held, change):
    thing = Holder((Holder(held), 1.0))
    before = content_hash(thing)
    assert content_hash(thing) == before
    change(held)
    assert content_hash(thing) != before


def test_data_are_read_once_on_the_way_to_a_kernel_and_a_verdict(monkeypatch):
    monkeypatch.setattr(provenance, "hashlib", SimpleNamespace(sha256=Counted))
    monkeypatch.setattr(Counted, "fed", 0)
    rows = np.random.default_rng(1).normal(size=(2000, 5))
    f = ms.LeastSquares(rows, rows[:, 0], l2=0.1)
    for sketch in (ms.RandK(5, k=2), ms.Bernoulli(5, 0.5)):
        F = ms.Mast(f, sketch)
        theorem = ms.theorems.StronglyConvexDSGD(F)
        runs = [ms.simulate(ms.DSGD(theorem.stepsize), F, steps=4, replicas=4, seed=seed) for seed in range(3)]
        ms.verify(theorem, runs[0])
        content_hash(F)
    size = rows.nbytes + f.y.nbytes
    assert size <= Counted.fed < size + 20_000
