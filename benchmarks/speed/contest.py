"""One row of the table: calibrate every form, keep the fastest of every column, time these in turn."""

import time
from dataclasses import dataclass, replace

from benchmarks.speed import agreement, mastsim_forms, numpy_forms
from benchmarks.timing import interleaved, median

FINALISTS = 2


@dataclass(frozen=True)
class Effort:
    """How long and how often to time, and with which libraries."""

    seconds: float
    rounds: int
    libraries: tuple[str, ...]
    compiled: bool = True


@dataclass(frozen=True)
class Form:
    """One way to do the work: `run(steps, seed)` advances `replicas` replicas."""

    column: str
    name: str
    run: object
    replicas: int
    steps: int = 0
    rate: float = 0.0


def columns(work, effort):
    """Return column -> name -> run, and the number of replicas of one call."""
    dense, gathered = numpy_forms.loops(work)
    found = {
        "NumPy loop, dense": (dense, 1),
        "NumPy loop, gathered": (gathered, 1),
        "NumPy/SciPy, batched": (numpy_forms.batched(work), work.replicas),
    }
    if "torch" in effort.libraries:
        from benchmarks.speed import torch_forms

        found["PyTorch"] = (torch_forms.forms(work, effort.compiled), work.replicas)
    if "jax" in effort.libraries:
        from benchmarks.speed import jax_forms

        found["JAX"] = (jax_forms.forms(work, split=effort.compiled), work.replicas)
    return found | {column: (runs, work.replicas) for column, runs in mastsim_forms.forms(work).items()}


def check(work, found):
    """Compare every form with mastsim; return the largest relative deviation that would pass unseen."""
    expected = agreement.reference(work)
    blind = 0.0
    for column, (runs, replicas) in found.items():
        for name, run in runs.items():
            blind = max(blind, agreement.require(f"{column}: {name}", work, agreement.sample(run, replicas), expected))
    return blind


def calibrated(column, name, run, replicas, seconds):
    """Return the form with the number of steps that takes about so many seconds."""
    steps, spent = agreement.STEPS, 0.0
    for _ in range(4):
        run(steps, 0)
        begin = time.perf_counter()
        run(steps, 1)
        spent = time.perf_counter() - begin
        if spent > seconds / 3:
            break
        steps = round(steps * min(max(seconds / spent, 2), 128))
    return Form(column, name, run, replicas, steps, steps * replicas / spent)


def finalists(found, effort):
    """Return the fastest forms of every column, best first, with steps for timings of the length asked for."""
    kept = []
    for column, (runs, replicas) in found.items():
        tried = [calibrated(column, name, run, replicas, effort.seconds / 4) for name, run in runs.items()]
        kept += sorted(tried, key=lambda form: -form.rate)[:FINALISTS]
    return [lasting(form, effort.seconds) for form in kept]


def lasting(form, seconds):
    """Return a form whose rate is known with the number of steps that takes so many seconds."""
    return replace(form, steps=max(1, round(seconds * form.rate / form.replicas)))


def contest(work, effort):
    """Return the row: for every column the fastest form, its rate with spread, and mastsim's advantage with spread."""
    found = columns(work, effort)
    tested = work if work.replicas > 1 else work.with_replicas(agreement.AT_LEAST)
    blind = check(tested, found if tested is work else columns(tested, effort))
    forms = finalists(found, effort)
    calls = {(form.column, form.name): lambda form=form: form.run(form.steps, 2) for form in forms}
    seconds = interleaved(calls, effort.rounds, time.perf_counter)
    rates = {
        (form.column, form.name): [form.steps * form.replicas / spent for spent in seconds[form.column, form.name]]
        for form in forms
    }
    best = {}
    for form in forms:
        rate = rates[form.column, form.name]
        if form.column not in best or median(rate) > median(best[form.column][1]):
            best[form.column] = (form, rate)
    own = best["mastsim"][1]
    return {
        "title": work.title,
        "undetected_deviation": blind,
        "columns": {column: _cell(form, rate, own) for column, (form, rate) in best.items()},
        "all_rates": {f"{column}: {name}": median(rate) for (column, name), rate in rates.items()},
    }


def _cell(form, rate, own):
    ratios = [mine / theirs for mine, theirs in zip(own, rate, strict=True)]
    return {
        "form": form.name,
        "steps": form.steps,
        "rate": {"median": median(rate), "lowest": min(rate), "highest": max(rate)},
        "mastsim_ratio": {"median": median(ratios), "lowest": min(ratios), "highest": max(ratios)},
    }
