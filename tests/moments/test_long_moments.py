"""Exact moments over thousands of steps, against the same numbers in sixty digits, with the rounding that they admit to."""

import mpmath as mp
import numpy as np
import pytest

import mastsim as ms
from mastsim.draws import outcomes
from mastsim.moments import ClosedRecursion, EnumeratedRecursion, standard_forms
from mastsim.recursions import GradientRecursion, SketchedGradient, run
from mastsim.recursions.base import nonnegative_values

pytestmark = pytest.mark.slow

STEPS, FEWER = 10_000, 1500
SEEN = (0, 1, 2, 7, 50, 400, FEWER, STEPS)
NAMES = ("distance", "gap", "gradient_norm2")


def affine_maps(objective, method):
    """Return the map and probability of every outcome, rounded as a user reads them off, and the names of the fields."""
    d = objective.dim
    kind = type(method.init(objective, np.zeros((1, d))))
    wide = len(kind._fields) * d
    starts = np.concatenate([np.zeros((1, wide)), np.eye(wide)])

    def step(rows, draw):
        parts = np.split(starts[rows], len(kind._fields), axis=1)
        return np.concatenate(method.step(kind(*parts), objective, draw), axis=1)

    ends, weights = outcomes(step, wide + 1)
    ends = ends.reshape(wide + 1, len(weights), wide)
    return (ends[1:] - ends[0]).transpose(1, 2, 0), ends[0], weights


def instance(name):
    """Return objectives whose numbers are dyadic, so that maps are read off without rounding."""
    eighth = np.array([[13.0, 2.0, -10.0], [2.0, 8.0, 0.0], [-10.0, 0.0, 8.0]]) / 8
    full = np.array([[2.0, 0.5], [0.5, 1.0]])
    return {
        "full": ms.Mast(ms.Quadratic(full, np.array([1.0, -1.0])), ms.RandK(2, k=1), shift=np.array([0.5, 2.0])),
        "low rank": ms.Mast(ms.Quadratic(eighth, np.zeros(3)), ms.Identity(3)),
        "singular, sketched": ms.Mast(
            ms.Quadratic(np.ones((2, 2)), np.ones(2)), ms.FiniteSupport([np.eye(2) * 2, np.eye(2) * 0])
        ),
        "one": ms.Mast(ms.Quadratic(np.array([[4.0]]), np.array([2.0])), ms.Bernoulli(1, 0.5), shift=np.ones(1)),
        "all kept": ms.Mast(ms.Quadratic(full, np.array([1.0, -1.0])), ms.RandK(2, k=2)),
        "sum": ms.Mast(
            ms.FiniteSum([ms.Quadratic(np.diag([1.0, 2.0]), np.ones(2)), ms.Quadratic(np.diag([3.0, 0.5]), np.zeros(2))]),
            ms.RandK(2, k=1),
        ),
        "clients": ms.Distributed(
            [ms.Quadratic(full, np.array([1.0, -1.0])), ms.Quadratic(2 * full, np.zeros(2))], ms.PermK(2, clients=2)
        ),
        "independent clients": ms.Distributed(
            [ms.Quadratic(full, np.array([1.0, -1.0])), ms.Quadratic(2 * full, np.zeros(2))], ms.RandK(2, k=1)
        ),
    }[name]


G = 1 / 64
CASES = [
    ("full", ms.GD(G)),
    ("full", ms.DSGD(G)),
    ("full", ms.DSGD(G, compression=ms.SketchCompressor(ms.RandK(2, k=1)))),
    ("full", ms.LSVRDSG(G, probability=0.25)),
    ("full", ms.LSVRDSG(G, probability=0.25, anchor=1)),
    ("full", ms.PAGE(G, probability=0.125)),
    ("full", ms.PAGE(G, probability=0.5, sketches=2)),
    ("full", ms.SGD(G)),
    ("all kept", ms.GDCI(G)),
    ("low rank", ms.GD(G)),
    ("low rank", ms.DSGD(G)),
    ("low rank", ms.LSVRDSG(G, probability=0.5)),
    ("low rank", ms.PAGE(G, probability=0.5)),
    ("singular, sketched", ms.DSGD(G)),
    ("singular, sketched", ms.PAGE(G, probability=0.25)),
    ("singular, sketched", ms.LSVRDSG(G, probability=0.25)),
    ("one", ms.DSGD(G)),
    ("one", ms.PAGE(G, probability=0.125)),
    ("all kept", ms.DSGD(G)),
    ("all kept", ms.PAGE(G, probability=0.125)),
    ("sum", ms.DSGD(G, ms.Nice(1))),
    ("sum", ms.DSGD(G, ms.Nice(1), ms.SketchCompressor(ms.RandK(2, k=1)))),
    ("sum", ms.LSVRDSG(G, ms.Nice(1), probability=0.25)),
    ("sum", ms.PAGE(G, ms.Nice(1), probability=0.25)),
    ("clients", ms.DistributedDSGD(G)),
    ("independent clients", ms.DistributedDSGD(G)),
]


LONG = {("low rank", "GD"), ("full", "DSGD"), ("one", "PAGE"), ("low rank", "LSVRDSG"), ("singular, sketched", "PAGE")}
"""Methods, noisy and not, that are followed for `STEPS` steps; the others for `FEWER`."""
BITS = 200


def fixed(value):
    """Return a float as a multiple of 2^-BITS, exactly."""
    top, bottom = float(value).as_integer_ratio()
    return (top << BITS) // bottom


def second_moment_table(linear, constant, weights):
    """Return E[M ⊗ M] on symmetric matrices, packed, in fixed point, with the pairs of indices."""
    size = linear.shape[1] + 1
    pairs = [(i, j) for i in range(size) for j in range(i, size)]
    table = np.full((len(pairs), len(pairs)), 0, dtype=object)
    for T, c, w in zip(linear, constant, weights, strict=True):
        M = np.full((size, size), 0, dtype=object)
        M[:-1] = [[fixed(v) for v in (*row, end)] for row, end in zip(T, c, strict=True)]
        M[-1, -1] = 1 << BITS
        for r, (i, j) in enumerate(pairs):
            for s, (k, m) in enumerate(pairs):
                both = M[i, k] * M[j, m] + (M[i, m] * M[j, k] if k != m else 0)
                table[r, s] += ((both >> BITS) * fixed(w)) >> BITS
    return table, pairs


def truth(name, method, x0, seen):
    """Return the three expectations after the steps seen in sixty digits, by powers of the map of second moments."""
    objective, d = instance(name), len(x0)
    table, pairs = second_moment_table(*affine_maps(objective, method))
    powers = [table]
    while len(powers) < seen[-1].bit_length():
        powers.append(powers[-1].dot(powers[-1]) >> BITS)
    start = [fixed(v) for v in (*np.concatenate(method.init(objective, x0[None]), axis=1)[0], 1.0)]
    first = np.array([(start[i] * start[j]) >> BITS for i, j in pairs], dtype=object)
    with mp.workdps(50):
        H, best = exact_curvature(objective)
        found = []
        for steps in seen:
            second = first
            for bit, power in enumerate(powers):
                second = power.dot(second) >> BITS if steps >> bit & 1 else second
            found.append([float(v) for v in centered(dict(zip(pairs, second, strict=True)), max(pairs)[0], H, best, d)])
        return np.array(found)


def centered(second, last, H, best, d):
    """Return E‖y‖², ½E yᵀHy and E‖Hy‖² for y = x − best, from the second moments of (x, …, 1)."""
    value = {pair: mp.ldexp(mp.mpf(v), -BITS) for pair, v in second.items()}
    X = mp.matrix(d, d)
    for i in range(d):
        for j in range(d):
            own = value[min(i, j), max(i, j)]
            X[i, j] = own - value[i, last] * best[j] - best[i] * value[j, last] + best[i] * best[j]
    return _trace(X), _trace(H * X) / 2, _trace(H * H * X)


def _trace(M):
    return sum(M[i, i] for i in range(M.rows))


def exact_curvature(objective):
    """Return H_D and the minimiser of f_D nearest to the shift, from the values of the sketch."""
    clients = getattr(objective, "clients", [objective])
    d = objective.dim
    H, slope, v = mp.zeros(d, d), mp.zeros(d, 1), mp.matrix([float(value) for value in clients[0].center])
    for client in clients:
        values, weights = client.sketch.support()
        A = client.problem.upper_curvature.matrix
        for S, w in zip(np.asarray(values.matrices()), weights, strict=True):
            S = mp.matrix(S.tolist())
            H += S.T * mp.matrix(A.tolist()) * S * float(w) / len(clients)
        slope += mp.matrix(np.asarray(client.problem.gradient(client.center)).tolist()) / len(clients)
    return H, v - _least_norm(H, slope)


def _least_norm(H, slope):
    values, vectors = mp.eigsy(H)
    parts = [
        (vectors[:, i] * (vectors[:, i].T * slope)[0] / values[i]) for i in range(H.rows) if values[i] > mp.mpf(10) ** -30
    ]
    return sum(parts, mp.zeros(H.rows, 1))


@pytest.mark.parametrize(("name", "method"), CASES, ids=lambda part: getattr(part, "name", part))
def test_long_paths_are_within_the_rounding_that_is_stated(name, method):
    objective = instance(name)
    x0 = np.array([3.0, -1.0, 0.5])[: objective.dim]
    seen = SEEN if (name, method.name) in LONG else SEEN[:-1]
    wanted = truth(name, method, x0, seen)
    tried = 0
    for kind in (ClosedRecursion, EnumeratedRecursion):
        try:
            chain = kind(objective, method)
        except ValueError:
            continue
        tried += 1
        forms = standard_forms(objective, chain.center)
        path = chain.follow(x0, seen[-1], [forms[name] for name in NAMES])
        found, rounding = path.values[list(seen)], path.rounding[list(seen)]
        assert (np.abs(found - wanted) <= rounding).all(), (kind.__name__, found - wanted, rounding)
        assert (rounding <= 1e-6 * (1 + wanted)).all()
    assert tried


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_moments_of_many_coordinates_shrink_as_long_as_they_are_followed(keep):
    """Twelve coordinates, no noise: moments that lose symmetry explode here, after falling to 1e-13 first."""
    root = np.random.default_rng(0).standard_normal((12, 12))
    F = ms.Mast(ms.Quadratic(root @ root.T / 12, np.zeros(12)), ms.Bernoulli(12, keep))
    page = ms.theorems.DoubleSketchedPAGE(F)
    anchored = ms.theorems.LooplessSVRDSG(F)
    for method in (page.method_at(page.stepsize), ms.LSVRDSG(anchored.stepsize, probability=0.5)):
        distance = ms.moments.propagate(F, method, np.ones(12), STEPS).distance
        assert (distance > 0).all()
        assert distance[-1] < 1e-12 * distance[0]
        factor = ms.moments.contraction(F, method)
        late = (distance[-1] / distance[STEPS // 2]) ** (2 / STEPS)
        assert factor.lower <= late * (1 + 1e-3)
        assert late <= factor.upper * (1 + 1e-6)


class Shrinking(GradientRecursion):
    """A recursion that is wrong: it takes the noise away instead of adding it."""

    def _second_after(self, state):
        return super()._second_after(state) - 0.5 * np.eye(len(state.mean))


def test_a_squared_distance_below_zero_is_an_error_and_never_cut_off():
    half = ms.Bernoulli(2, 0.5).moment_operators(np.eye(2))
    with pytest.raises(
        ArithmeticError, match=r"a squared length has the expectation -.* after 5 steps, and rounding explains only \d"
    ):
        run(Shrinking(SketchedGradient(half, np.zeros(2), np.zeros(2)), 0.25), np.array([0.1, 0.1]), 5)


def test_what_rounding_explains_is_zero_and_nothing_else_is():
    assert nonnegative_values(np.array([[-1e-18], [3.0]]), lambda: np.full((2, 1), 1e-17)).ravel().tolist() == [0.0, 3.0]
    with pytest.raises(ArithmeticError, match="rounding explains only 1e-19"):
        nonnegative_values(np.array([[1.0], [-1e-18]]), lambda: np.full((2, 1), 1e-19))


def test_rounding_grows_with_the_steps_and_is_infinite_where_moments_are():
    F = instance("full")
    form = [standard_forms(F, F.minimize().x)["distance"]]
    for kind in (ClosedRecursion, EnumeratedRecursion):
        calm = kind(F, ms.GD(G)).follow(np.ones(2), 2000, form).rounding[:, 0]
        assert np.isfinite(calm).all()
        assert 0 < calm[0] < calm[10]
        wild = kind(F, ms.DSGD(1e3)).follow(np.ones(2), 2000, form).rounding[:, 0]
        assert np.isinf(wild[-1])
        assert not np.isnan(wild).any()
