"""Lemmas 1-3: what f_D and f_S inherit from f."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

import numpy as np

from mastsim.backend import Array, inner
from mastsim.sketches import SketchBatch
from mastsim.theorems.base import CONVEX, SMOOTH, STRONGLY_CONVEX, UNBIASED, Assumption, Inequality, Sides


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
        """Per value of S: λ_min, λ_max of SᵀAS and of SᵀS, shape (values, 4); None when there are too many."""
        objective = self.objective
        if objective.sketch.support_size * objective.dim**2 > 1 << 20:
            return None
        batch = objective.sketch.support()[0]
        S = np.asarray(batch.matrices())
        inherited = np.linalg.eigvalsh(S.transpose(0, 2, 1) @ self._matrices[0] @ S)
        least, largest = batch.square_norms()
        return np.column_stack([inherited[:, 0], inherited[:, -1], least, largest])

    def _sketched_change(self, x: Array, y: Array, batch: SketchBatch) -> tuple[Array, Array]:
        here, there = self.objective.sketched_gradient(x, batch), self.objective.sketched_gradient(y, batch)
        return here - there, norm(here) + norm(there)

    def _above_floor(self, left: Array, right: Array, more_left: Array, more_right: Array) -> Sides:
        floor = self.objective.problem.lower_bound
        scale = np.abs(left) + np.abs(right) + abs(floor) + more_left + more_right
        return Sides(left - floor + more_left, right - floor + more_right, scale)

    def _midpoint(self, value: Callable[[Array], Array], x: Array, y: Array) -> Sides:
        return self._above_floor(value(0.5 * (x + y)), 0.5 * (value(x) + value(y)), 0.0, 0.0)


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
    assumptions: ClassVar[tuple[Assumption, ...]] = (UNBIASED, SMOOTH)
    constants_used = ("L_f", "L_D")
    parts = ("f_S is smooth", "f_D is smooth", "f_D is near f")

    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides of a part at pairs of points."""
        F, c = self.objective, self.constants
        if part == "f_S is smooth":
            change, size = self._sketched_change(x, y, batch)
            return Sides(norm(change), batch.square_norms()[1] * c.L_f.value * norm(x - y), size)
        if part == "f_D is smooth":
            here, there = F.gradient(x), F.gradient(y)
            return Sides(norm(here - there), c.L_D * c.L_f * norm(x - y), norm(here) + norm(there))
        excess = 0.5 * (c.L_D - 1) * c.L_f * norm(x - F.center) ** 2
        return self._above_floor(F.value(x), F.problem.value(x), 0.0, excess)

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
            worst = int(np.argmax(spectra[:, 1] - spectra[:, 3] * c.L_f))
            return Sides(float(spectra[worst, 1]), float(spectra[worst, 3] * c.L_f), c.L_S_max * c.L_f)
        scale = c.L_D * c.L_f
        if part == "f_D is smooth":
            return Sides(float(np.linalg.eigvalsh(H)[-1]), scale, scale)
        return Sides(max(float(np.linalg.eigvalsh(H - A)[-1]), 0.0), (c.L_D - 1) * c.L_f, scale)


class Lemma2(_Inheritance):
    """Convexity is inherited, and f_D is nowhere below f.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> Lemma2(F).spectral_sides("f_D is above f")
    Sides(left=0.5, right=1.0, scale=1.0)
    """

    id = "lemma2"
    title = "Lemma 2 (convexity)"
    source = "MAST (arXiv 2311.16086), Lemma 2"
    statement = r"f \text{ convex} \Rightarrow f_S, f_D \text{ convex and } f_D \ge f"
    assumptions: ClassVar[tuple[Assumption, ...]] = (UNBIASED, SMOOTH, CONVEX)
    constants_used = ()
    parts = ("f_S is convex", "f_D is convex", "f_D is above f")

    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides of a part at pairs of points (midpoint convexity for the first two)."""
        F = self.objective
        if part == "f_D is above f":
            return self._above_floor(F.problem.value(x), F.value(x), 0.0, 0.0)
        if part == "f_D is convex":
            return self._midpoint(F.value, x, y)
        return self._midpoint(lambda point: F.sketched_value(point, batch), x, y)

    def spectral_sides(self, part: str) -> Sides | None:
        """Return sides that decide a part for all points at once on a quadratic."""
        if not self.objective.problem.is_quadratic:
            return None
        A, H = self._matrices
        if part == "f_D is above f":
            return Sides(_largest_ratio(A, H), 1.0, 1.0)
        if part == "f_D is convex":
            return _nonnegative(np.linalg.eigvalsh(H))
        spectra = self._sketched_spectra
        return None if spectra is None else _nonnegative(spectra[int(np.argmin(spectra[:, 0])), :2])


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
    assumptions: ClassVar[tuple[Assumption, ...]] = (UNBIASED, SMOOTH, STRONGLY_CONVEX)
    constants_used = ("mu_f", "mu_D")
    parts = ("f_S is strongly convex", "f_D is strongly convex", "f_D is far above f")

    def sides(self, part: str, x: Array, y: Array, batch: SketchBatch) -> Sides:
        """Return both sides of a part at pairs of points."""
        F, c = self.objective, self.constants
        if part == "f_S is strongly convex":
            change, size = self._sketched_change(x, y, batch)
            least = batch.square_norms()[0] * c.mu_f.value * norm(x - y) ** 2
            return Sides(least, inner(change, x - y), size * norm(x - y))
        if part == "f_D is strongly convex":
            here, there = F.gradient(x), F.gradient(y)
            size = (norm(here) + norm(there)) * norm(x - y)
            return Sides(c.mu_D * c.mu_f * norm(x - y) ** 2, inner(here - there, x - y), size)
        least = 0.5 * (c.mu_D - 1) * c.mu_f * norm(x - F.center) ** 2
        return self._above_floor(F.problem.value(x), F.value(x), least, 0.0)

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
            return Sides((c.mu_D - 1) * c.mu_f, float(np.linalg.eigvalsh(H - A)[0]), scale)
        spectra = self._sketched_spectra
        if spectra is None:
            return None
        worst = int(np.argmin(spectra[:, 0] - spectra[:, 2] * c.mu_f))
        return Sides(float(spectra[worst, 2] * c.mu_f), float(spectra[worst, 0]), c.L_S_max * c.L_f)


def _nonnegative(spectrum: np.ndarray) -> Sides:
    """Say λ_min ≥ 0 as λ_max − λ_min ≤ λ_max."""
    least, largest = float(spectrum[0]), float(spectrum[-1])
    return Sides(largest - least, largest, largest)


def _largest_ratio(A: np.ndarray, H: np.ndarray) -> float:
    """Return sup zᵀAz / zᵀHz over the range of H."""
    spectrum, basis = np.linalg.eigh(H)
    live = spectrum > 1e-13 * max(spectrum[-1], 0.0)
    root = basis[:, live] / np.sqrt(spectrum[live])
    return float(np.linalg.eigvalsh(root.T @ A @ root)[-1]) if live.any() else 0.0
