"""Tables of the documentation, written from the numbers of figures, so that both agree."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mastsim.files import write_whole
from mastsim.reproduce import ALL_FIGURES
from mastsim.tables import markdown_table
from mastsim.validation import one_of

_MARK = re.compile(r"^<!-- table (\S+) -->$", re.MULTILINE)


class FigureTable(NamedTuple):
    """A table that is made from the numbers of a figure.

    Parameters
    ----------
    figure : str
        Name of the figure.
    make : callable
        Takes the numbers, and returns Markdown.
    """

    figure: str
    make: Callable[[dict[str, Any]], str]


TABLES: dict[str, FigureTable] = {
    name: FigureTable(figure, make)
    for figure, module in ALL_FIGURES.items()
    for name, make in getattr(module, "TABLES", {}).items()
}
"""Every table by name, from the figures that have one."""


def figure_list(figures: Path) -> str:
    """Return the Markdown table of the figures of a folder, in the order in which they are made: name and title.

    Parameters
    ----------
    figures : Path
        The folder with NAME.json for the figures that it holds.

    Examples
    --------
    >>> figure_list(Path("nowhere")).splitlines()[0]
    '| figure   | what it shows   |'
    """
    drawn = {name: figure.TITLE for name, figure in ALL_FIGURES.items() if (figures / f"{name}.json").exists()}
    return markdown_table(["figure", "what it shows"], [[f"`{name}`", title] for name, title in drawn.items()])


def spliced(page: str, name: str, table: str) -> str:
    r"""Return a page in which what stands between the marks of a table is replaced.

    Parameters
    ----------
    page : str
        Markdown with the lines ``<!-- table NAME -->`` and ``<!-- end NAME -->``.
    name : str
        Name of the table.
    table : str
        What is to stand between them.

    Raises
    ------
    ValueError
        If the marks are missing.

    Examples
    --------
    >>> spliced("a\n<!-- table t -->\nold\n<!-- end t -->\nb", "t", "new").splitlines()[2]
    'new'
    """
    opening, closing = f"<!-- table {name} -->\n", f"\n<!-- end {name} -->"
    before, found, rest = page.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"page has no lines {opening.strip()!r} and {closing.strip()!r} to put the table between")
    return before + opening + table + closing + after


def refreshed(page: str, figures: Path) -> str:
    r"""Return a page of the documentation with every table that it marks written anew from the JSON files of a folder.

    Parameters
    ----------
    page : str
        Markdown with the marks of tables in `TABLES`, or of ``figures``, the list of all figures of the folder.
    figures : Path
        The folder with NAME.json for every figure whose table is marked.

    Raises
    ------
    ValueError
        If a table is unknown, or its closing mark is missing.
    FileNotFoundError
        If a figure's numbers are.

    Examples
    --------
    >>> refreshed("<!-- table gdci -->\n<!-- end gdci -->", Path("nowhere"))
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'nowhere/gdci.json'
    """
    for name in _MARK.findall(page):
        page = spliced(page, name, figure_list(figures) if name == "figures" else _table(name, figures))
    return page


def refresh_pages(docs: Path, figures: Path) -> None:
    """Write every page of a folder anew, with its tables as the numbers of the figures have them.

    Parameters
    ----------
    docs : Path
        The folder with the Markdown pages.
    figures : Path
        The folder with NAME.json for every figure whose table is marked.

    Raises
    ------
    ValueError
        If a table is unknown, or its closing mark is missing.
    FileNotFoundError
        If a figure's numbers are.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     refresh_pages(Path(folder), Path(folder))
    """
    for page in sorted(docs.glob("*.md")):
        write_whole(page, refreshed(page.read_text(encoding="utf-8"), figures))


def _table(name: str, figures: Path) -> str:
    """Return a table by its name."""
    table = TABLES[one_of("table", name, TABLES)]
    return table.make(json.loads((figures / f"{table.figure}.json").read_text(encoding="utf-8")))
