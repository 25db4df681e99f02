"""The command that computes and draws figures: reproduce."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from mastsim.cli.listings import completions
from mastsim.cli.listings import figures as all_figures
from mastsim.cli.options import FEATURES, POSITIVE, SEED, TARGET, ZERO_BASED, options
from mastsim.cli.output import label_lines
from mastsim.cli.program import main
from mastsim.cli.streams import say
from mastsim.cli.values import FOLDER


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return completions(all_figures, incomplete)


@main.command(listed=("Figures",))
@click.argument("figures", nargs=-1, metavar="[FIGURE]...", shell_complete=_complete)
@click.option("--data", metavar="D", help="Data set  [default: a5a where it is on this machine, else the bundled set]")
@click.option("--quick", is_flag=True, help="Fewer steps, replicas and settings.")
@click.option("--out", type=FOLDER, default="figures", show_default=True, metavar="DIR")
@options(TARGET, POSITIVE, FEATURES, ZERO_BASED, SEED)
def reproduce(
    figures: tuple[str, ...],
    data: str | None,
    target: str | None,
    positive: str | None,
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

    given = default_data() if data is None else load(data, target=target, features=features, zero_based=zero_based)
    dataset, _ = family_for(given, "auto", positive)
    for line in label_lines(dataset):
        say(line, err=True)
    for path in figures_of_the_paper.reproduce(figures, dataset, quick, out, seed=seed):
        say(path)
