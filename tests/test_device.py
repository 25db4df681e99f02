"""Every method on arrays of a strict array API, which stands in for a GPU, and on a GPU where there is one."""

import json
import os
import sys
import types

import numpy as np
import pytest
import scipy.sparse as sp
from click.testing import CliRunner

import mastsim as ms
from mastsim import backend, cli, devices, engine, problems
from mastsim.backend import PURPOSES, Streams, asnumpy
from mastsim.devices import Device, find_device
from mastsim.spec import description

pytestmark = pytest.mark.slow

try:
    import array_api_strict as strict
    from array_api_strict._array_object import Array as StrictArray
except ImportError:  # a machine with a GPU may have nothing but CuPy
    strict = StrictArray = None

rng = np.random.default_rng(0)
N, D = 12, 8
ROWS = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.6)
LABELS = np.where(rng.random(N) < 0.5, 1.0, -1.0)
SHIFT = 0.3 * rng.standard_normal(D)
HALF = rng.standard_normal((D, D))
H = HALF @ HALF.T / D
Q = np.linalg.qr(rng.standard_normal((D, D)))[0]


def quadratics(count):
    return [ms.Quadratic((i + 1) * H, H @ np.ones(D)) for i in range(count)]


PROBLEMS = {
    "quadratic": quadratics(1)[0],
    "least squares": ms.LeastSquares(ROWS, LABELS, l2=0.1),
    "logistic": ms.LogisticRegression(ROWS, LABELS, l2=0.1),
    "sparse logistic": ms.LogisticRegression(sp.csr_array(ROWS), LABELS, l2=0.1),
    "weighted rows": ms.LeastSquares(ROWS, LABELS, l2=0.1, weights=np.arange(1.0 * N)),
    "intercept": ms.LogisticRegression(ROWS[:, 1:], LABELS, l2=0.1, weights=np.arange(1.0 * N), intercept=True),
    "Poisson": ms.PoissonRegression(0.2 * ROWS, np.abs(LABELS), l2=0.1),
    "exponential": problems.ExponentialClassification(0.2 * ROWS, LABELS, l2=0.1),
    "Huber": problems.HuberRegression(ROWS, LABELS, l2=0.1, delta=0.5),
    "smoothed hinge": problems.SmoothedHingeClassification(ROWS, LABELS, l2=0.1),
    "sigmoid": problems.SigmoidClassification(ROWS, LABELS, l2=0.1),
    "Welsch": problems.WelschRegression(ROWS, LABELS, l2=0.1),
    "finite sum": problems.FiniteSum(quadratics(3)),
    "network": problems.TwoLayerNetwork(ROWS[:, :1], LABELS, width=2, l2=0.1),
}


def sketches(d):
    return {
        "identity": ms.Identity(d),
        "Bernoulli": ms.Bernoulli(d, np.linspace(0.3, 1, d)),
        "Rand-K": ms.RandK(d, 3),
        "block Bernoulli": ms.BlockBernoulli(d, 3, 0.5),
        "block Rand-K": ms.BlockRandK(d, 3, 2),
        "finite": ms.FiniteSupport([2 * np.eye(d) + np.triu(np.ones((d, d)), 1), -np.triu(np.ones((d, d)), 1)]),
        "diagonal": ms.IndependentDiagonal(np.tile([[0.5, 1.5]], (d, 1)), np.array([0.5, 0.5])),
        "Gaussian": ms.Gaussian(d, 3),
        "Haar": ms.Haar(d, 3),
        "Haar, k = d": ms.Haar(d, d),
        "diagonal product": ms.Composed(ms.Bernoulli(d, 0.5), ms.RandK(d, 3)),
        "product": ms.Composed(ms.Haar(d, 3), ms.RandK(d, 3)),
        "unscaled": ms.Unscaled(ms.RandK(d, 3)),
    }


SKETCHES = sketches(D) | {
    "N of M": ms.NofM(D, 1, 2),
    "Perm-K": ms.PermK(D, 2),
    "Hadamard": ms.Rotated(ms.RandK(D, 3), "hadamard"),
    "rotated": ms.Rotated(ms.RandK(D, 3), Q),
}


def weights(n):
    return np.arange(1.0, n + 1) / np.arange(1.0, n + 1).sum()


SAMPLINGS = {
    "nice, by comparison": lambda n: ms.Nice(2),
    "nice, by table": lambda n: ms.Nice(n // 2 + 1),
    "independent": lambda n: ms.IndependentSampling(0.4),
    "with replacement": lambda n: ms.WithReplacement(3),
    "weighted": lambda n: ms.WithReplacement(3, weights(n)),
}
COMPRESSORS = {
    "natural": ms.NaturalCompressor(),
    "dithering": ms.DitheringCompressor(2),
    "Rand-K": ms.SketchCompressor(ms.RandK(D, 2)),
    "none": ms.Uncompressed(),
}


def objective(name, sketch, evaluate="monte carlo"):
    closed = name == "quadratic" and sketch.unbiased
    shift = SHIFT if sketch.dim == D else None
    return ms.Mast(PROBLEMS[name], sketch, shift, evaluate="auto" if closed else evaluate)


def cases():
    """Return objectives and methods that together take every problem, sketch, method, sampling and compressor."""
    found = {}
    for name, f in PROBLEMS.items():
        every = SKETCHES if f.dim == D else sketches(f.dim)
        chosen = every if name in ("quadratic", "sparse logistic", "network") else {"Rand-K": every["Rand-K"]}
        for which, sketch in chosen.items():
            found[f"DSGD, {name}, {which}"] = (objective(name, sketch), ms.DSGD(0.05))
        if f.components > 1:
            F = objective(name, every["Rand-K"])
            for which, sampling in SAMPLINGS.items():
                found[f"DSGD, {name}, {which}"] = (F, ms.DSGD(0.05, sampling(f.components)))
            found[f"SGD, {name}"] = (F, ms.SGD(0.05, ms.Nice(2)))
    for which, compressor in COMPRESSORS.items():
        F = objective("logistic", ms.RandK(D, 3))
        found[f"DSGD, {which} compression"] = (F, ms.DSGD(ms.HarmonicStep(0.05, 0.1), compression=compressor))
        found[f"GDCI, {which} compression"] = (F, ms.GDCI(0.05, compressor))
    found["GDCI"] = (objective("quadratic", ms.RandK(D, 3)), ms.GDCI(0.05))
    for name in ("quadratic", "logistic", "finite sum"):
        for which in ("Rand-K", "finite"):
            F = objective(name, SKETCHES[which], "enumeration")
            found[f"GD, {name}, {which}"] = (F, ms.GD(0.05))
            found[f"PAGE, {name}, {which}"] = (F, ms.PAGE(0.05, probability=0.4, sketches=2))
            found[f"L-SVRDSG, {name}, {which}"] = (F, ms.LSVRDSG(0.05, probability=0.4))
            found[f"L-SVRDSG, {name}, {which}, anchor"] = (F, ms.LSVRDSG(0.05, probability=0.4, anchor=2))
    for sketch in (ms.RandK(D, 3), ms.PermK(D, 4), ms.Haar(D, 2)):
        F = ms.Distributed(quadratics(4), sketch, SHIFT)
        found[f"clients, {sketch.name}"] = (F, ms.DistributedDSGD(0.02, compression=ms.NaturalCompressor()))
        found[f"clients, {sketch.name}, GD"] = (F, ms.GD(0.02))
        F = ms.Distributed(ms.split(PROBLEMS["logistic"], 3), ms.RandK(D, 3), SHIFT)
        found[f"clients, {sketch.name}, sampled"] = (F, ms.DistributedDSGD(0.02, ms.Nice(2)))
    return found


CASES = cases()
SETTINGS = {"steps": 4, "replicas": 5, "seed": 3, "x0": "normal", "every": 2, "measures": ("f",), "progress": False}


@pytest.fixture(autouse=True)
def no_silent_conversion(monkeypatch):
    """Refuse to turn device arrays into NumPy's unasked, as CuPy does."""

    def refuse(self, *args, **options):
        raise TypeError("a device array was converted to NumPy without being asked to")

    if StrictArray is not None:
        monkeypatch.setattr(StrictArray, "__array__", refuse)


@pytest.fixture
def stand_in():
    pytest.importorskip("array_api_strict")
    return Device("stand-in", strict)


@pytest.fixture
def gpu():
    return find_device("gpu")


on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(os.environ.get("MASTSIM_TEST_DEVICE") != "gpu", reason="set MASTSIM_TEST_DEVICE=gpu to run on a GPU"),
]
DEVICES = ["stand_in", pytest.param("gpu", marks=on_gpu)]
each_device = pytest.mark.parametrize("where", DEVICES)


def tolerance(where):
    return 1e-12 if where == "stand_in" else 1e-9


def assert_alike(found, expected, tol):
    for tables in ("state", "traces"):
        for name, table in getattr(expected, tables).items():
            other = getattr(found, tables)[name]
            assert type(other) is np.ndarray
            np.testing.assert_allclose(other, table, rtol=tol, atol=tol, err_msg=f"{tables} {name}")


@each_device
@pytest.mark.parametrize("name", CASES)
def test_a_device_takes_the_steps_of_the_host(name, where, request):
    F, method = CASES[name]
    expected = ms.simulate(method, F, **SETTINGS)
    device = request.getfixturevalue(where)
    found = ms.simulate(method, F, device=device, **SETTINGS)
    assert (expected.device, found.device) == ("cpu", device.name)
    assert np.ptp(expected.x, axis=0).max() > 0
    assert not np.allclose(found.traces["f"][:, 0], found.traces["f"][:, -1], rtol=1e-6, atol=0)
    assert_alike(found, expected, tolerance(where))


@each_device
@pytest.mark.parametrize("evaluate", ["closed form", "enumeration", "monte carlo", "rows", "finite sum", "clients"])
def test_measures_of_a_device_are_those_of_the_host(evaluate, where, request):
    name = {"closed form": "quadratic", "finite sum": "finite sum"}.get(evaluate, "logistic")
    F = ms.Mast(PROBLEMS[name], ms.RandK(D, 3), SHIFT, evaluate="rows" if evaluate == "clients" else evaluate)
    method = ms.DSGD(0.05)
    if evaluate == "clients":
        F, method = ms.Distributed(ms.split(PROBLEMS["logistic"], 2), ms.RandK(D, 3), SHIFT), ms.DistributedDSGD(0.05)
    settings = SETTINGS | {"measures": (*ms.run.MEASURES, *ms.run.AVERAGE_MEASURES)}
    found = ms.simulate(method, F, device=request.getfixturevalue(where), **settings)
    assert_alike(found, ms.simulate(method, F, **settings), 10 * tolerance(where))


@each_device
def test_random_numbers_are_bitwise_those_of_the_host(where, request):
    xp = request.getfixturevalue(where).xp
    for purpose in PURPOSES:
        for seed, step, count in [(0, 0, 1), (2**64 - 1, 2**32 - 1, 7)]:
            found = Streams(seed).uniform(purpose, step, xp.arange(3, 9), count)
            assert asnumpy(found).tolist() == Streams(seed).uniform(purpose, step, np.arange(3, 9), count).tolist()


@each_device
@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_on_a_device(name, where, request):
    f, device = PROBLEMS[name], request.getfixturevalue(where)
    there, x = f.on(device), np.random.default_rng(1).standard_normal((4, f.dim))
    for point in (x, x[0]):
        y, w = device.xp.asarray(point), device.xp.asarray(point[::-1].copy())
        for found, expected in [
            (there.value(y), f.value(point)),
            (there.gradient(y), f.gradient(point)),
            (there.hessian_product(y, w), f.hessian_product(point, point[::-1].copy())),
        ]:
            np.testing.assert_allclose(asnumpy(found), expected, rtol=tolerance(where), atol=tolerance(where))


@each_device
@pytest.mark.parametrize("evaluate", ["closed form", "enumeration", "monte carlo", "finite sum"])
def test_expectations_on_a_device(evaluate, where, request):
    name = {"closed form": "quadratic", "finite sum": "finite sum"}.get(evaluate, "logistic")
    F, device = ms.Mast(PROBLEMS[name], ms.RandK(D, 3), SHIFT, evaluate=evaluate), request.getfixturevalue(where)
    there, x = F.on(device), np.random.default_rng(1).standard_normal((3, D))
    assert there.runs_on_devices
    y = device.xp.asarray(x)
    value, gradient = there.value_and_gradient(y)
    for found, expected in [
        (value, F.value(x)),
        (gradient, F.gradient(x)),
        (there.hessian_product(y, y), F.hessian_product(x, x)),
    ]:
        np.testing.assert_allclose(asnumpy(found), expected, rtol=tolerance(where), atol=tolerance(where))


@each_device
def test_chunks_starts_and_companions_on_a_device(where, request):
    device, F, method = request.getfixturevalue(where), objective("logistic", ms.RandK(D, 3)), ms.DSGD(0.05, ms.Nice(3))
    together = ms.simulate(method, F, device=device, **SETTINGS)
    in_chunks = ms.simulate(method, F, device=device, chunk=2, threads=2, **SETTINGS)
    assert_alike(in_chunks, together, tolerance(where))
    fewer = ms.simulate(method, F, device=device, **SETTINGS | {"replicas": 3})
    np.testing.assert_allclose(fewer.x, together.x[:3], rtol=tolerance(where), atol=tolerance(where))
    start = np.random.default_rng(2).standard_normal(D)
    settings = SETTINGS | {"x0": start}
    assert_alike(ms.simulate(method, F, device=device, **settings), ms.simulate(method, F, **settings), tolerance(where))
    moved = ms.simulate(method, F, device=device, **settings | {"x0": device.xp.asarray(start)})
    assert_alike(moved, ms.simulate(method, F, **settings), tolerance(where))


@each_device
@pytest.mark.parametrize("method", [ms.DSGD(0.05), ms.PAGE(0.05), ms.LSVRDSG(0.05, probability=0.5)])
def test_a_run_on_a_device_is_resumed_there(method, where, request, tmp_path):
    device, F = request.getfixturevalue(where), objective("quadratic", ms.RandK(D, 3))
    whole = ms.simulate(method, F, device=device, **SETTINGS)
    half = ms.simulate(method, F, device=device, **SETTINGS | {"steps": 2})
    half.save(tmp_path / "half.npz")
    loaded = ms.run.Run.load(tmp_path / "half.npz")
    assert loaded.device == device.name
    assert_alike(ms.simulate(method, F, device=device, resume=loaded, **SETTINGS), whole, tolerance(where))
    with pytest.raises(ValueError, match=f"its device is {device.name}, not cpu"):
        ms.simulate(method, F, resume=loaded, **SETTINGS)


def test_a_diverged_replica_measures_infinite_on_a_device(stand_in):
    F, x0 = objective("quadratic", ms.RandK(D, 3)), np.ones((3, D))
    x0[1] = 1e200
    settings = SETTINGS | {"x0": x0, "replicas": 3, "measures": ("distance", "gap", "gradient_norm", "f")}
    found = ms.simulate(ms.DSGD(1e120), F, device=stand_in, **settings)
    assert np.isinf(found.distance[:, -1]).all()
    assert_alike(found, ms.simulate(ms.DSGD(1e120), F, engine="array", **settings), 1e-12)


@pytest.mark.parametrize("method", [ms.GD(0.1), ms.LSVRDSG(0.1), ms.PAGE(0.1)])
def test_a_step_along_a_gradient_of_the_host_is_refused_at_once(method, stand_in, monkeypatch):
    F = ms.Mast(PROBLEMS["logistic"], ms.RandK(D, 3), SHIFT)
    monkeypatch.setattr(engine, "measure_points", lambda *a: pytest.fail("work was done before the refusal"))
    with pytest.raises(ValueError, match=r"f_D by 'rows' is computed by kernels for the host.*take device='cpu'"):
        ms.simulate(method, F, device=stand_in, **SETTINGS)
    there = F.on(stand_in)
    assert not there.runs_on_devices
    x = strict.zeros(D)
    for refused in (lambda: there.value(x), lambda: there.hessian_product(x, x), lambda: there.error_bound(x)):
        with pytest.raises(ValueError, match="f_D by 'rows'"):
            refused()


def test_clients_of_the_host_are_refused_where_the_step_needs_them(stand_in):
    F = ms.Distributed(ms.split(PROBLEMS["logistic"], 2), ms.RandK(D, 3), SHIFT)
    with pytest.raises(ValueError, match="f_D by 'rows'"):
        ms.simulate(ms.GD(0.1), F, device=stand_in, **SETTINGS)


def test_the_cosine_rotation_needs_a_library_that_has_it(stand_in):
    F = objective("quadratic", ms.Rotated(ms.RandK(D, 3), "dct"))
    with pytest.raises(TypeError, match="the rotation 'dct' needs NumPy or CuPy arrays"):
        ms.simulate(ms.DSGD(0.1), F, device=stand_in, **SETTINGS)


@pytest.mark.gpu
@pytest.mark.skipif(os.environ.get("MASTSIM_TEST_DEVICE") != "gpu", reason="set MASTSIM_TEST_DEVICE=gpu to run on a GPU")
def test_the_cosine_rotation_on_a_gpu(gpu):
    F = objective("quadratic", ms.Rotated(ms.RandK(D, 3), "dct"))
    assert_alike(ms.simulate(ms.DSGD(0.1), F, device="gpu", **SETTINGS), ms.simulate(ms.DSGD(0.1), F, **SETTINGS), 1e-9)


def fake_cupy(count):
    runtime = types.SimpleNamespace(getDeviceCount=count)
    return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))


def no_driver():
    raise RuntimeError("cudaErrorInsufficientDriver")


@pytest.mark.parametrize(
    ("cupy", "message"),
    [
        (None, r"device='gpu' needs CuPy, which cannot be imported: pip install 'mastsim\[gpu\]'.*or take device='cpu'"),
        (fake_cupy(lambda: 0), "CuPy finds no CUDA GPU"),
        (fake_cupy(no_driver), r"CuPy finds no CUDA GPU \(cudaErrorInsufficientDriver\); check nvidia-smi"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused_before_any_work(cupy, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(ms.run.Run, "begin", lambda *a, **k: pytest.fail("work was done before the refusal"))
    with pytest.raises(ValueError, match=message):
        ms.simulate(ms.DSGD(0.1), objective("quadratic", ms.RandK(D, 3)), device="gpu", **SETTINGS)
    monkeypatch.setattr(description, "load", lambda *a, **k: pytest.fail("data were loaded before the refusal"))
    done = CliRunner().invoke(cli.main, ["simulate", "--sketch", "randk:0.1", "--device", "gpu"])
    assert done.exit_code == 3
    assert "Error: device='gpu'" in done.output


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="unknown device 'gp'; did you mean 'gpu'"):
        find_device("gp")


def test_the_command_line_says_where_it_ran():
    words = ["simulate", "--data", "synthetic:n=20,d=4", "--sketch", "randk:0.5", "--steps", "2", "--replicas", "2"]
    done = CliRunner().invoke(cli.main, [*words, "--json", "-"])
    assert json.loads(done.stdout)["device"] == "cpu"


def test_the_command_line_runs_where_it_is_told(stand_in, monkeypatch):
    words = ["simulate", "--data", "synthetic:n=20,d=4", "--sketch", "randk:0.5", "--steps", "3", "--replicas", "2"]
    host = json.loads(CliRunner().invoke(cli.main, [*words, "--json", "-"]).stdout)
    monkeypatch.setattr(devices, "find_device", lambda name: {"gpu": stand_in}[name])
    there = json.loads(CliRunner().invoke(cli.main, [*words, "--device", "gpu", "--json", "-"]).stdout)
    assert there["device"] == "stand-in"
    for name, found in there["final"].items():
        assert found["mean"] == pytest.approx(host["final"][name]["mean"], rel=1e-10)


def test_the_host_moves_nothing_and_a_device_moves_once(stand_in):
    host, f = find_device("cpu"), PROBLEMS["sparse logistic"]
    assert host.is_host
    assert not stand_in.is_host
    assert find_device(stand_in) is stand_in
    assert f.on(host) is f
    assert host.move(ROWS) is ROWS
    assert stand_in.move(f) is stand_in.move(f)
    assert asnumpy(stand_in.move(f).A).tolist() == ROWS.tolist()
    F = ms.Distributed([f, f], ms.RandK(D, 3), SHIFT)
    there = F.on(stand_in)
    assert there.clients[0].problem is there.clients[1].problem is there.problem.problems[1]
    assert asnumpy(there.center).tolist() == SHIFT.tolist()


def test_what_namespaces_do_not_share():
    generator = np.random.default_rng(3)
    counts = generator.integers(0, 4, 9)
    by_hand = [i for i, count in enumerate(counts.tolist()) for _ in range(count)]
    assert backend.repeated(counts).tolist() == asnumpy(backend.repeated(strict.asarray(counts))).tolist() == by_hand
    assert asnumpy(backend.repeated(strict.zeros(0, dtype=strict.int64))).tolist() == []
    table, columns = generator.standard_normal((3, 5)), np.array([[0, 2], [4, 1], [3, 0]])
    values = generator.standard_normal((3, 2))
    expected = table.copy()
    for row in range(3):
        for j in range(2):
            expected[row, columns[row, j]] = values[row, j]
    for xp in (np, strict):
        rows = xp.arange(3)[:, None]
        found = backend.put(xp.asarray(table, copy=True), rows, xp.asarray(columns), xp.asarray(values))
        assert asnumpy(found).tolist() == expected.tolist()
        index = xp.asarray(np.array([[2, 0], [1, 1]]))
        assert asnumpy(backend.rows_at(xp.asarray(table), index)).tolist() == table[[[2, 0], [1, 1]]].tolist()
        assert asnumpy(backend.columns_at(xp.asarray(table), np.array([3, 3, 0]))).tolist() == table[:, [3, 3, 0]].tolist()
        size = xp.asarray([0.0, 1.0, 1.5, 0.1, 7.999, 8.0, 1e300, 2.0**-1022])
        powers = [0.0, 1.0, 1.0, 2.0**-4, 4.0, 8.0, 2.0 ** np.floor(np.log2(1e300)), 2.0**-1022]
        assert asnumpy(backend.power_of_two_below(size)).tolist() == powers
    assert backend.pieces(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert backend.pieces(0, 3) == []


class OnDevice:
    """What CuPy's arrays and sparse matrices look like to a reader: data on a device, and `get`."""

    def __init__(self, value, sparse):
        self.value = value
        marker = type("Marker", (), {"__cuda_array_interface__": {}})()
        self.data = marker if sparse else None
        if not sparse:
            self.__cuda_array_interface__ = {}

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def get(self):
        return self.value


@pytest.mark.parametrize("sparse", [False, True])
def test_data_on_a_device_are_taken(sparse):
    A, y = np.arange(12.0).reshape(4, 3), np.array([1.0, -1.0, 1.0, 1.0])
    data = OnDevice(sp.csr_array(A) if sparse else A, sparse)
    f = ms.LogisticRegression(data, OnDevice(y, False), l2=0.1)
    assert float(f.value(np.ones(3))) == float(ms.LogisticRegression(A, y, l2=0.1).value(np.ones(3)))
    assert ms.Quadratic(OnDevice(np.eye(2), False), OnDevice(np.ones(2), False)).dim == 2
