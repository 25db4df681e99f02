"""Plots of runs, verdicts and sweeps can be read where a README shows them, whatever their size and their titles."""

from types import SimpleNamespace

import numpy as np
import pytest

import mastsim as ms
from mastsim.plots import plot_curve, plot_rows
from tests.oracles.readable import faults

pytestmark = pytest.mark.slow

F = ms.Mast(ms.LeastSquares(np.array([[1.0, 0.5], [0.0, 2.0], [1.0, 1.0]]), np.ones(3), l2=0.1), ms.RandK(2, 1))


@pytest.mark.parametrize("theorem", [ms.theorems.StronglyConvexDSGD(F), None])
@pytest.mark.parametrize(("steps", "replicas"), [(1, 1), (5, 3), (3000, 4)])
def test_a_run(theorem, steps, replicas, monkeypatch):
    gamma = ms.theorems.StronglyConvexDSGD(F).stepsize
    run = ms.simulate(ms.DSGD(gamma), F, steps=steps, replicas=replicas, measures=("distance",), progress=False)
    assert faults(run.plot(theorem), monkeypatch) == []


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("ratio", [1.0, 0.5, 1e-12])
@pytest.mark.parametrize("banded", [True, False])
def test_a_curve_of_a_verdict(scale, ratio, banded, monkeypatch):
    steps = np.arange(0, 200, 4)
    bound = scale * 0.99**steps
    band = np.stack([0.9 * ratio * bound, 1.1 * ratio * bound]) if banded else None
    curve = SimpleNamespace(steps=steps, measured=ratio * bound, bound=bound, band=band)
    title = "a theorem with a very long name, on a problem with a very long name " * 3
    figure = plot_curve(curve, "min over t < T of the mean of the squared norm of the gradient of f_D", title)
    assert faults(figure, monkeypatch) == []
    assert ("measured: the same curve as bound" in figure.axes[0].get_xlabel()) == (ratio == 1.0)


@pytest.mark.parametrize("lines", [0, 1, 2, 9])
def test_rows_of_a_sweep(lines, monkeypatch):
    rows = [
        {"measure": "distance", "mean": 2.0**-j * gamma, "stderr": 0.1 * gamma, "stepsize": gamma, "method": "DSGD",
         "data": "a-data-set-with-a-long-name", "sketch": f"randk:{j + 1} of a long list of sketches"}
        for j in range(lines) for gamma in (0.01, 0.1, 1.0)
    ]  # fmt: skip
    assert faults(plot_rows(rows, "distance"), monkeypatch) == []
