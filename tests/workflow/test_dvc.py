"""The same line through DVC, after it was killed again and again: one stage around Snakemake; after either tool the
other has nothing to do.
"""

import random
import shutil
import signal
from pathlib import Path

import pytest

from benchmarks import soak
from tests.workflow.conftest import ROOT, Clone

pytestmark = pytest.mark.slow


def weights(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("runs/**/model.safetensors")}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, soak.Disturbed]:
    """A clean clone in which ``snakemake`` was killed five times."""
    clone = Clone(tmp_path_factory.mktemp("dvc"))
    return clone, soak.disturb(clone.folder, 5, random.Random(), 20.0)


@pytest.fixture(scope="module")
def reproduced(killed: tuple[Clone, soak.Disturbed]) -> Clone:
    """The clone that was killed, in which ``dvc repro`` has then run."""
    clone, found = killed
    soak.finish(clone.folder, found, ("dvc", "repro"))
    return clone


def test_a_run_that_was_killed_anywhere_ends_as_if_it_had_not_been(
    killed: tuple[Clone, soak.Disturbed], reproduced: Clone, smoke: Clone
) -> None:
    told = [(kill.target, kill.number, round(kill.after, 1)) for kill in killed[1].kills]
    assert list(soak.differences(smoke.folder, reproduced.folder)) == [], told
    assert killed[1].remade == [], told
    for kill in killed[1].kills:
        if kill.number == signal.SIGINT:
            assert "Traceback" not in kill.said


def test_both_tools_give_the_same_models_and_leave_each_other_nothing_to_do(reproduced: Clone, smoke: Clone) -> None:
    assert weights(reproduced.folder) == weights(smoke.folder)
    assert reproduced.planned() == {}
    assert "up to date" in reproduced.call("dvc", "status")


def test_dvc_finds_snakemakes_work_done(smoke: Clone) -> None:
    before = {path: path.stat().st_mtime_ns for path in smoke.folder.glob("runs/**/model.safetensors")}
    told = smoke.call("dvc", "repro")
    assert "Nothing to be done" in told
    assert before == {path: path.stat().st_mtime_ns for path in smoke.folder.glob("runs/**/model.safetensors")}
    assert "up to date" in smoke.call("dvc", "status")
    assert smoke.planned() == {}


def test_a_fresh_clone_has_nothing_to_do_after_a_pull(reproduced: Clone, tmp_path: Path) -> None:
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")
    reproduced.call("dvc", "remote", "add", "--local", "--force", "folder", str(tmp_path / "remote"))
    reproduced.call("dvc", "push", "--remote", "folder")
    reproduced.call(*git, "add", "-A")
    reproduced.call(*git, "commit", "-qm", "results")
    pulled = Clone.__new__(Clone)
    pulled.folder = tmp_path / "pulled"
    pulled.call("git", "clone", "-q", str(reproduced.folder), str(pulled.folder), where=tmp_path)
    (pulled.folder / "downloads").unlink(missing_ok=True)
    (pulled.folder / "downloads").symlink_to(ROOT / "downloads")
    pulled.call("dvc", "remote", "add", "--local", "folder", str(tmp_path / "remote"))
    pulled.call("dvc", "pull", "--remote", "folder")
    assert weights(pulled.folder) == weights(reproduced.folder)
    assert pulled.planned() == {}
    assert "up to date" in pulled.call("dvc", "status")
    pulled.change("    dropout: 0.0            # share", "    dropout: 0.3            # share")
    assert pulled.planned()["train_model"] > 0
    assert "dropout" in pulled.call("dvc", "params", "diff")
    shutil.rmtree(pulled.folder)
