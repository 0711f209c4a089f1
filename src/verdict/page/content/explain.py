"""Figures that explain: curves with a slider, and what must wait for what in both architectures."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from verdict.page import charts
from verdict.page.content.naming import Naming
from verdict.page.content.order import task_order
from verdict.page.content.panels import Gallery

Node = tuple[int, int]

#: what mixers tell of themselves (``Mixer.activity``), beside attention
GATES, STATES = ("input", "forget", "output", "reset", "update"), ("cell", "hidden")

#: positions and layers of the drawn dependency graphs
POSITIONS, LAYERS = 6, 2
#: pixels between two nodes, and around them
STEP, EDGE, RADIUS = 52, 26, 15


def explorers(naming: Naming, gallery: Gallery) -> list[dict[str, Any]]:
    """Curves whose values at one place the reader can ask for: gradients over distance, time over quality."""
    rows, found = naming.inputs.evidence, []
    for key, metric in (
        ("gradients", "input_gradient_kept"),
        ("time_to_quality", "seconds_to_target"),
    ):
        here = [row for row in rows if row["metric"] == metric and row["at"] is not None]
        groups = sorted({_curve(row) for row in here}, key=lambda g: (*task_order(g[0]), *g[1:]))
        several = len({device for *_, device in groups}) > 1
        items = []
        for task, variant, device in groups:
            body = [row for row in here if _curve(row) == (task, variant, device)]
            if len({row["at"] for row in body if math.isfinite(row["value"])}) > 1:
                panel = charts.explorer(body, naming.words)
                ats = sorted({row["at"] for row in body})
                items.append(
                    {
                        **gallery.add(panel, gallery.title(panel, several)),
                        "ats": [naming.fig.at(at) for at in ats],
                        "start": len(ats) // 2,
                        "variable": panel.about["variable"],
                    }
                )
        if items:
            found.append({"key": key, "items": items})
    return found


def _curve(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["task"], row["variant"], row["device"]


def inside(naming: Naming, gallery: Gallery) -> list[dict[str, Any]]:
    """What the models do on one sentence: per stage its text and, per model, maps with switches."""
    found = []
    for told in naming.inputs.activity:
        models = []
        for model in told["models"]:
            maps = [
                {**gallery.add(panel, naming.words.t("inside." + title)), "switches": switches}
                for title, panel, switches in _maps(told, model)
            ]
            models.append({"architecture": model["architecture"], "run": model["run"], "maps": maps})
        found.append({"stage": told["stage"], "models": models, **_sentence(told)})
    return found


def _maps(told: dict[str, Any], model: dict[str, Any]) -> Iterator[tuple[str, charts.Panel, dict[str, int]]]:
    """(title, map, switch → how many) of what a model's layers tell."""
    layers, name, pieces = model["layers"], model["architecture"], told["read"]
    for part, title, across in (("mixer", "self", pieces), ("cross", "cross", told.get("source", []))):
        heads = [layer[part]["attention"] for layer in layers if "attention" in layer.get(part, {})]
        if heads:
            panel = charts.attention(heads, pieces, across, name)
            yield title, panel, {"layer": len(heads), "head": len(heads[0])}
    # by their names, which docs/architectures.md lists; what else a mixer tells stays in the file
    for key, title in ((GATES, "gates"), (STATES, "state")):
        mixers = [{part: layer["mixer"][part] for part in key if part in layer["mixer"]} for layer in layers]
        if all(mixers):
            panel = (
                charts.gates(mixers, pieces, name)
                if key is GATES
                else charts.state([next(iter(mixer.values())) for mixer in mixers], pieces, name)
            )
            yield title, panel, {"layer": len(mixers)}


def _sentence(told: dict[str, Any]) -> dict[str, str]:
    return {"text": "".join(told["read"]), "source": "".join(told.get("source", []))}


def earliest(kind: str, layer: int, position: int) -> int:
    """The first moment at which a node can be computed if nothing but its inputs has to be waited for (0: the input).

    Attention reads all earlier positions of the layer below; recurrence its own layer one position before as well.
    """
    if layer == 0:
        return 0
    return layer if kind == "attention" else layer + position


def inputs(kind: str, layer: int, position: int) -> list[Node]:
    """What a node above the input waits for: (layer, position) of each."""
    below = [(layer - 1, before) for before in (range(position + 1) if kind == "attention" else [position])]
    return [*below, (layer, position - 1)] if kind == "recurrence" and position else below


def longest_chain(kind: str) -> list[Node]:
    """The longest chain of nodes that wait for each other, to the last position of the uppermost layer."""
    chain = [(LAYERS, POSITIONS - 1)]
    while chain[0][0]:
        chain.insert(0, max(inputs(kind, *chain[0]), key=lambda node: (earliest(kind, *node), node)))
    return chain


def dependencies() -> list[dict[str, Any]]:
    """One drawing per architecture: what each node waits for, numbered by the earliest moment it can be computed."""
    return [
        {"kind": kind, "architecture": name, "svg": _graph(kind), "last": earliest(kind, LAYERS, POSITIONS - 1)}
        for kind, name in (("attention", "transformer"), ("recurrence", "lstm"))
    ]


def _graph(kind: str) -> Markup:
    def x(position: int) -> int:
        return EDGE + STEP * position

    def y(layer: int) -> int:
        return EDGE + STEP * (LAYERS - layer)

    chain = set(pairwise(longest_chain(kind)))
    lines, nodes = [], []
    for layer in range(1, LAYERS + 1):
        for position in range(POSITIONS):
            for below, before in inputs(kind, layer, position):
                on_chain = ' class="chain"' if ((below, before), (layer, position)) in chain else ""
                ends = f'x1="{x(before)}" y1="{y(below)}" x2="{x(position)}" y2="{y(layer)}"'
                lines.append(f"<line {ends}{on_chain}/>")
    for layer in range(LAYERS + 1):
        for position in range(POSITIONS):
            at, here = earliest(kind, layer, position), f'x="{x(position)}" y="{y(layer)}"'
            circle = f'<circle c{here.replace(" y", " cy")} r="{RADIUS}"/>'
            nodes.append(f'<g>{circle}<text {here} dy=".35em">{at}</text></g>')
    lines.sort(key=lambda line: "chain" in line)  # drawn last, above the others
    width, height = 2 * EDGE + STEP * (POSITIONS - 1), 2 * EDGE + STEP * LAYERS
    drawn = "".join((*lines, *nodes))
    return Markup(
        f'<svg class="graph" viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false">{drawn}</svg>'
    )
