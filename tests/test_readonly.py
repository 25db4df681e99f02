"""Nothing that is handed in or out can be changed behind values that were computed from it."""

import copy
import dataclasses
import pickle
import types

import numpy as np
import pytest
import scipy.sparse as sp

import mastsim as ms
from mastsim import moments, theorems
from mastsim.readonly import frozen
from mastsim.sketches import Selection
from mastsim.worstcase import worst_case_factor

A = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]])
Y = np.array([1.0, -1.0, 1.0])
V = np.array([0.5, -0.25])
SKETCH = ms.RandK(2, k=1)
QUADRATIC = ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2))
OBJECTIVE = ms.Mast(QUADRATIC, SKETCH, shift=V)
LOGISTIC = ms.Mast(ms.LogisticRegression(A, Y, l2=0.1), SKETCH, shift=V)

THINGS = [
    *(kind(A, Y, l2=0.1) for kind in (ms.LeastSquares, ms.LogisticRegression, ms.HuberRegression, ms.WelschRegression)),
    *(kind(sp.csr_array(A), Y, l2=0.1) for kind in (ms.LeastSquares, ms.SigmoidClassification)),
    *(kind(A, Y, l2=0.1) for kind in (ms.SmoothedHingeClassification, ms.ExponentialClassification)),
    ms.PoissonRegression(A, np.array([1.0, 0.0, 2.0]), l2=0.1),
    QUADRATIC,
    QUADRATIC.minimize(),
    QUADRATIC.upper_curvature,
    ms.TwoLayerNetwork(A, Y, width=2, l2=0.1),
    ms.FiniteSum([QUADRATIC, QUADRATIC]),
    ms.load("breast-cancer"),
    ms.load("synthetic:n=12,d=3,density=0.5"),
    ms.Identity(2),
    ms.Bernoulli(2, [0.5, 0.25]),
    SKETCH,
    SKETCH.law,
    ms.BlockBernoulli(3, np.array([0, 1, 0]), [0.5, 0.25]),
    ms.BlockRandK(3, np.array([0, 1, 0]), 1),
    ms.NofM(4, 1, 2),
    ms.Haar(2, 1),
    ms.Gaussian(2, 1),
    ms.PermK(4, 2),
    ms.FiniteSupport([np.diag([2.0, 0.0]), np.diag([0.0, 2.0])], [0.5, 0.5]),
    ms.IndependentDiagonal([[0.0, 2.0]], [0.5, 0.5]),
    ms.Rotated(SKETCH, np.eye(2)),
    ms.Composed(SKETCH, SKETCH),
    ms.Unscaled(SKETCH),
    OBJECTIVE,
    LOGISTIC,
    LOGISTIC.minimize(),
    ms.Mast(LOGISTIC.problem, ms.FiniteSupport([np.diag([2.0, 0.0]), np.diag([0.0, 2.0])])),
    ms.Distributed([QUADRATIC, QUADRATIC], SKETCH, shift=V),
    ms.Constants(OBJECTIVE),
    ms.DSGD(0.1, ms.IndependentSampling([0.5, 0.25, 0.5])),
    ms.IndependentSampling([0.5, 0.25, 0.5]),
    ms.WithReplacement(2, [0.5, 0.25, 0.25]),
    ms.SketchCompressor(SKETCH),
    theorems.StronglyConvexDSGD(OBJECTIVE),
    theorems.Lemma1(OBJECTIVE),
    ms.simulate(ms.LSVRDSG(0.01), OBJECTIVE, steps=4, replicas=2),
    moments.propagate(OBJECTIVE, ms.DSGD(0.01), V, 3),
    ms.verify(theorems.StronglyConvexDSGD(OBJECTIVE)),
    worst_case_factor(0.1, smoothness=1.0, strong_convexity=0.1, blocks=2, keep=1),
]


def held(thing, again, depth=3, path=""):
    """Yield the arrays that two looks at a thing have in common, through its public attributes, with their paths."""
    if isinstance(thing, np.ndarray):
        # What is computed anew for everyone may be written to by everyone.
        if np.shares_memory(thing, again):
            yield path, thing
    elif sp.issparse(thing):
        for name in ("data", "indices", "indptr"):
            yield from held(getattr(thing, name), getattr(again, name), depth, f"{path}.{name}")
    elif isinstance(thing, (list, tuple)):
        for i, parts in enumerate(zip(thing, again, strict=True)):
            yield from held(*parts, depth, f"{path}[{i}]")
    elif isinstance(thing, dict):
        for name in thing:
            yield from held(thing[name], again[name], depth, f"{path}[{name!r}]")
    elif depth and type(thing).__module__.startswith("mastsim") and not isinstance(thing, (type, float)):
        for name in dir(thing):
            if not name.startswith("_"):
                yield from held(look(thing, name), look(again, name), depth - 1, f"{path}.{name}")


def look(thing, name):
    """Return a public attribute, or what the methods without arguments that hand out cached values return."""
    try:
        found = getattr(thing, name)
        return found() if isinstance(found, types.MethodType) and name in ("support", "minimize") else found
    except (ValueError, NotImplementedError):
        return None


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_no_public_array_can_be_written_to(thing):
    for path, array in held(thing, thing):
        assert not array.flags.writeable, path
        if array.size:
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


@pytest.mark.parametrize("thing", [t for t in THINGS if dataclasses.is_dataclass(t)], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("again", [lambda t: pickle.loads(pickle.dumps(t)), copy.copy, copy.deepcopy])
def test_copies_are_read_only_too(thing, again):
    for path, array in held(found := again(thing), found, depth=1):
        assert not array.flags.writeable, path


MINE = {
    "A": lambda a: (ms.LeastSquares(a, Y, l2=0.1), "A"),
    "sparse": lambda a: (ms.LeastSquares(a, Y, l2=0.1), "A"),
    "y": lambda a: (ms.LeastSquares(A, a, l2=0.1), "y"),
    "quadratic": lambda a: (ms.Quadratic(a, np.ones(2)), "A"),
    "b": lambda a: (ms.Quadratic(np.eye(2), a), "b"),
    "shift": lambda a: (ms.Mast(QUADRATIC, SKETCH, shift=a), "shift"),
    "clients": lambda a: (ms.Distributed([QUADRATIC], SKETCH, shift=a), "shift"),
    "keep": lambda a: (ms.Bernoulli(2, a), "keep"),
    "probabilities": lambda a: (ms.IndependentSampling(a), "probabilities"),
    "matrices": lambda a: (ms.FiniteSupport(a), "matrices"),
    "rotation": lambda a: (ms.Rotated(SKETCH, a), "rotation"),
    "blocks": lambda a: (ms.BlockRandK(2, a, 1), "blocks"),
    "curvature": lambda a: (ms.problems.Curvature(a), "matrix"),
    "minimum": lambda a: (ms.problems.Minimum(a, 0.0, 0.0, 0.0, "none"), "x"),
    "data set": lambda a: (ms.problems.Dataset("mine", a, Y, "", ""), "A"),
    "groups": lambda a: (Selection(a, np.zeros(2, dtype=int), np.array([2]), np.ones(1)), "unit"),
}
HANDED = {
    "A": A,
    "sparse": sp.csr_array(A),
    "y": Y,
    "quadratic": np.diag([1.0, 4.0]),
    "matrices": np.array([np.diag([2.0, 0.0]), np.diag([0.0, 2.0])]),
    "rotation": np.eye(2),
    "blocks": np.array([0, 1]),
    "groups": np.array([0, 1]),
    "curvature": np.eye(2),
    "data set": A,
}


@pytest.mark.parametrize("what", MINE)
@pytest.mark.parametrize("locked", [False, True], ids=["writable", "read-only"])
def test_what_was_handed_in_stays_its_owners(what, locked):
    mine = HANDED.get(what, np.array([0.5, 0.5])).copy()
    raw = mine.data if sp.issparse(mine) else mine
    raw.setflags(write=not locked)
    thing, name = MINE[what](mine)
    raw.setflags(write=True)
    kept = getattr(thing, name)
    before = (kept.toarray() if sp.issparse(kept) else kept).copy()
    raw[...] = 7
    np.testing.assert_array_equal(kept.toarray() if sp.issparse(kept) else kept, before)


def test_a_sparse_matrix_takes_no_new_entries():
    f = ms.LeastSquares(sp.csr_array(A), Y, l2=0.1)
    for key in ((0, 0), (2, 1)):
        with pytest.raises(ValueError, match="read-only"):
            f.A[key] = 5.0
    mine = f.A.copy()
    with pytest.warns(sp.SparseEfficiencyWarning):
        mine[2, 1] = 5.0
    assert mine[2, 1] == 5.0
    assert f.A[2, 1] == 0.0


@pytest.mark.parametrize("make", [np.array, sp.csr_array], ids=["dense", "sparse"])
def test_large_data_are_shared_and_frozen_on_request(make):
    mine = make(A)
    f = ms.LeastSquares(mine, Y, l2=0.1, copy=False)
    parts = [(mine, f.A)] if make is np.array else [(mine.data, f.A.data), (mine.indices, f.A.indices)]
    for own, theirs in parts:
        assert np.shares_memory(own, theirs)
        assert not own.flags.writeable


@pytest.mark.parametrize("make", [np.array, sp.csr_array], ids=["dense", "sparse"])
def test_what_is_frozen_already_is_not_copied(make):
    f = ms.LeastSquares(make(A), Y, l2=0.1)
    assert dataclasses.replace(f, l2=0.2).A is f.A
    assert ms.LogisticRegression(f.A, f.y, l2=0.1).y is f.y


def test_dictionaries_of_a_run_are_read_only():
    run = ms.simulate(ms.DSGD(0.01), OBJECTIVE, steps=2, replicas=2)
    for table in (run.traces, run.state):
        for change in (lambda t: t.update(f=1), lambda t: t.pop("f"), lambda t: t.__setitem__("f", 1), lambda t: t.clear()):
            with pytest.raises(TypeError, match="read-only"):
                change(table)
    again = pickle.loads(pickle.dumps(run))
    assert again.traces.keys() == run.traces.keys()


def test_freezing_twice_is_freezing_once():
    one = frozen(np.ones(3))
    assert frozen(one) is one
    owned = np.ones(3)
    owned.setflags(write=False)
    assert not np.shares_memory(frozen(owned), owned)
