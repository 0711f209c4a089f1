"""Charts: rows become Vega-Lite specs (Altair), one small panel each."""

from verdict.page.charts.effects import gap
from verdict.page.charts.evidence import curve, learning, parts, strip
from verdict.page.charts.explorers import explorer
from verdict.page.charts.theme import PARTS, SHAPES, Panel, arranged, kind_of, shape_of

__all__ = [
    "PARTS",
    "SHAPES",
    "Panel",
    "arranged",
    "curve",
    "explorer",
    "gap",
    "kind_of",
    "learning",
    "parts",
    "shape_of",
    "strip",
]
