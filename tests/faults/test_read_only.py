"""A folder that nobody may write to: one sentence that names it."""

import subprocess
from pathlib import Path

import pytest
from calls import KINDS, UNSHARE, calls, may_mount

READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


@pytest.mark.skipif(not may_mount(), reason="this system lets nobody mount a file system of their own")
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_cannot_be_written(kind: str, world: Path, tmp_path: Path):
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", READ_ONLY, "sh", str(tmp_path), *calls(world)[kind](tmp_path).command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("error: "), last
    assert str(tmp_path) in last
    assert not list(tmp_path.iterdir())
