"""Rates decided from all outcomes of a few steps, against paths followed one by one in plain NumPy."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import optimize, special

import mastsim as ms
from mastsim import theorems
from mastsim.methods import NaturalCompressor, Nice, SketchCompressor
from mastsim.moments import recursion
from mastsim.verification.outcome_tree import decide_rate_on_tree, means_along_tree, tree_depth
from mastsim.verification.trial import Trial
from tests.oracles.listed_laws import law

ROWS, LABELS, RIDGE = np.array([[1.0, 2.0], [-1.5, 0.5], [0.3, -1.0]]), np.array([1.0, -1.0, 1.0]), 0.1
V = np.array([0.5, -0.5])
SKETCHES = {
    "rand-k": ms.RandK(2, k=1),
    "bernoulli": ms.Bernoulli(2, np.array([0.9, 1.0])),
    "finite": ms.FiniteSupport([np.array([[1.0, 1.5], [-1.5, 1.0]]), np.array([[1.0, -0.5], [0.5, 1.0]])], [0.25, 0.75]),
}


def slopes(x):
    return (-LABELS * special.expit(-LABELS * (ROWS @ x)))[:, None] * ROWS + RIDGE * x


def loss(x):
    return float(np.mean(np.logaddexp(0, -LABELS * (ROWS @ x))) + RIDGE / 2 * x @ x)


class ByHand:
    """f_D of a tiny logistic regression, and its minimiser, from definitions."""

    def __init__(self, name):
        self.sketch = SKETCHES[name]
        self.values = list(zip(*law(self.sketch), strict=True))
        self.F = ms.Mast(ms.LogisticRegression(ROWS, LABELS, l2=RIDGE), self.sketch, shift=V, evaluate="enumeration")
        found = optimize.minimize(self.value, V, jac=self.gradient, method="BFGS", options={"gtol": 1e-12})
        self.best = found.x

    def sketched(self, x, S, rows=(0, 1, 2)):
        return S.T @ slopes(V + S @ (x - V))[list(rows)].mean(axis=0)

    def gradient(self, x):
        return sum(w * self.sketched(x, S) for S, w in self.values)

    def value(self, x):
        return sum(w * loss(V + S @ (x - V)) for S, w in self.values)

    def variation(self, w):
        return sum(p * np.sum((self.sketched(w, S) - self.sketched(self.best, S)) ** 2) for S, p in self.values)

    def measure(self, name, state):
        x = state[0]
        if name == "distance":
            return float(np.sum((x - self.best) ** 2))
        if isinstance(name, float):  # the weight of the anchor in the Lyapunov function
            return float(np.sum((x - self.best) ** 2)) + name * self.variation(state[1])
        return self.value(x) - self.value(self.best) if name == "gap" else float(np.sum(self.gradient(x) ** 2))


def means(hand, step, states, steps, name):
    """Return the mean of a measure after 0, 1, … steps, where `step` lists what a state leads to."""
    found = []
    for _ in range(steps + 1):
        found.append(sum(w * hand.measure(name, state) for state, w in states))
        states = [(after, w * p) for state, w in states for after, p in step(state)]
    return np.array(found)


def dsgd_step(hand, gamma, batches=((0, 1, 2),)):
    def step(state):
        x = state[0]
        return [
            ((x - gamma * hand.sketched(x, S, rows),), w / len(batches))
            for (S, w), rows in itertools.product(hand.values, batches)
        ]

    return step


def svrg_step(hand, gamma, p):
    def step(state):
        x, w = state
        ends = [(x - gamma * (hand.sketched(x, S) - hand.sketched(w, S) + hand.gradient(w)), q) for S, q in hand.values]
        return [((end, x), q * p) for end, q in ends] + [((end, w), q * (1 - p)) for end, q in ends]

    return step


def page_step(hand, gamma, p):
    def step(state):
        x, g = state
        end = x - gamma * g
        kept = [((end, g + hand.sketched(end, S) - hand.sketched(x, S)), q * (1 - p)) for S, q in hand.values]
        return [((end, hand.gradient(end)), p), *kept]

    return step


CASES = {
    "theorem 2": (lambda F: theorems.StronglyConvexDSGD(F), lambda hand, g: dsgd_step(hand, g), "distance"),
    "theorem 2'": (lambda F: theorems.ConvexDSGD(F), lambda hand, g: dsgd_step(hand, g), "gap"),
    "theorem 3": (lambda F: theorems.NonconvexDSGD(F, horizon=4), lambda hand, g: dsgd_step(hand, g), "gradient_norm2"),
    "theorem 4": (
        lambda F: theorems.SampledStronglyConvexDSGD(F, sampling=Nice(2)),
        lambda hand, g: dsgd_step(hand, g, list(itertools.combinations(range(3), 2))),
        "distance",
    ),
    "page": (
        lambda F: theorems.DoubleSketchedPAGE(F, probability=0.3),
        lambda hand, g: page_step(hand, g, 0.3),
        "gradient_norm2",
    ),
    "theorem 5": (
        lambda F: theorems.LooplessSVRDSG(F, probability=0.3),
        lambda hand, g: svrg_step(hand, g, 0.3),
        "lyapunov",
    ),
}


@pytest.mark.parametrize("name", sorted(SKETCHES))
@pytest.mark.parametrize("case", sorted(CASES))
def test_means_and_ratios_are_those_of_every_path(case, name):
    make, step, measure = CASES[case]
    hand, steps = ByHand(name), 4 if case in ("theorem 2", "theorem 2'", "theorem 3") else 3
    theorem = make(hand.F)
    trial, gamma = Trial.of(theorem), theorem.stepsize
    measure = 4 * gamma**2 / 0.3 if measure == "lyapunov" else measure
    x0 = V + np.array([3.0, -4.0])
    state = {"page": (x0, hand.gradient(x0)), "theorem 5": (x0, x0)}.get(case, (x0,))
    by_hand = means(hand, step(hand, gamma), [(state, 1.0)], steps, measure)
    np.testing.assert_allclose(means_along_tree(trial, x0, steps)[0], by_hand, rtol=1e-7, atol=1e-10)
    claimed = [float(theorem.claim(t, gamma, theorem.initial_at(x0))) for t in range(1, steps + 1)]
    gathered = {
        "last": by_hand[1:],
        "average": [by_hand[:t].mean() for t in range(1, steps + 1)],
        "minimum": [by_hand[:t].min() for t in range(1, steps + 1)],
    }[theorem.over]
    verdict = decide_rate_on_tree(trial, steps)
    assert (verdict.verdict, verdict.tier, verdict.samples) == ("holds", "exact", 0)
    assert (np.array(gathered) <= np.array(claimed)).all()
    far = hand.best + 1e3 * (1 + np.linalg.norm(hand.best - V)) * np.ones(2) / np.sqrt(2)
    if verdict.witness.endswith("far away"):
        state = {"page": (far, hand.gradient(far)), "theorem 5": (far, far)}.get(case, (far,))
        left = means(hand, step(hand, gamma), [(state, 1.0)], steps, measure)
        kept = {"last": left[1:], "average": np.cumsum(left[:-1]) / np.arange(1, steps + 1)}
        left = kept.get(theorem.over, np.minimum.accumulate(left[:-1]))
        right = [float(theorem.claim(t, gamma, theorem.initial_at(far))) for t in range(1, steps + 1)]
        assert verdict.max_ratio == pytest.approx(max(left / np.array(right)), rel=1e-5)
    np.testing.assert_array_equal(verdict.curve.steps, np.arange(1, steps + 1))


def test_trees_agree_with_exact_moments_on_a_quadratic():
    f = ms.FiniteSum([ms.Quadratic(np.diag([0.5, 6.0]), np.array([2.0, 1.0])), ms.Quadratic(np.eye(2), np.ones(2))])
    F = ms.Mast(f, ms.RandK(2, k=1), shift=V)
    for theorem in (
        theorems.SampledStronglyConvexDSGD(
            F, sampling=Nice(1), compression=SketchCompressor(ms.Bernoulli(2, np.array([1.0, 0.5])))
        ),
        theorems.LooplessSVRDSG(F, anchor=1, probability=0.3),
        theorems.DoubleSketchedPAGE(F, probability=0.3, sketches=2),
    ):
        trial = Trial.of(theorem)
        chain = recursion(F, trial.method)
        exact = chain.run(np.ones(2), 3, [theorem.form(theorem.stepsize, chain.center)])[:, 0]
        np.testing.assert_allclose(means_along_tree(trial, np.ones(2), 3)[0], exact, rtol=1e-10)


@dataclasses.dataclass(frozen=True, eq=False)
class TripledStep(theorems.StronglyConvexDSGD):
    """Theorem 2 at a step far beyond what it allows."""

    @property
    def stepsize(self):
        return 30 * super().stepsize


@dataclasses.dataclass(frozen=True, eq=False)
class Shrunk(theorems.NonconvexDSGD):
    """Theorem 3 with a tenth of its first term and none of its noise."""

    def claim(self, steps, stepsize, initial):
        return 0.1 * super().claim(steps, stepsize, initial)


@pytest.mark.parametrize("make", [TripledStep, lambda F: Shrunk(F, horizon=1)])
def test_false_claims_are_refuted(make):
    theorem = make(ByHand("rand-k").F)
    verdict = decide_rate_on_tree(Trial(theorem, theorem.stepsize, theorem.objective, "refuted"), 1)
    assert verdict.verdict == "refuted"
    assert verdict.max_ratio > 1.1


@pytest.mark.parametrize(
    ("method_of", "depth"),
    [
        (lambda F: theorems.StronglyConvexDSGD(F), 11),  # 2 outcomes a step: 2¹¹ leaves
        (lambda F: theorems.SampledStronglyConvexDSGD(F, sampling=Nice(1)), 4),  # 6 outcomes: 6⁴ ≤ 2048 < 6⁵
        (lambda F: theorems.DoubleSketchedPAGE(F, probability=0.3), 5),  # 4 outcomes
        (lambda F: theorems.DoubleSketchedPAGE(F, probability=0.3, sketches=3), None),  # 16: two steps only
        (lambda F: theorems.SampledStronglyConvexDSGD(F, compression=NaturalCompressor()), None),
    ],
)
def test_how_deep_a_tree_can_be(method_of, depth):
    assert tree_depth(Trial.of(method_of(ByHand("rand-k").F))) == depth


def test_a_tree_without_branches_is_as_deep_as_wanted():
    F = ms.Mast(ms.LogisticRegression(ROWS, LABELS, l2=RIDGE), ms.Identity(2))
    assert tree_depth(Trial.of(theorems.StronglyConvexDSGD(F)), most=7) == 7


def test_what_cannot_be_listed_is_refused():
    F = ByHand("rand-k").F
    quantised = Trial.of(theorems.SampledStronglyConvexDSGD(F, compression=NaturalCompressor()))
    with pytest.raises(ValueError, match="one step has inf outcomes or more"):
        decide_rate_on_tree(quantised, 1)
    wide = ms.Mast(ms.LogisticRegression(np.ones((1, 12)), np.ones(1), l2=1.0), ms.Bernoulli(12, 0.5))
    with pytest.raises(ValueError, match="one step has 4096 outcomes or more, but at most 2048"):
        decide_rate_on_tree(Trial.of(theorems.StronglyConvexDSGD(wide)), 1)
    with pytest.raises(ValueError, match="steps=0 is not accepted"):
        decide_rate_on_tree(Trial.of(theorems.StronglyConvexDSGD(F)), 0)
    estimated = ms.Mast(F.problem, ms.Gaussian(2, k=1), evaluate="monte carlo")
    with pytest.raises(ValueError, match="only estimated"):
        decide_rate_on_tree(Trial(theorems.StronglyConvexDSGD(F), 0.1, estimated), 1)
