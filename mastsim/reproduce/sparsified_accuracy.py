"""Figure 1: test accuracy of randomly sparsified ERM and MAST solutions with and without early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure

from mastsim.colours import COLOURS
from mastsim.expected import Mast
from mastsim.layout import finish, page
from mastsim.problems import Dataset, LogisticRegression
from mastsim.reproduce.early_stopping import Checked, checked, stopping
from mastsim.reproduce.figure_head import facts, setting
from mastsim.reproduce.held_out import (
    VALIDATION_SHARE,
    LabelledRows,
    accuracy,
    correct,
    masked,
    masked_accuracy,
    set_aside,
    training_and_test_rows,
)
from mastsim.reproduce.paper_problems import CONDITION_NUMBER, LOGISTIC, rand_k
from mastsim.sketches import Identity, Sketch
from mastsim.standard_errors import mean_and_error

NAME = "test-accuracy"
TITLE = "Test accuracy of randomly sparsified solutions"
KEEPS, QUICK_KEEPS = (0.1, 0.3, 0.5, 0.7, 0.9), (0.1, 0.5, 0.9)
MODELS = {
    "erm": "ERM, exact",
    "erm_stopped": "ERM, GD stopped early",
    "erm_tuned": "ERM, λ tuned under masks",
    "mast": "MAST, exact x_D*",
    "dsgd": "MAST, DSGD's last iterate",
    "dsgd_stopped": "MAST, DSGD stopped early",
}
MULTIPLES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""The λ of `erm_tuned` is one of these multiples of that of all other models."""

BOX = ("q1", "med", "q3", "whislo", "whishi", "mean")
"""Statistics of the boxes that are kept."""
_TEST, _VALIDATION = 0, 1
_HATCHES = ("", "//", "..", "", "//", "..")


@dataclass(frozen=True)
class MaskBudget:
    """How much is drawn and simulated.

    Parameters
    ----------
    masks, validation_masks : int
        Sketches on which models are tested, and on which early stopping scores them.
    replicas : int
        Runs of GD and of DSGD, from different starts.
    times : float
        How long they run, in units of 1/(γμ) steps.
    checks : int
        Checks of early stopping in each such unit, and its patience.
    """

    masks: int
    validation_masks: int
    replicas: int
    times: float
    checks: int


FULL = MaskBudget(masks=200, validation_masks=32, replicas=5, times=6.0, checks=10)
QUICK = MaskBudget(masks=40, validation_masks=8, replicas=2, times=2.0, checks=5)


class _Work(NamedTuple):
    """What does not depend on the keep fraction."""

    f: LogisticRegression
    fit: LogisticRegression
    validation: LabelledRows
    test: LabelledRows
    descent: Checked
    grid: np.ndarray
    budget: MaskBudget
    seed: int


def compute(data: Dataset, quick: bool, seed: int = 0) -> dict[str, Any]:
    """Return, for every keep fraction and model x, the test accuracy of v + S(x − v) under many Rand-K sketches S, v = 0.

    λ is such that κ_f = 100 on all training rows. ``erm`` and ``mast`` minimise f and f_D on all of them, ``dsgd`` is the
    last iterate on f_D from N(0, I). For the other three, a fifth of the training rows is set aside for validation and
    the same λ kept: GD and DSGD check the mean accuracy of the sparsified iterate on these rows, under the same sketches
    and equally often in units of 1/(γμ), and keep the best iterate once as many checks as there are in one unit bring
    nothing better; ``erm_tuned`` chooses λ by the same score. GD starts from N(0, I) as DSGD does, so that stopped early it
    may keep some of a random start, which GD from 0 would not.

    All models are tested under the same sketches, and findings are of paired differences: their standard errors are over
    these sketches alone, and not over rows, splits or training runs.

    Parameters
    ----------
    data : Dataset
        With labels -1 and 1; a5a is tested on a5a.t where it lies on this machine, other data on rows held out.
    quick : bool
        Fewer keep fractions, sketches, replicas and steps.
    seed : int, default 0
        The seed.

    Raises
    ------
    ValueError
        If the labels are not -1 and 1, or there are fewer than four rows.

    References
    ----------
    MAST, arXiv 2311.16086, Section 5, Figure 1.

    Examples
    --------
    >>> import mastsim as ms
    >>> numbers = compute(ms.load("synthetic:n=40,d=4,condition=10"), quick=True)
    >>> [row["kept"] for row in numbers["rows"]], sorted(numbers["rows"][0]["models"])[:2]
    ([1, 2, 4], ['dsgd', 'dsgd_stopped'])
    """
    train, test = training_and_test_rows(data, seed)
    budget = QUICK if quick else FULL
    f = LOGISTIC.problem_on(train.A, train.y)
    rest, validation = set_aside(train, VALIDATION_SHARE, seed)
    fit = LogisticRegression(rest.A, rest.y, l2=f.ridge)
    grid = np.stack([LogisticRegression(rest.A, rest.y, l2=many * f.ridge).minimize().x for many in MULTIPLES])
    descent = _run(Mast(fit, Identity(f.dim)), budget, seed, budget.checks)
    work = _Work(f, fit, validation, test, descent, grid, budget, seed)
    rows = [_row(work, keep) for keep in (QUICK_KEEPS if quick else KEEPS)]
    side = 1.0 if train.y.mean() > 0 else -1.0
    head = {
        "condition_number": CONDITION_NUMBER,
        "l2": f.ridge,
        "f_inf": f.minimize().value,
        "test": {"source": test.name, "rows": len(test.y), "majority_accuracy": float((test.y == side).mean())},
        "rows_trained_on": {"all": f.rows, "stopped and tuned": fit.rows, "validation": len(validation.y)},
        "early_stopping": f"masked validation accuracy, {budget.checks} checks in 1/(γμ) steps, patience {budget.checks}",
        "masks": budget.masks,
        "replicas": budget.replicas,
    }
    numbers = {**facts(NAME, data, quick, seed), **head, "rows": rows}
    return {**numbers, "findings": _findings(numbers)}


def _row(work: _Work, keep: float) -> dict[str, Any]:
    """Return what all models reach at one keep fraction."""
    sketch = rand_k(work.f.dim, keep)
    F, fitted = Mast(work.f, sketch), Mast(work.fit, sketch)
    best, whole = F.minimize(), _run(F, work.budget, work.seed, checks=1)
    part = _run(fitted, work.budget, work.seed, work.budget.checks)
    erm_stopped, erm_steps = _stopped(work.descent, sketch, work)
    dsgd_stopped, dsgd_steps = _stopped(part, sketch, work)
    scores = _scores(work.grid, sketch, work)
    points = {
        "erm": work.f.minimize().x[None],
        "erm_stopped": erm_stopped,
        "erm_tuned": work.grid[[int(scores.argmax())]],
        "mast": best.x[None],
        "dsgd": whole.points[:, -1],
        "dsgd_stopped": dsgd_stopped,
    }
    models = {name: _tested(x, sketch, work) for name, x in points.items()}
    models["erm_stopped"] |= {"stepsize": work.descent.stepsize, **erm_steps}
    models["erm_tuned"]["l2_multiple"] = MULTIPLES[int(scores.argmax())]
    models["mast"]["certificate"] = best.gap_bound
    models["dsgd"] |= {"stepsize": whole.stepsize, "steps": whole.steps[-1]}
    models["dsgd_stopped"] |= {"stepsize": part.stepsize, **dsgd_steps}
    head = {"keep": keep, "kept": sketch.k, "sketch": sketch.name, "fD_inf": best.value, "gap": float(F.gap())}
    return {**head, "models": models}


def _run(F: Mast, budget: MaskBudget, seed: int, checks: int) -> Checked:
    """Return the iterates of DSGD at so many checks in 1/(γμ) steps."""
    return checked(F, budget.times, checks, budget.replicas, seed)


def _scores(points: np.ndarray, sketch: Sketch, work: _Work) -> np.ndarray:
    """Return the mean accuracy on the validation rows under the validation's own sketches."""
    return masked_accuracy(points, sketch, work.validation, work.budget.validation_masks, work.seed, _VALIDATION)


def _stopped(seen: Checked, sketch: Sketch, work: _Work) -> tuple[np.ndarray, dict[str, list[int]]]:
    """Return what early stopping keeps of every replica, and after how many steps it was reached and training stopped."""
    ends = [stopping(_scores(own, sketch, work), work.budget.checks) for own in seen.points]
    kept = np.stack([own[best] for own, (best, _) in zip(seen.points, ends, strict=True)])
    return kept, {
        "steps": [seen.steps[best] for best, _ in ends],
        "stopped_after": [seen.steps[end] for _, end in ends],
        "longest": [seen.steps[-1]] * len(ends),
    }


def _tested(points: np.ndarray, sketch: Sketch, work: _Work) -> dict[str, Any]:
    """Return what masked and dense classifiers get right on the test rows."""
    sparse = masked(points, sketch, np.zeros(sketch.dim), work.budget.masks, work.seed, _TEST)
    counts, rows = correct(sparse, work.test), len(work.test.y)
    norm, dense = float(np.linalg.norm(points, axis=1).mean()), accuracy(points, work.test)
    (stats,) = boxplot_stats(counts / rows)
    box = {key: float(stats[key]) for key in BOX}
    return {"norm": norm, "dense_accuracy": dense.tolist(), "correct": counts.tolist(), "box": box}


def _findings(numbers: dict[str, Any]) -> list[dict[str, float]]:
    """Return medians, and means and medians of paired differences over the sketches, with standard errors, in points."""
    rows, found = numbers["test"]["rows"], [{"majority_accuracy": numbers["test"]["majority_accuracy"]}]
    pairs = (("mast", "erm"), ("dsgd_stopped", "erm_stopped"), ("mast", "erm_tuned"), ("dsgd_stopped", "erm_tuned"))
    for row in numbers["rows"]:
        at = f"keep {row['keep']:g}"
        for name, model in row["models"].items():
            found.append({f"median_masked_accuracy {name} {at}": model["box"]["med"]})
            found.append({f"mean_dense_accuracy {name} {at}": float(np.mean(model["dense_accuracy"]))})
        for one, other in pairs:
            apart = 100 * (np.array(row["models"][one]["correct"]) - np.array(row["models"][other]["correct"])) / rows
            mean, error = mean_and_error(apart)
            found.append({f"points_of_accuracy {one} - {other} {at}": float(mean)})
            found.append({f"median_points_of_accuracy {one} - {other} {at}": float(np.median(apart))})
            found.append({f"points_of_accuracy {one} - {other} {at} stderr": float(error)})
    return found


def draw(numbers: dict[str, Any]) -> Figure:
    """Return boxes of masked accuracy, with dense accuracies as crosses and that of the majority class as a line.

    Parameters
    ----------
    numbers : dict
        What `compute` returned, or its JSON.
    """
    figure, (axes,) = page(1, 1, height=3.6)
    test: dict[str, Any] = numbers["test"]
    dense: list[Any] = []
    for place, (name, label) in enumerate(MODELS.items()):
        at = np.arange(len(numbers["rows"])) + (place - 2.5) * 0.14
        models = [row["models"][name] for row in numbers["rows"]]
        boxes = boxplot_stats([np.array(m["correct"]) / test["rows"] for m in models])
        drawn = axes.bxp(boxes, positions=at, widths=0.12, patch_artist=True, manage_ticks=False,
                 boxprops=_face(place), flierprops={"markersize": 2, "markeredgecolor": "#555555"},
                 medianprops={"color": "black", "linewidth": 1.4})  # fmt: skip
        drawn["boxes"][0].set_label(label)
        dense.append((at, [np.mean(m["dense_accuracy"]) for m in models]))
    axes.plot(*np.concatenate(dense, axis=1), "kx", markersize=4, label="the same without a mask")
    axes.axhline(test["majority_accuracy"], color="black", linestyle=":", label="always the more frequent label")
    axes.set_xticks(range(len(numbers["rows"])), [f"{r['keep']:g}\n({r['sketch']})" for r in numbers["rows"]])
    axes.set_xlabel("share kept")
    axes.set_ylabel(f"accuracy on {test['source']}")
    axes.grid(visible=True, axis="y", alpha=0.3)
    return finish(figure, f"{TITLE}, {numbers['masks']} masks\n{setting(numbers)}")


def _face(place: int) -> dict[str, Any]:
    """Return how the box of a model is filled."""
    # Black boxes would hide their medians.
    return {"facecolor": COLOURS[place] if place != 3 else "#999999", "alpha": 0.75, "hatch": _HATCHES[place]}
