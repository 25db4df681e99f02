"""L-SVRDSG goes to x_D* itself where DSGD with the same step stalls at its neighbourhood."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.expected import Mast
from mastsim.layout import finish, page
from mastsim.moments import recursion
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import draw_band
from mastsim.reproduce.curves import DISTANCE_ROUNDING, crosses
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.reproduce.theory_trials import away_start
from mastsim.request import AXIS_LABELS
from mastsim.simulation import simulate
from mastsim.sketches import RandK
from mastsim.spec import Spec
from mastsim.standard_errors import mean_and_error
from mastsim.theorems import LooplessSVRDSG, Rate, StronglyConvexDSGD

NAME = "variance-reduction"
TITLE = "Variance reduction: L-SVRDSG reaches x_D*, DSGD with the same step does not"
ROWS, FEATURES = 40, 6
LOGISTIC = Spec(problem="logistic", condition_number=10)
LEAST_SQUARES = Spec(problem="least-squares", condition_number=10)
GOAL = 1e-24
"""The bound of Theorem 5 at the last step."""

_POINTS = 60


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return the squared distance to x_D* of L-SVRDSG and DSGD: replicas on logistic regression, exact on least squares.

    Both problems are made of the first forty rows and, of these, the six columns that vary most, with κ_f = 10 and a Rand-K
    sketch that keeps half: twenty values, so that the anchor's gradient is exact. With one coordinate kept DSGD would reach
    x_D* as well, since the gap to E inf f_S is then zero.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer replicas.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    References
    ----------
    MAST, arXiv 2311.16086, Theorems 2 and 5.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=20,d=4,condition=10"), quick=True)
    >>> [panel["L-SVRDSG"]["mean"][-1] < 1e-12 < panel["DSGD"]["mean"][-1] for panel in numbers["panels"]]
    [True, True]
    """
    A, y = _few(data)
    sketch = RandK(A.shape[1], (A.shape[1] + 1) // 2)
    logistic = Mast(LOGISTIC.problem_on(A, y), sketch, evaluate="enumeration")
    squares = Mast(LEAST_SQUARES.problem_on(A, y), sketch)
    replicas = 8 if quick else 64
    panels = [_simulated(logistic, replicas, seed), _exact(squares)]
    return {**facts(NAME, data, quick, seed), "goal": GOAL, "panels": panels, "findings": _findings(panels)}


def _findings(panels: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return where the curves end; one crosses where its mean less two standard errors is above the bound and rounding."""
    found: list[dict[str, float]] = []
    above = 0
    for panel in panels:
        for name in ("L-SVRDSG", "DSGD"):
            seen = panel[name]
            above += int(crosses(seen["mean"], seen["bound"], seen["stderr"], DISTANCE_ROUNDING).any())
            found.append({f"final_squared_distance {name} {panel['problem'].partition(' (')[0]}": seen["mean"][-1]})
    return [*found, {"curves_that_cross_their_bound": float(above)}]


def _few(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the first rows, and their columns of the largest variance, dense."""
    A = data.A[:ROWS] if isinstance(data.A, np.ndarray) else data.A[:ROWS].toarray()
    # Not `widest`: it breaks ties between columns of zeros and ones in another way, and the committed numbers are of these.
    columns = np.sort(np.argsort(-A.var(axis=0), kind="stable")[:FEATURES])
    return np.ascontiguousarray(A[:, columns]), data.signs[:ROWS]


def _claims(F: Mast) -> tuple[dict[str, Rate], float, np.ndarray, np.ndarray]:
    """Return both theorems, the step, the start, and the steps at which to look, up to where Theorem 5 reaches the goal."""
    reduced = LooplessSVRDSG(F, sharp=True)
    start = away_start(reduced)
    steps = math.ceil(math.log(reduced.initial_at(start) / GOAL) / -math.log1p(-reduced.contraction(reduced.stepsize)))
    every = -(-steps // _POINTS)
    times = np.unique(np.append(np.arange(0, steps, every), steps))
    return {"L-SVRDSG": reduced, "DSGD": StronglyConvexDSGD(F, sharp=True)}, reduced.stepsize, start, times


def _simulated(F: Mast, replicas: int, seed: int) -> dict[str, Any]:
    """Return the curves of both methods from replicas."""
    claims, gamma, start, times = _claims(F)
    curves = {}
    for name, theorem in claims.items():
        run = simulate(
            theorem.method_at(gamma),
            F,
            steps=int(times[-1]),
            replicas=replicas,
            seed=seed,
            x0=start,
            every=int(times[1] - times[0]),
            measures=("distance",),
        )
        curves[name] = _curve(theorem, gamma, start, times, *mean_and_error(run.distance))
    return {"problem": F.problem.name, "sketch": F.sketch_name, "tier": f"{replicas} replicas", "stepsize": gamma, **curves}


def _exact(F: Mast) -> dict[str, Any]:
    """Return the curves of both methods from exact moments."""
    claims, gamma, start, times = _claims(F)
    curves = {}
    for name, theorem in claims.items():
        chain = recursion(F, theorem.method_at(gamma))
        distance = chain.run(start, int(times[-1]), [StronglyConvexDSGD(F).form(gamma, chain.center)])[times, 0]
        curves[name] = _curve(theorem, gamma, start, times, distance, np.zeros(len(times)))
    return {"problem": F.problem.name, "sketch": F.sketch_name, "tier": "exact moments", "stepsize": gamma, **curves}


def _curve(
    theorem: Rate, gamma: float, start: np.ndarray, times: np.ndarray, mean: np.ndarray, error: np.ndarray
) -> dict[str, Any]:
    """Return a curve beside its bound."""
    bound = np.asarray(theorem.bound(times, gamma, theorem.initial_at(start)))
    return {
        "theorem": theorem.id,
        "steps": times.tolist(),
        "mean": mean.tolist(),
        "stderr": error.tolist(),
        "bound": bound.tolist(),
    }


def draw(numbers: dict[str, Any]) -> Figure:
    """Return one panel for each problem, with the bounds of Theorems 5 and 2 dashed.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, panels = page(1, 2, height=2.9, sharey=True)
    for axes, panel in zip(panels, numbers["panels"], strict=True):
        for place, name in enumerate(("L-SVRDSG", "DSGD")):
            draw_band(
                axes, panel[name], place=place, label=f"{name}: {panel[name]['theorem'].replace('theorem', 'Theorem ')}"
            )
        axes.set_title(f"{panel['problem']}, {panel['sketch']}\n{panel['tier']}, γ = {panel['stepsize']:.3g}")
        axes.set_xlabel("step")
        axes.set_ylabel(AXIS_LABELS["distance"])
        axes.set_ylim(bottom=1e-34)
    return finish(figure, f"{TITLE}\n{subtitle(numbers)}")
