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
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    handle, name = tempfile.mkstemp(prefix=_aside(path, os.getpid()), suffix=path.suffix, dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        with writing(path):
            yield aside
        with open(aside, "rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        aside.chmod(0o666 & ~umask)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path | str) -> Iterator[Path]:
    """Yield a folder beside ``path`` to fill; on success it takes the place of ``path``, else it is removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    aside = Path(tempfile.mkdtemp(prefix=_aside(path, os.getpid()), dir=path.parent))
    try:
        with writing(path):
            yield aside
        umask = os.umask(0)
        os.umask(umask)
        aside.chmod(0o777 & ~umask)
        if path.exists():
            shutil.rmtree(path)
        aside.replace(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


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


def read_json(path: Path | str) -> Any:
    """Read a JSON file; raises ``UserError`` naming the file and line if it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} line {error.lineno} is not JSON ({error.msg}); remove it and run again") from error


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
