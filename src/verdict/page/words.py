"""The page's words, in every language at once.

A string is written as one ``<span lang=…>`` per language; the style sheet shows the one whose language the page has,
so switching needs no reload. Chart texts carry tokens (``@@key``) that the page's script replaces from a small table.
"""

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup, escape

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
        parts = []
        for lang, tag in LANGUAGES.items():
            pieces = _PLACE.split(said[lang])
            filled = Markup("").join(
                escape(piece) if i % 2 == 0 else escape(values.get(piece, "{" + piece + "}"))
                for i, piece in enumerate(pieces)
            )
            parts.append((tag, filled))
        if len({str(filled) for _, filled in parts}) == 1:
            return Markup(parts[0][1])
        return Markup("").join(Markup('<span lang="{}">{}</span>').format(tag, filled) for tag, filled in parts)

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
    root = folder or resources.files("verdict.page").joinpath("words")
    for lang in LANGUAGES:
        file = root.joinpath(f"{lang}.yaml")
        try:
            tree = yaml.safe_load(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"{file} is missing; the page needs its words in {', '.join(LANGUAGES)}") from error
        except yaml.YAMLError as error:
            raise UserError(f"{file} is not YAML: {error}".replace("\n", " ")) from error
        if not isinstance(tree, Mapping):
            raise UserError(f"{file} holds no words; it must be a mapping of keys to texts")
        texts[lang] = dict(flatten(tree))
    return Words(texts)
