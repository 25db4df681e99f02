"""Losses, sketches and f_D in 60 digits, from definitions alone: an oracle for rounding errors and certificates."""

import itertools
from dataclasses import dataclass

import mpmath as mp
import numpy as np

import mastsim as ms

DIGITS = 60


def softplus(t):
    """Return log(1 + e^t)."""
    return mp.log1p(mp.exp(t)) if t < 0 else t + mp.log1p(mp.exp(-t))


def smoothed_hinge(w):
    if w >= 1:
        return mp.mpf(0)
    return (1 - w) ** 2 / 2 if w > 0 else mp.mpf(1) / 2 - w


def huber(w):
    return w * w / 2 if abs(w) <= 1 else abs(w) - mp.mpf(1) / 2


LOSSES = {
    "logistic": (ms.LogisticRegression, lambda u, y: softplus(-y * u)),
    "smoothed hinge": (ms.SmoothedHingeClassification, lambda u, y: smoothed_hinge(y * u)),
    "Huber": (ms.HuberRegression, lambda u, y: huber(u - y)),
    "Poisson": (ms.PoissonRegression, lambda u, y: mp.exp(u) - y * u),
    "exponential": (ms.ExponentialClassification, lambda u, y: mp.exp(-y * u)),
    "sigmoid": (ms.SigmoidClassification, lambda u, y: 1 / (1 + mp.exp(y * u))),
    "Welsch": (ms.WelschRegression, lambda u, y: -mp.expm1(-((u - y) ** 2) / 2)),
    "squared": (ms.LeastSquares, lambda u, y: (u - y) ** 2 / 2),
}
UNBOUNDED = ("Poisson", "exponential")
CONVEX = ("logistic", "smoothed hinge", "Huber", "Poisson", "exponential")


def labels(loss, rng, rows):
    """Return labels that the loss accepts."""
    if loss == "Poisson":
        return rng.poisson(2.0, rows).astype(float)
    if loss in ("Huber", "Welsch", "squared"):
        return 3 * rng.standard_normal(rows)
    return np.where(rng.random(rows) < 0.5, 1.0, -1.0)


# Sketches: every value as a function of a vector of 60-digit numbers, with its probability ------------------------------


def _diagonal(scale, kept):
    return lambda z: [s * m * t for s, m, t in zip(scale, kept, z, strict=True)]


def _masks(groups, dim):
    """Return masks and chances for groups (units, N): a uniform N of the units; units are lists of coordinates."""
    out = [([0] * dim, mp.mpf(1))]
    for units, chosen in groups:
        sets = list(itertools.combinations(units, chosen))
        out = [
            ([1 if any(j in unit for unit in kept) else m for j, m in enumerate(mask)], chance / len(sets))
            for mask, chance in out
            for kept in sets
        ]
    return out


def _subsets(groups, dim):
    scale = [mp.mpf(0)] * dim
    for units, chosen in groups:
        for j in itertools.chain.from_iterable(units):
            scale[j] = mp.mpf(len(units)) / chosen
    return [(_diagonal(scale, mask), chance) for mask, chance in _masks(groups, dim)]


def _independent(units, keep, dim):
    """Return the values of a sketch that keeps each unit with its own chance."""
    where = {j: k for k, unit in enumerate(units) for j in unit}
    scale, out = [1 / mp.mpf(keep[where[j]]) for j in range(dim)], []
    for bits in itertools.product([0, 1], repeat=len(units)):
        chance = mp.mpf(1)
        for bit, p in zip(bits, keep, strict=True):
            chance *= mp.mpf(p) if bit else 1 - mp.mpf(p)
        out.append((_diagonal(scale, [bits[where[j]] for j in range(dim)]), chance))
    return out


def _matrix(S):
    rows = [[mp.mpf(float(entry)) for entry in row] for row in S]
    return lambda z: [mp.fdot(row, z) for row in rows]


def _between(Q, value):
    """Return z ↦ Qᵀ S₀ Q z."""
    forward, back = _matrix(Q), _matrix(np.asarray(Q).T)
    return lambda z: back(value(forward(z)))


def _hadamard(dim):
    H = np.ones((1, 1))
    while len(H) < dim:
        H = np.block([[H, H], [H, -H]])
    root = mp.sqrt(dim)
    return [[mp.mpf(int(entry)) / root for entry in row] for row in H]


def _cosines(dim):
    rows = []
    for k in range(dim):
        size = mp.sqrt(mp.mpf(1 if k == 0 else 2) / dim)
        rows.append([size * mp.cos(mp.pi * (2 * j + 1) * k / (2 * dim)) for j in range(dim)])
    return rows


def _rotated(rows, values):
    def turned(value):
        def apply(z):
            inner = value([mp.fdot(row, z) for row in rows])
            return [mp.fsum(rows[i][j] * inner[i] for i in range(len(rows))) for j in range(len(rows))]

        return apply

    return [(turned(value), chance) for value, chance in values]


def _draw_keep(rng, count):
    return rng.choice([1e-3, 0.1, 0.5, 0.9, 1.0, float(rng.uniform(0.01, 1))], count)


def draw_sketch(family, rng, most=7):
    """Return a sketch of 1 to `most` coordinates and all its values, functions of z in 60 digits, with their chances."""
    dim = int(rng.integers(1, most + 1))
    if family == "identity":
        return ms.Identity(dim), [(lambda z: z, mp.mpf(1))]
    if family == "Bernoulli":
        keep = _draw_keep(rng, dim)
        return ms.Bernoulli(dim, keep), _independent([[j] for j in range(dim)], keep, dim)
    if family == "Rand-K":
        k = int(rng.integers(1, dim + 1))
        return ms.RandK(dim, k), _subsets([([(j,) for j in range(dim)], k)], dim)
    if family == "blocks":
        return _blocks(dim, rng)
    if family == "N:M":
        members, groups = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        chosen, dim = int(rng.integers(1, members + 1)), members * groups
        units = [[(g * members + j,) for j in range(members)] for g in range(groups)]
        return ms.NofM(dim, chosen, members), _subsets([(unit, chosen) for unit in units], dim)
    if family == "independent diagonal":
        return _ternary(min(dim, 4), rng)
    if family == "finite":
        return _finite(min(dim, 5), rng)
    return _turned(family, rng, min(most, 5))


def _blocks(dim, rng):
    owner = np.sort(rng.integers(0, max(1, dim // 2), dim))
    owner = np.unique(owner, return_inverse=True)[1]
    units = [list(np.flatnonzero(owner == b)) for b in range(owner.max() + 1)]
    keep = float(_draw_keep(rng, 1)[0])
    return ms.BlockBernoulli(dim, owner, keep), _independent(units, [keep] * len(units), dim)


def _ternary(dim, rng):
    """Coordinates that are 0, ½ or whatever makes the mean 1."""
    weights = rng.uniform(0.1, 1, (dim, 3))
    weights /= weights.sum(axis=1, keepdims=True)
    values = np.stack([np.zeros(dim), np.full(dim, 0.5), (1 - 0.5 * weights[:, 1]) / weights[:, 2]], axis=1)
    sketch, out = ms.IndependentDiagonal(values, weights), []
    for picked in itertools.product(range(3), repeat=dim):
        chance = mp.fprod(mp.mpf(float(sketch.weights[j, a])) for j, a in enumerate(picked))
        out.append((_diagonal([mp.mpf(float(sketch.values[j, a])) for j, a in enumerate(picked)], [1] * dim), chance))
    return sketch, out


def _finite(dim, rng):
    count = int(rng.integers(1, 5))
    weights = rng.uniform(0.2, 1, count)
    weights /= weights.sum()
    matrices = rng.standard_normal((count, dim, dim))
    matrices += np.eye(dim) - np.tensordot(weights, matrices, axes=1)
    sketch = ms.FiniteSupport(matrices, weights)
    chances = sketch.support()[1]
    return sketch, [(_matrix(S), mp.mpf(float(c))) for S, c in zip(matrices, chances, strict=True)]


def _turned(family, rng, most):
    dim = int(rng.choice([1, 2, 4])) if family == "hadamard" else int(rng.integers(1, most + 1))
    keep = _draw_keep(rng, dim)
    inner = _independent([[j] for j in range(dim)], keep, dim)
    if family == "rotated":
        Q = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        return ms.Rotated(ms.Bernoulli(dim, keep), Q), [(_between(Q, value), chance) for value, chance in inner]
    rows = _hadamard(dim) if family == "hadamard" else _cosines(dim)
    return ms.Rotated(ms.Bernoulli(dim, keep), family), _rotated(rows, inner)


FAMILIES = (
    "identity",
    "Bernoulli",
    "Rand-K",
    "blocks",
    "N:M",
    "independent diagonal",
    "finite",
    "rotated",
    "hadamard",
    "dct",
)


# f and f_D -----------------------------------------------------------------------------------------------------------


def exact(vector):
    """Return doubles as 60-digit numbers."""
    return [mp.mpf(float(t)) for t in vector]


@dataclass
class ExactModel:
    """A generalised linear model in 60 digits."""

    loss: str
    A: np.ndarray
    y: np.ndarray
    l2: float

    def __post_init__(self):
        self.rows, self.phi = [exact(row) for row in self.A], LOSSES[self.loss][1]
        self.labels = exact(self.y)

    @property
    def problem(self):
        return LOSSES[self.loss][0](self.A, self.y, l2=self.l2)

    def value(self, x):
        """Return f at a vector of 60-digit numbers."""
        total = mp.fsum(self.phi(mp.fdot(row, x), y) for row, y in zip(self.rows, self.labels, strict=True))
        return total / len(self.rows) + mp.mpf(self.l2) / 2 * mp.fdot(x, x)

    def expected(self, values, v, x):
        """Return Σ chance·f(v + S(x − v)) over all values of S."""
        z = [a - b for a, b in zip(x, v, strict=True)]
        return mp.fsum(
            chance * self.value([a + b for a, b in zip(v, value(z), strict=True)]) for value, chance in values if chance
        )
