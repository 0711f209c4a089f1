"""Charts to play with: curves with a place that the reader moves, and maps of what happens inside on one sentence."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from verdict.page.charts.theme import (
    Panel,
    about,
    arranged,
    axis_format,
    channels,
    finish,
    kind_of,
    value_axis,
)
from verdict.page.words import TOKEN, Words

Row = dict[str, Any]
Heads = Sequence[Sequence[Sequence[float]]]  # [N, T, S]

HEIGHT = 260
CELL = 15  # pixels of a piece on a map


def explorer(rows: Sequence[Row], words: Words) -> Panel:
    """Every replicate as a thin line over the swept variable, with a rule where the reader's slider stands.

    The slider sets the signal ``place``, the number (from 0) of a swept value in ascending order; what stands there is
    told by the page beside the chart. A value never reached ends its line.
    """
    architectures = arranged(row["architecture"] for row in rows)
    ats = sorted({row["at"] for row in rows})
    ordered = sorted(rows, key=lambda row: (architectures.index(row["architecture"]), row["replicate"] or 0, row["at"]))
    values = [
        {
            "architecture": row["architecture"],
            "label": words.token("architecture", row["architecture"]),
            "at": row["at"],
            "place": ats.index(row["at"]),
            "value": row["value"] if math.isfinite(row["value"]) else None,
            "replicate": row["replicate"],
            "run": row["run"],
        }
        for row in ordered
    ]
    variable = rows[0]["variable"]
    is_target = variable.startswith("target")
    colour, shape = channels(architectures)
    x = alt.X(
        "at:Q",
        scale=alt.Scale(zero=False, nice=False, padding=10, reverse=is_target),
        axis=alt.Axis(title=words.token("variable", variable), format=axis_format(ats), tickCount=7, grid=False),
    )
    y = alt.Y(
        "value:Q",
        scale=value_axis(rows, zero=is_target),
        axis=alt.Axis(title=None, format=axis_format(row["value"] for row in rows), tickCount=6),
    )
    base = alt.Chart()
    here = (
        base.transform_filter("datum.place === place")
        .mark_rule(color=f"{TOKEN}colour.soft", strokeWidth=1.2)
        .encode(x=x)
    )
    line = base.mark_line(strokeWidth=1.3, opacity=0.6).encode(x=x, y=y, color=colour, detail=alt.Detail("replicate:N"))
    points = (
        base.transform_filter("datum.place === place && isValid(datum.value)")
        .mark_point(filled=True, size=70, opacity=0.9)
        .encode(x=x, y=y, color=colour, shape=shape)
    )
    signals = {"place": len(ats) // 2}
    spec = finish([here, line, points], HEIGHT, f"{TOKEN}chart.describe.explorer", values, signals)
    return Panel(
        "explorer", spec, list(ordered), architectures, HEIGHT + 55, {**about(rows[0]), "variant": rows[0]["variant"]}
    )


def attention(layers: Sequence[Heads], down: Sequence[str], across: Sequence[str], architecture: str) -> Panel:
    """A map of attention weights [layer][head][T][S]: how much the piece of a line reads of the piece of a column.

    The signals ``layer`` and ``head`` (from 0) choose among the maps. Weights of zero are left white.
    """
    lines, columns = _numbered(down), _numbered(across)
    values = [
        {"layer": layer, "head": head, "down": lines[t], "across": columns[s], "value": weight}
        for layer, heads in enumerate(layers)
        for head, weights in enumerate(heads)
        for t, weights_of in enumerate(weights)
        for s, weight in enumerate(weights_of)
        if weight
    ]
    base = alt.Chart().transform_filter("datum.layer === layer && datum.head === head")
    chart = base.mark_rect().encode(
        x=alt.X("across:O", scale=alt.Scale(domain=columns), axis=_pieces(labelAngle=-60, orient="top")),
        y=alt.Y("down:O", scale=alt.Scale(domain=lines), axis=_pieces()),
        color=_weights(architecture),
        tooltip=[alt.Tooltip("value:Q", title=f"{TOKEN}chart.weight", format=".2f")],
    )
    height = CELL * len(lines)
    spec = finish([chart], height, f"{TOKEN}chart.describe.attention", values, {"layer": 0, "head": 0})
    return Panel("map", spec, [], [architecture], height + 60)


def gates(layers: Sequence[dict[str, dict[str, Sequence[float]]]], pieces: Sequence[str], architecture: str) -> Panel:
    """A map of gates [layer][name][mean][T]: how far each is open on the units' mean, piece by piece.

    The signal ``layer`` (from 0) chooses.
    """
    columns, names = _numbered(pieces), [f"{TOKEN}gate.{name}" for name in layers[0]]
    values = [
        {"layer": layer, "name": f"{TOKEN}gate.{name}", "across": columns[t], "value": mean}
        for layer, told in enumerate(layers)
        for name in told
        for t, mean in enumerate(told[name]["mean"])
    ]
    base = alt.Chart().transform_filter("datum.layer === layer")
    chart = base.mark_rect().encode(
        x=alt.X("across:O", scale=alt.Scale(domain=columns), axis=_pieces(labelAngle=-60, orient="top")),
        y=alt.Y("name:N", scale=alt.Scale(domain=names), axis=alt.Axis(title=None, domain=False, ticks=False)),
        color=_weights(architecture),
        tooltip=[alt.Tooltip("value:Q", title=f"{TOKEN}chart.open", format=".2f")],
    )
    height = 2 * CELL * len(names)
    spec = finish([chart], height, f"{TOKEN}chart.describe.gates", values, {"layer": 0})
    return Panel("map", spec, [], [architecture], height + 60)


def state(layers: Sequence[dict[str, Sequence[float]]], pieces: Sequence[str], architecture: str) -> Panel:
    """The size of a state [layer][mean, low, high][T] over the pieces read: the units' mean, and the range of most.

    The signal ``layer`` (from 0) chooses.
    """
    columns = _numbered(pieces)
    values = [
        {"layer": layer, "at": columns[t], "mean": mean, "low": low, "high": high}
        for layer, told in enumerate(layers)
        for t, (mean, low, high) in enumerate(zip(told["mean"], told["low"], told["high"], strict=True))
    ]
    base = alt.Chart().transform_filter("datum.layer === layer")
    ink = f"{TOKEN}colour.{kind_of(architecture)}"
    x = alt.X("at:O", scale=alt.Scale(domain=columns), axis=_pieces(labelAngle=-60))
    axis = alt.Axis(title=None, tickCount=4)
    band = base.mark_area(opacity=0.2, color=ink).encode(x=x, y=alt.Y("low:Q", axis=axis), y2=alt.Y2("high:Q"))
    line = base.mark_line(strokeWidth=1.8, color=ink).encode(x=x, y=alt.Y("mean:Q", axis=axis))
    spec = finish([band, line], 150, f"{TOKEN}chart.describe.state", values, {"layer": 0})
    return Panel("map", spec, [], [architecture], 220)


def _weights(architecture: str) -> alt.Color:
    shades = [f"{TOKEN}colour.paper", f"{TOKEN}colour.{kind_of(architecture)}"]
    return alt.Color("value:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=shades, interpolate="lab"))


def _pieces(**more: Any) -> alt.Axis:
    shown: dict[str, Any] = {"labelExpr": "slice(datum.value, 3)", "labelLimit": 70, "labelOverlap": False}
    return alt.Axis(title=None, domain=False, ticks=False, **shown, **more)


def _numbered(pieces: Sequence[str]) -> list[str]:
    """Pieces as distinct names: a number of two digits and a blank before each, which the axis does not show."""
    return [f"{number:02d} {piece.replace(' ', '·')}" for number, piece in enumerate(pieces)]
