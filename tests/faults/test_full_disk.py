"""A disk that is full: one sentence, nothing half-made, and the same command goes on once there is room."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from calls import KINDS, UNSHARE, Call, calls, may_mount


def on_a_small_disk(folder: Path, free: int, command: list[str]) -> dict[str, Any]:
    script = Path(__file__).with_name("small_disk.py")
    done = subprocess.run(
        [*UNSHARE, sys.executable, str(script), str(folder), str(free), *command],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.skipif(not may_mount(), reason="this system lets nobody mount a file system of their own")
@pytest.mark.parametrize("free", [0, 8192])
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(kind: str, free: int, world: Path, tmp_path: Path):
    call: Call = calls(world)[kind](tmp_path)
    found = on_a_small_disk(tmp_path, free, call.command)
    code, said = found["full"]
    if code == 0:
        assert free, "a disk without any room"
        return  # it needs no more
    last = said.strip().splitlines()[-1]
    assert last.startswith("error: the disk is full while writing"), said
    assert str(tmp_path) in last
    assert "Traceback" not in said
    assert not set(found["changed"]) & set(call.made)
    assert not [name for name in found["changed"] if Path(name).name.startswith(".")]
    code, said = found["roomy"]
    assert code == 0, said
    assert tuple(name for name in call.made if not (tmp_path / name).stat().st_size) == call.empty
