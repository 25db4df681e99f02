"""Every exact evaluation of f_D bounds its error, rounding included: against sums in 60 digits over the support."""

import mpmath as mp
import numpy as np
import pytest
from exact_expectations import DIGITS, FAMILIES, LOSSES, UNBOUNDED, ExactModel, draw_sketch, exact, labels
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.expected import ALL_EXPECTATIONS

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


def check(model, sketch, values, v, x, evaluate):
    """Compare a value with the truth; return error and bound."""
    F = ms.Mast(model.problem, sketch, shift=v, evaluate=evaluate)
    with mp.workdps(DIGITS):
        truth = model.expected(values, exact(v), exact(x))
        with np.errstate(all="ignore"):
            error = float(abs(mp.mpf(float(F.value(x))) - truth)) if np.isfinite(F.value(x)) else np.inf
    with np.errstate(all="ignore"):
        return error, F.error_bound(x)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_error_of_every_evaluation_is_within_its_bound(loss, family, seed):
    model, sketch, values, v, x = draw(loss, family, seed)
    for evaluate in EXACT:
        if ALL_EXPECTATIONS[evaluate].refusal(model.problem, sketch) is None:
            error, bound = check(model, sketch, values, v, x, evaluate)
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
