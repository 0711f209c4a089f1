"""The page's words, in every language at once.

A string is written as one ``<span lang=…>`` per language; the style sheet shows the one whose language the page has,
so switching needs no reload. Chart texts carry tokens (``@@key``) that the page's script replaces from a small table.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from verdict.documents import read
from verdict.errors import UserError

LANGUAGES = {"en": "en", "zh": "zh-Hans"}  # file name → the language tag of HTML
TOKEN = "@@"  # a chart's string that starts so is a key of the words (or of the theme's colours)
_PLACE = re.compile(r"\{(\w+)\}")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as (``a.b.c``, text) pairs; raises ``UserError`` when a leaf is not text."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{key}.")
        elif isinstance(value, str):
            yield key, value.strip("\n")
        else:
            raise UserError(f"the words file's key {key} is not text; put it in quotation marks")


def places(text: str) -> set[str]:
    """The names that a text leaves open: ``{n} claims`` → ``{"n"}``."""
    return set(_PLACE.findall(text))


@cache  # a page says the same few hundred texts thousands of times
def _pieces(text: str) -> tuple[str, ...]:
    """The text in HTML: what stands between its open places, and in turn their names."""
    return tuple(piece if i % 2 else str(escape(piece)) for i, piece in enumerate(_PLACE.split(text)))


def _filled(text: str, shown: Mapping[str, str]) -> str:
    """The text in HTML with its open places filled; those without a value stay as they are written."""
    return "".join(shown.get(piece, f"{{{piece}}}") if i % 2 else piece for i, piece in enumerate(_pieces(text)))


class Words:
    """Texts by key and language."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        self.texts = texts

    def __contains__(self, key: str) -> bool:
        return key in self.texts["en"]

    def extended(self, families: Mapping[str, Mapping[str, Mapping[str, str]]]) -> "Words":
        """These words and, for what they do not name, those of ``{family: {value: {"en": …, "zh": …}}}``."""
        more = {
            lang: {
                f"{family}.{value}": texts[lang]
                for family, values in families.items()
                for value, texts in values.items()
            }
            for lang in LANGUAGES
        }
        return Words({lang: {**more[lang], **self.texts[lang]} for lang in LANGUAGES})

    def plain(self, key: str, lang: str = "en") -> str:
        """One language's text as it stands in its file."""
        return self.texts[lang][key]

    def t(self, key: str, **values: Any) -> Markup:
        """A text in all languages, its open places filled with escaped values (``Markup`` is taken as it is).

        Raises ``KeyError`` for a key that the words files lack.
        """
        return self.both({lang: self.texts[lang][key] for lang in LANGUAGES}, **values)

    def both(self, texts: Mapping[str, str], **values: Any) -> Markup:
        """The same for texts that come from elsewhere (``{"en": …, "zh": …}``), such as the claims registry."""
        said = {lang: str(texts.get(lang) or texts.get("en") or "") for lang in LANGUAGES}
        if not values and len(set(said.values())) == 1:
            return escape(said["en"])
        shown = {name: str(escape(value)) for name, value in values.items()}
        filled = {lang: _filled(text, shown) for lang, text in said.items()}
        if len(set(filled.values())) == 1:
            return Markup(filled["en"])
        return Markup("".join(f'<span lang="{tag}">{filled[lang]}</span>' for lang, tag in LANGUAGES.items()))

    def name(self, family: str, value: str) -> Markup:
        """The word for a value of the evidence (``metric``, ``chrf``); an unknown value is shown as it is, escaped."""
        key = f"{family}.{value}"
        return self.t(key) if key in self else escape(value.replace("_", " "))

    def plain_name(self, family: str, value: str, lang: str = "en") -> str:
        """The same in one language and without markup, for where there is room for text alone."""
        key = f"{family}.{value}"
        return self.plain(key, lang) if key in self else value.replace("_", " ")

    def token(self, family: str, value: str) -> str:
        """The same for a chart: a token if the words know the value, else the value itself."""
        key = f"{family}.{value}"
        return TOKEN + key if key in self else value.replace("_", " ")


def load(folder: Path | None = None) -> Words:
    """Read every language's words file; raises ``UserError`` when one is missing or is not a mapping of texts."""
    texts: dict[str, dict[str, str]] = {}
    root = folder or Path(__file__).parent / "words"
    for lang in LANGUAGES:
        file = root / f"{lang}.yaml"
        tree = read(file)
        if not isinstance(tree, Mapping):
            raise UserError(f"{file} holds no words; it must be a mapping of keys to texts")
        texts[lang] = dict(flatten(tree))
    return Words(texts)
