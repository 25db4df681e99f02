"""Files that appear whole: nothing half-written, nothing left behind, and writers that do not disturb each other."""

import os
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastsim.files import write_whole


@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.binary()))
def test_a_file_holds_what_was_given(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("files") / "a"
    assert write_whole(path, content) == path
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [p.name for p in path.parent.iterdir()] == ["a"]


def broken(file):
    file.write(b"half")
    raise KeyboardInterrupt


@pytest.mark.parametrize("before", [None, "old"])
def test_a_failure_leaves_everything_as_it_was(tmp_path, before):
    path = tmp_path / "a"
    if before is not None:
        path.write_text(before)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, broken)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({} if before is None else {"a": before})


@pytest.mark.parametrize("before", [None, "old"])
def test_the_name_never_stands_for_a_part(tmp_path, before):
    path = tmp_path / "a"
    if before is not None:
        path.write_text(before)

    def watched(file):
        file.write(b"half")
        file.flush()
        assert (path.read_text() if path.exists() else None) == before
        file.write(b" done")

    write_whole(path, watched)
    assert path.read_text() == "half done"


def test_threads_that_write_one_file_at_the_same_time_each_write_all_of_theirs(tmp_path):
    path, both, failed = tmp_path / "a", threading.Barrier(2), []

    def one(letter):
        def halves(file):
            file.write(letter * 1000)
            both.wait(30)
            file.write(letter * 1000)

        try:
            write_whole(path, halves)
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=one, args=(letter,)) for letter in (b"x", b"y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert path.read_bytes() in (b"x" * 2000, b"y" * 2000)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    path = tmp_path / ("n" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    assert write_whole(path, "done").read_text() == "done"


def test_a_link_is_followed_and_permissions_are_kept(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_whole(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_device_is_written_to_and_not_replaced(null_device):
    write_whole(null_device, "gone")
    assert stat.S_ISCHR(null_device.stat().st_mode)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe, seen = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: seen.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, "through")
    reader.join(30)
    assert seen == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("inside", ["missing/a", "."])
def test_a_refusal_names_the_file_that_was_asked_for(tmp_path, inside):
    asked = tmp_path / inside
    with pytest.raises(OSError) as refused:  # noqa: PT011
        write_whole(asked, "done")
    assert refused.value.filename == os.fspath(asked)
    assert list(tmp_path.iterdir()) == []
