"""The judge: planted truths are found, and the verdict follows the evidence and the docket and nothing else."""

import json
import math
import random
from pathlib import Path
from statistics import stdev

import numpy as np
import polars as pl
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from verdict.court import claims as docket
from verdict.court import evidence, statistics
from verdict.court.claims import Claims
from verdict.court.judge import combine, judge
from verdict.errors import UserError

ROOT = Path(__file__).parents[2]
MIRROR = {"supported": "contradicted", "contradicted": "supported"}
WORDS = {"en": "words", "zh": "话"}
LEARNED = {"metric": "seconds", "select": {"variant": "near"}, "least": 50.0, "reason": WORDS}


@pytest.fixture(scope="module")
def claims():
    return docket.load(ROOT / "claims.yaml")


@pytest.fixture(scope="module")
def verdict(claims):
    return judge(claims, synthetic.table())


def small(*tests, **top) -> Claims:
    """A docket of one claim with these tests (given by what differs from a plain comparison)."""
    plain = {
        "name": "t", "reads": WORDS, "metric": "score", "select": {"experiment": "training"}, "favoured": "a",
        "against": "b", "effect": "difference", "rule": "superior",
        "margin": {"value": 1.0, "unit": "points", "reason": WORDS},
    }  # fmt: skip
    return docket.parse(
        {
            "schema": 1,
            "level": 0.95,
            "rules": {rule: WORDS for rule in ("superior", "at_least", "non_inferior", "share_at_most")},
            "architectures": {"a": WORDS, "b": WORDS, "baseline": WORDS},
            "metrics": {"score": WORDS, "seconds": WORDS},
            "areas": {"A": WORDS},
            "claims": [
                {"id": "A1", "area": "A", "text": WORDS, "measured": WORDS, "tests": [{**plain, **t} for t in tests]}
            ],
            "final": {"text": WORDS, "measured": WORDS},
            **top,
        }
    )


def margin(value, **more):
    return {"value": value, "unit": "points", "reason": WORDS, **more}


def measured(a, b, better="higher", metric="score", **more):
    """Rows of two architectures; lists are replicates, a bare number is a count without replicates."""
    rows = []
    for name, values in (("a", a), ("b", b)):
        for replicate, value in enumerate(values) if isinstance(values, list) else [(None, values)]:
            rows.append(
                {"experiment": "training", "task": "lm", "architecture": name, "metric": metric, "value": value,
                 "unit": "points", "better": better, "replicate": replicate, "run": f"{name}/{replicate}", **more}
            )  # fmt: skip
    return rows


def items_row(error, first="a", second="b", metric="score", **more):
    """What verdict.measure.items says of a pair."""
    return {
        "experiment": "items", "task": "lm", "architecture": first, "variable": f"against:{second}",
        "metric": f"{metric}.items_error", "value": error, "unit": "points", "better": "neither", "run": "items/lm",
        **more,
    }  # fmt: skip


def groups_row(count, **more):
    """Of how many groups that was drawn."""
    return {**items_row(count, **more), "metric": "score.items_groups", "unit": "group"}


def one(claims, rows):
    """The single judged condition of a small docket."""
    [entry] = judge(claims, evidence.frame(rows))["claims"][0]["tests"]
    return entry


def numberless(entry):
    """The entry without the rows' numbers, which other rows of the table shift."""
    return {key: value for key, value in entry.items() if key != "rows"}


# ---------------------------------------------------------------- one test in one condition


@pytest.mark.parametrize(
    ("a", "b", "label", "why"),
    [
        ([30.0, 30.2, 30.1], [25.0, 25.3, 25.0], "supported", "beyond"),
        ([25.0, 25.3, 25.0], [30.0, 30.2, 30.1], "contradicted", "other_side"),
        ([30.0, 30.2, 30.1], [30.1, 30.1, 30.0], "tie", "equivalent"),
        ([30.0, 34.0, 27.0], [29.0, 25.0, 30.0], "inconclusive", "wide"),
        ([30.0], [25.0], "inconclusive", "one_replicate"),
        (30.0, 25.0, "supported", "beyond"),
        (30.0, 29.5, "tie", "equivalent"),
        (30.0, [25.0, 25.3, 25.0], "supported", "beyond"),
    ],
)
def test_superiority(a, b, label, why):
    entry = one(small({}), measured(a, b))
    assert (entry["label"], entry["why"]) == (label, why)


def test_the_estimate_is_what_one_reckons_by_hand():
    entry = one(small({}), measured([30.0, 31.0, 32.0], [25.0, 27.0, 26.0]))
    assert (entry["estimate"], entry["pairs"]) == (5.0, 3)
    assert entry["low"] == pytest.approx(5 - 4.302653 * 1.0 / math.sqrt(3))
    assert (entry["favoured_mean"], entry["against_mean"]) == (31.0, 26.0)
    assert entry["rows"] == [0, 1, 2, 3, 4, 5]
    assert entry["runs"] == ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"]


@pytest.mark.parametrize(
    ("factor", "label", "why"),
    [
        (2.0, "supported", "beyond"),
        (1.3, "contradicted", "too_small"),
        (1.02, "tie", "equivalent"),
        (0.5, "contradicted", "other_side"),
    ],
)
def test_a_claimed_size(factor, label, why):
    test = {"metric": "seconds", "effect": "ratio", "rule": "at_least", "margin": margin(1.5, equal=1.1)}
    rows = measured([1.0, 2.0, 4.0], [factor, 2.001 * factor, 4 * factor], better="lower", metric="seconds")
    entry = one(small(test), rows)
    assert (entry["label"], entry["why"]) == (label, why)
    assert entry["estimate"] == pytest.approx(factor, rel=1e-3)
    assert entry["against_mean"] / entry["favoured_mean"] == pytest.approx(entry["estimate"])


@pytest.mark.parametrize(
    ("a", "b", "label", "why"),
    [
        ([5.0, 6.0, 5.5], [math.inf] * 3, "supported", "never"),
        ([math.inf] * 3, [5.0, 6.0, 5.5], "contradicted", "never"),
        ([5.0, 6.0], [math.inf, math.inf], "inconclusive", "never_few"),  # chance does that in one world of eight
        ([math.inf, math.inf], [math.inf, math.inf], "inconclusive", "never_both"),
        ([5.0, 6.0, 7.0], [9.0, math.inf, math.inf], "inconclusive", "never_mixed"),
        ([5.0], [math.inf], "inconclusive", "one_replicate"),
    ],
)
def test_never_reached(a, b, label, why):
    test = {"metric": "seconds", "effect": "ratio", "rule": "at_least", "margin": margin(1.5, equal=1.1)}
    entry = one(small(test), measured(a, b, better="lower", metric="seconds"))
    assert (entry["label"], entry["why"]) == (label, why)
    assert entry["estimate"] is None
    assert entry["never"] == why.startswith("never")
    assert entry["pairs"] == len(a)
    json.dumps(entry, allow_nan=False)


BASELINE = {"architecture": "baseline", "select": {"experiment": "baseline", "variant": ["copy", "lead"]}}


def _baselines(task="lm", **values):
    return [
        {"experiment": "baseline", "task": task, "architecture": "baseline", "variant": variant, "metric": "score",
         "value": value, "unit": "points", "better": "higher", "run": "baselines/lm"}
        for variant, value in values.items()
    ]  # fmt: skip


@pytest.mark.parametrize(("level", "label"), [(10.2, "supported"), (14.0, "contradicted"), (11.0, "inconclusive")])
def test_no_better_than_the_best_trivial_answer(level, label):
    test = {"favoured": "baseline", "against": "b", "rule": "non_inferior", "baseline": BASELINE}
    rows = measured([0.0], [level - 0.1, level, level + 0.1]) + _baselines(copy=3.0, lead=10.0, nearest=99.0)
    rows += _baselines(task="translation", lead=77.0)  # neither an unlisted baseline nor another task's may count
    entry = one(small(test), rows)
    assert entry["label"] == label
    assert (entry["baseline"], entry["baseline_mean"]) == ("lead", 10.0)


@pytest.mark.parametrize(
    ("b", "label"), [([12.0, 12.2, 12.1], "supported"), ([18.0, 18.2, 17.9], "contradicted"), ([9, 21], "inconclusive")]
)
def test_share_of_the_gain(b, label):
    test = {"effect": "share", "rule": "share_at_most", "margin": margin(0.5), "baseline": BASELINE}
    a = [20.0, 20.3, 20.1][: len(b)]
    entry = one(small(test), measured(a, b) + _baselines(copy=3.0, lead=10.0))
    assert entry["label"] == label
    assert entry["estimate"] == pytest.approx((sum(b) / len(b) - 10) / (sum(a) / len(a) - 10))


def test_a_share_of_nothing_is_undecided():
    test = {"effect": "share", "rule": "share_at_most", "margin": margin(0.5), "baseline": BASELINE}
    entry = one(small(test), measured([9.0, 9.5], [8.0, 8.5]) + _baselines(lead=10.0))
    assert (entry["label"], entry["why"], entry["estimate"], entry["p"]) == ("inconclusive", "no_gain", None, 1.0)


def test_gains_are_compared_replicate_by_replicate():
    test = {"select": {"variant": "pretrained"}, "relative_to": {"variant": "scratch"}}
    rows = measured([80.0, 90.0], [75.0, 85.0], variant="pretrained") + measured(
        [70.0, 80.1], [72.0, 82.0], variant="scratch"
    )
    entry = one(small(test), rows)
    assert entry["favoured_mean"] == pytest.approx(9.95)
    assert entry["against_mean"] == pytest.approx(3.0)
    assert entry["estimate"] == pytest.approx(6.95)
    assert entry["label"] == "supported"


def test_pairing_uses_common_replicates_and_says_what_it_left_out():
    entry = one(small({}), measured([30.0, 30.1, 30.2, 50.0], [25.0, 25.1, 25.3]))
    assert (entry["pairs"], entry["left_out"], entry["label"]) == (3, 1, "supported")
    entry = one(small({"pairing": "independent"}), measured([30.0, 30.1, 30.2, 30.3], [25.0, 25.1, 25.3]))
    assert (entry["left_out"], entry["label"]) == (0, "supported")


def test_direction_may_be_set_by_the_claim():
    rows = measured(300.0, 100.0, better="neither")
    with pytest.raises(UserError, match="direction"):
        judge(small({}), evidence.frame(rows))
    assert one(small({"direction": "more"}), rows)["label"] == "supported"
    assert one(small({"direction": "less"}), rows)["label"] == "contradicted"


def test_needed_pairs_are_enough_when_the_spread_stays():
    chance = random.Random(4)
    entry = one(small({}), measured([chance.gauss(32, 3) for _ in range(4)], [chance.gauss(30, 3) for _ in range(4)]))
    assert entry["label"] == "inconclusive"
    assert 4 < entry["needed_pairs"] < 10_000
    # by hand: differences 1, 2, 6 with mean 3, deviation 2.6458 and border 1, so 2.0 away; t(9)·2.6458/√10 = 1.893
    entry = one(small({}), measured([31.0, 32.0, 36.0], [30.0, 30.0, 30.0]))
    assert (entry["label"], entry["needed_pairs"]) == ("inconclusive", 10)


def test_all_that_an_entry_says_of_a_plain_comparison():
    claims, table = small({}), evidence.frame(measured([30.0, 31.0, 32.0], [25.0, 27.0, 26.0]))
    told = judge(claims, table, recorded="f" * 64)
    assert told["schema"] == 1
    assert told["level"] == 0.95
    assert told["docket_sha256"] == claims.sha256()
    assert told["recorded_docket_sha256"] == "f" * 64
    assert told["evidence_sha256"] == evidence.fingerprint(table)
    assert judge(claims, table)["recorded_docket_sha256"] is None
    [entry] = told["claims"][0]["tests"]
    half = 4.302653 / math.sqrt(3)
    # a paired t-test of 5, 4, 6 against the margin 1 and, alone in its area, no correction
    p = 2 * stats.t.sf(4 * math.sqrt(3), 2)
    assert entry == {
        "name": "t", "metric": "score", "unit": "points", "effect": "difference", "favoured": "a", "against": "b",
        "baseline": None, "relative_to": None, "direction": "higher", "rule": "superior", "margin": 1.0, "equal": None,
        "level": 0.95, "estimate": 5.0, "low": pytest.approx(5 - half), "high": pytest.approx(5 + half),
        "corrected_low": pytest.approx(5 - half), "corrected_high": pytest.approx(5 + half), "exact": False,
        "never": False, "pairs": 3, "left_out": 0, "favoured_mean": 31.0, "against_mean": 26.0, "baseline_mean": None,
        "replicates_error": pytest.approx(1 / math.sqrt(3)), "items_error": None,
        "items_groups": None, "condition": {
            "task": "lm", "size": "", "device": "", "matching": "", "variant": "", "variable": "", "at": None,
        },
        "label": "supported", "uncorrected_label": "supported", "why": "beyond", "p": pytest.approx(p),
        "p_corrected": pytest.approx(p), "runs": ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"], "rows": [0, 1, 2, 3, 4, 5],
        "needed_pairs": None,
    }  # fmt: skip


def test_a_count_is_no_test_for_which_others_would_be_corrected():
    claims = small({"by": ["task"]})
    chance = measured([3.0, 4.1, 3.3], [1.0, 1.2, 1.4], task="chance")
    alone = one(claims, chance)
    counts = [row for n in range(9) for row in measured(30.0, 25.0, task=f"count{n}")]
    told = judge(claims, evidence.frame([*chance, *counts]))["claims"][0]["tests"]
    beside = next(entry for entry in told if entry["condition"]["task"] == "chance")
    assert (beside["p"], beside["p_corrected"]) == (alone["p"], alone["p_corrected"])
    assert {(entry["p"], entry["label"]) for entry in told if entry["exact"]} == {(None, "supported")}


def test_a_count_is_exact_and_what_varies_is_not():
    assert one(small({}), measured(30.0, 25.0))["exact"]
    assert one(small({}), measured(30.0, 25.0))["pairs"] == 1
    assert not one(small({}), [*measured(30.0, 25.0), items_row(0.1)])["exact"]
    assert not one(small({}), measured([30.0], [25.0]))["exact"]


def test_independent_replicates_are_welchs_and_paired_ones_are_not():
    a, b = [30.0, 34.0, 32.0], [25.0, 29.5, 27.0]  # nearly the same difference in each pair
    paired = one(small({}), measured(a, b))
    apart = one(small({"pairing": "independent"}), measured(a, b))
    wanted = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (apart["low"], apart["high"]) == pytest.approx((wanted.low, wanted.high))
    wanted = stats.ttest_1samp([x - y for x, y in zip(a, b, strict=True)], 0).confidence_interval(0.95)
    assert (paired["low"], paired["high"]) == pytest.approx((wanted.low, wanted.high))
    # the spread of one pair of independent replicates is both sides' spread
    apart = one(small({"pairing": "independent", "margin": margin(4.0)}), measured(a, b))
    deviation = math.hypot(stdev(a), stdev(b))
    distance = abs(apart["estimate"] - 4)
    assert apart["needed_pairs"] == statistics.needed_pairs(deviation, distance, 0.95)


def test_replicates_that_do_not_meet_are_no_pairs():
    rows = [
        {**row, "replicate": row["replicate"] + 5 * (row["architecture"] == "b")}
        for row in measured([1.0] * 3, [2.0] * 2)
    ]
    entry = one(small({}), rows)
    assert (entry["label"], entry["why"], entry["p"]) == ("inconclusive", "no_pairs", None)
    assert (entry["pairs"], entry["left_out"]) == (0, 5)


@pytest.mark.parametrize(("a", "b", "label", "runs"), [(3, 3, "supported", (3, 3)), (4, 3, "supported", (3, 4))])
def test_the_p_value_of_never_is_barnards(a, b, label, runs):
    test = {"metric": "seconds", "effect": "ratio", "margin": margin(1.5)}
    entry = one(small(test), measured([5.0] * a, [math.inf] * b, better="lower", metric="seconds"))
    assert (entry["label"], entry["p"], entry["pairs"]) == (label, statistics.p_never(*runs), 3)
    assert (entry["favoured_mean"], entry["against_mean"]) == (pytest.approx(5.0), None)
    mixed = one(small(test), measured([5.0, 5.0, math.inf], [math.inf] * 3, better="lower", metric="seconds"))
    assert (mixed["why"], mixed["p"], mixed["p_corrected"]) == ("never_mixed", 1.0, 1.0)
    both = one(small(test), measured([math.inf] * 3, [math.inf] * 3, better="lower", metric="seconds"))
    assert (both["p"], both["p_corrected"]) == (None, None)


@pytest.mark.parametrize(("direction", "labels"), [("more", ("supported", "contradicted")),
                                                   ("less", ("contradicted", "supported"))])  # fmt: skip
def test_never_is_more_than_any_number(direction, labels):
    test = {"metric": "seconds", "effect": "ratio", "margin": margin(1.5), "direction": direction}
    reached, never = [5.0, 6.0, 7.0], [math.inf] * 3
    for (a, b), label in zip(((never, reached), (reached, never)), labels, strict=True):
        assert one(small(test), measured(a, b, better="lower", metric="seconds"))["label"] == label


def test_one_replicate_of_a_share_is_no_test():
    test = {"effect": "share", "rule": "share_at_most", "margin": margin(0.5), "baseline": BASELINE}
    entry = one(small(test), measured([20.0], [12.0]) + _baselines(lead=10.0))
    assert (entry["why"], entry["p"], entry["estimate"], entry["low"]) == ("one_replicate", None, 0.2, None)
    assert entry["label"] == "inconclusive"
    unclear = one(small(test), measured([30.0, 11.0], [12.0, 11.0]) + _baselines(lead=10.0))
    assert (unclear["label"], unclear["why"], unclear["p"], unclear["low"]) == ("inconclusive", "no_gain", 1.0, None)
    counted = one(small(test), measured(20.0, 12.0) + _baselines(lead=10.0))
    assert (counted["label"], counted["exact"], counted["low"], counted["high"]) == ("supported", True, 0.2, 0.2)


def test_more_pairs_for_a_share_are_those_that_would_decide_it():
    test = {"effect": "share", "rule": "share_at_most", "margin": margin(0.5), "baseline": BASELINE}
    a, b = [20.0, 21.0, 19.0], [13.0, 15.0, 12.5]
    entry = one(small(test), measured(a, b) + _baselines(lead=10.0))
    share = (sum(b) - 30) / (sum(a) - 30)
    residuals = [(y - 10) - share * (x - 10) for x, y in zip(a, b, strict=True)]
    assert entry["label"] == "inconclusive"
    assert entry["needed_pairs"] == statistics.needed_pairs(stdev(residuals) / 10, abs(share - 0.5), 0.95)
    assert entry["needed_pairs"] > 3


def test_the_least_is_the_best_baseline_where_less_is_better():
    test = {"favoured": "baseline", "against": "b", "rule": "non_inferior", "baseline": BASELINE, "metric": "seconds"}
    rows = measured([0.0], [4.9, 5.0, 5.1], better="lower", metric="seconds")
    rows += [{**row, "metric": "seconds", "better": "lower"} for row in _baselines(copy=3.0, lead=5.0)]
    entry = one(small(test), rows)
    assert (entry["baseline"], entry["baseline_mean"], entry["label"]) == ("copy", 3.0, "supported")


@pytest.mark.parametrize(
    ("rows", "by", "named"),
    [
        (_baselines(lead=1.0) * 2, ["task"], "lead|twice"),
        (_baselines(lead=1.0) + _baselines("translation", lead=1.0), [], "'by'"),
        ([{**row, "better": "lower"} for row in _baselines(lead=math.inf)], ["task"], "finite"),
    ],
)
def test_baselines_that_do_not_fit_are_refused(rows, by, named):
    better = rows[0]["better"]
    test = {"favoured": "baseline", "against": "b", "rule": "non_inferior", "baseline": BASELINE, "by": by}
    measurements = [{**row, "task": task} for task in {row["task"] for row in rows}
                    for row in measured([0.0], [1.0, 2.0], better=better)]  # fmt: skip
    with pytest.raises(UserError, match=named) as told:
        judge(small(test), evidence.frame([*measurements, *rows]))
    assert "claims.A1.tests.t" in str(told.value)


def test_a_gain_is_over_the_same_replicate_in_the_same_place():
    test = {"select": {"variant": "pretrained"}, "relative_to": {"variant": "scratch"}, "by": ["task"]}
    rows = []
    for task, before in (("lm", 10.0), ("translation", 50.0)):
        rows += measured([80.0, 90.0, 85.0], [75.0, 85.0, 80.0], variant="pretrained", task=task)
        rows += measured([before, before + 9], [before, before + 10], variant="scratch", task=task)
    entries = judge(small(test), evidence.frame(rows))["claims"][0]["tests"]
    assert [entry["condition"]["task"] for entry in entries] == ["lm", "translation"]
    assert [entry["favoured_mean"] for entry in entries] == [70.5, 30.5]  # the third has nothing to gain over
    assert [entry["pairs"] for entry in entries] == [2, 2]
    assert entries[0]["relative_to"] == {"variant": "scratch"}
    assert entries[0]["condition"]["variant"] == ""
    single = [row for row in rows if row["replicate"] == 0]
    assert [entry["estimate"] for entry in judge(small(test), evidence.frame(single))["claims"][0]["tests"]] == [
        5.0,
        5.0,
    ]
    never = [{**row, "better": "lower", "value": math.inf if row["variant"] == "scratch" else 1.0} for row in rows]
    with pytest.raises(UserError, match="finite"):
        judge(small(test), evidence.frame(never))


def test_a_ratios_sides_are_shown_by_their_geometric_means():
    test = {"metric": "seconds", "effect": "ratio", "margin": margin(1.5)}
    entry = one(small(test), measured([1.0, 4.0], [9.0, 16.0], better="lower", metric="seconds"))
    assert (entry["favoured_mean"], entry["against_mean"]) == (pytest.approx(2.0), pytest.approx(12.0))
    assert entry["estimate"] == pytest.approx(6.0)


def test_a_decision_that_is_taken_back_says_how_many_more_would_do():
    rows = []
    for at in range(12):
        b = [25.0, 25.9, 25.2] if at == 0 else [30.0, 27.0, 33.0]
        rows += measured([28.0, 28.5, 29.0] if at == 0 else [30.0, 30.0, 30.0], b, variable="x", at=at)
    tests = judge(small({}), evidence.frame(rows))["claims"][0]["tests"]
    assert [entry["condition"]["at"] for entry in tests] == [float(at) for at in range(12)]
    [entry] = [entry for entry in tests if entry["why"] == "corrected"]
    strict = 1 - 0.05 * entry["p"] / entry["p_corrected"]
    deviation = stdev([3.0, 2.6, 3.8])
    assert entry["needed_pairs"] == statistics.needed_pairs(deviation, entry["estimate"] - 1, strict)
    assert entry["corrected_low"] < 1 < entry["low"]


def scattered(centres, seed, spread):
    """Evidence of a sweep in which one side is ahead by about the centres."""
    chance, rows = random.Random(seed), []
    for at, centre in enumerate(centres):
        values = [centre + chance.gauss(0, spread) for _ in range(3)]
        rows += measured([30 + value for value in values], [30.0] * 3, variable="x", at=at)
    return evidence.frame(rows)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.integers(0, 99))
def test_a_label_is_what_the_corrected_interval_says(centres, seed):
    for entry in judge(small({"margin": margin(2.0)}), scattered(centres, seed, 1))["claims"][0]["tests"]:
        low, high = entry["corrected_low"], entry["corrected_high"]
        assert low <= entry["low"] + 1e-9
        assert entry["high"] <= high + 1e-9
        if abs(entry["p_corrected"] - 0.05) > 1e-6 and entry["uncorrected_label"] != "inconclusive":
            says = "supported" if low > 2 else "contradicted" if high < -2 else "tie" if low > -2 and high < 2 else ""
            assert entry["label"] == (says or "inconclusive")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 5), min_size=2, max_size=6), st.integers(0, 99))
def test_so_it_does_where_a_size_is_claimed(centres, seed):
    """Being alike is one way of not being that: the more alike two sides are, the surer they contradict it."""
    claims = small({"rule": "at_least", "margin": margin(3.0, equal=1.0)})
    for entry in judge(claims, scattered(centres, seed, 0.5))["claims"][0]["tests"]:
        low, high = entry["corrected_low"], entry["corrected_high"]
        if abs(entry["p_corrected"] - 0.05) > 1e-6 and entry["uncorrected_label"] != "inconclusive":
            says = "supported" if low > 3 else "tie" if low > -1 and high < 1 else "contradicted" if high < 3 else ""
            assert entry["label"] == (says or "inconclusive")


def test_replicates_that_are_all_alike_are_no_proof():
    """Three equal seeds decide alone; as one of many comparisons they do not lend their certainty to the others."""
    alike = measured([100.0] * 3, [100.0] * 3)
    assert one(small({}), alike)["label"] == "tie"
    assert 0.01 < one(small({}), alike)["p"] < 0.05
    noise = [row for at in range(9) for row in measured([1.0, 9.0, 5.0], [3.0, 2.0, 8.0], variable="x", at=at + 1.0)]
    entries = judge(small({}), evidence.frame([*alike, *noise]))["claims"][0]["tests"]
    assert {entry["label"] for entry in entries} == {"inconclusive"}


def test_a_test_without_evidence_tells_what_it_would_have_been_of():
    test = {"select": {"experiment": "training", "task": "lm", "variant": ["beam", "greedy"]}}
    entry = one(small(test), [])
    assert (entry["condition"]["task"], entry["condition"]["variant"], entry["condition"]["at"]) == ("lm", "", None)
    assert (entry["why"], entry["pairs"], entry["rows"], entry["runs"]) == ("no_evidence", 0, [], [])
    # one side alone is no comparison either
    assert one(small({}), measured([1.0], [])[:1])["why"] == "no_evidence"


def test_a_swept_value_is_selected_by_its_number():
    rows = measured([30.0, 30.1], [20.0, 20.1], variable="x", at=1.0)
    rows += measured([20.0, 20.1], [30.0, 30.1], variable="x", at=2.0)
    for at, label in ((1, "supported"), (2.0, "contradicted")):
        test = {"select": {"experiment": "training", "at": at}, "by": ["task"]}
        entry = one(small(test), rows)
        assert (entry["label"], entry["condition"]["at"]) == (label, at)


@pytest.mark.parametrize(
    ("a", "b", "favoured"),
    [
        ([30.0, 30.2, 30.1], [25.0, 25.3, 25.0], "a"),
        ([25.0, 25.3, 25.0], [30.0, 30.2, 30.1], "b"),
        ([30.0, 30.2, 30.1], [30.1, 30.1, 30.0], "no_difference"),
        ([30.0, 34.0, 27.0], [29.0, 25.0, 30.0], "unresolved"),
    ],
)
def test_a_situation_names_the_side_that_its_test_found(a, b, favoured):
    plain = small({}).model_dump(mode="json", by_alias=True)["claims"][0]["tests"][0]
    final = {"text": WORDS, "measured": WORDS, "tests": [{**plain, "name": "f", "criterion": "quality"}]}
    told = judge(small({}, final=final), evidence.frame(measured(a, b)))["final"]
    [situation], [entry] = told["situations"], told["tests"]
    assert situation == {
        "criterion": "quality", "metric": "score", "test": "f", **entry["condition"], "favoured": favoured,
        **{key: entry[key] for key in ("label", "why", "effect", "estimate", "low", "high", "runs")},
    }  # fmt: skip
    assert entry["p_corrected"] == entry["p"]


def test_the_final_table_is_corrected_for_its_own_tests():
    plain = small({}).model_dump(mode="json", by_alias=True)["claims"][0]["tests"][0]
    final = {"text": WORDS, "measured": WORDS, "tests": [{**plain, "name": "f", "criterion": "quality"}]}
    chance, rows = random.Random(3), []
    for at in range(6):
        rows += measured([30 + at + chance.gauss(0, 1) for _ in range(3)], [29.0] * 3, variable="x", at=at)
    told = judge(small({}, final=final), evidence.frame(rows))["final"]["tests"]
    wanted = statistics.benjamini_hochberg([entry["p"] for entry in told])
    assert [entry["p_corrected"] for entry in told] == pytest.approx(wanted)
    assert {entry["label"] for entry in told} == {"supported", "inconclusive"}


# ---------------------------------------------------------------- the sample of test items


@pytest.mark.parametrize("pair", [("a", "b"), ("b", "a")])
def test_the_error_due_to_test_items_widens_the_interval_whichever_way_round_it_is_told(pair):
    rows = measured([30.0, 31.0, 32.0], [25.0, 27.0, 26.0])
    before, after = one(small({}), rows), one(small({}), [*rows, items_row(0.7, *pair)])
    assert (before["items_error"], after["items_error"]) == (None, 0.7)
    assert before["replicates_error"] == after["replicates_error"] == pytest.approx(1 / math.sqrt(3))
    wanted = math.hypot(before["high"] - before["estimate"], 1.959964 * 0.7)
    assert after["high"] - after["estimate"] == pytest.approx(wanted, rel=1e-6)
    assert after["p"] > before["p"]
    assert "items/lm" in after["runs"]
    assert "items/lm" not in before["runs"]


@pytest.mark.parametrize(
    "other",
    [{"task": "translation"}, {"variant": "beam"}, {"device": "cuda"}, {"metric": "seconds"}, {"second": "baseline"}],
)
def test_the_items_of_something_else_change_nothing(other):
    rows = measured([30.0, 31.0, 32.0], [25.0, 27.0, 26.0])
    assert numberless(one(small({}), [*rows, items_row(0.7, **other)])) == numberless(one(small({}), rows))


def test_the_items_of_a_difference_are_not_those_of_a_ratio_and_none_are_of_a_share():
    rows = [*measured([30.0, 31.0, 32.0], [25.0, 27.0, 26.0]), items_row(0.7)]
    ratio = small({"effect": "ratio", "margin": margin(1.1)})
    of_ratio = items_row(0.02, unit="log ratio")
    assert one(ratio, rows)["items_error"] is None
    assert one(ratio, [*rows, of_ratio])["items_error"] == 0.02
    assert one(small({}), [*rows, of_ratio])["items_error"] == 0.7
    share = {"effect": "share", "rule": "share_at_most", "margin": margin(0.5), "baseline": BASELINE}
    assert one(small(share), rows + _baselines(copy=3.0))["items_error"] is None


def test_a_gain_over_a_gain_has_the_items_of_both():
    test = {"select": {"variant": "pretrained"}, "relative_to": {"variant": "scratch"}}
    rows = measured([80.0, 90.0], [75.0, 85.0], variant="pretrained")
    rows += measured([70.0, 80.1], [72.0, 82.0], variant="scratch")
    rows += [items_row(0.5, variant="pretrained"), items_row(0.25, variant="scratch")]
    assert one(small(test), rows)["items_error"] == 0.75


def test_the_items_error_of_a_ratio_is_that_of_its_logarithm():
    claims = small({"effect": "ratio", "margin": margin(1.1)})
    values = [30.0, 31.0, 32.0], [25.0, 27.0, 26.0]
    before = one(claims, measured(*values))
    after = one(claims, [*measured(*values), items_row(0.02, unit="log ratio")])
    alone = math.log(before["high"] / before["estimate"])
    assert math.log(after["high"] / after["estimate"]) == pytest.approx(math.hypot(alone, 1.959964 * 0.02), rel=1e-6)


def test_few_groups_of_items_have_students_quantile():
    rows = [*measured([30.0, 31.0, 32.0], [25.0, 27.0, 26.0]), items_row(0.7)]
    half = one(small({}), rows[:-1])["high"] - 5
    few = one(small({}), [*rows, groups_row(5)])
    assert few["items_groups"] == 5
    assert few["high"] - few["estimate"] == pytest.approx(math.hypot(half, stats.t.ppf(0.975, 4) * 0.7))
    # alone in its area, nothing is corrected for it
    assert (few["corrected_low"], few["corrected_high"]) == pytest.approx((few["low"], few["high"]))
    seeds, needed = (
        half / stats.t.ppf(0.975, 2),
        one(small({"margin": margin(3.0)}), [*rows, groups_row(5)])["needed_pairs"],
    )
    widths = [
        math.hypot(stats.t.ppf(0.975, count - 1) * seeds * math.sqrt(3 / count), stats.t.ppf(0.975, 4) * 0.7)
        for count in (needed - 1, needed)
    ]
    assert widths[0] > 2 > widths[1]  # from the estimate of 5 to the margin of 3
    assert few["p"] > one(small({}), [*rows, groups_row(6)])["p"] > one(small({}), rows)["p"]


def test_items_without_a_matching_hold_for_all_and_along_a_curve():
    along = measured([30.0, 31.0, 32.0], [25.0, 27.0, 26.0], matching="flops", variable="tokens", at=1000.0)
    claims = small({"by": ["matching", "at"]})
    assert one(claims, [*along, items_row(0.7)])["items_error"] == 0.7
    assert one(claims, [*along, items_row(0.7, matching="parameters")])["items_error"] is None
    assert one(claims, [*along, items_row(0.7, matching="flops")])["items_error"] is None


def test_one_replicate_has_no_interval_whatever_the_items_say():
    entry = one(small({}), [*measured([30.0], [25.0]), items_row(0.01)])
    assert (entry["label"], entry["why"], entry["p_corrected"]) == ("inconclusive", "one_replicate", None)


def test_no_number_of_replicates_makes_up_for_too_few_test_items():
    rows = measured([30.9, 31.1, 31.3], [29.9, 29.9, 29.9])
    assert one(small({}), rows)["needed_pairs"] > 3
    assert one(small({}), [*rows, items_row(2.0)])["needed_pairs"] is None


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (
            [items_row(0.5, run="one"), items_row(0.5, "b", "a", run="two")],
            r"claims\.A1\.tests\.t: the evidence has several rows .*\(runs (one, two|two, one)\)",
        ),
        ([items_row(-0.5)], r"claims\.A1\.tests\.t: .*standard error"),
        ([items_row(0.5, unit="%")], "standard error in points"),
        ([items_row(0.5), groups_row(1)], "at least 2"),
        ([items_row(0.5), groups_row(7.5)], "number of groups"),
    ],
)
def test_items_that_cannot_be_are_refused(rows, named):
    with pytest.raises(UserError, match=named):
        judge(small({}), evidence.frame([*measured([1.0, 2.0], [2.0, 3.0]), *rows]))


# ---------------------------------------------------------------- claims, areas, the final question


@pytest.mark.parametrize(
    ("labels", "whole"),
    [
        ([], "not_tried"),
        (["not_tried", "not_tried"], "not_tried"),
        (["supported", "supported"], "supported"),
        (["tie", "tie"], "tie"),
        (["supported", "contradicted"], "only_when"),
        (["supported", "tie"], "only_when"),
        (["supported", "inconclusive"], "only_when"),
        (["supported", "not_tried"], "only_when"),
        (["only_when", "contradicted"], "only_when"),
        (["contradicted", "inconclusive"], "inconclusive"),
        (["contradicted", "not_tried"], "inconclusive"),
        (["tie", "inconclusive"], "inconclusive"),
        (["tie", "contradicted"], "contradicted"),
    ],
)
def test_parts_make_a_whole(labels, whole):
    assert combine(labels) == whole


def test_conditions_are_judged_apart_and_named():
    rows = measured([30.0, 30.2], [25.0, 25.1], task="lm") + measured([25.0, 25.1], [30.0, 30.2], task="translation")
    [claim] = judge(small({}), evidence.frame(rows))["claims"]
    assert claim["label"] == "only_when"
    assert [c["task"] for c in claim["when"]] == ["lm"]
    assert [(c["task"], c["label"]) for c in claim["unless"]] == [("translation", "contradicted")]


def test_many_lucky_finds_are_told_apart_from_sure_ones():
    """One find among many tests does not survive the correction, and the claim says what it would be without."""
    rows = []
    for at in range(12):
        b = [25.0, 25.9, 25.2] if at == 0 else [30.0, 27.0, 33.0]
        rows += measured([28.0, 28.5, 29.0] if at == 0 else [30.0, 30.0, 30.0], b, variable="x", at=at)
    [claim] = judge(small({}), evidence.frame(rows))["claims"]
    assert [claim["uncorrected_label"], claim["label"], claim["when"]] == ["only_when", "inconclusive", []]
    assert all(t["p"] <= t["p_corrected"] for t in claim["tests"])
    taken_back = [t for t in claim["tests"] if t["why"] == "corrected"]
    assert [(t["uncorrected_label"], t["label"]) for t in taken_back] == [("supported", "inconclusive")]
    assert taken_back[0]["needed_pairs"] > 3


def test_planted_truths_are_found(verdict):
    labels = {claim["id"]: claim["label"] for claim in verdict["claims"]}
    assert labels["A2"] == "only_when"  # training is planted faster, generation slower
    assert labels["A7"] == "contradicted"
    # a tie on the CPU, but the claim speaks of a GPU, and there is none in this world
    assert labels["B2"] == "inconclusive"
    [batching] = [claim for claim in verdict["claims"] if claim["id"] == "B2"]
    assert {test["label"] for test in batching["tests"]} == {"tie", "not_tried"}
    assert labels["B4"] == "only_when"  # of its tests one has no evidence in this world
    [serial] = [claim for claim in verdict["claims"] if claim["id"] == "B4"]
    assert {test["uncorrected_label"] for test in serial["tests"]} == {"supported", "not_tried"}
    assert labels["C2"] == "contradicted"
    assert labels["A4"] == labels["C3"] == "not_tried"
    [halves] = [claim for claim in verdict["claims"] if claim["id"] == "A2"]
    assert {(t["name"], t["label"]) for t in halves["tests"]} == {
        ("training_step", "supported"),
        ("generated_token", "contradicted"),
    }


def judge_of(claims, id, **world):
    """The tests of one claim in a synthetic world."""
    return next(c["tests"] for c in judge(claims, synthetic.table(**world))["claims"] if c["id"] == id)


def test_a_different_world_gives_a_different_verdict(claims):
    turned = {c["id"]: c["label"] for c in judge(claims, synthetic.table(quality=-2.0, speed=0.3))["claims"]}
    assert turned["A1"] in ("contradicted", "inconclusive")
    assert turned["B1"] == "inconclusive"
    assert {t["label"] for t in judge_of(claims, "B1", quality=-2.0, speed=0.3)} == {"contradicted", "inconclusive"}
    level = {c["id"]: c["label"] for c in judge(claims, synthetic.table(quality=0.0, speed=1.0))["claims"]}
    assert "supported" not in (level["A1"], level["B1"], level["A3"])


def test_counts_and_situations_add_up(claims, verdict):
    assert sum(verdict["final"]["counts"].values()) == len(claims.claims) == 21
    for area, summary in verdict["areas"].items():
        assert sum(summary["counts"].values()) == sum(claim.area == area for claim in claims.claims)
    situations = verdict["final"]["situations"]
    assert {s["criterion"] for s in situations} == {
        "quality", "training_speed", "time_to_quality", "generation_speed", "memory", "parameters",
    }  # fmt: skip
    generation = [
        s["favoured"] for s in situations if s["criterion"] == "generation_speed" and s["label"] != "not_tried"
    ]
    assert generation
    assert set(generation) == {"lstm"}
    parameters = [s["favoured"] for s in situations if s["criterion"] == "parameters"]
    assert set(parameters) == {"lstm"}
    assert {s["favoured"] for s in situations} <= {"transformer", "lstm", "no_difference", "unresolved"}


# ---------------------------------------------------------------- the verdict follows evidence and docket alone


def test_the_verdict_is_plain_json_and_depends_on_no_order(claims, verdict):
    rows = synthetic.rows()
    random.Random(7).shuffle(rows)
    again = judge(claims, evidence.frame(rows))
    assert json.dumps(again, allow_nan=False) == json.dumps(verdict, allow_nan=False)


def test_architectures_are_names_and_nothing_more(claims, verdict):
    """Renaming one everywhere, in docket and evidence, changes nothing but the name."""

    def renamed(text):
        return text.replace('"transformer"', '"zebra"').replace('"lstm"', '"aardvark"')

    other = docket.parse(json.loads(renamed(claims.model_dump_json(by_alias=True))))
    table = synthetic.table().with_columns(pl.col("architecture").replace({"transformer": "zebra", "lstm": "aardvark"}))
    found = judge(other, evidence.check(table))
    for new, old in zip(found["claims"], verdict["claims"], strict=True):
        assert new["label"] == old["label"]
        for entry, before in zip(new["tests"], old["tests"], strict=True):
            keys = ("label", "estimate", "low", "high", "p", "needed_pairs", "condition", "runs")
            assert {k: entry[k] for k in keys} == {k: before[k] for k in keys}


def assert_p_agrees(entry):
    """The p-value and the interval decide alike, but for a hair's breadth around the border."""
    assert entry["p"] is None or 0 <= entry["p"] <= entry["p_corrected"] <= 1
    if entry["p"] is not None and entry["low"] is not None and abs(entry["p"] - 0.05) > 1e-9:
        assert (entry["uncorrected_label"] != "inconclusive") == (entry["p"] < 0.05), entry


def test_the_p_value_of_a_share_is_that_of_the_side_it_lies_on():
    """Of what one reaches less half of what the other does, as by hand: beyond 0 it is contradicted."""
    test = {"effect": "share", "rule": "share_at_most", "margin": margin(0.5), "baseline": BASELINE}
    whole, part = [10.0, 11.0, 10.5, 10.2], [9.0, 9.5, 9.6, 9.1]
    entry = one(small(test), measured([10 + w for w in whole], [10 + p for p in part]) + _baselines(lead=10.0))
    by_hand = stats.ttest_1samp([p - w / 2 for p, w in zip(part, whole, strict=True)], 0.0).pvalue
    assert (entry["label"], entry["p"]) == ("contradicted", pytest.approx(by_hand, rel=1e-6))


@pytest.mark.parametrize(("a", "b"), [([31.0, 33.0, 32.0], 25.0), (32.0, [24.0, 26.0, 25.0])])
def test_a_count_stands_beside_each_replicate_of_the_other_side(a, b):
    entry = one(small({}), measured(a, b))
    differences = [x - y for x in np.atleast_1d(a) for y in np.atleast_1d(b)]
    low, high = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert (entry["pairs"], entry["estimate"]) == (3, pytest.approx(7.0))
    assert (entry["low"], entry["high"]) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(
    ("near", "said"), [((90.0, 10.0), "equivalent"), ((10.0, 90.0), "equivalent"), ((10.0, 20.0), "unlearned")]
)
def test_it_may_be_enough_that_one_side_has_learned(near, said):
    claims = small({"learned": {**LEARNED, "sides": "either"}, "by": ["task"]})
    shares = measured([near[0]] * 2, [near[1]] * 2, metric="seconds", variant="near")
    entry = one(claims, [*measured([0.2, 0.1, 0.2], [0.1, 0.2, 0.1]), *shares])
    assert entry["why"] == said


def test_what_is_learned_may_be_told_by_the_same_metric_elsewhere():
    """Two models that guess at every length are no tie at the longest."""
    learned = {**LEARNED, "metric": "score", "sides": "either"}
    claims = small({"select": {"variant": ["near", "far"]}, "by": ["variant"], "learned": learned})
    guessed = [*measured([9.0, 9.1, 9.0], [9.1, 9.0, 9.0], variant="far")]
    for near, label in ((10.0, "inconclusive"), (90.0, "tie")):
        rows = [*guessed, *measured([near, near, near + 0.1], [near, near + 0.1, near], variant="near")]
        verdict = judge(claims, evidence.frame(rows))
        assert {test["label"] for test in verdict["claims"][0]["tests"]} == {label}


def test_how_many_more_would_do_is_told_by_the_nearest_border():
    """A factor a little below the size that is claimed: more replicates tell it from that, not from its reverse."""
    test = {"metric": "seconds", "effect": "ratio", "rule": "at_least", "margin": margin(1.5, equal=1.1)}
    spread = [0.8, 1.0, 1.25]
    near, far = (
        one(small(test), measured([1.0] * 3, [factor * s for s in spread], better="lower", metric="seconds"))
        for factor in (1.45, 1.3)
    )
    assert near["label"] == far["label"] == "inconclusive"
    assert near["needed_pairs"] > 3 * far["needed_pairs"] > 0


def test_conditions_stand_in_order_whether_or_not_something_was_swept():
    claims = small({"by": ["task", "at"]})
    rows = [
        row
        for task, at in (("lm", 64.0), ("translation", None), ("lm", None), ("lm", 8.0))
        for row in measured([2.0, 2.1], [1.0, 1.1], task=task, at=at)
    ]
    told = judge(claims, evidence.frame(rows))["claims"][0]["tests"]
    places = [(entry["condition"]["task"], entry["condition"]["at"]) for entry in told]
    assert places == [("lm", None), ("lm", 8.0), ("lm", 64.0), ("translation", None)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(11, 40), st.floats(5, 40)), min_size=2, max_size=5), st.floats(0.05, 0.95))
def test_p_and_interval_of_a_share_decide_alike(pairs, limit):
    test = {"effect": "share", "rule": "share_at_most", "margin": margin(limit), "baseline": BASELINE}
    entry = one(small(test), measured([a for a, _ in pairs], [b for _, b in pairs]) + _baselines(lead=10.0))
    if entry["low"] is not None and min(abs(entry["low"] - limit), abs(entry["high"] - limit)) > 1e-6:
        assert_p_agrees(entry)


def _swapped(table):
    swap = {"transformer": "lstm", "lstm": "transformer", "a": "b", "b": "a"}
    against = {f"against:{old}": f"against:{new}" for old, new in swap.items()}
    return evidence.check(table.with_columns(pl.col("architecture").replace(swap), pl.col("variable").replace(against)))


VALUES = st.lists(st.floats(0.5, 50).map(lambda v: round(v, 2)), min_size=1, max_size=5)


@pytest.mark.parametrize(("reached", "label"), [([5.0, 6.0, 5.5], "supported"), ([math.inf] * 3, "contradicted")])
def test_a_target_that_neither_side_reached_stands_for_nothing_beside_others(reached, label):
    never = [math.inf] * 3
    claims = small({"metric": "seconds", "by": ["at"], "effect": "ratio", "margin": margin(1.1)})
    hard = measured(never, never, "lower", "seconds", variable="target", at=1.0)
    easy = measured(reached, [math.inf] * 3 if reached[0] < 9 else [5.0, 6.0, 5.5], "lower", "seconds",
                    variable="target", at=2.0)  # fmt: skip
    told = judge(claims, evidence.frame([*hard, *easy]))["claims"][0]
    assert {test["why"] for test in told["tests"]} == {"never", "never_both"}
    assert told["label"] == label
    assert judge(claims, evidence.frame(hard))["claims"][0]["label"] == "inconclusive"


@pytest.mark.parametrize(
    ("a", "b", "label", "why"),
    [
        ([90.0, 80.0], [50.0, 50.0], "tie", "equivalent"),
        ([90.0, 80.0], [55.0, 44.0], "inconclusive", "unlearned"),
        ([20.0, 30.0], [90.0, 80.0], "inconclusive", "unlearned"),
        ([90.0, 80.0], [], "not_tried", "no_evidence"),
    ],
)
def test_who_has_not_learned_has_nothing_to_lose(a, b, label, why):
    claims = small({"learned": LEARNED, "by": ["task", "at"]})
    slopes = measured([0.2, 0.1, 0.2], [0.1, 0.2, 0.1])
    shares = measured(a, b, metric="seconds", variant="near", run="shares")
    elsewhere = measured([99.0], [99.0], metric="seconds", variant="near", task="other")
    entry = one(claims, [*slopes, *shares, *elsewhere])
    assert (entry["label"], entry["why"]) == (label, why)
    assert (entry["p"] is None) == (label != "tie")
    assert ("shares" in entry["runs"]) == (label != "not_tried")
    swapped = judge(claims, _swapped(evidence.frame([*slopes, *shares])))["claims"][0]["tests"][0]
    assert (swapped["label"], swapped["why"]) == (label, why)


@pytest.mark.parametrize(
    ("a", "b", "sought", "label", "why"),
    [
        ([5.0, 6.0, 5.5], [math.inf] * 3, 60.0, "supported", "never"),  # at least 10 times as long
        ([5.0, 6.0, 5.5], [math.inf] * 3, 7.0, "inconclusive", "never_size"),  # perhaps no longer than that
        ([math.inf] * 3, [5.0, 6.0, 5.5], 7.0, "contradicted", "never"),  # no three times as fast whatever it needs
        ([5.0, 6.0, 5.5], [math.inf] * 3, None, "inconclusive", "never_size"),
    ],
)
def test_never_supports_a_size_only_as_far_as_was_sought(a, b, sought, label, why):
    claims = small(
        {"metric": "seconds", "effect": "ratio", "rule": "at_least", "margin": margin(3.0, equal=1.1), "limit": "score",
         "by": ["task", "at"]},
    )  # fmt: skip
    rows = measured(a, b, "lower", "seconds", at=1.0)
    rows += [] if sought is None else measured([sought] * 3, [sought] * 3, "neither", run="budget")
    entry = one(claims, rows)
    assert (entry["label"], entry["why"]) == (label, why)
    assert ("budget" in entry["runs"]) == (sought is not None)
    reached = measured([5.0, 6.0, 5.5], [5.1, 6.2, 5.4], "lower", "seconds", at=1.0)
    assert "budget" not in one(claims, [*reached, *(row for row in rows if row["run"] == "budget")])["runs"]


TIMES = st.lists(st.floats(0.5, 50).map(lambda v: round(v, 2)) | st.just(math.inf), min_size=1, max_size=4)
ITEMS = st.none() | st.floats(0, 5).map(lambda v: round(v, 2))
PLACES = st.lists(st.tuples(VALUES, VALUES, TIMES, TIMES, ITEMS), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(PLACES, st.sampled_from(["paired", "independent"]), st.sampled_from([1.0, 4.0, 10.0]))
def test_exchanging_the_labels_mirrors_the_verdicts(places, pairing, size):
    claims = small(
        {"name": "gap", "pairing": pairing, "margin": margin(size)},
        {"name": "times", "metric": "score", "effect": "ratio", "pairing": pairing, "margin": margin(1 + size / 9)},
        {"name": "speed", "metric": "seconds", "effect": "ratio", "pairing": pairing, "margin": margin(1.1)},
        {"name": "sought", "metric": "seconds", "effect": "ratio", "pairing": pairing, "margin": margin(2.0),
         "limit": "budget"},
        metrics={"score": WORDS, "seconds": WORDS, "budget": WORDS},
    )  # fmt: skip
    rows = []
    for number, (a, b, fast, slow, items) in enumerate(places):
        rows += measured(a, b, task=f"t{number}")
        if items is not None:  # of the difference, and of the ratio of the same scores
            rows += [items_row(items, task=f"t{number}"), groups_row(2 + number, task=f"t{number}")]
            rows += [items_row(items / 30, unit="log ratio", task=f"t{number}")]
        rows += measured(fast, slow, task=f"t{number}", metric="seconds", better="lower")
        rows += measured([60.0] * len(fast), [60.0] * len(slow), task=f"t{number}", metric="budget", better="neither")
    table = evidence.frame(rows)
    [here], [there] = judge(claims, table)["claims"], judge(claims, _swapped(table))["claims"]
    for entry, other in zip(here["tests"], there["tests"], strict=True):
        assert other["label"] == MIRROR.get(entry["label"], entry["label"])
        assert_p_agrees(entry)
        assert other["uncorrected_label"] == MIRROR.get(entry["uncorrected_label"], entry["uncorrected_label"])
        assert (other["p_corrected"] is None) == (entry["p_corrected"] is None)
        assert (other["p_corrected"] or 0) == pytest.approx(entry["p_corrected"] or 0, rel=1e-6)
        assert other["items_error"] == entry["items_error"]
        assert other["needed_pairs"] == entry["needed_pairs"]
        assert other["pairs"] == entry["pairs"]
        if entry["estimate"] is not None:
            back = 1 / entry["estimate"] if entry["effect"] == "ratio" else -entry["estimate"]
            assert other["estimate"] == pytest.approx(back, rel=1e-9, abs=1e-12)
    assert here["when"] == [{**c, "label": "supported"} for c in there["unless"] if c["label"] == "contradicted"]
    if here["label"] in MIRROR and there["label"] != "only_when" and "tie" not in {t["label"] for t in here["tests"]}:
        assert there["label"] == MIRROR[here["label"]]


def test_exchanging_the_labels_mirrors_the_real_docket(claims):
    assert_mirrored(claims, synthetic.table(), "label")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([-1.0, 0.0, 0.3, 1.0]), st.sampled_from([0.5, 1.0, 2.0]))
def test_exchanging_the_labels_mirrors_the_real_docket_on_any_table(claims, seed, quality, speed):
    # corrected for the other claims of its area, whose rules have sides of their own, a label need not mirror
    assert_mirrored(claims, synthetic.table(seed, quality=quality, speed=speed), "uncorrected_label")


def assert_mirrored(claims, table, label):
    here, there = judge(claims, table), judge(claims, _swapped(table))
    mirrored = 0
    for claim, other in zip(here["claims"], there["claims"], strict=True):
        for entry, back in zip(claim["tests"], other["tests"], strict=True):
            sides = {entry["favoured"], entry["against"]}
            if entry["rule"] == "superior" and sides == {"transformer", "lstm"}:
                assert back[label] == MIRROR.get(entry[label], entry[label]), (entry["name"], entry["condition"])
                mirrored += 1
    assert mirrored > 20
    swap = {"transformer": "lstm", "lstm": "transformer"}
    for situation, back in zip(here["final"]["situations"], there["final"]["situations"], strict=True):
        assert back["favoured"] == swap.get(situation["favoured"], situation["favoured"])


def test_what_is_not_measured_is_not_tried(claims):
    nothing = judge(claims, evidence.frame([]))
    assert {claim["label"] for claim in nothing["claims"]} == {"not_tried"}
    assert nothing["final"]["label"] == "not_tried"
    assert all(s["favoured"] == "unresolved" for s in nothing["final"]["situations"])
    json.dumps(nothing, allow_nan=False)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_taking_evidence_away_never_touches_the_rest(claims, verdict, data):
    table = synthetic.table()
    metric = data.draw(st.sampled_from(sorted(set(table["metric"]))))
    less = judge(claims, evidence.check(table.filter(pl.col("metric") != metric)))
    asking = {  # tests that read the metric beside their own
        (claim.id, test.name)
        for claim in claims.claims
        for test in claim.tests
        if metric in (test.limit, test.learned and test.learned.metric)
    }
    for claim, before in zip(less["claims"], verdict["claims"], strict=True):
        gone = [entry for entry in claim["tests"] if entry["metric"] == metric]
        assert all(entry["label"] == "not_tried" and entry["estimate"] is None for entry in gone)
        keys = ("name", "condition", "uncorrected_label", "estimate", "low", "high", "p", "items_error")

        def told(judged, keys=keys):
            others = (e for e in judged["tests"] if e["metric"] != metric and (judged["id"], e["name"]) not in asking)
            return [{k: e[k] for k in keys} for e in others]

        assert told(claim) == told(before)
        if claim["tests"] and len(gone) == len(claim["tests"]):
            assert claim["label"] == "not_tried"


# ---------------------------------------------------------------- evidence that does not fit


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (
            [*measured([1.0], [2.0]), {**measured([1.0], [2.0])[0], "architecture": "ltsm"}],
            ["'ltsm'", "claims.A1.tests.t"],
        ),
        (measured([1.0], [2.0]) * 2, ["twice for the same replicate", "claims.A1.tests.t"]),
        (
            [*measured([1.0], [2.0]), {**measured([1.0], [2.0])[0], "value": 3.0, "run": "again"}],
            ["twice for the same replicate", "a/0", "again"],
        ),
        (measured([1.0], [2.0]) + measured([1.0], [2.0], implementation="loop"), ["'implementation'", "'by'"]),
        (measured([1.0], [2.0])[:1] + measured([1.0], [2.0], unit="%")[1:], ["'unit'"]),
        (measured([1.0], [2.0])[:1] + measured([1.0], [2.0], better="lower")[1:], ["'better'"]),
        (measured([1.0], [2.0]) + measured(1.0, [])[:1], ["replicate"]),
    ],
)
def test_evidence_that_does_not_fit_a_claim_is_named(rows, named):
    with pytest.raises(UserError) as error:
        judge(small({}), evidence.frame(rows))
    assert all(word in str(error.value) for word in named), str(error.value)


def test_a_ratio_of_nothing_is_refused():
    test = {"effect": "ratio", "margin": margin(1.1)}
    with pytest.raises(UserError, match="above 0"):
        judge(small(test), evidence.frame(measured([1.0, 0.0], [2.0, 3.0])))


def test_strangers_that_no_claim_selects_are_left_alone():
    strangers = [{**row, "architecture": "device", "metric": "peak"} for row in measured([1.0], [2.0])[:1]]
    strangers += [{**row, "architecture": "gru", "experiment": "other"} for row in measured([1.0], [2.0])[:1]]
    assert one(small({}), measured([30.0, 30.1], [20.0, 20.1]) + strangers)["label"] == "supported"


# ---------------------------------------------------------------- chance


def test_a_null_difference_is_seldom_found_and_a_planted_one_nearly_always():
    """With no margin to speak of, three seeds find a difference that is not there in at most 5 % of the worlds."""
    chance = random.Random(11)
    claims = small({"margin": margin(1e-6)})
    rows, worlds = [], 1500
    for at in range(worlds):
        null = [chance.gauss(0, 1) for _ in range(6)]
        rows += measured(null[:3], null[3:], variable="null", at=at)
        far = [chance.gauss(0, 1) for _ in range(6)]
        rows += measured([v + 25 for v in far[:3]], far[3:], variable="planted", at=at)
    [claim] = judge(claims, evidence.frame(rows))["claims"]
    labels = {"null": [], "planted": []}
    for entry in claim["tests"]:
        labels[entry["condition"]["variable"]].append(entry["uncorrected_label"])
    found = sum(label != "inconclusive" for label in labels["null"]) / worlds
    assert found <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / worlds)
    assert labels["planted"].count("supported") / worlds > 0.95
