"""Problems made of one's own functions, and softmax regression: against the package's closed forms and by enumeration."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.provenance import content_hash
from mastsim.testing import check_problem
from tests.examples import examples

RNG = np.random.default_rng(0)
A, Y = RNG.standard_normal((12, 3)), RNG.integers(0, 3, 12)
LOGISTIC = ms.LogisticRegression(A, np.where(Y == 0, 1.0, -1.0), l2=0.1)


def own(**bounds):
    return ms.CallableProblem(3, LOGISTIC.value, LOGISTIC.gradient, LOGISTIC.hessian_product, **bounds)


KNOWN = {"smoothness": float(LOGISTIC.L_f), "strong_convexity": 0.1, "lower_bound": 0.0}


def test_a_callable_problem_is_the_function_it_was_made_of():
    f, x = own(**KNOWN), RNG.standard_normal((4, 3))
    check_problem(f)
    assert np.array_equal(f.value(x), LOGISTIC.value(x))
    assert np.allclose(f.minimize().x, LOGISTIC.minimize().x, atol=1e-9)
    F, G = (ms.Mast(each, ms.RandK(3, k=2), shift=np.ones(3)) for each in (f, LOGISTIC))
    assert np.allclose(F.value(x), G.value(x), rtol=1e-12)
    assert ms.theorems.StronglyConvexDSGD(F).stepsize == pytest.approx(ms.theorems.StronglyConvexDSGD(G).stepsize, rel=1e-12)
    run, same = (ms.simulate(ms.DSGD(0.1), each, steps=20, replicas=3, seed=0, engine="array") for each in (F, G))
    assert np.allclose(run.traces["distance"], same.traces["distance"], rtol=1e-6)


def test_without_bounds_no_theorem_applies_and_products_are_differences():
    f = ms.CallableProblem(3, LOGISTIC.value, LOGISTIC.gradient)
    check_problem(f)
    x, w = RNG.standard_normal((2, 3))
    assert np.allclose(f.hessian_product(x, w), LOGISTIC.hessian_product(x, w), atol=1e-8)
    assert not any(g.applies for g in ms.guarantees(ms.Mast(f, ms.RandK(3, k=1))))
    with pytest.raises(ValueError, match=r"pass smoothness=…; local_smoothness\(x\) estimates it"):
        _ = f.upper_curvature


@pytest.mark.parametrize(("name", "factor"), [("smoothness", 0.5), ("strong_convexity", 3.0), ("lower_bound", None)])
def test_a_bound_that_is_wrong_is_found_by_check_problem(name, factor):
    wrong = KNOWN | {name: 1.0 if factor is None else factor * KNOWN[name]}
    with pytest.raises(AssertionError):
        check_problem(own(**wrong))


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"value": 3.0}, TypeError, "value=3.0 is not accepted: it must be a function"),
        ({"smoothness": -1.0}, ValueError, "smoothness=-1.0 is not accepted"),
        ({"smoothness": math.nan}, ValueError, "smoothness=nan is not accepted"),
        ({"smoothness": 1.0, "strong_convexity": 2.0}, ValueError, "it must be at most smoothness=1.0"),
        ({"lower_bound": math.nan}, ValueError, "lower_bound=nan"),
        ({"dim": 0}, ValueError, "dim=0"),
    ],
)
def test_arguments_are_refused_by_name(change, error, told):
    with pytest.raises(error, match=told):
        ms.CallableProblem(**({"dim": 3, "value": LOGISTIC.value, "gradient": LOGISTIC.gradient} | change))


def test_a_function_that_returns_another_shape_is_named():
    with pytest.raises(ValueError, match=r"value returned shape \(3,\) at a point of shape \(3,\): it must be \(\)"):
        ms.CallableProblem(3, lambda x: x, lambda x: x)
    with pytest.raises(ValueError, match=r"gradient returned shape \(\)"):
        ms.CallableProblem(3, lambda x: 0.0, lambda x: 0.0)


def test_functions_are_known_by_what_they_give():
    same, other = own(**KNOWN), ms.CallableProblem(3, LOGISTIC.value, lambda x: 2 * LOGISTIC.gradient(x), **KNOWN)
    assert content_hash(own(**KNOWN)) == content_hash(same) != content_hash(other)


# --- softmax --------------------------------------------------------------------------------------------------------


@settings(max_examples=examples(15), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 4), sparse=st.booleans(), l2=st.sampled_from([0.0, 0.1]))
def test_softmax_passes_the_check_and_is_the_mean_of_its_definition(seed, classes, sparse, l2):
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((9, 2))
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, 9 - classes)])
    f = ms.SoftmaxRegression(sp.csr_array(data) if sparse else data, 10.0 * labels, l2=l2)
    x = rng.standard_normal(f.dim)
    chances = [np.exp(z) / np.exp(z).sum() for z in data @ x.reshape(classes, 2).T]
    expected = -np.mean([math.log(p[c]) for p, c in zip(chances, labels, strict=True)]) + 0.5 * l2 * x @ x
    assert float(f.value(x)) == pytest.approx(expected, rel=1e-12)
    check_problem(f, seed=seed % 1000)


def test_softmax_of_two_classes_is_logistic_regression_on_the_difference():
    y = np.where(Y == 0, 1.0, -1.0)
    f, g = ms.SoftmaxRegression(A, y, l2=0.0), ms.LogisticRegression(A, y, l2=0.0)
    x = RNG.standard_normal(6)
    assert float(f.value(x)) == pytest.approx(float(g.value(x[3:] - x[:3])), rel=1e-12)
    assert float(f.L_f) == pytest.approx(2 * float(g.L_f), rel=1e-12)


def test_minibatches_of_softmax_add_up_to_the_gradient():
    f = ms.SoftmaxRegression(A, Y, l2=0.1)
    x = RNG.standard_normal((5, f.dim))

    class All:
        index = np.tile(RNG.permutation(12), (5, 1))
        weights = np.full((5, 12), 1 / 12)

    class Whole(All):
        index = None

    for minibatch in (All(), Whole()):
        assert np.allclose(f.minibatch_gradient(x, minibatch), f.gradient(x), atol=1e-13)


def test_f_D_of_softmax_is_enumerated_or_labelled_an_estimate():
    f = ms.SoftmaxRegression(A, Y, l2=0.1)
    F, x = ms.Mast(f, ms.RandK(9, k=4)), RNG.standard_normal(9)
    batch, chances = F.sketch.support()
    assert float(F.value(x)) == pytest.approx(chances @ f.value(np.asarray(batch.apply(x))), rel=1e-12)
    assert ms.Mast(f, ms.Gaussian(9, 4)).evaluation.tier == "estimate"
    assert ms.verify(ms.theorems.StronglyConvexDSGD(F)).verdict == "holds"


def test_labels_of_one_class_are_refused():
    with pytest.raises(ValueError, match="y holds the single label 1, but softmax regression needs at least two"):
        ms.SoftmaxRegression(A, np.ones(12), l2=0.1)


# --- smoothness along a run -----------------------------------------------------------------------------------------


def test_smoothness_along_a_run_is_the_norm_of_hessians_and_never_more_than_a_bound():
    f = ms.TwoLayerNetwork(A, np.where(Y == 0, 1.0, -1.0), width=2, l2=0.01)
    v = f.minimize().x
    F = ms.Mast(f, ms.Bernoulli(f.dim, 0.8), shift=v)
    found = ms.smoothness_along(ms.DSGD(0.1), F, v + 0.1, steps=7, every=3)
    assert found.steps.tolist() == [0, 3, 6, 7]
    assert found.largest.kind == found.stepsize.kind == "estimate"
    assert "no guarantee" in found.stepsize.source
    assert found.values[0] >= np.linalg.norm(f.hessian(v + 0.1), 2) * (1 - 1e-12)
    radius = float(np.linalg.norm(v)) + 10
    assert found.largest <= f.smoothness_on_ball(radius)
    assert float(found.stepsize) == pytest.approx(0.8**2 / float(found.largest))


def test_lanczos_and_dense_eigenvalues_agree():
    big = ms.LogisticRegression(RNG.standard_normal((20, 600)), np.where(RNG.random(20) < 0.5, 1.0, -1.0), l2=0.01)
    x = 0.1 * RNG.standard_normal(600)
    assert float(big.local_smoothness(x)) == pytest.approx(np.linalg.norm(big.hessian(x), 2), rel=1e-9)
