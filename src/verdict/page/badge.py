"""The verdict in one line: an SVG for a README, two plates with text, drawn without any font or file from elsewhere."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from markupsafe import escape

from verdict.errors import UserError
from verdict.page.words import Words

QUESTION = "Transformer, for sure?"
#: of the plate to the right, under white text: those of the light page (``--l-…`` in templates/page.css)
COLOURS = {
    "supported": "#13704f", "only_when": "#6a4aa0", "tie": "#4f5b66", "contradicted": "#a3262a",
    "inconclusive": "#856000", "not_tried": "#6d7076",
}  # fmt: skip
LEFT_COLOUR = "#444444"
FONT, SIZE = "Verdana, 'DejaVu Sans', Geneva, sans-serif", 11
HEIGHT, MARGIN, CORNER = 20, 6, 3  # pixels

#: thousandths of the font's size → the characters that wide in DejaVu Sans, from which Verdana hardly differs
_WIDTHS = {
    278: "'ijlIJ", 318: " ,.·‘’", 337: "/:;\\|", 356: "f-", 395: "()[]t!", 411: "r", 460: '"', 500: "*_`–",
    520: "“”sz?", 557: "cL", 577: "Fk", 592: "vxyP", 613: "TYoae", 635: "EhnuSbdgpq$0123456789{}", 656: "K",
    686: "AVXZBRC", 740: "UN", 752: "H", 780: "DG&OQ", 818: "w", 838: "#+<=>^~×≤≥", 863: "M", 950: "%", 974: "m",
    1000: "W@…—",
}  # fmt: skip
_WIDTH = {character: width for width, characters in _WIDTHS.items() for character in characters}
_COMMON, _WIDE = 650, 1000
#: what XML cannot hold, not even escaped
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def told(verdict: dict[str, Any], words: Words, claim: str | None = None) -> tuple[str, str, str]:
    """Left text, right text and label: of the whole verdict, or of one claim (counts are then of its comparisons).

    ``verdict`` is verdict.json's content. Raises ``UserError`` if it has no such claim.
    """
    judged: dict[str, Any] = verdict["final"]
    labels: Sequence[str] = [each["label"] for each in verdict["claims"]]
    if claim is not None:
        known = {each["id"]: each for each in verdict["claims"]}
        if claim not in known:
            raise UserError(f"the verdict has no claim '{claim}'; write one of {', '.join(known)} after --claim")
        judged = known[claim]
        labels = [test["label"] for test in judged["tests"]]
    counts = [(label, labels.count(label)) for label in COLOURS]
    listed = words.plain("list.comma").join(
        f"{count} {words.plain('label.' + label).removesuffix(' …')}" for label, count in counts if count
    )
    label = judged["label"]
    alike = labels.count(label) == len(labels)  # “12 inconclusive” need not be told twice
    right = listed if alike and listed else f"{words.plain('label.' + label)} · {listed}" if listed else label
    return claim or QUESTION, right, label


def badge(left: str, right: str, label: str) -> str:
    """The badge as SVG (one line of XML): ``left`` on grey, ``right`` on the colour of the label.

    Any text is taken: it is escaped, and what XML cannot hold is left out. An unknown label is coloured like
    “not tried”.
    """
    texts = [_NO_XML.sub("", text) for text in (left, right)]
    widths = [width(text) for text in texts]
    first, second = (size + 2 * MARGIN for size in widths)
    whole = first + second
    plates = [
        f"M{first},0H{CORNER}Q0,0,0,{CORNER}V{HEIGHT - CORNER}Q0,{HEIGHT},{CORNER},{HEIGHT}H{first}Z",
        f"M{first},0H{whole - CORNER}Q{whole},0,{whole},{CORNER}V{HEIGHT - CORNER}"
        f"Q{whole},{HEIGHT},{whole - CORNER},{HEIGHT}H{first}Z",
    ]
    colours = [LEFT_COLOUR, COLOURS.get(label, COLOURS["not_tried"])]
    name = escape(": ".join(texts))
    drawn = "".join(f'<path fill="{colour}" d="{plate}"/>' for colour, plate in zip(colours, plates, strict=True))
    # the length is given, so that a font a little wider or narrower than supposed still fits
    drawn += "".join(
        f'<text x="{at}" y="14" textLength="{size}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
        for at, size, text in zip((MARGIN, first + MARGIN), widths, texts, strict=True)
        if text.strip()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{HEIGHT}" viewBox="0 0 {whole} {HEIGHT}" '
        f'role="img" aria-label="{name}"><title>{name}</title>'
        f'<g fill="#fff" font-family="{FONT}" font-size="{SIZE}">{drawn}</g></svg>\n'
    )


def width(text: str) -> int:
    """The text's width in whole pixels at the badge's size of type."""
    return max(1, round(sum(_character(character) for character in text) * SIZE / 1000))


def _character(character: str) -> int:
    if character in _WIDTH:
        return _WIDTH[character]
    if unicodedata.combining(character):
        return 0
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else _COMMON
