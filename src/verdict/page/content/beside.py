"""What was measured beside what the claims ask: a group per experiment, with estimates and charts of what was swept."""

from typing import Any

from markupsafe import Markup

from verdict.court.evidence import ELSEWHERE
from verdict.page import charts
from verdict.page.content.naming import Naming
from verdict.page.content.order import task_order
from verdict.page.content.panels import Gallery, curves
from verdict.page.figures import pointer

Row = dict[str, Any]

#: the columns that tell one measurement from another, in reading order
TOLD = ("task", "size", "variant", "implementation", "matching", "device", "at")


def beside(naming: Naming, gallery: Gallery) -> list[dict[str, Any]]:
    """Every experiment's estimates that no test has read, and its curves that no other chart has drawn."""
    estimates: dict[str, list[dict[str, Any]]] = {}
    for number, told in enumerate(naming.inputs.verdict.get("beside", [])):
        estimates.setdefault(told["experiment"], []).append({**told, "pointer": pointer("beside", number)})
    drawn = {row.get("row") for item in gallery.items for row in item["panel"].rows}
    swept: dict[str, list[Row]] = {}
    for row in naming.inputs.evidence:
        # what a number of trials can be expected to find belongs to the tuning; its trials have a table
        is_shown = row["experiment"] not in ELSEWHERE or row["variable"] == "trials"
        if is_shown and row["variable"] and row["row"] not in drawn:
            swept.setdefault(row["experiment"], []).append(row)
    return [
        {
            "experiment": name,
            "lines": _lines(naming, estimates.get(name, [])),
            "panels": panels,
            "architectures": charts.arranged(arch for item in panels for arch in item["panel"].architectures),
        }
        for name in sorted({*estimates, *swept})
        for panels in [_panels(gallery, swept.get(name, []))]
    ]


def _lines(naming: Naming, estimates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The estimates of one experiment, architecture by architecture."""
    seen = {column: {told[column] for told in estimates} for column in TOLD}
    # against whom a crossing is counted is said even where it is always the same
    against = any(name.startswith("against ") for name in seen["variant"])
    apart = [column for column in TOLD if len(seen[column]) > 1 or (column == "variant" and against)]
    names = charts.arranged(told["architecture"] for told in estimates)
    lines = [{**told, "chips": [_chip(naming, told, column) for column in apart if told[column]]} for told in estimates]
    return sorted(
        lines,
        key=lambda told: (
            told["metric"], *task_order(told["task"]), *(told[column] or "" for column in TOLD[1:-1]), told["at"] or 0,
            names.index(told["architecture"]),
        ),
    )  # fmt: skip


def _chip(naming: Naming, told: dict[str, Any], column: str) -> Markup:
    if column == "at":
        return naming.at(told["variable"], naming.fig.verdict(told["at"], told["pointer"] + "/at"))
    return naming.words.name(column, told[column])


def _panels(gallery: Gallery, rows: list[Row]) -> list[dict[str, Any]]:
    """A chart for each sweep, numbered."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = (*map(str, task_order(row["task"])), row["metric"], row["variable"], row["device"])
        groups.setdefault(key, []).append(row)
    several = len({row["device"] for row in rows}) > 1
    return [
        gallery.add(panel, gallery.title(panel, several))
        for _, group in sorted(groups.items())
        if len({row["at"] for row in group}) > 1
        for panel in curves(group, gallery.naming.words)
    ]
