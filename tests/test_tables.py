"""Tables of texts: what is read back from them is what was put in."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastsim.tables import aligned_table, markdown_table

WORD = st.text("ab0.|-±‖ω", min_size=1, max_size=6)


def rows_of(width):
    return st.lists(st.lists(WORD, min_size=width, max_size=width), min_size=1, max_size=5)


TABLES = st.integers(1, 4).flatmap(lambda width: st.tuples(rows_of(width), rows_of(width)))


@given(TABLES)
def test_cells_of_a_markdown_table_are_read_back_as_they_are(drawn):
    (columns, *_), rows = drawn
    heading, rule, *lines = markdown_table([column.replace("|", "/") for column in columns], rows).splitlines()
    assert re.fullmatch(r"\|(-+\|)+", rule)
    assert len({len(line) for line in (heading, rule, *lines)}) == 1
    read = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert read == rows


@given(TABLES, st.data())
def test_columns_of_an_aligned_table_start_and_end_below_each_other(drawn, data):
    (columns, *_), rows = drawn
    columns = [f"{column}{place}" for place, column in enumerate(columns)]
    right = data.draw(st.sets(st.sampled_from(columns)))
    heading, rule, *lines = aligned_table(columns, rows, right).splitlines()
    spans = [found.span() for found in re.finditer("-+", rule)]
    assert len(spans) == len(columns)
    for cells, line in zip([columns, *rows], [heading, *lines], strict=True):
        shown = [line.ljust(len(rule))[start:end] for start, end in spans]
        wide = [end - start for start, end in spans]
        sides = [str.rjust if column in right else str.ljust for column in columns]
        assert shown == [side(cell, width) for cell, width, side in zip(cells, wide, sides, strict=True)]
        assert line == line.rstrip()


@pytest.mark.parametrize("right", [(), ("b",)])
def test_a_table_without_rows_is_its_heading(right):
    assert aligned_table(["a", "b"], [], right).splitlines()[0].split() == ["a", "b"]
