"""Clients with sketched quadratics in exact arithmetic: what every constant of their mean is."""

from fractions import Fraction
from itertools import permutations, product

import mpmath
import numpy as np

from tests.oracles.rational import DIGITS, Quadratic, Truth, eliminate, fractions, spectrum


def dealt(dim, clients):
    """Return every way in which Perm-K deals out the coordinates, as one matrix a client, and the probabilities."""
    share, deals = dim // clients, set()
    for order in permutations(range(dim)):
        deals.add(tuple(frozenset(order[i * share : (i + 1) * share]) for i in range(clients)))
    matrices = [
        [np.diag([Fraction(clients) if j in own else Fraction(0) for j in range(dim)]) for own in deal] for deal in deals
    ]
    return matrices, [Fraction(1, len(deals))] * len(deals)


def independent(supports):
    """Return every combination of the clients' sketches and its probability."""
    outcomes = list(product(*(zip(*support, strict=True) for support in supports)))
    return [[S for S, _ in outcome] for outcome in outcomes], [_times(w for _, w in outcome) for outcome in outcomes]


def _times(factors):
    total = Fraction(1)
    for factor in factors:
        total *= factor
    return total


class ClientsTruth:
    """What every constant of f_D = mean of E f_i(v + S_i(x − v)) is, from the data and the joint law of the sketches."""

    def __init__(self, data, supports, joint, v):
        self.v, self.joint, self.supports = fractions(v), joint, supports
        self.parts = [Quadratic.least_squares(*each) for each in data]
        self.data, count = data, Fraction(len(data))
        self.own = [Truth(f, support, v) for f, support in zip(self.parts, supports, strict=True)]
        self.f = _mean_of(self.parts, count)
        self.fD = _mean_of([truth.fD for truth in self.own], count)

    def second_moments(self):
        """Return E[GᵀG] for the mean G of the clients' SᵀAS, and E‖g(x_D*)‖²."""
        z = self.fD.minimum()[0]
        total, noise = 0, 0
        for matrices, weight in zip(*self.joint, strict=True):
            parts = [f.sketched(S, self.v) for f, S in zip(self.parts, matrices, strict=True)]
            g = _mean_of(parts, Fraction(len(parts)))
            total, noise = total + weight * (g.H.T @ g.H), noise + weight * (g.gradient(z) @ g.gradient(z))
        return total, noise

    def constants(self):
        """Return the constants that are exact numbers, by name, as fractions or numbers of many digits."""
        count = Fraction(len(self.parts))
        own, expected = spectrum(self.f.H), spectrum(self.fD.H)
        rank = eliminate(self.fD.H, self.fD.slope)[0]
        squares = [sum(w * S.T @ S for S, w in zip(*support, strict=True)) for support in self.supports]
        lowest = sum(f.minimum()[1] for f in self.parts) / count
        sketched = sum(truth.constants()["fS_inf"] for truth in self.own) / count
        components = [
            [Quadratic.least_squares(A[i : i + 1], y[i : i + 1], l2) for i in range(len(A))] for A, y, l2 in self.data
        ]
        infima = sum(sum(f.minimum()[1] for f in part) / Fraction(len(part)) for part in components) / count
        bends = [[sum(a * a for a in row) + Fraction(float(l2)) for row in fractions(A)] for A, _, l2 in self.data]
        return {
            "L_f": own[-1],
            "mu_f": own[0] if eliminate(self.f.H, self.f.slope)[0] == len(own) else 0,
            "L_D": max(spectrum(square)[-1] for square in squares),
            "mu_D": min(spectrum(square)[0] for square in squares),
            "L_S_max": max(spectrum(S.T @ S)[-1] for support in self.supports for S in support[0]),
            "L_fD_sharp": expected[-1],
            "mu_fD_sharp": expected[0] if rank == len(expected) else 0,
            "mu_PL": expected[len(expected) - rank] if rank else 1,
            "f_inf": self.f.minimum()[1],
            "fD_inf": self.fD.minimum()[1],
            "clients_inf": lowest,
            "gap": self.fD.minimum()[1] - lowest,
            "fS_inf": sketched,
            "gap_sharp": self.fD.minimum()[1] - sketched,
            "sigma2_star": self.second_moments()[1],
            "L_i_max": max(max(part) for part in bends),
            "L_i_mean": sum(sum(part) / Fraction(len(part)) for part in bends) / count,
            "component_gap": self.f.minimum()[1] - infima,
        }

    def formulas(self):
        """Return the constants that the paper, or this package, defines by a formula of others."""
        with mpmath.workdps(DIGITS):
            return self._formulas(len(self.parts))

    def _formulas(self, count):
        parts = []
        for f, (matrices, weights) in zip(self.parts, self.supports, strict=True):
            square = spectrum(sum(w * S.T @ S for S, w in zip(matrices, weights, strict=True)))
            bend, top = spectrum(f.H), max(spectrum(S.T @ S)[-1] for S in matrices)
            least = bend[0] if eliminate(f.H, f.slope)[0] == len(bend) else 0
            sharp = max(spectrum(S.T @ f.H @ S)[-1] for S in matrices)
            parts.append((square[-1] * bend[-1], square[0] * least, top * bend[-1], sharp))
        smooth, convex, second, sharp = (sum(column) / count for column in zip(*parts, strict=True))
        return {
            "L_fD": smooth,
            "mu_fD": convex,
            "expected_smoothness": second,
            "expected_smoothness_sharp": sharp,
            "expected_smoothness_max": max(part[2] for part in parts),
            "nonconvex_variance": smooth * second,
            "nonconvex_variance_sharp": spectrum(self.fD.H)[-1] * sharp,
            "nonconvex_variance_quoted": max(part[0] * part[2] for part in parts),
        }


def _mean_of(parts, count):
    return Quadratic(
        sum(f.H for f in parts) / count, sum(f.slope for f in parts) / count, sum(f.constant for f in parts) / count
    )
