"""What the statistics say of one comparison: its two sides weighed by the rule of its test.

One test in one condition, by where its interval [low, high] lies. The effect is written so that above 0 speaks for
the favoured side (differences; ratios on the logarithm's scale); m is the margin, e the smaller margin of equality.

    rule            supported    tie                  contradicted    otherwise
    superior        low > m      −m < low, high < m   high < −m       inconclusive
    at_least        low > m      −e < low, high < e   high < m        inconclusive
    non_inferior    low > −m     –                    high < −m       inconclusive
    share_at_most   high < m     –                    low > m         inconclusive     (of the share itself)

Where a size is claimed (at_least) a tie is a special case of “contradicted”, and has its p-value.

“Never reached” (an infinite value): if one side never reaches in any replicate and the other does in all, and there are
enough of them that chance seldom does that (Barnard's exact test; three each at the level 0.95), the other has won:
whatever the margin, or, where the test names a ``limit``, if the effect is beyond it even with the values up to which
was sought in the place of “never”; anything mixed is inconclusive. A single replicate of something random has no
interval and is inconclusive; a value without replicates (a count) is exact and no test, for which nothing is corrected.

Where a test asks what must have been ``learned``, and it was not, the comparison is inconclusive: a model that never
rose above chance cannot show a loss.

The error due to the sample of test items is added to the replicates' where it is known: see ``verdict.court.sides``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from verdict.court import statistics
from verdict.court.claims import Test
from verdict.court.sides import Sides, sign
from verdict.court.statistics import Estimate
from verdict.errors import UserError

DECIDED = ("supported", "tie", "contradicted")


@dataclass(frozen=True)
class Borders:
    """Where the verdicts meet, on the effect's scale: see the table above."""

    support: float
    contradict: float
    equal: float | None

    @property
    def within(self) -> bool:
        """Whether a tie is a special case of “contradicted”: being alike is not the size that is claimed."""
        return self.equal is not None and -self.equal < self.equal < self.contradict


@dataclass(frozen=True)
class Finding:
    """What the statistics say of one condition, before it is written down.

    ``p`` is None where no test was possible; ``deviation`` is the standard deviation of one replicate's effect.
    """

    label: str
    why: str
    estimate: Estimate | None
    p: float | None = None
    left_out: int = 0
    favoured: Sequence[float] = ()
    against: Sequence[float] = ()
    deviation: float = math.inf


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
        signed = sign(test, sides.rows)
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
        estimate = statistics.with_items(estimate, sides.items_error, level, sides.items_freedom)
        found = _finding(estimate, limits, deviation, level)
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


def edges(limits: Borders) -> set[float]:
    """Every border at which a comparison is decided that was not."""
    sides = {limits.support, limits.contradict}
    return sides if limits.equal is None or limits.within else sides | {limits.equal, -limits.equal}


def _finding(estimate: Estimate, limits: Borders, deviation: float, level: float) -> Finding:
    label, why = decide(estimate, limits)
    if why == "one_replicate":
        return Finding(label, why, estimate)
    ways = {
        "supported": statistics.p_above(estimate, limits.support),
        "contradicted": statistics.p_below(estimate, limits.contradict),
    }
    if limits.equal is not None:
        ways["tie"] = ways["contradicted"] if limits.within else statistics.p_equivalent(estimate, limits.equal)
    # doubled, so that p < 1 − level says the same as the two-sided interval
    p = min(1.0, 2 * ways.get(label, min(ways.values())))
    # alike so far, which is no proof that others would be: not surer than that
    if deviation == 0 and not estimate.items_error:
        p = max(p, min(statistics.p_never(estimate.pairs, estimate.pairs), (1 - level) * (1 - 1e-9)))
    return Finding(label, why, estimate, p, deviation=deviation)


def _share(
    test: Test, sides: Sides, favoured: Sequence[float], against: Sequence[float], is_exact: bool, level: float
) -> Finding:
    """The part of the favoured side's gain over the baseline that the other side reaches."""
    assert sides.baseline is not None
    signed, limit = sign(test, sides.rows), test.margin.value
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
    p = min(1.0, 2 * min(below, above))
    return Finding(label, why, estimate, p, deviation=deviation)


def _never(test: Test, sides: Sides, level: float) -> Finding:
    """“Never reached within the budget” is censored, not a number: it decides only when it is unanimous."""
    if test.effect == "share":
        raise UserError(f"the test {test.name}: a share needs finite values, but '{test.metric}' was never reached")
    values = tuple(sides.favoured.values()), tuple(sides.against.values())
    (lost, won) = ("contradicted", "supported") if sign(test, sides.rows) < 0 else ("supported", "contradicted")
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
        found = bound and ("contradicted" if bound.label == "tie" and borders(test).within else bound.label)
        if found != label:
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
