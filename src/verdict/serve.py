"""``verdict open``: the page in a browser, served to this machine alone; MLflow's own pages beside it if wanted.

The page also opens as a file. Served, it stands at an address that a browser on another machine reaches through an SSH
tunnel (``ssh -L``), and beside MLflow, to whose runs its figures point.
"""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from verdict.errors import UserError, without_secrets

HOST = "127.0.0.1"
PAGE = "index.html"
KINDS = {".html": "text/html; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".json": "application/json"}
#: seconds: between looks at signals and children; for MLflow to end by itself
LOOK, PATIENCE = 0.1, 10.0


def serve(reports: Path, port: int = 0, store: Path | None = None, browser: bool = True) -> None:
    """Serve the folder ``reports`` on a port of 127.0.0.1 (0: a free one) until SIGINT, SIGTERM or SIGHUP.

    With ``store``, an SQLite file of MLflow, its server runs as a child as long. Raises ``UserError`` if the page, the
    store or MLflow is missing, or the port cannot be had. To be called from the main thread, which handles signals.
    """
    if not (reports / PAGE).is_file():
        raise UserError(f"{reports / PAGE} does not exist; run `snakemake --cores all` here, or go to a finished run")
    if store:
        _check(store)
    with _until_signalled() as stopped, _server(reports, port) as server, contextlib.ExitStack() as children:
        address = f"http://{HOST}:{server.server_address[1]}/"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": LOOK}, daemon=True).start()
        _tell(f"The page: {address}   (Ctrl-C ends)")
        mlflow = children.enter_context(_Mlflow(store)) if store else None
        if browser:  # a browser of the terminal does not return before it is closed
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        while not stopped():
            if mlflow:
                mlflow.look()
            time.sleep(LOOK)
        server.shutdown()


def file_of(reports: Path, target: str) -> Path | None:
    """The file of ``reports`` that a request's target (path, perhaps with a query) names; None if there is none.

    A folder is not listed, and nothing outside ``reports`` is reached: not by "..", however it is written, and not
    through a link, but for the page itself, which DVC may have made a link into its cache.
    """
    try:
        name = unquote(urlsplit(target).path, errors="strict")
    except ValueError:
        return None
    parts = PurePosixPath(name).parts[1:] if name.startswith("/") else ("..",)
    # a hidden file may be one that is just being written
    if any(part.startswith(".") or not part.isprintable() or set(part) & set(r"\:") for part in parts):
        return None
    if not parts or parts == (PAGE,):
        return reports / PAGE if (reports / PAGE).is_file() else None
    try:
        found = reports.joinpath(*parts).resolve()
        return found if found.is_file() and found.is_relative_to(reports.resolve()) else None
    except (OSError, RuntimeError):  # a name too long, a ring of links
        return None


def is_ours(host: str, port: int) -> bool:
    """Whether a request's Host header names this server; another name is a site that had itself resolved to it."""
    return host.lower() in (f"{HOST}:{port}", f"localhost:{port}", *((HOST, "localhost") if port == 80 else ()))


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with files of ``reports`` and nothing else."""

    reports: Path
    timeout = 60  # seconds

    def do_GET(self) -> None:
        if (body := self._head()) is not None:
            # a reader who has left is no error
            with contextlib.suppress(ConnectionError, TimeoutError):
                self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._head()

    def _head(self) -> bytes | None:
        """Answer up to the content, which is given back; None if there is no such file, and that is told."""
        port = self.connection.getsockname()[1]
        if not is_ours(self.headers.get("Host", ""), port):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, explain=f"This server is {HOST}:{port} alone.")
            return None
        path = file_of(self.reports, self.path)
        try:
            body = path.read_bytes() if path else None
        except OSError:
            body = None
        if path is None or body is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", KINDS.get(path.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")  # the next run writes the page anew
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def version_string(self) -> str:
        return "verdict"

    def log_message(self, *_: object) -> None:
        """Requests are nobody's news."""


class _Server(ThreadingHTTPServer):
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers have one port

    def handle_error(self, *_: object) -> None:
        """A broken connection is nobody's news either."""


def _server(reports: Path, port: int) -> _Server:
    handler = type("Handler", (_Handler,), {"reports": reports})
    try:
        return _Server((HOST, port), handler)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "ports go up to 65535"
        raise UserError(f"port {port} of {HOST} cannot be had ({why}); choose another after --port, or 0") from error


def _tell(sentence: str) -> None:
    print(sentence, flush=True)


@contextlib.contextmanager
def _until_signalled() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether this process was asked to end; signals do nothing else meanwhile."""
    asked: list[int] = []
    names = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {name: signal.signal(name, lambda number, _: asked.append(number)) for name in names}
    try:
        yield lambda: bool(asked)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _check(store: Path) -> None:
    """Raises ``UserError`` if MLflow cannot be started over the store."""
    if not store.is_file():
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        where = without_secrets(uri or "").rpartition("://")[2]
        other = f"the runs are in MLFLOW_TRACKING_URI, {where}" if uri else "run `snakemake --cores all`"
        raise UserError(f"{store} does not exist; {other}, or leave out --mlflow")
    if importlib.util.find_spec("mlflow") is None:
        raise UserError("the package mlflow is not installed; run `pip install -e .`, or leave out --mlflow")


def mlflow_command(store: Path, port: int) -> list[str]:
    """The command of MLflow's server over an SQLite file, for this machine alone and under no other name."""
    return [
        sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{store.as_posix()}",
        "--host", HOST, "--port", str(port), "--workers", "1", "--no-serve-artifacts",
        "--allowed-hosts", f"{HOST}:{port},localhost:{port}",
        "--cors-allowed-origins", f"http://{HOST}:{port},http://localhost:{port}",
    ]  # fmt: skip


class _Mlflow:
    """MLflow's server as a child with all of its own children, told of when it answers and if it ends."""

    def __init__(self, store: Path) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        self.command = mlflow_command(store, self.port)
        self.answered = self.ended = False

    def __enter__(self) -> "_Mlflow":
        _tell("MLflow starts …")
        # its own defaults would telephone, run other jobs, or be those of a server of the user's
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.said: IO[bytes] = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self.said, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,  # Ctrl-C is ours to hand on, or it would end with a page of tracebacks
        )  # fmt: skip
        return self

    def look(self) -> None:
        """Tell once where it answers, or once that it ended."""
        if self.ended:
            return
        if self.process.poll() is not None:
            self.ended = True
            lines = self._words()
            _tell(f"MLflow ended ({lines[-1] if lines else f'exit code {self.process.returncode}'}); the page stays")
        elif not self.answered:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=LOOK):
                self.answered = True
                _tell(f"MLflow:   http://{HOST}:{self.port}/")

    def _words(self) -> list[str]:
        self.said.seek(0)
        return [line.strip() for line in self.said.read().decode(errors="replace").splitlines() if line.strip()]

    def __exit__(self, *_: object) -> None:
        for name in ("SIGTERM", "SIGKILL"):
            self._signal(name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
                break
        self._signal("SIGKILL")  # what the server itself may have left
        self.said.close()

    def _signal(self, name: str) -> None:
        """To the whole group where there are groups, else to the child."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, getattr(signal, name))
            else:
                self.process.terminate() if name == "SIGTERM" else self.process.kill()
