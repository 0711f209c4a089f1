"""Members are read in memory, and no archive can make the reader step outside, hang or fill the memory."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from made import tarred, zipped

from verdict.corpus.archive import matches, read_members
from verdict.errors import UserError


def keep(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_finds_members_in_every_kind_of_archive(tmp_path: Path) -> None:
    texts = {"a/x.txt": b"1", "a/y.txt": b"2", "a/b/z.txt": b"3", "a/note.md": b"4"}
    for name, data in (("t.zip", zipped(texts)), ("t.tar.gz", tarred(texts))):
        found = list(read_members(keep(tmp_path, name, data), [["a/*.txt"]]))
        assert [(one.path, one.data) for one in found] == [("a/x.txt", b"1"), ("a/y.txt", b"2")]
        assert found[0].name.endswith(f"{name}: a/x.txt")


def test_an_archive_inside_an_archive_and_gz_members(tmp_path: Path) -> None:
    inner = tarred({"d/one.txt": b"deep", "d/data.json.gz": gzip.compress(b"{}")})
    path = keep(tmp_path, "outer.zip", zipped({"p/inner.tar.gz": inner, "p/plain.txt": b"flat"}))
    found = list(read_members(path, [["p/inner.tar.gz!d/*"], ["p/plain.txt"]]))
    assert [(one.path, one.data) for one in found] == [
        ("d/data.json", b"{}"),
        ("d/one.txt", b"deep"),
        ("p/plain.txt", b"flat"),
    ]


def test_one_of_several_spellings_is_enough_and_none_is_an_error(tmp_path: Path) -> None:
    path = keep(tmp_path, "t.zip", zipped({"zh_CN/a.mo": b"1"}))
    assert [one.path for one in read_members(path, [["zh_Hans/*.mo", "zh_CN/*.mo"]])] == ["zh_CN/a.mo"]
    with pytest.raises(UserError, match=r"t\.zip has no member 'xx/\*\.mo'"):
        list(read_members(path, [["xx/*.mo"]]))


def test_a_star_stays_within_its_folder() -> None:
    assert matches("a/b/c.txt", "a/*/c.txt")
    assert not matches("a/b/b/c.txt", "a/*/c.txt")
    assert not matches("a/b/c.txt", "a/*")


@pytest.mark.parametrize("escape", ["../out.txt", "a/../../out.txt", "/etc/out.txt", "C:/out.txt", "..\\out.txt"])
def test_a_member_that_escapes_its_folder_is_named(tmp_path: Path, escape: str) -> None:
    for name, data in (("t.zip", zipped({"in.txt": b"1", escape: b"2"})), ("t.tar.gz", tarred({escape: b"2"}))):
        with pytest.raises(UserError, match="points outside its folder") as caught:
            list(read_members(keep(tmp_path, name, data), [["*.txt"]]))
        assert name in str(caught.value)
        assert "out.txt" in str(caught.value)


def test_links_and_passwords_are_refused(tmp_path: Path) -> None:
    path = keep(tmp_path, "t.tar.gz", tarred({"a.txt": b"1"}, links={"b.txt": "/etc/passwd"}))
    with pytest.raises(UserError, match=r"b\.txt is a link"):
        list(read_members(path, [["*.txt"]]))
    assert [one.path for one in read_members(path, [["a.txt"]])] == ["a.txt"], "a link nobody reads does no harm"

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        link = zipfile.ZipInfo("b.txt")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match=r"b\.txt is a link"):
        list(read_members(keep(tmp_path, "l.zip", stream.getvalue()), [["b.txt"]]))


def test_bombs_are_stopped_whatever_their_header_says(tmp_path: Path) -> None:
    huge = bytes(3_000_000)
    lying = zipped({"a.txt": huge}).replace(len(huge).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    for name, data, pattern in (
        ("t.zip", zipped({"a.txt": huge}), [["a.txt"]]),
        ("t.tar.gz", tarred({"a.txt": huge}), [["a.txt"]]),
        ("t.txt.gz", gzip.compress(huge), []),
        ("n.zip", zipped({"a.json.gz": gzip.compress(huge)}), [["*.gz"]]),
    ):
        with pytest.raises(UserError, match=r"unpacks to more than 1\.0 MiB"):
            list(read_members(keep(tmp_path, name, data), pattern, limit=2**20))
    with pytest.raises(UserError, match="truncated or damaged"):
        list(read_members(keep(tmp_path, "lying.zip", lying), [["a.txt"]], limit=2**20))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_a_truncated_archive_is_named(tmp_path: Path, share: float) -> None:
    text = "".join(f"{number} " for number in range(30_000)).encode()
    for name, data in (
        ("t.zip", zipped({"a.txt": text})),
        ("t.tar.gz", tarred({"a.txt": text})),
        ("t.txt.gz", gzip.compress(text)),
    ):
        path = keep(tmp_path, name, data[: int(len(data) * share)])
        with pytest.raises(UserError, match=rf"{name}.* is truncated or damaged"):
            list(read_members(path, [] if name.endswith("txt.gz") else [["a.txt"]]))


def test_an_archive_without_members_named_and_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is an archive; name the members"):
        list(read_members(keep(tmp_path, "t.zip", zipped({"a": b""})), []))
    for data in (b"", b"no archive"):
        with pytest.raises(UserError, match="truncated or damaged"):
            list(read_members(keep(tmp_path, "t.whl", data), [["a"]]))
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    with pytest.raises(UserError, match="has no member"):
        list(read_members(keep(tmp_path, "e.tar", empty.getvalue()), [["a"]]))
