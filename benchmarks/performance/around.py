"""What lies around the training: starts, text, ledger, evidence, page, graph.

A clone of this repository runs the smoke edition once; what takes evidence gets that run's, with as many replicates as
make the rows asked for.
"""

import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.performance.commands import cloned, finished, run, snakemake
from benchmarks.performance.contest import Built, Spec, local, paired, workers
from benchmarks.performance.plan import Plan
from benchmarks.performance.sizes import ROOT
from benchmarks.performance.table import Row, row
from verdict.court import claims as docket
from verdict.court import evidence
from verdict.court.judge import judge

SECTION = "around"
#: from so many rows or cells on a call takes minutes: two rounds, and no interval
LARGE = 1_000_000
LARGE_GRAPH = 10_000


def parts(plan: Plan, folder: Path) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One subject each; ``folder``: where clones lie."""
    yield "start", partial(_starts, plan)
    yield "tokens", partial(_by_worker, plan, tokenizing, (plan.text_bytes,))
    yield "ledger", partial(_by_worker, plan, logging, (plan.history_points,))
    yield "nothing-to-do", partial(_nothing_to_do, plan, folder)
    for count in plan.evidence_rows:
        yield f"evidence-{count}", partial(_evidence, plan, folder, count)
    yield f"page-{plan.page_rows}", partial(_page, plan, folder)
    for count in plan.cells:
        yield f"planned-{count}", partial(_planned, plan, folder, count)


def _timed(commands: dict[str, Sequence[str]], folder: Path, rounds: int, note: str = "") -> list[Row]:
    """Seconds of commands that take turns."""
    seconds = paired({name: local(partial(run, command, folder)) for name, command in commands.items()}, rounds)
    return [row(SECTION, "command", name, "seconds", values, "s", note=note) for name, values in seconds.items()]


def _starts(plan: Plan) -> list[Row]:
    lines = {
        "python": "pass",
        "import torch": "import torch",
        "import polars": "import polars",
        "import mlflow's client": "from mlflow import MlflowClient",
        "the training's imports": "import verdict.training.runs",
        "the judge's imports": "import verdict.court.judge",
        "the page's imports": "import verdict.page.build",
    }
    return _timed({name: ("-c", line) for name, line in lines.items()}, ROOT, plan.rounds)


def _by_worker(plan: Plan, build: Callable[..., Built], arguments: tuple[Any, ...], rounds: int = 0) -> list[Row]:
    """Seconds of what a worker of one thread does, or the rate of those of which it tells how much a step holds."""
    with workers({"": Spec(build, arguments)}) as made:
        facts = made[""].facts
        seconds = paired(made[""].asks(), rounds or plan.rounds)
    found = []
    for name, values in seconds.items():
        amount, metric, unit = facts.get(name, (None, "seconds", "s"))
        told = [amount / value for value in values] if amount else values
        found.append(row(SECTION, "one core", name, metric, told, unit, threads=1, note=facts.get("note", "")))
    return found


def tokenizing(size: int) -> Built:
    """A worker that encodes text as the pipeline does. Words are drawn as often as words are (Zipf)."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # of one core
    from verdict.tokens import tokenizer as bpe
    from verdict.tokens.arrays import encode

    rng, chance = np.random.default_rng(0), random.Random(0)
    words = ["".join(chance.choices("etaoinshrdlucmfwypvbgkjqxz", k=chance.randint(1, 10))) for _ in range(20_000)]
    drawn = (rng.zipf(1.2, size // 5) - 1) % len(words)
    texts = [" ".join(words[number] for number in part) for part in np.array_split(drawn, max(1, size // 500))]
    weight = sum(map(len, texts))
    tokenizer = bpe.train(texts, 2048)
    facts = {
        "encode": (weight / 1e6, "megabytes per second", "MB/s"),
        "train 2,048 pieces": (weight / 1e6, "megabytes per second", "MB/s"),
        "note": f"{weight / 1e6:.1f} MB of made-up words",
    }
    return {
        "encode": partial(encode, tokenizer, texts, end=bpe.END),
        "train 2,048 pieces": partial(bpe.train, texts, 2048),
    }, facts


def logging(points: int) -> Built:
    """A worker that writes runs into an MLflow store in a file."""
    from verdict.ledger import SQLITE, Ledger
    from verdict.metrics import Report

    folder = tempfile.TemporaryDirectory()
    ledger = Ledger(f"{SQLITE}{folder.name}/mlflow.db")
    report = Report("train/lm/transformer/s0", {}, task="lm", architecture="transformer", replicate=0)
    for number in range(20):
        report.add(f"metric_{number}", number, "nats", "lower")
    job = {"name": "lm", "training": {f"setting_{number}": number for number in range(30)}}
    told = {"run": report.run, "rows": report.rows, "job": job, "started": time.time(), "seconds": 1.0}

    def curve(count: int) -> list[dict[str, Any]]:
        names = ("tokens", "flops", "train_loss", "valid_loss", "gradient_norm", "clipped_share", "seconds")
        return [{"step": step, **dict.fromkeys(names, 1.0 + step)} for step in range(count)]

    def log(history: list[dict[str, Any]]) -> None:
        assert folder  # kept for as long as the worker lives
        ledger.log("train", told, history, {"job": report.run, "fingerprint": "0"})

    note = "SQLite; a point has six metrics"
    calls: dict[str, Callable[[], object]] = {
        "ledger: a run with 10 points": partial(log, curve(10)),
        f"ledger: a run with {points} points": partial(log, curve(points)),
    }
    return calls, {"note": note}


def _nothing_to_do(plan: Plan, folder: Path) -> list[Row]:
    commands = {
        "snakemake -n, nothing to do": snakemake(plan, "-n", "--config", "edition=smoke"),
        "snakemake, nothing to do": snakemake(plan, "--config", "edition=smoke"),
    }
    return _timed(commands, finished(plan, folder), plan.rounds)


def grown(table: pl.DataFrame, count: int) -> pl.DataFrame:
    """Evidence with more replicates: copies of every row that has a replicate, each value a little off."""
    single, several = table.filter(pl.col("replicate").is_null()), table.filter(pl.col("replicate").is_not_null())
    copies = max(1, ceil((count - single.height) / several.height))
    rng, apart = np.random.default_rng(0), int(several["replicate"].max() or 0) + 1  # type: ignore[arg-type]
    noisy = (
        several.with_columns(
            pl.col("replicate") + number * apart,
            pl.col("value") * pl.Series(1 + 1e-3 * rng.standard_normal(several.height)),
        )
        for number in range(copies)
    )
    return pl.concat([single, *noisy]).head(count)


def _grown_file(plan: Plan, folder: Path, count: int) -> Path:
    path = folder / f"evidence-{count}.parquet"
    if not path.exists():
        table = pl.read_parquet(finished(plan, folder) / "results/evidence.parquet")
        evidence.write(grown(table, count), path)
        path.with_suffix(".csv").unlink()
    return path


def judging(path: Path) -> Built:
    """A worker that reads and judges evidence."""
    registry, table = docket.load(ROOT / "claims.yaml"), evidence.read(path)
    calls: dict[str, Callable[[], object]] = {
        f"read evidence of {table.height} rows": partial(evidence.read, path),
        f"judge evidence of {table.height} rows": partial(judge, registry, table, None),
    }
    return calls, {}


def _evidence(plan: Plan, folder: Path, count: int) -> list[Row]:
    path = _grown_file(plan, folder, count)
    found = _by_worker(plan, judging, (path,), plan.rounds if count < LARGE else 2)
    if count > plan.page_rows:
        path.unlink()  # gigabytes
    return found


def _page(plan: Plan, folder: Path) -> list[Row]:
    path, clone = _grown_file(plan, folder, plan.page_rows), finished(plan, folder)
    verdict = folder / "verdict.json"
    given = ("--evidence", str(path), "--claims", str(ROOT / "claims.yaml"))
    run(("-m", "verdict.judge", *given, "--out", str(verdict)))
    page = (
        "-m", "verdict.page", *given, "--verdict", str(verdict), "--history", str(clone / "results/history.parquet"),
        "--out", str(folder / "index.html"),
    )  # fmt: skip
    return _timed({f"page from {plan.page_rows} rows": page}, ROOT, plan.rounds, "start and imports included")


def _planned(plan: Plan, folder: Path, cells: int) -> list[Row]:
    """A dry run of the quick edition with as many seeds, each a cell of its own, as make the number of trainings; one
    seed makes the least."""
    clone = cloned(folder / "planned")
    one = _trainings(run(_dry(plan, 1), clone))
    told = _trainings(run(_dry(plan, ceil(cells / one)), clone)) if cells > one else one
    command = {f"snakemake -n, {told} trainings planned": _dry(plan, max(1, ceil(cells / one)))}
    return _timed(command, clone, plan.rounds if cells < LARGE_GRAPH else 2)


def _dry(plan: Plan, seeds: int) -> tuple[str, ...]:
    return snakemake(
        plan, "-n", "--quiet", "reason", "--config", "edition=quick", f"seeds={seeds}", "seeds_together=false"
    )


def _trainings(said: str) -> int:
    """Jobs of the rules that train, from Snakemake's last table of jobs (it prints it before and after)."""
    return sum(int(count) for count in re.findall(r"^train\w*\s+(\d+)", said.rpartition("Job stats:")[2], re.MULTILINE))
