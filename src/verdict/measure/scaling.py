"""``python -m verdict.measure.scaling``: what more text, more parameters and each part of the block are worth.

Takes the histories of all runs of a task; leaves {task}.json (rows), all from the loss on validation:

- ``scaling``: the loss of every size after every power-of-two share of the tokens, and for every seed the exponents of
  power laws through them (loss ∝ tokens^−β at the largest size over the last ``fitted`` halvings, for at the beginning
  who starts badly seems to gain fast; loss ∝ parameters^−α at the end; least squares on logarithms, as Kaplan et al.
  2020 draw them), the gain from the smallest size to the largest, and the fewest parameters that reach each target,
  read off the line between two sizes over the logarithm of the parameters. Where the smallest size reaches it, fewer
  might do: a target that any run of the smallest size reaches is left out. The schedule is constant, so that every
  point of a curve stands for a run of that length (Hägele et al. 2024).
- ``crossover_tokens``: where two architectures' laws over tokens meet, if that lies within ``REACH`` of what was
  measured; beyond, nothing is extrapolated.
- the loss at equal memory for inference (weights, and the states of ``texts`` texts after ``context`` pieces), read off
  the line between two sizes: at the most that every architecture's sizes span; absent where they do not overlap.
- ``ladder``: the loss of every rung after as many tokens as all rungs have seen, and how many times fewer bits a rung
  needs than the rung before it.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from verdict import metrics
from verdict.arguments import filled, json_argument
from verdict.errors import UserError, run_command
from verdict.measure.curves import Point, between, cost_to_reach, loss_at, read
from verdict.metrics import Report
from verdict.models.sizes import inference_floats, skeleton
from verdict.training import store

#: how far beyond the tokens that were measured a law is believed, as a factor
REACH = 10.0


@dataclass(frozen=True)
class Settings:
    """What to read."""

    task: str
    #: stages of the task's sizes, from small to large
    sizes: list[str]
    #: architectures that have every size
    architectures: list[str]
    #: architectures from one to the other, a part at a time
    ladder: list[str] = field(default_factory=list)
    #: bits per byte for which the fewest parameters are sought
    targets: list[float] = field(default_factory=list)
    #: the tokens are halved so often
    halvings: int = 3
    #: the law over tokens is fitted to so many halvings, the last ones
    fitted: int = 2
    #: texts generated at once, and pieces in each (and in its source), for the memory of inference
    texts: int = 8
    context: int = 128


@dataclass(frozen=True, eq=False)
class Curve:
    """One run's learning curve."""

    stage: str
    architecture: str
    seed: int
    size: str
    #: non-embedding parameters
    parameters: float
    #: numbers in memory at inference
    floats: float
    points: list[Point]


def power_law(amounts: Sequence[float], losses: Sequence[float]) -> tuple[float, float]:
    """(exponent, scale) of loss = scale · amount^−exponent by least squares on the logarithms."""
    slope, intercept = np.polyfit(np.log(amounts), np.log(losses), 1)
    return -float(slope), float(math.exp(intercept))


def crossover(first: tuple[float, float], second: tuple[float, float]) -> float | None:
    """The amount at which two power laws give the same loss; None for parallel ones."""
    if first[0] == second[0]:
        return None
    exponent = (math.log(first[1]) - math.log(second[1])) / (first[0] - second[0])
    return math.exp(exponent) if abs(exponent) < 300 else None


def read_curve(folder: Path, settings: Settings) -> Curve:
    """The curve in a run's folder."""
    told = metrics.read(folder / "metrics.json")
    job = told["job"]
    counted = [row["value"] for row in told["rows"] if row["metric"] == "parameters_nonembedding"]
    if not counted:
        raise UserError(f"{folder}/metrics.json does not tell the model's parameters; remove {folder} and run again")
    points = read(folder)
    architecture, shape, inner = store.described(folder)
    model = skeleton(architecture, shape, inner)
    source = settings.context if shape.family == "encoder_decoder" else 0
    floats = inference_floats(model, settings.texts, settings.context, source)
    return Curve(job["stage"], job["architecture_name"], job["seed"], job["size"], counted[0], floats, points)


def _add_scaling(report: Report, settings: Settings, curves: Sequence[Curve]) -> None:
    chosen = [c for c in curves if c.stage in settings.sizes and c.architecture in settings.architectures]
    if not chosen:
        raise UserError("--runs has no run of the stages and architectures of --settings; name them")
    end = min(curve.points[-1]["tokens"] for curve in chosen)
    amounts = [end / 2**halving for halving in range(settings.halvings, -1, -1)]
    # the first validation may come later than the smallest share
    amounts = [at for at in amounts if all(curve.points[0]["tokens"] <= at for curve in chosen)]
    if not amounts:
        raise UserError(
            f"a run of {settings.task} ends before another's first validation, so that their curves have nothing in "
            "common; raise its budget_tokens, or the other's validations"
        )
    smallest = [_loss(curve, end) for curve in chosen if curve.stage == settings.sizes[0]]
    targets = [at for at in settings.targets if min(smallest) > at]
    laws: dict[tuple[str, int], tuple[float, float]] = {}
    for architecture in settings.architectures:
        for seed in sorted({curve.seed for curve in chosen}):
            by_stage = {c.stage: c for c in chosen if c.architecture == architecture and c.seed == seed}
            if missing := [stage for stage in settings.sizes if stage not in by_stage]:
                raise UserError(
                    f"--runs lacks the run of {architecture} on {missing[0]} with the seed {seed}; name it too"
                )
            sizes = [by_stage[stage] for stage in settings.sizes]
            columns: dict[str, Any] = {"experiment": "scaling", "architecture": architecture, "replicate": seed}
            losses = {(curve.stage, at): _loss(curve, at) for curve in sizes for at in amounts}
            for curve in sizes:
                for at in amounts:
                    report.add(
                        "valid_bits_per_byte", losses[curve.stage, at], "bit/byte", "lower",
                        size=curve.size, variable="tokens", at=round(at), **columns,
                    )  # fmt: skip
            largest = sizes[-1]
            if len(amounts) > 1:
                late = amounts[-settings.fitted - 1 :]
                law = power_law(late, [losses[largest.stage, at] for at in late])
                laws[architecture, seed] = law
                report.add("data_exponent", law[0], "exponent", "higher", **columns)
            if len(sizes) > 1:
                final = [losses[curve.stage, amounts[-1]] for curve in sizes]
                exponent, _ = power_law([curve.parameters for curve in sizes], final)
                report.add("size_exponent", exponent, "exponent", "higher", **columns)
                report.add("size_gain", final[0] / final[-1], "ratio", "higher", **columns)
                report.add("parameters_sought", largest.parameters, "parameter", "neither", **columns)
                for target in targets:
                    report.add(
                        "parameters_to_target", _parameters_to_reach(sizes, target, end), "parameter", "lower",
                        variable="target_bits_per_byte", at=target, **columns,
                    )  # fmt: skip
    _add_crossovers(report, settings, laws, amounts)
    _add_equal_memory(report, chosen, amounts[-1])


def _parameters_to_reach(sizes: Sequence[Curve], target: float, end: float) -> float:
    """The fewest parameters with which the loss is ``target`` after ``end`` tokens; inf if the largest size is above.

    The tokens are those that all sizes were trained on, or a larger budget would pass for size.
    """
    points = [{"valid_loss": _loss(curve, end), "logarithm": math.log(curve.parameters)} for curve in sizes]
    return math.exp(cost_to_reach(points, target, "logarithm"))


def _add_crossovers(
    report: Report,
    settings: Settings,
    laws: Mapping[tuple[str, int], tuple[float, float]],
    amounts: Sequence[float],
) -> None:
    for number, first in enumerate(settings.architectures):
        for second in settings.architectures[number + 1 :]:
            for seed in sorted({seed for _, seed in laws}):
                found = crossover(laws[first, seed], laws[second, seed])
                if found is not None and amounts[0] / REACH <= found <= amounts[-1] * REACH:
                    report.add(
                        "crossover_tokens", found, "token", "neither", experiment="scaling", architecture=first,
                        variant=f"against {second}", replicate=seed,
                    )  # fmt: skip


def at_equal_memory(curves: Sequence[Curve]) -> dict[tuple[str, int], dict[Curve, float]]:
    """The sizes of each architecture and seed next to the most memory that every architecture's sizes span, and their
    shares in what lies between them, over the logarithm of the memory; nothing where they do not overlap."""
    alike: dict[tuple[str, int], list[Curve]] = {}
    for curve in sorted(curves, key=lambda curve: curve.floats):
        alike.setdefault((curve.architecture, curve.seed), []).append(curve)
    most = min(sizes[-1].floats for sizes in alike.values())
    found = {}
    for key, sizes in alike.items():
        shares = between([math.log(curve.floats) for curve in sizes], math.log(most))
        if shares is None:
            return {}
        found[key] = {sizes[number]: share for number, share in shares.items()}
    return found


def _add_equal_memory(report: Report, curves: Sequence[Curve], end: float) -> None:
    for (name, seed), sizes in sorted(at_equal_memory(curves).items()):
        loss = math.fsum(share * _loss(curve, end) for curve, share in sizes.items())
        report.add(
            "valid_bits_per_byte", loss, "bit/byte", "lower",
            experiment="training", matching="memory", architecture=name, replicate=seed,
        )  # fmt: skip


def _add_ladder(report: Report, settings: Settings, curves: Sequence[Curve]) -> None:
    # only the main size has every rung
    rungs = [curve for curve in curves if curve.architecture in settings.ladder and not curve.size]
    end = min(curve.points[-1]["tokens"] for curve in rungs)
    for seed in sorted({curve.seed for curve in rungs}):
        before: float | None = None
        for architecture in settings.ladder:
            curve = next(c for c in rungs if c.architecture == architecture and c.seed == seed)
            loss = _loss(curve, end)
            columns: dict[str, Any] = {"experiment": "ladder", "architecture": architecture, "replicate": seed}
            report.add("valid_bits_per_byte", loss, "bit/byte", "lower", **columns)
            if before is not None:
                report.add("rung_gain", before / loss, "ratio", "higher", **columns)
            before = loss


def _device(folder: Path) -> str:
    return str(metrics.read(folder / "metrics.json")["rows"][0]["device"])


def _loss(curve: Curve, tokens: float) -> float:
    loss = loss_at(curve.points, "tokens", tokens)
    if loss is None:
        raise UserError(
            f"the curve of {curve.architecture} on {curve.stage} does not reach from the first validation to "
            f"{tokens:,.0f} tokens, where another's ends; raise its validations, or the other's budget_tokens"
        )
    return loss


def run(settings: Settings, folders: Sequence[Path], out: Path) -> None:
    """Read the curves and write the rows."""
    curves = [read_curve(folder, settings) for folder in folders]
    report = Report(
        f"scaling/{settings.task}", asdict(settings), task=settings.task, matching="parameters",
        device=_device(folders[0]), implementation="kernel",
    )  # fmt: skip
    _add_scaling(report, settings, curves)
    if settings.ladder:
        _add_ladder(report, settings, curves)
    out.parent.mkdir(parents=True, exist_ok=True)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.scaling", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="what to read, as JSON")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders of all runs of the task")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    run(filled(Settings, given.settings, "--settings"), given.runs, given.out)


if __name__ == "__main__":
    run_command(main)
