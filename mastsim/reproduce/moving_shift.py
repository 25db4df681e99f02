"""Which v? A shift that the iterate refreshes: the floor of a fixed v goes away, at a price in steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.expected import Mast
from mastsim.layout import BOUND, finish, page
from mastsim.methods import DSGD, Refreshed
from mastsim.moments import recursion, standard_forms
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import draw_line
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, LEAST_SQUARES, rand_k
from mastsim.theorems import StronglyConvexQuadraticShift

NAME = "moving-shift"
TITLE = "Which v? E‖x − x*‖² with a shift that is refreshed with probability p"
KEEP = 0.5
PROBABILITIES, QUICK_PROBABILITIES = (0.0, 0.01, 0.1, 1.0), (0.0, 0.1, 1.0)
STEPS, QUICK_STEPS = 3000, 300
_RECORDS = 30


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return exact E‖x^t − x*‖² from x = v = 0 for several p, all at one step size, with the bounds of the theorem.

    The problem is ℓ2-regularised least squares, κ_f = 100, under Rand-K that keeps half of the coordinates, at the largest
    step of the theorem about refreshed shifts of quadratics, with sharp constants.

    Parameters
    ----------
    data : Dataset
        The data.
    quick : bool
        Fewer steps and probabilities.
    seed : int, default 0
        Has no effect: nothing is drawn.

    References
    ----------
    This package: theorem moving-shift-quadratic.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=40,d=3"), quick=True)
    >>> [curve["error"][-1] < 0.1 * numbers["floor"] for curve in numbers["curves"]]
    [False, True, True]
    """
    f = LEAST_SQUARES.problem_of(data)[1]
    F = Mast(f, rand_k(f.dim, KEEP))
    gamma = StronglyConvexQuadraticShift(F, sharp=True).stepsize
    steps = QUICK_STEPS if quick else STEPS
    recorded = np.unique(np.linspace(0, steps, _RECORDS).round().astype(int))
    curves = [_curve(F, gamma, p, recorded) for p in (QUICK_PROBABILITIES if quick else PROBABILITIES)]
    bias = f.minimize().x - F.minimize().x
    numbers = {
        **facts(NAME, data, quick, seed),
        "tier": "exact",
        "problem": f.name,
        "condition_number": CONDITION_NUMBER,
        "sketch": F.sketch_name,
        "stepsize": gamma,
        "floor": float(bias @ bias),
        "curves": curves,
    }
    return {**numbers, "findings": _findings(numbers)}


def _curve(F: Mast, gamma: float, p: float, recorded: np.ndarray) -> dict[str, Any]:
    """Return E‖x − x*‖², its bound where there is one, and by what it shrank a step over the second half of the path."""
    rule, x0 = Refreshed(p), F.center
    chain = recursion(F, DSGD(gamma, shift=rule))
    error = chain.run(x0, int(recorded[-1]), [standard_forms(F, chain.center)["error"]])[recorded, 0]
    bound: list[float | None] = [None] * len(recorded)
    if rule.moves:
        theorem = StronglyConvexQuadraticShift(F, sharp=True, shift=rule)
        claimed = np.asarray(theorem.bound(recorded, gamma, theorem.initial_at(x0, gamma)))
        bound = [float(value) for value in claimed]
    half = len(recorded) // 2
    steps = int(recorded[-1] - recorded[half])
    factor = float((error[-1] / error[half]) ** (1 / steps)) if error[half] > 0 else 0.0
    return {
        "probability": p,
        "steps": recorded.tolist(),
        "error": [float(value) for value in error],
        "bound": bound,
        "factor": factor,
        "crosses": int(sum(b is not None and e > b * (1 + 1e-9) for e, b in zip(error, bound, strict=True))),
    }


def _findings(numbers: dict[str, Any]) -> list[dict[str, float]]:
    """Return the floor of the fixed shift, what is left in the end, and the factors a step."""
    found: list[dict[str, float]] = [{"distance² of x_D* to x* (the floor as γ → 0)": numbers["floor"]}]
    for curve in numbers["curves"]:
        found.append({f"last E‖x − x*‖², p = {curve['probability']:g}": curve["error"][-1]})
        found.append({f"factor a step, p = {curve['probability']:g}": curve["factor"]})
    return [*found, {"bounds_crossed": sum(curve["crosses"] for curve in numbers["curves"])}]


def draw(numbers: dict[str, Any]) -> Figure:
    """Return the errors over steps beside the floor of the fixed shift, and the factor a step over p.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, (left, right) = page(1, 2, height=2.9, width_ratios=(3, 2))
    for place, curve in enumerate(numbers["curves"]):
        draw_line(left, curve["steps"], curve["error"], place=place, label=f"p = {curve['probability']:g}")
        if curve["bound"][0] is not None:
            label = f"p = {curve['probability']:g}{BOUND}"
            draw_line(left, curve["steps"], curve["bound"], place=place, label=label, bound=True)
    left.axhline(
        numbers["floor"], color="black", linestyle="-.", linewidth=1, label="‖x_D* − x*‖², the floor of a fixed v = 0"
    )
    left.set_yscale("log")
    left.set_xlabel("step")
    left.set_ylabel("E‖x − x*‖²")
    left.set_title("squared distance to the minimiser of f")
    moving = [curve for curve in numbers["curves"] if curve["probability"] > 0]
    shrunk = [1 - curve["factor"] for curve in moving]
    draw_line(right, [curve["probability"] for curve in moving], shrunk, place=0, label="exact, second half of the path")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("p, the probability that v moves to x")
    right.set_ylabel("1 − (factor of E‖x − x*‖² a step)")
    right.set_title("how fast it shrinks")
    words = f"{numbers['problem']}, {numbers['sketch']}, γ = {numbers['stepsize']:.3g}, exact moments"
    return finish(figure, f"{TITLE}\n{subtitle(numbers)}, {words}", shared=False)
