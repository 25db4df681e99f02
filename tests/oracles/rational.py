"""Sketched quadratics in exact arithmetic: the truth that labels are held against."""

from fractions import Fraction
from itertools import combinations, product

import mpmath
import numpy as np

DIGITS = 150


def fractions(values):
    """Return an array of floats as exact fractions."""
    return np.vectorize(lambda value: Fraction(float(value)), otypes=[object])(np.asarray(values, dtype=float))


def eliminate(H, b):
    """Return the rank of H and a solution of Hx = b, or None where there is none."""
    M = np.concatenate([H, b[:, None]], axis=1).copy()
    pivots, row = [], 0
    for column in range(H.shape[1]):
        found = next((i for i in range(row, len(M)) if M[i, column] != 0), None)
        if found is None:
            continue
        M[[row, found]] = M[[found, row]]
        M[row] = M[row] / M[row, column]
        for i in range(len(M)):
            if i != row and M[i, column] != 0:
                M[i] = M[i] - M[i, column] * M[row]
        pivots.append(column)
        row += 1
    if any(M[i, -1] != 0 for i in range(row, len(M))):
        return row, None
    x = np.array([Fraction(0)] * H.shape[1], dtype=object)
    for i, column in enumerate(pivots):
        x[column] = M[i, -1]
    return row, x


def spectrum(H):
    """Return the eigenvalues of a symmetric matrix of fractions in increasing order, to DIGITS digits."""
    with mpmath.workdps(DIGITS):
        matrix = mpmath.matrix([[mpmath.mpf(h.numerator) / h.denominator for h in row] for row in H])
        return sorted(mpmath.eigsy(matrix, eigvals_only=True))


class Quadratic:
    """½xᵀHx + slopeᵀx + constant in fractions."""

    def __init__(self, H, slope, constant):
        self.H, self.slope, self.constant = H, slope, constant

    @classmethod
    def least_squares(cls, A, y, l2):
        A, y, n = fractions(A), fractions(y), len(A)
        ridge = Fraction(float(l2)) * fractions(np.eye(A.shape[1]))
        return cls(A.T @ A / Fraction(n) + ridge, -(A.T @ y) / Fraction(n), (y @ y) / Fraction(2 * n))

    def value(self, x):
        return x @ (self.H @ x) / 2 + self.slope @ x + self.constant

    def gradient(self, x):
        return self.H @ x + self.slope

    def minimum(self):
        x = eliminate(self.H, -self.slope)[1]
        return x, None if x is None else self.value(x)

    def sketched(self, S, v):
        """Return x ↦ f(v + S(x − v)) as a quadratic of z = x − v."""
        return Quadratic(S.T @ self.H @ S, S.T @ self.gradient(v), self.value(v))


def masks(dim, k=None, keep=None):
    """Return all masks of Rand-k, or of Bernoulli with the given keeps, and their probabilities, in fractions."""
    if k is not None:
        kept = list(combinations(range(dim), k))
        scale = Fraction(dim, k)
        return [np.diag([scale if i in chosen else Fraction(0) for i in range(dim)]) for chosen in kept], [
            Fraction(1, len(kept))
        ] * len(kept)
    keep = [Fraction(float(p)) for p in keep]
    matrices, weights = [], []
    for chosen in product([False, True], repeat=dim):
        matrices.append(np.diag([1 / p if c else Fraction(0) for c, p in zip(chosen, keep, strict=True)]))
        weight = Fraction(1)
        for c, p in zip(chosen, keep, strict=True):
            weight *= p if c else 1 - p
        weights.append(weight)
    return matrices, weights


class Truth:
    """What every constant of f_D is, for a quadratic f and a sketch of few values."""

    def __init__(self, f, support, v):
        self.f, self.v = f, fractions(v)
        self.matrices, self.weights = support
        H = sum(w * (S.T @ f.H @ S) for S, w in zip(self.matrices, self.weights, strict=True))
        self.fD = Quadratic(H, f.gradient(self.v), f.value(self.v))

    def excess(self, x):
        """Return f_D(x) − f_D^inf for a point of floats."""
        return self.fD.value(fractions(x) - self.v) - self.fD.minimum()[1]

    def constants(self):
        """Return the constants that are exact numbers, by name, as fractions or numbers of many digits."""
        z, least = self.fD.minimum()
        parts = [self.f.sketched(S, self.v) for S in self.matrices]
        sketched = sum(w * part.minimum()[1] for part, w in zip(parts, self.weights, strict=True))
        noise = sum(w * (g @ g) for g, w in ((part.gradient(z), w) for part, w in zip(parts, self.weights, strict=True)))
        own, expected = spectrum(self.f.H), spectrum(self.fD.H)
        rank = eliminate(self.fD.H, self.fD.slope)[0]
        lowest = self.f.minimum()[1]
        return {
            "L_f": own[-1],
            "mu_f": own[0] if eliminate(self.f.H, self.f.slope)[0] == len(own) else 0,
            "L_fD_sharp": expected[-1],
            "mu_fD_sharp": expected[0] if rank == len(expected) else 0,
            "mu_PL": expected[len(expected) - rank] if rank else 1,
            "f_inf": lowest,
            "fD_inf": least,
            "gap": least - lowest,
            "fS_inf": sketched,
            "gap_sharp": least - sketched,
            "sigma2_star": noise,
            "expected_smoothness_sharp": max(spectrum(part.H)[-1] for part in parts),
        }
