"""Exact moments of any method whose step is affine in its state, by listing every outcome of its draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mastsim.draws import Draw, outcomes
from mastsim.expected import Objective
from mastsim.linalg import outer, symmetric_part
from mastsim.methods import Method
from mastsim.methods.affine import implementation, require_affine, rules_of, steps_are_alike
from mastsim.moments.base import (
    Expectations,
    Form,
    Recursion,
    displaced,
    misplacement,
    needs_average,
    require_quadratic,
)
from mastsim.moments.probes import STEPS, probing_points
from mastsim.moments.second_moment_path import SecondMomentPath
from mastsim.recursions import AVERAGE
from mastsim.recursions.base import nonnegative_values
from mastsim.validation import instance, is_of_this_package

WORK_LIMIT = 1 << 28
TABLE_LIMIT = 1 << 22
_AGREE = 1024 * float(np.finfo(float).eps)
_FIXED_POINTS = 32


@dataclass(frozen=True, eq=False)
class EnumeratedRecursion(Recursion):
    """E ŝŝᵀ of the state with a 1 appended, ŝ⁺ = M_ω ŝ with probability w_ω; the maps M_ω are read off the method itself.

    Parameters
    ----------
    objective : Objective
        A quadratic.
    method : Method
        It must say that its step is affine, which is checked at random points near, far and on lines, for every outcome; a
        method or objective of one's own also at every step that is asked for.

    Raises
    ------
    ValueError
        If f is not quadratic, the method does not say that its step is affine or a point shows that
        it is not, its state is not made of vectors, or there are too many outcomes to list.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Bernoulli(1, 0.5))
    >>> chain = EnumeratedRecursion(F, ms.DSGD(0.25))
    >>> chain.run(np.ones(1), 2, [{("x", "x"): np.eye(1)}]).ravel()
    array([1.  , 0.5 , 0.25])
    """

    objective: Objective
    method: Method

    def __post_init__(self) -> None:
        require_quadratic(self.objective)
        instance("method", self.method, Method)
        require_affine(self.method)
        _ = self.table

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields of the state."""
        first = self.method.init(self.objective, self.objective.center[None])
        for name, value in zip(first._fields, first, strict=True):
            if np.shape(value) != (1, self.objective.dim) or not np.issubdtype(np.asarray(value).dtype, np.floating):
                raise ValueError(
                    f"{self.method.name} carries {name} of shape {np.shape(value)} and type {np.asarray(value).dtype} for "
                    f"one replica, but exact moments need vectors of floats of length {self.objective.dim}: a state with "
                    "counters or step sizes is not affine"
                )
        return tuple(first._fields)

    @property
    def size(self) -> int:
        """The length of the state with a 1 appended."""
        return len(self.fields) * self.objective.dim + 1

    @cached_property
    def center(self) -> np.ndarray:
        """The point that the method is drawn to: x_D*, or x* for methods that ignore the sketch or move it."""
        return self.method.target(self.objective)

    @cached_property
    def origin(self) -> np.ndarray:
        """The state from which states are counted: the center for points, zero for gradients."""
        zero = np.zeros(self.objective.dim)
        return np.concatenate([self.center if name in self.method.points else zero for name in self.fields])

    @cached_property
    def units(self) -> np.ndarray:
        """What one coordinate of the state counts: gradients in units of points over the step size."""
        d, gamma = self.objective.dim, self.method.rule.largest
        return np.repeat([1.0 if name in self.method.points else 1 / gamma for name in self.fields], d)

    @cached_property
    def table(self) -> np.ndarray:
        """E[M ⊗ M], shape (size², size²)."""
        size, (maps, weights) = self.size, self.maps
        pairs = np.einsum("n,nij,nkl->ikjl", weights, maps, maps, optimize=True)
        return np.asarray(pairs).reshape(size**2, size**2)

    @cached_property
    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """The affine map of every outcome of the first step, shape (outcomes, size, size), and its probability."""
        size = self.size
        if size**4 > TABLE_LIMIT:
            raise ValueError(f"a table of {size**4:.3g} numbers is not accepted: at most {TABLE_LIMIT} for exact moments")
        maps, weights = self._read(STEPS[0])
        if not self._is_of_this_package and self.alike:
            self._probe_later(maps, weights, STEPS[1:])
        return maps, weights

    @cached_property
    def alike(self) -> bool:
        """Whether every step is the same."""
        return steps_are_alike(self.method)

    @cached_property
    def _maps_of_steps(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """The maps of steps that are not alike, as they are asked for."""
        return {}

    def maps_at(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the affine map of every outcome of a step, shape (outcomes, size, size), and its probability."""
        if self.alike or step == STEPS[0]:
            return self.maps
        if step not in self._maps_of_steps:
            self._maps_of_steps[step] = self._read(step)
        return self._maps_of_steps[step]

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the maps of a step as they are read off the method, which is tried at other points as well."""
        size, wide = self.size, self.size - 1
        points = probing_points(wide, self.reach) * self.units
        starts = np.concatenate([np.zeros((1, wide)), np.diag(self.reach * self.units), points])
        ends, weights = self._ends(starts, number)
        maps = np.zeros((len(weights), size, size))
        maps[:, :wide, :wide] = (ends[1:size] - ends[0]).transpose(1, 2, 0) / (self.reach * self.units)
        maps[:, :wide, wide] = ends[0]
        maps[:, wide, wide] = 1.0
        self._compare(maps, points, ends[size:], number)
        if not self._is_of_this_package:
            self._probe_closer(maps, number)
        return maps, weights

    @property
    def _is_of_this_package(self) -> bool:
        # The package's own methods and objectives are known to take the number of a step for their step rule only.
        parts = (self.method, self.objective, *rules_of(self.method))
        return all(is_of_this_package(implementation(part)) for part in parts)

    @property
    def reach(self) -> float:
        """How far from the origin maps are read off."""
        points = (self.origin, self.objective.center, self.objective.problem.minimize().x)
        return 1.0 + max(float(np.abs(point).max()) for point in points)

    def _ends(self, starts: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where every start leads under every outcome, both counted from the origin, shape (starts, outcomes, ·)."""
        kind = type(self.method.init(self.objective, self.objective.center[None]))

        def step(rows: np.ndarray, draw: Draw) -> np.ndarray:
            state = kind(*np.split((self.origin + starts)[rows], len(self.fields), axis=1))
            after = self.method.step(state, self.objective, draw)
            if type(after) is not kind or any(np.shape(value) != (len(rows), self.objective.dim) for value in after):
                raise ValueError(f"a step of {self.method.name} returns another kind of state than it starts from")
            return np.concatenate(after, axis=1) - self.origin

        with np.errstate(all="ignore"):
            ends, weights = outcomes(step, len(starts), number, limit=max(WORK_LIMIT // self.size**4, 1))
        return ends.reshape(len(starts), len(weights), starts.shape[1]), weights

    def _probe_closer(self, maps: np.ndarray, number: int) -> None:
        """Refuse a method whose steps bend at and around points that an outcome does not move, where gradients vanish."""
        wide = self.size - 1
        chosen = maps[np.unique(np.linspace(0, len(maps) - 1, _FIXED_POINTS).round().astype(int))]
        pull = (np.eye(wide) - chosen[:, :wide, :wide]) * self.units
        still = np.einsum("nij,nj->ni", np.linalg.pinv(pull, rcond=1e-10), chosen[:, :wide, wide])
        around = probing_points(wide, 1e-3 * self.reach)[:4]
        starts = np.concatenate([still, *(still + away for away in around)]) * self.units
        self._compare(maps, starts, self._ends(starts, number)[0], number)

    @cached_property
    def _probed(self) -> set[int]:
        """The numbers of the steps that are known to be what the maps of the first say."""
        return set(STEPS)

    def _probe_all(self, steps: int) -> None:
        """Refuse a method of which any of its first `steps` steps is not what the maps of the first say."""
        if not self._is_of_this_package and self.alike:
            fresh = [number for number in range(steps) if number not in self._probed]
            self._probe_later(*self.maps, fresh)
            self._probed.update(fresh)

    def _probe_later(self, maps: np.ndarray, weights: np.ndarray, numbers: Sequence[int]) -> None:
        """Refuse a method whose later steps are not what the maps of the first say."""
        starts = probing_points(self.size - 1, self.reach)[:2] * self.units
        for number in numbers:
            ends, again = self._ends(starts, number)
            if not np.array_equal(again, weights):
                raise ValueError(f"{self.method.name} draws differently at step {number} than at step {STEPS[0]}: {_NEEDED}")
            self._compare(maps, starts, ends, number)

    def _compare(self, maps: np.ndarray, starts: np.ndarray, ends: np.ndarray, number: int) -> None:
        wide = self.size - 1
        linear, constant = maps[:, :wide, :wide] * self.units / self.units[:, None], maps[:, :wide, wide] / self.units
        inside = starts / self.units
        said = np.einsum("nij,sj->sni", linear, inside) + constant
        off = np.linalg.norm(ends / self.units - said, axis=2)
        size = (1 + self._stretch + np.linalg.norm(linear, axis=(1, 2))) * self.method.gradient_steps(self.objective)
        allowed = _AGREE * size * (np.linalg.norm(inside, axis=1)[:, None] + self.reach) + _AGREE * np.linalg.norm(
            constant, axis=1
        )
        bad = ~(off <= allowed)
        if bad.any():
            s, n = np.unravel_index(int(np.argmax(bad)), bad.shape)
            raise ValueError(
                f"{self.method.name} says that its step is affine, but from a point at distance "
                f"{np.linalg.norm(inside[s]):.3g} outcome {n} of step {number} leads {off[s, n]:.3g} away from where the "
                f"affine map read off near the center leads: {_NEEDED}"
            )

    def follow(self, x0: np.ndarray, steps: int, forms: list[Form]) -> Expectations:
        """Return the expectations of forms along the path from every `x0`; see `Recursion.follow`."""
        path = self._path(needs_average(forms))
        whole = [path.laid_out(form) for form in forms]

        @np.errstate(over="ignore", invalid="ignore")
        def rounding() -> np.ndarray:
            count = 1 if self.alike else max(traces.shape[-1] - 1, 1)
            rate = max(self.terms, *(self._amplification(t) for t in range(count)))
            bounds = path.rounding(traces, whole, rate, self.reach * math.sqrt(self.terms))
            return displaced(values, bounds, whole, self._misplaced, path.points, self.objective.dim)

        with np.errstate(over="ignore", invalid="ignore"):
            # One more form measures the traces of the second moments, in balanced units.
            counts = path.counts
            forms_and_trace = [*whole, np.diag(np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0))]
            found = self._expectations(
                path, np.asarray(x0, dtype=float), steps, np.stack([Q.ravel() for Q in forms_and_trace])
            )
            found = np.where(np.isfinite(found), found, np.inf)
            values, traces = found[..., :-1], np.abs(found[..., -1])
        return Expectations(nonnegative_values(values, rounding), rounding)

    def _path(self, averages: bool) -> SecondMomentPath:
        points = tuple(name in self.method.points for name in self.fields)
        names, dim = (*self.fields, AVERAGE) if averages else self.fields, self.objective.dim
        return SecondMomentPath(dim, names, points, self.units, self.after, self._mean_at, self.alike, averages)

    def _expectations(self, path: SecondMomentPath, x0: np.ndarray, steps: int, forms: np.ndarray) -> np.ndarray:
        """Return the expectations of forms, shape (forms, size²), along every path, shape (…, steps + 1, forms)."""
        self._probe_all(steps)
        first = np.concatenate(self.method.init(self.objective, x0.reshape(-1, x0.shape[-1])), axis=1) - self.origin
        start = np.pad(first.reshape(*x0.shape[:-1], -1), [(0, 0)] * (x0.ndim - 1) + [(0, 1)], constant_values=1.0)
        if path.averages:
            start = np.concatenate([start, start[..., : self.objective.dim]], axis=-1)
        second, out = outer(start, start), np.empty((*x0.shape[:-1], steps + 1, len(forms)))
        for t in range(steps + 1):
            out[..., t, :] = second.reshape(*x0.shape[:-1], -1) @ forms.T
            if t < steps:
                second = path.after(second, t)
        return out

    def after(self, second: np.ndarray, step: int = 0) -> np.ndarray:
        """Return E[M second Mᵀ], the second moments after step `step`, counted from 0, shape (…, size, size)."""
        if self.alike:
            moved = second.reshape(*second.shape[:-2], -1) @ self.table.T
            return symmetric_part(moved.reshape(second.shape))
        maps, weights = self.maps_at(step)
        return symmetric_part(np.einsum("n,nij,...jk,nlk->...il", weights, maps, second, maps, optimize=True))

    @cached_property
    def _misplaced(self) -> float:
        return misplacement(self.objective, self.method)

    @cached_property
    def terms(self) -> float:
        """The mean square of how large the terms of a step are beside the points: those of a map may cancel.

        It is E(1 + bs²)² for s = ‖S‖ and b = γL, with E s² ≤ d·L_D and E s⁴ ≤ L_S^max·E s²; times (1 + s)² where the point
        itself is sketched, as a method that is not known may do. Where a step is a cycle of gradient steps, each of them
        moves what the others add, no farther where they are non-expansive, and the model at the end may be sketched.
        """
        gamma, found, count = self.method.rule.largest, 0.0, self.method.gradient_steps(self.objective)
        whole = self.method.compresses_points or not self._is_of_this_package
        for node in self._nodes:
            square, bend = node.dim * node.sketch.L_D, (gamma * self.method.smoothness(node)) ** 2
            once = 2 * (1 + bend * node.sketch.L_max * square)
            if count > 1:
                calm = gamma * self.method.smoothness(node) * node.sketch.L_max <= 2
                once *= (1 + square) * (count**2 if calm else once ** (count - 1))
            found = max(found, once + (4 * (1 + bend) * square if whole else 0.0))
        return found

    @property
    def _nodes(self) -> Any:
        return getattr(self.objective, "clients", (self.objective,))

    @cached_property
    def _stretch(self) -> float:
        """How much a sketch may enlarge a vector, and its rounding."""
        return max(math.sqrt(node.sketch.L_max) for node in self._nodes)

    def _mean_at(self, step: int) -> np.ndarray:
        """Return E M of a step, shape (size, size)."""
        if self.alike:
            return self._mean
        maps, weights = self.maps_at(step)
        return np.asarray(np.tensordot(weights, maps, 1))

    @cached_property
    def _mean(self) -> np.ndarray:
        maps, weights = self.maps
        return np.asarray(np.tensordot(weights, maps, 1))

    def _amplification(self, step: int) -> float:
        """At least the sum of the sizes of the terms of E[M X Mᵀ] at a step, for ‖X‖ = 1 in balanced units."""
        maps, weights = self.maps_at(step)
        linear = maps[:, :-1, :-1] * self.units / self.units[:, None]
        return 1.0 + float(weights @ np.square(linear).sum(axis=(1, 2)))


_NEEDED = "exact moments need the same law of affine maps at every step and from every point"
