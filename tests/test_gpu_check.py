"""The check of a GPU from a bare source tree: what it imports, its dry run, and namespaces that lack what it needs."""

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from mastsim import namespaces
from mastsim.backend import namespace
from mastsim.namespaces import NUMPY, Filled, is_cupy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
NOT_THERE = ("cvxpy", "pooch", "array_api_compat", "cupy")


def in_a_process(*words, **environment):
    around = {key: value for key, value in os.environ.items() if key != "MASTSIM_TEST_DEVICE"} | environment
    return subprocess.run(words, cwd=ROOT, env=around, capture_output=True, text=True, timeout=600)


def test_a_simulation_runs_where_optional_packages_are_missing(tmp_path):
    hidden = f"import sys\nfor name in {NOT_THERE}: sys.modules[name] = None\n"
    code = """
import numpy as np, mastsim as ms
rng = np.random.default_rng(0)
f = ms.LogisticRegression(rng.standard_normal((20, 4)), np.sign(rng.standard_normal(20)), l2=0.1)
F = ms.Mast(f, ms.RandK(4, k=2))
for engine in ("auto", "array"):
    run = ms.simulate(ms.DSGD(0.1), F, steps=3, replicas=2, engine=engine, measures=("f", "gap"))
    print(len(run.gap))
try:
    ms.simulate(ms.DSGD(0.1), F, steps=3, device="gpu")
except ValueError as refused:
    print("gpu13" in str(refused))
from benchmarks import crossover
crossover.main(["--stand-in", "--seconds", "0"])
"""
    done = in_a_process(sys.executable, "-c", hidden + code, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    count, again, said, *rest = done.stdout.splitlines()
    assert (count, again, said) == ("2", "2", "True")
    assert rest[-1].startswith("Left out for time: logistic, sparse")


@pytest.mark.slow
def test_the_dry_run_passes_from_anywhere(tmp_path):
    path = str(ROOT / "benchmarks" / "gpu_check.sh")
    done = subprocess.run(
        ["sh", path, "--dry-run"], cwd=tmp_path, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True,
        timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "stand-in; replica-steps a second" in done.stdout
    assert "Through the host go" in done.stdout


def test_the_check_of_a_gpu_fails_where_there_is_none(tmp_path):
    hide = tmp_path / "cupy.py"
    hide.write_text("raise ImportError('no cupy here')")
    done = in_a_process(sys.executable, "-m", "benchmarks.crossover", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode != 0
    assert "device='gpu' needs CuPy" in done.stderr


LACKING = ("concat", "astype", "matrix_transpose", "bool", "cumulative_sum")


class Old(types.ModuleType):
    """NumPy without what the array standard brought, under the name of CuPy."""

    linalg = types.ModuleType("cupy.linalg")

    def __getattr__(self, name):
        if name in LACKING:
            raise AttributeError(name)
        return getattr(np, name)


Old.linalg.svd, Old.linalg.qr = np.linalg.svd, np.linalg.qr


def test_names_that_a_namespace_lacks_are_filled_in_from_what_it_has():
    x = np.random.default_rng(0).standard_normal((3, 4))
    old = Filled(Old("cupy"))
    assert (old.concat([x, x]) == np.concat([x, x])).all()
    assert old.astype(x, old.int64).dtype == np.int64
    assert (old.matrix_transpose(x[None]) == np.matrix_transpose(x[None])).all()
    assert (old.cumulative_sum(x[0]) == np.cumulative_sum(x[0])).all()
    assert old.bool is np.bool
    assert (old.linalg.svdvals(x) == np.linalg.svd(x, compute_uv=False)).all()
    assert old.exp is np.exp
    with pytest.raises(AttributeError):
        _ = old.nothing_of_that_name
    assert is_cupy(old)


def test_arrays_of_cupy_get_its_namespace_filled_in(monkeypatch):
    kind = type("ndarray", (), {"__module__": "cupy"})
    monkeypatch.setitem(sys.modules, "cupy", Old("cupy"))
    namespaces._cupy.cache_clear()
    try:
        xp = namespace(kind(), 1.0)
        assert xp.__name__ == "cupy"
        assert xp is namespace(kind())
        with pytest.raises(TypeError, match="arrays of cupy and of numpy are mixed"):
            namespace(kind(), np.ones(2))
    finally:
        namespaces._cupy.cache_clear()


def test_what_is_no_array_has_no_namespace():
    assert namespace(np.ones(2), 1, None, 2.0) is NUMPY
    assert namespace(np.float64(1.0)) is NUMPY
    for wrong, words in (([1.0], "list is no array"), (1.0, "no array was given")):
        with pytest.raises(TypeError, match=words):
            namespace(wrong)
