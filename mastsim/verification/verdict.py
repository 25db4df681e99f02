"""A verdict: what was decided about a theorem on one instance, at which tier of truth, with the numbers."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mastsim.documents import dumps
from mastsim.frames import to_frame
from mastsim.markup import coloured, html_table
from mastsim.readonly import ReadOnly
from mastsim.request import AXIS_LABELS
from mastsim.theorems import ALL
from mastsim.typesetting import typeset

Outcome = Literal["holds", "refuted", "inconclusive"]
Reason = Literal["", "rounding", "a part", "not a number"]
"""Why an exact trial is inconclusive: an excess, or a doubt, within the stated errors; only a part of what is bounded was
measured, and that is below the bound; a side could not be computed."""
Tier = Literal["exact", "exact at points", "Monte Carlo", "Monte Carlo, asymptotic"]


@dataclass(frozen=True, eq=False)
class Curve(ReadOnly):
    """A measured left side beside the claimed right side, for plots.

    Parameters
    ----------
    steps : ndarray of int, shape (records,)
        The steps.
    measured, bound : ndarray, shape (records,)
        Left and right side.
    band : ndarray, shape (2, records), optional
        Two standard errors below and above `measured`, for the eye only; None when it is exact.
    """

    steps: np.ndarray
    measured: np.ndarray
    bound: np.ndarray
    band: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was decided about a theorem on one instance.

    Parameters
    ----------
    theorem, title, source : str
        The theorem's id, title and source.
    problem, sketch, method : str
        The instance, in words; `method` is empty for theorems about no method.
    tier : str
        ``exact`` (by closed form, enumeration or recursion, up to rounding, for all that `scope` names),
        ``exact at points`` (the same, at finitely many points), ``Monte Carlo`` (wrong with probability at most `alpha`,
        whatever the sample size), or ``Monte Carlo, asymptotic`` (the same up to the central limit theorem).
    verdict : {"holds", "refuted", "inconclusive"}
        The decision, about what `scope` names and nothing else. ``holds`` at tier exact: what was measured, and its error
        added, is at most 1 + 1e-9 times the bound. ``refuted``: what was measured, less its error, exceeds the bound with
        every constant, the start and the step size moved by their stated errors to the weaker side. Otherwise
        ``inconclusive``.
    expected : {"holds", "refuted"}
        What the registry expects.
    max_ratio : float
        Largest left/right found: the tightness; where both sides are below what rounding resolves, to that. From replicas, a
        ratio of sample means, not a bound.
    witness : str
        The instance or point that attains it.
    scope : str
        For which points, starts and steps the verdict speaks.
    alpha : float
        Error probability that was allowed; 0 when exact.
    samples : int
        Number of replicas; 0 when exact.
    needed : float
        When inconclusive, the sample size that would decide; NaN otherwise.
    smallest_violation : float
        The smallest left/right the samples would have refuted (power); 1 when exact, at what `scope` names.
    measure : str
        What a rate bounds; empty for theorems about no method.
    reason : str
        Why it is inconclusive, such as ``rounding``; empty where the tier says it all.
    curve : Curve, optional
        For plots.
    """

    example = "what verify returns"

    theorem: str
    title: str
    source: str
    problem: str
    sketch: str
    method: str
    tier: Tier
    verdict: Outcome
    expected: Outcome
    max_ratio: float
    witness: str
    scope: str
    alpha: float = 0.0
    samples: int = 0
    needed: float = float("nan")
    smallest_violation: float = 1.0
    measure: str = ""
    reason: Reason = ""
    curve: Curve | None = field(default=None, repr=False)

    @property
    def as_expected(self) -> bool:
        """Whether the decision is the one the registry expects."""
        return self.verdict == self.expected

    @property
    def words(self) -> str:
        """The decision with the reason, for example ``inconclusive (rounding)``."""
        return f"{self.verdict} ({self.reason})" if self.reason else self.verdict

    def record(self) -> dict[str, Any]:
        """Return the verdict, without the curve, as standard JSON knows it.

        As in every document, infinities become the texts "inf" and "-inf", NaN becomes None, and numbers are Python's own.
        """
        out = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "curve"}
        plain: dict[str, Any] = json.loads(dumps(out | {"as_expected": self.as_expected}))
        return plain

    def plot(self) -> Any:
        """Return a matplotlib figure of what was measured beside the bound.

        Raises
        ------
        ValueError
            If the verdict has no curve: it is about no path.
        """
        if self.curve is None:
            raise ValueError(f"the verdict on {self.title} has no curve to plot: it is not about a path of a method")
        from mastsim.plots import plot_curve

        return plot_curve(
            self.curve, AXIS_LABELS.get(self.measure, self.measure), f"{self.title}: {self.words}, {self.tier}"
        )

    def to_frame(self) -> Any:
        """Return the verdict as a pandas data frame of one row; ImportError where pandas is not installed."""
        return to_frame([self.record()])

    def _repr_html_(self) -> str:
        """Return the verdict for notebooks: the statement typeset, decision and tier coloured and worded."""
        said = (
            f"{html.escape(self.title)}: {coloured(self.words, self.verdict)} {coloured(self.tier, _colour_of(self.tier))}"
        )
        facts = [["problem", self.problem], ["sketch", self.sketch], ["method", self.method], ["speaks for", self.scope]]
        facts += [["largest left/right", f"{self.max_ratio:.6g}"], ["attained at", self.witness]]
        facts += [["error probability", f"{self.alpha:.2g}"]] if self.samples else []
        return f"<p><b>{said}</b></p>{typeset(_statement(self.theorem))}{html_table(['', ''], facts)}"

    def __str__(self) -> str:
        tier = f"{self.tier}, α = {self.alpha:.2g}" if self.samples else self.tier
        return (
            f"{self.title}: {self.words} ({tier}; largest left/right {self.max_ratio:.6g} at {self.witness}; {self.scope})"
        )


def _statement(name: str) -> str:
    """Return the LaTeX statement of a theorem of the registry; empty for others."""
    return next((kind.statement for kind in ALL if kind.id == name), "")


def _colour_of(tier: str) -> str:
    """Return the tier of truth that a tier of trials belongs to."""
    return "estimate" if tier.startswith("Monte Carlo") else "exact"
