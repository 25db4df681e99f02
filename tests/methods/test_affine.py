"""Which methods get exact moments: those that say that their step is affine, and are."""

from dataclasses import dataclass

import numpy as np
import pytest

import mastsim as ms
from mastsim.methods.affine import declared
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, contraction, propagate, recursion
from tests.oracles.affine_methods import CHANGING, NOT_AFFINE, AdaGradNorm, ChangedOnce, HeavyBall, OneSketch, SignCompressor

rng = np.random.default_rng(5)
ROOT = rng.standard_normal((3, 3))
PROBLEMS = {
    "shifted": ms.Mast(ms.Quadratic(ROOT @ ROOT.T, np.array([1.0, -2.0, 3.0])), ms.RandK(3, k=1), shift=np.ones(3)),
    "at its minimum": ms.Mast(ms.Quadratic(np.diag([1.0, 2.0, 5.0]), np.zeros(3)), ms.Bernoulli(3, 0.5)),
    "no sketch": ms.Mast(ms.Quadratic(ROOT @ ROOT.T + np.eye(3), np.full(3, 1e3)), ms.Identity(3)),
    "low rank": ms.Mast(ms.Quadratic(np.ones((2, 2)), np.ones(2)), ms.RandK(2, k=1), shift=np.array([3.0, 0.0])),
    "of any size": ms.Mast(ms.Quadratic(1e4 * np.diag([1.0, 2.0]), np.zeros(2)), ms.RandK(2, k=2)),
}
BUILT_IN = (
    ms.GD(1e-3),
    ms.DSGD(1e-3),
    ms.DSGD(1e-3, compression=ms.SketchCompressor(ms.RandK(3, k=1))),
    ms.LSVRDSG(1e-3),
    ms.PAGE(1e-3),
    ms.SGD(1e-3),
    ms.GDCI(1e-3),
)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("method", NOT_AFFINE, ids=lambda m: m.name + str(getattr(m, "limit", "")) + str(m.stepsize))
def test_a_step_that_is_not_affine_is_refused_although_it_says_so(method, problem):
    for attempt in (recursion, contraction, lambda F, m: propagate(F, m, np.ones(F.dim), 3)):
        with pytest.raises(ValueError, match=r"says that its step is affine, but from a point at distance .* leads"):
            attempt(PROBLEMS[problem], method)


def test_a_compressor_that_is_not_linear_is_refused_although_it_says_so():
    """But not where it is linear, as for gradients with one entry that is not zero."""
    with pytest.raises(ValueError, match=r"says that its step is affine, but|outcomes or more"):
        recursion(PROBLEMS["at its minimum"], ms.DSGD(0.05, compression=SignCompressor()))
    alone = recursion(PROBLEMS["shifted"], ms.DSGD(0.05, compression=SignCompressor()))
    thirds = recursion(PROBLEMS["shifted"], ms.DSGD(0.05 / 3))
    form = {("x", "x"): np.eye(3)}
    assert alone.run(np.ones(3), 9, [form]) == pytest.approx(thirds.run(np.ones(3), 9, [form]), rel=1e-10)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("method", CHANGING, ids=lambda m: m.name)
def test_a_step_that_changes_along_the_way_is_refused(method, problem):
    with pytest.raises(ValueError, match="the same law of affine maps at every step"):
        recursion(PROBLEMS[problem], method)


def test_a_state_with_numbers_in_place_of_vectors_is_refused_by_name():
    with pytest.raises(ValueError, match=r"AdaGradNorm carries size of shape \(1,\) .* exact moments need vectors"):
        recursion(PROBLEMS["shifted"], AdaGradNorm(0.1))


class Doubled(ms.DSGD):
    def direction(self, state, objective, gradient, draw):
        return 2 * super().direction(state, objective, gradient, draw)


class Rounded(ms.GD):
    def step(self, state, objective, draw):
        return type(state)(np.round(super().step(state, objective, draw).x, 3))


class Anchored(ms.LSVRDSG):
    def _anchored(self, state, objective, draw):
        return np.clip(super()._anchored(state, objective, draw), -1, 1)


class Stepping(ms.DSGD):
    @property
    def rule(self):
        return super().rule


class Twice(OneSketch):
    def change(self, g, state, draw):
        return 2 * g


class Compressed(ms.SketchCompressor):
    def law(self, dim):
        return super().law(dim)


@pytest.mark.parametrize("kind", [Doubled, Rounded, Anchored, Stepping, Twice])
@pytest.mark.parametrize("dim", [2, 40])
def test_a_subclass_that_changes_the_step_must_say_again_that_it_is_affine(kind, dim):
    """In 40 dimensions nothing can be listed, and the closed form of the parent must not be taken for that of the child."""
    F = ms.Mast(ms.Quadratic(np.eye(dim), np.zeros(dim)), ms.RandK(dim, k=dim // 2))
    for attempt in (recursion, contraction, ClosedRecursion):
        with pytest.raises(ValueError, match=f"{kind.__name__} does not say that its step is affine.*affine = True"):
            attempt(F, kind(0.1))


def test_a_compressor_says_for_itself_whether_it_is_linear():
    F = PROBLEMS["shifted"]
    with pytest.raises(ValueError, match="compresses by Rand-1 of 3, which does not say that it is linear"):
        recursion(F, ms.DSGD(0.1, compression=Compressed(ms.RandK(3, k=1))))
    with pytest.raises(ValueError, match=r"natural, which does not say that it is linear"):
        recursion(F, ms.DSGD(0.1, compression=ms.NaturalCompressor()))
    assert declared(SignCompressor(), "linear")


def test_a_subclass_with_another_name_or_default_is_what_its_parent_is():
    @dataclass(frozen=True)
    class Renamed(ms.DSGD):
        name = "mine"
        label: str = "default"

    F = ms.Mast(ms.Quadratic(np.eye(40), np.zeros(40)), ms.RandK(40, k=20))
    assert isinstance(recursion(F, Renamed(0.1)), ClosedRecursion)


class DoubledAgain(Doubled):
    affine = True


def test_a_subclass_that_says_so_is_listed_and_never_given_the_closed_form_of_its_parent():
    F = PROBLEMS["shifted"]
    twice, plain = (propagate(F, method, np.ones(3), 20).distance for method in (DoubledAgain(0.01), ms.DSGD(0.02)))
    assert twice == pytest.approx(plain, rel=1e-12)
    wide = ms.Mast(ms.Quadratic(np.eye(40), np.zeros(40)), ms.RandK(40, k=20))
    with pytest.raises(ValueError, match="no closed moment recursion is known for DoubledAgain, and"):
        recursion(wide, DoubledAgain(0.01))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("method", [*BUILT_IN, HeavyBall(1e-3)], ids=lambda m: m.name)
def test_every_affine_method_passes_its_probes(method, problem):
    F = PROBLEMS[problem]
    if getattr(method, "compression", None) is not None and method.compression.name == "Rand-1 of 3" and F.dim != 3:
        pytest.skip("the compressor is for three coordinates")
    assert np.isfinite(EnumeratedRecursion(F, method).run(np.ones(F.dim), 3, [{("x", "x"): np.eye(F.dim)}])).all()


def tree_of_heavy_ball(F, gamma, beta, x0, steps):
    """Return E‖x − x_D*‖² at every step over all sketch sequences, from the definition."""
    values, weights = F.sketch.support()
    S, A, b, v = np.asarray(values.matrices()), F.problem.A, F.problem.b, F.center
    H = np.einsum("n,nji,jk,nkl->il", weights, S, A, S)
    best = v - np.linalg.solve(H, A @ v - b)
    leaves, means = [(x0, np.zeros_like(x0), 1.0)], []
    for _ in range(steps + 1):
        means.append(sum(w * (x - best) @ (x - best) for x, _, w in leaves))
        after = []
        for x, m, w in leaves:
            for s, p in zip(S, weights, strict=True):
                new = beta * m + s.T @ (A @ (v + s @ (x - v)) - b)
                after.append((x - gamma * new, new, w * p))
        leaves = after
    return np.array(means)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_heavy_ball_of_a_user_is_the_mean_over_the_tree(beta):
    F = PROBLEMS["shifted"]
    found = propagate(F, HeavyBall(0.02, beta=beta), np.array([1.0, 0.0, -1.0]), 6).distance
    assert found == pytest.approx(tree_of_heavy_ball(F, 0.02, beta, np.array([1.0, 0.0, -1.0]), 6), rel=1e-11)


def test_heavy_ball_of_a_user_contracts_as_its_companion_matrix_says():
    """Without a sketch and for A = λ: the roots of z² − (1 + β − γλ)z + β, squared."""
    F = ms.Mast(ms.Quadratic(np.array([[2.0]]), np.array([1.0])), ms.Identity(1))
    roots = np.roots([1, -(1 + 0.6 - 0.3 * 2), 0.6])
    found = contraction(F, HeavyBall(0.3, beta=0.6))
    assert found.lower <= np.abs(roots).max() ** 2 * (1 + 1e-12)
    assert found.upper == pytest.approx(np.abs(roots).max() ** 2, rel=1e-6)


def test_every_step_that_is_asked_for_is_tried():
    """A step that changes once, at a number that no list holds, is found as soon as the path gets there."""
    method, F = ChangedOnce(0.05, when=77), PROBLEMS["shifted"]
    assert propagate(F, method, np.ones(3), 77).distance[-1] > 0
    with pytest.raises(ValueError, match="of step 77 leads"):
        propagate(F, method, np.ones(3), 78)


class Decaying(ms.ConstantStep):
    """A step rule derived from the constant one that is not constant."""

    def at(self, step):
        return self.stepsize / (1 + step)


@pytest.mark.parametrize("kind", [ms.GD, ms.DSGD, ms.LSVRDSG, ms.PAGE, ms.SGD, ms.GDCI, HeavyBall])
def test_a_constant_step_that_was_changed_is_no_constant_step(kind):
    F = PROBLEMS["shifted"]
    with pytest.raises(ValueError, match="has a step size that changes"):
        contraction(F, kind(Decaying(0.01)))
    own, harmonic = (propagate(F, kind(rule), np.ones(3), 3) for rule in (Decaying(0.01), ms.HarmonicStep(0.01, decay=1.0)))
    np.testing.assert_allclose(own.distance, harmonic.distance, rtol=1e-12)
    assert not ms.LSVRDSG(Decaying(0.01)).knows_lyapunov(PROBLEMS["shifted"])


class ClippedQuadratic(ms.Quadratic):
    def gradient(self, x):
        return np.clip(super().gradient(x), -1, 1)


class ClippedObjective(ms.Mast):
    def sketched_gradient(self, x, batch, minibatch=None):
        return np.clip(super().sketched_gradient(x, batch, minibatch), -1, 1)


class Relabelled(ms.Quadratic):
    """Another class with the same gradients."""

    def gradient(self, x):
        return 1.0 * super().gradient(x)


BENT = {
    "problem": ms.Mast(ClippedQuadratic(np.eye(3), np.ones(3)), ms.RandK(3, k=1)),
    "component": ms.Mast(
        ms.FiniteSum([ms.Quadratic(np.eye(3), np.ones(3)), ClippedQuadratic(np.eye(3), np.ones(3))]), ms.RandK(3, k=1)
    ),
    "client": ms.Distributed([ClippedQuadratic(np.eye(3), np.ones(3))], [ms.RandK(3, k=1)]),
    "objective": ClippedObjective(ms.Quadratic(np.eye(3), np.ones(3)), ms.RandK(3, k=1)),
    "objective of many outcomes": ClippedObjective(ms.Quadratic(np.eye(24), np.ones(24)), ms.RandK(24, k=12)),
}


@pytest.mark.parametrize("where", BENT)
def test_gradients_of_ones_own_that_bend_are_refused(where):
    """Closed forms look at the matrix only, so that a class that changes the gradient would not be noticed."""
    F = BENT[where]
    method = ms.DistributedDSGD(0.05) if where == "client" else ms.DSGD(0.05)
    for attempt in (recursion, contraction, lambda F, m: propagate(F, m, np.ones(F.dim), 3)):
        with pytest.raises(ValueError, match=r"is quadratic, but|step is affine, but|\d+ outcomes or more"):
            attempt(F, method)


def test_gradients_of_ones_own_that_agree_with_the_matrix_are_accepted():
    H, b = ROOT @ ROOT.T, np.full(3, 1e3)
    mine, theirs = (ms.Mast(kind(H, b), ms.RandK(3, k=1)) for kind in (Relabelled, ms.Quadratic))
    one, other = (propagate(F, ms.DSGD(0.01), np.ones(3), 20).distance for F in (mine, theirs))
    assert one == pytest.approx(other, rel=1e-10)
