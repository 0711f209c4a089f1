"""What was measured beside what the claims ask: means over replicates with their intervals, compared with nothing.

Positive values are averaged on the logarithm's scale, as ratios, counts and times are throughout the court, others as
they are. No correction is made: nothing is decided here.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import polars as pl

from verdict.court import evidence as table_of
from verdict.court import statistics

#: what rows that are replicates of one another have in common
SAME = tuple(name for name in table_of.SCHEMA if name not in ("replicate", "value", "run"))


def estimates(evidence: pl.DataFrame, judged: Collection[int], level: float) -> list[dict[str, Any]]:
    """Mean and t-interval of every measurement with replicates that no test has read and that was swept over nothing.

    ``evidence``: with its row numbers in the column ``row``; ``judged``: the numbers of the rows that tests have read.
    One entry for each combination of the other columns, in their order. Where some replicates never reached it, there
    is no mean, and the ends are those of what the others reached.
    """
    whole = [name for name in SAME if name not in ("at", "architecture", "variant", "implementation")]
    rows = evidence.filter(
        ~pl.col("experiment").is_in(table_of.ELSEWHERE)
        & (pl.col("at").n_unique().over(whole) == 1)
        & pl.col("replicate").is_not_null()
        & ~pl.col("row").is_in(sorted(judged))
    )
    told = []
    for key, group in rows.group_by(SAME, maintain_order=True):
        values = group["value"].to_list()
        if len(values) < 2:
            continue
        reached = [value for value in values if math.isfinite(value)]
        is_whole = len(reached) == len(values)
        told.append(
            {
                **dict(zip(SAME, key, strict=True)),
                "replicates": len(values),
                "never_reached": len(values) - len(reached),
                **(_mean(values, level) if is_whole else _ends(reached)),
                "rows": sorted(group["row"].to_list()),
            }
        )
    return told


def _mean(values: Sequence[float], level: float) -> dict[str, float | None]:
    is_positive = min(values) > 0
    found = statistics.mean_interval([math.log(value) for value in values] if is_positive else values, level)
    back = math.exp if is_positive else float
    assert found.low is not None
    assert found.high is not None
    return {
        "mean": back(found.value),
        "low": table_of.finite(back(min(found.low, 700.0)) if is_positive else found.low),
        "high": table_of.finite(back(min(found.high, 700.0)) if is_positive else found.high),
    }


def _ends(reached: Sequence[float]) -> dict[str, float | None]:
    return {"mean": None, "low": min(reached, default=None), "high": max(reached, default=None)}
