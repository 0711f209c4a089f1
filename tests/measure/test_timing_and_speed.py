"""Turns, and that what is timed is what is trained."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from verdict.errors import UserError
from verdict.files import read_json, write_json
from verdict.measure import speed, timing, work
from verdict.measure.timing import SHORTEST, rounds
from verdict.models.sizes import count
from verdict.training import loop, store
from verdict.training.objectives import OBJECTIVES

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


def test_contestants_take_turns_and_the_order_is_reversed_each_round(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timing, "SHORTEST", 0.0)
    called: list[str] = []
    contestants = {name: lambda name=name: called.append(name) for name in "abc"}
    found = list(rounds(contestants, 4, CPU))
    assert [(number, name) for number, name, _ in found] == [
        *((0, name) for name in "abc"), *((1, name) for name in "cba"),
        *((2, name) for name in "abc"), *((3, name) for name in "cba"),
    ]  # fmt: skip
    assert called[:6] == list("aabbcc")  # warmed up and calibrated before anything counts
    assert called[6:] == list("abccbaabccba")
    assert all(seconds >= 0 for _, _, seconds in found)


def test_short_calls_are_repeated_and_told_per_call(monkeypatch: pytest.MonkeyPatch):
    calls: Counter[str] = Counter()
    now = 0.0
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)

    def call(name: str, seconds: float) -> None:
        nonlocal now
        calls[name] += 1
        now += seconds

    contestants = {"short": lambda: call("short", 0.002), "long": lambda: call("long", 0.08)}
    found = {name: seconds for _, name, seconds in rounds(contestants, 1, CPU)}
    assert found == {"short": pytest.approx(0.002), "long": pytest.approx(0.08)}
    assert calls == {"long": 3, "short": 2 + round(SHORTEST / 0.002)}


@pytest.mark.parametrize("objective", ["language_model", "sequence_pairs"])
def test_what_is_timed_is_the_training_loops_step(objective: str, monkeypatch: pytest.MonkeyPatch):
    job = tiny.job("x", "x", objective, "lstm")
    taken: list[Any] = []
    monkeypatch.setattr(work, "train_step", lambda *given: taken.append(given))
    model = tiny.model("lstm", job.family)
    batch = work.synthetic(job, 280, 3, 8)
    work.stepper(job, model, [batch, batch], torch.ones(280, dtype=torch.long), "fp32")()
    assert len(taken) == 2
    assert taken[0][2] is OBJECTIVES[objective]
    assert work.train_step is not loop.train_step
    monkeypatch.undo()
    assert work.train_step is loop.train_step
    assert work.pieces_of(batch) == OBJECTIVES[objective](model, batch, torch.ones(280, dtype=torch.long)).seen


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
@pytest.mark.parametrize("family", ["language_model", "encoder_decoder"])
def test_a_timed_generation_does_the_same_work_each_time(architecture: str, family: str):
    made, chosen = tiny.model(architecture, family), []
    call = work.generator(made, 2, 5, 4)
    real = made.step

    def step(tokens: torch.Tensor, decoding: Any) -> Any:
        logits, after = real(tokens, decoding)
        chosen.append(logits)
        return logits, after

    made.step = step
    call()
    call()
    assert len(chosen) == 8
    for first, second in zip(chosen[:4], chosen[4:], strict=True):
        assert torch.equal(first, second)


def test_speed_is_told_for_every_setting_architecture_and_round(world: Path):
    rows = read_json(world / "measurements/speed/lm.json")["rows"]
    found = Counter((row["experiment"], row["metric"], row["variable"], row["at"], row["architecture"]) for row in rows)
    for name in ("transformer", "lstm"):
        for variable, values in (("", [None]), ("batch", [1, 3])):
            for at in values:
                assert found["speed", "train_tokens_per_second", variable, at, name] == 2
        for variable, values in (("batch", [1, 2]), ("length", [0, 3])):
            for at in values:
                assert found["generation", "generated_tokens_per_second", variable, at, name] == 2
        assert found["speed", "batch_gain", "", None, name] == 2
    assert all(row["value"] > 0 for row in rows)
    gains = [row for row in rows if row["metric"] == "batch_gain" and row["experiment"] == "speed"]
    per_round = {row["replicate"]: row for row in gains if row["architecture"] == "lstm"}
    tokens = {
        (row["at"], row["replicate"]): row["value"]
        for row in rows
        if row["metric"] == "train_tokens_per_second" and row["variable"] == "batch" and row["architecture"] == "lstm"
    }
    for number, row in per_round.items():
        assert row["value"] == pytest.approx(tokens[3, number] / tokens[1, number])


def speed_of(*architectures: str, lengths: list[int]) -> speed.Speed:
    jobs = [tiny.job("lm", "lm", "language_model", name) for name in architectures]
    return speed.Speed(
        "lm", jobs, rounds=2, own_batches=1, lengths=lengths, sweep_tokens=4096, batches=[], batch_length=8,
        generation_batches=[], generation_tokens=1, contexts=[],
    )  # fmt: skip


def test_what_is_timed_is_trained_with_the_dropout_that_tuning_chose(tmp_path: Path):
    for name, dropout in (("transformer", 0.25), ("lstm", 0.0)):
        write_json(tmp_path / f"lm/{name}.json", {"chosen": {"learning_rate": 0.01, "dropout": dropout}})
    asked = speed_of("transformer", "lstm", lengths=[])
    found = speed.as_tuned(replace(asked, tuned_as="lm"), tmp_path)
    assert [job.architecture.dropout for job in found.jobs] == [0.25, 0.0]
    assert speed.as_tuned(asked, tmp_path) == asked
    with pytest.raises(UserError, match=r"gru\.json"):
        speed.as_tuned(replace(speed_of("gru", lengths=[]), tuned_as="lm"), tmp_path)


def test_every_length_has_its_memory_measured(world: Path, tmp_path: Path):
    speed.run([speed_of("transformer", lengths=[8, 1024])], world / "tokens", tmp_path, threads=1)
    rows = json.loads((tmp_path / "lm.json").read_text())["rows"]
    memory = {(row["at"], row["replicate"]): row["value"] for row in rows if row["metric"] == "peak_memory_bytes"}
    assert memory.keys() == {(at, number) for at in (8, 1024) for number in range(3)}
    assert min(memory.values()) >= 0  # how much it is: below, in a process in which no test has freed anything
    kept = [row["value"] for row in rows if row["metric"] == "throughput_kept"]
    assert len(kept) == 2


def test_architectures_take_turns_at_having_their_memory_measured(world: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr(speed, "step_memory", lambda job, *told: asked.append(job.architecture_name) or len(asked))
    contest = speed.Contest(speed_of("transformer", "lstm", lengths=[8]), world / "tokens/lm", threads=1)
    contest.memory()
    assert asked == ["transformer", "lstm", "lstm", "transformer", "transformer", "lstm"]
    told = [(row["architecture"], row["replicate"], row["value"]) for row in contest.report.rows]
    assert told == [(name, number // 2, number + 1) for number, name in enumerate(asked)]


#: needs 128 MiB for a while in every step, and the first step leaves 256 MiB, as the optimizer's moments are left
PLANTED = """
import tiny, torch
from verdict.measure import speed

def planted(*told):
    kept = []
    def call():
        torch.ones(128 * 2**20, dtype=torch.uint8)
        kept[:] = kept or [torch.ones(256 * 2**20, dtype=torch.uint8)]
    return call

speed.stepper = planted
job = tiny.job("lm", "lm", "language_model", "lstm")
shape = tiny.model("lstm", job.family).shape
print(speed.step_memory(job, shape, 1, 8, "fp32", torch.device("cpu"), threads=1))
"""


def test_memory_is_that_of_a_step_which_finds_what_the_first_has_left():
    """In a process of its own: what tests before have freed, an allocator would give to the step."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))}
    done = subprocess.run([sys.executable, "-c", PLANTED], env=environment, capture_output=True, text=True, check=True)
    assert 0.9 < int(done.stdout) / (384 * 2**20) < 2  # as much as could not fit in again


def test_sizes_are_those_of_the_models_that_were_trained(world: Path):
    rows = read_json(world / "measurements/anatomy.json")["rows"]
    told = {(row["task"], row["architecture"], row["variant"], row["metric"]): row["value"] for row in rows}
    for stage, task in (("lm", "lm"), ("translation", "translation"), ("pretraining", "classification")):
        for name in ("transformer", "lstm"):
            trained = read_json(world / f"runs/{stage}/{name}/s0/metrics.json")["rows"]
            for metric in ("parameters_nonembedding", "parameters_total"):
                value = next(row["value"] for row in trained if row["metric"] == metric)
                assert told[task, name, "matched", metric] == value
    # at equal width, textbook blocks: 4 D² + 8 D² against 8 D² + D² weights a layer, norms and biases aside
    ratio = told["lm", "transformer", "equal_width", "parameters_mixing"] / (4 * 4 * 16 * 16)
    assert 1 < ratio < 1.2
    assert all(value >= 0 for value in told.values())


def test_a_stored_models_count_is_what_its_metrics_say(world: Path):
    run = world / "runs/translation/lstm/s0"
    rows = {row["metric"]: row["value"] for row in read_json(run / "metrics.json")["rows"]}
    assert count(store.load(run))["total"] == rows["parameters_total"]
