"""What is found out about the machine before the first job."""

import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import environment


def test_a_good_folder_brings_no_complaint(tmp_path: Path):
    assert environment.complaint(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write to")
def test_a_folder_that_cannot_be_written_is_named():
    told = environment.complaint(Path("/sys"))
    assert told is not None
    assert told.startswith("/sys cannot be written to (")


def test_a_disk_that_is_nearly_full_is_told_with_what_a_run_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "LEAST_FREE", 10**21)
    told = environment.complaint(tmp_path)
    assert told is not None
    assert told.startswith(f"{tmp_path} has ")
    assert "MB free, and a run needs 1000000000000000; free some space" in told
