"""Files are written aside and renamed, so that a half-written file is never taken for a whole one.

What lies aside bears the number of its process: what a killed one has left is removed when the same file is written
again.
"""

import contextlib
import errno
import glob
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verdict.errors import UserError

#: bytes; with less than this left of a disk a failing write is put down to it
FULL = 2**16


@contextlib.contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Give an ``OSError`` of a failing write, which names no file, the name of what was being written.

    Libraries hide a full disk behind errors of their own: whatever fails on one becomes the ``OSError`` that it is.
    """
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    except Exception as error:
        if shutil.disk_usage(Path(path).parent).free < FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise


def _aside(path: Path, process: int | str) -> str:
    """How the names begin of what a process of this machine writes aside for a path."""
    return f".{path.name}.{platform.node()}-{process}."


def sweep(path: Path) -> None:
    """Remove what dead processes of this machine have left aside for a path."""
    for left in path.parent.glob(f"{glob.escape(_aside(path, ''))[:-1]}*"):
        process = left.name.removeprefix(_aside(path, "")[:-1]).partition(".")[0]
        if process.isdigit() and not _lives(int(process)):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; on success it is synced and renamed over ``path``, else removed."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name the file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    handle, name = tempfile.mkstemp(prefix=_aside(path, os.getpid()), suffix=path.suffix, dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        with writing(path):
            yield aside
        _synced(aside)
        aside.chmod(0o666 & ~_umask())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path | str) -> Iterator[Path]:
    """Yield a folder beside ``path`` to fill; on success it takes the place of ``path``, else it is removed.

    What it replaces was written by the same step: raises ``UserError`` for a folder in which anything is worked, or
    that has other files than the new one and none of the same name.
    """
    path = Path(path)
    if Path.cwd().is_relative_to(path.resolve()):
        raise UserError(f"{path} is the folder worked in, or holds it, and would be replaced; name a new folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    aside = Path(tempfile.mkdtemp(prefix=_aside(path, os.getpid()), dir=path.parent))
    old = aside.with_name(f"{aside.name}.old")
    try:
        with writing(path):
            yield aside
        for file in (each for each in aside.rglob("*") if each.is_file()):
            _synced(file)
        aside.chmod(0o777 & ~_umask())
        if path.exists():
            there = {each.name for each in path.iterdir()}
            if there and there.isdisjoint(each.name for each in aside.iterdir()):
                raise UserError(f"{path} holds files of another kind, which would be lost; name a new or empty folder")
            path.replace(old)
        try:
            aside.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _synced(file: Path) -> None:
    """What was written is on the disk before a name points at it, or a power cut could leave a name without content."""
    with open(file, "rb") as written:
        os.fsync(written.fileno())


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes whole or not at all."""
    with replacing(path) as part:
        part.write_bytes(content)


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON (sorted keys, indented, no NaN) whole or not at all.

    Raises ``ValueError`` for NaN and infinities, which JSON does not have.
    """
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n")


class MissingKeyError(UserError, KeyError):
    """A key that a JSON file should have."""


class _Object(dict[str, Any]):
    """A JSON object that knows its file: a key that is not there is the file's fault."""

    _where: Path | str = ""

    def __missing__(self, key: str) -> Any:
        raise MissingKeyError(f"{self._where} has no key '{key}' where it is needed; remove it and run again")


def parse_json(text: str, where: Path | str, first: int = 1) -> Any:
    """What a JSON text says. Raises ``UserError`` naming where it stands and the line, counted from ``first``, if it is
    not JSON; an object raises one too when it is asked for a key that it lacks."""

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = _Object(pairs)
        found._where = where
        return found

    try:
        return json.loads(text, object_pairs_hook=made)
    except json.JSONDecodeError as error:
        line = first + error.lineno - 1
        raise UserError(f"{where} line {line} is not JSON ({error.msg}); remove it and run again") from error
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        raise UserError(f"{where} line {first} is not JSON ({error}); remove it and run again") from error


@contextlib.contextmanager
def _reading(path: Path | str) -> Iterator[None]:
    """Raise ``UserError`` naming the file if it is missing or a folder."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; run the step that makes it, or name another file") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise UserError(f"{path} is a folder or stands in what is none; name a file") from error


def read_text(path: Path | str) -> str:
    """The text of a UTF-8 file; raises ``UserError`` naming the file if it is missing, a folder or no such text."""
    try:
        with _reading(path):
            return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); remove it and run again") from error


def read_json(path: Path | str) -> Any:
    """Read a JSON file that holds an object; raises ``UserError`` naming the file and line if it is missing or is none.

    So does every object in it when it is asked for a key that it lacks.
    """
    found = parse_json(read_text(path), path)
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold a JSON object; remove it and run again")
    return found


def read_json_lines(path: Path | str) -> Iterator[Any]:
    """The JSON objects of a file that has one a line; raises ``UserError`` naming the file and line.

    Lines end in ``\\n`` and nothing else: a text may hold what else Python takes for a line end.
    """
    try:
        with _reading(path), open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    found = parse_json(line.decode("utf-8"), path, number)
                    if not isinstance(found, dict):
                        raise UserError(f"{path} line {number} is not a JSON object; remove the file and run again")
                    yield found
    except UnicodeDecodeError as error:
        raise UserError(f"{path} line {number} is not UTF-8 text; remove the file and run again") from error


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
