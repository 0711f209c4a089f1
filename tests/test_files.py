"""Files are whole or not there, and what a disk refuses is told in one sentence."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdict.errors import UserError, run_command
from verdict.files import read_json, replacing, replacing_folder, write_json, write_text


class BrokenError(Exception):
    """Something goes wrong in the middle of writing."""


def test_a_failure_in_the_middle_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path):
    write_text(tmp_path / "a.txt", "old")
    with contextlib.suppress(BrokenError), replacing(tmp_path / "a.txt") as aside:
        aside.write_text("half")
        raise BrokenError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path):
    with replacing_folder(tmp_path / "f") as aside:
        (aside / "one").write_text("1")
    with contextlib.suppress(BrokenError), replacing_folder(tmp_path / "f") as aside:
        (aside / "two").write_text("2")
        raise BrokenError
    assert os.listdir(tmp_path / "f") == ["one"]
    with replacing_folder(tmp_path / "f") as aside:
        (aside / "three").write_text("3")
    assert os.listdir(tmp_path / "f") == ["three"]
    assert os.listdir(tmp_path) == ["f"]


def test_files_are_readable_by_whoever_the_umask_allows(tmp_path: Path):
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10))
def test_json_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: object):
    path = tmp_path_factory.mktemp("json") / "a.json"
    try:
        write_json(path, value)
    except UnicodeEncodeError:  # a lone surrogate is no UTF-8; nothing may be left of the attempt
        assert not path.exists()
    else:
        assert read_json(path) == value


def test_damaged_json_is_told_with_its_line(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"a": 1,\n"b": ')
    with pytest.raises(UserError, match=r"a\.json line 2 is not JSON"):
        read_json(tmp_path / "a.json")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_one_sentence():
    def main() -> None:
        with open("/dev/full", "w") as file:
            file.write("x" * 100_000)

    with pytest.raises(SystemExit, match="the disk is full while writing"):
        run_command(main)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_file_that_found_the_disk_full_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: (os.open("/dev/full", os.O_WRONLY), "/dev/full"))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # the device itself stays
    with pytest.raises(SystemExit, match=r"the disk is full while writing .*/weights\.bin;"):
        run_command(lambda: write_text(tmp_path / "weights.bin", "x" * 100_000))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write to")
def test_a_folder_that_cannot_be_written_is_one_sentence():
    with pytest.raises(SystemExit, match=r"/sys/.* cannot be written or read \("):
        run_command(lambda: write_text("/sys/verdict.json", "x"))


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_killed_process_left_aside_goes_with_the_next_writing(tmp_path: Path, is_folder: bool):
    """And nothing else: not what a living process writes, not the files of others."""
    write = "replacing_folder" if is_folder else "replacing"
    code = f"import os; from verdict.files import {write}\nwith {write}({str(tmp_path / 'made.json')!r}): os.abort()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0
    [left] = tmp_path.iterdir()
    other = tmp_path / left.name.replace("made.json", "made.json.old")
    living = tmp_path / left.name.replace(left.name.split("-")[-1].split(".")[0], str(os.getpid()))
    for path in (other, living):
        path.write_text("kept")
    write_text(tmp_path / "made.json", "new")
    assert set(tmp_path.iterdir()) == {other, living, tmp_path / "made.json"}
