"""One cell that finds no memory: the others are trained all the same."""

import resource
import subprocess
from pathlib import Path

import pytest

from benchmarks import soak
from tests.workflow.conftest import Clone

pytestmark = pytest.mark.slow
#: bytes of address space of every process: one with torch takes less than half of it
LIMIT = 3 * 2**30


def test_a_cell_without_memory_stops_no_other(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    clone.change("width: 32\n        parameters: 60000", "width: 1024\n        parameters: 2000000000")
    starved, fed = (f"runs/{stage}/lstm/s0/metrics.json" for stage in ("lm_small", "lm_tiny"))
    done = subprocess.run(
        ["snakemake", "--cores", "1", starved, fed], cwd=clone.folder, env=soak.environment(), text=True, timeout=600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
    )  # fmt: skip
    assert done.returncode != 0
    assert "error: there is not enough memory (" in done.stdout
    assert "Traceback" not in done.stdout
    assert (clone.folder / fed).exists()
    assert not list((clone.folder / "runs/lm_small").rglob("*.safetensors"))
    clone.change("width: 1024\n        parameters: 2000000000", "width: 32\n        parameters: 60000")
    assert clone.planned(starved, fed) == {"train_model": 1}
