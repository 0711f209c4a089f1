"""The same line through DVC, after it was killed again and again: one stage around Snakemake; after either tool the
other has nothing to do.
"""

import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks import soak
from tests.workflow.conftest import ROOT, Clone, wait_until

pytestmark = pytest.mark.slow


def weights(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("runs/**/model.safetensors")}


def trained(folder: Path) -> list[Path]:
    """The weights of a folder in the order in which their trainings began."""
    began = {path: json.loads(path.read_text())["started"] for path in folder.glob("runs/**/metrics.json")}
    return [path.with_name("model.safetensors").relative_to(folder) for path in sorted(began, key=began.__getitem__)]


@pytest.fixture(scope="module")
def killed(smoke: Clone, tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, soak.Disturbed]:
    """A clean clone in which the training that ``snakemake`` elsewhere began last is made first, on one core, and
    ``snakemake`` was then killed five times."""
    clone = Clone(tmp_path_factory.mktemp("dvc"))
    clone.call("snakemake", "--cores", "1", str(trained(smoke.folder)[-1]))
    return clone, soak.disturb(clone.folder, 5, random.Random(6), 15.0)


@pytest.fixture(scope="module")
def orphaned(killed: tuple[Clone, soak.Disturbed]) -> str:
    """What ``dvc repro`` says after another one was killed whose ``snakemake`` still works; that is ended then, too."""
    folder = killed[0].folder
    # a Snakemake that is asked to end may be past hearing it, and have ended with everything done
    shutil.rmtree(folder / "runs/lm", ignore_errors=True)
    said = folder.parent / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=folder, env=soak.environment(), start_new_session=True,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    wait_until(lambda: process.poll() is not None or bool(list((folder / ".snakemake/locks").glob("*"))))
    assert process.poll() is None, said.read_text(encoding="utf-8")[-4000:]
    process.kill()
    process.wait()
    told = killed[0].call("dvc", "repro", fails=True)
    os.killpg(process.pid, signal.SIGTERM)
    wait_until(lambda: not list((folder / ".snakemake/owners").glob("*")))
    return told


@pytest.fixture(scope="module")
def reproduced(killed: tuple[Clone, soak.Disturbed], orphaned: str) -> Clone:
    """The clone that was killed, in which ``dvc repro`` has then run."""
    clone, found = killed
    soak.finish(clone.folder, found, ("dvc", "repro"))
    return clone


def test_a_run_that_was_killed_anywhere_ends_as_if_it_had_not_been(
    killed: tuple[Clone, soak.Disturbed], reproduced: Clone, smoke: Clone
) -> None:
    told = [(kill.target, kill.number, round(kill.after, 1)) for kill in killed[1].kills]
    assert list(soak.differences(smoke.folder, reproduced.folder)) == [], told
    assert len(told) == 5
    assert killed[1].remade == [], told
    for kill in killed[1].kills:
        assert not soak.tracebacks(kill.said), kill.said


def test_dvc_killed_over_its_workflow_leaves_it_at_work_and_says_so(orphaned: str) -> None:
    assert "works in this folder; to write here too, wait until it has ended" in orphaned
    assert "Traceback" not in orphaned


def test_the_order_of_jobs_does_not_matter(reproduced: Clone, smoke: Clone) -> None:
    one, other = trained(smoke.folder), trained(reproduced.folder)
    assert one[-1] == other[0]
    assert sorted(one) == sorted(other)
    assert list(soak.differences(smoke.folder, reproduced.folder)) == []


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
