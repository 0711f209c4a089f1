"""What the rows of a run say at a glance: a table for each section, as Markdown.

Cells are medians with their 95 % intervals, where there are rounds enough for one.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.performance import around, fidelity, generation, growth, packing, peak, profile, training, whole
from benchmarks.performance.goals import misses, summary
from benchmarks.performance.sizes import OURS
from benchmarks.performance.table import Row
from verdict.measure.sweeps import exponent

RATIO = "times as fast as"
BEST_PEER = "best setting of any peer"


def figures(rows: Sequence[Row]) -> dict[str, str]:
    """Markdown by section; a section that was not measured is empty."""
    made = {
        "goals": summary, "peak": _peak, "training": _training, "utilisation": _utilisation, "bounds": _bounds,
        "misses": misses, "generation": _generation, "packing": _packing, "growth": _growth, "fidelity": _fidelity,
        "around": _around, "whole": _whole,
    }  # fmt: skip
    return {name: make(rows) for name, make in made.items()}


def setting(run: Mapping[str, Any]) -> str:
    """What the figures of a run were measured on and with: a sentence from its run.json."""
    versions = ", ".join(f"{name} {version}" for name, version in {**run["versions"], **run["peers"]}.items())
    return f"{run['cpu']}, {run['cores']} cores; {run['plan']['rounds']} rounds; commit {run['commit']}; {versions}"


def overview(run: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """What stands above the tables of all rows: everything at a glance."""
    parts = (f"## {name}, at a glance\n\n{text}" for name, text in figures(rows).items() if text)
    return "\n\n".join(["# Performance", setting(run), *parts])


def told(one: Row) -> str:
    """The figure of a row, and its interval."""
    if one.low is None or one.high is None:
        return _number(one.value, one.unit)
    return f"{_number(one.value, one.unit)} ({_number(one.low, one.unit)}–{_number(one.high, one.unit)})"


def _number(value: float, unit: str) -> str:
    if unit == "share" and abs(value) >= 0.005:
        return f"{value:.0%}"
    for scale, letter in ((1e9, "G"), (1e6, "M")):
        if unit in ("FLOP/s", "B/s", "byte") and abs(value) >= scale:
            return f"{value / scale:.3g} {letter}{unit}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def grid(
    rows: Iterable[Row], down: Callable[[Row], Hashable], across: Callable[[Row], Hashable], corner: str = ""
) -> str:
    """A line for each value of ``down`` and a column for each of ``across``, both in the order in which they come."""
    cells: dict[Hashable, dict[Hashable, str]] = {}
    columns: dict[Hashable, None] = {}
    for one in rows:
        columns[across(one)] = None
        cells.setdefault(down(one), {})[across(one)] = told(one)
    lines = [[corner, *map(str, columns)], ["---"] * (1 + len(columns))]
    lines += [[str(name), *(line.get(column, "") for column in columns)] for name, line in cells.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if cells else ""


def _listed(rows: Iterable[Row]) -> str:
    """A line for each row: what it is of, its figure, its unit."""
    lines = [(one.contestant, one.metric, told(one), one.unit) for one in rows]
    head = ["| what | | median | unit |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(line)} |" for line in lines)]) if lines else ""


def _joined(parts: Iterable[tuple[str, str]]) -> str:
    """Tables below their titles, without the empty ones."""
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in parts if table)


def _of(rows: Iterable[Row], section: str, *metrics: str) -> list[Row]:
    """Rows of a section (with one of these metrics), small sizes first."""
    kept = [one for one in rows if one.section == section and (not metrics or one.metric in metrics)]
    return sorted(kept, key=lambda one: (one.precision or "", one.width or 0, one.length or 0, one.batch or 0))


def _peak(rows: Sequence[Row]) -> str:
    found = [one for one in _of(rows, peak.SECTION) if one.contestant == peak.BEST or one.model == "copy"]
    named = (replace(one, contestant=f"{one.model}, {one.contestant}: {one.note}") for one in found)
    return _listed(replace(one, metric=one.precision or "") for one in named)


def _training(rows: Sequence[Row]) -> str:
    """For each family, precision and width: each of ours over every peer as shipped, the best setting of any, the
    same network by torch, and the others of ours."""
    found = [one for one in _of(rows, training.SECTION, RATIO) if _shown(one.contestant)]
    parts = []
    for family, precision, width in dict.fromkeys((_family(one), one.precision, one.width) for one in found):
        some = [one for one in found if (_family(one), one.precision, one.width) == (family, precision, width)]
        some.sort(key=lambda one: OURS.index(_ours(one)))
        table = grid(some, lambda one: f"{_ours(one)} over {one.contestant}", lambda one: one.length, "pieces a row")
        best = Counter(one.note for one in some if one.contestant == BEST_PEER)
        names = ", ".join(f"{name} ({count} of {best.total()})" for name, count in best.most_common())
        parts.append((f"{family}, {precision}, width {width}", f"{table}\n\nBest settings: {names}."))
    return _joined(parts)


def _shown(contestant: str) -> bool:
    return (
        contestant.endswith("as shipped") or contestant in (BEST_PEER, *OURS) or contestant.startswith("nn.LSTM, same")
    )


def _family(one: Row) -> str:
    return one.model.split(":")[0].replace("_", " ")


def _ours(one: Row) -> str:
    return one.model.split(": ")[1]


def _utilisation(rows: Sequence[Row]) -> str:
    return grid(
        sorted(_of(rows, "utilisation"), key=lambda one: (one.model, OURS.index(one.contestant))),
        lambda one: f"{_family(one)}: {one.contestant}, {one.precision}",
        lambda one: f"{one.width} × {one.length}",
        "width × pieces a row",
    )


def _bounds(rows: Sequence[Row]) -> str:
    """What bounds steps: their floors, their products by themselves, and where their seconds go."""
    floor = {
        (profile.WHOLE, "share of the step"): "floor by FLOPs and bytes, share of the step",
        (profile.WHOLE, "utilisation at the floor"): "utilisation if it stood at that floor",
        (profile.PRODUCTS, "share of the step"): f"{profile.PRODUCTS}, share of the step",
    }
    first = [
        replace(one, contestant=floor[one.contestant, one.metric])
        for one in _of(rows, "floor")
        if (one.contestant, one.metric) in floor
    ]
    spent = [
        replace(one, contestant=f"spent in {one.contestant}") for one in _of(rows, profile.SECTION, "share of the step")
    ]
    found = [*first, *spent]
    parts = []
    for family, length in dict.fromkeys((_family(one), one.length) for one in found):
        some = [one for one in found if (_family(one), one.length) == (family, length)]
        table = grid(some, lambda one: one.contestant, _whose, "of")
        parts.append((f"{family}, {length} pieces a row", table))
    return _joined(parts)


def _whose(one: Row) -> str:
    """Whose step a profile is of: a search's differ in rows where those of training differ in precision."""
    searched = "," in one.model
    return f"{_ours(one)}, {one.width}, {f'{one.batch} rows' if searched else one.precision}"


def _generation(rows: Sequence[Row]) -> str:
    found = _of(rows, generation.SECTION, RATIO)
    return _joined(
        (
            family,
            grid(
                [one for one in found if _family(one).split(",")[0] == family and one.contestant not in OURS],
                lambda one: (
                    f"{_ours(one)},{one.model.split(':')[0].split(',')[1]}, width {one.width}, "
                    f"{one.batch} × {one.length}"
                ),
                lambda one: one.contestant,
                "rows × pieces, times as fast as",
            ),
        )
        for family in dict.fromkeys(_family(one).split(",")[0] for one in found)
    )


def _packing(rows: Sequence[Row]) -> str:
    return grid(
        _of(rows, packing.SECTION, RATIO),
        lambda one: one.model.split(": ")[1],
        lambda one: f"{one.model.split(':')[0]}, {one.precision}",
        f"times the tokens per second of {packing.ALONE}",
    )


def _growth(rows: Sequence[Row]) -> str:
    """Exponents: of a training step, and of what grows with evidence and planned cells."""
    steps = grid(
        _of(rows, growth.SECTION, "exponent"),
        lambda one: f"{one.model}, {one.precision}",
        lambda one: one.contestant,
        "seconds of a step",
    )
    counted: dict[str, list[tuple[int, Row]]] = {}
    for one in _of(rows, around.SECTION, "seconds"):
        if at := re.search(r"(\d+) (rows|trainings planned)", one.contestant):
            named = f"{one.contestant[: at.start()]}N {at[2]}"
            counted.setdefault(named, []).append((int(at[1]), one))
    lines = ["| seconds of … | by N | exponent |", "|---|---|---|"]
    for name, points in counted.items():
        if len(points) > 1:
            points.sort(key=lambda point: point[0])
            slope = exponent([at for at, _ in points], [one.value for _, one in points])
            said = ", ".join(f"{at:,}: {_number(one.value, 's')}" for at, one in points)
            lines.append(f"| {name} | {said} | {slope:.2f} |")
    return "\n\n".join(filter(None, (steps, "\n".join(lines) if len(lines) > 2 else "")))


def _fidelity(rows: Sequence[Row]) -> str:
    return grid(
        _of(rows, fidelity.SECTION),
        lambda one: f"{one.model}, {one.precision}; {one.note}",
        lambda one: one.metric,
    )


def _around(rows: Sequence[Row]) -> str:
    found = (one for one in _of(rows, around.SECTION) if not re.search(r"of \d+ rows|planned", one.contestant))
    return _listed(found)


def _whole(rows: Sequence[Row]) -> str:
    return _listed(_of(rows, whole.SECTION))
