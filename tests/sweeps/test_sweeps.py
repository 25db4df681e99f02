"""Sweeps: what a grid means, what a task computes, and that nothing finished is lost."""

import csv
import errno
import importlib.util
import itertools
import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest

import mastsim as ms
from mastsim import engine, files, version
from mastsim.single_thread import one_thread
from mastsim.stepsizes import AskedStep
from mastsim.sweeps import SweepError, SweepInterrupted, read_grid, records, sweep, work
from mastsim.sweeps import grid as grids

pytestmark = pytest.mark.slow

DATA = "synthetic:n=12,d=4,condition=10"
SMALL = {"data": DATA, "problem": "least-squares", "condition_number": 10, "sketch": "randk:0.5", "steps": 8, "replicas": 3}
ROOT = str(Path(ms.__file__).parents[1])


def grid(**changes):
    return SMALL | changes


def written(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.json")}


def same_tables(one, two):
    assert repr(one.table()) == repr(two.table())


# ------------------------------------------------------------------------------------------------ the grid


def test_product_in_the_order_of_the_keys():
    axes = {"sketch": ["randk:0.5", "identity"], "stepsize": [0.1, "sharp"], "steps": [3, 5], "seed": [0, 1, 2]}
    tasks = read_grid(grid(**axes))
    found = [(task.sketch, task.stepsize, task.steps, task.seed) for task in tasks]
    assert found == list(itertools.product(*axes.values()))
    assert len({task.key for task in tasks}) == 24


def test_every_setting_is_in_the_key():
    base = grid(
        measures=["gap"], every=4, clients=2, method={"name": "distributed", "minibatch": 2}, split="iid", shift="zero"
    )
    other = {
        "data": "synthetic:n=12,d=4,condition=11",
        "problem": "logistic",
        "condition_number": 11,
        "sketch": "identity",
        "shift": "erm",
        "clients": 3,
        "split": "label",
        "method": {"name": "distributed", "minibatch": 3},
        "stepsize": 0.1,
        "steps": 9,
        "replicas": 4,
        "seed": 1,
        "measures": ["distance"],
        "every": 3,
    }
    keys = [read_grid(base | {name: value})[0].key for name, value in other.items()]
    keys.append(read_grid({name: value for name, value in base.items() if name != "condition_number"} | {"l2": 10})[0].key)
    assert len({read_grid(base)[0].key, *keys}) == len(other) + 2


def test_key_is_known_and_does_not_depend_on_spelling(tmp_path):
    task = read_grid(grid(stepsize="2*theory", condition_number=10))[0]
    for same in ({"stepsize": " 2.0 * theory", "condition_number": 10.0}, {"seed": np.arange(1), "stepsize": "2e0*theory"}):
        assert read_grid(grid(**{"stepsize": "2*theory"} | same))[0].key == task.key
    assert json.loads(json.dumps(task.record())) == task.record()
    (tmp_path / "grid.toml").write_text('data = "synthetic:n=12,d=4,condition=10"\nproblem = "least-squares"\nsteps = 8\n'
        'condition_number = 10\nsketch = "randk:0.5"\nreplicas = [3]\nstepsize = "2*theory"\n')  # fmt: skip
    assert read_grid(tmp_path / "grid.toml")[0] == task


def test_a_changed_file_has_another_key(tmp_path):
    file, point = tmp_path / "rows", tmp_path / "v.npy"
    file.write_text("1 1:1 2:2\n-1 1:2 2:1\n1 2:1\n")
    np.save(point, np.zeros(2))
    mine = grid(data=str(file), shift=str(point))
    keys = [read_grid(mine)[0].key]
    np.save(point, np.ones(2))
    keys.append(read_grid(mine)[0].key)
    file.write_text("1 1:1 2:2\n-1 1:2 2:1\n-1 2:1\n")
    keys.append(read_grid(mine)[0].key)
    assert len(set(keys)) == 3


def test_methods_and_their_settings():
    listed = ["gd", {"name": "page", "probability": [0.1, 0.5], "sketches": 2}, {"name": "dsgd", "minibatch": [2, 4]}]
    found = [(task.method, dict(task.settings)) for task in read_grid(grid(method=listed))]
    page = [("page", {"probability": p, "sketches": 2}) for p in (0.1, 0.5)]
    assert found == [("gd", {}), *page, ("dsgd", {"minibatch": 2}), ("dsgd", {"minibatch": 4})]


BAD = [
    ({"sketches": ["identity"]}, "grid key 'sketches'; did you mean 'sketch'"),
    ({"sketch": None}, "no key 'sketch'"),
    ({"sketch": []}, "'sketch' is an empty list"),
    ({"sketch": ["identity", "rand:0.5"]}, "'sketch'.*'rand'; did you mean 'randk'"),
    ({"sketch": "randk:1.5"}, "'sketch'.*1.5"),
    ({"sketch": 0.5}, "'sketch': 0.5"),
    ({"data": "breast-cancr"}, "'data'.*did you mean 'breast-cancer'"),
    ({"problem": "logistik"}, "'problem'.*did you mean 'logistic'"),
    ({"l2": 0.1}, "both 'l2' and 'condition_number'"),
    ({"condition_number": None, "l2": -1}, "'l2': l2=-1"),
    ({"shift": "er"}, "'shift'.*'er'"),
    ({"method": "dsgdd"}, "'method'.*did you mean 'dsgd'"),
    ({"method": {"name": "page", "probabilty": 0.1}}, "'method'.*did you mean 'probability'"),
    ({"method": {"name": "page", "probability": 1.5}}, "'method'.*1.5"),
    ({"method": {"name": "page", "probability": []}}, "'probability' of page is an empty list"),
    ({"method": {"name": "gd", "minibatch": 2}}, "gd has no setting 'minibatch'"),
    ({"method": {"name": "dsgd", "minibatch": 13}}, "'method' with data.*13"),
    ({"method": {"name": "dsgd", "minibatch": True}}, "'method'"),
    ({"method": {"probability": 0.1}}, "has no 'name'"),
    ({"method": ["dsgd", {"name": "dsgd"}]}, "'method' repeats"),
    ({"method": "distributed"}, "needs the grid key 'clients'"),
    ({"clients": 2}, "'dsgd' is not for clients"),
    ({"clients": 13, "method": "gd"}, "'clients' with data.*13"),
    ({"stepsize": "thoery"}, "'stepsize'.*did you mean 'theory'"),
    ({"stepsize": "2*sharpp"}, "'stepsize'.*did you mean 'sharp'"),
    ({"stepsize": "-1*theory"}, "'stepsize': stepsize=-1"),
    ({"stepsize": "nan"}, "'stepsize': stepsize=nan"),
    ({"stepsize": [0.1, 0]}, "'stepsize': stepsize=0"),
    ({"steps": 0}, "'steps': steps=0"),
    ({"steps": 2.5}, "'steps': steps=2.5"),
    ({"replicas": True}, "'replicas'.*true"),
    ({"seed": [0, 1, 0]}, "'seed' repeats 0"),
    ({"seed": -1}, "'seed': seed=-1"),
    ({"measures": ["distanc"]}, "'measures'.*did you mean 'distance'"),
    ({"every": 0}, "'every': every=0"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_grids_are_refused_before_any_work(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sweep(grid(**change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_files_and_arguments(tmp_path):
    (tmp_path / "grid.toml").write_text("sketch = [")
    with pytest.raises(ValueError, match=r"grid\.toml is not a TOML file"):
        read_grid(tmp_path / "grid.toml")
    with pytest.raises(FileNotFoundError):
        read_grid(tmp_path / "none.toml")
    with pytest.raises(TypeError, match="mapping or the path"):
        read_grid(3)
    with pytest.raises(ValueError, match="workers=0"):
        sweep(SMALL, tmp_path, workers=0)
    with pytest.raises(ValueError, match="did you mean 'loky'"):
        sweep(SMALL, tmp_path, backend="loki")


def test_step_sizes_in_one_spelling():
    assert [AskedStep.read(s).spelled for s in ("theory", "1*sharp", "0.1", 2)] == ["theory", "sharp", 0.1, 2.0]
    assert AskedStep.read("0.10*sharp").spelled == "0.1*sharp"


# ------------------------------------------------------------------------------------------------ a task


def by_hand(seed, factor=1.0):
    """Return the run of SMALL and Theorem 2, without any of the sweep's code."""
    data = ms.load(DATA)
    F = ms.Mast(ms.LeastSquares(data.A, data.y, condition_number=10), ms.RandK(4, k=2))
    theorem = ms.theorems.StronglyConvexDSGD(F)
    run = ms.simulate(ms.DSGD(factor * theorem.stepsize), F, steps=8, replicas=3, seed=seed)
    return run, theorem


def test_rows_are_the_simulation_and_its_bound(tmp_path):
    table = sweep(grid(seed=[3, 4], stepsize=["theory", "0.5*theory", "1.5*theory"]), tmp_path).table()
    assert len(table) == 6 * 4
    for row in table:
        factor = {"theory": 1.0, "0.5*theory": 0.5, "1.5*theory": 1.5}[row["stepsize_asked"]]
        run, theorem = by_hand(row["seed"], factor)
        last = getattr(run, row["measure"])[:, -1]
        assert row["mean"] == pytest.approx(last.mean(), rel=1e-13)
        assert row["stderr"] == pytest.approx(last.std(ddof=1) / math.sqrt(3), rel=1e-13)
        assert (row["stepsize"], row["final_step"], row["replicas"]) == (run.stepsize, 8, 3)
        bounded = row["measure"] == "distance" and factor <= 1
        assert row["theorem"] == ("theorem2" if bounded else None)
        if bounded:
            assert row["bound"] == pytest.approx(float(theorem.bound(8, run.stepsize)), rel=1e-13)
        else:
            assert row["bound"] is None


def test_a_bound_on_what_is_not_recorded_has_a_row_of_its_own(tmp_path):
    found = sweep(grid(method={"name": "page", "probability": 0.5}, measures=["distance"]), tmp_path).table()
    assert [row["measure"] for row in found if row["bound"] is None] == ["distance"]
    (extra,) = [row for row in found if row["bound"] is not None]
    assert " " in extra["measure"]
    assert math.isnan(extra["mean"])
    assert extra["theorem"] is not None


def test_a_theorem_about_other_settings_promises_nothing(tmp_path):
    same = sweep(grid(method={"name": "lsvrdsg", "probability": 0.5}), tmp_path).table()
    data = ms.load(DATA)
    F = ms.Mast(ms.LeastSquares(data.A, data.y, condition_number=10), ms.RandK(4, k=2))
    (theorem,) = [t for t in ms.theorems.ALL if getattr(t, "method", "") == "LSVRDSG" and "published" not in t.status]
    mine = theorem(F, probability=0.5)
    assert same[0]["stepsize"] == mine.stepsize
    (bound,) = {row["bound"] for row in same if row["bound"] is not None}
    assert bound == pytest.approx(float(mine.claim(8, mine.stepsize, mine.initial)), rel=1e-13)


@pytest.mark.parametrize("change", [{"method": "gd", "stepsize": ["theory", "sharp"]}, {"shift": "erm"}])
def test_other_settings_reach_the_simulation(change, tmp_path):
    for row in sweep(grid(**change), tmp_path).table():
        data = ms.load(DATA)
        f = ms.LeastSquares(data.A, data.y, condition_number=10)
        F = ms.Mast(f, ms.RandK(4, k=2), shift=f.minimize().x if "shift" in change else None)
        smooth = (F.L_fD_sharp if row["stepsize_asked"] == "sharp" else F.L_fD).value
        gamma = 1 / smooth if row["method"] == "gd" else ms.theorems.StronglyConvexDSGD(F).stepsize
        run = ms.simulate((ms.GD if row["method"] == "gd" else ms.DSGD)(gamma), F, steps=8, replicas=3, seed=0)
        assert row["stepsize"] == pytest.approx(gamma, rel=1e-14)
        assert row["mean"] == pytest.approx(getattr(run, row["measure"])[:, -1].mean(), rel=1e-12, abs=1e-14)


def test_clients(tmp_path):
    found = sweep(grid(method="distributed", clients=2, sketch="permk:2", split="label"), tmp_path)
    assert {row["clients"] for row in found.table()} == {2}
    assert all(row["mean"] >= 0 for row in found.table() if row["measure"] != "f")


def test_one_thread_for_every_task():
    from threadpoolctl import threadpool_info

    before = [pool["num_threads"] for pool in threadpool_info()]
    with one_thread():
        with one_thread():
            pass
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before


# ------------------------------------------------------------------------------------------------ many tasks

MANY = {"sketch": ["randk:0.5", "bernoulli:0.3"], "seed": list(range(5)), "stepsize": ["theory", 0.05]}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return sweep(grid(**MANY), tmp_path_factory.mktemp("alone"), runs=True)


@pytest.mark.parametrize(("workers", "backend"), [(2, "loky"), (3, "threading"), (1, "sequential")])
def test_bitwise_the_same_for_any_workers(workers, backend, alone, tmp_path):
    found = sweep(grid(**MANY), tmp_path, workers=workers, backend=backend)
    same_tables(found, alone)
    assert set(found.seconds) == set(alone.seconds)


def test_backend_of_an_enclosing_context(alone, tmp_path):
    with joblib.parallel_config(backend="threading", n_jobs=2):
        same_tables(sweep(grid(**MANY), tmp_path, backend=None), alone)


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs mastsim[cluster] (distributed)")
def test_dask(alone, tmp_path):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        same_tables(sweep(grid(**MANY), tmp_path, workers=2, backend="dask"), alone)


@pytest.mark.skipif(importlib.util.find_spec("distributed") is not None, reason="distributed is installed")
def test_dask_says_what_it_needs(tmp_path):
    with pytest.raises(ValueError, match=r"mastsim\[cluster\]"):
        sweep(SMALL, tmp_path, backend="dask")


def test_a_rerun_does_only_what_is_missing(alone, tmp_path):
    first = sweep(grid(**MANY | {"seed": [0, 1]}), tmp_path)
    kept = written(tmp_path)
    assert (first.computed, first.done, len(kept)) == (8, 8, 8)
    again = sweep(grid(**MANY), tmp_path)
    assert (again.computed, again.done) == (12, 20)
    assert sweep(grid(**MANY), tmp_path).computed == 0
    assert kept.items() <= written(tmp_path).items()
    same_tables(again, alone)


def damage(text, way):
    """Return what a file could look like after an accident."""
    body = json.loads(text)
    if way == "another number":
        body["result"]["final"]["gap"]["mean"] *= 2
    if way == "another task":
        body["task"]["seed"] += 1
    ways = {
        "empty": b"",
        "half": text[: len(text) // 2],
        "no document": b"[1]",
        "not text": b"\xff\xfe\x00",
        "zeros": bytes(99),
    }
    return ways.get(way, json.dumps(body).encode())


WAYS = ["empty", "half", "no document", "not text", "zeros", "another number", "another task"]


@pytest.mark.parametrize("way", WAYS)
def test_damaged_records_are_done_again(way, tmp_path):
    whole = sweep(grid(seed=[0, 1]), tmp_path)
    file = tmp_path / f"{whole.tasks[1].key}.json"
    file.write_bytes(damage(file.read_bytes(), way))
    again = sweep(grid(seed=[0, 1]), tmp_path)
    assert again.computed == 1
    same_tables(again, whole)


def test_a_record_under_another_name_is_not_taken(tmp_path):
    whole = sweep(grid(seed=[0, 1]), tmp_path)
    one, two = (tmp_path / f"{task.key}.json" for task in whole.tasks)
    one.write_bytes(two.read_bytes())
    again = sweep(grid(seed=[0, 1]), tmp_path)
    assert again.computed == 1
    same_tables(again, whole)


def test_traces_are_kept_when_asked_for(alone, tmp_path):
    run = alone.run(alone.tasks[0])
    assert run.traces["gap"].shape == (3, 9)
    assert run.final()["gap"]["mean"] == alone.table()[1]["mean"]
    sweep(grid(seed=[0, 1]), tmp_path)
    with_runs = sweep(grid(seed=[0, 1]), tmp_path, runs=True)
    assert with_runs.computed == 2
    (tmp_path / f"{with_runs.tasks[0].key}.npz").write_bytes(b"PK")
    assert sweep(grid(seed=[0, 1]), tmp_path).computed == 0
    assert sweep(grid(seed=[0, 1]), tmp_path, runs=True).computed == 1


def test_the_traces_of_another_task_are_not_taken(tmp_path):
    whole = sweep(grid(seed=[0, 1]), tmp_path, runs=True)
    one, two = (tmp_path / f"{task.key}.npz" for task in whole.tasks)
    one.write_bytes(two.read_bytes())
    with pytest.raises(ValueError, match="is not the run of this task"):
        whole.run(whole.tasks[0])
    again = sweep(grid(seed=[0, 1]), tmp_path, runs=True)
    assert again.computed == 1
    same_tables(again, whole)
    assert again.run(again.tasks[0]).request.seed == 0


def test_grids_in_one_folder_have_keys_of_their_own(tmp_path):
    one, two = sweep(grid(seed=[0, 1]), tmp_path), sweep(grid(seed=[1, 2]), tmp_path)
    assert len({one.key, two.key, sweep(grid(seed=[1, 0]), tmp_path).key}) == 3
    assert sweep(grid(seed=[0, 1]), tmp_path).key == one.key


def test_numbers_that_tasks_share_do_not_hide_what_differs():
    tasks = read_grid(grid(sketch=["randk:0.5", "identity"], steps=[3, 5], replicas=[2, 3], seed=[0, 1]))
    assert len({task.key for task in tasks}) == 16
    assert len(tasks) == 16
    for task in tasks:
        settings = {name: getattr(task, name) for name in ("sketch", "steps", "replicas", "seed")}
        assert read_grid(grid(**settings))[0].key == task.key
        assert read_grid(grid(**settings))[0] == task


@pytest.mark.parametrize("size", [10**5 + 1, 10**6])
def test_a_grid_that_is_too_large_is_refused_in_one_line(size):
    with pytest.raises(ValueError, match=f"^the grid has {size} tasks, but at most 100000 are accepted: split it up$"):
        read_grid(grid(seed=list(range(size))))


def test_repeats_are_found_in_one_pass(monkeypatch):
    """Comparisons of values are counted: a quadratic search would make 2e8 of them."""
    count = itertools.count()

    class Counted(int):
        def __eq__(self, other):
            next(count)
            return int(self) == int(other)

        __hash__ = int.__hash__

    grids._no_repeats("seed", [Counted(n) for n in range(20_000)])
    assert next(count) < 100_000
    with pytest.raises(ValueError, match="'seed' repeats 7"):
        grids._no_repeats("seed", [Counted(n) for n in (*range(20_000), 7)])


def test_only_old_partial_files_are_removed(tmp_path):
    old, new = tmp_path / "a.json.1.partial", tmp_path / "b.json.2.partial"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    sweep(SMALL, tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


def test_records_of_another_version_are_kept_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(version, "__version__", "0.0.9")
    sweep(SMALL, tmp_path)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"records of mastsim 0\.0\.9"):
        again = sweep(SMALL, tmp_path)
    assert again.computed == 0
    assert {row["mastsim"] for row in again.table()} == {"0.0.9"}


def test_data_that_change_after_the_grid_was_read(tmp_path):
    file = tmp_path / "rows"
    file.write_text("1 1:1 2:2\n-1 1:2 2:1\n1 2:1\n")
    task = read_grid(grid(data=str(file)))[0]
    file.write_text("1 1:1 2:2\n-1 1:2 2:1\n-1 2:1\n")
    key, why = work.work(task, str(tmp_path), False, os.getpid())
    assert key == task.key
    assert "not those of the grid" in why
    assert not written(tmp_path)


def test_csv_is_read_back_exactly(alone, tmp_path):
    alone.save_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = alone.table()
    assert len(rows) == len(table)
    for read, row in zip(rows, table, strict=True):
        assert float(read["mean"]) == row["mean"]
        assert read["key"] == row["key"]
        assert (read["data_sha256"], read["mastsim"]) == (ms.load(DATA).sha256, ms.__version__)
        assert read["theorem"] == (row["theorem"] or "")
    assert not {"seconds"} & set(rows[0])


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_parquet_says_what_it_needs(alone, tmp_path):
    with pytest.raises(ModuleNotFoundError, match="pyarrow"):
        alone.save_parquet(tmp_path / "table.parquet")


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs mastsim[cluster] (pyarrow)")
def test_parquet_holds_the_table(alone, tmp_path):
    import pyarrow.parquet

    alone.save_parquet(tmp_path / "table.parquet")
    read = pyarrow.parquet.read_table(tmp_path / "table.parquet").to_pylist()
    assert [row["mean"] for row in read] == [row["mean"] for row in alone.table()]


# ------------------------------------------------------------------------------------------------ accidents


def test_a_task_that_fails_does_not_stop_the_others(tmp_path):
    # No theorem is about L-SVRDSG with sampled gradients.
    mine = grid(method=["dsgd", {"name": "lsvrdsg", "minibatch": 2}], seed=[0, 1])
    found = sweep(mine, tmp_path)
    assert set(found.failures) == {task.key for task in read_grid(mine) if task.method == "lsvrdsg"}
    assert all("no theorem covers" in why for why in found.failures.values())
    assert (found.done, found.computed, len(written(tmp_path))) == (2, 2, 2)
    rows = found.table()
    assert [(row["method"], row["seed"]) for row in rows if row["status"] == "failed"] == [("lsvrdsg", 0), ("lsvrdsg", 1)]
    assert all("no theorem covers" in row["reason"] for row in rows if row["status"] == "failed")
    assert len({tuple(row) for row in rows}) == 1
    found.save_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["status"] for row in read] == [row["status"] for row in rows]


def test_a_full_disk(tmp_path, monkeypatch):
    mine, room = grid(seed=list(range(6))), itertools.count()
    real = os.fsync

    def fsync(number):
        if next(room) in (2, 3):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    monkeypatch.setattr(files.os, "fsync", fsync)
    found = sweep(mine, tmp_path)
    assert [("No space left" in why) for why in found.failures.values()] == [True, True]
    assert found.done == 4
    kept = written(tmp_path)
    assert len(kept) == 4
    assert not list(tmp_path.glob("*.partial"))
    again = sweep(mine, tmp_path)
    assert again.computed == 2
    assert kept.items() <= written(tmp_path).items()


def test_interruption_in_the_middle_of_a_task(tmp_path, monkeypatch):
    calls, real = itertools.count(), engine.Engine.advance

    def advance(self, *arguments):
        if next(calls) == 25:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(engine.Engine, "advance", advance)
    with pytest.raises(SweepInterrupted, match=r"2 of 5 tasks are done and kept.*other 3") as caught:
        sweep(grid(seed=list(range(5))), tmp_path)
    statuses = {row["seed"]: row["status"] for row in caught.value.sweep.table()}
    assert statuses == {0: "done", 1: "done", 2: "missing", 3: "missing", 4: "missing"}
    kept = written(tmp_path)
    assert sweep(grid(seed=list(range(5))), tmp_path).computed == 3
    assert kept.items() <= written(tmp_path).items()


PROGRAM = """
import sys, json
from mastsim.sweeps import sweep
if __name__ == "__main__":
    sweep(json.loads(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]))
"""
TASKS = 120
SLOW = grid(seed=list(range(TASKS)), steps=2000, replicas=32, measures=["distance"])


def start(settings, folder, workers=1):
    arguments = [sys.executable, "-c", PROGRAM, json.dumps(settings), str(folder), str(workers)]
    path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        arguments, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(folder, count, alive):
    """Wait until so many records are there, or the process has ended."""
    while len(list(Path(folder).glob("*.json"))) < count and alive():
        time.sleep(0.002)


@pytest.fixture(scope="module")
def forks():
    """Return a context whose processes come from one that has imported the package: a start takes no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mastsim.sweeps.engine", "mastsim.kernels"])
    return context


def test_killing_the_sweep_loses_no_finished_task(tmp_path, forks):
    rng, goal, kills, before = random.Random(0), 0, 0, {}
    while len(before) < TASKS:
        process = forks.Process(target=sweep, args=(SLOW, tmp_path))
        process.start()
        goal += rng.randint(2, 5) if kills < 20 else TASKS
        wait_for(tmp_path, goal, process.is_alive)
        time.sleep(0.02 * rng.random())
        process.kill()
        process.join()
        kept = written(tmp_path)
        # A record that was replaced since would differ in its seconds.
        assert before.items() <= kept.items()
        before, kills = kept, kills + (process.exitcode == -signal.SIGKILL)
    assert kills >= 20
    resumed = sweep(SLOW, tmp_path)
    assert (resumed.computed, resumed.done) == (0, TASKS)
    same_tables(resumed, sweep(SLOW, tmp_path / "once"))


def test_workers_of_a_killed_sweep_end_too(tmp_path):
    process = start(SLOW, tmp_path, workers=2)
    wait_for(tmp_path, 3, lambda: process.poll() is None)
    before = written(tmp_path)
    process.kill()
    # The pipe closes when the last of the processes that share it has ended.
    process.communicate(timeout=120)
    assert 3 <= len(before) <= len(written(tmp_path)) < TASKS
    assert before.items() <= written(tmp_path).items()


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c(workers, tmp_path):
    process = start(SLOW, tmp_path, workers)
    wait_for(tmp_path, 5, lambda: process.poll() is None)
    # A terminal interrupts all processes of the group.
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    kept = written(tmp_path)
    assert process.returncode != 0
    assert f"{len(kept)} of {TASKS} tasks are done and kept" in said
    assert 5 <= len(kept) < TASKS
    assert all(records.read_record(tmp_path, task, False) for task in read_grid(SLOW) if f"{task.key}.json" in kept)


def die_once(task, folder, runs, parent):
    """Carry out a task, but kill the worker the first time that the third seed comes."""
    flag = Path(folder) / "died"
    if task.seed == 3 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work.work(task, folder, runs, parent)


def test_a_killed_worker(tmp_path, monkeypatch):
    monkeypatch.setattr("mastsim.sweeps.engine.work", die_once)
    mine = grid(seed=list(range(8)))
    with pytest.raises(SweepError, match=r"a worker was lost, TerminatedWorkerError.*of 8 tasks are done and kept"):
        sweep(mine, tmp_path, workers=2)
    kept = written(tmp_path)
    again = sweep(mine, tmp_path, workers=2)
    assert again.computed == 8 - len(kept)
    assert again.done == 8
    assert kept.items() <= written(tmp_path).items()
