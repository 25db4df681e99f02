"""The command line: verify, constants, stepsize, simulate, sweep, reproduce, data.

Heavy imports happen inside the commands, so that ``mastsim --help`` answers at once.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mastsim.options import DOCUMENT, FILE, FOLDER, NUMBER, WHOLE
from mastsim.version import __version__

if TYPE_CHECKING:
    from mastsim.expected import Objective
    from mastsim.problems import Dataset
    from mastsim.spec import Spec
    from mastsim.stepsizes import ChosenStep

_DEFAULT_DATA = "breast-cancer"


class _Refusal(click.ClickException):
    """Bad input: the message says what would be accepted."""

    exit_code = 2


def _command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn refusals into usage errors, warnings into lines on stderr, and interruption into exit code 130."""

    @wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        try:
            with warnings.catch_warnings():
                # Said each time, and never an error: what a weak number means is in its label.
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = _show_warning
                return function(*args, **options)
        # An EOFError would look to click as if somebody had pressed Ctrl-D.
        except (ValueError, TypeError, OSError, EOFError, MemoryError) as refusal:
            raise _Refusal(str(refusal) or f"{type(refusal).__name__} without a reason") from refusal
        except KeyboardInterrupt:
            sys.exit(130)

    return run


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"Warning: {message}", err=True)


def _options(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class _Listing(click.Option):
    """An option whose help ends with the names it takes, which are looked up only when help is asked for."""

    def __init__(self, *words: Any, names: Callable[[], list[str]], **settings: Any) -> None:
        super().__init__(*words, **settings)
        self.names = names

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help."""
        told = super().get_help_record(ctx)
        return told and (told[0], told[1].replace(self.help or "", f"{self.help}: {', '.join(self.names())}.", 1))


def _problem_names() -> list[str]:
    from mastsim.problems.families import problem_names

    return ["auto", *problem_names()]


def _method_names() -> list[str]:
    from mastsim.methods.families import method_names

    return list(method_names())


_data = click.option(
    "--data", default=_DEFAULT_DATA, show_default=True, metavar="D", help="Data set: a name, a LIBSVM file or synthetic:…"
)
_sketch = click.option(
    "--sketch", required=True, metavar="S", help="identity, randk:KEEP, bernoulli:KEEP, nofm:N:M, permk:M, haar:K, …"
)
_shift = click.option("--shift", default="zero", show_default=True, metavar="V", help="zero, erm, or a .npy or .csv file.")
_problem = click.option(
    "--problem",
    cls=_Listing,
    names=_problem_names,
    default="auto",
    show_default=True,
    metavar="P",
    help="The loss, perhaps with settings (huber:delta=0.5); auto takes logistic when there are two distinct labels, else "
    "least-squares",
)
_method: dict[str, Any] = {"cls": _Listing, "names": _method_names, "metavar": "M", "show_default": True}
_METHOD_HELP = "What to run, perhaps with settings (page:probability=0.1)"
_positive = click.option(
    "--positive", type=NUMBER, metavar="LABEL", help="Which of two labels counts as +1  [default: the larger]"
)
_features = click.option(
    "--features", type=WHOLE, metavar="D", help="Features of a LIBSVM file  [default: its largest index]"
)
_zero_based = click.option("--zero-based", is_flag=True, help="Indices of a LIBSVM file start at 0.")
_l2 = click.option("--l2", type=NUMBER, help="Regularisation λ ≥ 0.")
_condition = click.option("--condition-number", type=NUMBER, help="κ_f instead of --l2  [default: 100]")
_clients = click.option("--clients", type=WHOLE, metavar="M", help="Divide the data among M clients.")
_split = click.option(
    "--split", type=click.Choice(["iid", "label"]), default="iid", show_default=True, help="How the data are divided."
)
_minibatch = click.option(
    "--minibatch", type=WHOLE, metavar="TAU", help="Rows a gradient sees, a setting of the method  [default: all]"
)
_stepsize = click.option(
    "--stepsize",
    default="theory",
    show_default=True,
    metavar="theory|sharp|X",
    help="Step size γ: also a multiple (0.5*theory), or a rule that starts from one (harmonic:theory:0.01).",
)
_steps = click.option("--steps", type=WHOLE, default=1000, show_default=True, help="Number of steps.")
_json = click.option(
    "--json", "json_to", type=DOCUMENT, metavar="FILE|-", help="Write a JSON document; - prints it and nothing else."
)
_seed = click.option("--seed", type=WHOLE, default=0, show_default=True, help="From 0 to 2**64 - 1.")


_reading = (_data, _positive, _features, _zero_based)
_objective = (*_reading, _sketch, _shift, _problem, _l2, _condition, _clients, _split)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mastsim")
def main() -> None:
    """Compute, simulate and put on trial the theory of sparsified training min_x E_S f(v + S(x - v))."""


@main.command()
@_options(*_reading, _seed, _json)
@click.option("--theorem", "theorems", multiple=True, metavar="ID", help="Only this theorem; may be repeated.")
@click.option("--sketch", "sketches", multiple=True, metavar="S", help="Sketch for the data; may be repeated.")
@click.option("--quick", is_flag=True, help="Fewer points, steps and replicas.")
@click.option("--report", type=FOLDER, metavar="DIR", help="Write an HTML report.")
@click.option("--attack", metavar="ID", help="Search for a counterexample to this record instead.")
@click.option("--budget", type=WHOLE, default=5000, show_default=True, help="Evaluations that an attack makes.")
@click.option("--witness", type=FILE, metavar="FILE", help="Save the attack's witness.")
@click.option("--replay", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Confirm a saved witness.")
@click.option("--pages", type=FOLDER, metavar="DIR", help="Write a page per theorem.")
@_command
def verify(
    data: str,
    positive: float | None,
    features: int | None,
    zero_based: bool,
    seed: int,
    json_to: str | None,
    theorems: tuple[str, ...],
    sketches: tuple[str, ...],
    quick: bool,
    report: Path | None,
    pages: Path | None,
    attack: str | None,
    budget: int,
    witness: Path | None,
    replay: Path | None,
) -> None:
    """Put the theorems on trial; exit 0 when every verdict is as expected, 1 otherwise, 2 on bad input."""
    if attack is None and replay is None and witness is not None:
        raise ValueError(f"witness={str(witness)!r} is not accepted without --attack, which finds one, or --replay")
    if attack is not None or replay is not None:
        _attack(attack, replay, seed, budget, witness, json_to)
    from mastsim.documents import header
    from mastsim.problems import family_for, load
    from mastsim.verification import FAMILY_ALPHA, FULL, QUICK, as_expected, run_suite
    from mastsim.verification.report import table, write_report
    from mastsim.verification.theorem_pages import write_pages

    dataset, _ = family_for(load(data, features=features, zero_based=zero_based), "auto", positive)
    verdicts = run_suite(dataset, sketches, theorems, seed, QUICK if quick else FULL, progress=sys.stderr.isatty())
    fine = as_expected(verdicts)
    document = header(dataset, seed) | {
        "all_as_expected": fine,
        "alpha": FAMILY_ALPHA,
        "results": [verdict.record() for verdict in verdicts],
    }
    if report is not None:
        write_report(report, verdicts, document)
    if pages is not None:
        options = f"{'' if positive is None else f' --positive {positive:g}'}{' --quick' if quick else ''}"
        how = f"mastsim verify --data {data} --seed {seed}{options}"
        write_pages(pages, verdicts, how)
    _emit(document, json_to, "\n".join([*_label_lines(dataset), table(verdicts)]))
    sys.exit(0 if fine else 1)


def _attack(
    name: str | None, saved: Path | None, seed: int, budget: int, witness: Path | None, json_to: str | None
) -> NoReturn:
    """Attack a record, or replay a witness; exit 0 when the outcome is the one the registry expects."""
    from mastsim.verification.attack import attack, attackable, replay
    from mastsim.verification.attack.false_variants import ALL_FALSE

    if name is not None and saved is not None:
        raise ValueError(f"attack={name!r} and replay={str(saved)!r} exclude each other: pass one")
    found = attack(name, seed=seed, budget=budget, progress=sys.stderr.isatty()) if name else replay(saved)  # type: ignore[arg-type]
    if witness is not None:
        found.save(witness)
    kind = attackable()[found.theorem]
    false = kind.status == "refuted as quoted" or kind in ALL_FALSE
    _emit(found.record(), json_to, f"{found}\n{found.witness}")
    sys.exit(0 if (found.verdict == "refuted") == false else 1)


@main.command()
@_options(*_objective, _json)
@_command
def constants(json_to: str | None, **what: Any) -> None:
    """Print every constant of the theory, with its tier of truth."""
    from mastsim.constants import Constants
    from mastsim.spec import Spec
    from mastsim.tables import aligned_table

    spec = Spec(**what)
    dataset, F = spec.objective_of(spec.load())
    found = Constants(F)
    document = _about(spec, dataset, None, F) | {"constants": {name: c.record() for name, c in found.items()}}
    rows = [[name, c.text, c.kind, c.source] for name, c in found.items()]
    about = [F.name, *_label_lines(dataset), f"f_D by {F.evaluation.name}: {F.evaluation.reason}"]
    _emit(document, json_to, "\n".join([*about, "", aligned_table(["constant", "value", "tier", "source"], rows)]))


@main.command()
@_options(*_objective, _minibatch, _stepsize, _steps, _json)
@click.option(
    "--method",
    help=f"{_METHOD_HELP}; only theorems about it are listed; by default all, and dsgd (distributed) is answered for",
    **_method,
)
@click.option("--accuracy", type=NUMBER, metavar="EPS", help="Value of each measure aimed at  [default: 1 % of the start's]")
@_command
def stepsize(
    json_to: str | None, accuracy: float | None, method: str | None, minibatch: int | None, steps: int, **what: Any
) -> None:
    """Say what step to take and what it buys; list every guarantee beside it, by what it bounds."""
    from mastsim import advice
    from mastsim.guarantee import guarantee_table
    from mastsim.spec import Spec
    from mastsim.validation import integer

    steps = integer("steps", steps, 1)
    usual = "dsgd" if what["clients"] is None else "distributed"
    spec = Spec(**what, method=_with_minibatch(method or usual, minibatch))
    dataset, F = spec.objective_of(spec.load())
    trial = spec.trial(F)
    about = None if method is None else trial if spec.settings else type(trial)
    found = advice.guarantees(F, accuracy, advice.minibatch(minibatch), about)
    step = _step(spec, F, steps)
    theorem = advice.covering(F, trial, steps, sharp=False)
    answer = None if theorem is None else advice.guarantee_of(theorem, accuracy).sentence
    document = _about(spec, dataset, None, F) | {
        "answer": answer,
        "step": step,
        "stepsize": [each.record() for each in found],
    }
    said = f"γ = {step['value']:.6g}" if step["value"] is not None else "none"
    head = [answer or f"{trial.name}: no theorem covers it here", F.name, *_label_lines(dataset)]
    head += [f"{trial.name}, {step['asked']} step: {said}, {step['source']}"]
    _emit(document, json_to, "\n".join([*head, "", guarantee_table(found)]))


def _step(spec: Spec, F: Objective, steps: int) -> dict[str, Any]:
    """Return the step that a method takes, or why there is none."""
    try:
        return dict(spec.choose(F, steps).record())
    except ValueError as refusal:
        return {"asked": spec.stepsize, "value": None, "theorem": None, "source": str(refusal)}


def _with_minibatch(method: str, size: int | None) -> str:
    """Return a method's text with the option ``--minibatch`` among its settings."""
    return method if size is None else f"{method}{',' if ':' in method else ':'}minibatch={size}"


@main.command()
@_options(*_objective, _minibatch, _stepsize, _steps, _seed, _json)
@click.option("--method", default="dsgd", help=_METHOD_HELP, **_method)
@click.option("--replicas", type=WHOLE, default=16, show_default=True, help="Number of replicas.")
@click.option("--every", type=WHOLE, metavar="K", help="Steps between two records  [default: 100 or 10 records in all]")
@click.option("--threads", type=WHOLE, default=2, show_default=True, help="Threads that share the replicas.")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True, help="Where to run.")
@click.option(
    "--engine", type=click.Choice(["auto", "kernel", "array"]), default="auto", show_default=True, help="How to run."
)
@click.option("--precision", type=click.Choice(["float64", "float32"]), default="float64", show_default=True, help="Of x.")
@click.option("--out", type=FILE, metavar="RUN.npz", help="Save the run.")
@click.option("--plot", type=FILE, metavar="FILE", help="Plot measure and bound.")
@_command
def simulate(
    seed: int,
    json_to: str | None,
    method: str,
    steps: int,
    replicas: int,
    every: int | None,
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
    from mastsim.spec import Spec
    from mastsim.validation import integer

    if plot is not None:
        from mastsim.plots import check_format

        check_format(plot)
    there = find_device(device)
    steps, replicas = integer("steps", steps, 1), integer("replicas", replicas, 1)
    every = every if every is None else integer("every", every, 1)
    spec = Spec(**what, method=_with_minibatch(method, minibatch))
    dataset, F = spec.objective_of(spec.load())
    simulation.check_sizes(F.dim, steps, replicas, every)
    chosen = spec.choose(F, steps)
    claim, measures = chosen.claim, chosen.measures
    spacing: Any = {"steps": steps, "every": every}
    where: Any = {"threads": threads, "device": there, "engine": engine, "precision": precision}
    run = simulation.simulate(chosen.method, F, **spacing, replicas=replicas, seed=seed, measures=measures, **where)
    if out is not None:
        run.save(out)
    bound = None if claim is None else float(claim.claim(run.steps_done, run.stepsize, float(claim.initial_of(run).mean())))
    if plot is not None:
        from mastsim.plots import plot_run

        plot_run(run, claim, plot)
    promise = {"bound": bound, "theorem": claim and claim.id, "bound_on": claim and f"{claim.over} {claim.measure}"}
    document = (
        _about(spec, dataset, seed, F)
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
            "final": run.final(),
            "tiers": {"final": "estimate", "bound": "upper"},
            "seconds": run.seconds,
            "replica_steps_per_second": run.replica_steps_per_second,
        }
    )
    lines = [F.name, *_label_lines(dataset)]
    lines += [f"{run.method}, γ = {run.stepsize:.6g} ({_origin(chosen)})"]
    lines += [f"{run.steps_done} steps, {run.replicas} replicas, seed {seed}"]
    lines += [f"  {name:14s} {m['mean']:.6g} ± {m['stderr']:.2g}" for name, m in run.final().items()]
    covered = claim is not None and f"  bound by {claim.id} on E {claim.measure} ({claim.over}): {bound:.6g}"
    lines += [covered or "  no bound: no theorem covers the method with this step"]
    _emit(document, json_to, "\n".join(lines))
    if run.steps_done < steps:
        sys.exit(130)


class _FigureCommand(click.Command):
    """A command whose help ends with the figures and their titles, which are looked up only when help is asked for."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of figures."""
        from mastsim.reproduce import ALL_FIGURES

        with formatter.section("Figures"):
            formatter.write_dl([(name, figure.TITLE) for name, figure in ALL_FIGURES.items()])


@main.command(cls=_FigureCommand)
@click.argument("figures", nargs=-1, metavar="[FIGURE]...")
@click.option("--data", metavar="D", help="Data set  [default: a5a where it is on this machine, else the bundled set]")
@click.option("--quick", is_flag=True, help="Fewer steps, replicas and settings.")
@click.option("--out", type=FOLDER, default="figures", show_default=True, metavar="DIR")
@_options(_positive, _features, _zero_based, _seed)
@_command
def reproduce(
    figures: tuple[str, ...],
    data: str | None,
    positive: float | None,
    features: int | None,
    zero_based: bool,
    quick: bool,
    out: Path,
    seed: int,
) -> None:
    """Compute figures and write each as PNG, PDF and JSON; all of them when none is named."""
    from mastsim import reproduce as figures_of_the_paper
    from mastsim.problems import family_for, load
    from mastsim.reproduce import default_data

    given = default_data() if data is None else load(data, features=features, zero_based=zero_based)
    dataset, _ = family_for(given, "auto", positive)
    for line in _label_lines(dataset):
        click.echo(line, err=True)
    for path in figures_of_the_paper.reproduce(figures, dataset, quick, out, seed=seed):
        click.echo(path)


@main.command("sweep")
@click.argument("grid", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=FOLDER, metavar="DIR", help="Records  [default: GRID's name]")
@click.option("--workers", type=WHOLE, default=1, show_default=True, help="Processes.")
@_options(_json)
@_command
def run_sweep(grid: Path, out: Path | None, workers: int, json_to: str | None) -> None:
    """Run every combination of a grid; what is finished is kept, and a rerun does what is missing."""
    from mastsim.documents import header
    from mastsim.sweeps import SweepError, SweepInterrupted, sweep

    folder = Path(grid.stem) if out is None else out
    try:
        found = sweep(grid, folder, workers=workers)
    except SweepInterrupted as stop:
        click.echo(str(stop), err=True)
        sys.exit(130)
    except SweepError as failed:
        click.echo(f"Error: {failed}", err=True)
        sys.exit(1)
    found.save_csv(folder / "table.csv")
    rows = found.table()
    facts = {"tasks": len(found.tasks), "done": found.done, "computed": found.computed, "seconds": found.seconds}
    document = header(None, None) | facts | {"tiers": {"mean": "estimate", "bound": "upper"}, "rows": rows}
    text = f"{found.done} tasks done, {found.computed} of them now; {len(rows)} rows in {folder / 'table.csv'}"
    _emit(document, json_to, text)


@main.group()
def data() -> None:
    """List, locate and fetch data sets."""


@data.command("list")
@click.option(
    "--json", "json_to", type=DOCUMENT, metavar="FILE|-", help="Write a JSON document; - prints it and nothing else."
)
@_command
def list_data(json_to: str | None) -> None:
    """List the data sets that have a name."""
    from mastsim.documents import header
    from mastsim.problems.catalogue import listing
    from mastsim.tables import aligned_table

    rows = listing()
    cells = [[row["name"], str(row["n"]), str(row["d"]), row["where"]] for row in rows]
    table = aligned_table(["data set", "n", "d", "where"], cells, right=("n", "d"))
    _emit(header(None, None) | {"datasets": rows}, json_to, table)


@data.command("path")
@click.argument("name")
@_command
def path_of_data(name: str) -> None:
    """Print where a data set's file is."""
    from mastsim.problems.catalogue import locate

    found = locate(name)
    if found is None:
        raise ValueError(f"{name} is not on this machine; 'mastsim data fetch {name}' downloads it")
    click.echo(found)


@data.command("fetch")
@click.argument("name")
@_command
def fetch_data(name: str) -> None:
    """Download a data set unless it is here, check its hash, and print where it is."""
    from mastsim.problems.catalogue import fetch

    click.echo(fetch(name))


def _label_lines(dataset: Dataset) -> list[str]:
    """Return the line that says which label is which class, or that there are none; nothing where labels are -1 and +1."""
    from mastsim.problems.dataset import spell_label

    if dataset.labels is None:
        return ["labels: taken as they stand, as targets"]
    if all(label == sign for label, sign in dataset.labels.items()):
        return []
    said = ", ".join(f"{spell_label(label)} is {sign:+d}" for label, sign in dataset.labels.items())
    other = next(label for label, sign in dataset.labels.items() if sign < 0)
    return [f"labels: {said} (--positive {spell_label(other)} turns them round)"]


def _origin(chosen: ChosenStep) -> str:
    """Return where a step size comes from, in words."""
    return chosen.source if chosen.asked.unit is None else f"{chosen.asked.spelled}: {chosen.source}"


def _about(spec: Spec, dataset: Dataset, seed: int | None, F: Objective) -> dict[str, Any]:
    """Return the head of a document: version, seed, data, the description and what it stands for."""
    from mastsim.documents import header
    from mastsim.provenance import content_hash

    facts = {"problem": F.problem.name, "sketch": F.sketch_name, "shifted": bool(F.center.any())}
    objective = facts | {"evaluation": F.evaluation.name, "sha256": content_hash(F)}
    return header(dataset, seed) | {"spec": spec.record() | {"sha256": spec.key}, "objective": objective}


def _emit(document: dict[str, Any], json_to: str | None, text: str) -> None:
    from mastsim.documents import dumps

    if json_to == "-":
        click.echo(dumps(document))
        return
    if json_to is not None:
        Path(json_to).write_text(dumps(document) + "\n", encoding="utf-8")
    click.echo(text)
