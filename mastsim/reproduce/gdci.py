"""MAST beside gradient descent with compressed iterates (GDCI): constants, neighbourhoods, and where each one settles."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.colours import COLOURS, MARKERS
from mastsim.expected import Mast
from mastsim.layout import BOUND, finish, page
from mastsim.methods import DSGD, GDCI, Method
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import LINE
from mastsim.reproduce.curves import crosses
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, LEAST_SQUARES, regression
from mastsim.reproduce.plateaus import compressed_iterates_plateau, plateau
from mastsim.simulation import simulate
from mastsim.sketches import Bernoulli
from mastsim.standard_errors import mean_and_error
from mastsim.tables import markdown_table
from mastsim.theorems import CompressedIterates, StronglyConvexDSGD

NAME = "gdci"
TITLE = "MAST and GDCI on the same problem"
KEEPS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999)
QUICK_KEEPS = (0.3, 0.9, 0.99, 0.999)

_METHODS = {
    "mast_paper": "DSGD, paper's step",
    "mast_sharp": "DSGD, sharp step",
    "gdci": "GDCI",
    "gdci_same": "GDCI, DSGD's step",
}
_ERRORS = {
    "own_target": ("distance to the method's own target", "E‖x − own target‖²"),
    "error": ("distance to the minimiser of f", "E‖x − x*‖²"),
    "f_above_infimum": ("excess of f", "E f(x) − f^inf"),
}
"""What is drawn of the long run: a title, and the label of the axis."""
_LONGEST, _QUICK_LONGEST = 1500, 150


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return steps, rates and neighbourhoods of both methods over keep fractions, and where they settle.

    Both compress by a Bernoulli sketch with v = 0; κ_f = 100. On least squares the long run is exact, on logistic regression
    it is the mean of replicas over the second half of their paths from the method's own target.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1.
    quick : bool
        Fewer keep fractions and steps.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1.

    References
    ----------
    Khaled, Richtárik, Gradient descent with compressed iterates, arXiv 1909.04716; MAST, arXiv 2311.16086, Theorem 2.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=20,d=4,condition=10"), quick=True)
    >>> [row["gdci"]["refused"] is None for row in numbers["rows"] if row["problem"] == "logistic regression"]
    [False, False, True, True]
    """
    squares = LEAST_SQUARES.problem_on(data.A, data.y)
    logistic = regression(data)
    keeps = QUICK_KEEPS if quick else KEEPS
    longest, replicas = (_QUICK_LONGEST, 8) if quick else (_LONGEST, 16)
    rows = []
    for name, f in (("least squares", squares), ("logistic regression", logistic)):
        for keep in keeps:
            F = Mast(f, Bernoulli(data.d, keep))
            row = {"problem": name, "keep": keep, **_constants(F)}
            for method in _METHODS:
                gamma = row[method]["stepsize"]
                seen = _exact(F, method, gamma) if F.is_quadratic else _simulated(F, method, gamma, longest, replicas, seed)
                row[method]["seen"] = seen
            rows.append(row)
    return {
        **facts(NAME, data, quick, seed),
        "condition_number": CONDITION_NUMBER,
        "rows": rows,
        "findings": _findings(rows),
    }


def _findings(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return constants of either method side by side, and how often a measured neighbourhood is above its radius."""
    found: list[dict[str, float]] = []
    for row in rows:
        where, paper, other = f"{row['problem']} keep {row['keep']:g}", row["mast_paper"], row["gdci"]
        found.append({f"mast_over_gdci_largest_step {where}": paper["stepsize"] / other["stepsize"]})
        found += [] if other["radius"] is None else [{f"mast_over_gdci_radius {where}": paper["radius"] / other["radius"]}]
        for words, rival in (("each at its largest step", other), ("GDCI at DSGD's step", row["gdci_same"])):
            if paper["seen"] is not None and rival["seen"] is not None:
                found.append({f"mast_over_gdci_error {words} {where}": paper["seen"]["error"] / rival["seen"]["error"]})
    said = [
        row[name] for row in rows for name in _METHODS if row[name]["radius"] is not None and row[name]["seen"] is not None
    ]
    above = [crosses(s["seen"]["own_target"], s["radius"], s["seen"].get("own_target_stderr", 0.0)) for s in said]
    return [
        *found,
        {"keeps_at_which_the_gdci_bound_says_nothing": float(sum(row["gdci"]["refused"] is not None for row in rows))},
        {"neighbourhoods_that_cross_their_radius": float(sum(above))},
    ]


def _constants(F: Mast) -> dict[str, Any]:
    """Return what theory says: largest step, rate and radius of either method, around its own target."""
    apart = F.minimize().x - F.problem.minimize().x
    out: dict[str, Any] = {"omega": F.sketch.L_D - 1, "targets_apart": float(apart @ apart), "gap": float(F.gap())}
    for name, sharp in (("mast_paper", False), ("mast_sharp", True)):
        theorem = StronglyConvexDSGD(F, sharp=sharp)
        out[name] = {"stepsize": theorem.stepsize, "rate": theorem.rate, "radius": theorem.radius, "refused": None}
    largest = 2 / (F.problem.L_f.value + F.problem.mu_f.value)
    out["gdci"] = _baseline(F, largest)
    out["gdci_same"] = _baseline(F, min(out["mast_paper"]["stepsize"], largest))
    return out


def _baseline(F: Mast, gamma: float) -> dict[str, Any]:
    """Return what the bound for GDCI says at a step size; where it shrinks nothing, it says nothing."""
    why, rate, radius = CompressedIterates.refuse(F), None, None
    if why is None:
        theorem = CompressedIterates(F)
        rate, radius = 1 - theorem.contraction(gamma), theorem.neighbourhood(gamma)
        if rate >= 1:
            why, rate, radius = f"(1 − γμ)²(1 + 2ω) = {rate:.4g} at this step, but it must be below 1", None, None
    return {"stepsize": gamma, "rate": rate, "radius": radius, "refused": why}


def _exact(F: Mast, method: str, gamma: float) -> dict[str, Any] | None:
    """Return exact long-run errors on a quadratic, or None where they grow without bound."""
    A, apart = F.problem.upper_curvature.matrix, F.minimize().x - F.problem.minimize().x
    if method.startswith("gdci"):
        second = compressed_iterates_plateau(F, gamma)
        if second is None:
            return None
        about_own = float(np.trace(second))
    else:
        own = plateau(F, DSGD(gamma))
        about_own, second = float(np.trace(own)), own + np.outer(apart, apart)
    f_error = 0.5 * float(np.vdot(A, second))
    return {"tier": "exact", "own_target": about_own, "error": float(np.trace(second)), "f_above_infimum": f_error}


def _simulated(F: Mast, method: str, gamma: float, longest: int, replicas: int, seed: int) -> dict[str, Any] | None:
    """Return the same from replicas, or None where one of them diverged."""
    runner: Method = GDCI(gamma) if method.startswith("gdci") else DSGD(gamma)
    steps = min(longest, int(4 / (gamma * F.problem.mu_f.value)) + 10)
    run = simulate(
        runner,
        F,
        steps=steps,
        replicas=replicas,
        seed=seed,
        x0=runner.target(F),
        every=max(1, steps // 100),
        measures=("distance", "error", "f"),
    )
    late = {name: table[:, run.recorded > steps // 2].mean(axis=1) for name, table in run.traces.items()}
    start = float(np.linalg.norm(runner.target(F))) + 1.0
    if not all(np.isfinite(values).all() for values in late.values()) or late["error"].max() > 1e6 * start**2:
        return None
    late["f"] = late["f"] - F.problem.minimize().value
    keys = {"error" if method.startswith("gdci") else "distance": "own_target", "f": "f_above_infimum"}
    out: dict[str, Any] = {"tier": f"{replicas} replicas", "steps": steps}
    for name, key in [*keys.items(), ("error", "error")]:
        mean, error = mean_and_error(late[name])
        out |= {key: float(mean), f"{key}_stderr": float(error)}
    return out


def draw(numbers: dict[str, Any]) -> Figure:
    """Return, for either problem, neighbourhoods about the own targets with bounds, distances to x*, and values of f.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    problems = list(dict.fromkeys(row["problem"] for row in numbers["rows"]))
    figure, panels = page(len(_ERRORS), len(problems))
    for axes, (key, problem) in zip(panels, itertools.product(_ERRORS, problems), strict=True):
        _draw_panel(axes, [row for row in numbers["rows"] if row["problem"] == problem], key)
        axes.set_title(f"{problem}: {_ERRORS[key][0]}")
        axes.set_ylabel(_ERRORS[key][1])
    return finish(figure, f"{TITLE}, Bernoulli sketches, v = 0, in the long run\n{setting(numbers)}")


def _draw_panel(axes: Any, rows: list[dict[str, Any]], key: str) -> None:
    """Draw one long-run error of all methods over keep."""
    place_of = list(range(len(rows)))
    for place, (name, label) in enumerate(_METHODS.items()):
        style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], **LINE}
        seen = [row[name]["seen"] for row in rows]
        means = np.array([np.nan if s is None else s[key] for s in seen])
        errors = np.array([0.0 if s is None else s.get(f"{key}_stderr", 0.0) for s in seen])
        reach = np.stack([np.minimum(2 * errors, 0.9 * means), 2 * errors])
        axes.errorbar(place_of, means, yerr=reach, label=label, capsize=3, **style)
        if key == "own_target":
            bounds = np.array([np.nan if row[name]["radius"] is None else row[name]["radius"] for row in rows])
            axes.plot(place_of, bounds, linestyle="--", markerfacecolor="white", label=f"{label}{BOUND}", **style)
    if key == "error":
        axes.plot(place_of, [row["targets_apart"] for row in rows], "k:", label="‖x_D* − x*‖²")
    axes.set_yscale("log")
    axes.set_xticks(place_of, [f"{row['keep']:g}" for row in rows])
    axes.set_xlabel("share kept")
    axes.grid(visible=True, alpha=0.3)


def long_run_table(numbers: dict[str, Any]) -> str:
    """Return the table of the documentation.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    columns = ["problem", "keep", "method", "largest γ", "rate", "radius (own target)", "measured (own target)"]
    columns += ["E‖x − x*‖²", "E f(x) − f^inf", "‖x_D* − x*‖²"]
    cells = []
    for row in numbers["rows"]:
        for name, label in _METHODS.items():
            said, seen = row[name], row[name]["seen"]
            theory = [f"{said['stepsize']:.4g}"]
            theory += ["refused", "refused"] if said["refused"] else [f"{said['rate']:.5g}", f"{said['radius']:.4g}"]
            found = (
                ["diverges"] * 3 if seen is None else [f"{seen[k]:.4g}" for k in ("own_target", "error", "f_above_infimum")]
            )
            cells.append([row["problem"], f"{row['keep']:g}", label, *theory, *found, f"{row['targets_apart']:.4g}"])
    return markdown_table(columns, cells)


TABLES = {"gdci": long_run_table}
"""Tables of the documentation by name."""
