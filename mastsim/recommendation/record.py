"""What advice holds, and how it reads: one page of text, a JSON document, a page of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mastsim.designs import Design
from mastsim.guarantee import Guarantee
from mastsim.problems import Dataset
from mastsim.provenance import Constant
from mastsim.recommendation.page import advice_page
from mastsim.run import Run
from mastsim.tables import aligned_table

_SHOWN = 5
_COLUMNS = (
    "keep",
    "proven step",
    "floor there",
    "step to ε",
    "steps to ε",
    "floor at ε",
    "usable step",
    "pre-trained floor",
)


@dataclass(frozen=True)
class Scaling:
    """A problem before or after its columns are standardised, with the same λ.

    Parameters
    ----------
    L_f, condition : float
        Smoothness L_f, and κ = L_f/μ_f (infinite where f is not strongly convex).
    stepsize : float
        The proven step for the first keep; NaN where no theorem gives one.
    """

    L_f: float
    condition: float
    stepsize: float


@dataclass(frozen=True, eq=False)
class KeepAdvice:
    """What is advised for one keep.

    Parameters
    ----------
    keep : float
        The share of coordinates kept.
    sketch : str
        The sketch.
    guarantee : Guarantee
        What the theorem says whose step is taken.
    multiple : float
        The usable step in units of the proven one.
    usable : Constant
        The largest multiple of the proven step that was simulated and ended nearer than it started; an estimate.
    stable : Constant or None
        The step up to which second moments stay bounded, from exact moments; None where they are not known.
    tried : mapping of float to float
        For each multiple of the proven step that was simulated: the largest mean squared distance of the last records, in
        units of that at the start.
    pretrained_floor : float
        The floor at the largest proven step when v is the minimiser on every second row; NaN where no theorem applies.
    run : Run
        A short run at the proven step.
    """

    keep: float
    sketch: str
    guarantee: Guarantee
    multiple: float
    usable: Constant
    stable: Constant | None
    tried: Mapping[float, float]
    pretrained_floor: float
    run: Run = field(repr=False)

    @property
    def cells(self) -> list[str]:
        """The row of a table; a step whose bound says nothing is marked by a dagger."""
        told, numbers = self.guarantee, (float, int)
        assert isinstance(told.stepsize, numbers)
        assert isinstance(told.radius, numbers)
        largest = f"{told.stepsize:.4g}{'†' if told.vacuous else ''}"
        aimed = f"{told.stepsize_to_accuracy:.4g}{'†' if told.vacuous_to_accuracy else ''}"
        usable = f"{self.usable:.4g} ({self.multiple:.3g}×)"
        reached = [f"{told.steps_to_accuracy:.4g}", f"{told.floor:.4g}"]
        return [f"{self.keep:g}", largest, f"{told.radius:.4g}", aimed, *reached, usable, f"{self.pretrained_floor:.4g}"]

    def record(self) -> dict[str, Any]:
        """Return everything but the run as a JSON-able dictionary."""
        facts: dict[str, Any] = {"keep": self.keep, "sketch": self.sketch, "guarantee": self.guarantee.record()}
        facts |= {"usable_multiple": self.multiple, "usable_stepsize": self.usable.record()}
        facts["stable_stepsize"] = None if self.stable is None else self.stable.record()
        return facts | {"tried": dict(self.tried), "pretrained_floor": self.pretrained_floor}


@dataclass(frozen=True, eq=False)
class Recommendation:
    """Advice for a data set; ``print`` shows it as one page of text.

    Parameters
    ----------
    data : Dataset
        The data.
    problem, why : str
        The problem, and why that loss was taken.
    l2 : float
        λ.
    keeps : tuple of KeepAdvice
        What is advised for each keep.
    before, after : Scaling
        The problem as it is, and with standardised columns.
    curvatures : ndarray, shape (d,)
        The curvature L_ii along each column.
    seed : int
        The seed of the simulations.
    notes : tuple of str
        What else a user should know.
    design : Design or None
        Keeps chosen for this problem, where asked for.
    """

    data: Dataset = field(repr=False)
    problem: str
    why: str
    l2: float
    keeps: tuple[KeepAdvice, ...]
    before: Scaling
    after: Scaling
    curvatures: np.ndarray = field(repr=False)
    seed: int
    notes: tuple[str, ...] = ()
    design: Design | None = None

    @property
    def answer(self) -> str:
        """The advice in one sentence, for the first keep."""
        return self.keeps[0].guarantee.sentence

    @property
    def largest_columns(self) -> list[tuple[str, float]]:
        """The names of the columns along which f bends most, and L_ii."""
        order = np.argsort(-self.curvatures, kind="stable")[:_SHOWN]
        return [(self.columns[i], float(self.curvatures[i])) for i in order]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the coordinates: of the columns, and of an intercept."""
        names = self.data.column_names
        return names if len(names) == len(self.curvatures) else (*names, "intercept")

    def facts(self) -> list[str]:
        """Return what the advice is about, and what would change it, one sentence a line."""
        first = self.keeps[0]
        C = f", which is C = {1 / (self.data.n * self.l2):.4g} of scikit-learn, l2 = 1/(nC)" if self.l2 > 0 else ""
        columns = ", ".join(f"{name} ({value:.3g})" for name, value in self.largest_columns)
        lines = [
            f"Data {self.data.name}: {self.data.n} rows, {self.data.d} columns. {self.data.source}",
            f"Problem: {self.problem}; {self.why}",
            f"λ = {self.l2:.4g}{C}",
            f"Usable step: an estimate, no guarantee; {first.usable.source}.",
            f"Columns of largest curvature L_ii: {columns}",
            *self._of_standardising(),
            "With v pre-trained (the minimiser on every second row): the floor in the last column; with v = x* it is 0.",
        ]
        if first.stable is not None:
            lines.append(f"Second moments stay bounded up to γ = {first.stable:.4g} ({first.stable.kind}, exact moments).")
        return [*lines, *self.notes]

    def _of_standardising(self) -> list[str]:
        """Return what standardising would change, where it is not done."""
        done = self.data.standardisation is not None
        changes = _changes(self.before, self.after)
        return [] if done else [f"Standardising the columns (--standardise), with the same λ: {changes}"]

    def rows(self) -> tuple[Sequence[str], list[list[str]]]:
        """Return heading and cells of the table of keeps."""
        return _COLUMNS, [each.cells for each in self.keeps]

    def design_rows(self) -> tuple[Sequence[str], list[list[str]], list[str]]:
        """Return heading and cells of the comparison of designed keeps, and the most and least kept columns."""
        if self.design is None:
            return (), [], []
        rows = [[name, *(f"{row[key]:.4g}" for key in _DESIGNED[1:])] for name, row in self.design.compared.items()]
        order = np.argsort(-self.design.keep, kind="stable")
        ends = [order[:_SHOWN], order[::-1][:_SHOWN]]
        said = [", ".join(f"{self.data.column_names[i]} {self.design.keep[i]:.3g}" for i in end) for end in ends]
        return _DESIGNED, rows, [f"kept most: {said[0]}", f"kept least: {said[1]}"]

    def __str__(self) -> str:
        parts = [self.answer, "\n".join(self.facts()), aligned_table(*self.rows(), right=_COLUMNS)]
        if any(each.guarantee.vacuous or each.guarantee.vacuous_to_accuracy for each in self.keeps):
            parts.append("† the bound at this step size stays above the start: it says nothing")
        heading, rows, ends = self.design_rows()
        if self.design is not None:
            title = f"Keeps designed for {self.design.objective}, at most {self.design.gap:.1e} from the best (certified):"
            parts.append("\n".join([title, aligned_table(heading, rows, right=heading[1:]), *ends]))
        return "\n\n".join(parts)

    def record(self) -> dict[str, Any]:
        """Return the advice as a JSON-able dictionary."""
        names = self.columns
        facts: dict[str, Any] = {"answer": self.answer, "problem": self.problem, "why": self.why, "l2": self.l2}
        facts |= {"source": self.data.source, "columns": dict(zip(names, self.curvatures.tolist(), strict=True))}
        facts |= {"keeps": [each.record() for each in self.keeps], "notes": list(self.notes)}
        scaling = {"before": vars(self.before), "after": vars(self.after)}
        designed = None
        if self.design is not None:
            designed = self.design.record() | {"keep": dict(zip(names, self.design.keep.tolist(), strict=True))}
        return facts | {"standardised": scaling, "design": designed}

    def html(self) -> str:
        """Return the advice as a self-contained page with three plots."""
        return advice_page(self)

    _repr_html_ = html


_DESIGNED = ("mask", "smoothness", "step", "floor")


def _changes(before: Scaling, after: Scaling) -> str:
    """Return what changes between two scalings."""
    pairs = [("L_f", before.L_f, after.L_f), ("κ", before.condition, after.condition)]
    pairs.append(("step", before.stepsize, after.stepsize))
    return ", ".join(f"{name} {old:.4g} → {new:.4g}" for name, old, new in pairs)
