"""Kernels against array operations: the same bits of randomness, the same draws, the same steps to rounding."""

import gc
import pickle
import weakref

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.backend import PURPOSES, Streams
from mastsim.compilation import njit
from mastsim.draws import Independent, StreamDraw
from mastsim.kernels import models, plan
from mastsim.kernels.batches import batch_of, batch_scratch, draw_batch
from mastsim.kernels.draws import KernelDraw
from mastsim.kernels.fused import fused
from mastsim.kernels.linear import by_columns, descend_linear
from mastsim.kernels.masks import ordering_scratch, put_in_order
from mastsim.kernels.models import model_of
from mastsim.kernels.philox import fill_uniforms, key_of, room
from mastsim.kernels.quadratics import CACHE, descend_block, descend_panel
from mastsim.kernels.rows import descend_rows
from mastsim.kernels.slopes import psi_slope, row_slope, share_of_zero, slopes_of
from mastsim.methods import HarmonicStep
from mastsim.simd import fma, load, store
from tests.examples import examples

pytestmark = pytest.mark.slow

MODELS = {
    "squared": ms.LeastSquares,
    "logistic": ms.LogisticRegression,
    "sigmoid": ms.SigmoidClassification,
    "smoothed hinge": ms.SmoothedHingeClassification,
    "exponential": ms.ExponentialClassification,
    "Huber": ms.HuberRegression,
    "Welsch": ms.WelschRegression,
    "Poisson": ms.PoissonRegression,
}


def labels(name, rng, n):
    if name == "Poisson":
        return rng.poisson(2.0, n).astype(float)
    return rng.normal(size=n) if name in ("squared", "Huber", "Welsch") else np.where(rng.random(n) < 0.5, -1.0, 1.0)


def model(name="logistic", n=50, d=20, density=0.4, seed=0, ones=False, l2=0.1):
    rng = np.random.default_rng(seed)
    mask = rng.random((n, d)) < density
    A = mask.astype(float) if ones else rng.normal(size=(n, d)) * mask
    return MODELS[name](sp.csr_array(A) if seed % 2 else A, labels(name, rng, n), l2=l2)


def quadratic(d, seed=0):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    A = (Q * np.linspace(0.1, 1, d)) @ Q.T
    return ms.Quadratic((A + A.T) / 2, rng.normal(size=d))


SKETCHES = [
    ms.RandK(20, k=3),
    ms.RandK(20, k=11),
    ms.RandK(20, k=20),
    ms.Bernoulli(20, 0.15),
    ms.Bernoulli(20, np.linspace(0.05, 1, 20)),
    ms.BlockBernoulli(20, 5, 0.6),
    ms.BlockBernoulli(20, np.arange(20) % 3, np.array([0.2, 0.5, 1.0])),
    ms.BlockRandK(20, 5, 1),
    ms.NofM(20, 2, 4),
    ms.Identity(20),
    ms.PermK(20, 4),
]
SAMPLINGS = [
    ms.FullBatch(),
    ms.Nice(7),
    ms.Nice(50),
    ms.WithReplacement(5),
    ms.WithReplacement(4, np.arange(1, 51) / 1275),
    ms.IndependentSampling(0.3),
    ms.IndependentSampling(np.linspace(0.02, 1, 50)),
]


def both(method, objective, **options):
    given = {"steps": 7, "replicas": 11, "seed": 5, "every": 3, "x0": "normal", "measures": ("distance",), **options}
    return tuple(ms.simulate(method, objective, engine=engine, **given) for engine in ("kernel", "array"))


def assert_same(fast, plain, scale=1.0):
    assert fast.engine.startswith("kernel")
    assert plain.engine == "array"
    for name, field in plain.state.items():
        np.testing.assert_allclose(fast.state[name], field, rtol=1e-12, atol=1e-12 * scale * max(1.0, np.abs(field).max()))


@njit
def stream(key, step, replica, count):
    out = np.empty(room(count))
    fill_uniforms(key, step, replica, count, out)
    return out[:count]


@given(
    seed=st.integers(0, 2**64 - 1),
    purpose=st.sampled_from(PURPOSES),
    step=st.integers(0, 2**32 - 1),
    replica=st.integers(0, 2**31),
    count=st.integers(1, 70),
)
def test_uniform_numbers_have_the_bits_of_the_streams(seed, purpose, step, replica, count):
    wanted = Streams(seed).uniform(purpose, step, np.array([replica]), count)[0]
    assert (stream(key_of(seed, purpose), step, replica, count) == wanted).all()


@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda S: S.name)
def test_masks_are_those_of_the_sketch(sketch):
    replicas = np.arange(200)
    element = Independent((sketch, ms.RandK(5, k=2), sketch))
    for step in range(3):
        plain, fast = (draw(Streams(11), step, replicas).of("sketch", element) for draw in (StreamDraw, KernelDraw))
        for one, other in zip(plain, fast, strict=True):
            assert (one.diagonals == other.diagonals).all()


@njit
def ordered(kept, dim):
    bits = ordering_scratch(dim)
    for _ in range(2):
        put_in_order(kept, kept.size, bits)
    return bits


@given(st.integers(1, 300).flatmap(lambda d: st.tuples(st.just(d), st.sets(st.integers(0, d - 1)))), st.randoms())
def test_kept_coordinates_come_in_order_and_leave_no_bit(case, random):
    dim, kept = case
    mixed = random.sample(sorted(kept), len(kept))
    found = np.array(mixed, dtype=np.uint64)
    assert not ordered(found, dim).any()
    assert found.tolist() == sorted(kept)


@njit
def all_batches(batch, u):
    scratch = batch_scratch(batch)
    index, sizes = np.zeros((u.shape[0], batch.size), np.int64), np.zeros(u.shape[0], np.int64)
    for r in range(u.shape[0]):
        scratch.u[: u.shape[1]] = u[r]
        sizes[r] = draw_batch(batch, scratch, r + 1)
        index[r] = scratch.index
    return index, sizes


@pytest.mark.parametrize("sampling", SAMPLINGS[1:], ids=lambda s: s.name)
def test_minibatches_are_those_of_the_sampling(sampling):
    law = sampling.law(50)
    u = np.random.default_rng(3).random((300, law.uniforms))
    u[0] = 0.0
    u[1] = 1 - 2.0**-53
    wanted = law.from_uniforms(u)
    batch = batch_of(sampling, 50, np.float64)
    index, sizes = all_batches(batch, u)
    for r in range(len(u)):
        own = index[r, : sizes[r]]
        weights = np.zeros(50)
        np.add.at(weights, own, batch.weights[own] if len(batch.weights) > 1 else batch.weights[0])
        expected = np.zeros(50)
        np.add.at(expected, np.arange(50) if wanted.index is None else wanted.index[r], wanted.weights[r])
        np.testing.assert_allclose(weights, expected, rtol=1e-15)


@njit
def slopes_both_ways(slopes, u, narrow):
    one, many = np.empty_like(u), np.empty_like(u)
    for i in range(u.size):
        one[i] = row_slope(slopes, i, u[i], narrow)
    for i in range(0, u.size, 64 // u.itemsize):
        sign = load(slopes.sign, i)
        store(
            many,
            i,
            fma(psi_slope(slopes, fma(load(u, i), sign, load(slopes.offset, i)), narrow), sign, load(slopes.slope, i)),
        )
    return one, many


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-15), (np.float32, 5e-7)])
def test_slopes_are_those_of_the_loss(name, dtype, tolerance):
    rng = np.random.default_rng(1)
    y = labels(name, rng, 640)
    u = rng.normal(size=640) * np.repeat([0.01, 1.0, 8.0, 30.0], 160)
    f = MODELS[name](np.eye(640), y, l2=1.0)
    wanted = f.loss.derivative(u.astype(dtype).astype(float), y)
    one, many = slopes_both_ways(slopes_of(f.loss, y, dtype), u.astype(dtype), dtype == np.float32)
    np.testing.assert_allclose(many, wanted, rtol=20 * tolerance, atol=tolerance * max(1.0, 30.0))
    if dtype == np.float64:
        assert (one == many).all()


@njit
def shares(w, out, narrow):
    for i in range(w.size):
        out[i] = share_of_zero(w[i], narrow)


@pytest.mark.parametrize(("dtype", "reach"), [(np.float64, 708.0), (np.float32, 87.0)])
def test_shares_are_within_four_half_ulps(dtype, reach):
    rng = np.random.default_rng(2)
    w = np.concatenate([rng.uniform(-r, r, 2000) for r in (0.4, 40.0, reach)]).astype(dtype)
    shares(w, found := np.empty_like(w), dtype == np.float32)
    with mpmath.workprec(200):
        wanted = [1 / (1 + mpmath.exp(mpmath.mpf(float(each)))) for each in w]
        errors = [abs(mpmath.mpf(float(one)) / other - 1) for one, other in zip(found, wanted, strict=True)]
    assert max(errors) <= 2 * np.finfo(dtype).eps


@pytest.mark.parametrize("name", ["logistic", "sigmoid", "Welsch", "exponential"])
def test_slopes_far_out_are_finite(name):
    u = np.array([-1e300, -1e4, -750.0, 750.0, 1e4, 1e300, 0.0, -0.0])
    f = MODELS[name](np.eye(8), np.ones(8), l2=1.0)
    _, many = slopes_both_ways(slopes_of(f.loss, np.ones(8), np.float64), u, False)
    assert np.isfinite(many).all()
    if name == "logistic":
        np.testing.assert_array_equal(many[[0, 1, 2]], -1.0)
        assert (np.abs(many[[3, 4, 5]]) < 1e-300).all()


@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda S: S.name)
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: s.name)
def test_descent_on_a_linear_model(sketch, sampling):
    F = ms.Mast(model(), sketch, shift=np.random.default_rng(2).normal(size=20))
    assert_same(*both(ms.DSGD(0.01, sampling), F))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sketch", [SKETCHES[0], SKETCHES[1]], ids=lambda S: S.name)
@pytest.mark.parametrize("seed", [0, 1], ids=["dense", "sparse"])
def test_every_loss(name, sketch, seed):
    F = ms.Mast(model(name, seed=seed), sketch)
    for sampling in (ms.FullBatch(), ms.Nice(7)):
        # Near the origin the exponential losses stay within range.
        assert_same(*both(ms.DSGD(HarmonicStep(1e-3, decay=0.5), sampling), F, x0=np.linspace(-0.02, 0.02, 20)))


class Shared(ms.DSGD):
    """One sketch for all replicas, as a sketch that is broadcast."""

    def direction(self, state, objective, gradient, draw):
        return gradient.sketched(state.x, draw.of("sketch", objective.sketch).take(np.array([0])))


class Other(ms.DSGD):
    """A sketch that is not that of the objective."""

    def direction(self, state, objective, gradient, draw):
        return gradient.sketched(state.x, draw.of("sketch", ms.Haar(20, 3)))


class Doubled(ms.Mast):
    def gradient(self, x):
        return 2 * super().gradient(x)


@pytest.mark.parametrize("method", [Shared(0.01), Other(0.01)], ids=lambda m: type(m).__name__)
def test_own_methods_may_ask_for_any_sketch(method):
    F = ms.Mast(model(), ms.RandK(20, k=3))
    options = {"steps": 4, "replicas": 5, "seed": 1, "x0": "normal", "measures": ("distance",)}
    found, wanted = (ms.simulate(method, F, engine=engine, **options).x for engine in ("auto", "array"))
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", [ms.LSVRDSG(0.01), ms.PAGE(0.01), ms.DSGD(0.01)], ids=lambda m: m.name)
def test_own_objectives_are_left_to_array_operations(method):
    assert ms.simulate(method, Doubled(model(), ms.RandK(20, k=3)), steps=2).engine == "array"


def test_models_are_made_once_for_an_objective_and_live_as_long_as_it_does(monkeypatch):
    made = []
    monkeypatch.setattr(models, "model_of", lambda f, v, dtype: made.append(weakref.ref(f)) or model_of(f, v, dtype))
    F = ms.Mast(model(), ms.RandK(20, k=3))
    before = len(pickle.dumps(F))
    for method in (ms.DSGD(0.01), ms.SGD(0.01), ms.DSGD(0.01)):
        ms.simulate(method, F, steps=1, measures=("f",))
    assert len(pickle.dumps(F)) < before + 2000
    for method in (ms.LSVRDSG(0.01), ms.PAGE(0.01)):
        ms.simulate(method, F, steps=1, measures=("f",))
    assert len(made) == 1
    assert models.model_at_shift(pickle.loads(pickle.dumps(F)), np.float64) is not models.model_at_shift(F, np.float64)
    del F
    gc.collect()
    assert made[0]() is None


def test_what_methods_ask_of_a_fast_objective_is_computed_once():
    """Whatever is kept on either of the two is the same object on both."""
    for F in (
        ms.Mast(model(d=6), ms.RandK(6, k=3)),
        ms.Distributed([model(d=6), model(d=6, seed=1)], ms.PermK(6, 2)),
        ms.Distributed([model(d=6), model(d=6, seed=1)], ms.RandK(6, k=3), shift=np.ones(6)),
    ):
        fast = fused(ms.DistributedDSGD(0.01), F)
        assert type(fast) is not type(F)
        assert isinstance(fast, type(F))
        assert fast.minimize() is F.minimize()
        assert (fast.upper_curvature, fast.lower_curvature) == (F.upper_curvature, F.lower_curvature)
        for one, client in zip(getattr(fast, "clients", [fast]), getattr(F, "clients", [F]), strict=True):
            assert one.expectation is client.expectation
            assert one.support is client.support
            assert one.fourth_moment is client.fourth_moment
    assert plan(ms.DistributedDSGD(0.01), F).name == "kernel gradients"


def test_scales_beyond_the_range_of_floats_are_refused():
    F = ms.Mast(model(), ms.Bernoulli(20, 1e-40))
    with pytest.raises(ValueError, match=r"1/keep of .* is beyond the range of float32"):
        ms.simulate(ms.DSGD(0.01), F, steps=1, precision="float32")


@pytest.mark.parametrize("sketch", SKETCHES[:3], ids=lambda S: S.name)
@pytest.mark.parametrize("sampling", [ms.FullBatch(), ms.Nice(9)], ids=lambda s: s.name)
def test_data_of_indicators(sketch, sampling):
    F = ms.Mast(model(ones=True), sketch, shift=np.ones(20))
    assert_same(*both(ms.DSGD(0.01, sampling), F))


def stored(kind, n=300, d=20, seed=0):
    """Data of every kind that kernels store in a way of its own."""
    rng = np.random.default_rng(seed)
    some, full = rng.random((n, d)) < 0.4, rng.normal(size=(n, d))
    held = np.where(rng.random((n, d)) < 0.1, 0.0, full)
    constant = np.linspace(-2, 2, d)
    kinds = {"full": full, "nearly full": held, "sparse": sp.csr_array(full * some), "constant columns": some * constant}
    return kinds[kind] if kind in kinds else {"one number": np.ones((n, d)), "sparse and full": sp.csr_array(full)}[kind]


KINDS = {
    "full": (False, True),
    "nearly full": (False, True),
    "sparse": (True, True),
    "constant columns": (True, False),
    "one number": (False, False),
    "sparse and full": (False, True),
}
"""For each kind whether indices are stored, and whether values are."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_need_not_be_stored_is_not(kind):
    f = ms.LogisticRegression(stored(kind), labels("logistic", np.random.default_rng(1), 300), l2=0.1)
    found = model_of(f, np.zeros(20), np.float64)
    for fields, there in zip((("row_columns", "column_rows", "list_rows"), ("row_data", "column_data", "list_data")),
                             KINDS[kind], strict=True):  # fmt: skip
        for name in fields:
            array = getattr(found, name)
            assert (isinstance(array, np.ndarray) and len(array) > 0) if there else array == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sketch", [SKETCHES[0], SKETCHES[1]], ids=lambda S: S.name)
@pytest.mark.parametrize("replicas", [2, 16, 21])
def test_steps_on_every_kind_of_data(kind, sketch, replicas):
    f = ms.LogisticRegression(stored(kind), labels("logistic", np.random.default_rng(1), 300), l2=0.1)
    F = ms.Mast(f, sketch, shift=np.linspace(-1, 1, 20))
    for method in (ms.DSGD(0.05), ms.DSGD(0.05, ms.Nice(7)), ms.LSVRDSG(0.05)):
        assert_same(*both(method, F, replicas=replicas))
    alone = ms.simulate(ms.DSGD(0.05), F, steps=3, replicas=replicas, chunk=1, engine="kernel", measures=("f",)).x
    assert (ms.simulate(ms.DSGD(0.05), F, steps=3, replicas=replicas, engine="kernel", measures=("f",)).x == alone).all()


@pytest.mark.parametrize(("n", "width"), [(1 << 16, 16), ((1 << 16) + 1, 32)])
def test_indices_are_as_short_as_rows_allow(n, width):
    A = sp.csr_array((np.full(n, 0.5), (np.arange(n), np.arange(n) % 3)), (n, 3))
    F = ms.Mast(ms.LogisticRegression(A, np.where(np.arange(n) % 3, 1.0, -1.0), l2=0.1), ms.RandK(3, k=1))
    assert model_of(F.problem, np.zeros(3), np.float64).column_rows.dtype.itemsize * 8 == width
    assert_same(*both(ms.DSGD(0.1), F, replicas=3, steps=2))


@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda S: S.name)
def test_descent_on_a_quadratic(sketch):
    F = ms.Mast(quadratic(20), sketch, shift=np.random.default_rng(2).normal(size=20))
    assert_same(*both(ms.DSGD(0.001), F))
    assert_same(*both(ms.SGD(0.1), F))


@pytest.mark.parametrize(
    ("d", "k"), [(1, 1), (7, 1), (8, 1), (9, 1), (33, 6), (64, 1), (64, 12), (100, 1), (100, 7), (100, 10)]
)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_blocks_of_a_quadratic(d, k, precision):
    F = ms.Mast(quadratic(d), ms.RandK(d, k=k), shift=np.random.default_rng(2).normal(size=d))
    fast, plain = (
        ms.simulate(ms.DSGD(0.01), F, steps=9, replicas=5, seed=5, every=9, x0="normal", measures=("distance",), **engine)
        for engine in ({"engine": "kernel", "precision": precision}, {"engine": "array"})
    )
    assert fast.engine == ("kernel descend_block" if k <= 0.2 * d else "kernel descend_panel")
    np.testing.assert_allclose(
        fast.x, plain.x, rtol=0, atol=(1e-13 if precision == "float64" else 1e-5) * np.abs(plain.x).max()
    )


SAMPLINGS = [ms.Nice(7), ms.WithReplacement(20), ms.IndependentSampling(0.3), ms.IndependentSampling(0.01)]


@settings(max_examples=examples(25))
@given(
    name=st.sampled_from(["logistic", "squared", "Huber", "Poisson"]),
    n=st.integers(7, 60),
    d=st.integers(1, 150),
    density=st.floats(0.08, 1.0),
    share=st.floats(0.0, 1.0),
    sampling=st.sampled_from(SAMPLINGS),
    dtype=st.sampled_from(["float64", "float32"]),
    seed=st.integers(0, 1000),
)
def test_bits_of_indicators_give_what_their_entries_do(name, n, d, density, share, sampling, dtype, seed):
    S = ms.RandK(d, k=max(1, round(share * d)))
    F = ms.Mast(model(name, n, d, density, seed, ones=True), S, shift=np.linspace(-0.1, 0.1, d))
    mask, batch, by_bits = plan(ms.DSGD(0.01, sampling), F, precision=dtype).descent.tables
    assume(by_bits.row_bits.size > 0)
    by_entries = by_bits._replace(row_bits=np.zeros((0, 0), np.uint64))
    scale, found = np.abs(F.sketch.law.keep).min(), []
    x = np.random.default_rng(seed).normal(size=(4, d)).astype(dtype)
    # What one replica leaves behind must not reach the next.
    x[0] = np.inf
    gamma, keys = np.full(6, 0.01 * scale**2 / d).astype(dtype), (key_of(3, "sketch"), key_of(3, "minibatch"))
    for each in (by_bits, by_entries):
        moved = x.copy()
        descend_rows(moved, np.arange(4), 0, gamma, keys[0], mask, keys[1], batch, each)
        found.append(moved[1:])
    assert np.isfinite(found[0]).all()
    assert not (found[0] == x[1:]).all() or sampling is SAMPLINGS[3]
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(*found, rtol=tolerance, atol=tolerance * np.abs(x[1:]).max())


def test_bits_are_kept_where_many_coordinates_have_entries():
    rng = np.random.default_rng(0)
    held = rng.random((90, 130)) < 0.1
    y = labels("logistic", rng, 90)
    bits = model_of(ms.LogisticRegression(held.astype(float), y, l2=0.1), np.zeros(130), np.float64).row_bits
    assert bits.shape == (90, 3)
    assert ((bits[:, np.arange(130) // 64] >> (np.arange(130) % 64).astype(np.uint64)) & np.uint64(1) == held).all()
    for A in (rng.random((90, 130)) < 0.03, held * rng.normal(size=held.shape)):
        f = ms.LogisticRegression(A.astype(float), y, l2=0.1)
        assert model_of(f, np.zeros(130), np.float64).row_bits.size == 0


@pytest.mark.parametrize("keep", [0.05, 0.5])
def test_a_quadratic_beyond_the_cache(keep):
    d = 1 + int(np.sqrt(CACHE / 8))
    F = ms.Mast(quadratic(d), ms.RandK(d, k=max(1, int(keep * d))))
    assert_same(*both(ms.DSGD(0.001), F, steps=2, replicas=3))


@settings(max_examples=examples(25))
@given(
    n=st.integers(1, 40),
    d=st.integers(1, 37),
    density=st.sampled_from([0.0, 0.1, 1.0]),
    share=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    replicas=st.integers(1, 40),
    shifted=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_shapes_of_all_kinds(n, d, density, share, replicas, shifted, seed):
    f = model(n=n, d=d, density=density, seed=seed)
    S = ms.RandK(d, k=max(1, round(share * d)))
    F = ms.Mast(f, S, shift=np.linspace(-1, 1, d) if shifted else None)
    streams, number = Streams(seed), np.arange(5, 5 + replicas)
    x0 = np.random.default_rng(seed).normal(size=(replicas, d))
    for method in (ms.DSGD(0.01), ms.DSGD(0.01, ms.Nice(max(1, n // 3)))):
        fast = x0.copy()
        plan(method, F).descent.advance(fast, number, 4, np.full(3, 0.01), streams)
        state = method.init(F, x0)
        for step in range(4, 7):
            state = method.step(state, F, StreamDraw(streams, step, number))
        np.testing.assert_allclose(fast, state.x, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "method",
    [ms.LSVRDSG(0.01), ms.LSVRDSG(0.01, ms.Nice(7)), ms.PAGE(0.01, sketches=2), ms.PAGE(0.01, ms.IndependentSampling(0.3))],
    ids=lambda m: m.name,
)
@pytest.mark.parametrize("sketch", [SKETCHES[0], SKETCHES[1]], ids=lambda S: S.name)
def test_methods_that_step_one_by_one(method, sketch):
    F = ms.Mast(model(seed=1), sketch, shift=np.ones(20))
    assert_same(*both(method, F, replicas=19))


def test_a_variance_reduced_method_on_a_quadratic():
    F = ms.Mast(quadratic(20), SKETCHES[0], shift=np.ones(20))
    assert_same(*both(ms.LSVRDSG(0.001), F))


def test_compressed_directions():
    F = ms.Mast(model(seed=1), SKETCHES[0])
    assert_same(*both(ms.DSGD(0.01, compression=ms.NaturalCompressor()), F))


@pytest.mark.parametrize("sketches", [ms.PermK(20, 4), ms.RandK(20, k=2)], ids=lambda S: S.name)
@pytest.mark.parametrize("sampling", [ms.FullBatch(), ms.Nice(3)], ids=lambda s: s.name)
def test_clients(sketches, sampling):
    D = ms.Distributed(ms.split(model(), 4), sketches)
    assert_same(*both(ms.DistributedDSGD(0.01, sampling), D))


@pytest.mark.parametrize(
    ("problem", "sketch"),
    [(p, S) for p in (model(seed=1), quadratic(20)) for S in (SKETCHES[0], SKETCHES[1])],
    ids=lambda part: part.name,
)
def test_bits_do_not_depend_on_what_runs_beside(problem, sketch):
    F = ms.Mast(problem, sketch, shift=np.ones(20))
    options = {"steps": 9, "seed": 3, "measures": ("distance",), "x0": np.zeros(20), "engine": "kernel"}
    for method in (ms.DSGD(0.01), *([ms.DSGD(0.01, ms.Nice(5))] if problem.components > 1 else [])):
        whole = ms.simulate(method, F, replicas=70, **options).x
        for other in ({"chunk": 1}, {"chunk": 13}, {"chunk": 70, "threads": 2}, {"chunk": 8, "threads": 3, "every": 2}):
            assert (ms.simulate(method, F, replicas=70, **{**options, **other}).x == whole).all()
        assert (ms.simulate(method, F, replicas=33, **options).x == whole[:33]).all()


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("ones", [False, True])
@pytest.mark.parametrize("n", [1, 7, 256, 257, 1100, 2500])
def test_columns_and_lanes_give_the_same_bits(n, ones, precision):
    F = ms.Mast(model(n=n, d=37, ones=ones, seed=1), ms.RandK(37, k=18), shift=np.linspace(-1, 1, 37))
    assert by_columns(3, 18 / 37)
    assert not by_columns(8, 18 / 37)
    options = {"steps": 6, "seed": 3, "x0": np.ones(37), "engine": "kernel", "measures": ("distance",)}
    runs = [ms.simulate(ms.DSGD(0.05), F, replicas=40, chunk=c, precision=precision, **options) for c in (40, 1)]
    assert (runs[0].x == runs[1].x).all()
    anchored = [ms.simulate(ms.LSVRDSG(0.05), F, replicas=16, chunk=c, **options).x for c in (16, 1)]
    assert (anchored[0] == anchored[1]).all()


def test_floats_on_request():
    F = ms.Mast(model(seed=1), SKETCHES[1])
    options = {"steps": 50, "replicas": 9, "seed": 1}
    double = ms.simulate(ms.DSGD(0.01), F, **options)
    single = ms.simulate(ms.DSGD(0.01), F, precision="float32", **options)
    assert single.x.dtype == np.float32
    assert double.x.dtype == np.float64
    assert (single.precision, double.precision) == ("float32", "float64")
    np.testing.assert_allclose(single.x, double.x, atol=2e-5)
    assert np.abs(single.x - double.x).max() > 0
    for sampling, sketch, f in ((ms.Nice(5), SKETCHES[0], model()), (ms.FullBatch(), SKETCHES[0], quadratic(20))):
        G = ms.Mast(f, sketch, shift=np.ones(20))
        one, other = (ms.simulate(ms.DSGD(0.001, sampling), G, precision=p, **options).x for p in ("float32", "float64"))
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())


def test_a_run_of_floats_goes_on_as_floats(tmp_path):
    F = ms.Mast(model(seed=1), SKETCHES[1])
    options = {"replicas": 3, "seed": 1, "every": 5, "precision": "float32"}
    whole = ms.simulate(ms.DSGD(0.01), F, steps=20, **options)
    half = ms.simulate(ms.DSGD(0.01), F, steps=10, **options)
    half.save(tmp_path / "half.npz")
    rest = ms.simulate(ms.DSGD(0.01), F, steps=20, resume=ms.Run.load(tmp_path / "half.npz"), **options)
    assert rest.x.dtype == np.float32
    assert (rest.x == whole.x).all()
    with pytest.raises(ValueError, match="its precision is float32, not float64"):
        ms.simulate(ms.DSGD(0.01), F, steps=20, seed=1, replicas=3, resume=half)


def test_a_run_on_one_engine_is_not_continued_on_another():
    F = ms.Mast(model(seed=1), SKETCHES[1])
    half = ms.simulate(ms.DSGD(0.01), F, steps=10, engine="array")
    with pytest.raises(ValueError, match="its engine is array, not kernel"):
        ms.simulate(ms.DSGD(0.01), F, steps=20, resume=half)


@pytest.mark.parametrize(
    ("method", "objective", "reason"),
    [
        (ms.GD(0.1), ms.Mast(model(), SKETCHES[0]), "not descent along sketched gradients"),
        (ms.GDCI(0.1), ms.Mast(model(), SKETCHES[0]), "not descent along sketched gradients"),
        (ms.DSGD(0.1), ms.Mast(quadratic(6), ms.Haar(6, 2)), "does not keep or drop coordinates"),
        (ms.DSGD(0.1), ms.Mast(ms.FiniteSum([quadratic(6)]), ms.RandK(6, k=1)), "has no kernel"),
        (ms.SGD(0.1, compression=ms.NaturalCompressor()), ms.Mast(model(), SKETCHES[0]), "directions are compressed"),
    ],
)
def test_no_kernel_is_said_with_the_reason(method, objective, reason):
    with pytest.raises(ValueError, match=f"engine='kernel' is not accepted: .*{reason}"):
        ms.simulate(method, objective, steps=1, engine="kernel")
    with pytest.raises(ValueError, match=f"precision='float32' is not accepted: .*{reason}"):
        ms.simulate(method, objective, steps=1, precision="float32")
    assert ms.simulate(method, objective, steps=1).engine == "array"


def test_unknown_engines_and_precisions():
    F = ms.Mast(model(), SKETCHES[0])
    with pytest.raises(ValueError, match="unknown engine 'fast'"):
        ms.simulate(ms.DSGD(0.1), F, steps=1, engine="fast")
    with pytest.raises(ValueError, match="unknown precision 'float16'"):
        ms.simulate(ms.DSGD(0.1), F, steps=1, precision="float16")
    with pytest.raises(ValueError, match="engine='array' computes in float64"):
        ms.simulate(ms.DSGD(0.1), F, steps=1, engine="array", precision="float32")


@pytest.mark.parametrize(
    ("f", "share", "kernel"),
    [
        (model(), 0.1, descend_linear),
        (model(), 0.5, descend_linear),
        (quadratic(20), 0.1, descend_block),
        (quadratic(20), 0.5, descend_panel),
    ],
    ids=lambda part: getattr(part, "__name__", None),
)
def test_the_kernel_is_chosen_by_problem_and_sketch(f, share, kernel):
    F = ms.Mast(f, ms.RandK(20, k=int(20 * share)))
    assert plan(ms.DSGD(0.1), F).descent.kernel is kernel
    assert ms.simulate(ms.DSGD(0.1), F, steps=1).engine == f"kernel {kernel.__name__}"


class OwnStep(ms.DSGD):
    def direction(self, state, objective, gradient, draw):
        return 2 * super().direction(state, objective, gradient, draw)


class OwnGradient(ms.LogisticRegression):
    def gradient(self, x):
        return 2 * super().gradient(x)


class OwnMask(ms.RandK):
    def from_uniforms(self, u):
        return super().from_uniforms(1 - 2.0**-53 - u)


class OwnLoss(type(ms.HuberRegression(np.eye(1), np.ones(1), l2=1.0, delta=1.0).loss)):
    def psi(self, w, order=0):
        return 2 * super().psi(w, order)


class OwnRegression(ms.HuberRegression):
    @property
    def loss(self):
        return OwnLoss(1.0)


class OwnSampling(ms.Nice):
    def _draw(self, u, n):
        return super()._draw(1 - 2.0**-53 - u, n)


@pytest.mark.parametrize(
    ("method", "problem", "sketch"),
    [
        (OwnStep(0.1), ms.LogisticRegression, ms.RandK(20, k=3)),
        (ms.DSGD(0.1), OwnGradient, ms.RandK(20, k=3)),
        (ms.DSGD(0.1), OwnRegression, ms.RandK(20, k=3)),
        (ms.DSGD(0.1), ms.LogisticRegression, OwnMask(20, 3)),
        (ms.DSGD(0.1, OwnSampling(4)), ms.LogisticRegression, ms.RandK(20, k=3)),
        (ms.LSVRDSG(0.1), OwnGradient, ms.RandK(20, k=3)),
        (ms.LSVRDSG(0.1), ms.LogisticRegression, OwnMask(20, 3)),
    ],
    ids=lambda part: getattr(part, "__name__", type(part).__name__),
)
def test_what_users_override_is_not_overruled(method, problem, sketch):
    f = model()
    F = ms.Mast(problem(f.A, f.y, l2=0.1), sketch)
    options = {"steps": 5, "replicas": 4, "x0": "normal", "seed": 3, "measures": ("distance",)}
    found = ms.simulate(method, F, **options)
    np.testing.assert_allclose(found.x, ms.simulate(method, F, engine="array", **options).x, rtol=1e-12, atol=1e-12)
