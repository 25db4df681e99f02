"""Decisions about theorems that are inequalities: by spectra for all points, or exactly at chosen points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mastsim.backend import Streams, asnumpy
from mastsim.expected import Mast, Objective
from mastsim.sketches import SketchBatch
from mastsim.theorems import Inequality, Theorem
from mastsim.theorems.base import Sides
from mastsim.theorems.leniency import lenient
from mastsim.validation import instance, integer
from mastsim.verification.tolerances import ROUNDING, SIDE_ROUNDING, ZERO_SIDE
from mastsim.verification.verdict import Outcome, Reason, Verdict


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
    """Return points around the minimisers and the shift, near and far, with partners along extreme curvature."""
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
    found = [_decided(theorem, part, sides, probes, f"probe {{}} of seed {seed}") for part, sides in spectral.items()]
    worst = max(found, key=lambda each: (_SEVERITY.index((each.outcome, each.reason)), each.ratio))
    F = theorem.objective
    return Verdict(
        theorem=theorem.id,
        title=theorem.title,
        source=theorem.source,
        problem=F.problem.name,
        sketch=F.sketch_name,
        method="",
        tier="exact" if everywhere else "exact at points",
        verdict=worst.outcome,
        reason=worst.reason,
        expected=expected_outcome(theorem),
        max_ratio=worst.ratio,
        witness=worst.witness,
        scope=theorem.speaks_of if everywhere else f"{points} pairs of points",
    )


_SEVERITY: list[tuple[Outcome, Reason]] = [
    ("holds", ""),
    ("inconclusive", "rounding"),
    ("inconclusive", "not a number"),
    ("refuted", ""),
]


class _Part(NamedTuple):
    """What was decided about a part, and where its sides are closest to the opposite."""

    outcome: Outcome
    reason: Reason
    ratio: float
    witness: str


def _decided(theorem: Inequality, part: str, everywhere: Sides | None, probes: Probes | None, name: str) -> _Part:
    """Decide a part for all points at once where that is possible, otherwise at the probes."""

    def both(claim: Inequality) -> Sides:
        if everywhere is not None:
            sides = claim.spectral_sides(part)
            assert sides is not None
            return sides
        assert probes is not None
        return claim.sides(part, probes.x, probes.y, probes.batch)

    stated = both(theorem) if everywhere is None else everywhere
    ratios = ratio(stated)
    confirmed, unknown = _confirmed(stated), np.isnan(ratios)
    refuted = np.zeros_like(confirmed)
    if not confirmed.all():
        # Sides that were not confirmed are computed once more, with all constants moved by their errors.
        refuted = ~unknown & ~confirmed & _exceeds(both(lenient(theorem)), theorem.uncertainty(part))
    outcome: Outcome = "refuted" if refuted.any() else "holds" if confirmed.all() else "inconclusive"
    among = refuted if refuted.any() else unknown if unknown.any() else ~confirmed if not confirmed.all() else confirmed
    top = int(np.argmax(np.where(among, np.where(np.isnan(ratios), np.inf, ratios), -np.inf)))
    where = "value {} of S" if everywhere is not None else name
    reason: Reason = "" if outcome != "inconclusive" else "not a number" if unknown.any() else "rounding"
    witness = f"{part}, {where.format(top)}" if ratios.ndim else part
    return _Part(outcome, reason, float(ratios.flat[top]), witness)


def _confirmed(sides: Sides) -> np.ndarray:
    """Return where left ≤ right, the right side enlarged by 1e-9 of itself at most."""
    left, right, scale = (np.asarray(asnumpy(side), dtype=float) for side in sides)
    with np.errstate(invalid="ignore"):
        by_size = left <= np.where(right > 0, right * (1 + ROUNDING), right)
        by_sign = (left <= ZERO_SIDE * scale) & (right >= -np.where(left == 0, SIDE_ROUNDING, ZERO_SIDE) * scale)
        return np.asarray((by_size | by_sign) & ~np.isnan(left) & ~np.isnan(right))


def _exceeds(sides: Sides, uncertainty: float) -> np.ndarray:
    """Return where left exceeds right by more than rounding and what the sides may be off."""
    left, right, scale = (np.asarray(asnumpy(side), dtype=float) for side in sides)
    with np.errstate(invalid="ignore"):
        allowed = np.where(right > 0, right * (1 + ROUNDING), right) + SIDE_ROUNDING * scale + np.finfo(float).tiny
        return np.asarray(left - uncertainty > allowed)


def ratio(sides: Sides) -> np.ndarray:
    """Return left/right, where both count as equal within the rounding of what they were computed from.

    A negative right side is never met: its ratio is infinite.
    """
    left, right, scale = (asnumpy(side) for side in sides)
    allowed = np.asarray(right + SIDE_ROUNDING * scale + np.finfo(float).tiny)
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
    return "refuted" if theorem.status == "refuted as quoted" else "holds"
