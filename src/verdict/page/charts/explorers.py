"""Charts to play with: curves with a place that the reader moves, and maps of what happens inside on one sentence."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from verdict.page.charts.theme import Panel, about, arranged, axis_format, channels, finish, value_axis
from verdict.page.words import TOKEN, Words

Row = dict[str, Any]

HEIGHT = 260


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
    place = alt.param(name="place", value=len(ats) // 2)
    base = alt.Chart()
    here = (
        base.transform_filter("datum.place === place")
        .mark_rule(color=f"{TOKEN}colour.soft", strokeWidth=1.2)
        .encode(x=x)
    )
    line = base.mark_line(strokeWidth=1.3, opacity=0.6).encode(x=x, y=y, color=colour, detail="replicate:N")
    points = (
        base.transform_filter("datum.place === place && isValid(datum.value)")
        .mark_point(filled=True, size=70, opacity=0.9)
        .encode(x=x, y=y, color=colour, shape=shape)
    )
    chart = alt.layer(here, line, points, data=alt.Data(values=values)).add_params(place)
    spec = finish(chart, HEIGHT, f"{TOKEN}chart.describe.explorer")
    return Panel(
        "explorer", spec, list(ordered), architectures, HEIGHT + 55, {**about(rows[0]), "variant": rows[0]["variant"]}
    )
