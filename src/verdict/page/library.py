"""The charts' library: Vega, Vega-Lite and vega-embed as one script that sets ``window.vegaEmbed``."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def bundle() -> str:
    """The script, from the vl-convert wheel. It takes seconds, in which nothing else runs in this process."""
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub lacks the default


@contextmanager
def bundling() -> Iterator[Callable[[], str]]:
    """``bundle`` in a process of its own, begun now; what is given waits for it."""
    code = "import sys; from verdict.page.library import bundle; sys.stdout.buffer.write(bundle().encode())"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:

        def wait() -> str:
            told, _ = process.communicate()
            if process.returncode:
                raise RuntimeError(f"bundling the charts' library ended with {process.returncode}")
            return told.decode()

        try:
            yield wait
        finally:
            process.kill()
