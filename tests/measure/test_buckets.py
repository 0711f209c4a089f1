"""Quality by source length: a fall that was planted is found, one that was not is not."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdict.errors import UserError
from verdict.files import read_json, write_json
from verdict.measure import buckets
from verdict.measure.buckets import Settings
from verdict.measure.scores import SCORES

LENGTHS = st.lists(st.integers(1, 48), min_size=1, max_size=60).map(np.array)


@given(lengths=LENGTHS, count=st.integers(1, 8))
def test_buckets_part_the_records_by_length(lengths: np.ndarray, count: int):
    found = buckets.split(lengths, buckets.edges(lengths, count))
    assert 1 <= len(found) <= count
    assert sorted(np.concatenate([bucket.numbers for bucket in found]).tolist()) == list(range(len(lengths)))
    for bucket in found:
        assert bucket.length == pytest.approx(lengths[bucket.numbers].mean())
    for shorter, longer in pairwise(found):
        assert lengths[shorter.numbers].max() < lengths[longer.numbers].min()


@given(lengths=st.lists(st.integers(1, 10_000), min_size=40, max_size=60, unique=True).map(np.array))
def test_buckets_of_unequal_lengths_are_of_about_equal_size(lengths: np.ndarray):
    sizes = [len(bucket.numbers) for bucket in buckets.split(lengths, buckets.edges(lengths, 4))]
    assert len(sizes) == 4
    assert max(sizes) - min(sizes) <= 2


@given(lengths=LENGTHS, count=st.integers(1, 8))
def test_no_bucket_has_less_than_half_its_share(lengths: np.ndarray, count: int):
    sizes = [len(bucket.numbers) for bucket in buckets.split(lengths, buckets.edges(lengths, count))]
    assert min(sizes) >= len(lengths) / count / 2


def test_records_of_one_length_stay_together_and_leave_no_handful_beside_them():
    lengths = np.array([30] * 30 + [47] * 3 + [48] * 67)
    assert [len(bucket.numbers) for bucket in buckets.split(lengths, buckets.edges(lengths, 5))] == [33, 67]


@given(lengths=LENGTHS, count=st.integers(1, 8), seed=st.integers(0, 99))
def test_the_order_of_the_records_changes_nothing(lengths: np.ndarray, count: int, seed: int):
    outputs = [{"output": f"a b {'c ' * (i % 3)}", "reference": "a b c c d"} for i in range(len(lengths))]
    order = np.random.default_rng(seed).permutation(len(lengths))
    told = []
    for mine, numbers in ((outputs, lengths), ([outputs[i] for i in order], lengths[order])):
        found = buckets.split(numbers, buckets.edges(numbers, count))
        scores = buckets.score(mine, found, mean_length, "")
        told.append(([bucket.length for bucket in found], scores))
    assert told[0][0] == told[1][0]
    assert told[0][1]["words"] == pytest.approx(told[1][1]["words"])


@given(lengths=LENGTHS, count=st.integers(1, 8), longest=st.integers(1, 50))
def test_a_source_that_may_have_been_cut_is_in_no_bucket(lengths: np.ndarray, count: int, longest: int):
    whole = np.flatnonzero(lengths < longest)
    assert buckets.uncut(lengths, longest).tolist() == whole.tolist()
    assert buckets.uncut(lengths, None).tolist() == list(range(len(lengths)))
    inner = buckets.edges(lengths[whole], count)
    found = buckets.split(lengths, inner, longest)
    alone = buckets.split(lengths[whole], inner)
    assert [whole[bucket.numbers].tolist() for bucket in alone] == [bucket.numbers.tolist() for bucket in found]
    assert [bucket.length for bucket in alone] == [bucket.length for bucket in found]


def mean_length(outputs: list[str], references: list[str], language: str) -> tuple[dict[str, float], str]:
    return {"words": float(np.mean([len(output.split()) for output in outputs]))}, ""


@given(
    at=st.lists(st.integers(1, 500), min_size=2, max_size=8, unique=True),
    start=st.floats(-100, 100),
    fall=st.floats(-20, 20),
)
def test_the_slope_is_points_per_doubling(at: list[int], start: float, fall: float):
    scores = [start + fall * np.log2(length) for length in at]
    assert buckets.slope(at, scores) == pytest.approx(fall, abs=1e-6)


def test_slopes_of_many_samples_are_those_of_each():
    rng = np.random.default_rng(0)
    lengths, scores = np.sort(rng.uniform(5, 50, (7, 4))), rng.uniform(0, 100, (7, 4))
    found = buckets.slopes(lengths, scores)
    assert found == pytest.approx([np.polyfit(np.log2(x), y, 1)[0] for x, y in zip(lengths, scores, strict=True)])


@given(at=st.lists(st.integers(1, 500), min_size=2, max_size=8, unique=True), data=st.data())
def test_the_slope_of_a_gap_is_the_difference_of_the_slopes(at: list[int], data: st.DataObject):
    points = st.lists(st.floats(0, 100), min_size=len(at), max_size=len(at)).map(np.array)
    one, other = data.draw(points), data.draw(points)
    gap = buckets.slope(at, one - other)
    assert gap == pytest.approx(buckets.slope(at, one) - buckets.slope(at, other), rel=1e-6, abs=1e-6)


#: pieces in a source -> share of its words that the planted model gets right
PLANTED = {4: 0.875, 8: 0.75, 16: 0.625, 32: 0.5}


def planted(folder: Path, name: str, seed: int, beams: list[int], share: dict[int, dict[int, float]]) -> Path:
    """A folder as training and evaluation leave it: for each number of beams a share of words right by length."""
    run = folder / name / f"s{seed}"
    job = {
        "name": f"summarization/{name}/s{seed}", "task": "summarization", "stage": "summarization",
        "architecture_name": name, "seed": seed, "family": "encoder_decoder", "objective": "sequence_pairs",
        "architecture": {"mixer": "lstm", "layers": 1, "feedforward": False}, "width": 8, "parameters": 1000,
        "training": {"learning_rate": 0.1, "budget_tokens": 1, "batch_tokens": 1},
    }  # fmt: skip
    write_json(run / "metrics.json", {"job": job})
    write_json(run / "evaluation.json", {"job": {"evaluation": {"beams": beams}}})
    rows = []
    for count in beams:
        for number, record in enumerate(records()):
            words = record["target"].split()
            right = round(share[count][[*PLANTED][number % 4]] * len(words))
            output = " ".join(words[:right] + ["wrong"] * (len(words) - right))
            told = {"source": record["source"], "reference": record["target"], "output": output}
            rows.append({**told, "variant": "greedy" if count == 1 else "beam"})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run / "outputs.jsonl").write_text(text, encoding="utf-8")
    return run


def records() -> list[dict[str, str]]:
    target = " ".join(f"word{letter}" for letter in "abcdefgh")
    lengths = [*PLANTED] * 10
    return [{"source": f"{number} " + "x " * length, "target": target} for number, length in enumerate(lengths)]


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A corpus and its encoding: 40 records of four lengths."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "tokens").mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in records())
    (tmp_path / "corpus/test.jsonl").write_text(lines, encoding="utf-8")
    lengths = np.array([*PLANTED] * 10)
    np.save(tmp_path / "tokens/test.source.npy", np.zeros(lengths.sum(), dtype=np.uint16))
    np.save(tmp_path / "tokens/test.source.ends.npy", lengths.cumsum())
    return tmp_path


SETTINGS = Settings("summarization", quality="rouge1", buckets=4)
EVEN = dict.fromkeys(PLANTED, 0.5)


def rows_of(told: Path, folders: list[Path], settings: Settings = SETTINGS) -> list[dict]:
    buckets.run(settings, folders, told / "tokens", told / "corpus", told / "out.json")
    return read_json(told / "out.json")["rows"]


def test_a_planted_fall_is_found_with_its_slope_and_an_even_quality_has_none(told: Path):
    """12.5 of 100 words lost with each doubling of the source; ROUGE-1 is then the share of words that are right."""
    falls = planted(told, "falls", 0, [1, 4], {1: EVEN, 4: PLANTED})
    even = planted(told, "even", 0, [1, 4], {1: PLANTED, 4: EVEN})
    rows = rows_of(told, [falls, even])
    slopes = {row["architecture"]: row for row in rows if row["metric"] == "quality_slope"}
    assert slopes["falls"]["value"] == pytest.approx(-12.5)
    assert slopes["even"]["value"] == pytest.approx(0.0, abs=1e-9)
    assert {(row["variant"], row["better"], row["unit"]) for row in slopes.values()} == {
        ("beam", "higher", "points per doubling")
    }
    scored = {row["at"]: row["value"] for row in rows if row["architecture"] == "falls" and row["metric"] == "rouge1"}
    assert scored == pytest.approx({length: 100 * share for length, share in PLANTED.items()})


def test_the_largest_beam_is_read_whatever_the_order_of_the_searches(told: Path):
    for number, beams in enumerate(([8, 1, 2], [1, 2, 8], [2, 8, 1])):
        share = {1: EVEN, 2: EVEN, 8: PLANTED}
        rows = rows_of(told, [planted(told, "falls", number, beams, share)])
        assert rows[-1]["metric"] == "quality_slope"
        assert rows[-1]["value"] == pytest.approx(-12.5)
    rows = rows_of(told, [planted(told, "greedy", 0, [1], {1: PLANTED})])
    assert rows[-1]["variant"] == "greedy"
    assert rows[-1]["value"] == pytest.approx(-12.5)


def test_of_sources_that_are_all_of_one_length_nothing_is_told(told: Path, capsys: pytest.CaptureFixture[str]):
    np.save(told / "tokens/test.source.npy", np.zeros(10 * len(PLANTED) * 5, dtype=np.uint16))
    np.save(told / "tokens/test.source.ends.npy", np.full(10 * len(PLANTED), 5).cumsum())
    assert rows_of(told, [planted(told, "falls", 0, [4], {4: PLANTED})]) == []
    assert "of about one length" in capsys.readouterr().err


def test_what_was_lost_by_cutting_is_not_taken_for_an_effect_of_length(told: Path):
    """32 pieces are the longest kept: what is even up to 16 and falls there has no slope, and a real fall keeps its."""
    falls = planted(told, "falls", 0, [4], {4: PLANTED})
    cut = planted(told, "cut", 0, [4], {4: {**EVEN, 32: 0.0}})
    rows = rows_of(told, [falls, cut], replace(SETTINGS, longest=32))
    slopes = {row["architecture"]: row["value"] for row in rows if row["metric"] == "quality_slope"}
    assert slopes == pytest.approx({"falls": -12.5, "cut": 0.0})
    assert {row["at"] for row in rows} == {4, 8, 16, None}
    [*_, kept] = rows_of(told, [cut], replace(SETTINGS, longest=33))
    assert kept["value"] < -12.5


@pytest.mark.parametrize("longest", [8, 4])
def test_of_sources_that_were_nearly_all_cut_nothing_is_told(
    told: Path, longest: int, capsys: pytest.CaptureFixture[str]
):
    assert rows_of(told, [planted(told, "falls", 0, [4], {4: PLANTED})], replace(SETTINGS, longest=longest)) == []
    assert "that were not cut are of about one length" in capsys.readouterr().err


def test_the_buckets_are_the_same_for_all(told: Path):
    folders = [planted(told, name, seed, [4], {4: PLANTED}) for name in ("one", "other") for seed in (0, 1)]
    lines = (folders[1] / "outputs.jsonl").read_text(encoding="utf-8").splitlines()
    (folders[1] / "outputs.jsonl").write_text("\n".join(reversed(lines)) + "\n", encoding="utf-8")
    rows = rows_of(told, folders)
    by_model = [
        [(row["metric"], row["at"], pytest.approx(row["value"])) for row in rows
         if (row["architecture"], row["replicate"]) == (name, seed)]
        for name in ("one", "other") for seed in (0, 1)
    ]  # fmt: skip
    assert all(mine == by_model[0] for mine in by_model)


def test_one_bucket_of_the_whole_test_split_would_score_as_the_evaluation_does(world: Path):
    """Translation for real: the scores of a bucket with all records are those in evaluation.json."""
    run = world / "runs/translation/lstm/s0"
    variant, outputs = buckets.best_search(run)
    everything = buckets.split(np.full(len(outputs), 7), np.array([]))
    found = buckets.score(outputs, everything, SCORES["translation"], "")
    evaluated = {
        row["metric"]: row["value"]
        for row in read_json(run / "evaluation.json")["rows"]
        if row["variant"] == variant == "beam"
    }
    assert {metric: values[0] for metric, values in found.items()} == pytest.approx(evaluated)


def test_a_real_world_is_scored_per_architecture_seed_and_bucket(world: Path, tmp_path: Path):
    folders = [world / f"runs/translation/{name}/s{seed}" for name in ("transformer", "lstm") for seed in (0, 1)]
    settings = Settings("translation", quality="chrf", buckets=2)
    places = world / "tokens/translation", world / "corpus/translation"
    buckets.run(settings, folders, *places, tmp_path / "out.json")
    rows = read_json(tmp_path / "out.json")["rows"]
    assert len(rows) == 4 * (2 * 2 + 1)
    assert {row["experiment"] for row in rows} == {"length_buckets"}
    ats = {row["at"] for row in rows if row["variable"] == "length"}
    assert len(ats) == 2


def test_what_cannot_be_compared_is_named(told: Path, world: Path):
    one = planted(told, "one", 0, [4], {4: PLANTED})
    with pytest.raises(UserError, match=r"`quality` is chrf; .*rougeL"):
        rows_of(told, [one], Settings("summarization", quality="chrf"))
    with pytest.raises(UserError, match="no outputs of a search"):
        rows_of(told, [world / "runs/lm/lstm/s0"])
    other = planted(told, "other", 0, [4], {4: PLANTED})
    lines = (other / "outputs.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (other / "outputs.jsonl").write_text("".join(lines[1:]), encoding="utf-8")
    with pytest.raises(UserError, match="other sources than the rest"):
        rows_of(told, [one, other])
    lines = (told / "corpus/test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (told / "corpus/test.jsonl").write_text("".join([lines[1], *lines[1:]]), encoding="utf-8")
    with pytest.raises(UserError, match="the corpus lacks '0 x"):
        rows_of(told, [one])
