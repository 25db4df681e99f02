"""Checks a worst-case certificate in exact rational arithmetic; needs nothing but Python's standard library.

A certificate says: for every f = (mu/2)|.|^2 + (1 - mu)phi with phi convex and 1-smooth (units in which L_f = 1), in every
dimension, E V(next state) <= rate * V(state). It holds if rate*V - E V+ is a sum of multipliers, none below zero, of the
inequalities phi_i - phi_j - <w_j, x_i - x_j> - |w_i - w_j|^2/2 >= 0 that such phi obey, and of a positive semidefinite form.

A vector is one row a coordinate, each a combination of unknown vectors: {unknown: coefficient}. A form is
{(i, j): coefficient of <unknown i, unknown j>}, i <= j.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

Vector = list[dict[int, Fraction]]
Form = dict[tuple[int, int], Fraction]


def unknown(place: int, dim: int) -> Vector:
    """Return the vector whose coordinates are unknowns of their own."""
    return [{place * dim + i: Fraction(1)} for i in range(dim)]


def plus(a: Vector, b: Vector, times: Fraction | int = 1) -> Vector:
    """Return a + times*b."""
    out = [dict(row) for row in a]
    for row, other in zip(out, b, strict=True):
        for key, value in other.items():
            row[key] = row.get(key, Fraction(0)) + times * value
    return out


def image(matrix: list[list[Fraction]], a: Vector) -> Vector:
    """Return matrix*a."""
    out: Vector = [{} for _ in matrix]
    for row, entries in zip(out, matrix, strict=True):
        for entry, part in zip(entries, a, strict=True):
            for key, value in part.items() if entry else ():
                row[key] = row.get(key, Fraction(0)) + entry * value
    return out


def transposed(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Return the transpose."""
    return [list(column) for column in zip(*matrix, strict=True)]


def inner(a: Vector, b: Vector) -> Form:
    """Return <a, b> as a form."""
    out: Form = {}
    for row, other in zip(a, b, strict=True):
        for i, left in row.items():
            for j, right in other.items():
                key = (min(i, j), max(i, j))
                out[key] = out.get(key, Fraction(0)) + left * right
    return out


def total(*parts: tuple[Fraction | int, Form]) -> Form:
    """Return a sum of forms, each times a number."""
    out: Form = {}
    for times, form in parts:
        for key, value in form.items() if times else ():
            out[key] = out.get(key, Fraction(0)) + times * value
    return out


class Step:
    """One step of a method: where phi is looked at, and the terms of V before and, in expectation, after it.

    ``points`` and ``slopes`` are vectors: phi has the gradient slopes[k] at points[k]; points of one of ``groups`` are of
    one function. ``terms`` are (name, before, after).
    """

    def __init__(self, case: dict[str, Any]) -> None:
        self.sketches, self.weights = case["sketches"], case["weights"]
        self.dim, self.gamma, self.mu = len(self.sketches[0]), case["stepsize"], case["mu"]
        self.points: list[Vector] = []
        self.slopes: list[Vector] = []
        self.terms: list[tuple[str, Form, Form]] = []
        self.unknowns = 0
        self.groups: list[int] = []
        kinds = {"pair": self._pair, "difference": self._difference, "refreshed": self._refreshed, "l-svrdsg": self._svrdsg}
        kinds[case["kind"]](case)

    def fresh(self) -> Vector:
        """Return a vector of new unknowns."""
        self.unknowns += 1
        return unknown(self.unknowns - 1, self.dim)

    def slope(self, point: Vector, slope: Vector | None = None, group: int = 0) -> Vector:
        """Return the gradient of f at a point, where phi is looked at."""
        w = self.fresh() if slope is None else slope
        self.points.append(point)
        self.slopes.append(w)
        self.groups.append(group)
        return plus(image(self._scaled(self.mu), point), w, 1 - self.mu)

    def _scaled(self, number: Fraction) -> list[list[Fraction]]:
        return [[number if i == j else Fraction(0) for j in range(self.dim)] for i in range(self.dim)]

    def _mean(self, forms: list[Form]) -> Form:
        return total(*zip(self.weights, forms, strict=True))

    def _pair(self, case: dict[str, Any]) -> None:
        """Two iterates of DSGD under the same sketch, V = |x - y|^2."""
        x, y = self.fresh(), self.fresh()
        apart, after = plus(x, y, -1), []
        for S in self.sketches:
            force = plus(self.slope(image(S, x)), self.slope(image(S, y)), -1)
            moved = plus(apart, image(transposed(S), force), -self.gamma)
            after.append(inner(moved, moved))
        self.terms.append(("|x - y|^2", inner(apart, apart), self._mean(after)))

    def _refreshed(self, case: dict[str, Any]) -> None:
        """DSGD whose shift v moves to x (a) or the next x (b) with probability p; x* = 0 minimises f."""
        p = case["probability"]
        zero: Vector = [{} for _ in range(self.dim)]
        alone = p == 1 and case["variant"] == "b"
        x = self.fresh()
        v = x if alone else self.fresh()
        self.slope(zero, zero)
        here = self.slope(x) if alone else None
        after: list[list[Form]] = []
        for S in self.sketches:
            g = here if here is not None else self.slope(plus(v, image(S, plus(x, v, -1))))
            moved = plus(x, image(transposed(S), g), -self.gamma)
            jump = moved if case["variant"] == "b" else x
            square = inner(moved, moved)
            across = total((p, inner(moved, jump)), (1 - p, inner(moved, v)))
            after.append([square, across, total((p, inner(jump, jump)), (1 - p, inner(v, v)))])
        columns = [self._mean(list(column)) for column in zip(*after, strict=True)]
        names = ("x x", "x v", "v v")
        before = (inner(x, x), inner(x, v), inner(v, v))
        self.terms = list(zip(names, before, columns, strict=True))[: 1 if alone else 3]

    def _difference(self, case: dict[str, Any]) -> None:
        """Two iterates, as z = x - y, with a function for each sketch: phi less its tangent at S y, least there."""
        z, after = self.fresh(), []
        for group, S in enumerate(self.sketches):
            force = self._shifted(group, [image(S, z)])[0]
            moved = plus(z, image(transposed(S), force), -self.gamma)
            after.append(inner(moved, moved))
        self.terms.append(("|x - y|^2", inner(z, z), self._mean(after)))

    def _shifted(self, group: int, points: list[Vector]) -> list[Vector]:
        """Return the gradients at points of a function of its own that is least at 0."""
        zero: Vector = [{} for _ in range(self.dim)]
        self.slope(zero, zero, group)
        return [self.slope(point, None, group) for point in points]

    def _svrdsg(self, case: dict[str, Any]) -> None:
        """L-SVRDSG with the full anchor w, which moves to x with probability p, counted from the minimiser of f_D."""
        # There is a function for each sketch: phi less its tangent at the sketched minimiser.
        p, x, w = case["probability"], self.fresh(), self.fresh()
        forces = []
        for group, S in enumerate(self.sketches):
            gradients = self._shifted(group, [image(S, x), image(S, w)])
            forces.append([image(transposed(S), g) for g in gradients])
        anchor: Vector = [{} for _ in range(self.dim)]
        for weight, (_, old) in zip(self.weights, forces, strict=True):
            anchor = plus(anchor, old, weight)
        moved = [plus(x, plus(plus(new, old, -1), anchor), -self.gamma) for new, old in forces]
        squares = self._mean([inner(point, point) for point in moved])
        across = self._mean([total((p, inner(point, x)), (1 - p, inner(point, w))) for point in moved])
        noise, fresh = (self._mean([inner(pair[k], pair[k]) for pair in forces]) for k in (1, 0))
        self.terms = [
            ("x x", inner(x, x), squares),
            ("x w", inner(x, w), across),
            ("w w", inner(w, w), total((p, inner(x, x)), (1 - p, inner(w, w)))),
            ("noise", noise, total((p, fresh), (1 - p, noise))),
        ]

    def conditions(self) -> list[tuple[int, int, Form]]:
        """Return i, j and the form <w_j, x_i - x_j> + |w_i - w_j|^2/2, which is at most phi_i - phi_j of one function."""
        out = []
        for i in range(len(self.points)):
            for j in range(len(self.points)):
                if i != j and self.groups[i] == self.groups[j]:
                    change = plus(self.slopes[i], self.slopes[j], -1)
                    product = inner(self.slopes[j], plus(self.points[i], self.points[j], -1))
                    out.append((i, j, total((1, product), (Fraction(1, 2), inner(change, change)))))
        return out


def matrix_of(form: Form) -> list[list[Fraction]]:
    """Return the symmetric matrix of a form, without unknowns that it does not hold."""
    places = {key: place for place, key in enumerate(sorted({key for pair, value in form.items() if value for key in pair}))}
    out = [[Fraction(0)] * len(places) for _ in places]
    for (i, j), value in form.items():
        if value:
            out[places[i]][places[j]] += value / 2
            out[places[j]][places[i]] += value / 2
    return out


def is_positive_semidefinite(matrix: list[list[Fraction]]) -> bool:
    """Return whether a symmetric matrix is, by its LDL^T decomposition: no pivot below zero, zero ones in rows of zeros."""
    rows = [list(row) for row in matrix]
    for k in range(len(rows)):
        pivot = rows[k][k]
        if pivot < 0 or (pivot == 0 and any(rows[k][k:])):
            return False
        for i in range(k + 1, len(rows)) if pivot else ():
            share = rows[i][k] / pivot
            for j in range(k + 1, len(rows)) if share else ():
                rows[i][j] -= share * rows[k][j]
    return True


def lyapunov_matrix(coefficients: dict[str, Fraction]) -> list[list[Fraction]]:
    """Return the matrix of V in its points, less that of |x - x*|^2."""
    names = sorted({name for key in coefficients if " " in key and "-" not in key for name in key.split()}, key="xvw".index)
    out = [[Fraction(0)] * len(names) for _ in names]
    for key, value in coefficients.items():
        if " " in key and "-" not in key:
            i, j = (names.index(name) for name in key.split())
            out[i][j] += value / 2
            out[j][i] += value / 2
    if out:
        out[0][0] -= 1
    return out


def slack(step: Step, certificate: dict[str, Any]) -> Form:
    """Return rate*V - E V+ and the multipliers' forms, which must be positive semidefinite."""
    V, rate = certificate["lyapunov"], certificate["rate"]
    parts = [(V[name] * rate, before) for name, before, _ in step.terms]
    parts += [(-V[name], after) for name, _, after in step.terms]
    weights = certificate["multipliers"]
    parts += [(weights.get((i, j), Fraction(0)), form) for i, j, form in step.conditions()]
    return total(*parts)


def failures(certificate: dict[str, Any]) -> list[str]:
    """Return what is wrong with a certificate; nothing where it proves its rate."""
    step, found = Step(certificate["case"]), []
    flow = [Fraction(0)] * len(step.points)
    known = {(i, j) for i, j, _ in step.conditions()}
    for (i, j), weight in certificate["multipliers"].items():
        if (i, j) not in known:
            found.append(f"there is no condition ({i}, {j})")
        flow[i] += weight
        flow[j] -= weight
        if weight < 0:
            found.append(f"the multiplier of ({i}, {j}) is below zero")
    if any(flow):
        found.append("the values of phi do not cancel")
    if sum(step.weights) != 1 or any(weight < 0 for weight in step.weights):
        found.append("the weights are not probabilities")
    if not 0 <= step.mu <= 1 or step.gamma < 0:
        found.append("mu or the step size is outside its range")
    if certificate["lyapunov"].get("noise", Fraction(0)) < 0 or certificate["lyapunov"].get("|x - y|^2", Fraction(1)) != 1:
        found.append("V is not what it should be")
    if not is_positive_semidefinite(lyapunov_matrix(certificate["lyapunov"])):
        found.append("V is not at least |x - x*|^2")
    if not is_positive_semidefinite(matrix_of(slack(step, certificate))):
        found.append("the slack is not positive semidefinite")
    return found
