"""check_loss and check_method: every loss and method of the package passes, and each kind of mistake is named."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.extend import GeneralizedLinearModel, MarginLoss, Method, PiecewiseLoss, ResidualLoss, State, StochasticMethod
from mastsim.methods import ALL_METHODS
from mastsim.problems import ALL_PROBLEMS
from mastsim.testing import check_loss, check_method, check_problem
from tests.examples import examples

MODELS = [family for family in ALL_PROBLEMS if issubclass(family, GeneralizedLinearModel)]
LOSSES = {family.__name__: family(np.ones((1, 1)), np.ones(1), l2=1.0).loss for family in MODELS}


class Cauchy(ResidualLoss):
    """log(1 + w²/ν): curvature 2/ν at 0 and −1/(4ν) at w² = 3ν."""

    name = "Cauchy"

    def __init__(self, nu=1.0, high=1.0, low=1.0):
        self.nu, self.curvature_max, self.curvature_min = nu, high * 2 / nu, -low / (4 * nu)

    def psi(self, w, order=0):
        if order == 0:
            return np.log1p(w**2 / self.nu)
        return 2 * w / (self.nu + w**2) if order == 1 else 2 * (self.nu - w**2) / (self.nu + w**2) ** 2


@dataclass(frozen=True, eq=False)
class CoshRegression(GeneralizedLinearModel):
    @property
    def loss(self):
        return Cosh()


class Cosh(ResidualLoss):
    name = "cosh"

    def psi(self, w, order=0):
        return np.sinh(w) if order == 1 else np.cosh(w)


class Skewed(ResidualLoss):
    """½e^{−w²} − ½: its least second derivative, −1, is larger in size than the largest where the sign is turned."""

    name, curvature_max, curvature_min = "skewed", 2 * math.exp(-1.5), -1.0

    def psi(self, w, order=0):
        bell = np.exp(-(w**2))
        return (0.5 * bell, -w * bell, (2 * w**2 - 1) * bell)[order]


@dataclass(frozen=True, eq=False)
class SkewedRegression(GeneralizedLinearModel):
    @property
    def loss(self):
        return Skewed()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_of_the_package_passes(name):
    check_loss(LOSSES[name])


@settings(max_examples=examples(25), deadline=None)
@given(nu=st.floats(0.05, 20.0), share=st.sampled_from([0.5, 0.8, 0.9, 0.99]), side=st.sampled_from(["high", "low"]))
def test_a_curvature_bound_that_is_too_small_is_found_wherever_it_is_attained(nu, share, side):
    check_loss(Cauchy(nu))
    named = {"high": "curvature_max", "low": "curvature_min"}[side]
    with pytest.raises(AssertionError, match=rf"Cauchy loss: {named} fails: it is .* but ψ'' = .*; write at (least|most)"):
        check_loss(Cauchy(nu, **{side: share}))


def mistaken(base, **changes):
    wrong = object.__new__(type("Mistaken", (type(base),), changes))
    wrong.__dict__.update(vars(base))
    return wrong


def off(order, factor):
    return {"psi": lambda self, w, o=0: super(type(self), self).psi(w, o) * (factor if o == order else 1.0)}


def sums(**changes):
    from dataclasses import replace

    return {"exponential_sum": lambda self, reach: replace(super(type(self), self).exponential_sum(reach), **changes)}


LOGISTIC, HUBER, SIGMOID = LOSSES["LogisticRegression"], LOSSES["HuberRegression"], LOSSES["SigmoidClassification"]
LOSS_MISTAKES = [
    (LOGISTIC, off(1, 1.001), r"psi\(w, 1\) fails"),
    (LOGISTIC, off(0, 0.999), r"psi\(w, 1\) fails"),
    (LOGISTIC, off(2, 0.99), r"psi\(w, 2\) fails"),
    (LOGISTIC, {"psi": lambda self, w, order=0: np.sum(w)}, "is elementwise"),
    (LOGISTIC, {"lower_bound": lambda self, y: 0.1}, "lower_bound fails: it is 0.1 for the label"),
    (LOGISTIC, {"curvature_max": 0.2}, "curvature_max fails: it is 0.2"),
    (LOGISTIC, {"curvature_min": 0.01}, "curvature_min fails"),
    (LOGISTIC, {"labels_like": lambda self, numbers: numbers}, "labels_like fails: check_labels refuses"),
    (LOGISTIC, sums(error=0.0, constant=1.0), "exponential_sum fails"),
    (LOGISTIC, sums(slope=-0.49), "exponential_sum fails"),
    (LOGISTIC, sums(reach=0.01), "exponential_sum fails: reach"),
    (LOGISTIC, {"steepest": lambda self, w, away: np.abs(self.psi(w, 1))}, "steepest fails"),
    (LOGISTIC, {"derivative": lambda self, u, y: self.psi(u, 1)}, "derivative fails"),
    (SIGMOID, {"largest": 0.9}, "largest fails"),
    (SIGMOID, {"curvature_is_attained": True}, "curvature_is_attained fails"),
    (HUBER, {"psi": lambda self, w, order=0: PiecewiseLoss.psi(self, w, order) + (order == 0)}, "pieces fails"),
]


@pytest.mark.parametrize(("base", "changes", "told"), LOSS_MISTAKES)
def test_check_loss_names_the_mistake(base, changes, told):
    with pytest.raises(AssertionError, match=told):
        check_loss(mistaken(base, **changes))


def test_a_loss_may_know_no_curvature_bound():
    rng = np.random.default_rng(0)
    f = CoshRegression(rng.standard_normal((5, 3)), np.zeros(5), l2=0.1)
    check_loss(Cosh())
    check_problem(f)
    assert (float(f.L_f), float(f.mu_f), f.is_convex, f.components_are_convex) == (math.inf, -math.inf, False, False)
    with pytest.raises(ValueError, match="nothing bounds the curvature of the cosh loss from below"):
        _ = f.lower_curvature
    F = ms.Mast(f, ms.RandK(3, k=1))
    x = rng.standard_normal(3)
    support, chances = F.sketch.support()
    listed = chances @ f.value(np.asarray(support.apply(x)))
    assert float(F.value(x)) == pytest.approx(listed, rel=1e-12)
    assert not any(g.applies for g in ms.guarantees(F))


def test_the_larger_of_both_curvature_bounds_makes_L_f():
    check_loss(Skewed())
    f = SkewedRegression(np.array([[1.0, 2.0], [0.5, -1.0]]), np.zeros(2), l2=0.01)
    check_problem(f)
    assert float(f.L_f) >= np.linalg.norm(f.hessian(np.zeros(2)), 2)


# --- methods --------------------------------------------------------------------------------------------------------

BOWLS = [ms.Quadratic(np.eye(2), np.ones(2)), ms.Quadratic(np.diag([1.0, 3.0]), np.zeros(2))]
SUM = ms.Mast(ms.FiniteSum(BOWLS), ms.RandK(2, k=1), shift=np.ones(2))
CLIENTS = ms.Distributed(BOWLS, ms.RandK(2, k=1))
UNBIASED = {"GD", "DSGD", "LSVRDSG", "PAGE", "DistributedDSGD"}


@pytest.mark.parametrize("family", ALL_METHODS)
def test_every_method_of_the_package_passes(family):
    probability = {"probability": 0.3} if "probability" in family.__dataclass_fields__ else {}
    report = check_method(family(0.1, **probability), CLIENTS if family.nodes == "many" else SUM)
    assert report.affine is (family.affine or None) or not family.affine
    if family.__name__ in UNBIASED:
        assert report.unbiased
    if family.__name__ in ("SGD", "GDCI"):
        assert report.unbiased is False


class Moving(NamedTuple):
    x: np.ndarray
    m: np.ndarray


@dataclass(frozen=True)
class HeavyBall(Method):
    affine = True
    beta: float = 0.5

    def init(self, objective, x0):
        return Moving(x0, np.zeros_like(x0))

    def step(self, state, objective, draw):
        g = objective.sketched_gradient(state.x, draw.of("sketch", objective.sketch))
        m = self.beta * state.m + self.rule.at(draw.step) * self.changed(g)
        return Moving(state.x - m, m)

    def changed(self, g):
        return g


@dataclass(frozen=True)
class Clipped(StochasticMethod):
    def init(self, objective, x0):
        return State(x0)

    def direction(self, state, objective, gradient, draw):
        g = gradient.sketched(state.x, draw.of("sketch", objective.sketch))
        return g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1.0)


def test_the_report_says_affine_unbiased_and_what_is_drawn():
    ball, clipped = check_method(HeavyBall(0.05), SUM), check_method(Clipped(0.05), SUM)
    assert (ball.affine, ball.unbiased, ball.draws, ball.remark) == (True, True, (("sketch", "Rand-1 of 2", 1),), "")
    assert (clipped.affine, clipped.unbiased) == (False, False)
    assert "no exact moments" in str(clipped)
    quiet = check_method(type("Quiet", (HeavyBall,), {"step": HeavyBall.step})(0.05), SUM)
    assert quiet.affine is True
    assert "write `affine = True` in the body of class Quiet" in quiet.remark


def spoiling(self, state, objective, draw):
    state.x[:] = 0.0
    return HeavyBall.step(self, state, objective, draw)


def twice(self, state, objective, draw):
    draw.of("sketch", objective.sketch)
    return HeavyBall.step(self, state, objective, draw)


def mixing(self, state, objective, draw):
    x, m = HeavyBall.step(self, state, objective, draw)
    return Moving(x + 1e-3 * x.mean(axis=0), m)


def careless(self, state, objective, draw):
    return HeavyBall.step(self, Moving(state.x + np.random.standard_normal(state.x.shape), state.m), objective, draw)  # noqa: NPY002


METHOD_MISTAKES = [
    ({"step": spoiling}, "step leaves x of its state alone"),
    ({"step": twice}, "draws twice for purpose='sketch'"),
    ({"step": mixing}, "of a replica does not depend on the others"),
    ({"step": careless}, r"repeats with equal draws \(draw only from `draw`\)"),
    ({"step": lambda self, state, objective, draw: State(state.x)}, "returned State instead of Moving"),
    ({"init": lambda self, objective, x0: x0}, "return a NamedTuple of arrays"),
    ({"init": lambda self, objective, x0: Moving(x0 + 1.0, x0)}, "init: x is the start"),
    ({"affine": True, "changed": lambda self, g: np.tanh(g)}, "affine = True fails"),
]


@pytest.mark.parametrize(("changes", "told"), METHOD_MISTAKES)
def test_check_method_names_the_mistake(changes, told):
    with pytest.raises(AssertionError, match=told):
        check_method(type("Mistaken", (HeavyBall,), changes)(0.05), SUM)


def test_a_margin_loss_of_ones_own_is_checked_with_its_labels():
    class Savage(MarginLoss):
        name, largest = "savage", 1.0
        curvature_max, curvature_min = 0.16, -0.16

        def psi(self, w, order=0):
            s = 1 / (1 + np.exp(w))
            return (s**2, -2 * s**2 * (1 - s), 2 * s**2 * (1 - s) * (2 - 3 * s))[order]

    check_loss(Savage())
    with pytest.raises(AssertionError, match=r"curvature_(min|max) fails"):
        check_loss(mistaken(Savage(), curvature_max=0.12, curvature_min=-0.04))
