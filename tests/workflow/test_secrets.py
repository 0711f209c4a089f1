"""Secrets of the environment are nowhere in what a whole run writes: logs, MLflow, tables, page, Snakemake's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.workflow.conftest import CANARIES, Clone

pytestmark = pytest.mark.slow


def holding(folder: Path, texts: list[str]) -> Iterator[str]:
    """The files below a folder in which one of the texts stands; those that git keeps are older than the run."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(place) / name
            if path.is_file():
                # the values of a Parquet file are packed
                content = pl.read_parquet(path).write_csv().encode() if name.endswith(".parquet") else b""
                content += path.read_bytes()
                if any(text.encode() in content for text in texts):
                    yield path.relative_to(folder).as_posix()


def test_no_secret_is_written_down(smoke: Clone) -> None:
    assert list(holding(smoke.folder, list(CANARIES.values()))) == []
    assert [text for text in CANARIES.values() if text in smoke.said] == []


def test_what_is_written_down_is_found(smoke: Clone) -> None:
    """Or the test above would hold of anything."""
    found = set(holding(smoke.folder, ["lm/lstm/s0"]))
    assert {"results/evidence.parquet", "mlflow.db", "results/ledger.json", "reports/index.html"} <= found
    assert any(name.startswith("logs/") for name in found)
    assert any(name.startswith(".snakemake/") for name in found)
    assert CANARIES["GITHUB_TOKEN"] in smoke.call("env")
