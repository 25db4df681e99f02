"""Tables of texts: Markdown for pages, aligned columns for terminals."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Return a Markdown table; a bar within a cell is escaped.

    Parameters
    ----------
    columns : sequence of str
        The heading.
    rows : sequence of sequence of str
        The cells.

    Examples
    --------
    >>> print(markdown_table(["a", "b"], [["1", "x|y"]]))
    | a   | b    |
    |-----|------|
    | 1   | x\|y |
    """
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return _table(columns, escaped, "github")


def aligned_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of plain text, columns aligned and two blanks apart, a rule below the heading.

    Parameters
    ----------
    columns : sequence of str
        The heading.
    rows : sequence of sequence of str
        The cells.

    Examples
    --------
    >>> print(aligned_table(["name", "value"], [["a", "1"]]))
    name    value
    ------  -------
    a       1
    """
    return "\n".join(line.rstrip() for line in _table(columns, rows, "simple").splitlines())


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], style: str) -> str:
    """Return a table whose cells are left as they are."""
    return tabulate(rows, columns, style, disable_numparse=True)
