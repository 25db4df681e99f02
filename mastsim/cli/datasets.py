"""The commands about data sets: data list, data path, data fetch."""

from __future__ import annotations

import click

from mastsim.cli.options import JSON
from mastsim.cli.output import emit
from mastsim.cli.program import main
from mastsim.cli.streams import say


@main.group()
def data() -> None:
    """List, locate and fetch data sets."""


@data.command("list")
@JSON
def list_data(json_to: str | None) -> None:
    """List the data sets that have a name."""
    from mastsim.documents import header
    from mastsim.problems.catalogue import listing
    from mastsim.tables import aligned_table

    rows = listing()
    cells = [[row["name"], str(row["n"]), str(row["d"]), row["where"]] for row in rows]
    table = aligned_table(["data set", "n", "d", "where"], cells, right=("n", "d"))
    emit(header(None, None) | {"datasets": rows}, json_to, table)


@data.command("path")
@click.argument("name")
def path_of_data(name: str) -> None:
    """Print where a data set's file is."""
    from mastsim.problems.catalogue import locate

    found = locate(name)
    if found is None:
        raise ValueError(f"{name} is not on this machine; 'mastsim data fetch {name}' downloads it")
    say(found)


@data.command("fetch")
@click.argument("name")
def fetch_data(name: str) -> None:
    """Download a data set unless it is here, check its hash, and print where it is."""
    from mastsim.problems.catalogue import fetch

    say(fetch(name))
