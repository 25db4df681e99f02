"""What a simulation found: records, final state, divergence, bound to the request that it answers."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mastsim.frames import to_frame
from mastsim.markup import coloured, html_table
from mastsim.provenance import content_hash
from mastsim.readonly import ReadOnly
from mastsim.request import (
    AVERAGE_MEASURES,
    DEFAULT_MEASURES,
    LYAPUNOV,
    MEASURE_ACCURACY,
    MEASURES,
    PRECISIONS,
    Divergence,
    Request,
)
from mastsim.run_files import read_parts, write_parts
from mastsim.standard_errors import mean_and_error
from mastsim.validation import UNLIMITED, array, integer, nonnegative

__all__ = [
    "AVERAGE_MEASURES",
    "DEFAULT_MEASURES",
    "LYAPUNOV",
    "MEASURES",
    "MEASURE_ACCURACY",
    "Divergence",
    "Request",
    "Run",
    "stops",
]


@dataclass(frozen=True, eq=False)
class Run(ReadOnly):
    """What replicas of a method did.

    Parameters
    ----------
    request : Request
        What was asked for.
    steps_done : int
        How many steps are recorded; fewer than asked for when interrupted.
    recorded : ndarray of int, shape (records,)
        The steps at which measures were taken: from 0 every so many, and the last.
    traces : dict of str to ndarray, shape (replicas, records)
        One table a measure of the request; `distance` is squared, and what floating point cannot hold is infinite.
    state : dict of str to ndarray, shape (replicas, dim)
        The state of the method after `steps_done` steps; ``state["x"]`` are the iterates, and ``state["running_average"]``
        their running averages where these are measured.
    seconds : float
        Time spent stepping and measuring.
    errors : dict of str to ndarray, shape (replicas, records)
        Standard errors of records that are estimates, because a point is too far out for an exact value of f_D; 0 for exact
        records, infinite where they overflow. Only measures with an estimate have a table.
    estimated_steps : int
        How many gradients of f_D along the way were estimates, for the same reason.
    divergence : Divergence, optional
        Whether replicas diverged, and how.

    Raises
    ------
    ValueError
        If the parts do not fit each other and the request.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
    >>> run = ms.simulate(ms.DSGD(0.25), F, steps=20, replicas=8)
    >>> run.complete, run.recorded[-1], run.distance.shape
    (True, np.int64(20), (8, 21))
    """

    noun = "run"
    example = "what simulate returns"

    request: Request
    steps_done: int
    recorded: np.ndarray
    traces: dict[str, np.ndarray]
    state: dict[str, np.ndarray]
    seconds: float
    errors: dict[str, np.ndarray] = field(default_factory=dict)
    estimated_steps: int = 0
    divergence: Divergence | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("steps_done", self.steps_done, 0, self.request.steps)
        integer("estimated_steps", self.estimated_steps, 0)
        nonnegative("seconds", self.seconds, UNLIMITED)
        self._check_state()
        self._check_records()

    @classmethod
    def begin(cls, request: Request, x0: np.ndarray) -> Run:
        """Return a run from starting points, shape (replicas, dim), with nothing recorded yet."""
        tables = {name: np.zeros((request.replicas, 0)) for name in request.measures}
        return cls(request, 0, np.zeros(0, dtype=int), tables, {"x": x0}, 0.0)

    def _check_state(self) -> None:
        """Refuse states that are no arrays of floats, shape (replicas, dim)."""
        for name, held in {**self.traces, **self.errors, **self.state}.items():
            array(name, held)
            if held.dtype.kind not in "biuf":
                raise ValueError(f"the run holds {name!r} of {held.dtype}: traces and states must be of real numbers")
        if "x" not in self.state:
            raise ValueError("the run has no iterates: state['x'] is missing")
        shape = (self.request.replicas, self.state["x"].shape[-1]) if self.state["x"].ndim else ()
        for name, held in self.state.items():
            if held.shape != shape or held.dtype.name not in PRECISIONS:
                raise ValueError(f"state {name!r} has shape {held.shape} of {held.dtype}: it must be {shape} of floats")

    def _check_records(self) -> None:
        """Refuse records that are not those of the request."""
        asked, count = self.request, len(self.recorded) if self.recorded.ndim == 1 else -1
        wanted = -(-self.steps_done // asked.every) + 1
        nothing = count == 0 and self.steps_done == 0
        if not nothing and not (count == wanted and np.array_equal(self.recorded, stops(asked.every, self.steps_done))):
            raise ValueError(
                f"the run says that it recorded {count} steps, but every={asked.every} and steps_done={self.steps_done} "
                f"give {wanted} other ones"
            )
        if nothing and content_hash(self.state["x"]) != asked.start_hash:
            raise ValueError("the run has recorded nothing, but its iterates are not the starting points of its request")
        if tuple(self.traces) != asked.measures or not set(self.errors) <= set(asked.measures):
            raise ValueError(f"the run holds traces {', '.join(self.traces)}, but was asked for {', '.join(asked.measures)}")
        for name, table in [*self.traces.items(), *self.errors.items()]:
            if table.shape != (asked.replicas, count) or table.dtype != float or np.isnan(table).any():
                raise ValueError(
                    f"table {name!r} has shape {table.shape} of {table.dtype}: it must be ({asked.replicas}, {count}) of "
                    "numbers, none of them NaN"
                )
        if any((table < 0).any() for table in self.errors.values()):
            raise ValueError("the run holds negative standard errors")

    @property
    def complete(self) -> bool:
        """Whether all steps that were asked for are done."""
        return self.steps_done == self.request.steps

    @property
    def next_record(self) -> int:
        """The first step that has not been recorded."""
        return int(self.recorded[-1]) + 1 if len(self.recorded) else 0

    @property
    def method(self) -> str:
        """What was run, in words."""
        return self.request.method

    @property
    def objective(self) -> str:
        """On what, in words."""
        return self.request.objective

    @property
    def stepsize(self) -> float:
        """The step size γ; the largest, when it changes."""
        return self.request.stepsize

    @property
    def steps(self) -> int:
        """How many steps were asked for."""
        return self.request.steps

    @property
    def replicas(self) -> int:
        """The number of replicas."""
        return self.request.replicas

    @property
    def seed(self) -> int:
        """The seed."""
        return self.request.seed

    @property
    def every(self) -> int:
        """How many steps lie between two records."""
        return self.request.every

    @property
    def device(self) -> str:
        """Where the steps were taken."""
        return self.request.device

    @property
    def engine(self) -> str:
        """What took them: array operations or a kernel."""
        return self.request.engine

    @property
    def precision(self) -> str:
        """The type of the iterates."""
        return self.request.precision

    @property
    def measure_accuracy(self) -> float:
        """How far records of f_D − f_D^inf and ‖∇f_D‖ may be off, relative to what is recorded, besides rounding."""
        return self.request.measure_accuracy

    @property
    def x(self) -> np.ndarray:
        """The last iterates, shape (replicas, dim)."""
        return self.state["x"]

    @property
    def distance(self) -> np.ndarray:
        """‖x − x_D*‖² (squared), shape (replicas, records)."""
        return self._trace("distance")

    @property
    def gap(self) -> np.ndarray:
        """f_D(x) − f_D^inf, shape (replicas, records)."""
        return self._trace("gap")

    @property
    def gradient_norm(self) -> np.ndarray:
        """‖∇f_D(x)‖, shape (replicas, records)."""
        return self._trace("gradient_norm")

    @property
    def f(self) -> np.ndarray:
        """f(x), shape (replicas, records)."""
        return self._trace("f")

    @property
    def replica_steps_per_second(self) -> float:
        """Steps times replicas, by the time they took."""
        return self.steps_done * self.replicas / self.seconds if self.seconds > 0 else 0.0

    def _trace(self, name: str) -> np.ndarray:
        """Return one table, or say which there are."""
        if name not in self.traces:
            raise ValueError(f"this run did not record {name!r}; it has {', '.join(self.traces)}")
        return self.traces[name]

    def is_exact(self, measure: str) -> bool:
        """Whether no record of a measure is an estimate, because of points too far out for an exact value of f_D."""
        return not (self.errors[measure] > 0).any() if measure in self.errors else True

    def plot(self, theorem: Any = None, **settings: Any) -> Any:
        """Return a matplotlib figure of the run, beside the bound of a `Rate` when one is given.

        Parameters
        ----------
        theorem : Rate, optional
            The theorem.
        **settings
            ``quantiles=(low, high)``, between which a band of replicas is drawn, (0.1, 0.9) by default; None for no band.
        """
        from mastsim.plots import draw_run

        return draw_run(self, theorem, **settings)

    def to_frame(self) -> Any:
        """Return mean and standard error of every measure as a pandas data frame, one row a record.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        rows: list[dict[str, Any]] = [{"step": int(step)} for step in self.recorded]
        for name, table in self.traces.items():
            for row, mean, error in zip(rows, *mean_and_error(table), strict=True):
                row |= {name: float(mean), f"{name} stderr": float(error)}
        return to_frame(rows, "step")

    def _repr_html_(self) -> str:
        """Return what was run and how far it came, for notebooks."""
        text = f"{self.method}, γ = {self.stepsize:.6g}: {self.objective}; {self.steps_done} steps, {self.replicas} replicas"
        final = self.final() if len(self.recorded) else {}
        rows = [[name, f"{m['mean']:.6g}", f"{m['stderr']:.2g}"] for name, m in final.items()]
        table = html_table(["measure at the end", "mean", "standard error"], rows, right=["mean", "standard error"])
        return f"<p>{html.escape(text)} {coloured('estimate', 'estimate')}</p>{table}"

    def final(self) -> dict[str, dict[str, float]]:
        """Return mean and standard error over replicas of every measure at the last record.

        The standard error is NaN when it is not known: for a single replica, and when a replica diverged. Where records are
        estimates it counts their own errors, and ``estimated`` says how many they are.

        Raises
        ------
        ValueError
            If nothing was recorded, because the run was interrupted at once.
        """
        if len(self.recorded) == 0:
            raise ValueError("nothing was recorded before the run was interrupted; pass it as resume= to simulate")
        out = {}
        for name, table in self.traces.items():
            last, count = table[:, -1], table.shape[0]
            own = self.errors[name][:, -1] if name in self.errors else np.zeros(count)
            with np.errstate(over="ignore"):
                scale = max(float(np.abs(last).max()), 1.0)
                known = count > 1 and math.isfinite(scale)
                spread = scale * float((last / scale).std(ddof=1)) if known else float("nan")
                # The same sketches stand behind the estimates of all replicas, so that their errors do not average out.
                out[name] = {"mean": float(last.mean()), "stderr": math.hypot(spread / count**0.5, float(own.mean()))}
            if (own > 0).any():
                out[name]["estimated"] = int((own > 0).sum())
        return out

    def asked_for(self, steps: int) -> Run:
        """Return the same run as the beginning of one of so many steps."""
        return replace(self, request=replace(self.request, steps=steps))

    def save(self, path: str | Path) -> None:
        """Write the run to one .npz file with a checksum, all or nothing.

        Parameters
        ----------
        path : str or Path
            Where to; an existing file is replaced.
        """
        write_parts({part.name: getattr(self, part.name) for part in fields(self)}, path)

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Return the run that `save` wrote; every part is checked, and nothing is unpickled.

        Parameters
        ----------
        path : str or Path
            The file.

        Raises
        ------
        ValueError
            If the file is not one that `save` wrote, or was changed since.
        """
        return read_parts(path, cls)


def stops(every: int, steps: int) -> np.ndarray:
    """Return the steps that are recorded: from 0 every so many, and the last.

    Parameters
    ----------
    every : int
        How many lie between two.
    steps : int
        The last.

    Examples
    --------
    >>> stops(3, 7).tolist()
    [0, 3, 6, 7]
    """
    return np.append(np.arange(0, steps, every), steps)
