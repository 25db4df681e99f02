"""The commands that run methods: simulate, sweep."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mastsim.cli.options import (
    JSON,
    METHOD,
    METHOD_HELP,
    MINIBATCH,
    OBJECTIVE,
    SEED,
    STEPS,
    STEPSIZE,
    options,
    with_minibatch,
)
from mastsim.cli.output import about, emit, label_lines
from mastsim.cli.program import main
from mastsim.cli.streams import say
from mastsim.cli.values import FILE, FOLDER, NUMBER, SAVED_RUN, WHOLE

if TYPE_CHECKING:
    from mastsim.run import Run
    from mastsim.stepsizes import ChosenStep

_SHOWN = 3
"""Failed tasks of a sweep that are told of by themselves."""


@main.command(listed=("Methods", "Sketches", "Losses"))
@options(*OBJECTIVE, MINIBATCH, STEPSIZE, STEPS, SEED, JSON)
@click.option("--method", default="dsgd", help=METHOD_HELP, **METHOD)
@click.option("--replicas", type=WHOLE, default=16, show_default=True, help="Number of replicas.")
@click.option("--every", type=WHOLE, metavar="K", help="Steps between two records  [default: 100 or 10 records in all]")
@click.option(
    "--measure-accuracy",
    type=NUMBER,
    metavar="EPS",
    default=1e-9,
    show_default=True,
    help="Largest relative error of what is recorded of f_D.",
)
@click.option(
    "--threads", type=WHOLE, default=2, show_default=True, help="Threads that share replicas, and the rows of one."
)
@click.option("--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True, help="Where to run.")
@click.option(
    "--engine", type=click.Choice(["auto", "kernel", "array"]), default="auto", show_default=True, help="How to run."
)
@click.option("--precision", type=click.Choice(["float64", "float32"]), default="float64", show_default=True, help="Of x.")
@click.option("--out", type=SAVED_RUN, metavar="RUN.npz", help="Save the run.")
@click.option("--plot", type=FILE, metavar="FILE", help="Plot measure and bound.")
def simulate(
    seed: int,
    json_to: str | None,
    method: str,
    steps: int,
    replicas: int,
    every: int | None,
    measure_accuracy: float,
    threads: int,
    device: str,
    engine: str,
    precision: str,
    minibatch: int | None,
    out: Path | None,
    plot: Path | None,
    **what: Any,
) -> None:
    """Run replicas of a method and report how far they come, beside what the theory promises."""
    from mastsim import simulation
    from mastsim.devices import find_device
    from mastsim.interruption import Interrupted
    from mastsim.spec import Spec
    from mastsim.validation import EVALUATIONS, integer, positive

    if plot is not None:
        from mastsim.plots import check_format

        check_format(plot)
    there = find_device(device)
    steps, replicas = integer("steps", steps, 1), integer("replicas", replicas, 1)
    every = every if every is None else integer("every", every, 1)
    measure_accuracy = positive("measure_accuracy", measure_accuracy, EVALUATIONS)
    spec = Spec(**what, method=with_minibatch(method, minibatch))
    dataset, F = spec.objective_of(spec.load())
    simulation.check_sizes(F.dim, steps, replicas, every)
    chosen = spec.choose(F, steps)
    claim, measures = chosen.claim, chosen.measures
    spacing: Any = {"steps": steps, "every": every, "measure_accuracy": measure_accuracy}
    where: Any = {"threads": threads, "device": there, "engine": engine, "precision": precision}
    try:
        run = simulation.simulate(chosen.method, F, **spacing, replicas=replicas, seed=seed, measures=measures, **where)
    except Interrupted as stop:
        run = stop.run
        if not len(run.recorded):
            raise
        # What is finished is kept, but a part is neither judged nor drawn.
        claim = plot = None
    bound = None if claim is None else float(claim.claim(run.steps_done, run.stepsize, float(claim.initial_of(run).mean())))
    promise = {"bound": bound, "theorem": claim and claim.id, "bound_on": claim and f"{claim.over} {claim.measure}"}
    document = (
        about(spec, dataset, seed, F)
        | promise
        | {
            "method": run.method,
            "steps": run.steps_done,
            "replicas": run.replicas,
            "stepsize": run.stepsize,
            "step": dict(chosen.record()),
            "device": run.device,
            "engine": run.engine,
            "precision": run.precision,
            "measure_accuracy": run.measure_accuracy,
            "complete": run.complete,
            "divergence": None if run.divergence is None else asdict(run.divergence),
            "final": run.final(),
            "tiers": {"final": "estimate", "bound": "upper"},
            "seconds": run.seconds,
            "replica_steps_per_second": run.replica_steps_per_second,
        }
    )
    lines = [F.name, *label_lines(dataset)]
    lines += [f"{run.method}, γ = {run.stepsize:.6g} ({_origin(chosen)})"]
    lines += [f"{run.steps_done} steps, {run.replicas} replicas, seed {seed}", *_measured(run)]
    covered = claim is not None and f"  bound by {claim.id} on E {claim.measure} ({claim.over}): {bound:.6g}"
    lines += [covered or "  no bound: no theorem covers the method with this step"] if run.complete else []
    writes: list[Callable[[], object]] = [] if out is None else [lambda: run.save(out)]
    if plot is not None:
        from mastsim.plots import plot_run

        writes.append(lambda: plot_run(run, claim, plot))
    emit(document, json_to, "\n".join(lines), *writes)
    if not run.complete:
        raise KeyboardInterrupt


@main.command("sweep")
@click.argument("grid", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=FOLDER, metavar="DIR", help="Records  [default: GRID's name]")
@click.option("--workers", type=WHOLE, default=1, show_default=True, help="Processes.")
@options(JSON)
def run_sweep(grid: Path, out: Path | None, workers: int, json_to: str | None) -> None:
    """Run every combination of a grid; what is finished is kept, and a rerun does what is missing."""
    from mastsim.documents import header
    from mastsim.sweeps import SweepError, SweepInterrupted, sweep

    folder = Path(grid.stem) if out is None else out
    stopped: SweepError | SweepInterrupted | None = None
    try:
        found = sweep(grid, folder, workers=workers)
    except (SweepError, SweepInterrupted) as stop:
        stopped, found = stop, stop.sweep
    # The name tells grids that share a folder apart.
    rows, table = found.table(), folder / f"table-{found.key[:12]}.csv"
    facts = {"tasks": len(found.tasks), "done": found.done, "computed": found.computed, "failures": found.failures}
    facts |= {"table": str(table), "seconds": found.seconds}
    document = header(None, None) | facts | {"tiers": {"mean": "estimate", "bound": "upper"}, "rows": rows}
    for key, why in list(found.failures.items())[:_SHOWN]:
        say(f"Error: task {key[:12]} failed: {why}", err=True)
    counts = f"{found.done} of {len(found.tasks)} tasks done, {found.computed} of them now, {len(found.failures)} failed"
    emit(document, json_to, f"{counts}; {table}", lambda: found.save_csv(table))
    if stopped is not None:
        say(str(stopped), err=True)
        raise stopped
    sys.exit(1 if found.failures else 0)


def _measured(run: Run) -> list[str]:
    """Return the lines that say what a run found, and what of it is to be taken with care."""
    lines = []
    for name, found in run.final().items():
        kind = (
            f"  ({found['estimated']} of {run.replicas} estimated: too far out for exact values)"
            if "estimated" in found
            else ""
        )
        lines.append(f"  {name:14s} {found['mean']:.6g} ± {found['stderr']:.2g}{kind}")
    if run.estimated_steps:
        lines.append(f"  {run.estimated_steps} gradients of f_D along the way are estimates: too far out for exact ones")
    if run.divergence is not None:
        lines.append(f"  {run.divergence}")
    if not run.complete:
        lines.append(
            f"  interrupted at step {run.steps_done} of {run.steps}: this is a part, which a saved run can be resumed from"
        )
    return lines


def _origin(chosen: ChosenStep) -> str:
    """Return where a step size comes from, in words."""
    return chosen.source if chosen.asked.unit is None else f"{chosen.asked.spelled}: {chosen.source}"
