"""What people look at: short texts, escaped pages, figures, and data frames where pandas is there."""

import importlib
from functools import cache

import numpy as np
import pytest
from matplotlib.figure import Figure

import mastsim as ms

pytestmark = pytest.mark.slow

DATA = ms.load("synthetic:n=50,d=30")
F = ms.Mast(
    ms.LogisticRegression(DATA.A, DATA.y, condition_number=100), ms.Bernoulli(30, np.linspace(0.2, 1, 30)), shift=np.ones(30)
)
THEOREM = ms.theorems.StronglyConvexDSGD(F)
CONSTANTS = ms.Constants(F)


@cache
def simulated():
    return ms.simulate(ms.DSGD(THEOREM.stepsize), F, steps=60, replicas=4, every=20)


@cache
def judged():
    return ms.verify(THEOREM, simulated())


@cache
def guaranteed():
    return ms.guarantees(F)


THINGS = {
    "data": lambda: DATA,
    "objective": lambda: F,
    "problem": lambda: F.problem,
    "sketch": lambda: F.sketch,
    "minimum": F.minimize,
    "theorem": lambda: THEOREM,
    "run": simulated,
    "verdict": judged,
    "guarantee": lambda: guaranteed()[0],
    "design": lambda: ms.design(F.problem, 9.0),
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Return a small sweep over two steps."""
    grid = {"data": "synthetic:n=20,d=4", "sketch": "randk:0.5", "steps": 10, "stepsize": [0.1, 0.2], "measures": "distance"}
    return ms.sweep(grid, tmp_path_factory.mktemp("sweep"), progress=False)


@pytest.mark.parametrize("name", THINGS)
def test_nothing_that_is_printed_is_a_wall_of_numbers(name):
    thing = THINGS[name]()
    for text in (repr(thing), str(thing)):
        assert len(text.splitlines()) <= 4
        assert len(text) <= 1500


def test_small_arrays_are_written_out():
    assert repr(ms.RandK(2, k=1)) == "RandK(dim=2, k=1)"
    assert "keep=array([0.2, 0.4])" in repr(ms.Bernoulli(2, keep=np.array([0.2, 0.4])))
    assert repr(ms.FiniteSupport([np.eye(20)], [1.0])).count("<array of shape") == 1


def test_pages_word_the_tier_and_typeset_the_statement():
    for page, words in (
        (CONSTANTS._repr_html_(), ["L_S_max", ">exact<", ">upper<"]),
        (judged()._repr_html_(), [f">{judged().words}<", f">{judged().tier}<", "<mi>γ</mi>"]),
        (guaranteed()._repr_html_(), ["theorem2", "<mi>γ</mi>", "DistributedDSGD"]),
        (guaranteed()[0]._repr_html_(), ["proven upper bound", "<mi>γ</mi>"]),
        (simulated()._repr_html_(), ["distance", ">estimate<"]),
    ):
        assert all(word in page for word in words)
        assert "<script" not in page
    assert "&lt;" in ms.advice.Guarantee("<i>", "me", title="<i>", method="DSGD", reason="a < b")._repr_html_()


def test_frames_hold_what_the_objects_hold(swept):
    pytest.importorskip("pandas")
    frame = simulated().to_frame()
    assert frame.index.tolist() == [0, 20, 40, 60]
    assert frame["distance"].to_numpy() == pytest.approx(simulated().distance.mean(axis=0))
    assert frame["gap stderr"].to_numpy() == pytest.approx(simulated().gap.std(axis=0, ddof=1) / 2)
    constants = CONSTANTS.to_frame()
    assert constants.loc["L_f", "value"] == float(CONSTANTS.L_f)
    assert constants["kind"].tolist() == [c.kind for c in CONSTANTS.values()]
    assert guaranteed().to_frame()["theorem"].tolist() == [each.theorem for each in guaranteed()]
    assert guaranteed()[0].to_frame()["stepsize"].tolist() == [guaranteed()[0].stepsize]
    assert judged().to_frame()["verdict"].tolist() == [judged().verdict]
    assert swept.to_frame()["mean"].tolist() == [row["mean"] for row in swept.table()]


def test_without_pandas_the_extra_is_named(monkeypatch, swept):
    real = importlib.import_module

    def missing(name, package=None):
        if name == "pandas":
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    for thing in (simulated(), CONSTANTS, guaranteed(), guaranteed()[0], judged(), swept):
        with pytest.raises(ImportError, match=r"mastsim\[frames\]"):
            thing.to_frame()


def test_plots_show_what_was_measured_beside_the_bound(swept):
    figure = simulated().plot(THEOREM)
    assert isinstance(figure, Figure)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert lines["measured"] == pytest.approx(simulated().distance.mean(axis=0))
    initial = float(simulated().distance[:, 0].mean())
    assert lines["bound"] == pytest.approx(THEOREM.bound(simulated().recorded, simulated().stepsize, initial))
    curve = {line.get_label(): line.get_ydata() for line in judged().plot().axes[0].lines}
    assert curve["measured"] == pytest.approx(judged().curve.measured)
    assert isinstance(swept.plot(), Figure)
    with pytest.raises(ValueError, match="measure='speed' is not accepted: the tasks recorded distance"):
        swept.plot("speed")
    lemma = ms.verify(ms.theorems.Lemma1(F))
    with pytest.raises(ValueError, match="no curve"):
        lemma.plot()
