"""Tables as people have them: frames, series, lists, masks, dates, texts, complex numbers."""

import dataclasses
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import mastsim as ms
from mastsim import moments
from mastsim.verification import decide_mean_at_most

pd = pytest.importorskip("pandas")

Y = np.array([1.0, -1.0, 1.0])
GOOD = pd.DataFrame({"age": [30, 40, 50], "height": [1.6, 1.7, 1.8], "smokes": [True, False, True]}, index=[7, 8, 9])
f = ms.LeastSquares(GOOD, Y, l2=0.1)
S = ms.RandK(3, k=1)
F = ms.Mast(f, S)

COLUMNS = {
    "text": pd.Series(["tall", "short", "tall"]),
    "mixed": pd.Series([1.0, "two", 3.0], dtype=object),
    "string": pd.array(["a", "b", None], dtype="string"),
    "category": pd.Categorical(["m", "f", "m"]),
    "date": pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"]),
    "span": pd.to_timedelta(["1 day", "2 days", "3 days"]),
    "missing": pd.Series([1.0, np.nan, 3.0]),
    "missing integer": pd.array([1, None, 3], dtype="Int64"),
    "missing truth": pd.array([True, None, False], dtype="boolean"),
    "missing object": pd.Series([1.0, None, 3.0], dtype=object),
    "complex": pd.Series([1.0, 2j, 3.0]),
    "infinite": pd.Series([1.0, np.inf, 3.0]),
    "large": pd.Series([1.0, 1e100, 3.0]),
    "period": pd.period_range("2020", periods=3, freq="Y"),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("family", [ms.LeastSquares, ms.LogisticRegression, ms.TwoLayerNetwork])
def test_a_column_that_is_not_made_of_numbers_is_named(kind, family):
    frame = GOOD.reset_index(drop=True).assign(**{"blood pressure": COLUMNS[kind]})
    settings = {"width": 2, "l2": 0.1} if family is ms.TwoLayerNetwork else {"l2": 0.1}
    with pytest.raises((TypeError, ValueError), match=r"^A .*'blood pressure'"):
        family(frame, Y, **settings)


SERIES = [
    ("y", lambda v: ms.LeastSquares(np.eye(3), v, l2=0.1)),
    ("b", lambda v: ms.Quadratic(np.eye(3), v)),
    ("shift", lambda v: ms.Mast(f, S, shift=v)),
    ("x0", lambda v: ms.simulate(ms.DSGD(1e-4), F, steps=1, x0=v)),
    ("keep", lambda v: ms.Bernoulli(3, v)),
    ("weights", lambda v: ms.FiniteSupport([np.eye(3)] * 3, v)),
    ("probabilities", lambda v: ms.WithReplacement(1, v)),
    ("x0", lambda v: moments.propagate(F, ms.DSGD(1e-4), v, 1)),
]


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize(("name", "take"), SERIES)
def test_a_series_that_is_not_made_of_numbers_is_refused(name, take, kind):
    if kind == "large" and take is SERIES[3][1]:
        pytest.skip("a simulation starts anywhere")
    with pytest.raises((TypeError, ValueError), match=f"^{name}\\b"):
        take(pd.Series(COLUMNS[kind]))


def listed(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", ["value", "gradient", "value_and_gradient"])
def test_points_come_in_any_form(name):
    point = [0.5, -0.25, 2.0]
    expected = listed(getattr(F, name)(np.array(point)))
    forms = [point, tuple(point), pd.Series(point), pd.Series(point, dtype="Float64"), np.array(point, dtype=object)]
    forms += [[Fraction(1, 2), Decimal("-0.25"), 2], np.ma.masked_array(point), pd.Series(point, index=list("abc"))]
    for form in forms:
        for found, wanted in zip(listed(getattr(F, name)(form)), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    rows = pd.DataFrame([point, point], columns=list("abc"))
    np.testing.assert_array_equal(F.value(rows), [F.value(np.array(point))] * 2)
    np.testing.assert_array_equal(f.gradient(rows), [f.gradient(np.array(point))] * 2)
    assert F.value(np.array([1, 2, 3])) == F.value(np.array([1.0, 2.0, 3.0]))


def test_frames_are_the_arrays_that_they_hold():
    np.testing.assert_array_equal(f.A, GOOD.to_numpy(dtype=float))
    nullable = GOOD.convert_dtypes()
    np.testing.assert_array_equal(ms.LeastSquares(nullable, pd.Series(Y), l2=0.1).A, f.A)


def masked(array):
    return np.ma.masked_array(array, np.arange(np.size(array)).reshape(np.shape(array)) == 1)


MASKED = {
    "A": lambda: ms.LeastSquares(masked(np.eye(3)), Y, l2=0.1),
    "y": lambda: ms.LeastSquares(np.eye(3), masked(Y), l2=0.1),
    "b": lambda: ms.Quadratic(np.eye(3), masked(Y)),
    "shift": lambda: ms.Mast(f, S, shift=masked(Y)),
    "x0": lambda: ms.simulate(ms.DSGD(0.1), F, steps=1, x0=masked(Y)),
    "x": lambda: F.value(masked(Y)),
    "w": lambda: f.hessian_product(Y, masked(Y)),
    "keep": lambda: ms.Bernoulli(3, masked([0.5] * 3)),
    "matrices": lambda: ms.FiniteSupport([masked(np.eye(3))]),
    "weights": lambda: ms.FiniteSupport([np.eye(3)] * 2, masked([0.5, 0.5])),
    "values": lambda: ms.IndependentDiagonal(masked([[0.0, 2.0]]), [0.5, 0.5]),
    "rotation": lambda: ms.Rotated(S, masked(np.eye(3))),
    "probabilities": lambda: ms.IndependentSampling(masked([0.5] * 3)),
    "blocks": lambda: ms.BlockRandK(3, masked(np.array([0, 1, 0])), 1),
    "problem_smoothness": lambda: ms.importance_sampling(masked(np.ones(3)), 1),
    "samples": lambda: decide_mean_at_most(masked(np.ones(3)), 1.0, 0.1),
}


@pytest.mark.parametrize("name", MASKED)
def test_masks_are_never_dropped(name):
    with pytest.raises(ValueError, match=rf"^{name}\b.* masked"):
        MASKED[name]()


@pytest.mark.parametrize("form", [list, tuple, lambda rows: np.array(rows, dtype=object)], ids=["list", "tuple", "array"])
def test_text_in_plain_tables_is_named_by_column(form):
    with pytest.raises(TypeError, match=r"^A is not accepted.*'tall' in column 1 at row 1"):
        ms.LeastSquares(
            form([[1.0, 2.0], [3.0, "tall"]]) if form is not np.array else np.array([[1, 2], [3, "tall"]], dtype=object),
            [1, 2],
            l2=0.1,
        )


def test_complex_starts_and_saved_states_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"^x0 is not accepted: it must be an array of real numbers"):
        ms.simulate(ms.DSGD(1e-4), F, steps=1, x0=np.ones(3) + 0j)
    run = ms.simulate(ms.DSGD(1e-4), F, steps=1)
    with pytest.raises(ValueError, match=r"'x' of complex128"):
        dataclasses.replace(run, state={"x": run.x + 1j})
    path = tmp_path / "run.npz"
    run.save(path)
    with np.load(path) as file:
        held = dict(file)
    np.savez(path, **held | {"state/x": held["state/x"] + 1j})
    with pytest.raises(ValueError, match="is not a saved run") as refused:
        ms.Run.load(path)
    assert "checksum" in str(refused.value)
