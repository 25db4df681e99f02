"""Bands of plots: quantiles of the replicas beside the standard error of the mean."""

import numpy as np
import pytest

import mastsim as ms

F = ms.Mast(ms.Quadratic(np.diag([1.0, 4.0]), np.ones(2)), ms.RandK(2, k=1))
RUN = ms.simulate(ms.DSGD(0.02), F, steps=20, replicas=40, every=5, x0=np.full(2, 9.0))


def edges(figure, label):
    """The lowest and the highest drawn value of a band at every step."""
    (band,) = [each for each in figure.axes[0].collections if each.get_label() == label]
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    return [(y[0], y[-1]) for step in RUN.recorded for y in [np.sort(corners[corners[:, 0] == step, 1])]]


def test_the_band_of_replicas_lies_between_their_quantiles():
    found = edges(RUN.plot(quantiles=(0.25, 0.75)), "50 % of the replicas")
    for (low, high), column in zip(found, RUN.distance.T, strict=True):
        ordered = np.sort(column)
        assert (low, high) == pytest.approx((ordered[9], ordered[29]))
        assert (column < low).sum() <= 10
        assert (column > high).sum() <= 10


def test_the_default_band_holds_eight_in_ten_and_none_is_none():
    names = [each.get_label() for each in RUN.plot().axes[0].collections]
    assert names == ["80 % of the replicas", "± 2 standard errors"]
    assert [each.get_label() for each in RUN.plot(quantiles=None).axes[0].collections] == ["± 2 standard errors"]
    single = ms.simulate(ms.DSGD(0.02), F, steps=20, replicas=1)
    assert [each.get_label() for each in single.plot().axes[0].collections] == ["± 2 standard errors"]


def test_bands_do_not_reach_down_to_zero():
    run = ms.simulate(ms.DSGD(0.06), F, steps=60, replicas=3, every=1, x0=np.full(2, 30.0))
    assert run.plot().axes[0].get_ylim()[0] > 1e-6 * run.distance.mean(axis=0).min()


@pytest.mark.parametrize("quantiles", [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.1), (0.1,), (0.5, 0.5), 3])
def test_quantiles_out_of_range_are_refused(quantiles):
    with pytest.raises(ValueError, match="quantiles="):
        RUN.plot(quantiles=quantiles)
