"""Decisions about theorems that are inequalities: by spectra for all points, or exactly at chosen points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.backend import Streams, asnumpy
from mastsim.expected import Mast
from mastsim.sketches import SketchBatch
from mastsim.theorems import Inequality
from mastsim.theorems.base import Sides
from mastsim.verification.verdict import ROUNDING, Outcome, Verdict

_NOISE = 1e-12


@dataclass(frozen=True, eq=False)
class Probes:
    """Pairs of points, and a sketch for each, at which an inequality is tried.

    Parameters
    ----------
    x, y : ndarray, shape (points, dim)
        The pairs.
    batch : SketchBatch
        One sketch a pair.
    """

    x: np.ndarray
    y: np.ndarray
    batch: SketchBatch


def probe(objective: Mast, points: int, seed: int) -> Probes:
    """Return points around the minimisers and the shift, near and far, with partners along extreme curvature.

    Parameters
    ----------
    objective : Mast
        The objective.
    points : int
        Number of pairs, at least 4.
    seed : int
        Seed of the random directions.
    """
    streams, d = Streams(seed), objective.dim
    u = streams.uniform("probe", 0, np.arange(points), 2 * d + objective.sketch.uniforms)
    anchors = np.stack([objective.center, objective.problem.minimize().x, objective.minimize().x])
    spread = 1.0 + float(np.linalg.norm(anchors - objective.center, axis=1).max())
    radii = spread * 10.0 ** np.linspace(-3, 1, points)
    x = anchors[np.arange(points) % 3] + radii[:, None] * (2 * u[:, :d] - 1) / np.sqrt(d)
    directions = np.linalg.eigh(objective.curvature)[1].T
    extreme = directions[np.where(np.arange(points) % 2, 0, -1)]
    wild = (2 * u[:, d : 2 * d] - 1) / np.sqrt(d)
    step = np.where((np.arange(points) % 4 < 2)[:, None], extreme, wild)
    return Probes(x, x + radii[::-1, None] * step, objective.sketch.from_uniforms(u[:, 2 * d :]))


def decide_inequality(theorem: Inequality, points: int = 24, seed: int = 0) -> Verdict:
    """Decide all parts of an inequality on its objective.

    Parameters
    ----------
    theorem : Inequality
        The theorem, with its objective.
    points : int, default 24
        Pairs of points tried where no spectrum decides.
    seed : int, default 0
        Seed of those points.

    Returns
    -------
    Verdict
        Tier ``exact`` when every part is decided for all points at once, otherwise ``exact at points``.
    """
    worst, witness, everywhere = -np.inf, "", True
    probes: Probes | None = None
    for part in theorem.parts:
        sides = theorem.spectral_sides(part)
        if sides is None:
            probes = probe(theorem.objective, points, seed) if probes is None else probes
            sides, everywhere = theorem.sides(part, probes.x, probes.y, probes.batch), False
        ratios = ratio(sides)
        top = int(np.argmax(ratios))
        if ratios.flat[top] > worst:
            worst = float(ratios.flat[top])
            witness = part if ratios.ndim == 0 else f"{part}, probe {top} of seed {seed}"
    F = theorem.objective
    return Verdict(
        theorem=theorem.id,
        title=theorem.title,
        source=theorem.source,
        problem=F.problem.name,
        sketch=f"{F.sketch.name}, v {'≠' if F.center.any() else '='} 0",
        method="",
        tier="exact" if everywhere else "exact at points",
        verdict=outcome(worst),
        expected="refuted" if theorem.status == "refuted as published" else "holds",
        max_ratio=worst,
        witness=witness,
        scope="every point" if everywhere else f"{points} pairs of points",
    )


def ratio(sides: Sides) -> np.ndarray:
    """Return left/right, where both count as equal within the rounding of what they were computed from."""
    left, right, scale = (asnumpy(side) for side in sides)
    noise = _NOISE * scale + np.finfo(float).tiny
    return np.asarray(left / np.maximum(right + noise, np.finfo(float).tiny))


def outcome(worst: float) -> Outcome:
    """Return the decision that an exact largest ratio implies."""
    return "holds" if worst <= 1 + ROUNDING else "refuted"
