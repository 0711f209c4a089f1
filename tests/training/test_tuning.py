"""Tuning gives every architecture the same trials, takes the best, and tells how much the choice matters."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from verdict.device import prepare
from verdict.errors import UserError
from verdict.files import read_json, write_json
from verdict.training import runs, tuning
from verdict.training.settings import Job

LOSSES = st.lists(st.floats(0.1, 10), min_size=1, max_size=5)


@given(LOSSES, st.integers(1, 4))
def test_the_expected_best_is_the_mean_over_every_way_to_draw(losses: list[float], trials: int):
    drawn = itertools.product(losses, repeat=trials)
    assert tuning.expected_best(losses, trials) == pytest.approx(fmean(min(draw) for draw in drawn))


@pytest.mark.parametrize(
    ("losses", "octaves"),
    [
        ({0.001: 2.0, 0.002: 1.0, 0.004: 2.0}, 0),
        ({0.001: 1.04, 0.002: 1.0, 0.004: 1.04}, 2),
        ({0.001: 1.04, 0.002: 1.0, 0.004: 1.06}, 1),
        ({0.001: 1.0, 0.002: 9.0, 0.004: 1.0}, 0),  # what works beyond a rate that does not is another range
        ({0.001: 1.0, 0.016: 1.0}, 4),
        ({0.001: 1.0, 0.002: math.inf}, 0),
        ({0.001: 0.0, 0.002: 0.04, 0.004: 0.06}, 1),  # near 0 a share of the loss would tell rates apart by nothing
    ],
)
def test_the_range_of_rates_that_work_is_told_in_octaves(losses: dict[float, float], octaves: float):
    assert tuning.working_octaves(losses) == pytest.approx(octaves)
    assert tuning.working_octaves(dict(reversed(losses.items()))) == pytest.approx(octaves)


def trials(rates: list[float], **told: float) -> list[Job]:
    base = tiny.job("lm", "lm", "language_model", "lstm", seed=1000, budget_tokens=1500, validations=1)
    return [replace(base, training=replace(base.training, learning_rate=rate, **told)) for rate in rates]  # type: ignore[arg-type]


def test_the_lowest_loss_on_validation_is_chosen_and_every_trial_is_told(world: Path, tmp_path: Path):
    prepare(1)
    out = tmp_path / "lm/lstm.json"
    tuning.run(trials([1e-5, 1e-2, 1e-4]), world / "tokens/lm", out)
    told = read_json(out)
    tried = {row["at"]: row["value"] for row in told["rows"] if row["variable"] == "learning_rate"}
    assert tried.keys() == {1e-5, 1e-2, 1e-4}
    assert told["chosen"]["learning_rate"] == min(tried, key=lambda rate: tried[rate])
    assert [row["at"] for row in told["rows"] if row["variable"] == "trials"] == [1, 2, 3]
    assert not out.with_suffix("").exists()  # the trials' checkpoints


def test_dropouts_are_tried_with_the_best_learning_rate_alone(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The best of the grid that is tried: all rates without dropout, then each dropout with the best of them."""
    prepare(1)
    rates, tried = [1e-5, 1e-2, 1e-4], []
    fit = tuning.fit
    monkeypatch.setattr(tuning, "fit", lambda job, *more: tried.append(job) or fit(job, *more))
    jobs = [
        replace(job, architecture=replace(job.architecture, dropout=dropout))
        for dropout in (0.0, 0.5, 0.1)
        for job in trials(rates)
    ]
    tuning.run(jobs, world / "tokens/lm", tmp_path / "lstm.json")
    told = read_json(tmp_path / "lstm.json")
    losses = {(row["matching"], row["at"]): row["value"] for row in told["rows"] if row["variable"] == "learning_rate"}
    without = {rate: losses["dropout 0", rate] for rate in rates}
    best = min(without, key=lambda rate: without[rate])
    assert losses.keys() == {*(("dropout 0", rate) for rate in rates), ("dropout 0.5", best), ("dropout 0.1", best)}
    assert len(tried) == len(losses)
    chosen = min(losses, key=lambda trial: losses[trial])
    assert (f"dropout {told['chosen']['dropout']:g}", told["chosen"]["learning_rate"]) == chosen
    # what is drawn from are the rates: a dropout is no draw, its rate has been chosen
    assert [row["at"] for row in told["rows"] if row["variable"] == "trials"] == [1, 2, 3]


def test_a_trial_that_diverges_counts_as_never_and_is_not_chosen(world: Path, tmp_path: Path):
    prepare(1)
    jobs = trials([1e30, 1e-3], clip=1e30, warmup_steps=1)
    bare = [replace(job, architecture=tiny.ARCHITECTURES["attention_bare"]) for job in jobs]
    tuning.run(bare, world / "tokens/lm", tmp_path / "a.json")
    told = read_json(tmp_path / "a.json")
    assert told["chosen"]["learning_rate"] == 1e-3
    assert {row["at"]: row["value"] for row in told["rows"] if row["variable"] == "learning_rate"}[1e30] == "never"
    with pytest.raises(UserError, match=r"every trial diverged; write smaller numbers in stages.lm.tuning"):
        tuning.run(bare[:1], world / "tokens/lm", tmp_path / "b.json")


def test_trials_begin_with_the_model_they_are_given(world: Path, tmp_path: Path):
    """From a pretrained encoder the loss of a short trial is another than from scratch, and the same every time."""
    prepare(1)
    begun = world / "runs/pretraining/lstm/s0"
    job = tiny.job("finetuning", "classification", "classification", "lstm", budget_tokens=600)
    losses = {}
    for name, start in (("scratch", None), ("one", begun), ("other", begun)):
        tuning.run([job], world / "tokens/classification", tmp_path / f"{name}.json", start)
        [row] = [r for r in read_json(tmp_path / f"{name}.json")["rows"] if r["variable"] == "learning_rate"]
        losses[name] = row["value"]
    assert losses["one"] == losses["other"] != losses["scratch"]


def test_a_run_trains_with_what_was_chosen(tmp_path: Path):
    write_json(tmp_path / "t.json", {"chosen": {"learning_rate": 0.5, "dropout": 0.25}})
    job = runs.tuned(tiny.job("lm", "lm", "language_model", "lstm"), tmp_path / "t.json")
    assert (job.training.learning_rate, job.architecture.dropout) == (0.5, 0.25)


def test_several_seeds_in_one_process_are_those_of_processes_of_their_own(world: Path, tmp_path: Path):
    prepare(1)
    jobs = [tiny.job("lm", "lm", "language_model", "transformer", seed=seed, budget_tokens=1500) for seed in (0, 1)]
    runs.run_all(jobs, world / "tokens/lm", tmp_path / "together", None)
    for job in reversed(jobs):
        runs.run_all([job], world / "tokens/lm", tmp_path / "apart", None)
    for job in jobs:
        one, other = (tmp_path / name / job.name for name in ("together", "apart"))
        assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
        points = [
            [
                {k: v for k, v in json.loads(line).items() if k != "seconds"}
                for line in (f / "history.jsonl").read_text().splitlines()
            ]
            for f in (one, other)
        ]
        assert points[0] == points[1]


def test_a_probe_trains_its_classifier_alone_and_goes_on_after_a_stop(world: Path, tmp_path: Path):
    prepare(1)
    begun = world / "runs/pretraining/lstm/s0"
    job = tiny.job("probe", "classification", "classification", "lstm", budget_tokens=600, frozen=True, records=12)
    runs.run(job, world / "tokens/classification", tmp_path, begun)
    before, after = runs.store.load(begun).state_dict(), runs.store.load(tmp_path).state_dict()
    for name, value in before.items():
        assert value.equal(after[name]), name
    assert after["classifier.weight"].abs().sum() > 0
    weights = (tmp_path / "model.safetensors").read_bytes()
    runs.run(job, world / "tokens/classification", tmp_path, begun)  # from the checkpoint of the finished run
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    rows = read_json(tmp_path / "metrics.json")["rows"]
    assert {(row["variable"], row["at"]) for row in rows} == {("labels", 12)}
