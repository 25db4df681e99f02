"""Decisions about theorems that are inequalities: by spectra for all points, or exactly at chosen points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.backend import Streams, asnumpy
from mastsim.expected import Mast, Objective
from mastsim.sketches import SketchBatch
from mastsim.theorems import Inequality, Theorem
from mastsim.theorems.base import Sides
from mastsim.validation import instance, integer
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
    integer("points", points, 4)
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
        Pairs of points tried where no spectrum decides, at least 4.
    seed : int, default 0
        Seed of those points.

    Returns
    -------
    Verdict
        Tier ``exact`` when every part is decided for all points at once, otherwise ``exact at points``.

    Raises
    ------
    ValueError
        If f_D is only estimated.
    """
    instance("theorem", theorem, Inequality)
    integer("points", points, 4)
    integer("seed", seed, 0, 2**64 - 1)
    require_exact(theorem.objective)
    spectral = {part: theorem.spectral_sides(part) for part in theorem.parts}
    everywhere = all(sides is not None for sides in spectral.values())
    probes = None if everywhere else probe(theorem.objective, points, seed)
    tops, witnesses = [], []
    for part, sides in spectral.items():
        where = "value {} of S" if sides is not None else f"probe {{}} of seed {seed}"
        if sides is None:
            assert probes is not None
            sides = theorem.sides(part, probes.x, probes.y, probes.batch)
        ratios = ratio(sides)
        top = most_telling(ratios)
        tops.append(float(ratios.flat[top]))
        witnesses.append(f"{part}, {where.format(top)}" if ratios.ndim else part)
    worst = most_telling(np.array(tops))
    F = theorem.objective
    return Verdict(
        theorem=theorem.id,
        title=theorem.title,
        source=theorem.source,
        problem=F.problem.name,
        sketch=F.sketch_name,
        method="",
        tier="exact" if everywhere else "exact at points",
        verdict=outcome(tops[worst]),
        expected=expected_outcome(theorem),
        max_ratio=tops[worst],
        witness=witnesses[worst],
        scope=theorem.speaks_of if everywhere else f"{points} pairs of points",
    )


def most_telling(ratios: np.ndarray) -> int:
    """Return where the largest ratio is; a ratio that is not known (NaN) goes before all that refute nothing."""
    unknown = np.isnan(ratios)
    known = np.where(unknown, -np.inf, ratios)
    top = int(np.argmax(known))
    return top if not unknown.any() or outcome(float(known.flat[top])) == "refuted" else int(np.argmax(unknown))


def ratio(sides: Sides) -> np.ndarray:
    """Return left/right, where both count as equal within the rounding of what they were computed from.

    A negative right side is never met: its ratio is infinite.
    """
    left, right, scale = (asnumpy(side) for side in sides)
    allowed = np.asarray(right + _NOISE * scale + np.finfo(float).tiny)
    return np.where(allowed <= 0, np.inf, left / np.where(allowed <= 0, 1.0, allowed))


def require_exact(objective: Objective) -> None:
    """Refuse an objective whose f_D is only estimated: an estimate can neither confirm nor refute."""
    how = objective.evaluation
    if how.tier != "exact":
        raise ValueError(
            f"f_D is only estimated for {objective.name} ({how.name}: {how.reason}), and an estimate can neither confirm "
            "nor refute; use a quadratic f, a mask, or a sketch with few values"
        )


def expected_outcome(theorem: Theorem) -> Outcome:
    """Return what the registry expects of a theorem."""
    return "refuted" if theorem.status == "refuted as published" else "holds"


def outcome(worst: float) -> Outcome:
    """Return the decision that an exact largest ratio implies; NaN, where a side could not be computed, decides nothing."""
    if np.isnan(worst):
        return "inconclusive"
    return "holds" if worst <= 1 + ROUNDING else "refuted"
