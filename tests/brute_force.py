"""f_D and its derivatives summed over every value of the sketch, in extended precision and plain NumPy: the oracle."""

import itertools
from dataclasses import dataclass

import numpy as np

LONG = np.longdouble


def bernoulli_support(keep):
    """Return every value of a Bernoulli sketch, (2**d, d, d), and its probability."""
    keep = np.asarray(keep, dtype=LONG)
    masks = np.array(list(itertools.product([0, 1], repeat=len(keep))), dtype=LONG)
    chances = np.prod(np.where(masks == 1, keep, 1 - keep), axis=1)
    return diagonal_matrices(masks / keep), chances


def rand_k_support(dim, k):
    """Return every value of a Rand-K sketch and its probability."""
    subsets = list(itertools.combinations(range(dim), k))
    diagonals = np.array([[LONG(j in s) for j in range(dim)] for s in subsets]) * (LONG(dim) / k)
    return diagonal_matrices(diagonals), np.full(len(subsets), LONG(1) / len(subsets))


def identity_support(dim):
    """Return the single value of the identity sketch."""
    return np.eye(dim, dtype=LONG)[None], np.ones(1, dtype=LONG)


def diagonal_matrices(diagonals):
    """Return one diagonal matrix a row."""
    return diagonals[:, :, None] * np.eye(diagonals.shape[1], dtype=LONG)


def logistic(u, y):
    """Return the loss and its first two derivatives in the prediction."""
    decay = np.exp(-np.abs(u))
    sigmoid = np.where(y * u >= 0, decay, LONG(1)) / (1 + decay)
    return np.logaddexp(LONG(0), -y * u), -y * sigmoid, decay / (1 + decay) ** 2


def squared(u, y):
    """Return the loss and its first two derivatives in the prediction."""
    return (u - y) ** 2 / 2, u - y, np.ones_like(u)


@dataclass
class BruteForce:
    """Σ_j w_j f(v + S_j(x − v)) for a generalised linear model f with dense data."""

    A: np.ndarray
    y: np.ndarray
    l2: float
    loss: object
    support: tuple
    shift: np.ndarray

    def __post_init__(self):
        self.A, self.y, self.shift = (np.asarray(a, dtype=LONG) for a in (self.A, self.y, self.shift))

    def points(self, x):
        """Return v + S_j(x − v) for all j."""
        return self.shift + self.support[0] @ (np.asarray(x, dtype=LONG) - self.shift)

    def predictions(self, x):
        """Return a_iᵀ(v + S_j(x − v)), one row a value of the sketch."""
        return self.points(x) @ self.A.T

    def value(self, x):
        """Return f_D(x)."""
        losses = self.loss(self.predictions(x), self.y)[0].mean(axis=1)
        return self.support[1] @ (losses + LONG(self.l2) / 2 * (self.points(x) ** 2).sum(axis=1))

    def gradient(self, x):
        """Return ∇f_D(x)."""
        slopes = self.loss(self.predictions(x), self.y)[1] @ self.A / len(self.y) + LONG(self.l2) * self.points(x)
        return np.einsum("s,sij,si->j", self.support[1], self.support[0], slopes)

    def hessian(self, x):
        """Return ∇²f_D(x)."""
        total = np.zeros((self.A.shape[1],) * 2, dtype=LONG)
        for S, chance, bends in zip(*self.support, self.loss(self.predictions(x), self.y)[2], strict=True):
            own = (self.A.T * bends) @ self.A / len(self.y) + LONG(self.l2) * np.eye(self.A.shape[1], dtype=LONG)
            total += chance * (S.T @ own @ S)
        return total

    def reach(self, x):
        """Return the largest |a_iᵀ(v + S_j(x − v))|."""
        return float(np.abs(self.predictions(x)).max(initial=0))


def mean(support, function):
    """Return E function(S)."""
    return sum(chance * function(S) for S, chance in zip(*support, strict=True))
