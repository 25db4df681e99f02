"""Advice for a data file: true to the theorems and moments it is made from, in the names of the file's columns."""

import dataclasses
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mastsim as ms
from mastsim import moments
from mastsim.cli import main

pytestmark = pytest.mark.slow

NAMES = ["size", "<b>weight</b>", "Länge, cm"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return the path of a table of three columns of very different size, and its arrays."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 3)) * [1.0, 5.0, 0.1] + [0.0, 2.0, 0.0]
    y = (A @ [1.0, -0.2, 3.0] + 0.5 * rng.standard_normal(40) > 0).astype(float)
    path = tmp_path_factory.mktemp("advice") / "mine.csv"
    lines = [",".join([*map(repr, map(float, row)), "yes" if label else "no"]) for row, label in zip(A, y, strict=True)]
    path.write_text("\n".join(['size,<b>weight</b>,"Länge, cm",bought', *lines]), encoding="utf-8")
    return path, A, 2 * y - 1


@pytest.fixture(scope="module")
def advice(table):
    """Return advice for the table at two keeps, with a design."""
    return ms.advise(table[0], "bought", keep=[0.5, 0.9], design="step")


@pytest.mark.parametrize("sketch", ["bernoulli", "randk"])
@pytest.mark.parametrize("seed", range(3))
def test_the_proven_step_is_never_above_the_largest_stable_one(sketch, seed):
    rng = np.random.default_rng(seed)
    data = ms.problems.Dataset("drawn", rng.standard_normal((20, 4)), rng.standard_normal(20), "", "here")
    for condition in (3.0, 1e3):
        found = ms.advise(data, keep=[0.5, 1.0], sketch=sketch, condition_number=condition)
        for each in found.keeps:
            F = ms.Mast(ms.LeastSquares(data.A, data.y, condition_number=condition), _mask(sketch, each.keep))
            assert each.guarantee.stepsize <= moments.largest_stable_stepsize(F).upper * (1 + 1e-12)
            assert each.stable == moments.largest_stable_stepsize(F).lower
            assert each.guarantee.stepsize <= each.usable
            assert each.usable.kind == "estimate"


def _mask(sketch, keep):
    return ms.Bernoulli(4, keep) if sketch == "bernoulli" else ms.RandK(4, k=round(4 * keep))


def test_numbers_are_those_of_the_theorems(table, advice):
    _path, A, y = table
    f = ms.LogisticRegression(A, y, condition_number=100)
    assert advice.l2 == pytest.approx(f.l2)
    for each in advice.keeps:
        F = ms.Mast(f, ms.Bernoulli(3, each.keep))
        theorem = ms.theorems.StronglyConvexDSGD(F)
        assert each.guarantee.stepsize == pytest.approx(theorem.stepsize)
        assert each.guarantee.radius == pytest.approx(theorem.radius, rel=1e-6)
        half = ms.LogisticRegression(A[::2], y[::2], l2=f.l2).minimize().x
        moved = ms.theorems.StronglyConvexDSGD(ms.Mast(f, ms.Bernoulli(3, each.keep), shift=half))
        assert each.pretrained_floor == pytest.approx(moved.radius, rel=1e-5)
    scaled = ms.LogisticRegression((A - A.mean(0)) / A.std(0), y, l2=f.l2)
    after = ms.theorems.StronglyConvexDSGD(ms.Mast(scaled, ms.Bernoulli(3, 0.5))).stepsize
    assert advice.after.stepsize == pytest.approx(after)
    assert advice.after.condition == pytest.approx(float(scaled.L_f / scaled.mu_f))
    assert advice.before.L_f == pytest.approx(float(f.L_f))


def test_a_usable_step_is_where_replicas_still_come_nearer(table, advice):
    _path, A, y = table
    F = ms.Mast(ms.LogisticRegression(A, y, condition_number=100), ms.Bernoulli(3, 0.9))
    each = advice.keeps[1]
    method = ms.DSGD(each.multiple * each.guarantee.stepsize)
    run = ms.simulate(method, F, steps=600, replicas=32, seed=0, every=20, measures=("distance",))
    mean = run.distance.mean(axis=0)
    assert each.tried[each.multiple] == mean[-10:].max() / mean[0] < 1
    assert all(size < 1 for multiple, size in each.tried.items() if multiple < each.multiple)


def test_columns_keep_their_names_and_pages_escape_them(advice):
    document, text, page = json.loads(ms_dumps(advice)), str(advice), advice.html()
    assert list(document["columns"]) == NAMES == list(document["design"]["keep"])
    assert all(name in text for name in NAMES)
    assert "no is 0, yes is 1" in text
    assert "<b>weight</b>" not in page
    assert "&lt;b&gt;weight&lt;/b&gt;" in page
    assert len(re.findall('<img alt="[^"]+" src="data:image/png;base64,', page)) == 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page == advice._repr_html_()


def ms_dumps(advice):
    """Return the document of advice."""
    from mastsim.documents import dumps

    return dumps(advice.record())


def test_the_command_prints_one_page_and_writes_the_others(table, tmp_path):
    path, page = str(table[0]), tmp_path / "advice.html"
    asked = ["advise", path, "--target", "bought", "--keep", "0.5", "--html", str(page)]
    text = CliRunner().invoke(main, asked).output
    assert text.startswith("DSGD: γ = ")
    assert len(text.splitlines()) <= 30
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    document = json.loads(CliRunner().invoke(main, [*asked[:4], "--json", "-"]).stdout)
    assert document["answer"] == text.splitlines()[0]
    assert document["tiers"] == {"guarantee": "upper", "usable_stepsize": "estimate"}
    assert document["data"]["name"] == "mine.csv"


def test_what_cannot_be_advised_on_is_refused(table):
    counts = ms.problems.Dataset("counts", np.eye(3), np.array([0.0, 2.0, 5.0]), "", "here")
    with pytest.raises(ValueError, match=r"no theorem covers DSGD on Poisson.*bounded curvature"):
        ms.advise(counts, problem="poisson", l2=0.1)
    with pytest.raises(ValueError, match="target"):
        ms.advise(table[0])
    with pytest.raises(ValueError, match=r"keep=1\.5"):
        ms.advise(counts, keep=[0.5, 1.5])
    with pytest.raises(ValueError, match="keep is empty"):
        ms.advise(counts, keep=[])


def test_constant_columns_are_named():
    A = np.column_stack([np.ones(9), np.arange(9.0)])
    data = ms.problems.Dataset("mine", A, np.arange(9.0), "", "here", columns=("one", "other"))
    found = ms.advise(data, keep=1.0)
    assert "Constant columns act as an intercept that is masked and penalised: one." in str(found)
    assert "squared loss, as the target takes 9 values" in found.why
    assert dataclasses.replace(data, columns=None).column_names == ("feature 1", "feature 2")


def test_advice_with_intercept_and_weights_says_what_they_do(table):
    path, A, y = table
    weights = np.where(y > 0, 5.0, 1.0)
    asked = [str(path), "--target", "bought", "--weights", "1:5,0:1", "--intercept", "--l2", "0.1", "--json", "-"]
    document = json.loads(CliRunner().invoke(main, ["advise", *asked]).stdout)
    f = ms.LogisticRegression(A, y, l2=0.1, weights=weights, intercept=True)
    F = ms.Mast(f, ms.Unmasked(ms.Bernoulli(3, 0.5)))
    assert list(document["columns"]) == [*NAMES, "intercept"]
    np.testing.assert_allclose(list(document["columns"].values()), np.diag(f.upper_curvature.matrix))
    told = document["keeps"][0]["guarantee"]
    assert told["stepsize"] <= 1 / (float(ms.Constants(F).L_f) * F.sketch.L_max)
    assert "μ_D = 1, along it f is only convex, μ_f = 0, and theorems about strongly convex f" in document["notes"][0]
    assert re.match(r"Rows weigh from 0\.\d+ to \d\.\d+ times their mean", document["notes"][1])
    with pytest.raises(ValueError, match="design='step' is not accepted with intercept"):
        ms.advise(path, "bought", intercept=True, design="step")
    squares = ms.advise(path, "bought", problem="least-squares", intercept=True)
    assert squares.keeps[0].stable >= squares.keeps[0].guarantee.stepsize
    assert "theorems about strongly convex f do not" not in squares.notes[0]


@pytest.fixture(scope="module")
def tumours(tmp_path_factory):
    """Return the path of the set that comes with scikit-learn as a CSV file."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    rows = [",".join([*map(repr, map(float, row)), bunch.target_names[i]]) for row, i in zip(*bunch_of(bunch), strict=True)]
    path = tmp_path_factory.mktemp("real") / "tumours.csv"
    path.write_text("\n".join([",".join([*bunch.feature_names, "diagnosis"]), *rows]), encoding="utf-8")
    return path


def bunch_of(bunch):
    return bunch.data, bunch.target


@pytest.mark.parametrize("name", ["tumours", "a5a", "mushrooms"])
def test_on_real_files_the_proven_step_is_stable(name, request):
    if name == "tumours":
        found = ms.advise(request.getfixturevalue(name), "diagnosis", keep=[0.5, 0.9])
    else:
        if not (Path(os.environ.get("MASTSIM_DATA", "")) / name).is_file():
            pytest.skip(f"{name} is not in $MASTSIM_DATA")
        found = ms.advise(name, keep=[0.5, 0.9])
    for each in found.keeps:
        # The largest step that was simulated without leaving the neighbourhood of where it started.
        stable = max(multiple for multiple, size in each.tried.items() if size < 10)
        assert stable >= 1
        assert each.run.divergence is None


def test_on_the_bundled_set_the_proven_step_is_below_the_limit_of_moments(tumours):
    found = ms.advise(tumours, "diagnosis", keep=[0.5, 0.9], problem="least-squares")
    data = ms.load(tumours, target="diagnosis", standardise=True)
    scaled = ms.advise(data, keep=[0.5, 0.9], problem="least-squares")
    for advice in (found, scaled):
        for each in advice.keeps:
            assert 0 < each.guarantee.stepsize <= each.stable


def test_parquet_is_read_as_csv_is(table, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; it comes with mastsim[frames]")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed; it comes with mastsim[frames]")
    path = tmp_path / "mine.parquet"
    pandas.read_csv(table[0]).to_parquet(path)
    read, known = ms.load(path, target="bought"), ms.load(table[0], target="bought")
    np.testing.assert_array_equal(read.A, known.A)
    np.testing.assert_array_equal(read.y, known.y)
    assert read.columns == known.columns
    assert ms.advise(path, "bought", keep=0.5).answer == ms.advise(table[0], "bought", keep=0.5).answer


def test_standardising_is_proposed_with_its_option_and_only_where_it_is_not_done(tumours):
    tables = (ms.load(tumours, target="diagnosis", standardise=flag) for flag in (False, True))
    raw, done = (" ".join(ms.advise(data).facts()) for data in tables)
    assert "Standardising the columns (--standardise), with the same λ: L_f " in raw
    assert "Standardising" not in done
    assert "columns standardised" in done
