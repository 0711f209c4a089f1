"""Encoded text on disk: one flat array of pieces and one of record ends per field, memory-mapped when read."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np
from tokenizers import Tokenizer

from verdict.errors import UserError
from verdict.files import read_json_lines

#: what numpy raises over a file that is none of its own
_DAMAGED = (ValueError, EOFError, OSError, SyntaxError, TypeError, KeyError, OverflowError, TokenError, BadZipFile)


def load_array(path: Path, mapped: bool = False) -> np.ndarray:
    """The array in a file, or a map of it; raises ``UserError`` naming the file if it is missing or damaged.

    Nothing that is read is run: numpy's way to store objects is refused.
    """
    try:
        found = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; run the step that makes it, or name another folder") from error
    except _DAMAGED as error:
        raise UserError(f"{path} is damaged ({error}); remove {path.parent} and run again") from error
    if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind not in "iub":
        raise UserError(f"{path} is damaged (it holds no row of numbers); remove {path.parent} and run again")
    return found


class Records:
    """Records of pieces: ``records[i]`` is a one-dimensional view; nothing is read before it is asked for."""

    def __init__(self, pieces: np.ndarray, ends: np.ndarray) -> None:
        self.pieces, self.ends = pieces, ends

    @classmethod
    def open(cls, folder: Path | str, name: str) -> "Records":
        """Map ``name.npy`` (uint16 pieces) and ``name.ends.npy`` (int64, exclusive ends of the records).

        Raises ``UserError`` if one is missing or damaged, or the two do not fit.
        """
        folder = Path(folder)
        pieces, ends = load_array(folder / f"{name}.npy", mapped=True), load_array(folder / f"{name}.ends.npy")
        if len(ends) == 0 or ends[0] < 0 or ends[-1] != len(pieces) or (np.diff(ends) < 0).any():
            raise UserError(f"{folder / name}.npy and {name}.ends.npy do not fit; remove {folder} and run again")
        return cls(pieces, ends)

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
    """The records of a corpus split; raises ``UserError`` naming the file and line."""
    for number, record in enumerate(read_json_lines(path), start=1):
        if not all(isinstance(value, str) for value in record.values()):
            raise UserError(f"{path} record {number} holds what is no text; remove the file and run again")
        yield record


def encoded_records(corpus: Path, tokens: Path, split: str) -> list[dict[str, str]]:
    """The records of a corpus split; raises ``UserError`` if they are not as many as were encoded."""
    records = list(read_records(corpus / f"{split}.jsonl"))
    field = "source" if (tokens / f"{split}.source.ends.npy").exists() else "text"
    if len(records) != len(load_array(tokens / f"{split}.{field}.ends.npy")):
        raise UserError(f"{corpus}/{split}.jsonl has other records than {tokens} was made of; encode the corpus again")
    return records
