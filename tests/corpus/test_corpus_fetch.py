"""Downloads survive a bad network, are checked by hash, and leave nothing half-made behind."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from made import Server, send, sha, zipped

from verdict.corpus import fetch as fetching
from verdict.corpus.fetch import fetch
from verdict.corpus.index import Index, index_from
from verdict.corpus.spec import OwnFile, PackageFile, WebFile
from verdict.errors import UserError, without_secrets

DATA = os.urandom(700_000)
WHEEL = zipped({"words/a.txt": b"text"})
FILE = "words-1.0-py3-none-any.whl"


def web(server: Server, data: bytes = DATA) -> WebFile:
    return WebFile(url=f"{server.url}/corpus.bin", sha256=sha(data))


def wheel(requirement: str = "words==1.0", file: str = FILE) -> PackageFile:
    return PackageFile(requirement=requirement, file=file, sha256=sha(WHEEL), members=["*"])


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != ".locks")


def test_an_interrupted_download_is_continued(server: Server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        start = int(wanted[6:-1]) if wanted else None
        send(handler, DATA, start, cut=250_000 if len(server.asked) < 3 else None)

    server.answer = answer
    found = fetch(web(server), tmp_path, pause=0)
    assert found.path.read_bytes() == DATA
    assert kept(tmp_path) == [f"{sha(DATA)}-corpus.bin"]
    starts = [int(wanted[6:-1]) if wanted else 0 for _, wanted in server.asked]
    assert starts[0] == 0
    assert 0 < starts[1] < starts[2], "each try goes on where the last one stopped"
    assert found.origin == {
        "url": f"{server.url}/corpus.bin",
        "file": "corpus.bin",
        "sha256": sha(DATA),
        "bytes": len(DATA),
    }

    fetch(web(server), tmp_path, pause=0)
    assert len(server.asked) == 3, "what is in the cache is not asked for again"
    found.path.write_bytes(b"damaged")
    assert fetch(web(server), tmp_path, pause=0).path.read_bytes() == DATA, "a damaged cache is mended"


def test_a_server_that_stalls_is_not_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before the first byte, and in the middle."""
    monkeypatch.setattr(fetching, "TIMEOUT", (5, 0.5))
    released = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        number, wanted = len(server.asked), handler.headers.get("Range")
        if number == 2:
            send(handler, DATA, int(wanted[6:-1]) if wanted else None, cut=600_000)
            handler.wfile.flush()
        if number < 3:
            released.wait(30)
        else:
            send(handler, DATA, int(wanted[6:-1]) if wanted else None)

    server.answer = answer
    try:
        assert fetch(web(server), tmp_path, pause=0).path.read_bytes() == DATA
    finally:
        released.set()
    assert capfd.readouterr().err.count("the server took too long") == 2
    assert [bool(wanted) for _, wanted in server.asked] == [False, False, True]


def test_a_later_command_continues_where_an_earlier_gave_up(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler: (
        send(handler, DATA, cut=100_000) if len(server.asked) == 1 else handler.send_error(503)
    )
    with pytest.raises(UserError, match="could not be fetched in 5 tries"):
        fetch(web(server), tmp_path, pause=0)
    assert kept(tmp_path) == [f"{sha(DATA)}-corpus.bin.part"]
    server.answer = lambda handler: send(handler, DATA, int(handler.headers["Range"][6:-1]))
    assert fetch(web(server), tmp_path, pause=0).path.read_bytes() == DATA


@pytest.mark.parametrize("left", [DATA[:1000], bytes(1000), DATA, DATA + b"more"])
def test_whatever_an_earlier_try_left_ends_well(server: Server, tmp_path: Path, left: bytes) -> None:
    """Also when it is of another file, or longer than the file is."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        if wanted and int(wanted[6:-1]) >= len(DATA):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            send(handler, DATA, int(wanted[6:-1]) if wanted else None)

    server.answer = answer
    (tmp_path / f"{sha(DATA)}-corpus.bin.part").write_bytes(left)
    assert fetch(web(server), tmp_path, pause=0).path.read_bytes() == DATA


def test_a_server_that_cannot_continue_starts_again(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler: send(handler, DATA, cut=200_000 if len(server.asked) < 3 else None)
    assert fetch(web(server), tmp_path, pause=0).path.read_bytes() == DATA


def test_wrong_bytes_name_both_hashes_and_are_not_kept(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler: send(handler, b"something else")
    with pytest.raises(UserError) as caught:
        fetch(web(server), tmp_path, pause=0)
    assert sha(DATA) in str(caught.value)
    assert sha(b"something else") in str(caught.value)
    assert "corpus.bin" in str(caught.value)
    assert kept(tmp_path) == []


def test_a_file_that_is_not_there_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answered 404"):
        fetch(web(server), tmp_path, pause=0)
    assert len(server.asked) == 1


def test_bytes_are_taken_as_they_are_even_if_the_server_calls_them_compressed(server: Server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA)

    server.answer = answer
    assert fetch(web(server), tmp_path, pause=0).path.read_bytes() == DATA


@pytest.mark.parametrize("called", [f"{sha(DATA)}-corpus.bin", "corpus.bin"], ids=["by hash", "by name"])
@pytest.mark.parametrize("kind", ["folder", "file:", "http"])
def test_a_mirror_goes_before_the_origin(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, kind: str
) -> None:
    folder = tmp_path / "mirror with space"
    folder.mkdir()
    (folder / called).write_bytes(DATA)
    server.answer = lambda handler: send(handler, DATA) if handler.path == f"/m/{called}" else handler.send_error(404)
    mirror = {"folder": str(folder), "file:": folder.as_uri(), "http": f"{server.url}/m/"}[kind]
    monkeypatch.setenv("VERDICT_MIRROR", mirror)
    item = WebFile(url="https://nowhere.invalid/x/corpus.bin", sha256=sha(DATA))
    assert fetch(item, tmp_path / "cache", pause=0).path.read_bytes() == DATA


def test_what_a_mirror_lacks_comes_from_the_origin_and_what_it_has_wrong_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m").mkdir()
    monkeypatch.setenv("VERDICT_MIRROR", str(tmp_path / "m"))
    server.answer = lambda handler: send(handler, DATA)
    assert fetch(web(server), tmp_path / "a", pause=0).path.read_bytes() == DATA
    (tmp_path / "m" / "corpus.bin").write_bytes(b"old")
    with pytest.raises(UserError, match=sha(b"old")):
        fetch(web(server), tmp_path / "b", pause=0)
    assert kept(tmp_path / "b") == []


def test_own_files_may_be_pinned(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"text")
    assert fetch(OwnFile(path="mine.txt"), tmp_path).origin == {"path": "mine.txt", "sha256": sha(b"text"), "bytes": 4}
    with pytest.raises(UserError, match=f"{sha(b'text')} instead of {sha(b'other')}"):
        fetch(OwnFile(path="mine.txt", sha256=sha(b"other")), tmp_path)
    with pytest.raises(UserError, match=r"absent\.txt is not a file"):
        fetch(OwnFile(path="absent.txt"), tmp_path)


def simple_page(link: str) -> bytes:
    return f'<!DOCTYPE html><html><body><a href="{link}">{FILE}</a></body></html>'.encode()


def test_a_package_from_an_index_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index" / "simple" / "words").mkdir(parents=True)
    (tmp_path / "index" / FILE).write_bytes(WHEEL)
    (tmp_path / "index" / "simple" / "words" / "index.html").write_bytes(
        simple_page(f"../../{FILE}#sha256={sha(WHEEL)}")
    )
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", (tmp_path / "index" / "simple").as_uri())
    found = fetch(wheel(), tmp_path / "cache")
    assert found.path.read_bytes() == WHEEL
    assert found.origin["package"] == "words==1.0"


@pytest.mark.parametrize("form", ["path", "file:"])
def test_a_package_from_a_folder_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / FILE).write_bytes(WHEEL)
    folder = tmp_path / "wheels"
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder) if form == "path" else folder.as_uri())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch(wheel(), tmp_path / "cache").path.read_bytes() == WHEEL


@pytest.mark.parametrize("form", ["html", "json"])
def test_a_package_from_an_index_on_the_web_with_a_password(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    listed = {"files": [{"filename": FILE, "url": f"../../f/{FILE}", "hashes": {"sha256": sha(WHEEL)}}]}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Authorization") != "Basic bWU6c2VjcmV0":
            handler.send_error(401)
        elif handler.path == "/simple/words/" and form == "json":
            send(handler, json.dumps(listed).encode(), kind="application/vnd.pypi.simple.v1+json")
        elif handler.path == "/simple/words/":
            send(handler, simple_page(f"../../f/{FILE}"))
        elif handler.path == f"/f/{FILE}":
            send(handler, WHEEL)
        else:
            handler.send_error(404)

    server.answer = answer
    monkeypatch.setenv("PIP_INDEX_URL", server.url.replace("//", "//me:secret@") + "/simple")
    assert fetch(wheel(), tmp_path, pause=0).path.read_bytes() == WHEEL
    with pytest.raises(UserError, match="does not list it") as caught:
        fetch(wheel("words==2.0", "words-2.0-py3-none-any.whl"), tmp_path / "b", pause=0)
    assert "secret" not in str(caught.value)


def test_an_index_that_states_another_hash_is_said_before_anything_is_downloaded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = lambda handler: send(handler, simple_page(f"/f/{FILE}#sha256={'0' * 64}"))
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")
    with pytest.raises(UserError, match=f"{'0' * 64} instead of {sha(WHEEL)}"):
        fetch(wheel(), tmp_path, pause=0)
    assert [path for path, _ in server.asked] == ["/simple/words/"]
    assert kept(tmp_path) == []


def test_settings_are_those_of_pip_and_the_environment_wins() -> None:
    listed = """:env:.find-links='/wheels'
global.cert='/etc/ca.pem'
global.extra-index-url='file:///a https://b/simple'
global.index-url='https://old/simple'
download.index-url='https://company/simple'
install.index-url='https://other/simple'
global.trusted-host='company\\nb:8080'
freeze.timeout='10'
"""
    assert index_from(listed) == Index(
        indexes=("https://company/simple", "file:///a", "https://b/simple"),
        links=("/wheels",),
        cert="/etc/ca.pem",
        trusted=frozenset({"company", "b:8080"}),
    )
    assert index_from("").indexes == ("https://pypi.org/simple",)
    assert index_from("global.no-index='true'").indexes == ()
    assert without_secrets("https://me:secret@host:1/x") == "https://host:1/x"
