"""Small charts: everything stands inside, nothing is run, and numbers that are not finite are left out."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastsim.svg import WIDTH, Mark, curves, standing_alone, strip

NUMBERS = st.one_of(st.floats(0, 1e300), st.sampled_from([0.0, 1.0, math.inf, math.nan, 5e-324]))
LETTER = 6.6
"""No letter of a chart is wider than this: 11 units high, and digits of the usual fonts take less than 0.6 of that."""


def parsed(chart):
    """Return a chart as a tree; fail where it is not well-formed."""
    return ElementTree.fromstring(chart)


def assert_inside(chart):
    """Fail where a text, a line or a mark leaves the canvas."""
    tree = parsed(chart)
    width, height = (float(number) for number in tree.get("viewBox").split()[2:])
    for node in tree.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(node.get(name, 0)) <= width
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(node.get(name, 0)) <= height
        for point in node.get("points", "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
        if node.tag == "text":
            room, x = LETTER * len(node.text), float(node.get("x"))
            left = {"end": x - room, "middle": x - room / 2}.get(node.get("text-anchor"), x)
            assert left >= 0, node.text
            assert left + room <= width, node.text


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12), st.integers(1, 10**7), st.booleans())
def test_curves_stand_inside_whatever_was_measured(points, stride, with_band):
    measured, bound = np.array(points).T
    band = np.stack([measured, measured * 2]) if with_band else None
    with np.errstate(all="ignore"):
        chart = curves(np.arange(len(points)) * stride, measured, bound, band, "E‖∇f_D(x)‖²", "a name")
    assert_inside(chart)
    assert "nan" not in chart
    assert "inf" not in chart


@pytest.mark.parametrize("last", [80_000, 99_999, 1_000, 40])
def test_the_last_label_below_the_axis_is_not_cut(last):
    assert_inside(curves(np.array([0, last]), np.ones(2), np.ones(2), None, "gap", ""))


@given(st.lists(NUMBERS.filter(lambda x: not math.isnan(x)), max_size=12))
def test_strips_stand_inside_and_hold_every_mark(values):
    chart = strip([Mark(value, "exact", "a label") for value in values], "a name")
    assert_inside(chart)
    assert chart.count("<circle") == len(values)


def test_marks_stand_in_the_order_of_what_they_say():
    tree = parsed(strip([Mark(v, "exact", "") for v in (1e-9, 1e-4, 1e-2, 1.0, 10.0, 1e3)], "a name"))
    places = [float(node.get("cx")) for node in tree.iter("circle")]
    assert places[0] == places[1] < places[2] < places[3] < places[4] < places[5]
    limit = next(node for node in tree.iter("line") if node.get("class") == "limit")
    assert float(limit.get("x1")) == places[3]


def test_a_curve_on_a_logarithmic_axis_is_straight_where_it_is_geometric():
    steps = np.arange(5)
    line = next(n for n in parsed(curves(steps, 10.0**-steps, 2 * 10.0**-steps, None, "gap", "")).iter("polyline"))
    y = np.array([float(point.split(",")[1]) for point in line.get("points").split()])
    assert np.diff(y) == pytest.approx(np.diff(y)[0], abs=0.2)
    assert np.diff(y)[0] > 0


@pytest.mark.parametrize("shape", ["exact", "sampled", "refuted"])
def test_labels_are_escaped(shape):
    chart = strip([Mark(1.0, shape, "<script>")], '"><b>')
    assert "<script" not in chart
    assert parsed(chart).get("aria-label") == '"><b>'


def test_a_chart_in_a_file_says_what_it_looks_like():
    tree = parsed(standing_alone(strip([], "a name")))
    assert tree.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(tree.get("viewBox").split()[2]) == WIDTH
