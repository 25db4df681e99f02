"""A small quadratic instance of a theorem, as plain numbers: what an attack searches over, shrinks and saves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from mastsim.expected import Distributed, Mast, Objective
from mastsim.memory import check_room
from mastsim.methods.affine import steps_are_alike
from mastsim.methods.settings import parse_rule
from mastsim.moments import EnumeratedRecursion, recursion
from mastsim.problems import FiniteSum
from mastsim.theorems import Inequality, Rate, Theorem
from mastsim.theorems.assumptions import DISTRIBUTED
from mastsim.validation import integer
from mastsim.verification.attack.bowls_and_sketches import Bowl, SketchPart, Vector, compressor, sampling, tuple_of
from mastsim.verification.attack.long_histories import by_powers
from mastsim.verification.inequalities import decide_inequality
from mastsim.verification.tolerances import STEP_ROUNDING
from mastsim.verification.trial import Trial, over_steps

DECAYED = 0.1
_HORIZONS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000)
_FEW = 4
_STEP_BYTES, _TABLES_LIMIT = 64, 1 << 26
"""Bytes that the tables of one step take, and those of all steps at the most; time grows with them."""
_DIGITS = 1e8
"""By how much a left side must exceed what rounding does to it: equalities of vanishing sides say nothing."""


@dataclass(frozen=True)
class Instance:
    """Quadratics, sketches, a shift, a start, a step size and a horizon, on which a theorem may fail.

    Parameters
    ----------
    bowls : tuple of Bowl
        The clients of a theorem about distributed methods; otherwise the components of f = (1/n)Σf_i.
    sketches : tuple of SketchPart
        One a client, or one for all.
    shift, start : tuple of float, shape (dim,)
        v and x^0.
    fraction : float
        Step size as a fraction of the largest that the theorem allows, in (0, 1].
    horizon : int
        T: every number of steps up to it is tried; for rates that plan for a horizon also the one planned for.
    settings : dict
        The theorem's own settings where it has any: sharp, sampling, compression (k of Rand-k, 0 for none), probability,
        anchor, sketches, shift, participation.
    decayed : bool
        Count only steps after which the part of the bound that shrinks is a tenth of the start: no trivial equality.

    Raises
    ------
    ValueError
        If `fraction` is outside (0, 1] or `horizon` below 1.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> S = SketchPart("bernoulli", keep=(0.5,))
    >>> one = Instance((Bowl(((1.0,),), (0.0,)),), (S,), (0.0,), (1.0,), horizon=20)
    >>> round(one.ratio(ms.theorems.StronglyConvexDSGD), 9)
    1.0
    >>> Instance.from_record(one.record()) == one
    True
    """

    bowls: tuple[Bowl, ...]
    sketches: tuple[SketchPart, ...]
    shift: Vector
    start: Vector
    fraction: float = 1.0
    horizon: int = 100
    settings: dict[str, Any] = field(default_factory=dict)
    decayed: bool = False

    def __post_init__(self) -> None:
        integer("horizon", self.horizon, 1)
        longest = f"use a horizon of at most {_TABLES_LIMIT // _STEP_BYTES}"
        check_room(
            "the exact moments up to the horizon", self.horizon, change=longest, itemsize=_STEP_BYTES, limit=_TABLES_LIMIT
        )
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction} is not accepted: it must lie in (0, 1]")

    @property
    def dim(self) -> int:
        """The dimension d."""
        return len(self.shift)

    def objective(self, distributed: bool = False) -> Objective:
        """Return f_D, of clients or of one node; raises ValueError where the numbers do not make one."""
        found, M = [bowl.problem() for bowl in self.bowls], len(self.bowls)
        sketches = [part.sketch(self.dim, M) for part in self.sketches]
        shift = np.array(self.shift)
        if not distributed:
            return Mast(found[0] if M == 1 else FiniteSum(found), sketches[0], shift=shift)
        return Distributed(found, sketches[0] if len(sketches) == 1 else sketches, shift=shift)

    def theorem(self, kind: type[Theorem]) -> Theorem:
        """Return the theorem on this instance; raises ValueError (AssumptionError) where it does not apply."""
        F = self.objective(DISTRIBUTED in kind.assumptions)
        known = {f.name for f in fields(kind)}
        chosen = {name: value for name, value in self.settings.items() if name in known}
        if "sampling" in chosen:
            chosen["sampling"] = sampling(chosen["sampling"], F.problem.component_smoothness)
        if "compression" in known:
            chosen.pop("compression", None)
            if k := self.settings.get("compression", 0):
                chosen["compression"] = compressor(k, self.dim)
        for rule in {"shift", "participation"} & set(chosen):
            chosen[rule] = parse_rule(rule, chosen[rule])
        if "horizon" in known:
            chosen["horizon"] = self.horizon
        return kind(F, **chosen)

    def ratio(self, kind: type[Theorem], *, quick: bool = False) -> float:
        """Return the largest left/right of the theorem over all steps up to the horizon, from exact moments.

        Parameters
        ----------
        kind : type of Theorem
            The record.
        quick : bool, default False
            Take powers of the recursion in place of step after step; the same numbers up to rounding, much sooner.

        Returns
        -------
        float
            0 where no step counts.

        Raises
        ------
        ValueError
            If the theorem does not apply to the instance.
        """
        claim = self.theorem(kind)
        if isinstance(claim, Inequality):
            return decide_inequality(claim, _FEW).max_ratio
        assert isinstance(claim, Rate)
        return float(self.ratios(claim, quick=quick).max(initial=0.0))

    def ratios(self, claim: Rate, *, quick: bool = False) -> np.ndarray:
        """Return left/right after 1, 2, …, T steps; 0 for those that do not count or are too near to rounding."""
        trial = Trial(claim, self.fraction * claim.stepsize, claim.objective, start=np.array(self.start))
        times = np.arange(1, self.horizon + 1)
        initial = trial.initial_from(np.array(self.start))
        left = over_steps(self.measured(trial, quick=quick), claim.over)
        with np.errstate(over="ignore"):
            ratios = left / trial.with_rounding(trial.lenient_bound(times, initial), self.horizon, initial)
        finest = claim.rounding(trial.stepsize, 1) + STEP_ROUNDING * math.sqrt(initial)
        ratios = np.where(left >= (_DIGITS * finest) ** 2, ratios, 0.0)
        if self.decayed:
            with np.errstate(invalid="ignore"):  # a bound may be infinite
                first = claim.claim(times, trial.stepsize, initial) - claim.claim(times, trial.stepsize, 0.0)
                ratios = np.where(first <= DECAYED * initial, ratios, 0.0)
        return np.asarray(ratios)

    def measured(self, trial: Trial, *, quick: bool = False) -> np.ndarray:
        """Return the expectation of the measure after 0, 1, …, T steps."""
        start = np.array(self.start)
        if quick and steps_are_alike(trial.method):
            chain = EnumeratedRecursion(trial.objective, trial.method)
            return by_powers(chain, start, self.horizon, trial.theorem.form(trial.stepsize, chain.center))
        steps = recursion(trial.objective, trial.method)
        return steps.run(start, self.horizon, [trial.theorem.form(trial.stepsize, steps.center)])[:, 0]

    def tidy(self) -> Instance:
        """Return the instance with symmetric matrices and unbiased sketches, after single numbers were changed."""
        bowls, sketches = tuple(b.tidy() for b in self.bowls), tuple(s.tidy() for s in self.sketches)
        return replace(self, bowls=bowls, sketches=sketches)

    def smaller(self) -> Iterator[Instance]:
        """Yield instances with one bowl, one coordinate or one value of a sketch less."""
        for i in range(len(self.bowls) if len(self.bowls) > 1 else 0):
            one_a_bowl = len(self.sketches) == len(self.bowls)
            sketches = self.sketches[:i] + self.sketches[i + 1 :] if one_a_bowl else self.sketches
            yield replace(self, bowls=self.bowls[:i] + self.bowls[i + 1 :], sketches=sketches)
        for i in range(self.dim if self.dim > 1 else 0):
            bowls, sketches = tuple(b.without(i) for b in self.bowls), tuple(s.without(i) for s in self.sketches)
            rest = [values[:i] + values[i + 1 :] for values in (self.shift, self.start)]
            yield replace(self, bowls=bowls, sketches=sketches, shift=rest[0], start=rest[1]).tidy()
        for i, part in enumerate(self.sketches):
            yield from (self._with_sketch(i, SketchPart("identity")) for _ in range(part.kind != "identity"))
            for j in range(len(part.weights) if len(part.weights) > 1 else 0):
                yield self._with_sketch(i, part.without_value(j))

    def shorter(self) -> Iterator[list[Instance]]:
        """Yield instances with a shorter horizon, and with the largest step."""
        yield [replace(self, horizon=T) for T in _HORIZONS if self.horizon > T]
        if self.fraction < 1:
            yield [replace(self, fraction=1.0)]

    def simplified(self) -> Iterator[list[Instance]]:
        """Yield instances moved to the origin, and with simpler bowls."""
        yield list(self._centred())
        for i, bowl in enumerate(self.bowls):
            yield [replace(self, bowls=(*self.bowls[:i], b, *self.bowls[i + 1 :])) for b in bowl.rounder()]

    def _centred(self) -> Iterator[Instance]:
        """Yield the instance moved so that v = 0, with all minimisers there too, and with them where they are."""
        if any(self.shift) or any(any(bowl.best) for bowl in self.bowls):
            zero, moved = tuple_of(np.zeros(self.dim)), np.array(self.shift)
            one_point = tuple(replace(bowl, best=zero) for bowl in self.bowls)
            start = tuple_of(np.array(self.start) - moved)
            yield replace(self, bowls=one_point, shift=zero, start=self.start)
            yield replace(self, bowls=one_point, shift=zero, start=start)
            if any(self.shift):
                bowls = tuple(replace(bowl, best=tuple_of(np.array(bowl.best) - moved)) for bowl in self.bowls)
                yield replace(self, bowls=bowls, shift=zero, start=start)

    def _with_sketch(self, i: int, part: SketchPart) -> Instance:
        return replace(self, sketches=(*self.sketches[:i], part, *self.sketches[i + 1 :]))

    def record(self) -> dict[str, Any]:
        """Return the instance as standard JSON knows it."""
        return asdict(self) | {"family": "quadratic"}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Instance:
        """Return the instance of a record."""
        plain = {name: _tuples(value) for name, value in record.items() if name not in ("family", "settings")}
        bowls = tuple(Bowl(**_tupled(bowl)) for bowl in record["bowls"])
        sketches = tuple(SketchPart(**_tupled(part)) for part in record["sketches"])
        return cls(**plain | {"bowls": bowls, "sketches": sketches, "settings": dict(record["settings"])})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, (list, tuple)) else value


def _tupled(record: dict[str, Any]) -> dict[str, Any]:
    return {name: _tuples(value) for name, value in record.items()}
