"""A training that is killed in the middle of any write ends, when it is begun again, as if it had not been."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_killed_in_any_write(architecture: str, world: Path, tmp_path: Path):
    job = tiny.job("lm", "lm", "language_model", architecture, budget_tokens=700, validations=1)
    script = Path(__file__).with_name("killed_writing.py")
    told = subprocess.run(
        [sys.executable, str(script), json.dumps(job.to_dict()), str(world / "tokens/lm"), str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-2000:]
    kills = [json.loads(line) for line in told.stdout.splitlines()]
    places = {kill["at"] for kill in kills}
    assert {"half of checkpoint", "half of model", "renaming to checkpoint.safetensors", "syncing"} <= places, places
    assert [kill for kill in kills if kill["ended"] or not (kill["same"] and kill["nothing_left"])] == []
    assert len(kills) >= 8
