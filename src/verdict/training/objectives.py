"""What a batch costs: one function per objective, the same for every architecture, in training and evaluation.

Each takes (model, batch, piece_bytes [V]) and gives a ``Cost``; only positions that count go through the output. What
is counted, and where those positions are, is found before the model is called: to tell a number the CPU waits for all
that it has given to a GPU, which would then wait for the CPU in the middle of a step.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from verdict.models.families import EncoderDecoder, LanguageModel, MaskedEncoder, Model
from verdict.models.mixers.dot_product import visible
from verdict.models.sizes import flops_per_sequence
from verdict.tokens import tokenizer as bpe
from verdict.training.batches import Batch
from verdict.training.cross_entropy import linear_cross_entropy, summed_cross_entropy


class Cost(NamedTuple):
    """The loss of a batch, summed."""

    nats: Tensor  # scalar: summed negative log-likelihood
    predicted: int  # predictions it sums over
    bytes: int  # bytes of text that those predictions stand for (0 for classes and answers)
    seen: int  # pieces read, padding not counted


def language_model(model: LanguageModel, batch: Batch, piece_bytes: Tensor) -> Cost:
    """Every piece of each window but the first from those before it."""
    inputs, truth = batch["tokens"][:, :-1], batch["tokens"][:, 1:].flatten()
    told = int(piece_bytes[truth].sum())
    return Cost(_restored(model, model(inputs).flatten(0, 1), truth), len(truth), told, inputs.numel())


def sequence_pairs(model: EncoderDecoder, batch: Batch, piece_bytes: Tensor) -> Cost:
    """Every target piece and its END from the source and the target so far (teacher forcing)."""
    target, lengths = batch["target"], batch["target_lengths"]
    shifted = F.pad(target[:, :-1], (1, 0), value=bpe.BEGIN)
    real = visible(lengths, target.shape[1]).nonzero(as_tuple=True)
    truth = target[real]
    told, seen = int(piece_bytes[truth].sum()), int(batch["source_lengths"].sum()) + len(truth)
    hidden = model(batch["source"], batch["source_lengths"], shifted)
    return Cost(_restored(model, hidden[real], truth), len(truth), told, seen)


def masked(model: MaskedEncoder, batch: Batch, piece_bytes: Tensor) -> Cost:
    """Every chosen piece from the text around it."""
    truth, where = batch["truth"], batch["where"].nonzero(as_tuple=True)
    told, seen = int(piece_bytes[truth].sum()), int(batch["lengths"].sum())
    hidden = model(batch["tokens"], batch["lengths"])
    return Cost(_restored(model, hidden[where], truth), len(truth), told, seen)


def classification(model: MaskedEncoder, batch: Batch, piece_bytes: Tensor) -> Cost:
    """The class of each text."""
    seen = int(batch["lengths"].sum())
    logits = model.classify(batch["tokens"], batch["lengths"])
    return Cost(summed_cross_entropy(logits, batch["label"]), len(batch["label"]), 0, seen)


def answers(model: LanguageModel, batch: Batch, piece_bytes: Tensor) -> Cost:
    """The answers that are asked, each from the pieces up to its own position."""
    tokens, truth, where = batch["tokens"], batch["truth"], batch["where"].nonzero(as_tuple=True)
    return Cost(_restored(model, model(tokens)[where], truth), len(truth), 0, tokens.numel())


def _restored(model: Model, hidden: Tensor, truth: Tensor) -> Tensor:
    """The loss of pieces through the tied output."""
    return linear_cross_entropy(hidden, model.embedding.weight, truth)


OBJECTIVES: dict[str, Callable[..., Cost]] = {
    "language_model": language_model,
    "sequence_pairs": sequence_pairs,
    "masked": masked,
    "classification": classification,
    "answers": answers,
}


def training_flops(model: LanguageModel | EncoderDecoder | MaskedEncoder, batch: Batch, needed: bool = False) -> int:
    """FLOPs of one training step on a batch as it is computed (padding counted): forward once, backward twice; a frozen
    encoder goes forward alone. ``needed``: see ``flops_per_sequence``."""
    if "source" in batch:
        rows, length = batch["target"].shape
        predicted, source = int(batch["target_lengths"].sum()), batch["source"].shape[1]
    else:
        rows, length = batch["tokens"].shape
        length -= "where" not in batch and "label" not in batch  # a language model's last piece is read by nobody
        source = 0
        predicted = 0 if "label" in batch else int(batch["where"].sum()) if "where" in batch else rows * length
    forward = rows * flops_per_sequence(model, length, source, predicted=0, needed=needed)
    passes = 3 if model.embedding.weight.requires_grad else 1
    return passes * (forward + predicted * 2 * model.shape.width * model.shape.vocabulary)
