"""How accurate records of f_D are: chosen, stated wherever a run is, kept by who resumes it, and never a flat curve."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import mastsim as ms
from mastsim.cli import main
from mastsim.run import MEASURE_ACCURACY, MEASURES
from mastsim.sweeps import read_grid, sweep

EPS = 2.0**-52


def logistic(sketch=None, dim=6, **settings):
    """Return f_D of a logistic regression."""
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((60, dim)), np.where(rng.random(60) < 0.5, 1.0, -1.0)
    return ms.Mast(ms.LogisticRegression(A, y, l2=0.3), sketch or ms.RandK(dim, 3), evaluate="rows", **settings)


@pytest.mark.parametrize(
    "F", [logistic(), logistic(accuracy=1e-7), logistic(shift=np.full(6, 0.2))], ids=["plain", "coarse", "v"]
)
@pytest.mark.filterwarnings("ignore::mastsim.problems.CertificateWarning")
def test_no_curve_flattens_above_rounding_on_the_way_to_1e_20(F):
    """Gradient descent on f_D goes on to 1e-20; gaps and norms stay in proportion to the distance until rounding is left."""
    fine = F.at(1e-14)
    best = fine.minimize()
    L, mu = float(fine.L_fD_sharp), float(fine.mu_fD_sharp)
    steps = ms.GD(1 / L)
    run = ms.simulate(steps, fine, steps=400, every=5, x0=np.ones(6), measure_accuracy=1e-6)
    assert run.distance[0, -1] < 1e-20
    assert run.errors == {}
    square, gap, norm = (table[0] for table in (run.distance, run.gap, run.gradient_norm))
    floor = 2 * fine.error_bound(best.x)
    assert (gap >= 0.5 * mu * square * (1 - 1e-5) - floor).all()
    assert (gap <= 0.5 * L * square * (1 + 1e-5) + floor).all()
    still = fine.gradient_error(best.x)
    assert (norm >= mu * np.sqrt(square) * (1 - 1e-5) - still).all()
    assert (norm <= L * np.sqrt(square) * (1 + 1e-5) + still).all()
    assert floor < 1e-12
    assert still < 1e-12
    coarse = ms.simulate(steps, F, steps=100, every=5, x0=np.ones(6), measure_accuracy=1e-6, measures=("gap",))
    moved = abs(float(fine.value(F.minimize().x)) - best.value)
    wanted = np.array([float(fine.value(x)) for x in points_of(steps, F, 100, 5)]) - best.value
    assert (np.abs(coarse.gap[0] - wanted) <= 1e-6 * wanted + floor + moved).all()


def points_of(method, F, steps, every):
    """Return the iterates at the records."""
    x, out = np.ones((1, F.dim)), [np.ones(F.dim)]
    for step in range(steps):
        x = x - method.rule.at(step) * F.gradient(x)
        if (step + 1) % every == 0:
            out.append(x[0])
    return out


def test_records_do_not_depend_on_company_threads_or_chunks():
    settings = {"steps": 30, "seed": 4, "every": 5, "measure_accuracy": 1e-5, "x0": "normal"}
    F, method = logistic(), ms.DSGD(0.05)
    whole = ms.simulate(method, F, replicas=9, threads=2, chunk=4, **settings)
    alone = ms.simulate(method, F, replicas=3, **settings)
    for name in whole.traces:
        assert np.array_equal(whole.traces[name][:3], alone.traces[name])


def test_fewer_digits_are_recorded_with_coarser_sums_and_as_accurately_as_promised():
    F, settings = logistic(), {"steps": 20, "seed": 1, "replicas": 4, "every": 2, "measures": tuple(MEASURES)}
    coarse, plain, fine = (ms.simulate(ms.DSGD(0.05), F, measure_accuracy=a, **settings) for a in (1e-4, 1e-9, 1e-14))
    floor = 2 * F.error_bound(F.minimize().x)
    for accuracy, run in ((1e-4, coarse), (1e-9, plain)):
        assert np.array_equal(run.distance, fine.distance)
        assert np.array_equal(run.f, fine.f)
        assert (np.abs(run.gap - fine.gap) <= accuracy * fine.gap + floor).all()
        assert (np.abs(run.gradient_norm - fine.gradient_norm) <= accuracy * fine.gradient_norm + 10 * floor).all()
    assert not np.array_equal(coarse.gap, fine.gap)


def test_it_is_stated_kept_in_files_and_taken_over_by_who_resumes(tmp_path):
    F, settings = logistic(), {"replicas": 2, "every": 2}
    assert ms.simulate(ms.DSGD(0.05), F, steps=2).measure_accuracy == MEASURE_ACCURACY == 1e-9
    short = ms.simulate(ms.DSGD(0.05), F, steps=4, measure_accuracy=1e-5, **settings)
    assert short.request.measure_accuracy == short.measure_accuracy == 1e-5
    short.save(tmp_path / "run.npz")
    longer = ms.simulate(ms.DSGD(0.05), F, steps=8, resume=ms.Run.load(tmp_path / "run.npz"), **settings)
    whole = ms.simulate(ms.DSGD(0.05), F, steps=8, measure_accuracy=1e-5, **settings)
    assert longer.request == whole.request
    assert np.array_equal(longer.gap, whole.gap)


@pytest.mark.parametrize("wrong", [0, -1e-9, 1e-16, 1e-3, float("nan"), True])
def test_what_is_out_of_range_is_refused_with_the_range(wrong):
    with pytest.raises((ValueError, TypeError), match=r"measure_accuracy=.* is not accepted"):
        ms.simulate(ms.DSGD(0.05), logistic(), steps=2, measure_accuracy=wrong)


def test_the_command_line_and_sweeps_offer_it(tmp_path):
    settings = ["--data", "synthetic:n=20,d=4", "--sketch", "randk:0.5", "--steps", "4", "--replicas", "2"]
    told = ["simulate", *settings, "--json", "-"]
    for given, wanted in (([], 1e-9), (["--measure-accuracy", "1e-5", "--out", str(tmp_path / "run.npz")], 1e-5)):
        assert json.loads(CliRunner().invoke(main, told + given).stdout)["measure_accuracy"] == wanted
    assert ms.Run.load(tmp_path / "run.npz").measure_accuracy == 1e-5
    refused = CliRunner().invoke(main, [*told, "--measure-accuracy", "1"])
    assert refused.exit_code == 2
    assert "measure_accuracy=1 is not accepted" in refused.stderr
    grid = {"data": "synthetic:n=20,d=4", "sketch": "randk:0.5", "steps": 4, "replicas": 2}
    tasks = [read_grid(grid | extra)[0] for extra in ({}, {"measure_accuracy": 1e-9}, {"measure_accuracy": 1e-5})]
    assert tasks[0].key == tasks[1].key != tasks[2].key
    found = sweep(grid | {"measure_accuracy": 1e-5}, tmp_path / "out", runs=True)
    assert {row["measure_accuracy"] for row in found.table()} == {1e-5}
    assert [ms.Run.load(path).measure_accuracy for path in (tmp_path / "out").glob("**/*.npz")] == [1e-5]
    with pytest.raises(ValueError, match="grid key 'measure_accuracy'"):
        read_grid(grid | {"measure_accuracy": 2.0})
