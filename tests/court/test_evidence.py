"""The evidence table: what it refuses, and that writing, order and hash depend on its content alone."""

import hashlib
import math
import os
import random

import polars as pl
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from verdict.court import evidence
from verdict.errors import UserError

ROW = {
    "experiment": "speed", "task": "lm", "architecture": "lstm", "metric": "train_step_seconds", "value": 0.5,
    "unit": "s", "better": "lower", "run": "speed/lm",
}  # fmt: skip
KNOWN = ", ".join(evidence.SCHEMA)
NEVER = "an infinite 'value' means “never reached” and needs better = lower and a positive sign"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


def test_a_row_may_leave_out_what_does_not_apply():
    table = evidence.frame([ROW])
    assert table.schema == evidence.SCHEMA
    assert table["variant"][0] == ""
    assert table["replicate"][0] is None
    assert table["at"][0] is None


def test_order_and_files_do_not_depend_on_the_order_of_measuring(tmp_path):
    rows = synthetic.rows()
    shuffled = random.Random(1).sample(rows, len(rows))
    evidence.write(evidence.frame(rows), tmp_path / "a.parquet")
    evidence.write(evidence.frame(shuffled), tmp_path / "b.parquet")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet", "b.csv", "b.parquet"]


def test_parquet_and_csv_hold_the_same_and_the_hash_is_that_of_the_csv(tmp_path):
    table = synthetic.table()
    evidence.write(table, tmp_path / "e.parquet")
    assert evidence.read(tmp_path / "e.parquet").equals(table)
    assert evidence.read(tmp_path / "e.csv").equals(table)
    assert evidence.fingerprint(table) == hashlib.sha256((tmp_path / "e.csv").read_bytes()).hexdigest()


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            TEXT,
            st.floats(allow_nan=False, allow_infinity=False) | st.just(math.inf),
            st.none() | st.integers(-5, 2**40),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=6,
    )
)
def test_any_table_survives_the_way_through_csv(tmp_path_factory, cells):
    rows = [{**ROW, "variant": text, "value": v, "replicate": r, "at": at} for text, v, r, at in cells]
    table = evidence.frame(rows)
    path = tmp_path_factory.mktemp("e") / "e.parquet"
    evidence.write(table, path)
    assert evidence.read(path.with_suffix(".csv")).equals(evidence.read(path))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"value": math.nan}, " row 2: 'value' is NaN; leave out what was not measured"),
        ({"value": -math.inf}, f" row 2: {NEVER}"),
        ({"value": math.inf, "better": "higher"}, f" row 2: {NEVER}"),
        ({"better": "bigger"}, " row 2: 'better' must be one of higher, lower, neither, not 'bigger'"),
        ({"at": math.inf}, " row 2: 'at' must be a finite number or empty"),
        ({"metric": None}, " row 2: 'metric' is missing; every measurement must state it"),
        ({"architectur": "x"}, " row 2: the column 'architectur' does not exist; did you mean 'architecture'?"),
        ({"Q": 1}, f" row 2: the column 'Q' does not exist; known are {KNOWN}"),
    ],
)
def test_a_bad_row_is_refused_in_one_sentence(change, told):
    with pytest.raises(UserError) as error:
        evidence.frame([ROW, {**ROW, "experiment": "a", **change}], "mine")
    assert str(error.value) == f"mine{told}"


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("replicate", "three", "whole numbers"),
        ("replicate", 0.5, "whole numbers"),
        ("replicate", 2**70, "whole numbers"),
        ("at", "far", "numbers"),
        ("value", [1.0], "numbers"),
        ("task", 3, "text"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_column(column, value, kind):
    with pytest.raises(UserError, match=rf"^mine: '{column}' must hold {kind} \(.+\)$") as error:
        evidence.frame([ROW, {**ROW, column: value}], "mine")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: t.drop("metric"), f": the column 'metric' is missing; known are {KNOWN}"),
        (lambda t: t.rename({"better": "beter"}), ": the column 'better' is missing; is it 'beter'?"),
        (
            lambda t: t.with_columns(extra=pl.lit(1)),
            ": the column 'extra' is not part of the evidence; remove it or rename it",
        ),
        (
            lambda t: t.with_columns(value=pl.lit("fast")),
            ": the column 'value' must hold numbers, found String; convert it",
        ),
        (
            lambda t: t.with_columns(replicate=pl.lit(0.5)),
            ": the column 'replicate' must hold whole numbers, found Float64; convert it",
        ),
        (lambda t: t.with_columns(task=pl.lit(True)), ": the column 'task' must hold text, found Boolean; convert it"),
        (
            lambda t: t.with_columns(task=pl.lit(None, pl.String)),
            " row 1: 'task' is empty; write \"\" instead (2 such rows)",
        ),
        (
            lambda t: t.head(1).with_columns(value=pl.lit(None, pl.Float64)),
            " row 1: 'value' is empty; write the measured number instead",
        ),
        (lambda t: t.with_columns(at=pl.lit(math.nan)), " row 1: 'at' must be a finite number or empty (2 such rows)"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, spoil, told):
    path = tmp_path / "mine.parquet"
    spoil(synthetic.table().head(2)).write_parquet(path)
    with pytest.raises(UserError) as error:
        evidence.read(path)
    assert str(error.value) == f"{path}{told}"


@pytest.mark.parametrize(
    ("column", "cell", "told"),
    [
        ("value", "", "'value' is empty; leave the row out instead"),
        ("value", "fast", "'value' must hold numbers, not 'fast'"),
        ("replicate", "0.5", "'replicate' must hold whole numbers, not '0.5'"),
        ("at", "XXXX", "'at' must hold numbers, not 'XXXX'"),
    ],
)
def test_a_bad_cell_of_a_csv_is_named_with_its_row(tmp_path, column, cell, told):
    path = tmp_path / "mine.csv"
    rows = [{**ROW, "task": task, "replicate": 1, "at": 2.0} for task in ("a", "b", "c")]
    text = pl.read_csv(evidence.csv(evidence.frame(rows)), infer_schema=False)
    cells = [*text[column][:1], cell, *text[column][2:]]
    text.with_columns(pl.Series(column, cells)).write_csv(path)
    with pytest.raises(UserError) as error:
        evidence.read(path)
    assert str(error.value) == f"{path} row 2: {told}"


def test_the_lines_of_the_csv_stand_in_the_order_of_the_table(tmp_path):
    """A verdict names the rows it rests on by their numbers."""
    cells = ((None, 1.0, 3.0), (0, None, 1.0), (0, 1.0, 2.0), (None, None, 4.0))
    rows = [{**ROW, "replicate": replicate, "at": at, "value": value} for replicate, at, value in cells]
    table = evidence.frame(rows)
    evidence.write(table, tmp_path / "e.parquet")
    assert pl.read_csv(tmp_path / "e.csv")["value"].to_list() == table["value"].to_list()
    assert pl.read_parquet(tmp_path / "e.parquet")["value"].to_list() == table["value"].to_list()


def test_unreadable_and_absent_files_are_named(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut short")
    for name in ("cut.parquet", "absent.parquet"):
        with pytest.raises(UserError, match=name):
            evidence.read(tmp_path / name)
    csv = evidence.csv(evidence.frame([ROW])).decode()
    (tmp_path / "word.csv").write_text(csv.replace("0.5", "half"))
    with pytest.raises(UserError, match=r"word.csv row 1: 'value' must hold numbers, not 'half'"):
        evidence.read(tmp_path / "word.csv")


def test_whole_numbers_serve_where_numbers_are_asked(tmp_path):
    table = evidence.frame([ROW]).with_columns(value=pl.lit(3, pl.Int32), at=pl.lit(7, pl.Int64))
    table.write_parquet(tmp_path / "e.parquet")
    assert evidence.read(tmp_path / "e.parquet").select("value", "at").row(0) == (3.0, 7.0)


def test_what_the_library_says_of_a_bad_file_is_told(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(pl.exceptions.ComputeError) as found:
        pl.read_parquet(tmp_path / "cut.parquet")
    first = str(found.value).splitlines()[0]
    with pytest.raises(UserError) as refused:
        evidence.read(tmp_path / "cut.parquet")
    assert f"cut.parquet cannot be read as a table ({first}); make it again" in str(refused.value)


def test_a_table_that_may_not_be_written_is_refused_by_the_name_of_the_file(tmp_path):
    with pytest.raises(UserError, match=r"e\.parquet: the column 'value' is missing"):
        evidence.write(evidence.frame([ROW]).drop("value"), tmp_path / "e.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("panics", [True, False])
def test_a_panic_of_the_library_is_an_error_and_what_else_it_says_is_told(tmp_path, monkeypatch, capfd, panics):
    def read(path):
        os.write(2, b"from a thread\n")
        if panics:
            raise pl.exceptions.PanicException("index out of bounds\nmore")
        return "table"

    monkeypatch.setattr(pl, "read_parquet", read)
    if panics:
        with pytest.raises(pl.exceptions.ComputeError, match=r"^index out of bounds$"):
            evidence.read_parquet(tmp_path)
    else:
        assert evidence.read_parquet(tmp_path) == "table"
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == ("" if panics else "from a thread\n") + "afterwards\n"


def test_an_error_without_words_is_told_by_its_kind():
    assert evidence._first_line(ValueError(" ")) == "ValueError"
    assert evidence._first_line(ValueError("one\ntwo")) == "one"
