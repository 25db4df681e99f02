"""Moments of the running average against every path of every draw, carried along in fractions; and against its limit."""

from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, propagate, standard_forms, stationary
from mastsim.moments.base import of_average
from mastsim.recursions import AveragingRecursion
from tests.oracles.rational import Quadratic, eliminate, fractions, masks

GAMMA = Fraction(1, 8)
STEPS_DONE = 3
MEASURES = ("distance", "gap", "gradient_norm2", "error", "f_gap", "f_gradient_norm2")


class Sketched:
    """A quadratic, the values of its sketch and the shift, in fractions."""

    def __init__(self, A, b, v, support):
        self.f, self.v = Quadratic(fractions(A), -fractions(b), Fraction(0)), fractions(v)
        self.support = list(zip(*support, strict=True))
        H = sum(w * (S.T @ self.f.H @ S) for S, w in self.support)
        self.fD = Quadratic(H, self.f.gradient(self.v) - H @ self.v, Fraction(0))

    def gradient(self, S, x, v=None):
        v = self.v if v is None else v
        return S.T @ self.f.gradient(v + S @ (x - v))

    def measures(self, x):
        out = []
        for f in (self.fD, self.f):
            best = eliminate(f.H, -f.slope)[0:2][1]
            g = f.gradient(x)
            out += [(x - best) @ (x - best), f.value(x) - f.value(best), g @ g]
        return np.array(out, dtype=object)


def plain(case, gamma):
    """DSGD: the state is x, and a step may depend on its number."""
    return lambda state, t: [(w, (state[0] - gamma(t) * case.gradient(S, state[0]),)) for S, w in case.support]


def refreshed(case, gamma, p, variant):
    def step(state, t):
        x, v = state
        for S, w in case.support:
            after = x - gamma(t) * case.gradient(S, x, v)
            yield w * p, (after, after if variant == "b" else x)
            yield w * (1 - p), (after, v)

    return step


def momentum(case, gamma, growth):
    def step(state, t):
        x, z = state
        for S, w in case.support:
            after, weight = z - gamma(t) * case.gradient(S, x), growth * (t + 1)
            yield w, ((weight * x + after) / (weight + 1), after)

    return step


def anchored(case, gamma, p):
    """L-SVRDSG with the exact gradient of f_D at the anchor."""

    def step(state, t):
        x, w = state
        for S, chance in case.support:
            g = case.gradient(S, x) - case.gradient(S, w) + case.fD.gradient(w)
            yield chance * p, (x - gamma(t) * g, x)
            yield chance * (1 - p), (x - gamma(t) * g, w)

    return step


def page(case, gamma, p):
    def step(state, t):
        x, g = state
        after = x - gamma(t) * g
        yield p, (after, case.fD.gradient(after))
        for S, w in case.support:
            yield (1 - p) * w, (after, g + case.gradient(S, after) - case.gradient(S, x))

    return step


def means(case, step, first, steps):
    """Return the mean of every measure of the running average after 0, 1, …, `steps` steps, over all paths, in fractions."""
    paths, out = [(Fraction(1), first, 0 * first[0])], [case.measures(first[0])]
    for t in range(steps):
        paths = [(w * p, after, total + state[0]) for w, state, total in paths for p, after in step(state, t)]
        out.append(sum(w * case.measures(total / (t + 1)) for w, _, total in paths))
    return np.array(out)


HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
CONSTANT = lambda t: GAMMA  # noqa: E731
FALLING = lambda t: THIRD / (HALF * t + 2)  # noqa: E731
KINDS = {
    "DSGD": (ms.DSGD(0.125), lambda case: plain(case, CONSTANT), 1),
    "falling": (ms.DSGD(ms.HarmonicStep(1 / 3 / 2, 0.25)), lambda case: plain(case, FALLING), 1),
    "a": (ms.DSGD(0.125, shift=ms.Refreshed(0.5, "a")), lambda case: refreshed(case, CONSTANT, HALF, "a"), "v"),
    "b": (ms.DSGD(0.125, shift=ms.Refreshed(0.25, "b")), lambda case: refreshed(case, CONSTANT, HALF / 2, "b"), "v"),
    "momentum": (ms.AveragedMomentum(0.125, growth=0.5), lambda case: momentum(case, CONSTANT, HALF), 2),
    "anchored": (ms.LSVRDSG(0.125, probability=0.25), lambda case: anchored(case, CONSTANT, HALF / 2), 2),
    "PAGE": (ms.PAGE(0.125, probability=0.25), lambda case: page(case, CONSTANT, HALF / 2), "g"),
}


def start_of(case, layout, x0):
    return {1: (x0,), 2: (x0, x0), "v": (x0, case.v), "g": (x0, case.fD.gradient(x0))}[layout]


@given(
    st.sampled_from(list(KINDS)),
    st.lists(st.integers(-4, 4), min_size=8, max_size=8),
    st.sampled_from(["randk", "bernoulli"]),
)
def test_averages_are_the_means_over_all_paths(name, numbers, family):
    c, d, *rest = numbers
    A, (b, v, x0) = np.array([[2.0, c / 8], [c / 8, 1.0 + abs(d)]]), np.array(rest, dtype=float).reshape(3, 2) / 4
    sketch = ms.RandK(2, k=1) if family == "randk" else ms.Bernoulli(2, [0.5, 0.25])
    case = Sketched(A, b, v, masks(2, k=1) if family == "randk" else masks(2, keep=[0.5, 0.25]))
    method, step, layout = KINDS[name]
    wanted = means(case, step(case), start_of(case, layout, fractions(x0)), STEPS_DONE)
    F = ms.Mast(ms.Quadratic(A, b), sketch, shift=v)
    for kind in (ClosedRecursion, EnumeratedRecursion):
        chain = kind(F, method)
        forms = [of_average(standard_forms(F, chain.center)[measure]) for measure in MEASURES]
        found = chain.follow(x0, STEPS_DONE, forms)
        # The forms themselves are known to some roundings of the size of their terms.
        size = 1 + float(max(abs(wanted).max(), (b @ b + v @ v) * 16))
        assert (abs(found.values - wanted.astype(float)) <= found.rounding + 1e-13 * size).all(), kind
        assert (found.rounding <= 1e-6 * size).all(), kind
        np.testing.assert_allclose(found.values, wanted.astype(float), rtol=1e-10, atol=1e-12 * size)


def test_propagate_has_them_by_name():
    A, b, v, x0 = np.diag([1.0, 3.0]), np.ones(2), np.array([0.5, 0.0]), np.array([2.0, -1.0])
    case = Sketched(A, b, v, masks(2, k=1))
    wanted = means(case, plain(case, CONSTANT), (fractions(x0),), 4).astype(float)
    found = propagate(ms.Mast(ms.Quadratic(A, b), ms.RandK(2, k=1), shift=v), ms.DSGD(0.125), x0, 4)
    for measure, column in zip(MEASURES, wanted.T, strict=True):
        np.testing.assert_allclose(getattr(found, f"average_{measure}"), column, rtol=1e-12)


def test_clients_are_averaged_too():
    """Two clients with independent masks: x⁺ = x − (γ/2)ΣS_i∇f_i(S_ix)."""
    data = [(np.diag([1.0, 3.0]), np.array([1.0, -1.0])), (np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([0.0, 2.0]))]
    parts = [Sketched(A, b, np.zeros(2), masks(2, k=1)) for A, b in data]
    case = Sketched(data[0][0], data[0][1], np.zeros(2), masks(2, k=1))
    case.f = Quadratic(*[sum(getattr(p.f, n) for p in parts) / Fraction(2) for n in ("H", "slope", "constant")])
    case.fD = Quadratic(*[sum(getattr(p.fD, n) for p in parts) / Fraction(2) for n in ("H", "slope", "constant")])

    def step(state, t):
        for (S, p), (T, q) in product(parts[0].support, parts[1].support):
            g = (parts[0].gradient(S, state[0]) + parts[1].gradient(T, state[0])) / 2
            yield p * q, (state[0] - GAMMA * g,)

    x0 = np.array([1.0, -2.0])
    wanted = means(case, step, (fractions(x0),), 3).astype(float)
    F = ms.Distributed([ms.Quadratic(A, b) for A, b in data], ms.RandK(2, k=1))
    found = propagate(F, ms.DistributedDSGD(0.125), x0, 3)
    for measure, column in zip(MEASURES, wanted.T, strict=True):
        np.testing.assert_allclose(getattr(found, f"average_{measure}"), column, rtol=1e-11)


@pytest.mark.parametrize("kind", [ClosedRecursion, EnumeratedRecursion])
def test_epochs_in_random_order_are_averaged_by_their_ends(kind):
    """Rand-2 of 3: an epoch takes three masks in one of six orders, and noise of mean zero has a mean after it."""
    A, b = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.25], [0.0, -0.25, 1.5]]), np.array([1.0, -2.0, 0.5])
    v, x0 = np.array([0.5, 0.25, -1.0]), np.array([1.0, 2.0, 0.0])
    case = Sketched(A, b, v, masks(3, k=2))

    def epoch(state, t):
        for order in permutations([S for S, _ in case.support]):
            x = state[0]
            for S in order:
                x = x - GAMMA * case.gradient(S, x)
            yield Fraction(1, 6), (x,)

    wanted = means(case, epoch, (fractions(x0),), 3).astype(float)
    F = ms.Mast(ms.Quadratic(A, b), ms.RandK(3, k=2), shift=v)
    chain = kind(F, ms.DSGD(0.125, order=ms.Reshuffled()))
    forms = [of_average(standard_forms(F, chain.center)[measure]) for measure in MEASURES]
    np.testing.assert_allclose(chain.run(x0, 3, forms), wanted, rtol=1e-12)


@pytest.mark.parametrize("step", [0, 1, 50])
def test_what_a_step_rounds_by_counts_the_terms_of_the_average(step):
    """Φ has no larger terms than it says: moments of size 1 stay below it, and it is no less than for the state alone."""
    F = ms.Mast(ms.Quadratic(np.array([[2.0, 0.5], [0.5, 1.0]]), np.ones(2)), ms.RandK(2, k=1))
    for method in (ms.DSGD(0.125), ms.LSVRDSG(0.125, probability=0.3)):
        alone = ClosedRecursion(F, method).chain
        chain = AveragingRecursion(alone).at(step)
        X = np.eye(2 * len(chain.fields))
        assert np.linalg.norm(chain.linear(X), 2) <= chain.amplification
        assert chain.amplification >= alone.amplification + 1
    listed = EnumeratedRecursion(F, ms.DSGD(1.0))
    form = standard_forms(F, listed.center)["distance"]
    state, average = (listed.follow(np.ones(2), 8, [each]).rounding[:, 0] for each in (form, of_average(form)))
    # A share 1/T of the average is the last iterate before it.
    assert (average[1:] >= state[:-1] / np.arange(1, 9) ** 2).all()


LONG = {
    "DSGD": ms.DSGD(0.05),
    "sampled": ms.DSGD(0.05, ms.Nice(1)),
    "reshuffled": ms.DSGD(0.05, order=ms.Reshuffled()),
    "variance reduced": ms.LSVRDSG(0.05, probability=0.3, anchor=1),
}


@pytest.mark.parametrize("name", LONG)
def test_averages_shrink_to_the_limit_that_is_stated(name):
    """T·(E‖x̄_T − m‖² − ‖E x̄_T − m‖²) = a + b/T + geometric terms: two lengths tell a."""
    parts = [ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.Quadratic(np.array([[2.0, 1.0], [1.0, 2.0]]), -np.ones(2))]
    F, steps = ms.Mast(ms.FiniteSum(parts), ms.RandK(2, k=1), shift=np.array([0.3, 0.0])), 1500
    limit, method = stationary(F, LONG[name]), LONG[name]
    path = propagate(F, method, limit.mean, 2 * steps)
    away = float(np.sum((limit.mean - F.minimize().x) ** 2))
    # From the mean of the limit, whose image it is, the mean of the average stays there.
    short, long = (T * (path.average_distance[T] - away) for T in (steps, 2 * steps))
    wanted = np.trace(limit.average_covariance)
    assert 2 * long - short == pytest.approx(wanted, rel=1e-5, abs=1e-10)
    assert (path.average_gap[1:] <= np.cumsum(path.gap[:-1]) / np.arange(1, 2 * steps + 1) * (1 + 1e-12) + 1e-14).all()


def test_what_no_step_moves_stays_in_the_average():
    """H_D is singular: along its kernel the average is where the start is, however long."""
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 0.0]), np.array([1.0, 0.0])), ms.RandK(2, k=1))
    found = propagate(F, ms.DSGD(0.125), np.array([5.0, 3.0]), 4000)
    assert found.average_distance[-1] - found.average_gap[-1] == pytest.approx(9.0, abs=0.01)
    assert found.average_gap[-1] < 0.05 * found.average_gap[0]


def test_overflow_is_infinite():
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.RandK(2, k=1))
    for kind in (ms.DSGD(1e3), ms.AveragedMomentum(1e3)):
        found = propagate(F, kind, np.ones(2), 400)
        assert not np.isnan(found.average_distance).any()
        assert found.average_distance[-1] == np.inf
