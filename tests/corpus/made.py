"""Small archives, packages and servers made on the spot; nothing here leaves this machine."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return stream.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def settings(**changes: Any) -> dict[str, Any]:
    """A valid corpus of the user's own text, one document a line."""
    return {
        "name": "mine",
        "title": "My own text",
        "licence": "MIT",
        "language": "en",
        "source": {"files": [{"path": "mine.txt"}]},
        "reader": {"name": "text", "options": {"documents": "lines"}},
        "split": {"valid": 5, "test": 5},
    } | changes


class Server:
    """A web server on this machine whose answers a test chooses; it keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: handler.send_error(404)
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Range")))
                outer.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()


def send(
    handler: BaseHTTPRequestHandler,
    data: bytes,
    start: int | None = None,
    cut: int | None = None,
    kind: str = "text/html",
) -> None:
    """Answer with data from ``start`` on, breaking the connection after ``cut`` bytes."""
    body = data[start or 0 :]
    handler.send_response(200 if start is None else 206)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    if start is not None:
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    handler.end_headers()
    handler.wfile.write(body[:cut])
    if cut is not None:
        handler.close_connection = True


def read_lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
