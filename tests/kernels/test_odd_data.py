"""What the compiled engine must stand: odd data and starts, rare draws, interruption at any step, no needless compiling."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.kernels import linear
from mastsim.kernels.quadratics import descend_block, descend_panel
from mastsim.kernels.rows import descend_rows
from tests.examples import examples

pytestmark = pytest.mark.slow

N, D = 260, 9
"""One block of rows and a part of another; a vector of replicas and one more coordinate."""


def data(kind, n=N, d=D, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.4)
    A[n // 2], A[:, d // 2] = 0.0, 0.0
    if kind == "Fortran":
        return np.asfortranarray(A)
    if kind == "indicators":
        return sp.csr_array((A != 0).astype(float))
    if kind == "empty":
        return sp.csr_array((n, d))
    entries = sp.coo_array(A)
    # Every entry in two halves, one stored zero, and columns in no order.
    row, column = (np.concatenate([part, part, [0]]) for part in (entries.row, entries.col))
    value = np.concatenate([entries.data / 2, entries.data / 2, [0.0]])
    order = rng.permutation(len(row))
    order = order[np.argsort(row[order], kind="stable")]
    starts = np.searchsorted(row[order], np.arange(n + 1))
    return sp.csr_matrix((value[order], column[order], starts), shape=(n, d))


def classification(kind, n=N, d=D):
    return ms.LogisticRegression(data(kind, n, d), np.where(np.arange(n) % 3 == 0, -1.0, 1.0), l2=0.1)


def quadratic(d=D):
    A = np.diag(np.linspace(0.1, 1.0, d)) + 0.01
    return ms.Quadratic(A, np.ones(d))


def assert_same(method, objective, **options):
    given = {"steps": 4, "replicas": 11, "seed": 2**64 - 1, "every": 3, "x0": "normal", "measures": ("distance",), **options}
    fast, plain = (ms.simulate(method, objective, engine=engine, **given) for engine in ("kernel", "array"))
    for name, field in plain.state.items():
        scale = max(1.0, np.abs(field).max())
        np.testing.assert_allclose(fast.state[name], field, rtol=1e-11, atol=1e-11 * scale)


SKETCHES = [ms.RandK(D, k=1), ms.Identity(D), ms.BlockRandK(D, np.array([0, 0, 0, 0, 0, 0, 1, 2, 2]), 1), ms.NofM(D, 2, 3)]


@pytest.mark.parametrize("kind", ["Fortran", "indicators", "empty", "halves out of order"])
@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda S: S.name)
def test_odd_data(kind, sketch):
    F = ms.Mast(classification(kind), sketch, shift=np.linspace(-1, 1, D))
    for sampling in (ms.FullBatch(), ms.Nice(N), ms.WithReplacement(N + 3)):
        assert_same(ms.DSGD(0.01, sampling), F)
    assert_same(ms.LSVRDSG(0.01), F)


@pytest.mark.parametrize("sampling", [ms.FullBatch(), ms.IndependentSampling(1e-9)], ids=lambda s: s.name)
@pytest.mark.parametrize("sketch", [ms.Bernoulli(D, 1e-12), ms.RandK(D, k=1), ms.Identity(D)], ids=lambda S: S.name)
def test_draws_of_nothing(sampling, sketch):
    F = ms.Mast(classification("Fortran"), sketch, shift=np.ones(D))
    assert_same(ms.DSGD(0.01, sampling), F)
    start = np.linspace(-1, 1, D)
    x = ms.simulate(ms.DSGD(0.01, sampling), F, steps=5, replicas=9, x0=start, measures=("f",)).x
    # Neither a coordinate of 1e-12 nor a row of 1e-9 comes up in 45 draws, up to a chance of 2e-5 for this seed.
    if sketch.name.startswith("Bernoulli") or isinstance(sampling, ms.IndependentSampling):
        assert (x == start).all()


@pytest.mark.parametrize("problem", [classification("Fortran", 1, 1), ms.Quadratic(np.eye(1), np.ones(1))])
@pytest.mark.parametrize("replicas", [1, 8, 65])
def test_one_row_of_one_number(problem, replicas):
    F = ms.Mast(problem, ms.Bernoulli(1, 0.5), shift=np.ones(1))
    assert_same(ms.DSGD(0.1), F, replicas=replicas)
    assert_same(ms.SGD(0.1), F, replicas=replicas)


STARTS = {
    "read-only": lambda x: np.frombuffer(x.tobytes()).reshape(x.shape),
    "columns first": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
}


@pytest.mark.parametrize("form", STARTS)
@pytest.mark.parametrize("method", [ms.DSGD(0.01), ms.LSVRDSG(0.01), ms.PAGE(0.01)], ids=lambda m: m.name)
def test_starts_in_any_layout_are_read_and_left_alone(form, method):
    x0 = np.random.default_rng(1).normal(size=(10, D))
    start = STARTS[form](x0)
    options = {"steps": 4, "replicas": 10, "measures": ("f",)}
    for sketch in (SKETCHES[0], SKETCHES[1]):
        F = ms.Mast(classification("indicators"), sketch)
        one, other = (ms.simulate(method, F, x0=x, **options).x for x in (x0.copy(), start))
        assert (one == other).all()
        assert (start == x0).all()


METHODS = [ms.DSGD(0.01), ms.DSGD(0.01, ms.Nice(3)), ms.SGD(0.01), ms.LSVRDSG(0.01), ms.PAGE(0.01)]


@settings(max_examples=examples(25))
@given(
    method=st.sampled_from(METHODS),
    sketch=st.sampled_from(SKETCHES),
    at=st.integers(1, 9),
    every=st.integers(1, 10),
    chunk=st.integers(1, 40),
    threads=st.integers(1, 9),
    seed=st.sampled_from([0, 2**63, 2**64 - 1]),
)
def test_interruption_anywhere_leaves_no_trace(method, sketch, at, every, chunk, threads, seed):
    F = ms.Mast(classification("halves out of order"), sketch, shift=np.ones(D))
    options = {"replicas": 19, "seed": seed, "every": every, "measures": ("f",)}
    whole = ms.simulate(method, F, steps=10, **options)
    first = ms.simulate(method, F, steps=at, **options)
    before = {name: field.copy() for name, field in first.state.items()}
    rest = ms.simulate(method, F, steps=10, resume=first, chunk=chunk, threads=threads, **options)
    for name, field in whole.state.items():
        assert (rest.state[name] == field).all()
        assert (first.state[name] == before[name]).all()
    assert (rest.traces["f"] == whole.traces["f"]).all()


def test_a_kernel_is_compiled_once_for_every_kind_of_data():
    kernels = (linear._descend_by_columns, linear._descend_by_lanes, descend_rows, descend_block, descend_panel)
    samplings = [ms.Nice(3), ms.WithReplacement(2), ms.IndependentSampling(0.2), ms.WithReplacement(2, np.full(N, 1 / N))]
    models = [classification(kind) for kind in ("Fortran", "indicators", "empty")]
    frozen = np.frombuffer(np.ones(D).tobytes())

    def use(problem, sketch, sampling, **options):
        F = ms.Mast(problem, sketch, shift=frozen)
        ms.simulate(ms.DSGD(0.01, sampling), F, steps=2, measures=("f",), **options)

    for problem in models:
        use(problem, SKETCHES[0], ms.FullBatch(), replicas=2)
        use(problem, SKETCHES[0], ms.FullBatch(), replicas=64)
        use(problem, SKETCHES[0], samplings[0])
    for sketch in SKETCHES[:2]:
        use(quadratic(), sketch, ms.FullBatch())
    before = [len(kernel.signatures) for kernel in kernels]
    assert all(count >= 1 for count in before)
    for sketch in SKETCHES:
        for options in ({}, {"replicas": 20, "chunk": 3, "threads": 2, "x0": frozen}):
            use(quadratic(), sketch, ms.FullBatch(), **options)
            for problem in models:
                for sampling in (ms.FullBatch(), *samplings):
                    use(problem, sketch, sampling, **options)
    assert [len(kernel.signatures) for kernel in kernels] == before
