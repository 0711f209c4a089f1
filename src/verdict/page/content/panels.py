"""Which charts show a claim's evidence, what each is called, and the gallery that numbers them in page order."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

from markupsafe import Markup

from verdict.page import charts, effects
from verdict.page.content.naming import Naming
from verdict.page.content.order import joined, task_order
from verdict.page.words import Words

Row = dict[str, Any]
#: the columns, with their values, that tell the rows of one chart from those of others
Apart = tuple[tuple[str, str], ...]
Draw = Callable[[list[Row], Words], charts.Panel]
#: how a chart is drawn, and its rows by their numbers
Asked = tuple[Draw, dict[int, Row]]

DERIVED = {"throughput_kept": "length", "batch_gain": "batch"}  # ratios whose own curve, over this variable, says more
#: columns that tell charts of one metric apart, in this order
APART = ("variant", "size", "implementation", "matching")
#: comparisons whose intervals are drawn under a chart's title; more than that have a chart of their own
INTERVALS = 3
#: conditions from which on effects are drawn over the swept variable
SWEPT = 3


class Gallery:
    """Every chart drawn, numbered in the page's order."""

    def __init__(self, naming: Naming) -> None:
        self.naming = naming
        self.items: list[dict[str, Any]] = []
        #: the evidence by metric and task; what is counted by experiment, as its charts show several metrics
        self._rows: dict[tuple[str, str], list[Row]] = {}
        for row in naming.inputs.evidence:
            metric = "anatomy" if row["experiment"] == "anatomy" else row["metric"]
            self._rows.setdefault((metric, row["task"]), []).append(row)
        timed = {row["device"] for row in naming.inputs.evidence if row["experiment"] in ("speed", "generation")}
        self._several_devices = len(timed) > 1
        self._sweeps = cache(self._sweeps_of)  # many tests read the same

    def add(self, panel: charts.Panel, title: Markup, tests: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """Number a chart; ``tests`` are the comparisons that it shows, of which few are drawn under its title."""
        item = {
            "id": f"chart-{len(self.items) + 1}",
            "panel": panel,
            "title": title,
            "finding": finding(self.naming, tests),
            "metric": self.naming.words.name("metric", panel.about["metric"]) if panel.about.get("metric") else "",
            "tests": sorted(tests, key=_place) if len(tests) <= INTERVALS and panel.kind != "gap" else [],
        }
        self.items.append(item)
        return item

    def title(self, panel: charts.Panel, several_devices: bool = False) -> Markup:
        """What the value axis shows, and where; the other axis has its own title."""
        about, name = panel.about, self.naming.words.name
        parts = [name("task", about["task"])] if about["task"] else []
        parts += [name(column, about[column]) for column in APART if about.get(column)]
        if several_devices and about.get("device"):
            parts.append(name("device", about["device"]))
        metric = name("metric", about["metric"])
        if unit := self.naming.unit(about.get("unit", ""), metric):
            metric = Markup('{} <span class="unit">({})</span>').format(metric, unit)
        return Markup("<b>{}</b> {}").format(metric, joined(parts, " · "))

    def of_tests(self, tests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Charts of the very rows that a claim's tests compare, and of the effects over what was swept."""
        # many tests read the same rows: what to draw is gathered first, and each chart is made once
        asked: dict[tuple[Any, ...], Asked] = {}
        for test in tests:
            self._rows_of(test, asked)
        made = {place: draw(list(rows.values()), self.naming.words) for place, (draw, rows) in asked.items()}
        sides = {test[side] for test in tests for side in ("favoured", "against")}
        for task, over in self._learning(tests):
            # the main size alone: others would need colours of their own
            body = [
                row
                for row in self.naming.inputs.history
                if row["task"] == task and row["architecture"] in sides and not row["size"] and (row[over] or 0) > 0
            ]
            if body:
                made["learning", task, over] = charts.learning(body, self.naming.words, over)
        found = [
            self.add(panel, self.title(panel, self._several_devices), _shown_by(panel, tests))
            for panel in made.values()
        ]
        for group in swept(tests):
            panel = charts.gap(group, self.naming.words)
            found.append(self.add(panel, self._gap_title(panel, group), group))
        return found

    def _gap_title(self, panel: charts.Panel, group: Sequence[dict[str, Any]]) -> Markup:
        words, first = self.naming.words, group[0]
        told = words.t(
            "chart.effect." + first["effect"],
            metric=first["metric_name"],
            favoured=self.naming.side(first, first["favoured"]),
            against=self.naming.side(first, first["against"]),
        )
        where = self.naming.chips(first, ("task", "size", "matching", "variant"))
        return Markup("<b>{}</b> {}").format(told, joined(where, " · "))

    def _rows_of(self, test: dict[str, Any], asked: dict[tuple[Any, ...], Asked]) -> None:
        """Add the charts that a test asks for, and its rows to those that others asked for."""

        def ask(place: tuple[Any, ...], draw: Draw, rows: list[Row]) -> None:
            asked.setdefault(place, (draw, {}))[1].update((row["row"], row) for row in rows)

        evidence = self.naming.inputs.evidence
        metric, device = test["metric"], test["sides"]["device"]
        rows = [evidence[number] for number in test["rows"] if evidence[number]["metric"] == metric]
        tasks = sorted({row["task"] for row in rows}, key=task_order)
        experiments = {row["experiment"] for row in rows if row["architecture"] != "baseline"}
        if "anatomy" in experiments:
            variant = test["sides"]["variant"] or rows[0]["variant"]
            for task in tasks:
                counted = self._rows.get(("anatomy", task), [])
                body = [row for row in counted if row["variant"] == variant and row["size"] == rows[0]["size"]]
                if any(row["metric"].removeprefix("parameters_") in charts.PARTS for row in body):
                    ask(("parts", task, variant), charts.parts, body)
            return
        for task in tasks:
            source = metric
            if metric in DERIVED:
                source = "generated_tokens_per_second" if "generation" in experiments else "train_tokens_per_second"
            variable = test["sides"]["variable"] or DERIVED.get(metric)
            drawn = self._sweeps(source, task, variable, device, frozenset(experiments))
            for place, apart, body in drawn:
                if place not in asked:  # which says what its rows are
                    ask(place, partial(_curve, apart), body)
            still = [row for row in rows if row["task"] == task and row["at"] is None]
            if _drawable(still) and (metric not in DERIVED or not drawn):
                ask(("strip", metric, task, device), charts.strip, still)

    def _sweeps_of(
        self, metric: str, task: str, variable: str | None, device: str | None, experiments: frozenset[str]
    ) -> list[tuple[tuple[Any, ...], Apart, list[Row]]]:
        """The curves of a metric over what was swept: their place, what tells them apart, and their rows."""
        here = [
            row
            for row in self._rows.get((metric, task), [])
            if row["experiment"] in experiments
            and row["at"] is not None
            and row["variable"] == (variable or row["variable"])
            and (not device or row["device"] == device)
        ]
        found: list[tuple[tuple[Any, ...], Apart, list[Row]]] = []
        for name in sorted({row["variable"] for row in here}):
            place = ("curve", metric, task, name, device, tuple(sorted(experiments)))
            alike = sweeps([row for row in here if row["variable"] == name])
            found += [((*place, apart), apart, body) for apart, body in alike.items()]
        return found

    def _learning(self, tests: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
        """(task, axis) of the learning curves behind tests of trained models, each once."""
        evidence = self.naming.inputs.evidence
        found: dict[tuple[str, str], None] = {}
        for test in tests:
            rows = [evidence[number] for number in test["rows"]]
            experiments = {row["experiment"] for row in rows}
            over = {"flops": "flops", "seconds": "seconds"}.get(test["sides"]["matching"] or "", "tokens")
            if "time_to_quality" in experiments:
                over = "seconds"
            if experiments & {"training", "time_to_quality"}:
                found.update({(row["task"], over): None for row in rows if row["task"]})
        return list(found)


def finding(naming: Naming, tests: Sequence[dict[str, Any]]) -> Markup:
    """Whom the comparisons favour, in a few words: the title of their chart (nothing without comparisons)."""
    words, counts = naming.words, Counter[str]()
    said: dict[str, Markup] = {}
    for test in tests:
        label = test["label"]
        if label == "supported" or (label == "contradicted" and effects.is_against(test)):
            winner = test["favoured"] if label == "supported" else test["against"]
            key = "for " + winner
            said[key] = naming.side(test, winner)
        else:
            key = "too_small" if label == "contradicted" else label
            said[key] = words.t("panel." + key)
        counts[key] += 1
    if not counts:
        return Markup("")
    if len(counts) == 1:
        [(key, n)] = counts.items()
        told = words.t("panel.favours", name=said[key]) if key.startswith("for ") else said[key]
        return told if n == 1 else words.t("panel.all", told=told, n=n)
    winners_first = sorted(counts, key=lambda key: not key.startswith("for "))
    return naming.listed(words.t("panel.of", told=said[key], n=counts[key]) for key in winners_first)


def sweeps(rows: list[Row]) -> dict[Apart, list[Row]]:
    """The rows of each curve of one metric over one variable, by what tells them apart; none of nothing but “never”."""
    return {apart: body for apart, body in _apart(rows).items() if _drawable(body)}


def curves(rows: list[Row], words: Words) -> list[charts.Panel]:
    """A chart for each of the ``sweeps``."""
    return [_curve(apart, body, words) for apart, body in sweeps(rows).items()]


def _curve(apart: Apart, rows: list[Row], words: Words) -> charts.Panel:
    panel = charts.curve(rows, words)
    return replace(panel, about={**panel.about, **dict(apart)})


def swept(tests: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Tests that differ in the swept value alone, where there are enough of them to draw effects over it."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for test in tests:
        sides = test["sides"]
        if sides["at"] is not None and test["estimate"] is not None and test["effect"] != "share":
            rest = tuple(value for name, value in sides.items() if name != "at")
            groups.setdefault((test["name"], *rest), []).append(test)
    return [group for group in groups.values() if len(group) >= SWEPT]


def _place(test: dict[str, Any]) -> float:
    return test["sides"]["at"] or 0.0


def _shown_by(panel: charts.Panel, tests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tests whose rows a chart draws."""
    drawn = {row.get("row") for row in panel.rows} - {None}
    if panel.kind == "learning":
        return []
    metrics = {panel.about["metric"], *(name for name in DERIVED if panel.kind == "curve")}
    return [
        test
        for test in tests
        if (test["metric"] in metrics or panel.kind == "parts") and drawn.intersection(test["rows"])
    ]


def _drawable(rows: Sequence[Row]) -> bool:
    """Whether anything was reached at all: a chart of nothing but “never” would be empty."""
    return any(math.isfinite(row["value"]) for row in rows)


def _apart(rows: list[Row]) -> dict[Apart, list[Row]]:
    """The rows of one chart, or of several where one would draw two values of a replicate at one place: told apart by
    the first columns that separate them."""
    groups: dict[Apart, list[Row]] = {(): rows}
    for column in APART:
        split: dict[Apart, list[Row]] = {}
        for key, body in groups.items():
            if len({(row["architecture"], row["at"], row["replicate"]) for row in body}) == len(body):
                split[key] = body
                continue
            for row in body:
                split.setdefault((*key, (column, row[column])), []).append(row)
        groups = split
    return groups
