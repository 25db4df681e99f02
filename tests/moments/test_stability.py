"""True contraction factors: against moments that are followed until their ratio settles, and against numbers by hand."""

import numpy as np
import pytest

import mastsim as ms
from mastsim.moments import contraction, largest_stable_stepsize

F = ms.Mast(ms.Quadratic(np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0])), ms.RandK(2, k=1), shift=np.ones(2))
AT_BEST = ms.Mast(F.problem, F.sketch, shift=F.problem.minimize().x)
SUM = ms.FiniteSum([ms.Quadratic(np.diag([1.0, 2.0]), np.zeros(2)), ms.Quadratic(np.diag([3.0, 1.0]), np.zeros(2))])


def settled_ratio(objective, method, steps=160):
    """Return the last ratio of E‖x − x_D*‖² without noise: v = x* makes every sketched gradient vanish at x_D*."""
    starts = np.random.default_rng(0).standard_normal((3, objective.dim))
    curves = [ms.moments.propagate(objective, method, objective.minimize().x + y, steps).distance for y in starts]
    total = np.sum(curves, axis=0)
    return total[-1] / total[-2]


@pytest.mark.parametrize(
    "method",
    [
        ms.DSGD(0.1),
        ms.LSVRDSG(0.05, probability=0.3),
        ms.LSVRDSG(0.05, probability=0.3, anchor=1),
        ms.PAGE(0.05, probability=0.3),
        ms.PAGE(0.05, probability=0.3, sketches=2),
        ms.GD(0.1),
    ],
    ids=lambda method: method.name,
)
def test_the_factor_is_what_the_moments_settle_to(method):
    found = contraction(AT_BEST, method)
    assert found.lower <= found.upper
    assert found.upper == pytest.approx(settled_ratio(AT_BEST, method), rel=1e-3)


def test_noise_does_not_change_the_factor():
    for method in (ms.DSGD(0.1), ms.LSVRDSG(0.05, probability=0.3, anchor=1)):
        assert contraction(F, method).upper == pytest.approx(contraction(AT_BEST, method).upper, rel=1e-9)


def test_sampled_gradients_are_followed_through_their_outcomes():
    sampled = ms.Mast(SUM, ms.Bernoulli(2, 0.5))
    method = ms.DSGD(0.1, ms.Nice(1))
    # Coordinates do not mix: a step multiplies coordinate j by 1 - γ a_ij c² with c in {0, 2} and i in {1, 2}, fair.
    by_hand = max(np.mean([(1 - 0.1 * a * c**2) ** 2 for a in column for c in (0, 2)]) for column in ((1, 3), (2, 1)))
    assert contraction(sampled, method).upper == pytest.approx(by_hand, rel=1e-9)


def test_the_largest_stable_step_is_where_the_factor_is_one():
    stable = largest_stable_stepsize(F).lower
    assert contraction(F, ms.DSGD(stable)).upper == pytest.approx(1, abs=1e-9)
    assert contraction(F, ms.DSGD(0.99 * stable)).upper < 1 < contraction(F, ms.DSGD(1.01 * stable)).lower


def test_clients_have_a_factor_of_their_own():
    alone = ms.Distributed([F.problem], F.sketch, shift=F.center)
    assert contraction(alone, ms.DistributedDSGD(0.1)).upper == pytest.approx(contraction(F, ms.DSGD(0.1)).upper, rel=1e-12)
    shared = ms.Distributed([F.problem] * 2, ms.PermK(2, clients=2), shift=F.center)
    assert contraction(shared, ms.DistributedDSGD(0.1)).upper < contraction(alone, ms.DistributedDSGD(0.1)).upper


def test_what_has_no_recursion_is_refused():
    with pytest.raises(ValueError, match="quadratic"):
        contraction(ms.Mast(ms.LogisticRegression(np.eye(2), np.array([1.0, -1.0]), l2=0.1), ms.RandK(2, k=1)), ms.DSGD(0.1))


@pytest.mark.parametrize("sketch", [ms.RandK(2, k=1), ms.Bernoulli(2, np.array([0.9, 0.05]))], ids=lambda s: s.name)
@pytest.mark.parametrize(
    "method",
    [
        ms.DSGD(0.05, ms.Nice(1)),
        ms.DSGD(0.05, ms.Nice(2)),
        ms.DSGD(0.05, ms.IndependentSampling(np.array([0.2, 0.7, 1.0]))),
        ms.DSGD(0.05, ms.WithReplacement(2, np.array([0.5, 0.3, 0.2]))),
        ms.DSGD(0.05, ms.Nice(1), ms.SketchCompressor(ms.RandK(2, k=1))),
        ms.DSGD(0.05, compression=ms.SketchCompressor(ms.Bernoulli(2, 0.3))),
    ],
    ids=lambda method: method.name,
)
def test_sampled_and_compressed_moments_in_closed_form_are_those_of_the_listed_outcomes(method, sketch):
    parts = [
        ms.Quadratic(np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0])),
        ms.Quadratic(np.ones((2, 2)), np.full(2, 3.0)),
        ms.Quadratic(np.diag([0.0, 4.0]), np.array([0.0, 2.0])),
    ]
    objective = ms.Mast(ms.FiniteSum(parts), sketch, shift=np.array([1.0, -2.0]))
    names = ("distance", "gap", "gradient_norm2")
    forms = ms.moments.standard_forms(objective, objective.minimize().x)
    start, chosen = np.array([3.0, 0.5]), [forms[name] for name in names]
    listed = ms.moments.EnumeratedRecursion(objective, method).run(start, 6, chosen)
    closed = ms.moments.ClosedRecursion(objective, method).run(start, 6, chosen)
    assert closed == pytest.approx(listed, rel=1e-10)


def test_rows_of_least_squares_are_components_in_closed_form():
    rng = np.random.default_rng(3)
    f = ms.LeastSquares(rng.standard_normal((4, 2)), rng.standard_normal(4), l2=0.1)
    objective, method = ms.Mast(f, ms.RandK(2, k=1), shift=np.ones(2)), ms.DSGD(0.02, ms.Nice(2))
    form = ms.moments.standard_forms(objective, objective.minimize().x)["distance"]
    listed, closed = (
        kind(objective, method).run(np.zeros(2), 5, [form])
        for kind in (ms.moments.EnumeratedRecursion, ms.moments.ClosedRecursion)
    )
    assert closed == pytest.approx(listed, rel=1e-10)


def test_compressors_that_are_not_linear_have_no_closed_form():
    objective = ms.Mast(SUM, ms.RandK(2, k=1))
    with pytest.raises(ValueError, match="does not say that it is linear"):
        ms.moments.ClosedRecursion(objective, ms.DSGD(0.05, compression=ms.NaturalCompressor()))
