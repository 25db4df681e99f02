"""Where compiled kernels are kept, what makes new ones, and environments in which they still compile."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mastsim
from mastsim import compilation
from mastsim.compilation import njit

pytestmark = pytest.mark.slow

PACKAGE = Path(mastsim.__file__).parent
folder_of_kernels = compilation.kernel_folder.__wrapped__
TWO_BY_TWO = """
import numpy as np
from mastsim.linalg.rank import exact_rank
A = np.array([[1.0, 2.0], [2.0, 4.0]])
print(exact_rank([[A, A]]))
"""


def run(code: str, package: Path = PACKAGE, *flags: str, **environment: str):
    """Run code in a process of its own, with the package that lies somewhere."""
    known = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    around = known | {"PYTHONPATH": str(package.parent)} | environment
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, env=around, cwd=package.parent, capture_output=True, text=True, timeout=300)


@pytest.fixture
def copied(tmp_path) -> Path:
    """A copy of the package where nothing can be kept beside the sources."""
    package = tmp_path / "site" / "mastsim"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__pycache__").write_text("in the way")
    return package


# ------------------------------------------------------------------------------------------------------ the folder


def test_without_a_usual_folder_kernels_go_among_temporary_files_and_it_is_said_once(copied, tmp_path):
    (tmp_path / "temporary").mkdir()
    code = f"{TWO_BY_TWO}\nimport mastsim.linalg.double_double, mastsim.kernels"
    done = run(code, copied, "-B", HOME=os.devnull, XDG_CACHE_HOME=os.devnull, TMPDIR=str(tmp_path / "temporary"))
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert done.stderr.count("compiled kernels") == 1
    assert str(tmp_path / "temporary") in done.stderr
    assert list((tmp_path / "temporary").rglob("*.nbi"))


def test_without_any_folder_each_process_compiles_its_own(copied, monkeypatch):
    monkeypatch.setattr(compilation, "_usual_places", lambda: [Path(os.devnull)])
    monkeypatch.setattr("tempfile.tempdir", os.devnull)
    with pytest.warns(UserWarning, match="no folder"):
        assert folder_of_kernels() is None
    code = f"import tempfile; tempfile.tempdir = '/dev/null'\n{TWO_BY_TWO}"
    done = run(code, copied, "-B", HOME=os.devnull, XDG_CACHE_HOME=os.devnull)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_the_folder_that_is_named_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation._CONFIG, "CACHE_DIR", str(tmp_path / "named"))
    assert Path(folder_of_kernels()).parent == tmp_path / "named"


@pytest.mark.parametrize("obstacle", ["link", "open", "file"])
def test_kernels_are_never_taken_from_a_temporary_folder_that_others_can_fill(tmp_path, monkeypatch, obstacle):
    own = tmp_path / f"mastsim-{os.getuid()}"
    if obstacle == "link":
        (tmp_path / "elsewhere").mkdir()
        own.symlink_to(tmp_path / "elsewhere")
    elif obstacle == "open":
        own.mkdir()
        own.chmod(0o777)
    else:
        own.write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = compilation._temporary_place()
    assert found is None or (found != own and not found.stat().st_mode & 0o077)


def test_folders_of_earlier_sources_are_removed_but_not_recent_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation, "_usual_places", lambda: [tmp_path])
    old = [tmp_path / f"mastsim-kernels-{number:02}" for number in range(12)]
    for age, path in enumerate(old):
        path.mkdir()
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "of-others").mkdir()
    newest = folder_of_kernels()
    assert {path.name for path in tmp_path.iterdir()} == {"of-others", Path(newest).name, *(p.name for p in old[:8])}


def test_a_disk_that_is_full_by_now_costs_only_time(tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    # -B: Python itself would leave the first hundred bytes of a compiled source, which no later process could read.
    done = run(f"import mastsim.linalg.rank\n{full}\n{TWO_BY_TWO}", PACKAGE, "-B", NUMBA_CACHE_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


# --------------------------------------------------------------------------------------------------- the fingerprint


def test_an_edit_of_any_source_of_a_kernel_changes_the_fingerprint(tmp_path):
    package = tmp_path / "mastsim"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = compilation.fingerprint(package)
    assert before == compilation.fingerprint(PACKAGE)
    sources = [path for path in package.rglob("*.py") if "njit" in path.read_text() or "@intrinsic" in path.read_text()]
    assert len(sources) >= 20
    for path in [*sources, package / "backend.py", package / "problems" / "losses.py"]:
        text = path.read_text()
        path.write_text(text.replace("1", "2", 1) if "1" in text else f"{text}#\n")
        assert compilation.fingerprint(package) != before, path
        path.write_text(text)
    assert compilation.fingerprint(package) == before


def test_an_inlined_function_that_is_edited_is_seen_at_once(copied, tmp_path):
    lines = ["from mastsim.compilation import njit", "from mastsim.simd import shift", "@njit(cache=True)"]
    lines += ["def twice(x):", "    return 2 * shift(x)"]
    (copied.parent / "caller.py").write_text("\n".join(lines))
    simd = copied / "simd.py"
    text = simd.read_text()
    found = []
    for number in ("1.0", "5.0"):
        simd.write_text(f"{text}\n\n@njit(cache=True, inline='always')\ndef shift(x):\n    return x + {number}\n")
        found.append(run("from caller import twice; print(twice(3.0))", copied, NUMBA_CACHE_DIR=str(tmp_path / "kernels")))
    assert [done.stdout for done in found] == ["8.0\n", "16.0\n"], found


def test_every_compiled_function_of_the_package_goes_this_way():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name != "compilation.py":
            assert "import njit" not in text.replace("from mastsim.compilation import njit", ""), path
            assert "numba.njit" not in text, path
            assert "prange" not in text, path
            assert "set_num_threads" not in text, path
    with pytest.raises(AssertionError, match="parallel"):
        compilation.njit(parallel=True)


def test_an_inner_function_is_for_compiled_ones_and_says_so_to_python():
    @compilation.njit(inner=True)
    def twice(x):
        return 2 * x

    @compilation.njit(forceinline=True)
    def thrice(x):
        return 3 * x

    @compilation.njit
    def both(x):
        return twice(x) + thrice(x)

    for _ in range(2):
        for function in (twice, thrice):
            with pytest.raises(TypeError, match=f"{function.__name__} is called by compiled functions only"):
                function(1.0)
        assert both(1.0) == 5.0


# ----------------------------------------------------------------------------------------------------- environments

EXACT = """
import mastsim as ms, numpy as np
data = ms.load("synthetic:n=30,d=5")
F = ms.Mast(ms.LogisticRegression(data.A, data.y, l2=0.1), ms.RandK(5, k=2))
t = ms.theorems.StronglyConvexDSGD(F)
run = ms.simulate(ms.DSGD(t.stepsize), F, steps=20, replicas=4, seed=0)
print(repr(float(F.value(np.ones(5)))), repr(float(run.distance.sum())), ms.verify(t, run).verdict)
"""


KERNELS = {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]}


@pytest.fixture(scope="module")
def plain() -> str:
    return run(EXACT, **KERNELS).stdout


@pytest.mark.parametrize(("flags", "environment"), [((), {"NUMBA_DISABLE_JIT": "1"}), (("-OO",), {})])
def test_settings_of_the_environment_change_no_number(plain, flags, environment):
    other = run(EXACT, PACKAGE, *flags, **KERNELS, **environment)
    assert other.returncode == 0, other.stderr
    assert other.stdout == plain != ""


def test_a_function_that_returns_an_array_must_say_so():
    borrowed = njit(lambda x: x, inner=True)
    with pytest.raises(Exception, match="must be compiled with makes_arrays=True"):
        njit(lambda x: borrowed(x))(np.zeros(3))
    owned = njit(lambda x: x, inner=True, makes_arrays=True)
    x = np.zeros(3)
    held = sys.getrefcount(x)
    returned = njit(lambda x: owned(x))(x)
    assert (returned == x).all()
    del returned
    assert sys.getrefcount(x) == held


def test_who_holds_an_array_is_not_counted_inside():
    inner = njit(lambda pair, i: pair[0][i] + pair[1][i], inner=True)
    outer = njit(lambda pair: inner(pair, 0) + inner(pair, 2))
    pair = np.arange(3.0), np.ones(3)
    held = [sys.getrefcount(part) for part in pair]
    assert outer(pair) == 4
    assert [sys.getrefcount(part) for part in pair] == held
    found = [each.library.get_llvm_str() for each in inner.overloads.values()]
    assert found
    assert not any("call void @NRT_incref" in text for text in found)
