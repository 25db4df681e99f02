"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mastsim.cli.listings import Naming, methods, problems, sketches
from mastsim.cli.values import DOCUMENT, INPUT, NUMBER, WHOLE

_DEFAULT_DATA = "breast-cancer"


def options(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command options, in their order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


DATA = click.option(
    "--data",
    default=_DEFAULT_DATA,
    show_default=True,
    metavar="D",
    help="Data set: a name (mastsim data list), a file, or synthetic:n=500,d=40.",
)
SKETCH = click.option("--sketch", cls=Naming, names=sketches, required=True, metavar="S", help="One of those listed below.")
MODULE = click.option(
    "--module",
    type=INPUT,
    metavar="FILE.py",
    help="Also your own THEOREMS, SKETCHES, PROBLEMS, METHODS: tuples in a file, which are options by name.",
)
SHIFT = click.option("--shift", default="zero", show_default=True, metavar="V", help="zero, erm, or a .npy or .csv file.")
PROBLEM = click.option(
    "--problem",
    cls=Naming,
    names=problems,
    default="auto",
    show_default=True,
    metavar="P",
    help="The loss, perhaps with settings (huber:delta=0.5); listed below.",
)
METHOD: dict[str, Any] = {"cls": Naming, "names": methods, "metavar": "M", "show_default": True}
METHOD_HELP = "What to run, perhaps with settings (page:probability=0.1); listed below."
TARGET = click.option("--target", metavar="COLUMN", help="Which column of a table (.csv, .tsv, .parquet) is predicted.")
STANDARDISE = click.option("--standardise", is_flag=True, help="Bring all columns to mean 0 and variance 1 first.")
POSITIVE = click.option(
    "--positive",
    metavar="LABEL",
    help="Which of two labels counts as +1, as the file has it  [default: the larger, or the last in alphabetical order]",
)
FEATURES = click.option(
    "--features", type=WHOLE, metavar="D", help="Features of a LIBSVM file  [default: its largest index]"
)
ZERO_BASED = click.option("--zero-based", is_flag=True, help="Indices of a LIBSVM file start at 0.")
L2 = click.option("--l2", type=NUMBER, help="Regularisation λ ≥ 0; 1/(nC) for scikit-learn's C.")
CONDITION = click.option("--condition-number", type=NUMBER, help="κ_f instead of --l2  [default: 100]")
WEIGHTS = click.option(
    "--weights",
    metavar="W",
    help="What rows weigh: balanced, 0:1,1:5 by label, column:NAME of a table, or a .npy or .csv file.",
)
INTERCEPT = click.option("--intercept", is_flag=True, help="Add a coordinate that is neither penalised nor masked.")
CLIENTS = click.option("--clients", type=WHOLE, metavar="M", help="Divide the data among M clients.")
SPLIT = click.option(
    "--split", type=click.Choice(["iid", "label"]), default="iid", show_default=True, help="How the data are divided."
)
MINIBATCH = click.option(
    "--minibatch", type=WHOLE, metavar="TAU", help="Rows a gradient sees, a setting of the method  [default: all]"
)
STEPSIZE = click.option(
    "--stepsize",
    default="theory",
    show_default=True,
    metavar="theory|sharp|X",
    help="Step size γ: also a multiple (0.5*theory), or a rule that starts from one (harmonic:theory:0.01).",
)
STEPS = click.option("--steps", type=WHOLE, default=1000, show_default=True, help="Number of steps.")
JSON = click.option(
    "--json", "json_to", type=DOCUMENT, metavar="FILE|-", help="Write a JSON document; - prints it and nothing else."
)
SEED = click.option("--seed", type=WHOLE, default=0, show_default=True, help="From 0 to 2**64 - 1.")


READING = (DATA, TARGET, POSITIVE, FEATURES, ZERO_BASED)
OBJECTIVE = (*READING, STANDARDISE, MODULE, SKETCH, SHIFT, PROBLEM, L2, CONDITION, WEIGHTS, INTERCEPT, CLIENTS, SPLIT)


def with_minibatch(method: str, size: int | None) -> str:
    """Return a method's text with the option ``--minibatch`` among its settings."""
    return method if size is None else f"{method}{',' if ':' in method else ':'}minibatch={size}"
