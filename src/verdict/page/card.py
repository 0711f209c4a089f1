"""The picture that a link to the page is shown with: the question, a label per area, and every claim in one line."""

from typing import Any

from markupsafe import escape

from verdict.page import effects
from verdict.page.badge import COLOURS, QUESTION
from verdict.page.words import Words

WIDTH, HEIGHT = 1200, 630  # pixels, as link previews want them
PAPER, INK, SOFT, BAND = "#fdfcf9", "#1d1f23", "#5c6068", "#ece7dc"
SANS, SERIF = "DejaVu Sans, Liberation Sans, sans-serif", "Charter, Georgia, DejaVu Serif, Liberation Serif, serif"
LEFT, RIGHT, EDGE = 640, 1150, 60  # of the drawing of the claims


def card(verdict: dict[str, Any], areas: dict[str, str], words: Words) -> str:
    """The picture as SVG from verdict.json's content; ``areas``: their names by letter."""
    lead, tail = QUESTION.split(", ")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        _text(EDGE, 130, f"{lead},", 68, SERIF, weight="bold"),
        _text(EDGE, 210, tail, 68, SERIF, weight="bold"),
    ]
    for number, (area, name) in enumerate(areas.items()):
        y, label = 300 + 74 * number, verdict["areas"][area]["label"]
        parts += [
            f'<rect x="{EDGE}" y="{y - 28}" width="8" height="50" fill="{COLOURS[label]}"/>',
            _text(EDGE + 26, y, name, 30, SERIF),
            _text(EDGE + 26, y + 24, words.plain(f"label.{label}"), 20, SANS, COLOURS[label]),
        ]
    step = (HEIGHT - 2 * EDGE) / max(1, len(verdict["claims"]))
    for number, claim in enumerate(verdict["claims"]):
        parts += _line(claim, EDGE + step * (number + 0.5), step)
    return "".join([*parts, "</svg>"])


def _line(claim: dict[str, Any], y: float, step: float) -> list[str]:
    """A claim's comparisons as dots in units of their margins, those with the claim's own label strong."""

    def x(percent: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * percent / 100, 1)

    band = [x(effects.place(margins)) for margins in (-1.0, 1.0)]
    size = f'height="{step - 4:.1f}" fill="{BAND}"'
    parts = [
        _text(LEFT - 50, y + 5, claim["id"], 16, SANS, SOFT),
        f'<rect x="{band[0]}" y="{y - step / 2 + 2:.1f}" width="{band[1] - band[0]:.1f}" {size}/>',
    ]
    for test in claim["tests"]:
        if (drawn := effects.geometry(test)) is None:
            continue
        place = drawn.estimate if drawn.estimate is not None else (97.6 if drawn.arrow_right else 2.4)
        strong = test["label"] == claim["label"] or (claim["label"] == "only_when" and test["label"] == "supported")
        look = f'r="{6 if strong else 4}" fill="{COLOURS[test["label"]]}" opacity="{0.95 if strong else 0.4}"'
        parts.append(f'<circle cx="{x(place)}" cy="{y:.1f}" {look}/>')
    return parts


def _text(x: float, y: float, said: str, size: int, font: str, colour: str = INK, weight: str = "normal") -> str:
    look = f'font-family="{font}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x}" y="{y:.1f}" {look}>{escape(said)}</text>'


def png(svg: str) -> bytes:
    """The picture drawn at its own size."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(svg, scale=1))
