"""Means and standard errors against fractions, and where there is nothing to say."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastsim.standard_errors import mean_and_error


@given(st.lists(st.lists(st.integers(-99, 99), min_size=2, max_size=2), min_size=2, max_size=7))
def test_against_fractions(table):
    mean, error = mean_and_error(np.array(table, dtype=float))
    n = len(table)
    for column, found, off in zip(zip(*table, strict=True), mean, error, strict=True):
        centre = Fraction(sum(column), n)
        assert found == pytest.approx(float(centre), abs=1e-12)
        assert off**2 == pytest.approx(float(sum((v - centre) ** 2 for v in column) / (n - 1) / n), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("values", "alone"), [([2.0], 0.0), ([2.0], math.nan), ([math.inf], 0.0), ([1.0, math.inf], 0.0)])
def test_one_replica_and_one_that_diverged(values, alone):
    mean, error = mean_and_error(np.array(values), alone)
    assert mean == max(values)
    assert error == pytest.approx(0.0 if alone == 0 and math.isfinite(mean) else math.nan, nan_ok=True)
