"""Products, means, extremes and differences of constants, with the errors and the tiers that they leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from mastsim.provenance import Constant, Kind, graded
from mastsim.rounding import EPS, summed


def product(factors: Sequence[Constant], kind: Kind, source: str) -> Constant:
    """Return a product of constants, with the error that theirs leave; an estimate where one of them is.

    A factor that is zero beyond doubt makes the product zero, whatever the others are.

    Parameters
    ----------
    factors : sequence of Constant
        The factors.
    kind : {"exact", "upper", "lower"}
        The tier of the product where every factor is what its own tier says.
    source : str
        The formula and where it comes from.

    Examples
    --------
    >>> two, unknown = Constant(2.0, "exact", "", 0.25), Constant(math.inf, "upper", "")
    >>> product([two, two], "upper", "a square").text, product([Constant(0.0, "exact", ""), unknown], "upper", "").text
    ('4 ± 1.1', '0')
    """
    if "estimate" in (kinds := [factor.kind for factor in factors]):
        kind = _joint(kinds)
    if any(factor.value == 0 and factor.error == 0 for factor in factors):
        return Constant(0.0, kind, source)
    value = math.prod(factor.value for factor in factors)
    if math.isnan(value):
        value = -math.inf if kind == "lower" else math.inf
    if math.isinf(value):
        return Constant(value, kind, source)
    most = math.prod(abs(factor.value) + factor.error for factor in factors)
    return Constant(value, kind, source, max(most - abs(value), 0.0) + 2 * len(factors) * EPS * abs(value))


def mean(values: Sequence[Constant], source: str, kind: Kind | None = None) -> Constant:
    """Return the mean of constants, with the mean of their errors and its own rounding; one constant is returned as it is.

    Parameters
    ----------
    values : sequence of Constant
        At least one.
    source : str
        The formula and where it comes from.
    kind : {"exact", "upper", "lower"}, optional
        The tier where no value is an estimate. When left out, the mean is exact where all values are, a bound where all are
        exact or bounds from that side, and otherwise an estimate.

    Examples
    --------
    >>> found = mean([Constant(1.0, "exact", ""), Constant(3.0, "upper", "")], "mean L_i")
    >>> found, mean([Constant(1.0, "exact", "λ_max")], "mean L_i").source
    (Constant(2, 'upper', 'mean L_i'), 'λ_max')
    """
    if len(values) == 1:
        return values[0]
    joint, sizes = _joint(value.kind for value in values), [abs(value.value) for value in values]
    kind, centre = joint if kind is None or joint == "estimate" else kind, float(np.mean([value.value for value in values]))
    if not math.isfinite(centre):
        return Constant(centre, kind, source)
    error = float(np.mean([value.error for value in values])) + float(summed(len(values) + 2)) * float(np.mean(sizes))
    return Constant(centre, kind, source, error)


def largest(values: Sequence[Constant], source: str) -> Constant:
    """Return the largest of constants; one constant is returned as it is.

    Parameters
    ----------
    values : sequence of Constant
        At least one, with the tiers that `mean` takes.
    source : str
        The formula and where it comes from.

    Examples
    --------
    >>> largest([Constant(1.0, "exact", "", 0.5), Constant(1.2, "exact", "")], "max L_i").text
    '1.2 ± 0.5'
    """
    return _extreme(max, values, source)


def smallest(values: Sequence[Constant], source: str) -> Constant:
    """Return the smallest of constants; see `largest`."""
    return _extreme(min, values, source)


def difference(upper: Constant, lower: Constant, source: str) -> Constant:
    """Return a difference of infima that is at least 0, exact where both are and their errors are small beside them.

    Parameters
    ----------
    upper : Constant
        An infimum, exact, or an upper bound that it is not above.
    lower : Constant
        A smaller one, exact, or known from above or from below within its error.
    source : str
        What the difference is.
    """
    value = max(upper.value - lower.value, 0.0)
    error = upper.error + lower.error + (EPS * value if value < math.inf else 0.0)
    if "estimate" in (upper.kind, lower.kind):
        return Constant(value, "estimate", f"{source}; {upper.source}; {lower.source}", error)
    if upper.kind == lower.kind == "exact":
        return graded(value, error, source, "upper", abs(upper.value) + abs(lower.value))
    # What is only an upper bound of the smaller infimum is above it by its error at most.
    least = lower.value - lower.error
    most = upper.value + (upper.error if upper.kind == "exact" else 0.0)
    value = max(most - least, 0.0)
    return Constant(value, "upper", f"{source}, bounded", 4 * EPS * (abs(most) + abs(least)) if value < math.inf else 0.0)


def _extreme(choose: Callable[..., Constant], values: Sequence[Constant], source: str) -> Constant:
    """Return an extreme of constants, which all their errors may move."""
    if len(values) == 1:
        return values[0]
    kind, error = _joint(value.kind for value in values), max(value.error for value in values)
    return Constant(choose(values, key=float), kind, source, error)


def _joint(kinds: Iterable[Kind]) -> Kind:
    """Return the tier of what grows with each of several constants."""
    found = set(kinds)
    if "estimate" in found or {"upper", "lower"} <= found:
        return "estimate"
    return next(iter(found - {"exact"}), "exact")
