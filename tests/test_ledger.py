"""Metrics files to MLflow: every number is found again under a name of its own, once."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tiny import metrics_of

from verdict import ledger
from verdict.errors import UserError, without_secrets
from verdict.files import read_json, write_json
from verdict.ledger import LARGEST, Ledger, flatten, metric_name
from verdict.metrics import NEVER

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "workflow"))
import environment  # noqa: E402


def kind_of(told: dict[str, Any]) -> str:
    return told["run"].split("/")[0]


def address(row: dict[str, Any], kind: str) -> tuple[str, int]:
    """Name and step of a row within its run, as ``Ledger.log`` writes it."""
    step = row["replicate"] if kind not in ("train", "evaluate") and row["replicate"] is not None else 0
    return metric_name(row, kind), step


@pytest.fixture(scope="module")
def logged(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the world whose runs are in its own store."""
    folder = tmp_path_factory.mktemp("ledger") / "world"
    shutil.copytree(world, folder)
    log(folder)
    return folder


def uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def log(folder: Path) -> dict[str, Any]:
    cards = sorted(folder.glob("corpus/*/card.json"))
    ledger.run(metrics_of(folder), cards, folder / "results/machine.json", uri(folder), folder / "results/ledger.json")
    return read_json(folder / "results/ledger.json")


def test_no_two_rows_of_a_job_share_a_name(world: Path):
    told = [one for one in map(read_json, metrics_of(world)) if "rows" in one]
    for one in told:
        names = Counter(address(row, kind_of(one)) for row in one["rows"])
        assert {name for name, count in names.items() if count > 1} == set(), one["run"]
        assert not {name for name, _ in names if name.startswith("history/") or name == "job_seconds"}
    assert {kind_of(one) for one in told} == {
        "train", "evaluate", "baselines", "speed", "anatomy", "curves", "matched", "device",
    }  # fmt: skip


def test_every_number_is_found_again(logged: Path):
    runs = read_json(logged / "results/ledger.json")["runs"]
    client = Ledger(uri(logged)).client
    assert set(runs) == {read_json(path)["run"] for path in metrics_of(logged)}
    for path in metrics_of(logged):
        told = read_json(path)
        stored = client.get_run(runs[told["run"]])
        assert stored.info.status == "FINISHED"
        histories: dict[str, dict[int, float]] = {}
        for row in told["rows"]:
            name, step = address(row, kind_of(told))
            if name not in histories:
                histories[name] = {m.step: m.value for m in client.get_metric_history(stored.info.run_id, name)}
            assert histories[name][step] == (LARGEST if row["value"] == NEVER else row["value"]), (told["run"], name)
        for name, value in flatten(told["job"]):
            assert stored.data.params[name] == value
        assert stored.data.metrics["job_seconds"] == told["seconds"]


def test_learning_curves_and_what_runs_stand_on_are_found_again(logged: Path):
    runs = read_json(logged / "results/ledger.json")["runs"]
    client = Ledger(uri(logged)).client
    points = [json.loads(line) for line in (logged / "runs/lm/lstm/s1/history.jsonl").read_text().splitlines()]
    stored = client.get_metric_history(runs["train/lm/lstm/s1"], "history/valid_loss")
    assert {m.step: m.value for m in stored} == {point["step"]: point["valid_loss"] for point in points}
    tags = client.get_run(runs["train/lm/lstm/s1"]).data.tags
    assert tags["architecture"] == "lstm"
    assert tags["seed"] == "1"
    assert tags["task"] == "lm"
    assert tags["corpus_sha256"] == read_json(logged / "corpus/lm/card.json")["sha256"]
    assert tags["edition"] == "quick"


def test_what_did_not_change_is_not_logged_again_and_what_did_supersedes(
    logged: Path, capfd: pytest.CaptureFixture[str]
):
    before = read_json(logged / "results/ledger.json")
    capfd.readouterr()
    assert log(logged) == before
    assert "0 new runs" in capfd.readouterr().err
    changed = logged / "runs/lm/lstm/s0/metrics.json"
    told = read_json(changed)
    kept = json.loads(json.dumps(told))
    told["rows"][0]["value"] += 1
    write_json(changed, told)
    after = log(logged)
    assert "1 new runs" in capfd.readouterr().err
    assert {name for name in after["runs"] if after["runs"][name] != before["runs"][name]} == {"train/lm/lstm/s0"}
    client = Ledger(uri(logged)).client
    assert client.get_run(before["runs"]["train/lm/lstm/s0"]).data.tags["superseded"] == "true"
    assert client.get_run(after["runs"]["train/lm/lstm/s0"]).data.tags["superseded"] == "false"
    # back to what it was: again a run of its own, the other superseded
    write_json(changed, kept)
    again = log(logged)
    assert again["runs"]["train/lm/lstm/s0"] not in (
        before["runs"]["train/lm/lstm/s0"], after["runs"]["train/lm/lstm/s0"],
    )  # fmt: skip
    live = client.search_runs(
        [again["experiments"]["train/lm/lstm/s0"]], "tags.superseded = 'false' and tags.job = 'train/lm/lstm/s0'"
    )
    assert [run.info.run_id for run in live] == [again["runs"]["train/lm/lstm/s0"]]


def test_a_password_in_the_stores_address_is_not_published():
    assert without_secrets("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert without_secrets("sqlite:///mlflow.db") == "sqlite:///mlflow.db"
    assert "p@ss" not in without_secrets("https://me:p@ss@host/x")


def test_a_store_that_cannot_be_is_told():
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        Ledger("nosuchstore://here")


@pytest.mark.parametrize("how", ["refuses", "stalls", "breaks"])
def test_a_server_that_is_away_blocks_nothing_and_is_asked_again(
    how: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    folder = tmp_path / "world"
    shutil.copytree(world, folder)
    told = folder / "results/ledger.json"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if how == "breaks":
            threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        if how == "refuses":
            server.close()
        address = f"http://someone:secret@127.0.0.1:{port}"
        for attempt in range(2):
            assert environment.ledger_attempt(told) == attempt
            ledger.run(metrics_of(folder), [], folder / "results/machine.json", address, told, attempt)
            assert read_json(told)["pending"] is True
            assert read_json(told)["runs"] == {}
            assert "tries again" in (said := capfd.readouterr().err)
            assert "secret" not in said + told.read_text()
    waiting = environment.ledger_attempt(told)
    ledger.run(metrics_of(folder), [], folder / "results/machine.json", uri(folder), told, waiting)
    assert read_json(told)["pending"] is False
    assert len(read_json(told)["runs"]) > 0
    assert environment.ledger_attempt(told) == waiting  # settled: nothing makes the job run again


def test_a_store_whose_making_is_killed_is_made_anew(world: Path, tmp_path: Path):
    folder = tmp_path / "world"
    shutil.copytree(world, folder)
    told = folder / "results/ledger.json"
    command = [sys.executable, "-m", "verdict.ledger", "--metrics", *metrics_of(folder)]
    command += ["--machine", folder / "results/machine.json", "--out", told]
    with subprocess.Popen(command, env={**os.environ, "MLFLOW_TRACKING_URI": uri(folder)}) as making:
        limit = time.monotonic() + 90
        while not any(path.stat().st_size > 100_000 for path in folder.glob(".*.db")):  # some of the tables are there
            assert time.monotonic() < limit
            time.sleep(0.005)
        making.kill()
    assert not Path(uri(folder).removeprefix("sqlite:///")).exists()
    ledger.run(metrics_of(folder), [], folder / "results/machine.json", uri(folder), told)
    assert len(read_json(told)["runs"]) == len(metrics_of(folder))
    assert list(folder.glob(".*.db")) == []


def test_a_slow_server_is_left_for_the_next_run_which_goes_on(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """A real server, and no patience at all: every try writes one run more, and the rest once there is time."""
    folder = tmp_path / "world"
    shutil.copytree(world, folder)
    told = folder / "results/ledger.json"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [
        Path(sys.executable).with_name("mlflow"),
        "server",
        "--backend-store-uri",
        uri(folder),
        "--port",
        str(port),
    ]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            limit = time.monotonic() + 90
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < limit
                time.sleep(0.2)
            monkeypatch.setattr(ledger, "PATIENCE", 0.0)
            for attempt in (1, 2):
                ledger.run(metrics_of(folder), [], folder / "results/machine.json", address, told, attempt - 1)
                assert read_json(told)["pending"] is True
                assert len(read_json(told)["runs"]) == attempt
                assert "1 runs took more than 0 s" in capfd.readouterr().err
            monkeypatch.undo()
            ledger.run(metrics_of(folder), [], folder / "results/machine.json", address, told, 2)
        finally:
            server.terminate()
    assert read_json(told)["pending"] is False
    assert len(read_json(told)["runs"]) == len(metrics_of(folder))
    assert f"{len(metrics_of(folder)) - 2} new runs, 2 kept" in capfd.readouterr().err


def hang_up(server: socket.socket) -> None:
    """Close every connection at once, until the server is closed."""
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()
