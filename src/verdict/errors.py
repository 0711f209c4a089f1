"""The one kind of error a user can mend, and the wrapper that prints it in one sentence."""

import errno
import json
import re
import sys
from collections.abc import Callable

#: characters of a sentence; of a longer one the middle is left out
LONGEST = 900
_SECRET = re.compile(
    r"(?<=://)[^/\s]+@|(?<=[?&])((?:[\w-]*(?:passw|token|secret|key)[\w-]*|pwd|sig(?:nature)?)=)[^&\s#]+", re.IGNORECASE
)


class UserError(Exception):
    """Something the user can mend: the message names the file or key and says what to do.

    Whatever of the user's is quoted in it, it is one line of moderate length that can be read, and no address in it
    bears a password.
    """

    def __init__(self, message: str) -> None:
        super().__init__(readable(without_secrets(message)))

    __str__ = Exception.__str__  # also of what is a KeyError too, which would add quotation marks


def readable(text: str, longest: int = LONGEST) -> str:
    """A text on one line, its control characters and the like written out, the middle left out if it is very long."""
    half = longest // 2
    if len(text) > 4 * longest:  # of a book
        text = f"{text[: 2 * longest]} … {text[-2 * longest :]}"
    if "\n" in text or "\r" in text:
        text = "; ".join(filter(None, (line.strip() for line in text.splitlines())))
    text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"


def without_secrets(text: str) -> str:
    """A text without the names, passwords and tokens that addresses in it carry, fit to be shown."""
    return _SECRET.sub(lambda found: f"{found[1]}…" if found[1] else "", text)


def run_command(main: Callable[[], None]) -> None:
    """Run a command line's ``main``; what a user can mend ends it with one sentence and exit code 1: a ``UserError``, a
    file that is missing or cannot be read or written, an argument that is no JSON, memory that does not suffice."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.exit(f"error: {readable(_of_system(error))}")
    except json.JSONDecodeError as error:
        place = f"{error.msg} at line {error.lineno} column {error.colno}"
        sys.exit(f"error: what should be JSON is not: {readable(error.doc, 80)!r} ({place}); correct it")
    except MemoryError as error:
        sys.exit(f"error: {_of_memory(error)}")
    except RuntimeError as error:
        if "out of memory" in str(error) or "can't allocate memory" in str(error):  # as torch says it
            sys.exit(f"error: {_of_memory(error)}")
        raise


def _of_system(error: OSError) -> str:
    where = error.filename or "a file"
    if error.errno == errno.ENOSPC:
        return f"the disk is full while writing {where}; free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{where} cannot be written or read ({error.strerror}); check the folder's permissions"
    if error.errno == errno.ENOENT:
        return f"{where} does not exist; run the step that makes it, or name another"
    if error.errno == errno.EISDIR:
        return f"{where} is a folder; name a file"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{where} cannot be had, because a part of its path is a file and no folder; name another"
    return f"{where} cannot be written or read ({error.strerror or error}); name another or mend it"


def _of_memory(error: Exception) -> str:
    return f"there is not enough memory ({readable(str(error), 200)}); ask for less at once, or use a larger machine"
