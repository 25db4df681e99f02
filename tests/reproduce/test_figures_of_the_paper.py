"""The paper's figures: numbers against masks that are listed, minimisers and bounds that are written out here."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import PathPatch
from scipy.optimize import minimize, minimize_scalar

import mastsim as ms
from mastsim.documents import dumps
from mastsim.problems.columns import widest
from mastsim.reproduce import convergence, held_out, sketch_families, sparsified_accuracy
from mastsim.reproduce.curves import curve, follow, spaced
from mastsim.reproduce.early_stopping import checked, stopping
from mastsim.reproduce.held_out import (
    LabelledRows,
    correct,
    masked,
    masked_accuracy,
    set_aside,
    training_and_test_rows,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DATA = ms.load("synthetic:n=60,d=4,condition=20,noise=0.1")
MODULES = {"test-accuracy": sparsified_accuracy, "convergence": convergence, "sketch-families": sketch_families}


def computed(name, data=DATA, seed=0):
    return json.loads(dumps(MODULES[name].compute(data, quick=True, seed=seed)))


@pytest.fixture(scope="module")
def numbers():
    return {name: computed(name) for name in MODULES}


def diagonals(d, kept):
    """Return every diagonal of Rand-K."""
    return [np.isin(np.arange(d), chosen) * d / kept for chosen in itertools.combinations(range(d), kept)]


def risk(x, table, l2):
    return float(np.logaddexp(0, -table.y * (table.A @ x)).mean()) + l2 / 2 * float(x @ x)


def minimal(objective, d):
    """Return a minimiser, found without derivatives of ours, and the minimum."""
    found = minimize(objective, np.zeros(d), method="BFGS", options={"gtol": 1e-10})
    polished = minimize(objective, found.x, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-16, "maxiter": 4000})
    best = min((found, polished), key=lambda result: result.fun)
    return best.x, float(best.fun)


def ridge_of(A, factor=4):
    return np.linalg.eigvalsh(A.T @ A / (factor * len(A)))[-1] / 99


def hits(x, table):
    """Count right answers one row at a time."""
    return sum((1.0 if float(a @ x) > 0 else -1.0) == y for a, y in zip(table.A, table.y, strict=True))


# ---------------------------------------------------------------------------------------------- accuracy
@given(st.integers(0, 10**6), st.booleans())
def test_right_answers_are_counted_row_by_row(seed, sparse):
    rng = np.random.Generator(np.random.Philox(seed))
    A, y = rng.integers(-1, 2, (7, 3)).astype(float), rng.choice([-1.0, 1.0], 7)
    points = rng.integers(-1, 2, (4, 3)).astype(float)
    table = LabelledRows(sp.csr_array(A) if sparse else A, y)
    assert correct(points, table).tolist() == [hits(x, LabelledRows(A, y)) for x in points]


@pytest.mark.parametrize("kept", [1, 2, 4])
def test_masks_are_those_of_rand_k_each_as_likely(kept):
    center, x, count = np.array([1.0, -2.0, 0.5, 3.0]), np.array([2.0, 5.0, -1.0, 7.0]), 20_000
    seen = masked(x[None], ms.RandK(4, kept), center, count, seed=3)
    wanted = [center + c * (x - center) for c in diagonals(4, kept)]
    shares = [np.isclose(seen, w, rtol=1e-14).all(axis=1).mean() for w in wanted]
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    # Hoeffding, at most six masks: off by more than 0.026 with probability at most 12·exp(−2·20000·0.026²) < 3e-11.
    assert all(abs(share - 1 / len(wanted)) < 0.026 for share in shares)


def test_models_see_the_same_masks_and_batches_see_others():
    S, zero = ms.RandK(6, 2), np.zeros(6)
    one, two = (masked(np.full((1, 6), scale), S, zero, 9, seed=4) for scale in (1.0, 5.0))
    assert np.array_equal(5 * one, two)
    both = masked(np.array([np.full(6, 1.0), np.full(6, 5.0)]), S, zero, 9, seed=4)
    assert np.array_equal(both[::2], one[::2])
    assert np.array_equal(both[1::2], two[1::2])
    assert not np.array_equal(one, masked(np.ones((1, 6)), S, zero, 9, seed=4, batch=1))


def test_the_score_of_early_stopping_is_the_mean_over_masks():
    rng = np.random.Generator(np.random.Philox(1))
    table, points, S = (
        LabelledRows(rng.standard_normal((9, 4)), rng.choice([-1.0, 1.0], 9)),
        rng.standard_normal((3, 4)),
        ms.RandK(4, 2),
    )
    found = masked_accuracy(points, S, table, 5, seed=2, batch=1)
    for x, score in zip(points, found, strict=True):
        each = [hits(z, table) / 9 for z in masked(x[None], S, np.zeros(4), 5, seed=2, batch=1)]
        assert score == pytest.approx(sum(each) / 5, rel=1e-14)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 6))
def test_training_stops_after_as_many_checks_without_a_better_score(scores, patience):
    best, end = stopping(np.array(scores, dtype=float), patience)
    assert scores[best] == max(scores[: end + 1])
    assert best == scores.index(scores[best])
    assert end == min(best + patience, len(scores) - 1)
    for check in range(end):
        before = scores[: check + 1]
        assert check - before.index(max(before)) < patience, "it would have stopped before"


@given(st.integers(2, 30), st.floats(0.01, 0.9), st.integers(0, 2**64 - 1))
def test_rows_set_aside_are_no_longer_trained_on(n, share, seed):
    A = np.arange(2.0 * n).reshape(n, 2)
    kept, aside = set_aside(LabelledRows(A, A[:, 0]), share, seed)
    assert len(aside.y) == max(1, round(share * n))
    assert sorted([*kept.y, *aside.y]) == A[:, 0].tolist()
    assert np.array_equal(kept.A[:, 0], kept.y)
    assert np.array_equal(aside.A[:, 0], aside.y)


def test_a5a_is_tested_on_its_own_test_set_where_it_lies(monkeypatch):
    a5a, other = (ms.problems.Dataset(name, DATA.A[:n], DATA.y[:n], "", "") for name, n in (("a5a", 40), ("a5a.t", 7)))
    monkeypatch.setattr(held_out, "load", {"a5a.t": other}.get)
    monkeypatch.setattr(held_out, "locate", Path)
    train, test = training_and_test_rows(a5a, seed=0)
    assert (len(train.y), len(test.y), test.name) == (40, 7, "a5a.t")
    monkeypatch.setattr(held_out, "locate", lambda name: None)
    train, test = training_and_test_rows(a5a, seed=0)
    assert (len(train.y), len(test.y)) == (28, 12)


# ---------------------------------------------------------------------------------------------- paths
def test_checks_are_points_of_one_path_of_gradient_descent():
    A, y, l2 = DATA.A, DATA.y, ridge_of(DATA.A)
    F = ms.Mast(ms.LogisticRegression(A, y, l2=l2), ms.Identity(4))
    seen, L = checked(F, times=0.1, checks=20, replicas=2, seed=1), 100 * l2
    assert seen.stepsize == pytest.approx(1 / L, rel=1e-9)
    assert seen.steps == [5, 10]
    for first, last in seen.points:
        x = first
        for _ in range(5):
            x = x - (A.T @ (-y / (1 + np.exp(y * (A @ x)))) / len(y) + l2 * x) / L
        assert np.allclose(x, last, rtol=1e-12)


def test_following_a_path_sees_what_one_long_run_sees():
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.RandK(2, k=1))
    shared = {"replicas": 3, "seed": 5, "x0": np.full(2, 3.0)}
    path = follow(ms.DSGD(0.05), F, [2, 3, 7], **shared)
    for place, steps in enumerate((2, 3, 7)):
        assert np.array_equal(path.points[:, place], ms.simulate(ms.DSGD(0.05), F, steps=steps, **shared).x)
    assert np.allclose(path.initial, ((3 - F.minimize().x) ** 2).sum())


def test_stops_grow_evenly_and_end_at_the_end():
    for last, count in ((1, 3), (7, 20), (4000, 20)):
        stops = spaced(last, count)
        assert (stops[0], stops[-1]) == (1, last)
        assert len(stops) <= count
        assert all(a < b for a, b in itertools.pairwise(stops))


@given(st.lists(st.floats(0.1, 9.0), min_size=4, max_size=4), st.floats(0.1, 9.0), st.sampled_from([0.0, 0.5]))
def test_a_crossing_is_a_mean_beyond_two_standard_errors(values, bound, slack):
    table = np.array(values).reshape(2, 2)
    found = curve([0, 7], table, np.full(2, bound), slack)
    crossed = []
    for place, (a, b) in enumerate(table.T.tolist()):
        mean, error = (a + b) / 2, abs(a - b) / 2  # two values: s/√2 = |a − b|/2
        assert found["mean"][place] == pytest.approx(mean)
        assert found["stderr"][place] == pytest.approx(error, abs=1e-12)
        if mean - 2 * error > bound * (1 + 1e-9) + slack:
            crossed.append(7 * place)
    assert found["crosses_at"] == crossed
    assert found["largest_ratio"] == pytest.approx(sum(table[:, 1]) / 2 / (bound + slack), rel=1e-8)
    assert "bound" not in curve([0, 7], table)


def bounded(document):
    """Yield every curve that has a bound."""
    for run in document["runs"]:
        yield from (value for value in run.values() if isinstance(value, dict) and "bound" in value)


def committed(name):
    return json.loads((ROOT / "figures" / f"{name}.json").read_text())


@pytest.mark.parametrize("source", ["quick", "committed"])
@pytest.mark.parametrize("name", ["convergence", "sketch-families"])
def test_no_mean_crosses_its_bound(numbers, name, source):
    curves = list(bounded(numbers[name] if source == "quick" else committed(name)))
    assert len(curves) >= 12
    for c in curves:
        mean, error, bound = (np.array(c[key]) for key in ("mean", "stderr", "bound"))
        assert c["crosses_at"] == []
        assert (mean - 2 * error <= bound * (1 + 1e-9) + 1e-12).all()
        assert (np.array(c["low"]) <= mean * (1 + 1e-12) + 1e-12).all()
        assert c["largest_ratio"] == pytest.approx((mean / bound).max(), rel=1e-6)


# ---------------------------------------------------------------------------------------------- figure 1
def test_exact_minimisers_by_listing_masks(numbers):
    document, (train, test) = numbers["test-accuracy"], training_and_test_rows(DATA, 0)
    l2 = ridge_of(train.A)
    assert document["l2"] == pytest.approx(l2, rel=1e-9)
    erm, f_inf = minimal(lambda x: risk(x, train, l2), 4)
    assert document["f_inf"] == pytest.approx(f_inf, abs=1e-10)
    assert {row["kept"] for row in document["rows"]} == {1, 2, 4}
    for row in document["rows"][:2]:
        masks = diagonals(4, row["kept"])
        best, fD_inf = minimal(lambda x, masks=masks: sum(risk(c * x, train, l2) for c in masks) / len(masks), 4)
        assert row["fD_inf"] == pytest.approx(fD_inf, abs=1e-9)
        assert row["gap"] == pytest.approx(fD_inf - f_inf, abs=2e-9)
        for name, x in (("erm", erm), ("mast", best)):
            model = row["models"][name]
            assert model["dense_accuracy"] == [hits(x, test) / len(test.y)]
            assert model["norm"] == pytest.approx(np.linalg.norm(x), rel=1e-3)
            assert set(model["correct"]) == {hits(c * x, test) for c in masks}


def test_boxes_majority_and_findings_are_recomputed(numbers):
    document, (train, test) = numbers["test-accuracy"], training_and_test_rows(DATA, 0)
    side = 1.0 if sum(train.y) > 0 else -1.0
    rows, found = document["test"]["rows"], {key: value for each in document["findings"] for key, value in each.items()}
    assert rows == len(test.y)
    assert document["test"]["majority_accuracy"] == sum(test.y == side) / rows == found["majority_accuracy"]
    for row in document["rows"]:
        assert set(row["models"]) == set(sparsified_accuracy.MODELS)
        for name, model in row["models"].items():
            values = np.array(model["correct"]) / rows
            assert len(values) == document["masks"]
            ordered = np.sort(values)
            assert model["box"]["med"] == pytest.approx((ordered[19] + ordered[20]) / 2)
            assert model["box"]["q1"] == pytest.approx(ordered[9] + 0.75 * (ordered[10] - ordered[9]))
            assert model["box"]["q3"] == pytest.approx(ordered[29] + 0.25 * (ordered[30] - ordered[29]))
            assert found[f"median_masked_accuracy {name} keep {row['keep']:g}"] == model["box"]["med"]
        pairs = (("mast", "erm"), ("dsgd_stopped", "erm_stopped"), ("mast", "erm_tuned"), ("dsgd_stopped", "erm_tuned"))
        for one, other in pairs:
            check_pair(found, row, one, other, rows)


def check_pair(found, row, one, other, rows):
    """Compare mean, median and standard error of the differences under the same masks."""
    counts = zip(row["models"][one]["correct"], row["models"][other]["correct"], strict=True)
    apart, pair = sorted(100 * (a - b) / rows for a, b in counts), f"points_of_accuracy {one} - {other} keep {row['keep']:g}"
    n, half = len(apart), len(apart) // 2
    mean = sum(apart) / n
    assert found[pair] == pytest.approx(mean, abs=1e-12)
    assert found[f"median_{pair}"] == pytest.approx((apart[half - 1] + apart[half]) / 2, abs=1e-12)
    assert found[f"{pair} stderr"] == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in apart) / (n - 1) / n), abs=1e-12)


def test_the_median_of_differences_is_neither_their_mean_nor_the_difference_of_medians():
    """MAST less tuned ERM, under three masks of ten rows: differences 0, 1, 8 with mean 3 and median 1; medians 8 and 1."""
    correct = {
        "mast": [0, 8, 9],
        "erm": [0, 0, 8],
        "erm_tuned": [0, 7, 1],
        "dsgd_stopped": [2, 2, 9],
        "erm_stopped": [2, 2, 2],
    }
    models = {name: {"box": {"med": 0.0}, "dense_accuracy": [0.0], "correct": counts} for name, counts in correct.items()}
    row = {"keep": 0.5, "models": models}
    listed = sparsified_accuracy._findings({"test": {"rows": 10, "majority_accuracy": 0.5}, "rows": [row]})
    found = {key: value for each in listed for key, value in each.items()}
    wanted = {"mast - erm": 10, "mast - erm_tuned": 10, "dsgd_stopped - erm_stopped": 0, "dsgd_stopped - erm_tuned": 20}
    for pair, median in wanted.items():
        assert found[f"median_points_of_accuracy {pair} keep 0.5"] == pytest.approx(median, abs=1e-12)
    assert found["points_of_accuracy mast - erm_tuned keep 0.5"] == pytest.approx(30, abs=1e-12)


def test_early_stopping_by_hand_for_both():
    data = ms.load("synthetic:n=400,d=6,condition=20,noise=0.1")
    document, (train, test), otherwise = computed("test-accuracy", data), training_and_test_rows(data, 0), 0
    rest, validation = set_aside(train, 0.2, 0)
    assert document["rows_trained_on"] == {"all": 280, "stopped and tuned": 224, "validation": 56}
    f, zero = ms.LogisticRegression(rest.A, rest.y, l2=document["l2"]), np.zeros(6)
    for row in document["rows"][:2]:
        S = ms.RandK(6, row["kept"])
        for name, sketch in (("erm_stopped", ms.Identity(6)), ("dsgd_stopped", S)):
            model, path = row["models"][name], checked(ms.Mast(f, sketch), times=2.0, checks=5, replicas=2, seed=0)
            assert model["longest"] == [path.steps[-1]] * 2
            for r in range(2):
                scores = [np.mean([hits(z, validation) for z in masked(x[None], S, zero, 8, 0, 1)]) for x in path.points[r]]
                kept = path.steps.index(model["steps"][r])
                end = path.steps.index(model["stopped_after"][r])
                assert kept == int(np.argmax(scores[: end + 1]))
                assert end == min(kept + 5, len(scores) - 1)
                assert model["dense_accuracy"][r] == hits(path.points[r, kept], test) / len(test.y)
                otherwise += kept != int(np.argmax([hits(x, validation) for x in path.points[r]][: end + 1]))
    assert otherwise > 1, "without masks other iterates would be kept"


def test_equally_many_checks_in_units_of_the_rate(numbers):
    document = numbers["test-accuracy"]
    for row in document["rows"]:
        erm, dsgd = (row["models"][name] for name in ("erm_stopped", "dsgd_stopped"))
        # The rate μ_D·μ_f of f_D is 4/K times that of f, or more where it is sharp, which it is not for these sketches.
        for model, mu in ((erm, document["l2"]), (dsgd, document["l2"] * 4 / row["kept"])):
            assert model["longest"][0] == math.ceil(2 / (model["stepsize"] * mu) * (1 - 1e-9))


def test_figure_1_agrees_with_the_table_of_exact_minimisers():
    document = committed("test-accuracy")
    table = {row["sketch"]: row for row in json.loads((ROOT / "docs" / "a5a-minimisers.json").read_text())["rows"]}
    erm = table["ERM (no sketch)"]
    assert (document["data"]["name"], document["test"]["source"], document["quick"]) == ("a5a", "a5a.t", False)
    assert f"{document['f_inf']:.12f}" == f"{erm['f_inf']:.12f}"
    compared = [row for row in document["rows"] if row["sketch"] in table]
    assert [row["kept"] for row in compared] == [12, 37, 62, 111]
    for row in compared:
        wanted, models = table[row["sketch"]], row["models"]
        assert f"{row['fD_inf']:.12f} {row['gap']:.12f}" == f"{wanted['fD_inf']:.12f} {wanted['gap']:.12f}"
        assert f"{models['mast']['dense_accuracy'][0]:.6f}" == f"{wanted['accuracy']:.6f}"
        assert f"{models['erm']['dense_accuracy'][0]:.6f}" == f"{erm['accuracy']:.6f}"


def test_the_drawn_boxes_are_the_recorded_ones(numbers):
    document = numbers["test-accuracy"]
    figure = sparsified_accuracy.draw(document)
    (axes,) = figure.axes
    drawn = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
    recorded = [row["models"][name]["box"] for name in sparsified_accuracy.MODELS for row in document["rows"]]
    assert len(drawn) == len(recorded)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said[:6] == list(sparsified_accuracy.MODELS.values())
    assert len(said) == 8
    for patch, stats in zip(drawn, recorded, strict=True):
        heights = patch.get_path().vertices[:, 1]
        assert (heights[:4].min(), heights[:4].max()) == pytest.approx((stats["q1"], stats["q3"]))


# ---------------------------------------------------------------------------------------------- figures 2 and 3
@pytest.mark.parametrize("rule", ["paper", "theorem3"])
@pytest.mark.parametrize(("keep", "kept"), [(1.0, 4), (0.5, 2)])
def test_a_run_of_dsgd_by_listing_masks(numbers, keep, kept, rule):
    document, (train, test) = numbers["convergence"], training_and_test_rows(DATA, 0)
    (run,) = [r for r in document["runs"] if (r["keep"], r["rule"]) == (keep, rule)]
    l2, masks, T = ridge_of(train.A), diagonals(4, kept), document["steps"][-1]
    best, fD_inf = minimal(lambda x: sum(risk(c * x, train, l2) for c in masks) / len(masks), 4)
    assert run["fD_inf"] == pytest.approx(fD_inf, abs=1e-9)
    largest = 1 / (100 * l2 * (4 / kept) ** 2)
    # Theorem 3: 1/√(𝔇T), 𝔇 = L_f²·L_D·L_S^max with L_D = d/K and L_S^max = (d/K)².
    wanted_step = largest if rule == "paper" else 1 / (100 * l2 * math.sqrt((4 / kept) ** 3 * T))
    assert run["stepsize"] == pytest.approx(wanted_step, rel=1e-9)
    assert run["stepsize"] <= largest * (1 + 1e-9)
    f = ms.LogisticRegression(train.A, train.y, l2=l2)
    F = ms.Mast(f, ms.Identity(4) if kept == 4 else ms.RandK(4, kept))
    shared = {"steps": T, "replicas": 3, "seed": 0, "x0": "normal"}
    last = ms.simulate(ms.DSGD(run["stepsize"]), F, **shared).x
    first = ms.simulate(ms.DSGD(1e-300), F, **shared | {"steps": 1}).x
    wanted = {
        "distance": [((x - best) ** 2).sum() for x in last],
        "gap": [sum(risk(c * x, train, l2) for c in masks) / len(masks) - fD_inf for x in last],
        "f": [risk(x, train, l2) for x in last],
        "accuracy": [hits(x, test) / len(test.y) for x in last],
    }
    for key, values in wanted.items():
        assert run[key]["mean"][-1] == pytest.approx(np.mean(values), rel=1e-4, abs=1e-7)
        assert run[key]["stderr"][-1] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3), rel=1e-4, abs=1e-7)
    mu, gap = l2 * 4 / kept, fD_inf - document["f_inf"]
    start, share = np.mean([((x - best) ** 2).sum() for x in first]), run["stepsize"] / largest
    assert (run["rate"], run["radius"]) == pytest.approx(
        (1 - run["stepsize"] * mu, 2 / mu * share * gap), rel=1e-4, abs=1e-7
    )
    for t, bound in zip(document["steps"], run["distance"]["bound"], strict=True):
        assert bound == pytest.approx((1 - run["stepsize"] * mu) ** t * start + 2 / mu * share * gap, rel=1e-4, abs=1e-7)
    H = sum(np.outer(c, c) for c in masks) / len(masks) * (train.A.T @ train.A / (4 * len(train.y)) + l2 * np.eye(4))
    half = np.linalg.eigvalsh(H)[-1] / 2
    assert np.allclose(run["gap"]["bound"], half * np.array(run["distance"]["bound"]), rtol=1e-9)


def test_gradient_descent_has_no_neighbourhood_and_the_sharp_step_is_no_smaller(numbers):
    runs = {(run["keep"], run["rule"]): run for run in numbers["convergence"]["runs"]}
    assert set(runs) == set(itertools.product((1.0, 0.1, 0.5), ("paper", "theorem3", "sharp")))
    for (keep, rule), run in runs.items():
        assert run["radius"] == pytest.approx(0, abs=1e-9) if keep == 1 else run["radius"] > 0
        larger = run["stepsize"] >= runs[keep, "paper"]["stepsize"] * (1 - 1e-9)
        assert larger == (rule != "theorem3")
        same = run["stepsize"] == pytest.approx(runs[keep, "paper"]["stepsize"], rel=1e-9)
        assert (run["f"] == runs[keep, "paper"]["f"]) == same or rule == "paper"
    assert runs[0.1, "sharp"]["stepsize"] > 1.01 * runs[0.1, "paper"]["stepsize"]


# ---------------------------------------------------------------------------------------------- families
def run_of(document, panel, label, keep):
    (run,) = [r for r in document["runs"] if (r["panel"], r["label"], r["keep"]) == (panel, label, keep)]
    return run


def test_every_family_is_run_or_the_reason_is_said(numbers):
    document = numbers["sketch-families"]
    labels = {
        panel: [r["label"] for r in document["runs"] if r["panel"] == panel and r["keep"] == 0.25]
        for panel in sketch_families.PANELS
    }
    assert labels["exact"] == labels["minibatch"] == ["Rand-K", "Bernoulli", "Bernoulli, 2 blocks", "N:M"]
    assert labels["distributed"] == ["Perm-K, 4 clients", "independent Rand-1, 4 clients"]
    assert labels["subspace"] == ["Rand-K", "Haar"]
    assert [s["label"] for s in document["skipped"]] == ["Gaussian"] * 2
    assert all("infinite" in s["reason"] or "bounded" in s["reason"] for s in document["skipped"])
    odd = computed("sketch-families", ms.load("synthetic:n=20,d=3"))
    assert {s["label"] for s in odd["skipped"]} >= {"N:M", "Perm-K, 4 clients", "Perm-K, 2 clients", "Gaussian"}


@pytest.mark.parametrize("keep", [0.25, 0.5])
def test_bounds_of_theorems_2_and_4_written_out(numbers, keep):
    document, l2, n, tau = numbers["sketch-families"], ridge_of(DATA.A), DATA.n, 32
    L, mu = 100 * l2 / keep**2, l2 / keep
    lengths = (DATA.A**2).sum(axis=1)
    infima = [minimize_scalar(lambda s, q=q: math.log1p(math.exp(-s * q)) + l2 * s * s * q / 2).fun for q in lengths]
    f_inf = minimal(lambda x: risk(x, LabelledRows(DATA.A, DATA.y), l2), 4)[1]
    A = (n - tau) / (tau * (n - 1)) * (lengths.max() / 4 + l2) / keep**2
    L_AB = A + n * (tau - 1) / (tau * (n - 1)) * L
    for label in ("Rand-K", "Bernoulli", "Bernoulli, 2 blocks", "N:M"):
        exact, few = (run_of(document, panel, label, keep) for panel in ("exact", "minibatch"))
        assert exact["stepsize"] == pytest.approx(1 / L, rel=1e-9)
        assert exact["rate"] == pytest.approx(1 - mu / L, rel=1e-9)
        assert exact["radius"] == pytest.approx(2 / mu * exact["gap"], rel=1e-6)
        assert few["stepsize"] == pytest.approx(1 / L_AB, rel=1e-9)
        C = 2 * A * (f_inf - np.mean(infima))
        assert few["radius"] == pytest.approx((2 * L_AB * exact["gap"] + C) / (L_AB * mu), rel=1e-6)
    masks = diagonals(4, round(4 * keep))
    wanted = minimal(lambda x: sum(risk(c * x, LabelledRows(DATA.A, DATA.y), l2) for c in masks) / len(masks), 4)[1]
    assert run_of(document, "exact", "Rand-K", keep)["fD_inf"] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("keep", "clients"), [(0.25, 4), (0.5, 2)])
def test_distributed_and_subspace_bounds_written_out(numbers, keep, clients):
    A, y = DATA.A, DATA.y
    l2 = ridge_of(A, factor=1)
    H = A.T @ A / len(y) + l2 * np.eye(4)
    b, kept = A.T @ y / len(y), round(4 * keep)
    C = sum(np.outer(c, c) for c in diagonals(4, kept)) / len(diagonals(4, kept))
    gap = 0.5 * (b @ np.linalg.solve(H, b) - b @ np.linalg.solve(C * H, b))
    # Least squares are more convex than their λ alone.
    L, mu, document = 100 * l2 / keep**2, np.linalg.eigvalsh(H)[0] / keep, numbers["sketch-families"]
    dealt = run_of(document, "distributed", f"Perm-K, {clients} clients", keep)
    alone = run_of(document, "distributed", f"independent Rand-{kept}, {clients} clients", keep)
    for run in (dealt, alone, run_of(document, "subspace", "Rand-K", keep)):
        assert run["gap"] == pytest.approx(gap, rel=1e-8)
    assert dealt["stepsize"] == pytest.approx(1 / L, rel=1e-9)
    assert dealt["radius"] == pytest.approx(2 / mu * gap, rel=1e-7)
    gamma = 1 / ((1 - 1 / clients) * 100 * l2 / keep + L / clients)
    assert alone["stepsize"] == pytest.approx(gamma, rel=1e-9)
    assert alone["radius"] == pytest.approx(2 * gamma * L / (clients * mu) * gap, rel=1e-7)
    haar = run_of(document, "subspace", "Haar", keep)
    beta = kept * (4 - kept) / (4 * 3 * 6)
    moment = ((kept**2 / 16 - 2 * beta / 4 + beta) * H + beta * np.trace(H) * np.eye(4)) / keep**2
    assert haar["gap"] == pytest.approx(0.5 * (b @ np.linalg.solve(H, b) - b @ np.linalg.solve(moment, b)), rel=1e-8)
    assert haar["stepsize"] == pytest.approx(1 / L, rel=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 5), st.booleans())
def test_the_widest_columns(seed, count, sparse):
    A = np.random.Generator(np.random.Philox(seed)).standard_normal((6, 5)) * [1, 5, 0, 2, 9] + 3
    found = widest(sp.csr_array(A) if sparse else A, count)
    order = sorted(sorted(range(5), key=lambda j: -np.var(A[:, j]))[:count])
    assert np.array_equal(found.toarray() if sparse else found, A[:, order])


# ---------------------------------------------------------------------------------------------- all
@pytest.mark.parametrize("name", MODULES)
def test_the_seed_decides(numbers, name):
    assert computed(name) == numbers[name]
    other = computed(name, seed=1)
    assert other["seed"] == 1
    assert other["findings"] != numbers[name]["findings"]


@pytest.mark.parametrize("name", MODULES)
def test_findings_are_numbers_with_names(numbers, name):
    for finding in numbers[name]["findings"]:
        ((key, value),) = finding.items()
        assert key
        assert math.isfinite(value)
    keys = [key for finding in numbers[name]["findings"] for key in finding]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(("name", "panels"), [("test-accuracy", 1), ("convergence", 12), ("sketch-families", 8)])
def test_drawings_come_from_json_alone(numbers, name, panels):
    figure = MODULES[name].draw(numbers[name])
    assert len(figure.axes) == panels
    assert all(axes.get_xlabel() and axes.get_ylabel() and axes.lines for axes in figure.axes)
    assert DATA.name.split(",")[0] in figure.get_suptitle()


def test_bounds_are_drawn_beside_their_curves(numbers):
    document = numbers["convergence"]
    axes = convergence.draw(document).axes[0]
    paper = [run for run in document["runs"] if run["rule"] == "paper"]
    drawn = [line.get_ydata().tolist() for line in axes.lines]
    for run in paper:
        assert run["distance"]["mean"] in drawn
        assert run["distance"]["bound"] in drawn


def test_one_column_of_panels_where_both_steps_are_the_same(numbers):
    document = numbers["convergence"]
    runs = [run | {"rule": rule} for run in document["runs"] if run["rule"] == "paper" for rule in ("paper", "sharp")]
    figure = convergence.draw(document | {"runs": runs})
    assert len(figure.axes) == 4
    assert "(the sharp step of Theorem 2 is the same)" in " ".join(figure.axes[0].get_title().split())


def test_a_step_that_theorem_2_does_not_allow_has_no_bound(numbers):
    """Over one step, Theorem 3's step for one coordinate of four is twice the largest of Theorem 2."""
    F = ms.Mast(ms.LogisticRegression(DATA.A, DATA.y, l2=0.1), ms.RandK(4, 1))
    schedule = convergence._Schedule(training_and_test_rows(DATA, 0)[1], [1], 2, 0)
    runs = {run["rule"]: run for run in convergence._runs(F, 0.25, schedule)}
    assert runs["theorem3"]["stepsize"] == pytest.approx(2 * runs["paper"]["stepsize"])
    assert "bound" not in runs["theorem3"]["distance"]
    assert "bound" in runs["paper"]["distance"]
    document = numbers["convergence"] | {"runs": list(runs.values()), "steps": [1]}
    assert not [key for each in convergence._findings(document) for key in each if "bound" in key and "theorem3" in key]
    assert len(convergence.draw(document).axes) == 12


@pytest.mark.parametrize("name", MODULES)
def test_labels_and_sizes_that_do_not_fit_are_refused(name):
    rows = ms.problems.Dataset("three labels", DATA.A, np.arange(60.0) % 3, "", "")
    with pytest.raises(ValueError, match="-1"):
        MODULES[name].compute(rows, quick=True)
    if name != "sketch-families":
        few = ms.problems.Dataset("few", DATA.A[:3], DATA.y[:3], "", "")
        with pytest.raises(ValueError, match="at least 4"):
            MODULES[name].compute(few, quick=True)
