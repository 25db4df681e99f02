"""Outputs are tried before the work, written whole, and never replace what is not a file."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import mastsim.reproduce
import mastsim.spec.description
import mastsim.verification.attack  # noqa: F401  (imported before anything in them is replaced)
from mastsim.cli import main
from mastsim.cli.output import emit

TINY = ("--data", "synthetic:n=9,d=3", "--sketch", "identity")
FILES = [
    ("constants", "--json"),
    ("simulate", "--json"),
    ("simulate", "--out"),
    ("simulate", "--plot"),
    ("stepsize", "--json"),
]
ALL_FILES = [*FILES, ("verify", "--json"), ("verify", "--witness")]
FOLDERS = [("verify", "--report"), ("verify", "--pages"), ("reproduce", "--out")]
SUFFIX = {"--json": ".json", "--out": ".npz", "--plot": ".png", "--witness": ".json"}


@pytest.fixture
def idle(monkeypatch):
    def loaded(*_, **__):
        pytest.fail("work was done before the refusal")

    for place in ("problems.load", "spec.description.load", "verification.attack.attack", "reproduce.default_data"):
        monkeypatch.setattr(f"mastsim.{place}", loaded)


def call(command: str, option: str, path: object):
    own = {"verify": ("--attack", "theorem1") if option == "--witness" else (), "reproduce": ()}.get(command, TINY)
    result = CliRunner().invoke(main, [command, *own, option, str(path)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(("command", "option"), ALL_FILES)
@pytest.mark.parametrize("kind", ["missing folder", "folder", "below a file", "pipe", "no name", "too long", "loop", "null"])
def test_what_cannot_be_a_file_is_refused_before_any_work(tmp_path, idle, command, option, kind):
    path = {
        "missing folder": tmp_path / "none" / "x",
        "below a file": tmp_path / "file" / "x",
        "no name": " ",
        "too long": tmp_path / ("x" * 300),
        "null": "a\0b",
    }.get(kind, tmp_path / "x")
    path = f"{path}{SUFFIX[option]}" if kind not in ("no name",) else path
    (tmp_path / "file").write_text("")
    if kind == "folder":
        Path(path).mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        Path(path).symlink_to(path)
    found = call(command, option, path)
    assert found.exit_code in (2, 3)
    assert option in found.output
    assert "cannot be written" in found.output
    if kind == "pipe":
        assert stat.S_ISFIFO(os.stat(path).st_mode)


@pytest.mark.parametrize(("command", "option"), [*ALL_FILES, *FOLDERS])
def test_what_the_machine_does_not_let_be_written_is_exit_code_3(tmp_path, idle, monkeypatch, command, option):
    opened = Path.open

    def refuse(self, mode="r", *rest, **named):
        if "x" in mode and self.parent == tmp_path:
            raise OSError(30, "Read-only file system", str(self))
        return opened(self, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", refuse)
    found = call(command, option, tmp_path / f"x{SUFFIX.get(option, '') if (command, option) not in FOLDERS else ''}")
    assert found.exit_code == 3
    assert "Read-only file system" in found.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "option"), FOLDERS)
def test_a_folder_below_a_file_is_refused_before_any_work(tmp_path, idle, command, option):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        found = call(command, option, path)
        assert found.exit_code == 2
        assert "where a folder is needed" in found.output


@pytest.mark.parametrize(
    ("option", "name"), [("--out", "run.txt"), ("--out", "run"), ("--plot", "run.npz"), ("--plot", "run")]
)
def test_a_wrong_suffix_is_refused_before_any_work(tmp_path, idle, option, name):
    found = call("simulate", option, tmp_path / name)
    assert found.exit_code == 2
    assert "suffix" in found.output


@pytest.mark.parametrize(("command", "option"), FILES)
def test_a_link_is_followed(tmp_path, command, option):
    target, link = tmp_path / f"target{SUFFIX[option]}", tmp_path / f"link{SUFFIX[option]}"
    link.symlink_to(target)
    assert call(command, option, link).exit_code == 0
    assert link.is_symlink()
    assert target.stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} == {target.name, link.name}


@pytest.mark.parametrize(("command", "option"), [pair for pair in FILES if pair[1] != "--plot"])
def test_a_device_is_written_to_and_stays_one(null_device, command, option):
    assert call(command, option, null_device).exit_code == 0
    assert stat.S_ISCHR(null_device.stat().st_mode)


def test_text_comes_before_files_and_a_failure_leaves_none(tmp_path, capsys, monkeypatch):
    def full(*_):
        assert "the text" in capsys.readouterr().out
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*x\.json"):
        emit({"a": 1}, str(tmp_path / "x.json"), "the text")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_while_files_are_written_is_heard_when_all_are(tmp_path, capsys):
    import signal

    def write(name: str) -> None:
        signal.raise_signal(signal.SIGINT)
        (tmp_path / name).write_text("whole")

    with pytest.raises(KeyboardInterrupt):
        emit({}, str(tmp_path / "x.json"), "", lambda: write("y"), lambda: write("z"))
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", "y", "z"}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_writers_in_many_threads_do_not_meet(tmp_path):
    from mastsim.files import write_whole

    path = tmp_path / "x.json"
    texts = [json.dumps([number] * 20_000) for number in range(8)]
    writers = [threading.Thread(target=lambda text=text: [write_whole(path, text) for _ in range(10)]) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]
