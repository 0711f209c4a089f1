"""What the speed measurements time: models with fresh weights, batches of a size, one training step, some generation.

Whatever is timed is the code that trains and generates elsewhere, never a copy of it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from verdict.files import read_json
from verdict.models.families import EncoderDecoder, LanguageModel, Model, build
from verdict.models.settings import Shape
from verdict.models.sizes import solve
from verdict.tokens import tokenizer as bpe
from verdict.training.batches import Batch, move
from verdict.training.loop import freeze, make_optimizer, train_step
from verdict.training.objectives import OBJECTIVES
from verdict.training.settings import Job


def shape_of(job: Job, tokens: Path) -> Shape:
    """The shape of a job's model on an encoded task."""
    told = read_json(tokens / "tokens.json")
    classes = len(told["labels"]) if job.objective == "classification" else 0
    return Shape(job.family, job.width, job.parameters, told["vocabulary"], classes)


def make(job: Job, shape: Shape, device: torch.device) -> Model:
    """A model with fresh weights (speed does not depend on them), of which a probe trains the classifier alone."""
    # a head of classes is no part of the budget, as in training
    model = build(job.architecture, shape, solve(job.architecture, replace(shape, classes=0)), seed=0).to(device)
    if job.training.frozen:
        freeze(model)
    return model


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


def pieces_of(batch: Batch) -> int:
    """Pieces read in a batch, padding not counted, as the training loop counts them."""
    if "source_lengths" in batch:
        return int(batch["source_lengths"].sum() + batch["target_lengths"].sum())
    return int(batch["lengths"].sum()) if "lengths" in batch else batch["tokens"][:, :-1].numel()
