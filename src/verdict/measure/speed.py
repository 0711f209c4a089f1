"""``python -m verdict.measure.speed``: how fast each architecture trains and generates, with the machine to itself.

Takes the encoded tasks and what tuning has chosen; leaves {stage}.json (rows) for each stage: training on the stage's
own batches, over lengths at constant tokens per batch and over batch sizes; generation over batch sizes and context
lengths; peak memory of a step. All contestants of a comparison are timed in turns (``verdict.measure.timing``) with
equal parameters.
"""

import argparse
import importlib
import multiprocessing
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch
from torch import Tensor

from verdict.arguments import every, json_argument
from verdict.device import (
    choose_device,
    choose_precision,
    device_name,
    peak_memory,
    prepare,
    resident_memory,
)
from verdict.errors import run_command
from verdict.measure.timing import rounds, turns, with_threads
from verdict.measure.work import generator, make, pieces_of, shape_of, stepper, synthetic
from verdict.metrics import Report
from verdict.models.families import EncoderDecoder, LanguageModel, Model
from verdict.models.settings import Shape
from verdict.tokens.arrays import load_array
from verdict.training.batches import Batch, open_split
from verdict.training.runs import tuned
from verdict.training.settings import Job, device_of

#: pieces per second by architecture and round
Rates = dict[str, dict[int, float]]
Metrics = tuple[float, str, int, str]


@dataclass(frozen=True)
class Speed:
    """What to time for one stage."""

    stage: str
    #: one training job per architecture
    jobs: list[Job]
    #: rounds of turns
    rounds: int
    #: batches of the stage's own data timed in each round
    own_batches: int
    #: pieces per sequence, at ``sweep_tokens`` pieces per batch (empty: not swept)
    lengths: list[int]
    #: pieces per batch, source and target, of every length
    sweep_tokens: int
    #: sequences per batch, at ``batch_length`` pieces (empty: not swept)
    batches: list[int]
    batch_length: int
    #: sequences generated at once (empty: not measured)
    generation_batches: list[int]
    #: pieces generated per sequence
    generation_tokens: int
    #: pieces already in the context when generation is timed
    contexts: list[int]
    #: rounds of turns in which memory is measured: what a process has resident differs by several per cent from one to
    #: the next (blocks of the allocator, threads that meet in another order)
    memory_rounds: int = 3
    #: stage of which tuning has chosen a dropout, which costs time; empty: that of the jobs
    tuned_as: str = ""


def _import_the_rest() -> None:
    """Import what torch imports when the first optimizer is made: 78 MB, which are no memory of a step."""
    importlib.import_module("torch._dynamo")


def _step(job: Job, shape: Shape, rows: int, length: int, precision: str, device: torch.device) -> Callable[[], None]:
    """A training step of a model with fresh weights on a batch of random pieces."""
    piece_bytes = torch.zeros(shape.vocabulary, dtype=torch.int64, device=device)
    model, batch = make(job, shape, device), synthetic(job, shape.vocabulary, rows, length)
    return stepper(job, model, [batch], piece_bytes, precision)


def _memory_in_fresh_process(job: Job, shape: Shape, rows: int, length: int, precision: str, threads: int) -> int:
    """Bytes by which the second step raises the peak memory of this process: see ``step_memory``."""
    _import_the_rest()
    prepare(threads, "cpu")
    before, device = resident_memory(), torch.device("cpu")
    step = _step(job, shape, rows, length, precision, device)
    for _ in range(2):  # the peak of both is the second's, which finds in memory what the first has left there
        step()
    return peak_memory(device) - before


def step_memory(
    job: Job, shape: Shape, rows: int, length: int, precision: str, device: torch.device, threads: int
) -> int:
    """Peak bytes of a training step (weights, optimizer, activations): on a CPU those of a process of its own.

    It is the second step: the optimizer's moments are made at the end of the first, and libraries make their
    workspaces in it, so that no later step needs as little memory as the first.
    """
    _import_the_rest()  # here once, and not in every fork
    if device.type == "cuda":
        _step(job, shape, rows, length, precision, device)()  # workspaces that stay would be laid on whoever is first
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(device)
        step = _step(job, shape, rows, length, precision, device)
        step()
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    # a fork takes milliseconds, and is safe because this process has not computed (has no threads) yet
    with multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn").Pool(1) as pool:
        return pool.apply(_memory_in_fresh_process, (job, shape, rows, length, precision, threads))


class Contest:
    """The architectures of one stage, with equal parameters on the same data, and the rows of what is timed."""

    def __init__(self, speed: Speed, tokens: Path, threads: int) -> None:
        """``tokens``: the folder of the stage's encoded task."""
        self.speed, self.tokens, self.threads = speed, tokens, threads
        self.jobs = {job.architecture_name: job for job in speed.jobs}
        self.job = speed.jobs[0]
        self.shape = shape_of(self.job, tokens)
        self.device = choose_device(self.job.device)
        self.precision = choose_precision(self.job.precision, self.device)
        sequences = 2 if self.job.objective == "sequence_pairs" else 1
        self.rows_of = {length: max(1, speed.sweep_tokens // (length * sequences)) for length in speed.lengths}
        self.report = Report(
            f"speed/{speed.stage}", {"speed": asdict(speed), "threads": threads, "precision": self.precision},
            task=self.job.task, variant=self.job.variant, matching="parameters", device=device_name(self.device),
            implementation="kernel",
        )  # fmt: skip

    def _note(self, what: str) -> None:
        print(f"speed/{self.speed.stage}: {what}", file=sys.stderr, flush=True)

    def memory(self) -> None:
        """Rows of the peak memory of a training step over lengths. On a CPU: before anything has computed."""
        for length, rows in self.rows_of.items():
            self._note(f"memory of a step, {rows} sequences of {length}")
            for number, name in turns(list(self.jobs), self.speed.memory_rounds):
                job = self.jobs[name]
                memory = step_memory(job, self.shape, rows, length, self.precision, self.device, self.threads)
                self.report.add(
                    "peak_memory_bytes", memory, "byte", "lower",
                    experiment="speed", architecture=name, replicate=number, variable="length", at=length,
                )  # fmt: skip

    def time(self) -> None:
        """Rows of training over batches and lengths, and of generation."""
        models = {name: make(job, self.shape, self.device) for name, job in self.jobs.items()}
        self._training(models)
        # families without a step are not asked to generate
        self._generation(cast(dict[str, LanguageModel | EncoderDecoder], models))

    def _rounds(self, calls: dict[str, Callable[[], None]], metrics: Metrics, **columns: Any) -> Rates:
        """Time calls in turns; rows of each of ``metrics``; pieces per second by architecture and round.

        ``metrics``: (pieces of a call, metric of the rate, what a call holds, metric of its seconds).
        """
        pieces = metrics[0]
        found: Rates = {name: {} for name in calls}
        for number, name, seconds in rounds(calls, self.speed.rounds, self.device):
            found[name][number] = pieces / seconds
            self._tell(seconds, metrics, **columns, architecture=name, replicate=number)
        return found

    def _tell(self, seconds: float, metrics: Metrics, **columns: Any) -> None:
        """Rows of the rate and of the seconds that one call of a round took."""
        pieces, rate, holds, duration = metrics
        self.report.add(rate, pieces / seconds, "token/s", "higher", **columns)
        self.report.add(duration, seconds / holds, "s", "lower", **columns)

    def _ratios(self, metric: str, experiment: str, found: dict[int, Rates]) -> None:
        """Rows of the rate at the largest value swept over the rate at the smallest, round by round."""
        if len(found) < 2:
            return
        for name, values in found[max(found)].items():
            for number, value in values.items():
                self.report.add(
                    metric, value / found[min(found)][name][number], "ratio", "higher",
                    experiment=experiment, architecture=name, replicate=number,
                )  # fmt: skip

    def _training(self, models: dict[str, Model]) -> None:
        piece_bytes = torch.from_numpy(load_array(self.tokens / "piece_bytes.npy")).to(self.device)

        def timed(batches: list[Batch], variable: str, at: float) -> Rates:
            calls, metrics = self._steps(models, batches, piece_bytes)
            return self._rounds(calls, metrics, experiment="speed", variable=variable, at=at)

        def synthetic_of(rows: int, length: int) -> list[Batch]:
            self._note(f"training, {rows} sequences of {length}")
            return [synthetic(self.job, self.shape.vocabulary, rows, length)]

        self._own_batches(models, piece_bytes)
        lengths = {at: timed(synthetic_of(rows, at), "length", at) for at, rows in self.rows_of.items()}
        self._ratios("throughput_kept", "speed", lengths)
        batches = {
            rows: timed(synthetic_of(rows, self.speed.batch_length), "batch", rows) for rows in self.speed.batches
        }
        self._ratios("batch_gain", "speed", batches)

    def _steps(
        self, models: dict[str, Model], batches: list[Batch], piece_bytes: Tensor
    ) -> tuple[dict[str, Callable[[], None]], Metrics]:
        """Calls that train one step on each batch, and what ``_rounds`` has to know of them."""
        calls = {
            name: stepper(self.jobs[name], model.train(), batches, piece_bytes, self.precision)
            for name, model in models.items()
        }
        return calls, (sum(map(pieces_of, batches)), "train_tokens_per_second", len(batches), "train_step_seconds")

    def _own_batches(self, models: dict[str, Model], piece_bytes: Tensor) -> None:
        """Rows of training on the stage's own batches, which the seconds of learning curves are made of: each
        architecture on one CPU thread or on all, whichever serves it better. Small batches do not pay every one's
        second thread."""
        self._note("training, the stage's own batches")
        data = open_split(self.tokens, self.job.objective, "train", self.job.training, self.shape.vocabulary)
        batches = list(islice(data.epoch(0, 0), self.speed.own_batches))
        counts = sorted({1, self.threads}) if self.device.type == "cpu" else [self.threads]
        found: dict[tuple[str, int], list[float]] = {(name, count): [] for name in models for count in counts}
        steps, metrics = self._steps(models, batches, piece_bytes)
        calls = {(name, count): with_threads(steps[name], count) for name, count in found}
        for _, key, seconds in rounds(calls, self.speed.rounds, self.device):
            found[key].append(seconds)
        for name in models:
            best = min(counts, key=lambda count: median(found[name, count]))
            self.report.job[f"threads.{name}"] = best
            for number, seconds in enumerate(found[name, best]):
                self._tell(seconds, metrics, experiment="speed", architecture=name, replicate=number)

    def _generation(self, models: dict[str, LanguageModel | EncoderDecoder]) -> None:
        def timed(variable: str, at: int, rows: int, context: int) -> Rates:
            self._note(f"generation, {rows} at once after {context}")
            count = self.speed.generation_tokens
            calls = {name: generator(model, rows, context, count) for name, model in models.items()}
            pieces = rows * count
            metrics = (pieces, "generated_tokens_per_second", pieces, "seconds_per_generated_token")
            return self._rounds(calls, metrics, experiment="generation", variable=variable, at=at)

        batches = {rows: timed("batch", rows, rows, self.speed.contexts[0]) for rows in self.speed.generation_batches}
        self._ratios("batch_gain", "generation", batches)
        for context in self.speed.contexts:
            timed("length", context, 1, context)


def as_tuned(speed: Speed, tuning: Path) -> Speed:
    """The stage's jobs as they train. ``tuning``: the folder of what tuning has chosen, {stage}/{architecture}.json."""
    if not speed.tuned_as:
        return speed
    folder = tuning / speed.tuned_as
    return replace(speed, jobs=[tuned(job, folder / f"{job.architecture_name}.json") for job in speed.jobs])


def run(speeds: list[Speed], tokens: Path, out: Path, threads: int) -> None:
    """Time every stage and write {out}/{stage}.json. ``tokens``: the folder of the encoded tasks."""
    contests = [Contest(speed, tokens / speed.jobs[0].task, threads) for speed in speeds]
    for contest in contests:  # all before the first computation: see step_memory
        contest.memory()
    for contest in contests:
        contest.time()
    out.mkdir(parents=True, exist_ok=True)
    for contest in contests:
        contest.report.write(out / f"{contest.speed.stage}.json")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.speed", description=__doc__)
    parser.add_argument(
        "--speeds", type=json_argument, required=True, help="what to time at each stage, as a JSON list"
    )
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded tasks")
    parser.add_argument("--tuning", type=Path, default=Path("tuning"), help="folder of tuning (default: %(default)s)")
    parser.add_argument("--threads", type=int, required=True, help="CPU threads: all of the machine's")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    given = parser.parse_args()
    speeds = [as_tuned(speed, given.tuning) for speed in every(Speed, given.speeds, "--speeds")]
    prepare(given.threads, device_of(job for speed in speeds for job in speed.jobs))
    run(speeds, given.tokens, given.out, given.threads)


if __name__ == "__main__":
    run_command(main)
