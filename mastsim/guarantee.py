"""What one theorem says about one objective: the step, what it buys, and whether that is anything at all."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Any

from mastsim.frames import to_frame
from mastsim.markup import coloured, html_table
from mastsim.tables import aligned_table
from mastsim.typesetting import typeset

MEASURE_WORDS = {
    "distance": "expected squared distance to the minimiser of f_D",
    "gap": "expected f_D − inf f_D",
    "gradient_norm2": "expected squared gradient norm of f_D",
    "error": "expected squared distance to the minimiser of f",
    "f_gap": "expected f − inf f",
    "f_gradient_norm2": "expected squared gradient norm of f",
    "lyapunov": "expected Lyapunov function",
}
"""What measures are called in sentences."""

OVER_WORDS = {"last": "at the last step", "average": "on average over the steps", "minimum": "at the best of the steps"}
"""Where along a path a bound speaks, in words."""

_MARK = "† the bound at this step size stays above the start: it says nothing"
_NUMBERS = ("largest step", "sharp step", "rate", "floor there", "step to ε", "steps to ε", "floor at ε")
_COLUMNS = ("theorem", "method", *_NUMBERS)


@dataclass(frozen=True, eq=False)
class Guarantee:
    """What one theorem says about an objective.

    Parameters
    ----------
    theorem, title, source, statement : str
        Id, title, source and LaTeX statement of the theorem.
    method : str
        The class of methods that it is about, such as ``DSGD``.
    settings : str
        The method's settings it is stated for, in words.
    applies : bool
        Whether its assumptions are met; everything below is None when not.
    reason : str or None
        Why it does not apply.
    measure, over : str
        What is bounded, and whether at the last step, on average or at its minimum.
    starts_from : str
        The measure at the start that the bound is in proportion to.
    initial, start : float
        What `starts_from`, and what the measure itself, is at the shift, where runs start.
    stepsize, stepsize_sharp : float
        Largest step size, by the published and by this package's constants; where it depends on the number of steps, for
        `steps_to_accuracy` steps.
    rate : float
        Factor a step of the first term; NaN where the rate is 1/T.
    radius : float
        The part of the bound that does not shrink, at the largest step size.
    vacuous : bool
        Whether that part is above the start, so that the bound at the largest step size says nothing however long one runs.
    accuracy : float
        The value of the measure aimed at.
    stepsize_to_accuracy, steps_to_accuracy : float
        A step size, and the steps after which the bound is at most that; infinitely many when never.
    floor : float
        The part of the bound that does not shrink, at that step size; the measure is not promised to fall below it.
    vacuous_to_accuracy : bool
        Whether the bound after those steps at that step size is above the start.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1), shift=np.full(2, 9.0))
    >>> print(next(g for g in ms.guarantees(F, method=ms.DSGD) if g.theorem == "theorem2").sentence)
    DSGD: γ = 0.00125 (Theorem 2), expected squared distance to the minimiser of f_D below 0.32 after 2,117 steps; floor 0.16
    """

    theorem: str
    source: str
    title: str = ""
    statement: str = ""
    method: str = ""
    settings: str = ""
    applies: bool = False
    reason: str | None = None
    measure: str | None = None
    over: str | None = None
    starts_from: str | None = None
    initial: float | None = None
    start: float | None = None
    stepsize: float | None = None
    stepsize_sharp: float | None = None
    rate: float | None = None
    radius: float | None = None
    vacuous: bool | None = None
    accuracy: float | None = None
    stepsize_to_accuracy: float | None = None
    steps_to_accuracy: float = math.inf
    floor: float | None = None
    vacuous_to_accuracy: bool | None = None

    def record(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def to_frame(self) -> Any:
        """Return it as a pandas data frame of one row; ImportError where pandas is not installed."""
        return to_frame([self.record()])

    def _repr_html_(self) -> str:
        """Return it for notebooks: the sentence, the statement typeset, what is proven coloured and worded."""
        tier = coloured("proven upper bound", "upper") if self.applies else ""
        return f"<p>{html.escape(self.sentence)} {tier}</p>{typeset(self.statement)}"

    @property
    def bounds(self) -> str:
        """What is bounded, in words."""
        if self.measure is None or self.over is None:
            return ""
        where = "" if self.over == "last" else f", {OVER_WORDS[self.over]},"
        return f"{MEASURE_WORDS.get(self.measure, f'expected {self.measure}')}{where}"

    @property
    def who(self) -> str:
        """The method, with the settings that the theorem is stated for."""
        return f"{self.method} [{self.settings}]" if self.settings else self.method

    @property
    def sentence(self) -> str:
        """What to do and what it buys, in one sentence."""
        name = self.title.split(" (")[0] or self.theorem
        if not self.applies:
            return f"{self.method}: {name} does not apply: {self.reason}"
        if not math.isfinite(self.steps_to_accuracy) or not self.stepsize_to_accuracy:
            most = f"largest γ = {self.stepsize:.6g}"
            return f"{self.who}: no step size reaches {self.bounds} {self.accuracy:.4g} ({name}); {most}"
        steps = f"{self.steps_to_accuracy:,.0f}" if self.steps_to_accuracy < 1e9 else f"{self.steps_to_accuracy:.3g}"
        said = f"γ = {self.stepsize_to_accuracy:.6g} ({name}), {self.bounds} below {self.accuracy:.4g} after {steps} steps"
        warning = "; that is no less than at the start" if self.vacuous_to_accuracy else ""
        return f"{self.who}: {said}; floor {self.floor:.4g}{warning}"

    def _cells(self) -> list[str]:
        """Return the row of a table; a step whose bound says nothing is marked by a dagger."""
        rate = "1/T" if self.rate != self.rate else f"{self.rate:.8g}"
        largest = f"{self.stepsize:.4g}{'†' if self.vacuous else ''}"
        aimed = f"{self.stepsize_to_accuracy:.4g}{'†' if self.vacuous_to_accuracy else ''}"
        numbers = [largest, f"{self.stepsize_sharp:.4g}", rate, f"{self.radius:.4g}", aimed, f"{self.steps_to_accuracy:.4g}"]
        return [self.theorem, self.who, *numbers, f"{self.floor:.4g}"]


class Guarantees(list[Guarantee]):
    """Guarantees, those that bound the same beside each other; printed as tables, one for each thing that is bounded."""

    def __str__(self) -> str:
        return guarantee_table(self)

    def to_frame(self) -> Any:
        """Return them as a pandas data frame, one row a theorem and settings; ImportError where pandas is not installed."""
        return to_frame([each.record() for each in self])

    def _repr_html_(self) -> str:
        """Return them for notebooks: a table for each thing that is bounded, statements typeset, refusals below."""
        parts = [f"<h4>{html.escape(_heading(group))}</h4>{_group_html(group)}" for group in _groups(self)]
        notes = [f"<p>{html.escape(_MARK)}</p>"] if any(each.vacuous or each.vacuous_to_accuracy for each in self) else []
        refused = [f"<li>{html.escape(each.sentence)}</li>" for each in self if not each.applies]
        return "".join([*parts, *notes, f"<ul>{''.join(refused)}</ul>" if refused else ""])


def guarantee_table(found: list[Guarantee]) -> str:
    """Return guarantees as plain text: a table for each thing that is bounded, and below them why others do not apply.

    Parameters
    ----------
    found : list of Guarantee
        As `mastsim.guarantees` returns them, those that bound the same beside each other.

    References
    ----------
    This package.

    Examples
    --------
    >>> print(guarantee_table([Guarantee("mine", "me", method="DSGD", reason="f is not convex")]))
    mine (DSGD): no, f is not convex
    """
    parts = [
        f"{_heading(group)}\n{aligned_table(_COLUMNS, [each._cells() for each in group], right=_NUMBERS)}"
        for group in _groups(found)
    ]
    if any(each.vacuous or each.vacuous_to_accuracy for each in found):
        parts.append(_MARK)
    refused = [f"{each.theorem} ({each.method}): no, {each.reason}" for each in found if not each.applies]
    return "\n\n".join([*parts, *(["\n".join(refused)] if refused else [])])


def _groups(found: list[Guarantee]) -> list[list[Guarantee]]:
    """Return the guarantees that apply, those that bound the same in one list."""
    groups: dict[tuple[str | None, ...], list[Guarantee]] = {}
    for each in found:
        if each.applies:
            groups.setdefault((each.measure, each.over), []).append(each)
    return list(groups.values())


def _heading(group: list[Guarantee]) -> str:
    """Return what the guarantees of a group bound, where it starts and what is aimed at."""
    first = group[0]
    starts = sorted({f"{each.starts_from} {each.initial:.4g}" for each in group})
    assert first.measure is not None
    assert first.over is not None
    what = MEASURE_WORDS.get(first.measure, f"expected {first.measure}")
    aims = " or ".join(sorted({f"{each.accuracy:.4g}" for each in group}))
    start = f"{first.start:.4g} at the start, ε = {aims}; bounds start from {', '.join(starts)}"
    return f"{what}, {OVER_WORDS[first.over]}: {start}"


def _group_html(group: list[Guarantee]) -> str:
    """Return the guarantees of a group as a table, and their statements."""
    statements = dict.fromkeys(each.statement for each in group)
    table = html_table(_COLUMNS, [each._cells() for each in group], right=_NUMBERS)
    return table + "".join(typeset(statement) for statement in statements)
