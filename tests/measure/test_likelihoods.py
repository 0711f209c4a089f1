"""The error of a ratio of bits per byte due to held-out text: against closed forms, and on tiny runs."""

import json
import math
import shutil
from itertools import combinations
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
from verdict.tokens.arrays import Records
from verdict.training.batches import Windows, spread

ROOT = Path(__file__).parents[2]
RUNS = [f"{name}/s{seed}" for name in ("transformer", "lstm") for seed in (0, 1)]


def folders(world: Path, stage: str) -> list[Path]:
    return [world / "runs" / stage / name for name in RUNS]


def measured(world: Path, stage: str, task: str, out: Path, **more) -> dict[str, dict[str, float]]:
    """metric -> column -> value"""
    asked = Settings(task, {stage: 20}, resamples=200, **more)
    likelihoods.run(asked, folders(world, stage), out, world / "tokens" / task, world / "corpus" / task)
    return {row["metric"]: row for row in read_json(out)["rows"]}


@given(st.lists(st.sampled_from("abcdefghijk"), min_size=1, max_size=60), st.integers(0, 9))
@settings(deadline=None)
def test_what_was_held_out_together_stays_together(groups, seed):
    found = dealt(groups, seed)
    assert len(set(zip(groups, found.tolist(), strict=True))) == len(set(groups)) == len(set(found.tolist()))


@given(st.integers(1, 80), st.integers(2, 12), st.integers(0, 9))
@settings(deadline=None)
def test_records_that_stand_alone_are_dealt_evenly(count, most, seed):
    found = dealt([None] * count, seed, most)
    sizes = np.bincount(found, minlength=most)
    assert sizes.max() - sizes.min() <= 1
    assert (dealt([None] * count, seed, most) == found).all()


@pytest.mark.parametrize("read", [0, 3])
def test_every_window_is_of_the_group_in_which_it_begins(read):
    """Pieces tell their own record here."""
    lengths = [30, 7, 50, 20, 41]
    records = Records(np.repeat(np.arange(5, dtype=np.uint16), lengths), np.cumsum(lengths))
    job = tiny.job("lm", "lm", "language_model", "lstm", window=8, batch_tokens=32)
    member = np.asarray([1, 0, 1, 2, 0])
    found = list(likelihoods.batches_of_windows(records, job, read, member))
    whole = [window for batch in Windows(records, 8, 32).in_order(read) for window in batch["tokens"].tolist()]
    dealt_out = [(group, window) for group, batch in found for window in batch["tokens"].tolist()]
    assert sorted(window for _, window in dealt_out) == sorted(whole)
    assert all(group == member[window[0]] for group, window in dealt_out)
    assert len({group for group, _ in dealt_out}) == (3 if not read else len({member[w[0]] for w in whole}))


@pytest.mark.parametrize(("stage", "objective"), [("translation", "sequence_pairs"), ("classification", "masked")])
def test_every_record_is_evaluated_with_its_group(world: Path, stage: str, objective: str):
    tokens = world / "tokens" / stage
    job = tiny.job("s", stage, objective, "lstm")
    name = "source" if objective == "sequence_pairs" else "text"
    records = Records.open(tokens, f"test.{name}")
    member = np.arange(len(records)) % 3
    seen: dict[int, int] = {}
    for group, batch in likelihoods.batches_of_records(tokens, job, "test", 9, member, tiny.VOCABULARY):
        rows = batch["source_lengths" if objective == "sequence_pairs" else "lengths"]
        seen[group] = seen.get(group, 0) + int(rows.sum())
    numbers = spread(len(records), 9)
    assert seen == {group: int(records.lengths[numbers[member[numbers] == group]].sum()) for group in range(3)}


def test_the_error_is_that_of_the_ratio_over_groups():
    """Against the variance of a ratio of sums by the delta method, in groups of unequal size."""
    rng = np.random.default_rng(0)
    sizes = rng.uniform(50, 150, 40)
    one, two = sizes * rng.normal(2.0, 0.05, 40), sizes * rng.normal(2.2, 0.05, 40)
    found = [Losses("a", 0, "", one), Losses("b", 0, "", two)]
    told = logarithms(found, Settings("lm", resamples=20_000))
    groups = len(sizes)
    residual = one / one.sum() - two / two.sum()
    expected = math.sqrt(groups / (groups - 1) * (residual**2).sum())
    assert np.std(told["a"][0] - told["b"][0]) == pytest.approx(expected, rel=0.03)


def test_groups_of_which_nothing_was_read_are_not_drawn():
    some, all_of_them = np.asarray([3.0, 0.0, 5.0, 4.0]), np.asarray([3.0, 5.0, 4.0])
    told = [logarithms([Losses("a", 0, "", nats)], Settings("lm", resamples=50))["a"][0] for nats in
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
        # 24 records, each its own group by chance of the dealing; not all of one size
        assert 10 <= groups["value"] <= likelihoods.MOST


def copied(world: Path, stage: str, out: Path, **more) -> list[Path]:
    """The stage's runs as another stage's would be."""
    made = []
    for folder in folders(world, stage):
        run = Path(shutil.copytree(folder, out / folder.parent.name / folder.name))
        told = read_json(run / "metrics.json")
        told["job"] |= more
        (run / "metrics.json").write_text(json.dumps(told))
        made.append(run)
    return made


def pairs_told(path: Path) -> list[tuple[str, str, str]]:
    rows = [row for row in read_json(path)["rows"] if row["metric"] == "valid_bits_per_byte.items_error"]
    return sorted((row["variant"], row["architecture"], row["variable"].removeprefix("against:")) for row in rows)


def test_variants_have_their_own_pairs_and_stand_together_in_the_ladder(world: Path, tmp_path: Path):
    """A stage that trains the same architectures anew, and one that trains another."""
    places = tmp_path / "made.json", world / "tokens/lm", world / "corpus/lm"
    long = copied(world, "lm", tmp_path / "long", variant="long")
    rungs = copied(world, "lm", tmp_path / "rungs", variant="rungs")
    for run in rungs:
        told = read_json(run / "metrics.json")
        told["job"]["architecture_name"] += "_classic"
        (run / "metrics.json").write_text(json.dumps(told))
    likelihoods.run(Settings("lm", resamples=20), [*folders(world, "lm"), *long, *rungs], *places)
    all_of_them = ["lstm", "lstm_classic", "transformer", "transformer_classic"]
    assert pairs_told(places[0]) == sorted(
        [("long", "lstm", "transformer"), ("rungs", "lstm_classic", "transformer_classic")]
        + [("", one, two) for one, two in combinations(all_of_them, 2)]
    )


def test_what_was_trained_longer_is_paired_with_nothing_shorter(world: Path, tmp_path: Path):
    places = tmp_path / "made.json", world / "tokens/lm", world / "corpus/lm"
    runs = folders(world, "lm")
    for run in copied(world, "lm", tmp_path / "long", variant="rungs"):
        told = read_json(run / "metrics.json")
        told["job"]["architecture_name"] += "_long"
        told["job"]["training"]["budget_tokens"] *= 2
        (run / "metrics.json").write_text(json.dumps(told))
        runs.append(run)
    likelihoods.run(Settings("lm", resamples=20), runs, *places)
    assert {frozenset((one, two)) for _, one, two in pairs_told(places[0])} == {
        frozenset(("lstm", "transformer")), frozenset(("lstm_long", "transformer_long")),
    }  # fmt: skip


def test_no_pair_is_told_twice_however_stages_are_cut(world: Path, tmp_path: Path):
    """The main stage, and another of a longer budget that trains one architecture anew beside a new one."""
    places = tmp_path / "made.json", world / "tokens/lm", world / "corpus/lm"
    runs = folders(world, "lm")
    for variant, suffix in (("", "_new"), ("anew", "")):
        for run in copied(world, "lm", tmp_path / f"long{suffix}", variant=variant):
            told = read_json(run / "metrics.json")
            told["job"]["architecture_name"] += suffix
            told["job"]["training"]["budget_tokens"] *= 2
            (run / "metrics.json").write_text(json.dumps(told))
            runs.append(run)
    likelihoods.run(Settings("lm", resamples=20), runs, *places)
    pairs = pairs_told(places[0])
    assert len(pairs) == len(set(pairs))
    assert ("", "lstm", "transformer") in pairs
    assert ("", "lstm_new", "transformer") in pairs
    assert ("anew", "lstm", "transformer") in pairs


def test_chapters_held_out_together_are_one_group(world: Path, tmp_path: Path):
    corpus = Path(shutil.copytree(world / "corpus/lm", tmp_path / "corpus"))
    for split in ("valid", "test"):
        rows = [json.loads(line) for line in (corpus / f"{split}.jsonl").read_text().splitlines()]
        told = [json.dumps({**row, "group": f"book {number // 8}"}) for number, row in enumerate(rows)]
        (corpus / f"{split}.jsonl").write_text("\n".join(told) + "\n")
    likelihoods.run(
        Settings("lm", {"lm": 20}), folders(world, "lm"), tmp_path / "made.json", world / "tokens/lm", corpus
    )
    groups = {row["value"] for row in read_json(tmp_path / "made.json")["rows"] if row["metric"].endswith("groups")}
    assert groups <= {2, 3}


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
