"""``python -m verdict.gathering``: put the rows of all metrics files into the one evidence table.

Takes metrics files and histories, and what runs on other kinds of devices left in their results folders; leaves
evidence.parquet (and .csv), history.parquet, scores.json (for ``dvc metrics show``) and learning-curve tables (for
``dvc plots show``).
"""

import argparse
import math
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from verdict.court import evidence
from verdict.errors import UserError, run_command
from verdict.files import read_json, read_json_lines, replacing, write_json
from verdict.metrics import NEVER, read_rows
from verdict.training.settings import IN_NATS

#: what is worked out on a CPU wherever models run, of the texts of a run and of what its models wrote
WORKED_OUT = ("baseline", "length_buckets", "items")
#: what counts have for a device
NO_DEVICE = "none"

HISTORY: dict[str, Any] = {
    "run": pl.String,
    "stage": pl.String,
    "task": pl.String,
    "architecture": pl.String,
    "variant": pl.String,
    "size": pl.String,
    "replicate": pl.Int64,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "flops": pl.Float64,
    "seconds": pl.Float64,
    "train_loss": pl.Float64,
    "valid_loss": pl.Float64,
    "valid_bits_per_byte": pl.Float64,
    "gradient_norm": pl.Float64,
    "clipped_share": pl.Float64,
    "learning_rate": pl.Float64,
}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics file, with “never” as +inf and the kind of device without its name.

    Claims are judged over kinds of devices; which one it was stands in machine.json.
    """
    return [
        {
            **row,
            "value": math.inf if row["value"] == NEVER else row["value"],
            "device": row["device"].partition(":")[0],
        }
        for row in read_rows(path)
    ]


def rows_of_other_device(folder: Path, own: Container[str]) -> list[dict[str, Any]]:
    """The rows that a run elsewhere measured on a kind of device which is none of ``own``; their runs end with it.

    Counts, which no device changes, stay this run's. Baselines, and what is worked out of the models' outputs, go with
    the models. Raises ``UserError`` unless there is exactly one other kind of device.
    """
    path = folder / "evidence.parquet"
    rows = evidence.read(path).to_dicts()
    models = {row["device"] for row in rows if row["experiment"] not in WORKED_OUT} - {NO_DEVICE}
    match [kind for kind in sorted(models) if kind not in own]:
        case [kind]:
            return [
                {**row, "device": kind, "run": f"{row['run']}@{kind}"}
                for row in rows
                if row["device"] == kind or row["experiment"] in WORKED_OUT
            ]
        case []:
            raise UserError(
                f"{path} has nothing of a kind of device that this run has not ({', '.join(sorted(models))}); "
                "remove its folder from other_devices"
            )
        case several:
            raise UserError(f"{path} is of several devices ({', '.join(several)}); name folders of single runs")


def history(folders: Iterable[Path]) -> pl.DataFrame:
    """All learning curves as one table; ``valid_bits_per_byte`` is empty where the loss is of classes.

    Raises ``UserError`` naming the folder whose files are damaged.
    """
    curves = [pl.DataFrame(schema=HISTORY)]
    for folder in folders:
        told = read_json(folder / "metrics.json")
        job = told["job"]
        if not isinstance(job, dict):
            raise UserError(f"{folder}/metrics.json: the key 'job' holds no object; remove the folder and run again")
        in_bits = job["objective"] not in IN_NATS
        points = [
            {
                "run": told["run"],
                "stage": job["stage"],
                "task": job["task"],
                "architecture": job["architecture_name"],
                "variant": job["variant"],
                "size": job["size"],
                "replicate": job["seed"],
                "valid_bits_per_byte": point["valid_loss"] if in_bits else None,
                **point,
            }
            for point in read_json_lines(folder / "history.jsonl")
        ]
        try:
            curves.append(pl.DataFrame(points, schema=HISTORY))
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{folder}/history.jsonl is no learning curve; remove the folder and run again") from error
    return pl.concat(curves).sort("run", "tokens")


def scores(table: pl.DataFrame) -> dict[str, Any]:
    """Means over seeds of the test scores and medians of the training speed, nested for ``dvc metrics show``."""
    trained = table.filter(
        (pl.col("experiment") == "training") & (pl.col("matching") == "parameters")
        & (pl.col("size") == "") & (pl.col("variable") == "")
        & pl.col("metric").is_in(["bits_per_byte", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "accuracy", "f1"])
    )  # fmt: skip
    timed = table.filter((pl.col("metric") == "train_tokens_per_second") & (pl.col("variable") == ""))
    found: dict[str, Any] = {}
    for part, value in ((trained, pl.col("value").mean()), (timed, pl.col("value").median())):
        keys = ["task", "architecture", "variant", "metric"]
        for *path, last, number in part.group_by(keys).agg(value).sort(keys).iter_rows():
            here = found
            for key in path:
                here = here.setdefault(key, {}) if key else here
            here[last] = round(number, 4)
    return found


def curves(points: pl.DataFrame, stage: str) -> pl.DataFrame:
    """A stage's validation loss over tokens, a column per architecture (means over seeds of the same validation)."""
    mine = points.filter(pl.col("stage") == stage)
    numbered = mine.with_columns(pl.int_range(pl.len()).over("run", order_by="step").alias("validation"))
    means = numbered.group_by("validation", "architecture").agg(pl.col("valid_loss").mean(), pl.col("tokens").mean())
    wide = means.pivot("architecture", index="validation", values="valid_loss", sort_columns=True).sort("validation")
    tokens = means.group_by("validation").agg(pl.col("tokens").mean().round(0))
    return tokens.join(wide, on="validation").sort("validation").drop("validation")


def run(metrics: Sequence[Path], folders: Sequence[Path], out: Path, others: Sequence[Path] = ()) -> None:
    """Write everything to ``out``; the scores and curves are those of this run alone."""
    rows = [row for path in sorted(metrics) for row in rows_of(path)]
    own = table = evidence.frame(rows)
    points = history(sorted(folders))
    for folder in others:
        rows += rows_of_other_device(folder, {row["device"] for row in rows})
        table = evidence.frame(rows)
    evidence.write(table, out / "evidence.parquet")
    with replacing(out / "history.parquet") as aside:
        points.write_parquet(aside)
    write_json(out / "scores.json", scores(own))
    for stage in points["stage"].unique().sort():
        with replacing(out / "curves" / f"{stage}.csv") as aside:
            curves(points, stage).write_csv(aside)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.gathering", description=__doc__)
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics files")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="folders of training runs")
    parser.add_argument(
        "--other-devices", type=Path, nargs="*", default=[], help="results folders of runs on other kinds of devices"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    given = parser.parse_args()
    run(given.metrics, given.runs, given.out, given.other_devices)


if __name__ == "__main__":
    run_command(main)
