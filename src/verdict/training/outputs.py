"""What models answer: one function per objective that has outputs, the same for every architecture.

Each takes (model, batches, …, device) and gives the answers by record number: of a pair the pieces of a search, of a
text its class, of an algorithm's sequence the pieces that it asks for, earlier ones shown (teacher forcing).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from verdict.files import read_json
from verdict.models.families import EncoderDecoder, LanguageModel, MaskedEncoder, Model
from verdict.models.generation import beam_search
from verdict.tokens import tokenizer as bpe
from verdict.training.batches import Batch, move, open_split
from verdict.training.settings import Job

Said = TypeVar("Said")

#: in a run's folder: what the model of each validation said to each question (nothing where none were asked)
OUTPUTS = "validation.jsonl"
#: padded pieces in a batch of records that are asked as training goes on
BATCH_TOKENS = 8192


@torch.inference_mode()
def search(
    model: EncoderDecoder,
    batches: Iterator[Batch],
    beams: int,
    longest: int,
    length_penalty: float,
    device: torch.device,
) -> dict[int, list[int]]:
    """The output of every record; one beam is greedy, and no output has more than ``longest`` pieces."""
    found: dict[int, list[int]] = {}
    for batch in batches:
        batch = move(batch, device)
        rows = len(batch["source"])
        limits = torch.full((rows,), longest, device=device)
        decoding = model.start(batch["source"], batch["source_lengths"], longest)
        pieces = beam_search(model.step, decoding, rows, bpe.BEGIN, bpe.END, limits, beams, length_penalty)
        found.update(_numbered(batch, pieces))
    return found


@torch.inference_mode()
def classify(model: MaskedEncoder, batches: Iterator[Batch], device: torch.device) -> dict[int, int]:
    """The class of every record."""
    found: dict[int, int] = {}
    for batch in batches:
        batch = move(batch, device)
        chosen = model.classify(batch["tokens"], batch["lengths"]).argmax(-1)
        found.update(_numbered(batch, chosen.tolist()))
    return found


def answers(model: LanguageModel, batch: Batch) -> Tensor:
    """The most probable pieces [M] at the places that a batch asks for."""
    return model.logits(model(batch["tokens"])[batch["where"]]).argmax(-1)


@torch.inference_mode()
def answer(model: LanguageModel, batches: Iterator[Batch], device: torch.device) -> dict[int, list[int]]:
    """The answers of every record."""
    found: dict[int, list[int]] = {}
    for batch in batches:
        batch = move(batch, device)
        found.update(_asked(batch, answers(model, batch)))
    return found


@dataclass(frozen=True)
class Questions:
    """Records of the validation split whose outputs are kept as training goes on, so that scores can be read where two
    runs have cost alike."""

    batches: Callable[[], Iterator[Batch]]
    #: what a model says, as text, by record number
    say: Callable[[Model, Iterator[Batch]], dict[int, str]]
    #: what would be right, by record number
    references: dict[int, str]

    def outputs(self, model: Model, batches: Iterator[Batch]) -> list[str]:
        """What a model says, in the order of the references; the model is left as it was."""
        training = model.training
        model.eval()
        try:
            said = self.say(model, batches)
        finally:
            model.train(training)
        return [said[number] for number in self.references]


def questions(job: Job, tokens: Path, device: torch.device) -> Questions | None:
    """The records that a job's model is asked at each validation, if any.

    Searches are greedy, and no output has more pieces than the longest reference.
    """
    if not job.training.output_records:
        return None
    told = read_json(tokens / "tokens.json")
    wide = replace(job.training, batch_tokens=max(job.training.batch_tokens, BATCH_TOKENS))
    data = open_split(tokens, job.objective, "valid", wide, told["vocabulary"])
    batches = partial(data.in_order, job.training.output_records)
    if job.objective == "sequence_pairs":
        right = dict(rows for batch in batches() for rows in _targets(batch))
        longest = 1 + max(map(len, right.values()))
        say = partial(search, beams=1, longest=longest, length_penalty=1.0, device=device)
        return _questions(batches, say, right, bpe.load(tokens / "tokenizer.json").decode)
    if job.objective == "classification":
        labels = dict(rows for batch in batches() for rows in _numbered(batch, batch["label"].tolist()))
        return _questions(batches, partial(classify, device=device), labels, told["labels"].__getitem__)
    asked = dict(rows for batch in batches() for rows in _asked(batch, batch["truth"]))
    return _questions(batches, partial(answer, device=device), asked, lambda pieces: " ".join(map(str, pieces)))


def _questions(
    batches: Callable[[], Iterator[Batch]],
    say: Callable[..., dict[int, Said]],
    right: dict[int, Said],
    spell: Callable[[Said], str],
) -> Questions:
    def spelled(model: Model, some: Iterator[Batch]) -> dict[int, str]:
        return {number: spell(said) for number, said in say(model, some).items()}

    return Questions(batches, spelled, {number: spell(said) for number, said in sorted(right.items())})


def _numbered(batch: Batch, values: Iterable[Said]) -> Iterator[tuple[int, Said]]:
    """Values of a batch's rows, each with its record's number."""
    return zip(batch["index"].tolist(), values, strict=True)


def _targets(batch: Batch) -> Iterator[tuple[int, list[int]]]:
    """The target of each pair, without END."""
    lengths = batch["target_lengths"].tolist()
    rows = (target[: length - 1].tolist() for target, length in zip(batch["target"], lengths, strict=True))
    return _numbered(batch, rows)


def _asked(batch: Batch, pieces: Tensor) -> Iterator[tuple[int, list[int]]]:
    """Pieces [M] at the places that a batch of answers asks for, by record."""
    rows = torch.split(pieces.cpu(), batch["where"].sum(1).tolist())
    return _numbered(batch, (row.tolist() for row in rows))
