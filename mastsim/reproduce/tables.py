"""Tables of the documentation, written from the numbers of figures, so that both agree."""

from __future__ import annotations

import json
from pathlib import Path

from mastsim.reproduce import gdci, theory_table

TABLES = {"theory-table": theory_table.markdown, "gdci": gdci.markdown}
"""Figures that have a table."""


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
    """Return a page of the documentation with every table written anew from the JSON files of a folder.

    Parameters
    ----------
    page : str
        Markdown with the marks of every table in `TABLES`.
    figures : Path
        The folder with NAME.json for every table.

    Raises
    ------
    ValueError
        If a mark is missing.
    FileNotFoundError
        If a figure's numbers are.

    Examples
    --------
    >>> from pathlib import Path
    >>> refreshed("no marks", Path("nowhere"))
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'nowhere/theory-table.json'
    """
    for name in TABLES:
        page = spliced(page, name, TABLES[name](json.loads((figures / f"{name}.json").read_text())))
    return page
