"""The public checks must find every kind of mistake, and the strategies must reach their corners."""

import itertools
from random import Random

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim.problems import Curvature
from mastsim.problems.base import Minimum
from mastsim.provenance import Constant
from mastsim.sketches import ALL_SKETCHES, DiagonalBatch, MatrixBatch, ScalarLaw, Sketch
from mastsim.sketches.laws import DealtShare
from mastsim.testing import check_problem, check_sketch, sketch_strategies, strategies
from mastsim.testing.assertions import about, agree, at_most, empirical_bernstein, same
from tests.examples import examples
from tests.oracles.fresh_interpreter import run_python

pytestmark = pytest.mark.slow


def variant(base, **changes):
    """Return a subclass of a frozen dataclass with some methods or properties replaced."""
    return type("Mistaken", (base,), changes)


def fixed(value):
    return property(lambda self: value)


# --- sketches with one mistake each ---------------------------------------------------------------------------------


def scaled(base, name, factor):
    """Return a property or method `name` of `base` whose result is multiplied."""
    original = getattr(base, name)
    if callable(original):
        return lambda self, *arguments: factor * original(self, *arguments)
    get = original.func if hasattr(original, "func") else original.fget
    return property(lambda self: factor * get(self))


def supremum(factor, kind=None):
    def changed(self, A):
        found = ms.RandK.supremum_curvature(self, A)
        return Constant(factor * found, kind or found.kind, found.source)

    return changed


class Transposed(MatrixBatch):
    def apply(self, z):
        return self.apply_transpose(z)


class WrongTranspose(MatrixBatch):
    def apply_transpose(self, g):
        return self.apply(g)


class WrongNorms(DiagonalBatch):
    def square_norms(self):
        low, high = super().square_norms()
        return high, low


class MistakenLaw(ScalarLaw):
    mistake = ""

    def __init__(self, law, mistake):
        super().__init__(law.theta, law.group, law.members, law.kept)
        object.__setattr__(self, "mistake", mistake)

    def _off(self, name, value):
        return 1.001 * value if self.mistake == name else value

    mean = property(lambda self: self._off("mean", ScalarLaw.mean.fget(self)))
    variance = property(lambda self: self._off("variance", ScalarLaw.variance.fget(self)))
    bounds = property(lambda self: (0.0, 1e-3) if self.mistake == "bounds" else ScalarLaw.bounds.fget(self))

    def moment_generating_function(self, s):
        return self._off("transform", super().moment_generating_function(s))

    def support(self):
        values, chances = super().support()
        return (values + 1e-6, chances) if self.mistake == "support" else (values, chances)


def mistaken_law(mistake):
    return {"projection": lambda self, a, z: MistakenLaw(ms.RandK.projection(self, a, z), mistake)}


def sample_globally(self, rng, size):
    return ms.RandK.sample(self, np.random.default_rng(np.random.randint(9)), size)  # noqa: NPY002


CLOCK = itertools.count()


def sample_by_clock(self, rng, size):
    return ms.RandK.sample(self, np.random.default_rng(next(CLOCK)), size)


def kept_more_often(self, u):
    return ms.Bernoulli.from_uniforms(self, u**2)


def rolled(self, u):
    return ms.Bernoulli.from_uniforms(self, np.roll(u, 1, axis=0))


def spoiled(self, u):
    u[:] = 0.5
    return ms.Bernoulli.from_uniforms(self, u)


def slightly_off(self, u):
    return DiagonalBatch(ms.Bernoulli.from_uniforms(self, u).diagonals * (1 - 1e-9))


def biased_support(self):
    batch, weights = ms.Bernoulli.enumerate(self)
    return batch, weights[::-1]


def biased_draw(self, u):
    return ms.Bernoulli.from_uniforms(self, np.where(u < 1 - self.keep, 0.0, 0.999))


def light_support(self):
    batch, weights = ms.Bernoulli.enumerate(self)
    return batch, 0.99 * weights


def diagonal_off(self, A):
    return ms.RandK.quadratic_moment(self, A) + 0.01 * np.diag(np.diag(A))


def rest_off(self, A):
    return ms.RandK.quadratic_moment(self, A) * 1.01 - 0.01 * np.diag(np.diag(ms.RandK.quadratic_moment(self, A)))


def operators_off(self, A):
    return ms.RandK.moment_operators(self, 1.001 * A)


class WrongRows(DealtShare):
    """The law of Rand-2 of 4, but rows are evaluated a tenth too far out."""

    def turn(self, x):
        return 1.1 * x


def diagonal_only(self, A):
    return np.diag(np.diag(ms.RandK.quadratic_moment(self, A)))


def wrong_norms(self, u):
    return WrongNorms(ms.RandK.from_uniforms(self, u).diagonals)


def dense_batch(kind):
    return lambda self, u: kind(np.asarray(self.matrices), ms.FiniteSupport.from_uniforms(self, u).index)


PAIR = np.eye(3) + np.array([1, -1])[:, None, None] * np.random.default_rng(0).standard_normal((3, 3))
RAND, COIN, LARGE = (4, 2), (3, np.array([0.2, 0.5, 1.0])), (40, 13)
SKETCH_MISTAKES = [
    (ms.RandK, RAND, {"sample": sample_globally}, "sampling advances only its rng"),
    (ms.RandK, RAND, {"sample": sample_by_clock}, "sampling repeats with an equal rng"),
    (ms.RandK, RAND, {"sample": lambda self, rng, size: np.ones((size, 4))}, "sample returns a SketchBatch"),
    (ms.Bernoulli, COIN, {"from_uniforms": rolled}, "from_uniforms does not depend on the other rows"),
    (ms.Bernoulli, COIN, {"from_uniforms": spoiled}, "from_uniforms leaves its argument alone"),
    (ms.Bernoulli, COIN, {"from_uniforms": kept_more_often}, "sample frequencies = support weights"),
    (ms.Bernoulli, COIN, {"from_uniforms": slightly_off}, "every sample lies in the support"),
    (ms.FiniteSupport, (PAIR,), {"from_uniforms": dense_batch(Transposed)}, "apply(z) = S z"),
    (ms.FiniteSupport, (PAIR,), {"from_uniforms": dense_batch(WrongTranspose)}, "apply_transpose(g) = Sᵀ g"),
    (ms.RandK, RAND, {"from_uniforms": wrong_norms}, "square_norms"),
    (ms.RandK, RAND, {"L_max": fixed(2.0)}, "λ_max(SᵀS) ≤ L_max on samples"),
    (ms.RandK, RAND, {"L_max": fixed(8.0)}, "L_max = max λ_max(SᵀS) over the support"),
    (ms.RandK, RAND, {"L_D": fixed(1.0)}, "L_D = λ_max(E[SᵀS])"),
    (ms.Bernoulli, COIN, {"mu_D": fixed(2.0)}, "μ_D = λ_min(E[SᵀS])"),
    (ms.RandK, RAND, {"second_moment": scaled(ms.RandK, "second_moment", 0.5)}, "second_moment = quadratic_moment(I)"),
    (ms.RandK, RAND, {"quadratic_moment": diagonal_off}, "second_moment = quadratic_moment(I)"),
    (ms.RandK, RAND, {"quadratic_moment": rest_off}, "quadratic_moment(A) = E[SᵀAS]"),
    (ms.RandK, LARGE, {"quadratic_moment": diagonal_only}, "variance of aᵀSz"),
    (ms.RandK, RAND, {"moment_operators": operators_off}, "moment_operators(A).curvature2"),
    (ms.RandK, RAND, {"law": property(lambda self: WrongRows.deal(4, 2))}, "f_D of a logistic model by rows"),
    (ms.Bernoulli, (30, 0.4), {"from_uniforms": kept_more_often}, "against 16384 samples"),
    (ms.Bernoulli, COIN, {"enumerate": biased_support}, "sample frequencies = support weights"),
    (ms.Bernoulli, COIN, {"enumerate": biased_support, "from_uniforms": biased_draw}, "E[S] = I"),
    (ms.Bernoulli, COIN, {"enumerate": light_support}, "support weights add up to 1"),
    (ms.RandK, RAND, {"support_size": fixed(5.0)}, "support_size"),
    (ms.Unscaled, (ms.RandK(4, 2),), {"unbiased": fixed(True)}, "E[SᵀS] ⪰ I"),
    (ms.RandK, RAND, {"supremum_curvature": supremum(0.5)}, "supremum_curvature(A)"),
    (ms.RandK, RAND, {"supremum_curvature": supremum(1.01)}, "supremum_curvature is attained"),
    (ms.RandK, RAND, {"supremum_curvature": supremum(1, "lower")}, "says what it is"),
    (ms.RandK, LARGE, {"supremum_curvature": supremum(0.1)}, "supremum_curvature(A)"),
    (ms.RandK, RAND, mistaken_law("mean"), "mean of aᵀSz"),
    (ms.RandK, RAND, mistaken_law("variance"), "variance of aᵀSz"),
    (ms.RandK, RAND, mistaken_law("bounds"), "bound of aᵀSz"),
    (ms.RandK, RAND, mistaken_law("transform"), "characteristic function of aᵀSz"),
    (ms.RandK, RAND, mistaken_law("support"), "support of aᵀSz"),
    (ms.RandK, LARGE, mistaken_law("variance"), "variance of aᵀSz"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "arguments", "changes", "identity"), SKETCH_MISTAKES)
def test_check_sketch_names_the_mistake(base, arguments, changes, identity):
    with pytest.raises(AssertionError) as failure:
        check_sketch(variant(base, **changes)(*arguments))
    assert identity in str(failure.value)
    assert str(failure.value).startswith(base(*arguments).name)


class HalfGaussian(Sketch):
    """GᵀG/k with k × d standard normal G: unbounded, with no list of values; a user's sketch."""

    k, square = 3, 1.0

    def __init__(self, dim):
        self.dim = dim

    name = "Gaussian"
    L_max = np.inf
    support_size = np.inf
    uniforms = property(lambda self: 2 * self.k * self.dim)
    L_D = property(lambda self: self.square * (1 + (self.dim + 1) / self.k))
    mu_D = L_D

    def from_uniforms(self, u):
        radius, angle = np.sqrt(-2 * np.log1p(-u[:, ::2])), 2 * np.pi * u[:, 1::2]
        G = (radius * np.cos(angle)).reshape(-1, self.k, self.dim)
        return MatrixBatch(G.transpose(0, 2, 1) @ G / self.k, np.arange(len(u)))

    def second_moment(self):
        return self.L_D * np.eye(self.dim)

    def quadratic_moment(self, A):
        return self.square * ((1 + 1 / self.k) * A + np.trace(A) / self.k * np.eye(self.dim))

    def enumerate(self):
        raise NotImplementedError


def test_check_sketch_accepts_an_unbounded_sketch_of_ones_own():
    # The comparison with sample means rests on the normal approximation, at 1e-9.
    check_sketch(HalfGaussian(3))
    with pytest.raises(AssertionError, match="against 16384 samples"):
        check_sketch(type("Mistaken", (HalfGaussian,), {"square": 1.1})(3))


def test_check_sketch_needs_a_seed_that_is_a_whole_number():
    with pytest.raises(TypeError, match=r"seed=0\.5 is not accepted"):
        check_sketch(ms.RandK(2, 1), seed=0.5)


# --- problems with one mistake each ---------------------------------------------------------------------------------

rng = np.random.default_rng(0)
MATRIX, LABELS = rng.standard_normal((12, 3)), np.where(rng.random(12) < 0.5, 1.0, -1.0)
QUADRATIC, MODEL = (np.diag([1.0, 4.0, 9.0]), np.array([1.0, 2.0, 3.0])), (MATRIX, LABELS, 0.1)


SQUARE, LOGISTIC = (ms.Quadratic, QUADRATIC), (ms.LogisticRegression, MODEL)


def constant(case, name, factor):
    get = getattr(case[0], name).func
    return property(lambda self: Constant(factor * get(self), get(self).kind, get(self).source))


def curvature(name, factor, **constants):
    get = getattr(ms.LogisticRegression, name).func
    scaled_matrix = property(lambda self: Curvature(factor * get(self).matrix))
    return {name: scaled_matrix, **{key: fixed(value) for key, value in constants.items()}}


def batch_mean(self, x):
    values = ms.Quadratic.value(self, x)
    return values + 1e-15 * np.abs(values).max() if np.ndim(values) else values


def minimum(**changes):
    def minimize(self):
        best = ms.Quadratic.minimize(self)
        record = {name: getattr(best, name) for name in ("x", "value", "gap_bound", "gradient_norm", "certificate")}
        if "x" in changes:
            x = best.x + changes["x"]
            record |= {"value": float(self.value(x)), "gradient_norm": float(np.linalg.norm(self.gradient(x)))}
        return Minimum(**{**record, **changes, "x": best.x + changes.get("x", 0)})

    return {"minimize": minimize, "lower_bound": fixed(-1e9)}


def in_place(self, x):
    x += 0.0 if x.ndim == 1 else 1e-3
    return ms.Quadratic.gradient(self, x)


PROBLEM_MISTAKES = [
    (*SQUARE, {"gradient": scaled(ms.Quadratic, "gradient", 1.0001)}, "gradient against"),
    (*SQUARE, {"value": scaled(ms.Quadratic, "value", 0.5)}, "gradient against"),
    (*LOGISTIC, {"hessian_product": scaled(LOGISTIC[0], "hessian_product", 1.01)}, "hessian_product against"),
    (*LOGISTIC, {"hessian_product": scaled(LOGISTIC[0], "hessian_product", 0.5)}, "hessian_product against"),
    (*SQUARE, {"value": batch_mean}, "value of a batch = value of its points"),
    (*SQUARE, {"gradient": in_place}, "points are left alone"),
    (*SQUARE, {"L_f": constant(SQUARE, "L_f", 0.5)}, "∇²f ⪯ L_f I"),
    (*SQUARE, {"L_f": constant(SQUARE, "L_f", 2.0)}, "L_f = λ_max"),
    (*SQUARE, {"mu_f": constant(SQUARE, "mu_f", 1.5)}, "mu_f I ⪯ ∇²f"),
    (*SQUARE, {"mu_f": constant(SQUARE, "mu_f", 0.5)}, "mu_f = λ_min(∇²f)"),
    (*SQUARE, {"mu_f": constant(SQUARE, "mu_f", 99.0)}, "mu_f ≤ L_f"),
    (*LOGISTIC, {"mu_f": constant(LOGISTIC, "mu_f", 3.0)}, "mu_f I ⪯ ∇²f"),
    (*LOGISTIC, {"L_f": constant(LOGISTIC, "L_f", 0.9)}, "∇²f ⪯ L_f I"),
    (*LOGISTIC, {"L_f": constant(LOGISTIC, "L_f", 1.1)}, "L_f = λ_max(upper_curvature)"),
    (*LOGISTIC, {"L_f": fixed(Constant(9.0, "lower", ""))}, "L_f is no lower bound or estimate"),
    (*LOGISTIC, {"mu_f": fixed(Constant(0.0, "upper", ""))}, "mu_f is no upper bound or estimate"),
    (*LOGISTIC, curvature("upper_curvature", 0.9, L_f=Constant(9.0, "upper", "")), "∇²f ⪯ upper_curvature"),
    (*LOGISTIC, curvature("lower_curvature", 4.0, mu_f=Constant(0.0, "lower", "")), "lower_curvature ⪯ ∇²f"),
    (*LOGISTIC, {"is_quadratic": fixed(True)}, "lower_curvature ⪯ ∇²f"),
    (*LOGISTIC, {"is_convex": fixed(False)}, "is_convex agrees with mu_f"),
    (*SQUARE, {"lower_bound": fixed(0.0)}, "lower_bound is below every value of f"),
    (*SQUARE, minimum(x=np.array([1e-3, 0, 0])), "value − gap_bound is below every value of f"),
    (*SQUARE, minimum(value=-9.0), "value of the minimiser"),
    (*SQUARE, minimum(gradient_norm=1e-3), "gradient_norm of the minimiser"),
    (*SQUARE, minimum(gap_bound=-1.0), "gap_bound is a bound"),
    (*SQUARE, {"hessian": lambda self, x: self.A + np.triu(np.ones((3, 3)), 1)}, "hessian is symmetric"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "arguments", "changes", "identity"), PROBLEM_MISTAKES)
def test_check_problem_names_the_mistake(base, arguments, changes, identity):
    with pytest.raises(AssertionError) as failure:
        check_problem(variant(base, **changes)(*arguments))
    assert identity in str(failure.value)


def test_a_certificate_with_an_honest_gap_passes():
    check_problem(variant(ms.Quadratic, **minimum(x=np.array([1e-3, 0, 0]), gap_bound=1e-6))(*QUADRATIC))
    check_problem(variant(ms.Quadratic, **minimum(gap_bound=np.inf))(*QUADRATIC))


def test_checks_repeat_exactly_and_leave_the_global_generators_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    messages = []
    for _ in range(2):
        with pytest.raises(AssertionError) as failure:
            check_sketch(variant(ms.RandK, quadratic_moment=rest_off)(*RAND), seed=5)
        messages.append(str(failure.value))
    assert messages[0] == messages[1]
    check_problem(ms.Quadratic(*QUADRATIC))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


# --- comparisons ----------------------------------------------------------------------------------------------------


def test_comparisons_say_where_and_by_how_much():
    agree("x", [1.0, 2.0], [1.0, 2.0], 0.0)
    with pytest.raises(AssertionError, match=r"x fails at \(1,\): 2\.5 against 2, off by 0\.5 where 0\.1 is accepted"):
        agree("x", [1.0, 2.5], [1.0, 2.0], 0.1)
    with pytest.raises(AssertionError, match="off by nan"):
        agree("x", [1.0, np.nan], [1.0, 2.0], 0.1)
    with pytest.raises(AssertionError, match=r"shape \(2,\) instead of \(1,\)"):
        agree("x", [1.0, 1.0], [1.0], 9.0)
    at_most("x", [1.0, -np.inf, np.inf], [1.0, 0.0, np.inf])
    with pytest.raises(AssertionError, match=r"x fails: 2 against 1, off by 1 where 0\.5 is accepted"):
        at_most("x", 2.0, 1.0, 0.5)
    with pytest.raises(AssertionError, match="off by nan"):
        at_most("x", np.nan, 1.0, 0.5)
    with pytest.raises(AssertionError, match="1 of 2 entries differ"):
        same("x", [1.0, 1.0 + 1e-16], [1.0, 1.0 + 3e-16])
    with pytest.raises(AssertionError, match="S: x fails"), about("S"):
        agree("x", 1.0, 2.0, 0.0)


@pytest.mark.parametrize("chance", [0.5, 0.01])
def test_the_empirical_bernstein_bound_covers_and_is_not_idle(chance):
    """At error 0.2 it must miss at most 200 of 1000 times; more than 300 has probability below 1e-12 (Chernoff)."""
    rng = np.random.default_rng(0)
    samples = (rng.random((1000, 400)) < chance).astype(float)
    bounds = np.array([empirical_bernstein(sample, 1.0, 0.2) for sample in samples])
    assert (np.abs(samples.mean(axis=1) - chance) > bounds).sum() <= 300
    assert np.median(bounds) < 4 * np.sqrt(chance * (1 - chance) / 400) + 0.02
    assert empirical_bernstein(samples[0], 2.0, 0.2) > empirical_bernstein(samples[0], np.inf, 0.2)


# --- strategies -----------------------------------------------------------------------------------------------------


def finite(S):
    return isinstance(S, ms.FiniteSupport)


def rank_one(S):
    return (np.linalg.matrix_rank(np.asarray(S.matrices), tol=1e-9) == 1).all()


def off_diagonal(S):
    return np.abs(np.asarray(S.matrices) * (1 - np.eye(S.dim))).max()


def asymmetry(S):
    return np.abs(S.matrices - np.transpose(S.matrices, (0, 2, 1))).max()


def table(f):
    return f.A.toarray() if sp.issparse(f.A) else f.A


MODELS = [ms.LeastSquares, ms.LogisticRegression]
CORNERS = [
    ("sketch in one dimension", strategies.sketches(1), lambda S: S.dim == 1),
    ("identity", strategies.sketches(3), lambda S: isinstance(S, ms.Identity)),
    ("K = 1", strategies.sketches(4, [ms.RandK]), lambda S: S.k == 1),
    ("K = d", strategies.sketches(4, [ms.RandK]), lambda S: S.k == 4),
    ("K in between", strategies.sketches(4, [ms.RandK]), lambda S: 1 < S.k < 4),
    ("keep near 0", strategies.sketches(3, [ms.Bernoulli]), lambda S: np.min(S.keep) == 1e-3),
    ("keep = 1", strategies.sketches(3, [ms.Bernoulli]), lambda S: np.min(S.keep) == 1),
    ("a keep of one's own", strategies.sketches(3, [ms.Bernoulli]), lambda S: np.ptp(S.keep) > 0.1),
    ("diagonal list", strategies.sketches(3, [ms.FiniteSupport]), lambda S: len(S.weights) > 1 and off_diagonal(S) == 0),
    ("symmetric, not diagonal", strategies.sketches(3, [ms.FiniteSupport]), lambda S: off_diagonal(S) > 0.1 > asymmetry(S)),
    ("not symmetric", strategies.sketches(3, [ms.FiniteSupport]), lambda S: asymmetry(S) > 1),
    ("rank one", strategies.sketches(3, [ms.FiniteSupport]), rank_one),
    ("κ_D > 1", strategies.sketches(3), lambda S: 2 * S.mu_D < S.L_D),
    ("quadratic in one dimension", strategies.quadratics(), lambda f: f.dim == 1),
    ("quadratic in five dimensions", strategies.quadratics(), lambda f: f.dim == 5),
    ("deficient quadratic", strategies.quadratics(), lambda f: f.dim > 1 and f.mu_f == 0),
    ("ill-conditioned quadratic", strategies.quadratics(), lambda f: 0 < f.mu_f < 1e-5 * f.L_f),
    ("quadratic minimal at 0", strategies.quadratics(), lambda f: not f.b.any()),
    ("quadratic with a constant", strategies.quadratics(), lambda f: f.b.any() and f.c != 0),
    ("one row", strategies.problems(5, MODELS), lambda f: f.rows == 1),
    ("more columns than rows", strategies.problems(5, MODELS), lambda f: f.rows < f.dim),
    ("a zero row", strategies.problems(5, MODELS), lambda f: (abs(table(f)).sum(axis=1) == 0).any() and table(f).any()),
    ("only zeros", strategies.problems(5, MODELS), lambda f: not table(f).any()),
    ("sparse logistic", strategies.problems(5, [ms.LogisticRegression]), lambda f: sp.issparse(f.A)),
    ("dense logistic", strategies.problems(5, [ms.LogisticRegression]), lambda f: not sp.issparse(f.A)),
    ("sparse squares", strategies.problems(5, [ms.LeastSquares]), lambda f: sp.issparse(f.A)),
    ("deficient data", strategies.problems(5, MODELS), lambda f: np.linalg.matrix_rank(table(f)) < min(f.rows, f.dim)),
    ("no ridge", strategies.problems(5, MODELS), lambda f: f.l2 == 0),
    ("condition number", strategies.problems(5, MODELS), lambda f: f.condition_number == 1e6),
    ("both labels", strategies.problems(5, [ms.LogisticRegression]), lambda f: len(set(f.y)) == 2),
    ("v = 0", strategies.objectives(), lambda F: not F.center.any()),
    ("v ≠ 0, logistic, list", strategies.objectives(5, MODELS[1:]), lambda F: F.center.any() and finite(F.sketch)),
    ("v ≠ 0, Rand-K", strategies.objectives(), lambda F: F.center.any() and isinstance(F.sketch, ms.RandK) and F.dim > 2),
    ("closed form", strategies.objectives(), lambda F: F.is_quadratic),
    ("rows", strategies.objectives(), lambda F: F.evaluation.name == "rows"),
    ("enumeration", strategies.objectives(), lambda F: F.evaluation.name == "enumeration"),
]  # fmt: skip


@pytest.mark.parametrize(("strategy", "corner"), [c[1:] for c in CORNERS], ids=[c[0] for c in CORNERS])
def test_strategies_reach_their_corners(strategy, corner):
    quiet = settings(max_examples=2000, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    assert corner(find(strategy, corner, settings=quiet, random=Random(0)))


def test_every_family_of_sketches_has_a_strategy():
    assert set(sketch_strategies.SKETCHES) <= set(ALL_SKETCHES)
    for family in ALL_SKETCHES:
        assert family in sketch_strategies.SKETCHES or family.examples(3), family.__name__
        assert all(type(sketch) is family and sketch.dim == 4 for sketch in family.examples(4))


class OwnModel(ms.LeastSquares):
    pass


def test_strategies_draw_ones_own_models_and_refuse_what_they_cannot_build():
    found = find(strategies.problems(families=[OwnModel]), lambda f: f.rows == 2, random=Random(0))
    assert type(found) is OwnModel
    with pytest.raises(ValueError, match="family Problem is not accepted: it must be Quadratic or a generalised"):
        find(strategies.problems(families=[ms.problems.Problem]), lambda f: True, random=Random(0))


@given(data=st.data(), dim=st.integers(1, 7))
def test_strategies_keep_to_the_dimension(data, dim):
    sketch = data.draw(strategies.sketches(dim))
    assert (sketch.dim, sketch.unbiased) == (dim, True)
    assert 1 <= data.draw(strategies.problems(dim)).dim <= dim
    assert 1 <= data.draw(strategies.objectives(dim)).dim <= dim


@given(problem=strategies.problems())
def test_drawn_problems_are_not_constant(problem):
    assert problem.L_f > 0


def test_strategies_refuse_what_they_cannot_draw():
    with pytest.raises(ValueError, match="dim=0 is not accepted: it must be an integer >= 1"):
        strategies.sketches(0)
    with pytest.raises(ValueError, match="there is no strategy for Unscaled, HalfGaussian; give each a classmethod"):
        strategies.sketches(2, [ms.RandK, ms.Unscaled, HalfGaussian])


@given(objective=strategies.objectives())
def test_drawn_objectives_are_evaluated_exactly(objective):
    assert objective.evaluation.tier == "exact"


# --- imports --------------------------------------------------------------------------------------------------------


def test_the_checks_do_not_import_hypothesis():
    code = (
        "import sys, mastsim as ms\n"
        "ms.testing.check_sketch(ms.RandK(2, 1))\n"
        "print('hypothesis' in sys.modules, 'strategies' in dir(ms.testing))"
    )
    assert run_python(code).split() == ["False", "True"]


def test_without_hypothesis_the_strategies_say_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['hypothesis'] = None\n"
        "import numpy as np, mastsim as ms\n"
        "ms.testing.check_problem(ms.Quadratic(np.eye(2), np.ones(2)))\n"
        "asks = 'ms.testing.strategies', 'from mastsim.testing import strategies', 'import mastsim.testing.strategies'\n"
        "for ask in asks:\n"
        "    try:\n"
        "        exec(ask)\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(error)"
    )
    assert run_python(code).splitlines() == ["mastsim.testing.strategies needs hypothesis: install mastsim[test]"] * 3


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'mastsim\.testing' has no attribute 'check_everything'"):
        ms.testing.check_everything  # noqa: B018


# --- what one brings along -----------------------------------------------------------------------------------------


class Halves(ms.extend.SelectionSketch):
    """Keeps one of two halves."""

    def __init__(self, dim):
        object.__setattr__(self, "dim", dim)

    @property
    def law(self):
        unit = np.arange(self.dim) % 2
        return ms.extend.Selection(unit, np.zeros(unit.max() + 1, dtype=int), np.array([unit.max() + 1]), np.array([1.0]))

    @classmethod
    def examples(cls, dim):
        return [cls(dim)]


@given(F=strategies.objectives(problems=[OwnModel], sketches=[Halves]))
def test_objectives_are_of_the_families_that_are_asked_for(F):
    assert type(F.problem) is OwnModel
    assert type(F.sketch) is Halves


@pytest.mark.parametrize(
    "kind", [ms.theorems.StronglyConvexDSGD, ms.theorems.ConvexDistributed, ms.theorems.StronglyConvexSGD]
)
@settings(max_examples=examples(10), deadline=None)
@given(data=st.data())
def test_theorems_are_drawn_where_they_apply_and_hold(kind, data):
    claim = data.draw(strategies.theorems(kind, max_dim=3))
    assert type(claim) is kind
    assert ms.verify(claim).verdict == "holds"


@given(method=strategies.methods(ms.PAGE, probability=st.floats(0.1, 1.0)))
def test_methods_are_drawn_with_their_settings(method):
    assert type(method) is ms.PAGE
    assert 0.1 <= method.probability <= 1
