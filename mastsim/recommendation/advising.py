"""From a data set to advice: which step is proven, what it buys, what holds in practice, and what would change it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mastsim import designs
from mastsim.advice import covering, guarantee_of, guarantees
from mastsim.expected import Mast, Objective
from mastsim.methods import DSGD, Method
from mastsim.moments import largest_stable_stepsize
from mastsim.problems import Dataset, load
from mastsim.problems.families import AUTO
from mastsim.problems.standardisation import Standardisation
from mastsim.provenance import Constant
from mastsim.recommendation.record import KeepAdvice, Recommendation, Scaling
from mastsim.run import Run
from mastsim.simulation import simulate
from mastsim.spec import Spec
from mastsim.theorems import Rate
from mastsim.validation import ACCURACIES, keep_fraction, one_of, path, shown
from mastsim.validation import positive as positive_number

_STEPS, _REPLICAS, _RECORDS = 600, 32, 30
_MULTIPLES = tuple(2.0**k for k in range(8))
USABLE = (
    f"simulated: the largest of 1, 2, 4, … proven steps at which {_REPLICAS} replicas are nearer to the minimiser after "
    f"{_STEPS} steps than at the start; 1 where none is"
)
"""What a usable step is."""


def advise(
    data: str | os.PathLike[str] | Dataset,
    target: str | None = None,
    keep: float | Sequence[float] = 0.5,
    *,
    sketch: str = "bernoulli",
    method: str = "dsgd",
    problem: str = AUTO,
    positive: float | str | None = None,
    l2: float | None = None,
    condition_number: float | None = None,
    weights: str | None = None,
    intercept: bool = False,
    accuracy: float | None = None,
    design: str | None = None,
    seed: int = 0,
) -> Recommendation:
    """Return advice for a data set: the proven step, its floor, a usable step, and what would change them.

    Parameters
    ----------
    data : str, path or Dataset
        A file (.csv, .tsv, .parquet, .npz or LIBSVM), a name, or what `load` returns.
    target : str, optional
        The column of a table that is predicted.
    keep : float or sequence of float, default 0.5
        The share of coordinates kept, in (0, 1]; several are compared, and the first is answered for.
    sketch : str, default "bernoulli"
        The family of sketches whose text takes a keep: ``bernoulli`` or ``randk``.
    method, problem : str
        As in `Spec`; the loss is chosen by the target when left out.
    positive : float or str, optional
        As in `load`.
    l2, condition_number : float, optional
        As in `Spec`: κ_f = 100 when neither λ nor κ_f is given. λ = 1/(nC) for the C of scikit-learn.
    weights : str, optional
        As in `Spec`: ``balanced``, ``0:1,1:5`` by label, ``column:NAME`` of a table, or a file.
    intercept : bool, default False
        Whether to add a coordinate that is neither penalised nor masked.
    accuracy : float, optional
        The value of what the theorem bounds that is aimed at; 1 % of the start's when left out.
    design : {"smoothness", "step", "floor"}, optional
        Also choose the keep of every column; see `mastsim.design`.
    seed : int, default 0
        The seed of the simulations.

    Returns
    -------
    Recommendation
        To be printed, shown in a notebook, or turned into JSON and HTML.

    Raises
    ------
    ValueError
        If the data or an option is not accepted, or no theorem covers the method on this problem.

    References
    ----------
    This package.

    Examples
    --------
    >>> import mastsim as ms
    >>> found = ms.advise("synthetic:n=40,d=4", keep=0.5)
    >>> found.answer.startswith("DSGD: γ = "), found.keeps[0].multiple >= 1
    (True, True)
    """
    if accuracy is not None:
        accuracy = positive_number("accuracy", accuracy, ACCURACIES)
    if design is not None:
        one_of("design", design, list(designs.OBJECTIVES))
    one_of("sketch", sketch, ["bernoulli", "randk"])
    keeps = np.atleast_1d(keep_fraction("keep", keep)).ravel().tolist()
    if not keeps:
        raise ValueError("keep is empty, but at least one share in (0, 1] is needed")
    if design is not None and intercept:
        raise ValueError(
            f"design={design!r} is not accepted with intercept: keeps are designed for coordinates that are masked"
        )
    what: dict[str, Any] = {"problem": problem, "positive": positive, "l2": l2, "condition_number": condition_number}
    what |= {"weights": weights, "intercept": intercept}
    specs = [Spec(**what, sketch=f"{sketch}:{share!r}", method=method) for share in keeps]
    specs[0].fit(table := _table(data, target, specs[0].weights_column))
    labelled, f = specs[0].problem_of(table)
    halved = _half(f)
    advice = tuple(_advised(spec, f, share, accuracy, seed, halved) for spec, share in zip(specs, keeps, strict=True))
    scaled = f.with_rows(Standardisation.of(labelled.A).apply(labelled.A))
    chosen = None if design is None else designs.design(f, keeps[0] * f.dim, design)
    return Recommendation(
        data=labelled,
        problem=f.name,
        why=_why(labelled, problem),
        l2=f.ridge,
        keeps=advice,
        before=_scaling(specs[0], f),
        after=_scaling(specs[0], scaled),
        curvatures=np.diag(f.upper_curvature.matrix).copy(),
        seed=seed,
        notes=_notes(labelled, f),
        design=chosen,
    )


def _table(data: Any, target: str | None, weights: str | None) -> Dataset:
    """Return the data set that is asked about."""
    if isinstance(data, Dataset):
        if target is not None:
            raise ValueError(f"target={shown(target)} is not accepted with a Dataset, whose targets are its y")
        return data
    path("data", data)
    return load(data, target=target, weights=weights)


def _half(f: Any) -> np.ndarray:
    """Return the minimiser of the same problem on every second row: a model trained beforehand on other data."""
    found: np.ndarray = f.part(np.arange(0, f.rows, 2)).minimize().x
    return found


def _advised(spec: Spec, f: Any, keep: float, accuracy: float | None, seed: int, halved: np.ndarray) -> KeepAdvice:
    """Return the advice for one keep."""
    F = Mast(f, spec.sketch_in(f.dim))
    trial = spec.trial(F)
    theorem = _covering(F, trial)
    tried, run = _try(F, trial, theorem, seed)
    # The proven step is stable whether or not it ends nearer than it started.
    multiple = max((each for each, size in tried.items() if size < 1), default=1.0)
    moved = covering(Mast(f, F.sketch, shift=halved), trial, _STEPS, sharp=False)
    return KeepAdvice(
        keep=keep,
        sketch=F.sketch_name,
        guarantee=guarantee_of(theorem, accuracy),
        multiple=multiple,
        usable=Constant(multiple * theorem.stepsize, "estimate", USABLE),
        stable=_stable(F, trial),
        tried=tried,
        pretrained_floor=float("nan") if moved is None else moved.radius,
        run=run,
    )


def _covering(F: Objective, trial: Method) -> Rate:
    """Return the theorem whose step is taken; refused, with the reasons, where there is none."""
    if (theorem := covering(F, trial, _STEPS, sharp=False)) is None:
        reasons = dict.fromkeys(each.reason for each in guarantees(F, method=trial) if each.reason)
        why = "; ".join(reasons) or "none is about it with these settings"
        raise ValueError(f"no theorem covers {trial.name} on {F.problem.name}: {why}")
    return theorem


def _try(F: Objective, trial: Method, theorem: Rate, seed: int) -> tuple[dict[float, float], Run]:
    """Return where replicas end under multiples of the proven step, up to the first that ends no nearer, and a run."""
    tried: dict[float, float] = {}
    first: Run | None = None
    settings: Any = {"steps": _STEPS, "replicas": _REPLICAS, "seed": seed, "every": _STEPS // _RECORDS, "progress": False}
    for multiple in _MULTIPLES:
        method = replace(trial, stepsize=multiple * theorem.stepsize)
        with np.errstate(over="ignore", invalid="ignore"):
            run = simulate(method, F, measures=("distance",), **settings)
            mean = run.distance.mean(axis=0)
        first = first or run
        tried[multiple] = float(mean[-_RECORDS // 3 :].max() / max(mean[0], np.finfo(float).tiny))
        if not tried[multiple] < 1:
            break
    assert first is not None
    return tried, first


def _stable(F: Objective, trial: Method) -> Constant | None:
    """Return the step size up to which second moments stay bounded, on quadratics where it is known."""
    if not F.is_quadratic or trial != DSGD(1.0):
        return None
    try:
        limit = largest_stable_stepsize(F)
    except ValueError:
        return None
    return Constant(limit.lower, "lower" if limit.proved else "estimate", "second moments of DSGD (this package)")


def _scaling(spec: Spec, f: Any) -> Scaling:
    """Return smoothness, condition and proven step of a problem."""
    F = Mast(f, spec.sketch_in(f.dim))
    theorem, mu = covering(F, spec.trial(F), _STEPS, sharp=False), float(f.mu_f)
    step = float("nan") if theorem is None else theorem.stepsize
    return Scaling(float(f.L_f), float(f.L_f) / mu if mu > 0 else float("inf"), step)


def _why(data: Dataset, problem: str) -> str:
    """Return why this loss was taken."""
    if problem != AUTO:
        return "the loss that was asked for"
    if data.labels is None:
        return f"squared loss, as the target takes {len(np.unique(data.y))} values (--problem chooses another)"
    plain = all(label == sign for label, sign in data.labels.items())
    said = ", ".join(f"{data.spell(label)} is {sign:+d}" for label, sign in data.labels.items())
    return f"logistic loss, as the target takes two values ({'-1 and +1' if plain else said}; --problem chooses another)"


def _notes(data: Dataset, f: Any) -> tuple[str, ...]:
    """Return what else a user should know of rows and columns."""
    weighed = () if f.weights is None else (_weighed(f.weights),)
    if f.intercept:
        said = f"The intercept is neither penalised nor masked: μ_D = 1, along it f is only convex, μ_f = {f.mu_f:.4g}"
        return (f"{said}{'' if f.mu_f > 0 else ', and theorems about strongly convex f do not apply'}.", *weighed)
    return (_about_constants(data), *weighed)


def _weighed(weights: np.ndarray) -> str:
    least, most = float(weights.min()), float(weights.max())
    counted = float(weights.sum()) ** 2 / float(weights @ weights)
    return f"Rows weigh from {least:.4g} to {most:.4g} times their mean, as much as {counted:.4g} rows of one weight."


def _about_constants(data: Dataset) -> str:
    """Return what constant columns do, or that there is no intercept."""
    dense = data.A.toarray() if hasattr(data.A, "toarray") else data.A
    constant = [name for name, flat in zip(data.column_names, np.ptp(dense, axis=0) == 0, strict=True) if flat]
    if not constant:
        return "There is no intercept (--intercept adds one that is neither masked nor penalised)."
    shown = ", ".join(constant[:5]) + (", …" if len(constant) > 5 else "")
    return f"Constant columns act as an intercept that is masked and penalised: {shown}."
