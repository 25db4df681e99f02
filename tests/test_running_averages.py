"""Records of running averages against the means of the iterates themselves, whatever takes the steps; and exact moments."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

import mastsim as ms
from mastsim.methods.states import RUNNING_AVERAGE
from mastsim.run import AVERAGE_MEASURES, MEASURES

rng = np.random.default_rng(3)
ROWS, LABELS = rng.standard_normal((12, 6)), np.sign(rng.standard_normal(12))
LOGISTIC = ms.Mast(ms.LogisticRegression(ROWS, LABELS, l2=0.1), ms.RandK(6, k=3), shift=0.1 * np.ones(6))
SQUARES = ms.Mast(ms.LeastSquares(ROWS, LABELS, l2=0.1), ms.Bernoulli(6, 0.5))
CLIENTS = ms.Distributed(
    [ms.Quadratic(np.diag(np.arange(1.0, 7.0)), np.ones(6)), ms.Quadratic(np.eye(6), np.zeros(6))], ms.RandK(6, k=3)
)
STEPS = 4

CASES = {
    "array": (LOGISTIC, ms.DSGD(0.1), {"engine": "array"}),
    "compiled run": (LOGISTIC, ms.DSGD(ms.HarmonicStep(0.1, 0.2)), {"engine": "kernel"}),
    "rows": (LOGISTIC, ms.SGD(0.1, ms.Nice(3)), {"engine": "kernel"}),
    "compiled gradients": (SQUARES, ms.LSVRDSG(0.1, probability=0.4), {"engine": "kernel"}),
    "short numbers": (LOGISTIC, ms.DSGD(0.1), {"precision": "float32"}),
    "moving shift": (SQUARES, ms.DSGD(0.1, shift=ms.Refreshed(0.4)), {}),
    "momentum": (SQUARES, ms.AveragedMomentum(0.1), {}),
    "clients": (CLIENTS, ms.DistributedDSGD(0.1), {}),
    "threads": (LOGISTIC, ms.DSGD(0.1), {"threads": 2, "chunk": 2}),
}


def run_of(F, method, steps=STEPS, **how):
    how = {"measures": ("f",)} | how
    return ms.simulate(method, F, steps=steps, replicas=5, seed=4, x0="normal", every=1, **how)


@pytest.mark.parametrize("name", CASES)
def test_records_are_those_of_the_mean_of_the_iterates(name):
    F, method, how = CASES[name]
    found = run_of(F, method, measures=(*MEASURES, *AVERAGE_MEASURES), **how)
    iterates = [start_of(F), *(run_of(F, method, t, **how).x for t in range(1, STEPS))]
    np.testing.assert_array_equal(found.x, run_of(F, method, STEPS, **how).x)
    best, alone, slack = F.minimize(), F.problem.minimize(), 1e-6 if "precision" in how else 1e-9
    for t in range(STEPS + 1):
        x = np.mean(np.asarray(iterates[: max(t, 1)], dtype=float), axis=0)
        f, slope, D = F.problem.value(x), F.problem.gradient(x), F.gradient(x)
        wanted = {
            "distance": np.sum((x - best.x) ** 2, axis=1),
            "gap": F.value(x) - best.value,
            "gradient_norm": np.linalg.norm(D, axis=1),
            "f": f,
            "error": np.sum((x - alone.x) ** 2, axis=1),
            "f_gap": f - alone.value,
            "f_gradient_norm": np.linalg.norm(slope, axis=1),
        }
        for measure, column in wanted.items():
            np.testing.assert_allclose(found.traces[f"average_{measure}"][:, t], column, rtol=slack, atol=slack)
    np.testing.assert_allclose(found.state[RUNNING_AVERAGE], x, rtol=slack, atol=slack)


def start_of(F):
    return run_of(F, ms.SGD(1e-300), 1).x


@pytest.mark.parametrize("name", CASES)
def test_what_is_continued_is_the_run_without_interruption(name, tmp_path):
    F, method, how = CASES[name]
    what = how | {"measures": ("gap", "average_gap", "average_f")}
    whole, part = run_of(F, method, **what), run_of(F, method, 3, **what)
    part.save(tmp_path / "part.npz")
    again = run_of(F, method, resume=ms.Run.load(tmp_path / "part.npz"), **what)
    for measure in what["measures"]:
        np.testing.assert_array_equal(again.traces[measure], whole.traces[measure])
    np.testing.assert_array_equal(again.state[RUNNING_AVERAGE], whole.state[RUNNING_AVERAGE])
    with pytest.raises(ValueError, match="resume belongs to another simulation: it recorded gap"):
        run_of(F, method, resume=run_of(F, method, 3, measures=("gap",), **how), **what)


def test_means_are_the_exact_moments_within_a_stated_error():
    """Six means of 20,000 replicas within 7 standard errors: by the normal law 6 · 2.6e-12 that one is not."""
    replicas, x0 = 20_000, np.ones(6)
    names = ("average_distance", "average_gap", "average_error")
    run = ms.simulate(ms.DSGD(0.1), SQUARES, steps=20, replicas=replicas, seed=8, x0=x0, every=10, measures=names)
    exact = ms.moments.propagate(SQUARES, ms.DSGD(0.1), x0, 20)
    for name in names:
        for column, t in ((1, 10), (2, 20)):
            table, wanted = run.traces[name][:, column], getattr(exact, name)[t]
            error = table.std(ddof=1) / np.sqrt(replicas)
            assert abs(table.mean() - wanted) < 7 * error
            assert 7 * error < 0.05 * wanted


def test_a_method_with_a_lyapunov_function_records_both():
    F, method = SQUARES, ms.LSVRDSG(0.1, probability=0.4)
    both = run_of(F, method, measures=("lyapunov", "average_distance"))
    np.testing.assert_array_equal(both.traces["lyapunov"], run_of(F, method, measures=("lyapunov",)).traces["lyapunov"])


def test_averages_that_overflow_are_infinite_and_reported():
    run = run_of(SQUARES, ms.DSGD(1e80), measures=("distance", "average_distance"))
    assert not np.isnan(run.traces["average_distance"]).any()
    assert (run.traces["average_distance"][:, -1] == np.inf).all()
    assert run.divergence.replicas == 5


class Taken(NamedTuple):
    x: np.ndarray
    running_average: np.ndarray


@dataclasses.dataclass(frozen=True)
class Clashing(ms.DSGD):
    def init(self, objective, x0):
        return Taken(x0, x0)

    def step(self, state, objective, draw):
        return Taken(0.5 * state.x, state.running_average)


def test_a_state_with_a_field_of_that_name_is_refused_where_averages_are_asked_for():
    run_of(SQUARES, Clashing(0.1), measures=("distance",))
    with pytest.raises(ValueError, match="Taken has a field 'running_average', where simulate keeps averages: rename it"):
        run_of(SQUARES, Clashing(0.1), measures=("average_distance",))


def test_a_short_run_keeps_a_long_average():
    """The share of a step is below the rounding of short numbers after 2^24 of them; the sum of many parts is not lost."""
    F = ms.Mast(ms.Quadratic(1e-30 * np.eye(4), np.zeros(4)), ms.RandK(4, k=2))
    run = ms.simulate(ms.DSGD(1.0), F, steps=3, x0=np.full(4, 1 + 2**-20), precision="float32", measures=("average_f",))
    assert run.state[RUNNING_AVERAGE].dtype == np.float64
    assert run.x.dtype == np.float32
