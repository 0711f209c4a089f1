"""The error of a ratio of bits per byte due to held-out text: against closed forms, and on tiny runs."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from verdict.court import claims as docket
from verdict.court import evidence
from verdict.court.judge import judge
from verdict.errors import UserError
from verdict.files import read_json
from verdict.measure import likelihoods
from verdict.measure.likelihoods import Losses, Settings, dealt, logarithms

ROOT = Path(__file__).parents[2]
RUNS = [f"{name}/s{seed}" for name in ("transformer", "lstm") for seed in (0, 1)]


def folders(world: Path, stage: str) -> list[Path]:
    return [world / "runs" / stage / name for name in RUNS]


def measured(world: Path, stage: str, task: str, out: Path, **more) -> dict[str, dict[str, float]]:
    """metric -> column -> value"""
    asked = Settings(task, {stage: 20}, resamples=200, **more)
    likelihoods.run(asked, folders(world, stage), out, world / "tokens" / task, world / "corpus" / task)
    return {row["metric"]: row for row in read_json(out)["rows"]}


@given(st.lists(st.sampled_from("abcdefghijk"), min_size=1, max_size=60), st.integers(2, 12), st.integers(0, 9))
@settings(deadline=None)
def test_what_was_held_out_together_is_dealt_together(groups, most, seed):
    found = dealt(groups, seed, most)
    assert len(set(zip(groups, found.tolist(), strict=True))) == len(set(groups))
    assert set(found.tolist()) == set(range(min(most, len(set(groups)))))
    assert (dealt(groups, seed, most) == found).all()


def test_the_error_is_that_of_the_ratio_over_groups():
    """Against the variance of a ratio of sums by the delta method, in groups of unequal size."""
    rng = np.random.default_rng(0)
    sizes = rng.uniform(50, 150, 40)
    one, two = sizes * rng.normal(2.0, 0.05, 40), sizes * rng.normal(2.2, 0.05, 40)
    found = [Losses("a", 0, "", "", one), Losses("b", 0, "", "", two)]
    told = logarithms(found, Settings("lm", resamples=20_000))
    groups = len(sizes)
    residual = one / one.sum() - two / two.sum()
    expected = math.sqrt(groups / (groups - 1) * (residual**2).sum())
    assert np.std(told["a"][0] - told["b"][0]) == pytest.approx(expected, rel=0.03)


def test_groups_of_which_nothing_was_read_are_not_drawn():
    some, all_of_them = np.asarray([3.0, 0.0, 5.0, 4.0]), np.asarray([3.0, 5.0, 4.0])
    told = [logarithms([Losses("a", 0, "", "", nats)], Settings("lm", resamples=50))["a"][0] for nats in
            (some, all_of_them)]  # fmt: skip
    assert (told[0] == told[1]).all()


@pytest.mark.parametrize("stage", ["lm", "translation", "pretraining"])
def test_every_forecast_has_its_error_on_both_splits(world: Path, tmp_path: Path, stage: str):
    task = "classification" if stage == "pretraining" else stage
    found = measured(world, stage, task, tmp_path / "made.json")
    for metric in ("bits_per_byte", "valid_bits_per_byte"):
        error, groups = found[f"{metric}.items_error"], found[f"{metric}.items_groups"]
        assert error["unit"] == "log ratio"
        assert 0 <= error["value"] < 0.2
        assert (error["architecture"], error["variable"]) == ("lstm", "against:transformer")
        assert error["variant"] == ("pretraining" if stage == "pretraining" else "")
        # chapters are groups of their own; of shorter records so many are dealt together
        assert 2 <= groups["value"] <= likelihoods.MOST


def test_a_single_seed_has_the_whole_variance(world: Path, tmp_path: Path):
    """Of several, what text does to one and not to another stands in their spread already."""
    alone = [folder for folder in folders(world, "lm") if folder.name == "s0"]
    likelihoods.run(
        Settings("lm", {"lm": 20}), alone, tmp_path / "made.json", world / "tokens/lm", world / "corpus/lm"
    )  # fmt: skip
    rows = [row for row in read_json(tmp_path / "made.json")["rows"] if row["metric"].endswith("error")]
    assert len(rows) == 2
    assert all(row["value"] > 0 for row in rows)


def test_the_test_split_is_read_only_of_stages_that_are_evaluated_on_it(world: Path, tmp_path: Path):
    likelihoods.run(
        Settings("lm", resamples=20), folders(world, "lm"), tmp_path / "made.json", world / "tokens/lm",
        world / "corpus/lm",
    )  # fmt: skip
    assert {row["metric"] for row in read_json(tmp_path / "made.json")["rows"]} == {
        "valid_bits_per_byte.items_error", "valid_bits_per_byte.items_groups",
    }  # fmt: skip


@pytest.mark.parametrize("stage", ["lm", "translation"])
def test_groups_that_do_not_come_to_the_whole_are_told(world: Path, tmp_path: Path, stage: str):
    run = tmp_path / "runs/s0"
    shutil.copytree(folders(world, stage)[0], run)
    told = read_json(run / "metrics.json")
    for row in told["rows"]:
        if row["metric"] == "valid_bits_per_byte":
            row["value"] *= 1.01
    (run / "metrics.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"metrics\.json says .* run again"):
        likelihoods.run(Settings(stage), [run], tmp_path / "made.json", world / "tokens" / stage,
                        world / "corpus" / stage)  # fmt: skip


def test_a_run_without_bits_per_byte_and_one_named_twice_are_refused(world: Path, tmp_path: Path):
    asked = Settings("classification"), tmp_path / "made.json"
    places = world / "tokens/classification", world / "corpus/classification"
    with pytest.raises(UserError, match="not told in bits per byte"):
        likelihoods.run(asked[0], folders(world, "finetuning"), asked[1], *places)
    run = folders(world, "pretraining")[0]
    copied = Path(shutil.copytree(run, tmp_path / "copy"))
    with pytest.raises(UserError, match="twice"):
        likelihoods.run(asked[0], [run, copied], asked[1], *places)


def test_the_judge_adds_the_error_wherever_the_docket_compares_bits_per_byte(world: Path, tmp_path: Path):
    """On the docket itself: at every matching and all along the learning curve, of each split its own."""
    claims = docket.load(ROOT / "claims.yaml")
    rows = [row for path in tiny.metrics_of(world) for row in read_json(path)["rows"] if row["value"] != "never"]
    for stage in ("lm", "translation"):
        measured(world, stage, stage, tmp_path / f"{stage}.json")
        rows += read_json(tmp_path / f"{stage}.json")["rows"]
    verdict = judge(claims, evidence.frame([{**row, "device": "cpu"} for row in rows]))
    tests = [test for claim in verdict["claims"] for test in claim["tests"]] + verdict["final"]["tests"]
    judged = [
        test for test in tests
        if test["metric"] in ("bits_per_byte", "valid_bits_per_byte") and test["estimate"] is not None
        and test["condition"]["task"] in ("lm", "translation")
    ]  # fmt: skip
    assert {test["condition"]["matching"] for test in judged} >= {"parameters", "flops", "seconds"}
    assert all(test["items_error"] is not None and test["items_groups"] >= 2 for test in judged)
