"""What a trial decided, theorem by theorem: verdicts with those on false variants, their strip, and the curves to draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.request import AXIS_LABELS
from mastsim.svg import Mark, curves, strip
from mastsim.theorems import ALL, Theorem
from mastsim.verification.verdict import Verdict


@dataclass(frozen=True)
class Group:
    """The verdicts on a theorem and on its false variants.

    Parameters
    ----------
    id : str
        The theorem's id.
    kind : type of Theorem or None
        Its record, where it is known.
    verdicts : tuple of Verdict
        All of them, in the order of the trial.
    """

    id: str
    kind: type[Theorem] | None
    verdicts: tuple[Verdict, ...]

    @property
    def title(self) -> str:
        """The theorem's title; that of the first verdict where the record is unknown."""
        return self.verdicts[0].title if self.kind is None else self.kind.title

    @cached_property
    def claims(self) -> list[Verdict]:
        """The verdicts on the theorem itself."""
        return [v for v in self.verdicts if v.theorem == self.id]

    @cached_property
    def variants(self) -> list[Verdict]:
        """The verdicts on its false variants."""
        return [v for v in self.verdicts if v.theorem != self.id]

    @property
    def tightest(self) -> Verdict | None:
        """Where the theorem came nearest to its bound without being refuted, exactly if anything was decided so."""
        held = [v for v in self.claims if v.verdict != "refuted"]
        exact = [v for v in held if not sampled(v)]
        return max(exact or held, key=lambda v: v.max_ratio, default=None)

    def strip(self, verdicts: Sequence[Verdict]) -> str:
        """Return the tightness of some verdicts as a strip in SVG."""
        marks = [Mark(v.max_ratio, _shape(v), f"{v.max_ratio:.4g}: {v.words}, {v.tier}; {where(v)}") for v in verdicts]
        return strip(marks, f"{self.title}: largest left/right of {len(marks)} verdicts; 1 means that the bound is attained")

    def drawn(self) -> list[tuple[Verdict, str]]:
        """Return the telling verdicts with their chart: the tightest exact one, replicas, what is refuted."""
        exact = _drawable(v for v in self.claims if v.verdict == "holds" and not sampled(v))
        replicas = _drawable(v for v in self.claims if v.verdict == "holds" and sampled(v))
        refuted = _drawable(v for v in self.claims if v.verdict == "refuted")
        chosen = [max(those, key=_long_and_tight) for those in (exact, replicas, refuted) if those]
        variants = _drawable(v for v in self.variants if v.verdict == "refuted")
        # The faintest fault that is still seen says most.
        chosen += [min(variants, key=lambda v: v.max_ratio)] if variants else []
        return [(v, _chart(v)) for v in chosen]


def grouped(verdicts: Sequence[Verdict], also: Sequence[type[Theorem]] = ()) -> list[Group]:
    """Return verdicts by theorem, in the order in which they come.

    Parameters
    ----------
    verdicts : sequence of Verdict
        What was decided.
    also : sequence of type of Theorem, default ()
        Records that are not in the registry.

    Examples
    --------
    >>> grouped([])
    []
    """
    known = {kind.id: kind for kind in (*ALL, *also)}
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        root = verdict.theorem.split("/")[0]
        found.setdefault(root if root in known else verdict.theorem, []).append(verdict)
    return [Group(name, known.get(name), tuple(group)) for name, group in found.items()]


def sampled(verdict: Verdict) -> bool:
    """Return whether a verdict comes from replicas."""
    return verdict.tier.startswith("Monte Carlo")


def where(verdict: Verdict) -> str:
    """Return the instance of a verdict, and where on it the largest left/right was found, in words."""
    return "; ".join(text for text in (verdict.problem, verdict.sketch, verdict.method, verdict.witness) if text)


def _drawable(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return [v for v in verdicts if v.curve is not None and np.isfinite(v.curve.measured).all()]


def _long_and_tight(verdict: Verdict) -> tuple[bool, float]:
    return verdict.curve is not None and len(verdict.curve.steps) > 2, verdict.max_ratio


def _shape(verdict: Verdict) -> str:
    return "refuted" if verdict.verdict == "refuted" else "sampled" if sampled(verdict) else "exact"


def _chart(verdict: Verdict) -> str:
    assert verdict.curve is not None
    curve, label = verdict.curve, AXIS_LABELS.get(verdict.measure, verdict.measure)
    name = f"{verdict.title}: bound and what was measured, {verdict.words}, {verdict.tier}"
    return curves(curve.steps, curve.measured, curve.bound, curve.band, label, name)
