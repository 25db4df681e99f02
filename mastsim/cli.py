"""The command line: verify, constants, stepsize, simulate, data.

Heavy imports happen inside the commands, so that ``mastsim --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mastsim import __version__

if TYPE_CHECKING:
    from mastsim.expected import Mast
    from mastsim.methods import Method
    from mastsim.problems import Dataset
    from mastsim.theorems import Rate

_DEFAULT_DATA = "breast-cancer"
_DEFAULT_CONDITION = 100.0


class _Refusal(click.ClickException):
    """Bad input: the message says what would be accepted."""

    exit_code = 2


def _command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn refusals of the package into usage errors, and interruption into exit code 130."""

    @wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except (ValueError, TypeError, OSError) as refusal:
            raise _Refusal(str(refusal)) from refusal
        except KeyboardInterrupt:
            sys.exit(130)

    return run


def _options(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_data = click.option(
    "--data", default=_DEFAULT_DATA, show_default=True, metavar="D", help="Data set: a name, a LIBSVM file or synthetic:…"
)
_sketch = click.option("--sketch", required=True, metavar="S", help="identity, randk:KEEP or bernoulli:KEEP.")
_shift = click.option("--shift", default="zero", show_default=True, metavar="V", help="zero, erm or a .npy file.")
_problem = click.option(
    "--problem",
    type=click.Choice(["auto", "logistic", "least-squares"]),
    default="auto",
    show_default=True,
    help="The loss; auto takes logistic when the labels are -1 and +1.",
)
_l2 = click.option("--l2", type=float, help="Regularisation λ ≥ 0.")
_condition = click.option("--condition-number", type=float, help="κ_f instead of --l2  [default: 100]")
_json = click.option("--json", "json_to", metavar="FILE|-", help="Write a JSON document; - prints it and nothing else.")
_seed = click.option("--seed", type=int, default=0, show_default=True, help="From 0 to 2**64 - 1.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mastsim")
def main() -> None:
    """Compute, simulate and put on trial the theory of sparsified training min_x E_S f(v + S(x - v))."""


@main.command()
@_options(_data, _seed, _json)
@click.option("--theorem", "theorems", multiple=True, metavar="ID", help="Only this theorem; may be repeated.")
@click.option("--sketch", "sketches", multiple=True, metavar="S", help="Sketch for the data; may be repeated.")
@click.option("--quick", is_flag=True, help="Fewer points, steps and replicas.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Write an HTML report.")
@_command
def verify(
    data: str,
    seed: int,
    json_to: str | None,
    theorems: tuple[str, ...],
    sketches: tuple[str, ...],
    quick: bool,
    report: Path | None,
) -> None:
    """Put the theorems on trial; exit 0 when every verdict is as expected, 1 otherwise, 2 on bad input."""
    from mastsim.documents import header
    from mastsim.problems import load
    from mastsim.verification import FAMILY_ALPHA, FULL, QUICK, as_expected, run_suite
    from mastsim.verification.report import table, write_report

    dataset = load(data)
    verdicts = run_suite(dataset, sketches, theorems, seed, QUICK if quick else FULL, progress=sys.stderr.isatty())
    fine = as_expected(verdicts)
    document = header(dataset, seed) | {
        "all_as_expected": fine,
        "alpha": FAMILY_ALPHA,
        "results": [verdict.record() for verdict in verdicts],
    }
    if report is not None:
        write_report(report, verdicts, document)
    _emit(document, json_to, table(verdicts))
    sys.exit(0 if fine else 1)


@main.command()
@_options(_data, _sketch, _shift, _problem, _l2, _condition, _json)
@_command
def constants(json_to: str | None, **what: Any) -> None:
    """Print every constant of the theory, with its tier of truth."""
    from mastsim.constants import Constants

    dataset, F = _objective(**what)
    found = Constants(F)
    document = _about(dataset, None, F) | {"constants": {name: c.record() for name, c in found.items()}}
    lines = [f"{name:26s} {c.value:<14.8g} {c.kind:9s} {c.source}" for name, c in found.items()]
    _emit(document, json_to, "\n".join([F.name, f"f_D by {F.evaluation.name}: {F.evaluation.reason}", "", *lines]))


@main.command()
@_options(_data, _sketch, _shift, _problem, _l2, _condition, _json)
@click.option("--accuracy", type=float, metavar="EPS", help="Squared distance aimed at  [default: 1 % of the start's]")
@_command
def stepsize(json_to: str | None, accuracy: float | None, **what: Any) -> None:
    """List every rate: the largest step it allows, its rate and radius, and the steps to an accuracy."""
    from mastsim import theorems

    dataset, F = _objective(**what)
    rates = [kind for kind in theorems.ALL if issubclass(kind, theorems.Rate)]
    rows = sorted((_stepsize_row(kind, F, accuracy) for kind in rates), key=lambda row: row["steps_to_accuracy"])
    lines = [F.name]
    for row in rows:
        lines += ["", f"{row['theorem']}  ({row['source']})"]
        names = ("stepsize", "stepsize_sharp", "rate", "radius", "accuracy", "steps_to_accuracy")
        lines += [f"  {name:18s} {row[name]:.8g}" for name in names] if row["applies"] else [f"  no: {row['reason']}"]
    _emit(_about(dataset, None, F) | {"stepsize": rows}, json_to, "\n".join(lines))


@main.command()
@_options(_data, _sketch, _shift, _problem, _l2, _condition, _seed, _json)
@click.option("--method", type=click.Choice(["gd", "dsgd"]), default="dsgd", show_default=True, help="What to run.")
@click.option("--stepsize", default="theory", show_default=True, metavar="theory|sharp|X", help="Step size γ.")
@click.option("--steps", type=int, default=1000, show_default=True, help="Number of steps.")
@click.option("--replicas", type=int, default=16, show_default=True, help="Number of replicas.")
@click.option("--threads", type=int, default=2, show_default=True, help="Threads that share the replicas.")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True, help="Where to run.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="RUN.npz", help="Save the run.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Plot distance and bound.")
@_command
def simulate(
    seed: int,
    json_to: str | None,
    method: str,
    stepsize: str,
    steps: int,
    replicas: int,
    threads: int,
    device: str,
    out: Path | None,
    plot: Path | None,
    **what: Any,
) -> None:
    """Run replicas of a method and report how far they come, beside what the theory promises."""
    from mastsim import simulation

    if device == "gpu":
        raise ValueError("device='gpu' is not available in this version; use --device cpu")
    dataset, F = _objective(**what)
    chosen, claim = _method(method, stepsize, F)
    run = simulation.simulate(chosen, F, steps=steps, replicas=replicas, seed=seed, threads=threads)
    if out is not None:
        run.save(out)
    initial = float(run.distance[:, 0].mean())
    bound = None if claim is None else float(claim.claim(run.steps_done, run.stepsize, initial))
    if plot is not None:
        from mastsim.plots import plot_run

        plot_run(run, claim, plot)
    document = _about(dataset, seed, F) | {
        "method": run.method,
        "steps": run.steps_done,
        "replicas": run.replicas,
        "stepsize": run.stepsize,
        "final": run.final(),
        "bound": bound,
        "tiers": {"final": "estimate", "bound": "upper"},
        "seconds": run.seconds,
        "replica_steps_per_second": run.replica_steps_per_second,
    }
    lines = [F.name, f"{run.method}, γ = {run.stepsize:.6g}, {run.steps_done} steps, {run.replicas} replicas, seed {seed}"]
    lines += [f"  {name:14s} {m['mean']:.6g} ± {m['stderr']:.2g}" for name, m in run.final().items()]
    lines += [f"  bound on E distance: {bound:.6g}"] if bound is not None else ["  no bound: the step is not covered"]
    _emit(document, json_to, "\n".join(lines))
    if run.steps_done < steps:
        sys.exit(130)


@main.group()
def data() -> None:
    """List, locate and fetch data sets."""


@data.command("list")
@click.option("--json", "json_to", metavar="FILE|-", help="Write a JSON document; - prints it and nothing else.")
@_command
def list_data(json_to: str | None) -> None:
    """List the data sets that have a name."""
    from mastsim.documents import header
    from mastsim.problems.data import listing

    rows = listing()
    lines = [f"{row['name']:16s} n = {row['n']:<8d} d = {row['d']:<6d} {row['where']}" for row in rows]
    _emit(header(None, None) | {"datasets": rows}, json_to, "\n".join(lines))


@data.command("path")
@click.argument("name")
@_command
def path_of_data(name: str) -> None:
    """Print where a data set's file is."""
    from mastsim.problems.data import locate

    found = locate(name)
    if found is None:
        raise ValueError(f"{name} is not on this machine; 'mastsim data fetch {name}' downloads it")
    click.echo(found)


@data.command("fetch")
@click.argument("name")
@_command
def fetch_data(name: str) -> None:
    """Download a data set unless it is here, check its hash, and print where it is."""
    from mastsim.problems.data import fetch

    click.echo(fetch(name))


def _objective(
    data: str, sketch: str, shift: str, problem: str, l2: float | None, condition_number: float | None
) -> tuple[Dataset, Mast]:
    import numpy as np

    from mastsim.expected import Mast
    from mastsim.problems import LeastSquares, LogisticRegression, load
    from mastsim.sketches import parse_sketch

    dataset = load(data)
    two_labels = bool(np.isin(dataset.y, (-1.0, 1.0)).all())
    family = LogisticRegression if problem == "logistic" or (problem == "auto" and two_labels) else LeastSquares
    kappa = _DEFAULT_CONDITION if l2 is None and condition_number is None else condition_number
    f = family(dataset.A, dataset.y, l2=l2, condition_number=kappa)
    S = parse_sketch(sketch, f.dim)
    if shift == "zero":
        return dataset, Mast(f, S)
    if shift == "erm":
        return dataset, Mast(f, S, shift=f.minimize().x)
    if not Path(shift).is_file():
        raise ValueError(f"shift={shift!r} is not accepted: it must be zero, erm or an existing .npy file")
    return dataset, Mast(f, S, shift=np.load(shift, allow_pickle=False))


def _method(name: str, stepsize: str, F: Mast) -> tuple[Method, Rate | None]:
    """Return the method, and the theorem whose bound covers it, if one does."""
    from mastsim.constants import Constants
    from mastsim.methods import DSGD, GD
    from mastsim.theorems import StronglyConvexDSGD
    from mastsim.validation import number, positive

    theorem = StronglyConvexDSGD(F, sharp=stepsize == "sharp") if name == "dsgd" else None
    if stepsize in ("theory", "sharp"):
        smoothness = Constants(F).L_fD_sharp if stepsize == "sharp" else Constants(F).L_fD
        gamma = 1 / smoothness if theorem is None else theorem.stepsize
    else:
        gamma = positive("stepsize", number("stepsize", stepsize, "theory, sharp or a number"))
    if theorem is None:
        return GD(gamma), None
    return DSGD(gamma), theorem if gamma <= theorem.stepsize * (1 + 1e-12) else None


def _stepsize_row(kind: type[Rate], F: Mast, accuracy: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {"theorem": kind.id, "source": kind.source, "applies": False, "reason": kind.refuse(F)}
    row |= dict.fromkeys(("stepsize", "stepsize_sharp", "rate", "radius", "accuracy"))
    row["steps_to_accuracy"] = float("inf")
    if row["reason"] is not None:
        return row
    theorem = kind(F)
    target = 0.01 * theorem.initial if accuracy is None else accuracy
    return row | {
        "applies": True,
        "stepsize": theorem.stepsize,
        "stepsize_sharp": theorem.stepsize_sharp,
        "rate": theorem.rate,
        "radius": theorem.radius,
        "accuracy": target,
        "steps_to_accuracy": theorem.steps_to_accuracy(target) if target > 0 else 0.0,
    }


def _about(dataset: Dataset, seed: int | None, F: Mast) -> dict[str, Any]:
    from mastsim.documents import header

    objective = {"problem": F.problem.name, "sketch": F.sketch.name, "shifted": bool(F.center.any())}
    return header(dataset, seed) | {"objective": objective | {"evaluation": F.evaluation.name}}


def _emit(document: dict[str, Any], json_to: str | None, text: str) -> None:
    from mastsim.documents import dumps

    if json_to == "-":
        click.echo(dumps(document))
        return
    if json_to is not None:
        Path(json_to).write_text(dumps(document) + "\n", encoding="utf-8")
    click.echo(text)
