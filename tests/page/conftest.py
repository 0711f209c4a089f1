"""A whole page, written once by the real command line from a made-up world judged by the real judge."""

import subprocess
import sys
from pathlib import Path

import hostile
import pytest
import world


def write_page(paths: dict[str, Path], out: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m verdict.page`` as the workflow does."""
    command = [sys.executable, "-m", "verdict.page", "--out", str(out)]
    for name in ("evidence", "history", "verdict", "claims", "ledger", "machine"):
        command += [f"--{name}", str(paths[name])]
    for flag, prefix in (("--cards", "card_"), ("--outputs", "outputs_"), ("--activity", "activity_")):
        command += [flag, *(str(path) for name, path in paths.items() if name.startswith(prefix))]
    command += ["--card", str(out.with_name("card.png")), "--rules", '[["corpus", ["corpus"]], ["page", ["page"]]]']
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The world's files, and under ``page`` the page made from them."""
    folder = tmp_path_factory.mktemp("world")
    paths = world.build(folder)
    paths["page"] = folder / "reports" / "index.html"
    done = write_page(paths, paths["page"])
    assert done.returncode == 0, done.stderr
    return paths


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of the same world with texts in it that would come alive if they were anything but text."""
    folder = tmp_path_factory.mktemp("hostile")
    page = folder / "reports" / "index.html"
    done = write_page(hostile.build(folder), page)
    assert done.returncode == 0, done.stderr
    return page
