"""Batches as a pure function of (data, seed, epoch): every architecture sees the same texts in the same order.

Shapes: B rows, T positions, S source positions. Padding is on the right.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from verdict.errors import UserError
from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import Records, load_array

Batch = dict[str, Tensor]


class Source(Protocol):
    """Where batches come from."""

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        """The batches of one pass in a shuffled order that depends on the seed and the epoch alone."""

    def in_order(self, records: int = 0) -> Iterator[Batch]:
        """``records`` of the records (0: all), for evaluation: the ``spread`` ones, for every architecture alike."""


def spread(count: int, records: int) -> np.ndarray:
    """The numbers of ``records`` of ``count`` records, evenly spread (all, if it is 0 or more than there are): those of
    one source may stand side by side, so that the first ones would be of a few sources."""
    return np.arange(records) * count // records if 0 < records < count else np.arange(count)


def move(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def pad(rows: list[np.ndarray]) -> Tensor:
    """Right-pad rows of pieces: [B, longest] int64."""
    padded = np.full((len(rows), max(map(len, rows))), bpe.PAD, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded)


def _lengths(rows: list[np.ndarray]) -> Tensor:
    return torch.tensor([len(row) for row in rows])


class Windows:
    """A language model's text as windows of equal length.

    A batch: ``tokens`` [B, T+1]; the state starts afresh in every window, in training and evaluation, for every
    architecture, and no piece is predicted twice (those of a last window that would be short are left out).
    """

    def __init__(self, records: Records, window: int, batch_tokens: int) -> None:
        self.pieces, self.window, self.rows = records.pieces, window, max(1, batch_tokens // window)
        if len(self.pieces) <= window + 1:
            raise UserError(
                f"a text of {len(self.pieces)} pieces has no window of {window} + 1; lower `window` or give more text"
            )

    def _batch(self, starts: np.ndarray) -> Batch:
        index = starts[:, None] + np.arange(self.window + 1)
        return {"tokens": torch.from_numpy(self.pieces[index].astype(np.int64))}

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((seed, epoch))
        offset = int(rng.integers(min(self.window, len(self.pieces) - self.window - 1)))
        starts = rng.permutation(np.arange(offset, len(self.pieces) - self.window, self.window))
        # a last, smaller batch would get a larger weight for each of its windows
        full = max(1, len(starts) // self.rows)
        for i in range(full):
            yield self._batch(starts[i * self.rows : (i + 1) * self.rows])

    def in_order(self, records: int = 0) -> Iterator[Batch]:
        starts = np.arange(0, len(self.pieces) - self.window, self.window)
        starts = starts[spread(len(starts), records)]
        for i in range(0, len(starts), self.rows):
            yield self._batch(starts[i : i + self.rows])


class Buckets:
    """Records of unequal length, batched with others of about their length under a budget of pieces, padding counted.

    ``lengths`` [N, fields] are the pieces of each field, which is padded by itself; ``collate`` turns record numbers
    (and a random generator for what must be drawn) into a batch.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_tokens: int,
        collate: Callable[[np.ndarray, np.random.Generator], Batch],
    ) -> None:
        self.lengths, self.batch_tokens, self.collate = lengths, batch_tokens, collate
        self.total = lengths.sum(1)

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        """Cut an order of records so that the padded batch stays within the budget (it has at least one row)."""
        batches, start = [], 0
        longest = np.zeros(self.lengths.shape[1], dtype=np.int64)
        for i, lengths in enumerate(self.lengths[order]):
            wider = np.maximum(longest, lengths)
            if i > start and (i - start + 1) * wider.sum() > self.batch_tokens:
                batches.append(order[start:i])
                start, wider = i, lengths
            longest = wider
        batches.append(order[start:])
        return batches

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((seed, epoch))
        # a little noise on the lengths, so that batches are not the same company in every epoch
        noisy = self.total * rng.uniform(0.9, 1.1, len(self.total))
        batches = self._cut(np.argsort(noisy, kind="stable"))
        for number in rng.permutation(len(batches)):
            yield self.collate(batches[number], rng)

    def in_order(self, records: int = 0) -> Iterator[Batch]:
        chosen = spread(len(self.total), records)
        rng = np.random.default_rng(0)  # what is drawn (masks) is drawn alike in every evaluation
        for batch in self._cut(chosen[np.argsort(self.total[chosen], kind="stable")]):
            yield self.collate(batch, rng)


def pairs(source: Records, target: Records, batch_tokens: int) -> Buckets:
    """Batches of ``source`` [B, S], ``source_lengths`` [B], ``target`` [B, T] (ends with END), ``target_lengths`` [B],
    ``index`` [B] (record numbers)."""

    def collate(index: np.ndarray, rng: np.random.Generator) -> Batch:
        sources, targets = [source[i] for i in index], [target[i] for i in index]
        return {
            "source": pad(sources),
            "source_lengths": _lengths(sources),
            "target": pad(targets),
            "target_lengths": _lengths(targets),
            "index": torch.from_numpy(np.asarray(index)),
        }

    return Buckets(np.stack((source.lengths, target.lengths), 1), batch_tokens, collate)


def masked(text: Records, vocabulary: int, share: float, batch_tokens: int) -> Buckets:
    """Batches of ``tokens`` [B, T] with pieces hidden, ``lengths`` [B], ``where`` [B, T] bool, ``truth`` [M].

    Of each text ``share`` of its pieces (at least one) is chosen; 80 % of them become MASK, 10 % a random piece and
    10 % stay (Devlin et al. 2019, section 3.1).
    """

    def collate(index: np.ndarray, rng: np.random.Generator) -> Batch:
        rows = [text[i].astype(np.int64) for i in index]
        chosen = [rng.permutation(len(row) - 1)[: max(1, round(share * (len(row) - 1)))] for row in rows]
        where = np.zeros((len(rows), max(map(len, rows))), dtype=bool)
        for i, positions in enumerate(chosen):
            where[i, positions] = True
        truth = pad(rows)
        hidden = truth.numpy().copy()
        dice = rng.random(where.shape)
        hidden[where & (dice < 0.8)] = bpe.MASK
        random_pieces = where & (dice >= 0.8) & (dice < 0.9)
        hidden[random_pieces] = rng.integers(len(bpe.SPECIAL), vocabulary, int(random_pieces.sum()))
        where_tensor = torch.from_numpy(where)
        return {
            "tokens": torch.from_numpy(hidden),
            "lengths": _lengths(rows),
            "where": where_tensor,
            "truth": truth[where_tensor],
        }

    return Buckets(text.lengths[:, None], batch_tokens, collate)


def labelled(text: Records, labels: np.ndarray, batch_tokens: int) -> Buckets:
    """Batches of ``tokens`` [B, T], ``lengths`` [B], ``label`` [B], ``index`` [B]."""

    def collate(index: np.ndarray, rng: np.random.Generator) -> Batch:
        rows = [text[i] for i in index]
        return {
            "tokens": pad(rows),
            "lengths": _lengths(rows),
            "label": torch.from_numpy(labels[index]),
            "index": torch.from_numpy(np.asarray(index)),
        }

    return Buckets(text.lengths[:, None], batch_tokens, collate)


class EqualLengths:
    """Records batched with others of exactly their length, so that nothing is padded.

    ``lengths`` [N] are the pieces of each record; ``collate`` turns record numbers into a batch.
    """

    def __init__(self, lengths: np.ndarray, batch_tokens: int, collate: Callable[[np.ndarray], Batch]) -> None:
        self.lengths, self.batch_tokens, self.collate = lengths, batch_tokens, collate

    def _cut(self, order: np.ndarray) -> Iterator[list[np.ndarray]]:
        """For each length the batches of an order of records, the last one perhaps smaller."""
        for length in np.unique(self.lengths[order]):
            mine, rows = order[self.lengths[order] == length], max(1, self.batch_tokens // int(length))
            yield [mine[i : i + rows] for i in range(0, len(mine), rows)]

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((seed, epoch))
        batches: list[np.ndarray] = []
        for of_length in self._cut(rng.permutation(len(self.lengths))):
            # a last, smaller batch would get a larger weight for each of its records
            batches += [batch for batch in of_length if len(batch) == len(of_length[0])]
        for number in rng.permutation(len(batches)):
            yield self.collate(batches[number])

    def in_order(self, records: int = 0) -> Iterator[Batch]:
        for of_length in self._cut(spread(len(self.lengths), records)):
            yield from map(self.collate, of_length)


def answers(text: Records, right: np.ndarray, where: np.ndarray, batch_tokens: int) -> EqualLengths:
    """Batches of ``tokens`` [B, T], ``where`` [B, T] bool (an answer is asked there), ``truth`` [M] and ``index`` [B].

    ``right`` and ``where`` are as long as the text's pieces; the answer at a position may be no piece of the text.
    """
    lengths, starts = text.lengths, text.ends - text.lengths

    def collate(index: np.ndarray) -> Batch:
        pieces = starts[index, None] + np.arange(lengths[index[0]])
        asked = where[pieces]
        return {
            "tokens": torch.from_numpy(text.pieces[pieces].astype(np.int64)),
            "where": torch.from_numpy(asked),
            "truth": torch.from_numpy(right[pieces][asked].astype(np.int64)),
            "index": torch.from_numpy(np.asarray(index)),
        }

    return EqualLengths(lengths, batch_tokens, collate)


def open_answers(folder: Path | str, split: str, batch_tokens: int) -> EqualLengths:
    """The batches of a split that ``verdict.tokens.algorithms`` wrote."""
    folder = Path(folder)
    right, where = (load_array(folder / f"{split}.{name}.npy", mapped=True) for name in ("answers", "where"))
    return answers(Records.open(folder, f"{split}.text"), right, where, batch_tokens)


def open_split(
    folder: Path | str,
    objective: str,
    split: str,
    training: "TrainingLike",
    vocabulary: int,
    records: int = 0,
    seed: int = 0,
) -> Source:
    """The batches of a split of an encoded task, as the objective wants them: of ``records`` of its records (0: all).

    The seed draws which: the same for every architecture, and fewer are a part of more.
    """
    folder = Path(folder)

    def some(count: int) -> np.ndarray:
        return np.sort(np.random.default_rng(seed).permutation(count)[: records or count])

    def opened(name: str) -> Records:
        found = Records.open(folder, name)
        return found.take(some(len(found))) if 0 < records < len(found) else found

    if objective == "language_model":
        return Windows(opened(f"{split}.text"), training.window, training.batch_tokens)
    if objective == "sequence_pairs":
        return pairs(opened(f"{split}.source"), opened(f"{split}.target"), training.batch_tokens)
    if objective == "masked":
        name = "pretrain.text" if split == "train" and (folder / "pretrain.text.npy").exists() else f"{split}.text"
        return masked(_spoken(opened(name)), vocabulary, training.masked, training.batch_tokens)
    if objective == "classification":
        labels = load_array(folder / f"{split}.label.npy")
        return labelled(opened(f"{split}.text"), labels[some(len(labels))], training.batch_tokens)
    if objective == "answers":
        return open_answers(folder, split, training.batch_tokens)
    raise UserError(f"objective '{objective}' is unknown")


def _spoken(records: Records) -> Records:
    """Without records that are nothing but END: there is nothing to mask in them."""
    if (records.lengths > 1).all():
        return records
    return records.take(np.flatnonzero(records.lengths > 1))


class TrainingLike(Protocol):
    """The settings that batches depend on."""

    @property
    def window(self) -> int: ...
    @property
    def batch_tokens(self) -> int: ...
    @property
    def masked(self) -> float: ...
