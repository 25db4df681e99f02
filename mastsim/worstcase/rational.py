"""A solver's multipliers as rationals that prove a rate exactly, and the script that checks them without this package."""

from __future__ import annotations

import inspect
import math
from fractions import Fraction
from typing import Any

import numpy as np

from mastsim.worstcase import check
from mastsim.worstcase.check import Step

_BITS = 40
_PLACES = 10**9

_MAIN = """
CERTIFICATE = {data}

if __name__ == "__main__":
    wrong = failures(CERTIFICATE)
    print("\\n".join(wrong) if wrong else f"proved: E V+ <= {{float(CERTIFICATE['rate']):.12g}} V")
    raise SystemExit(1 if wrong else 0)
"""


def rational(number: float) -> Fraction:
    """Return the simplest rational within 1e-12 of a number, relative to it; the number itself where none is simple.

    Examples
    --------
    >>> rational(1 / 3), rational(0.1)
    (Fraction(1, 3), Fraction(1, 10))
    """
    exact = Fraction(float(number))
    near = exact.limit_denominator(_PLACES)
    return near if abs(near - exact) <= abs(exact) / 10**12 else exact


def rounded(number: float) -> Fraction:
    """Return a number as a multiple of 2^−40 of its size's unit: few bits keep exact arithmetic short."""
    return Fraction(round(math.ldexp(float(number), _BITS)), 1 << _BITS)


def balanced(step: Step, multipliers: np.ndarray) -> dict[tuple[int, int], Fraction]:
    """Return multipliers as rationals for which the values of φ cancel exactly, none below zero.

    What rounding leaves over at a point flows to the first point of its function, or from there: it is tiny.

    Parameters
    ----------
    step : Step
        The step.
    multipliers : ndarray, shape (conditions,)
        As a solver found them.
    """
    pairs = [(i, j) for i, j, _ in step.conditions()]
    found = {pair: rounded(value) for pair, value in zip(pairs, multipliers, strict=True)}
    over: dict[int, Fraction] = dict.fromkeys(range(len(step.points)), Fraction(0))
    for (i, j), value in found.items():
        over[i] += value
        over[j] -= value
    for point, group in enumerate(step.groups):
        hub = step.groups.index(group)
        if point != hub:
            back = (hub, point) if over[point] > 0 else (point, hub)
            found[back] += abs(over[point])
    return {pair: value for pair, value in found.items() if value}


def certificate_of(case: dict[str, Any], step: Step, rate: float, V: np.ndarray, multipliers: np.ndarray) -> dict[str, Any]:
    """Return a certificate in rationals, as `check.failures` takes it.

    Parameters
    ----------
    case : dict
        What the step was made of.
    step : Step
        The step.
    rate : float
        The factor.
    V : ndarray, shape (terms,)
        The coefficients of the Lyapunov function.
    multipliers : ndarray, shape (conditions,)
        Those of the conditions.
    """
    coefficients = {name: rational(value) for (name, _, _), value in zip(step.terms, V, strict=True)}
    weights = balanced(step, multipliers)
    return {"case": case, "rate": rational(rate), "lyapunov": coefficients, "multipliers": weights}


def script_of(certificate: dict[str, Any]) -> str:
    """Return a Python script that checks a certificate with nothing but the standard library.

    Parameters
    ----------
    certificate : dict
        As `certificate_of` returns it.
    """
    return inspect.getsource(check) + _MAIN.format(data=repr(certificate))
