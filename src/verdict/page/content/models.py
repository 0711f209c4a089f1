"""The models and what they scored: parameters by part, costs side by side, tuning, scores beside baselines."""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from verdict.page import charts
from verdict.page.content.naming import Naming
from verdict.page.content.order import task_order
from verdict.page.content.panels import Gallery

Row = dict[str, Any]

SCORES = ("bits_per_byte", "chrf", "bleu", "rouge1", "rouge2", "rougeL", "accuracy", "f1")
#: what the compared models have in common and what not
COSTS = (
    "parameters_total",
    "parameters_nonembedding",
    "train_tokens",
    "train_flops",
    "train_seconds",
    "peak_memory_bytes",
    "clipped_share",
    "diverged_at_step",
)


def anatomy(naming: Naming, gallery: Gallery) -> list[dict[str, Any]]:
    """A group per task, variant and size: parameters by part, FLOPs per token, and their chart."""
    rows = [row for row in naming.inputs.evidence if row["experiment"] == "anatomy"]
    order = (
        "parameters_total",
        "parameters_nonembedding",
        *(f"parameters_{part}" for part in charts.PARTS),
        "flops_per_token",
    )
    groups = []
    for task, variant, size in sorted(
        {(row["task"], row["variant"], row["size"]) for row in rows},
        key=lambda key: (key[1] != "matched", key[1], key[2], task_order(key[0])),
    ):
        here = [row for row in rows if (row["task"], row["variant"], row["size"]) == (task, variant, size)]
        metrics = [metric for metric in order if any(row["metric"] == metric for row in here)]
        by = {(row["architecture"], row["metric"]): row for row in here}
        drawable = any(row["metric"].removeprefix("parameters_") in charts.PARTS for row in here)
        panel = gallery.add(charts.parts(here, naming.words), naming.words.t("chart.parameters")) if drawable else None
        groups.append(
            {
                "task": task,
                "variant": variant,
                "size": size,
                "metrics": metrics,
                "panel": panel,
                "lines": [
                    {"architecture": name, "rows": [by.get((name, metric)) for metric in metrics]}
                    for name in charts.arranged(row["architecture"] for row in here)
                ],
            }
        )
    return groups


def costs(naming: Naming) -> dict[str, Any]:
    """Per stage and architecture what its models were given: parameters, tokens, FLOPs, seconds, memory; a line each.

    Replicates that are alike are said once.
    """
    rows = [row for row in naming.inputs.evidence if row["experiment"] == "training" and row["metric"] in COSTS]
    metrics = [metric for metric in COSTS if any(row["metric"] == metric for row in rows)]
    lines: dict[tuple[Any, ...], dict[str, list[Row]]] = {}
    names = charts.arranged(row["architecture"] for row in rows)
    told = ("variant", "size", *_devices(rows))
    for row in rows:
        few, number = row["at"] if row["variable"] == "labels" else None, names.index(row["architecture"])
        key = (*task_order(row["task"]), row["variant"], row["size"], few or 0, row["device"], number)
        lines.setdefault(key, {}).setdefault(row["metric"], []).append(row)
    return {
        "metrics": metrics,
        "lines": [
            {
                "task": (first := next(iter(cells.values()))[0])["task"],
                "about": [
                    *(naming.words.name(name, first[name]) for name in told if first[name]),
                    *([naming.at(first["variable"], naming.fig.at(first["at"]))] if first["at"] is not None else []),
                ],
                "architecture": first["architecture"],
                "cells": [_distinct(cells.get(metric, [])) for metric in metrics],
            }
            for _, cells in sorted(lines.items())
        ],
    }


def _devices(rows: Iterable[Row]) -> tuple[str, ...]:
    """The column of devices, if the rows are of several, which then have to be named."""
    return ("device",) if len({row["device"] for row in rows}) > 1 else ()


def _distinct(rows: list[Row]) -> list[Row]:
    """The rows in the order of their replicates; one, if all have the same value."""
    ordered = sorted(rows, key=lambda row: row["replicate"] or 0)
    return ordered[:1] if len({row["value"] for row in ordered}) == 1 else ordered


def tuning(naming: Naming) -> list[dict[str, Any]]:
    """Per task, variant and device every architecture's trials: (rate, dropout) → loss, with the one that was taken."""
    rows = [row for row in naming.inputs.evidence if row["experiment"] == "tuning"]
    trials = [row for row in rows if row["variable"] == "learning_rate"]
    octaves = {_tuned(row): row for row in rows if row["metric"] == "learning_rate_octaves"}
    found = []
    groups = sorted({_tuned(row)[:-1] for row in trials}, key=lambda key: (*task_order(key[0]), *key[1:]))
    for task, variant, device in groups:
        here = [row for row in trials if _tuned(row)[:-1] == (task, variant, device)]
        columns = sorted({(row["matching"], row["at"]) for row in here})
        lines = []
        for name in charts.arranged(row["architecture"] for row in here):
            own = {(row["matching"], row["at"]): row for row in here if row["architecture"] == name}
            best = min(own.values(), key=lambda row: row["value"])
            lines.append(
                {
                    "architecture": name,
                    "cells": [own.get(column) for column in columns],
                    "best": best,
                    "octaves": octaves.get(_tuned(best)),
                    # at the edge of what was tried, a better rate may lie beyond
                    "edge": best["at"] in (min(at for _, at in own), max(at for _, at in own)) and len(own) > 1,
                }
            )
        found.append(
            {
                "task": task,
                "variant": variant,
                "device": device if _devices(trials) else "",
                "metric": here[0]["metric"],
                "columns": [{"dropout": dropout, "rate": naming.fig.at(at)} for dropout, at in columns],
                "dropouts": len({dropout for dropout, _ in columns}) > 1,
                "lines": lines,
            }
        )
    return found


def _tuned(row: Row) -> tuple[str, str, str, str]:
    return row["task"], row["variant"], row["device"], row["architecture"]


def scores(naming: Naming, gallery: Gallery) -> list[dict[str, Any]]:
    """Per task: every model's test scores, replicate by replicate, beside the baselines'."""
    rows = [
        row
        for row in naming.inputs.evidence
        if row["metric"] in SCORES
        and (
            row["experiment"] == "baseline"
            or (row["experiment"] == "training" and row["matching"] in ("", "parameters") and not row["variable"])
        )
    ]
    found = []
    scored = {row["task"] for row in rows if row["architecture"] != "baseline"}
    for task in sorted(scored, key=task_order):
        here = [row for row in rows if row["task"] == task]
        metrics = [metric for metric in SCORES if any(row["metric"] == metric for row in here)]
        names = charts.arranged(row["architecture"] for row in here)
        several = bool(_devices(row for row in here if row["architecture"] != "baseline"))
        models = sorted({(names.index(row["architecture"]), *_model(row)) for row in here})
        lines = [
            {
                "architecture": architecture,
                "variant": variant,
                "device": device if several and architecture != "baseline" else "",
                "cells": [_cell(here, (architecture, variant, device), metric) for metric in metrics],
            }
            for _, architecture, variant, device in models
        ]
        panels = []
        for metric in metrics:
            body = [row for row in here if row["metric"] == metric]
            if any(row["architecture"] == "baseline" for row in body):
                panel = charts.strip(body, naming.words)
                panels.append(gallery.add(panel, gallery.title(panel)))
        found.append(
            {
                "task": task,
                "metrics": metrics,
                "lines": lines,
                "panels": panels,
                "better": {row["metric"]: row["better"] for row in here},
                "beaten": _beaten(naming, here, metrics),
            }
        )
    return found


def _cell(rows: Iterable[Row], model: tuple[str, str, str], metric: str) -> list[Row]:
    """A model's rows on a metric in the order of their replicates."""
    own = [row for row in rows if _model(row) == model and row["metric"] == metric]
    return sorted(own, key=lambda row: row["replicate"] or 0)


def _model(row: Row) -> tuple[str, str, str]:
    return row["architecture"], row["variant"], row["device"]


def _beaten(naming: Naming, rows: list[Row], metrics: Iterable[str]) -> list[Markup]:
    """A sentence for each baseline that is better than every single run of an architecture."""
    sentences = []
    for metric in metrics:
        here = [row for row in rows if row["metric"] == metric]
        models = [row for row in here if row["architecture"] != "baseline"]
        for base in (row for row in here if row["architecture"] == "baseline"):
            sign = -1 if base["better"] == "lower" else 1
            losers = [
                name
                for name in charts.arranged(row["architecture"] for row in models)
                if all(sign * row["value"] < sign * base["value"] for row in models if row["architecture"] == name)
            ]
            if losers:
                sentences.append(
                    naming.words.t(
                        "scores.beaten",
                        baseline=naming.words.name("baseline", base["variant"]),
                        value=naming.fig.evidence(base),
                        metric=naming.words.name("metric", metric),
                        losers=naming.listed(naming.words.name("architecture", name) for name in losers),
                    )
                )
    return sentences
