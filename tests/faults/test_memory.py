"""A job that finds no more memory says so in one sentence and leaves nothing half-made."""

import json
import resource
import subprocess
from dataclasses import replace
from pathlib import Path

import tiny
from calls import module

#: bytes of address space: a process with torch takes less than half of it
LIMIT = 3 * 2**30


def test_a_training_that_finds_no_memory(world: Path, tmp_path: Path):
    job = replace(tiny.job("lm", "lm", "language_model", "lstm"), parameters=2 * 10**9, width=1024)
    done = subprocess.run(
        module("training", "--jobs", json.dumps([job.to_dict()]), "--tokens", world / "tokens/lm", "--runs", tmp_path),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: there is not enough memory (")
    assert not list(tmp_path.rglob("*.safetensors"))
