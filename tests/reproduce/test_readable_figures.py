"""Every figure can be read where a README shows it: its texts are measured where they are drawn, and its curves are seen."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mastsim import layout
from mastsim.reproduce import ALL_FIGURES, pictures
from tests.oracles.readable import faults

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(path.stem for path in (ROOT / "figures").glob("*.json"))


def committed(name):
    return json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))


def check(name, numbers, monkeypatch):
    for file, figure in pictures(ALL_FIGURES[name], numbers).items():
        assert figure.get_figwidth() == pytest.approx(800 / 96)
        assert faults(figure, monkeypatch) == [], file
        if len(figure.axes) > 1:
            letters = [axes.get_title()[:4] for axes in figure.axes]
            assert letters == [f"({letter}) " for letter in "abcdefghijklmnop"[: len(letters)]]


@pytest.mark.parametrize("name", ALL_FIGURES)
def test_a_quick_figure_is_readable(computed, name, monkeypatch):
    check(name, computed(name), monkeypatch)


@pytest.mark.parametrize("name", COMMITTED)
def test_a_published_figure_is_readable(name, monkeypatch):
    check(name, committed(name), monkeypatch)


@pytest.mark.parametrize("name", ["gap", "speed-up", "test-accuracy"])
def test_data_with_a_long_name_are_readable(name, monkeypatch):
    numbers = committed(name)
    numbers["data"]["name"] = "a/long/path/without/a/blank/" * 6 + "of a table.csv"
    check(name, numbers, monkeypatch)


@pytest.mark.parametrize("name", COMMITTED)
def test_published_pictures_are_small_and_complete(name):
    files = [f"{name}.png"]
    if hasattr(ALL_FIGURES[name], "draw_parts"):
        files += [f"{part}.png" for part in ALL_FIGURES[name].draw_parts(committed(name))]
    for file in files:
        assert (ROOT / "figures" / file).stat().st_size <= 200_000
        assert (ROOT / "figures" / file).with_suffix(".pdf").exists()
        with Image.open(ROOT / "figures" / file) as picture:
            assert picture.width == 1200
            assert picture.height <= 2000


# The measure sees what is wrong --------------------------------------------------------------------------------------


def plain(**changed):
    """Return a page with two curves, as good as `layout` makes it."""
    figure, (axes,) = layout.page(1, 1)
    axes.plot([1, 2, 3], [1, 2, 4], label="one")
    axes.plot([1, 2, 3], changed.get("second", [2, 2, 2]), label="other")
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    axes.set_title("title")
    return layout.finish(figure, changed.get("head", "head"))


def test_a_good_page_has_no_faults(monkeypatch):
    assert faults(plain(), monkeypatch) == []
    assert faults(plain(second=[1, 2, 4]), monkeypatch) == []
    assert faults(plain(head="many words " * 60), monkeypatch) == []


@pytest.mark.parametrize("kind", ["small", "small: ticks", "cut", "overlap", "covered", "hidden", "hidden: not said"])
def test_faults_are_seen(kind, monkeypatch):
    figure = plain(second=[1, 2, 4] if kind.startswith("hidden") else [2, 2, 2])
    axes = figure.axes[0]
    if kind == "small":
        axes.title.set_fontsize(6.9)
    elif kind == "small: ticks":
        axes.tick_params(labelsize=6)
    elif kind == "cut":
        axes.set_title("a title that is far too long for this page " * 5)
    elif kind == "overlap":
        axes.text(0.5, 0.5, "here", transform=axes.transAxes)
        axes.text(0.5, 0.51, "and here", transform=axes.transAxes)
    elif kind == "covered":
        axes.legend(loc="lower left")
    elif kind == "hidden":
        axes.lines[0].set_linewidth(1.0)
    else:
        axes.set_xlabel("x")
    found = faults(figure, monkeypatch)
    assert found
    assert all(fault.startswith(kind.partition(":")[0]) for fault in found)


def test_an_older_picture_would_not_pass(monkeypatch):
    figure = Figure(figsize=(15, 4.9), layout="constrained")
    for axes in figure.subplots(1, 3):
        axes.plot([0, 1], [0, 1], label="paper")
        axes.plot([0, 1], [0, 1], label="sharp")
        axes.legend(fontsize=7, loc="center")
    kinds = {fault.partition(":")[0] for fault in faults(figure, monkeypatch)}
    assert {"small", "covered", "hidden"} <= kinds


# Parts of the layout -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [30.0, 80.0, 300.0])
@pytest.mark.parametrize("text", ["one two three four five six", "n = 6414 and d = 123, seed 0", "x" * 90, "", "a\nb c"])
def test_wrapped_lines_fit_and_keep_every_letter(width, text):
    lines = layout.wrapped(text, width).split("\n")
    assert all(layout.measured(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")
    assert width < 60 or all("=" not in (line[:1], line[-1:]) for line in lines)


@pytest.mark.parametrize(
    ("x", "said"), [(1e-5, "1e-5"), (0.01, "0.01"), (1.0, "1"), (100.0, "100"), (1e5, "1e5"), (1e12, "1e12")]
)
def test_powers_have_no_raised_digits(x, said):
    figure, (axes,) = layout.page(1, 1)
    axes.plot([1, 2], [x / 30, x * 30])
    axes.set_yscale("log")
    layout.finish(figure)
    assert axes.yaxis.get_major_formatter()(x) == said


@pytest.mark.parametrize("shift", [1.0, 1.002, 1.3])
def test_curves_coincide_up_to_the_width_of_a_line(shift):
    figure, (axes,) = layout.page(1, 1)
    steps = np.arange(1, 50)
    axes.plot(steps, 1 / steps, label="A")
    axes.plot(steps, shift / steps, label="B")
    axes.plot(steps, shift**0.5 / steps + 0.3, label="A, bound")
    axes.plot(steps, 1 / steps + 0.3, label="B, bound")
    axes.set_xlabel("step")
    layout.finish(figure)
    same = shift < 1.1
    assert axes.get_xlabel() == ("step\nB: the same curves as A" if same else "step")
    widths = [line.get_linewidth() for line in axes.lines]
    assert (widths[0] > widths[1] and widths[2] > widths[3]) == same
