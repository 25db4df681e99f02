"""More clients, a smaller neighbourhood: measured against the M-fold prediction, and Perm-K beside independent sketches."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mastsim.colours import COLOURS, MARKERS
from mastsim.expected import Distributed
from mastsim.layout import BOUND, finish, page
from mastsim.methods import DistributedDSGD
from mastsim.problems import Dataset, LeastSquares, Quadratic, split
from mastsim.problems.columns import widest
from mastsim.reproduce.curve_plots import LINE
from mastsim.reproduce.curves import crosses
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.reproduce.paper_problems import rand_k
from mastsim.reproduce.plateaus import plateau
from mastsim.simulation import simulate
from mastsim.sketches import Bernoulli, PermK, RandK, Sketch
from mastsim.spec import Spec
from mastsim.standard_errors import mean_and_error
from mastsim.theorems import ConvexDistributed, IndependentDistributed

NAME = "speed-up"
TITLE = "Speed-up: the neighbourhood of distributed DSGD with M independent clients"
CLIENTS, QUICK_CLIENTS = (1, 4, 16, 64), (1, 4, 16)
SPEC = Spec(problem="least-squares", condition_number=10)
KEEP = 0.5
SHARES = (1.0, 0.1)
"""Step sizes, as shares of the largest that the theorem allows with one client."""


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return the neighbourhood E‖x^∞ − x_D*‖² for M clients at one step size, and its bound.

    The problem is ℓ2-regularised least squares, κ_f = 10, on the columns that vary most: 64, 16, 4 or 1 of them, so that
    Perm-K can deal them out. Clients hold the same f, or equal shards of its rows, drawn at random.

    Parameters
    ----------
    data : Dataset
        The data.
    quick : bool
        At most sixteen clients, and shorter simulations.
    seed : int, default 0
        The seed.

    References
    ----------
    This package: theorem distributed-independent; MAST, arXiv 2311.16086, Algorithm 3.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=40,d=4,condition=10"), quick=True)
    >>> same = next(c for c in numbers["curves"] if c["clients_hold"] == "the same f" and c["share"] == 0.1)
    >>> [round(same["plateau"][0] / value, 1) for value in same["plateau"]]
    [1.0, 4.0, 16.2]
    """
    whole = _columns(data)
    same = _quadratic(whole)
    clients = [M for M in (QUICK_CLIENTS if quick else CLIENTS) if whole.rows >= M]
    d, curves = whole.dim, []
    for sketch in (Bernoulli(d, KEEP), rand_k(d, KEEP)):
        curves += [_curve("the same f", [[same] * M for M in clients], sketch, share) for share in SHARES]
    shards = [split(whole, M, seed=seed) for M in clients]
    curves += [_curve("shards", shards, Bernoulli(d, KEEP), share) for share in SHARES]  # type: ignore[arg-type]
    simulated = _simulated(same, clients, Bernoulli(d, KEEP), quick, seed)
    head = facts(NAME, data, quick, seed)
    problem = {"name": same.name, "condition_number": SPEC.condition_number, "columns": d}
    dealt = _permutations(same, clients)
    numbers = {**head, "problem": problem, "curves": curves, "simulated": simulated, "permk": dealt}
    return {**numbers, "findings": _findings(curves, dealt)}


def _findings(curves: list[dict[str, Any]], dealt: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Return speed-ups with the most clients, and how often an exact neighbourhood is above its bound and rounding."""
    found: list[dict[str, float]] = []
    for curve in curves:
        last = curve["plateau"][-1]
        where = f"{curve['sketch']} {curve['clients_hold']} share {curve['share']:g} M {curve['clients'][-1]}"
        found += [{f"speed_up {where}": curve["plateau"][0] / last}] if last > 0 else []
    pairs = [pair for curve in curves for pair in zip(curve["plateau"], curve["bound"], strict=True)]
    pairs += [(row[name], row["bound"]) for row in dealt for name in ("permk", "independent")]
    found += [
        {f"permk_over_independent M {row['clients']}": row["permk"] / row["independent"]}
        for row in dealt
        if row["independent"] > 0
    ]
    return [
        *found,
        {"neighbourhoods_that_cross_their_bound": float(sum(crosses(seen, bound) for seen, bound in pairs))},
    ]


def _columns(data: Dataset) -> LeastSquares:
    """Return the problem on the widest columns, as many as Perm-K can deal out."""
    count = max(size for size in (1, 4, 16, 64) if size <= data.d)
    f: LeastSquares = SPEC.problem_on(widest(data.A, count), data.y)
    return f


def _quadratic(f: LeastSquares) -> Quadratic:
    """Return the same function without its rows, which makes a step cheap."""
    zero = np.zeros(f.dim)
    return Quadratic(f.upper_curvature.matrix, -np.asarray(f.gradient(zero)), float(f.value(zero)))


def _curve(hold: str, problems: list[list[Quadratic]], sketch: Sketch, share: float) -> dict[str, Any]:
    """Return exact neighbourhoods for every number of clients, at the step that one client is allowed."""
    theorems = [IndependentDistributed(Distributed(each, sketch)) for each in problems]
    gamma = share * min(theorem.stepsize for theorem in theorems)
    values = [float(np.trace(plateau(theorem.objective, DistributedDSGD(gamma)))) for theorem in theorems]
    clients = [len(each) for each in problems]
    return {
        "clients_hold": hold,
        "sketch": sketch.name,
        "share": share,
        "stepsize": gamma,
        "clients": clients,
        "plateau": values,
        "bound": [theorem.neighbourhood(gamma) for theorem in theorems],
        "gap": [theorem.gap for theorem in theorems],
        "predicted": [values[0] / M for M in clients],
        "speed_up_over_M": [values[0] / value / M if value > 0 else None for value, M in zip(values, clients, strict=True)],
    }


def _simulated(f: Quadratic, clients: list[int], sketch: Sketch, quick: bool, seed: int) -> dict[str, Any]:
    """Return the same from replicas that start at x_D*, averaged over the second half of their paths."""
    gamma = min(IndependentDistributed(Distributed([f] * M, sketch)).stepsize for M in clients)
    replicas, steps = (16, 300) if quick else (32, 600)
    means, errors = [], []
    for M in clients:
        F = Distributed([f] * M, sketch)
        run = simulate(
            DistributedDSGD(gamma),
            F,
            steps=steps,
            replicas=replicas,
            seed=seed,
            x0=F.minimize().x,
            every=5,
            measures=("distance",),
        )
        mean, error = mean_and_error(run.distance[:, run.recorded > steps // 2].mean(axis=1))
        means.append(float(mean))
        errors.append(float(error))
    facts_ = {"sketch": sketch.name, "stepsize": gamma, "replicas": replicas, "steps": steps}
    return {**facts_, "clients": clients, "mean": means, "stderr": errors}


def _permutations(f: Quadratic, clients: list[int]) -> list[dict[str, Any]]:
    """Return Perm-K beside independent Rand-(d/M), both at the largest step that holds whatever the dependence."""
    rows = []
    for M in (2**j for j in range(1, 7) if f.dim % 2**j == 0 and 2**j <= max(clients)):
        dealt = Distributed([f] * M, PermK(f.dim, clients=M))
        alone = Distributed([f] * M, RandK(f.dim, f.dim // M))
        theorem = ConvexDistributed(dealt)
        method = DistributedDSGD(theorem.stepsize)
        rows.append(
            {
                "clients": M,
                "kept": f.dim // M,
                "stepsize": theorem.stepsize,
                "permk": float(np.trace(plateau(dealt, method))),
                "independent": float(np.trace(plateau(alone, method))),
                "bound": theorem.radius,
            }
        )
    return rows


def draw(numbers: dict[str, Any]) -> Figure:
    """Return the neighbourhoods over M, with bounds and predictions, and Perm-K beside independent sketches.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, panels = page(1, 3, height=2.9)
    for axes, share in zip(panels[:2], SHARES, strict=True):
        _draw_clients(axes, numbers, share)
    rows = numbers["permk"]
    for place, (key, label) in enumerate((("permk", "Perm-K"), ("independent", "independent Rand-(d/M)"))):
        style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], **LINE}
        # At one coordinate a client the neighbourhood is zero, which a logarithmic axis cannot show.
        seen = [r[key] if r[key] > 1e-12 * r["bound"] else np.nan for r in rows]
        panels[2].loglog([r["clients"] for r in rows], seen, label=label, **style)
    panels[2].loglog([r["clients"] for r in rows], [r["bound"] for r in rows], "k--", label="bound for both")
    panels[2].set_title("d/M coordinates a client, at the largest step for that M")
    few = numbers["simulated"]["clients"]
    for axes, ticks in zip(panels, (few, few, [r["clients"] for r in rows]), strict=True):
        axes.set_xlabel("clients M")
        axes.set_ylabel("E‖x − x_D*‖² in the long run")
        axes.set_xticks(ticks, [str(M) for M in ticks])
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.3)
    return finish(figure, f"{TITLE}\n{numbers['problem']['columns']} columns of {subtitle(numbers)}", shared=False)


def _draw_clients(axes: Any, numbers: dict[str, Any], share: float) -> None:
    """Draw neighbourhoods over the number of clients, at one share of the step."""
    for place, curve in enumerate(c for c in numbers["curves"] if c["share"] == share):
        style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], **LINE}
        label = f"{curve['sketch']}, {curve['clients_hold']}"
        axes.loglog(curve["clients"], curve["plateau"], linestyle="-", label=label, **style)
        axes.loglog(
            curve["clients"], curve["bound"], linestyle="--", markerfacecolor="white", label=f"{label}{BOUND}", **style
        )
    first = next(curve for curve in numbers["curves"] if curve["share"] == share)
    axes.loglog(first["clients"], first["predicted"], linestyle=":", linewidth=1, color="black", label="1/M of one client")
    seen = numbers["simulated"]
    if share == 1.0:
        two = 2 * np.array(seen["stderr"])
        label = f"{seen['sketch']}: replicas ± 2 standard errors"
        axes.errorbar(seen["clients"], seen["mean"], yerr=two, fmt="k_", capsize=4, label=label)
    gamma = numbers["curves"][0]["stepsize"] if share == 1.0 else numbers["curves"][1]["stepsize"]
    axes.set_title(f"γ = {gamma:.3g}, {share:g} of the largest step for one client")
