"""Every figure keeps the contract; the network, Theorem 6 and tight-factor figures against arithmetic written out here."""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import mastsim as ms
from mastsim.backend import Streams
from mastsim.cli import main
from mastsim.problems import Dataset, TwoLayerNetwork
from mastsim.reproduce import ALL_FIGURES, pruned_accuracy, pruned_network, theorem6
from mastsim.reproduce.curves import follow
from mastsim.reproduce.network_experiment import FAMILIES, QUICK, masks, split_rows, starts
from mastsim.reproduce.pruned_accuracy import accuracy, chosen, diagonals, pruned

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TINY = "synthetic:n=24,d=3,condition=20"
REFERENCE = {(1e-3, 900): 1.09357, (1e-4, 900): 2.35898, (1e-5, 2500): 6.02202, (1e-6, 10_000): 15.66883}


# The contract --------------------------------------------------------------------------------------------------------


def entries(document, path=()):
    """Yield every key with its value, and where it is, of nested dictionaries and lists."""
    pairs = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in pairs:
        yield (*path, key), value
        yield from entries(value, (*path, key))


def crossings(document):
    """Yield what a document says about crossed bounds, except texts that say when a curve crosses."""
    for path, value in entries(document):
        if re.search(r"(^|[ _])cross", str(path[-1])) and not isinstance(value, str):
            yield path, value


@pytest.mark.parametrize("name", ALL_FIGURES)
def test_a_figure_keeps_the_contract(computed, name):
    numbers, data = computed(name), ms.load(TINY)
    assert numbers["mastsim"] == ms.__version__
    assert (numbers["figure"], numbers["seed"], numbers["quick"]) == (name, 3, True)
    assert numbers["data"] == {"name": data.name, "sha256": data.sha256, "n": data.n, "d": data.d}
    assert {"python", "numpy", "scipy", "matplotlib"} <= set(numbers["versions"])
    assert numbers["findings"]
    for finding in numbers["findings"]:
        for key, value in finding.items():
            assert not key.endswith(".")
            assert isinstance(value, int | float), (key, value)
            assert math.isfinite(value), (key, value)
    assert [path for path, value in crossings(numbers) if value] == []
    figure = ALL_FIGURES[name].draw(numbers)
    assert isinstance(figure, Figure)
    assert data.name in figure.get_suptitle()
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes if axes.get_visible())


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"findings": [{"curves_that_cross_their_bound": 0}, {"curves that cross": 2}]}, [2]),
        ({"rows": [{"crosses_at": []}, {"crosses_at": [7]}], "crossing": "where it does"}, [[7]]),
        ({"bound_crossed": [{"ratio": 1.1}], "across": 5}, [[{"ratio": 1.1}]]),
    ],
)
def test_the_contract_would_see_a_crossed_bound(document, found):
    assert [value for _, value in crossings(document) if value] == found


@pytest.mark.parametrize("name", ["theory-table", "variance-reduction", "speed-up", "gdci"])
def test_findings_count_crossed_bounds(computed, name):
    numbers = computed(name)
    module = ALL_FIGURES[name]
    rows = numbers.get("rows") or numbers.get("panels") or numbers["curves"]
    spoiled = json.loads(json.dumps(rows))
    if name == "theory-table":
        spoiled[0]["curve"]["mean"][-1] = 1e9 * spoiled[0]["curve"]["bound"][-1]
    elif name == "variance-reduction":
        spoiled[0]["DSGD"]["mean"][0] = 1.001 * spoiled[0]["DSGD"]["bound"][0] + 2 * spoiled[0]["DSGD"]["stderr"][0]
    elif name == "speed-up":
        spoiled[0]["plateau"][0] = 1.001 * spoiled[0]["bound"][0]
    else:
        spoiled[0]["mast_paper"]["seen"]["own_target"] = 1.001 * spoiled[0]["mast_paper"]["radius"]
    more = (numbers["permk"],) if name == "speed-up" else ()
    for given_rows, wanted in ((rows, 0), (spoiled, 1)):
        (count,) = [v for finding in module._findings(given_rows, *more) for k, v in finding.items() if "cross" in k]
        assert count == wanted


def test_help_lists_every_figure_with_its_title():
    said = re.sub(r"\s+", " ", CliRunner().invoke(main, ["reproduce", "--help"]).output)
    assert all(f"{name} {figure.TITLE}" in said for name, figure in ALL_FIGURES.items())


# Theorem 6 -----------------------------------------------------------------------------------------------------------


def by_paths(p, horizon, gamma, start):
    """Return E‖∇f_D(x^t)‖² for t < horizon, by following every sequence of sketches."""
    values = [(np.array([[1.0, 0.0], [c, abs(c)]]), w) for c, w in ((0.0, 1 - p), (1 / p, p / 2), (-1 / p, p / 2))]
    gram = [S.T @ S for S, _ in values]
    largest = max(np.linalg.eigvalsh(G)[-1] for G in gram)
    mean_gram = sum(w * G for G, (_, w) in zip(gram, values, strict=True))
    eps = 1 / math.sqrt(np.linalg.eigvalsh(mean_gram)[-1] * largest)
    flat = np.diag([0.0, eps])
    slopes = [(np.diag([1.0, 0.0]) + S.T @ flat @ S) / 2 for S, _ in values]
    H = sum(w * G for G, (_, w) in zip(slopes, values, strict=True))
    means = []
    for t in range(horizon):
        mean = 0.0
        for path in itertools.product(range(3), repeat=t):
            x, weight = start, 1.0
            for j in path:
                x, weight = x - gamma * slopes[j] @ x, weight * values[j][1]
            mean += weight * float((H @ x) @ (H @ x))
        means.append(mean)
    smooth = [1.0 * 1.0, eps * np.linalg.eigvalsh(mean_gram)[-1]], [1.0, eps * largest]
    quoted = max(1.0, eps**2 * np.linalg.eigvalsh(mean_gram)[-1] * largest)
    return np.array(means), 0.5 * float(start @ H @ start), quoted, np.mean(smooth[0]) * np.mean(smooth[1])


@pytest.mark.parametrize("p", [0.9, 0.3, 1e-3, 1e-6])
def test_ratios_against_every_path_of_six_steps(p):
    row = theorem6.tried(p, 6, curve=True)
    start = np.array([math.sqrt(6**-0.5 / 16), 1.0])
    for name in ("quoted", "corrected"):
        found = row[name]
        means, delta, *constants = by_paths(p, 6, found["stepsize"], start)
        assert found["constant"] == pytest.approx(constants[name == "corrected"], rel=1e-9)
        assert found["stepsize"] == pytest.approx((found["constant"] * 6) ** -0.5, rel=1e-12)
        steps = np.arange(1, 7)
        wanted = np.minimum.accumulate(means) * found["stepsize"] * steps / (3 * delta)
        assert found["steps"] == steps.tolist()
        assert np.allclose(found["ratios"], wanted, rtol=1e-9, atol=0)
        assert found["ratio"] == pytest.approx(wanted[-1], rel=1e-9)
        assert found["least_mean_at_step"] == means.argmin()
        assert found["largest_ratio_along_the_way"] == pytest.approx(wanted.max(), rel=1e-9)


def test_the_witnesses_refute_the_quoted_constant_and_not_the_corrected_one(computed):
    numbers = computed("theorem6")
    assert {(row["probability"], row["T"]) for row in numbers["witnesses"]} == set(REFERENCE)
    for row in numbers["witnesses"]:
        assert row["quoted"]["constant"] == pytest.approx(1.0, rel=1e-12)
        assert row["quoted"]["ratio"] == pytest.approx(REFERENCE[row["probability"], row["T"]], abs=5.1e-6)
        assert row["corrected"]["ratio"] < 0.2
    for each in numbers["family"]:
        ratios = [row["quoted"]["ratio"] for row in each["rows"]]
        assert ratios == sorted(ratios)
        # For p → 0 at fixed T the ratio tends to √T/3.
        assert 0.95 * each["T"] ** 0.5 / 3 < ratios[-1] < each["T"] ** 0.5 / 3 == pytest.approx(each["limit"])
    rows = numbers["witnesses"] + [row for each in numbers["family"] for row in each["rows"]]
    assert numbers["quoted_bound_refuted_on"] == sum(row["quoted"]["ratio"] > 1 for row in rows)


def test_the_simulated_path_is_a_simulation(computed):
    """At the start, where the exact mean is least, all replicas are alike: agreement there would say nothing."""
    seen = computed("theorem6")["simulated"]
    assert min(seen["steps"]) >= 1
    assert min(seen["stderr"]) > 0
    assert all(row["quoted"]["least_mean_at_step"] == 0 for row in computed("theorem6")["witnesses"])
    apart = [abs(a - b) / e for a, b, e in zip(seen["mean"], seen["exact"], seen["stderr"], strict=True)]
    found = {key: value for finding in computed("theorem6")["findings"] for key, value in finding.items()}
    assert found["most_standard_errors_between_replicas_and_exact"] == pytest.approx(max(apart))


# The network ---------------------------------------------------------------------------------------------------------


def outputs(f, theta):
    h, d = f.width, f.inputs
    W, b, w, c = theta[: h * d].reshape(h, d), theta[h * d : h * d + h], theta[h * d + h : -1], theta[-1]
    return np.array([w @ np.tanh(W @ a + b) + c for a in f.A])


def loss(f, theta):
    return np.mean(np.log1p(np.exp(-f.y * outputs(f, theta)))) + f.l2 / 2 * theta @ theta


def slope(f, theta):
    steps = 1e-5 * np.eye(f.dim)
    return np.array([(loss(f, theta + s) - loss(f, theta - s)) / 2e-5 for s in steps])


def share_right(f, theta):
    return np.mean((outputs(f, theta) > 0) == (f.y > 0))


def build(rows, inputs, width, seed):
    rng = np.random.default_rng(seed)
    return TwoLayerNetwork(
        rng.standard_normal((rows, inputs)), np.where(rng.random(rows) < 0.5, 1.0, -1.0), width, 0.01
    ), rng


@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_accuracies_with_and_without_masks(rows, inputs, width, seed):
    f, rng = build(rows, inputs, width, seed)
    x, listed = rng.standard_normal((2, 3, f.dim)), rng.integers(0, 3, (4, f.dim)) / 1.5
    assert np.allclose(accuracy(f, x), [[share_right(f, z) for z in line] for line in x], rtol=0, atol=1e-12)
    wanted = [[[share_right(f, S * z) for S in listed] for z in line] for line in x]
    assert np.allclose(pruned(f, x, listed), wanted, rtol=0, atol=1e-12)


def test_accuracies_of_many_networks_are_those_of_each(monkeypatch):
    f, rng = build(7, 2, 3, 0)
    x = rng.standard_normal((9, f.dim))
    whole = accuracy(f, x)
    monkeypatch.setattr(pruned_accuracy, "_AT_ONCE", 2 * f.components * f.width)
    assert np.array_equal(accuracy(f, x), whole)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_takes_steps_along_masked_gradients(family):
    f, _ = build(6, 2, 3, 5)
    sketch, x = masks(family, 0.5, f), starts(f, 2, 7)
    found = follow(ms.DSGD(0.3), ms.Mast(f, sketch), [1, 3], distances=False, replicas=2, seed=11, x0=x).points
    for t in range(3):
        c = sketch.from_uniforms(Streams(11).uniform("sketch", t, np.arange(2), sketch.uniforms)).apply(np.ones(f.dim))
        assert (c == 0).any()
        x = x - 0.3 * c * np.array([slope(f, S * z) for S, z in zip(c, x, strict=True)])
        if t + 1 in (1, 3):
            assert np.allclose(found[:, (1, 3).index(t + 1)], x, rtol=1e-7, atol=1e-8)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_the_choice_is_the_best_of_all(steps, records, replicas, seed):
    # Few different scores, so that there are ties.
    scores = np.random.default_rng(seed).integers(0, 3, (steps, records, replicas)) / 2
    picked = chosen(scores, early=True)
    best = [np.mean([max(scores[s, :, r]) for r in range(replicas)]) for s in range(steps)]
    assert picked.step == best.index(max(best))
    for r, record in enumerate(picked.records):
        column = scores[picked.step, :, r].tolist()
        assert record == column.index(max(column))
    last = chosen(scores, early=False)
    ends = [scores[s, -1].mean() for s in range(steps)]
    assert (last.step, last.records.tolist()) == (ends.index(max(ends)), [records - 1] * replicas)


def test_units_are_dropped_whole_and_the_output_keeps_its_bias():
    f, _ = build(5, 2, 3, 0)
    drawn = diagonals(masks(FAMILIES[1], 0.5, f), 200, (0, 9))
    assert (drawn[:, -1] == 1).all()
    for unit in range(3):
        own = drawn[:, f.unit_blocks == unit]
        assert own.shape[1] == 4
        assert (own == own[:, :1]).all()
        assert set(np.unique(own)) == {0.0, 2.0}
    exact = diagonals(masks(FAMILIES[2], 0.5, f), 50, (0, 9))
    assert ((exact != 0).sum(axis=1) == round(0.5 * f.dim)).all()


@pytest.mark.parametrize("n", [10, 23, 100])
def test_rows_are_split_without_overlap(n):
    data = Dataset("numbered", np.arange(n, dtype=float)[:, None], np.where(np.arange(n) % 3, 1.0, -1.0), "0", "here")
    split = split_rows(data, width=1, l2=0.0, most=(1000, 1000, 1000), seed=4)
    rows = [part.A.ravel().astype(int) for part in split[:3]]
    assert sorted(np.concatenate(rows)) == list(range(n))
    assert [len(r) for r in rows[1:]] == [n // 5] * 2
    for part, index in zip(split[:3], rows, strict=True):
        assert np.array_equal(part.y, data.y[index])
    few = split_rows(data, width=1, l2=0.0, most=(3, 2, 1), seed=4)
    assert [part.components for part in few[:3]] == [3, 2, 1]
    assert np.isin(few.train.A, split.train.A).all()


def test_too_few_rows_are_refused():
    data = Dataset("small", np.ones((9, 1)), np.ones(9), "0", "here")
    with pytest.raises(ValueError, match="small has 9 rows, but at least 10"):
        pruned_network.compute(data, True)


def test_the_network_figure_from_scratch(computed):
    """Train, choose and prune again by plain loops, for two rows of the figure and all three arms."""
    numbers = computed("network")
    assert numbers["theorem"] is None
    assert "no theorem" in pruned_network.draw(numbers).get_suptitle()
    split = split_rows(ms.load(TINY), width=QUICK.width, l2=QUICK.l2, most=QUICK.most, seed=3)
    x0, sampling = starts(split.train, QUICK.seeds, 3), ms.Nice(numbers["budget"]["minibatch"])
    for row in (numbers["rows"][0], numbers["rows"][2]):
        sketch = masks(row["family"], row["keep"], split.train)
        look, test = (diagonals(sketch, count, (3, key)) for count, key in ((QUICK.validation_masks, 2), (QUICK.masks, 3)))
        for arm in pruned_network.ARMS:
            method, S = (ms.DSGD, sketch) if arm == "mast" else (ms.SGD, ms.Identity(split.train.dim))
            kept = (np.sign(look), np.sign(test)) if arm == "baseline_unscaled" else (look, test)
            F = ms.Mast(split.train, S)
            scores, ends = {}, {}
            for gamma, stop in itertools.product(QUICK.stepsizes, QUICK.stops):
                run = ms.simulate(method(gamma, sampling), F, steps=stop, replicas=3, seed=3, x0=x0, measures=("f",))
                ends[gamma, stop] = run.x
                scores[gamma, stop] = [np.mean([share_right(split.validation, c * z) for c in kept[0]]) for z in run.x]
            for stopping in pruned_network.STOPPING:
                check_arm(row[arm][stopping], scores, ends, kept[1], split.test, stopping)


def check_arm(said, scores, ends, kept, rows, stopping):
    gamma, stops = said["stepsize"], said["stopped_after"]
    options = {
        g: [
            max(scores[g, t][r] for t in QUICK.stops) if stopping == "early" else scores[g, QUICK.stops[-1]][r]
            for r in range(3)
        ]
        for g in QUICK.stepsizes
    }
    assert said["validation"] == pytest.approx(max(np.mean(each) for each in options.values()), abs=1e-12)
    assert said["validation"] == pytest.approx(np.mean([scores[gamma, t][r] for r, t in enumerate(stops)]), abs=1e-12)
    if stopping == "last":
        assert stops == [QUICK.steps] * 3
    x = [ends[gamma, t][r] for r, t in enumerate(stops)]
    table = np.array([[share_right(rows, c * z) for c in kept] for z in x])
    assert said["seed_means"] == pytest.approx(table.mean(axis=1).tolist(), abs=1e-12)
    assert said["mean"] == pytest.approx(table.mean(), abs=1e-12)
    assert said["unpruned"] == pytest.approx([share_right(rows, z) for z in x], abs=1e-12)
    assert said["percentiles"]["50"] == pytest.approx(np.median(table), abs=1e-12)
    assert np.mean(table <= said["percentiles"]["5"]) >= 0.05 - 1e-12
    assert np.mean(table < said["percentiles"]["5"]) <= 0.05 + 1e-12


QUANTILES = {2: 12.706205, 3: 4.302653, 5: 2.776445}
"""Student's 97.5 % quantiles from a table, by the number of seeds."""


def sides_of(gains, beyond):
    """Return 1, −1 or 0 for each list: beyond so many standard errors above 0, below, or neither."""
    n = len(gains[0])
    means = [sum(each) / n for each in gains]
    errors = [math.sqrt(sum((g - m) ** 2 for g in each) / (n - 1) / n) for each, m in zip(gains, means, strict=True)]
    return [(m > beyond * e) - (m < -beyond * e) for m, e in zip(means, errors, strict=True)]


@pytest.mark.parametrize("seeds", QUANTILES)
@pytest.mark.parametrize("seed", range(2))
def test_network_findings_are_those_of_student_intervals_over_seeds(seeds, seed):
    rng, arms, ways = np.random.default_rng(seed), tuple(pruned_network.ARMS), tuple(pruned_network.STOPPING)
    rows = [
        {
            arm: {way: {"seed_means": (rng.random() + 0.1 * rng.random(seeds)).tolist(), "unpruned": [0.5]} for way in ways}
            for arm in arms
        }
        for _ in range(300)
    ]
    dense = {way: {"mean": 0.75} for way in ways}
    found = {key: value for finding in pruned_network._findings(rows, dense, 0.6) for key, value in finding.items()}
    assert (found["dense_baseline_test_accuracy_early"], found["majority_test_accuracy"]) == (0.75, 0.6)
    assert found["settings"] == 300
    assert found["best_unpruned_mast_minus_dense_baseline_early"] == -0.25
    assert not [key for key in found if "stderr" in key]
    for way in ways:
        told = {}
        for over in arms[1:]:
            gains = [np.subtract(row["mast"][way]["seed_means"], row[over][way]["seed_means"]).tolist() for row in rows]
            means = [sum(each) / seeds for each in gains]
            assert found[f"largest_gain_over_{over}_{way}"] == pytest.approx(max(means), abs=1e-12)
            assert found[f"smallest_gain_over_{over}_{way}"] == pytest.approx(min(means), abs=1e-12)
            told[over] = sides_of(gains, QUANTILES[seeds])
            counts = [told[over].count(1), told[over].count(-1)]
            assert [found[f"mast_{word}_than_{over}_at_95_percent_{way}"] for word in ("better", "worse")] == counts
            two = sides_of(gains, 2)
            assert two.count(1) > counts[0] > 0, "two standard errors would count more"
            assert two.count(-1) > counts[1] > 0
        pairs = list(zip(*told.values(), strict=True))
        both, either = pairs.count((1, 1)), sum(-1 in pair for pair in pairs)
        assert 0 < both < min(side.count(1) for side in told.values())
        assert found[f"mast_better_than_both_baselines_at_95_percent_{way}"] == both
        assert found[f"mast_worse_than_a_baseline_at_95_percent_{way}"] == either > max(s.count(-1) for s in told.values())


# Tight factor --------------------------------------------------------------------------------------------------------


def test_tight_factors_against_the_closed_form(computed):
    numbers = computed("tight-factor")
    assert len(numbers["curves"]) == 6
    for curve in numbers["curves"]:
        s, mu = curve["blocks"] / curve["keep"], 1 / curve["condition_number"]
        for j, step in enumerate(numbers["steps"]):
            # γs² = step, and 1 − (1 − q)/s with q the factor of gradient descent: docs/worst-case.md.
            q = max((1 - step * mu) ** 2, (1 - step) ** 2)
            tight = 1 - (1 - q) / s
            assert curve["attained"][j] == pytest.approx(tight, abs=1e-12)
            assert tight - 1e-12 <= curve["certified"][j] <= tight + 1e-6
            assert curve["tight"][j] == pytest.approx(tight, abs=1e-6)
            if step > 1:
                assert curve["proven"][j] is None
            else:
                assert curve["proven"][j] == pytest.approx(1 - step * mu / s, abs=1e-12)
