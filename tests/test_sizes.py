"""Sizes are checked before work: what does not fit is refused with the bytes it needs and what to change."""

import json
import re

import numpy as np
import pytest
import scipy.sparse as sp
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import mastsim as ms
from mastsim import memory, pace, simulation, sweeps
from mastsim.backend import STEPS, Streams
from mastsim.cli import main
from mastsim.kernels.draws import KernelDraw
from mastsim.verification.attack import replay

GIB = 1 << 30
TINY = "synthetic:n=40,d=6,condition=10"
WIDE = 300_000


@pytest.fixture(autouse=True)
def one_gibibyte(monkeypatch):
    """Every test runs as on a machine with one GiB free."""
    monkeypatch.setattr(memory, "free_memory", lambda: GIB)


def quadratic() -> ms.Mast:
    return ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.RandK(2, k=1))


def refused(*arguments: str, code: int = 3) -> str:
    """Return the words of a refusal: by the machine, 3, or of an argument or a file's content, 2."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output + str(result.exception)
    return result.output


# ------------------------------------------------------------------------------------------- the mechanism


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=4), st.integers(1, 64))
def test_what_fits_is_accepted_and_what_does_not_is_refused_with_its_bytes(shape, itemsize):
    needed = itemsize
    for count in shape:
        needed *= count
    if needed <= GIB:
        memory.check_room("it", *shape, change="do less", itemsize=itemsize)
        return
    with pytest.raises(ValueError, match=rf"^it \(.*\): .* \({needed} bytes\) are needed, .* do less$") as told:
        memory.check_room("it", *shape, change="do less", itemsize=itemsize)
    spelled = re.search(r": ([\d.]+) (\w+) \(", str(told.value))
    power = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].index(spelled[2])
    assert float(spelled[1]) * 1024**power == pytest.approx(needed, abs=0.051 * 1024**power)


def test_the_edge_is_where_it_is_said_to_be():
    memory.check_room("it", GIB // 8, change="do less")
    with pytest.raises(ValueError, match=r"only 1\.0 GiB of memory are free; do less"):
        memory.check_room("it", GIB // 8 + 1, change="do less")
    memory.check_room("it", 512, change="do less", limit=4096)
    with pytest.raises(ValueError, match=r"4\.0 KiB \(4104 bytes\) are needed, but at most 4\.0 KiB are accepted"):
        memory.check_room("it", 513, change="do less", limit=4096)
    with pytest.raises(ValueError, match="inf bytes"):
        memory.check_room("it", float("inf"), change="do less")


def test_the_least_of_all_limits_counts(monkeypatch, tmp_path):
    monkeypatch.undo()
    machine = memory.free_memory()
    assert 0 < machine < 1 << 50
    for name, text in (("max", "1000000"), ("usage", "400000"), ("memory.stat", "anon 5\ninactive_file 1000\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_GROUPS", ((str(tmp_path), "max", "usage"), ("/nowhere", "max", "usage")))
    assert memory.free_memory() == 601_000
    (tmp_path / "max").write_text("max\n")
    assert memory.free_memory() > 601_000


# ------------------------------------------------------------------------------------------------- simulate


@pytest.mark.parametrize(
    ("options", "needed", "change"),
    [
        (("--replicas", "1000000000000"), 10**12 * 6 * 48, "use fewer replicas (--replicas)"),
        (("--replicas", "10000000"), 10**7 * 6 * 48, "use fewer replicas (--replicas)"),
        (("--steps", "100000000", "--every", "1"), 4 * 16 * (10**8 + 2) * 16, "a larger every (--every)"),
        (("--replicas", "3000000"), 4 * 3 * 10**6 * 102 * 16, "use fewer replicas (--replicas)"),
    ],
)
def test_a_simulation_that_does_not_fit_is_refused(options, needed, change):
    said = refused("simulate", "--data", TINY, "--sketch", "randk:0.5", *options)
    assert f"({needed} bytes) are needed, but only 1.0 GiB of memory are free" in said
    assert change in said


def test_a_simulation_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(ms.Mast, "minimize", lambda self: pytest.fail("x_D* was computed"))
    for options in ({"replicas": 10**9, "steps": 5}, {"replicas": 4, "steps": 10**9, "every": 1}):
        with pytest.raises(ValueError, match="bytes"):
            ms.simulate(ms.DSGD(0.1), quadratic(), **options)
    many = ms.Mast(ms.Quadratic(np.eye(2), np.ones(2)), ms.Gaussian(2, k=10**9))
    with pytest.raises(ValueError, match=r"the sketches of replicas × draws .* use a sketch that draws fewer"):
        ms.simulate(ms.DSGD(0.1), many, steps=5)


@given(st.integers(1, 10**4), st.integers(1, 10**9), st.integers(1, 10**7), st.integers(1, 10**6))
def test_what_check_sizes_accepts_really_is_small(dim, steps, replicas, every):
    tables = 4 * replicas * (steps // every) * 8
    try:
        simulation.check_sizes(dim, steps, replicas, every)
    except ValueError as refusal:
        assert "bytes" in str(refusal)  # noqa: PT017
        assert max(tables, replicas * dim * 8) > GIB / 10
    else:
        assert tables + replicas * dim * 8 <= GIB


def test_more_steps_than_there_are_random_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 1 << 60)
    said = refused("simulate", "--data", TINY, "--sketch", "randk:0.5", "--steps", str(STEPS + 1), code=2)
    assert said == f"Error: steps={STEPS + 1} is not accepted: random numbers are told apart up to {STEPS}, so use no more\n"
    simulation.check_sizes(1, STEPS, 2**32)
    with pytest.raises(ValueError, match="replicas=4294967297 is not accepted"):
        simulation.check_sizes(1, 10, 2**32 + 1)


def test_a_grid_is_refused_before_its_first_task():
    grid = {"data": TINY, "sketch": "randk:0.5", "steps": 10, "replicas": [2, 10**9]}
    with pytest.raises(ValueError, match=r"grid key 'replicas' with data .*: the iterates of replicas × d .*bytes"):
        sweeps.read_grid(grid)
    values = list(range(1000))
    product = {"data": TINY, "sketch": "randk:0.5", "seed": values, "steps": [v + 1 for v in values]}
    with pytest.raises(ValueError, match=r"the grid has 1000000 tasks, but at most 100000 are accepted: split it up"):
        sweeps.read_grid(product)


# ---------------------------------------------------------------------------------------- data and matrices


@pytest.mark.parametrize("options", ["n=1000000,d=1000", "n=100000000,d=1", "n=1000000,d=1000,density=0.01"])
def test_synthetic_data_are_refused_before_they_are_drawn(options):
    said = refused("constants", "--data", f"synthetic:{options}", "--sketch", "identity")
    assert "synthetic data of n × d" in said
    assert "bytes) are needed" in said
    assert "choose a smaller n or d" in said


SKETCHES = [
    ms.Identity(WIDE),
    ms.RandK(WIDE, k=9),
    ms.Bernoulli(WIDE, 0.5),
    ms.NofM(WIDE, 1, 2),
    ms.Gaussian(WIDE, 12),
    ms.Haar(WIDE, 12),
    ms.PermK(WIDE, clients=4),
    ms.Unscaled(ms.RandK(WIDE, k=9)),
    ms.Composed(ms.RandK(WIDE, k=9), ms.Bernoulli(WIDE, 0.5)),
]


@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda S: type(S).__name__)
def test_second_moments_in_high_dimension_are_refused(sketch):
    with pytest.raises(ValueError, match=rf"the second moment of .* \({8 * WIDE**2} bytes\) are needed.*fewer dimensions"):
        sketch.second_moment()
    with pytest.raises(ValueError, match=r"samples of .* draw fewer at once"):
        sketch.sample(np.random.default_rng(0), 10**6)


@pytest.mark.parametrize("sketch", [ms.RandK(WIDE, k=1), ms.NofM(1 << 20, 1, 1 << 20)], ids=lambda S: S.name)
def test_supports_in_high_dimension_are_refused(sketch):
    with pytest.raises(ValueError, match=r"the support of .* sample the sketch instead"):
        sketch.support()


def test_matrices_of_problems_in_high_dimension_are_refused():
    A = sp.csr_array(([1.0, 2.0], ([0, 1], [0, WIDE - 1])), shape=(2, WIDE))
    f = ms.LeastSquares(A, np.ones(2), l2=0.1)
    F, zero = ms.Mast(f, ms.RandK(WIDE, k=9)), np.zeros(WIDE)
    acts = [
        lambda: f.upper_curvature,
        lambda: f.lower_curvature,
        lambda: ms.LogisticRegression(A, np.array([1.0, -1.0]), l2=0.1).lower_curvature,
        lambda: f.hessian(zero),
        lambda: F.hessian(zero),
        lambda: F.curvature,
        lambda: ms.Quadratic(sp.eye_array(WIDE), zero),
        lambda: ms.TwoLayerNetwork(np.ones((2, 3)), np.array([1.0, -1.0]), 10**8, 0.1),
    ]
    for act in acts:
        with pytest.raises(ValueError, match=r"bytes\) are needed, but only 1\.0 GiB of memory are free; \w+"):
            act()


def test_moments_of_too_many_steps_are_refused():
    with pytest.raises(ValueError, match=r"the moments after every step .*propagate fewer steps"):
        ms.moments.propagate(quadratic(), ms.DSGD(0.1), np.zeros(2), 10**9)


def test_a_witness_of_a_billion_steps_is_refused(tmp_path):
    saved = tmp_path / "witness.json"
    CliRunner().invoke(main, ["verify", "--attack", "theorem1/nonconvex", "--budget", "50", "--witness", str(saved)])
    CliRunner().invoke(main, ["verify", "--attack", "theorem2", "--budget", "20", "--witness", str(saved)])
    told = json.loads(saved.read_text())
    told["witness"]["horizon"] = 10**9
    saved.write_text(json.dumps(told))
    said = refused("verify", "--replay", str(saved), code=2)
    assert "witness.json' is not a saved attack: it has more than 4096 numbers, 8 dimensions or 100000 steps" in said


@pytest.mark.parametrize("content", ["", "{}", "[]", "1", '{"theorem": "theorem2"}', "not json"])
def test_a_file_that_is_no_witness_names_itself(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"mine\.json' is not a saved attack"):
        replay(path)
    assert "mine.json" in refused("verify", "--replay", str(path), code=2)


def test_an_empty_grid_names_itself(tmp_path):
    (tmp_path / "grid.toml").write_text(" \n")
    assert "grid.toml' is not accepted: the file is empty" in refused("sweep", str(tmp_path / "grid.toml"), code=2)


# ------------------------------------------------------------------------------------------------ many steps


@settings(deadline=None)
@given(st.integers(0, STEPS - 1), st.integers(0, STEPS - 1), st.integers(0, 2**64 - 1))
def test_every_step_has_numbers_of_its_own_in_arrays_and_kernels_alike(one, other, seed):
    streams, S, who = Streams(seed), ms.RandK(9, k=4), np.arange(3)
    drawn = {step: streams.uniform("sketch", step, who, 4) for step in (one, other)}
    assert (drawn[one] == drawn[other]).all() == (one == other)
    expected = S.from_uniforms(drawn[one]).diagonals
    np.testing.assert_array_equal(KernelDraw(streams, one, who).of("sketch", S).diagonals, expected)
    assert not (streams.uniform("coin", one, who, 4) == drawn[one]).any()


@pytest.mark.parametrize("step", [2**32 - 1, 2**32, 2**33, 2**40 + 1, STEPS - 2])
def test_kernels_step_as_arrays_do_beyond_32_bits(step):
    F, x = quadratic(), np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]])
    streams, who, method = Streams(5), np.arange(3), ms.DSGD(0.1)
    way = ms.kernels.plan(method, F, "kernel")
    there = x.copy()
    way.descent.advance(there, who, step, np.full(2, 0.1), streams)
    here = method.init(F, x)
    for t in (step, step + 1):
        here = method.step(here, F, KernelDraw(streams, t, who))
    np.testing.assert_allclose(there, here.x, rtol=1e-13)


def test_what_the_first_steps_draw_is_as_it_was():
    found = Streams(0).uniform("sketch", 3, np.arange(2), 3)
    expected = [[0.48606907, 0.96357248, 0.70999716], [0.22976257, 0.73498959, 0.88505989]]
    np.testing.assert_allclose(found, expected, atol=5e-9)


@pytest.mark.parametrize("engine", ["kernel", "array"])
def test_long_strides_in_parts_give_the_same_bits(monkeypatch, engine):
    options = {"steps": 700, "every": 300, "replicas": 5, "seed": 3, "engine": engine}
    whole = ms.simulate(ms.DSGD(ms.InverseSqrtStep(0.1)), quadratic(), **options)
    monkeypatch.setattr(pace, "_FIRST_STEPS", 7)
    monkeypatch.setattr(pace, "_SHORT_SECONDS", 0.0)
    parts = ms.simulate(ms.DSGD(ms.InverseSqrtStep(0.1)), quadratic(), **options)
    np.testing.assert_array_equal(parts.x, whole.x)
    np.testing.assert_array_equal(parts.distance, whole.distance)
    np.testing.assert_array_equal(parts.recorded, [0, 300, 600, 700])


def test_a_kernel_is_never_given_a_long_list_of_steps(monkeypatch):
    from mastsim import engine
    from mastsim.kernels.planning import Descent

    sizes, real = [], Descent.advance

    def advance(self, x, replicas, first, stepsizes, streams):
        sizes.append(len(stepsizes))
        return real(self, x, replicas, first, stepsizes, streams)

    monkeypatch.setattr(Descent, "advance", advance)
    monkeypatch.setattr(engine, "_MOST_AT_ONCE", 64)
    ms.simulate(ms.DSGD(0.1), quadratic(), steps=5000, every=5000, engine="kernel")
    assert sum(sizes) == 5000
    assert max(sizes) == 64


def test_a_long_run_says_once_about_how_long_it_takes(monkeypatch):
    clock = iter(np.arange(0.0, 1e6, 1.0))
    monkeypatch.setattr(pace.time, "perf_counter", lambda: float(next(clock)))
    mine = pace.Pace(10**7)
    with pytest.warns(UserWarning, match="9998976 steps are left, which take about 2.7 hours"):
        mine.took(1024)
    mine.took(1024)
    assert pace.spell_seconds(10**7) == "115.7 days"


def test_an_error_of_the_machine_is_one_sentence(monkeypatch):
    for error, words, code in ((MemoryError("no room"), "no room", 3), (EOFError(), "EOFError without a reason", 2)):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr("mastsim.problems.loading.make_synthetic", fail)
        said = refused("constants", "--data", TINY, "--sketch", "identity", code=code)
        assert said == f"Error: {words}\n"
