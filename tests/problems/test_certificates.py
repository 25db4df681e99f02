"""Minima of functions that are not quadratic and their certificates, against Newton's method in 60 digits."""

import json
import warnings

import mpmath as mp
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

import mastsim as ms
from mastsim.cli import main
from tests.examples import examples
from tests.oracles.exact_expectations import CONVEX, DIGITS, ExactModel, draw_sketch, exact, labels
from tests.oracles.exact_minima import derivatives, draw, everything, least_value

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("loss", CONVEX)
@settings(max_examples=examples(40))
@given(seed=st.integers(0, 2**32 - 1))
def test_certificates_contain_the_truth_and_minimisers_are_found(loss, seed):
    """On any data |value − f^inf| ≤ gap_bound; a bound that is not small is announced, and an unambiguous one is reached."""
    model = draw(loss, seed)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        best = model.problem.minimize()
    told = [str(w.message) for w in said if w.category is ms.CertificateWarning]
    small = best.infimum().kind == "exact" or best.gap_bound <= 1e-12
    assert bool(told) != small, (told, best)
    assert best.gap_bound >= best.excess_bound or "lower bound" in best.certificate
    with mp.workdps(DIGITS):
        low, high = least_value(model.value, exact(best.x), derivatives(model))
        assert model.value(exact(best.x)) - low <= mp.mpf(best.excess_bound)
        bound, value = mp.mpf(best.gap_bound), mp.mpf(best.value)
        assert high - low <= mp.mpf("1e-30") * max(1, abs(value)), "the oracle must know better"
        assert value - low <= bound
        assert high - value <= bound
        # Whether certified or not, nothing is left that double precision could see.
        hidden = 4 * float(model.problem.gradient_error(best.x))
        noise = float(model.problem.error_bound(best.x)) + 1e-9 * max(1.0, abs(best.value)) + hidden**2 / (2 * model.l2)
        assert value - low <= noise, (float(value - low), noise)


@pytest.mark.parametrize("loss", CONVEX)
@pytest.mark.parametrize("family", ["Bernoulli", "Rand-K", "independent diagonal", "finite", "dct"])
@settings(max_examples=examples(4))
@given(seed=st.integers(0, 2**32 - 1))
def test_certificates_of_sketched_objectives_contain_the_truth(loss, family, seed):
    rng = np.random.default_rng(seed)
    sketch, values = draw_sketch(family, rng, most=4)
    rows, dim = int(rng.integers(1, 6)), sketch.dim
    A = rng.standard_normal((rows, dim)) * (10.0 ** rng.uniform(-4, 4, dim) if rng.random() < 0.5 else 1.0)
    model = ExactModel(loss, A, labels(loss, rng, rows), float(10.0 ** rng.uniform(-9, 0)))
    v = rng.standard_normal(dim) / np.abs(A).max(axis=0) * (rng.random() < 0.7)
    F = ms.Mast(model.problem, sketch, shift=v)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ms.CertificateWarning)
        best = F.minimize()
    # In a valley between steep exponentials the search may end early; then it must have said so.
    stalled = loss == "exponential" and bool(told)
    with mp.workdps(DIGITS):
        value, slope, bend = everything(sketch, values, model, exact(v))
        low, high = least_value(value, exact(best.x), (slope, bend, mp.mpf(model.l2) * (1 - mp.mpf("1e-6"))))
        assert high - low <= mp.mpf("1e-25") * max(1, abs(value(exact(best.x)))), "the oracle must know better"
        assert mp.mpf(best.value) - low <= mp.mpf(best.gap_bound)
        assert high - mp.mpf(best.value) <= mp.mpf(best.gap_bound)
        noise = F.error_bound(best.x) + 1e-9 * max(1.0, abs(best.value)) + 8 * F.gradient_error(best.x) ** 2 / model.l2
        assert stalled or mp.mpf(best.value) - low <= noise, (float(mp.mpf(best.value) - low), noise)


@pytest.mark.parametrize("l2", [1e-6, 1e-8, 1e-10])
def test_raw_units_do_not_stop_the_search(l2):
    """Breast cancer as it comes, columns from 1e-3 to 1e3: value and gradient at the point in 60 digits are the proof."""
    data = load_breast_cancer()
    y = np.where(data.target > 0, 1.0, -1.0)
    best = ms.LogisticRegression(data.data, y, l2=l2).minimize()
    assert best.infimum().kind == "exact"
    with mp.workdps(DIGITS):
        model = ExactModel("logistic", data.data, y, l2)
        x = exact(best.x)
        value, gradient = model.value(x), derivatives(model)[0](x)
        assert mp.fdot(gradient, gradient) / (2 * mp.mpf(l2)) <= mp.mpf("1e-13")
        assert abs(mp.mpf(best.value) - value) <= mp.mpf("1e-15")


def test_data_of_a_million_and_near_copies_of_columns():
    """Cholesky factors of the curvature broke down here."""
    rng = np.random.default_rng(0)
    A = 1e6 * rng.standard_normal((40, 5))
    A = np.hstack([A, A[:, :1] * (1 + 1e-12 * rng.standard_normal((40, 1)))])
    y = np.where(rng.random(40) < 0.5, 1.0, -1.0)
    for sketch in (ms.Bernoulli(6, 0.5), ms.RandK(6, 2)):
        F = ms.Mast(ms.LogisticRegression(A, y, l2=1e-2), sketch)
        with warnings.catch_warnings(action="ignore", category=ms.CertificateWarning):
            best = F.minimize()
        assert best.gradient_norm <= 2 * F.gradient_error(best.x)


@pytest.mark.parametrize("size", [1e-156, 1e-60, 1e19])
def test_separable_data_of_any_size(size):
    """The minimiser is at infinity, or so far out that its square overflows."""
    f = ms.LogisticRegression(np.array([[3.4 * size]]), np.array([-1.0]), l2=0.0)
    with warnings.catch_warnings(action="ignore", category=ms.CertificateWarning):
        best = f.minimize()
    assert 0 <= best.value == best.gap_bound <= np.log(2)
    assert best.value <= 1e-13 or size < 1e-100


def test_a_weak_certificate_says_by_how_much_and_why():
    A, y = np.array([[1e9], [1e9]]), np.array([1.0, -1.0])
    with pytest.warns(ms.CertificateWarning, match="certified within .* of an exact value: .* only its rounding left"):
        best = ms.LogisticRegression(A, y, l2=1e-12).minimize()
    assert best.infimum().kind == "upper"
    with pytest.warns(ms.CertificateWarning, match="not strongly convex .* regularisation l2 > 0"):
        ms.HuberRegression(np.ones((2, 1)), np.array([0.0, 5.0]), l2=0.0).minimize()


def test_the_infimum_may_lie_above_a_value_that_is_rounded_down():
    """Where the lower bound is the value itself the rounding of the value is still stated."""
    f = ms.PoissonRegression(np.ones((3, 1)), np.array([3.0, 3.0, 3.0]), l2=0.0)
    best = f.minimize()
    with mp.workdps(DIGITS):
        truth = 3 - 3 * mp.log(3)
        assert abs(mp.mpf(best.value) - truth) <= mp.mpf(best.gap_bound) <= mp.mpf("1e-13")


@pytest.mark.parametrize("loss", CONVEX)
@pytest.mark.parametrize("sketch", [ms.RandK(3, 1), ms.RandK(3, 2), ms.Bernoulli(3, 0.5)], ids=lambda s: s.name)
def test_expected_infima_of_sketched_functions_carry_their_error(loss, sketch):
    rng = np.random.default_rng(3)
    model = ExactModel(loss, 30 * rng.standard_normal((5, 3)), labels(loss, rng, 5), 1e-4)
    v = rng.standard_normal(3) / 30
    found = ms.Mast(model.problem, sketch, shift=v).sketched_infimum()
    batch, weights = sketch.support()
    with mp.workdps(DIGITS):
        truth = mp.mpf(0)
        for S, chance in zip(batch.matrices(), weights, strict=True):
            kept = np.flatnonzero(np.diag(S))
            truth += mp.mpf(float(chance)) * _least_on(model, exact(v), kept)
        assert abs(mp.mpf(found.value) - truth) <= mp.mpf(found.error)
    assert found.error <= 1e-9


def _least_on(model, v, kept):
    """Return the least value of f where only some coordinates may differ from v."""
    if not len(kept):
        return model.value(v)

    def point(y):
        moved = list(v)
        for j, t in zip(kept, y, strict=True):
            moved[j] = t
        return moved

    gradient, hessian, mu = derivatives(model)
    slopes = (
        lambda y: [gradient(point(y))[j] for j in kept],
        lambda y: mp.matrix([[hessian(point(y))[i, j] for j in kept] for i in kept]),
        mu,
    )
    return least_value(lambda y: model.value(point(y)), [v[j] for j in kept], slopes)[0]


@pytest.mark.filterwarnings("default::mastsim.problems.CertificateWarning")
def test_the_command_line_prints_weak_certificates_on_stderr():
    result = CliRunner().invoke(main, ["constants", "--sketch", "randk:0.3", "--l2", "0", "--json", "-"])
    assert result.exit_code == 0
    assert "Warning: logistic regression (n = 569, d = 30): the minimum 0.0239" in result.stderr
    assert json.loads(result.stdout)["constants"]["f_inf"]["kind"] == "upper"
