"""What all charts share: colours and shapes, axes, tooltips, and the panel that a chart becomes.

Texts are tokens (``@@metric.chrf``), and so are colours (``@@colour.lstm``): the page's script puts in the language and
the theme. An architecture has one colour and one shape everywhere (after Okabe and Ito's palette, told apart by people
with any colour vision).
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt

from verdict.page.figures import SCORES
from verdict.page.words import TOKEN, Words

Row = dict[str, Any]

SHAPES = {
    "transformer": "circle",
    "lstm": "square",
    "lstm_no_attention": "triangle-up",
    "lstm_classic": "triangle-down",
    "lstm_feedforward": "triangle-right",
    "lstm_feedforward_no_attention": "triangle-left",
    "lstm_forget0": "M0,-1.2L0.3,-0.3L1.2,0L0.3,0.3L0,1.2L-0.3,0.3L-1.2,0L-0.3,-0.3Z",  # a star of four rays
    "gru": "M-1,-0.6L-0.6,-1L0,-0.4L0.6,-1L1,-0.6L0.4,0L1,0.6L0.6,1L0,0.4L-0.6,1L-1,0.6L-0.4,0Z",  # a lying cross
    "rnn": "M-0.5,-0.87L0.5,-0.87L1,0L0.5,0.87L-0.5,0.87L-1,0Z",  # a hexagon
    "baseline": "diamond",
    "device": "cross",
}
#: a pentagon, a bow tie, an hourglass and a bar, for architectures that a user adds
SPARE_SHAPES = (
    "M0,-1L0.95,-0.31L0.59,0.81L-0.59,0.81L-0.95,-0.31Z",
    "M-1,-0.8L1,0.8L1,-0.8L-1,0.8Z",
    "M-0.8,-1L0.8,-1L-0.8,1L0.8,1Z",
    "M-0.35,-1L0.35,-1L0.35,1L-0.35,1Z",
)
PARTS = ("embedding", "mixing", "cross_attention", "feedforward", "output", "other")
ROW_HEIGHT = 38  # pixels of a row whose label stands above its points
LOG_SPREAD = 30  # a value axis is logarithmic from this ratio of largest to smallest


@dataclass(frozen=True)
class Panel:
    """One chart: its Vega-Lite spec, the rows it draws, and what its caption needs to know."""

    kind: str
    spec: dict[str, Any]
    rows: list[Row]
    architectures: list[str]
    height: int
    about: dict[str, str] = field(default_factory=dict)


def arranged(architectures: Iterable[str]) -> list[str]:
    """Known architectures first, in their fixed order, then the others by name."""
    known = list(SHAPES)
    return sorted(set(architectures), key=lambda name: (known.index(name) if name in known else len(known), name))


def kind_of(architecture: str) -> str:
    """The name of an architecture's colour: its own, or for an unknown one a spare that its name decides."""
    return architecture if architecture in SHAPES else f"spare{_spare(architecture, 0)}"


def shape_of(architecture: str) -> str:
    """An architecture's shape: a name that Vega knows or the path of a polygon within ±1."""
    return SHAPES.get(architecture) or SPARE_SHAPES[_spare(architecture, 1)]


def _spare(architecture: str, byte: int) -> int:
    """Colour and shape are decided by different bytes, so that two additions seldom share both."""
    return hashlib.blake2b(architecture.encode()).digest()[byte] % len(SPARE_SHAPES)


def channels(architectures: Sequence[str]) -> tuple[alt.Color, alt.Shape]:
    colours = [f"{TOKEN}colour.{kind_of(name)}" for name in architectures]
    shapes = [shape_of(name) for name in architectures]
    return (
        alt.Color("architecture:N", scale=alt.Scale(domain=list(architectures), range=colours), legend=None),
        alt.Shape("architecture:N", scale=alt.Scale(domain=list(architectures), range=shapes), legend=None),
    )


def finish(
    layers: Sequence[alt.Chart],
    height: int,
    description: str,
    values: Sequence[Row],
    signals: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Charts over each other as Vega-Lite.

    ``values``: what those draw that bring none of their own; ``signals``: which they read, and what each begins with.

    Put together here, as Altair's ``layer`` copies every part of every chart several times (half of a page's seconds).
    Nothing is validated against Vega-Lite's schema, which takes ten times as long as all else: the tests do that.
    """
    drawn_by_all = {"top_level": False, "data": None}  # a chart without data takes those around it
    return {
        "$schema": alt.SCHEMA_URL,
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [{"name": name, "value": value} for name, value in (signals or {}).items()],
        "data": {"values": list(values)},
        "layer": [layer.to_dict(validate=False, context=drawn_by_all) for layer in layers],
    }


def value_axis(rows: Sequence[Row], zero: bool) -> alt.Scale:
    finite = [row["value"] for row in rows if math.isfinite(row["value"])]
    if finite and rows[0].get("unit") not in SCORES and min(finite) > 0 and max(finite) / min(finite) > LOG_SPREAD:
        return alt.Scale(type="log", nice=True)
    return alt.Scale(zero=True, nice=True) if zero else alt.Scale(zero=False, nice=True, padding=8)


def is_log(scale: alt.Scale) -> bool:
    """Whether a value axis is logarithmic."""
    return bool(scale.to_dict().get("type") == "log")


def axis_format(values: Iterable[float]) -> str:
    """A d3 format for an axis: thousands grouped up to 99,999, then k, M, G; no milli or micro."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    largest = max(sizes, default=0)
    if sizes and min(sizes) < 1e-4:
        return "~g"
    return "~s" if largest >= 100_000 else ",.4~r"


def about(row: Row) -> dict[str, str]:
    return {key: row[key] for key in ("task", "metric", "variable", "experiment", "device", "unit")}


def tooltip(words: Words, metric: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title=f"{TOKEN}table.architecture"),
        alt.Tooltip("replicate:Q", title=f"{TOKEN}table.replicate"),
        alt.Tooltip("value:Q", title=words.token("metric", metric), format=",.4~r"),
        alt.Tooltip("run:N", title=f"{TOKEN}table.run"),
    ]
