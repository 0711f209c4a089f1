"""What is compared at which size, and the project's own models, batches and steps at it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from verdict.documents import read
from verdict.measure.work import pieces_of, stepper, synthetic
from verdict.models.families import InnerWidths, Model, build
from verdict.models.settings import Architecture, Family, Shape
from verdict.models.sizes import count, skeleton, solve
from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import Records
from verdict.training import batches
from verdict.training.batches import Batch
from verdict.training.objectives import training_flops
from verdict.training.settings import Job, Objective, Training

ROOT = Path(__file__).resolve().parents[2]
OBJECTIVES: dict[Family, Objective] = {
    "language_model": "language_model",
    "encoder_decoder": "sequence_pairs",
    "masked_encoder": "masked",
}
#: the project's contestants; the plain stack beside the residual one
OURS = ("transformer", "lstm", "lstm_classic")


@dataclass(frozen=True)
class Size:
    """What all contestants of a comparison share."""

    family: Family
    width: int
    length: int
    layers: int = 4
    heads: int = 4
    vocabulary: int = 4000
    tokens: int = 4096  # of a batch: source and target together

    @property
    def inner(self) -> int:
        """Width of the feed-forward part."""
        return 4 * self.width

    @property
    def rows(self) -> int:
        """Sequences of a batch."""
        return max(1, self.tokens // (self.length * (2 if self.family == "encoder_decoder" else 1)))

    @property
    def columns(self) -> dict[str, Any]:
        """What the table says of it."""
        return {"width": self.width, "length": self.length, "batch": self.rows}


@cache
def _configured() -> dict[str, Any]:
    return dict(read(ROOT / "params.yaml")["architectures"])


def architecture(name: str, size: Size) -> Architecture:
    """An architecture of params.yaml with as many layers and heads as the size says."""
    told = Architecture(**_configured()[name])
    heads = {"heads": size.heads} if told.mixer == "attention" else {}
    return replace(told, layers=size.layers, dropout=0.0, options={**told.options, **heads})


def shape(size: Size) -> Shape:
    """The shape whose parameters are the Transformer's."""
    empty = Shape(size.family, size.width, 0, size.vocabulary)
    transformer = skeleton(architecture("transformer", size), empty, _feedforward(size))
    return replace(empty, parameters=count(transformer)["nonembedding"])


def _feedforward(size: Size) -> list[InnerWidths]:
    return [InnerWidths(size.width, size.inner)] * size.layers


def job(name: str, size: Size) -> Job:
    """The training job of one of ours."""
    return Job(
        f"bench/{name}", "", "", name, 0, size.family, OBJECTIVES[size.family], architecture(name, size), size.width,
        shape(size).parameters, Training(budget_tokens=0, batch_tokens=size.tokens), "cpu",
    )  # fmt: skip


def model(name: str, size: Size) -> Model:
    """One of ours: the Transformer with the size's feed-forward width, the others with as many parameters."""
    told, mould = architecture(name, size), shape(size)
    return build(told, mould, _feedforward(size) if name == "transformer" else solve(told, mould), seed=0)


def batch(size: Size) -> Batch:
    """A batch of random pieces, all rows full."""
    if size.family != "masked_encoder":
        return synthetic(job("transformer", size), size.vocabulary, size.rows, size.length)
    rng = np.random.default_rng(0)
    pieces = rng.integers(len(bpe.SPECIAL), size.vocabulary, size.rows * size.length).astype(np.uint16)
    text = Records(pieces, np.arange(1, size.rows + 1, dtype=np.int64) * size.length)
    return batches.masked(text, size.vocabulary, 0.15, size.tokens).collate(np.arange(size.rows), rng)


def ours(name: str, size: Size, precision: str) -> tuple[dict[str, Callable[[], object]], dict[str, Any]]:
    """A worker that trains one of ours: exactly the training loop's step."""
    made, data = model(name, size).train(), batch(size)
    piece_bytes = torch.zeros(size.vocabulary, dtype=torch.int64)
    facts = {
        "parameters": count(made)["total"],
        "pieces": pieces_of(data),
        "flops": training_flops(made, data, needed=True),  # type: ignore[arg-type]
    }
    return {"step": stepper(job(name, size), made, [data], piece_bytes, precision)}, facts
