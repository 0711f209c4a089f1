"""How a judged test is drawn and printed: positions on a common scale where the margin is one unit. No statistics."""

import math
from dataclasses import dataclass
from typing import Any

from verdict.page.figures import MINUS, NARROW, rounded

REACH = 4.0  # margins shown to either side of no effect; what lies farther out gets an arrow


@dataclass(frozen=True)
class Geometry:
    """Positions in per cent of the drawing's width; None for what the test does not have."""

    zero: float | None
    estimate: float | None
    low: float | None
    high: float | None
    outer_low: float | None
    outer_high: float | None
    margin_low: float
    margin_width: float
    borders: tuple[float, ...]
    arrow_left: bool
    arrow_right: bool


def units(test: dict[str, Any], value: float | None) -> float | None:
    """An effect in margins, above 0 for the favoured side (for a share: below the limit); ratios by their logarithm."""
    if value is None:
        return None
    margin = test["margin"]
    if test["effect"] == "ratio":
        return math.log(value) / math.log(margin) if value > 0 else -math.inf
    if test["effect"] == "share":
        return (margin - value) / max(margin, 1 - margin)
    return float(value / margin)


def place(amount: float) -> float:
    """A position in per cent, held inside the drawing."""
    return round(50 + 50 * max(-1.0, min(1.0, amount / (REACH * 1.05))), 3)


def geometry(test: dict[str, Any]) -> Geometry | None:
    """Where the marks of a test stand; None when it has no estimate (not tried, never reached)."""
    estimate = units(test, test["estimate"])
    if estimate is None:
        return None
    low, high = _ordered(test, "low", "high")
    outer_low, outer_high = _ordered(test, "corrected_low", "corrected_high")
    band, borders = borders_of(test)
    outer = [estimate, *(end for end in (low, high) if end is not None)]
    return Geometry(
        zero=None if test["effect"] == "share" else 50.0,
        estimate=None if abs(estimate) > REACH else place(estimate),
        low=None if low is None else place(low),
        high=None if high is None else place(high),
        outer_low=None if outer_low is None else place(outer_low),
        outer_high=None if outer_high is None else place(outer_high),
        margin_low=place(-band),
        margin_width=round(place(band) - place(-band), 3),
        borders=tuple(place(border) for border in borders),
        arrow_left=min(outer) < -REACH,
        arrow_right=max(outer) > REACH,
    )


def _ordered(test: dict[str, Any], *keys: str) -> tuple[float | None, float | None]:
    """The ends of an interval in margins, the smaller first (a share is counted downwards)."""
    ends = [end for key in keys if (end := units(test, test.get(key))) is not None]
    return (min(ends), max(ends)) if len(ends) == 2 else (None, None)


def borders_of(test: dict[str, Any]) -> tuple[float, tuple[float, ...]]:
    """Half the width of what counts as equal, and the borders between verdicts, both in margins."""
    rule = test["rule"]
    if rule == "superior":
        return 1.0, (-1.0, 1.0)
    if rule == "at_least":
        return abs(units(test, test.get("equal")) or 0.0), (1.0,)
    return 0.0, (-1.0,) if rule == "non_inferior" else (0.0,)


def distance(test: dict[str, Any]) -> float | None:
    """How far a decided test's interval stays from the nearest border, in margins; None where nothing was decided."""
    if test["label"] not in ("supported", "contradicted", "tie") or test["estimate"] is None:
        return None
    band, borders = borders_of(test)
    edges = {*borders, -band, band} if test["label"] == "tie" else borders
    ends = [end for key in ("estimate", "low", "high") if (end := units(test, test[key])) is not None]
    return min(abs(end - edge) for end in ends for edge in edges)


def is_against(test: dict[str, Any]) -> bool:
    """Whether a contradicted test speaks for the other side, and not only against the size that was claimed."""
    if test["never"] or test["effect"] == "share":
        return bool(test["why"] != "too_small")
    _, high = _ordered(test, "low", "high")
    return high is not None and high < 0


def show(test: dict[str, Any], value: float | None, signed: bool = True) -> str:
    """An effect as it is printed: ``+1.2``, ``1.32×``, ``84 %``."""
    if value is None:
        return "–"
    if test["effect"] == "ratio":
        return f"{rounded(value, 'ratio')}×"
    if test["effect"] == "share":
        return f"{rounded(100 * value, '%')}{NARROW}%"
    text = rounded(value, test["unit"])
    return text if not signed or value < 0 or text.startswith(MINUS) or value == 0 else f"+{text}"
