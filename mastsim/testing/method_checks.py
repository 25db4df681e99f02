"""Checks that a method is what it says it is, and what its steps are: affine or not, unbiased or not, drawn from what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mastsim.backend import Streams
from mastsim.draws import Draw, ListedDraw, RandomElement, outcomes
from mastsim.expected import Mast, Objective
from mastsim.methods import Method
from mastsim.methods.affine import require_affine
from mastsim.problems import Quadratic
from mastsim.sketches import RandK
from mastsim.testing.assertions import about, agree, require, same
from mastsim.validation import instance, integer

_REPLICAS = 6
_ROUNDING = 1e-9
_FEW = 1 << 12
_WARMING = 3


@dataclass(frozen=True)
class MethodReport:
    """What the steps of a method are, on the objective it was checked on.

    Parameters
    ----------
    method : str
        Its name.
    affine : bool
        Whether a step is an affine map of the state for every draw that was tried; None where f is not quadratic.
    unbiased : bool
        Whether E x⁺ = x − γ∇f_D(x) at the first step; None where the outcomes of a step are too many to list.
    draws : tuple of (str, str, int)
        Purpose, what is drawn, and how many uniform numbers that takes, for each draw of a step.
    remark : str
        What to do about exact moments, where they are not to be had; empty where they are.
    """

    method: str
    affine: bool | None
    unbiased: bool | None
    draws: tuple[tuple[str, str, int], ...]
    remark: str = ""

    def __str__(self) -> str:
        words = {True: "yes", False: "no", None: "not known"}
        drawn = "; ".join(f"{purpose}: {what} ({count} uniforms)" for purpose, what, count in self.draws) or "nothing"
        lines = [f"{self.method}: affine: {words[self.affine]}; unbiased: {words[self.unbiased]}; draws {drawn}"]
        return "\n".join([*lines, self.remark] if self.remark else lines)


class _Noting(Draw):
    """Passes draws on, and notes what is drawn for what."""

    def __init__(self, streams: Streams, step: int, replicas: np.ndarray) -> None:
        self.streams, self.step, self.replicas = streams, step, replicas
        self.made: dict[str, RandomElement] = {}
        self.values: dict[str, Any] = {}

    def of(self, purpose: str, element: RandomElement) -> Any:
        require(
            "draw",
            purpose not in self.made,
            f"a step draws twice for purpose={purpose!r} and gets the same numbers both times; give each draw a purpose "
            "of its own",
        )
        self.made[purpose] = element
        u = self.streams.uniform(purpose, self.step, self.replicas, element.uniforms)
        self.values[purpose] = element.from_uniforms(u)
        return self.values[purpose]


def check_method(method: Method, objective: Objective | None = None, seed: int = 0) -> MethodReport:
    """Check a method against its contract, and say whether its steps are affine and unbiased, and what they draw.

    States must keep their shapes, begin with `x`, and depend on their own replica alone; a step must repeat with equal
    draws, leave its argument alone, and draw once for each purpose. A method that says ``affine = True`` must be it.

    Parameters
    ----------
    method : Method
        The method to check.
    objective : Objective, optional
        What it is run on; a quadratic in three dimensions under Rand-2 when left out.
    seed : int, default 0
        Seed of points and draws; a result repeats exactly.

    Returns
    -------
    MethodReport
        What the steps are.

    Raises
    ------
    AssertionError
        If something is wrong; the message names it, the values, and what to write instead.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> print(check_method(ms.DSGD(0.1)))
    DSGD: affine: yes; unbiased: yes; draws sketch: Rand-2 of 3 (2 uniforms)
    """
    instance("method", method, Method)
    F = _usual() if objective is None else objective
    instance("objective", F, Objective)
    rng = np.random.default_rng(integer("seed", seed, 0))
    with about(method.name):
        state, step = _warmed(method, F, rng, seed)
        noted = _check_step(method, F, state, step, seed)
        affine = _is_affine(method, F, state, noted, rng) if F.is_quadratic else None
        why_not = _why_not_affine(method)
        require(
            "affine = True",
            bool(why_not) or affine is not False,
            "with equal draws, the step from the middle of two states is not the middle of the steps from them; write "
            "affine = False, or leave it out",
        )
        drawn = tuple((purpose, getattr(e, "name", repr(e)), int(e.uniforms)) for purpose, e in noted.made.items())
        remark = f"no exact moments: {why_not}" if why_not and affine is not None else ""
        return MethodReport(method.name, affine, _is_unbiased(method, F, rng), drawn, remark)


def _usual() -> Mast:
    f = Quadratic(np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 4.0]]), np.array([1.0, -1.0, 2.0]))
    return Mast(f, RandK(3, k=2), shift=np.array([0.5, 0.0, -1.0]))


def _why_not_affine(method: Method) -> str:
    """Return why exact moments do not take the step for affine; empty where the method says that it is."""
    try:
        require_affine(method)
    except ValueError as refusal:
        return str(refusal)
    return ""


def _warmed(method: Method, F: Objective, rng: np.random.Generator, seed: int) -> tuple[Any, int]:
    """Return a state after a few steps, with the number of the next one, having checked the first."""
    x0 = rng.standard_normal((_REPLICAS, F.dim))
    kept = x0.copy()
    state = method.init(F, x0)
    require("init", hasattr(state, "_fields"), f"it returned {type(state).__name__}; return a NamedTuple of arrays")
    require("init", state._fields[:1] == ("x",), f"the state begins with {state._fields[:1]}; its first field must be x")
    same("init: x is the start", state.x, kept)
    for step in range(_WARMING):
        state = _stepped(method, F, state, _Noting(Streams(seed), step, np.arange(_REPLICAS)))
    return state, _WARMING


def _stepped(method: Method, F: Objective, state: Any, draw: Draw) -> Any:
    after = method.step(state, F, draw)
    require("step", type(after) is type(state), f"it returned {type(after).__name__} instead of {type(state).__name__}")
    return after


def _check_step(method: Method, F: Objective, state: Any, step: int, seed: int) -> _Noting:
    streams, rows = Streams(seed), np.arange(_REPLICAS)
    before = [np.array(part) for part in state]
    noted = _Noting(streams, step, rows)
    after = _stepped(method, F, state, noted)
    for name, part, old in zip(state._fields, state, before, strict=True):
        same(f"step leaves {name} of its state alone", part, old)
    again = method.step(state, F, _Noting(streams, step, rows))
    for name, part, twice, old in zip(state._fields, after, again, before, strict=True):
        require(f"step: shape of {name}", np.shape(part) == old.shape, f"{np.shape(part)} instead of {old.shape}")
        require(f"step: {name} is finite", np.isfinite(part).all(), "there are NaN or infinite entries; try a smaller step")
        same(f"step: {name} repeats with equal draws (draw only from `draw`)", twice, part)
    for r in rows:
        alone = method.step(type(state)(*(part[r : r + 1] for part in before)), F, _Noting(streams, step, rows[r : r + 1]))
        for name, part, own in zip(state._fields, after, alone, strict=True):
            agree(f"step: {name} of a replica does not depend on the others", own[0], part[r], _ROUNDING * _size(part[r]))
    return noted


def _size(x: Any) -> float:
    return 1.0 + float(np.abs(x).max(initial=0.0))


def _is_affine(method: Method, F: Objective, state: Any, noted: _Noting, rng: np.random.Generator) -> bool:
    """Whether steps with equal draws take the middle of two states to the middle, near and far."""
    draw = ListedDraw(noted.values, noted.step)
    for scale in (1.0, 1e-3, 1e3):
        ends = [type(state)(*(scale * rng.standard_normal(np.shape(part)) for part in state)) for _ in range(2)]
        middle = type(state)(*(0.5 * (a + b) for a, b in zip(*ends, strict=True)))
        first, second, half = (method.step(each, F, draw) for each in (*ends, middle))
        for a, b, found in zip(first, second, half, strict=True):
            if not np.abs(0.5 * (a + b) - found).max() <= _ROUNDING * max(_size(a), _size(b)):
                return False
    return True


def _is_unbiased(method: Method, F: Objective, rng: np.random.Generator) -> bool | None:
    """Whether the mean of the first step, over all outcomes, is one of gradient descent on f_D with the same step size."""
    points = rng.standard_normal((4, F.dim))
    state = method.init(F, points)

    def take(rows: np.ndarray, draw: Draw) -> Any:
        return method.step(type(state)(*(part[rows] for part in state)), F, draw).x

    try:
        found, chance = outcomes(take, len(points), limit=_FEW)
    except ValueError:
        return None
    if F.evaluation.tier != "exact" or not math.isfinite(float(np.abs(found).max())):
        return None
    mean = np.tensordot(chance, np.reshape(found, (len(points), len(chance), F.dim)), axes=(0, 1))
    expected = points - method.rule.at(0) * np.asarray(F.gradient(points))
    return bool(np.abs(mean - expected).max() <= _ROUNDING * _size(expected))
