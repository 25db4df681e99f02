"""A new mask sketch is one file and one line of a tuple: what follows, on a copy of the package where one is added."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mastsim

FILE = '''
"""A mask that keeps one of two halves."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mastsim.sketches.laws import Selection
from mastsim.sketches.selection import SelectionSketch
from mastsim.validation import integer


@dataclass(frozen=True)
class Halves(SelectionSketch):
    """One of two interleaved halves of the coordinates kept, times two."""

    dim: int
    keyword = "halves"

    @classmethod
    def from_text(cls, argument, dim):
        return cls(dim)

    @classmethod
    def examples(cls, dim):
        return [cls(dim)]

    @property
    def name(self):
        return f"halves of {self.dim}"

    @cached_property
    def law(self):
        labels = np.arange(self.dim) % 2 if self.dim > 1 else np.zeros(1, int)
        units = int(labels.max()) + 1
        return Selection(labels, np.zeros(units, int), np.array([units]), np.array([1.0]))
'''
ANCHOR = "ALL_SKETCHES: tuple[type[Sketch], ...] = (\n"
SCRIPT = """
import json, sys
import numpy as np
import mastsim as ms
from hypothesis import find
from mastsim.sketches import parse_sketch
from mastsim.testing import strategies

S = parse_sketch("halves", 6)
ms.testing.check_sketch(S)
f = ms.LogisticRegression(np.eye(6), np.ones(6), l2=0.1)
q = ms.Quadratic(np.diag(np.arange(1.0, 7.0)), np.ones(6))
run = ms.simulate(ms.DSGD(0.1), ms.Mast(q, S), steps=3, replicas=2, seed=0)
print(json.dumps({
    "home": ms.__file__,
    "same": ms.Halves is type(S) is ms.sketches.Halves,
    "drawn": type(find(strategies.sketches(3, [type(S)]), lambda _: True)).__name__,
    "evaluation": ms.Mast(f, S).evaluation.name,
    "engine": run.engine,
    "distance": ms.moments.propagate(ms.Mast(q, S), ms.DSGD(0.1), np.zeros(6), 3).distance[-1],
}))
"""


def test_a_new_mask_is_one_file_and_one_line(tmp_path):
    home = tmp_path / "mastsim"
    shutil.copytree(Path(mastsim.__file__).parent, home, ignore=shutil.ignore_patterns("__pycache__"))
    (home / "sketches" / "halves.py").write_text(FILE.lstrip())
    families = home / "sketches" / "families.py"
    text = families.read_text()
    assert text.count(ANCHOR) == 1
    named = f"from mastsim.sketches.halves import Halves\n\n{ANCHOR}    Halves,\n"
    families.write_text(text.replace(ANCHOR, named))
    (tmp_path / "try.py").write_text(SCRIPT)
    python = [sys.executable, "-W", "error"]
    found = subprocess.run([*python, "try.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert Path(said.pop("home")).is_relative_to(tmp_path)
    assert said.pop("distance") > 0
    assert said == {
        "same": True,
        "drawn": "Halves",
        "evaluation": "rows",
        "engine": "kernel descend_panel",
    }
    options = ["constants", "--data", "synthetic:n=20,d=4", "--sketch", "halves", "--json", "-"]
    command = [*python, "-c", "from mastsim.cli import main; main()", *options]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "halves of 4" in answer.stdout
