"""What a measured order is: an estimate with its interval, beside what is claimed, and the verdict that follows."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mastsim.frames import to_frame
from mastsim.markup import coloured, html_table
from mastsim.readonly import ReadOnly
from mastsim.tables import aligned_table

Outcome = Literal["consistent", "better than claimed", "not consistent", "undecided", "no claim"]
Tier = Literal["exact", "asymptotic"]

SHARES = (1 / 4, 1 / 16)
"""Shares of the largest step at which floors are compared; at the largest itself their order does not show yet."""

SLOPE_MARGIN = 2 * math.log((2 - SHARES[1]) / (2 - SHARES[0])) / math.log(SHARES[0] / SHARES[1])
"""By how much exponents and slopes may be off, as step sizes and numbers of steps are finite: 0.147.

The stationary variance of one coordinate with one curvature is γσ²/(h(2 − γh)), whose slope between the two shares of
1/h is half of this above 1. That twice as much is allowed, for many coordinates and few steps, was chosen by hand.
"""

SLOPE_RESOLUTION = 0.5
"""By how much exponents and slopes must be told apart."""

_ROUNDING = 1e-9
_COLUMNS = ("quantity", "method", "measured", "interval", "claimed", "over", "tier", "verdict", "order")
_COLOURS = {"consistent": "holds", "better than claimed": "holds", "not consistent": "refuted"}


@dataclass(frozen=True, eq=False)
class RateFit(ReadOnly):
    """A measured order beside the claimed one.

    The verdict is "consistent" where the interval reaches the claim (to within `margin`) and excludes every order that is
    worse by `resolution`; "not consistent" where it does not reach the claim; "undecided" where it is too wide for either;
    "better than claimed" where a slope, which is claimed to be of an order and not only bounded, is beyond it.

    Parameters
    ----------
    quantity : str
        What is measured: ``rate`` (of the factor a step), ``exponent`` (of the number of steps), or the slope of a floor.
    method, objective : str
        Of what, in words.
    measure : str
        Of which measure.
    low, value, high : float
        The order with its interval: −log of the factor a step for rates, otherwise the exponent or slope.
    claimed : float or None
        The order that theory claims; None where it claims none.
    order_text : str
        The claimed order, in words.
    theorem : str or None
        Whose claim it is.
    margin, resolution : float
        How near to the claim counts as at it, and by how much an order must be worse to be told apart.
    sided : {"one", "two"}
        Whether an order beyond the claim on the good side is consistent with it.
    good : {"high", "low"}
        Which orders are good: high ones, except of floors that grow.
    tier : {"exact", "asymptotic"}
        From exact moments or a path without randomness; or an interval by the central limit theorem over replicas.
    alpha : float
        The error probability: of "not consistent" where the order is within the margin of the claim, and of "consistent"
        where it is worse by the resolution or more. 0 for exact ones.
    over : str
        Over which steps or settings.
    begun : bool
        Whether the claim is about the window at all: a bound that is still above the start claims no order yet.

    References
    ----------
    This package.

    Examples
    --------
    >>> RateFit("rate", "DSGD", "f", "distance", 0.1, 0.11, 0.12, claimed=0.1, order_text="(1 - γμ)^T").verdict
    'consistent'
    """

    quantity: str
    method: str
    objective: str
    measure: str
    low: float
    value: float
    high: float
    claimed: float | None = None
    order_text: str = ""
    theorem: str | None = None
    margin: float = 0.0
    resolution: float | None = None
    sided: Literal["one", "two"] = "one"
    good: Literal["high", "low"] = "high"
    tier: Tier = "asymptotic"
    alpha: float = 0.01
    over: str = ""
    begun: bool = True

    @property
    def verdict(self) -> Outcome:
        """What the interval says about the claim."""
        if self.claimed is None:
            return "no claim"
        if not self.begun:
            return "undecided"
        # How much better than claimed the ends of the interval are.
        ends = (self.low - self.claimed, self.high - self.claimed)
        worst, best = ends if self.good == "high" else (-ends[1], -ends[0])
        slack = self.margin + _ROUNDING * abs(self.claimed)
        if best < -slack:
            return "not consistent"
        if self.sided == "two" and worst > slack:
            return "better than claimed"
        apart = abs(self.claimed) / 2 if self.resolution is None else self.resolution
        return "consistent" if worst > -apart and (self.sided == "one" or best < apart) else "undecided"

    @property
    def sentence(self) -> str:
        """The verdict in words, with its error probability."""
        if self.claimed is None:
            return f"{self.method}: no order is claimed of this {self.quantity}"
        chance = "exact" if self.tier == "exact" else f"error probability at most {self.alpha:.2g}, {self.tier}"
        word = "consistent, and better than claimed," if self.verdict == "better than claimed" else self.verdict
        said = f"{word} with order {self.order_text}"
        if self.verdict == "undecided":
            why = (
                "the interval is too wide: take more replicas"
                if self.begun
                else "the bound is above the start: take more steps"
            )
            said = f"undecided, order {self.order_text} is claimed: {why}"
        return f"{self.method}: {said} ({chance})"

    @property
    def factor(self) -> float:
        """The factor a step, for rates: e^(−order)."""
        return math.exp(-self.value) if self.quantity.startswith("rate") else math.nan

    @property
    def factor_interval(self) -> tuple[float, float]:
        """The interval of the factor a step, for rates."""
        return (math.exp(-self.high), math.exp(-self.low)) if self.quantity.startswith("rate") else (math.nan, math.nan)

    @property
    def claimed_factor(self) -> float | None:
        """The factor a step that theory claims, for rates: 1 − γμ or the like."""
        return math.exp(-self.claimed) if self.claimed is not None and self.quantity.startswith("rate") else None

    def record(self) -> dict[str, Any]:
        """Return the fields and what follows from them as a JSON-able dictionary."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        facts |= {"verdict": self.verdict, "sentence": self.sentence}
        if self.quantity == "rate":
            facts |= {"factor": self.factor, "factor_interval": list(self.factor_interval)}
            facts |= {"claimed_factor": self.claimed_factor}
        return facts

    def to_frame(self) -> Any:
        """Return it as a pandas data frame of one row; ImportError where pandas is not installed."""
        return to_frame([self.record()])

    @property
    def cells(self) -> list[str]:
        """The row of a table; rates are shown as factors a step."""
        low, value, high = self.low, self.value, self.high
        claimed = self.claimed
        if self.quantity == "rate":
            (low, high), value, claimed = self.factor_interval, self.factor, self.claimed_factor
        digits = ".6g" if self.quantity == "rate" else ".3g"
        said = "" if claimed is None else f"{claimed:{digits}}"
        name = "factor a step" if self.quantity == "rate" else self.quantity
        interval = f"[{low:{digits}}, {high:{digits}}]"
        return [name, self.method, f"{value:{digits}}", interval, said, self.over, self.tier, self.verdict, self.order_text]

    def _repr_html_(self) -> str:
        """Return it for notebooks: the verdict coloured and worded, and the numbers."""
        word = coloured(self.verdict, _COLOURS.get(self.verdict, "inconclusive"))
        return f"<p>{html.escape(self.sentence)} {word}</p>{html_table(_COLUMNS, [self.cells], right=_COLUMNS[2:5])}"


class RateFits(list[RateFit]):
    """Measured orders, printed as a table, with what could not be measured and why.

    Parameters
    ----------
    fits : sequence of RateFit
        The rows.
    refused : sequence of (str, str)
        What was not measured, and why.
    """

    def __init__(self, fits: Sequence[RateFit] = (), refused: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(fits)
        self.refused = list(refused)

    def __str__(self) -> str:
        parts = [aligned_table(_COLUMNS, [fit.cells for fit in self], right=_COLUMNS[2:5])]
        parts += ["\n".join(f"{name}: not measured: {why}" for name, why in self.refused)] if self.refused else []
        return "\n\n".join(parts)

    def record(self) -> list[dict[str, Any]]:
        """Return the rows as JSON-able dictionaries."""
        return [fit.record() for fit in self]

    def to_frame(self) -> Any:
        """Return the rows as a pandas data frame; ImportError where pandas is not installed."""
        return to_frame(self.record())

    def _repr_html_(self) -> str:
        """Return the table for notebooks, and what was not measured below it."""
        refused = "".join(f"<li>{html.escape(f'{name}: not measured: {why}')}</li>" for name, why in self.refused)
        table = html_table(_COLUMNS, [fit.cells for fit in self], right=_COLUMNS[2:5])
        return table + (f"<ul>{refused}</ul>" if refused else "")
