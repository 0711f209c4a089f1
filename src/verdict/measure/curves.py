"""``python -m verdict.measure.curves``: what the learning curves of a stage say at equal cost.

Takes the histories of a stage's runs and its speed.json; leaves curves.json (rows): seconds to reach each target
(steps to it × seconds per token measured in isolation; "never" where the budget was too small), and the loss at equal
training FLOPs and at equal seconds; seconds to the loss with which the worst of the stage ends, and days for a billion
tokens at the isolated speed. A run leaves the model that was best on validation, so its loss at a cost is the lowest up
to there. Loss between two validations is read off the straight line between them. A target
that the first validation of any run has reached already gives no row for any run, or the sooner side would be missing
where it is best: when it was reached was not seen. Architectures that were not timed have no rows.
"""

import argparse
import math
import sys
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from verdict.arguments import json_argument, numbers
from verdict.errors import UserError, run_command
from verdict.files import read_json, read_json_lines
from verdict.metrics import Report, read_rows

Point = dict[str, Any]


def best_so_far(points: Sequence[Point]) -> list[Point]:
    """The curve of the models that runs of so many tokens would leave: its loss never rises. ``validation`` is added:
    the number of the point, from 0, at which that model was validated."""

    def better(best: int, here: int) -> int:
        return here if points[here]["valid_loss"] < points[best]["valid_loss"] else best

    left = accumulate(range(len(points)), better)
    return [
        {**point, "valid_loss": points[best]["valid_loss"], "validation": best}
        for point, best in zip(points, left, strict=True)
    ]


def cost_to_reach(points: Sequence[Point], target: float, cost: str = "tokens") -> float:
    """The cost at which the loss first is ``target`` or less; inf if it never is.

    A target that the first validation has reached already is read as reached there, which is later than in truth.
    """
    before: Point | None = None
    for point in points:
        if point["valid_loss"] <= target:
            if before is None:
                return float(point[cost])
            share = (before["valid_loss"] - target) / (before["valid_loss"] - point["valid_loss"])
            return float(before[cost] + share * (point[cost] - before[cost]))
        before = point
    return math.inf


def between(places: Sequence[float], at: float) -> dict[int, float] | None:
    """The numbers of the rising places on either side of one, and their shares in what lies on the straight line there;
    None before the first place or after the last."""
    if not places[0] <= at <= places[-1] * (1 + 1e-9):
        return None
    after = min(bisect_right(places, at), len(places) - 1)
    if after == 0:
        return {0: 1.0}
    before, beyond = places[after - 1], places[after]
    share = min(1.0, (at - before) / (beyond - before)) if beyond > before else 1.0
    return {number: part for number, part in ((after - 1, 1 - share), (after, share)) if part}


def loss_at(points: Sequence[Point], cost: str, at: float) -> float | None:
    """The loss at a cost; None before the first validation or after the last."""
    shares = between([point[cost] for point in points], at)
    return None if shares is None else math.fsum(share * points[n]["valid_loss"] for n, share in shares.items())


def seconds_per_token(speed_rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """The training speed on the stage's own batches in each round, by architecture."""
    found: dict[str, dict[int, float]] = {}
    for row in speed_rows:
        if row["metric"] == "train_tokens_per_second" and row["variable"] == "":
            found.setdefault(row["architecture"], {})[row["replicate"]] = 1.0 / row["value"]
    return {name: [seconds for _, seconds in sorted(rounds.items())] for name, rounds in found.items()}


def read(folder: Path) -> list[Point]:
    """A run's curve, as ``best_so_far`` has it; raises ``UserError`` if there is none."""
    points = best_so_far(list(read_json_lines(folder / "history.jsonl")))
    if not points:
        raise UserError(f"{folder}/history.jsonl is empty; remove {folder} and run again")
    return points


def count_seconds(points: Sequence[Point], rounds: Sequence[float], seed: int, speed: Path) -> None:
    """Add ``isolated_seconds`` to a curve, from the seconds per token of each round of the timing in ``speed``.

    Each seed is multiplied with one round, in which all architectures took turns, so that intervals over seeds know the
    spread of both. Raises ``UserError`` for a seed without a round.
    """
    if seed >= len(rounds):
        raise UserError(f"{speed} has {len(rounds)} rounds, and none for seed {seed}; time that stage again")
    for point in points:
        point["isolated_seconds"] = point["tokens"] * rounds[seed]


def run(stage: str, targets: Sequence[float], folders: Sequence[Path], speed: Path, out: Path) -> None:
    """Write the rows of a stage."""
    timed = read_rows(speed)
    per_token = seconds_per_token(timed)
    if not per_token:
        raise UserError(f"{speed} tells no training speed; remove it and run again")
    first = timed[0]
    report = Report(
        f"curves/{stage}", {"stage": stage, "targets": list(targets)}, task=first["task"], variant=first["variant"],
        device=first["device"], implementation=first["implementation"],
    )  # fmt: skip
    curves: dict[tuple[str, int], list[Point]] = {}
    for folder in folders:
        job, points = read_json(folder / "metrics.json")["job"], read(folder)
        architecture = job["architecture_name"]
        if architecture in per_token:
            count_seconds(points, per_token[architecture], job["seed"], speed)
            curves[architecture, job["seed"]] = points
    first_losses = [points[0]["valid_loss"] for points in curves.values()]
    seen = [target for target in targets if min(first_losses) > target]
    for target in set(targets) - set(seen):
        print(
            f"{stage}: the target {target:g} is reached before the first validation, so that nothing is said of it; "
            f"lower it under stages.{stage}.targets, or raise training.validations",
            file=sys.stderr,
        )
    for (architecture, seed), points in sorted(curves.items()):
        columns = {"architecture": architecture, "replicate": seed}
        for target in seen:
            report.add(
                "seconds_to_target", cost_to_reach(points, target, "isolated_seconds"), "s", "lower",
                experiment="time_to_quality", variable="target_bits_per_byte", at=target, **columns,
            )  # fmt: skip
        report.add(
            "seconds_sought", points[-1]["isolated_seconds"], "s", "neither", experiment="time_to_quality", **columns
        )
        # what every architecture of the stage reaches with this seed
        others = [other for (_, same), other in curves.items() if same == seed]
        common = max(other[-1]["valid_loss"] for other in others)
        if all(other[0]["valid_loss"] > common for other in others):
            report.add(
                "seconds_to_common_loss", cost_to_reach(points, common, "isolated_seconds"), "s", "lower",
                experiment="time_to_quality", **columns,
            )  # fmt: skip
        per_day = 86_400 / (points[-1]["isolated_seconds"] / points[-1]["tokens"])
        report.add("days_per_billion_tokens", 1e9 / per_day, "day", "lower", experiment="time_to_quality", **columns)
        for matching, cost in (("flops", "flops"), ("seconds", "isolated_seconds")):
            # what every architecture of the stage can afford with this seed
            budget = min(other[-1][cost] for other in others)
            loss = loss_at(points, cost, budget)
            if loss is not None:
                report.add(
                    "valid_bits_per_byte", loss, "bit/byte", "lower",
                    experiment="training", matching=matching, **columns,
                )  # fmt: skip
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.curves", description=__doc__)
    parser.add_argument("--stage", required=True, help="name of the stage, as in params.yaml")
    parser.add_argument("--targets", type=json_argument, required=True, help="bits per byte, as a JSON list")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders of the stage's runs")
    parser.add_argument("--speed", type=Path, required=True, help="speed.json of the stage")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    run(given.stage, numbers(given.targets, "--targets"), given.runs, given.speed, given.out)


if __name__ == "__main__":
    run_command(main)
