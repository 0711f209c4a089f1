"""Several processes at one thing: eight ledgers at one SQLite store, two workflows in one folder."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from calls import module
from tiny import metrics_of

from benchmarks import soak
from tests.workflow.conftest import Clone, wait_until


def test_eight_ledgers_at_one_new_store(world: Path, tmp_path: Path):
    """Each has runs of its own and some that all have: every run is there once, with all of its numbers."""
    from mlflow import MlflowClient

    files = metrics_of(world)
    shared, own = files[:4], files[4:36]
    store = f"sqlite:///{tmp_path}/mlflow.db"
    processes = [
        subprocess.Popen(
            module("ledger", "--metrics", *shared, *own[number::8], "--machine", world / "results/machine.json",
                   "--out", tmp_path / f"ledger{number}.json"),
            env={**os.environ, "MLFLOW_TRACKING_URI": store}, stderr=subprocess.PIPE, text=True,
        )
        for number in range(8)
    ]  # fmt: skip
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, "\n".join(said)
    client = MlflowClient(tracking_uri=store)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = {run.data.tags["job"]: run for run in client.search_runs(experiments)}
    told = {one["run"]: one for one in (json.loads(path.read_text()) for path in (*shared, *own))}
    assert len(client.search_runs(experiments)) == len(told)
    assert {name: run.info.status for name, run in runs.items()} == dict.fromkeys(told, "FINISHED")
    ids = [json.loads((tmp_path / f"ledger{number}.json").read_text())["runs"] for number in range(8)]
    for name, run in runs.items():
        assert {one[name] for one in ids if name in one} == {run.info.run_id}
        assert len(run.data.metrics) >= len({row["metric"] for row in told[name]["rows"]})


@pytest.mark.slow
def test_a_second_workflow_in_one_folder_is_told_and_the_first_goes_on(tmp_path: Path):
    clone = Clone(tmp_path)
    first = subprocess.Popen(
        ["snakemake", "--cores", "1", "tokens"], cwd=tmp_path, env=soak.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_until(lambda: first.poll() is not None or bool(list((tmp_path / ".snakemake/locks").glob("*"))), 60)
    assert first.poll() is None, first.stdout.read() if first.stdout else ""
    told = clone.call("snakemake", "--cores", "1", "tokens", fails=True)
    assert f"Another snakemake (process {first.pid}) works in this folder" in told
    assert "Traceback" not in told
    said = first.communicate()[0]
    assert first.returncode == 0, said
    assert list(clone.folder.glob("data/tokens/*/tokens.json"))
