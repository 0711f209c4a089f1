"""Members of zip, whl, tar and gz files, read in memory: nothing is ever unpacked to disk."""

import fnmatch
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from verdict.corpus.records import Member
from verdict.errors import UserError

MEMBER_LIMIT = 256 * 2**20  # bytes one member may unpack to; the largest of the default corpora has 6 MB
ARCHIVE_LIMIT = 2 * 2**30  # bytes all members that are read may unpack to
# what the readers of archives raise over bytes that are none; OSError is also bz2's and gzip's, for all is in memory
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, struct.error,
    IndexError, KeyError, ValueError, OverflowError, AssertionError,
)  # fmt: skip


def matches(path: str, pattern: str) -> bool:
    """Whether a member's path fits a pattern, folder by folder (``*`` does not cross a ``/``)."""
    names, globs = path.split("/"), pattern.split("/")
    return len(names) == len(globs) and all(map(fnmatch.fnmatchcase, names, globs))


def read_members(
    path: Path, patterns: Sequence[Sequence[str]], called: str | None = None, limit: int = MEMBER_LIMIT
) -> Iterator[Member]:
    """Yield the members of an archive that fit the patterns, in the order of the patterns, then of their paths.

    Each pattern is a list of spellings, of which at least one must fit a member. ``inner.tar.gz!folder/*.txt`` reads
    members of an archive inside the archive. A ``.gz`` member is given unpacked. Without patterns the file itself is
    the one member. ``called`` is the name that errors give the file.

    Raises ``UserError`` naming file and member: truncated or unknown archive, a path that escapes its folder, a link,
    an encrypted member, a member larger than ``limit`` bytes, a pattern that nothing fits.
    """
    called = called or str(path)
    budget = _Budget(limit)
    if not patterns:
        if path.name.endswith((".zip", ".whl", ".tar", ".tar.gz", ".tgz")):
            raise UserError(f"{called} is an archive; name the members to read")
        yield _unpacked(Member(called, path.name, path.read_bytes()), budget)
        return
    given: set[str] = set()
    for member in _read(called, path.read_bytes(), patterns, budget):
        if member.name not in given:
            given.add(member.name)
            yield member


class _Budget:
    """Counts what has been unpacked, so that no archive can fill the memory."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = ARCHIVE_LIMIT

    def read(self, name: str, file: Callable[[int], bytes]) -> bytes:
        allowed = min(self.limit, self.left)
        data = file(allowed + 1)
        if len(data) > allowed:
            raise UserError(f"{name} unpacks to more than {allowed / 2**20:,.1f} MiB; this is no text to learn from")
        self.left -= len(data)
        return data


def _read(name: str, data: bytes, patterns: Sequence[Sequence[str]], budget: _Budget) -> Iterator[Member]:
    outer = [[spelling.split("!", 1)[0] for spelling in spellings] for spellings in patterns]
    chosen = _select(name, data, outer, budget)
    for spellings in patterns:
        for spelling in spellings:
            first, _, rest = spelling.partition("!")
            for member in chosen:
                if matches(member.path, first):
                    yield from (
                        _read(member.name, member.data, [[rest]], budget) if rest else [_unpacked(member, budget)]
                    )


def _unpacked(member: Member, budget: _Budget) -> Member:
    if not member.path.endswith(".gz") or member.path.endswith(".tar.gz"):
        return member
    try:
        data = budget.read(member.name, gzip.GzipFile(fileobj=io.BytesIO(member.data)).read)
    except _BROKEN as error:
        raise UserError(
            f"{member.name} is truncated or damaged ({_reason(error)}); remove it and fetch it again"
        ) from error
    return Member(member.name, member.path.removesuffix(".gz"), data)


def _select(name: str, data: bytes, patterns: Sequence[Sequence[str]], budget: _Budget) -> list[Member]:
    """Members that fit any pattern; every pattern must fit one."""
    found: list[Member] = []
    try:
        for path, read in _entries(name, data):
            if any(matches(path, spelling) for spellings in patterns for spelling in spellings):
                called = f"{name}: {path}"
                found.append(Member(called, path, budget.read(called, read)))
    except _BROKEN as error:
        raise UserError(f"{name} is truncated or damaged ({_reason(error)}); remove it and fetch it again") from error
    for spellings in patterns:
        if not any(matches(member.path, spelling) for spelling in spellings for member in found):
            shown = " or ".join(repr(spelling) for spelling in spellings)
            raise UserError(f"{name} has no member {shown}; compare the corpus's members and language with the file")
    return sorted(found, key=lambda member: member.path)


def _reason(error: Exception) -> str:
    """The first line: of a file that is no archive tarfile says so for every packing it knows."""
    return (str(error).splitlines() or [type(error).__name__])[0].removesuffix(":")


def _entries(name: str, data: bytes) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        yield from _zip_entries(name, data)
    else:
        yield from _tar_entries(name, data)


def _zip_entries(name: str, data: bytes) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            _refuse_escape(name, info.orig_filename)
            if info.is_dir():
                continue

            def read(size: int, info: zipfile.ZipInfo = info) -> bytes:
                if (info.external_attr >> 16) & 0o170000 == 0o120000:
                    raise UserError(f"{name}: {info.filename} is a link, not a file; such an archive is not read")
                if info.flag_bits & 1:
                    raise UserError(f"{name}: {info.filename} is encrypted; name an archive without a password")
                with archive.open(info) as file:
                    return file.read(size)

            yield info.filename, read


def _tar_entries(name: str, data: bytes) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    passed = 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            _refuse_escape(name, info.name)
            passed += info.size
            if passed > ARCHIVE_LIMIT:  # members that are skipped are unpacked on the way too
                raise UserError(f"{name} unpacks to more than {ARCHIVE_LIMIT / 2**20:,.0f} MiB; it is not read")
            if info.isdir():
                continue

            def read(size: int, info: tarfile.TarInfo = info) -> bytes:
                if not info.isfile():
                    raise UserError(f"{name}: {info.name} is a link or device, not a file; such an archive is not read")
                file = archive.extractfile(info)
                assert file is not None
                content = file.read(size)
                if len(content) < min(size, info.size):
                    raise EOFError(f"{info.name} ends early")
                return content

            yield info.name.removeprefix("./"), read


def _refuse_escape(name: str, path: str) -> None:
    parts = PurePosixPath(path.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in path.split("/")[0][:2] or "\0" in path:
        raise UserError(f"{name}: member {path!r} points outside its folder; such an archive is not read")
