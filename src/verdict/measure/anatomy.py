"""``python -m verdict.measure.anatomy``: parameters and FLOPs by part, counted on the models themselves.

Takes the encoded tasks; leaves anatomy.json (rows) for two comparisons: ``matched`` (the models that are
trained, equal parameters) and ``equal_width`` (equal width and depth, each at its textbook inner width: four times
the model width in the feed-forward part, the model width in a recurrent layer).
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from verdict.arguments import every, json_argument
from verdict.errors import run_command
from verdict.measure.work import shape_of
from verdict.metrics import Report
from verdict.models.families import InnerWidths
from verdict.models.sizes import count, flops_per_sequence, skeleton, solve
from verdict.training.settings import Job

#: layers of every architecture in the comparison at equal width
LAYERS = 4


def run(jobs: Sequence[Job], tokens: Path, out: Path) -> None:
    """Count the models of training jobs (one per task and architecture) and write the rows; ``tokens`` holds a folder
    per task."""
    report = Report("anatomy", {"jobs": {job.name: job.to_dict() for job in jobs}}, experiment="anatomy", device="none")
    for job in jobs:
        shape = replace(shape_of(job, tokens / job.task), classes=0)
        matched = solve(job.architecture, shape)
        level = replace(job.architecture, layers=LAYERS)
        textbook = [InnerWidths(shape.width, 4 * shape.width if level.feedforward else 0)] * LAYERS
        for variant, matching, architecture, inner in (
            ("matched", "parameters", job.architecture, matched),
            ("equal_width", "width", level, textbook),
        ):
            model = skeleton(architecture, shape, inner)
            columns = {
                "task": job.task, "architecture": job.architecture_name, "variant": variant, "matching": matching,
                "size": job.size,
            }  # fmt: skip
            for part, number in count(model).items():
                report.add(f"parameters_{part}", number, "parameter", "neither", **columns)
            length = job.training.window
            source = length if job.family == "encoder_decoder" else 0
            flops = flops_per_sequence(model, length, source) / (length + source)
            report.add("flops_per_token", flops, "FLOP/token", "neither", **columns)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.anatomy", description=__doc__)
    parser.add_argument(
        "--jobs", type=json_argument, required=True, help="training jobs whose models to count, as JSON"
    )
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded tasks")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    run(every(Job, given.jobs, "--jobs"), given.tokens, given.out)


if __name__ == "__main__":
    run_command(main)
