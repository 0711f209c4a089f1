"""Every number the page prints is found again, in full precision, in the file that it names as its source.

``problems(page, files)`` works on any built page: the workflow's tests call it with the results of a real run.
"""

import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdict.page import figures

UNITS = {"M": 1e6, "G": 1e9, "T": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "%": 0.01}


class _Reader(HTMLParser):
    """Collects ``<data class="figure">`` elements and their texts (the English one where there are two)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []
        self._inside, self._other = False, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "data" and given.get("class") == "figure":
            self.found.append(given | {"text": ""})
            self._inside = True
        self._other = self._inside and given.get("lang", "en") != "en"

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "data"
        self._other = False

    def handle_data(self, data: str) -> None:
        if self._inside and not self._other:
            self.found[-1]["text"] += data


def figures_of(page: str) -> list[dict[str, str]]:
    """All figures of a page: their attributes, and ``text``."""
    reader = _Reader()
    reader.feed(page)
    return reader.found


def follow(document: Any, pointer: str) -> Any:
    """What an RFC 6901 pointer points at; raises ``LookupError``."""
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def read_back(text: str) -> float | None:
    """The number that a printed figure says; None where it is a word (“never”)."""
    found = re.fullmatch(r"([+−]?)([\d,.]+(?:e-\d+)?)(?:\u202f([^\s×]+))?×?", text.strip())
    if not found:
        return None
    return float(found[2].replace(",", "")) * UNITS.get(found[3] or "", 1) * (-1 if found[1] == "−" else 1)


def problems(page: Path, evidence: Path, history: Path, documents: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a page's figures. ``documents``: ``verdict``, ``machine``, ``card:<task>`` → parsed JSON."""
    rows: dict[tuple[Any, ...], set[float]] = {}
    keys = (
        "run", "experiment", "metric", "task", "architecture", "variant", "matching", "size", "implementation",
        "variable", "at", "replicate",
    )  # fmt: skip
    for row in pl.read_parquet(evidence).to_dicts():
        key = tuple("" if row[name] is None else str(row[name]) for name in keys)
        rows.setdefault(key, set()).add(row["value"])
    yield from _drawn_wrongly(page, evidence, history, documents["verdict"])
    for item in figures_of(page.read_text(encoding="utf-8")):
        value, source = float(item["value"]), item.get("data-source", "")
        if source == "evidence":
            if value not in rows.get(tuple(item.get(f"data-{name}", "") for name in keys), set()):
                yield f"not in the evidence: {item}"
        elif source in documents:
            try:
                if follow(documents[source], item["data-pointer"]) != value:
                    yield f"{source} says otherwise: {item}"
            except (LookupError, ValueError):
                yield f"points nowhere: {item}"
        else:
            yield f"names no source: {item}"
        said = read_back(item["text"])
        if said is None and math.isfinite(value):
            yield f"not a number: {item}"
        elif said is not None and abs(said - value) > max(0.05 * abs(value), 0.0006):
            yield f"rounded too far: {item}"


def _drawn_wrongly(page: Path, evidence: Path, history: Path, verdict: dict[str, Any]) -> Iterator[str]:
    """What the page's script draws or lays out and no file holds: rows of the evidence, points of charts."""
    embedded = {
        found[1]: json.loads(found[2])
        for found in re.finditer(
            r'<script type="application/json" (?:id|data-chart)="([\w-]+)">(.*?)</script>',
            page.read_text(encoding="utf-8"), re.DOTALL,
        )
    }  # fmt: skip
    table, told = pl.read_parquet(evidence), embedded["evidence"]
    for name in table.columns if len(table) else []:
        texts = told["texts"].get(name)
        values = [texts[v] if texts else math.inf if v == "inf" else v for v in told["columns"][name]]
        if values != table.sort(table.columns, nulls_last=False)[name].to_list():
            yield f"the page's evidence differs in {name}"
    curves = pl.read_parquet(history)
    known = {(row["run"], row["value"]) for row in table.to_dicts()}
    known |= {(row["run"], row["valid_bits_per_byte"]) for row in curves.to_dicts()}
    judged = {
        test[key] for claim in verdict["claims"] for test in claim["tests"] for key in ("estimate", "low", "high")
    }
    for name, spec in embedded.items():
        for point in spec["data"]["values"] if name.startswith("chart-") else []:
            if "run" in point and (point["run"], math.inf if point["value"] is None else point["value"]) not in known:
                yield f"{name} draws what was not measured: {point}"
            if "estimate" in point and not {point[key] for key in ("estimate", "low", "high")} <= judged:
                yield f"{name} draws what was not judged: {point}"


def test_every_figure_is_found_again(built: dict[str, Path]) -> None:
    documents = {name: json.loads(built[name].read_text()) for name in ("verdict", "machine")}
    documents |= {
        f"card:{path.parent.name}": json.loads(path.read_text())
        for name, path in built.items()
        if name.startswith("card_")
    }
    assert list(problems(built["page"], built["evidence"], built["history"], documents)) == []
    sources = {item["data-source"] for item in figures_of(built["page"].read_text(encoding="utf-8"))}
    assert sources == {"evidence", *documents}


def test_a_figure_that_was_changed_is_noticed(built: dict[str, Path], tmp_path: Path) -> None:
    documents = {name: json.loads(built[name].read_text()) for name in ("verdict", "machine")}
    page = tmp_path / "page.html"
    page.write_text(
        built["page"]
        .read_text(encoding="utf-8")
        .replace('data-source="evidence" data-run="anatomy"', 'data-source="evidence" data-run="elsewhere"', 1)
    )
    assert any(
        "not in the evidence" in problem for problem in problems(page, built["evidence"], built["history"], documents)
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (21.34, "points", "21.3"),
        (1.0, "points", "1.00"),
        (2.0712, "bit/byte", "2.071"),
        (20412.7, "tokens/s", "20,413"),
        (1.3e6, "", "1.30\u202fM"),
        (999_999, "", "1.00\u202fM"),
        (-0.31, "points", "−0.31"),
        (0.0153, "s", "0.0153"),
        (0.0, "", "0"),
        (512000, "", "512,000"),
        (2 * 2**30, "bytes", "2.00\u202fGiB"),
        (math.inf, "s", "∞"),
        (7.4e6, "FLOPs", "7.40\u202fM"),
        (3.9e11, "", "390\u202fG"),
    ],
)
def test_numbers_as_people_read_them(value: float, unit: str, text: str) -> None:
    assert figures.rounded(value, unit) == text


@given(st.floats(-1e13, 1e13), st.sampled_from(["", "points", "%", "bit/byte", "bytes", "s"]))
def test_rounding_stays_near_and_readable(value: float, unit: str) -> None:
    said = read_back(figures.rounded(value, unit))
    assert said is not None
    assert said == pytest.approx(value, rel=0.051, abs=1e-300)


@given(st.lists(st.one_of(st.text(), st.integers(0, 3)), max_size=4))
def test_pointers_lead_back(parts: list[str | int]) -> None:
    document: Any = "here"
    for part in reversed(parts):
        document = [document if i == part else None for i in range(4)] if isinstance(part, int) else {part: document}
    assert follow(document, figures.pointer(*parts)) == "here"
