"""Help names all there is, with examples that are accepted; shells complete it; colours only in terminals."""

import os
import pty
import re
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from mastsim import theorems
from mastsim.cli import main
from mastsim.methods.families import method_names
from mastsim.problems.families import problem_names
from mastsim.reproduce import ALL_FIGURES
from mastsim.sketches.families import parse_sketch, sketch_names

NAMED = {
    "simulate": [*sketch_names(), *method_names(), *problem_names(), "minibatch", "probability", "delta"],
    "stepsize": [*sketch_names(), *method_names(), *problem_names()],
    "constants": [*sketch_names(), *problem_names()],
    "verify": [*sketch_names(), *(kind.id for kind in theorems.ALL)],
    "reproduce": list(ALL_FIGURES),
}


@pytest.mark.parametrize("command", NAMED)
def test_help_lists_every_name(command):
    said = CliRunner().invoke(main, [command, "--help"], terminal_width=200).output
    words = set(re.split(r"[\s:.,()]+", said))
    assert set(NAMED[command]) <= words


@pytest.mark.parametrize("keyword", sketch_names())
def test_every_sketch_is_listed_with_a_form_and_an_example_that_is_accepted(keyword):
    family = sketch_names()[keyword]
    form, _, example = family.form.partition(", for example ")
    if keyword == "identity":
        assert family.form == ""
        return
    assert form.startswith(f"{keyword}:")
    assert example.startswith(f"{keyword}:")
    assert example.count(":") == form.count(":")
    assert isinstance(parse_sketch(example, 24), family)
    with pytest.raises(ValueError, match=f"write {re.escape(family.form)}"):
        parse_sketch(f"{keyword}:a:b:c:d", 24)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("simulate --method ls", ["lsvrdsg"]),
        ("simulate --sketch block", ["block-bernoulli:", "block-randk:"]),
        ("constants --problem s", ["smoothed-hinge", "sigmoid"]),
        ("verify --theorem theorem6", ["theorem6-quoted", "theorem6"]),
        ("verify --attack theorem2/", ["theorem2/naive-sharp-step"]),
        ("reproduce theo", ["theory-table", "theorem6"]),
    ],
)
def test_shells_complete_names(typed, offered):
    *before, last = typed.split()
    found = BashComplete(main, {}, "mastsim", "_MASTSIM_COMPLETE").get_completions(before, last)
    assert [item.value for item in found][: len(offered)] == offered
    assert all(item.value.startswith(last) for item in found)


SAID = "from mastsim.cli.output import emit; emit({}, None, 'Lemma 1  holds\\nTheorem 6  refuted\\n! Lemma 2: 3 > 2')"


def _said(stdout: int, **environment: str) -> None:
    subprocess.run([sys.executable, "-c", SAID], stdout=stdout, check=True, env=os.environ | environment)


def test_verdicts_are_in_colour_in_a_terminal_and_nowhere_else(tmp_path):
    green, magenta, red, end = (f"\x1b[{code}m" for code in (32, 35, 31, 0))
    coloured = f"Lemma 1  {green}holds{end}\nTheorem 6  {magenta}refuted{end}\n{red}! Lemma 2: 3 > 2{end}\n"
    ours, theirs = pty.openpty()
    _said(theirs, NO_COLOR="")
    assert os.read(ours, 4096).decode().replace("\r\n", "\n") == coloured
    _said(theirs, NO_COLOR="1")
    assert "\x1b" not in os.read(ours, 4096).decode()
    with (tmp_path / "said").open("wb") as file:
        _said(file.fileno(), NO_COLOR="")
    assert (tmp_path / "said").read_text() == re.sub("\x1b\\[[0-9]*m", "", coloured)
    for descriptor in (ours, theirs):
        os.close(descriptor)
