"""Weights of rows and intercepts, against repeated rows, sums written out, and scikit-learn."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression as Peer

import mastsim as ms
from mastsim.problems import ALL_PROBLEMS, GeneralizedLinearModel
from mastsim.spec import Spec
from tests.examples import examples

FAMILIES = [kind for kind in ALL_PROBLEMS if issubclass(kind, GeneralizedLinearModel)]
SKETCHES = (
    ms.RandK(3, k=2),
    ms.Bernoulli(3, 0.4),
    ms.BlockBernoulli(3, 2, 0.5),
    ms.IndependentDiagonal(np.tile([0.5, 1.5], (3, 1)), np.full((3, 2), 0.5)),
    ms.Haar(3, k=2),
    ms.Gaussian(3, k=2),
    ms.Rotated(ms.RandK(3, k=2), np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0]),
)
MASKS = (ms.RandK(3, k=2), ms.Bernoulli(3, np.array([0.4, 0.7, 1.0])), ms.BlockBernoulli(3, 2, 0.5), ms.NofM(3, 1, 3))


def data(family, seed, rows=6):
    """Rows, labels as the loss takes them, and whole weights, one of them zero."""
    rng = np.random.default_rng(seed)
    loss = family(np.ones((1, 1)), np.ones(1), l2=1.0).loss
    A = rng.standard_normal((rows, 3)) * (rng.random((rows, 3)) < 0.8)
    return A, loss.labels_like(rng.standard_normal(rows)), np.append(0, rng.integers(1, 4, rows - 1))


def of_repeated(family, A, y, weights, **options):
    which = np.repeat(np.arange(len(y)), weights)
    return family(A[which], y[which], **options)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sparse", [False, True])
def test_whole_weights_are_repeated_rows(family, sparse):
    A, y, weights = data(family, 1)
    A = sp.csr_array(A) if sparse else A
    f, g = family(A, y, l2=0.3, weights=5.0 * weights), of_repeated(family, A, y, weights, l2=0.3)
    x, w = np.random.default_rng(2).standard_normal((2, 4, 3))
    for name, arguments in (("value", (x,)), ("gradient", (x,)), ("hessian_product", (x, w)), ("hessian", (x[0],))):
        np.testing.assert_allclose(getattr(f, name)(*arguments), getattr(g, name)(*arguments), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose([f.L_f, f.mu_f], [g.L_f, g.mu_f], rtol=1e-12)
    assert f.lower_bound <= g.lower_bound + 1e-12
    assert f.lower_bound == pytest.approx(g.lower_bound, abs=1e-12)
    # f is the mean of its components whatever the weights.
    every = np.tile(np.arange(f.components), (4, 1))
    minibatch = ms.methods.Minibatch(every, np.full(every.shape, 1 / f.components))
    np.testing.assert_allclose(f.minibatch_gradient(x, minibatch), f.gradient(x), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda s: s.name)
def test_weighted_objectives_are_those_of_repeated_rows(family, sketch):
    A, y, weights = data(family, 3)
    v = np.array([0.2, -0.1, 0.0])
    F = ms.Mast(family(A, y, l2=0.3, weights=weights), sketch, shift=v)
    G = ms.Mast(of_repeated(family, A, y, weights, l2=0.3), sketch, shift=v)
    assert F.evaluation.tier == G.evaluation.tier
    if F.evaluation.tier != "exact":
        return
    # Not so far out that an exponential loss is infinite under a Gaussian sketch.
    x, w = 0.05 * np.random.default_rng(4).standard_normal((2, 2, 3))
    for name, arguments in (("value", (x,)), ("gradient", (x,)), ("hessian_product", (x, w))):
        np.testing.assert_allclose(getattr(F, name)(*arguments), getattr(G, name)(*arguments), rtol=1e-12, atol=1e-13)
    c, other = ms.Constants(F), ms.Constants(G)
    for name in c:
        if name not in ("L_i_max", "component_gap"):
            np.testing.assert_allclose(float(c[name]), float(other[name]), rtol=1e-8, atol=1e-9, err_msg=name)


@given(weights=st.lists(st.floats(0, 1e6), min_size=6, max_size=6).filter(lambda w: max(w) > 1e-3), seed=st.integers(0, 9))
@settings(max_examples=examples(25), deadline=None)
def test_error_bounds_hold_with_weights(weights, seed):
    from mpmath import mp, mpf

    A, y, _ = data(ms.LogisticRegression, seed)
    f = ms.LogisticRegression(A, y, l2=0.1, weights=weights, intercept=True)
    x = np.random.default_rng(seed).standard_normal(4)
    with mp.workdps(40):
        share = [mpf(float(s)) for s in f.share]
        rows = [sum((mpf(float(a)) * mpf(float(b)) for a, b in zip(row, x, strict=False)), mpf(float(x[3]))) for row in A]
        losses = [s * mp.log1p(mp.exp(-mpf(float(label)) * u)) for s, u, label in zip(share, rows, y, strict=True)]
        exact = sum(losses) / 6 + mpf(0.1) / 2 * sum(mpf(float(b)) ** 2 for b in x[:3])
        assert abs(mpf(float(f.value(x))) - exact) <= float(f.error_bound(x))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mask", MASKS, ids=lambda s: s.name)
def test_objectives_with_an_intercept_are_sums_over_masks(family, mask):
    A, y, weights = data(family, 6)
    f = family(A, y, l2=0.3, weights=weights, intercept=True)
    F = ms.Mast(f, ms.Unmasked(mask), shift=np.array([0.1, 0.2, 0.0, -0.3]))
    table, penalty, share = np.column_stack([A, np.ones(6)]), np.array([0.3, 0.3, 0.3, 0.0]), weights / weights.mean()

    def value(x):
        return float(np.mean(share * f.loss.value(table @ x, y)) + 0.5 * penalty @ x**2)

    x = np.array([0.3, -0.2, 0.5, 0.4])
    batch, chances = mask.support()
    kept = [np.append(np.diag(matrix), 1.0) for matrix in np.asarray(batch.matrices())]
    expected = sum(p * value(F.center + c * (x - F.center)) for p, c in zip(chances, kept, strict=True))
    assert F.value(x) == pytest.approx(expected, rel=1e-12)
    numeric = [(F.value(x + h) - F.value(x - h)) / 2e-6 for h in 1e-6 * np.eye(4)]
    np.testing.assert_allclose(F.gradient(x), numeric, atol=1e-7)
    assert (F.sketch.mu_D, F.sketch.L_D) == pytest.approx((1.0, mask.L_D))
    if np.isfinite(f.loss.bend):
        largest = f.loss.bend * table.T @ (share[:, None] * table) / 6 + np.diag(penalty)
        assert float(f.L_f) == pytest.approx(np.linalg.eigvalsh(largest)[-1], rel=1e-12)
        least = np.linalg.eigvalsh(largest)[0] if f.is_quadratic else 0.0
        assert not f.loss.curvature_min >= 0 or float(f.mu_f) == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("weights", [None, "balanced", {-1: 1, 1: 5}, np.arange(1.0, 570.0)], ids=str)
def test_minimisers_are_those_of_scikit_learn(weights):
    known = ms.load("breast-cancer")
    for intercept in (False, True):
        f = ms.LogisticRegression(known.A, known.y, l2=0.05, weights=weights, intercept=intercept)
        best = f.minimize()
        assert best.gap_bound < 1e-9
        peer = Peer(C=1 / (known.n * 0.05), fit_intercept=intercept, solver="newton-cholesky", tol=1e-10)
        found = peer.fit(known.A, known.y, sample_weight=f.share)
        x = np.append(found.coef_[0], found.intercept_) if intercept else found.coef_[0]
        np.testing.assert_allclose(best.x, x, atol=1e-7)


def test_certificates_with_an_intercept_hold():
    # The radius is that of a point of the sublevel set, wherever it is.
    rng = np.random.default_rng(0)
    for family in (ms.LogisticRegression, ms.HuberRegression, ms.PoissonRegression):
        A, y, weights = data(family, 7)
        y = np.where(np.arange(6) % 2, 1.0, -1.0) if family is ms.LogisticRegression else y + np.arange(6)
        f = family(A, y, l2=0.5, weights=weights + 1, intercept=True)
        level = float(f.value(np.zeros(4))) + 0.5
        points = 30 * rng.standard_normal((20000, 4)) * rng.random((20000, 1)) ** 3
        inside = points[np.asarray(f.value(points)) <= level]
        assert len(inside) > 100
        assert np.linalg.norm(inside, axis=1).max() <= f.sublevel_radius(level) < np.inf


def test_everything_runs_with_weights_and_intercept():
    A, y, weights = data(ms.LogisticRegression, 8, rows=12)
    f = ms.LogisticRegression(A, y, l2=0.1, weights=weights, intercept=True)
    F = ms.Mast(f, ms.Unmasked(ms.RandK(3, k=1)))
    for method in (ms.DSGD(0.1), ms.DSGD(0.1, sampling=ms.methods.Nice(4))):
        run = ms.simulate(method, F, steps=200, replicas=4, seed=0, progress=False)
        assert run.distance[:, -1].mean() < run.distance[:, 0].mean()
    shards = ms.Distributed(ms.problems.split(f, 3), ms.Unmasked(ms.Bernoulli(3, 0.5)))
    assert shards.dim == 4
    assert f.part(np.array([1, 2])).share.mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.array([1.0, -1.0, 1.0]), r"weights\[1\]=-1 is not accepted: a weight must be at least 0"),
        (np.zeros(3), "weights is zero for every row"),
        (np.ones(2), "weights"),
        ([1.0, np.nan, 1.0], "weights"),
        ({1: 2.0}, "no weight for the label -1"),
        ({-1: "a", 1: 2}, "weights"),
        ("balance", "must be one number a row, a mapping of labels to weights, or 'balanced'"),
        ([1 + 2j, 1, 1], "weights"),
        (3.0, "weights"),
        ({-1: -1.0, 1: 1.0}, r"weights\[0\]=-1"),
    ],
)
def test_weights_that_are_none_are_refused(weights, said):
    with pytest.raises((TypeError, ValueError), match=said):
        ms.LogisticRegression(np.eye(3), np.array([-1.0, 1.0, -1.0]), l2=0.1, weights=weights)


def test_a_mask_that_belongs_to_clients_is_refused():
    with pytest.raises(TypeError, match="dealt out to clients together"):
        ms.Unmasked(ms.PermK(4, clients=2))
    with pytest.raises((TypeError, ValueError), match="sketch"):
        ms.Unmasked(ms.Haar(4, k=2))
    with pytest.raises(ValueError, match=r"dimension 4; Unmasked\(sketch\) leaves the intercept alone"):
        ms.Mast(ms.LeastSquares(np.eye(3), np.ones(3), l2=0.1, intercept=True), ms.RandK(3, k=1))


def test_descriptions_say_weights_and_intercept(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("a,b,size,class\n" + "\n".join(f"{i % 3},{i % 5},{1 + i % 4},{i % 2}" for i in range(20)))
    what = {"data": str(table), "target": "class", "sketch": "randk:0.5", "l2": 0.1}
    cases = {"column:size": 1 + np.arange(20) % 4, "balanced": np.ones(20), "1:3,0:1": 1 + 2 * (np.arange(20) % 2)}
    np.save(tmp_path / "w.npy", np.arange(1.0, 21.0))
    cases[str(tmp_path / "w.npy")] = np.arange(1.0, 21.0)
    for text, weights in cases.items():
        spec = Spec(**what, weights=text, intercept=True)
        assert spec == Spec.from_text(spec.text) == Spec(**spec.record())
        labelled, F = spec.objective_of(spec.load())
        np.testing.assert_allclose(F.problem.share, weights / np.mean(weights), err_msg=text)
        features = 2 if text == "column:size" else 3
        assert (labelled.d, F.dim, F.sketch.dim) == (features, features + 1, features + 1)
    for wrong, said in (
        ("column:sise", "sise"),
        ("0:1,2:1", "labels"),
        ("0:1,0:2", "twice"),
        ("heavy", "balanced"),
        ("0:one", "0:1,1:5"),
    ):
        with pytest.raises(ValueError, match=said):
            (spec := Spec(**what, weights=wrong)).objective_of(spec.load())
    with pytest.raises(ValueError, match="must keep or drop coordinates"):
        Spec(**what | {"sketch": "haar:2"}, intercept=True).fit(ms.load(table, target="class"))


def test_sweeps_go_over_weights_and_intercepts(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("a,b,size,class\n" + "\n".join(f"{i % 3},{i % 5},{1 + i % 4},{i % 2}" for i in range(20)))
    grid = {"data": str(table), "target": "class", "sketch": "randk:0.5", "steps": 5, "replicas": 2, "l2": 0.1}
    found = ms.sweep(grid | {"weights": ["balanced", "column:size"], "intercept": [False, True]}, tmp_path / "out")
    assert (found.done, len(found.failures)) == (4, 0)
    assert {task.weights_column for task in found.tasks} == {None, "size"}


def test_weights_of_softmax_regression_are_repeated_rows():
    rng = np.random.default_rng(0)
    A, y, weights = rng.standard_normal((6, 2)), np.array([0, 1, 2, 0, 1, 2]), np.array([1, 2, 3, 1, 1, 2])
    which = np.repeat(np.arange(6), weights)
    for table in (A, sp.csr_array(A)):
        f = ms.SoftmaxRegression(table, y, l2=0.1, weights=2.0 * weights)
        g = ms.SoftmaxRegression(table[which], y[which], l2=0.1)
        x, w = rng.standard_normal((2, 3, 6))
        for name, arguments in (("value", (x,)), ("gradient", (x,)), ("hessian_product", (x, w))):
            np.testing.assert_allclose(getattr(f, name)(*arguments), getattr(g, name)(*arguments), rtol=1e-13)
        assert float(f.L_f) == pytest.approx(float(g.L_f))
        np.testing.assert_allclose(f.upper_curvature.matrix, g.upper_curvature.matrix, rtol=1e-13)
        every = ms.methods.Minibatch(np.tile(np.arange(6), (3, 1)), np.full((3, 6), 1 / 6))
        np.testing.assert_allclose(f.minibatch_gradient(x, every), f.gradient(x), rtol=1e-12)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(
    "family", [ms.PoissonRegression, ms.ExponentialClassification, ms.LeastSquares, ms.LogisticRegression]
)
def test_a_row_that_weighs_nothing_may_hold_anything(family, intercept, form):
    """Its loss overflows, and 0·∞ is no number: all must be as it is without the row."""
    A, y = np.array([[1.0, -0.5], [1e20, 900.0], [0.3, 2.0], [-900.0, 1e3]]), np.array([1.0, 1.0, -1.0, -1.0])
    if family is ms.PoissonRegression:
        y = np.abs(y)
    kept, options = [0, 2], {"l2": 0.1, "intercept": intercept}
    f = family(form(A), y, weights=[1.0, 0.0, 3.0, 0.0], **options)
    g = family(A[kept], y[kept], weights=[1.0, 3.0], **options)
    half = ms.Bernoulli(2, 0.5)
    F, G = (ms.Mast(each, ms.Unmasked(half) if intercept else half) for each in (f, g))
    x, w = np.array([1.0, 0.5, -0.3])[: f.dim], np.array([-0.2, 1.0, 2.0])[: f.dim]
    for here, there in ((f, g), (F, G)):
        assert here.value(x) == pytest.approx(float(there.value(x)), rel=1e-12)
        np.testing.assert_allclose(here.gradient(x), there.gradient(x), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(here.hessian_product(x, w), there.hessian_product(x, w), rtol=1e-12, atol=1e-14)
        assert here.minimize().value == pytest.approx(there.minimize().value, rel=1e-9)
    minibatch = ms.methods.Minibatch(np.array([[1, 3]]), np.ones((1, 2)))
    np.testing.assert_allclose(f.minibatch_gradient(x[None], minibatch)[0], 2 * f.penalties * x, rtol=1e-14)
