"""Metrics files to the one evidence table: nothing lost, nothing changed, the same bytes from the same files."""

import json
import math
from pathlib import Path

import polars as pl
import pytest
from tiny import metrics_of

from verdict import gathering
from verdict.court import claims
from verdict.court import evidence as table
from verdict.court.judge import judge
from verdict.errors import UserError
from verdict.files import read_json, write_json
from verdict.metrics import NEVER, Report


def gather(world: Path, out: Path, backwards: bool = False) -> Path:
    metrics, folders = metrics_of(world), sorted(world.glob("runs/*/*/s*"))
    gathering.run(metrics[::-1] if backwards else metrics, folders[::-1] if backwards else folders, out)
    return out


def key(row: dict) -> tuple:
    value = math.inf if row["value"] == NEVER else float(row["value"])
    return tuple(str(value if name == "value" else row[name]) for name in table.SCHEMA)


def test_every_row_of_every_job_is_in_the_table_and_no_other(world: Path, tmp_path: Path):
    found = table.read(gather(world, tmp_path) / "evidence.parquet")
    told = [key(row) for path in metrics_of(world) for row in read_json(path)["rows"]]
    assert sorted(key({**row, "at": row["at"]}) for row in found.iter_rows(named=True)) == sorted(
        key({**row, "at": None if row["at"] is None else float(row["at"])})
        for path in metrics_of(world)
        for row in read_json(path)["rows"]
    )
    assert found.height == len(told) > 200
    # what a claim is judged by must have one answer
    identity = [name for name in table.SCHEMA if name not in ("value", "run")]
    assert found.select(identity).is_duplicated().sum() == 0
    assert found.filter(pl.col("value").is_infinite())["metric"].unique().to_list() == ["seconds_to_target"]


def test_a_device_is_told_by_its_kind_so_that_claims_about_it_are_tried(world: Path, tmp_path: Path):
    """Jobs on a GPU tell the name of the card; claims select “cuda”."""
    for path in metrics_of(world):
        told = read_json(path)
        for row in told["rows"]:
            row["device"] = row["device"].replace("cpu", "cuda: Some Card 9000")
        write_json(tmp_path / path.relative_to(world), told)
    gathering.run(metrics_of(tmp_path), [], tmp_path / "out")
    found = table.read(tmp_path / "out/evidence.parquet")
    assert set(found["device"]) == {"cuda", "none"}
    judged = judge(claims.load("claims.yaml"), found)
    devices = {
        (test["name"], test["condition"]["device"])
        for claim in judged["claims"]
        for test in claim["tests"]
        if test["label"] != "not_tried"
    }
    assert ("batch_gain_on_a_gpu", "cuda") in devices
    assert {device for _, device in devices} == {"cuda", "none"}


def elsewhere(world: Path, folder: Path, card: str = "cuda: Some Card 9000") -> Path:
    """The results of a run whose models were on a card; its baselines were worked out on the CPU beside it."""
    for path in metrics_of(world):
        told = read_json(path)
        for row in told["rows"]:
            if row["experiment"] not in gathering.WORKED_OUT:
                row["device"] = row["device"].replace("cpu", card)
                row["value"] = row["value"] if row["value"] == NEVER else 2 * row["value"]
        write_json(folder / path.relative_to(world), told)
    gathering.run(metrics_of(folder), [], folder / "results")
    return folder / "results"


def test_what_another_device_measured_stands_beside_what_this_one_did(world: Path, tmp_path: Path):
    alone, other = (
        table.read(gather(world, tmp_path / "alone") / "evidence.parquet"),
        elsewhere(world, tmp_path / "gpu"),
    )
    gathering.run(metrics_of(world), sorted(world.glob("runs/*/*/s*")), tmp_path / "both", [other])
    both = table.read(tmp_path / "both/evidence.parquet")
    assert both.filter(pl.col("device") != "cuda").equals(alone)
    beside, there = both.filter(device="cuda"), table.read(other / "evidence.parquet")
    assert all(run.endswith("@cuda") for run in beside["run"])
    # its models' rows and what goes with them, but no counts, which are the same anywhere
    with_them = pl.col("experiment").is_in(gathering.WORKED_OUT)
    assert beside.height == there.filter((pl.col("device") == "cuda") | with_them).height
    identity = [name for name in table.SCHEMA if name not in ("value", "run")]
    assert both.select(identity).is_duplicated().sum() == 0
    # scores and curves are this run's
    for name in ("scores.json", "history.parquet"):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    # every claim is judged on each device as on it alone
    docket = claims.load("claims.yaml")
    judged = {"both": judge(docket, both), "cpu": judge(docket, alone), "cuda": judge(docket, there)}

    def estimates(name: str, device: str) -> dict[str, float]:
        return {
            f"{claim['id']} {test['name']} {test['condition']}": test["estimate"]
            for claim in judged[name]["claims"]
            for test in claim["tests"]
            if test["condition"]["device"] == device and test["label"] != "not_tried"
        }

    for device in ("cpu", "cuda"):
        assert len(estimates("both", device)) > 20
        assert estimates("both", device) == estimates(device, device)


@pytest.mark.parametrize("card", ["cpu", "cuda: Another Card"])
def test_a_run_on_the_same_kind_of_device_cannot_stand_beside(world: Path, tmp_path: Path, card: str):
    others = [elsewhere(world, tmp_path / "one"), elsewhere(world, tmp_path / "two", card)]
    with pytest.raises(UserError, match=r"two/results/evidence\.parquet has nothing of a kind of device"):
        gathering.run(metrics_of(world), [], tmp_path / "out", others)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_several_devices_is_refused(world: Path, tmp_path: Path):
    other = elsewhere(world, tmp_path / "gpu")
    found = table.read(other / "evidence.parquet")
    mixed = found.with_columns(device=pl.when(pl.col("task") == "lm").then(pl.lit("mps")).otherwise(pl.col("device")))
    table.write(gathering.evidence.check(mixed), other / "evidence.parquet")
    with pytest.raises(UserError, match=r"several devices \(cuda, mps\)"):
        gathering.run(metrics_of(world), [], tmp_path / "out", [other])


def test_the_same_files_give_the_same_bytes_in_any_order(world: Path, tmp_path: Path):
    one, two = gather(world, tmp_path / "one"), gather(world, tmp_path / "two", backwards=True)
    names = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    assert {"evidence.parquet", "evidence.csv", "history.parquet", "scores.json"} <= {str(name) for name in names}
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_histories_and_curves_hold_every_validation(world: Path, tmp_path: Path):
    out = gather(world, tmp_path)
    points = pl.read_parquet(out / "history.parquet")
    lines = sum(len(path.read_text().splitlines()) for path in world.glob("runs/*/*/s*/history.jsonl"))
    assert points.height == lines
    classes = points.filter(pl.col("stage") == "finetuning")
    assert classes.height
    assert classes["valid_bits_per_byte"].null_count() == classes.height
    assert points.filter(pl.col("stage") != "finetuning")["valid_bits_per_byte"].null_count() == 0
    curve = pl.read_csv(out / "curves/lm.csv")
    assert curve.columns == ["tokens", "lstm", "transformer"]
    last = points.filter((pl.col("stage") == "lm") & (pl.col("architecture") == "lstm")).group_by("run").last()
    assert curve["lstm"][-1] == pytest.approx(last["valid_loss"].mean())


def test_scores_are_means_over_the_seeds(world: Path, tmp_path: Path):
    scores = read_json(gather(world, tmp_path) / "scores.json")
    values = [
        row["value"]
        for seed in (0, 1)
        for row in read_json(world / f"runs/translation/lstm/s{seed}/evaluation.json")["rows"]
        if row["metric"] == "chrf" and row["variant"] == "beam"
    ]
    assert len(values) == 2
    assert scores["translation"]["lstm"]["beam"]["chrf"] == pytest.approx(sum(values) / 2, abs=1e-4)


@pytest.mark.parametrize("text", ["[]", "{}", "3", '{"row": []}'])
def test_a_file_that_holds_no_rows_is_told(tmp_path: Path, text: str):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json (is not a metrics file|must hold a JSON object)"):
        gathering.rows_of(tmp_path / "metrics.json")


def test_half_a_file_is_told_with_its_line(tmp_path: Path):
    (tmp_path / "metrics.json").write_text('{\n "rows": [\n')
    with pytest.raises(UserError, match=r"metrics\.json line 3 is not JSON"):
        gathering.rows_of(tmp_path / "metrics.json")


def test_never_comes_back_as_infinity_and_nothing_else_does(tmp_path: Path):
    report = Report("curves/x", {}, experiment="time_to_quality", architecture="lstm")
    report.add("seconds_to_target", math.inf, "s", "lower")
    report.add("seconds_to_target", 2, "s", "lower", replicate=1)
    report.write(tmp_path / "m.json")
    json.loads((tmp_path / "m.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [row["value"] for row in gathering.rows_of(tmp_path / "m.json")] == [math.inf, 2.0]


def test_columns_that_the_table_does_not_have_and_values_that_are_none_are_refused(tmp_path: Path):
    report = Report("x", {}, experiment="speed", architecture="lstm")
    with pytest.raises(ValueError, match="sede"):
        report.add("m", 1.0, "s", "lower", sede=1)
    report.add("m", math.nan, "s", "lower")
    with pytest.raises(ValueError, match="JSON"):
        report.write(tmp_path / "m.json")
    assert not list(tmp_path.iterdir())
