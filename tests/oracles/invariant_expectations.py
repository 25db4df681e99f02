"""f_D under Gaussian and Haar sketches in 40 digits, by quadrature of two scalar laws: an oracle for their rows."""

from functools import cache

import mpmath as mp

import mastsim as ms

DIGITS = 40
_HALF, _COUNT = mp.mpf(4), 160


def _trapezoid(density):
    """Return points and weights that integrate smooth functions of a variable with a density that decays at both ends."""
    step = 2 * _HALF / _COUNT
    nodes = [density(-_HALF + i * step) for i in range(_COUNT + 1)]
    total = mp.fsum(weight for _, weight in nodes)
    return [(point, weight / total) for point, weight in nodes if weight > total * mp.mpf(10) ** -36]


@cache
def beta_law(a, b, _digits):
    """Return nodes (β, 1 − β) and weights of the beta law, in the digits of now.

    With the logit π/2·sinh t the density dies out doubly fast.
    """

    def density(t):
        odds = mp.exp(mp.pi * mp.sinh(t))
        share, rest = odds / (1 + odds), 1 / (1 + odds)
        return (share, rest), share**a * rest**b * mp.cosh(t)

    return _trapezoid(density)


@cache
def chi_square_law(k, _digits):
    """Return nodes and weights of the chi-square law with k degrees of freedom, in the digits of now."""

    def density(t):
        x = mp.exp(mp.pi / 2 * (t - mp.exp(-t)) + 1)
        return x, x ** (mp.mpf(k) / 2) * mp.exp(-x / 2) * (1 + mp.exp(-t))

    return _trapezoid(density)


def _likely(values):
    return [(value, chance) for value, chance in values if chance > mp.mpf(10) ** -26]


def gaussian_rows(d, k):
    """Return a function of p = aᵀz and m = |a||z| that lists the values of aᵀSz with their chances."""
    squares = chi_square_law(k, mp.mp.dps)

    def values(p, m):
        up, down = (p + m) / (2 * k), (p - m) / (2 * k)
        if d == 1 or abs(down) < mp.mpf(10) ** -30 * m:
            return [(2 * p / (2 * k) * x, chance) for x, chance in squares]
        return _likely((up * x + down * y, a * b) for x, a in squares for y, b in squares)

    return values


def haar_rows(d, k):
    """Return a function of p = aᵀz and m = |a||z| that lists the values of aᵀSz with their chances."""
    c, betas = mp.mpf(d) / k, beta_law(mp.mpf(k) / 2, mp.mpf(d - k) / 2, mp.mp.dps)
    half = mp.mpf(d - 2) / 2
    sphere = (
        [(mp.mpf(1), mp.mpf(1) / 2), (mp.mpf(-1), mp.mpf(1) / 2)]
        if d == 2
        else [(s - r, w) for (s, r), w in beta_law(half, half, mp.mp.dps)]
    )

    def values(p, m):
        h = mp.sqrt(max(m * m - p * p, mp.mpf(0)))
        return _likely((c * (p * s + h * mp.sqrt(s * r) * u), a * b) for (s, r), a in betas for u, b in sphere)

    return values


def expected(model, family, d, k, v, x):
    """Return f_D of an `ExactModel` at 40-digit vectors."""
    z = [a - b for a, b in zip(x, v, strict=True)]
    rows = gaussian_rows(d, k) if family == "Gaussian" else haar_rows(d, k)
    q, total = mp.fdot(z, z), mp.mpf(0)
    for row, y in zip(model.rows, model.labels, strict=True):
        start, p, m = mp.fdot(row, v), mp.fdot(row, z), mp.sqrt(mp.fdot(row, row) * q)
        total += mp.fsum(chance * model.phi(start + X, y) for X, chance in rows(p, m))
    second = 1 + mp.mpf(d + 1) / k if family == "Gaussian" else mp.mpf(d) / k
    ridge = mp.fdot(v, v) + 2 * mp.fdot(v, z) + second * q
    return total / len(model.rows) + mp.mpf(model.l2) / 2 * ridge


def sketch(family, d, k):
    """Return the sketch."""
    return ms.Gaussian(d, k) if family == "Gaussian" else ms.Haar(d, k)
