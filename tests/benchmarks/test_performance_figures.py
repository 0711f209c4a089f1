"""The tables of `make bench` at a glance: from rows alone, and the documentation says what the kept rows say."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import places
from benchmarks.performance import document, table, whole
from benchmarks.performance.figures import figures, grid, told
from benchmarks.performance.table import Row
from verdict.errors import UserError
from verdict.files import write_json
from verdict.job import TOOK

DOCS = Path(__file__).parents[2] / "docs"


def ratio(model: str, contestant: str, length: int, value: float, note: str = "") -> Row:
    return Row(
        "training", model, contestant, "times as fast as", value, "ratio", value - 0.1, value + 0.1, 6,
        precision="fp32", width=8, length=length, note=note,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1.234, "ratio", "1.23"), (12345.6, "1/s", "12,346"), (0.534, "share", "53%"), (0.00026, "share", "0.00026"),
        (1.478e11, "FLOP/s", "148 GFLOP/s"), (5.2e8, "byte", "520 Mbyte"),
    ],
)  # fmt: skip
def test_a_figure_is_told_in_its_unit(value: float, unit: str, expected: str):
    assert told(Row("s", "m", "c", "x", value, unit)) == expected
    assert told(Row("s", "m", "c", "x", value, unit, value, value)) == f"{expected} ({expected}–{expected})"


def test_grid_leaves_a_cell_empty_that_was_not_measured():
    rows = [ratio("a", "x", 4, 2.0), ratio("a", "y", 4, 3.0), ratio("b", "y", 4, 4.0)]
    assert grid(rows, lambda one: one.model, lambda one: one.contestant, "of").splitlines() == [
        "| of | x | y |",
        "| --- | --- | --- |",
        "| a | 2 (1.9–2.1) | 3 (2.9–3.1) |",
        "| b |  | 4 (3.9–4.1) |",
    ]
    assert grid([], lambda one: one.model, lambda one: one.contestant) == ""


def test_training_shows_peers_as_shipped_and_the_best_setting_of_any():
    model = "masked_encoder: transformer"
    rows = [
        ratio(model, "BERT, as shipped", 32, 2.0),
        ratio(model, "BERT, as shipped", 4, 1.5),
        ratio(model, "BERT, best setting, sdpa", 4, 1.2),
        ratio(model, "best setting of any peer", 4, 1.2, "BERT, best setting, sdpa"),
    ]
    shown = figures(rows)["training"]
    assert "**masked encoder, fp32, width 8**" in shown
    assert "| pieces a row | 4 | 32 |" in shown
    assert "| transformer over BERT, as shipped | 1.5 (1.4–1.6) | 2 (1.9–2.1) |" in shown
    assert "transformer over BERT, best setting" not in shown
    assert "Best settings: BERT, best setting, sdpa (1 of 1)." in shown


def test_growth_is_fitted_over_counted_sizes():
    rows = [
        Row("around", "command", f"snakemake -n, {count} trainings planned", "seconds", 0.1 * count**1.5, "s")
        for count in (1000, 10, 100)
    ]
    assert "| snakemake -n, N trainings planned | 10: 3.16, 100: 100, 1,000: 3,162 | 1.50 |" in figures(rows)["growth"]
    assert figures(rows[:1])["growth"] == ""  # no slope through a point
    assert figures(rows)["around"] == ""  # told once


def test_a_page_is_filled_where_it_says_so_and_only_there():
    text = "before\n<!-- figures: peak -->\nold\n<!-- end -->\nafter\n"
    filled = places.renewed(text, {"peak": "new \\1"})
    assert filled == "before\n<!-- figures: peak -->\n\nnew \\1\n\n<!-- end -->\nafter\n"
    assert places.renewed(filled, {"peak": "new \\1"}) == filled
    assert "Not measured." in places.renewed(text, {"peak": ""})
    with pytest.raises(UserError, match="no figures are called peak; write one of training"):
        places.renewed(text, {"training": ""})


@pytest.mark.parametrize("name", ["performance", "performance-bf16"])
def test_the_documentation_says_what_the_kept_rows_say(name: str):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert len(places.PLACE.findall(page)) > 5
    assert places.renewed(page, document.blocks(DOCS / name)) == page


def test_of_several_runs_the_later_sections_count(tmp_path: Path):
    for name, sections in (("one", ("around", "whole")), ("two", ("whole",))):
        store = table.Store(tmp_path / name)
        for section in sections:
            store.add(section, "part", [Row(section, "m", f"{section} of {name}", "x", 1.0, "s")])
        write_json(tmp_path / name / "run.json", {"commit": name})
    rows, told = document.joined([tmp_path / "one", tmp_path / "two"])
    assert {one.contestant for one in rows} == {"around of one", "whole of two"}
    assert told == [{"commit": "one", "sections": ["around"]}, {"commit": "two", "sections": ["whole"]}]
    with pytest.raises(UserError, match="holds no figures"):
        document.joined([tmp_path / "three"])


def test_what_jobs_say_they_took_is_read_from_their_logs():
    line = TOOK.format
    logs = [
        "translation/lstm/s0: 100 %", line(module="verdict.training", seconds=10.04, busy=9.96, peak=812.4),
        line(module="verdict.measure.speed", seconds=5.0, busy=8.0, peak=2048.0), "verdict.page took its time",
        line(module="verdict.page", seconds=2.0, busy=3.0, peak=300.0),
    ]  # fmt: skip
    jobs = whole.took("\n".join(logs))
    assert [(job.module, job.seconds, job.busy, job.peak) for job in jobs] == [
        ("verdict.training", 10.0, 10.0, 812),
        ("verdict.measure.speed", 5.0, 8.0, 2048),
        ("verdict.page", 2.0, 3.0, 300),
    ]
    # the page is neither training nor measuring, and a timing has the machine to itself
    assert whole.inside(jobs, cores=2) == 10 + 2 * 5


def test_rows_come_back_from_the_table_that_was_written(tmp_path: Path):
    rows: list[Any] = [ratio("a", "x", 4, 2.0), Row("s", "m", "c", "x", 1.0, "s")]
    table.frame(rows).write_parquet(tmp_path / "rows.parquet")
    assert table.read(tmp_path / "rows.parquet") == rows
