"""A method that supplies its closed recursion has closed moments; one that changes a step does not inherit them."""

from dataclasses import dataclass

import numpy as np
import pytest

import mastsim as ms
from mastsim.moments import ClosedRecursion, EnumeratedRecursion
from mastsim.recursions import GDRecursion


@dataclass(frozen=True)
class Damped(ms.DSGD):
    """Half a step of DSGD, and not a word about its moments."""

    affine = True

    def direction(self, state, objective, gradient, draw):
        return super().direction(state, objective, gradient, draw) / 2


@dataclass(frozen=True)
class DampedGD(ms.GD):
    """Half a step of gradient descent, with its moments."""

    affine = True

    def closed_recursion(self, objective):
        return GDRecursion(objective.curvature, self.rule.largest / 2)

    def step(self, state, objective, draw):
        return type(state)(state.x - 0.5 * self.rule.at(draw.step) * objective.gradient(state.x))


@dataclass(frozen=True)
class Renamed(ms.DSGD):
    """DSGD under another name."""

    name = "mine"


def objective(dim, sketch=None):
    rng = np.random.default_rng(3)
    A = np.diag(np.linspace(0.5, 2.0, dim))
    return ms.Mast(ms.Quadratic(A, rng.standard_normal(dim)), sketch or ms.RandK(dim, k=1), shift=rng.standard_normal(dim))


def test_a_changed_step_has_no_closed_recursion_and_is_enumerated():
    F = objective(2)
    with pytest.raises(ValueError, match="no closed moment recursion is known for Damped"):
        ClosedRecursion(F, Damped(0.1))
    halved = ms.moments.propagate(F, Damped(0.2), np.ones(2), 20)
    plain = ms.moments.propagate(F, ms.DSGD(0.1), np.ones(2), 20)
    np.testing.assert_allclose(halved.distance, plain.distance, rtol=1e-12)
    assert not np.allclose(halved.distance, ms.moments.propagate(F, ms.DSGD(0.2), np.ones(2), 20).distance)


def test_a_method_that_only_renames_keeps_its_closed_recursion():
    F = objective(2)
    form = [{("x", "x"): np.eye(2)}]
    closed, listed = (kind(F, Renamed(0.1)) for kind in (ClosedRecursion, EnumeratedRecursion))
    np.testing.assert_allclose(closed.run(np.ones(2), 20, form), listed.run(np.ones(2), 20, form), rtol=1e-10)


def test_a_recursion_of_a_method_of_ones_own_is_used_where_there_is_too_much_to_list():
    F = objective(48, ms.Bernoulli(48, 0.5))
    with pytest.raises(ValueError, match="accepted"):
        EnumeratedRecursion(F, DampedGD(0.2))
    found = ms.moments.propagate(F, DampedGD(0.2), np.ones(48), 10)
    x, best = np.ones(48), F.minimize().x
    for t in range(11):
        assert found.distance[t] == pytest.approx((x - best) @ (x - best), rel=1e-10)
        x = x - 0.1 * np.asarray(F.gradient(x))


def test_a_compressor_that_changes_its_maps_does_not_inherit_the_moments_of_its_sketch():
    class Doubled(ms.SketchCompressor):
        linear = True

        def law(self, dim):
            return ms.Identity(dim)

    F = objective(2)
    with pytest.raises(ValueError, match="no closed moments are known for compression"):
        ClosedRecursion(F, ms.DSGD(0.1, compression=Doubled(ms.RandK(2, k=1))))
