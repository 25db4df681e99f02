"""Searches that end by their certificate, say what they did not reach, and hand on their best point when stopped."""

import io
import sys
import warnings

import mpmath as mp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim import minimization as minimization_module
from mastsim.expected import objective as objective_module
from mastsim.expected.base import OutOfReachError
from mastsim.problems import search as search_module
from tests.examples import examples
from tests.oracles.exact_expectations import CONVEX, DIGITS, ExactModel, draw_sketch, exact, labels
from tests.oracles.exact_minima import derivatives, draw, everything, least_value

pytestmark = pytest.mark.slow


def told(call):
    """Return a result and whether a CertificateWarning came with it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = call()
    return found, any(w.category is ms.CertificateWarning for w in said)


# Accuracy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", CONVEX)
@settings(max_examples=examples(20))
@given(seed=st.integers(0, 2**32 - 1), digits=st.floats(-2, 14))
def test_the_accuracy_asked_for_is_certified_or_it_is_said(loss, seed, digits):
    """Any data, any accuracy: f at the point is above its infimum by no more than is certified, in 60 digits."""
    model, accuracy = draw(loss, seed), 10.0**-digits
    best, warned = told(lambda: model.problem.minimize(accuracy=accuracy))
    assert warned == (best.excess_bound > accuracy)
    with mp.workdps(DIGITS):
        low, _ = least_value(model.value, exact(best.x), derivatives(model))
        assert model.value(exact(best.x)) - low <= mp.mpf(best.excess_bound)


@pytest.mark.parametrize("family", ["Bernoulli", "Rand-K", "independent diagonal", "finite"])
@settings(max_examples=examples(4))
@given(seed=st.integers(0, 2**32 - 1), digits=st.floats(0, 12))
def test_expected_objectives_are_certified_too(family, seed, digits):
    rng = np.random.default_rng(seed)
    sketch, values = draw_sketch(family, rng, most=4)
    rows = int(rng.integers(1, 6))
    model = ExactModel("logistic", rng.standard_normal((rows, sketch.dim)), labels("logistic", rng, rows), 0.01)
    v, accuracy = rng.standard_normal(sketch.dim), 10.0**-digits
    best, warned = told(lambda: ms.Mast(model.problem, sketch, shift=v).minimize(accuracy=accuracy))
    assert warned == (best.excess_bound > accuracy)
    with mp.workdps(DIGITS):
        value, slope, bend = everything(sketch, values, model, exact(v))
        low, _ = least_value(value, exact(best.x), (slope, bend, mp.mpf("0.01") * (1 - mp.mpf("1e-6"))))
        assert value(exact(best.x)) - low <= mp.mpf(best.excess_bound)


def example(dim=30, rows=200, l2=1e-3, seed=0):
    rng = np.random.default_rng(seed)
    A = sp.random_array((rows, dim), density=0.3, rng=rng, format="csr", data_sampler=rng.standard_normal)
    return ms.LogisticRegression(A, np.where(rng.random(rows) < 0.5, 1.0, -1.0), l2=l2)


def passes(F, accuracy, monkeypatch):
    """Return how many values with gradients a search takes."""
    seen = []
    with monkeypatch.context() as patch:
        both = type(F).value_and_gradient
        patch.setattr(type(F), "value_and_gradient", lambda self, x: seen.append(x) or both(self, x))
        F.minimize(accuracy=accuracy)
    return len(seen)


@pytest.mark.parametrize("limit", [minimization_module.DENSE, 0], ids=["matrix", "conjugate gradients"])
def test_less_is_done_for_less(limit, monkeypatch):
    for module in (objective_module, search_module):
        monkeypatch.setattr(module, "DENSE", limit)
    for F in (ms.Mast(example(), ms.RandK(30, 6)), example()):
        counts = [passes(F, accuracy, monkeypatch) for accuracy in (1.0, 1e-2, 1e-6, 1e-12)]
        assert counts[0] == 1  # f(0) − 0 = log 2 is enough at once
        assert counts == sorted(counts)
        assert counts[1] < counts[3]


@pytest.mark.parametrize("hidden", [0.0, 0.4])
def test_a_search_ends_at_the_first_point_that_is_good_enough(hidden, monkeypatch):
    """At the third point it is but for rounding: without any it ends there, with much of it it goes on."""
    F, both, norms = ms.Mast(example(), ms.RandK(30, 6)), ms.Mast.value_and_gradient, []

    def seen(self, x):
        found = both(self, x)
        norms.append(float(np.linalg.norm(found[1])))
        return found

    monkeypatch.setattr(ms.Mast, "value_and_gradient", seen)
    F.minimize()
    assert norms[2] < 0.1 * norms[1]
    accuracy, rest = norms[2] ** 2 / (2 * F.mu_fD_sharp) / 0.9 * (1 + 1e-9), norms[3:]
    monkeypatch.setattr(ms.Mast, "gradient_error", lambda self, x: hidden * np.sqrt(2 * F.mu_fD_sharp * accuracy))
    norms.clear()
    best, warned = told(lambda: F.minimize(accuracy=accuracy))
    assert not warned
    assert best.excess_bound <= accuracy
    assert rest
    assert (len(norms) == 3) == (hidden == 0)


def test_what_cannot_be_certified_is_said():
    flat = example(l2=0.0)
    with pytest.warns(ms.CertificateWarning, match="the 1e-09 asked for: the function is not strongly convex"):
        flat.minimize(accuracy=1e-9)
    with pytest.warns(ms.CertificateWarning, match="asked for: the gradient has only its rounding left"):
        example().minimize(accuracy=1e-50)
    estimate = ms.Mast(example(), ms.RandK(30, 6), evaluate="monte carlo")
    with pytest.warns(ms.CertificateWarning, match="asked for: nothing is proven"):
        assert estimate.minimize(accuracy=1e-3).infimum().kind == "estimate"
    rng = np.random.default_rng(0)
    twice = np.repeat(rng.standard_normal((3, 1)), 2, axis=1)
    rank_deficient = ms.LeastSquares(twice / 3, rng.standard_normal(3), l2=0.0)
    best, warned = told(lambda: rank_deficient.minimize(accuracy=1e-20))
    assert warned == (best.excess_bound > 1e-20)


@pytest.mark.parametrize("accuracy", [0, -1e-3, "1e-3", np.nan, np.inf])
def test_an_accuracy_is_a_positive_number(accuracy):
    for F in (example(), ms.Mast(example(), ms.RandK(30, 6)), ms.Quadratic(np.eye(2), np.ones(2))):
        with pytest.raises((TypeError, ValueError), match="accuracy"):
            F.minimize(accuracy=accuracy)


# Large dimensions -----------------------------------------------------------------------------------------------------


@settings(max_examples=examples(20))
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0, 4, 9]), sketched=st.booleans())
def test_truncated_steps_find_what_matrices_find(seed, spread, sketched):
    """The path of large dimensions on small data, with columns of 1e9 beside ones and rare coordinates."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((20, 5)) * 10.0 ** rng.integers(0, spread + 1, 5)
    f = ms.LogisticRegression(A, np.where(rng.random(20) < 0.5, 1.0, -1.0), l2=0.1)
    S = ms.Bernoulli(5, 10.0 ** rng.uniform(-3, 0, 5)) if sketched else ms.RandK(5, 2)
    dense, _ = told(lambda: ms.Mast(f, S).minimize())
    with pytest.MonkeyPatch.context() as patch:
        for module in (objective_module, search_module):
            patch.setattr(module, "DENSE", 0)
        large, _ = told(lambda: ms.Mast(f, S).minimize())
    assert abs(large.value - dense.value) <= large.gap_bound + dense.gap_bound
    assert large.excess_bound <= 1e-12 + 100 * dense.excess_bound


@pytest.mark.parametrize("limit", [minimization_module.DENSE, 0], ids=["matrix", "conjugate gradients"])
@pytest.mark.parametrize("radius", [0.5, 3.0, 30.0])
def test_steps_that_go_too_far_fall_back(limit, radius, monkeypatch):
    """Nothing is known beyond a ball that holds the minimiser: the search stays in it, and finds it all the same."""
    for module in (objective_module, search_module):
        monkeypatch.setattr(module, "DENSE", limit)
    F = ms.Mast(example(l2=1e-2), ms.RandK(30, 6))
    best, both, refused = F.minimize(), ms.Mast.value_and_gradient, []
    reach = radius + np.linalg.norm(best.x)

    def near(self, x):
        if np.linalg.norm(x) > reach:
            refused.append(x)
            raise OutOfReachError("too far out")
        return both(self, x)

    # A Hessian that is far too small: first steps are far too long.
    product = ms.Mast.hessian_product
    monkeypatch.setattr(ms.Mast, "value_and_gradient", near)
    monkeypatch.setattr(ms.Mast, "hessian_product", lambda self, x, w: 1e-3 * product(self, x, w))
    found, _ = told(lambda: ms.Mast(F.problem, F.sketch).minimize(accuracy=1e-9))
    assert refused
    assert found.value <= best.value + 1e-6


def test_separable_data_with_hardly_any_regularisation_are_no_trap():
    A = np.array([[1.0, 2.0], [3.0, -1.0], [-2.0, 0.5]])
    f = ms.LogisticRegression(A, np.array([1.0, 1.0, -1.0]), l2=1e-9)
    for S in (ms.RandK(2, 1), ms.Bernoulli(2, [0.5, 0.01]), ms.Gaussian(2, 1)):
        best, _ = told(lambda S=S: ms.Mast(f, S).minimize(accuracy=1e-6))
        assert best.excess_bound <= 1e-6


# Interruption and the bar ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["problem", "objective", "nonconvex"])
@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_an_interrupted_search_hands_on_its_best_point(kind, at, monkeypatch):
    """Stopped at its n-th value: the best of the points before, with a bound that holds."""
    f = example() if kind != "nonconvex" else ms.WelschRegression(example().A, example().y, l2=1e-3)
    F = f if kind == "problem" else ms.Mast(f, ms.RandK(30, 6))
    truth, _ = told(F.minimize)
    values, both = [], type(F).value_and_gradient

    def stopping(self, x):
        if len(values) + 1 == at:
            raise KeyboardInterrupt
        found = both(self, x)
        values.append(float(found[0]))
        return found

    again = type(F)(*(getattr(F, name) for name in ("A", "y", "l2"))) if F is f else ms.Mast(f, F.sketch)
    with monkeypatch.context() as patch:
        patch.setattr(type(F), "value_and_gradient", stopping)
        with pytest.raises(
            ms.MinimizationInterrupted, match=r"interrupted: the best point so far, certified within"
        ) as stop:
            again.minimize()
    best = stop.value.best
    assert isinstance(stop.value, KeyboardInterrupt)
    assert best.value == float(F.value(best.x))
    assert best.value - truth.value <= best.excess_bound * (1 + 1e-12)
    if kind == "nonconvex":
        assert best.value == min([*values, float(F.value(np.zeros(30)))])
    # Asked again, it starts anew.
    assert told(again.minimize)[0].value == truth.value


def test_a_bar_shows_up_on_a_terminal_once_it_takes_long(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    both = ms.Mast.value_and_gradient
    for seconds, shown in ((1.0, True), (0.0, False)):
        screen, clock = Terminal(), iter(np.arange(1e6) * seconds)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", screen)
            patch.setattr("tqdm.std.time", lambda clock=clock: float(next(clock)))
            patch.setattr(ms.Mast, "value_and_gradient", lambda self, x: both(self, x))
            ms.Mast(example(), ms.RandK(30, 6)).minimize()
        assert ("minimising logistic regression" in screen.getvalue()) == shown
