"""The judge: a pure function from docket and evidence to verdict.

``sides`` finds what a test compares in each condition, ``weighing`` says how one comparison comes out; here are put
together the labels of claims, areas and the final question, by those of their parts:

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
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import polars as pl

from verdict.court import beside, statistics
from verdict.court import evidence as table_of
from verdict.court.claims import CONDITIONS, Claims, Test
from verdict.court.sides import Row, Sides, conditions
from verdict.court.weighing import DECIDED, Finding, borders, decide, edges, weigh

LABELS = ("supported", "only_when", "tie", "contradicted", "inconclusive", "not_tried")


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


def _settled(case: Case, adjusted: float | None, level: float) -> Case:
    """The case with its label; a decision that does not survive the correction is taken back."""
    found = case.finding
    strict = _strict_level(found, adjusted, level)
    p_corrected = None if adjusted is None else min(1.0, adjusted)
    corrected = _interval(found, strict) if case.test.effect != "share" and strict else None
    case = replace(case, p_corrected=p_corrected, corrected=corrected)
    if found.label in DECIDED and (p_corrected is None or p_corrected < 1 - level):
        label, why = found.label, found.why
        if label == "tie" and corrected and found.estimate and borders(case.test).within:
            # the same p-value says of both that the size claimed is not there; the interval, which of them it is
            strictly = replace(found.estimate, low=corrected[0], high=corrected[1])
            label, why = decide(strictly, borders(case.test))
        return replace(case, label=label, why=why)
    taken_back = found.label in DECIDED
    return replace(
        case,
        label="inconclusive" if taken_back else found.label,
        why="corrected" if taken_back else found.why,
        needed_pairs=_needed_pairs(case, strict or level),
    )


def _needed_pairs(case: Case, level: float) -> int | None:
    """How many replicates would decide an open case if estimate and spread stayed; None where that cannot be told."""
    found = case.finding
    if found.estimate is None or found.why in ("one_replicate", "unlearned"):
        return None
    limits = borders(case.test)
    if case.test.effect == "share":
        near = {case.test.margin.value}
    else:
        near = {"supported": {limits.support}, "contradicted": {limits.contradict}}.get(found.label, edges(limits))
    distance = min(abs(found.estimate.value - edge) for edge in near)
    items = found.estimate.items_error, found.estimate.items_freedom
    return statistics.needed_pairs(found.deviation, distance, level, *items)


def _strict_level(found: Finding, adjusted: float | None, level: float) -> float | None:
    """The level at which this test decides alone what it decides, corrected, at the docket's."""
    return 1 - (1 - level) * found.p / adjusted if found.p and adjusted else None


def _interval(found: Finding, level: float) -> tuple[float, float] | None:
    estimate = found.estimate
    if estimate is None or estimate.low is None or estimate.error is None:
        return None
    if not estimate.error and not estimate.items_error:  # no width at any level
        return None
    half = statistics.half_width(level, estimate.error, estimate.freedom, estimate.items_error, estimate.items_freedom)
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


def _test(test: Test, place: str, claims: Claims, evidence: pl.DataFrame) -> list[Case]:
    """One case for each condition in which both sides were measured, or a single one that says “not tried”."""
    cases = [
        Case(test, told, sides, weigh(test, sides, claims.level))
        for told, sides in conditions(test, place, claims, evidence)
    ]
    return cases or [Case(test, {}, Sides({}, {}), Finding("not_tried", "no_evidence", None))]


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
        "items_groups": sides.items_groups,
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
