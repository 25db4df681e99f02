"""Smoothness where a run passes, for problems without a smoothness constant: an estimate, and a step without a guarantee."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mastsim.backend import Streams
from mastsim.draws import StreamDraw
from mastsim.expected import Mast
from mastsim.methods import Method
from mastsim.provenance import Constant
from mastsim.readonly import ReadOnly
from mastsim.validation import ENTRIES, instance, integer, vector


@dataclass(frozen=True, eq=False)
class LocalSmoothness(ReadOnly):
    """‖∇²f‖ at points that a run passed.

    Parameters
    ----------
    steps : ndarray of int, shape (records,)
        After how many steps.
    values : ndarray, shape (records,)
        The larger of ‖∇²f‖ at x and at the sketched point v + S(x − v), by Lanczos or dense eigenvalues.
    largest : Constant
        The largest of them, an estimate: between these points, and on another run, it may be larger.
    stepsize : Constant
        1/(largest·L_S^max), an estimate that comes with no guarantee.
    """

    steps: np.ndarray
    values: np.ndarray
    largest: Constant
    stepsize: Constant


def smoothness_along(
    method: Method, objective: Mast, x0: np.ndarray | None = None, *, steps: int = 100, every: int = 10, seed: int = 0
) -> LocalSmoothness:
    """Return the smoothness of f along one replica of a method, as an estimate, and the step that it suggests.

    Parameters
    ----------
    method : Method
        What is run.
    objective : Mast
        f_D; only f and the sketch are used.
    x0 : ndarray, shape (dim,), optional
        The start; the shift when left out.
    steps, every : int, default 100 and 10
        How many steps, and how many between two records.
    seed : int, default 0
        Seed of the draws: the replica is the first of `simulate` with that seed.

    Returns
    -------
    LocalSmoothness
        Marked as an estimate throughout.

    Raises
    ------
    ValueError
        If a number is below 1 or the start does not fit.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
    >>> found = smoothness_along(ms.DSGD(0.1), F, steps=20)
    >>> float(found.largest), found.stepsize.kind, float(found.stepsize)
    (4.0, 'estimate', 0.0625)
    """
    instance("method", method, Method)
    instance("objective", objective, Mast)
    steps, every = integer("steps", steps, 1), integer("every", every, 1)
    start = objective.center if x0 is None else vector("x0", x0, objective.dim, ENTRIES)
    f, streams, row = objective.problem, Streams(integer("seed", seed, 0, 2**64 - 1)), np.arange(1)
    state = method.init(objective, np.array(start)[None])
    recorded, values = [], []
    for step in range(steps + 1):
        draw = StreamDraw(streams, step, row)
        if step % every == 0 or step == steps:
            sketched = draw.of("sketch", objective.sketch).apply(state.x - objective.center) + objective.center
            recorded.append(step)
            values.append(max(f.local_smoothness(x).value for x in (state.x[0], np.asarray(sketched)[0])))
        if step < steps:
            state = method.step(state, objective, draw)
    top, norm = max(values), objective.sketch.L_max
    where = f"‖∇²f‖ at {2 * len(values)} points of one run; it may be larger elsewhere"
    advice = Constant(1 / (top * norm) if top > 0 else np.inf, "estimate", f"1/(L·L_S^max), no guarantee: L is {where}")
    return LocalSmoothness(np.array(recorded), np.array(values), Constant(top, "estimate", where), advice)
