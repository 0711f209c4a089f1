"""Evaluation of trained models, from their folders to rows and outputs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from verdict.files import read_json
from verdict.measure import quality
from verdict.measure.scores import SCORES
from verdict.training import loop, store
from verdict.training.batches import open_split, spread
from verdict.training.objectives import OBJECTIVES
from verdict.training.settings import Job

RUNS = ("transformer", "lstm")


def rows(world: Path, stage: str, architecture: str) -> dict[tuple[str, str], Any]:
    told = read_json(world / f"runs/{stage}/{architecture}/s0/evaluation.json")["rows"]
    return {(row["variant"], row["metric"]): row["value"] for row in told}


def outputs(world: Path, stage: str, architecture: str) -> list[dict[str, str]]:
    text = (world / f"runs/{stage}/{architecture}/s0/outputs.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("architecture", RUNS)
def test_every_stage_has_its_metrics(world: Path, architecture: str):
    assert rows(world, "lm", architecture).keys() == {("", "bits_per_byte")}
    pairs = {(variant, metric) for variant in ("greedy", "beam") for metric in ("bleu", "chrf")}
    assert rows(world, "translation", architecture).keys() == {("", "bits_per_byte"), *pairs}
    assert rows(world, "pretraining", architecture).keys() == {("pretraining", "bits_per_byte")}
    assert rows(world, "finetuning", architecture).keys() == {("finetuning", "accuracy"), ("finetuning", "f1")}


@pytest.mark.parametrize("architecture", RUNS)
@pytest.mark.parametrize(("stage", "task"), [("translation", "translation"), ("finetuning", "classification")])
def test_outputs_stand_beside_their_own_records_and_give_the_scores(
    world: Path, architecture: str, stage: str, task: str
):
    lines = (world / f"corpus/{task}/test.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(lines[number]) for number in spread(len(lines), 20)]
    found, scored = outputs(world, stage, architecture), rows(world, stage, architecture)
    for variant in ("greedy", "beam") if stage == "translation" else ("finetuning",):
        mine = [row for row in found if row.get("variant", "finetuning") == variant]
        assert [(row["reference"], row.get("source", row.get("text"))) for row in mine] == [
            (record.get("target", record.get("label")), record.get("source", record.get("text"))) for record in records
        ]
        scores, _ = SCORES[task]([row["output"] for row in mine], [row["reference"] for row in mine])
        for metric, value in scores.items():
            assert scored[variant, metric] == pytest.approx(value)


@pytest.mark.parametrize("stage", ["lm", "translation", "pretraining"])
def test_the_loss_is_the_trainings_evaluation_of_the_test_split(world: Path, stage: str):
    folder = world / f"runs/{stage}/lstm/s0"
    job = Job.from_dict(read_json(folder / "metrics.json")["job"])
    tokens = world / "tokens" / job.task
    piece_bytes = torch.from_numpy(np.load(tokens / "piece_bytes.npy"))
    batches = open_split(tokens, job.objective, "test", job.training, 280).in_order(20)
    totals = loop.evaluate(store.load(folder), batches, OBJECTIVES[job.objective], piece_bytes)
    variant = "pretraining" if stage == "pretraining" else ""
    assert rows(world, stage, "lstm")[variant, "bits_per_byte"] == pytest.approx(loop.loss_of(totals), rel=1e-9)


def test_evaluating_again_gives_the_same_outputs_and_scores(world: Path, tmp_path: Path):
    """Nothing in an evaluation is drawn: a dropout left on would change the outputs."""
    for stage in ("translation", "finetuning"):
        folder = tmp_path / stage
        shutil.copytree(world / f"runs/{stage}/transformer/s0", folder)
        before = read_json(folder / "evaluation.json"), (folder / "outputs.jsonl").read_bytes()
        task = "translation" if stage == "translation" else "classification"
        told = quality.Evaluation(**before[0]["job"]["evaluation"])
        quality.run(told, folder, world / "tokens" / task, world / "corpus" / task)
        assert read_json(folder / "evaluation.json")["rows"] == before[0]["rows"]
        assert (folder / "outputs.jsonl").read_bytes() == before[1]


def test_one_evaluation_serves_training_and_test_and_knows_no_architecture():
    assert quality.evaluate is loop.evaluate
    assert quality.OBJECTIVES is loop.OBJECTIVES
    calls = (
        loop.evaluate, quality.run, quality.score_pairs, quality.score_labels, quality.search, quality.classify
    )  # fmt: skip
    named = {name for call in calls for name in call.__code__.co_consts}
    assert not named & {"transformer", "lstm", "attention"}


def test_the_machine_is_described_with_nothing_missing(world: Path):
    told = read_json(world / "results/machine.json")
    assert told["cores"] >= 1
    assert told["memory_bytes"] > 2**28
    assert told["edition"] == "quick"
    assert all(told[name] for name in ("cpu", "system", "python"))
    assert told["versions"]["torch"].startswith("2.")
    peaks = read_json(world / "measurements/device.json")["rows"]
    assert {row["variant"] for row in peaks} == {"fp32"}
    assert all(row["value"] > 0 for row in peaks)
