"""One range of sizes: what is outside is refused by column and size, what is inside never leaves the range of floats."""

import json
import math
import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim import moments, validation
from mastsim.cli import main
from tests.examples import examples

MODELS = (
    ms.LeastSquares,
    ms.LogisticRegression,
    ms.HuberRegression,
    ms.WelschRegression,
    ms.SigmoidClassification,
    ms.SmoothedHingeClassification,
)
SIZES = (2e20, 1e60, 1e100, 1e155, 1e300)
A = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]])
Y = np.array([1.0, -1.0, 1.0])
Q = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))
EYE = np.eye(2)


def with_entry(array, size):
    changed = array.astype(float)
    changed.flat[1] = -size
    return changed


ARRAYS = {
    "A": lambda z: ms.Quadratic(np.diag([1.0, z]), np.ones(2)),
    "b": lambda z: ms.Quadratic(np.eye(2), with_entry(np.ones(2), z)),
    "y": lambda z: ms.LeastSquares(A, with_entry(Y, z), l2=0.1),
    "shift": lambda z: ms.Mast(Q.problem, Q.sketch, shift=with_entry(np.ones(2), z)),
    "x0": lambda z: moments.propagate(Q, ms.DSGD(0.1), with_entry(np.ones(2), z), 1),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("family", MODELS)
def test_large_data_are_refused_by_column_and_size(family, sparse, size):
    table = with_entry(A, size)
    with pytest.raises(ValueError, match=r"A holds an entry of size .* in column 1: sizes must be at most 1e") as refused:
        family(sp.csr_array(table) if sparse else table, Y, l2=0.1)
    assert f"{size:g}" in str(refused.value)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ARRAYS)
def test_large_vectors_and_matrices_are_refused_by_size(name, size):
    with pytest.raises(ValueError, match=rf"{name} holds an entry of size .* at most 1e\+20"):
        ARRAYS[name](size)


@pytest.mark.parametrize("size", [1e41, 1e100, 1e300])
def test_scales_of_sketches_are_refused(size):
    for build in (
        lambda: ms.FiniteSupport([np.diag([size, 1.0]), np.diag([2 - size, 1.0])]),
        lambda: ms.IndependentDiagonal([[0.0, size]], [1 - 1 / size, 1 / size]),
        lambda: ms.Bernoulli(2, 1 / size),
        lambda: ms.BlockBernoulli(2, 2, [1 / size, 0.5]),
    ):
        with pytest.raises(ValueError, match=r"(matrices|values) holds an entry of size|keep=.* must be at least 1e-40"):
            build()


NUMBERS = {
    "l2": lambda z: ms.LeastSquares(A, Y, l2=z),
    "delta": lambda z: ms.HuberRegression(A, Y, l2=0.1, delta=z),
    "stepsize": ms.DSGD,
    "initial": ms.InverseSqrtStep,
    "accuracy": lambda z: ms.guarantees(Q, accuracy=z),
    "condition_number": lambda z: ms.LeastSquares(A, Y, condition_number=z),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_outside_the_range_are_refused_by_what_is_accepted(name):
    span = {
        "condition_number": validation.CONDITIONS,
        "l2": validation.SETTINGS,
        "delta": validation.SETTINGS,
        "accuracy": validation.ACCURACIES,
    }.get(name, validation.STEPS)
    outside = (span.most * 1.01, 1e300) + ((span.least / 1.01, 1e-300, 5e-324) if 0 < span.least < 1 else ())
    for number in outside:
        accepted = re.escape(f"to {span.most:g}")
        with pytest.raises(ValueError, match=rf"{name}=.* is not accepted: it must be from .* {accepted}"):
            NUMBERS[name](number)


def test_a_condition_number_that_means_an_l2_outside_the_range_is_refused():
    with pytest.raises(ValueError, match=r"condition_number=1e\+20 is not accepted: it means l2=.*, and l2 must be from"):
        ms.LeastSquares(1e-25 * A, Y, condition_number=1e20)


@pytest.mark.parametrize(
    "arguments",
    [
        ("constants", "--l2", "1e300"),
        ("constants", "--condition-number", "1e300"),
        ("stepsize", "--accuracy", "1e-300"),
        ("simulate", "--stepsize", "1e300", "--steps", "1"),
    ],
    ids=lambda arguments: arguments[1],
)
def test_the_command_line_refuses_with_exit_code_2(arguments):
    found = CliRunner().invoke(main, [arguments[0], "--data", "synthetic:n=12,d=3", "--sketch", "identity", *arguments[1:]])
    assert found.exit_code == 2, found.output
    assert "is not accepted: it must be from" in found.output
    assert "Traceback" not in found.output


@pytest.mark.parametrize("command", ["constants", "stepsize", "simulate"])
@pytest.mark.parametrize("size", ["1e60", "1e100", "1e155", "1e300"])
def test_the_command_line_names_column_and_size(tmp_path, command, size):
    file = tmp_path / "large.libsvm"
    file.write_text(f"1 1:1 2:{size}\n-1 1:2 2:0.5\n1 1:0.5 2:1\n")
    more = ["--steps", "1"] if command == "simulate" else []
    found = CliRunner().invoke(main, [command, "--data", str(file), "--sketch", "identity", "--l2", "0.1", *more])
    assert found.exit_code == 2, found.output
    assert f"size {float(size):g} in column 1" in found.output


magnitudes = st.sampled_from([0.0, 5e-324, 1e-200, 1e-60, 1e-20, 1e-8, 1.0, 1e9, 1e20])


@given(
    family=st.sampled_from(MODELS),
    columns=st.tuples(magnitudes, magnitudes),
    labels=magnitudes,
    shift=magnitudes,
    l2=st.sampled_from([1e-60, 1e-20, 1.0, 1e20, 1e60]),
    keep=st.sampled_from([1.0, 0.5, 1e-20, 1e-40]),
    accuracy=st.sampled_from([None, 1e-120, 1e-60, 1.0, 1e120]),
)
@settings(max_examples=examples(30), deadline=None)
def test_nothing_inside_the_range_leaves_the_range_of_floats(family, columns, labels, shift, l2, keep, accuracy):
    table = A / 3 * np.array(columns)
    y = Y * labels if family in (ms.LeastSquares, ms.HuberRegression, ms.WelschRegression) else Y
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ms.CertificateWarning)
        F = ms.Mast(family(table, y, l2=l2), ms.Bernoulli(2, keep), shift=np.full(2, shift))
        for name, constant in ms.Constants(F).items():
            assert not math.isnan(constant), name
            assert name == "L_S_max" or math.isfinite(constant), name
        for promise in ms.guarantees(F, accuracy=accuracy):
            json.dumps(promise.record())
            assert promise.steps_to_accuracy >= 0
            if promise.applies:
                assert promise.stepsize > 0
                assert not math.isnan(promise.radius)


@given(entries=st.lists(st.floats(-1e20, 1e20), min_size=4, max_size=4), scale=magnitudes)
@settings(max_examples=examples(60), deadline=None)
def test_moments_of_sketches_stay_finite(entries, scale):
    root = np.reshape(entries, (2, 2)) * scale
    matrix = root @ root.T
    assume(np.isfinite(matrix).all() and np.abs(matrix).max() <= 1e65)
    for sketch in (ms.Bernoulli(2, 1e-40), ms.FiniteSupport([np.diag([1e40, 1.0]), np.diag([2 - 1e40, 1.0])])):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for moment in (sketch.quadratic_moment(matrix), sketch.fourth_moment(matrix)):
                assert np.isfinite(moment).all()


def test_the_range_is_the_one_that_is_documented():
    v = validation
    assert (v.ENTRIES, v.SETTINGS, v.CONDITIONS) == ((0.0, 1e20), (1e-60, 1e60), (1.0, 1e20))
    assert (v.SCALES, v.HESSIANS, v.ACCURACIES, v.STEPS) == ((1e-40, 1e40), (0.0, 1e65), (1e-120, 1e120), (0.0, 1e120))


def test_zero_has_no_sign():
    assert math.copysign(1.0, validation.nonnegative("l2", -0.0)) == 1.0
    assert str(ms.LeastSquares(A, Y, l2=-0.0).mu_f) == str(ms.LeastSquares(A, Y, l2=0.0).mu_f)
