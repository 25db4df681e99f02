"""Arithmetic on constants in exact numbers: what each tier promises of the parts, it promises of the result."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastsim.arithmetic import difference, largest, mean, product, smallest
from mastsim.provenance import Constant

SIZES = [0.0, 1e-12, 0.1, 1 / 3, 1.0, 7.3, 1e6]


@st.composite
def known(draw, kinds=("exact", "upper", "lower"), least=0.0):
    """Draw a truth and a constant whose tier says the truth about it, exactly at the end of its error or inside."""
    truth = Fraction(draw(st.sampled_from(SIZES)) * draw(st.floats(least, 1)))
    error = Fraction(draw(st.sampled_from([0.0, 1e-9, 0.5])))
    kind, away = draw(st.sampled_from(kinds)), Fraction(draw(st.floats(0, 1)))
    low, high = {"exact": (-1, 1), "upper": (-1, 10), "lower": (-10, 1)}[kind]
    value = float(truth + error * (low + away * (high - low)))
    # Floats may be outside by the rounding of this line.
    error = (
        float(error)
        if error == 0 and Fraction(value) == truth
        else float(error * (1 + Fraction(1, 2**40)) + abs(truth) / 2**50)
    )
    return truth, Constant(value, kind, "drawn", error)


def promised(found, truth):
    value, error = Fraction(found.value), Fraction(found.error)
    low = truth >= value - error if found.kind in ("exact", "lower") else True
    return low and (truth <= value + error if found.kind in ("exact", "upper") else True)


@given(st.lists(known(), min_size=1, max_size=5))
def test_means_and_extremes(parts):
    truths, constants = zip(*parts, strict=True)
    kinds = {constant.kind for constant in constants}
    for function, truth in ((mean, sum(truths) / len(truths)), (largest, max(truths)), (smallest, min(truths))):
        found = function(constants, "of parts")
        assert promised(found, truth), function.__name__
        assert (found.kind == "estimate") == ({"upper", "lower"} <= kinds)
        assert found.source == (constants[0].source if len(parts) == 1 else "of parts")


@given(st.lists(known(("exact", "upper"), 0.01), min_size=1, max_size=4), st.sampled_from([-1, 1]))
def test_products(parts, sign):
    """Factors from above make a product from above; exact ones keep it between both ends, whatever their signs."""
    truths, constants = zip(*parts, strict=True)
    if all(constant.kind == "exact" for constant in constants):
        truths, constants = (
            (sign * truths[0], *truths[1:]),
            (
                Constant(sign * constants[0].value, "exact", "", constants[0].error),
                *constants[1:],
            ),
        )
        assert promised(product(constants, "exact", "a product"), math.prod(truths))
    elif all(constant.value >= 0 for constant in constants):
        assert promised(product(constants, "upper", "a product"), math.prod(truths))


def test_zeros_and_infinities():
    zero, doubtful = Constant(0.0, "exact", ""), Constant(0.0, "upper", "", 1e-300)
    endless = Constant(math.inf, "upper", "")
    assert product([zero, endless], "upper", "").value == 0.0
    assert product([doubtful, endless], "upper", "").value == math.inf
    assert product([doubtful, Constant(-math.inf, "lower", "")], "lower", "").value == -math.inf
    assert mean([endless, Constant(1.0, "upper", "", 0.5)], "").error == 0.0
    assert product([Constant(2.0, "estimate", ""), zero], "upper", "").kind == "estimate"
    unknown = difference(Constant(1.0, "exact", "", 0.1), Constant(-math.inf, "lower", ""), "Δ")
    assert (unknown.value, unknown.kind, unknown.error) == (math.inf, "upper", 0.0)
    # What is at least 3/4 − 1/2 may be 1/4.
    room = difference(Constant(1.0, "exact", ""), Constant(0.75, "lower", "", 0.5), "Δ")
    assert (room.kind, room.value) == ("upper", 0.75)


@given(known(), known(("lower", "exact")), st.floats(0, 2))
def test_differences_of_infima(upper, lower, more):
    """An infimum that is known from above less a smaller one that is known from below is known from above."""
    truth = lower[0] + Fraction(more)
    shifted = Constant(float(truth + upper[1].value - upper[0]), "exact", "", float(upper[1].error) + 1e-9)
    if upper[1].kind != "exact":
        return
    found = difference(shifted, lower[1], "gap")
    assert promised(found, truth - lower[0])


def test_a_mean_of_bounds_is_what_it_is_said_to_be():
    exact = [Constant(1.0, "exact", ""), Constant(3.0, "exact", "")]
    assert mean(exact, "").kind == "exact"
    assert mean(exact, "", "upper").kind == "upper"
    assert mean([*exact, Constant(2.0, "estimate", "")], "", "upper").kind == "estimate"
    assert mean(exact, "").error == pytest.approx(0, abs=1e-14)
