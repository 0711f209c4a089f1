"""Files are whole or not there, and what a disk refuses is told in one sentence."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdict.errors import UserError, run_command
from verdict.files import (
    parse_json,
    read_json,
    read_json_lines,
    read_text,
    replacing,
    replacing_folder,
    write_json,
    write_text,
)


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
        (aside / "one").write_text("3")
        (aside / "three").write_text("3")
    assert sorted(os.listdir(tmp_path / "f")) == ["one", "three"]
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with (
        pytest.raises(UserError, match=r"thesis holds files of another kind, which would be lost; name a new"),
        replacing_folder(tmp_path / "thesis") as aside,
    ):
        (aside / "tokens.json").write_text("{}")
    assert [path.name for path in tmp_path.rglob("*")] == ["thesis", "chapter.tex"]


@pytest.mark.parametrize("path", ["", ".", "..", "/", "../f"])
def test_the_folder_worked_in_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "kept").write_text("1")
    monkeypatch.chdir(tmp_path / "f")
    with pytest.raises(UserError, match="is the folder worked in, or holds it"), replacing_folder(path) as aside:
        (aside / "kept").write_text("2")
    assert (tmp_path / "f" / "kept").read_text() == "1"


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 9999, b"9" * 5000, b"\xff\xfe", b"[1]", None, ...])
def test_whatever_is_no_json_object_is_told_with_its_file(tmp_path: Path, content: object):
    path = tmp_path / "a.json"
    if content is None:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    for read in (read_json, lambda path: list(read_json_lines(path))):
        if content == b"" and read is not read_json:
            continue  # no lines
        with pytest.raises(UserError, match=r"a\.json") as error:
            read(path)
        assert str(error.value).isprintable()


def test_a_key_that_a_file_lacks_is_told_with_its_file(tmp_path: Path):
    write_json(tmp_path / "a.json", {"job": {"seed": 1}, "rows": [{"value": 2}]})
    told = read_json(tmp_path / "a.json")
    assert (told["job"]["seed"], told["rows"][0]["value"], told.get("more")) == (1, 2, None)
    for ask in (lambda: told["chosen"], lambda: told["job"]["name"], lambda: told["rows"][0]["metric"]):
        with pytest.raises(UserError, match=r"a\.json has no key '(chosen|name|metric)' where it is needed") as error:
            ask()
        assert isinstance(error.value, KeyError)


def test_lines_of_json_end_where_lines_end(tmp_path: Path):
    """Python takes more for a line end than JSON does; a text may hold all of it."""
    rows = [{"text": "a\u2028b\x85c\x0b\x0c\x1c\r"}, {"text": "d"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), newline="\n")
    assert list(read_json_lines(tmp_path / "a.jsonl")) == rows
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("[1]\n")
    with pytest.raises(UserError, match=r"a\.jsonl line 3 is not a JSON object"):
        list(read_json_lines(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "runs/metrics.json"), r"runs/metrics\.json does not exist; run the step"),
        (IsADirectoryError(21, "Is a directory", "runs"), "runs is a folder; name a file"),
        (NotADirectoryError(20, "Not a directory", "a/b"), "a/b cannot be had"),
        (OSError(36, "File name too long", "aaa"), r"aaa cannot be written or read \(File name too long\)"),
        (MemoryError("Unable to allocate 9 EiB"), "there is not enough memory .*9 EiB.*; ask for less"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "there is not enough memory"),
        (json.JSONDecodeError("Expecting value", "{jobs", 1), r"'\{jobs' \(Expecting value at line 1 column 2\)"),
        (UserError("line one\nline two\x1b[31m" + "x" * 5000), r"line one; line two\\x1b\[31mx+ … x+$"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(error: Exception, said: str):
    def main() -> None:
        raise error

    with pytest.raises(SystemExit, match=said) as ended:
        run_command(main)
    told = str(ended.value.code)
    assert told.startswith("error: ")
    assert told.isprintable()
    assert len(told) < 1000


def test_a_fault_of_the_program_is_no_sentence():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: print(1 // 0))


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
        assert parse_json(read_text(path), path) == value


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
