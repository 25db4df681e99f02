"""Fit short cosine sums to smooth even losses, prove how far they are off, and write them where the package reads them.

ψ(u) ≈ Σ_k g_k (1 − cos t_k u) for |u| ≤ U: ψ'' is interpolated by M cosines at 2M equispaced points, a Prony system in
Chebyshev form. What is stored are doubles, and the errors are those of the stored doubles.

The proof. The error e of the sum, or of a derivative, is analytic in a strip, so on [−U, U] it is a polynomial p of degree
N − 1, its interpolant at Chebyshev points, up to δ = 4B ρ^{1 − N}/(ρ − 1), with B a bound on |e| in the Bernstein ellipse of
ρ that the strip contains. At the P > N Chebyshev points |p| ≤ |e| + δ, and a polynomial is nowhere larger than the largest
of these, divided by cos(πN/2P) (Ehlich and Zeller, Math. Z. 86, 1964).

    python scripts/fit_cosine_sums.py [out.json]
"""

import json
import sys
from pathlib import Path

import mpmath as mp

OUT = Path(__file__).parents[1] / "mastsim" / "problems" / "cosine_sums.json"
ACCURACIES = (1e-15, 1e-9, 1e-12, 1e-7)
COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 36, 40, 48, 56, 64)
LARGEST_REACH = 16
WORSE = (1, 5, 100)
"""By how much the derivatives of a sum may be farther off than the sum."""


class LogCosh:
    """ψ(u) = log cosh(u/2), analytic for |Im u| < π; up to |Im u| = π/2, |tanh(u/2)| ≤ 1 and |ψ''| ≤ ½."""

    strip = mp.pi / 2

    @staticmethod
    def orders(u):
        half = mp.tanh(u / 2)
        bend = (1 - half**2) / 4
        return mp.log(mp.cosh(u / 2)), half / 2, bend, -half * bend

    @staticmethod
    def bounds(x, y):
        return (x + y) / 2, mp.mpf(1) / 2, mp.mpf(1) / 2, mp.mpf(1) / 2


class Gaussian:
    """ψ(u) = 1 − e^{−u²/2}, entire, with |e^{−u²/2}| ≤ e^{y²/2} where |Im u| ≤ y."""

    strip = mp.mpf(2)

    @staticmethod
    def orders(u):
        bell = mp.exp(-u * u / 2)
        return 1 - bell, u * bell, (1 - u * u) * bell, (u**3 - 3 * u) * bell

    @staticmethod
    def bounds(x, y):
        bell, size = mp.exp(y * y / 2), x + y
        return 1 + bell, size * bell, (1 + size**2) * bell, (size**3 + 3 * size) * bell


def fit(psi, count, reach):
    """Return frequencies and weights of ψ, or None where no real ones interpolate."""
    h = mp.mpf(reach) / (2 * count - 1)
    f = [psi.orders(h * j)[2] for j in range(2 * count)]
    T, rhs = mp.matrix(count, count), mp.matrix(count, 1)
    for j in range(count):
        for m in range(count):
            T[j, m] = (f[abs(j - m)] + f[j + m]) / 2
        rhs[j] = -(f[abs(j - count)] + f[j + count]) / 2
    a = [*mp.lu_solve(T, rhs), mp.mpf(1)]
    angles = real_angles(a)
    if len(angles) != count:
        return None
    cosines = mp.matrix(count, count)
    for k, angle in enumerate(angles):
        behind, now, turn = mp.mpf(1), mp.cos(angle), 2 * mp.cos(angle)
        for j in range(count):
            cosines[j, k] = behind
            behind, now = now, turn * now - behind
    c = mp.lu_solve(cosines, mp.matrix(f[:count]))
    t = [angle / h for angle in angles]
    return t, [ck / tk**2 for tk, ck in zip(t, c, strict=True)]


def real_angles(a):
    """Return the zeros in (0, π) of Σ_m a_m cos(mθ)."""

    def value(angle):
        b1, b2, turn = mp.mpf(0), mp.mpf(0), 2 * mp.cos(angle)
        for c in reversed(a[1:]):
            b1, b2 = c + turn * b1 - b2, b1
        return a[0] + mp.cos(angle) * b1 - b2

    grid = [mp.pi * (j + mp.mpf("0.37")) / (24 * len(a)) for j in range(24 * len(a))]
    signs = [value(angle) for angle in grid]
    brackets = [(grid[j], grid[j + 1]) for j in range(len(grid) - 1) if signs[j] * signs[j + 1] < 0]
    return [
        mp.findroot(value, pair, solver="anderson", tol=mp.mpf(10) ** (-1.5 * mp.mp.dps), maxsteps=200) for pair in brackets
    ]


def errors_at(psi, t, g, u):
    """Return the errors of the sum and of its derivatives at one place, with signs."""
    sums = [mp.mpf(0)] * 4
    for tk, gk in zip(t, g, strict=True):
        c, s = mp.cos_sin(tk * u)
        parts = (1 - c, tk * s, tk**2 * c, -(tk**3) * s)
        sums = [total + gk * part for total, part in zip(sums, parts, strict=True)]
    return [total - truth for total, truth in zip(sums, psi.orders(u), strict=True)]


def proven_errors(psi, t, g, reach):
    """Return proven bounds on the errors of the sum and of three derivatives for all |u| ≤ reach."""
    reach, strip = mp.mpf(reach), mp.mpf(psi.strip)
    rho = strip / reach + mp.sqrt(1 + (strip / reach) ** 2)
    inside = reach * (rho + 1 / rho) / 2
    far = psi.bounds(inside, strip)
    bounds = [
        far[k] + sum(abs(gk) * tk**k * (1 + mp.cosh(tk * strip)) for tk, gk in zip(t, g, strict=True)) for k in range(4)
    ]
    degree = int(mp.ceil(mp.log(4 * max(bounds) / (rho - 1) * mp.mpf(10) ** 20) / mp.log(rho))) + 2
    left = [4 * bound * rho ** (1 - degree) / (rho - 1) for bound in bounds]
    points, worst = 4 * degree, [mp.mpf(0)] * 4
    for i in range(points // 2):  # even and odd functions: half the points
        found = errors_at(psi, t, g, reach * mp.cos(mp.pi * (2 * i + 1) / (2 * points)))
        worst = [max(w, abs(e)) for w, e in zip(worst, found, strict=True)]
    shrink = mp.cos(mp.pi * degree / (2 * points))
    return [float(((w + d) / shrink + d) * (1 + mp.mpf(10) ** -9)) for w, d in zip(worst, left, strict=True)]


def is_within(psi, count, reach, accuracy):
    """Return whether the fit is as accurate as asked for, seen between its points."""
    found = fit(psi, count, reach)
    if found is None:
        return False
    places = [mp.mpf(reach) * (2 * j + 1) / (4 * count - 2) for j in range(2 * count - 1)]
    each = [errors_at(psi, *found, u) for u in [*places, mp.mpf(reach)]]
    return all(max(abs(e[k]) for e in each) <= factor * accuracy for k, factor in enumerate(WORSE))


def farthest(psi, count, accuracy, least):
    """Return the largest reach from `least` on, to a hundredth, at which so many cosines are accurate, or None."""
    mp.mp.dps = 50 + 2 * count
    low = mp.mpf(least)
    if not is_within(psi, count, low, accuracy):
        return None
    high = low * mp.mpf("1.2")
    while is_within(psi, count, high, accuracy):
        low, high = high, high * mp.mpf("1.2")
    while high / low > 1.015:
        middle = mp.sqrt(low * high)
        low, high = (middle, high) if is_within(psi, count, middle, accuracy) else (low, middle)
    return float(mp.nstr(low, 4)) * 0.999


def table(psi):
    """Return the sums of one loss for all accuracies and counts, JSON-ready."""
    out = []
    for accuracy in ACCURACIES:
        least = 0.25
        for count in COUNTS:
            reach = farthest(psi, count, accuracy, least)
            if reach is None:
                continue
            t, g = ([float(number) for number in part] for part in fit(psi, count, reach))
            mp.mp.dps, least = 50, reach
            errors = proven_errors(psi, [mp.mpf(tk) for tk in t], [mp.mpf(gk) for gk in g], reach)
            print(
                f"{psi.__name__}: {count} cosines to {reach:.3g}, errors {', '.join(f'{e:.1e}' for e in errors)}", flush=True
            )
            out.append({"reach": reach, "errors": errors, "frequencies": t, "weights": g})
            if reach > LARGEST_REACH:
                break
    return out


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    tables = {}
    for name, psi in (("log cosh", LogCosh), ("gaussian", Gaussian)):
        tables[name] = table(psi)
        out.write_text(json.dumps(tables, indent=0) + "\n")
