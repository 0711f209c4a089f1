"""The few statistics the court needs, on one scale: an effect above 0 speaks for the favoured side.

Effects are differences, logarithms of ratios, or shares of a gain. Intervals are Student's t on paired replicates
(Student 1908), Welch's for unpaired ones (Welch 1947) and Fieller's for shares (Fieller 1954), which is exact where a
ratio of means is wanted and says honestly when the denominator is not clear of zero. A second source of error, the
sample of test items, is added to the replicates' (Zou & Donner 2008). Equivalence is two one-sided tests (Schuirmann
1987); many tests at once are corrected over claims by Holm's step-down (1979), within them by Benjamini and Hochberg's
step-up (1995).
How often all this errs is measured by benchmarks/judge_simulation.py and told in docs/statistics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from scipy.special import stdtr, stdtrit  # Student's t alone: scipy.stats would cost a second at start


@dataclass(frozen=True)
class Estimate:
    """An effect with its interval. ``low``/``high`` are None when the data cannot give one (a single replicate).

    ``error`` is the standard error over replicates (0 for a value that is exact, None when unknown), ``freedom`` the t
    distribution's degrees of freedom (None when exact or unknown), ``pairs`` the number of replicates behind it,
    ``items_error`` the standard error due to the sample of test items as far as the replicates do not show it, and
    ``items_freedom`` its degrees of freedom: one fewer than the items, or groups of items, that were drawn.
    """

    value: float
    low: float | None
    high: float | None
    error: float | None
    freedom: float | None
    pairs: int
    items_error: float = 0.0
    items_freedom: float = math.inf


def exact(value: float) -> Estimate:
    """A counted, deterministic value: the interval is the value itself."""
    return Estimate(value, value, value, 0.0, None, 1)


def mean_interval(values: Sequence[float], level: float) -> Estimate:
    """Mean of the replicates with its t-interval; one replicate has an estimate and no interval."""
    count = len(values)
    if count == 0:
        raise ValueError("no values")
    centre = fmean(values)
    if count == 1:
        return Estimate(centre, None, None, None, None, 1)
    error = spread(values) / math.sqrt(count)
    half = quantile(level, count - 1) * error
    return Estimate(centre, centre - half, centre + half, error, count - 1, count)


def welch_interval(favoured: Sequence[float], against: Sequence[float], level: float) -> Estimate:
    """Difference of two independent means with Welch's interval; a side with one replicate gives no interval."""
    centre = fmean(favoured) - fmean(against)
    pairs = min(len(favoured), len(against))
    if pairs < 2:
        return Estimate(centre, None, None, None, None, pairs)
    parts = [spread(side) ** 2 / len(side) for side in (favoured, against)]
    variance = sum(parts)
    if variance == 0:
        return Estimate(centre, centre, centre, 0.0, float(len(favoured) + len(against) - 2), pairs)
    # relative parts keep the squares of very small variances from underflowing to 0/0
    shares = [part / variance for part in parts]
    freedom = 1 / sum(share**2 / (len(side) - 1) for share, side in zip(shares, (favoured, against), strict=True))
    error = math.sqrt(variance)
    half = quantile(level, freedom) * error
    return Estimate(centre, centre - half, centre + half, error, freedom, pairs)


def with_items(estimate: Estimate, items_error: float, level: float, items_freedom: float = math.inf) -> Estimate:
    """The same effect with the standard error due to the sample of test items beside that due to the replicates.

    The half-widths are added in quadrature (Zou & Donner 2008). Satterthwaite's rule, which adds the errors and blends
    their degrees of freedom, would make the interval of three replicates *narrower* where little error is added.
    Without an error of the replicates (a single one) there is still no interval.
    """
    if estimate.error is None or items_error == 0:
        return estimate
    half = half_width(level, estimate.error, estimate.freedom, items_error, items_freedom)
    return replace(
        estimate, low=estimate.value - half, high=estimate.value + half, items_error=items_error,
        items_freedom=items_freedom,
    )  # fmt: skip


def half_width(
    level: float, error: float, freedom: float | None, items_error: float, items_freedom: float = math.inf
) -> float:
    """Of the interval: Student's for either error, with its own degrees of freedom, added in quadrature."""
    replicates = quantile(level, freedom) * error if freedom is not None else 0.0
    return math.hypot(replicates, quantile(level, items_freedom) * items_error if items_error else 0.0)


def share_interval(part: Sequence[float], whole: Sequence[float], level: float) -> Estimate:
    """mean(part) / mean(whole) of paired gains with Fieller's interval.

    The interval holds the shares s for which a paired t-test does not refuse mean(part − s·whole) = 0. When the
    whole gain is not clear of zero (or is negative) the share has no meaning: value NaN-free but no interval.
    """
    pairs, total = len(whole), fmean(whole)
    if total <= 0:
        return Estimate(math.inf if fmean(part) > 0 else -math.inf, None, None, None, None, pairs)
    value = fmean(part) / total
    if pairs < 2:
        return Estimate(value, None, None, None, None, pairs)
    critical = quantile(level, pairs - 1) ** 2 / pairs
    variance_whole, variance_part = spread(whole) ** 2, spread(part) ** 2
    mean_part = fmean(part)
    covariance = math.fsum((p - mean_part) * (w - total) for p, w in zip(part, whole, strict=True)) / (pairs - 1)
    a = total**2 - critical * variance_whole
    b = mean_part * total - critical * covariance
    c = mean_part**2 - critical * variance_part
    error = spread([p - value * w for p, w in zip(part, whole, strict=True)]) / math.sqrt(pairs) / total
    if a <= 0:
        return Estimate(value, None, None, error, pairs - 1, pairs)
    root = math.sqrt(max(b * b - a * c, 0.0))
    return Estimate(value, (b - root) / a, (b + root) / a, error, pairs - 1, pairs)


def spread(values: Sequence[float]) -> float:
    """Sample standard deviation (n − 1); 0 for fewer than two values."""
    if len(values) < 2 or all(value == values[0] for value in values):
        return 0.0
    centre = fmean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def quantile(level: float, freedom: float) -> float:
    """Two-sided critical value of Student's t: 4.303 for level 0.95 and 2 degrees of freedom."""
    return float(stdtrit(freedom, 0.5 + level / 2))


def p_above(estimate: Estimate, border: float) -> float:
    """One-sided p-value of “the effect is at most ``border``”: small when it is clearly above. 1 when unknown."""
    return 1.0 if estimate.low is None else _tail(estimate, estimate.value - border)


def p_below(estimate: Estimate, border: float) -> float:
    """One-sided p-value of “the effect is at least ``border``”: small when it is clearly below. 1 when unknown."""
    return 1.0 if estimate.low is None else _tail(estimate, border - estimate.value)


def _tail(estimate: Estimate, distance: float) -> float:
    """The one-sided error rate at which the interval's half-width is ``distance``; interval and p thus agree."""
    error, freedom, items_error = estimate.error or 0.0, estimate.freedom, estimate.items_error
    if error == 0 and items_error == 0:
        return 0.0 if distance > 0 else 1.0
    if distance < 0:
        return 1.0 - _tail(estimate, -distance)
    alone = [float(stdtr(freedom, -distance / error))] if error and freedom is not None else []
    alone += [float(stdtr(estimate.items_freedom, -distance / items_error))] if items_error else []
    if len(alone) == 1:
        return alone[0]
    low, high = max(*alone, 1e-300), 0.5  # both errors together leave more to chance than either alone
    for _ in range(60):
        middle = math.sqrt(low * high)
        wide = half_width(1 - 2 * middle, error, freedom, items_error, estimate.items_freedom) > distance
        low, high = (middle, high) if wide else (low, middle)
    return high


def p_equivalent(estimate: Estimate, margin: float) -> float:
    """Two one-sided tests: small when the effect is clearly inside ±``margin``."""
    return max(p_above(estimate, -margin), p_below(estimate, margin))


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """Step-up adjusted p-values, in the order given: of what is found at most that share is false, on average."""
    order = sorted(range(len(values)), key=lambda index: values[index], reverse=True)
    adjusted, running = [0.0] * len(values), 1.0
    for place, index in enumerate(order):
        running = min(running, len(values) / (len(values) - place) * values[index])
        adjusted[index] = running
    return adjusted


def corrected(claims: Sequence[Sequence[float]]) -> list[list[float]]:
    """p-values of several claims' tests, adjusted for all being tried at once.

    Over the claims by Holm, a claim standing with Simes' p-value of its tests: the chance that any claim is found
    something of in which there is nothing stays below the level. Within a claim by Benjamini and Hochberg at that
    claim's part of the level: of what is found in a claim, that share is false on average. (Benjamini and Bogomolov
    2014 on families of tests and selection among them.) Every claim must have a test. They are not cut at 1, so that
    each stands to its p-value as its test's level to the one it is judged at.
    """
    within = [benjamini_hochberg(values) for values in claims]
    simes = [min(values) for values in within]
    adjusted: list[list[float]] = [[] for _ in claims]
    succeeded = 0.0  # the level from which on every claim so far is found something of
    for index in sorted(range(len(claims)), key=lambda index: simes[index]):
        parts = sum(value >= simes[index] for value in simes)  # claims that are equal stand alike
        adjusted[index] = [max(succeeded, parts * value) for value in within[index]]
        succeeded = min(adjusted[index])
    return adjusted


def p_never(lost: int, won: int) -> float:
    """p-value of “one side never reached it in ``lost`` runs, the other always did in ``won``”, either way round.

    Barnard's exact test (1945) of two equal chances: the greatest probability that any common chance q of failing
    gives to this most extreme table, q^lost (1 − q)^won at q = lost / (lost + won), doubled for two sides.
    """
    runs = lost + won
    return min(1.0, 2 * (lost / runs) ** lost * (won / runs) ** won)


def needed_pairs(
    deviation: float,
    distance: float,
    level: float,
    items_error: float = 0.0,
    items_freedom: float = math.inf,
    limit: int = 10_000,
) -> int | None:
    """Replicates until the half-width is below ``distance`` if the spread stays as seen.

    ``deviation`` is the standard deviation of one replicate's effect, ``distance`` that from the estimate to the
    nearest border between two verdicts; ``items_error`` does not shrink with replicates. None when it would take more
    than ``limit``: more runs are not the answer.
    """
    if distance <= 0 or not math.isfinite(deviation):
        return None

    def enough(count: int) -> bool:
        return half_width(level, deviation / math.sqrt(count), count - 1, items_error, items_freedom) < distance

    if not enough(limit):
        return None
    low, high = 1, limit  # the half-width falls with every replicate, so halving finds the first that is enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
