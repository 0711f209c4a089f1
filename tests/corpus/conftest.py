"""What every test of the corpus room gets: no settings of whoever runs it, and a server on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from made import Server


@pytest.fixture(autouse=True)
def _only_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pip's settings and mirrors of whoever runs the tests stay out of them."""
    for name in ("VERDICT_MIRROR", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "no-index").as_uri())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.server.shutdown()
    one.server.server_close()
    one.thread.join()
