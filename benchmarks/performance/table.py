"""The table of a run: its rows, the interval of a median, Parquet and Markdown; parts are kept as they are measured."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from verdict.files import read_json, replacing, write_json, write_text

SCHEMA: dict[str, Any] = {
    "section": pl.String,
    "model": pl.String,
    "contestant": pl.String,
    "precision": pl.String,
    "width": pl.Int64,
    "length": pl.Int64,
    "batch": pl.Int64,
    "threads": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "unit": pl.String,
    "rounds": pl.Int64,
    "note": pl.String,
}
"""Columns in their order; what does not apply to a row is null."""


@dataclass(frozen=True)
class Row:
    """One figure: the median over rounds, and a 95 % interval of it where the rounds are enough for one."""

    section: str
    model: str
    contestant: str
    metric: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    precision: str | None = None
    width: int | None = None
    length: int | None = None
    batch: int | None = None
    threads: int | None = None
    note: str = ""


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Two order statistics between which the median lies with at least ``level``, whatever the distribution.

    The k-th smallest and k-th largest of n miss it with 2 P(Bin(n, 1/2) < k); None where even the extremes (n < 6) do
    not reach the level.
    """
    count, missed, k = len(values), 0.0, 0
    while k < count // 2 and missed + 2 * comb(count, k) / 2**count <= 1 - level:
        missed += 2 * comb(count, k) / 2**count
        k += 1
    ordered = sorted(values)
    return (ordered[k - 1], ordered[-k]) if k else None


def row(section: str, model: str, contestant: str, metric: str, values: Sequence[float], unit: str, **more: Any) -> Row:
    """The row of a metric's values, one per round."""
    low, high = interval(values) or (None, None)
    return Row(section, model, contestant, metric, median(values), unit, low, high, len(values), **more)


def ratios(section: str, ours: str, other: str, mine: Sequence[float], theirs: Sequence[float], **more: Any) -> Row:
    """How many times as fast as the other a contestant is, from the seconds of both in the rounds that both have."""
    values = [b / a for a, b in zip(mine, theirs, strict=False)]
    return row(section, ours, other, "times as fast as", values, "ratio", **more)


def frame(rows: Iterable[Row]) -> pl.DataFrame:
    """Rows as a table."""
    return pl.DataFrame([asdict(one) for one in rows], schema=SCHEMA)


def read(path: Path) -> list[Row]:
    """The rows of a performance.parquet."""
    return [Row(**one) for one in pl.read_parquet(path).to_dicts()]


def markdown(table: pl.DataFrame) -> str:
    """A Markdown table of each section, without the columns that are empty throughout it."""
    texts = []
    for (section,), part in table.group_by(["section"], maintain_order=True):
        kept = [name for name in SCHEMA if name != "section" and any(one not in (None, "") for one in part[name])]
        texts.append(f"## {section}\n\n{_table(part.select(kept))}")
    return "\n\n".join(texts) + "\n"


def _table(part: pl.DataFrame) -> str:
    lines = [part.columns, ["---"] * part.width, *([_cell(value) for value in one] for one in part.iter_rows())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value).replace("|", "\\|")


class Store:
    """The parts of a run, each in a file of its own as soon as it is measured."""

    def __init__(
        self,
        folder: Path,
        follows: Callable[[Sequence[Row]], Sequence[Row]] = lambda rows: (),
        head: Callable[[Sequence[Row]], str] = lambda rows: "",
    ) -> None:
        """``follows``: rows that are worked out from others; ``head``: Markdown from all rows, above the tables."""
        self.folder, self.follows, self.head = folder, follows, head

    def _path(self, section: str, part: str) -> Path:
        return self.folder / "parts" / section / f"{part}.json"

    def has(self, section: str, part: str) -> bool:
        """Whether a part was measured before."""
        return self._path(section, part).exists()

    def add(self, section: str, part: str, rows: Iterable[Row]) -> None:
        """Keep the rows of a part, and bring the tables up to date."""
        write_json(self._path(section, part), {"rows": [asdict(one) for one in rows]})
        self.write()

    def rows(self) -> list[Row]:
        """All rows so far: sections and parts by name."""
        rows = [Row(**one) for path in sorted(self.folder.glob("parts/*/*.json")) for one in read_json(path)["rows"]]
        return [*rows, *self.follows(rows)]

    def write(self) -> None:
        """performance.parquet and performance.md."""
        rows = self.rows()
        table = frame(rows)
        with replacing(self.folder / "performance.parquet") as aside:
            table.write_parquet(aside)
        write_text(self.folder / "performance.md", "\n\n".join(filter(None, (self.head(rows), markdown(table)))))
