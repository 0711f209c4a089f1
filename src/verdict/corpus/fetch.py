"""Files of a corpus, brought into the download cache and checked by hash.

Downloads are written aside (``.part``), resumed after an interruption, and renamed once their hash is right. Setting
``VERDICT_MIRROR`` to a folder or base URL tries ``<mirror>/<sha256>-<file>``, then ``<mirror>/<file>`` first; a copy of
the download cache is such a folder.
"""

import contextlib
import email.utils
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import requests
import urllib3

from verdict.corpus.index import candidates, pip_index
from verdict.corpus.spec import OwnFile, PackageFile, WebFile
from verdict.errors import UserError, without_secrets
from verdict.files import sha256, writing

MIRROR = "VERDICT_MIRROR"
TRIES = 5
CHUNK = 2**18  # bytes
TIMEOUT = (15, 60)  # seconds to connect, and between two chunks
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file on this disk whose hash is right, and where it is said to come from."""

    path: Path
    name: str
    origin: dict[str, str | int]


def fetch(item: PackageFile | WebFile | OwnFile, downloads: Path, pause: float = 1.0) -> Fetched:
    """The file, from the cache in ``downloads`` if it is there, else downloaded; ``pause`` seconds before the 2nd try.

    Raises ``UserError``: not found anywhere, cannot be reached, or a wrong hash (naming both).
    """
    if isinstance(item, OwnFile):
        return _own(item)
    name = item.file if isinstance(item, PackageFile) else Path(unquote(urlsplit(item.url).path)).name or "file"
    path = downloads / f"{item.sha256}-{name}"
    with _alone(path):
        if not (path.exists() and sha256(path) == item.sha256):
            path.unlink(missing_ok=True)
            if not _from_mirror(name, item.sha256, path, pause):
                if isinstance(item, PackageFile):
                    _from_index(item, path, pause)
                else:
                    _download(item.url, path, item.sha256, requests.Session(), pause)
    origin: dict[str, str | int] = {"package": item.requirement} if isinstance(item, PackageFile) else {"url": item.url}
    return Fetched(path, name, origin | {"file": name, "sha256": item.sha256, "bytes": path.stat().st_size})


def _own(item: OwnFile) -> Fetched:
    path = Path(item.path).expanduser()
    if not path.is_file():
        raise UserError(f"{item.path} is not a file; set source.files.path to a file that exists")
    found = sha256(path)
    if item.sha256 and found != item.sha256:
        raise UserError(_wrong_hash(item.path, item.sha256, found) + "; restore the file or correct the hash")
    return Fetched(path, item.path, {"path": item.path, "sha256": found, "bytes": path.stat().st_size})


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Jobs that need the same file wait for the first of them."""
    from filelock import FileLock

    locks = path.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"{path.name}.lock"):
        yield


def _wrong_hash(what: str, expected: str, found: str) -> str:
    return f"{what} has the SHA-256 {found} instead of {expected}"


def _from_mirror(name: str, expected: str, path: Path, pause: float) -> bool:
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    if not mirror:
        return False
    for called in (f"{expected}-{name}", name):
        where = f"{mirror}/{called}"
        if not mirror.startswith(("http://", "https://")):
            folder = _local(mirror) if mirror.startswith("file:") else Path(mirror).expanduser()
            if (folder / called).is_file():
                _copy(folder / called, path, expected)
                return True
        else:
            try:
                _download(where, path, expected, requests.Session(), pause)
                return True
            except _MissingError:
                continue
    print(f"{name} is not in the mirror {without_secrets(mirror)}; taking it from its origin", file=sys.stderr)
    return False


def _from_index(item: PackageFile, path: Path, pause: float) -> None:
    index = pip_index()
    session = index.session()
    notes: list[str] = []
    others: list[str] = []
    for url, stated in candidates(item.name, item.file, index, session, notes):
        if stated and stated != item.sha256:
            where = f"{item.file} at {without_secrets(url)}"
            others.append(_wrong_hash(where, item.sha256, stated))
            continue
        if url.startswith("file:"):
            _copy(_local(url), path, item.sha256)
        else:
            try:
                _download(url, path, item.sha256, session, pause)
            except _MissingError as error:
                notes.append(str(error))
                continue
        return
    if others:
        raise UserError(f"{others[0]}; correct the hash if this file is meant, else take it from another index")
    raise UserError(
        f"{item.file} of {item.requirement} was not found; {'; '.join(notes) or 'no index is set'}. "
        f"Check the network and pip's index settings (pip config list), or set {MIRROR} to a folder that has the file"
    )


def _local(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


def _copy(origin: Path, path: Path, expected: str) -> None:
    part = path.with_name(path.name + ".part")
    shutil.copyfile(origin, part)
    _accept(str(origin), part, path, expected)


def _accept(what: str, part: Path, path: Path, expected: str) -> None:
    found = sha256(part)
    if found != expected:
        part.unlink()
        raise UserError(
            _wrong_hash(what, expected, found)
            + "; nothing was kept: correct the hash if the file was meant to change, "
            "else take the file from another place"
        )
    part.replace(path)


class _MissingError(UserError):
    """The server does not have the file: another place may."""


def _download(url: str, path: Path, expected: str, session: requests.Session, pause: float) -> None:
    """Download to ``path``, continuing what an earlier try left in ``path.part``.

    A file that was put together from parts and has a wrong hash is fetched once more as a whole.
    """
    part = path.with_name(path.name + ".part")
    called = without_secrets(url)
    resumed = False
    for number in range(1, TRIES + 1):
        try:
            resumed |= _receive(url, part, session, called)
        except _AgainError as error:
            if number == TRIES:
                raise UserError(
                    f"{called} could not be fetched in {TRIES} tries ({error}); check the network, or set {MIRROR}; "
                    "the same command continues where this one stopped"
                ) from error
            wait = max(error.wait, pause * 2 ** (number - 1))
            print(f"{path.name[65:]}: {error}; next try in {wait:g} s", file=sys.stderr)
            time.sleep(wait)
            continue
        if resumed and sha256(part) != expected:
            part.unlink()
            resumed = False
            continue
        break
    else:
        raise UserError(f"{called} gave other bytes each time it was continued; set {MIRROR} or try again later")
    _accept(called, part, path, expected)


class _AgainError(Exception):
    """Worth another try, after ``wait`` seconds if the server said so."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def _receive(url: str, part: Path, session: requests.Session, called: str) -> bool:
    """Receive into ``part``; True if it continued there. Raises ``_AgainError``, or ``_MissingError`` for good."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:
                part.unlink()
                raise _AgainError("what an earlier try left does not fit")
            if response.status_code == 429 or response.status_code >= 500:
                raise _AgainError(f"the server answered {response.status_code}", _retry_after(response))
            if response.status_code not in (200, 206):
                raise _MissingError(f"{called} answered {response.status_code} {response.reason}; correct the address")
            continued = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
                f"bytes {have}-"
            )
            if response.status_code == 206 and not continued:
                part.unlink(missing_ok=True)
                raise _AgainError("the server sent another part than was asked for")
            start = have if continued else 0
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdigit() else 0
            _write(response, part, "ab" if continued else "wb", start, total)
            return continued and have > 0
    except _BROKEN as error:
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
            raise  # the disk, not the network
        raise _AgainError(_reason(error)) from error


def _write(response: requests.Response, part: Path, mode: str, start: int, total: int) -> None:
    progress = _Progress(part.name[65:].removesuffix(".part"), start, total)
    with writing(part), open(part, mode) as file:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            file.write(chunk)
            progress.add(len(chunk))


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After", "")
    if value.isdigit():
        return min(float(value), 60.0)
    date = email.utils.parsedate_tz(value)
    return min(max(0.0, email.utils.mktime_tz(date) - time.time()), 60.0) if date else 0.0


def _reason(error: Exception) -> str:
    text = str(error).lower()
    if "name or service" in text or "resolve" in text:
        return "the server's name is not known here"
    if "certificate" in text:
        return "the server's certificate is not trusted; set PIP_CERT or REQUESTS_CA_BUNDLE"
    if "timed out" in text:
        return "the server took too long"
    if "refused" in text:
        return "the server refused the connection"
    return "the connection broke off"


class _Progress:
    """A line on standard error every two seconds, for files that take longer."""

    def __init__(self, name: str, start: int, total: int) -> None:
        self.name, self.done, self.total = name, start, total
        self.first, self.begun = start, time.monotonic()
        self.shown = self.begun

    def add(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.shown >= 2:
            self.shown = now
            rate = (self.done - self.first) / (now - self.begun)
            left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate else ""
            of = f" of {self.total / 1e6:.1f}" if self.total else ""
            print(f"{self.name}: {self.done / 1e6:.1f}{of} MB, {rate / 1e6:.1f} MB/s{left}", file=sys.stderr)
