"""Every constant against an independent computation, with its kind and source."""

import math
import os
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit

import mastsim as ms
from mastsim.constants import NAMES
from mastsim.problems import Curvature, Minimum, Problem
from tests.oracles.brute_force import Instance, bernoulli_support, finite_support, instances, mean, rand_k_support

KINDS = {
    "L_f": "exact",
    "mu_f": "exact",
    "L_D": "exact",
    "mu_D": "exact",
    "L_S_max": "exact",
    "L_fD": "upper",
    "mu_fD": "lower",
    "L_fD_sharp": "upper",
    "mu_fD_sharp": "lower",
    "expected_smoothness": "upper",
    "expected_smoothness_sharp": "upper",
    "f_inf": "exact",
    "fD_inf": "exact",
    "gap": "exact",
    "fS_inf": "exact",
    "gap_sharp": "exact",
    "nonconvex_variance": "upper",
    "nonconvex_variance_sharp": "upper",
    "mu_PL": "lower",
    "L_i_max": "upper",
    "L_i_mean": "upper",
    "component_gap": "upper",
    "sigma2_star": "exact",
}
SOURCES = {
    "L_f": "λ_max(L), L ⪰ ∇²f (MAST, Assumption 2)",
    "mu_f": "λ_min(M), M ⪯ ∇²f (MAST, Assumption 3)",
    "L_D": "λ_max(E[SᵀS]) (MAST, Section 2)",
    "mu_D": "λ_min(E[SᵀS]) (MAST, Section 2)",
    "L_S_max": "ess sup λ_max(SᵀS) (MAST, Section 2)",
    "L_fD": "L_D·L_f (MAST, Lemma 1 (ii))",
    "mu_fD": "μ_D·μ_f (MAST, Lemma 3 (ii))",
    "L_fD_sharp": "λ_max(E[SᵀLS]) (this package)",
    "mu_fD_sharp": "λ_min(E[SᵀMS]) (this package)",
    "expected_smoothness": "L_f·L_S^max (MAST, Theorem 2)",
    "fS_inf": "enumeration of E inf f_S",
    "gap_sharp": "f_D^inf − E inf f_S (this package)",
    "nonconvex_variance": "L_f²·L_D·L_S^max (MAST, Theorem 3)",
    "nonconvex_variance_sharp": "λ_max(E[SᵀLS])·sup λ_max(SᵀLS) (this package)",
    "L_i_max": "max L_i (MAST, Section 4)",
    "L_i_mean": "mean L_i (MAST, Section 4)",
    "component_gap": "Δ = f^inf − mean f_i^inf (MAST, Section 4)",
    "sigma2_star": "enumeration of E‖∇f_S(x_D*)‖²",
}


def spectrum(matrix):
    return np.linalg.eigvalsh(np.asarray(matrix, dtype=float))


def possible(support):
    """Return the values of the sketch that have positive probability."""
    return [np.asarray(S, dtype=float) for S, chance in zip(*support, strict=True) if chance > 0]


def expected(instance):
    """Return every constant that is an eigenvalue, from the data and the list of sketches."""
    A, identity = np.asarray(instance.data, dtype=float), np.eye(len(instance.v))
    gram, bend = A.T @ A / len(A), {"logistic": (0.25, 0.0), "squared": (1.0, 1.0)}[instance.loss]
    L, M = (b * gram + instance.l2 * identity for b in bend)
    square = spectrum(mean(instance.support, lambda S: S.T @ S))
    largest = max(spectrum(S.T @ S)[-1] for S in possible(instance.support))
    constants = {
        "L_f": spectrum(L)[-1],
        "mu_f": spectrum(M)[0],
        "L_D": square[-1],
        "mu_D": square[0],
        "L_S_max": largest,
        "L_fD": square[-1] * spectrum(L)[-1],
        "mu_fD": square[0] * spectrum(M)[0],
        "L_fD_sharp": spectrum(mean(instance.support, lambda S: S.T @ L @ S))[-1],
        "mu_fD_sharp": spectrum(mean(instance.support, lambda S: S.T @ M @ S))[0],
        "expected_smoothness": largest * spectrum(L)[-1],
        "nonconvex_variance": spectrum(L)[-1] ** 2 * square[-1] * largest,
        "L_i_max": max(bend[0] * (row @ row) + instance.l2 for row in A),
        "L_i_mean": sum(bend[0] * (row @ row) + instance.l2 for row in A) / len(A),
    }
    return constants, max(spectrum(S.T @ L @ S)[-1] for S in possible(instance.support))


@given(instance=instances(size=3.0))
def test_eigenvalue_constants_match_enumeration(instance):
    c = ms.Constants(instance.mast())
    constants, sup = expected(instance)
    scale = {"L_f": constants["L_f"], "mu_f": constants["L_f"], "L_S_max": constants["L_S_max"]}
    scale |= {name: constants[name] for name in ("nonconvex_variance", "L_i_max", "L_i_mean")}
    for name, want in constants.items():
        size = scale.get(name, constants["L_S_max"] * max(constants["L_f"], 1.0))
        assert abs(float(c[name]) - want) <= 1e-12 * size + 1e-290, name
        assert getattr(c, name) is c[name]
    sharp = c.expected_smoothness_sharp
    assert float(sharp) >= sup * (1 - 1e-12)
    if any(text in sharp.source for text in ("enumeration of the support", "attained when everything is kept")):
        assert float(sharp) == pytest.approx(sup, rel=1e-11, abs=1e-290)
    assert float(c.L_fD_sharp) <= float(c.L_fD) * (1 + 1e-12)
    assert float(c.mu_fD_sharp) >= float(c.mu_fD) * (1 - 1e-12) - 1e-14 * constants["L_fD"]
    assert float(sharp) <= float(c.expected_smoothness)
    product = constants["L_fD_sharp"] * float(sharp)
    assert float(c.nonconvex_variance_sharp) == pytest.approx(product, rel=1e-11, abs=1e-290)
    assert float(c.nonconvex_variance_sharp) <= float(c.nonconvex_variance) * (1 + 1e-11)


def example(loss="logistic", sketch="rand-k", shift=1.0, sparse=False, l2=0.1):
    rng = np.random.default_rng(8)
    A, v = rng.standard_normal((6, 4)), shift * rng.standard_normal(4)
    laws = {
        "rand-k": lambda: (ms.RandK(4, 2), rand_k_support(4, 2)),
        "bernoulli": lambda: (ms.Bernoulli(4, np.array([0.2, 0.5, 0.9, 1.0])), bernoulli_support([0.2, 0.5, 0.9, 1.0])),
        "identity": lambda: (ms.Identity(4), (np.eye(4)[None], np.ones(1))),
        "finite": lambda: finite_support(rng, 4, 3),
    }
    y = np.array([1.0, -1, 1, 1, -1, -1])
    return Instance(loss, sp.csr_array(A) if sparse else A, y, l2, *laws[sketch](), v, rng.standard_normal(4))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sketch", ["identity", "bernoulli", "rand-k", "finite"])
@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_kinds_and_sources(loss, sketch, sparse):
    c = ms.Constants(example(loss, sketch, sparse=sparse).mast())
    sharp = dict.fromkeys(("L_fD_sharp", "mu_fD_sharp", "mu_PL"), "exact") if loss == "squared" else {}
    assert {name: constant.kind for name, constant in c.items()} == KINDS | sharp
    same = {"gap_sharp": "S = I: f_D is f"} if sketch == "identity" else {}
    for name, source in (SOURCES | same).items():
        assert c[name].source == source
    how = {"rand-k": "enumeration of the support", "finite": "enumeration of the support"}
    how = how.get(sketch, "attained when everything is kept")
    assert c.expected_smoothness_sharp.source == f"sup λ_max(SᵀLS): {how} (this package)"
    for name in ("f_inf", "fD_inf"):
        assert c[name].source.startswith("value at a minimiser; ")
    assert c.mu_PL.source == ("least positive eigenvalue of E[SᵀAS]" if loss == "squared" else "strong convexity of f_D")


def least(instance, support):
    """Return a minimiser over x of E f(v + S(x − v)) and the minimum, by Newton steps in plain NumPy."""
    other = Instance(instance.loss, instance.A, instance.y, instance.l2, None, support, instance.v)
    x = instance.v
    for _ in range(40):
        gradient, hessian = (np.asarray(part(x)[0], dtype=float) for part in (other.gradient, other.hessian))
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-10)[0]
        x = x - step / max(1.0, np.linalg.norm(step))
    return x, float(other.value(x)[0])


SETTINGS = [(loss, sketch) for loss in ("logistic", "squared") for sketch in ("identity", "bernoulli", "rand-k", "finite")]


@pytest.mark.parametrize(("loss", "sketch"), SETTINGS)
def test_what_is_left_at_the_minimisers(loss, sketch):
    """E inf f_S and E‖∇f_S(x_D*)‖² from the list of sketches, one Newton iteration each."""
    instance = example(loss, sketch)
    c = ms.Constants(instance.mast())
    best, lowest = least(instance, instance.support)
    each = [float(chance) * least(instance, (S[None], np.ones(1)))[1] for S, chance in zip(*instance.support, strict=True)]
    assert float(c.fS_inf) == pytest.approx(sum(each), rel=1e-11)
    assert float(c.gap_sharp) == pytest.approx(lowest - sum(each), abs=1e-11)
    assert c.fS_inf.error <= 1e-12
    assert float(c.f_inf) - 1e-12 <= float(c.fS_inf) <= float(c.fD_inf) + 1e-12
    square = float(instance.support[1] @ (slopes(instance, best) ** 2).sum(axis=1))
    assert float(c.sigma2_star) == pytest.approx(square, rel=1e-9, abs=1e-20)
    assert square <= 2 * float(c.expected_smoothness_sharp) * float(c.gap_sharp) + 1e-12
    if sketch == "identity":
        assert abs(float(c.gap_sharp)) <= 1e-12
    elif sketch == "finite":  # no value is singular
        assert float(c.gap_sharp) == pytest.approx(float(c.gap), rel=1e-9)
    else:
        assert float(c.gap_sharp) < 0.99 * float(c.gap)
    assert (square > 1e-3) == (sketch != "identity")


def test_what_is_left_at_the_minimisers_by_hand():
    """A = [[2, 1], [1, 2]], b = (3, 3), v = 0, keep ½: x_D* = (3/5, 3/5), f_D^inf = −9/5.

    Over the masks 00, 10, 01, 11: inf f_S = 0, −9/4, −9/4, −3 and ‖∇f_S(x_D*)‖² = 0, 1.44, 1.44, 2.88.
    """
    A, b = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 3.0])
    c = ms.Constants(ms.Mast(ms.Quadratic(A, b), ms.Bernoulli(2, 0.5)))
    assert float(c.fS_inf) == pytest.approx(-15 / 8, rel=1e-12)
    assert float(c.gap_sharp) == pytest.approx(3 / 40, rel=1e-10)
    assert float(c.gap) == pytest.approx(6 / 5, rel=1e-12)
    assert float(c.sigma2_star) == pytest.approx(1.44, rel=1e-12)
    assert float(c.mu_PL) == pytest.approx(3.0, rel=1e-12)
    assert (float(c.L_i_max), float(c.L_i_mean), float(c.component_gap)) == pytest.approx((3.0, 3.0, 0.0), abs=1e-12)


def test_components_that_disagree_by_hand():
    """½(x − 1)² and 3/2·(x + 1)² have the mean x² + x + 1, least at −½ where it is ¾, and Δ = ¾ − 0."""
    f = ms.FiniteSum([ms.Quadratic(np.eye(1), np.ones(1), c=0.5), ms.Quadratic(3 * np.eye(1), np.full(1, -3.0), c=1.5)])
    c = ms.Constants(ms.Mast(f, ms.Bernoulli(1, 0.5)))
    assert (float(c.L_i_max), float(c.L_i_mean), float(c.L_f)) == pytest.approx((3.0, 2.0, 2.0), rel=1e-12)
    assert float(c.component_gap) == pytest.approx(0.75, rel=1e-12)


@given(instance=instances(size=3.0, l2=(1e-3, 0.5)))
def test_component_gap(instance):
    """f^inf − (1/n)Σ inf f_i, each from its own minimisation along a_i."""
    A = np.asarray(instance.data, dtype=float)
    assume(all(row @ row > 1e-200 or not row.any() for row in A))

    def lowest(row, y):
        square = row @ row
        if instance.loss == "squared":
            return 0.5 * y**2 * instance.l2 / (square + instance.l2)
        if square == 0:
            return math.log(2.0)
        at = brentq(lambda t: -y * expit(-y * t) + instance.l2 * t / square, -1e6, 1e6, xtol=1e-15, rtol=1e-15)
        return float(np.logaddexp(0, -y * at)) + 0.5 * instance.l2 * at**2 / square

    infima = np.array([lowest(row, y) for row, y in zip(A, instance.y, strict=True)])
    assert np.asarray(instance.problem.component_infima) == pytest.approx(infima, rel=1e-10, abs=1e-12)
    c = ms.Constants(instance.mast())
    wanted = float(instance.f(instance.problem.minimize().x)) - infima.mean()
    assert float(c.component_gap) == pytest.approx(wanted, abs=1e-11 * (1 + float(infima.max())))


@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
@given(instance=instances(size=5.0))
def test_the_polyak_lojasiewicz_inequality(instance):
    """‖∇f_D(x)‖² ≥ 2μ(f_D(x) − f_D^inf), and an equality for quadratics along the direction of least curvature."""
    F = instance.mast()
    c, best = ms.Constants(F), F.minimize()
    (gradient, size), (value, _) = instance.gradient(instance.x), instance.value(instance.x)
    noise = 1e-9 * (1 + size) ** 2
    assert float(gradient @ gradient) >= 2 * float(c.mu_PL) * (float(value) - best.value - best.gap_bound) - noise
    H = np.asarray(instance.hessian(instance.v)[0], dtype=float)
    if instance.loss == "squared":
        positive = [e for e in spectrum(H) if e > 1e-12 * spectrum(H)[-1] and e > 0]
        close_to_zero = any(1e-15 < e / spectrum(H)[-1] < 1e-9 for e in positive)
        if not close_to_zero:
            assert float(c.mu_PL) == pytest.approx(min(positive, default=1.0), rel=1e-6)


@given(instance=instances(size=10.0), seed=st.integers(0, 99), far=st.sampled_from([1e-3, 1.0, 30.0]))
def test_the_nonconvex_variance_bounds_gradient_differences(instance, seed, far):
    """E‖∇f_S(x) − ∇f_S(y)‖² ≤ 𝔇‖x − y‖²."""
    x, y = instance.x, instance.x + far * np.random.default_rng(seed).standard_normal(len(instance.x))
    change = float(instance.support[1] @ ((slopes(instance, x) - slopes(instance, y)) ** 2).sum(axis=1))
    c = ms.Constants(instance.mast())
    for bound in (c.nonconvex_variance, c.nonconvex_variance_sharp):
        assert change <= float(bound) * ((x - y) @ (x - y)) * (1 + 1e-9) + 1e-290


@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
def test_what_is_not_enumerated_is_bounded():
    """Too many sketches, or no strong convexity: the sharp gap is the gap, and σ*² is at most 2L·gap."""
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((30, 24)), np.where(rng.random(30) < 0.5, 1.0, -1.0)
    c = ms.Constants(ms.Mast(ms.LogisticRegression(A, y, l2=0.1), ms.RandK(24, 12)))
    assert (c.fS_inf.kind, c.sigma2_star.kind) == ("lower", "upper")
    assert float(c.fS_inf) == pytest.approx(float(c.f_inf), abs=1e-12)
    assert float(c.gap_sharp) == float(c.gap)
    assert float(c.sigma2_star) == pytest.approx(2 * float(c.expected_smoothness_sharp) * float(c.gap), rel=1e-9)
    c = ms.Constants(example(l2=0.0).mast())
    assert c.fS_inf.kind == "lower"
    assert float(c.gap_sharp) == float(c.gap)
    assert float(c.mu_PL) == 0.0


@dataclass(frozen=True, eq=False)
class Careless(ms.Mast):
    """An objective whose minimiser is found badly, and says so."""

    def minimize(self):
        best = super().minimize()
        x = best.x + np.array([1e-3, -2e-3, 1e-3, 1e-3])
        return Minimum(x, float(self.value(x)), float(self.value(x)) - best.value + 1e-15, 0.0, "careless")


@pytest.mark.parametrize("sketch", ["bernoulli", "finite"])
def test_the_error_of_the_noise_covers_that_of_the_minimiser(sketch):
    instance = example(sketch=sketch, shift=3000.0)
    F = instance.mast()
    truth, careless = ms.Constants(F).sigma2_star, ms.Constants(Careless(F.problem, F.sketch, shift=F.center)).sigma2_star
    assert careless.kind in ("exact", "upper")
    assert float(careless) != float(truth)
    assert float(truth) <= float(careless) + careless.error + truth.error
    assert careless.kind == "upper" or abs(float(careless) - float(truth)) <= careless.error


@pytest.mark.parametrize("sketch", ["identity", "bernoulli", "rand-k", "finite"])
def test_infima_and_gap(sketch):
    """f^inf and f_D^inf within their certified errors of what an independent Newton iteration finds."""
    instance = example(sketch=sketch)
    c = ms.Constants(instance.mast())
    identity = (np.eye(4)[None], np.ones(1))
    found = []
    for name, support in (("f_inf", identity), ("fD_inf", instance.support)):
        other = Instance("logistic", instance.A, instance.y, instance.l2, None, support, instance.v)
        x = instance.v
        for _ in range(30):
            gradient, hessian = (np.asarray(part(x)[0], dtype=float) for part in (other.gradient, other.hessian))
            step = np.linalg.solve(hessian, gradient)
            x = x - step / max(1.0, np.linalg.norm(step))
        found.append(float(other.value(x)[0]))
        assert float(c[name]) == pytest.approx(found[-1], abs=1e-13 + c[name].error)
        assert c[name].error <= 1e-12
    assert float(c.gap) == pytest.approx(found[1] - found[0], abs=1e-13)
    assert c.gap.error <= 2e-12


def test_the_mapping():
    c = ms.Constants(example().mast())
    assert list(c) == list(NAMES) == list(KINDS)
    assert len(c) == 23
    assert {name: float(value) for name, value in c.items()} == {name: float(getattr(c, name)) for name in NAMES}
    assert c.L_f is c.L_f


def test_asking_whether_a_name_is_there_computes_nothing():
    c = ms.Constants(example().mast())
    assert "gap" in c
    assert "L_g" not in c
    assert 3 not in c
    assert set(vars(c)) == {"objective"}


@pytest.mark.parametrize("name", ["L_g", "objective", "_quadratic", "items", ""])
def test_unknown_names_are_refused(name):
    c = ms.Constants(example().mast())
    with pytest.raises(
        KeyError,
        match=f"unknown constant '{name}'; known: L_f, mu_f, L_D, .*, expected_smoothness_sharp, .*, gap, .*, sigma2_star",
    ):
        c[name]


# What the constants promise ------------------------------------------------------------------------------------------


def slopes(instance, x):
    """Return ∇f_S(x) for every value of S."""
    each = logistic_or_squared(instance, x) + instance.l2 * instance.points(x)
    return np.einsum("sij,si->sj", instance.support[0], each)


def logistic_or_squared(instance, x):
    return instance.losses(x)[1] @ instance.data / len(instance.y)


@given(instance=instances(size=10.0), seed=st.integers(0, 99), far=st.sampled_from([1e-3, 1.0, 30.0]))
def test_expected_smoothness_bounds_gradient_differences(instance, seed, far):
    """E‖∇f_S(x) − ∇f_S(y)‖² ≤ 2𝓛 D_{f_D}(x, y) for convex f, by enumeration of both sides."""
    x, y = instance.x, instance.x + far * np.random.default_rng(seed).standard_normal(len(instance.x))
    change = ((slopes(instance, x) - slopes(instance, y)) ** 2).sum(axis=1)
    (here, size), (there, other), (gradient, slope) = instance.value(x), instance.value(y), instance.gradient(y)
    bregman = float(here - there - gradient @ (x - y))
    rounding = 1e-17 * (size + other + slope * np.abs(x - y).sum())
    sharp = float(ms.Constants(instance.mast()).expected_smoothness_sharp)
    assert float(instance.support[1] @ change) <= 2 * sharp * (bregman + rounding) * (1 + 1e-12)


@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
@given(instance=instances(size=10.0))
def test_expected_smoothness_bounds_second_moments(instance):
    """E‖∇f_S(x)‖² ≤ 2𝓛(f_D(x) − f^inf)."""
    c = ms.Constants(instance.mast())
    square = float(instance.support[1] @ (slopes(instance, instance.x) ** 2).sum(axis=1))
    value, size = instance.value(instance.x)
    lowest = instance.problem.minimize()
    room = float(value) - lowest.value + lowest.gap_bound + 1e-12 * size
    assert square <= 2 * float(c.expected_smoothness_sharp) * room


def test_expected_smoothness_is_attained():
    """f = ½x², S ∈ {0, 1/p}: E(∇f_S)² = x²/p³ = 2·p⁻²·½x²/p. A smaller constant would be false."""
    F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.2))
    c = ms.Constants(F)
    assert float(c.expected_smoothness_sharp) == float(c.expected_smoothness) == pytest.approx(25.0, rel=1e-14)
    x = np.array([3.0])
    assert 0.2 * (25 * x[0]) ** 2 == pytest.approx(2 * float(c.expected_smoothness_sharp) * F.value(x), rel=1e-14)


@given(instance=instances(size=3.0), seed=st.integers(0, 99))
def test_curvature_constants_bound_the_hessian(instance, seed):
    """mu_fD_sharp ≤ ∇²f_D(x) ≤ L_fD_sharp in every place; the Hessian by enumeration."""
    c = ms.Constants(instance.mast())
    x = 10 * np.random.default_rng(seed).standard_normal(len(instance.x))
    for point in (x, instance.x, instance.v):
        low, *_, high = (*spectrum(instance.hessian(point)[0]), spectrum(instance.hessian(point)[0])[-1])
        assert high <= float(c.L_fD_sharp) * (1 + 1e-12) + 1e-290
        assert low >= float(c.mu_fD_sharp) - 1e-12 * float(c.L_fD_sharp) - 1e-290


@pytest.mark.parametrize("sketch", ["identity", "bernoulli", "rand-k", "finite"])
def test_curvature_is_attained_at_zero_shift(sketch):
    """At x = v = 0 every logistic row bends by 1/4 whatever S is, so L_fD_sharp is not too large by any factor."""
    instance = example(sketch=sketch, shift=0.0)
    top = spectrum(instance.hessian(np.zeros(4))[0])[-1]
    assert float(ms.Constants(instance.mast()).L_fD_sharp) == pytest.approx(top, rel=1e-13)


def test_large_supports_are_bounded_not_enumerated():
    """C(40, 20) subsets: the smaller of L_S^max λ_max(L) and the largest trace, whichever S is."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 40)) * np.geomspace(1, 30, 40)
    F = ms.Mast(ms.LogisticRegression(A, np.where(rng.random(60) < 0.5, 1.0, -1.0), l2=0.1), ms.RandK(40, 20))
    sharp = ms.Constants(F).expected_smoothness_sharp
    L = A.T @ A / 240 + 0.1 * np.eye(40)
    assert sharp.kind == "upper"
    assert float(sharp) == pytest.approx(min(4 * spectrum(L)[-1], 4 * np.sort(np.diag(L))[-20:].sum()), rel=1e-12)
    for _ in range(50):
        kept = rng.permutation(40)[:20]
        assert 4 * spectrum(L[np.ix_(kept, kept)])[-1] <= float(sharp)


# Problems at the edge ------------------------------------------------------------------------------------------------


def test_a_quadratic_of_zeros():
    c = ms.Constants(ms.Mast(ms.Quadratic(np.zeros((2, 2)), np.zeros(2)), ms.RandK(2, 1)))
    want = {"L_D": 2.0, "mu_D": 2.0, "L_S_max": 4.0, "mu_PL": 1.0}  # every μ_PL is right for a constant
    assert {name: float(value) for name, value in c.items()} == dict.fromkeys(NAMES, 0.0) | want


def test_sketching_makes_a_singular_quadratic_strongly_convex():
    c = ms.Constants(ms.Mast(ms.Quadratic(np.ones((2, 2)), np.ones(2)), ms.Bernoulli(2, 0.5)))
    assert (float(c.mu_f), float(c.mu_fD)) == (0.0, 0.0)
    assert float(c.mu_fD_sharp) == pytest.approx(1.0, rel=1e-14)
    assert float(c.L_fD_sharp) == pytest.approx(3.0, rel=1e-14)
    assert float(c.L_fD) == pytest.approx(4.0, rel=1e-14)


class Saddle(Problem):
    """f(x) = Σ cos(x_i): −1 ≤ ∇²f ≤ 1, both attained."""

    dim = 2
    curvature_is_attained, lower_bound = True, -2.0
    upper_curvature, lower_curvature = Curvature(np.eye(2)), Curvature(-np.eye(2))
    minimize = None

    def value(self, x):
        return np.cos(x).sum(axis=-1)

    def gradient(self, x):
        return -np.sin(x)

    def hessian_product(self, x, w):
        return -np.cos(x) * w


def test_a_negative_curvature_is_multiplied_by_the_largest_moment():
    """∇²f_D(0) = −E[SᵀS] at v = 0: μ_D·μ_f = −2 would not bound its eigenvalue −10 from below."""
    F = ms.Mast(Saddle(), ms.Bernoulli(2, np.array([0.1, 0.5])))
    c = ms.Constants(F)
    assert spectrum(F.hessian(np.zeros(2)))[0] == pytest.approx(-10.0, rel=1e-14)
    assert float(c.mu_fD) == pytest.approx(-10.0, rel=1e-14)
    assert c.mu_fD.source == "L_D·μ_f, as μ_f < 0 (this package)"
    assert float(c.mu_fD_sharp) == pytest.approx(-10.0, rel=1e-14)
    assert float(c.L_fD_sharp) == pytest.approx(10.0, rel=1e-14)


@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
def test_the_gap_without_regularisation_is_an_upper_bound():
    instance = example(l2=0.0)
    c = ms.Constants(instance.mast())
    assert c.gap.kind == "upper"
    assert c.gap.source == "f_D^inf − f^inf, bounded"
    assert (c.f_inf.kind, c.fD_inf.kind) == ("upper", "upper")
    assert float(c.gap) >= float(c.fD_inf) - float(c.f_inf) - 1e-15


# The paper's data ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def a5a():
    folder = os.environ.get("MASTSIM_DATA", "")
    if not os.path.exists(os.path.join(folder, "a5a")):
        pytest.skip("MASTSIM_DATA holds no a5a")
    data = ms.load("a5a")
    return ms.LogisticRegression(data.A, data.y, condition_number=100)


def test_a5a_curvature(a5a):
    assert float(a5a.L_f) == pytest.approx(1.58993, abs=5e-6)
    assert float(a5a.mu_f) == pytest.approx(0.0158993, abs=5e-8)


@pytest.mark.parametrize(
    ("k", "paper", "sharp", "digits"), [(12, 167.04, 3.416, 5e-3), (37, 17.570, 2.012, 5e-4), (62, 6.258, 1.765, 5e-4)]
)
def test_a5a_rand_k(a5a, k, paper, sharp, digits):
    """L_f·L_S^max and λ_max(E[SᵀLS]) as printed in the project's tables, and far below L_D·L_f."""
    c = ms.Constants(ms.Mast(a5a, ms.RandK(123, k)))
    assert float(c.expected_smoothness) == pytest.approx(paper, abs=digits)
    assert float(c.L_fD_sharp) == pytest.approx(sharp, abs=5e-4)
    assert float(c.L_fD) == pytest.approx(1.58993 * 123 / k, abs=1e-4 * 123 / k)
    assert float(c.mu_fD) == pytest.approx(0.0158993 * 123 / k, abs=1e-6 * 123 / k)
    assert math.sqrt(float(c.L_S_max)) == pytest.approx(123 / k, rel=1e-15)
