"""From the evidence to the two sides of every comparison: which rows a test reads, in which conditions.

Where the evidence knows how much a comparison owes to the sample of test items, those rows go with it: “<metric>.
items_error”, the standard error (of a difference in the metric's unit, written by verdict.measure.items; of a ratio
that of its logarithm, by verdict.measure.likelihoods), and “<metric>.items_groups”, of how many groups of items it was
drawn. Rows of that kind without a matching hold for every matching and all along a learning curve. Of a ratio of gains
and of what is compared with a baseline they say nothing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from verdict.court.claims import Cell, Claims, Test
from verdict.errors import UserError
from verdict.metrics import ITEMS_AGAINST, ITEMS_ERROR, ITEMS_GROUPS, LOG_RATIO

#: what the rows that tell the error due to test items have in common with the measurements they belong to
ITEMS_COLUMNS = ("task", "variant", "size", "device")
#: where a side must have learned: in the condition's own place, if the docket names no other
LEARNED_COLUMNS = ("task", "size", "device", "matching")
#: and where it tells how far it sought
LIMIT_COLUMNS = ("experiment", "variant", *LEARNED_COLUMNS)

Row = dict[str, Any]
Condition = tuple[Any, ...]


@dataclass(frozen=True)
class Sides:
    """The measurements one condition is judged by; replicate → value (None stands for “no replicate”: exact)."""

    favoured: dict[int | None, float]
    against: dict[int | None, float]
    baseline: float | None = None
    baseline_variant: str | None = None
    rows: list[Row] = field(default_factory=list)
    #: rows with the standard error due to the sample of test items, one for each difference the effect is made of
    items: list[Row] = field(default_factory=list)
    #: rows that tell of how many groups of items those were drawn
    groups: list[Row] = field(default_factory=list)
    #: rows that tell what each side has learned, if the test asks for it
    learned: list[Row] = field(default_factory=list)
    #: rows that tell up to which value was sought, if the test names them
    limits: list[Row] = field(default_factory=list)

    @property
    def told(self) -> list[Row]:
        """Every row that this condition was judged by."""
        return [*self.rows, *self.items, *self.groups, *self.learned, *self.limits]

    @property
    def items_error(self) -> float:
        """Standard error due to test items; of a gain over a gain the sum, which no correlation can exceed."""
        return math.fsum(row["value"] for row in self.items)

    @property
    def items_groups(self) -> int | None:
        """Groups of test items that the error was drawn from, of several the fewest; None if that was not told."""
        return int(min((row["value"] for row in self.groups), default=0)) or None

    @property
    def items_freedom(self) -> float:
        """Degrees of freedom of the error due to test items."""
        return math.inf if self.items_groups is None else self.items_groups - 1


def conditions(test: Test, place: str, claims: Claims, evidence: pl.DataFrame) -> Iterator[tuple[Row, Sides]]:
    """Every condition in which both sides of a test were measured, and its sides, in order.

    ``place``: where the test stands in the docket, for errors. Raises ``UserError`` when the rows name an architecture
    the docket does not know, differ in unit or direction, or stand twice.
    """
    where = f"{place}.tests.{test.name}"
    rows = _select(evidence, test.metric, test.select)
    for name in sorted({row["architecture"] for row in rows}):
        if name not in claims.architectures:
            raise UserError(
                f"{where}: the evidence has the architecture '{name}', which the docket does not know; "
                "add it under 'architectures' or correct the evidence"
            )
    reference = _select(evidence, test.metric, {**test.select, **test.relative_to}) if test.relative_to else []
    for condition, here in sorted(_grouped(rows, test.by).items(), key=lambda item: _order(item[0])):
        sides = _sides(test, here, reference, evidence, where)
        if sides is not None:
            _agree(sides.rows, where)
            yield dict(zip(test.by, condition, strict=True)), sides


def sign(test: Test, rows: list[Row]) -> int:
    """+1 when a larger value speaks for the favoured side, −1 when a smaller one does."""
    if test.direction != "better":
        return 1 if test.direction == "more" else -1
    better = rows[0]["better"]
    if better == "neither":
        raise UserError(
            f"the test {test.name}: of '{test.metric}' neither more nor less is better; set 'direction' to more or less"
        )
    return 1 if better == "higher" else -1


def _sides(test: Test, here: list[Row], reference: list[Row], evidence: pl.DataFrame, where: str) -> Sides | None:
    """Both sides of one condition, or None when one of them was not measured there."""
    found: dict[str, dict[int | None, float]] = {}
    used: list[Row] = []
    items: list[Row] = []
    groups: list[Row] = []
    parts: list[list[Row]] = [[], []]  # the rows of both sides, and of what they are relative to
    baseline = baseline_variant = None
    if test.baseline:
        best = _best_baseline(test, sorted({row["task"] for row in here}), evidence, here, where)
        if best is None:
            return None
        baseline, baseline_variant = best["value"], best["variant"]
        used.append(best)
        found[test.baseline.architecture] = {None: best["value"]}
    for side in (test.favoured, test.against):
        if test.baseline and side == test.baseline.architecture:
            continue
        rows = [row for row in here if row["architecture"] == side]
        values = _by_replicate(rows, where)
        used += rows
        parts[0] += rows
        if test.relative_to:
            same = [column for column in test.by if column not in test.relative_to]
            others = [
                row
                for row in reference
                if row["architecture"] == side and rows and all(row[column] == rows[0][column] for column in same)
            ]
            before = _by_replicate(others, where)
            if any(math.isinf(value) for value in [*values.values(), *before.values()]):
                raise UserError(f"{where}: a gain needs finite values, but '{test.metric}' was never reached")
            values = {key: value - before[key] for key, value in values.items() if key in before}
            used += others
            parts[1] += others
        if not values:
            return None
        found[side] = values
    if not test.baseline and not (test.effect == "ratio" and test.relative_to):
        for rows in filter(None, parts):
            error, drawn = _items(test, rows, evidence, where)
            items += error
            groups += drawn
    learned = _learned(test, used, evidence)
    if learned is None:
        return None
    limits = _limits(test, used, evidence)
    sides = found[test.favoured], found[test.against]
    return Sides(*sides, baseline, baseline_variant, used, items, groups, learned, limits)


def _beside(
    test: Test, metric: str, rows: list[Row], columns: Sequence[str], select: dict[Any, Any], evidence: pl.DataFrame
) -> list[Row]:
    """The rows of both sides on another metric, in the place of these rows unless ``select`` names another."""
    found = _select(evidence, metric, {**{column: rows[0][column] for column in columns}, **select})
    return [row for row in found if row["architecture"] in (test.favoured, test.against)]


def _limits(test: Test, rows: list[Row], evidence: pl.DataFrame) -> list[Row]:
    """The rows that tell up to which value was sought, where “never” is the answer and the test names them."""
    if test.limit is None or all(math.isfinite(row["value"]) for row in rows):
        return []
    return _beside(test, test.limit, rows, LIMIT_COLUMNS, {}, evidence)


def _learned(test: Test, rows: list[Row], evidence: pl.DataFrame) -> list[Row] | None:
    """The rows that tell what both sides have learned, or None if the test asks for it and one was not measured."""
    if test.learned is None:
        return []
    told = _beside(test, test.learned.metric, rows, LEARNED_COLUMNS, test.learned.select, evidence)
    return told if len({row["architecture"] for row in told}) == 2 else None


def _items(test: Test, rows: list[Row], evidence: pl.DataFrame, where: str) -> tuple[list[Row], list[Row]]:
    """The row, if there is one, that tells how much these two sides' comparison owes to the sample of test items, and
    the row, if there is one beside it, that tells of how many groups of items that was drawn."""
    names = tuple(name.format(metric=test.metric) for name in (ITEMS_ERROR, ITEMS_GROUPS))
    found = evidence.filter(pl.col("metric").is_in(names))
    if found.is_empty():
        return [], []
    for column in ITEMS_COLUMNS:
        found = found.filter(pl.col(column).is_in(sorted({row[column] for row in rows})))
    places = {row["at"] for row in rows}
    here = pl.col("at").is_in([at for at in places if at is not None])
    here |= pl.col("at").is_null() if None in places else pl.lit(False)
    same = pl.col("matching").is_in(sorted({row["matching"] for row in rows}))
    found = found.filter((here & same) | ((pl.col("matching") == "") & pl.col("at").is_null()))
    pairs = [
        (pl.col("architecture") == one) & (pl.col("variable") == ITEMS_AGAINST.format(architecture=other))
        for one, other in ((test.favoured, test.against), (test.against, test.favoured))
    ]
    found = found.filter(pairs[0] | pairs[1])
    # of a ratio it is that of the logarithm, and no other; of a difference that in the metric's unit
    is_of_ratio = (pl.col("unit") == LOG_RATIO) == (test.effect == "ratio")
    errors = _alone(found.filter((pl.col("metric") == names[0]) & is_of_ratio).to_dicts(), test, where)
    groups = _alone(found.filter(pl.col("metric") == names[1]).to_dicts(), test, where) if errors else []
    unit = LOG_RATIO if test.effect == "ratio" else rows[0]["unit"]
    for row in errors:
        if row["unit"] != unit or not 0 <= row["value"] < math.inf:
            raise UserError(
                f"{where}: {row['metric']} is {row['value']:g} {row['unit']} in run {row['run']}; "
                f"it must be a standard error in {unit}"
            )
    for row in groups:
        if not 2 <= row["value"] < math.inf or row["value"] != int(row["value"]):
            raise UserError(
                f"{where}: {row['metric']} is {row['value']:g} in run {row['run']}; it must be a number of groups, at "
                "least 2"
            )
    return errors, groups


def _alone(told: list[Row], test: Test, where: str) -> list[Row]:
    """These rows, of which there may be one."""
    if len(told) > 1:
        raise UserError(
            f"{where}: the evidence has several rows of {told[0]['metric']} for {test.favoured} and {test.against} "
            f"(runs {told[0]['run']}, {told[1]['run']}); remove all but one"
        )
    return told


def _best_baseline(test: Test, tasks: list[str], evidence: pl.DataFrame, here: list[Row], where: str) -> Row | None:
    """The baseline row that is best on the metric in the same task (the first by name when several are equal).

    Where runs on several devices read texts of their own, it is the condition's device whose baselines count.
    """
    assert test.baseline is not None
    rows = [
        row
        for row in _select(evidence, test.metric, test.baseline.select)
        if row["architecture"] == test.baseline.architecture and row["task"] in tasks
    ]
    if not rows:
        return None
    devices = {row["device"] for row in here}
    rows = [row for row in rows if row["device"] in devices] or rows
    if len(tasks) > 1:
        raise UserError(f"{where}: a test with a baseline must judge each task for itself; add 'task' to 'by'")
    seen: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row["variant"]):
        if row["variant"] in seen:
            _twice(seen[row["variant"]], row, where)
        seen[row["variant"]] = row
    better = sign(test, here)
    best = max(seen.values(), key=lambda row: better * row["value"])
    if math.isinf(best["value"]):
        raise UserError(f"{where}: a baseline needs a finite value, but '{test.metric}' was never reached")
    return best


def _by_replicate(rows: list[Row], where: str) -> dict[int | None, float]:
    """replicate → value; raises ``UserError`` when one replicate has two values or only some rows have replicates."""
    found: dict[int | None, Row] = {}
    for row in rows:
        if row["replicate"] in found:
            _twice(found[row["replicate"]], row, where)
        found[row["replicate"]] = row
    if None in found and len(found) > 1:
        raise UserError(
            f"{where}: some rows of {rows[0]['architecture']} have a replicate and others have none; give all one"
        )
    return {key: row["value"] for key, row in found.items()}


def _twice(first: Row, second: Row, where: str) -> None:
    differing = [name for name in first if name not in ("value", "run", "row") and first[name] != second[name]]
    about = f"{first['architecture']} {first['metric']} (runs {first['run']}, {second['run']})"
    if differing:
        raise UserError(
            f"{where} selects several rows for {about} that differ in '{differing[0]}'; "
            f"name '{differing[0]}' in 'select' or in 'by'"
        )
    raise UserError(f"{where}: the evidence holds {about} twice for the same replicate; remove one of the rows")


def _agree(rows: list[Row], where: str) -> None:
    for column in ("unit", "better"):
        found = sorted({row[column] for row in rows})
        if len(found) > 1:
            raise UserError(
                f"{where}: the rows it compares differ in '{column}' ({', '.join(found)}); measure both sides alike"
            )


def _select(evidence: pl.DataFrame, metric: str, select: dict[Any, Any]) -> list[Row]:
    wanted = pl.col("metric") == metric
    for column, value in select.items():
        cells: list[Cell] = value if isinstance(value, list) else [value]
        if column == "at":
            wanted &= pl.col("at").is_in([float(cell) for cell in cells])
        else:
            wanted &= pl.col(column).is_in([str(cell) for cell in cells])
    return evidence.filter(wanted).to_dicts()


def _grouped(rows: list[Row], by: Sequence[str]) -> dict[Condition, list[Row]]:
    groups: dict[Condition, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in by), []).append(row)
    return groups


def _order(condition: Condition) -> list[tuple[bool, Any]]:
    return [(cell is not None, "" if cell is None else cell) for cell in condition]
