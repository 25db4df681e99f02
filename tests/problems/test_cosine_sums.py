"""Stored cosine sums against the functions in 40 digits, at places that the proof of their errors did not look at."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastsim.problems import LogisticLoss, cosine_sums
from mastsim.problems.sigmoid import SigmoidLoss
from mastsim.problems.welsch import WelschLoss

FUNCTIONS = {
    "log cosh": lambda u: mp.log(mp.cosh(u / 2)),
    "gaussian": lambda u: 1 - mp.exp(-u * u / 2),
}
SLOPES = {
    "log cosh": (lambda u: mp.tanh(u / 2) / 2, lambda u: mp.sech(u / 2) ** 2 / 4),
    "gaussian": (lambda u: u * mp.exp(-u * u / 2), lambda u: (1 - u * u) * mp.exp(-u * u / 2)),
}
ALL = [(name, k) for name in FUNCTIONS for k in range(len(cosine_sums._stored(name)))]


def differences(name, found, u):
    """Return how far a sum is off at one place, and its first two derivatives."""
    pairs = [(mp.mpf(float(t)), mp.mpf(float(g))) for t, g in zip(found.frequencies, found.weights, strict=True)]
    sums = (
        mp.fsum(g * (1 - mp.cos(t * u)) for t, g in pairs),
        mp.fsum(g * t * mp.sin(t * u) for t, g in pairs),
        mp.fsum(g * t * t * mp.cos(t * u) for t, g in pairs),
    )
    truth = (FUNCTIONS[name](u), SLOPES[name][0](u), SLOPES[name][1](u))
    return [float(abs(a - b)) for a, b in zip(sums, truth, strict=True)]


@pytest.mark.parametrize(("name", "number"), ALL[::7] + ALL[-1:])
def test_errors_are_bounded_everywhere_and_nearly_attained(name, number):
    found = cosine_sums._stored(name)[number]
    with mp.workdps(40):
        reach, count = mp.mpf(found.reach), 6 * len(found.weights) + 1
        worst = np.max([differences(name, found, reach * k / count) for k in range(count + 1)], axis=0)
    assert (worst <= found.errors[:3]).all()
    assert (worst >= 0.7 * np.array(found.errors[:3])).all(), "a bound that nothing comes near proves little"


@given(st.sampled_from(ALL), st.floats(-1, 1))
def test_no_place_violates_a_proven_error(which, place):
    found = cosine_sums._stored(which[0])[which[1]]
    with mp.workdps(40):
        off = differences(which[0], found, mp.mpf(place) * mp.mpf(found.reach))
    assert all(a <= b for a, b in zip(off, found.errors, strict=False))


def test_beyond_its_reach_a_sum_is_worse():
    """The reach is not there by accident."""
    for name, number in ALL[::9]:
        found = cosine_sums._stored(name)[number]
        with mp.workdps(40):
            assert differences(name, found, mp.mpf(found.reach) * mp.mpf("1.3"))[1] > found.errors[1]


@pytest.mark.parametrize("loss", [LogisticLoss(), SigmoidLoss(), WelschLoss()])
@pytest.mark.parametrize("accuracy", [1e-15, 1e-14, 1e-9, 1e-6])
@pytest.mark.parametrize("reach", [0.3, 1.0, 5.0, 17.0, 200.0])
def test_short_sums_are_as_accurate_as_asked_for_and_no_longer_than_needed(loss, accuracy, reach):
    found, full = loss.shortest_sum(reach, accuracy), loss.exponential_sum(reach)
    w = np.linspace(-reach, reach, 801)
    waves = found.weights * np.exp(1j * np.outer(w, found.frequencies))
    sums = (
        found.constant + found.slope * w + found.square * w**2 + waves.sum(axis=1).real,
        found.slope + 2 * found.square * w + (waves * 1j * found.frequencies).sum(axis=1).real,
        2 * found.square - (waves * found.frequencies**2).sum(axis=1).real,
    )
    rounding = 1e-15 * (2 + np.abs(found.weights).sum() + reach * (abs(found.slope) + abs(found.square) * reach))
    for order, (each, error) in enumerate(zip(sums, found.errors, strict=True)):
        grown = rounding * max(1.0, float(np.abs(found.frequencies).max(initial=0.0))) ** order * (1 + reach)
        np.testing.assert_allclose(each, loss.psi(w, order), rtol=0, atol=error + grown)
    assert found.reach >= reach
    assert found.error <= max(accuracy * (1 + reach), full.error * 1.001)
    assert len(found.weights) <= len(full.weights)


def test_a_loss_with_a_sum_of_its_own_is_not_given_the_short_one():
    class Twice(LogisticLoss):
        def exponential_sum(self, reach):
            return super().exponential_sum(2 * reach)

    assert Twice().shortest_sum(1.0, 1e-9).reach == 2.0
    assert len(LogisticLoss().shortest_sum(1.0, 1e-9).weights) == 3
