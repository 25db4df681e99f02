"""Theorem 6 with the constant as quoted, on clients that refute it, beside the corrected constant on the same clients."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mastsim.colours import COLOURS, MARKERS
from mastsim.expected import Distributed
from mastsim.layout import finish, page
from mastsim.methods import DistributedDSGD
from mastsim.moments import recursion, standard_forms
from mastsim.problems import Dataset
from mastsim.reproduce.curve_plots import LINE
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.simulation import simulate
from mastsim.standard_errors import mean_and_error
from mastsim.theorems import NonconvexDistributed, NonconvexDistributedQuoted
from mastsim.theorems.theorem6_witness import WITNESSES, theorem6_witness

NAME = "theorem6"
TITLE = "Theorem 6 is refuted as quoted: clients on which the constant of public reviews is too small"
HORIZONS = (100, 900, 10_000)
PROBABILITIES = tuple(10.0 ** -np.arange(1.0, 9.5, 0.5))
_QUICK = (1e-1, 1e-3, 1e-4, 1e-6, 1e-8)
_POINTS = 60
_ROUNDING = 1e-9

Witness = tuple[Distributed, np.ndarray, float]
"""An objective, a start, and the step size of the constant as quoted."""


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return left over right side of Theorem 6 on the witnesses, for both constants, by exact moments.

    Two clients in two dimensions: f_1 = ½x_1² without a sketch, f_2 = (ε/2)x_2² with a sketch that is wild at times.
    The quoted constant is 1 and gap_M is 0, so that the bound is 3δ_0/(γT), with γ = 1/√T. The corrected constant is tried
    from the same start at its own, smaller step. One of the witnesses is also simulated.

    Parameters
    ----------
    data : Dataset
        Named in the head; nothing depends on it.
    quick : bool
        Fewer probabilities, horizons and replicas.
    seed : int, default 0
        The seed of the simulation.

    References
    ----------
    MAST, arXiv 2311.16086, Theorem 6, as quoted in public reviews of a version of the paper; not checked in the
    camera-ready. The witness: this package.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=9,d=2"), quick=True)
    >>> [round(row["quoted"]["ratio"], 5) for row in numbers["witnesses"]]
    [1.09357, 2.35898, 6.02202, 15.66883]
    >>> max(row["corrected"]["ratio"] for row in numbers["witnesses"]) < 1
    True
    """
    family = [
        {"T": horizon, "limit": horizon**0.5 / 3, "rows": [tried(p, horizon) for p in (_QUICK if quick else PROBABILITIES)]}
        for horizon in (HORIZONS[:2] if quick else HORIZONS)
    ]
    witnesses = [tried(p, horizon, curve=True) for p, horizon in WITNESSES]
    simulated = _simulated(*WITNESSES[0], 512 if quick else 8192, seed)
    rows = [*witnesses, *(row for each in family for row in each["rows"])]
    return {
        **facts(NAME, data, quick, seed),
        "depends_on_data": False,
        "source": NonconvexDistributedQuoted.source,
        "status": NonconvexDistributedQuoted.status,
        "tier": "exact moments",
        "confidence": f"exact up to rounding ({_ROUNDING:g} of the bound)",
        "witnesses": witnesses,
        "family": family,
        "simulated": simulated,
        "bound_crossed": _crossed(rows),
        "quoted_bound_refuted_on": sum(row["quoted"]["ratio"] > 1 + _ROUNDING for row in rows),
        "findings": _findings(witnesses, rows, simulated),
    }


def witness(probability: float, horizon: int) -> Witness:
    """Return the clients, the start (√(γ/16), 1) and γ = 1/√T.

    Parameters
    ----------
    probability : float
        How often the second client's sketch is not zero, in (0, 1].
    horizon : int
        T.

    References
    ----------
    This package.

    Examples
    --------
    >>> F, start, gamma = witness(1e-3, 100)
    >>> len(F.clients), round(gamma, 12)
    (2, 0.1)
    """
    F, corner = theorem6_witness(probability)
    gamma = NonconvexDistributedQuoted(F, horizon=horizon).stepsize
    return F, np.array([np.sqrt(gamma / 16), corner[1]]), gamma


def tried(probability: float, horizon: int, curve: bool = False) -> dict[str, Any]:
    """Return left over right side for both constants, each at its own largest step, from the same start.

    Parameters
    ----------
    probability : float
        How often the second client's sketch is not zero, in (0, 1].
    horizon : int
        T.
    curve : bool, default False
        Whether to return the ratio after fewer steps as well.

    References
    ----------
    This package.

    Examples
    --------
    >>> row = tried(1e-3, 900)
    >>> round(row["quoted"]["ratio"], 5), row["corrected"]["ratio"] < 1
    (1.09357, True)
    """
    F, start, _ = witness(probability, horizon)
    out: dict[str, Any] = {"probability": probability, "T": horizon}
    for name, kind in (("quoted", NonconvexDistributedQuoted), ("corrected", NonconvexDistributed)):
        theorem = kind(F, horizon=horizon)
        chain = recursion(F, DistributedDSGD(theorem.stepsize))
        means = chain.run(start, horizon, [standard_forms(F, chain.center)["gradient_norm2"]])[:horizon, 0]
        steps = np.arange(1, horizon + 1)
        ratios = np.minimum.accumulate(means) / theorem.bound(steps, theorem.stepsize, theorem.initial_at(start))
        out[name] = {"constant": theorem.variance, "stepsize": theorem.stepsize, "ratio": float(ratios[-1])}
        out[name] |= {"largest_ratio_along_the_way": float(ratios.max()), "least_mean_at_step": int(means.argmin())}
        if curve:
            shown = np.unique(np.geomspace(1, horizon, _POINTS).round().astype(int))
            out[name] |= {"steps": shown.tolist(), "ratios": ratios[shown - 1].tolist()}
    return out


def _simulated(probability: float, horizon: int, replicas: int, seed: int) -> dict[str, Any]:
    """Return E‖∇f_D(x^t)‖² over the bound as quoted: exact, and from replicas with standard errors."""
    # The start is left out, where all replicas are alike: the least mean of the witnesses is the start's, so that a minimum
    # over replicas would either be no simulation at all, or be too small by noise.
    F, start, gamma = witness(probability, horizon)
    run = simulate(
        DistributedDSGD(gamma),
        F,
        steps=horizon - 1,
        replicas=replicas,
        seed=seed,
        x0=start,
        every=max(1, horizon // _POINTS),
        measures=("gradient_norm",),
        chunk=replicas,
    )
    theorem = NonconvexDistributedQuoted(F, horizon=horizon)
    bound = float(theorem.bound(horizon, gamma, theorem.initial_at(start)))
    chain = recursion(F, DistributedDSGD(gamma))
    exact = chain.run(start, horizon - 1, [standard_forms(F, chain.center)["gradient_norm2"]])[run.recorded, 0]
    mean, error = mean_and_error(run.gradient_norm**2)
    return {
        "probability": probability,
        "T": horizon,
        "replicas": replicas,
        "steps": run.recorded[1:].tolist(),
        "exact": (exact[1:] / bound).tolist(),
        "mean": (mean[1:] / bound).tolist(),
        "stderr": (error[1:] / bound).tolist(),
    }


def _crossed(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return where the corrected bound is exceeded: nowhere, as it is proven."""
    return [
        {"probability": row["probability"], "T": row["T"], "ratio": row["corrected"]["largest_ratio_along_the_way"]}
        for row in rows
        if row["corrected"]["largest_ratio_along_the_way"] > 1 + _ROUNDING
    ]


def _findings(witnesses: list[dict[str, Any]], rows: list[dict[str, Any]], seen: dict[str, Any]) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    found = [{f"quoted_ratio_p_{row['probability']:g}_T_{row['T']}": row["quoted"]["ratio"]} for row in witnesses]
    found += [{f"corrected_ratio_p_{row['probability']:g}_T_{row['T']}": row["corrected"]["ratio"]} for row in witnesses]
    apart = np.abs(np.subtract(seen["mean"], seen["exact"])) / np.array(seen["stderr"])
    return [
        *found,
        {"largest_corrected_ratio": max(row["corrected"]["largest_ratio_along_the_way"] for row in rows)},
        {"largest_corrected_over_quoted_constant": max(r["corrected"]["constant"] / r["quoted"]["constant"] for r in rows)},
        {"latest_step_of_the_least_mean_as_quoted": max(row["quoted"]["least_mean_at_step"] for row in witnesses)},
        {"most_standard_errors_between_replicas_and_exact": float(apart.max())},
    ]


def draw(numbers: dict[str, Any]) -> Figure:
    """Return the ratio over how rare the wild sketch is, and over the number of steps on the witnesses.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, panels = page(1, 3, height=3.1)
    for axes, draw_panel in zip(panels, (_draw_family, _draw_witnesses, _draw_path), strict=True):
        draw_panel(axes, numbers)
        axes.axhline(1.0, color="0.35", linewidth=1.4)
        axes.grid(visible=True, alpha=0.3)
    return finish(figure, f"{TITLE}\nno data enter; made beside {subtitle(numbers)}", shared=False)


def _draw_family(axes: Axes, numbers: dict[str, Any]) -> None:
    """Draw the ratio over how rare the wild sketch is."""
    for place, each in enumerate(numbers["family"]):
        style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], **LINE}
        rare = [1 / row["probability"] for row in each["rows"]]
        quoted = [row["quoted"]["ratio"] for row in each["rows"]]
        corrected = [row["corrected"]["ratio"] for row in each["rows"]]
        axes.loglog(rare, quoted, label=f"as quoted, T = {each['T']}", **style)
        axes.loglog(rare, corrected, linestyle="--", markerfacecolor="white", **style)
        axes.axhline(each["limit"], color=COLOURS[place], linestyle=":", linewidth=1)
    axes.plot([], [], "k--", label="with the corrected constant")
    axes.plot([], [], "k:", linewidth=1, label="√T/3: the limit for p → 0")
    axes.set_xlabel("1/p, where p is how often the second client's sketch is not zero")
    axes.set_ylabel("left over right side of Theorem 6 (above 1: refuted)")
    axes.set_title("after T steps, exact moments")


def _draw_witnesses(axes: Axes, numbers: dict[str, Any]) -> None:
    """Draw the ratio over the number of steps."""
    for place, row in enumerate(numbers["witnesses"]):
        style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], **LINE}
        style["markevery"] = 6
        quoted, corrected = row["quoted"], row["corrected"]
        end = f"in the end {quoted['ratio']:.2f}, corrected {corrected['ratio']:.2g}"
        label = f"p = {row['probability']:g}, T = {row['T']}: {end}"
        axes.loglog(quoted["steps"], quoted["ratios"], label=label, **style)
        axes.loglog(corrected["steps"], corrected["ratios"], linestyle="--", markerfacecolor="white", **style)
    axes.plot([], [], "k--", label="with the corrected constant")
    axes.set_xlabel("number of steps, at the step size for T steps")
    axes.set_ylabel("left over right side of Theorem 6 (above 1: refuted)")
    axes.set_title("the four witnesses, exact moments")


def _draw_path(axes: Axes, numbers: dict[str, Any]) -> None:
    """Draw replicas beside the exact mean."""
    seen = numbers["simulated"]
    steps, mean, error = (np.array(seen[key]) for key in ("steps", "mean", "stderr"))
    axes.plot(steps, seen["exact"], color="k", linewidth=2.4, label="exact")
    style: dict[str, Any] = {"color": COLOURS[0], "marker": MARKERS[0], **LINE}
    axes.plot(steps, mean, label=f"{seen['replicas']} replicas ± 2 standard errors", **style)
    axes.fill_between(steps, mean - 2 * error, mean + 2 * error, color=COLOURS[0], alpha=0.25)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step t ≥ 1")
    axes.set_ylabel("E‖∇f_D(x^t)‖² / bound as quoted for T steps")
    axes.set_title(f"one witness: p = {seen['probability']:g}, T = {seen['T']}, step as quoted")
