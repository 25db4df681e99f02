"""A small network trained by DSGD and pruned at random, beside the network trained without masks; no theorem applies."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm import tqdm

from mastsim.colours import COLOURS, MARKERS
from mastsim.expected import Mast
from mastsim.layout import finish, page
from mastsim.methods import DSGD, SGD, Nice
from mastsim.problems import Dataset
from mastsim.reproduce.curves import follow
from mastsim.reproduce.figure_head import facts, subtitle
from mastsim.reproduce.network_experiment import (
    FAMILIES,
    FULL,
    QUICK,
    NetworkSplit,
    TrainingBudget,
    masks,
    split_rows,
    starts,
)
from mastsim.reproduce.pruned_accuracy import Choice, accuracy, chosen, diagonals, gain, pruned, side
from mastsim.sketches import Identity

NAME = "network"
TITLE = "A two-layer network pruned at random: trained by DSGD, and without masks (no theorem applies: L_f is infinite)"
ARMS = {"mast": "DSGD (MAST)", "baseline": "SGD without masks", "baseline_unscaled": "the same, kept weights not rescaled"}
BASELINES = ("baseline", "baseline_unscaled")
STOPPING = {"early": "early stopping for all", "last": "no early stopping"}


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return test accuracies of randomly pruned networks, v = 0: box statistics over masks and seeds.

    Every network takes the same number of steps with the same minibatches from the same starts. For each family of masks and
    keep fraction, step size and stopping time are those of the best validation accuracy under masks of that very family, for
    the network trained without masks as well.

    Parameters
    ----------
    data : Dataset
        At least ten rows with labels -1 and 1.
    quick : bool
        Smaller, shorter and fewer.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If there are fewer than ten rows, or a label is not -1 or 1.

    References
    ----------
    MAST, arXiv 2311.16086, Algorithm 1 (II); masks of weights as in DropConnect (Wan et al., ICML 2013), of units as in
    dropout (Srivastava et al., JMLR 2014).

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=20,d=2"), quick=True)
    >>> [(row["family"], row["keep"]) for row in numbers["rows"]][0]
    ('weights, Bernoulli', 0.5)
    """
    budget = QUICK if quick else FULL
    split = split_rows(data, width=budget.width, l2=budget.l2, most=budget.most, seed=seed)
    plain = _paths(split, budget, None, seed)
    todo = [(family, keep) for family in FAMILIES for keep in (budget.few_keeps if family == FAMILIES[2] else budget.keeps)]
    rows = [_row(family, keep, split, budget, plain, seed) for family, keep in tqdm(todo, desc="network", disable=None)]
    dense = _dense(split, budget, plain)
    return {
        **facts(NAME, data, quick, seed),
        "theorem": None,
        "why_no_theorem": "a two-layer network has no global smoothness constant: L_f is infinite",
        "shift": "zero",
        "network": {"width": budget.width, "d": split.train.dim, "l2": budget.l2, "majority_accuracy": _majority(split)},
        "budget": {"steps": budget.steps, "minibatch": _minibatch(split, budget), "stepsizes": list(budget.stepsizes)},
        "rows_used": {
            "train": split.train.components,
            "validation": split.validation.components,
            "test": split.test.components,
        },
        "rows_note": split.note,
        "seeds_note": f"{budget.seeds} starts, minibatches and masks; one split of the rows and one list of masks for all",
        "seeds": budget.seeds,
        "masks": budget.masks,
        "dense_baseline": dense,
        "rows": rows,
        "findings": _findings(rows, dense, _majority(split)),
    }


def _minibatch(split: NetworkSplit, budget: TrainingBudget) -> int:
    """Return how many rows a step sees."""
    return min(budget.minibatch, split.train.components)


def _majority(split: NetworkSplit) -> float:
    """Return the accuracy of always saying the more frequent label."""
    return float(max(np.mean(split.test.y == label) for label in (-1.0, 1.0)))


def _paths(split: NetworkSplit, budget: TrainingBudget, family: tuple[str, float] | None, seed: int) -> np.ndarray:
    """Return the iterates for every step size, shape (step sizes, records, seeds, dim)."""
    f, sampling = split.train, Nice(_minibatch(split, budget))
    F = Mast(f, Identity(f.dim) if family is None else masks(*family, f))
    kind, x0 = (SGD if family is None else DSGD), starts(f, budget.seeds, seed)
    shared = {"replicas": budget.seeds, "seed": seed, "x0": x0}
    seen = [follow(kind(gamma, sampling), F, budget.stops, distances=False, **shared) for gamma in budget.stepsizes]
    return np.stack([iterates.points.swapaxes(0, 1) for iterates in seen])


def _row(
    family: str, keep: float, split: NetworkSplit, budget: TrainingBudget, plain: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return what all arms reach under the masks of one family and keep fraction."""
    sketch = masks(family, keep, split.train)
    look, test = diagonals(sketch, budget.validation_masks, (seed, 2)), diagonals(sketch, budget.masks, (seed, 3))
    out: dict[str, Any] = {"family": family, "keep": keep, "sketch": sketch.name}
    paths = {"mast": _paths(split, budget, (family, keep), seed), "baseline": plain, "baseline_unscaled": plain}
    for arm, path in paths.items():
        ones = arm == "baseline_unscaled"
        scores = pruned(split.validation, path, (look > 0) * 1.0 if ones else look).mean(axis=-1)
        out[arm] = {}
        for stopping in STOPPING:
            choice = chosen(scores, stopping == "early")
            out[arm][stopping] = _tested(choice, scores, path, split, budget, (test > 0) * 1.0 if ones else test)
    return out


def _picked(choice: Choice, path: np.ndarray) -> np.ndarray:
    """Return the iterates that a validation chose, shape (seeds, dim)."""
    return np.asarray(path[choice.step, choice.records, np.arange(path.shape[2])])


def _tested(
    choice: Choice, scores: np.ndarray, path: np.ndarray, split: NetworkSplit, budget: TrainingBudget, test: np.ndarray
) -> dict[str, Any]:
    """Return box statistics of test accuracies, and means of each seed."""
    x = _picked(choice, path)
    found = pruned(split.test, x, test)
    low, q1, median, q3, high = np.percentile(found, (5, 25, 50, 75, 95)).tolist()
    return {
        "stepsize": budget.stepsizes[choice.step],
        "stopped_after": [budget.stops[at] for at in choice.records.tolist()],
        "validation": float(scores[choice.step, choice.records, np.arange(path.shape[2])].mean()),
        "percentiles": {"5": low, "25": q1, "50": median, "75": q3, "95": high},
        "mean": float(found.mean()),
        "seed_means": found.mean(axis=-1).tolist(),
        "unpruned": accuracy(split.test, x).tolist(),
    }


def _dense(split: NetworkSplit, budget: TrainingBudget, plain: np.ndarray) -> dict[str, Any]:
    """Return the test accuracy of the network trained, tuned and stopped without masks, and not pruned."""
    scores, out = accuracy(split.validation, plain), {}
    for stopping in STOPPING:
        choice = chosen(scores, stopping == "early")
        found = accuracy(split.test, _picked(choice, plain))
        out[stopping] = {
            "stepsize": budget.stepsizes[choice.step],
            "mean": float(found.mean()),
            "seed_means": found.tolist(),
        }
    return out


def _findings(rows: list[dict[str, Any]], dense: dict[str, Any], majority: float) -> list[dict[str, float]]:
    """Return the numbers to be quoted."""
    out: list[dict[str, float]] = [{"majority_test_accuracy": majority}]
    out += [{f"dense_baseline_test_accuracy_{stopping}": dense[stopping]["mean"]} for stopping in STOPPING]
    for stopping in STOPPING:
        told = np.array([[side(row, stopping, over) for over in BASELINES] for row in rows])
        for over, sides in zip(BASELINES, told.T, strict=True):
            gains = [gain(row, stopping, over)[0] for row in rows]
            out.append({f"mast_better_than_{over}_at_95_percent_{stopping}": float((sides > 0).sum())})
            out.append({f"mast_worse_than_{over}_at_95_percent_{stopping}": float((sides < 0).sum())})
            out.append({f"largest_gain_over_{over}_{stopping}": max(gains)})
            out.append({f"smallest_gain_over_{over}_{stopping}": min(gains)})
        out.append({f"mast_better_than_both_baselines_at_95_percent_{stopping}": float((told > 0).all(axis=1).sum())})
        out.append({f"mast_worse_than_a_baseline_at_95_percent_{stopping}": float((told < 0).any(axis=1).sum())})
    unpruned = [float(np.mean(row["mast"]["early"]["unpruned"])) - dense["early"]["mean"] for row in rows]
    return [
        *out,
        {"settings": float(len(rows))},
        {"best_unpruned_mast_minus_dense_baseline_early": max(unpruned)},
        {"worst_unpruned_mast_minus_dense_baseline_early": min(unpruned)},
    ]


def draw(numbers: dict[str, Any]) -> Figure:
    """Return box plots over keep fractions: one column a family of masks, with early stopping above, without below.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    families = list(dict.fromkeys(row["family"] for row in numbers["rows"]))
    figure, panels = page(len(families), len(STOPPING), height=2.4, sharey=True)
    for axes, (family, stopping) in zip(panels, itertools.product(families, STOPPING), strict=True):
        _draw_boxes(axes, [row for row in numbers["rows"] if row["family"] == family], stopping)
        dense, majority = numbers["dense_baseline"][stopping]["mean"], numbers["network"]["majority_accuracy"]
        axes.axhline(dense, color="k", linewidth=1, linestyle="--", label="SGD without masks, not pruned")
        axes.axhline(majority, color="0.5", linewidth=1, linestyle=":", label="the more frequent label")
        axes.set_title(f"{family}: {STOPPING[stopping]}")
        axes.set_xlabel("share kept (in training too)")
        axes.set_ylabel("test accuracy")
        axes.grid(visible=True, axis="y", alpha=0.3)
    used, budget = numbers["rows_used"], numbers["budget"]
    said = (
        f"{used['train']} rows to train, {used['validation']} to validate, {used['test']} to test; {budget['steps']} steps"
    )
    boxes = f"boxes: quartiles, whiskers: 5% and 95% of {numbers['masks']} masks × {numbers['seeds']} seeds"
    return finish(figure, f"{TITLE}\n{subtitle(numbers)}; {said} of {budget['minibatch']} rows; {boxes}")


def _draw_boxes(axes: Axes, rows: list[dict[str, Any]], stopping: str) -> None:
    """Draw the boxes of all arms over keep."""
    for place, (arm, label) in enumerate(ARMS.items()):
        spots = [index + 0.27 * (place - 1) for index in range(len(rows))]
        seen = [row[arm][stopping] for row in rows]
        names = {"whislo": "5", "q1": "25", "med": "50", "q3": "75", "whishi": "95"}
        boxes = [{key: each["percentiles"][p] for key, p in names.items()} for each in seen]
        line = {"color": COLOURS[place]}
        axes.bxp(
            boxes,
            positions=spots,
            widths=0.22,
            showfliers=False,
            boxprops=line,
            whiskerprops=line,
            capprops=line,
            medianprops=line,
        )
        style: dict[str, Any] = {"color": COLOURS[place], "marker": MARKERS[place], "markersize": 5, "linestyle": ""}
        axes.plot(spots, [each["mean"] for each in seen], label=f"{label}: mean", **style)
    axes.set_xticks(range(len(rows)), [f"{row['keep']:g}" for row in rows])
    axes.set_xlim(-0.6, len(rows) - 0.4)
