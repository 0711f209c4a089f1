"""The judge: a pure function from docket and evidence to verdict.

One test in one condition, by where its interval [low, high] lies. The effect is written so that above 0 speaks for
the favoured side (differences; ratios on the logarithm's scale); m is the margin, e the smaller margin of equality.

    rule            supported    tie                  contradicted    otherwise
    superior        low > m      −m < low, high < m   high < −m       inconclusive
    at_least        low > m      −e < low, high < e   high < m        inconclusive
    non_inferior    low > −m     –                    high < −m       inconclusive
    share_at_most   high < m     –                    low > m         inconclusive     (of the share itself)

“Never reached” (an infinite value): if one side never reaches in any replicate and the other does in all, and there are
enough of them that chance seldom does that (Barnard's exact test; three each at the level 0.95), the other has won:
whatever the margin, or, where the test names a ``limit``, if the effect is beyond it even with the values up to which
was sought in the place of “never”; anything mixed is inconclusive. A single replicate of something random has no
interval and is inconclusive; a value without replicates (a count) is exact and no test, for which nothing is corrected.

Where a test asks what must have been ``learned``, and it was not, the comparison is inconclusive: a model that never
rose above chance cannot show a loss.

Where the evidence knows how much a difference owes to the sample of test items (rows of the experiment “items”, metric
“<metric>.items_error”, written by verdict.measure.items), that error is added to the replicates'. It is known for
differences alone: ratios and shares carry the replicates' error only.

A claim, an area and the final question, by the labels of their parts:

    no part tried                                        → not_tried
    all parts alike                                      → that label
    supported somewhere, and anything else elsewhere     → only_when (with the conditions)
    nowhere supported, some part undecided or untried    → inconclusive
    nowhere supported, all decided (tie, contradicted)   → contradicted

A target that neither side ever reached was not tried in this sense, and stands for nothing beside others that were.

Every interval stands at the docket's level for itself, and ``uncorrected_label`` is what it says. Many tests find
something by chance; so each p-value is adjusted over all tests of its area (``statistics.corrected``), a decision
that does not survive is taken back to inconclusive, and ``label`` is what is left: in an area the chance of deciding
anything in a claim in which there is nothing is at most 1 − level, and so is, within a claim, the share of false
decisions on average. The final table of situations is one to look things up in: there the *share* of false decisions
among all is held at 1 − level (``statistics.benjamini_hochberg``). docs/statistics.md has the reasons and the
measured error rates.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import polars as pl

from verdict.court import beside, statistics
from verdict.court import evidence as table_of
from verdict.court.claims import CONDITIONS, Cell, Claims, Test
from verdict.court.statistics import Estimate
from verdict.errors import UserError

LABELS = ("supported", "only_when", "tie", "contradicted", "inconclusive", "not_tried")
DECIDED = ("supported", "tie", "contradicted")

#: what the rows that tell the error due to test items are named by, beside the measurements they belong to
ITEMS_METRIC = "{metric}.items_error"
ITEMS_AGAINST = "against:{architecture}"
ITEMS_COLUMNS = ("task", "variant", "matching", "size", "device")
#: where a side must have learned: in the condition's own place, if the docket names no other
LEARNED_COLUMNS = ("task", "size", "device", "matching")
#: and where it tells how far it sought
LIMIT_COLUMNS = ("experiment", "variant", *LEARNED_COLUMNS)

Row = dict[str, Any]
Condition = tuple[Any, ...]


@dataclass(frozen=True)
class Borders:
    """Where the verdicts meet, on the effect's scale: see the table above."""

    support: float
    contradict: float
    equal: float | None


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
    #: rows that tell what each side has learned, if the test asks for it
    learned: list[Row] = field(default_factory=list)
    #: rows that tell up to which value was sought, if the test names them
    limits: list[Row] = field(default_factory=list)

    @property
    def told(self) -> list[Row]:
        """Every row that this condition was judged by."""
        return [*self.rows, *self.items, *self.learned, *self.limits]

    @property
    def items_error(self) -> float:
        """Standard error due to test items; of a gain over a gain the sum, which no correlation can exceed."""
        return math.fsum(row["value"] for row in self.items)


@dataclass(frozen=True)
class Finding:
    """What the statistics say of one condition, before it is written down.

    ``p`` is None where no test was possible; ``deviation`` is the standard deviation of one replicate's effect.
    """

    label: str
    why: str
    estimate: Estimate | None
    p: float | None = None
    needed_pairs: int | None = None
    left_out: int = 0
    favoured: Sequence[float] = ()
    against: Sequence[float] = ()
    deviation: float = math.inf


@dataclass(frozen=True)
class Case:
    """One condition of one test with what was found in it."""

    test: Test
    condition: Row
    sides: Sides
    finding: Finding
    p_corrected: float | None = None
    label: str = ""
    why: str = ""
    needed_pairs: int | None = None
    #: the ends of the interval at the level that the correction asks of this test, on the effect's scale
    corrected: tuple[float, float] | None = None


def judge(claims: Claims, evidence: pl.DataFrame, recorded: str | None = None) -> dict[str, Any]:
    """The verdict as JSON can hold it (no NaN, no infinities), in the docket's order.

    ``claims``: per claim its label (corrected over its area), ``uncorrected_label``, ``tests`` (one entry for
    each condition, see ``_entry``) and the conditions ``when`` it is supported and ``unless`` (contradicted or a tie).
    ``areas`` and ``final``: label and counts; ``final`` also has its own tests and, read off them, the ``situations``.
    ``beside``: means with intervals of what was measured and no test has read.

    ``recorded``: the docket's hash before the runs, if it was recorded; it stands beside the hash of the docket judged
    by, so that a change between them can be seen.

    An entry's ``low`` and ``high`` are the interval at the docket's level, ``corrected_low`` and ``corrected_high`` at
    the level that the correction asks of this test: the label is read off the latter. Its ``rows`` are the numbers,
    from 0, of the rows it was judged by in the sorted table (the lines of the CSV below its head).

    ``evidence`` must have passed ``evidence.check``. Raises ``UserError`` when rows that a test selects name an
    architecture the docket does not know, differ in unit or direction, stand twice, or do not suit the effect.
    """
    fingerprint = table_of.fingerprint(evidence)
    evidence = evidence.with_row_index("row")  # so that every decision can name the very rows it rests on
    heard: dict[str, list[Case]] = {
        claim.id: [case for test in claim.tests for case in _test(test, f"claims.{claim.id}", claims, evidence)]
        for claim in claims.claims
    }
    for area in claims.areas:
        members = [claim.id for claim in claims.claims if claim.area == area]
        heard.update(zip(members, correct([heard[id] for id in members], claims.level), strict=True))
    judged: list[dict[str, Any]] = []
    for claim in claims.claims:
        tests = [_entry(case, claims.level) for case in heard[claim.id]]
        conditions = [{"test": t["name"], "metric": t["metric"], "label": t["label"], **t["condition"]} for t in tests]
        judged.append(
            {
                "id": claim.id,
                "area": claim.area,
                "label": combine(t["label"] for t in counted(tests)),
                "uncorrected_label": combine(t["uncorrected_label"] for t in counted(tests)),
                "tests": tests,
                "when": [c for c in conditions if c["label"] == "supported"],
                "unless": [c for c in conditions if c["label"] in ("contradicted", "tie")],
            }
        )
    asked = [case for test in claims.final.tests for case in _test(test, "final", claims, evidence)]
    values = iter(statistics.benjamini_hochberg([case.finding.p for case in asked if case.finding.p is not None]))
    answers = [_settled(case, None if case.finding.p is None else next(values), claims.level) for case in asked]
    finals = [_entry(case, claims.level) for case in answers]
    criteria = {test.name: test.criterion for test in claims.final.tests}
    read = {row for entry in [*finals, *(t for claim in judged for t in claim["tests"])] for row in entry["rows"]}
    return {
        "schema": 1,
        "level": claims.level,
        "docket_sha256": claims.sha256(),
        "recorded_docket_sha256": recorded,
        "evidence_sha256": fingerprint,
        "claims": judged,
        "areas": {area: _summary([c["label"] for c in judged if c["area"] == area]) for area in claims.areas},
        "final": {
            **_summary([claim["label"] for claim in judged]),
            "tests": finals,
            "situations": [_situation(criteria[entry["name"]], entry) for entry in finals],
        },
        "beside": beside.estimates(evidence, read, claims.level),
    }


def correct(claims: Sequence[Sequence[Case]], level: float) -> list[list[Case]]:
    """The cases of an area's claims with their corrected p-values and the labels that survive the correction."""
    tried = [[case.finding.p for case in cases if case.finding.p is not None] for cases in claims]
    adjusted = iter(statistics.corrected([values for values in tried if values]))
    told: list[list[Case]] = []
    for cases, values in zip(claims, tried, strict=True):
        own = iter(next(adjusted) if values else [])
        told.append([_settled(case, None if case.finding.p is None else next(own), level) for case in cases])
    return told


def _settled(case: Case, p_corrected: float | None, level: float) -> Case:
    """The case with its label; a decision that does not survive the correction is taken back."""
    found = case.finding
    strict = _strict_level(found, p_corrected, level)
    corrected = _interval(found, strict) if case.test.effect != "share" and strict else None
    case = replace(case, p_corrected=p_corrected, corrected=corrected)
    if found.label not in DECIDED or p_corrected is None or p_corrected < 1 - level:
        return replace(case, label=found.label, why=found.why, needed_pairs=found.needed_pairs)
    needed = None
    if strict and found.estimate and case.test.effect != "share":
        limits = borders(case.test)
        edges = {"supported": {limits.support}, "contradicted": {limits.contradict}}.get(found.label, _edges(limits))
        distance = min(abs(found.estimate.value - edge) for edge in edges)
        needed = statistics.needed_pairs(found.deviation, distance, strict, found.estimate.items_error)
    return replace(case, label="inconclusive", why="corrected", needed_pairs=needed)


def _strict_level(found: Finding, p_corrected: float | None, level: float) -> float | None:
    """The level at which this test decides alone what it decides, corrected, at the docket's."""
    return 1 - (1 - level) * found.p / p_corrected if found.p and p_corrected else None


def _interval(found: Finding, level: float) -> tuple[float, float] | None:
    estimate = found.estimate
    if estimate is None or estimate.low is None or estimate.error is None:
        return None
    half = statistics.half_width(level, estimate.error, estimate.freedom, estimate.items_error)
    return (estimate.value - half, estimate.value + half) if math.isfinite(half) else None


def combine(labels: Iterable[str]) -> str:
    """The label of a whole from those of its parts, by the table at the head of this module."""
    found = set(labels)
    if not found or found == {"not_tried"}:
        return "not_tried"
    if len(found) == 1:
        return found.pop()
    if "supported" in found or "only_when" in found:
        return "only_when"
    return "contradicted" if found <= {"tie", "contradicted"} else "inconclusive"


def counted(tests: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The entries that a claim's label is made of: all but targets that neither side reached, unless there is nothing
    else."""
    told = [entry for entry in tests if entry["why"] != "never_both"]
    return told or tests


def borders(test: Test) -> Borders:
    """The test's borders on its effect's scale (logarithms for ratios; shares counted downwards from 0)."""
    scale = math.log if test.effect == "ratio" else float
    margin = scale(test.margin.value)
    if test.rule == "superior":
        return Borders(margin, -margin, margin)
    if test.rule == "at_least":
        assert test.margin.equal is not None
        return Borders(margin, margin, scale(test.margin.equal))
    return Borders(-margin, -margin, None)


def decide(estimate: Estimate, limits: Borders) -> tuple[str, str]:
    """Label and reason from where the interval lies."""
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return "inconclusive", "one_replicate"
    if low > limits.support:
        return "supported", "beyond"
    if limits.equal is not None and -limits.equal < low and high < limits.equal:
        return "tie", "equivalent"
    if high < limits.contradict:
        right_way = limits.contradict > 0 and estimate.value > 0
        return "contradicted", "too_small" if right_way else "other_side"
    return "inconclusive", "wide"


def weigh(test: Test, sides: Sides, level: float) -> Finding:
    """Judge one condition from its two sides; raises ``UserError`` when the values do not suit the effect."""
    if any(math.isinf(value) for side in (sides.favoured, sides.against) for value in side.values()):
        return _never(test, sides, level)
    counted = None in sides.favoured or None in sides.against
    if test.pairing == "independent" and not counted:
        favoured, against = list(sides.favoured.values()), list(sides.against.values())
        left_out = 0
    else:
        keys = _shared(sides)
        favoured = [sides.favoured.get(key, sides.favoured.get(None, math.nan)) for key in keys]
        against = [sides.against.get(key, sides.against.get(None, math.nan)) for key in keys]
        left_out = sum(
            len(side.keys() - {None}) - len(keys) for side in (sides.favoured, sides.against) if None not in side
        )
    if not favoured or not against:
        return Finding("inconclusive", "no_pairs", None, left_out=left_out)
    is_exact = None in sides.favoured and None in sides.against
    limits = borders(test)
    if test.effect == "share":
        found = _share(test, sides, favoured, against, is_exact, level)
    else:
        orient = (lambda value: _log(value, test)) if test.effect == "ratio" else float
        signed = _sign(test, sides.rows)
        first, second = [signed * orient(v) for v in favoured], [signed * orient(v) for v in against]
        differences = [a - b for a, b in zip(first, second, strict=False)]
        deviation = statistics.spread(differences)
        if is_exact:
            estimate = statistics.exact(differences[0])
        elif test.pairing == "independent" and not counted:
            estimate = statistics.welch_interval(first, second, level)
            deviation = math.hypot(statistics.spread(first), statistics.spread(second))
        else:
            estimate = statistics.mean_interval(differences, level)
        found = _finding(estimate, limits, deviation, level, sides.items_error)
    if is_exact and not sides.items_error:  # nothing is left to chance, so that nothing is to be corrected for it
        found = replace(found, p=None)
    if not _has_learned(test, sides):  # says nothing, so that nothing is to be corrected for it
        found = Finding("inconclusive", "unlearned", found.estimate)
    return replace(found, left_out=left_out, favoured=tuple(favoured), against=tuple(against))


def _has_learned(test: Test, sides: Sides) -> bool:
    """Whether the sides reach what the test asks for (True if it asks for nothing)."""
    if test.learned is None:
        return True
    reached = [
        fmean(row["value"] for row in sides.learned if row["architecture"] == side) >= test.learned.least
        for side in (test.favoured, test.against)
    ]
    return all(reached) if test.learned.sides == "both" else any(reached)


def _edges(limits: Borders) -> set[float]:
    """Every border between two verdicts."""
    return {limits.support, limits.contradict} | (set() if limits.equal is None else {limits.equal, -limits.equal})


def _finding(replicates: Estimate, limits: Borders, deviation: float, level: float, items_error: float) -> Finding:
    estimate = statistics.with_items(replicates, items_error, level)
    label, why = decide(estimate, limits)
    if why == "one_replicate":
        return Finding(label, why, estimate)
    ways = {
        "supported": statistics.p_above(estimate, limits.support),
        "contradicted": statistics.p_below(estimate, limits.contradict),
    }
    if limits.equal is not None:
        ways["tie"] = statistics.p_equivalent(estimate, limits.equal)
    p = ways.get(label, min(ways.values()))
    needed = None
    if label == "inconclusive":
        distance = min(abs(estimate.value - edge) for edge in _edges(limits))
        needed = statistics.needed_pairs(deviation, distance, level, items_error)
    # doubled, so that p < 1 − level says the same as the two-sided interval
    return Finding(label, why, estimate, min(1.0, 2 * p), needed, deviation=deviation)


def _share(
    test: Test, sides: Sides, favoured: Sequence[float], against: Sequence[float], is_exact: bool, level: float
) -> Finding:
    """The part of the favoured side's gain over the baseline that the other side reaches."""
    assert sides.baseline is not None
    signed, limit = _sign(test, sides.rows), test.margin.value
    whole = [signed * (value - sides.baseline) for value in favoured]
    part = [signed * (value - sides.baseline) for value in against]
    if fmean(whole) <= 0:
        return Finding("inconclusive", "no_gain", None, p=1.0)
    estimate = statistics.exact(part[0] / whole[0]) if is_exact else statistics.share_interval(part, whole, level)
    if estimate.low is None or estimate.high is None:
        single = estimate.pairs < 2
        return Finding("inconclusive", "one_replicate" if single else "no_gain", estimate, None if single else 1.0)
    # Fieller's interval is the inversion of this very test, so interval and p agree
    against_limit = (
        statistics.exact(part[0] - limit * whole[0])
        if is_exact
        else statistics.mean_interval([p - limit * w for p, w in zip(part, whole, strict=True)], level)
    )
    below, above = statistics.p_below(against_limit, 0.0), statistics.p_above(against_limit, 0.0)
    deviation = statistics.spread([p - estimate.value * w for p, w in zip(part, whole, strict=True)]) / fmean(whole)
    if estimate.high < limit:
        label, why = "supported", "beyond"
    elif estimate.low > limit:
        label, why = "contradicted", "other_side"
    else:
        label, why = "inconclusive", "wide"
    needed = None
    if label == "inconclusive":
        needed = statistics.needed_pairs(deviation, abs(estimate.value - limit), level)
    p = min(1.0, 2 * min(below, above))
    return Finding(label, why, estimate, p, needed, deviation=deviation)


def _never(test: Test, sides: Sides, level: float) -> Finding:
    """“Never reached within the budget” is censored, not a number: it decides only when it is unanimous."""
    if test.effect == "share":
        raise UserError(f"the test {test.name}: a share needs finite values, but '{test.metric}' was never reached")
    values = tuple(sides.favoured.values()), tuple(sides.against.values())
    (lost, won) = ("contradicted", "supported") if _sign(test, sides.rows) < 0 else ("supported", "contradicted")
    favoured, against = [math.isinf(value) for value in values[0]], [math.isinf(value) for value in values[1]]
    label, why = "inconclusive", "never_mixed"
    p: float | None = 1.0
    if all(favoured) and all(against):
        why, p = "never_both", None  # says nothing, so that nothing is to be corrected for it
    elif all(favoured) and not any(against):
        label, p = lost, statistics.p_never(len(favoured), len(against))
    elif all(against) and not any(favoured):
        label, p = won, statistics.p_never(len(against), len(favoured))
    if label in DECIDED:
        label, why = (label, "never") if p is not None and p < 1 - level else ("inconclusive", "never_few")
    if min(len(favoured), len(against)) < 2:
        return Finding("inconclusive", "one_replicate", None, favoured=values[0], against=values[1])
    if label in DECIDED and test.limit:
        bound = _at_most(test, sides, level)
        p = max(p or 0.0, 1.0 if bound is None or bound.p is None else bound.p)
        if bound is None or bound.label != label:
            label, why = "inconclusive", "never_size"
    return Finding(label, why, None, p, favoured=values[0], against=values[1])


def _at_most(test: Test, sides: Sides, level: float) -> Finding | None:
    """What would be found if “never” were just beyond where was sought: the least that can be said of the effect; None
    where that was not told of every replicate."""
    told: list[dict[int | None, float]] = []
    for name, side in ((test.favoured, sides.favoured), (test.against, sides.against)):
        sought = {row["replicate"]: row["value"] for row in sides.limits if row["architecture"] == name}
        if any(math.isinf(value) and replicate not in sought for replicate, value in side.items()):
            return None
        told.append({r: sought[r] if math.isinf(value) else value for r, value in side.items()})
    return weigh(test, replace(sides, favoured=told[0], against=told[1]), level)


def _test(test: Test, place: str, claims: Claims, evidence: pl.DataFrame) -> list[Case]:
    """One case for each condition in which both sides were measured, or a single one that says “not tried”."""
    where = f"{place}.tests.{test.name}"
    rows = _select(evidence, test.metric, test.select)
    for name in sorted({row["architecture"] for row in rows}):
        if name not in claims.architectures:
            raise UserError(
                f"{where}: the evidence has the architecture '{name}', which the docket does not know; "
                "add it under 'architectures' or correct the evidence"
            )
    reference = _select(evidence, test.metric, {**test.select, **test.relative_to}) if test.relative_to else []
    cases = []
    for condition, here in sorted(_grouped(rows, test.by).items(), key=lambda item: _order(item[0])):
        sides = _sides(test, here, reference, evidence, where)
        if sides is None:
            continue
        _agree(sides.rows, where)
        told = dict(zip(test.by, condition, strict=True))
        cases.append(Case(test, told, sides, weigh(test, sides, claims.level)))
    return cases or [Case(test, {}, Sides({}, {}), Finding("not_tried", "no_evidence", None))]


def _sides(test: Test, here: list[Row], reference: list[Row], evidence: pl.DataFrame, where: str) -> Sides | None:
    """Both sides of one condition, or None when one of them was not measured there."""
    found: dict[str, dict[int | None, float]] = {}
    used: list[Row] = []
    items: list[Row] = []
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
    if test.effect == "difference" and not test.baseline:
        items = [row for rows in parts if rows for row in _items(test, rows, evidence, where)]
    learned = _learned(test, used, evidence)
    if learned is None:
        return None
    limits = _limits(test, used, evidence)
    return Sides(found[test.favoured], found[test.against], baseline, baseline_variant, used, items, learned, limits)


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


def _items(test: Test, rows: list[Row], evidence: pl.DataFrame, where: str) -> list[Row]:
    """The row, if there is one, that tells how much these two sides' difference owes to the sample of test items."""
    found = evidence.filter(pl.col("metric") == ITEMS_METRIC.format(metric=test.metric))
    if found.is_empty():
        return []
    for column in ITEMS_COLUMNS:
        found = found.filter(pl.col(column).is_in(sorted({row[column] for row in rows})))
    places = {row["at"] for row in rows}
    here = pl.col("at").is_in([at for at in places if at is not None])
    found = found.filter(here | pl.col("at").is_null() if None in places else here)
    pairs = [
        (pl.col("architecture") == one) & (pl.col("variable") == ITEMS_AGAINST.format(architecture=other))
        for one, other in ((test.favoured, test.against), (test.against, test.favoured))
    ]
    told = found.filter(pairs[0] | pairs[1]).to_dicts()
    if len(told) > 1:
        raise UserError(
            f"{where}: the evidence has several rows of {told[0]['metric']} for {test.favoured} and {test.against} "
            f"(runs {told[0]['run']}, {told[1]['run']}); remove all but one"
        )
    for row in told:
        if row["unit"] != rows[0]["unit"] or not 0 <= row["value"] < math.inf:
            raise UserError(
                f"{where}: {row['metric']} is {row['value']:g} {row['unit']} in run {row['run']}; "
                f"it must be a standard error in {rows[0]['unit']}"
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
    sign = _sign(test, here)
    best = max(seen.values(), key=lambda row: sign * row["value"])
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


def _sign(test: Test, rows: list[Row]) -> int:
    """+1 when a larger value speaks for the favoured side, −1 when a smaller one does."""
    if test.direction != "better":
        return 1 if test.direction == "more" else -1
    better = rows[0]["better"]
    if better == "neither":
        raise UserError(
            f"the test {test.name}: of '{test.metric}' neither more nor less is better; set 'direction' to more or less"
        )
    return 1 if better == "higher" else -1


def _log(value: float, test: Test) -> float:
    if value <= 0:
        raise UserError(
            f"the test {test.name}: a ratio needs values above 0, but '{test.metric}' is {value:g} in the evidence; "
            "use effect 'difference'"
        )
    return math.log(value)


def _shared(sides: Sides) -> list[int | None]:
    """The replicates that both sides have; a side without replicates stands beside each of the other's."""
    if None in sides.favoured:
        return sorted(sides.against, key=_replicate_order)
    if None in sides.against:
        return sorted(sides.favoured, key=_replicate_order)
    return sorted(sides.favoured.keys() & sides.against.keys(), key=_replicate_order)


def _replicate_order(replicate: int | None) -> int:
    return -1 if replicate is None else replicate


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


def _entry(case: Case, level: float) -> dict[str, Any]:
    """One judged condition as it stands in verdict.json; values are turned back from the effect's scale.

    The two parts of the standard error stay on it: the metric's unit, of the logarithm for a ratio, of the share.
    """
    test, sides, finding = case.test, case.sides, case.finding
    estimate = finding.estimate
    back = math.exp if test.effect == "ratio" else float
    compared = [row for row in sides.rows if row["architecture"] in (test.favoured, test.against)]

    def shown(value: float | None) -> float | None:
        return None if value is None else table_of.finite(_exp(value) if back is math.exp else value)

    def middle(values: Sequence[float]) -> float | None:
        """Geometric mean beside a ratio, so that the means' ratio is the estimate; else the arithmetic one."""
        if not values or any(math.isinf(value) for value in values):
            return None
        if test.effect == "ratio" and not test.relative_to:
            return math.exp(fmean(math.log(value) for value in values))
        return fmean(values)

    return {
        "name": test.name,
        "metric": test.metric,
        "unit": compared[0]["unit"] if compared else "",
        "effect": test.effect,
        "favoured": test.favoured,
        "against": test.against,
        "baseline": sides.baseline_variant,
        "relative_to": dict(test.relative_to) if test.relative_to else None,
        "direction": test.direction if test.direction != "better" or not compared else compared[0]["better"],
        "rule": test.rule,
        "margin": test.margin.value,
        "equal": test.margin.equal,
        "level": level,
        "estimate": shown(estimate.value) if estimate else None,
        "low": shown(estimate.low) if estimate else None,
        "high": shown(estimate.high) if estimate else None,
        "corrected_low": shown(case.corrected[0]) if case.corrected else None,
        "corrected_high": shown(case.corrected[1]) if case.corrected else None,
        "exact": bool(estimate and estimate.error == 0 and estimate.freedom is None and not estimate.items_error),
        "never": finding.why.startswith("never"),
        "pairs": estimate.pairs if estimate else min(len(finding.favoured), len(finding.against)),
        "left_out": finding.left_out,
        "favoured_mean": middle(finding.favoured),
        "against_mean": middle(finding.against),
        "baseline_mean": table_of.finite(sides.baseline),
        "replicates_error": estimate.error if estimate else None,
        "items_error": estimate.items_error if estimate and sides.items else None,
        "condition": _condition(test, case.condition, compared),
        "label": case.label,
        "uncorrected_label": finding.label,
        "why": case.why,
        "p": finding.p,
        "p_corrected": case.p_corrected,
        "runs": sorted({row["run"] for row in sides.told}),
        "rows": sorted({row["row"] for row in sides.told}),
        "needed_pairs": case.needed_pairs,
    }


def _condition(test: Test, condition: Row, rows: list[Row]) -> Row:
    """The columns that tell this condition.

    One that is not judged apart is named when all its rows agree on it, and without rows when the test selects it.
    """
    told: Row = {}
    for column in CONDITIONS:
        cells: set[Any] = {row[column] for row in rows}
        if not rows and column in test.select and not isinstance(test.select[column], list):
            cells = {test.select[column]}
        told[column] = condition.get(column, cells.pop() if len(cells) == 1 else (None if column == "at" else ""))
    return told


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _situation(criterion: str, entry: dict[str, Any]) -> dict[str, Any]:
    favoured = {
        "supported": entry["favoured"],
        "contradicted": entry["against"],
        "tie": "no_difference",
    }.get(entry["label"], "unresolved")
    return {
        "criterion": criterion,
        "metric": entry["metric"],
        "test": entry["name"],
        **entry["condition"],
        "favoured": favoured,
        **{key: entry[key] for key in ("label", "why", "effect", "estimate", "low", "high", "runs")},
    }


def _summary(labels: Sequence[str]) -> dict[str, Any]:
    return {"label": combine(labels), "counts": {label: labels.count(label) for label in LABELS}}
