"""The one tidy table: a row is one measurement, and statistics, judge and charts read nothing else."""

import difflib
import hashlib
import io
import math
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from verdict.errors import UserError
from verdict.files import replacing

SCHEMA: dict[str, Any] = {
    "experiment": pl.String,
    "task": pl.String,
    "architecture": pl.String,
    "variant": pl.String,
    "matching": pl.String,
    "size": pl.String,
    "replicate": pl.Int64,
    "device": pl.String,
    "implementation": pl.String,
    "variable": pl.String,
    "at": pl.Float64,
    "metric": pl.String,
    "value": pl.Float64,
    "unit": pl.String,
    "better": pl.String,
    "run": pl.String,
}
"""Columns in their order. ``replicate`` (the pairing unit) and ``at`` (the swept variable's value) may be null."""

NULLABLE = ("replicate", "at")
BETTER = ("higher", "lower", "neither")
REQUIRED = ("experiment", "architecture", "metric", "value", "unit", "better", "run")
"""What ``frame`` cannot fill in; every other text is "" and every other number null when a row leaves it out."""
#: experiments whose rows stand on the page in tables of their own
ELSEWHERE = ("training", "anatomy", "tuning", "device", "baseline", "items")


def frame(rows: Iterable[Mapping[str, Any]], where: str = "evidence") -> pl.DataFrame:
    """Rows as a checked table in canonical order; a row may leave out what does not apply to it.

    Raises ``UserError`` for an unknown or missing key and for everything ``check`` refuses.
    """
    rows = list(rows)
    for number, row in enumerate(rows, start=1):
        for key in row:
            if key not in SCHEMA:
                raise UserError(f"{where} row {number}: the column '{key}' does not exist{_meant(key, SCHEMA)}")
        for key in REQUIRED:
            if row.get(key) is None:
                raise UserError(f"{where} row {number}: '{key}' is missing; every measurement must state it")
    columns = []
    for name, dtype in SCHEMA.items():
        values = [row.get(name, None if name in NULLABLE else "") for row in rows]
        try:
            columns.append(pl.Series(name, values, dtype))
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{where}: '{name}' must hold {_kind(dtype)} ({_first_line(error)})") from error
    return check(pl.DataFrame(columns), where)


def check(table: pl.DataFrame, where: str = "evidence") -> pl.DataFrame:
    """The table with exact columns and types in canonical order.

    Raises ``UserError`` naming the column (and the row, counted from 1) for: a missing or unknown column, a value
    that is not of the column's type, an absent text, an unknown ``better``, NaN, −inf, and +inf ("never reached")
    where lower is not better.
    """
    missing = [name for name in SCHEMA if name not in table.columns]
    unknown = [name for name in table.columns if name not in SCHEMA]
    if missing:
        raise UserError(f"{where}: the column '{missing[0]}' is missing{_meant(missing[0], unknown, 'is it')}")
    if unknown:
        raise UserError(f"{where}: the column '{unknown[0]}' is not part of the evidence; remove it or rename it")
    table = table.select(list(SCHEMA))
    for name, dtype in SCHEMA.items():
        if table.schema[name] != dtype:
            try:
                table = table.with_columns(_converted(table[name], dtype))
            except pl.exceptions.PolarsError as error:
                raise UserError(
                    f"{where}: the column '{name}' must hold {_kind(dtype)}, found {table.schema[name]}; convert it"
                ) from error
    for name in SCHEMA:
        if name not in NULLABLE:
            _refuse(table, pl.col(name).is_null(), where, f"'{name}' is empty; write {_nothing(name)} instead")
    _refuse(
        table,
        ~pl.col("better").is_in(BETTER),
        where,
        f"'better' must be one of {', '.join(BETTER)}",
        show="better",
    )
    _refuse(table, pl.col("value").is_nan(), where, "'value' is NaN; leave out what was not measured")
    _refuse(table, pl.col("at").is_nan() | pl.col("at").is_infinite(), where, "'at' must be a finite number or empty")
    _refuse(
        table,
        pl.col("value").is_infinite() & ((pl.col("value") < 0) | (pl.col("better") != "lower")),
        where,
        "an infinite 'value' means “never reached” and needs better = lower and a positive sign",
    )
    return table.sort(list(SCHEMA), nulls_last=False)


def read(path: Path | str) -> pl.DataFrame:
    """Read evidence from Parquet (or from CSV, by the name's ending) and check it; raises ``UserError``."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; run the measurements first or name another evidence file")
    try:
        if path.suffix == ".csv":
            table = pl.read_csv(path, infer_schema=False).fill_null("")
            table = _typed(table, path)
        else:
            table = read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{path} cannot be read as a table ({_first_line(error)}); make it again") from error
    return check(table, str(path))


def read_parquet(path: Path) -> pl.DataFrame:
    """A Parquet file as a table. Raises ``polars.exceptions.PolarsError`` if it is damaged.

    Over some damaged bytes polars panics, which its threads tell on the standard error in many lines; those are dropped
    and the panic is an error like others.
    """
    with tempfile.TemporaryFile() as said:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            table = pl.read_parquet(path)
        except pl.exceptions.PanicException as error:
            said.truncate(0)
            raise pl.exceptions.ComputeError(_first_line(error)) from error
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            if told := said.read().decode(errors="replace"):
                sys.stderr.write(told)
    return table


def write(table: pl.DataFrame, path: Path | str) -> None:
    """Write the table to ``path`` (Parquet) and, with the ending .csv, beside it; both in canonical order."""
    path = Path(path)
    table = check(table, str(path))
    with replacing(path) as aside:
        table.write_parquet(aside)
    with replacing(path.with_suffix(".csv")) as aside:
        aside.write_bytes(csv(table))


def csv(table: pl.DataFrame) -> bytes:
    """The table's canonical CSV: sorted rows, shortest digits that read back to the same number, "\\n" line ends."""
    buffer = io.BytesIO()
    table.sort(list(SCHEMA), nulls_last=False).write_csv(buffer)
    return buffer.getvalue()


def fingerprint(table: pl.DataFrame) -> str:
    """SHA-256 of the canonical CSV: what ``sha256sum`` says of the .csv file that ``write`` left."""
    return hashlib.sha256(csv(table)).hexdigest()


def _converted(column: pl.Series, dtype: Any) -> pl.Series:
    """A column as another type, if that changes no value. Raises ``polars.exceptions.PolarsError``."""
    kind = column.dtype
    if not (kind.is_numeric() or kind in (pl.String, pl.Null, pl.Categorical, pl.Enum)):
        raise pl.exceptions.InvalidOperationError(f"{kind} is no such type")
    made = column.cast(dtype)
    if dtype == pl.Int64 and kind.is_numeric() and not made.cast(pl.Float64).equals(column.cast(pl.Float64)):
        raise pl.exceptions.InvalidOperationError("not all are whole numbers")
    return made


def _typed(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """A CSV read as text, its numeric columns parsed; raises ``UserError`` naming the first cell that is no number."""
    for name, dtype in SCHEMA.items():
        if name in table.columns and dtype != pl.String:
            text = pl.col(name).str.strip_chars()
            parsed = pl.when(text == "").then(None).otherwise(text).cast(dtype, strict=False).alias("parsed")
            both = table.select(pl.col(name), parsed)
            wrong = (pl.col("parsed").is_null()) & (pl.col(name).str.strip_chars() != "")
            _refuse(both, wrong, str(path), f"'{name}' must hold {_kind(dtype)}", show=name)
            column = both["parsed"].rename(name)
            if name not in NULLABLE and column.null_count():
                _refuse(both, pl.col("parsed").is_null(), str(path), f"'{name}' is empty; leave the row out instead")
            table = table.with_columns(column)
    return table


def _refuse(table: pl.DataFrame, wrong: pl.Expr, where: str, sentence: str, show: str | None = None) -> None:
    bad = table.with_row_index("row", offset=1).filter(wrong.fill_null(False))
    if bad.height:
        found = f", not {bad[show][0]!r}" if show else ""
        more = f" ({bad.height} such rows)" if bad.height > 1 else ""
        raise UserError(f"{where} row {bad['row'][0]}: {sentence}{found}{more}")


def _kind(dtype: Any) -> str:
    return {pl.String: "text", pl.Int64: "whole numbers", pl.Float64: "numbers"}[dtype]


def _nothing(name: str) -> str:
    return "the measured number" if name == "value" else '""'


def _meant(word: str, known: Iterable[str], phrase: str = "did you mean") -> str:
    close = difflib.get_close_matches(word, list(known))
    return f"; {phrase} '{close[0]}'?" if close else f"; known are {', '.join(SCHEMA)}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def finite(value: float | None) -> float | None:
    """The value as JSON can hold it: infinities become null."""
    return value if value is not None and math.isfinite(value) else None
