"""Scores at equal cost: made by hand, exchanged, and of models that were trained."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from verdict.errors import UserError
from verdict.files import read_json, write_json
from verdict.measure import matched
from verdict.measure.curves import between
from verdict.measure.scores import SCORES, answers_of_samples
from verdict.models.sizes import inference_floats
from verdict.training import runs, store

SETTINGS = matched.Settings("finetuning", resamples=200)
RIGHT = ["good", "bad"] * 10

Rows = list[dict[str, Any]]


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=8), st.floats(0, 1))
def test_shares_are_those_of_the_straight_line(steps: list[float], share: float):
    places = np.cumsum(steps).tolist()
    at = places[0] + share * (places[-1] - places[0])
    shares = between(places, at)
    assert shares is not None
    assert sum(shares.values()) == pytest.approx(1)
    assert all(part > 0 for part in shares.values())
    assert sum(part * places[number] for number, part in shares.items()) == pytest.approx(at)
    assert max(shares) - min(shares) <= 1


def test_nothing_is_between_places_that_do_not_reach_so_far():
    assert between([2.0, 3.0], 1.9) is None
    assert between([2.0, 3.0], 3.1) is None


def said(accuracy: float) -> list[str]:
    """Outputs of which a share is right."""
    count = round(accuracy * len(RIGHT))
    return [right if number < count else "none" for number, right in enumerate(RIGHT)]


def planted(folder: Path, name: str, losses: list[float], accuracies: list[float], flops: float, seed: int = 0) -> Path:
    """A classifier's run whose validations come after equally many tokens."""
    run = folder / name / f"s{seed}"
    job = replace(tiny.job("finetuning", "classification", "classification", "lstm", seed), architecture_name=name)
    write_json(run / "metrics.json", {"job": job.to_dict(), "rows": [{"device": "cpu"}]})
    points = [
        {"tokens": 1000 * number, "flops": flops * number, "valid_loss": loss}
        for number, loss in enumerate(losses, start=1)
    ]
    (run / "history.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points), encoding="utf-8")
    columns = [said(accuracy) for accuracy in accuracies]
    rows = [
        {"record": number, "reference": right, "outputs": [column[number] for column in columns]}
        for number, right in enumerate(RIGHT)
    ]
    tiny.write_jsonl(run / "validation.jsonl", rows)
    return run


def corpus(folder: Path, group: str | None = None) -> Path:
    records = [
        {"text": str(number), "label": label} | ({"group": group} if group else {})
        for number, label in enumerate(RIGHT)
    ]
    tiny.write_jsonl(folder / "corpus/valid.jsonl", records)
    return folder / "corpus"


def speeds(folder: Path, rates: dict[str, list[float]]) -> Path:
    rows = [
        {"metric": "train_tokens_per_second", "variable": "", "architecture": name, "value": value, "replicate": number}
        for name, values in rates.items()
        for number, value in enumerate(values)
    ]
    write_json(folder / "speed.json", {"rows": rows})
    return folder / "speed.json"


def told(settings: matched.Settings, folders: list[Path], speed: Path | None, texts: Path | None, out: Path) -> Rows:
    matched.run(settings, folders, speed, texts, out)
    return read_json(out)["rows"]


def accuracies(rows: Rows, seed: int = 0) -> dict[tuple[str, str], float]:
    return {
        (row["matching"], row["architecture"]): row["value"]
        for row in rows
        if row["metric"] == "valid_accuracy" and row["replicate"] == seed
    }


def test_a_stage_by_hand(tmp_path: Path):
    """One is twice as cheap in FLOPs and half as fast. Its third model is worse than its second, and not left."""
    cheap = planted(tmp_path, "cheap", [3.0, 1.0, 2.0, 0.5], [0.2, 0.4, 0.1, 0.8], flops=10)
    dear = planted(tmp_path, "dear", [3.0, 2.0, 1.0, 0.5], [0.5, 0.6, 0.8, 1.0], flops=20)
    speed = speeds(tmp_path, {"cheap": [100.0], "dear": [200.0]})
    rows = told(SETTINGS, [cheap, dear], speed, corpus(tmp_path), tmp_path / "out.json")
    assert accuracies(rows) == {
        # 40 FLOPs: all of the cheap one, and two validations of the dear one
        ("flops", "cheap"): pytest.approx(80),
        ("flops", "dear"): pytest.approx(60),
        # 20 s: half of the cheap one's tokens
        ("seconds", "cheap"): pytest.approx(40),
        ("seconds", "dear"): pytest.approx(100),
    }
    # 35 s: half way between the third validation, where the second's model is still the best, and the fourth
    speed = speeds(tmp_path, {"cheap": [100.0], "dear": [4000 / 35]})
    rows = told(SETTINGS, [cheap, dear], speed, corpus(tmp_path), tmp_path / "out.json")
    assert accuracies(rows)["seconds", "cheap"] == pytest.approx(60)


def test_without_a_timing_there_are_no_seconds(tmp_path: Path):
    runs_ = [planted(tmp_path, name, [2.0, 1.0], [0.2, 0.4], flops=10) for name in ("one", "two")]
    rows = told(SETTINGS, runs_, None, corpus(tmp_path), tmp_path / "out.json")
    assert {row["matching"] for row in rows} == {"flops"}


def test_who_begins_later_than_the_other_ends_has_no_row(tmp_path: Path):
    runs_ = [planted(tmp_path, name, [2.0, 1.0], [0.2, 0.4], flops) for name, flops in (("one", 1), ("two", 9))]
    rows = told(SETTINGS, runs_, None, corpus(tmp_path), tmp_path / "out.json")
    assert accuracies(rows) == {("flops", "one"): pytest.approx(40)}


def test_exchanged_names_exchange_the_rows(tmp_path: Path):
    found = []
    for number, names in enumerate((("one", "two"), ("two", "one"))):
        folder = tmp_path / str(number)
        first = [planted(folder, names[0], [2.0, 1.0 - 0.1 * s], [0.2, 0.4 + 0.1 * s], 10, s) for s in (0, 1)]
        second = [planted(folder, names[1], [2.0, 1.5], [0.1, 0.6], 13, s) for s in (0, 1)]
        speed = speeds(folder, {names[0]: [50.0, 60.0], names[1]: [70.0, 80.0]})
        found.append(told(SETTINGS, first + second, speed, corpus(folder), folder / "out.json"))
    other = {"one": "two", "two": "one"}
    for seed in (0, 1):
        one, two = (accuracies(rows, seed) for rows in found)
        assert {(matching, other[name]): value for (matching, name), value in one.items()} == two
    errors = [[row["value"] for row in rows if row["metric"].endswith("items_error")] for rows in found]
    assert errors[0] == pytest.approx(errors[1])
    assert min(errors[0]) > 0


def test_the_same_outputs_owe_nothing_to_the_records(tmp_path: Path):
    runs_ = [
        planted(tmp_path, name, [2.0, 1.0], [0.2, 0.4], flops=10, seed=s) for name in ("one", "two") for s in (0, 1)
    ]
    rows = told(SETTINGS, runs_, None, corpus(tmp_path), tmp_path / "out.json")
    errors = [row for row in rows if row["metric"] == "valid_accuracy.items_error"]
    assert [(row["architecture"], row["variable"], row["value"]) for row in errors] == [("one", "against:two", 0.0)]
    assert errors[0]["experiment"] == "items"
    assert [row["value"] for row in rows if row["metric"] == "valid_accuracy.items_groups"] == [len(RIGHT)]


def test_of_one_group_nothing_is_said_about_others(tmp_path: Path):
    runs_ = [planted(tmp_path, name, [2.0, 1.0], [0.2, 0.4], flops=10) for name in ("one", "two")]
    rows = told(SETTINGS, runs_, None, corpus(tmp_path, group="all"), tmp_path / "out.json")
    assert {row["metric"] for row in rows} == {"valid_accuracy", "valid_f1"}


def test_runs_that_were_asked_other_records_are_not_compared(tmp_path: Path):
    one, two = (planted(tmp_path, name, [2.0, 1.0], [0.2, 0.4], flops=10) for name in ("one", "two"))
    path = two / "validation.jsonl"
    path.write_text(path.read_text().replace('"record": 3', '"record": 33'), encoding="utf-8")
    with pytest.raises(UserError, match="other records"):
        told(SETTINGS, [one, two], None, corpus(tmp_path), tmp_path / "out.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "output_records"),
        ('{"record": 1}\n', "damaged"),
        ('{"record": 1, "reference": "a", "outputs": ["a"]}\n', "do not fit"),
    ],
)
def test_a_file_that_does_not_fit_is_told(content: str, message: str, tmp_path: Path):
    run = planted(tmp_path, "one", [2.0, 1.0], [0.2, 0.4], flops=10)
    (run / "validation.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        told(SETTINGS, [run], None, corpus(tmp_path), tmp_path / "out.json")


def test_where_costs_are_equal_it_is_the_model_that_is_left(world: Path):
    """Of the tiny world both architectures have as many tokens, and what the dearer one says is read before its end."""
    for stage, metric, task in (
        ("translation", "valid_chrf", "translation"),
        ("finetuning", "valid_f1", "classification"),
    ):
        rows = [
            row for row in read_json(world / f"measurements/matched/{stage}.json")["rows"] if row["metric"] == metric
        ]
        assert {(row["matching"], row["architecture"]) for row in rows} == {
            (matching, name) for matching in ("flops", "seconds") for name in ("transformer", "lstm")
        }
        for matching in ("flops", "seconds"):
            here = {
                (row["architecture"], row["replicate"]): row["value"] for row in rows if row["matching"] == matching
            }
            whole = {}
            for name, seed in here:
                run = matched.read(world / f"runs/{stage}/{name}/s{seed}")
                last = run.outputs[run.points[-1]["validation"]]
                whole[name, seed] = SCORES[task](last, run.references)[0][metric.removeprefix("valid_")]
            # whoever is cheaper is read at its end
            assert all(any(here[key] == pytest.approx(whole[key]) for key in here if key[1] == seed) for seed in (0, 1))


def test_at_equal_memory_it_lies_between_the_sizes(tmp_path: Path):
    """After as many tokens as both sizes have seen, at the most memory that both architectures span."""
    tokens = tiny.reversal(tmp_path, records=100, words=3)
    folders = []
    for stage, parameters, budget in (("small", 14_000, 3000), ("main", 30_000, 6000)):
        for name in ("transformer", "lstm"):
            job = tiny.job(stage, "reversal", "sequence_pairs", name, budget_tokens=budget)
            job = replace(job, parameters=parameters, size="small" if stage == "small" else "")
            folders.append(tmp_path / "runs" / job.name)
            runs.run(replace(job, task="translation"), tokens, folders[-1], None)
    settings = matched.Settings("main", ["small", "main"], texts=4, context=12, resamples=20)
    rows = told(settings, folders, None, tmp_path / "corpus", tmp_path / "out.json")
    found = {
        row["architecture"]: row["value"]
        for row in rows
        if row["matching"] == "memory" and row["metric"] == "valid_chrf"
    }
    floats = {folder: inference_floats(store.load(folder), 4, 12, 12) for folder in folders}
    by_name = {name: [folder for folder in folders if name in folder.parts] for name in ("transformer", "lstm")}
    most = min(floats[large] for _, large in by_name.values())
    for name, (small, large) in by_name.items():
        share = (np.log(most) - np.log(floats[small])) / (np.log(floats[large]) - np.log(floats[small]))
        end = matched.read(small).points[-1]["tokens"]
        ends = []
        for folder in (small, large):
            run = matched.read(folder)
            mixture = run.left_at("tokens", end)
            assert mixture is not None
            ends.append(sum(
                part * SCORES["translation"](run.outputs[number], run.references)[0]["chrf"]
                for (_, number), part in mixture.items()
            ))  # fmt: skip
        if matched.read(large).points[0]["tokens"] <= end:
            assert found[name] == pytest.approx((1 - share) * ends[0] + share * ends[1])
    assert found.keys() == by_name.keys()


def test_answers_are_counted_one_by_one():
    score = answers_of_samples(["1 2 3", "4"], ["1 2 9", "5"])
    assert score(np.array([[1, 1], [1, 0], [0, 1]]))["accuracy"] == pytest.approx([50, 200 / 3, 0])
