"""Every number that the page prints: how it is rounded, and where it came from.

A figure is ``<data class="figure" value="…">``: the value in full precision and, as ``data-`` attributes, the place
where it can be found again: a row of the evidence (its run, metric, …) or a pointer (RFC 6901) into
verdict.json, machine.json or a corpus card.
"""

import math
from calendar import month_name
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from itertools import starmap
from typing import Any

from markupsafe import Markup, escape

from verdict.page.words import Words

NARROW = "\u202f"  # narrow no-break space: between a number and its unit
MINUS = "\u2212"
SCORES = {"points", "%", "percent"}
EVIDENCE_KEYS = (
    "run", "experiment", "metric", "task", "architecture", "variant", "matching", "size", "implementation", "variable",
    "at", "replicate",
)  # fmt: skip


#: what large numbers are counted in, by language: from this size on, in steps of these
LARGE = {
    "en": (("T", 1e12), ("G", 1e9), ("M", 1e6)),
    "zh": (("万亿", 1e12), ("亿", 1e8), ("万", 1e4)),
}


def rounded(value: float, unit: str = "", lang: str = "en") -> str:
    """A number as people read it: about four digits, thousands grouped, millions and more with M, G, T (in Chinese 万,
    亿, 万亿).

    ``unit`` decides only the decimals: scores of 0–100 get one or two, bits per byte three.
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    sign, size = (MINUS if value < 0 else ""), float(abs(value))
    if size == 0:
        text = "0"
    elif unit in ("byte", "bytes") and size >= 1024:
        for name, step in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
            if size >= step:
                return f"{sign}{_digits(size / step, 3)}{NARROW}{name}"
        text = f"{size:g}"
    elif unit in SCORES:
        text = f"{size:.1f}" if size >= 9.95 else f"{size:.2f}" if size >= 0.1 else _digits(size, 2)
    elif unit == "bit/byte":
        text = f"{size:.3f}" if size >= 0.1 else _digits(size, 2)
    elif size >= 999_500:
        for name, scale in LARGE[lang]:
            if size >= scale * 0.9995:
                text = f"{_digits(size / scale, 3)}{NARROW}{name}"
                break
    elif size.is_integer():
        text = f"{int(size):,}"
    else:
        text = _digits(size, 3)
    return sign + text


def _digits(size: float, digits: int) -> str:
    """``size`` with at least so many significant digits, never in powers of ten unless very small."""
    if size < 1e-4:
        return f"{size:.1e}"
    size = float(f"{size:.{digits - 1}e}") if size < 10**digits else size  # 0.9996 is 1.00, not 1.000
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    return f"{size:,.{decimals}f}"


def tag(value: float | int | str | None, text: str | Markup, **where: Any) -> Markup:
    """One printed figure with its full value and its provenance (empty provenance values are left out)."""
    full = "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)
    data = "".join(starmap(_attribute, where.items()))
    return Markup(f'<data class="figure" value="{escape(full)}"{data}>{escape(text)}</data>')


@lru_cache(2**16, typed=True)  # most are said of hundreds of figures
def _attribute(name: str, item: float | int | str | None) -> str:
    """A place's attribute; nothing for an empty one."""
    if item is None or item == "":
        return ""
    return f' data-{escape(name.replace("_", "-"))}="{escape(repr(item) if isinstance(item, float) else str(item))}"'


class Figures:
    """Prints figures in the page's words."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def number(self, value: float, unit: str = "") -> Markup:
        """A number as each language writes it."""
        return self.words.both({lang: rounded(value, unit, lang) for lang in LARGE})

    def evidence(self, row: Mapping[str, Any]) -> Markup:
        """A measured value: one row of the evidence."""
        value = float(row["value"])
        text = self.words.t("figure.never") if math.isinf(value) else self.number(value, row["unit"])
        return tag(value, text, source="evidence", **{key: row[key] for key in EVIDENCE_KEYS})

    def at(self, value: float) -> str:
        """A value of a swept variable: one that was set, or a mean (of lengths), of which three digits say enough."""
        return f"{int(value):,}" if float(value).is_integer() else f"{value:.3g}"

    def date(self, iso: str) -> Markup:
        """A day (``2026-11-23``) as each language writes it."""
        day = date.fromisoformat(iso)
        written = self.words.both(
            {
                "en": f"{day.day} {month_name[day.month]} {day.year}",
                "zh": f"{day.year}年{day.month}月{day.day}日",
            }
        )
        return Markup('<time datetime="{}">{}</time>').format(iso, written)

    def verdict(
        self,
        value: float | int | None,
        pointer: str,
        unit: str = "",
        metric: str = "",
        text: str | Markup | None = None,
    ) -> Markup:
        """A value that the judge computed, found again by its pointer into verdict.json."""
        if value is None:
            return Markup('<span class="none">–</span>')
        return tag(
            value,
            text if text is not None else self.number(float(value), unit),
            source="verdict",
            pointer=pointer,
            metric=metric,
        )

    def pointed(self, value: float | int, source: str, pointer: str, unit: str = "") -> Markup:
        """A value of another JSON file (``machine``, ``card:translation``)."""
        return tag(value, self.number(float(value), unit), source=source, pointer=pointer)


def pointer(*parts: str | int) -> str:
    """An RFC 6901 pointer: ``pointer("claims", 0, "a/b")`` → ``/claims/0/a~1b``."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
