"""``python -m verdict.measure.activity``: what models of a stage do inside while they read one sentence.

Takes folders of trained models of one stage and the encoded task; leaves a metrics file without rows, for it is an
illustration and no evidence. Beside the settings it holds, the same for all models, the sentence (``source`` of pairs,
the pieces ``read`` and those to predict, ``next``) and how it was picked; and for each model, block by block of the
decoder, the weights of attention and the gates of recurrences while it reads, and the loss of each next piece.

The sentence is picked by a rule that knows no model, with Python's ``random.Random(seed)``:

- language_model: all beginnings of sentences of the test split that have ``pieces`` more pieces after them are alike
  likely. A sentence begins with a record, and after a full stop, a question or an exclamation mark and a space (quotes
  and brackets may stand between; Chinese marks need no space). The window goes on beyond a shorter sentence.
- sequence_pairs: of the test pairs of at most ``pieces`` pieces on either side, the END among them, in the order of
  their pieces on both sides together, the middle half are alike likely.

The model reads what it reads in training, in evaluation mode and fp32 on the CPU: a window whose state starts afresh,
or a source and its reference (teacher forcing). What each part of a block was called with is recorded in that one call;
from this the part's own ``activity`` works out what it did.

Layout, with T pieces read, S source pieces, N heads; numbers have 3 decimals:

    stage, objective; rule (in words), record (number in the test split), candidates (how many were alike likely)
    read, next: [T] texts of pieces with their spaces: having read all up to read[t], the model predicts next[t]
        (⋯ is a piece that completes no character)
    source: [S] texts, of pairs alone
    models: per model run (the training's, as in the evidence), architecture, seed,
        bits: [T] loss of each next piece
        layers: per block of the decoder from the bottom
            mixer: by name, weights [N][T][T], row t of those by which position t takes from each, or what the units
                do (below); {} if the mixer does not tell
            cross: attention [N][T][S], where the block attends to a source

What units do is told by their magnitudes (gates are never negative; cells and hidden states have signs): ``mean`` [T]
over the units, and ``low`` and ``high`` [T], the quantiles that the settings name.
"""

import argparse
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from verdict.arguments import filled, json_argument
from verdict.device import prepare
from verdict.errors import UserError, run_command
from verdict.files import read_json
from verdict.metrics import Report
from verdict.models.block import Block
from verdict.models.families import EncoderDecoder, LanguageModel
from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import Records
from verdict.training import store
from verdict.training.settings import Job

#: what a text looks like where a sentence has ended: a mark, quotes and brackets, and a space if the script has them
ENDED = re.compile(r"([.?!][\"'”’»)\]]*\s|[。？！][”’」』）]*)\s*$")
#: with which no sentence begins
CLOSING = "。？！”’」』）"
#: of the numbers in the file
DECIMALS = 3


@dataclass(frozen=True)
class Settings:
    """What to look at."""

    #: pieces of a window; most pieces of either side of a pair
    pieces: int = 24
    #: of the draw of the sentence
    seed: int = 0
    #: of the units, shown beside their mean: low and high
    quantiles: list[float] = field(default_factory=lambda: [0.1, 0.9])

    def __post_init__(self) -> None:
        """Raises ``UserError`` for settings that nothing can be shown with."""
        if self.pieces < 2:
            raise UserError(f"`pieces` is {self.pieces}; write a whole number from 2")
        if len(self.quantiles) != 2 or not 0 <= self.quantiles[0] < self.quantiles[1] <= 1:
            raise UserError(f"`quantiles` is {self.quantiles}; write two ascending numbers from 0 to 1")


class Picked(NamedTuple):
    """One sentence as models of an objective read it."""

    #: the rule in words, the record's number and how many sentences it was picked from
    rule: str
    record: int
    candidates: int
    #: what the model is called with; rows are one
    inputs: tuple[Tensor, ...]
    #: the pieces read [T], the pieces to predict [T], and of a pair those of the source [S]
    read: list[int]
    following: list[int]
    source: list[int] | None = None


def beginnings(tokenizer: Tokenizer, text: Records) -> list[int]:
    """Where sentences begin among the pieces of a text, ascending."""
    found, first = [], 0
    for number, last in enumerate(text.ends.tolist()):
        before, begun = ". ", first  # the text just before; the piece in which the next character begins
        for place, piece in enumerate(bpe.piece_texts(tokenizer, text[number].tolist()), start=first):
            if piece == bpe.UNFINISHED:
                continue
            said = piece.lstrip()
            if said and said[0] not in CLOSING and ENDED.search(before + piece.removesuffix(said)):
                found.append(begun)
            before, begun = (before + piece)[-16:], place + 1
        first = last
    return found


def pick_window(settings: Settings, tokens: Path, tokenizer: Tokenizer) -> Picked:
    """A window of a text from the beginning of a sentence on. Raises ``UserError`` if the text is too short."""
    text, size = Records.open(tokens, "test.text"), settings.pieces
    candidates = [place for place in beginnings(tokenizer, text) if place + size < len(text.pieces)]
    if not candidates:
        raise UserError(
            f"no sentence of the test split of {tokens} has {size} pieces after its first; lower `pieces` or give "
            "more text"
        )
    start = random.Random(settings.seed).choice(candidates)
    pieces = text.pieces[start : start + size + 1].astype(np.int64)
    rule = (
        f"one of the beginnings of sentences of the test split with {size} pieces after them, "
        f"by random.Random({settings.seed})"
    )
    record = int(np.searchsorted(text.ends, start, side="right"))
    inputs = (torch.from_numpy(pieces[None, :-1]),)
    return Picked(rule, record, len(candidates), inputs, pieces[:-1].tolist(), pieces[1:].tolist())


def pick_pair(settings: Settings, tokens: Path, tokenizer: Tokenizer) -> Picked:
    """A source and its reference. Raises ``UserError`` if all pairs are too long."""
    sources, targets = Records.open(tokens, "test.source"), Records.open(tokens, "test.target")
    both, longest = sources.lengths + targets.lengths, np.maximum(sources.lengths, targets.lengths)
    fitting = [number for number in np.argsort(both, kind="stable").tolist() if longest[number] <= settings.pieces]
    if not fitting:
        raise UserError(
            f"no pair of the test split of {tokens} has at most {settings.pieces} pieces on either side; raise `pieces`"
        )
    candidates = fitting[len(fitting) // 4 : len(fitting) - len(fitting) // 4]
    record = random.Random(settings.seed).choice(candidates)
    source, target = sources[record].astype(np.int64), targets[record].astype(np.int64)
    read = np.concatenate(([bpe.BEGIN], target[:-1]))
    rule = (
        f"one of the middle half by length of the test pairs of at most {settings.pieces} pieces on either side, "
        f"by random.Random({settings.seed})"
    )
    inputs = (torch.from_numpy(source[None]), torch.tensor([len(source)]), torch.from_numpy(read[None]))
    return Picked(rule, record, len(candidates), inputs, read.tolist(), target.tolist(), source.tolist())


#: how a sentence is picked, by the objective of the models that read it
PICKS: dict[str, Callable[[Settings, Path, Tokenizer], Picked]] = {
    "language_model": pick_window,
    "sequence_pairs": pick_pair,
}

#: per block, what its parts (mixer, cross) were called with
Calls = list[dict[str, tuple[Any, ...]]]


@contextmanager
def recorded(blocks: Sequence[Block]) -> Iterator[Calls]:
    """The last call of the parts of each block while the context lasts."""
    calls: Calls = [{} for _ in blocks]

    def listen(call: dict[str, tuple[Any, ...]], name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def heard(part: nn.Module, arguments: tuple[Any, ...]) -> None:
            call[name] = arguments

        return heard

    hooks = [
        part.register_forward_pre_hook(listen(call, name))
        for block, call in zip(blocks, calls, strict=True)
        for name, part in (("mixer", block.mixer), ("cross", block.cross))
        if part is not None
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def watch(
    model: LanguageModel | EncoderDecoder, inputs: Sequence[Tensor]
) -> tuple[Tensor, list[dict[str, dict[str, Tensor]]]]:
    """Call a model: its hidden states [B, T, D] and, per block of its decoder, what its parts did, by name.

    The model is left in the mode (training or evaluation) that it is in.
    """
    blocks = model.decoder.blocks
    with recorded(blocks) as calls:
        hidden = model(*inputs)
    return hidden, [
        {name: getattr(block, name).activity(*arguments) for name, arguments in call.items()}
        for block, call in zip(blocks, calls, strict=True)
    ]


def told(activity: Tensor, settings: Settings) -> Any:
    """The activity of one row, [1, N, T, S] or [1, T, H], as the file tells it."""
    if activity.ndim == 4:
        return rounded(activity[0])
    low, high = activity[0].abs().quantile(torch.tensor(settings.quantiles, dtype=activity.dtype), -1)
    return {"mean": rounded(activity[0].abs().mean(-1)), "low": rounded(low), "high": rounded(high)}


def rounded(values: Tensor) -> Any:
    """Nested lists of numbers with as many decimals as the file has."""
    return values.double().mul(10**DECIMALS).round().div(10**DECIMALS).tolist()


@torch.inference_mode()
def look(model: LanguageModel | EncoderDecoder, picked: Picked, settings: Settings) -> dict[str, Any]:
    """``bits`` and ``layers`` of one model, see the module's docstring."""
    hidden, layers = watch(model.eval(), picked.inputs)
    loss = F.cross_entropy(model.logits(hidden[0]).float(), torch.tensor(picked.following), reduction="none")
    return {
        "bits": rounded(loss / math.log(2)),
        "layers": [
            {
                part: {name: told(values, settings) for name, values in activity.items()}
                for part, activity in layer.items()
            }
            for layer in layers
        ],
    }


def run(settings: Settings, folders: Sequence[Path], tokens: Path, out: Path) -> None:
    """Look inside the models in ``folders``, all of one stage with its pieces in ``tokens``, and write the file.

    Raises ``UserError`` if the models are not of one stage, or of an objective without a rule that picks.
    """
    trainings = [read_json(folder / "metrics.json") for folder in folders]
    jobs = [
        filled(Job, training["job"], f"{folder}/metrics.json: job")
        for training, folder in zip(trainings, folders, strict=True)
    ]
    stage, objective = jobs[0].stage, jobs[0].objective
    if other := [job for job in jobs if job.stage != stage]:
        raise UserError(f"{other[0].name} is of another stage than {jobs[0].name}; name models of one stage")
    if objective not in PICKS:
        raise UserError(f"{jobs[0].name} has the objective {objective}; name models of {' or '.join(PICKS)}")
    report = Report(f"activity/{stage}", {"settings": asdict(settings), "models": [job.name for job in jobs]})
    tokenizer = bpe.load(tokens / "tokenizer.json")
    picked = PICKS[objective](settings, tokens, tokenizer)
    models = []
    for folder, job, training in zip(folders, jobs, trainings, strict=True):
        model = store.load(folder)
        assert isinstance(model, LanguageModel | EncoderDecoder)
        named = {"run": training["run"], "architecture": job.architecture_name, "seed": job.seed}
        models.append({**named, **look(model, picked, settings)})
    pieces = {"read": picked.read, "next": picked.following, "source": picked.source}
    report.write(
        out, stage=stage, objective=objective, rule=picked.rule, record=picked.record, candidates=picked.candidates,
        **{name: bpe.piece_texts(tokenizer, numbers) for name, numbers in pieces.items() if numbers is not None},
        models=models,
    )  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.activity", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="what to look at, as JSON")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders of trained models of one stage")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    prepare(given.threads, "cpu")
    run(filled(Settings, given.settings, "--settings"), given.models, given.tokens, given.out)


if __name__ == "__main__":
    run_command(main)
