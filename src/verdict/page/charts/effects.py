"""Charts of judged effects: what the judge found over the swept variable, against the margin."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from verdict.page import effects
from verdict.page.charts.theme import Panel, axis_format, finish
from verdict.page.words import TOKEN, Words

HEIGHT = 200
ROOM = 1.05  # as a factor, above and below the outermost ratio
#: ratios that stand at an axis, from the most telling on
TICKS = (1.0, 2.0, 0.5, 1.5, 0.67, 1.2, 0.8, 1.1, 0.9, 1.05, 0.95)


def gap(tests: Sequence[dict[str, Any]], words: Words) -> Panel:
    """The effect with its interval over the swept value, the margin shaded, the borders between verdicts dashed.

    ``tests`` are judged entries of one comparison that differ in the swept value alone. Above the margin the evidence
    speaks for the claim. Every number drawn is the judge's.
    """
    first = tests[0]
    values = [
        {
            "at": test["sides"]["at"],
            "estimate": test["estimate"],
            "low": test["low"],
            "high": test["high"],
            "verdict": f"{TOKEN}label.{test['label']}",
            "colour": test["label"],
        }
        for test in sorted(tests, key=lambda test: test["sides"]["at"])
    ]
    is_ratio = first["effect"] == "ratio"
    band, borders = effects.borders_of(first)

    def scaled(margins: float) -> float:
        return first["margin"] ** margins if is_ratio else first["margin"] * margins

    labels = sorted({test["label"] for test in tests})
    ats = sorted({value["at"] for value in values})
    variable = first["sides"]["variable"]
    wide = min(ats) > 0 and max(ats) / min(ats) >= 8
    shown = [value[key] for value in values for key in ("estimate", "low", "high") if value[key] is not None]
    x = alt.X(
        "at:Q",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12)
        if wide
        else alt.Scale(zero=False, nice=False, padding=12, reverse=variable.startswith("target")),
        axis=alt.Axis(title=words.token("variable", variable), values=ats, format=axis_format(ats), grid=False),
    )
    shown += [scaled(edge) for edge in (-band, band, *borders)]
    if is_ratio:
        span = [min(shown) / ROOM, max(shown) * ROOM]
        scale = alt.Scale(type="log", nice=False, domain=span)
        axis = alt.Axis(title=None, format="~g", values=_ticks(*span))
    else:
        scale = alt.Scale(zero=True, nice=True)
        axis = alt.Axis(title=None, format=axis_format(shown), tickCount=5)
    colour = alt.Color(
        "colour:N",
        legend=None,
        scale=alt.Scale(domain=labels, range=[f"{TOKEN}colour.label_{label}" for label in labels]),
    )
    base = alt.Chart()
    said = [
        alt.Tooltip("at:Q", title=words.token("variable", variable)),
        alt.Tooltip("estimate:Q", title=f"{TOKEN}chart.gap.estimate", format=",.4~r"),
        alt.Tooltip("low:Q", title=f"{TOKEN}chart.gap.low", format=",.4~r"),
        alt.Tooltip("high:Q", title=f"{TOKEN}chart.gap.high", format=",.4~r"),
        alt.Tooltip("verdict:N", title=f"{TOKEN}table.verdict"),
    ]
    layers = [
        alt.Chart(alt.Data(values=[{"low": scaled(-band), "high": scaled(band)}]))
        .mark_rect(color=f"{TOKEN}colour.band", opacity=1)
        .encode(y=alt.Y("low:Q", scale=scale, axis=axis), y2=alt.Y2("high:Q")),
        alt.Chart(alt.Data(values=[{"border": scaled(border)} for border in borders]))
        .mark_rule(strokeDash=[2, 3], color=f"{TOKEN}colour.soft")
        .encode(y=alt.Y("border:Q", scale=scale)),
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2.5)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q"), color=colour),
        base.mark_point(filled=True, size=55, opacity=1).encode(
            x=x, y=alt.Y("estimate:Q", scale=scale), color=colour, tooltip=said
        ),
    ]
    about = {key: first["sides"].get(key) or "" for key in ("task", "device")} | {
        "metric": first["metric"],
        "variable": variable,
    }
    spec = finish(layers if band else layers[1:], HEIGHT, f"{TOKEN}chart.describe.gap", values)
    return Panel("gap", spec, [], [], HEIGHT + 55, about)


def _ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Ratios within [low, high] to stand at a logarithmic axis: powers of ten where it is long, telling ones else."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    if last - first >= 2:
        every = max(1, math.ceil((last - first) / count))
        return [10.0**power for power in range(first, last + 1, every)]
    return sorted([tick for tick in (*TICKS, 5.0, 0.2, 10.0, 0.1, 20.0, 50.0) if low <= tick <= high][:count])
