"""What a simulation is asked for, and how it is told that replicas diverged."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from mastsim.expected import Objective
from mastsim.methods import Method
from mastsim.provenance import content_hash
from mastsim.validation import EVALUATIONS, STEPS, UNLIMITED, integer, nonnegative, one_of, positive, shown, text, texts

DEFAULT_MEASURES: tuple[str, ...] = ("distance", "gap", "gradient_norm", "f")
"""What a run records unless told otherwise: ‖x − x_D*‖², f_D(x) − f_D^inf, ‖∇f_D(x)‖ and f(x)."""

MEASURES: tuple[str, ...] = (*DEFAULT_MEASURES, "error", "f_gap", "f_gradient_norm")
"""What a run of any method can record: the default measures, and ‖x − x*‖², f(x) − f^inf and ‖∇f(x)‖, x* minimising f."""

AVERAGE_MEASURES: tuple[str, ...] = tuple(f"average_{name}" for name in MEASURES)
"""The same of the running average x̄_T = (x^0 + … + x^{T−1})/T of a replica, x̄_0 = x^0, which a run then carries along."""

LYAPUNOV = "lyapunov"
"""What a run of a method with a Lyapunov function records besides, where it can be computed: see `Method.lyapunov`."""

AXIS_LABELS = {
    "distance": "E‖x − x_D*‖²",
    "gap": "E f_D(x) − inf f_D",
    "gradient_norm2": "E‖∇f_D(x)‖²",
    "error": "E‖x − x*‖²",
    "f_gap": "E f(x) − f^inf",
    "f_gradient_norm2": "E‖∇f(x)‖²",
    "lyapunov": "E Ψ",
}
"""What measures are called on axes."""

MEASURE_ACCURACY = 1e-9
"""How far records of f_D may be off unless told otherwise, relative to what is recorded."""

PRECISIONS = ("float64", "float32")
"""The types of iterates."""

_HASHES = ("method_hash", "objective_hash", "start_hash")
_DIGITS = set("0123456789abcdef")
_TEXTS = ("method", "objective", "device", "engine")
_WHOLE = (("steps", 1, None), ("replicas", 1, None), ("every", 1, None), ("seed", 0, 2**64 - 1))


@dataclass(frozen=True)
class Request:
    """What a simulation was asked for: equal requests give equal records, bit for bit, on one machine.

    Parameters
    ----------
    method, objective : str
        What to run, in words.
    method_hash, objective_hash, start_hash : str
        SHA-256 of their contents, and of the starting points.
    stepsize : float
        The step size γ; the largest, when it changes.
    steps : int
        How many steps.
    replicas : int
        How many independent replicas.
    seed : int
        The seed.
    every : int
        How many steps lie between two records.
    measures : tuple of str
        What to record, see `MEASURES`, `AVERAGE_MEASURES` and `LYAPUNOV`.
    device : str, default "cpu"
        Where steps are taken.
    engine : str, default "array"
        What takes them: array operations or a kernel.
    precision : {"float64", "float32"}, default "float64"
        The type of the iterates.
    measure_accuracy : float, default 1e-9
        How far records of f_D − f_D^inf and ‖∇f_D‖ may be off, relative to what is recorded, besides the rounding of f_D.

    Raises
    ------
    ValueError
        If a field is outside its range.
    TypeError
        If a field has another type.

    References
    ----------
    This package.

    Examples
    --------
    >>> import numpy as np, mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> asked = ms.simulate(ms.DSGD(0.25), F, steps=20, replicas=8).request
    >>> asked.steps, asked.replicas, asked.measures
    (20, 8, ('distance', 'gap', 'gradient_norm', 'f'))
    """

    method: str
    objective: str
    method_hash: str
    objective_hash: str
    start_hash: str
    stepsize: float
    steps: int
    replicas: int
    seed: int
    every: int
    measures: tuple[str, ...]
    device: str = "cpu"
    engine: str = "array"
    precision: str = "float64"
    measure_accuracy: float = MEASURE_ACCURACY

    def __post_init__(self) -> None:
        for name in _TEXTS:
            text(name, getattr(self, name))
        for name in _HASHES:
            if len(text(name, getattr(self, name))) != 64 or not set(getattr(self, name)) <= _DIGITS:
                raise ValueError(f"{name}={shown(getattr(self, name))} is not accepted: it must be a SHA-256 in hexadecimal")
        positive("stepsize", self.stepsize, STEPS)
        for name, least, most in _WHOLE:
            integer(name, getattr(self, name), least, most)
        names = texts("measures", self.measures)
        for name in names:
            one_of("measure", name, (*MEASURES, *AVERAGE_MEASURES, LYAPUNOV))
        if len(set(names)) < len(names):
            raise ValueError(f"measures={names} is not accepted: every measure must be there once")
        one_of("precision", self.precision, PRECISIONS)
        positive("measure_accuracy", self.measure_accuracy, EVALUATIONS)
        object.__setattr__(self, "measures", names)

    @classmethod
    def of(cls, method: Method, objective: Objective, x0: np.ndarray, **settings: Any) -> Self:
        """Return the request to run a method on an objective from starting points `x0`, shape (replicas, dim).

        Parameters
        ----------
        method : Method
            The method.
        objective : Objective
            The objective.
        x0 : ndarray, shape (replicas, dim)
            The starting points.
        **settings
            ``steps``, ``seed``, ``every``, ``measures``, and ``device``, ``engine``, ``precision`` and ``measure_accuracy``
            where they differ from their defaults.
        """
        return cls(
            method=method.name,
            objective=objective.name,
            method_hash=content_hash(method),
            objective_hash=content_hash(objective),
            start_hash=content_hash(x0),
            stepsize=method.rule.largest,
            replicas=len(x0),
            **settings,
        )

    def check_continues(self, earlier: Request, *, from_start: bool) -> None:
        """Refuse a run to resume that does not belong to this request; `from_start` says whether a start was asked for."""
        free = {"steps", "measures"} if from_start else {"steps", "measures", "start_hash"}
        for item in fields(self):
            found, wanted = getattr(earlier, item.name), getattr(self, item.name)
            if item.name not in free and found != wanted:
                what = item.name.removesuffix("_hash")
                raise ValueError(f"resume belongs to another simulation: its {what} is {found}, not {wanted}")
        if set(earlier.measures) != set(self.measures):
            raise ValueError(f"resume belongs to another simulation: it recorded {', '.join(earlier.measures)}")


@dataclass(frozen=True)
class Divergence:
    """How replicas that left every bound did so, and which step would have been safe.

    Parameters
    ----------
    replicas : int
        How many diverged: they overflowed, or went a thousand times as far out as they began, at a step above a safe one.
    step : int
        The first recorded step at which one of them had.
    seconds : float
        When that was, from the beginning of the simulation.
    safe_step : float or None
        The largest step size that is known to be safe; None where none is.
    source : str
        Whose step that is.

    References
    ----------
    This package.

    Examples
    --------
    >>> print(Divergence(3, 40, 0.5, 0.25, "Theorem 2"))
    3 replicas diverged, the first by step 40, after 0.5 s; the largest safe step is 0.25 (Theorem 2)
    """

    replicas: int
    step: int
    seconds: float
    safe_step: float | None
    source: str

    def __post_init__(self) -> None:
        integer("replicas", self.replicas, 1)
        integer("step", self.step, 0)
        nonnegative("seconds", self.seconds, UNLIMITED)
        text("source", self.source)
        if self.safe_step is not None:
            positive("safe_step", self.safe_step, UNLIMITED)

    def __str__(self) -> str:
        who = f"{self.replicas} replica{'s' if self.replicas > 1 else ''} diverged"
        known = f"the largest safe step is {self.safe_step or 0:.6g} ({self.source})"
        safe = f"no safe step is known: {self.source}" if self.safe_step is None else known
        return f"{who}, the first by step {self.step}, after {self.seconds:.3g} s; {safe}"
