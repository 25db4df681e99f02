"""Figures: the inequalities that their numbers must show, against fixed points written out by enumeration."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import mastsim as ms
from mastsim.reproduce import ALL_FIGURES, paper_problems, reproduce
from mastsim.reproduce.plateaus import compressed_iterates_plateau, fixed_point, plateau
from mastsim.reproduce.tables import TABLES, refreshed, spliced
from mastsim.reproduce.theory_trials import (
    QUICK,
    AverageIterate,
    TrialBudget,
    average_along,
    away_start,
    measured,
    planned,
    tried,
)
from mastsim.theorems import (
    ALL,
    ConvexDSGD,
    DoubleSketchedPAGE,
    LooplessSVRDSG,
    NonconvexDSGD,
    Rate,
    StronglyConvexDSGD,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TINY = "synthetic:n=40,d=4,condition=20"
# The others have tests of their own; tests/test_reproduce_figures.py computes and draws every one.
FIGURES = ("theory-table", "variance-reduction", "speed-up", "gdci")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    paths = reproduce(FIGURES, data=TINY, quick=True, out=folder, progress=False)
    return folder, paths


@pytest.fixture(scope="module")
def numbers(written):
    folder, _ = written
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in FIGURES}


def committed(name):
    path = ROOT / "figures" / f"{name}.json"
    return json.loads(path.read_text())


def curves_of(document):
    """Yield every measured curve with a bound in a document."""
    for row in document.get("rows", []):
        if "curve" in row:
            yield row["curve"]
    for panel in document.get("panels", []):
        yield from (panel["L-SVRDSG"], panel["DSGD"])


def assert_below(curve):
    """Means stay below bounds beyond two standard errors, and the 1e-26 of rounding at x_D*."""
    mean, error, bound = (np.array(curve[key]) for key in ("mean", "stderr", "bound"))
    assert (mean - 2 * error <= bound * (1 + 1e-9) + 1e-26).all()


def test_every_figure_is_written_whole(written, numbers):
    folder, paths = written
    names = [p.name for p in paths]
    assert [name for name in names if "theory-table-" not in name] == [
        f"{n}.{k}" for n in FIGURES for k in ("json", "png", "pdf")
    ]
    theorems = dict.fromkeys(row["theorem"] for row in numbers["theory-table"]["rows"])
    assert [name for name in names if "theory-table-" in name] == [
        f"theory-table-{theorem}.{kind}" for theorem in theorems for kind in ("png", "pdf")
    ]
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in paths)
    for path in paths:
        start = {"json": b"{", "png": b"\x89PNG", "pdf": b"%PDF"}[path.suffix[1:]]
        assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", FIGURES)
def test_numbers_say_what_they_depend_on(numbers, name):
    data = ms.load(TINY)
    head = numbers[name]
    assert head["mastsim"] == ms.__version__
    assert (head["figure"], head["seed"], head["quick"]) == (name, 0, True)
    assert head["data"] == {"name": data.name, "sha256": data.sha256, "n": 40, "d": 4}
    assert head["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled_and_the_title_names_the_data(numbers, name):
    figure = ALL_FIGURES[name].draw(numbers[name])
    assert isinstance(figure, Figure)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert shown
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in shown)
    assert TINY.split(",")[0] in figure.get_suptitle()
    assert "quick" in figure.get_suptitle()


@pytest.mark.parametrize("name", ["theory-table", "variance-reduction"])
def test_no_mean_crosses_its_bound(numbers, name):
    curves = list(curves_of(numbers[name]))
    assert len(curves) >= 4
    for curve in curves:
        assert_below(curve)


def test_where_no_lyapunov_function_can_be_computed_the_distance_is_looked_at():
    """The columns are too many to list all masks, so that what L-SVRDSG's theorem bounds cannot be recorded in full."""
    rows = np.random.default_rng(0).standard_normal((3, 25))
    F = ms.Mast(ms.LogisticRegression(rows, np.array([1.0, -1.0, 1.0]), l2=0.1), ms.Bernoulli(25, 0.5))
    theorem = LooplessSVRDSG(F)
    assert not theorem.method_at(theorem.stepsize).knows_lyapunov(F)
    budget = TrialBudget(longest=4, horizon=4, exact_gradients=1, replicas=2)
    row = tried(theorem, budget, seed=5)
    run = ms.simulate(
        theorem.method_at(theorem.stepsize),
        F,
        steps=row["T"],
        replicas=2,
        seed=5,
        x0=away_start(theorem),
        every=1,
        measures=("distance",),
        progress=False,
    )
    assert row["measured"] == pytest.approx(run.distance[:, -1].mean(), rel=1e-12)


def test_every_rate_is_in_the_table(numbers):
    rates = [kind for kind in ALL if issubclass(kind, Rate) and kind.status != "refuted as quoted"]
    rates = {kind.id for kind in rates if not kind.beyond}
    assert {row["theorem"] for row in numbers["theory-table"]["rows"]} == rates
    assert all(row["reason"] for row in numbers["theory-table"]["refused"])


def test_a_row_against_the_formula_of_theorem_2(numbers):
    data = ms.load(TINY)
    gram = np.linalg.eigvalsh(data.A.T @ data.A / (4 * data.n))
    l2 = gram[-1] / 99
    L, mu = (gram[-1] + l2) / 0.3**2, l2 / 0.3
    found = [
        r
        for r in numbers["theory-table"]["rows"]
        if (r["theorem"], r["family"], r["keep"]) == ("theorem2", "Bernoulli", 0.3)
    ]
    (row,) = found
    assert row["stepsize"] == pytest.approx(1 / L, rel=1e-9)
    assert row["rate"] == pytest.approx(1 - mu / L, rel=1e-9)
    F = ms.Mast(ms.LogisticRegression(data.A, data.y, l2=l2), ms.Bernoulli(4, 0.3))
    best = F.minimize()
    radius = 2 / mu * (best.value - F.problem.minimize().value)
    assert row["radius"] == pytest.approx(radius, rel=1e-6)
    away = 1 + np.linalg.norm(best.x)
    assert row["bound"] == pytest.approx((1 - mu / L) ** row["T"] * away**2 + radius, rel=1e-6)
    assert row["ratio"] == row["measured"] / row["bound"]


@pytest.mark.parametrize("kind", [NonconvexDSGD, StronglyConvexDSGD])
def test_what_is_measured_after_each_number_of_steps(kind):
    theorem = kind(ms.Mast(ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.RandK(2, k=1)))
    run = ms.simulate(theorem.method_at(0.05), theorem.objective, steps=12, replicas=5, every=4, x0=np.full(2, 3.0))
    times, mean, error = measured(theorem, run)
    table = run.distance if theorem.measure == "distance" else run.gradient_norm**2
    assert times.tolist() == ([8, 12] if theorem.over == "minimum" else [4, 8, 12])
    for T, found in zip(times, mean, strict=True):
        least = table[:, run.recorded < T].mean(axis=0).min()
        wanted = {"minimum": least, "last": table[:, run.recorded == T].mean()}[theorem.over]
        assert found == pytest.approx(wanted, rel=1e-12)
    assert (error > 0).any()


def test_the_average_iterate_is_the_average_of_the_iterates():
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.RandK(2, k=1))
    shared = {"replicas": 3, "seed": 5, "x0": np.full(2, 3.0)}
    paths = [np.full((3, 2), 3.0), *(ms.simulate(ms.DSGD(0.05), F, steps=t, **shared).x for t in range(1, 6))]
    seen = ms.simulate(AverageIterate(0.05, inner=ms.DSGD(0.05)), F, steps=6, **shared)
    assert np.allclose(seen.x, np.mean(paths, axis=0), rtol=1e-13)
    row = tried(ConvexDSGD(F), QUICK, seed=0)
    assert row["measured"] < row["bound"]


def test_averages_along_a_path_where_every_step_is_seen():
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 3.0]), np.ones(2)), ms.RandK(2, k=1))
    theorem = DoubleSketchedPAGE(F, probability=0.5)
    shared = {"replicas": 4, "seed": 1, "x0": np.full(2, 3.0), "measures": ("gradient_norm",)}
    whole = ms.simulate(theorem.method_at(theorem.stepsize), F, steps=3, every=1, **shared).gradient_norm ** 2
    times, mean, error = average_along(theorem, 3, shared)
    assert times.tolist() == [1, 2, 3]
    for T, found, off in zip(times, mean, error, strict=True):
        each = whole[:, :T].mean(axis=1)
        assert found == pytest.approx(each.mean(), rel=1e-12)
        assert off == pytest.approx(each.std(ddof=1) / 2, rel=1e-9, abs=1e-15)


def test_plans_keep_within_the_effort():
    F = ms.Mast(ms.Quadratic(np.diag([1.0, 1e4]), np.ones(2)), ms.RandK(2, k=1))
    assert planned(StronglyConvexDSGD(F), QUICK)[0] == QUICK.longest
    row = tried(NonconvexDSGD(F), QUICK, seed=0)
    # The step is that for the steps taken: 1/√(𝔇T) with 𝔇 = L_f²·L_D·L_S^max = 1e8·2·4.
    assert row["stepsize"] == pytest.approx(1 / math.sqrt(8e8 * QUICK.horizon))


def test_variance_reduction_reaches_the_minimiser(numbers):
    for panel in numbers["variance-reduction"]["panels"]:
        reduced, plain = panel["L-SVRDSG"]["mean"], panel["DSGD"]["mean"]
        assert reduced[-1] <= 1e-22
        assert min(plain) > 1e-6
        later = plain[len(plain) // 2 :]
        assert max(later) < 5 * min(later), "DSGD has settled"
        assert panel["L-SVRDSG"]["bound"][-1] == pytest.approx(1e-24, rel=0.5)


@pytest.mark.parametrize("source", ["quick", "committed"])
def test_the_neighbourhood_shrinks_as_many_fold_as_there_are_clients(numbers, source):
    document = numbers["speed-up"] if source == "quick" else committed("speed-up")
    for curve in document["curves"]:
        values, clients = np.array(curve["plateau"]), np.array(curve["clients"])
        assert (values <= np.array(curve["bound"]) * (1 + 1e-9)).all()
        if curve["clients_hold"] == "the same f" and curve["share"] == 0.1:
            assert np.allclose(values[0] / values, clients, rtol=0.2)
    assert all(row["permk"] <= row["bound"] and row["independent"] <= row["bound"] for row in document["permk"])


@pytest.mark.parametrize("source", ["quick", "committed"])
def test_replicas_agree_with_exact_neighbourhoods(numbers, source):
    document = numbers["speed-up"] if source == "quick" else committed("speed-up")
    seen = document["simulated"]
    exact = next(c for c in document["curves"] if c["sketch"] == seen["sketch"] and c["share"] == 1.0)
    # At most eight comparisons with fifteen degrees of freedom: all within 14 standard errors but with probability 1e-8.
    for mean, error, wanted in zip(seen["mean"], seen["stderr"], exact["plateau"], strict=True):
        assert abs(mean - wanted) <= 14 * error
        assert error < 0.2 * wanted


@pytest.mark.parametrize("source", ["quick", "committed"])
def test_neighbourhoods_of_both_methods_stay_below_their_bounds(numbers, source):
    document = numbers["gdci"] if source == "quick" else committed("gdci")
    for row in document["rows"]:
        for name in ("mast_paper", "mast_sharp", "gdci", "gdci_same"):
            said, seen = row[name], row[name]["seen"]
            if said["radius"] is not None:
                assert seen["own_target"] - 2 * seen.get("own_target_stderr", 0) <= said["radius"]
        if row["problem"] == "least squares":
            paper = row["mast_paper"]["seen"]
            assert paper["error"] == pytest.approx(paper["own_target"] + row["targets_apart"], rel=1e-9)
    rows = [row for row in document["rows"] if row["problem"] == "logistic regression"]
    refused = [row["keep"] for row in rows if row["gdci"]["refused"]]
    allowed = [row["keep"] for row in rows if not row["gdci"]["refused"]]
    # ω < ½((1 − 2/(κ + 1))⁻² − 1) at κ = 100, which λ sets for logistic regression.
    most = 0.5 * ((99 / 101) ** -2 - 1)
    assert all(1 / keep - 1 >= most for keep in refused)
    assert all(1 / keep - 1 < most for keep in allowed)
    assert refused
    assert allowed


@pytest.mark.parametrize("name", ["theory-table", "variance-reduction"])
def test_committed_curves_stay_below_their_bounds(name):
    document = committed(name)
    assert not document["quick"]
    curves = list(curves_of(document))
    assert curves
    for curve in curves:
        assert_below(curve)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_documentation_says_what_the_numbers_say(page):
    text = page.read_text(encoding="utf-8")
    assert refreshed(text, ROOT / "figures") == text, f"make docs writes the tables of {page.name} anew"


def test_every_table_has_a_page_and_is_of_the_papers_data():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    for name, table in TABLES.items():
        document = committed(table.figure)
        assert f"<!-- table {name} -->" in pages
        assert not document["quick"]
        assert document["data"]["name"] == "a5a" or not document.get("depends_on_data", True)


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="<!-- table gdci -->"):
        spliced("nothing here", "gdci", "| a |")


def outcomes(dim, keep):
    """Yield every value of a Bernoulli sketch, as a vector, and its probability."""
    for mask in itertools.product((0.0, 1.0), repeat=dim):
        yield np.array(mask) / keep, math.prod(keep if bit else 1 - keep for bit in mask)


def settled(maps):
    """Return E ssᵀ in the limit of s⁺ = G s + c with random (G, c), by a linear system; None if unstable."""
    d = len(maps[0][1])
    second = sum(w * np.kron(G, G) for w, G, _ in maps)
    mean_map, mean_shift = sum(w * G for w, G, _ in maps), sum(w * c for w, _, c in maps)
    radius = max(abs(np.linalg.eigvals(second)))
    if radius >= 1:
        return None, radius
    mean = np.linalg.solve(np.eye(d) - mean_map, mean_shift)
    rest = sum(w * (np.outer(G @ mean, c) + np.outer(c, G @ mean) + np.outer(c, c)) for w, G, c in maps)
    return np.linalg.solve(np.eye(d * d) - second, rest.ravel()).reshape(d, d), radius


@st.composite
def quadratics(draw, dims=(1, 2, 3)):
    d = draw(st.sampled_from(dims))
    rng = np.random.Generator(np.random.Philox(draw(st.integers(0, 10**6))))
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    A = basis @ np.diag(np.geomspace(draw(st.sampled_from([0.05, 0.5, 1.0])), 1.0, d)) @ basis.T
    shift = rng.standard_normal(d) * draw(st.sampled_from([0.0, 1.0]))
    return ms.Quadratic((A + A.T) / 2, rng.standard_normal(d)), shift, draw(st.floats(0.05, 1.0))


def clipped(best, shift):
    """Return what a second moment may lose where noise below 1e-14 of its terms is taken for none."""
    return 1e-12 * (1 + float(best @ best) + float(shift @ shift))


@given(quadratics(), st.floats(0.02, 1.0))
def test_where_dsgd_settles(case, share):
    f, shift, keep = case
    F = ms.Mast(f, ms.Bernoulli(f.dim, keep), shift=shift)
    gamma, A = share * keep**2, f.upper_curvature.matrix
    best, maps = F.minimize().x, []
    for c, weight in outcomes(f.dim, keep):
        slope = c * np.asarray(f.gradient(shift + c * (best - shift)))
        maps.append((weight, np.eye(f.dim) - gamma * (c[:, None] * A * c), -gamma * slope))
    wanted, _ = settled(maps)
    assert np.abs(plateau(F, ms.DSGD(gamma)) - wanted).max() <= 1e-7 * np.abs(wanted).max() + clipped(best, shift)


@given(quadratics(dims=(1, 2)), st.floats(0.05, 1.0))
def test_where_two_clients_settle(case, share):
    f, shift, keep = case
    F = ms.Distributed([f, f], ms.Bernoulli(f.dim, keep), shift=shift)
    gamma, A, best, maps = share * keep**2, f.upper_curvature.matrix, F.minimize().x, []
    for (a, p), (b, q) in itertools.product(outcomes(f.dim, keep), repeat=2):
        slope = sum(c * np.asarray(f.gradient(shift + c * (best - shift))) for c in (a, b)) / 2
        H = (a[:, None] * A * a + b[:, None] * A * b) / 2
        maps.append((p * q, np.eye(f.dim) - gamma * H, -gamma * slope))
    wanted, _ = settled(maps)
    found = plateau(F, ms.DistributedDSGD(gamma))
    assert np.abs(found - wanted).max() <= 1e-7 * np.abs(wanted).max() + clipped(best, shift)


@given(quadratics(), st.floats(0.02, 2.0))
def test_where_compressed_iterates_settle(case, gamma):
    f, shift, keep = case
    F = ms.Mast(f, ms.Bernoulli(f.dim, keep), shift=shift)
    A, best, maps = f.upper_curvature.matrix, f.minimize().x, []
    for c, weight in outcomes(f.dim, keep):
        z = shift + c * (best - shift)
        B = np.eye(f.dim) - gamma * A
        maps.append((weight, B * c, z - gamma * np.asarray(f.gradient(z)) - best))
    wanted, radius = settled(maps)
    assume(abs(radius - 1) > 0.02)
    found = compressed_iterates_plateau(F, gamma)
    if wanted is None:
        assert found is None
    else:
        scale = np.abs(wanted).max() + float(best @ best) + float(shift @ shift) + 1e-12
        assert np.abs(found - wanted).max() <= 1e-7 * scale


def test_a_fixed_point_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no fixed point"):
        fixed_point(lambda X: X + np.eye(2), 2)


def test_unknown_figures_and_unsuitable_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match="gdci"):
        reproduce(["gcdi"], TINY, quick=True, out=tmp_path)
    file = tmp_path / "labels.txt"
    file.write_text("0 1:1\n2 1:2\n1 2:1\n")
    with pytest.raises(ValueError, match="-1"):
        reproduce(["theory-table"], str(file), quick=True, out=tmp_path / "out", progress=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_papers_data_come_first_where_they_are(monkeypatch):
    monkeypatch.setattr(paper_problems, "load", lambda name: name)
    monkeypatch.setattr(paper_problems, "locate", lambda name: None)
    assert paper_problems.default_data() == "breast-cancer"
    monkeypatch.setattr(paper_problems, "locate", lambda name: Path(name))
    assert paper_problems.default_data() == "a5a"
