"""Least values of convex functions by Newton's method in 60 digits, and random problems for it."""

import mpmath as mp
import numpy as np

from tests.oracles.exact_expectations import ExactModel, labels


def least_value(function, x, slopes):
    """Return a lower bound and an upper bound on the minimum of a convex function of 60-digit numbers near `x`.

    Damped Newton steps; the lower bound is by strong convexity with the constant `slopes[2]`.
    """
    gradient, hessian, mu = slopes
    value = function(x)
    for _ in range(300):
        g = gradient(x)
        if mp.fdot(g, g) / (2 * mu) <= mp.mpf(10) ** -40 * max(1, abs(value)):
            break
        step, share = mp.lu_solve(hessian(x), mp.matrix([-t for t in g])), mp.mpf(1)
        while share > mp.mpf(10) ** -25:
            ahead = [a + share * b for a, b in zip(x, step, strict=True)]
            if (lower := function(ahead)) <= value + share * mp.fdot(g, step) / 1000:
                x, value = ahead, lower
                break
            share /= 2
        else:
            break
    g = gradient(x)
    return value - mp.fdot(g, g) / (2 * mu), value


_DERIVATIVES = {
    "logistic": lambda u, y: (-y * _sigmoid(-y * u), _sigmoid(u) * _sigmoid(-u)),
    "smoothed hinge": lambda u, y: (-y * min(max(1 - y * u, 0), 1), mp.mpf(0 <= y * u < 1)),
    "Huber": lambda u, y: (min(max(u - y, -1), 1), mp.mpf(-1 <= u - y < 1)),
    "Poisson": lambda u, y: (mp.exp(u) - y, mp.exp(u)),
    "exponential": lambda u, y: (-y * mp.exp(-y * u), mp.exp(-y * u)),
}


def derivatives(model):
    """Return gradient and Hessian of f in 60 digits, and λ."""

    def spread(x, order, row, y):
        u = mp.fdot(row, x)
        return _DERIVATIVES[model.loss](u, y)[order - 1]

    def gradient(x):
        slopes = [spread(x, 1, row, y) for row, y in zip(model.rows, model.labels, strict=True)]
        n, lam = len(model.rows), mp.mpf(model.l2)
        data = [mp.fdot(slopes, [row[j] for row in model.rows]) / n for j in range(len(x))]
        return [g + lam * t for g, t in zip(data, x, strict=True)]

    def hessian(x):
        bends, n = [spread(x, 2, row, y) for row, y in zip(model.rows, model.labels, strict=True)], len(model.rows)
        H = mp.matrix(len(x), len(x))
        for i in range(len(x)):
            for j in range(len(x)):
                H[i, j] = mp.fsum(b * row[i] * row[j] for b, row in zip(bends, model.rows, strict=True)) / n
            H[i, i] += mp.mpf(model.l2)
        return H

    return gradient, hessian, mp.mpf(model.l2)


def _sigmoid(t):
    return 1 / (1 + mp.exp(-t))


def draw(loss, seed):
    """Return a model whose columns have any size, some nearly equal, and whose λ is small or not."""
    rng = np.random.default_rng(seed)
    rows, dim = int(rng.integers(1, 8)), int(rng.integers(1, 5))
    A = rng.standard_normal((rows, dim)) + rng.choice([0.0, 0.0, 5.0])
    if dim > 1 and rng.random() < 0.4:
        A[:, -1] = A[:, 0] * (1 + 10.0 ** rng.uniform(-14, -2) * rng.standard_normal(rows))
    A *= 10.0 ** rng.uniform(-8, 9, dim) if rng.random() < 0.7 else 1.0
    return ExactModel(loss, A, labels(loss, rng, rows), float(10.0 ** rng.uniform(-12, 1)))


def everything(sketch, values, model, v):
    """Return value, gradient and Hessian of f_D in 60 digits."""
    gradient, hessian, _ = derivatives(model)
    dim = sketch.dim
    matrices = [
        (mp.matrix([value([mp.mpf(int(i == j)) for i in range(dim)]) for j in range(dim)]).T, chance)
        for value, chance in values
        if chance
    ]

    def point(S, x):
        return [a + b for a, b in zip(v, S * mp.matrix([s - t for s, t in zip(x, v, strict=True)]), strict=True)]

    def slope(x):
        parts = [chance * (S.T * mp.matrix(gradient(point(S, x)))) for S, chance in matrices]
        return list(sum(parts[1:], parts[0]))

    def bend(x):
        parts = [chance * (S.T * hessian(point(S, x)) * S) for S, chance in matrices]
        return sum(parts[1:], parts[0])

    def value(x):
        return mp.fsum(chance * model.value(point(S, x)) for S, chance in matrices)

    return value, slope, bend
