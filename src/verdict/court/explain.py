"""How a claim came to its label, written for a terminal: claim, rule, rows used, reckoning, label."""

import math
import textwrap
from typing import Any

import polars as pl

from verdict.court.claims import Claims, Test
from verdict.court.judge import judge
from verdict.court.weighing import borders

WIDTH = 110
WHY = {
    "beyond": "the interval lies wholly on the claim's side of the border",
    "equivalent": "the interval lies wholly inside the margin of equality",
    "other_side": "the interval lies wholly on the other side of the border",
    "too_small": "the difference goes the claimed way, but the interval excludes the size claimed",
    "wide": "the interval crosses a border",
    "one_replicate": "one replicate gives no interval",
    "corrected": "the interval decides, but not surely enough for one of the many tests of its area",
    "never": "one side never reached the target in any replicate, the other always did",
    "never_few": "one side never reached the target, the other always did, in too few replicates to exclude chance",
    "never_size": "one side never reached the target, the other always did, but the budget does not show by how much",
    "never_mixed": "some replicates never reached the target and some did",
    "never_both": "neither side ever reached the target",
    "no_gain": "the favoured side's own gain over the baseline is not clear of zero",
    "unlearned": "what the comparison takes was not learned, so that there is nothing to lose",
    "no_pairs": "the two sides share no replicate",
    "no_evidence": "the evidence has no rows in which both sides were measured",
}


def explain(claims: Claims, evidence: pl.DataFrame, id: str) -> str:
    """The account of one claim as text; raises ``UserError`` for an unknown id and as ``judge`` does."""
    claim = claims.claim(id)
    # the whole area is judged: the correction runs over its claims
    area = [other for other in claims.claims if other.area == claim.area]
    heard = judge(claims.model_copy(update={"claims": area}), evidence)["claims"]
    verdict = next(judged for judged in heard if judged["id"] == id)
    lines = [*_wrapped(f"{claim.id}  {claim.text.en}", ""), *_wrapped(f"Measured: {claim.measured.en}", "    ")]
    for test in claim.tests:
        lines += ["", f"── {test.name}: {_rule(test)}", *_wrapped(test.reads.en, "   ")]
        lines += _wrapped(f"rule {test.rule}: {claims.rules[test.rule].en}", "   ")
        lines += _wrapped(f"why this margin: {test.margin.reason.en}", "   ")
        if test.learned:
            who = "on both sides" if test.learned.sides == "both" else "on one side"
            asked = f"{test.learned.metric} of at least {test.learned.least:g} {who}"
            lines += _wrapped(f"counts only with {asked}: {test.learned.reason.en}", "   ")
        for entry in verdict["tests"]:
            if entry["name"] == test.name:
                lines += ["", *_account(test, entry, evidence)]
    label, without = verdict["label"], verdict["uncorrected_label"]
    same = "the same" if without == label else without
    count = len(verdict["tests"])
    lines += ["", f"{claim.id}: {label}   (conditions judged: {count}; without correction over the area: {same})"]
    return "\n".join(lines)


def _rule(test: Test) -> str:
    equal = f", equal within {test.margin.equal:g}" if test.margin.equal is not None else ""
    return (
        f"{test.metric}, {test.effect}, {test.favoured} against {test.against}, "
        f"margin {test.margin.value:g} {test.margin.unit}{equal}"
    )


def _account(test: Test, entry: dict[str, Any], evidence: pl.DataFrame) -> list[str]:
    told = ", ".join(f"{key} {value}" for key, value in entry["condition"].items() if value not in ("", None))
    lines = [f"   [{told or 'no condition'}]"]
    used = evidence[entry["rows"]].filter(pl.col("metric") == test.metric)
    for side in (test.favoured, test.against):
        rows = used.filter(pl.col("architecture") == side)
        if side == _baseline(test):
            rows = rows.filter(pl.col("variant") == entry["baseline"])
        values = ", ".join(_row(row, test) for row in rows.iter_rows(named=True))
        lines += _wrapped(f"{side}: {values or 'nothing measured'}", "      ")
    if entry["baseline"]:
        lines.append(f"      best baseline: {entry['baseline']} {entry['baseline_mean']:.6g}")
    if entry["estimate"] is not None:
        interval = f"no interval, {entry['pairs']} replicates"
        if entry["exact"]:
            interval = "counted, without replicates"
        elif entry["low"] is not None:
            span = f"[{entry['low']:.6g}, {entry['high']:.6g}]"
            interval = f"{entry['level']:.0%} interval {span}, {entry['pairs']} replicates"
        lines.append(f"      {entry['effect']} {entry['estimate']:.6g}, {interval}")
        if entry["items_error"] is not None and entry["replicates_error"] is not None:
            drawn = f" ({entry['items_groups']} groups of them)" if entry["items_groups"] else ""
            parts = (
                f"{entry['replicates_error']:.3g} over replicates, {entry['items_error']:.3g} over test items{drawn}"
            )
            lines.append(f"      standard error: {parts}")
    limits, back = borders(test), math.exp if test.effect == "ratio" else float
    if test.effect == "share":
        lines.append(f"      border: {test.margin.value:g}")
    else:
        edges = f"supported above {back(limits.support):.6g}, contradicted below {back(limits.contradict):.6g}"
        lines.append(f"      borders: {edges}")
    p = "" if entry["p"] is None else f" (p {entry['p']:.3g}, corrected {entry['p_corrected']:.3g})"
    needed = "" if entry["needed_pairs"] is None else f"; about {entry['needed_pairs']} replicates would decide it"
    lines.append(f"      → {entry['label']}: {WHY[entry['why']]}{p}{needed}")
    return lines


def _row(row: dict[str, Any], test: Test) -> str:
    replicate = "" if row["replicate"] is None else f"#{row['replicate']} "
    variant = f"{row['variant']} " if "variant" in (test.relative_to or {}) else ""
    return f"{variant}{replicate}{row['value']:.6g}"


def _baseline(test: Test) -> str:
    return test.baseline.architecture if test.baseline else ""


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "    ")
