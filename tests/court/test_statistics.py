"""The statistics against scipy's own, against their definitions, and against worlds in which the truth is known."""

import math
import random
from dataclasses import astuple
from statistics import stdev

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import stdtrit

from verdict.court import statistics

LEVEL = 0.95
NUMBER = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
SAMPLE = st.lists(NUMBER, min_size=2, max_size=9)


@given(SAMPLE)
def test_the_paired_interval_is_scipys(values):
    assume(statistics.spread(values) > 0)
    found = statistics.mean_interval(values, LEVEL)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(LEVEL)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-9, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's own, for nearly equal values
@given(SAMPLE, SAMPLE)
def test_the_unpaired_interval_is_welchs(favoured, against):
    assume(statistics.spread(favoured) > 0 or statistics.spread(against) > 0)
    found = statistics.welch_interval(favoured, against, LEVEL)
    test = stats.ttest_ind(favoured, against, equal_var=False)
    wanted = test.confidence_interval(LEVEL)
    scale = max(map(abs, favoured + against)) + 1
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-7, abs=1e-7 * scale)
    assert found.freedom == pytest.approx(test.df)


@given(SAMPLE, NUMBER)
def test_p_values_and_intervals_decide_alike(values, border):
    found = statistics.mean_interval(values, LEVEL)
    assume(min(abs(found.low - border), abs(found.high - border)) > 1e-6 * (1 + abs(border)))
    assert (found.low > border) == (2 * statistics.p_above(found, border) < 1 - LEVEL)
    assert (found.high < border) == (2 * statistics.p_below(found, border) < 1 - LEVEL)
    margin = abs(border) + 0.1
    assume(min(abs(found.low + margin), abs(found.high - margin)) > 1e-6 * margin)
    assert (-margin < found.low and found.high < margin) == (2 * statistics.p_equivalent(found, margin) < 1 - LEVEL)


def test_equal_and_single_values_have_no_made_up_spread():
    assert statistics.spread([0.1, 0.1, 0.1]) == 0  # a mean that is off by a rounding error must not show
    same = statistics.mean_interval([0.1, 0.1, 0.1], LEVEL)
    assert same.low == same.high == pytest.approx(0.1)
    assert statistics.mean_interval([3.0], LEVEL).low is None
    assert statistics.welch_interval([3.0], [1.0, 2.0], LEVEL).low is None
    counted = statistics.exact(1.5)
    assert (counted.low, counted.high) == (1.5, 1.5)
    assert statistics.p_above(counted, 1.4) == 0


def test_an_estimate_tells_its_error_its_freedom_and_the_replicates_behind_it():
    values, fewer = [1.0, 2.0, 3.0, 6.0], [5.0, 6.0]
    half = stdtrit(3, 0.975) * stdev(values) / 2
    wanted = statistics.Estimate(3.0, 3 - half, 3 + half, stdev(values) / 2, 3, 4)
    assert astuple(statistics.mean_interval(values, LEVEL)) == pytest.approx(astuple(wanted))
    for sides, sign in (((values, fewer), 1), ((fewer, values), -1)):
        found = statistics.welch_interval(*sides, LEVEL)
        assert (found.value, found.pairs, found.items_error) == (-2.5 * sign, 2, 0)
        assert found.error == pytest.approx(math.sqrt(stdev(values) ** 2 / 4 + stdev(fewer) ** 2 / 2))
        assert found.value - found.low == found.high - found.value == stdtrit(found.freedom, 0.975) * found.error
    assert statistics.exact(1.5) == statistics.Estimate(1.5, 1.5, 1.5, 0.0, None, 1, 0.0)


def test_what_cannot_be_known_is_not_told():
    assert statistics.mean_interval([3.0], LEVEL) == statistics.Estimate(3.0, None, None, None, None, 1)
    for sides, value in (([3.0], [1.0, 2.0]), 1.5), (([1.0, 2.0], [3.0]), -1.5), (([3.0], [1.0]), 2.0):
        assert statistics.welch_interval(*sides, LEVEL) == statistics.Estimate(value, None, None, None, None, 1)
    with pytest.raises(ValueError, match="no values"):
        statistics.mean_interval([], LEVEL)
    for unknown in (statistics.mean_interval([3.0], LEVEL), statistics.share_interval([1.0], [2.0], LEVEL)):
        assert statistics.p_above(unknown, -9.0) == statistics.p_below(unknown, 9.0) == 1
        assert statistics.p_equivalent(unknown, 9.0) == 1
        assert statistics.with_items(unknown, 1.0, LEVEL) == unknown


def test_two_sides_that_never_vary_are_as_sure_as_they_look():
    found = statistics.welch_interval([2.0, 2.0, 2.0], [1.0, 1.0], LEVEL)
    assert found == statistics.Estimate(1.0, 1.0, 1.0, 0.0, 3.0, 2)
    assert (statistics.p_above(found, 0.9), statistics.p_above(found, 1.0), statistics.p_above(found, 1.1)) == (0, 1, 1)
    assert (statistics.p_below(found, 1.1), statistics.p_below(found, 1.0), statistics.p_below(found, 0.9)) == (0, 1, 1)


@pytest.mark.parametrize("freedom", [2, 7.5, None])
@pytest.mark.parametrize("items", [0.0, 0.6])
@pytest.mark.parametrize("items_freedom", [1, 4, math.inf])
def test_a_half_width_is_students_of_both_errors_in_quadrature(freedom, items, items_freedom):
    students = 0.0 if freedom is None else stats.t.ppf(0.975, freedom) * 0.4
    found = statistics.half_width(LEVEL, 0.4, freedom, items, items_freedom)
    assert found == pytest.approx(math.hypot(students, stats.t.ppf(0.975, items_freedom) * items))
    assert statistics.half_width(LEVEL, 0.4, freedom, items) == pytest.approx(
        math.hypot(students, stats.norm.ppf(0.975) * items)
    )


@given(SAMPLE, st.floats(0, 5), st.sampled_from([1, 3, 24, math.inf]), st.floats(0.001, 0.4))
def test_a_p_value_is_the_level_whose_interval_ends_at_the_border(values, items, items_freedom, alpha):
    alone = statistics.mean_interval(values, LEVEL)
    assume(alone.error > 1e-3 or items > 1e-3)
    found = statistics.with_items(alone, items, LEVEL, items_freedom)
    half = statistics.half_width(1 - 2 * alpha, found.error, found.freedom, found.items_error, found.items_freedom)
    for sign, p in ((-1, statistics.p_above), (1, statistics.p_below)):
        assert p(found, found.value + sign * half) == pytest.approx(alpha, rel=1e-4)
        assert p(found, found.value - sign * half) == pytest.approx(1 - alpha, rel=1e-4)


def test_a_share_by_hand():
    """Gains of 2 and 4, twice; the other side reaches 1 and 3 of them."""
    part, whole = [1.0, 3.0, 1.5, 2.5], [2.0, 4.0, 2.0, 4.0]
    found = statistics.share_interval(part, whole, LEVEL)
    residuals = [p - found.value * w for p, w in zip(part, whole, strict=True)]
    assert found.value == pytest.approx(2 / 3)
    assert (found.freedom, found.pairs) == (3, 4)
    assert found.error == pytest.approx(stdev(residuals) / 2 / 3)
    unclear = statistics.share_interval([1.0, 1.2, 0.9], [3.0, -2.5, 0.4], LEVEL)
    assert (unclear.value, unclear.freedom, unclear.pairs) == (pytest.approx(3.1 / 0.9), 2, 3)
    assert unclear.error is not None
    single = statistics.share_interval([1.0], [2.0], LEVEL)
    assert single == statistics.Estimate(0.5, None, None, None, None, 1)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_a_share_does_not_depend_on_the_unit_and_two_pairs_have_an_interval(unit):
    part, whole = [5.0, 5.1], [10.0, 10.3]
    wanted = statistics.share_interval(part, whole, LEVEL)
    assert wanted.low < wanted.value < wanted.high
    found = statistics.share_interval([unit * p for p in part], [unit * w for w in whole], LEVEL)
    assert astuple(found) == pytest.approx(astuple(wanted))


@pytest.mark.parametrize(("part", "value"), [([1.0, 1.2], math.inf), ([-1.0, -1.2], -math.inf), ([0, 0], -math.inf)])
@pytest.mark.parametrize("whole", [[-1.0, -0.9], [-1.0, 1.0]])
def test_a_share_of_no_gain_is_no_number(part, whole, value):
    assert statistics.share_interval(part, whole, LEVEL) == statistics.Estimate(value, None, None, None, None, 2)


@given(st.lists(st.tuples(st.floats(1, 9), st.floats(5, 9)), min_size=3, max_size=8))
def test_a_shares_interval_holds_exactly_the_shares_a_t_test_allows(pairs):
    part, whole = [p for p, _ in pairs], [w for _, w in pairs]
    found = statistics.share_interval(part, whole, LEVEL)
    assume(found.low is not None and found.error > 1e-3)
    for edge in (found.low, found.high):
        residual = statistics.mean_interval([p - edge * w for p, w in pairs], LEVEL)
        assert min(abs(residual.low), abs(residual.high)) == pytest.approx(0, abs=1e-6)
    assert found.low <= found.value <= found.high


def test_a_share_of_no_gain_has_no_interval():
    assert statistics.share_interval([1.0, 1.2], [-1.0, -0.9], LEVEL).low is None
    assert statistics.share_interval([1.0, 1.2, 0.9], [3.0, -2.5, 0.4], LEVEL).low is None  # not clear of zero
    assert statistics.share_interval([1.0], [2.0], LEVEL).low is None


def test_holms_correction_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_none_and_bonferroni_and_keeps_the_order(values):
    adjusted = holm(values)
    for raw, new in zip(values, adjusted, strict=True):
        assert raw <= new <= 1
        assert new <= min(1, len(values) * max(values)) + 1e-12
    assert min(adjusted) == min(1, len(values) * min(values))
    by_raw = [new for _, new in sorted(zip(values, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


def holm(values: list[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    adjusted, running = [0.0] * len(values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = running
    return adjusted


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=5)


@given(st.lists(P_VALUES, min_size=1, max_size=5))
def test_the_correction_over_an_area_is_between_none_and_bonferroni(claims):
    adjusted = statistics.corrected(claims)
    for values, new in zip(claims, adjusted, strict=True):
        for value, corrected in zip(values, new, strict=True):
            assert value <= corrected <= len(claims) * max(values) + 1e-12
    if len(claims) == 1:
        assert adjusted[0] == statistics.benjamini_hochberg(claims[0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_claims_of_one_test_are_corrected_by_holm(values):
    adjusted = statistics.corrected([[value] for value in values])
    assert [min(1.0, new) for [new] in adjusted] == pytest.approx(holm(values))


def test_the_correction_over_an_area_on_a_worked_example():
    # within the first claim 0.001 · 2 and 0.02 · 2/2; it stands first, so that its part is half the level
    assert statistics.corrected([[0.02, 0.001], [0.03, 0.6]])[0] == pytest.approx([0.04, 0.004])
    # the second has the whole level, since the first is found something of: 0.03 · 2 and 0.6
    assert statistics.corrected([[0.02, 0.001], [0.03, 0.6]])[1] == pytest.approx([0.06, 0.6])
    # nothing is found of a claim before those that speak louder
    assert statistics.corrected([[0.04], [0.03]]) == [[0.06], [0.06]]
    assert statistics.corrected([]) == []


@given(st.lists(P_VALUES, min_size=1, max_size=4), st.randoms())
def test_the_order_of_claims_and_tests_does_not_matter(claims, chance):
    order = list(range(len(claims)))
    chance.shuffle(order)
    shuffled = statistics.corrected([claims[index][::-1] for index in order])
    for place, index in enumerate(order):
        assert shuffled[place][::-1] == pytest.approx(statistics.corrected(claims)[index])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_the_share_of_false_finds_is_scipys(values):
    assert statistics.benjamini_hochberg(values) == pytest.approx(list(stats.false_discovery_control(values)))


@given(SAMPLE, st.floats(0.001, 100), NUMBER)
def test_an_error_due_to_items_never_narrows_and_agrees_with_its_p(values, items, border):
    alone = statistics.mean_interval(values, LEVEL)
    both = statistics.with_items(alone, items, LEVEL)
    assert both.low <= alone.low <= alone.high <= both.high
    assert statistics.with_items(alone, 0.0, LEVEL) == alone
    assume(min(abs(both.low - border), abs(both.high - border)) > 1e-6 * (1 + abs(border)))
    assert (both.low > border) == (2 * statistics.p_above(both, border) < 1 - LEVEL)
    assert (both.high < border) == (2 * statistics.p_below(both, border) < 1 - LEVEL)
    assert statistics.p_above(both, border) + statistics.p_below(both, border) == pytest.approx(1)


@pytest.mark.parametrize(("runs", "p"), [((2, 2), 1 / 8), ((3, 3), 1 / 32), ((5, 5), 2 / 1024), ((1, 2), 8 / 27)])
def test_never_is_barnards_exact_test(runs, p):
    assert statistics.p_never(*runs) == pytest.approx(p)
    lost, won = runs
    chances = [q / 200 for q in range(1, 200)]
    assert max(2 * q**lost * (1 - q) ** won for q in chances) == pytest.approx(p, rel=1e-3)


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_needed_pairs_is_the_first_number_that_is_enough(deviation, distance):
    def half_width(count):
        return statistics.quantile(LEVEL, count - 1) * deviation / math.sqrt(count)

    needed = statistics.needed_pairs(deviation, distance, LEVEL)
    if needed is None:
        assert half_width(10_000) >= distance
    else:
        assert half_width(needed) < distance
        assert needed == 2 or half_width(needed - 1) >= distance


@pytest.mark.parametrize("items", [0.0, 0.3])
def test_the_items_take_their_part_of_the_distance(items):
    needed = statistics.needed_pairs(1.0, 0.8, LEVEL, items)
    widths = [statistics.half_width(LEVEL, 1 / math.sqrt(n), n - 1, items) for n in (needed - 1, needed)]
    assert widths[1] < 0.8 <= widths[0]
    assert statistics.needed_pairs(1.0, 0.8, LEVEL, items, limit=needed) == needed
    assert statistics.needed_pairs(1.0, 0.8, LEVEL, items, limit=needed - 1) is None


def test_needed_pairs_knows_when_runs_are_not_the_answer():
    assert statistics.needed_pairs(1.0, 0.0, LEVEL) is None
    assert statistics.needed_pairs(math.inf, 1.0, LEVEL) is None
    assert statistics.needed_pairs(1.0, 0.5, LEVEL, items_error=0.3) is None
    assert statistics.needed_pairs(1.0, 1e-9, LEVEL) is None


@pytest.mark.parametrize("pairs", [3, 5])
def test_in_worlds_of_chance_the_truth_is_missed_as_often_as_promised(pairs):
    chance = random.Random(pairs)
    rounds, missed, unpaired, shares = 3000, 0, 0, 0
    for _ in range(rounds):
        left = [chance.gauss(5, 1) for _ in range(pairs)]
        right = [chance.gauss(5, 1) for _ in range(pairs)]
        found = statistics.mean_interval([a - b for a, b in zip(left, right, strict=True)], LEVEL)
        missed += not found.low <= 0 <= found.high
        found = statistics.welch_interval(left, right, LEVEL)
        unpaired += not found.low <= 0 <= found.high
        found = statistics.share_interval([value - 2 for value in left], [2 * value for value in right], LEVEL)
        shares += found.low is not None and not found.low <= 0.3 <= found.high
    promised = 1 - LEVEL
    tolerance = 4 * math.sqrt(promised * LEVEL / rounds)
    assert missed / rounds == pytest.approx(promised, abs=tolerance)
    assert shares / rounds <= promised + tolerance
    assert unpaired / rounds <= promised + tolerance  # Welch errs on the safe side when there are few
