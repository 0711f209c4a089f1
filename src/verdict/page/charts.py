"""Charts: rows of the evidence or of a learning curve become Vega-Lite specs (Altair), one small panel each.

Pure functions. A panel draws the raw points of every replicate; the line or tick through them is Vega's own mean of
what is drawn, never a number that is printed. Texts are tokens (``@@metric.chrf``), and so are colours
(``@@colour.lstm``): the page's script puts in the language and the theme. An architecture has one colour and one shape
everywhere (after Okabe and Ito's palette, told apart by people with any colour vision).
"""

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt

from verdict.page.words import TOKEN, Words

Row = dict[str, Any]

SHAPES = {
    "transformer": "circle",
    "lstm": "square",
    "lstm_no_attention": "triangle-up",
    "lstm_classic": "triangle-down",
    "lstm_feedforward": "triangle-right",
    "lstm_feedforward_no_attention": "triangle-left",
    "lstm_forget0": "wedge",
    "gru": "arrow",
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
PARTS = ("embedding", "mixing", "feedforward", "output", "other")
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
    return architecture if architecture in SHAPES else f"spare{_spare(architecture)}"


def shape_of(architecture: str) -> str:
    """An architecture's shape: a name that Vega knows or the path of a polygon within ±1."""
    return SHAPES.get(architecture) or SPARE_SHAPES[_spare(architecture)]


def _spare(architecture: str) -> int:
    return zlib.crc32(architecture.encode()) % len(SPARE_SHAPES)


def _channels(architectures: Sequence[str]) -> tuple[alt.Color, alt.Shape]:
    colours = [f"{TOKEN}colour.{kind_of(name)}" for name in architectures]
    shapes = [shape_of(name) for name in architectures]
    return (
        alt.Color("architecture:N", scale=alt.Scale(domain=list(architectures), range=colours), legend=None),
        alt.Shape("architecture:N", scale=alt.Scale(domain=list(architectures), range=shapes), legend=None),
    )


def _finish(chart: Any, height: int, description: str) -> dict[str, Any]:
    spec: dict[str, Any] = chart.properties(width="container", height=height, description=description).to_dict()
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def _value_axis(rows: Sequence[Row], zero: bool) -> alt.Scale:
    finite = [row["value"] for row in rows if math.isfinite(row["value"])]
    if finite and min(finite) > 0 and max(finite) / min(finite) > LOG_SPREAD:
        return alt.Scale(type="log", nice=True)
    return alt.Scale(zero=True, nice=True) if zero else alt.Scale(zero=False, nice=True, padding=8)


def _format(values: Iterable[float]) -> str:
    """A d3 format for an axis: thousands grouped up to 99,999, then k, M, G; no milli or micro."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    largest = max(sizes, default=0)
    if sizes and min(sizes) < 1e-4:
        return "~g"
    return "~s" if largest >= 100_000 else ",.4~r"


def strip(rows: Sequence[Row], words: Words, by: Sequence[str] = ("variant", "matching")) -> Panel:
    """Every replicate of one metric as a point, a row per architecture (and variant, matching, where they differ).

    ``rows`` are evidence rows of one metric. Values that were never reached are left out of the drawing, not of the
    table. Baselines, which have one value, come below the models.
    """
    by = [name for name in by if len({row[name] for row in rows if row["architecture"] != "baseline"}) > 1]
    architectures = arranged(row["architecture"] for row in rows)

    def label(row: Row) -> str:
        if row["architecture"] == "baseline":
            return words.token("baseline", row["variant"])
        parts = [words.token("architecture", row["architecture"])]
        parts += [words.token(name, row[name]) for name in by if row[name]]
        return " · ".join(parts)

    ordered = sorted(
        rows,
        key=lambda row: (
            architectures.index(row["architecture"]),
            *(row[name] for name in (*by, "variant", "matching")),
        ),
    )
    labels = list(dict.fromkeys(label(row) for row in ordered))
    values = [
        {
            "label": label(row),
            "architecture": row["architecture"],
            "value": row["value"],
            "replicate": row["replicate"],
            "run": row["run"],
        }
        for row in ordered
        if math.isfinite(row["value"])
    ]
    metric = rows[0]["metric"]
    colour, shape = _channels(architectures)
    base = alt.Chart(alt.Data(values=values))
    y = alt.Y("label:N", sort=labels, axis=None, scale=alt.Scale(domain=labels))
    x = alt.X(
        "value:Q",
        scale=_value_axis(rows, zero=False),
        axis=alt.Axis(title=None, tickCount=5, format=_format(row["value"] for row in rows), grid=True),
    )
    points = base.mark_point(filled=True, size=70, opacity=0.75, yOffset=8).encode(
        x=x, y=y, color=colour, shape=shape, tooltip=_tooltip(words, metric)
    )
    means = base.mark_tick(thickness=2, size=20, yOffset=8).encode(x=alt.X("mean(value):Q"), y=y, color=colour)
    names = (
        alt.Chart(alt.Data(values=[{"label": name} for name in labels]))
        .mark_text(align="left", baseline="middle", dy=-9)
        .encode(x=alt.value(0), y=y, text="label:N")
    )
    height = ROW_HEIGHT * len(labels)
    spec = _finish(alt.layer(means, points, names), height, f"{TOKEN}chart.describe.strip")
    return Panel("strip", spec, list(ordered), architectures, height + 30, _about(rows[0]))


def curve(rows: Sequence[Row], words: Words) -> Panel:
    """A metric over the variable that was swept: a point per replicate, a line through each architecture's mean.

    A value never reached stands as a cross above the upper edge.
    """
    architectures = arranged(row["architecture"] for row in rows)
    several = len({row["variant"] for row in rows}) > 1
    ordered = sorted(
        rows,
        key=lambda row: (architectures.index(row["architecture"]), row["variant"], row["at"], row["replicate"] or 0),
    )
    # where some replicates never got there, a mean of the others would flatter: no line through that place
    broken = {(row["architecture"], row["variant"], row["at"]) for row in ordered if not math.isfinite(row["value"])}
    values = [
        {
            "architecture": row["architecture"],
            "variant": row["variant"],
            "at": row["at"],
            "whole": (row["architecture"], row["variant"], row["at"]) not in broken,
            "value": row["value"] if math.isfinite(row["value"]) else None,
            "replicate": row["replicate"],
            "label": words.token("architecture", row["architecture"]),
            "run": row["run"],
        }
        for row in ordered
    ]
    ats = sorted({row["at"] for row in rows})
    variable, metric = rows[0]["variable"], rows[0]["metric"]
    wide = min(ats) > 0 and max(ats) / min(ats) >= 8
    colour, shape = _channels(architectures)
    base = alt.Chart(alt.Data(values=values))
    x = alt.X(
        "at:Q",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12)
        if wide
        else alt.Scale(zero=False, nice=False, padding=12, reverse=variable.startswith("target")),
        axis=alt.Axis(title=words.token("variable", variable), values=ats, format=_format(ats), grid=False),
    )
    y = alt.Y(
        "value:Q",
        scale=_value_axis(rows, zero=True),
        axis=alt.Axis(title=None, format=_format(row["value"] for row in rows), tickCount=5),
    )
    detail = ["variant:N"] if several else []
    line = (
        base.transform_filter("datum.whole")
        .mark_line(strokeWidth=1.8)
        .encode(x=x, y=alt.Y("mean(value):Q"), color=colour, detail=detail)
    )
    points = (
        base.transform_filter("isValid(datum.value)")
        .mark_point(filled=True, size=42, opacity=0.6)
        .encode(
            x=x,
            y=y,
            color=colour,
            shape=shape,
            tooltip=[alt.Tooltip("at:Q", title=words.token("variable", variable)), *_tooltip(words, metric)],
        )
    )
    layers: list[alt.Chart] = [line, points]
    if any(value["value"] is None for value in values):
        layers.append(
            base.transform_filter("!isValid(datum.value)")
            .mark_text(text=f"✕ {TOKEN}figure.never", baseline="bottom", fontSize=11)
            .encode(x=x, y=alt.value(-3), color=colour)
        )
    spec = _finish(alt.layer(*layers), 220, f"{TOKEN}chart.describe.curve")
    return Panel("curve", spec, ordered, architectures, 275, _about(rows[0]))


def learning(history: Sequence[Row], words: Words, over: str = "tokens") -> Panel:
    """Validation bits per byte while training, one thin line per seed, over ``tokens``, ``flops`` or ``seconds``.

    ``history`` are the history rows of one task that have a validation loss.
    """
    history = [row for row in history if row["valid_bits_per_byte"] is not None and (row[over] or 0) > 0]
    architectures = arranged(row["architecture"] for row in history)
    ordered = sorted(
        history, key=lambda row: (architectures.index(row["architecture"]), row["variant"], row["tokens"], row["run"])
    )
    values = [
        {
            "architecture": row["architecture"],
            "run": row["run"],
            "at": row[over],
            "value": row["valid_bits_per_byte"],
            "replicate": row["replicate"],
            "label": words.token("architecture", row["architecture"]),
        }
        for row in ordered
    ]
    colour, shape = _channels(architectures)
    base = alt.Chart(alt.Data(values=values))
    x = alt.X(
        "at:Q",
        scale=alt.Scale(type="log", nice=False, padding=8),
        axis=alt.Axis(title=f"{TOKEN}chart.over.{over}", format="~s", tickCount=5, grid=False),
    )
    y = alt.Y("value:Q", scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(title=None, format=",.4~r", tickCount=5))
    line = base.mark_line(strokeWidth=1.3, opacity=0.7).encode(x=x, y=y, color=colour, detail="run:N")
    points = base.mark_point(filled=True, size=22, opacity=0.8).encode(
        x=x,
        y=y,
        color=colour,
        shape=shape,
        tooltip=[
            alt.Tooltip("run:N", title=f"{TOKEN}table.run"),
            alt.Tooltip("at:Q", title=f"{TOKEN}chart.over.{over}", format="~s"),
            alt.Tooltip("value:Q", title=words.token("metric", "valid_bits_per_byte"), format=".3f"),
        ],
    )
    spec = _finish(alt.layer(line, points), 220, f"{TOKEN}chart.describe.learning")
    return Panel(
        "learning",
        spec,
        ordered,
        architectures,
        275,
        {"task": ordered[0]["task"], "metric": "valid_bits_per_byte", "over": over},
    )


def parts(rows: Sequence[Row], words: Words) -> Panel:
    """Parameters by part as stacked bars, one bar per architecture; ``rows`` are anatomy rows of one task and variant.

    Tied matrices are counted once, by whoever measured; ``parameters_total`` and ``parameters_nonembedding`` are sums
    and are not drawn.
    """
    named = {f"parameters_{part}": part for part in PARTS}
    drawn = [row for row in rows if row["metric"] in named]
    architectures = arranged(row["architecture"] for row in drawn)
    values = [
        {
            "label": words.token("architecture", row["architecture"]),
            "part": words.token("part", named[row["metric"]]),
            "order": PARTS.index(named[row["metric"]]),
            "value": row["value"],
        }
        for row in drawn
    ]
    labels = [words.token("architecture", name) for name in architectures]
    used = [part for part in PARTS if any(named[row["metric"]] == part for row in drawn)]
    base = alt.Chart(alt.Data(values=values))
    y = alt.Y("label:N", sort=labels, axis=None, scale=alt.Scale(domain=labels))
    bars = base.mark_bar(size=15, yOffset=8).encode(
        x=alt.X("value:Q", stack="zero", axis=alt.Axis(title=None, format="~s", tickCount=5)),
        y=y,
        order="order:Q",
        color=alt.Color(
            "part:N",
            legend=None,
            scale=alt.Scale(
                domain=[words.token("part", part) for part in used],
                range=[f"{TOKEN}colour.part_{part}" for part in used],
            ),
        ),
        tooltip=[
            alt.Tooltip("label:N", title=f"{TOKEN}table.architecture"),
            alt.Tooltip("part:N", title=f"{TOKEN}chart.part"),
            alt.Tooltip("value:Q", title=f"{TOKEN}chart.parameters", format=","),
        ],
    )
    names = (
        alt.Chart(alt.Data(values=[{"label": name} for name in labels]))
        .mark_text(align="left", baseline="middle", dy=-9)
        .encode(x=alt.value(0), y=y, text="label:N")
    )
    height = ROW_HEIGHT * len(labels)
    spec = _finish(alt.layer(bars, names), height, f"{TOKEN}chart.describe.parts")
    about = _about(drawn[0]) | {"metric": "parameters", "variant": drawn[0]["variant"]}
    return Panel("parts", spec, list(rows), used, height + 30, about)


def _about(row: Row) -> dict[str, str]:
    return {key: row[key] for key in ("task", "metric", "variable", "experiment", "device")}


def _tooltip(words: Words, metric: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title=f"{TOKEN}table.architecture"),
        alt.Tooltip("replicate:Q", title=f"{TOKEN}table.replicate"),
        alt.Tooltip("value:Q", title=words.token("metric", metric), format=",.4~r"),
        alt.Tooltip("run:N", title=f"{TOKEN}table.run"),
    ]
