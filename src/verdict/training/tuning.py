"""``python -m verdict.training.tuning``: choose what is tuned for an architecture, by its loss on validation.

Takes data/tokens/{task}; leaves tuning/{stage}/{architecture}.json: what was chosen, and rows. Every architecture of a
stage gets as many trials, the same share of the budget and the same seed, which no judged run has: first every learning
rate with the first dropout, then the other dropouts with the rate that was best.
The trials of a stage that begins with another's models all begin with one of them.
Besides the choice, the rows tell how much the choice matters: the loss of every trial, the range of learning rates that
work, and the best loss that so many learning rates can be expected to find (Dodge et al. 2019, section 3).
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from verdict.device import choose_device, device_name, prepare
from verdict.errors import UserError, run_command
from verdict.metrics import Report
from verdict.training.loop import StoppedError, lowest
from verdict.training.runs import fit, validation_metric
from verdict.training.settings import Job, device_of

#: a learning rate works if its loss is at most this much above the best one's: as a share of it, or below a loss of 1
#: in its unit (of answers nats: a right one is then still given 95 % of the probability; of texts bits per byte)
WORKS = 0.05


def working_octaves(losses: dict[float, float]) -> float:
    """Octaves (doublings) of the learning rate around the best within which every tried rate works.

    ``losses``: learning rate → loss (nats or bits per byte), inf where it diverged. 0 if only the best works.
    """
    rates = sorted(losses)
    best = min(rates, key=lambda rate: (losses[rate], rate))
    low = high = rates.index(best)
    limit = losses[best] + WORKS * max(1.0, losses[best])
    while low > 0 and losses[rates[low - 1]] <= limit:
        low -= 1
    while high + 1 < len(rates) and losses[rates[high + 1]] <= limit:
        high += 1
    return math.log2(rates[high] / rates[low])


def expected_best(losses: Sequence[float], trials: int) -> float:
    """The mean of the lowest of ``trials`` losses drawn with replacement from those found."""
    found = sorted(losses)
    count = len(found)
    return math.fsum(
        loss * (((count - i) / count) ** trials - ((count - i - 1) / count) ** trials) for i, loss in enumerate(found)
    )


def run(trials: Sequence[Job], tokens: Path, out: Path, start: Path | None = None) -> None:
    """Train what has to be tried and write what was chosen. Raises ``UserError`` if every learning rate diverges.

    ``trials``: every learning rate with every dropout, of which the first comes first.
    ``start``: the folder of a model whose weights are the beginning of every trial.
    """
    first, folder = trials[0], out.with_suffix("")
    report = Report(
        f"tuning/{first.stage}/{first.architecture_name}", {"trials": [job.to_dict() for job in trials]},
        experiment="tuning", task=first.task, architecture=first.architecture_name, variant=first.variant,
        size=first.size, device=device_name(choose_device(first.device)), implementation="kernel",
    )  # fmt: skip

    def loss_of(number: int) -> float:
        progress = fit(trials[number], tokens, folder / f"t{number}", start).progress
        return math.inf if progress.diverged else lowest(progress.history)

    dropouts = [job.architecture.dropout for job in trials]
    rates = [job.training.learning_rate for job in trials]
    losses = {number: loss_of(number) for number in range(len(trials)) if dropouts[number] == dropouts[0]}
    swept = {rates[number]: loss for number, loss in losses.items()}
    best = min(swept, key=lambda rate: swept[rate])
    if math.isinf(swept[best]):
        raise UserError(
            f"tuning of {first.architecture_name} for {first.stage}: every trial diverged; "
            f"write smaller numbers in stages.{first.stage}.tuning.learning_rates"
        )
    others = [number for number in range(len(trials)) if number not in losses and rates[number] == best]
    losses |= {number: loss_of(number) for number in others}
    metric, chosen = validation_metric(first), trials[min(losses, key=lambda number: losses[number])]
    for number, loss in losses.items():
        report.add(
            value=loss, better="lower", variable="learning_rate", at=rates[number],
            matching=f"dropout {dropouts[number]:g}", **metric,
        )  # fmt: skip
    report.add("learning_rate_octaves", working_octaves(swept), "octave", "higher")
    for count in range(1, len(swept) + 1) if all(map(math.isfinite, swept.values())) else ():
        report.add(
            f"expected_best_{metric['metric']}", expected_best(list(swept.values()), count), metric["unit"], "lower",
            variable="trials", at=count,
        )  # fmt: skip
    told = {"learning_rate": chosen.training.learning_rate, "dropout": chosen.architecture.dropout}
    report.write(out, chosen=told)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.training.tuning", description=__doc__)
    parser.add_argument("--trials", required=True, help="a JSON list of jobs (verdict.training.settings.Job)")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--start", type=Path, help="folder of the model that trials begin with")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--out", type=Path, required=True, help="file to write; beside it lie the trials' checkpoints")
    given = parser.parse_args()
    trials = [Job.from_dict(job) for job in json.loads(given.trials)]
    prepare(given.threads, device_of(trials))
    try:
        run(trials, given.tokens, given.out, given.start)
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(143)


if __name__ == "__main__":
    run_command(main)
