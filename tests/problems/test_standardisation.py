"""Standardised columns: of one size, and with a way back that changes no prediction."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import mastsim as ms
from mastsim.cli import main
from mastsim.problems.standardisation import Standardisation
from mastsim.spec import Spec

ENTRIES = st.integers(-50, 50).map(lambda k: k / 4)
TABLES = st.tuples(st.integers(2, 6), st.integers(1, 4)).flatmap(
    lambda shape: st.lists(st.lists(ENTRIES, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0])
)


def moments(column):
    """Return mean and variance in rational numbers."""
    exact = [Fraction(entry) for entry in column]
    mean = sum(exact) / len(exact)
    return mean, sum((entry - mean) ** 2 for entry in exact) / len(exact)


@given(rows=TABLES)
def test_mean_and_variance_are_those_of_fractions(rows):
    A = np.array(rows)
    for table in (A, sp.csr_array(A)):
        found = Standardisation.of(table)
        for j in range(A.shape[1]):
            mean, variance = moments(rows[i][j] for i in range(len(rows)))
            assert found.mean[j] == pytest.approx(float(mean) if table is A else 0.0, abs=1e-12)
            assert found.spread[j] == pytest.approx(float(variance) ** 0.5 if variance else 1.0, rel=1e-9)


@given(rows=TABLES, seed=st.integers(0, 99))
def test_the_way_back_changes_no_prediction(rows, seed):
    A, x = np.array(rows), np.random.default_rng(seed).standard_normal(len(rows[0]))
    for table in (A, sp.csr_array(A)):
        found = Standardisation.of(table)
        weights, offset = found.raw(x)
        assert table @ weights + offset == pytest.approx(found.apply(table) @ x, abs=1e-9)


@pytest.mark.parametrize("entry", [0.1, 1 / 3, 1.0, -1e9])
@pytest.mark.parametrize("rows", [3, 49, 8124])
def test_rounding_gives_no_spread_to_a_constant_column(rows, entry):
    A = np.full((rows, 1), entry)
    assert Standardisation.of(A).spread.tolist() == [1.0]
    assert Standardisation.of(sp.csr_array(A)).spread.tolist() == [1.0]


def test_zeros_of_sparse_tables_stay():
    table = sp.csr_array(np.array([[0.0, 5.0], [2.0, 0.0], [0.0, 0.0]]))
    data = ms.problems.Dataset("mine", table, np.ones(3), "", "here.", columns=("a", "b")).standardised()
    assert data.A.nnz == 2
    assert data.standardised() is data
    assert data.columns == ("a", "b")
    assert "divided by their standard deviation" in data.source


def test_every_command_that_takes_data_standardises(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n1,200,0\n3,-400,1\n4,100,1\n2,300,0\n")
    data = ms.load(path, target="y", standardise=True)
    assert data.A.mean(axis=0) == pytest.approx(np.zeros(2), abs=1e-12)
    spec = Spec(data=str(path), target="y", standardise=True, sketch="randk:0.5")
    assert Spec.from_text(spec.text) == spec
    assert np.array_equal(spec.load().A, data.A)
    with pytest.raises((TypeError, ValueError), match="standardise"):
        ms.load(path, target="y", standardise="yes")
    asked = [str(path), "--target", "y", "--standardise"]
    assert CliRunner().invoke(main, ["stepsize", "--sketch", "randk:0.5", "--data", *asked]).exit_code == 0
    said = CliRunner().invoke(main, ["advise", *asked]).output
    assert "columns standardised" in said
