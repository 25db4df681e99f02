"""A step size as it is asked for (``0.5*theory``, ``harmonic:sharp:0.01``), and the one that theory then gives."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from typing import Any

from mastsim.advice import covering
from mastsim.expected import Objective
from mastsim.keywords import by_keyword
from mastsim.methods import ConstantStep, Method, StepRule, steprules
from mastsim.run import DEFAULT_MEASURES, LYAPUNOV, MEASURES
from mastsim.theorems import Rate, Theorem
from mastsim.theorems.rates import trace_of
from mastsim.validation import STEPS, number, positive

UNITS = ("theory", "sharp")
"""What a step size may be a multiple of: the largest that a theorem allows, by published or by this package's constants."""
_FORM = "theory, sharp or a number, or a multiple such as 0.5*theory"
_SLACK = 1 + 1e-12


@dataclass(frozen=True)
class AskedStep:
    """A step size as it is asked for: a rule that starts from ``factor`` times a unit.

    Parameters
    ----------
    factor : float
        The factor, above 0.
    unit : {"theory", "sharp"} or None
        The published or the sharp constants; None for a plain number.
    rule : type of StepRule, default ConstantStep
        The rule.
    numbers : tuple of float, default ()
        What the rule takes besides the first step size.

    Examples
    --------
    >>> AskedStep.read("2 * theory").spelled, AskedStep.read("1.0*sharp").spelled, AskedStep.read(1).spelled
    ('2.0*theory', 'sharp', 1.0)
    >>> AskedStep.read("harmonic:theory:0.010").spelled
    'harmonic:theory:0.01'
    """

    factor: float
    unit: str | None
    rule: type[Any] = ConstantStep
    numbers: tuple[float, ...] = ()

    @classmethod
    def read(cls, given: Any) -> AskedStep:
        """Return what a number or a text asks for.

        Parameters
        ----------
        given : float or str
            A number, ``theory`` or ``sharp``, these with a factor in front, ``0.5*sharp``, or a rule that starts from one of
            them, ``RULE:SIZE`` with the rule's other numbers after more colons.

        Raises
        ------
        TypeError
            If it is neither a text nor a number.
        ValueError
            If it is anything else, or a number is outside its range.
        """
        if isinstance(given, bool):
            raise TypeError(f"stepsize={given} is not accepted: it must be {_FORM}")
        if not isinstance(given, str):
            return cls(positive("stepsize", given, STEPS), None)
        keyword, colon, rest = given.partition(":")
        if not colon:
            return cls(*_size(given))
        rules: dict[str, type[Any]] = by_keyword(steprules.ALL_STEP_RULES)
        if keyword.strip() not in rules:
            raise ValueError(f"stepsize={given!r} is not accepted: a rule is one of {', '.join(rules)}")
        rule, (size, *others) = rules[keyword.strip()], rest.split(":")
        others_of = fields(rule)[1:]
        names = [field.name for field in others_of]
        form = ":".join([rule.keyword, "SIZE", *(name.upper() for name in names)])
        if len(others) != len(names):
            raise ValueError(f"stepsize={given!r} is not accepted: write {form}, SIZE being {_FORM}")
        numbers = tuple(_read(field, text, form) for field, text in zip(others_of, others, strict=True))
        rule(1.0, *numbers)
        return cls(*_size(size), rule, numbers)

    @property
    def spelled(self) -> float | str:
        """Its one spelling: a float, or a text."""
        size = self.factor if self.unit is None else self.unit if self.factor == 1 else f"{self.factor!r}*{self.unit}"
        if self.rule is ConstantStep:
            return size
        return ":".join([self.rule.keyword, str(size), *(f"{value!r}" for value in self.numbers)])

    def of(self, gamma: float) -> StepRule:
        """Return the rule that starts from ``factor`` times a step size."""
        rule: StepRule = self.rule(self.factor * gamma, *self.numbers)
        return rule


def _read(field: Field[Any], text: str, form: str) -> float:
    """Return the number that a text spells for a field, whole where the field is."""
    value = number(field.name, text, form)
    return int(value) if field.type == "int" and value.is_integer() else value


def _size(text: str) -> tuple[float, str | None]:
    """Return the factor and the unit that a text such as ``0.5*theory`` spells."""
    factor, star, unit = (part.strip() for part in text.rpartition("*"))
    if unit in UNITS:
        return positive("stepsize", number("stepsize", factor, _FORM), STEPS) if star else 1.0, unit
    if star or (unit[:1].isalpha() and unit.lower() not in ("nan", "inf", "infinity")):
        near = difflib.get_close_matches(unit, UNITS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"stepsize={text!r} is not accepted: it must be {_FORM}{hint}")
    return positive("stepsize", number("stepsize", unit, _FORM), STEPS), None


@dataclass(frozen=True, eq=False)
class ChosenStep:
    """A method with the step size that was asked for, where that comes from, and what is promised.

    Parameters
    ----------
    asked : AskedStep
        What was asked for.
    method : Method
        The method with its step size.
    theorem : Rate or None
        The theorem that is about the method and the objective, whether it allows the step or not.
    claim : Rate or None
        The theorem if it allows the step, so that its bound holds.
    source : str
        Where the step size comes from, in words.
    """

    asked: AskedStep
    method: Method
    theorem: Rate | None
    claim: Rate | None
    source: str

    @property
    def stepsize(self) -> float:
        """The largest step size."""
        return self.method.rule.largest

    @property
    def measures(self) -> tuple[str, ...]:
        """What a run records so that the claim can be held against it."""
        claim = self.claim
        if claim is None:
            return DEFAULT_MEASURES
        judged = [*claim.mixture(self.stepsize), *claim.start_mixture(self.stepsize)]
        more = [*map(trace_of, judged), *(claim.instead if LYAPUNOV in judged else ())]
        return tuple(dict.fromkeys((*DEFAULT_MEASURES, *(name for name in more if name in MEASURES))))

    def record(self) -> Mapping[str, Any]:
        """Return what was asked for and whose step it is, as a JSON-able dictionary."""
        theorem = None if self.theorem is None or self.asked.unit is None else self.theorem.id
        return {"asked": self.asked.spelled, "value": self.stepsize, "theorem": theorem, "source": self.source}


def choose_step(
    asked: AskedStep, trial: Method, objective: Objective, steps: int, also: Sequence[type[Theorem]] = ()
) -> ChosenStep:
    """Return a method with the step size that is asked for.

    Parameters
    ----------
    asked : AskedStep
        The step size.
    trial : Method
        The method with all other settings.
    objective : Objective
        The objective, which alone decides the theorem; see `mastsim.advice.covering`.
    steps : int
        Number of steps planned, for theorems whose step size depends on it.
    also : sequence of type of Theorem, optional
        Records of one's own.

    Raises
    ------
    ValueError
        If the step size is that of a theorem, and none covers the method.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> chosen = choose_step(AskedStep.read("0.5*theory"), ms.DSGD(1.0), F, steps=10)
    >>> chosen.stepsize, chosen.claim.id, chosen.source
    (0.125, 'theorem2', 'Theorem 2 (strongly convex DSGD)')
    """
    theorem = covering(objective, trial, steps, asked.unit == "sharp", also)
    if asked.unit is None:
        gamma, source = 1.0, "as given"
    elif theorem is not None:
        gamma, source = theorem.stepsize, theorem.title
    elif (safe := trial.safe_step(objective, asked.unit == "sharp")) is not None:
        gamma, source = safe.value, safe.source
    else:
        why = trial.unproved or f"no theorem covers {trial.name} here"
        raise ValueError(f"stepsize={asked.spelled!r} is not accepted: {why}; pass a number")
    rule = asked.of(gamma)
    method = replace(trial, stepsize=rule.largest if rule.constant else rule)
    allowed = theorem is not None and rule.constant and rule.largest <= theorem.limit * _SLACK
    return ChosenStep(asked, method, theorem, theorem if allowed else None, source)
