"""Translation catalogues of programs: gettext (.po, .mo), JupyterLab and Home Assistant JSON."""

import json
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from verdict.corpus.readers.base import PAIRS, Options, Reader, decode, one_line
from verdict.corpus.records import Member, Record
from verdict.errors import UserError

# “_File” and “&File” underline the letter that a keyboard shortcut uses; Chinese catalogues write “文件(_F)”.
_SHORTCUT = re.compile(r"\s?\([_&]\w\)|(?<!\w)[_&](?=\w)")


class CatalogueOptions(Options):
    """``source``: the name, without ``.json``, of the file that holds the source language in a folder of JSON files.

    ``plain_apostrophes``: write ’ as ', since programs differ in it and a reader does not tell them apart.
    """

    source: str = "en"
    plain_apostrophes: bool = True


def read_catalogues(members: Sequence[Member], fields: tuple[str, ...], options: CatalogueOptions) -> Iterator[Record]:
    """Pairs of message and translation; the group is the catalogue.

    ``.po`` and ``.mo`` carry both sides, so does a JSON file of JupyterLab (``{message: [translation]}``). Other JSON
    files are aligned by their keys with ``<source>.json`` of the same folder, as Home Assistant keeps them. Fuzzy,
    obsolete, plural and untranslated entries are left out.
    """
    folders: dict[PurePosixPath, dict[str, Member]] = {}
    for member in members:
        path = PurePosixPath(member.path)
        if path.suffix in (".po", ".mo"):
            yield from _pairs(_gettext(member, path.suffix), member.path, options)
        elif path.suffix == ".json":
            folders.setdefault(path.parent, {})[path.stem] = member
        else:
            raise UserError(f"{member.name} is no .po, .mo or .json file; the catalogues reader reads those alone")
    for folder, members_by_name in sorted(folders.items()):
        source = members_by_name.pop(options.source, None)
        messages = dict(_leaves(_json(source))) if source else {}
        for member in members_by_name.values():
            content = _json(member)
            if "" in content and isinstance(content[""], dict):  # the Jed format that JupyterLab uses
                found = ((key, value[0]) for key, value in content.items() if isinstance(value, list) and value)
            elif source is None:
                raise UserError(f"{member.name} needs {folder / options.source}.json beside it; add it to the members")
            else:
                found = ((messages[key], value) for key, value in _leaves(content) if key in messages)
            yield from _pairs(found, str(folder), options)


def _pairs(found: Iterable[tuple[Any, Any]], group: str, options: CatalogueOptions) -> Iterator[Record]:
    def clean(text: str) -> str:
        text = one_line(_SHORTCUT.sub("", text))
        return text.replace("’", "'") if options.plain_apostrophes else text

    for source, target in found:
        if isinstance(source, str) and isinstance(target, str) and clean(source) and clean(target):
            yield Record({"source": clean(source), "target": clean(target)}, group)


def _gettext(member: Member, suffix: str) -> Iterator[tuple[str, str]]:
    import polib

    try:
        catalogue = polib.mofile(member.data) if suffix == ".mo" else polib.pofile(decode(member))
    except (OSError, struct.error, UnicodeDecodeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{member.name} is no gettext catalogue ({reason[:200]}); mend or remove it") from error
    for entry in catalogue:
        if entry.msgstr and not entry.obsolete and "fuzzy" not in entry.flags:
            yield entry.msgid, entry.msgstr


def _json(member: Member) -> dict[str, Any]:
    try:
        value = json.loads(decode(member))
    except json.JSONDecodeError as error:
        raise UserError(f"{member.name} line {error.lineno} is not JSON ({error.msg}); mend or remove it") from error
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        raise UserError(f"{member.name} is not JSON that can be read ({error}); mend or remove it") from error
    if not isinstance(value, dict):
        raise UserError(f"{member.name} line 1 is not a JSON object; a catalogue maps keys to messages")
    return value


def _leaves(value: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, (*above, key))
        else:
            yield (*above, key), inner


CATALOGUES = Reader("catalogues", read_catalogues, (PAIRS,), CatalogueOptions)
