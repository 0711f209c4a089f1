"""Readers of the user's own files: text, TSV, JSONL, aligned pairs."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from verdict.corpus.readers.base import LABELLED, LM, PAIRS, Reader, TextOptions, decode, lines, one_line
from verdict.corpus.records import Member, Record
from verdict.errors import UserError

ALL = (LM, PAIRS, LABELLED)


class TextFileOptions(TextOptions):
    """``documents``: parted by blank lines, one a line, or one a file; the file is the group."""

    documents: Literal["blank_lines", "lines", "files"] = "blank_lines"


def read_text(members: Sequence[Member], fields: tuple[str, ...], options: TextFileOptions) -> Iterator[Record]:
    """Documents of plain text files."""
    for member in members:
        text = decode(member, options.encoding)
        if options.documents == "files":
            documents = [text]
        elif options.documents == "lines":
            documents = lines(text)
        else:
            documents = "\n".join("" if line.isspace() else line for line in lines(text)).split("\n\n")
        for document in documents:
            if document.strip():
                yield Record({"text": document.strip()}, member.path)


class TsvOptions(TextOptions):
    """``columns``: the number (from 0) of each field's column; by default the fields stand in their own order."""

    columns: dict[Literal["text", "label", "source", "target", "group"], Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict
    )
    header: bool = False


def read_tsv(members: Sequence[Member], fields: tuple[str, ...], options: TsvOptions) -> Iterator[Record]:
    """One record a line, fields parted by tabs; an empty label makes the text one for pretraining."""
    columns: dict[str, int] = dict(options.columns) or {name: place for place, name in enumerate(fields)}  # type: ignore[arg-type]
    missing = [name for name in fields if name not in columns]
    if missing:
        raise UserError(f"reader.options.columns lacks {missing[0]!r}; give the number of its column, counted from 0")
    for member in members:
        for number, line in enumerate(lines(decode(member, options.encoding)), 1):
            if (options.header and number == 1) or not line.strip():
                continue
            cells = line.split("\t")
            if max(columns.values()) >= len(cells):
                raise UserError(
                    f"{member.name} line {number} has {len(cells)} columns, {max(columns.values()) + 1} are needed; "
                    "mend the line or reader.options.columns"
                )
            yield _record(
                {name: cells[place] for name, place in columns.items()}, fields, f"{member.name} line {number}"
            )


class JsonlOptions(TextOptions):
    """``keys``: the key of each field (and of ``group``) where it is not the field's own name."""

    keys: dict[Literal["text", "label", "source", "target", "group"], str] = Field(default_factory=dict)


def read_jsonl(members: Sequence[Member], fields: tuple[str, ...], options: JsonlOptions) -> Iterator[Record]:
    """One JSON object a line; without a label the text is one for pretraining."""
    keys: dict[str, str] = dict(options.keys)  # type: ignore[arg-type]
    wanted = {name: keys.get(name, name) for name in (*fields, *(["group"] if "group" in keys else []))}
    for member in members:
        for number, line in enumerate(lines(decode(member, options.encoding)), 1):
            if not line.strip():
                continue
            where = f"{member.name} line {number}"
            try:
                value = json.loads(line)
            except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
                raise UserError(f"{where} is not JSON ({error}); mend or remove the line") from error
            if not isinstance(value, dict):
                raise UserError(f"{where} is not a JSON object; write one object a line")
            cells = {}
            for name, key in wanted.items():
                cell = value.get(key, "" if name == "label" else None)
                if name in ("label", "group") and isinstance(cell, int):
                    cell = str(cell)
                if not isinstance(cell, str):
                    raise UserError(f"{where} has no text under {key!r}; add it or set reader.options.keys.{name}")
                if "\0" in cell or not _encodable(cell):
                    raise UserError(f"{where} holds a character under {key!r} that is no text; remove it")
                cells[name] = cell
            yield _record(cells, fields, where)


def read_aligned(members: Sequence[Member], fields: tuple[str, ...], options: TextOptions) -> Iterator[Record]:
    """Pairs from two files, line by line: the first the source, the second the target; further twos likewise."""
    if len(members) % 2:
        raise UserError(f"the aligned reader takes files two by two and was given {len(members)}; name both files")
    for first, second in zip(members[::2], members[1::2], strict=True):
        left, right = (lines(decode(member, options.encoding)) for member in (first, second))
        if len(left) != len(right):
            where = first.name if len(left) > len(right) else second.name
            raise UserError(
                f"{first.name} has {len(left)} lines and {second.name} {len(right)}; aligned files must have the same "
                f"number: {where} line {min(len(left), len(right)) + 1} has no partner"
            )
        for source, target in zip(left, right, strict=True):
            if source.strip() and target.strip():
                yield Record({"source": one_line(source), "target": one_line(target)}, first.path)


def _record(cells: dict[str, str], fields: tuple[str, ...], where: str) -> Record:
    values = {name: cells[name].strip() if name == "text" else one_line(cells[name]) for name in fields}
    empty = [name for name, value in values.items() if not value and name != "label"]
    if empty:
        raise UserError(f"{where} has an empty {empty[0]}; fill it or remove the line")
    group = cells.get("group")
    if values.get("label") == "":
        return Record({"text": values["text"]}, group, labelled=False)
    return Record(values, group)


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


TEXT = Reader("text", read_text, (LM,), TextFileOptions)
TSV = Reader("tsv", read_tsv, ALL, TsvOptions)
JSONL = Reader("jsonl", read_jsonl, ALL, JsonlOptions)
ALIGNED = Reader("aligned", read_aligned, (PAIRS,), TextOptions)
