"""``python -m verdict.measure.speed``: how fast each architecture trains and generates, with the machine to itself.

Takes the encoded task of a stage; leaves speed.json (rows): training on the stage's own batches, over lengths at
constant tokens per batch and over batch sizes; generation over batch sizes and context lengths; peak memory of a
step. All contestants of a comparison are timed in turns (``verdict.measure.timing``) with equal parameters.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from verdict.device import (
    choose_device,
    choose_precision,
    device_name,
    peak_memory,
    prepare,
    resident_memory,
)
from verdict.errors import run_command
from verdict.files import read_json
from verdict.measure.timing import rounds
from verdict.metrics import Report
from verdict.models.families import EncoderDecoder, LanguageModel, Model, build
from verdict.models.settings import Shape
from verdict.models.sizes import solve
from verdict.tokens import tokenizer as bpe
from verdict.training.batches import Batch, open_split
from verdict.training.loop import make_optimizer, move, train_step
from verdict.training.objectives import OBJECTIVES
from verdict.training.settings import Job


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


def shape_of(job: Job, tokens: Path) -> Shape:
    """The shape of a job's model on an encoded task."""
    told = read_json(tokens / "tokens.json")
    classes = len(told["labels"]) if job.objective == "classification" else 0
    return Shape(job.family, job.width, job.parameters, told["vocabulary"], classes)


def make(job: Job, shape: Shape, device: torch.device) -> Model:
    """A model with fresh weights (speed does not depend on them)."""
    return build(job.architecture, shape, solve(job.architecture, shape), seed=0).to(device)


def synthetic(job: Job, vocabulary: int, rows: int, length: int) -> Batch:
    """A batch of random pieces, all rows full: source and target (or text) of ``length`` pieces."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randint, len(bpe.SPECIAL), vocabulary, generator=generator)
    full = torch.full((rows,), length)
    if job.objective == "language_model":
        return {"tokens": draw((rows, length + 1))}
    if job.objective == "sequence_pairs":
        return {
            "source": draw((rows, length)), "source_lengths": full,
            "target": draw((rows, length)), "target_lengths": full,
        }  # fmt: skip
    raise ValueError(f"no synthetic batch for {job.objective}")


def stepper(
    job: Job, model: Model, batches: list[Batch], piece_bytes: torch.Tensor, precision: str
) -> Callable[[], None]:
    """A call that trains one step on each batch: exactly the training loop's step."""
    optimizer, cost = make_optimizer(model, job.training), OBJECTIVES[job.objective]
    batches = [move(batch, piece_bytes.device) for batch in batches]

    def call() -> None:
        for batch in batches:
            train_step(model, batch, cost, piece_bytes, optimizer, precision, job.training.clip)

    return call


def generator(model: LanguageModel | EncoderDecoder, rows: int, context: int, count: int) -> Callable[[], None]:
    """A call that generates ``count`` pieces for each row, one after another, from a state that holds ``context``.

    A language model's state is filled step by step beforehand; an encoder–decoder has read a source of that length.
    """
    device = next(model.parameters()).device
    tokens = torch.full((rows,), bpe.BEGIN, device=device)

    @torch.inference_mode()
    def start() -> Any:
        if isinstance(model, EncoderDecoder):
            source = torch.full((rows, max(1, context)), len(bpe.SPECIAL), device=device)
            return model.start(source, torch.full((rows,), max(1, context), device=device), count + 1)
        decoding = model.start(rows, context + count + 1)
        for _ in range(context):
            _, decoding = model.step(tokens, decoding)
        return decoding

    model.eval()
    begun = start()

    @torch.inference_mode()
    def call() -> None:
        # a cache is overwritten from the same place in every call; a recurrent state is a value
        decoding, chosen = begun, tokens
        for _ in range(count):
            logits, decoding = model.step(chosen, decoding)
            chosen = logits.argmax(-1)

    return call


def _memory_of_step(job: Job, shape: Shape, rows: int, length: int, precision: str, threads: int) -> int:
    """Bytes by which a training step raises the peak memory of a fresh process: weights, optimizer, activations."""
    prepare(threads)
    before = resident_memory()
    device = torch.device("cpu")
    model = make(job, shape, device)
    batch = synthetic(job, shape.vocabulary, rows, length)
    stepper(job, model, [batch], torch.zeros(shape.vocabulary, dtype=torch.int64), precision)()
    return peak_memory(device) - before


def step_memory(
    job: Job, shape: Shape, rows: int, length: int, precision: str, device: torch.device, threads: int
) -> int:
    """Peak bytes of a training step: on a CPU those of a process of its own."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        model = make(job, shape, device)
        zeros = torch.zeros(shape.vocabulary, dtype=torch.int64, device=device)
        stepper(job, model, [synthetic(job, shape.vocabulary, rows, length)], zeros, precision)()
        return torch.cuda.max_memory_allocated(device) - before
    # a fork takes milliseconds, and is safe because this process has not computed (has no threads) yet
    with multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn").Pool(1) as pool:
        return pool.apply(_memory_of_step, (job, shape, rows, length, precision, threads))


def run(speed: Speed, tokens: Path, out: Path, threads: int) -> None:
    """Time everything asked for and write the rows."""
    job = speed.jobs[0]
    device = choose_device(job.device)
    precision = choose_precision(job.precision, device)
    report = Report(
        f"speed/{speed.stage}", {"speed": asdict(speed), "threads": threads, "precision": precision},
        task=job.task, variant=job.variant, matching="parameters", device=device_name(device), implementation="kernel",
    )  # fmt: skip
    jobs = {job.architecture_name: job for job in speed.jobs}
    shape = shape_of(job, tokens)
    piece_bytes = torch.from_numpy(np.load(tokens / "piece_bytes.npy")).to(device)
    sequences = 2 if job.objective == "sequence_pairs" else 1
    rows_of = {length: max(1, speed.sweep_tokens // (length * sequences)) for length in speed.lengths}

    def note(what: str) -> None:
        print(f"speed/{speed.stage}: {what}", file=sys.stderr, flush=True)

    for length, rows in rows_of.items():
        note(f"memory of a step, {rows} sequences of {length}")
        for name, each in jobs.items():
            memory = step_memory(each, shape, rows, length, precision, device, threads)
            report.add(
                "peak_memory_bytes", memory, "byte", "lower",
                experiment="speed", architecture=name, variable="length", at=length,
            )  # fmt: skip
    models = {name: make(each, shape, device) for name, each in jobs.items()}

    def training(variable: str, at: float | None, batches: list[Batch], pieces: int) -> dict[str, dict[int, float]]:
        """Rows of training speed on given batches; gives tokens per second by architecture and round."""
        calls = {
            name: stepper(jobs[name], model.train(), batches, piece_bytes, precision) for name, model in models.items()
        }
        found: dict[str, dict[int, float]] = {name: {} for name in models}
        for number, name, seconds in rounds(calls, speed.rounds, device):
            found[name][number] = pieces / seconds
            columns = {"experiment": "speed", "architecture": name, "replicate": number, "variable": variable, "at": at}
            report.add("train_tokens_per_second", pieces / seconds, "token/s", "higher", **columns)
            report.add("train_step_seconds", seconds / len(batches), "s", "lower", **columns)
        return found

    def ratios(
        metric: str, experiment: str, after: dict[str, dict[int, float]], before: dict[str, dict[int, float]]
    ) -> None:
        for name, values in after.items():
            for number, value in values.items():
                report.add(
                    metric, value / before[name][number], "ratio", "higher",
                    experiment=experiment, architecture=name, replicate=number,
                )  # fmt: skip

    note("the stage's own batches")
    data = open_split(tokens, job.objective, "train", job.training, shape.vocabulary)
    own = list(islice(data.epoch(0, 0), speed.own_batches))
    training("", None, own, sum(_pieces(batch) for batch in own))

    over_length = {}
    for length, rows in rows_of.items():
        note(f"training, {rows} sequences of {length}")
        batch = synthetic(job, shape.vocabulary, rows, length)
        over_length[length] = training("length", length, [batch], _pieces(batch))
    if len(over_length) > 1:
        ratios("throughput_kept", "speed", over_length[max(over_length)], over_length[min(over_length)])

    over_batch = {}
    for rows in speed.batches:
        note(f"training, {rows} sequences of {speed.batch_length}")
        batch = synthetic(job, shape.vocabulary, rows, speed.batch_length)
        over_batch[rows] = training("batch", rows, [batch], _pieces(batch))
    if len(over_batch) > 1:
        ratios("batch_gain", "speed", over_batch[max(over_batch)], over_batch[min(over_batch)])

    def generation(variable: str, at: int, rows: int, context: int) -> dict[str, dict[int, float]]:
        count = speed.generation_tokens
        # families without a step are not asked to generate
        steppers = cast(dict[str, LanguageModel | EncoderDecoder], models)
        calls = {name: generator(model, rows, context, count) for name, model in steppers.items()}
        found: dict[str, dict[int, float]] = {name: {} for name in models}
        for number, name, seconds in rounds(calls, speed.rounds, device):
            found[name][number] = rows * count / seconds
            columns = {
                "experiment": "generation", "architecture": name, "replicate": number, "variable": variable, "at": at,
            }  # fmt: skip
            report.add("generated_tokens_per_second", rows * count / seconds, "token/s", "higher", **columns)
            report.add("seconds_per_generated_token", seconds / (rows * count), "s", "lower", **columns)
        return found

    over_rows = {}
    for rows in speed.generation_batches:
        note(f"generation, {rows} at once")
        over_rows[rows] = generation("batch", rows, rows, context=speed.contexts[0])
    if len(over_rows) > 1:
        ratios("batch_gain", "generation", over_rows[max(over_rows)], over_rows[min(over_rows)])
    for context in speed.contexts:
        note(f"generation after {context}")
        generation("length", context, 1, context)
    out.parent.mkdir(parents=True, exist_ok=True)
    report.write(out)


def _pieces(batch: Batch) -> int:
    """Pieces read in a batch, padding not counted, as the training loop counts them."""
    if "source_lengths" in batch:
        return int(batch["source_lengths"].sum() + batch["target_lengths"].sum())
    return int(batch["lengths"].sum()) if "lengths" in batch else batch["tokens"][:, :-1].numel()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.speed", description=__doc__)
    parser.add_argument("--speed", type=json.loads, required=True, help="what to time, as JSON")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--threads", type=int, required=True, help="CPU threads: all of the machine's")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    prepare(given.threads)
    jobs = [Job.from_dict(job) for job in given.speed["jobs"]]
    run(Speed(**{**given.speed, "jobs": jobs}), given.tokens, given.out, given.threads)


if __name__ == "__main__":
    run_command(main)
