"""The shape of a reader, and how bytes become lines: one encoding, one kind of line end, no NUL."""

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from verdict.corpus.records import Member, Record
from verdict.errors import UserError


class Options(BaseModel):
    """Options of a reader; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TextOptions(Options):
    """Options of the readers of a user's own files."""

    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            b"a".decode(value)  # some codecs that Python knows are of no text
        except UnicodeDecodeError:
            pass  # one byte is no character of it
        except (LookupError, UnicodeError, ValueError):
            raise ValueError(f"{value!r} is not an encoding Python knows, for example utf-8 or latin-1") from None
        return value


# Members, the task's fields, validated options -> records
Read = Callable[[Sequence[Member], tuple[str, ...], Any], Iterator[Record]]


@dataclass(frozen=True, slots=True)
class Reader:
    """A named way to read members; ``shapes`` are the fields that its records can have."""

    name: str
    read: Read
    shapes: tuple[tuple[str, ...], ...]
    options: type[Options] = Options


LM = ("text",)
PAIRS = ("source", "target")
LABELLED = ("text", "label")


_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def decode(member: Member, encoding: str = "utf-8") -> str:
    """A member's text: byte-order mark dropped, line ends ``\\n``, composed (NFC).

    Raises ``UserError`` naming the file and line if a byte does not fit the encoding, is NUL or half a character.
    """
    data = member.data
    utf8 = codecs.lookup(encoding).name == "utf-8"
    try:
        text = data.decode("utf-8-sig" if utf8 else encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{member.name} line {line} is not {encoding} (byte 0x{data[error.start]:02x}); save the file as UTF-8, "
            "or name its encoding in the reader's options"
        ) from error
    except UnicodeError as error:
        raise UserError(
            f"{member.name} is not {encoding} ({error}); name its encoding in the reader's options"
        ) from error
    if found := _NO_TEXT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        what = "a NUL byte" if found[0] == "\0" else "half a character (a lone surrogate)"
        raise UserError(f"{member.name} line {line} holds {what}; this is not a text file, or not {encoding}")
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def lines(text: str) -> list[str]:
    """Lines that end in ``\\n`` and in nothing else; the last end makes no empty line."""
    found = text.split("\n")
    return found[:-1] if found[-1] == "" else found


def one_line(text: str) -> str:
    """Text with every run of white space as one space."""
    return " ".join(text.split())
