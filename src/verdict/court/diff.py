"""What changed between two verdicts, and whether it is more than noise: a pure function.

A condition of a test is known by its claim, the test's name and the condition's columns. Where both verdicts have an
interval for it, the change b − a of the estimates (of the logarithms for a ratio) is held against both standard errors
over replicates, joined as Welch does it, with Satterthwaite's degrees of freedom from the number of replicates (of
unpaired sides the smaller one's, which is the careful choice). The two-sided p-values are adjusted over all conditions
compared (Benjamini and Hochberg), so that of the changes called more than noise at most 1 − level are noise on average.
What is counted has no noise, and any change of it is more; a value that was measured once has noise that nobody knows.

All this takes the two runs for independent, and knows no error but those told in the verdicts:

- Both are taken to be evaluated on the same test items, whose error then moves both alike and is no part of the change.
  Of runs on other texts, the texts are part of what has changed.
- Runs with the same seeds on the same machine are not independent. Their quality is the same to the last bit unless
  something was changed, so that any difference of a quality is that change's doing, however small; ``identical``
  counts the conditions in which nothing differs.
- Timings differ from session to session by more than their rounds do, as if the error were about twice what is told
  (docs/statistics.md). A change of a timing that is barely more than noise says little.
"""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from verdict.court import statistics
from verdict.court.claims import CONDITIONS
from verdict.court.evidence import finite
from verdict.court.statistics import Estimate

Entry = dict[str, Any]
Key = tuple[Any, ...]

#: what must be alike for two estimates to be of one quantity, and what then only moves the borders of its labels
QUANTITY = ("metric", "effect", "unit", "favoured", "against", "direction", "relative_to")
RULES = ("rule", "margin", "equal", "level")
TOLD = ("metric", "effect", "unit", "label", "why", "estimate", "low", "high", "pairs")
INPUTS = ("schema", "level", "docket_sha256", "evidence_sha256")
FINAL = "final"
#: units of what follows from the settings alone
COUNTED = ("parameter", "FLOP/token", "matrix products")
#: relative; the last digits of a logarithm may differ between machines
ROUNDING = 1e-9

NOT_COMPARED = {
    "other_quantity": "the test compares something else",
    "no_estimate": "one side has no estimate: a target never reached, or no gain",
    "no_interval": "one side has no interval: a single replicate, or a gain not clear of zero",
    "no_error": "measured once, or alike in all replicates, so that nothing tells its noise",
}
WIDTH = 110
HELD = "\u00a0"  # a blank at which no line is broken


def diff(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Everything that differs between two verdicts (as ``verdict.court.form`` describes them), as JSON can hold it.

    ``inputs``: schema, level and hashes of both; ``claims``, ``areas``, ``final``: labels of both (None where one has
    no such claim); ``conditions``: one for each condition that both have, see ``_compared``; ``only_a``, ``only_b``:
    conditions that one has; ``identical``: in how many conditions with an error nothing differs; ``tested``: how many
    p-values were adjusted; ``changed``: whether anything changed by more than noise.
    """
    level = max(first["level"], second["level"])
    a, b = _conditions(first), _conditions(second)
    conditions = [_compared(key, a[key], b[key], level) for key in a if key in b]
    tested = [condition for condition in conditions if condition["p"] is not None]
    adjusted = statistics.benjamini_hochberg([condition["p"] for condition in tested])
    for condition, p in zip(tested, adjusted, strict=True):
        condition["p_corrected"] = p
        condition["finding"] = "more_than_noise" if p < 1 - level else "within_noise"
    labels = [{claim["id"]: claim["label"] for claim in verdict["claims"]} for verdict in (first, second)]
    areas = [{area: told["label"] for area, told in verdict["areas"].items()} for verdict in (first, second)]
    return {
        "level": level,
        "inputs": {key: {"a": first[key], "b": second[key], "same": first[key] == second[key]} for key in INPUTS},
        "claims": _labels(*labels),
        "areas": _labels(*areas),
        "final": {"a": first["final"]["label"], "b": second["final"]["label"]},
        "conditions": conditions,
        "only_a": [_named(key) for key in a if key not in b],
        "only_b": [_named(key) for key in b if key not in a],
        "tested": len(tested),
        "identical": sum(_identical(a[key], b[key]) for key in a if key in b),
        "changed": any(condition["finding"] == "more_than_noise" for condition in conditions),
    }


def change(first: Entry, second: Entry, level: float) -> Estimate:
    """The change from one entry's estimate to the other's on the effect's scale, with its interval.

    Both entries must have an estimate and an error over replicates (0 for a counted value).
    """
    value = _scaled(second, second["estimate"]) - _scaled(first, first["estimate"])
    parts = [(entry["replicates_error"], max(entry["pairs"] - 1, 1)) for entry in (first, second)]
    error = math.hypot(*(part for part, _ in parts))
    # relative parts keep the squares of very small errors from underflowing to 0/0
    freedom = 1 / math.fsum((part / error) ** 4 / own for part, own in parts) if error > 0 else None
    half = statistics.quantile(level, freedom) * error if freedom is not None else 0.0
    return Estimate(value, value - half, value + half, error, freedom, min(first["pairs"], second["pairs"]))


def two_sided(estimate: Estimate) -> float:
    """The p-value of “there is no change”."""
    return min(1.0, 2 * min(statistics.p_above(estimate, 0.0), statistics.p_below(estimate, 0.0)))


def _compared(key: Key, first: Entry, second: Entry, level: float) -> dict[str, Any]:
    """One condition in both verdicts.

    ``change``, ``low``, ``high`` and ``error`` stand on the effect's scale (metric's unit, logarithm, share); ``z`` is
    the change in standard errors; ``finding`` is more_than_noise, within_noise, or not_compared for the reason ``why``.
    """
    told: dict[str, Any] = {
        **_named(key),
        **{side: {name: entry[name] for name in TOLD} for side, entry in (("a", first), ("b", second))},
        "rules_changed": [name for name in RULES if first[name] != second[name]],
        **dict.fromkeys(("change", "low", "high", "error", "freedom", "z", "p", "p_corrected", "why")),
        "finding": "not_compared",
    }
    if why := _obstacle(first, second):
        return {**told, "why": why}
    found = change(first, second, level)
    error = found.error or 0.0
    told |= {
        "change": found.value, "low": found.low, "high": found.high, "error": error, "freedom": found.freedom,
        "z": finite(found.value / error) if error > 0 else None,
    }  # fmt: skip
    if error > 0:
        return {**told, "p": two_sided(found)}
    if math.isclose(first["estimate"], second["estimate"], rel_tol=ROUNDING):
        return {**told, "finding": "within_noise"}
    if second["unit"] in COUNTED:
        return {**told, "finding": "more_than_noise"}
    return {**told, "why": "no_error"}


def _obstacle(first: Entry, second: Entry) -> str | None:
    """Why two entries cannot be compared by their errors, a key of ``NOT_COMPARED``; None if they can."""
    sides = (first, second)
    if any(first[name] != second[name] for name in QUANTITY):
        return "other_quantity"
    if any(side["estimate"] is None or (side["effect"] == "ratio" and side["estimate"] <= 0) for side in sides):
        return "no_estimate"
    if any(side["low"] is None or side["high"] is None or side["replicates_error"] is None for side in sides):
        return "no_interval"
    return None


def _scaled(entry: Entry, value: float) -> float:
    return math.log(value) if entry["effect"] == "ratio" else value


def _identical(first: Entry, second: Entry) -> bool:
    """Whether an estimate with an error is the same to the last bit, which chance does to coarse scores at most."""
    keys = (*QUANTITY, "estimate", "replicates_error")
    return bool(second["replicates_error"]) and all(first[key] == second[key] for key in keys)


def _conditions(verdict: dict[str, Any]) -> dict[Key, Entry]:
    """Every condition that was tried, by claim, test and columns (and a number, should the columns not tell it)."""
    found: dict[Key, Entry] = {}
    for part in [*verdict["claims"], {"id": FINAL, "tests": verdict["final"]["tests"]}]:
        for entry in part["tests"]:
            if entry["why"] == "no_evidence":
                continue
            told = (part["id"], entry["name"], *(entry["condition"][column] for column in CONDITIONS))
            number = 0
            while (*told, number) in found:
                number += 1
            found[(*told, number)] = entry
    return found


def _named(key: Key) -> dict[str, Any]:
    claim, test, *cells, _ = key
    return {"claim": claim, "test": test, "condition": dict(zip(CONDITIONS, cells, strict=True))}


def _labels(first: dict[str, str], second: dict[str, str]) -> list[dict[str, str | None]]:
    """The labels of both by id, in the order of the first."""
    return [{"id": id, "a": first.get(id), "b": second.get(id)} for id in dict.fromkeys([*first, *second])]


def text(found: dict[str, Any], names: tuple[str, str] = ("A", "B")) -> str:
    """What ``diff`` found, for a terminal; ``names`` are those of the two files."""
    lines = [f"A: {names[0]}", f"B: {names[1]}", *_inputs(found)]
    moved = [claim for claim in found["claims"] if claim["a"] != claim["b"]]
    moved += [{**area, "id": f"area {area['id']}"} for area in found["areas"] if area["a"] != area["b"]]
    kept = sum(claim["a"] == claim["b"] for claim in found["claims"])
    lines += ["", f"Labels: {kept} of {len(found['claims'])} claims as before"]
    for one in moved:
        lines.append(f"  {one['id']}: {one['a'] or 'not there'} → {one['b'] or 'not there'}")
    final = found["final"]
    lines.append(f"  all together: {final['a']}" + ("" if final["a"] == final["b"] else f" → {final['b']}"))
    by_finding: dict[str, list[dict[str, Any]]] = {"more_than_noise": [], "within_noise": [], "not_compared": []}
    for condition in found["conditions"]:
        by_finding[condition["finding"]].append(condition)
    more, within, not_compared = by_finding.values()
    lines += ["", f"More than noise: {len(more)} of {len(more) + len(within)} conditions compared"]
    lines += [line for condition in more for line in _told(condition)]
    if relabelled := [condition for condition in within if condition["a"]["label"] != condition["b"]["label"]]:
        lines += ["", f"Another label, but no more than noise: {len(relabelled)}"]
        lines += [line for condition in relabelled for line in _told(condition)]
    for why, reason in NOT_COMPARED.items():
        other = [c for c in not_compared if c["why"] == why and (why == "other_quantity" or _differs(c))]
        if other:
            lines += ["", f"Different, and not comparable ({reason}): {len(other)}"]
            lines += [line for condition in other for line in _told(condition)]
    for side, key in (("A", "only_a"), ("B", "only_b")):
        lines += ["", f"Only in {side}: {len(found[key])}", *_grouped(found[key])] if found[key] else []
    return "\n".join([*lines, "", *_caveat(found)])


def _inputs(found: dict[str, Any]) -> Iterable[str]:
    """What was judged, as far as it differs."""
    words = {"schema": "schema", "level": "level", "docket_sha256": "docket", "evidence_sha256": "evidence"}
    for key, told in found["inputs"].items():
        if key.endswith("sha256"):
            same, both = f"the same {words[key]}", f"{told['a'][:12]} → {told['b'][:12]}"
            yield f"   {same}" if told["same"] else f"   another {words[key]}: {both}"
        elif not told["same"]:
            yield f"   another {words[key]}: {told['a']} → {told['b']}"


def _told(condition: dict[str, Any]) -> Sequence[str]:
    labels = dict.fromkeys(condition[side]["label"] for side in ("a", "b"))
    rules = f"; other {', '.join(condition['rules_changed'])}" if condition["rules_changed"] else ""
    lines = [f"  {_place(condition)}: {' → '.join(labels)}{rules}"]
    lines.append(f"      {_side(condition, 'a')} → {_side(condition, 'b')}")
    if condition["p"] is None:
        return [*lines, "      counted, without noise"] if condition["finding"] == "more_than_noise" else lines
    back = math.exp if condition["b"]["effect"] == "ratio" else float
    sign = "×" if condition["b"]["effect"] == "ratio" else ""
    span = f"[{sign}{_exp(back, condition['low']):.4g}, {sign}{_exp(back, condition['high']):.4g}]"
    size = f"{sign}{_exp(back, condition['change']):.4g}" if sign else f"{condition['change']:+.4g}"
    z = "" if condition["z"] is None else f", {abs(condition['z']):.1f} standard errors"
    return [*lines, f"      change {size} {span}{z} (p {condition['p']:.2g}, corrected {condition['p_corrected']:.2g})"]


def _exp(back: Any, value: float) -> float:
    return math.inf if back is math.exp and value > 700 else float(back(value))


def _differs(condition: dict[str, Any]) -> bool:
    """Whether there is anything to tell of a condition that could not be compared."""
    a, b = condition["a"], condition["b"]
    if a["label"] != b["label"] or None in (a["estimate"], b["estimate"]):
        return bool((a["label"], a["estimate"]) != (b["label"], b["estimate"]))
    return not math.isclose(a["estimate"], b["estimate"], rel_tol=ROUNDING)


def _side(condition: dict[str, Any], side: str) -> str:
    """An effect with its interval as far as it has them."""
    told = condition[side]
    unit = {"ratio": "×", "share": ""}.get(told["effect"], f" {told['unit']}")
    shown = f"{told['estimate']:.4g}{unit}" if told["estimate"] is not None else "no estimate"
    if None not in (told["low"], told["high"]) and told["low"] != told["high"]:
        shown += f" [{told['low']:.4g}, {told['high']:.4g}]"
    return shown


def _place(condition: dict[str, Any]) -> str:
    return f"{condition['claim']} {condition['test']}{_where(condition)}"


def _where(condition: dict[str, Any]) -> str:
    cells = [cell for cell in condition["condition"].values() if cell not in ("", None)]
    told = ", ".join(f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in cells)
    return f" [{told}]" if told else ""


def _grouped(conditions: Sequence[dict[str, Any]]) -> Iterable[str]:
    """A paragraph for each test with its conditions."""
    tests: dict[str, str] = {}
    for condition in conditions:
        name = f"{condition['claim']} {condition['test']}"
        tests[name] = f"{tests.get(name, name)} {_where(condition).strip().replace(' ', HELD)}"
    for told in tests.values():
        for line in textwrap.wrap(told, WIDTH, initial_indent="  ", subsequent_indent="      "):
            yield line.replace(HELD, " ")


def _caveat(found: dict[str, Any]) -> Iterable[str]:
    """What the reckoning takes for granted, in the words that fit these two verdicts."""
    told = f"Level {100 * found['level']:g} %, corrected over {found['tested']} conditions (Benjamini–Hochberg)."
    if found["inputs"]["evidence_sha256"]["same"]:
        told += " The evidence is the same, so only the docket or the judge can have changed anything."
    elif found["identical"]:
        told += (
            f" {found['identical']} conditions are the same to the last bit, as in runs with the same seeds on one"
            " machine. Such runs are not independent: any difference of a quality, however small, is the doing of what"
            " was changed."
        )
    else:
        told += " The two runs are taken for independent."
    told += " Timings differ between sessions by about twice the error told here."
    return textwrap.wrap(told, WIDTH)
