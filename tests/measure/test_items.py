"""The error due to test items: against closed forms, against the scorers, and on real outputs of tiny runs."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdict.errors import UserError
from verdict.files import read_json
from verdict.measure import items
from verdict.measure.scores import SCORES

WORDS = ["open", "close", "save", "list", "window", "today", "file", "name"]
DRAWN = items.resamples(12, 40, 0)


def texts(seed, count=12):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 6)) for _ in range(count)]


def labels(seed, count=12):
    return list(np.random.default_rng(seed).choice(["good", "bad", "so-so"], count))


def pairs_of(task, seed):
    return (labels(seed), labels(99)) if task == "classification" else (texts(seed), texts(99))


@pytest.mark.parametrize("task", sorted(items.SCORERS))
def test_a_resample_scores_what_the_scorer_says_of_the_items_drawn(task):
    outputs, references = pairs_of(task, 1)
    found = items.SCORERS[task](outputs, references)(DRAWN)
    for number, counts in enumerate(DRAWN[:5]):
        chosen = np.repeat(np.arange(12), counts)
        wanted, _ = SCORES[task]([outputs[i] for i in chosen], [references[i] for i in chosen])
        assert {name: values[number] for name, values in found.items()} == pytest.approx(wanted)


def test_every_resample_has_as_many_items_and_the_same_seed_the_same_ones():
    assert (DRAWN.sum(1) == 12).all()
    assert (items.resamples(12, 40, 0) == DRAWN).all()
    assert not (items.resamples(12, 40, 1) == DRAWN).all()


def test_neighbours_are_drawn_together():
    drawn = items.resamples(10, 50, 0, block=4)
    assert drawn.shape == (50, 10)
    for start in (0, 4, 8):
        assert (drawn[:, start : start + 4] == drawn[:, [start]]).all()
    assert drawn[:, ::4].sum(1).tolist() == [3] * 50


def test_items_that_come_in_groups_are_worth_as_many_as_there_are_groups():
    values = np.repeat(np.random.default_rng(3).normal(size=100), 4)
    drawn = items.resamples(400, 4000, 0, block=4) @ values / 400
    assert items.shared_error(drawn[None]) == pytest.approx(values.std() / 10, rel=0.05)


def test_of_a_mean_it_is_the_standard_error_everyone_knows():
    values = np.random.default_rng(0).normal(size=400)
    drawn = items.resamples(400, 4000, 0) @ values / 400
    assert items.shared_error(drawn[None]) == pytest.approx(values.std() / 20, rel=0.05)


def test_what_seeds_share_is_told_from_what_each_has_alone():
    """Items move three seeds together by 2 and each alone by 5: only the first belongs beside the spread over seeds."""
    rng = np.random.default_rng(1)
    together, alone = rng.normal(0, 2, 200_000), rng.normal(0, 5, (3, 200_000))
    assert items.shared_error(together + alone) == pytest.approx(2, rel=0.02)
    assert items.shared_error(alone) < 0.3
    assert items.shared_error(np.stack([together] * 3)) == pytest.approx(2, rel=0.02)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_a_pair_is_as_uncertain_the_other_way_round_and_the_same_outputs_not_at_all(seed):
    rng = np.random.default_rng(seed)
    scores = {name: {s: rng.normal(size=50) for s in range(3)} for name in ("a", "b")}
    swapped = {"a": scores["b"], "b": scores["a"]}
    assert items.errors(scores)["a", "b"] == pytest.approx(items.errors(swapped)["a", "b"])
    assert items.errors({"a": scores["a"], "b": scores["a"]})["a", "b"] == 0
    assert items.errors({"a": scores["a"], "b": {7: scores["b"][0]}}) == {}


# ---------------------------------------------------------------- runs


def write(folder, architecture, seed, outputs, references, task="translation", score=None):
    """A folder as verdict.measure.quality leaves it."""
    scores, _ = SCORES[task](outputs, references)
    rows = [
        {"architecture": architecture, "replicate": seed, "task": task, "variant": "beam", "matching": "parameters",
         "at": None, "size": "", "device": "cpu", "metric": metric,
         "value": value if score is None else score, "unit": "%"}
        for metric, value in scores.items()
    ]  # fmt: skip
    rows.append({**rows[0], "metric": "bits_per_byte", "unit": "bit/byte", "variant": ""})
    told = [
        {"source": f"source {i}", "reference": reference, "output": output, "variant": "beam"}
        for i, (output, reference) in enumerate(zip(outputs, references, strict=True))
    ]
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps({"rows": rows}))
    (folder / "outputs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    return folder


def test_a_stage_gets_a_row_for_every_pair_and_metric(tmp_path):
    folders = [
        write(tmp_path / name / f"s{seed}", name, seed, texts(10 * number + seed), texts(99))
        for number, name in enumerate(("x", "y", "z"))
        for seed in (0, 1)
    ]
    items.run(items.Settings("translation", resamples=50), folders, tmp_path / "items.json")
    rows = read_json(tmp_path / "items.json")["rows"]
    assert {(row["architecture"], row["variable"], row["metric"]) for row in rows} == {
        (one, f"against:{two}", f"{metric}.items_error")
        for one, two in (("x", "y"), ("x", "z"), ("y", "z"))
        for metric in ("bleu", "chrf")
    }
    for row in rows:
        assert (row["experiment"], row["task"], row["variant"], row["device"]) == (
            "items",
            "translation",
            "beam",
            "cpu",
        )
        assert (row["at"], row["replicate"], row["unit"], row["better"]) == (None, None, "%", "neither")
        assert math.isfinite(row["value"])


def test_a_stage_without_outputs_has_no_rows(tmp_path):
    folder = tmp_path / "lm"
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({"rows": [{"unit": "bit/byte", "variant": ""}]}))
    (folder / "outputs.jsonl").write_text("")
    items.run(items.Settings("lm"), [folder], tmp_path / "items.json")
    assert read_json(tmp_path / "items.json")["rows"] == []


def test_outputs_that_do_not_belong_together_are_refused(tmp_path):
    good = write(tmp_path / "a", "a", 0, texts(1), texts(99))
    stale = write(tmp_path / "b", "b", 0, texts(2), texts(99), score=12.5)
    other = write(tmp_path / "c", "c", 0, texts(2), texts(98))
    for wrong, named in ((stale, "evaluation.json says 12.5"), (other, "same records")):
        with pytest.raises(UserError, match=named):
            items.run(items.Settings("translation", resamples=5), [good, wrong], tmp_path / "items.json")
