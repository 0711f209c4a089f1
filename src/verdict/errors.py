"""The one kind of error a user can mend, and the wrapper that prints it in one sentence."""

import errno
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend: the message names the file or key and says what to do."""


def run_command(main: Callable[[], None]) -> None:
    """Run a command line's ``main``; a user's error or a failing disk ends it with one sentence and exit code 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        where = error.filename or "a file"
        if error.errno == errno.ENOSPC:
            sys.exit(f"error: the disk is full while writing {where}; free some space and run the same command again")
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            sys.exit(f"error: {where} cannot be written or read ({error.strerror}); check the folder's permissions")
        raise
