"""The command that gives advice for a data file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mastsim.cli.options import (
    CONDITION,
    FEATURES,
    INTERCEPT,
    JSON,
    L2,
    METHOD,
    METHOD_HELP,
    POSITIVE,
    PROBLEM,
    SEED,
    STANDARDISE,
    TARGET,
    WEIGHTS,
    ZERO_BASED,
    options,
)
from mastsim.cli.output import emit
from mastsim.cli.program import main
from mastsim.cli.values import FILE, NUMBER


@main.command(listed=("Methods", "Losses"))
@click.argument("data", metavar="DATA")
@options(TARGET, STANDARDISE, POSITIVE, FEATURES, ZERO_BASED, PROBLEM, L2, CONDITION, WEIGHTS, INTERCEPT, SEED, JSON)
@click.option(
    "--keep", type=NUMBER, multiple=True, default=(0.5,), show_default=True, metavar="Q", help="Share kept; may be repeated."
)
@click.option(
    "--sketch", type=click.Choice(["bernoulli", "randk"]), default="bernoulli", show_default=True, help="Kind of mask."
)
@click.option("--method", default="dsgd", help=METHOD_HELP, **METHOD)
@click.option("--accuracy", type=NUMBER, metavar="EPS", help="What to aim at  [default: 1 % of the start's]")
@click.option(
    "--design",
    is_flag=False,
    flag_value="step",
    type=click.Choice(["smoothness", "step", "floor"]),
    help="Also choose every column's keep, for the largest step unless said otherwise.",
)
@click.option("--html", "page", type=FILE, metavar="FILE", help="Write a page with three plots.")
def advise(
    data: str,
    target: str | None,
    standardise: bool,
    features: int | None,
    zero_based: bool,
    json_to: str | None,
    page: Path | None,
    keep: tuple[float, ...],
    seed: int,
    **what: Any,
) -> None:
    """Say which step to take on a data file, what it buys, and what would change that."""
    from mastsim import recommendation
    from mastsim.documents import header
    from mastsim.files import write_whole
    from mastsim.problems import load
    from mastsim.problems.row_weights import column_of_weights

    reading: dict[str, Any] = {"standardise": standardise, "features": features, "zero_based": zero_based}
    table = load(data, target=target, weights=column_of_weights(what["weights"]), **reading)
    found = recommendation.advise(table, keep=keep, seed=seed, **what)
    tiers = {"guarantee": "upper", "usable_stepsize": found.keeps[0].usable.kind}
    document = header(found.data, seed) | {"tiers": tiers} | found.record()
    writes: list[Callable[[], object]] = [] if page is None else [lambda: write_whole(page, found.html())]
    emit(document, json_to, str(found), *writes)
