"""One vocabulary of constants for one node and many: the same names, and with clients the truth in exact arithmetic."""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.constants import CLIENT_NAMES, NAMES, Constants
from mastsim.problems import Minimum
from mastsim.testing import strategies
from tests.examples import examples
from tests.oracles.promises import holds, number
from tests.oracles.rational import DIGITS, fractions, masks
from tests.oracles.rational_clients import ClientsTruth, dealt, independent

QUIET = "ignore::mastsim.problems.CertificateWarning"


# One client is one node --------------------------------------------------------------------------------------------------


CERTIFIED = {"f_inf", "fD_inf", "gap", "fS_inf", "gap_sharp", "component_gap", "sigma2_star"}
"""Constants whose tier depends on how near a search came to a minimiser."""


def ends(constant):
    """Return between which numbers a constant says that the truth is."""
    low = constant - constant.error if constant.kind in ("exact", "lower") else -math.inf
    return low, constant + constant.error if constant.kind in ("exact", "upper") else math.inf


@pytest.mark.filterwarnings(QUIET)
@settings(max_examples=examples(25))
@given(F=strategies.objectives())
def test_one_client_has_the_constants_of_one_node(F):
    """The same names; the same numbers and tiers, or where a minimiser is searched for, tiers that can both be true."""
    node = ms.Mast(F.problem, F.sketch, shift=F.center)
    own, one = Constants(node), Constants(ms.Distributed([F.problem], [F.sketch], shift=F.center))
    assert tuple(own) == NAMES
    assert tuple(one) == NAMES + CLIENT_NAMES
    for name in NAMES:
        (low, high), (least, most) = ends(own[name]), ends(one[name])
        assert max(low, least) <= min(high, most) + 1e-12 * abs(own[name]) + 1e-290, (name, own[name], one[name])
        if name not in CERTIFIED:
            assert (float(own[name]), own[name].kind) == (float(one[name]), one[name].kind), name
    same = {"expected_smoothness_max": "expected_smoothness", "nonconvex_variance_quoted": "nonconvex_variance"}
    assert all(float(one[name]) == float(own[like]) for name, like in same.items())


def test_every_objective_is_the_mean_of_its_nodes():
    f, S = ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1)
    F, D = ms.Mast(f, S), ms.Distributed([f, f], S)
    assert F.nodes == (F,)
    assert D.nodes == D.clients
    assert [len(Constants(each).nodes) for each in (F, D)] == [1, 2]


def test_the_page_names_every_constant():
    page = (Path(ms.__file__).parents[1] / "docs" / "constants.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name.strip(" `") for row in rows for name in row.split(",")} == {*NAMES, *CLIENT_NAMES}


# Many clients against fractions ------------------------------------------------------------------------------------------


@st.composite
def clients(draw):
    """Draw least squares clients, raw, ill-scaled and singular, their sketches with all values in fractions, and a shift."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, d = draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (2, 3), (3, 3)]))
    scales = [draw(st.sampled_from([1.0, 1.0, 1e-6, 1e4])) for _ in range(d)]
    data = []
    for _ in range(count):
        A = draw(st.sampled_from([1.0, 1e-3, 1e3])) * rng.integers(-3, 4, (draw(st.integers(1, 3)), d)).astype(float)
        if draw(st.booleans()):
            A = A + rng.standard_normal(A.shape)
        data.append((A * scales, rng.standard_normal(len(A)), draw(st.sampled_from([0.0, 1e-2, 1.0]))))
    v = draw(st.sampled_from([0.0, 1.0, 1e2])) * rng.standard_normal(d)
    if d % count == 0 and count > 1 and draw(st.booleans()):
        matrices, weights = dealt(d, count)
        supports = [([outcome[i] for outcome in matrices], weights) for i in range(count)]
        return data, ms.PermK(d, clients=count), supports, (matrices, weights), v
    sketches, supports = zip(*(draw(sketches_with_values(d)) for _ in range(count)), strict=True)
    return data, list(sketches), supports, independent(supports), v


@st.composite
def sketches_with_values(draw, d):
    if draw(st.booleans()):
        k = draw(st.integers(1, d))
        return ms.RandK(d, k=k), masks(d, k=k)
    keep = np.array([draw(st.sampled_from([0.5, 1e-2, 0.9, 1.0])) for _ in range(d)])
    matrices, weights = masks(d, keep=keep)
    likely = [(S, w) for S, w in zip(matrices, weights, strict=True) if w > 0]
    return ms.Bernoulli(d, keep), tuple(zip(*likely, strict=True))


@pytest.mark.filterwarnings(QUIET)
@settings(max_examples=examples(100))
@given(clients())
def test_every_label_of_clients_is_true(instance):
    """Each tier promises the truth, and what is a formula is that formula, neither more nor less."""
    data, sketches, supports, joint, v = instance
    truth = ClientsTruth(data, supports, joint, v)
    assume(all(f.minimum()[1] is not None for f in truth.parts))
    c = Constants(ms.Distributed([ms.LeastSquares(A, y, l2=l2) for A, y, l2 in data], sketches, shift=v))
    expected, formulas = truth.constants(), truth.formulas()
    size = float(abs(truth.fD.constant)) + float(abs(expected["f_inf"])) + float(abs(truth.f.constant))
    for name, value in expected.items():
        # An exact noise is a square with an error in proportion to what it is a square of.
        holds(name, c[name], value, math.inf if name == "sigma2_star" else size)
    for name, value in formulas.items():
        close = 1e-9 * float(number(value)) + c[name].error
        sharp = name == "expected_smoothness_sharp" or name == "nonconvex_variance_sharp"
        assert float(number(value)) <= float(c[name]) + close, name
        assert sharp or float(c[name]) <= float(number(value)) + close, name
        # An error that is no larger than rounding makes of it.
        assert c[name].error <= 1e-9 * max(abs(float(c[name])), float(c.L_fD)), name
    assert set(c) == {*expected, *formulas}
    assert c.sigma2_star.kind in ("exact", "upper")
    square = np.array(truth.second_moments()[0], dtype=float)
    H = np.array(truth.fD.H, dtype=float)
    for smooth, variance in itertools.product(
        (c.expected_smoothness, c.expected_smoothness_sharp), (c.nonconvex_variance, c.nonconvex_variance_sharp)
    ):
        # E‖g(x) − g(y)‖² ≤ 2L times the Bregman distance, and ≤ 𝔇‖x − y‖², for all x and y at once.
        slack = 1e-9 * float(smooth) * np.abs(np.diag(H)).max()
        scaled = 1 / np.sqrt(np.maximum(np.diag(H), 1e-300))
        room = (float(smooth) * H - square) * np.outer(scaled, scaled)
        assert np.linalg.eigvalsh(room)[0] >= -1e-9 * float(smooth) - 1e-290
        assert np.linalg.eigvalsh(square)[-1] <= float(variance) * (1 + 1e-9) + slack * 1e-9 + 1e-290


@pytest.mark.parametrize("dealt_out", [False, True])
def test_the_noise_of_clients_by_enumeration(dealt_out):
    """E‖mean of ∇f_{i,S_i}(x_D*)‖² over all pairs of sketches, for clients whose f_i are not quadratic."""
    rng = np.random.default_rng(3)
    data = [(rng.standard_normal((5, 2)), np.where(rng.random(5) < 0.5, 1.0, -1.0)) for _ in range(2)]
    problems, v = [ms.LogisticRegression(A, y, l2=0.1) for A, y in data], np.array([0.5, -2.0])
    if dealt_out:
        sketches, pairs = ms.PermK(2, clients=2), [((2.0, 0.0), (0.0, 2.0), 0.5), ((0.0, 2.0), (2.0, 0.0), 0.5)]
    else:
        sketches, lists = [ms.RandK(2, k=1), ms.Bernoulli(2, 0.25)], [[(2.0, 0.0), (0.0, 2.0)], None]
        lists[1] = [(a, b) for a in (0.0, 4.0) for b in (0.0, 4.0)]
        chance = {0.0: 0.75, 4.0: 0.25}
        pairs = [(s, t, 0.5 * chance[t[0]] * chance[t[1]]) for s in lists[0] for t in lists[1]]
    F = ms.Distributed(problems, sketches, shift=v)
    x, c = F.minimize().x, Constants(F)

    def slope(A, y, s):
        point = v + np.array(s) * (x - v)
        inner = -y / (1 + np.exp(y * (A @ point)))
        return np.array(s) * (A.T @ inner / len(y) + 0.1 * point)

    noise = sum(w * np.sum(((slope(*data[0], s) + slope(*data[1], t)) / 2) ** 2) for s, t, w in pairs)
    assert c.sigma2_star.kind == "exact"
    assert float(c.sigma2_star) == pytest.approx(noise, rel=1e-9)
    assert noise <= 2 * float(c.expected_smoothness_sharp) * float(c.gap_sharp)


@dataclass(frozen=True, eq=False)
class Careless(ms.Distributed):
    """An objective whose minimiser is a little off, and says so."""

    def minimize(self):
        best = super().minimize()
        x = best.x + 1e-8
        excess = 0.51 * float(self.hessian(best.x)[0, 0]) * 1e-16
        return Minimum(x, best.value, best.gap_bound + excess, 0.0, "careless", excess_bound=best.excess_bound + excess)


def test_a_convex_mean_of_clients_does_not_make_them_convex():
    """Where f_1 bends up as much as f_2 bends down, the noise moves by far more than f_D does."""
    A, v = np.ones((1, 1)), np.array([math.sqrt(3)])
    bent = ms.WelschRegression(A, np.zeros(1), l2=0.0)
    up, slope = -float(bent.mu_f) + 1e-3, float(bent.gradient(v)[0])
    round_ = ms.Quadratic(np.array([[up]]), np.array([up * v[0] + slope]))
    F = ms.Distributed([round_, bent], ms.Bernoulli(1, 0.5), shift=v)
    assert F.problem.is_convex
    assert not bent.is_convex
    truth = Constants(F).sigma2_star
    found = Constants(Careless(F.problems, F.sketches, shift=v)).sigma2_star
    assert (truth.kind, found.kind) == ("exact", "exact")
    assert truth == pytest.approx(2 * slope**2 / 4, rel=1e-9)  # Var S = 1 for each client
    assert truth.error < abs(found - truth) <= found.error + truth.error


# What is not known -------------------------------------------------------------------------------------------------------


def test_a_function_without_curvature_has_no_variance_under_an_unbounded_sketch():
    """0·∞: E‖∇f_S‖² of a constant is 0 whatever S is."""
    flat = ms.Quadratic(np.zeros((2, 2)), np.zeros(2))
    for F in (ms.Mast(flat, ms.Gaussian(2, k=1)), ms.Distributed([flat, flat], ms.Gaussian(2, k=1))):
        c = Constants(F)
        for name in ("expected_smoothness", "expected_smoothness_sharp", "nonconvex_variance", "sigma2_star"):
            assert c[name] == 0.0, name


@pytest.mark.parametrize("top", [1e3, 1e6, 1e9])
def test_the_rounding_of_a_rare_large_sketch_is_counted(top):
    """L_S^max of matrices that are rarely large is a rounded eigenvalue of the large one, not of their mean."""
    rng, missed = np.random.default_rng(2), []
    for _ in range(20):
        big = top * rng.standard_normal((3, 3))
        chance = 1e-2 / top**2
        S = ms.FiniteSupport([big, (np.eye(3) - chance * big) / (1 - chance)], [chance, 1 - chance])
        c = Constants(ms.Mast(ms.Quadratic(np.eye(3), np.zeros(3)), S))
        own = [[number(float(entry)) for entry in row] for row in S.support()[0].take(np.array([0])).matrices()[0]]
        holds("L_S_max", c.L_S_max, _largest(own), 0.0)
        missed.append(c.L_S_max.error)
    assert max(missed) <= 1e-12 * top**2 * 100


def _largest(matrix):
    with mpmath.workdps(DIGITS):
        M = mpmath.matrix(matrix)
        return max(mpmath.eigsy(M.T * M, eigvals_only=True))


def test_a_gap_against_unproven_minima_is_an_estimate():
    rng = np.random.default_rng(0)
    G = rng.standard_normal((410, 5))
    A = G @ G.T
    f = ms.Quadratic((A + A.T) / 2, A @ rng.standard_normal(410))
    assert not f.minimize().proven
    F = ms.Mast(f, ms.RandK(410, k=200), evaluate="monte carlo")
    assert Constants(F).gap.kind == "estimate"


def test_constants_of_a_sum_too_large_for_a_matrix_carry_the_errors_of_its_parts():
    rng, l2 = np.random.default_rng(1), 0.1
    for _ in range(20):
        row = sp.csr_array((rng.standard_normal(3), ([0, 0, 0], [0, 7, 4099])), (1, 4100))
        part = ms.LeastSquares(row, np.ones(1), l2=l2)
        f, truth = ms.FiniteSum([part, part, part]), sum(a * a for a in fractions(row.data)) + fractions([l2])[0]
        holds("L_f", f.L_f, truth, 0.0)
        holds("mu_f", f.mu_f, fractions([l2])[0], 0.0)
        assert (f.L_f.kind, f.mu_f.kind) == ("upper", "lower")
        assert f.L_f == pytest.approx(float(truth), rel=1e-9)
