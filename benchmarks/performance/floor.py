"""What bounds a step of training or of a search: the seconds its operators take at least, by their FLOPs and bytes and
the machine's best rates.

The roofline of Williams, Waterman and Patterson (2009), operator by operator: a kind of operators takes at least its
FLOPs over the best rate of matrix products, and at least its bytes over the best rate of copying at the level of the
memory in which they lie.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt

from benchmarks.performance import peak
from benchmarks.performance.profile import PRODUCTS, SECTION, WHOLE
from benchmarks.performance.table import Row, row

#: whose step: precision, width, length, rows, and what is done by whom
Key = tuple[str | None, int | None, int | None, int | None, str]
#: the family whose steps the picture shows
SHOWN = "language_model"


def _rates(rows: Sequence[Row]) -> tuple[dict[str | None, float], dict[str, float]]:
    """FLOPs per second by precision, and bytes per second by level."""
    told = [one for one in rows if one.section == peak.SECTION]
    flops = {one.precision: one.value for one in told if one.contestant == peak.BEST}
    return flops, {one.contestant: one.value for one in told if one.metric == "bytes per second"}


def key(one: Row) -> Key:
    """Whose step a row tells of."""
    return one.precision, one.width, one.length, one.batch, one.model


def _profiles(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = defaultdict(list)
    for one in rows:
        if one.section == SECTION:
            found[key(one)].append(one)
    return found


def floors(rows: Sequence[Row]) -> list[Row]:
    """For each profile the least seconds of each kind of operators, and what share of the step they and the matrix
    products by themselves are; empty where the machine's rates or the profile are not measured."""
    peaks, bandwidths = _rates(rows)
    found = []
    for (precision, *_, name), told in _profiles(rows).items():
        if precision not in peaks or not bandwidths:
            continue
        columns: dict[str, Any] = {
            "precision": precision, "width": told[0].width, "length": told[0].length,
            "batch": told[0].batch, "threads": told[0].threads,
        }  # fmt: skip
        computing: dict[str, float] = defaultdict(float)
        moving: dict[str, float] = defaultdict(float)
        for one in told:
            if one.metric == "FLOPs per step":
                computing[one.contestant] += one.value / peaks[precision]
            elif one.metric == "bytes per step":
                moving[one.contestant] += one.value / bandwidths[one.note]
        seconds = {one.contestant: one.value for one in told if one.metric == "seconds per step"}
        least = {kind: max(computing[kind], moving[kind]) for kind in {*computing, *moving}}
        mine = partial(row, "floor", name, unit="share", **columns)
        for kind, value in sorted(least.items(), key=lambda one: -one[1]):
            bound = "FLOPs" if computing[kind] >= moving[kind] else "bytes"
            found.append(mine(kind, "share of the step", [value / seconds[WHOLE]], note=f"bound by its {bound}"))
        for kind, value in ((WHOLE, sum(least.values())), (PRODUCTS, seconds[PRODUCTS])):
            found.append(mine(kind, "share of the step", [value / seconds[WHOLE]]))
        most = sum(computing.values()) / sum(least.values())
        found.append(mine(WHOLE, "utilisation at the floor", [most]))
    return found


def roofline(rows: Sequence[Row]) -> alt.LayerChart | None:
    """Each step of a language model at its FLOPs per byte and FLOPs per second, below the roofs of the machine; None
    without both."""
    peaks, bandwidths = _rates(rows)
    steps = []
    for (precision, width, length, _, name), told in _profiles(rows).items():
        family, architecture = name.split(": ")
        if family != SHOWN:
            continue
        total = {
            metric: sum(one.value for one in told if one.metric == metric)
            for metric in ("FLOPs per step", "bytes per step")
        }
        seconds = next(one.value for one in told if one.metric == "seconds per step" and one.contestant == WHOLE)
        steps.append(
            {
                "intensity": total["FLOPs per step"] / total["bytes per step"],
                "rate": total["FLOPs per step"] / seconds,
                "architecture": architecture,
                "at": f"{precision}, {width} × {length}",
            }
        )
    if not steps or not peaks or not bandwidths:
        return None
    reach = [0.25, 4 * max(one["intensity"] for one in steps)]
    roofs = [
        {
            "intensity": at, "rate": min(peak_rate, at * bandwidth),
            "roof": f"{precision}, from the {level}" if level != "memory" else f"{precision}, from memory",
        }
        for precision, peak_rate in peaks.items()
        for level, bandwidth in bandwidths.items()
        for at in sorted({*reach, peak_rate / bandwidth})
    ]  # fmt: skip
    x = alt.X("intensity:Q", scale=alt.Scale(type="log", nice=False), title="FLOPs per byte read or written")
    y = alt.Y("rate:Q", scale=alt.Scale(type="log", nice=False), title="FLOPs per second", axis=alt.Axis(format=".1s"))
    lines = alt.Chart(alt.Data(values=roofs)).mark_line(color="#8a8f98").encode(
        x=x, y=y, strokeDash=alt.StrokeDash("roof:N", title="roof of the machine")
    )  # fmt: skip
    points = alt.Chart(alt.Data(values=steps)).mark_point(filled=True, size=90, opacity=1).encode(
        x=x, y=y, color=alt.Color("architecture:N", title="training step of"),
        shape=alt.Shape("at:N", sort=None, title="precision, width × length"),
    )  # fmt: skip
    room = {"left": 5, "top": 5, "bottom": 5, "right": 60}  # for the legend in a wider font than it was measured in
    return (lines + points).properties(width=480, height=320, background="white", padding=room)
