"""``python -m verdict.ledger``: write every job's run into MLflow, once; the only module that imports mlflow.

One process writes the runs of all jobs (four processes that make one SQLite store at once spoil it). A run is known
by its job and the hash of its metrics file: a job that was not run again keeps its run, one that was gets a new run,
and the old one is marked ``superseded``. Leaves ledger.json: the MLflow run id of every job.

A server that does not answer, or takes minutes, blocks nothing: what it did not take is in the metrics files,
ledger.json says that it is ``pending``, and the next run of the workflow tries again.
"""

import argparse
import contextlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from verdict.errors import UserError, run_command, without_secrets
from verdict.files import read_json, read_json_lines, replacing, sha256, write_json, writing
from verdict.metrics import NEVER

#: what MLflow takes in one call: so many parameters, and 1,000 of everything
METRICS_AT_ONCE, PARAMS_AT_ONCE = 900, 100
#: MLflow's longest value of a parameter
LONGEST = 6000
#: what MLflow's store keeps for an infinity
LARGEST = 1.7976931348623157e308
#: seconds after which a slow server is left for the next run of the workflow
PATIENCE = 300.0
#: how the address of a store in a file begins
SQLITE = "sqlite:///"


def metric_name(row: dict[str, Any], kind: str) -> str:
    """The name of a row's metric within its run: what tells the run's rows apart, then the metric.

    Rounds of a timing are steps of one metric.
    """
    parts = [row["task"]] if kind == "anatomy" else []  # the only job of several tasks
    if kind not in ("train", "evaluate"):
        parts += [row["architecture"], row["experiment"]]
        parts += [row["size"], row["implementation"] if row["implementation"] != "kernel" else ""]
    parts += [
        row["variant"] if kind != "train" else "",
        row["matching"] if kind in ("curves", "matched", "tuning") else "",
    ]
    if row["variable"] and not (kind in ("train", "evaluate") and row["variable"] == "labels"):  # all of the run's
        parts.append(row["variable"] if row["at"] is None else f"{row['variable']}_{row['at']:g}")
    return re.sub(r"[^\w\-. /]", "_", "/".join([*filter(None, parts), row["metric"]]))


def flatten(value: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested settings as dotted names and texts."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    elif value is not None:
        yield prefix, str(value)[:LONGEST]


class AwayError(Exception):
    """The MLflow server does not answer."""


def is_server(uri: str) -> bool:
    """Whether the store is a server, which may be away for a while."""
    return uri.startswith(("http://", "https://"))


@contextlib.contextmanager
def alone(uri: str) -> Iterator[None]:
    """Nobody else who asks likewise writes into an SQLite store meanwhile; a server sees to that itself.

    Several processes that make the tables of one file at once spoil it, and each would log what all of them have.
    """
    if not uri.startswith(SQLITE):
        yield
        return
    from filelock import FileLock

    path = Path(uri.removeprefix(SQLITE))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            yield


def make_store(uri: str) -> None:
    """Make an SQLite store that is not there yet, whole or not at all.

    MLflow makes its tables in dozens of steps; a store in which a killed process has done some of them is one that no
    other process can open.
    """
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or path.exists():
        return
    from mlflow import MlflowClient

    with replacing(path) as aside:
        MlflowClient(tracking_uri=f"{SQLITE}{aside}").search_experiments(max_results=1)


class Ledger:
    """The runs of one MLflow store."""

    def __init__(self, uri: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        # a server that is away is told within seconds, and asked again by the next run
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            make_store(uri)
            self.client = MlflowClient(tracking_uri=uri)
            self.client.search_experiments(max_results=1)
        except MlflowException as error:
            if is_server(uri):
                raise AwayError(str(error)) from error
            raise UserError(f"the MLflow store {uri} does not answer ({error}); check MLFLOW_TRACKING_URI") from error
        self.uri = uri
        self.experiments: dict[str, str] = {}

    def experiment(self, name: str) -> str:
        """The id of an experiment, made if there is none."""
        if name not in self.experiments:
            found = self.client.get_experiment_by_name(name)
            self.experiments[name] = found.experiment_id if found else self.client.create_experiment(name)
        return self.experiments[name]

    def live(self, experiment: str) -> dict[str, dict[str, str]]:
        """Job -> run id -> fingerprint of the experiment's runs that are not superseded (``""``: was broken off)."""
        runs: dict[str, dict[str, str]] = {}
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment(experiment)], "tags.superseded = 'false'", max_results=1000, page_token=token
            )
            for run in page:
                fingerprint = run.data.tags["fingerprint"] if run.info.status == "FINISHED" else ""
                runs.setdefault(run.data.tags["job"], {})[run.info.run_id] = fingerprint
            token = page.token
            if not token:
                return runs

    def supersede(self, runs: Iterable[str]) -> None:
        """Mark runs, told by their ids, as replaced."""
        for run in runs:
            self.client.set_tag(run, "superseded", "true")

    def log(self, experiment: str, told: dict[str, Any], points: list[dict[str, Any]], tags: dict[str, str]) -> str:
        """Write one run with its parameters, metrics and history; gives its id."""
        from mlflow.entities import Metric, Param

        begin = int(told["started"] * 1000)
        end = begin + int(told["seconds"] * 1000)
        run = self.client.create_run(
            self.experiment(experiment), start_time=begin, run_name=told["run"], tags={**tags, "superseded": "false"}
        )
        metrics = []
        for row in told["rows"]:
            value = LARGEST if row["value"] == NEVER else row["value"]
            step = row["replicate"] if experiment not in ("train", "evaluate") and row["replicate"] is not None else 0
            metrics.append(Metric(metric_name(row, experiment), value, end, step))
        for point in points:
            when = begin + int(point["seconds"] * 1000)
            metrics += [
                Metric(f"history/{name}", point[name], when, point["step"])
                for name in ("tokens", "flops", "train_loss", "valid_loss", "gradient_norm", "clipped_share")
                if point[name] is not None
            ]
        metrics.append(Metric("job_seconds", told["seconds"], end, 0))
        params = [Param(name, value) for name, value in flatten(told["job"])]
        for some, others in zip_longest(
            _portions(metrics, METRICS_AT_ONCE), _portions(params, PARAMS_AT_ONCE), fillvalue=()
        ):
            self.client.log_batch(run.info.run_id, metrics=some, params=others)
        self.client.set_terminated(run.info.run_id, end_time=end)
        return run.info.run_id


def run(metrics: list[Path], cards: list[Path], machine: Path, uri: str, out: Path, attempt: int = 0) -> None:
    """Bring the store up to date with the metrics files and write ledger.json; ``attempt``: tries before this one."""
    told: dict[str, Any] = {"runs": {}, "experiments": {}, "tracking_uri": without_secrets(uri)}
    pending = False
    try:
        with alone(uri):
            write_runs(Ledger(uri), metrics, cards, machine, told)
    except AwayError as away:
        pending = True
        print(
            f"the MLflow server {without_secrets(uri)} does not answer in time ({without_secrets(str(away))}); "
            "the runs stay on disk, and the next snakemake tries again",
            file=sys.stderr,
        )
    write_json(out, {**told, "pending": pending, "attempts": attempt + 1})


def write_runs(ledger: Ledger, metrics: list[Path], cards: list[Path], machine: Path, told: dict[str, Any]) -> None:
    """Write the runs that the store lacks, adding the ids of all to ``told``. Raises ``AwayError``."""
    from mlflow.exceptions import MlflowException

    corpora = {card["task"]: card["sha256"] for card in map(read_json, cards)}
    about = read_json(machine)
    by_experiment: dict[str, list[Path]] = {}
    for path in metrics:
        by_experiment.setdefault(read_json(path)["run"].split("/")[0], []).append(path)
    new, begun = 0, time.monotonic()
    try:
        for experiment, paths in sorted(by_experiment.items()):
            live = ledger.live(experiment)
            for path in sorted(paths):
                metrics_file = read_json(path)
                job, fingerprint = metrics_file["run"], sha256(path)
                runs = live.get(job, {})
                logged = next((run for run, whole in runs.items() if whole == fingerprint), None)
                if not logged:
                    if new and is_server(ledger.uri) and time.monotonic() - begun > PATIENCE:
                        raise AwayError(f"{new} runs took more than {PATIENCE:g} s")
                    tags = _tags(experiment, metrics_file, (job, fingerprint), about, corpora)
                    ledger.supersede(runs)
                    logged = ledger.log(experiment, metrics_file, _points(experiment, path), tags)
                    live[job] = {logged: fingerprint}
                    new += 1
                told["runs"][job], told["experiments"][job] = logged, ledger.experiment(experiment)
    except MlflowException as error:
        if not is_server(ledger.uri):
            raise
        raise AwayError(str(error)) from error
    print(f"ledger: {new} new runs, {len(told['runs']) - new} kept in {told['tracking_uri']}", file=sys.stderr)


def _portions(items: list[Any], most: int) -> Iterator[list[Any]]:
    for at in range(0, len(items), most):
        yield items[at : at + most]


def _points(experiment: str, path: Path) -> list[dict[str, Any]]:
    """The learning curve of a training; other jobs have none."""
    if experiment != "train":
        return []
    return list(read_json_lines(path.parent / "history.jsonl"))


def _tags(
    experiment: str, told: dict[str, Any], key: tuple[str, str], about: dict[str, Any], corpora: dict[str, str]
) -> dict[str, str]:
    first = told["rows"][0] if told["rows"] else {}
    tags = {
        "job": key[0], "fingerprint": key[1], "edition": about["edition"], "kind": experiment,
        "git_commit": about["commit"] or "unknown", "task": first.get("task", ""),
        "corpus_sha256": corpora.get(first.get("task", ""), ""),
    }  # fmt: skip
    if experiment in ("train", "evaluate"):
        tags |= {"architecture": first["architecture"], "seed": str(first["replicate"])}
    return tags


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.ledger", description=__doc__)
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics files of all jobs")
    parser.add_argument("--cards", type=Path, nargs="*", default=[], help="cards of the corpora")
    parser.add_argument("--machine", type=Path, required=True, help="description of the machine")
    parser.add_argument("--out", type=Path, required=True, help="ledger.json to write")
    parser.add_argument("--attempt", type=int, default=0, help="tries before this one")
    given = parser.parse_args()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    run(given.metrics, given.cards, given.machine, uri, given.out, given.attempt)


if __name__ == "__main__":
    run_command(main)
