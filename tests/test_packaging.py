"""What is shipped and how it is set up: archives, pinned tools, a Python that is too old, names that type checkers see."""

import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import mastsim

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHIPPED = ("mastsim/py.typed", "mastsim/__init__.pyi", "mastsim/problems/cosine_sums.json", "mastsim/cli/__init__.py")


def test_the_source_archive_is_lean_and_whole(tmp_path):
    (archive,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    assert Path(archive).stat().st_size < 2e6
    with tarfile.open(archive) as held:
        names = {name.partition("/")[2] for name in held.getnames()}
    assert {*SHIPPED, "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"} <= names
    assert {name.partition("/")[0] for name in names if "/" in name} == {"mastsim"}


def test_the_wheel_holds_the_package_its_data_and_its_entry_points(tmp_path):
    (archive,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(archive) as held:
        names = set(held.namelist())
        (points,) = (held.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert set(SHIPPED) <= names
    assert "mastsim = mastsim.cli:main" in points
    assert "mastsim = mastsim.testing.pytest_plugin" in points


def test_hooks_before_a_commit_have_the_tools_of_the_checks():
    pinned = dict(re.findall(r"(ruff|mypy)==([0-9.]+)", " ".join(PROJECT["optional-dependencies"]["lint"])))
    assert set(pinned) == {"ruff", "mypy"}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"ruff==([0-9.]+)", hooks)) == {pinned["ruff"]}
    assert "entry: make types" in hooks


@pytest.mark.parametrize("target", ["verify", "test", "floors"])
def test_a_python_that_is_too_old_is_named_and_nothing_is_left_behind(tmp_path, target):
    old = tmp_path / "python3.9"
    pretend = 'import sys; sys.version_info, sys.version = (3, 9, 2), "3.9.2 (old)"; exec(sys.argv[2])'
    old.write_text(f"#!/bin/sh\nexec python3 -c '{pretend}' \"$@\"\n")
    old.chmod(0o755)
    settings = (f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    done = subprocess.run(["make", "-C", str(ROOT), target, *settings], capture_output=True, text=True)
    assert done.returncode != 0
    assert f"mastsim needs Python >= 3.11, and {old} is 3.9.2" in done.stderr
    assert list(tmp_path.iterdir()) == [old]


def test_every_listed_name_is_there_and_is_what_the_stub_says():
    listed = re.findall(r" as (\w+)", (ROOT / "mastsim" / "__init__.pyi").read_text())
    assert set(listed) - {"__version__"} == set(mastsim.__all__) - {"__version__"}
    assert len(listed) == len(set(listed))
    for name in listed:
        assert getattr(mastsim, name) is not None
    assert set(listed) <= set(dir(mastsim))
    with pytest.raises(AttributeError, match="module 'mastsim' has no attribute 'Nothing'"):
        _ = mastsim.Nothing
