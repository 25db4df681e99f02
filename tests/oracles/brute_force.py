"""f_D summed over every value of the sketch in extended precision and plain NumPy, and instances small enough for it."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

import mastsim as ms

LONG = np.longdouble
TINY = 1e-280  # what underflows is not compared


def bernoulli_support(keep):
    """Return every value of a Bernoulli sketch, shape (2**d, d, d), and its probability."""
    keep = np.asarray(keep, dtype=LONG)
    masks = np.array(list(itertools.product([0, 1], repeat=len(keep))), dtype=LONG)
    return diagonal_matrices(masks / keep), np.prod(np.where(masks == 1, keep, 1 - keep), axis=1)


def rand_k_support(dim, k):
    """Return every value of a Rand-K sketch and its probability."""
    subsets = list(itertools.combinations(range(dim), k))
    diagonals = np.array([[LONG(j in chosen) for j in range(dim)] for chosen in subsets]) * (LONG(dim) / k)
    return diagonal_matrices(diagonals), np.full(len(subsets), LONG(1) / len(subsets))


def diagonal_matrices(diagonals):
    """Return one diagonal matrix a row."""
    return diagonals[:, :, None] * np.eye(diagonals.shape[1], dtype=LONG)


def mean(support, function):
    """Return E function(S)."""
    return sum(chance * function(S) for S, chance in zip(*support, strict=True))


def logistic(u, y):
    """Return the logistic loss and its first two derivatives in the prediction."""
    decay = np.exp(-np.abs(u))
    sigmoid = np.where(y * u >= 0, decay, LONG(1)) / (1 + decay)
    return np.logaddexp(LONG(0), -y * u), -y * sigmoid, decay / (1 + decay) ** 2


def squared(u, y):
    """Return the squared loss and its first two derivatives in the prediction."""
    return (u - y) ** 2 / 2, u - y, np.ones_like(u)


LOSSES = {"logistic": (ms.LogisticRegression, logistic), "squared": (ms.LeastSquares, squared)}


@dataclass
class Instance:
    """A generalised linear model under a sketch whose values are listed in `support`."""

    loss: str
    A: Any
    y: np.ndarray
    l2: float
    sketch: Any
    support: tuple
    v: np.ndarray
    x: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def problem(self):
        return LOSSES[self.loss][0](self.A, self.y, l2=self.l2)

    def mast(self, evaluate="auto"):
        return ms.Mast(self.problem, self.sketch, shift=self.v, evaluate=evaluate)

    @property
    def data(self):
        return np.asarray(self.A.toarray() if sp.issparse(self.A) else self.A, dtype=LONG)

    def points(self, x):
        """Return v + S(x − v) for every value of S."""
        v = np.asarray(self.v, dtype=LONG)
        return v + self.support[0] @ (np.asarray(x, dtype=LONG) - v)

    def losses(self, x):
        """Return φ, φ', φ'' and the predictions for every value of S and every row."""
        u = self.points(x) @ self.data.T
        return *LOSSES[self.loss][1](u, self.y), u

    def reach(self, x):
        """Return the largest |a_iᵀ(v + S(x − v))|."""
        return float(np.abs(self.losses(x)[3]).max())

    def f(self, x):
        """Return f(x)."""
        return LOSSES[self.loss][1](self.data @ x, self.y)[0].mean() + LONG(self.l2) / 2 * np.sum(np.asarray(x) ** 2)

    def value(self, x):
        """Return f_D(x) and the size of what is added up: 1 + max|u|, f_D(x) and f(v), none of them negative."""
        total = self._mean_value(x)
        return total, 1 + self.reach(x) + float(total + self._mean_value(self.v))

    def _mean_value(self, x):
        each = self.losses(x)[0].mean(axis=1) + LONG(self.l2) / 2 * (self.points(x) ** 2).sum(axis=1)
        return self.support[1] @ each

    def gradient(self, x):
        """Return ∇f_D(x) and the size of what is added up, here and at v; every slope counts as at least 1."""
        slopes, points = self.losses(x)[1], LONG(self.l2) * self.points(x)
        S, chance = self.support
        exact = np.einsum("s,sij,si->j", chance, S, slopes @ self.data / len(self.y) + points)
        sizes = np.maximum(np.abs(slopes) + np.abs(self.losses(self.v)[1]), 1) @ np.abs(self.data) / len(self.y)
        sizes += np.abs(points) + LONG(self.l2) * np.abs(self.v)
        return exact, TINY + float(np.einsum("s,sij,si->j", chance, np.abs(S), sizes).max())

    def hessian(self, x):
        """Return ∇²f_D(x) and the size of what is added up, where every curvature counts as at least 1/4."""
        bends = self.losses(x)[2]
        exact = self._curvature(self.support[0], self.data, bends)
        largest = self._curvature(np.abs(self.support[0]), np.abs(self.data), np.maximum(bends, 0.25)).max()
        return exact, TINY + float(largest)

    def _curvature(self, matrices, data, bends):
        ridge = LONG(self.l2) * np.eye(data.shape[1], dtype=LONG)
        inner = [(data.T * bend) @ data / len(self.y) + ridge for bend in bends]
        return sum(c * (S.T @ H @ S) for c, S, H in zip(self.support[1], matrices, inner, strict=True))


# Instances -----------------------------------------------------------------------------------------------------------

entries = st.floats(-3, 3) | st.sampled_from([0.0, 0.0, 1.0, -1.0])
keeps = st.sampled_from([1e-3, 0.1, 0.5, 1.0]) | st.floats(1e-3, 1.0)


def vectors(size, element):
    """Draw float vectors."""
    return st.lists(element, min_size=size, max_size=size).map(lambda row: np.array(row, dtype=float))


MASKS = ("identity", "bernoulli", "bernoulli vector", "rand-k")


@st.composite
def sketches(draw, dim, families=(*MASKS, "finite")):
    """Draw a sketch and its support."""
    family = draw(st.sampled_from(families))
    if family == "identity":
        return ms.Identity(dim), (np.eye(dim, dtype=LONG)[None], np.ones(1, dtype=LONG))
    if family == "bernoulli":
        keep = draw(keeps)
        return ms.Bernoulli(dim, keep), bernoulli_support(np.full(dim, keep))
    if family == "bernoulli vector":
        keep = draw(vectors(dim, keeps))
        return ms.Bernoulli(dim, keep), bernoulli_support(keep)
    if family == "rand-k":
        k = draw(st.integers(1, dim))
        return ms.RandK(dim, k), rand_k_support(dim, k)
    return finite_support(np.random.default_rng(draw(st.integers(0, 999))), dim, draw(st.integers(1, 5)))


def finite_support(rng, dim, count):
    """Return a sketch with `count` dense, unsymmetric values whose mean is the identity."""
    weights = rng.uniform(0.2, 1, count)
    weights /= weights.sum()
    matrices = rng.standard_normal((count, dim, dim))
    matrices += np.eye(dim) - np.tensordot(weights, matrices, axes=1)
    return ms.FiniteSupport(matrices, weights), (matrices.astype(LONG), weights.astype(LONG))


@st.composite
def instances(draw, losses=("logistic", "squared"), families=None, most=5, size=50.0, l2=(0.0, 1e-3, 0.5)):
    """Draw a problem, a sketch, a shift and a point."""
    dim, rows = draw(st.integers(1, most)), draw(st.integers(1, 4))
    loss = draw(st.sampled_from(losses))
    A = np.array([draw(vectors(dim, entries)) for _ in range(rows)])
    sign = st.sampled_from([-1.0, 1.0])
    y = draw(vectors(rows, sign if loss == "logistic" else st.floats(-5, 5)))
    sketch, support = draw(sketches(dim) if families is None else sketches(dim, families))
    place = st.floats(-size, size) | st.sampled_from([0.0, 1.0])
    v = draw(st.just(np.zeros(dim)) | vectors(dim, place))
    data = draw(st.sampled_from([np.asarray, sp.csr_array, sp.coo_array]))(A)
    return Instance(loss, data, y, draw(st.sampled_from(l2)), sketch, support, v, draw(vectors(dim, place)))
