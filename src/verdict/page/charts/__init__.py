"""Charts: rows become Vega-Lite specs (Altair), one small panel each."""

from verdict.page.charts.effects import gap
from verdict.page.charts.evidence import curve, learning, parts, strip
from verdict.page.charts.explorers import attention, explorer, gates, state
from verdict.page.charts.theme import PARTS, SHAPES, Panel, arranged, kind_of, shape_of

__all__ = [
    "PARTS",
    "SHAPES",
    "Panel",
    "arranged",
    "attention",
    "curve",
    "explorer",
    "gap",
    "gates",
    "kind_of",
    "learning",
    "parts",
    "shape_of",
    "state",
    "strip",
]
