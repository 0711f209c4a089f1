"""Charts of measurements: every replicate as a point. Pure functions from rows to panels.

The line or tick through the points is Vega's own mean of what is drawn, never a number that is printed.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import altair as alt

from verdict.page.charts.theme import (
    PARTS,
    ROW_HEIGHT,
    Panel,
    about,
    arranged,
    axis_format,
    channels,
    finish,
    is_log,
    tooltip,
    value_axis,
)
from verdict.page.words import TOKEN, Words

Row = dict[str, Any]

NAMED_LINES = 3  # lines up to which each is named at its end
TICKS = 12  # values of a swept variable up to which each has a tick
NAME_HEIGHT = 0.09  # of the drawn values' span, between two such names


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
    colour, shape = channels(architectures)
    base = alt.Chart()
    y = alt.Y("label:N", sort=labels, axis=None, scale=alt.Scale(domain=labels))
    x = alt.X(
        "value:Q",
        scale=value_axis(rows, zero=False),
        axis=alt.Axis(title=None, tickCount=5, format=axis_format(row["value"] for row in rows), grid=True),
    )
    points = base.mark_point(filled=True, size=70, opacity=0.75, yOffset=8).encode(
        x=x, y=y, color=colour, shape=shape, tooltip=tooltip(words, metric)
    )
    means = base.mark_tick(thickness=2, size=20, yOffset=8).encode(x=alt.X("mean(value):Q"), y=y, color=colour)
    names = (
        alt.Chart(alt.Data(values=[{"label": name} for name in labels]))
        .mark_text(align="left", baseline="middle", dy=-9)
        .encode(x=alt.XValue(0), y=y, text=alt.Text("label:N"))
    )
    height = ROW_HEIGHT * len(labels)
    spec = finish([means, points, names], height, f"{TOKEN}chart.describe.strip", values)
    return Panel("strip", spec, list(ordered), architectures, height + 30, about(rows[0]))


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
    colour, shape = channels(architectures)
    base = alt.Chart()
    x = alt.X(
        "at:Q",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12)
        if wide
        else alt.Scale(zero=False, nice=False, padding=12, reverse=variable.startswith("target")),
        axis=alt.Axis(
            title=words.token("variable", variable),
            # every value that was set has its tick, unless they would stand in each other's way
            **({"values": ats} if len(ats) <= TICKS else {"tickCount": 5}),
            format=axis_format(ats),
            grid=False,
        ),
    )
    heights = value_axis(rows, zero=True)
    y = alt.Y(
        "value:Q",
        scale=heights,
        axis=alt.Axis(title=None, format=axis_format(row["value"] for row in rows), tickCount=5),
    )
    detail = [alt.Detail("variant:N")] if several else []
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
            tooltip=[alt.Tooltip("at:Q", title=words.token("variable", variable)), *tooltip(words, metric)],
        )
    )
    layers: list[alt.Chart] = [line, points]
    if not several:
        layers += ends([value for value in values if value["whole"]], colour, is_log(heights), variable)
    if any(value["value"] is None for value in values):
        layers.append(
            base.transform_filter("!isValid(datum.value)")
            .mark_text(text=f"✕ {TOKEN}figure.never", baseline="bottom", fontSize=11)
            .encode(x=x, y=alt.YValue(-3), color=colour)
        )
    spec = finish(layers, 220, f"{TOKEN}chart.describe.curve", values)
    return Panel("curve", spec, ordered, architectures, 275, about(rows[0]))


def ends(
    values: Sequence[dict[str, Any]], colour: alt.Color, is_logarithmic: bool, variable: str = ""
) -> list[alt.Chart]:
    """A layer that names every line where it ends, if there are few; names that would touch are moved apart.

    A name stands at the mean of the last values, which is a place and no number that is printed.
    """
    names = list(dict.fromkeys(value["architecture"] for value in values))
    if not 1 < len(names) <= NAMED_LINES:
        return []
    height = math.log if is_logarithmic else float
    low, high = (height(pick(value["value"] for value in values)) for pick in (min, max))
    told = []
    for name in names:
        own = [value for value in values if value["architecture"] == name]
        last = (min if variable.startswith("target") else max)(value["at"] for value in own)
        heights = [height(value["value"]) for value in own if value["at"] == last]
        told.append([sum(heights) / len(heights), last, name, own[0]["label"]])
    told.sort()
    apart = NAME_HEIGHT * (high - low)
    for before, after in pairwise(told):
        after[0] = max(after[0], before[0] + apart)
    back = math.exp if is_logarithmic else float
    placed = [{"architecture": name, "label": label, "at": last, "value": back(at)} for at, last, name, label in told]
    text = alt.Chart(alt.Data(values=placed)).encode(x=alt.X("at:Q"), y=alt.Y("value:Q"), text=alt.Text("label:N"))
    look: dict[str, Any] = {"align": "right", "baseline": "bottom", "dx": 4, "dy": -6, "fontSize": 11}
    halo = text.mark_text(stroke=f"{TOKEN}colour.paper", strokeWidth=4, opacity=0.85, **look)
    return [halo, text.mark_text(**look).encode(color=colour)]


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
    colour, shape = channels(architectures)
    base = alt.Chart()
    x = alt.X(
        "at:Q",
        scale=alt.Scale(type="log", nice=False, padding=8),
        axis=alt.Axis(title=f"{TOKEN}chart.over.{over}", format="~s", tickCount=5, grid=False),
    )
    y = alt.Y("value:Q", scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(title=None, format=",.4~r", tickCount=5))
    line = base.mark_line(strokeWidth=1.3, opacity=0.7).encode(x=x, y=y, color=colour, detail=alt.Detail("run:N"))
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
    layers = [line, points, *ends(values, colour, is_logarithmic=False)]
    spec = finish(layers, 220, f"{TOKEN}chart.describe.learning", values)
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
    base = alt.Chart()
    y = alt.Y("label:N", sort=labels, axis=None, scale=alt.Scale(domain=labels))
    bars = base.mark_bar(size=15, yOffset=8).encode(
        x=alt.X("value:Q", stack="zero", axis=alt.Axis(title=None, format="~s", tickCount=5)),
        y=y,
        order=alt.Order("order:Q"),
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
        .encode(x=alt.XValue(0), y=y, text=alt.Text("label:N"))
    )
    height = ROW_HEIGHT * len(labels)
    spec = finish([bars, names], height, f"{TOKEN}chart.describe.parts", values)
    told = about(drawn[0]) | {"metric": "parameters", "variant": drawn[0]["variant"]}
    return Panel("parts", spec, list(rows), used, height + 30, told)
