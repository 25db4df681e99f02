"""How accurate f_D is, as asked for: never farther off than said, and not more accurate than that costs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.expected.rows import ACCURACY
from tests.examples import examples

ACCURACIES = (1e-15, ACCURACY, 1e-12, 1e-9, 1e-6, 1e-4)
MODELS = (ms.LogisticRegression, ms.SigmoidClassification, ms.WelschRegression)


def draw(seed):
    """Return a model, a sketch, a shift and a point; columns hold one value or any."""
    rng = np.random.default_rng(seed)
    dim, rows = int(rng.integers(3, 30)), int(rng.choice([5, 300]))
    A = (rng.random((rows, dim)) < rng.uniform(0.1, 1)).astype(float)
    if rng.random() < 0.5:
        A *= rng.standard_normal(A.shape)
    y = np.where(rng.random(rows) < 0.5, 1.0, -1.0)
    k = int(rng.integers(1, dim))
    sketches = (ms.Bernoulli(dim, float(rng.uniform(0.1, 1))), ms.RandK(dim, k), ms.Haar(dim, k), ms.Gaussian(dim, k))
    x, v = rng.standard_normal((2, dim)) * np.array([[10.0 ** rng.uniform(-2, 0.5)], [rng.choice([0.0, 0.3])]])
    model = MODELS[int(rng.integers(3))](A, y, l2=1e-2)
    return model, sketches[int(rng.integers(4))], v, v + x / dim**0.5


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40), deadline=None)
def test_less_accurate_values_and_gradients_are_within_their_bounds(seed):
    """Against the most accurate, whose own bound is added; tests of that one have an oracle of their own."""
    f, sketch, v, x = draw(seed)
    best = ms.Mast(f, sketch, shift=v, evaluate="rows", accuracy=ACCURACIES[0])
    value, gradient = best.value_and_gradient(x)
    sure, steady = best.error_bound(x), best.gradient_error(x)
    reach = np.abs(f.dense_rows @ v).max() + np.abs(f.dense_rows * (x - v)).sum(axis=1).max() * sketch.L_max
    for accuracy in ACCURACIES[1:]:
        F = ms.Mast(f, sketch, shift=v, evaluate="rows", accuracy=accuracy)
        found, slope = F.value_and_gradient(x)
        assert abs(found - value) <= F.error_bound(x) + sure
        assert np.linalg.norm(slope - gradient) <= F.gradient_error(x) + steady
        # Laws without a reach are cut where it does not count, so that theirs is larger than any prediction.
        assert F.error_bound(x) <= 4 * sure + accuracy * (30 + 10 * reach)


def test_less_accuracy_takes_fewer_exponentials():
    rng = np.random.default_rng(0)
    A = (rng.random((300, 40)) < 0.1).astype(float)
    f, x = ms.LogisticRegression(A, np.where(rng.random(300) < 0.5, 1.0, -1.0), l2=1e-2), 0.2 * rng.standard_normal(40)
    pairs, errors = [], []
    for accuracy in ACCURACIES[1:]:
        F = ms.Mast(f, ms.RandK(40, 16), accuracy=accuracy)
        pairs.append(sum(len(part.weights) for part in F.expectation._selected.columns.plan(x[None]).pack.parts))
        errors.append(F.error_bound(x))
    assert (np.diff(pairs) < 0).all()
    assert (np.diff(errors) >= 0).all()
    assert errors[0] < 1e-12 < 1e-5 < errors[-1]


def test_what_is_exact_in_any_case_is_not_changed():
    for F in (
        ms.Mast(ms.Quadratic(np.eye(3), np.ones(3)), ms.RandK(3, 1), accuracy=1e-4),
        ms.Mast(ms.LogisticRegression(np.eye(3), np.array([1.0, -1, 1]), l2=0.1), ms.RandK(3, 1), evaluate="enumeration"),
    ):
        assert F.expectation.at(1e-6) is F.expectation


def test_components_of_a_sum_are_as_accurate_as_asked_for():
    rng = np.random.default_rng(1)
    parts = [ms.LogisticRegression(rng.standard_normal((4, 6)), np.array([1.0, -1, 1, -1]), l2=0.1) for _ in range(2)]
    F = ms.Mast(ms.FiniteSum(parts), ms.RandK(6, 3), accuracy=1e-7)
    assert [part.accuracy for part in F.expectation.parts] == [1e-7, 1e-7]


def test_the_same_expectation_with_another_accuracy_shares_what_it_can():
    rng = np.random.default_rng(2)
    f = ms.LogisticRegression((rng.random((99, 9)) < 0.5) * 1.0, np.where(rng.random(99) < 0.5, 1.0, -1.0), l2=0.1)
    F = ms.Mast(f, ms.RandK(9, 4), evaluate="rows")
    x = rng.standard_normal(9)
    F.value(x)
    there = F.expectation.at(1e-9)
    assert there._layout is F.expectation._layout
    assert there.value(x) == ms.Mast(f, ms.RandK(9, 4), evaluate="rows", accuracy=1e-9).value(x) != F.value(x)
    assert F.expectation.at(ACCURACY) is F.expectation


@pytest.mark.parametrize("accuracy", [0.0, -1e-9, 1e-16, 1e-3, np.nan, np.inf])
def test_accuracies_outside_their_range_are_refused(accuracy):
    with pytest.raises(ValueError, match="accuracy="):
        ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, 1), accuracy=accuracy)
