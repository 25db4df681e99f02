"""Lemmas 1-3: what f_D and f_S inherit from f."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.backend import Array, inner
from mastsim.sketches import SketchBatch
from mastsim.theorems.assumptions import CONVEX, SINGLE_NODE, SMOOTH, STRONGLY_CONVEX, UNBIASED, Assumption
from mastsim.theorems.base import Inequality, Sides


def norm(x: Array) -> Array:
    """Return Euclidean norms along the last axis."""
    return np.sqrt(inner(x, x))


class _Inheritance(Inequality):
    """Shared pieces of the three lemmas."""

    @cached_property
    def _matrices(self) -> tuple[np.ndarray, np.ndarray]:
        return self.objective.problem.upper_curvature.matrix, self.objective.curvature

    @cached_property
    def _sketched_spectra(self) -> np.ndarray | None:
        """λ_min, λ_max of SᵀAS and of SᵀS, shape (4, values); None when there are too many values of S."""
        objective = self.objective
        if objective.sketch.support_size * objective.dim**2 > 1 << 20:
            return None
        batch = objective.sketch.support()[0]
        S = np.asarray(batch.matrices())
        inherited = np.linalg.eigvalsh(S.transpose(0, 2, 1) @ self._matrices[0] @ S)
        return np.stack([inherited[:, 0], inherited[:, -1], *batch.square_norms()])

    @cached_property
    def _at_shift(self) -> tuple[float, float, float]:
        F = self.objective
        value, slope = float(F.problem.value(F.center)), np.asarray(F.problem.gradient(F.center))
        return abs(value) + abs(F.problem.lower_bound), float(np.linalg.norm(slope)), float(np.linalg.norm(F.center))

    def _value_size(self, x: Array, growth: Array) -> Array:
        """Size of the terms of a function value at `x`, when a sketch stretches squared lengths by `growth`."""
        (value, slope, v), stretch = self._at_shift, np.sqrt(np.maximum(growth, 1.0))
        far = stretch * norm(x - self.objective.center)
        return value + (slope + self.constants.L_f * far) * (far + v)

    def _slope_size(self, x: Array, y: Array, growth: Array) -> Array:
        """Size of the terms of two gradients, at `x` and at `y`."""
        (_, slope, v), stretch = self._at_shift, np.sqrt(np.maximum(growth, 1.0))
        far = stretch * (norm(x - self.objective.center) + norm(y - self.objective.center))
        return 2 * stretch * (slope + self.constants.L_f * (far + v))

    def _sketched_change(self, x: Array, y: Array, batch: SketchBatch) -> Array:
        return self.objective.sketched_gradient(x, batch) - self.objective.sketched_gradient(y, batch)

    def _change(self, x: Array, y: Array) -> Array:
        return self.objective.gradient(x) - self.objective.gradient(y)

    def _excess(self, x: Array) -> Array:
        """Return f_D(x) − f(x)."""
        return self.objective.value(x) - self.objective.problem.value(x)


class Lemma1(_Inheritance):
    """Smoothness is inherited: f_S by L_S·L_f, f_D by L_D·L_f, and f_D exceeds f by at most a quadratic.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> Lemma1(F).spectral_sides("f_D is smooth")
    Sides(left=2.0, right=2.0, scale=2.0)
    """

    id = "lemma1"
    title = "Lemma 1 (smoothness)"
    source = "MAST (arXiv 2311.16086), Lemma 1"
    statement = (
        r"f_S \text{ is } L_S L_f\text{-smooth},\ f_D \text{ is } L_D L_f\text{-smooth},\ "
        r"f_D(x) \le f(x) + \tfrac12 (L_D - 1) L_f \|x - v\|^2"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, SMOOTH)
    constants_used = ("L_f", "L_D")
    parts = ("f_S is smooth", "f_D is smooth", "f_D is near f")

    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides of a part at pairs of points."""
        F, c = self.objective, self.constants
        if part == "f_S is smooth":
            L_S = batch.square_norms()[1]
            left = norm(self._sketched_change(x, y, batch))
            return Sides(left, L_S * c.L_f.value * norm(x - y), self._slope_size(x, y, L_S))
        if part == "f_D is smooth":
            return Sides(norm(self._change(x, y)), c.L_D * c.L_f * norm(x - y), self._slope_size(x, y, c.L_D.value))
        allowed = 0.5 * max(c.L_D - 1, 0.0) * c.L_f * norm(x - F.center) ** 2
        return Sides(np.maximum(self._excess(x), 0.0), allowed, self._value_size(x, c.L_D.value))

    def spectral_sides(self, part: str) -> Sides | None:
        """Return sides that decide a part for all points at once on a quadratic."""
        if not self.objective.problem.is_quadratic:
            return None
        A, H = self._matrices
        c = self.constants
        if part == "f_S is smooth":
            spectra = self._sketched_spectra
            if spectra is None:
                return None
            return Sides(spectra[1], spectra[3] * c.L_f.value, spectra[3] * c.L_f.value)
        scale = c.L_D * c.L_f
        if part == "f_D is smooth":
            return Sides(float(np.linalg.eigvalsh(H)[-1]), scale, scale)
        return Sides(max(float(np.linalg.eigvalsh(H - A)[-1]), 0.0), max(c.L_D - 1, 0.0) * c.L_f, scale)


class Lemma2(_Inheritance):
    """Convexity is inherited, and f_D is nowhere below f.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> Lemma2(F).spectral_sides("f_D is convex")
    Sides(left=0.0, right=2.0, scale=2.0)
    """

    id = "lemma2"
    title = "Lemma 2 (convexity)"
    source = "MAST (arXiv 2311.16086), Lemma 2"
    statement = r"f \text{ convex} \Rightarrow f_S, f_D \text{ convex and } f_D \ge f"
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, SMOOTH, CONVEX)
    constants_used = ()
    parts = ("f_S is convex", "f_D is convex", "f_D is above f")

    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides of a part at pairs of points (midpoint convexity for the first two)."""
        F = self.objective
        if part == "f_D is above f":
            floor, size = F.problem.lower_bound, self._value_size(x, self.constants.L_D.value)
            return Sides(np.maximum(F.problem.value(x) - floor, 0.0), F.value(x) - floor, size)
        if part == "f_D is convex":
            return self._bend(F.value, x, y, self.constants.L_D.value)
        return self._bend(lambda point: F.sketched_value(point, batch), x, y, batch.square_norms()[1])

    def _bend(self, value: Callable[[Array], Array], x: Array, y: Array, growth: Array) -> Sides:
        """Say midpoint convexity as 0 ≤ ½value(x) + ½value(y) − value(½x + ½y)."""
        bend = 0.5 * (value(x) + value(y)) - value(0.5 * (x + y))
        return Sides(np.zeros_like(bend), bend, self._value_size(x, growth) + self._value_size(y, growth))

    def spectral_sides(self, part: str) -> Sides | None:
        """Return sides that decide a part for all points at once on a quadratic."""
        if not self.objective.problem.is_quadratic:
            return None
        A, H = self._matrices
        if part == "f_D is above f":
            return Sides(_largest_ratio(A, H), 1.0, 1.0)
        if part == "f_D is convex":
            spectrum = np.linalg.eigvalsh(H)
            return Sides(0.0, float(spectrum[0]), float(spectrum[-1]))
        spectra = self._sketched_spectra
        return None if spectra is None else Sides(np.zeros_like(spectra[0]), spectra[0], spectra[1])


class Lemma3(_Inheritance):
    """Strong convexity is inherited: f_S by μ_S·μ_f, f_D by μ_D·μ_f, and f_D exceeds f by at least a quadratic.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> Lemma3(F).spectral_sides("f_D is strongly convex")
    Sides(left=2.0, right=2.0, scale=2.0)
    """

    id = "lemma3"
    title = "Lemma 3 (strong convexity)"
    source = "MAST (arXiv 2311.16086), Lemma 3"
    statement = (
        r"f_S \text{ is } \mu_S \mu_f\text{-convex},\ f_D \text{ is } \mu_D \mu_f\text{-convex},\ "
        r"f_D(x) \ge f(x) + \tfrac12 (\mu_D - 1) \mu_f \|x - v\|^2"
    )
    assumptions: ClassVar[tuple[Assumption, ...]] = (SINGLE_NODE, UNBIASED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("mu_f", "mu_D")
    parts = ("f_S is strongly convex", "f_D is strongly convex", "f_D is far above f")

    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides of a part at pairs of points."""
        F, c = self.objective, self.constants
        apart = norm(x - y)
        if part == "f_S is strongly convex":
            mu_S, L_S = batch.square_norms()
            growth = inner(self._sketched_change(x, y, batch), x - y)
            return Sides(mu_S * c.mu_f.value * apart**2, growth, self._slope_size(x, y, L_S) * apart)
        if part == "f_D is strongly convex":
            growth = inner(self._change(x, y), x - y)
            return Sides(c.mu_D * c.mu_f * apart**2, growth, self._slope_size(x, y, c.L_D.value) * apart)
        least = 0.5 * max(c.mu_D - 1, 0.0) * c.mu_f * norm(x - F.center) ** 2
        return Sides(least, self._excess(x), self._value_size(x, c.L_D.value))

    def spectral_sides(self, part: str) -> Sides | None:
        """Return sides that decide a part for all points at once on a quadratic."""
        if not self.objective.problem.is_quadratic:
            return None
        A, H = self._matrices
        c = self.constants
        scale = c.L_D * c.L_f
        if part == "f_D is strongly convex":
            return Sides(c.mu_D * c.mu_f, float(np.linalg.eigvalsh(H)[0]), scale)
        if part == "f_D is far above f":
            return Sides(max(c.mu_D - 1, 0.0) * c.mu_f, float(np.linalg.eigvalsh(H - A)[0]), scale)
        spectra = self._sketched_spectra
        if spectra is None:
            return None
        return Sides(spectra[2] * c.mu_f.value, spectra[0], spectra[3] * c.L_f.value)


def _largest_ratio(A: np.ndarray, H: np.ndarray) -> float:
    """Return sup zᵀAz / zᵀHz over the range of H, where an excess over 1 that H − A ⪰ 0 rules out is rounding."""
    spectrum, basis = np.linalg.eigh(H)
    live = spectrum > 1e-13 * max(spectrum[-1], 0.0)
    if not live.any():
        return 0.0
    root = basis[:, live] / np.sqrt(spectrum[live])
    ratio = float(np.linalg.eigvalsh(root.T @ A @ root)[-1])
    dominated = np.linalg.eigvalsh(H - A)[0] >= -1e-14 * len(H) * spectrum[-1]
    return min(ratio, 1.0) if dominated else ratio
