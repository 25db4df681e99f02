"""What is printed arrives in any encoding, and nothing breaks where nobody reads."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mastsim
from mastsim.cli import main
from mastsim.cli.output import _escaped
from mastsim.cli.streams import say, sound_streams

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-c", "from mastsim.cli import main; main()"]
AROUND = os.environ | {"PYTHONPATH": str(Path(mastsim.__file__).parent.parent)}
STEPSIZE = ("stepsize", "--data", "synthetic:n=9,d=3", "--sketch", "randk:0.5")


def printed(encoding: str, *words: str) -> bytes:
    """Return what a command prints in this process to a stream of an encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    before, sys.stdout = sys.stdout, stream
    try:
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert sys.stdout is stream
        assert (stream.encoding, stream.errors) == (encoding, "strict")
        stream.flush()
        return stream.buffer.getvalue()
    finally:
        sys.stdout = before


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16", "koi8-r", "shift_jis"])
@pytest.mark.parametrize("words", [STEPSIZE, ("--help",), ("stepsize", "--help"), ("data", "list")], ids=len)
def test_every_command_prints_in_every_encoding(encoding, words):
    said = printed(encoding, *words).decode(encoding)
    assert len(said) > 100
    if encoding in ("ascii", "latin-1", "cp1252") and words == ("stepsize", "--help"):
        assert "lambda >= 0" in said
        assert "kappa_f" in said


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_document_on_stdout_is_ascii_and_the_same(encoding, tmp_path):
    said = printed(encoding, *STEPSIZE, "--json", "-")
    assert said.isascii()
    printed("utf-8", *STEPSIZE, "--json", str(tmp_path / "x.json"))
    written = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(said) == json.loads(written)
    assert not written.isascii()


@given(st.text())
def test_escapes_are_those_of_json(text):
    document = json.dumps({"a": text}, ensure_ascii=False)
    assert _escaped(document) == json.dumps({"a": text})


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_printed_anywhere(text):
    for encoding in ("ascii", "latin-1", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        before, sys.stdout = sys.stdout, stream
        try:
            with sound_streams():
                say(text)
        finally:
            sys.stdout = before


@pytest.mark.parametrize("which", ["stdout", "stderr"])
@pytest.mark.parametrize("gone", ["none", "closed"])
def test_a_stream_that_is_closed_is_fine(monkeypatch, which, gone):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, which, None if gone == "none" else closed)
    for words, code in ((STEPSIZE, 0), ((*STEPSIZE, "--l2", "-1"), 2), (("stepsize",), 2), (("--help",), 0)):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == code
    monkeypatch.undo()


@pytest.mark.parametrize("words", [STEPSIZE, (*STEPSIZE, "--json", "-"), ("--help",), ("data", "list")], ids=len)
def test_a_pipe_that_nobody_reads_is_fine(words, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [*PROGRAM, *words]
    done = subprocess.run(command, env=AROUND, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_files_are_written_although_nobody_reads_what_is_printed(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [*PROGRAM, *STEPSIZE, "--json", str(tmp_path / "x.json")]
    assert subprocess.run(command, env=AROUND, stdout=writing, timeout=120, check=False).returncode == 0
    os.close(writing)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["stepsize"]


def test_a_stdout_that_is_full_is_the_machine():
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    for words in (STEPSIZE, ("--help",)):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(
                [*PROGRAM, *words], env=AROUND, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
            )
        assert done.returncode == 3
        assert done.stderr.startswith("Error: ")
        assert "No space left on device" in done.stderr


def test_files_never_get_what_is_printed_to_a_closed_descriptor(tmp_path):
    """Without stderr, the first file that is opened would be number 2."""
    code = "import os, sys; from mastsim.cli import main\ntry:\n    main()\nfinally:\n    os.write(2, b'lost')"
    command = ["bash", "-c", '"$@" 2>&-', "bash", sys.executable, "-c", code, *STEPSIZE, "--json", str(tmp_path / "x.json")]
    assert subprocess.run(command, env=AROUND, stdout=subprocess.DEVNULL, timeout=120, check=False).returncode == 0
    assert "lost" not in (tmp_path / "x.json").read_text(encoding="utf-8")
