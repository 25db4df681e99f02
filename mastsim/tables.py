"""Tables of texts: Markdown for pages, aligned columns for terminals."""

from __future__ import annotations

from collections.abc import Collection, Sequence

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
    return tabulate(escaped, columns, "github", disable_numparse=True)


def aligned_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """Return a table of plain text, columns two blanks apart, a rule below the heading.

    Parameters
    ----------
    columns : sequence of str
        The heading.
    rows : sequence of sequence of str
        The cells.
    right : collection of str, default ()
        Columns that are aligned to the right, others are to the left.

    Examples
    --------
    >>> print(aligned_table(["name", "value"], [["a", "1"]], right=["value"]))
    name      value
    ------  -------
    a             1
    """
    sides = ["right" if column in right else "left" for column in columns]
    if not rows:
        sides = []
    text = tabulate(rows, columns, "simple", disable_numparse=True, colalign=sides or None)
    return "\n".join(line.rstrip() for line in text.splitlines())
