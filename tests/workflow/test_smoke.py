"""The whole line, from text to page, through Snakemake."""

import base64
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.page.test_figures import problems
from tests.workflow.conftest import BIN, Clone
from verdict.gathering import rows_of
from verdict.ledger import LARGEST, metric_name
from verdict.settings import read, resolve

pytestmark = pytest.mark.slow


def metrics_files(folder: Path) -> list[Path]:
    patterns = ("runs/*/*/*/metrics.json", "runs/*/*/*/evaluation.json", "measurements/**/*.json", "tuning/*/*.json")
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def test_every_architecture_trains_on_every_task_and_is_evaluated(smoke: Clone) -> None:
    settings = resolve(read(smoke.folder / "params.yaml"))
    for name, stage in settings.stages.items():
        for architecture in stage.architectures:
            for seed in range(settings.seeds):
                run = smoke.folder / "runs" / name / architecture / f"s{seed}"
                assert (run / "model.safetensors").stat().st_size > 0
                assert (run / "evaluation.json").exists() == (stage.evaluation is not None)
                if stage.evaluation:
                    assert json.loads((run / "evaluation.json").read_text())["rows"]
                assert not (run / "checkpoint.safetensors").exists()


def test_a_second_run_has_nothing_to_do(smoke: Clone) -> None:
    assert smoke.planned() == {}


def test_a_clock_that_jumps_makes_nothing_again(smoke: Clone) -> None:
    """What counts is in the files, not when they were written."""
    chance, kept = random.Random(0), {}
    for pattern in ("data/**/*", "tuning/**/*.json", "runs/**/*", "measurements/**/*.json", "results/*", "claims.yaml"):
        for path in filter(Path.is_file, smoke.folder.glob(pattern)):
            kept[path] = path.stat().st_mtime_ns
            moved = kept[path] + chance.choice((-365, -1, 1, 365)) * 86_400 * 10**9
            os.utime(path, ns=(moved, moved))
    assert smoke.planned() == {}
    for path, when in kept.items():  # other tests change files, which must then be newer
        os.utime(path, ns=(when, when))


def test_every_claim_is_tried(smoke: Clone) -> None:
    claims = {claim["id"]: claim for claim in json.loads((smoke.folder / "results/verdict.json").read_text())["claims"]}
    assert len(claims) == 21
    for name, claim in claims.items():
        assert claim["label"] != "not_tried", name
        assert claim["tests"], name


def test_models_of_a_task_have_equal_parameters(smoke: Clone) -> None:
    anatomy = pl.read_parquet(smoke.folder / "results/evidence.parquet").filter(
        (pl.col("experiment") == "anatomy") & (pl.col("variant") == "matched")
    )
    for metric in ("parameters_nonembedding", "parameters_total"):
        for _, group in anatomy.filter(pl.col("metric") == metric).group_by("task", "size"):
            counts = group["value"]
            assert len(counts) >= 2
            assert max(counts) / min(counts) < 1.01


def test_every_row_of_the_evidence_stands_in_its_metrics_file_and_in_mlflow(smoke: Clone) -> None:
    evidence = pl.read_parquet(smoke.folder / "results/evidence.parquet")
    columns = [name for name in evidence.columns]
    ledger = json.loads((smoke.folder / "results/ledger.json").read_text())["runs"]
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{smoke.folder}/mlflow.db")
    told = []
    for path in metrics_files(smoke.folder):
        rows = rows_of(path)
        told += [tuple(row[name] for name in columns) for row in rows]
        run = json.loads(path.read_text())["run"]
        kind = run.split("/")[0]
        for name in {metric_name(row, kind) for row in rows}:
            logged = sorted(metric.value for metric in client.get_metric_history(ledger[run], name))
            meant = sorted(min(row["value"], LARGEST) for row in rows if metric_name(row, kind) == name)
            assert logged == pytest.approx(meant, rel=1e-12), (run, name)
    key = lambda row: tuple((value is not None, value) for value in row)  # noqa: E731
    assert sorted(told, key=key) == sorted(evidence.iter_rows(), key=key)


def test_every_figure_on_the_page_is_found_again(smoke: Clone) -> None:
    folder = smoke.folder
    documents = {
        "verdict": json.loads((folder / "results/verdict.json").read_text()),
        "machine": json.loads((folder / "results/machine.json").read_text()),
        **{f"card:{path.parent.name}": json.loads(path.read_text()) for path in folder.glob("data/corpus/*/card.json")},
    }
    page, evidence, history = (
        folder / name for name in ("reports/index.html", "results/evidence.parquet", "results/history.parquet")
    )
    assert list(problems(page, evidence, history, documents)) == []


def test_dropout_of_one_architecture_reruns_its_jobs_alone(smoke: Clone) -> None:
    settings = resolve(read(smoke.folder / "params.yaml"))
    stages = [stage for stage in settings.stages.values() if "lstm" in stage.architectures]
    asked = [stage for stage in stages if stage.objective == "answers"]
    kept = (smoke.folder / "params.yaml").read_text()
    text = kept.replace("  lstm:                     # pre-norm", "  lstm: # pre-norm")
    at = text.index("  lstm: # pre-norm")
    (smoke.folder / "params.yaml").write_text(text[:at] + text[at:].replace("dropout: 0.0", "dropout: 0.2", 1))
    try:
        planned = smoke.planned()
    finally:
        (smoke.folder / "params.yaml").write_text(kept)
    assert planned["train_model"] == len(stages)  # all seeds together
    assert planned["tune"] == len([stage for stage in stages if stage.tuning])
    assert planned["evaluate_answers"] == len(asked)
    assert planned["evaluate"] == len([stage for stage in stages if stage.evaluation]) - len(asked)
    assert "tokenize" not in planned
    assert "corpus" not in planned
    assert planned["page"] == 1


def test_a_docket_changed_after_the_runs_is_judged_anew_and_trains_nothing(smoke: Clone) -> None:
    kept = (smoke.folder / "claims.yaml").read_text()
    smoke.change("value: 1.0\n          unit: chrF points", "value: 1.5\n          unit: chrF points", "claims.yaml")
    try:
        assert smoke.planned() == {"judge": 1, "page": 1}
    finally:
        (smoke.folder / "claims.yaml").write_text(kept)


def test_what_models_do_inside_is_shown_for_the_sentences_of_the_settings(smoke: Clone) -> None:
    shown = resolve(read(smoke.folder / "params.yaml")).measurements.activity
    for stage in shown.stages:
        told = json.loads((smoke.folder / f"measurements/activity/{stage}.json").read_text())
        assert [model["run"] for model in told["models"]] == [f"train/{stage}/{n}/s0" for n in shown.architectures]


def test_metrics_plots_and_judge_work_from_the_command_line(smoke: Clone) -> None:
    assert "bits_per_byte" in smoke.call("dvc", "metrics", "show")
    assert "B1: " in smoke.call("python", "-m", "verdict", "explain", "B1")
    smoke.call(
        "python", "-m", "verdict.judge", "--evidence", "results/evidence.parquet", "--claims", "claims.yaml",
        "--docket", "results/docket.json", "--out", "again.json",
    )  # fmt: skip
    assert (smoke.folder / "again.json").read_text() == (smoke.folder / "results/verdict.json").read_text()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("edition: smoke", "edition: smok", "edition"),
        ("    mixer: lstm\n", "    mixr: lstm\n", "did you mean 'mixer'"),
        ("      clip: 1.0             # norm", "      clip: -1.0  # norm", "stages.lm.training.clip"),
        ("device: auto", "device: tpu", "device"),
    ],
)
def test_bad_settings_are_found_before_anything_runs(smoke: Clone, old: str, new: str, says: str) -> None:
    kept = (smoke.folder / "params.yaml").read_text()
    assert old in kept
    (smoke.folder / "params.yaml").write_text(kept.replace(old, new, 1))
    try:
        told = smoke.call("snakemake", "--cores", "2", fails=True)
    finally:
        (smoke.folder / "params.yaml").write_text(kept)
    assert says in told
    assert "Traceback" not in told


def test_it_scales_to_the_losses_it_should(smoke: Clone) -> None:
    """Losses are in bits per byte: untrained byte-level models stand near log2(V) bits per piece, never below 1."""
    evidence = pl.read_parquet(smoke.folder / "results/evidence.parquet")
    losses = evidence.filter((pl.col("metric") == "bits_per_byte") & (pl.col("experiment") == "training"))["value"]
    assert len(losses) > 0
    assert all(1.0 < loss < 10.0 and math.isfinite(loss) for loss in losses)


def test_the_judge_alone_needs_no_torch() -> None:
    code = "import sys, verdict.judge, verdict.page.__main__; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=BIN)


def test_what_is_timed_has_the_machine_to_itself(smoke: Clone) -> None:
    """Read off Snakemake's own memory of when each output was begun and finished."""
    spans: dict[str, tuple[float, float]] = {}
    for path in (smoke.folder / ".snakemake/metadata").rglob("*"):
        if path.is_file():
            told = json.loads(path.read_text())
            name = base64.b64decode(path.name + "==").decode(errors="ignore")
            spans[name] = (told["starttime"], told["endtime"])
    jobs = {
        "speed": [name for name in spans if name.startswith("measurements/speed/")],
        "parallelism": ["measurements/parallelism.json"],
        "machine": ["measurements/device.json", "results/machine.json"],
    }
    for outputs in jobs.values():
        begun, ended = spans[outputs[0]]
        company = [span for name, span in spans.items() if name not in outputs]
        assert len(company) > 100
        beside = [(b, e) for b, e in company if min(e, ended) - max(b, begun) > 0.5]  # jobs are ended by polling
        assert not beside
