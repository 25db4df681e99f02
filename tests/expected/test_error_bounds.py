"""Every exact evaluation of f_D bounds its error, rounding included: against sums in 60 digits over the support."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.expected import ALL_EXPECTATIONS
from tests.examples import examples
from tests.oracles.exact_expectations import DIGITS, FAMILIES, LOSSES, UNBOUNDED, ExactModel, draw_sketch, exact, labels
from tests.oracles.invariant_expectations import expected, sketch

pytestmark = pytest.mark.slow

EXACT = tuple(name for name in ALL_EXPECTATIONS if name not in ("closed form", "monte carlo"))


def draw(loss, family, seed):
    """Return a model, a sketch with its values, a shift and a point; columns and predictions of any size."""
    rng = np.random.default_rng(seed)
    sketch, values = draw_sketch(family, rng)
    dim, rows = sketch.dim, int(rng.integers(1, 4))
    columns = 10.0 ** rng.uniform(-8, 9, dim) if rng.random() < 0.5 else np.ones(dim)
    A = rng.standard_normal((rows, dim)) * columns
    if rng.random() < 0.3 and dim > 1:
        A[:, -1] = A[:, 0] * (1 + 1e-9 * rng.standard_normal(rows))
    A[rng.random(A.shape) < 0.2] = 0
    # Independent rows take a number of exponentials that grows with the reach.
    farthest = 1.5 if loss in UNBOUNDED else 3 if family == "independent diagonal" else 8
    reach = 10.0 ** rng.uniform(-2, farthest)
    x, v = rng.standard_normal((2, dim)) / columns
    largest = 1.0 if loss not in UNBOUNDED else max(1.0, np.sqrt(sketch.L_max))
    size = reach / (np.abs(A) @ np.abs(x)).max() / largest if A.any() else 1.0
    v = v * (rng.random() < 0.7) * size * 10.0 ** rng.uniform(-3, 0)
    l2 = float(rng.choice([0.0, 1e-10, 1e-2]))
    return ExactModel(loss, A, labels(loss, rng, rows), l2), sketch, values, v, size * x


def check(F, x, truth):
    """Compare a value with the truth; return error and bound."""
    with mp.workdps(DIGITS), np.errstate(all="ignore"):
        value = float(F.value(x))
        return float(abs(mp.mpf(value) - truth)) if np.isfinite(value) else np.inf, F.error_bound(x)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=examples(8))
@given(seed=st.integers(0, 2**32 - 1))
def test_the_error_of_every_evaluation_is_within_its_bound(loss, family, seed):
    model, sketch, values, v, x = draw(loss, family, seed)
    with mp.workdps(DIGITS):
        truth = model.expected(values, exact(v), exact(x))
    for evaluate in EXACT:
        if ALL_EXPECTATIONS[evaluate].refusal(model.problem, sketch) is None:
            error, bound = check(ms.Mast(model.problem, sketch, shift=v, evaluate=evaluate), x, truth)
            assert error <= bound, (evaluate, error, bound)


@pytest.mark.parametrize("size", [1.0, 1e6, 1e8])
@pytest.mark.parametrize("terms", [12, 14])
@pytest.mark.parametrize("model", [ms.SmoothedHingeClassification, ms.HuberRegression])
def test_cumulative_moments_of_long_rows_cancel_and_say_so(model, terms, size):
    """Parabolas far from their vertex: in long rows the terms are w² in size, in short ones they are added one by one."""
    rng, half = np.random.default_rng(0), terms // 2
    A, x = 0.05 * rng.standard_normal((3, terms)), np.ones(terms)
    # Large terms of both halves cancel, so that sums as large as they are meet near the vertex.
    A[:, :2] += size
    A[:, half : half + 2] -= size
    f = model(A, np.array([1.0, -1.0, 1.0]), l2=0.0)
    F = ms.Mast(f, ms.Bernoulli(terms, 0.5))
    masks = 2 * ((np.arange(1 << terms)[:, None] >> np.arange(terms)) & 1)
    u = masks.astype(np.longdouble) @ (A * x.astype(np.longdouble)).T
    knots = f.loss.value(u.astype(float), f.y)
    if model is ms.SmoothedHingeClassification:
        w = u * f.y
        exact_losses = np.where(w <= 0, 0.5 - w, np.where(w < 1, (1 - w) ** 2 / 2, 0))
    else:
        w = np.abs(u - f.y)
        exact_losses = np.where(w <= 1, w * w / 2, w - np.longdouble(0.5))
    assert np.allclose(knots, exact_losses.astype(float), rtol=1e-6, atol=1e-6 * size)
    error, bound = abs(float(F.value(x) - exact_losses.mean())), F.error_bound(x)
    assert error <= bound
    assert bound <= 1e-11 * size * (size if terms > 12 else 1.0) + 1e-10
    if terms > 12 and size > 1:
        assert error >= 1e-6 * bound, "a bound that nothing comes near proves little"


SUMS = ("logistic", "sigmoid", "Welsch", "squared", "Poisson", "exponential")


def draw_invariant(loss, family, seed):
    """Return a model of one row, the parameters of a sketch, a shift and a point; sometimes the row is parallel to x − v."""
    rng = np.random.default_rng(seed)
    d = int(rng.choice([1, 2, 3, 8]) if family == "Gaussian" else rng.choice([2, 3, 4, 9]))
    k = int(rng.integers(1, 6) if family == "Gaussian" else rng.integers(1, d))
    columns = 10.0 ** rng.uniform(-8, 9, d) if rng.random() < 0.5 else np.ones(d)
    a, (z, v) = rng.standard_normal(d) * columns, rng.standard_normal((2, d)) / columns
    if rng.random() < 0.3:
        z = a / columns.max() ** 2
    # The oracle needs a loss that does not vary too fast, and the last two expectations exist for short rows only.
    most = {"squared": 1e6, "Poisson": 0.2 * k, "exponential": 0.2 * k}.get(loss, 2.0 * k**0.5)
    size = most * 10.0 ** rng.uniform(-3, 0) / np.linalg.norm(a) / np.linalg.norm(z)
    v = v * (rng.random() < 0.7) * rng.uniform(0, 2) / np.abs(a * v).sum()
    model = ExactModel(loss, a[None], labels(loss, rng, 1), float(rng.choice([0.0, 1e-10, 1e-2])))
    return model, d, k, v, v + size * z


@pytest.mark.parametrize("loss", SUMS)
@pytest.mark.parametrize("family", ["Gaussian", "Haar"])
@settings(max_examples=examples(4), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_of_invariant_laws_are_within_their_bound(loss, family, seed):
    model, d, k, v, x = draw_invariant(loss, family, seed)
    F = ms.Mast(model.problem, sketch(family, d, k), shift=v, evaluate="rows")
    with mp.workdps(40):
        truth = expected(model, family, d, k, exact(v), exact(x))
        value = float(F.value(x))
        error = float(abs(mp.mpf(value) - truth)) if np.isfinite(value) else np.inf
    assert error <= F.error_bound(x), (error, F.error_bound(x))


SIMPLE, DOUBLE = (("Gaussian", 1, 2), ("Haar", 2, 1)), (("Gaussian", 2, 1), ("Haar", 3, 2))
"""Laws whose oracle is one integral, and those where it is two, one inside the other."""


@pytest.mark.parametrize(
    ("loss", "family", "d", "k"),
    [
        *((loss, *law) for loss in SUMS for law in SIMPLE),
        *((loss, *law) for loss, law in zip(("logistic", "Poisson"), DOUBLE, strict=True)),
    ],
)
def test_gradients_of_invariant_laws_are_within_their_bound(loss, family, d, k):
    """The slope along coordinates, by differences so small that their error is far below rounding."""
    rng, step = np.random.default_rng(d + k), mp.mpf(10) ** -12
    a, x, v = rng.standard_normal((3, d))
    model = ExactModel(loss, 0.2 * a[None] / np.linalg.norm(a) / np.linalg.norm(x - v), labels(loss, rng, 1), 1e-2)
    F = ms.Mast(model.problem, sketch(family, d, k), shift=v, evaluate="rows")
    with mp.workdps(60):
        slopes = []
        for j in range(d):
            ends = [[t + side * step * (i == j) for i, t in enumerate(exact(x))] for side in (-1, 1)]
            low, high = (expected(model, family, d, k, exact(v), end) for end in ends)
            slopes.append(float((high - low) / (2 * step)))
    error = np.linalg.norm(F.gradient(x) - np.array(slopes))
    assert error <= F.gradient_error(x) <= 1e-10, (error, F.gradient_error(x))
