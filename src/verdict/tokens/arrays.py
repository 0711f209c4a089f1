"""Encoded text on disk: one flat array of pieces and one of record ends per field, memory-mapped when read."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer


class Records:
    """Records of pieces: ``records[i]`` is a one-dimensional view; nothing is read before it is asked for."""

    def __init__(self, pieces: np.ndarray, ends: np.ndarray) -> None:
        self.pieces, self.ends = pieces, ends

    @classmethod
    def open(cls, folder: Path | str, name: str) -> "Records":
        """Map ``name.npy`` (uint16 pieces) and ``name.ends.npy`` (int64, exclusive ends of the records)."""
        folder = Path(folder)
        return cls(np.load(folder / f"{name}.npy", mmap_mode="r"), np.load(folder / f"{name}.ends.npy"))

    def save(self, folder: Path | str, name: str) -> None:
        """Write the two arrays."""
        np.save(Path(folder) / f"{name}.npy", self.pieces)
        np.save(Path(folder) / f"{name}.ends.npy", self.ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.pieces[self.ends[index - 1] if index else 0 : self.ends[index]]

    def take(self, numbers: np.ndarray) -> "Records":
        """The records of these numbers, in their order."""
        chosen = [self[number] for number in numbers]
        return Records(np.concatenate(chosen), np.cumsum([len(record) for record in chosen], dtype=np.int64))

    @property
    def lengths(self) -> np.ndarray:
        """Pieces in each record."""
        return np.diff(self.ends, prepend=0)


def encode(tokenizer: Tokenizer, texts: Iterable[str], longest: int | None = None, end: int | None = None) -> Records:
    """Encode texts; each is cut to ``longest`` pieces (``end``, appended to each text, counted)."""
    keep = None if longest is None else longest - (end is not None)
    records: list[list[int]] = []
    for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        pieces = encoding.ids[:keep]
        records.append(pieces if end is None else [*pieces, end])
    flat = np.fromiter((piece for record in records for piece in record), dtype=np.uint16)
    return Records(flat, np.cumsum([len(record) for record in records], dtype=np.int64))


def read_records(path: Path) -> Iterator[dict[str, str]]:
    """The records of a corpus split."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
