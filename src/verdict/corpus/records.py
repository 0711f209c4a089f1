"""What passes between archive, readers and splits: members of an archive, and records of a corpus."""

import json
import re
from dataclasses import dataclass, field

# The fields of a record, by task; the first is the one that identifies it.
TASK_FIELDS: dict[str, tuple[str, ...]] = {
    "lm": ("text",),
    "translation": ("source", "target"),
    "summarization": ("source", "target"),
    "classification": ("text", "label"),
}

# Scripts written without spaces: every character counts as a word.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Member:
    """One file to read: ``name`` is what an error calls it, ``path`` its place in its archive or on disk."""

    name: str
    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """One example; ``group`` is what it must not be parted from (a book, a service).

    ``labelled`` is False for text that serves pretraining alone.
    """

    fields: dict[str, str] = field(hash=False)
    group: str | None = None
    labelled: bool = True

    @property
    def text(self) -> str:
        """The field that identifies the record: its text or its source."""
        return next(iter(self.fields.values()))

    @property
    def line(self) -> str:
        """The record as one line of JSON."""
        return json.dumps(self.fields, ensure_ascii=False)


def words(text: str) -> list[str]:
    """Words between spaces; a Chinese or Japanese character is a word of its own."""
    return _WORD.findall(text)


def letters(text: str) -> str:
    """Lower-cased letters alone, the form in which two texts count as the same.

    A text without letters stands for itself without its spaces, or all numbers would be one record.
    """
    folded = text.casefold()
    return "".join(_LETTERS.findall(folded)) or "".join(folded.split())
