"""Packages that are missing or broken: what does without them works, the rest says in one sentence what it needs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mastsim
from mastsim.dependencies import needed

pytestmark = pytest.mark.slow

PACKAGE = Path(mastsim.__file__).parent
HOWS = {
    "missing": ("raise ModuleNotFoundError('No module named {0}', name='{0}')", "is not installed: pip install {0}"),
    "without a part": ("raise ModuleNotFoundError('No module {0}._part', name='{0}._part')", "(No module {0}._part)"),
    "too old": ("raise ImportError('{0} needs NumPy 1.2\\nor less.')", "cannot be imported ({0} needs NumPy 1.2 or less.)"),
    "built for another": ("raise ValueError('numpy.dtype size changed')", "cannot be imported (numpy.dtype size changed)"),
    "attribute gone": ("import numpy; numpy.long_gone", "has no attribute 'long_gone'): pip install --force-reinstall {0}"),
    "speechless": ("raise SystemError", "cannot be imported (SystemError)"),
}
"""What a package does when it is imported, and what the sentence about it holds."""
INSTALLED_AS = {"numba": "numba", "cvxpy": "cvxpy", "sklearn": "scikit-learn"}
LINES = """
import contextlib, io, json, sys
from mastsim.cli import main
found = []
for line in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main(line.split())
        except SystemExit as ended:
            code = ended.code
    found.append((line, code, out.getvalue(), err.getvalue()))
print(json.dumps(found))
"""
SIMPLE = ("--version", "data list", "--help", *(f"{name} --help" for name in ("verify", "simulate", "advise", "reproduce")))
CONSTANTS = "constants --sketch randk:0.5 --data"
DATA = "synthetic:n=20,d=4,condition=3"


@pytest.fixture
def broken(tmp_path):
    """Return what puts a package that cannot be imported before the true one, and runs Python in a process of its own."""

    def run(name, code, *words, how="built for another"):
        (tmp_path / "broken" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "broken" / name / "__init__.py").write_text(HOWS[how][0].format(name))
        (tmp_path / "rows.libsvm").write_text("1 1:0.5 2:1\n-1 1:1 2:0.25\n" * 4)
        (tmp_path / "rows.csv").write_text("a,b,y\n" + "0.5,1,1\n1,0.25,0\n" * 4)
        around = os.environ | {"PYTHONPATH": f"{tmp_path / 'broken'}{os.pathsep}{PACKAGE.parent}"}
        command = [sys.executable, "-c", code, *words]
        return subprocess.run(command, env=around, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def commands(broken):
    """Return what runs command lines where a package is broken, and their codes, outputs and errors."""

    def run(name, *lines, how="built for another"):
        done = broken(name, LINES, *lines, how=how)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["fragile_package", "fragile_package.inner.part"])
def test_whatever_an_import_raises_becomes_one_sentence(tmp_path, monkeypatch, name, how):
    (tmp_path / "fragile_package").mkdir()
    (tmp_path / "fragile_package" / "__init__.py").write_text(HOWS[how][0].format("fragile_package"))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as said:
        needed(name, "a test")
    text = str(said.value)
    assert text.startswith("fragile_package, which a test needs, is ")
    assert HOWS[how][1].format("fragile_package") in text
    assert "\n" not in text
    assert said.value.__cause__ is not None


def test_the_sentence_names_what_is_installed(broken):
    code = "from mastsim.dependencies import needed; needed('sklearn.datasets', 'a test')"
    for how, order in (("missing", "pip install"), ("too old", "pip install --force-reinstall")):
        assert broken("sklearn", code, how=how).stderr.rstrip().endswith(f"{order} scikit-learn")


@pytest.mark.parametrize("name", INSTALLED_AS)
def test_help_and_lists_of_data_need_none_of_them(commands, name):
    for line, code, out, err in commands(name, *SIMPLE):
        assert (line, code, err) == (line, 0, "")
        assert out
        assert ("They cannot be listed: numba, which" in out) == (name == "numba" and line not in SIMPLE[:3])


@pytest.mark.parametrize("how", ["missing", "attribute gone"])
def test_without_numba_what_computes_says_so_and_ends_with_the_code_of_the_machine(commands, how):
    lines = (
        f"{CONSTANTS} {DATA}",
        "verify --quick",
        "verify --attack theorem6-quoted",
        "stepsize --data rows.csv --target y --sketch randk:0.5",
        "advise rows.csv --target y",
        f"simulate --data {DATA} --sketch randk:0.5 --method dsgd --steps 1 --replicas 2",
        "reproduce --quick gap",
    )
    for line, code, out, err in commands("numba", *lines, how=how):
        assert (line, code, out) == (line, 3, "")
        assert err.startswith("Error: numba, which ")
        assert err.endswith(" numba\n")
        assert err.count("\n") == 1


def test_without_numba_shells_complete_options_and_offer_no_names(broken):
    code = (
        "from click.shell_completion import BashComplete; from mastsim.cli import main\n"
        "of = BashComplete(main, {}, 'mastsim', '_MASTSIM_COMPLETE').get_completions\n"
        "print([of(['verify', '--theorem'], 'the'), of(['reproduce'], 'g'), [it.value for it in of(['verify'], '--quick')]])"
    )
    done = broken("numba", code)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[[], [], ['--quick']]\n")


def test_data_problems_and_sketches_need_no_numba(broken):
    code = "import mastsim as ms; print(ms.load('rows.csv', target='y').n, ms.RandK(4, k=2).L_max, ms.Quadratic)"
    done = broken("numba", code)
    assert (done.returncode, done.stderr, done.stdout[:6]) == (0, "", "8 4.0 ")


def test_worst_cases_alone_need_cvxpy(commands, broken):
    sound, figure = commands("cvxpy", f"{CONSTANTS} {DATA}", "reproduce --quick tight-factor --out out")
    assert sound[1] == 0
    assert (figure[1], figure[3][:60]) == (3, "Error: cvxpy, which finding worst cases needs, is installed ")
    done = broken(
        "cvxpy",
        "from mastsim.worstcase import worst_case_factor as factor\n"
        "factor(0.5, smoothness=1.0, strong_convexity=0.1, blocks=2, keep=1)",
    )
    assert done.stderr.rstrip().split("\n")[-1].startswith("ImportError: cvxpy, which finding worst cases needs, is ")


def test_libsvm_files_and_the_bundled_data_alone_need_scikit_learn(commands):
    sound, file, bundled = commands("sklearn", *(f"{CONSTANTS} {data}" for data in (DATA, "rows.libsvm", "breast-cancer")))
    assert sound[1] == 0
    assert (file[1], file[3][:54]) == (3, "Error: scikit-learn, which reading LIBSVM files needs,")
    assert (bundled[1], bundled[3][:49]) == (3, "Error: scikit-learn, which the bundled data set '")


def test_importing_the_package_imports_none_of_them():
    code = f"import sys, mastsim.cli, mastsim.problems, mastsim.sketches; print({set(INSTALLED_AS)} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_no_module_but_two_imports_such_a_package_by_itself():
    """An import would say what Python says; two that make instructions take numba's parts, after asking for it."""
    asked = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            if {name.partition(".")[0] for name in names} & {*INSTALLED_AS, "llvmlite"}:
                asked.setdefault(path.relative_to(PACKAGE).as_posix(), []).append(node.lineno)
    assert set(asked) == {"simd.py", "kernels/meeting.py"}
    for name, places in asked.items():
        lines = (PACKAGE / name).read_text(encoding="utf-8").split("\n")
        assert [line for line in lines[: min(places)] if line.startswith("from mastsim.compilation import")]


def test_an_interruption_during_an_import_is_not_taken_for_a_broken_package(tmp_path, monkeypatch):
    (tmp_path / "interrupted_package.py").write_text("raise KeyboardInterrupt")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        needed("interrupted_package", "this test")
