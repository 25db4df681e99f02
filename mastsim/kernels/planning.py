"""Which kernel a simulation runs on: chosen by problem, sketch and sampling, never by the number of replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mastsim.backend import STEPS, Streams
from mastsim.draws import StreamDraw
from mastsim.expected import Mast, Objective
from mastsim.kernels.batches import batch_of
from mastsim.kernels.draws import KernelDraw
from mastsim.kernels.fused import fused
from mastsim.kernels.linear import descend_linear
from mastsim.kernels.masks import mask_of
from mastsim.kernels.models import LinearModel, few_columns, model_at_origin, model_at_shift
from mastsim.kernels.overrides import keeps
from mastsim.kernels.philox import key_of
from mastsim.kernels.quadratics import descend_block, descend_panel
from mastsim.kernels.rows import descend_rows
from mastsim.methods import DSGD, SGD, FullBatch, Method
from mastsim.methods.compression import Uncompressed
from mastsim.sketches import Identity
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import instance, integer, one_of

PRECISIONS = {"float64": np.float64, "float32": np.float32}
ENGINES = ("auto", "kernel", "array")
ARRAY = "array"


class Descent(NamedTuple):
    """Whole runs of steps in one compiled call.

    Parameters
    ----------
    kernel : callable
        Takes the steps in place.
    tables : tuple
        What it reads besides iterates, replicas, steps and the key of the sketches.
    batched : bool
        Whether it draws minibatches, and takes the key of these.
    members : int
        How many threads take a step of one replica together, at most `shares`; fewer where these are busy. The result does
        not depend on it.
    """

    kernel: Callable[..., None]
    tables: tuple[Any, ...]
    batched: bool
    members: int = 1

    @property
    def shares(self) -> int:
        """How many threads, at the most, can take a step of one replica together."""
        return int(self.tables[-1].shares) if self.kernel is descend_linear else 1

    def compile(self, x: np.ndarray) -> None:
        """Compile what steps from these iterates need; none is taken.

        Parameters
        ----------
        x : ndarray, shape (replicas, dim)
            The iterates, in row-major order.
        """
        self._call(x, np.arange(len(x)), 0, np.zeros(0), Streams(0))

    def advance(self, x: np.ndarray, replicas: np.ndarray, first: int, stepsizes: np.ndarray, streams: Streams) -> None:
        """Take ``len(stepsizes)`` steps from step `first` on, in place.

        Parameters
        ----------
        x : ndarray, shape (replicas, dim)
            The iterates, in row-major order.
        replicas : ndarray of int, shape (replicas,)
            The numbers of the replicas.
        first : int
            The number of the first step.
        stepsizes : ndarray, shape (steps,)
            γ_t of each step.
        streams : Streams
            The random numbers.
        """
        integer("steps", first + len(stepsizes), 1, STEPS)
        self._call(x, replicas, first, stepsizes, streams)

    def _call(self, x: np.ndarray, replicas: np.ndarray, first: int, stepsizes: np.ndarray, streams: Streams) -> None:
        mask, *rest = self.tables
        rest += [self.members] if self.members > 1 else []
        keys = [key_of(streams.seed, "minibatch")] if self.batched else []
        self.kernel(x, replicas, first, stepsizes.astype(x.dtype), key_of(streams.seed, "sketch"), mask, *keys, *rest)


@dataclass(frozen=True, eq=False)
class Plan:
    """How steps are taken on the host.

    Parameters
    ----------
    name : str
        What a run reports, for example ``"kernel descend_linear"``.
    objective : Objective
        The objective that single steps see.
    draw : type of Draw
        What single steps draw from.
    descent : Descent or None
        Steps in one call, where there is a kernel for the whole method.
    dtype : type
        The type of the iterates.
    """

    name: str
    objective: Objective
    draw: type[StreamDraw]
    descent: Descent | None
    dtype: type


def plan(method: Method, objective: Objective, engine: str = "auto", precision: str = "float64") -> Plan:
    """Return how the steps of a method are taken.

    A whole run is one compiled call where the method is descent along sketched gradients and its draws can be made inside;
    otherwise each step is taken by the method, with gradients from kernels where there are any.

    Parameters
    ----------
    method : Method
        The method.
    objective : Objective
        The objective.
    engine : {"auto", "kernel", "array"}
        Kernels where there are any, kernels or nothing, or array operations only.
    precision : {"float64", "float32"}
        The type of the iterates; floats need a kernel for the whole run.

    Raises
    ------
    ValueError
        If a kernel is asked for and there is none, with the reason.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.eye(20), np.ones(20)), ms.RandK(20, k=2))
    >>> plan(ms.DSGD(0.1), F).name, plan(ms.GD(0.1), F).name
    ('kernel descend_block', 'array')
    """
    instance("method", method, Method)
    instance("objective", objective, Objective)
    one_of("engine", engine, ENGINES)
    dtype = PRECISIONS[one_of("precision", precision, PRECISIONS)]
    if engine == ARRAY:
        _refuse_floats(precision, "engine='array' computes in float64")
        return Plan(ARRAY, objective, StreamDraw, None, dtype)
    descent, reason = _descent(method, objective, dtype)
    if descent is not None:
        return Plan(f"kernel {descent.kernel.__name__}", objective, KernelDraw, descent, dtype)
    _refuse_floats(precision, f"no kernel takes whole runs here: {reason}")
    fast = fused(method, objective)
    if fast is not None:
        return Plan("kernel gradients", fast, KernelDraw, None, dtype)
    if engine == "kernel":
        raise ValueError(f"engine='kernel' is not accepted: {reason}; use engine='auto' or 'array'")
    return Plan(ARRAY, objective, StreamDraw, None, dtype)


def _refuse_floats(precision: str, why: str) -> None:
    if precision != "float64":
        raise ValueError(f"precision={precision!r} is not accepted: {why}; use precision='float64'")


def _descent(method: Method, objective: Objective, dtype: type) -> tuple[Descent | None, str]:
    """Return the kernel for a whole run, or None and the reason why there is none."""
    if type(method) not in (DSGD, SGD) or type(objective) is not Mast:
        return None, f"{method.name} is not descent along sketched gradients of one node"
    assert isinstance(method, DSGD | SGD)
    if type(method.compression) is not Uncompressed:
        return None, "directions are compressed"
    if method.rule.adapts:
        return None, f"the step sizes of {method.name} depend on the iterate"
    if isinstance(method, DSGD) and not method.is_alike:
        return None, f"the steps of {method.name} are not alike and independent"
    plain = isinstance(method, SGD)
    sketch = Identity(objective.dim) if plain else objective.sketch
    if not keeps(sketch, SelectionSketch, "from_uniforms", "uniforms"):
        return None, f"{sketch.name} does not keep or drop coordinates"
    assert isinstance(sketch, SelectionSketch)
    model = model_at_origin(objective, dtype) if plain else model_at_shift(objective, dtype)
    if model is None:
        return None, f"{objective.problem.name} has no kernel"
    mask = mask_of(sketch.law, dtype)
    if not np.isfinite(mask.scale).all():
        return None, f"1/keep of {sketch.name} is beyond the range of {dtype.__name__}"
    if type(method.sampling) is FullBatch:
        return Descent(_full_gradient(model, sketch), (mask, model), False), ""
    if not isinstance(model, LinearModel):
        return None, f"{method.sampling.name} of a quadratic's one component has no kernel"
    batch = batch_of(method.sampling, objective.problem.components, dtype)
    if batch is None:
        return None, f"{method.sampling.name} has no kernel"
    return Descent(descend_rows, (mask, batch, model), True), ""


def _full_gradient(model: Any, sketch: SelectionSketch) -> Callable[..., None]:
    if isinstance(model, LinearModel):
        return descend_linear
    return descend_block if few_columns(sketch) else descend_panel
