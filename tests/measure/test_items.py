"""The error due to test items: against closed forms, against the scorers, and on real outputs of tiny runs."""

import json
import math
from dataclasses import replace
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
from verdict.measure import buckets, items
from verdict.measure.scores import SCORERS, SCORES

ROOT = Path(__file__).parents[2]

WORDS = ["open", "close", "save", "list", "window", "today", "file", "name"]
DRAWN = items.resamples(range(12), 40, 0)


def texts(seed, count=12):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 6)) for _ in range(count)]


def labels(seed, count=12):
    return list(np.random.default_rng(seed).choice(["good", "bad", "so-so"], count))


def pairs_of(task, seed):
    return (labels(seed), labels(99)) if task == "classification" else (texts(seed), texts(99))


@pytest.mark.parametrize("task", sorted(SCORERS))
def test_a_resample_scores_what_the_scorer_says_of_the_items_drawn(task):
    outputs, references = pairs_of(task, 1)
    found = SCORERS[task](outputs, references)(DRAWN)
    for number, counts in enumerate(DRAWN[:5]):
        chosen = np.repeat(np.arange(12), counts)
        wanted, _ = SCORES[task]([outputs[i] for i in chosen], [references[i] for i in chosen])
        assert {name: values[number] for name, values in found.items()} == pytest.approx(wanted)


def test_every_resample_has_one_item_fewer_and_the_same_seed_the_same_ones():
    assert (DRAWN.sum(1) == 11).all()
    assert (items.resamples(range(12), 40, 0) == DRAWN).all()
    assert not (items.resamples(range(12), 40, 1) == DRAWN).all()


def test_whole_groups_are_drawn_wherever_their_items_stand():
    drawn = items.resamples(["s3", "ec2", "s3", "sns", "ec2", "s3"], 50, 0)
    assert drawn.shape == (50, 6)
    assert (drawn[:, [0, 0, 1]] == drawn[:, [2, 5, 4]]).all()
    assert drawn[:, [0, 1, 3]].sum(1).tolist() == [2] * 50


def test_the_error_of_few_groups_is_not_too_small():
    """The variance of the mean of five groups, over many sets of five: as many draws as groups would give 4/5 of it."""
    told = [
        items.shared_error((items.resamples(range(5), 400, seed) @ values / 4)[None]) ** 2
        for seed, values in enumerate(np.random.default_rng(0).normal(size=(600, 5)))
    ]
    assert np.mean(told) == pytest.approx(1 / 5, rel=0.08)


def test_items_that_come_in_groups_are_worth_as_many_as_there_are_groups():
    """Groups of very different sizes: the closed form is that of a mean weighted by size."""
    rng = np.random.default_rng(3)
    sizes, levels = rng.integers(1, 9, 200), rng.normal(size=200)
    drawn = items.resamples(np.repeat(np.arange(200), sizes), 4000, 0)
    means = drawn @ np.repeat(levels, sizes) / drawn.sum(1)
    centred = sizes * (levels - np.average(levels, weights=sizes))
    assert items.shared_error(means[None]) == pytest.approx(np.linalg.norm(centred) / sizes.sum(), rel=0.05)


def test_of_a_mean_it_is_the_standard_error_everyone_knows():
    values = np.random.default_rng(0).normal(size=400)
    drawn = items.resamples(range(400), 4000, 0) @ values / 400
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


# ---------------------------------------------------------------- by length


@pytest.mark.parametrize("task", ["summarization", "translation"])
def test_a_draw_of_the_whole_test_set_is_dealt_to_the_buckets_as_if_it_had_been_tested(task):
    outputs, references = texts(1, 60), texts(99, 60)
    lengths = np.random.default_rng(5).integers(4, 40, 60)
    inner = buckets.edges(lengths, 3)
    groups = buckets.split(lengths, inner)
    drawn = items.resamples(range(60), 5, 0)
    found = items.scores_by_length(SCORERS[task](outputs, references), drawn, groups)
    means = items.mean_lengths(lengths, drawn, groups)
    for number, counts in enumerate(drawn):
        chosen = np.repeat(np.arange(60), counts)
        tested = buckets.split(lengths[chosen], inner)
        rows = [{"output": outputs[i], "reference": references[i]} for i in chosen]
        for name, wanted in buckets.score(rows, tested, SCORES[task], "").items():
            assert [scores[name][number] for scores in found] == pytest.approx(wanted)
        assert means[number] == pytest.approx([bucket.length for bucket in tested])


def test_samples_without_a_record_of_some_length_say_nothing_by_length():
    groups = buckets.split(np.array([3, 3, 9, 9]), np.array([5.0]))
    counts = np.array([[2, 1, 1, 0], [2, 2, 0, 0], [0, 0, 3, 1], [0, 1, 0, 3]])
    assert items.reaching(counts, groups).tolist() == [counts[0].tolist(), counts[3].tolist()]


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
    (folder / "evaluation.json").write_text(json.dumps({"rows": rows, "job": {"evaluation": {"beams": [4]}}}))
    (folder / "outputs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    return folder


@pytest.fixture
def asked(tmp_path):
    """Folders of the encoded task and of the corpus that ``write`` answers."""
    (tmp_path / "corpus").mkdir()
    lines = (json.dumps({"source": f"source {i}", "target": ""}) + "\n" for i in range(12))
    (tmp_path / "corpus/test.jsonl").write_text("".join(lines))
    return tmp_path / "tokens", tmp_path / "corpus"


def test_a_stage_gets_a_row_for_every_pair_and_metric(tmp_path, asked):
    folders = [
        write(tmp_path / name / f"s{seed}", name, seed, texts(10 * number + seed), texts(99))
        for number, name in enumerate(("x", "y", "z"))
        for seed in (0, 1)
    ]
    items.run(items.Settings("translation", resamples=50), folders, tmp_path / "items.json", *asked)
    rows = read_json(tmp_path / "items.json")["rows"]
    assert {(row["architecture"], row["variable"], row["metric"]) for row in rows} == {
        (one, f"against:{two}", f"{metric}.{told}")
        for one, two in (("x", "y"), ("x", "z"), ("y", "z"))
        for metric in ("bleu", "chrf")
        for told in ("items_error", "items_groups")
    }
    for row in rows:
        assert (row["experiment"], row["task"], row["variant"], row["device"]) == (
            "items",
            "translation",
            "beam",
            "cpu",
        )
        unit = "group" if row["metric"].endswith("groups") else "%"
        assert (row["at"], row["replicate"], row["unit"], row["better"]) == (None, None, unit, "neither")
        assert row["value"] == 12 if unit == "group" else math.isfinite(row["value"])


def test_a_few_large_groups_are_worth_less_than_their_number():
    assert items.effective([3.0] * 7) == 7
    assert items.effective([100.0, 1.0, 1.0, 1.0]) == 1
    # windows of the Bible's test groups
    assert items.effective([166, 159, 129, 163, 61, 32, 34, 168, 14, 20]) == 6


def test_a_stage_without_outputs_has_no_rows(tmp_path):
    folder = tmp_path / "lm"
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({"rows": [{"unit": "bit/byte", "variant": ""}]}))
    (folder / "outputs.jsonl").write_text("")
    items.run(items.Settings("lm"), [folder], tmp_path / "items.json", tmp_path, tmp_path)
    assert read_json(tmp_path / "items.json")["rows"] == []


def test_outputs_that_do_not_belong_together_are_refused(tmp_path, asked):
    good = write(tmp_path / "a", "a", 0, texts(1), texts(99))
    stale = write(tmp_path / "b", "b", 0, texts(2), texts(99), score=12.5)
    other = write(tmp_path / "c", "c", 0, texts(2), texts(98))
    for wrong, named in ((stale, "evaluation.json says 12.5"), (other, "same records")):
        with pytest.raises(UserError, match=named):
            items.run(items.Settings("translation", resamples=5), [good, wrong], tmp_path / "items.json", *asked)
    (tmp_path / "corpus/test.jsonl").write_text('{"source": "source 0", "target": ""}\n')
    with pytest.raises(UserError, match="lacks 'source 1'"):
        items.run(items.Settings("translation", resamples=5), [good], tmp_path / "items.json", *asked)


#: pieces of a source, each of a quarter of the records; the last are those that were cut
PIECES = (8, 16, 32, 64)
REFERENCE = [f"word{letter}" for letter in "abcdefgh"]


def words_right(chance, seed, count):
    """Of eight words how many are right, in summaries of sources of the four lengths in turn."""
    return np.random.default_rng(seed).binomial(8, np.resize(chance, count))


def summaries(right):
    """Texts with so many words right, which is eight times their ROUGE-1."""
    return [" ".join([*REFERENCE[:good], *(["wrong"] * (8 - good))]) for good in right]


@pytest.fixture
def summarized(tmp_path):
    """Writes runs of summarization by architecture, for each seed the words that are right, and their corpus; gives
    the rows of buckets and items."""

    def make(right, of_group=1, resamples=1000, longest=64):
        count = len(next(iter(right.values()))[0])
        lengths = np.resize(PIECES, count)
        (tmp_path / "corpus").mkdir()
        (tmp_path / "tokens").mkdir()
        records = ({"source": f"source {i}", "target": "", "group": f"{i // of_group}"} for i in range(count))
        (tmp_path / "corpus/test.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        np.save(tmp_path / "tokens/test.source.npy", np.zeros(lengths.sum(), dtype=np.uint16))
        np.save(tmp_path / "tokens/test.source.ends.npy", lengths.cumsum())
        folders = []
        for name, seeds in right.items():
            for seed, each in enumerate(seeds):
                folder = tmp_path / name / f"s{seed}"
                write(folder, name, seed, summaries(each), [" ".join(REFERENCE)] * count, "summarization")
                job = tiny.job("summarization", "summarization", "sequence_pairs", name, seed).to_dict()
                (folder / "metrics.json").write_text(json.dumps({"job": job}))
                folders.append(folder)
        grouped = buckets.Settings("summarization", quality="rouge1", buckets=4, longest=longest)
        told = items.Settings("summarization", resamples=resamples, by_length=grouped)
        places = tmp_path / "tokens", tmp_path / "corpus"
        buckets.run(grouped, folders, *places, tmp_path / "buckets.json")
        items.run(told, folders, tmp_path / "items.json", *places)
        return [read_json(tmp_path / f"{name}.json")["rows"] for name in ("buckets", "items")]

    return make


def errors_by_length(rows):
    """at → standard error of ROUGE-1 (the whole test set's stands at None), and that of the slope."""
    scores = {row["at"]: row["value"] for row in rows if row["metric"] == "rouge1.items_error"}
    [slope] = [row["value"] for row in rows if row["metric"] == "quality_slope.items_error"]
    return scores, slope


def test_the_error_of_a_planted_difference_of_slopes_is_what_the_spread_of_records_says(summarized):
    """One falls with length and the other does not: what is left of 400 records is the spread of single ones."""
    right = {
        "transformer": words_right([0.9, 0.9, 0.9, 0.9], 1, 400),
        "lstm": words_right([0.9, 0.7, 0.5, 0.3], 2, 400),
    }
    told, rows = summarized({name: [each] for name, each in right.items()})
    slopes = {row["architecture"]: row["value"] for row in told if row["metric"] == "quality_slope"}
    difference = 100 / 8 * (right["transformer"] - right["lstm"])
    of_each = {at: difference[np.resize(PIECES, 400) == at] for at in PIECES[:-1]}
    by_hand = {at: values.std() / 10 for at, values in of_each.items()}
    scores, slope = errors_by_length(rows)
    assert scores == {None: pytest.approx(difference.std() / 20, rel=0.1)} | {
        at: pytest.approx(error, rel=0.1) for at, error in by_hand.items()
    }
    # of three lengths, each twice the one before, the slope is half the difference between the ends
    assert slopes["transformer"] - slopes["lstm"] == pytest.approx((of_each[32].mean() - of_each[8].mean()) / 2)
    assert slope == pytest.approx(math.hypot(by_hand[8], by_hand[32]) / 2, rel=0.1)


def test_records_that_come_in_groups_make_slopes_less_certain(summarized):
    """Ten records of one length in a group, which succeed or fail together, are worth one."""
    lengths, groups = len(PIECES), 20
    in_groups = words_right([0.5], 3, groups * lengths).reshape(groups, 1, lengths).repeat(10, axis=1).reshape(-1)
    runs = {"transformer": [in_groups], "lstm": [np.full(len(in_groups), 4)]}
    _, rows = summarized(runs, of_group=10 * lengths)
    by_hand = [100 / 8 * in_groups[number::lengths].std() / math.sqrt(groups) for number in (0, 2)]
    assert errors_by_length(rows)[1] == pytest.approx(math.hypot(*by_hand) / 2, rel=0.1)


def test_systems_that_write_the_same_differ_by_nothing_whichever_items_are_drawn(summarized):
    same = [words_right([0.9, 0.7, 0.5, 0.3], seed, 80) for seed in (0, 1)]
    _, rows = summarized({"transformer": same, "lstm": same}, resamples=100)
    assert {(row["metric"], row["value"]) for row in rows} == {
        (f"{name}.{told}", value)
        for name in ("rouge1", "rouge2", "rougeL", "quality_slope")
        for told, value in (("items_error", 0.0), ("items_groups", 80.0))
    }


def test_the_judge_finds_the_error_of_every_bucket_and_slope(summarized):
    right = {
        name: [words_right([0.9, 0.8, 0.7, chance], 10 * number + seed, 200) for seed in range(3)]
        for number, (name, chance) in enumerate({"transformer": 0.6, "lstm": 0.5}.items())
    }
    told, rows = summarized(right, resamples=200)
    verdict = judge(docket.load(ROOT / "claims.yaml"), evidence.frame([*told, *rows]))
    wanted = {
        (row["metric"], row["at"]): pytest.approx(row["value"])
        for row in rows
        if row["metric"] == "quality_slope.items_error" or (row["metric"] == "rougeL.items_error" and row["at"])
    }
    assert len(wanted) == 1 + 3
    entries = [entry for claim in verdict["claims"] for entry in claim["tests"]] + verdict["final"]["tests"]
    judged = {
        (f"{entry['metric']}.items_error", entry["condition"]["at"]): entry["items_error"]
        for entry in entries
        if entry["estimate"] is not None
    }
    assert judged == wanted
    assert all("items/summarization" in entry["runs"] for entry in entries if entry["estimate"] is not None)


def test_only_the_search_whose_quality_is_told_by_length_has_errors_by_length(world, tmp_path):
    """Translation for real, searched greedily and with two beams."""
    folders = [world / f"runs/translation/{name}/s{seed}" for name in ("transformer", "lstm") for seed in (0, 1)]
    grouped = buckets.Settings("translation", quality="chrf", buckets=2)
    places = world / "tokens/translation", world / "corpus/translation"
    told = items.Settings("translation", resamples=100, by_length=grouped)
    items.run(told, folders, tmp_path / "items.json", *places)
    buckets.run(grouped, folders, *places, tmp_path / "buckets.json")
    rows, scored = (read_json(tmp_path / f"{name}.json")["rows"] for name in ("items", "buckets"))
    columns = ("task", "variant", "matching", "size", "device", "at")
    of_buckets = {
        (f"{row['metric']}.{told}", *(row[name] for name in columns))
        for row in scored
        for told in ("items_error", "items_groups")
    }
    found = {(row["metric"], *(row[name] for name in columns)) for row in rows}
    assert of_buckets < found
    assert {variant for _, _, variant, *_ in found - of_buckets} == {"greedy", "beam"}
    assert all(at is None for *_, at in found - of_buckets)
    items.run(replace(told, by_length=None), folders, tmp_path / "whole.json", *places)
    assert read_json(tmp_path / "whole.json")["rows"] == [
        row for row in rows if row["at"] is None and not row["metric"].startswith("quality_slope")
    ]
