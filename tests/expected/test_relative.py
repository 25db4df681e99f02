"""Values and gradients that are accurate relative to what is recorded of them, and bounds on what less accuracy costs."""

import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim import CertificateWarning
from mastsim.expected.relative import FINEST, LEVELS, RelativeValues
from tests.examples import examples

MODELS = (ms.LogisticRegression, ms.SigmoidClassification, ms.WelschRegression, ms.LeastSquares)
BOTH = ("value", "gradient")


def draw(seed, models=MODELS):
    """Return a model, a mask (single, in groups or blocks), a shift and a point; columns hold one value or any."""
    rng = np.random.default_rng(seed)
    dim, rows = 2 * int(rng.integers(2, 8)), int(rng.choice([3, 150]))
    A = (rng.random((rows, dim)) < rng.uniform(0.1, 1)) * 10.0 ** rng.uniform(-2, 0.7)
    if rng.random() < 0.5:
        A *= rng.standard_normal(A.shape)
    k = int(rng.integers(1, dim))
    sketches = (ms.Bernoulli(dim, float(rng.uniform(0.1, 1))), ms.RandK(dim, k), ms.NofM(dim, 1, 2))
    x, v = rng.standard_normal((2, dim)) * np.array([[10.0 ** rng.uniform(-3, 0.5)], [rng.choice([0.0, 0.3])]])
    y = np.where(rng.random(rows) < 0.5, 1.0, -1.0)
    f = models[int(rng.integers(len(models)))](A, y, l2=10.0 ** rng.uniform(-3, 0))
    return f, sketches[int(rng.integers(len(sketches)))], v, x / dim**0.5


@given(st.integers(0, 2**32 - 1), st.sampled_from((*LEVELS, FINEST)))
@settings(max_examples=examples(40), deadline=None)
def test_less_accuracy_costs_at_most_what_is_said(seed, accuracy):
    """Against the most accurate, whose own bound is added, as is the rounding that both have."""
    f, sketch, v, x = draw(seed)
    best = ms.Mast(f, sketch, shift=v, evaluate="rows", accuracy=1e-15)
    F = best.at(accuracy)
    point = v + x
    values, gradients = F.inaccuracy(point[None])
    value, gradient = F.value_and_gradient(point)
    assert abs(value - best.value(point)) <= values[0] + 2 * best.error_bound(point)
    assert np.linalg.norm(gradient - best.gradient(point)) <= gradients[0] + 2 * best.gradient_error(point)


@given(st.integers(0, 2**32 - 1), st.sampled_from((1e-4, 1e-6, 1e-9, 1e-11)))
@settings(max_examples=examples(25), deadline=None)
def test_records_are_as_accurate_as_promised_at_every_distance_from_the_minimiser(seed, accuracy):
    f, sketch, v, x = draw(seed, MODELS[:1])
    F = ms.Mast(f, sketch, shift=v, evaluate="rows")
    best, fine = F.minimize(), F.at(1e-15)
    points = best.x + x * 10.0 ** np.linspace(0, -9, 6)[:, None]
    found = RelativeValues(F, accuracy, minimized=True).at(points, BOTH)
    for k, point in enumerate(points):
        floor = 2 * fine.error_bound(point) + 2 * F.error_bound(best.x)
        gap = fine.value(point) - best.value
        assert abs(found["value"][k] - best.value - gap) <= accuracy * gap + floor
        slope = fine.gradient(point)
        steady = fine.gradient_error(point) + F.gradient_error(point)
        assert np.linalg.norm(found["gradient"][k] - slope) <= accuracy * np.linalg.norm(slope) + steady


def test_far_points_take_a_coarser_level_and_near_ones_the_finest():
    f, _, v, _ = draw(3, MODELS[:1])
    F = ms.Mast(f, ms.RandK(f.dim, 2), shift=v, evaluate="rows")
    best = F.minimize().x
    found = RelativeValues(F, 1e-4, minimized=True).at(np.stack([best + 1, best]), BOTH)["gradient"]
    assert any(np.array_equal(found[0], F.at(level).gradient(best + 1)) for level in LEVELS)
    assert not np.array_equal(found[0], F.gradient(best + 1))
    assert np.array_equal(found[1], F.gradient(best))


class Off:
    """½Σ aᵢxᵢ², every value and gradient of which is off by all that it may be."""

    curvature = np.array([1.0, 1e-4])
    smoothness, accuracy, dim = 1.0, 1e-14, 2

    def __init__(self, accuracy=1e-14):
        self.accuracy = accuracy

    def at(self, accuracy):
        return self if accuracy == self.accuracy else Off(accuracy)

    def minimize(self):
        return types.SimpleNamespace(x=np.zeros(2), value=0.0)

    def inaccuracy(self, x):
        return np.full(len(x), self.accuracy), np.full(len(x), 10 * self.accuracy)

    def value_and_gradient(self, x):
        away = np.array([10 * self.accuracy, 0.0])
        return 0.5 * (self.curvature * x**2).sum(axis=1) + self.accuracy, self.curvature * x + away


@given(st.floats(-12, 2), st.floats(0, np.pi), st.sampled_from((1e-4, 1e-6, 1e-9, 1e-12)))
def test_errors_as_large_as_they_may_be_are_small_beside_what_is_recorded(size, angle, accuracy):
    """Also along flat directions, where ½L‖x − x_D*‖² is far above the gap."""
    x = 10.0**size * np.array([[np.cos(angle), np.sin(angle)]])
    gap, slope = 0.5 * (Off.curvature * x**2).sum(), np.linalg.norm(Off.curvature * x)
    found = RelativeValues(Off(), accuracy, minimized=True).at(x, BOTH)
    assert abs(found["value"][0] - gap) <= accuracy * gap * (1 + 1e-12) + FINEST
    assert abs(np.linalg.norm(found["gradient"][0]) - slope) <= accuracy * slope * (1 + 1e-12) + 10 * FINEST


def test_company_changes_no_bit_of_a_point():
    f, sketch, v, x = draw(5, MODELS[:1])
    F = ms.Mast(f, sketch, shift=v, evaluate="rows")
    points = F.minimize().x + x * 10.0 ** np.linspace(1, -9, 8)[:, None]
    together = RelativeValues(F, 1e-5, minimized=True).at(points, BOTH)
    for k in range(len(points)):
        alone = RelativeValues(F, 1e-5, minimized=True).at(points[k : k + 1], BOTH)
        assert alone["value"][0] == together["value"][k]
        assert np.array_equal(alone["gradient"][0], together["gradient"][k])


def test_an_objective_of_little_accuracy_is_recorded_with_more():
    """Gaps count from the value of its own minimiser, whatever the accuracy of that."""
    f, _, v, x = draw(7, MODELS[:1])
    coarse, fine = (ms.Mast(f, ms.RandK(f.dim, 2), shift=v, evaluate="rows", accuracy=a) for a in (1e-4, 1e-14))
    with pytest.warns(CertificateWarning):
        best, point = coarse.minimize(), (v + x)[None]
    gap = RelativeValues(coarse, 1e-9, minimized=True).at(point, ("value",))["value"] - best.value
    assert abs(gap - (fine.value(point) - fine.value(best.x))) < 1e-9 * gap
    assert abs(coarse.value(point) - best.value - gap) > 1e-9 * gap


def test_without_a_minimiser_gradients_are_as_accurate_as_can_be():
    f, sketch, v, x = draw(9, MODELS[1:2])
    F = ms.Mast(f, sketch, shift=v, evaluate="rows")
    found = RelativeValues(F, 1e-4, minimized=False).at((v + x)[None], ("gradient",))
    assert np.array_equal(found["gradient"], F.gradient((v + x)[None]))
    assert "_minimum" not in F.__dict__


def test_clients_and_sums_are_as_accurate_as_asked_for_and_exact_ones_stay():
    f, _, _, x = draw(11, MODELS[:1])
    g = ms.LogisticRegression(f.A[:2], f.y[:2], l2=0.1)
    S = ms.RandK(f.dim, 2)
    for F in (ms.Distributed([f, g], S), ms.Mast(ms.FiniteSum([f, g]), S)):
        there = F.at(1e-6)
        assert there is not F
        assert there.at(1e-6) is there or there.at(1e-6).inaccuracy(x)[0] == there.inaccuracy(x)[0]
        value, slope = F.inaccuracy(x)
        parts = [ms.Mast(h, S).inaccuracy(x) for h in (f, g)]
        assert np.allclose([value, slope], np.mean(parts, axis=0), rtol=1e-12)
        assert there.inaccuracy(x)[0] > 1e6 * value > 0
    Q = ms.Mast(ms.Quadratic(np.eye(3), np.ones(3)), ms.RandK(3, 1))
    assert Q.at(1e-6) is Q
    assert Q.inaccuracy(np.zeros((4, 3)))[0].tolist() == [0.0] * 4
