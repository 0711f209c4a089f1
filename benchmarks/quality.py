"""Did final scores fall between two versions of the code? Compares their evidence, paired by seed.

    python benchmarks/quality.py before/results/evidence.parquet after/results/evidence.parquet

Both runs have the same settings and seeds. Prints a Markdown table: for every task, architecture and score the mean
gain (after − before, turned so that more is better) over seeds, each seed a mean over its conditions, its 95 % interval
(t over seeds) and the one-sided p-value of a loss, adjusted over the table (Benjamini and Hochberg). Ends with 1 if a
loss is found.
"""

import argparse
import sys
from pathlib import Path

import polars as pl

from verdict.court import evidence, statistics
from verdict.errors import UserError, run_command

#: rows of a final score, and what makes one comparable with itself
EXPERIMENTS = ("training", "algorithms")
SCORES = ("accuracy", "bits_per_byte", "bleu", "chrf", "f1", "rouge1", "rouge2", "rougeL")
SAME = [name for name in evidence.SCHEMA if name not in ("value", "run")]
LEVEL = 0.05


def gains(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Task, architecture (with its variant), metric, unit, replicate and the mean ``gain`` of each; only of what both
    have."""
    final = pl.col("experiment").is_in(EXPERIMENTS) & pl.col("metric").is_in(SCORES) & pl.col("replicate").is_not_null()
    both = before.filter(final).join(after.filter(final), on=SAME, how="inner", nulls_equal=True, suffix="_after")
    sign = pl.when(pl.col("better") == "lower").then(-1).otherwise(1)
    name = pl.concat_str("architecture", "variant", separator=" ").str.strip_chars()
    return (
        both.with_columns(name.alias("architecture"), (sign * (pl.col("value_after") - pl.col("value"))).alias("gain"))
        .group_by("task", "architecture", "metric", "unit", "replicate")
        .agg(pl.col("gain").mean())
        .sort("task", "architecture", "metric", "replicate")
    )


def compared(found: pl.DataFrame) -> pl.DataFrame:
    """Of each task, architecture and metric with two seeds or more: ``gain``, ``low``, ``high``, ``seeds`` and the
    adjusted p-value ``p_loss``."""
    rows = []
    for (task, architecture, metric, unit), part in found.group_by(
        "task", "architecture", "metric", "unit", maintain_order=True
    ):
        if part.height > 1:
            estimate = statistics.mean_interval(part["gain"].to_list(), 1 - LEVEL)
            rows.append((task, architecture, metric, unit, estimate, part.height))
    adjusted = statistics.benjamini_hochberg([statistics.p_below(one[4], 0.0) for one in rows])
    return pl.DataFrame(
        [(*one[:4], one[4].value, one[4].low, one[4].high, one[5], p) for one, p in zip(rows, adjusted, strict=True)],
        schema=["task", "architecture", "metric", "unit", "gain", "low", "high", "seeds", "p_loss"],
        orient="row",
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="evidence.parquet of a run of the earlier code")
    parser.add_argument("after", type=Path, help="and of the later code")
    given = parser.parse_args()
    table = compared(gains(evidence.read(given.before), evidence.read(given.after)))
    if not table.height:
        raise UserError("the runs share no final score of two seeds; give two runs of one edition")
    print("| task | architecture | score | gain | 95 % interval | seeds | p of a loss |\n|---|---|---|---|---|---|---|")
    for one in table.iter_rows(named=True):
        told = f"{one['gain']:+.3g} {one['unit']} | {one['low']:+.3g} to {one['high']:+.3g}"
        name = f"{one['task']} | {one['architecture']} | {one['metric']}"
        print(f"| {name} | {told} | {one['seeds']} | {one['p_loss']:.2f} |")
    fallen = table.filter(pl.col("p_loss") < LEVEL).height
    better, worse = table.filter(pl.col("gain") > 0).height, table.filter(pl.col("gain") < 0).height
    print(f"\n{better} of {table.height} means rose, {worse} fell; {fallen} by more than noise")
    sys.exit(fallen > 0)


if __name__ == "__main__":
    run_command(main)
