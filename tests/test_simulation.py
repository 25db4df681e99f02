"""simulate and Run: the loop against plain NumPy, bitwise repeatability, interruption, files and refusals."""

import dataclasses
import json
import os
import pickle
import threading
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

import mastsim as ms
from mastsim import engine, files, simulation
from mastsim.backend import Streams
from mastsim.kernels.planning import Descent
from mastsim.linalg import Curvature
from mastsim.measuring import measure_points
from mastsim.problems import Minimum
from mastsim.problems.base import Problem
from mastsim.provenance import content_hash
from mastsim.run import DEFAULT_MEASURES, MEASURES
from mastsim.simulation import simulate

pytestmark = pytest.mark.slow

DIM, ROWS = 13, 17  # sums of more than 8 terms are where NumPy's order of summation starts to matter


def data(seed=0, dim=DIM, rows=ROWS):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rows, dim)) * (rng.random((rows, dim)) < 0.5)
    A[0] = 0.0
    return A, np.where(rng.random(rows) < 0.5, 1.0, -1.0)


def problem(name, dim=DIM):
    A, y = data(dim=dim)
    if name == "quadratic":
        return ms.Quadratic(A.T @ A / ROWS + np.eye(dim), np.linspace(-1.0, 1.0, dim))
    kind = ms.LogisticRegression if "logistic" in name else ms.LeastSquares
    return kind(sp.csr_array(A) if "sparse" in name else A, y, l2=0.2)


def oblique(dim=DIM, values=3):
    atoms = np.random.default_rng(1).standard_normal((values, dim, dim)) / dim
    weights = np.arange(1.0, values + 1) / np.arange(1.0, values + 1).sum()
    return ms.FiniteSupport(atoms - np.tensordot(weights, atoms, axes=1) + np.eye(dim), weights)


def sketch(name, dim=DIM):
    if name == "finite":
        return oblique(dim)
    return ms.RandK(dim, k=4) if name == "randk" else ms.Bernoulli(dim, np.linspace(0.2, 1.0, dim))


def objective(of="quadratic", by="randk", dim=DIM):
    return ms.Mast(problem(of, dim), sketch(by, dim), shift=np.linspace(-0.5, 1.0, dim))


def assert_same(one, two, replicas=None):
    assert one.recorded.tolist() == two.recorded.tolist()
    assert one.traces.keys() == two.traces.keys()
    for name, table in one.traces.items():
        assert np.array_equal(table[:replicas], two.traces[name][:replicas]), name
    for name, field in one.state.items():
        assert np.array_equal(field[:replicas], two.state[name][:replicas]), name


# --- repeatability -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["randk", "bernoulli", "finite"])
@pytest.mark.parametrize("of", ["quadratic", "squared dense", "squared sparse"])
@pytest.mark.parametrize("method", [ms.GD(0.05), ms.DSGD(0.01)])
def test_bitwise_the_same_for_any_chunk_threads_and_company(of, by, method):
    F = objective(of, by)
    settings = {"steps": 6, "seed": 3, "x0": "normal"}
    alone = simulate(method, F, replicas=5, **settings)
    for replicas, chunk, threads in [(5, 1, 1), (5, 1, 4), (200, 64, 1), (200, 3, 2)]:
        crowd = simulate(method, F, replicas=replicas, chunk=chunk, threads=threads, **settings)
        assert_same(alone, crowd, 5)
    assert_same(simulate(method, F, replicas=1, **settings), alone, 1)


@pytest.mark.parametrize("of", ["logistic dense", "logistic sparse"])
@pytest.mark.parametrize(("by", "method"), [("randk", ms.DSGD(0.01)), ("bernoulli", ms.GD(0.05)), ("finite", ms.GD(0.05))])
def test_bitwise_the_same_on_logistic_regression(of, by, method):
    F = objective(of, by)
    settings = {"steps": 2, "seed": 2**64 - 1, "x0": "normal", "every": 2}
    alone = simulate(method, F, replicas=5, **settings)
    for replicas, chunk, threads in [(5, 1, 4), (20, 3, 2), (20, 64, 1)]:
        assert_same(alone, simulate(method, F, replicas=replicas, chunk=chunk, threads=threads, **settings), 5)
    assert_same(simulate(method, F, replicas=1, **settings), alone, 1)


def test_two_runs_are_equal_and_two_seeds_are_not():
    F = objective()
    one, two, other = (simulate(ms.DSGD(0.01), F, steps=3, replicas=2, seed=s) for s in (5, 5, 6))
    assert_same(one, two)
    assert not np.array_equal(one.x, other.x)
    assert not np.array_equal(one.x[0], one.x[1])


def test_the_global_generator_is_left_alone():
    np.random.seed(7)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    simulate(ms.DSGD(0.01), objective(), steps=3, replicas=2, x0="normal")
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]


# --- against a plain loop -------------------------------------------------------------------------------------------


def gradient_of(f):
    """Return ∇f and f in plain NumPy, one point at a time."""
    if isinstance(f, ms.Quadratic):
        return lambda x: f.A @ x - f.b, lambda x: 0.5 * x @ f.A @ x - f.b @ x
    A, y, l2 = np.asarray(f.A.toarray() if sp.issparse(f.A) else f.A), f.y, f.l2
    if isinstance(f, ms.LeastSquares):
        return (
            lambda x: A.T @ (A @ x - y) / len(y) + l2 * x,
            lambda x: 0.5 * np.mean((A @ x - y) ** 2) + 0.5 * l2 * x @ x,
        )
    return (
        lambda x: A.T @ (-y / (1 + np.exp(y * (A @ x)))) / len(y) + l2 * x,
        lambda x: np.mean(np.log1p(np.exp(-y * (A @ x)))) + 0.5 * l2 * x @ x,
    )


@pytest.mark.parametrize("by", ["randk", "bernoulli", "finite"])
@pytest.mark.parametrize("of", ["quadratic", "squared sparse", "logistic dense", "logistic sparse"])
def test_dsgd_is_the_plain_loop(of, by):
    F, gamma, seed, steps = objective(of, by), 0.03, 11, 5
    slope, _ = gradient_of(F.problem)
    run = simulate(ms.DSGD(gamma), F, steps=steps, replicas=3, seed=seed, x0="normal", measures=("distance",))
    x = simulate(ms.DSGD(gamma), F, steps=1, replicas=3, seed=seed, x0="normal", every=1, measures=("distance",))
    assert np.array_equal(run.distance[:, :2], x.distance)
    for r in range(3):
        point = start_of(seed, r, F.dim)
        for t in range(steps):
            u = Streams(seed).uniform("sketch", t, np.array([r]), F.sketch.uniforms)
            S = F.sketch.from_uniforms(u).matrices()[0]
            point = point - gamma * S.T @ slope(F.center + S @ (point - F.center))
        assert run.x[r] == pytest.approx(point, rel=1e-12, abs=1e-13)


def start_of(seed, replica, dim):
    """Box and Muller by hand."""
    u = Streams(seed).uniform("start", 0, np.array([replica]), 2 * dim)[0].reshape(dim, 2)
    return np.array([np.sqrt(-2 * np.log(1 - a)) * np.cos(2 * np.pi * b) for a, b in u])


@pytest.mark.parametrize("by", ["randk", "finite"])
@pytest.mark.parametrize("of", ["quadratic", "logistic dense"])
def test_measures_and_gd_against_enumeration(of, by):
    F = objective(of, by, dim=5)
    slope, value = gradient_of(F.problem)
    batch, weights = F.sketch.support()
    points = list(zip(np.asarray(batch.matrices()), weights, strict=True))

    def mean_value(x):
        return sum(w * value(F.center + S @ (x - F.center)) for S, w in points)

    def mean_slope(x):
        return sum(w * S.T @ slope(F.center + S @ (x - F.center)) for S, w in points)

    best = F.minimize().x
    assert np.linalg.norm(mean_slope(best)) < 1e-10
    alone = F.problem.minimize().x
    assert np.linalg.norm(slope(alone)) < 1e-10
    assert np.linalg.norm(alone - best) > 1e-2
    run = simulate(ms.GD(0.1), F, steps=4, x0=np.full(5, 2.0), every=1, measures=MEASURES)
    assert tuple(simulate(ms.GD(0.1), F, steps=1).traces) == DEFAULT_MEASURES == MEASURES[:4]
    x = np.full(5, 2.0)
    for t in range(5):
        gap, size = mean_value(x) - mean_value(best), np.linalg.norm(mean_slope(x))
        expected = [(x - best) @ (x - best), gap, size, value(x), (x - alone) @ (x - alone)]
        expected += [value(x) - value(alone), np.linalg.norm(slope(x))]
        for name, wanted in zip(MEASURES, expected, strict=True):
            assert run.traces[name][0, t] == pytest.approx(wanted, rel=1e-9, abs=1e-12), name
        x = x - 0.1 * mean_slope(x)


@dataclasses.dataclass(frozen=True, eq=False)
class Plain(Problem):
    """f(x) = ½‖x‖², written without care for memory layout, and unable to bear what is not finite."""

    dim: int = DIM

    def value(self, x):
        assert np.isfinite(x).all()
        return 0.5 * (x**2).sum(axis=-1)

    def gradient(self, x):
        return 1.0 * x

    def hessian_product(self, x, w):
        return 1.0 * w

    upper_curvature = lower_curvature = property(lambda self: Curvature(np.eye(self.dim)))
    curvature_is_attained = True
    lower_bound = 0.0

    def minimize(self):
        return Minimum(np.zeros(self.dim), 0.0, 0.0, 0.0, "f >= 0")


@pytest.mark.parametrize("of", ["logistic dense", "plain"])
@pytest.mark.parametrize("by", ["bernoulli", "randk", "finite"])
def test_a_point_beyond_all_numbers_measures_infinite(of, by):
    F = objective(of, by, dim=5) if of != "plain" else ms.Mast(Plain(5), sketch(by, 5), evaluate="enumeration")
    x = np.array([[np.nan] * 5, [np.inf] * 5, [1e200] * 5, [0.0, np.nan, 1.0, -np.inf, 0.0], [0.1] * 5])
    for name in MEASURES:
        out = measure_points(F, x, name)
        assert (out[[0, 1, 3]] == np.inf).all()
        assert out[2] > 1e199
        assert np.isfinite(out[4])
        assert out[4] == measure_points(F, x[4:], name)[0]
        assert (measure_points(F, x[:2], name) == np.inf).all()


def test_infinite_less_infinite_measures_infinite():
    F = ms.Mast(ms.Quadratic(np.eye(1), np.array([1e20])), ms.Identity(1))
    x = np.array([[1e300]])
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(F.problem.value(x)).all()
    assert measure_points(F, x, "f").tolist() == [np.inf]


# --- starts, strides, measures --------------------------------------------------------------------------------------


def test_starts():
    F, one_step = objective(dim=5), {"steps": 1, "measures": ("f",)}
    f = F.problem
    assert simulate(ms.GD(1e-3), F, **one_step).f[0, 0] == f.value(F.center)
    point = np.arange(5)
    assert simulate(ms.GD(1e-3), F, x0=point, replicas=2, **one_step).f[:, 0].tolist() == [f.value(1.0 * point)] * 2
    points = np.arange(10.0).reshape(2, 5)
    kept = points.copy()
    run = simulate(ms.GD(1e-3), F, x0=points, replicas=2, **one_step)
    assert np.array_equal(run.f[:, 0], f.value(points))
    assert np.array_equal(points, kept)
    assert np.array_equal(F.center, np.linspace(-0.5, 1.0, 5))


@pytest.mark.parametrize("F", [objective(), ms.Mast(Plain(), oblique())])
def test_the_memory_layout_of_a_start_changes_nothing(F):
    points = np.random.default_rng(0).standard_normal((6, DIM))
    one, two = (simulate(ms.DSGD(0.01), F, steps=3, replicas=6, x0=x) for x in (points, np.asfortranarray(points)))
    assert_same(one, two)
    lists = simulate(ms.DSGD(0.01), F, steps=3, replicas=6, x0=points.tolist())
    assert_same(one, lists)
    alone = simulate(ms.DSGD(0.01), F, steps=3, replicas=1, x0=points[0])
    assert_same(alone, one, 1)
    assert_same(simulate(ms.DSGD(0.01), F, steps=3, replicas=1), simulate(ms.DSGD(0.01), F, steps=3, replicas=4), 1)


def test_normal_starts_are_normal():
    """Each of the three p-values is below 1e-10 with probability 1e-10 if the starts are N(0, I)."""
    F = ms.Mast(ms.Quadratic(np.eye(2), np.zeros(2)), ms.Identity(2))
    x = simulate(ms.GD(1e-12), F, steps=1, replicas=20_000, seed=1, x0="normal", measures=()).x
    for sample in (x[:, 0], x[:, 1], (x[:, 0] + x[:, 1]) / np.sqrt(2)):
        assert stats.kstest(sample, "norm").pvalue > 1e-10


@pytest.mark.parametrize(
    ("steps", "every", "recorded"),
    [(1, None, [0, 1]), (1, 1, [0, 1]), (1, 9, [0, 1]), (7, 3, [0, 3, 6, 7]), (6, 3, [0, 3, 6]), (4, 100, [0, 4])],
)
def test_records(steps, every, recorded):
    run = simulate(ms.DSGD(0.01), objective(), steps=steps, every=every, replicas=2)
    assert run.recorded.tolist() == recorded
    assert run.steps_done == run.steps == steps
    assert all(table.shape == (2, len(recorded)) for table in run.traces.values())


def test_default_stride_is_dear_where_evaluation_is():
    assert len(simulate(ms.DSGD(0.01), objective(), steps=1000, measures=()).recorded) == 101
    F = objective("logistic dense", dim=5)
    assert len(simulate(ms.DSGD(0.01), F, steps=1000, measures=()).recorded) == 11


def test_only_what_is_asked_for_is_measured():
    run = simulate(ms.DSGD(0.01), objective(), steps=2, measures=("f", "distance"))
    assert list(run.traces) == ["f", "distance"]
    assert run.f.shape == (1, 3)
    with pytest.raises(ValueError, match=r"did not record 'gap'; it has f, distance"):
        _ = run.gap
    assert simulate(ms.DSGD(0.01), objective(), steps=2, measures=()).traces == {}


def test_final_is_mean_and_standard_error():
    run = simulate(ms.DSGD(0.01), objective(), steps=2, replicas=4)
    last = run.gap[:, -1]
    assert run.final()["gap"]["mean"] == pytest.approx(sum(last) / 4)
    wanted = np.sqrt(sum((v - sum(last) / 4) ** 2 for v in last) / 3 / 4)
    assert run.final()["gap"]["stderr"] == pytest.approx(wanted)
    assert np.isnan(simulate(ms.DSGD(0.01), objective(), steps=2).final()["gap"]["stderr"])
    assert run.replica_steps_per_second == pytest.approx(8 / run.seconds)


# --- interruption and resumption ------------------------------------------------------------------------------------


def interrupted(kept, *arguments, **settings):
    """Simulate, be interrupted, and return the part that is kept."""
    with pytest.raises(ms.Interrupted, match=f"interrupted: everything {kept}.*resume=") as caught:
        simulate(*arguments, **settings)
    assert isinstance(caught.value, KeyboardInterrupt)
    return caught.value.run


def interrupt(monkeypatch, kind, at, replica=0):
    """Raise KeyboardInterrupt, once, when step `at` is taken for `replica`, by `kind.step` or a kernel."""
    step, advance, fired = kind.step, Descent.advance, threading.Event()

    def stop(first, last, replicas):
        if first <= at < last and replica in replicas and not fired.is_set():
            fired.set()
            raise KeyboardInterrupt

    def stopping(self, state, F, draw):
        stop(draw.step, draw.step + 1, draw.replicas)
        return step(self, state, F, draw)

    def stopping_kernel(self, x, replicas, first, stepsizes, streams):
        stop(first, first + len(stepsizes), replicas)
        return advance(self, x, replicas, first, stepsizes, streams)

    monkeypatch.setattr(kind, "step", stopping)
    monkeypatch.setattr(Descent, "advance", stopping_kernel)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("of", "by"), [("quadratic", "randk"), ("squared sparse", "finite")])
@pytest.mark.parametrize(("at", "kept"), [(0, 0), (5, 4), (6, 6), (9, 8)])
def test_an_interrupted_run_keeps_its_records_and_resumes(monkeypatch, of, by, at, kept, threads):
    F = objective(of, by)
    settings = {"steps": 10, "replicas": 7, "seed": 2, "x0": "normal", "every": 2, "chunk": 2, "threads": threads}
    whole = simulate(ms.DSGD(0.01), F, **settings)
    interrupt(monkeypatch, ms.DSGD, at, replica=5)
    part = interrupted(f"up to step {kept} of 10", ms.DSGD(0.01), F, **settings)
    assert part.steps_done == kept < part.steps == 10
    assert part.recorded.tolist() == list(range(0, kept + 1, 2))
    assert np.array_equal(part.gap, whole.gap[:, : kept // 2 + 1])
    again = simulate(ms.DSGD(0.01), F, resume=part, **settings)
    assert again.steps_done == 10
    assert_same(again, whole)


def test_interrupted_before_anything_was_recorded(monkeypatch):
    F, settings = objective(), {"steps": 4, "replicas": 2}
    whole = simulate(ms.DSGD(0.01), F, **settings)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "measure_points", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        nothing = interrupted("up to step 0 of 4", ms.DSGD(0.01), F, **settings)
    assert len(nothing.recorded) == 0
    with pytest.raises(ValueError, match="nothing was recorded"):
        nothing.final()
    assert_same(simulate(ms.DSGD(0.01), F, resume=nothing, **settings), whole)


@pytest.mark.parametrize("name", MEASURES)
def test_interrupted_in_the_middle_of_measuring(monkeypatch, name):
    F, settings = objective(), {"steps": 4, "replicas": 2, "every": 1, "measures": MEASURES}
    whole, measure = simulate(ms.DSGD(0.01), F, **settings), engine.measure_points
    calls = []

    def stopping(F, x, wanted, there):
        calls.append(wanted)
        if wanted == name and calls.count(name) == 3:
            raise KeyboardInterrupt
        return measure(F, x, wanted, there)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "measure_points", stopping)
        part = interrupted("up to step 1 of 4", ms.DSGD(0.01), F, **settings)
    assert part.recorded.tolist() == [0, 1]
    assert_same(simulate(ms.DSGD(0.01), F, resume=part, **settings), whole)


def test_interrupted_while_the_bar_is_drawn(monkeypatch):
    F, settings = objective(), {"steps": 4, "replicas": 2, "every": 1}
    whole, update = simulate(ms.DSGD(0.01), F, **settings), simulation.tqdm.update
    seen = []

    def stopping(self, n):
        seen.append(n)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return update(self, n)

    with monkeypatch.context() as patch:
        patch.setattr(simulation.tqdm, "update", stopping)
        part = interrupted("up to step 2 of 4", ms.DSGD(0.01), F, **settings)
    assert_same(simulate(ms.DSGD(0.01), F, resume=part, **settings), whole)


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
def test_an_error_in_one_thread_stops_the_others(monkeypatch, error):
    step, running, done = ms.DSGD.step, threading.Event(), []

    def failing(self, state, F, draw):
        if 0 in draw.replicas:
            assert running.wait(60)
            raise error("broken")
        running.set()
        done.append(draw.step)
        return step(self, state, F, draw)

    monkeypatch.setattr(ms.DSGD, "step", failing)
    with pytest.raises(ArithmeticError if error is ArithmeticError else ms.Interrupted):
        simulate(ms.DSGD(0.01), objective(), steps=50_000, replicas=2, chunk=1, threads=2, every=50_000, engine="array")
    assert len(done) < 50_000


@pytest.mark.parametrize("every", [None, 1, 4])
def test_resuming_to_more_steps_is_one_longer_run(every):
    F, settings = objective(), {"replicas": 3, "seed": 4, "x0": "normal"}
    short = simulate(ms.DSGD(0.01), F, steps=7, every=every, **settings)
    longer = simulate(ms.DSGD(0.01), F, steps=300, every=every, resume=short, **settings)
    whole = simulate(ms.DSGD(0.01), F, steps=300, every=every or 1, **settings)
    assert_same(longer, whole)
    assert longer.steps_done == longer.steps == 300
    assert longer.seconds >= short.seconds
    assert short.recorded[-1] == 7


def test_a_finished_run_resumes_to_itself_and_to_fewer_records_while_it_is_interrupted(monkeypatch):
    F, settings = objective(), {"replicas": 3, "every": 4}
    short = simulate(ms.DSGD(0.01), F, steps=7, **settings)
    assert_same(simulate(ms.DSGD(0.01), F, steps=7, resume=short, **settings), short)
    with monkeypatch.context() as patch:
        interrupt(patch, ms.DSGD, 7)
        part = interrupted("up to step 7 of 12", ms.DSGD(0.01), F, steps=12, resume=short, **settings)
    assert_same(part, short)
    assert_same(
        simulate(ms.DSGD(0.01), F, steps=12, resume=part, **settings), simulate(ms.DSGD(0.01), F, steps=12, **settings)
    )


def test_what_is_left_out_is_taken_from_the_run_to_resume():
    F = objective()
    short = simulate(ms.DSGD(0.01), F, steps=4, x0="normal", every=2, measures=("f",), replicas=2)
    longer = simulate(ms.DSGD(0.01), F, steps=8, replicas=2, resume=short)
    assert_same(longer, simulate(ms.DSGD(0.01), F, steps=8, x0="normal", every=2, measures=("f",), replicas=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"replicas": 3}, "its replicas is 2, not 3"),
        ({"every": 3}, "its every is 2, not 3"),
        ({"x0": "normal"}, "its start is"),
        ({"x0": np.ones(DIM)}, "its start is"),
        ({"measures": ("f", "gap")}, "it recorded f"),
        ({"measure_accuracy": 1e-6}, "its measure_accuracy is 1e-09, not 1e-06"),
        ({"steps": 3}, "steps=3 is not accepted: the run to resume has already done 4"),
        ({"method": ms.DSGD(0.02)}, "its method is"),
        ({"method": ms.GD(0.01)}, "its method is"),
        ({"objective": objective(by="bernoulli")}, "its objective is"),
        ({"objective": ms.Mast(problem("quadratic"), sketch("randk"))}, "its objective is"),
    ],
)
def test_resume_refuses_another_simulation(change, message):
    settings = {"steps": 8, "replicas": 2, "every": 2, "measures": ("f",), "method": ms.DSGD(0.01), "objective": objective()}
    short = simulate(**(settings | {"steps": 4}))
    assert simulate(resume=short, **(settings | {"x0": objective().center})).steps_done == 8
    with pytest.raises(ValueError, match=message):
        simulate(resume=short, **(settings | change))


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_run_survives_a_file_without_pickles(tmp_path, monkeypatch):
    F, settings = objective(), {"replicas": 2, "seed": 2**64 - 1}
    run = simulate(ms.DSGD(0.01), F, steps=6, **settings)
    run.save(tmp_path / "run.npz")
    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(pickle, "load", None)
    back = ms.Run.load(str(tmp_path / "run.npz"))
    assert_same(back, run)
    assert back.request == run.request
    for field in dataclasses.fields(run.request):
        assert type(getattr(back.request, field.name)) is type(getattr(run.request, field.name))
    assert (back.steps_done, back.seconds, back.errors) == (run.steps_done, run.seconds, {})
    assert_same(
        simulate(ms.DSGD(0.01), F, steps=9, every=1, resume=back, **settings),
        simulate(ms.DSGD(0.01), F, steps=9, every=1, **settings),
    )
    assert os.listdir(tmp_path) == ["run.npz"]


def test_an_interrupted_run_without_records_survives_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "measure_points", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    nothing = interrupted("up to step 0", ms.DSGD(0.01), objective(), steps=6, measures=("f",))
    nothing.save(tmp_path / "run.npz")
    assert_same(ms.Run.load(tmp_path / "run.npz"), nothing)


@pytest.mark.parametrize("stage", ["write_array", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, stage):
    path = tmp_path / "run.npz"
    run = simulate(ms.DSGD(0.01), objective(), steps=2)
    run.save(path)
    before = path.read_bytes()

    def full(target, *_, **__):
        if stage == "write_array":
            target.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format if stage == "write_array" else files.os, stage, full)
    with pytest.raises(OSError, match="disk full"):
        simulate(ms.DSGD(0.01), objective(), steps=3).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.npz"]


def write_without(path, missing):
    run = simulate(ms.DSGD(0.01), objective(), steps=2)
    run.save(path)
    with np.load(path) as file:
        held = {key: file[key] for key in file.files if key != missing}
    np.savez(path, **held)


@pytest.mark.parametrize("kind", ["text", "empty", "npy", "npz", "pickle", "json", "cut", "objects", "no recorded"])
def test_load_refuses_other_files(tmp_path, kind):
    path = tmp_path / "run.npz"
    write_without(path, "recorded" if kind == "no recorded" else None)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    if kind in ("text", "empty"):
        path.write_text("no run" if kind == "text" else "")
    if kind == "npz":
        np.savez(path, x=np.zeros(2))
    if kind == "json":
        np.savez(path, facts=np.array("{}"), recorded=np.zeros(1))
    if kind in ("npy", "pickle", "objects"):
        with path.open("wb") as file:
            if kind == "npy":
                np.save(file, np.zeros(2))
            elif kind == "pickle":
                pickle.dump({"facts": 1}, file)
            else:
                np.savez(file, facts=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"run\.npz is not a saved run: it must be a file written by Run\.save"):
        ms.Run.load(path)


def test_load_of_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        ms.Run.load(tmp_path / "none.npz")


def test_facts_are_standard_json(tmp_path):
    simulate(ms.DSGD(0.01), objective(), steps=2).save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        facts = json.loads(str(file["facts"]), parse_constant=pytest.fail)
    assert facts["request"]["steps"] == 2


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps=0 is not accepted: it must be an integer >= 1"),
        ({"steps": 2.5}, TypeError, "steps=2.5 is not accepted: it must be an integer >= 1"),
        ({"replicas": 0}, ValueError, "replicas=0 is not accepted: it must be an integer >= 1"),
        ({"threads": 0}, ValueError, "threads=0 is not accepted"),
        ({"chunk": 0}, ValueError, "chunk=0 is not accepted"),
        ({"every": 0}, ValueError, "every=0 is not accepted: it must be an integer >= 1"),
        ({"seed": -1}, ValueError, "seed=-1 is not accepted: it must be an integer from 0 to 18446744073709551615"),
        ({"seed": 2**64}, ValueError, "seed=18446744073709551616 is not accepted"),
        ({"seed": 0.5}, TypeError, "seed=0.5 is not accepted"),
        ({"x0": np.zeros(3)}, ValueError, r"x0 has shape \(3,\), but it must be \(13,\) or \(2, 13\)"),
        ({"x0": np.zeros((3, 13))}, ValueError, r"x0 has shape \(3, 13\)"),
        ({"x0": np.full(13, np.nan)}, ValueError, r"x0 holds nan at index \(0,\): every entry must be finite"),
        ({"x0": "norml"}, ValueError, "unknown x0 'norml'; did you mean 'normal'"),
        ({"measures": ("distnce",)}, ValueError, "unknown measure 'distnce'; did you mean 'distance'"),
        ({"measures": "gap"}, TypeError, r"measures='gap' is not accepted: it must be a tuple of names"),
    ],
)
def test_bad_input_is_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        simulate(**({"method": ms.DSGD(0.01), "objective": objective(), "steps": 2, "replicas": 2} | change))


@pytest.mark.parametrize("kind", [ms.GD, ms.DSGD])
@pytest.mark.parametrize("step", [0, -1.0, float("nan"), float("inf")])
def test_a_step_size_must_be_positive(kind, step):
    with pytest.raises(ValueError, match=r"stepsize=.* is not accepted: it must be a finite number > 0"):
        kind(step)
    with pytest.raises(TypeError, match="stepsize='big' is not accepted"):
        kind("big")


def test_the_type_of_a_step_size_does_not_change_the_method():
    hashes = {
        content_hash(ms.DSGD(step)) for step in (1, 1.0, np.float64(1.0), np.float32(1.0), ms.Constant(1, "exact", ""))
    }
    assert len(hashes) == 1
    assert content_hash(ms.DSGD(1.0)) != content_hash(ms.GD(1.0))
    assert content_hash(ms.DSGD(1.0)) != content_hash(ms.DSGD(2.0))


# --- divergence, cost, progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("by", ["randk", "bernoulli", "finite"])
@pytest.mark.parametrize("of", ["quadratic", "squared sparse"])
def test_divergence_measures_infinite_without_warnings(of, by, threads):
    F = objective(of, by)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = simulate(ms.DSGD(1e4), F, steps=300, replicas=3, chunk=1, threads=threads, every=10)
        final = run.final()
    for name, table in run.traces.items():
        assert not np.isnan(table).any(), name
        assert (table[:, -1] == np.inf).all(), name
        assert final[name]["mean"] == np.inf
        assert np.isnan(final[name]["stderr"])


def test_numpys_error_state_is_restored():
    before = np.geterr()
    simulate(ms.DSGD(1e4), objective(), steps=300)
    assert np.geterr() == before


def test_many_records_cost_one_measurement_each(monkeypatch):
    """Nothing is copied or measured twice: 20,000 records mean 20,000 steps and 20,001 rows, in tables laid out once."""
    F, steps, rows, stacks = ms.Mast(ms.Quadratic(np.eye(1), np.zeros(1)), ms.Identity(1)), [], [], []
    measure, hstack, step = engine.measure_points, np.hstack, ms.GD.step
    monkeypatch.setattr(engine, "measure_points", lambda F, x, *rest: rows.append(len(x)) or measure(F, x, *rest))
    monkeypatch.setattr(ms.GD, "step", lambda self, s, F, draw: steps.append(len(s.x)) or step(self, s, F, draw))
    monkeypatch.setattr(simulation.np, "hstack", lambda tables: stacks.append(1) or hstack(tables))
    run = simulate(ms.GD(1e-4), F, steps=20_000, replicas=2, every=1, x0=np.ones(1), measures=("distance",))
    assert sum(steps) == 40_000
    assert sum(rows) == 40_002
    assert len(stacks) == 1
    assert run.distance[:, -1] == pytest.approx((1 - 1e-4) ** 40_000, rel=1e-9)


def test_the_bar_goes_to_stderr_and_only_when_asked_for(capsys):
    simulate(ms.DSGD(0.01), objective(), steps=3, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
    simulate(ms.DSGD(0.01), objective(), steps=3, progress=False)
    simulate(ms.DSGD(0.01), objective(), steps=3)
    assert capsys.readouterr() == ("", "")
