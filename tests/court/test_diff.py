"""Two verdicts: nothing changes from one to itself, either way round says the same, and noise is called noise."""

import copy
import json
import math
import random
from pathlib import Path

import pytest
import synthetic
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from verdict.court import claims as docket
from verdict.court import diff as compare
from verdict.court import statistics
from verdict.court.diff import change, diff, text, two_sided
from verdict.court.judge import judge

ROOT = Path(__file__).parents[2]
NOWHERE = {"task": "lm", "size": "", "device": "cpu", "matching": "", "variant": "", "variable": "", "at": None}


@pytest.fixture(scope="module")
def claims():
    return docket.load(ROOT / "claims.yaml")


@pytest.fixture(scope="module")
def verdicts(claims):
    worlds = {"plain": {}, "again": {"seed": 1}, "turned": {"seed": 2, "quality": -1.0}}
    return {name: judge(claims, synthetic.table(**world)) for name, world in worlds.items()}


def entry(values, effect="difference", **more):
    """A judged condition, as far as a comparison reads it, from one effect for each replicate."""
    found = statistics.mean_interval([math.log(v) if effect == "ratio" else v for v in values], 0.95)
    back = math.exp if effect == "ratio" else float
    low, high = (None if end is None else back(end) for end in (found.low, found.high))
    return {
        "name": "t", "metric": "score", "unit": "points", "effect": effect, "favoured": "a", "against": "b",
        "relative_to": None, "direction": "higher", "rule": "superior", "margin": 1.5, "equal": None, "level": 0.95,
        "estimate": back(found.value), "low": low, "high": high, "pairs": len(values), "condition": NOWHERE,
        "replicates_error": found.error, "items_error": None, "label": "inconclusive", "why": "wide", **more,
    }  # fmt: skip


def counted(value, unit):
    return entry([value, value], unit=unit, effect="ratio", pairs=1, replicates_error=0.0, low=value, high=value)


def verdict(*entries, **more):
    """A verdict of one claim with these conditions, told apart by ``at`` where they do not say otherwise."""
    told = [
        {**each, "condition": {**NOWHERE, "variable": "n", "at": float(at)}} if each["condition"] is NOWHERE else each
        for at, each in enumerate(entries)
    ]
    return {
        "schema": 1, "level": 0.95, "docket_sha256": "d" * 64, "evidence_sha256": "e" * 64,
        "claims": [{"id": "A1", "label": "inconclusive", "tests": told}], "areas": {"A": {"label": "inconclusive"}},
        "final": {"label": "inconclusive", "tests": []}, **more,
    }  # fmt: skip


def one(first, second):
    """The single condition of a comparison."""
    [found] = diff(verdict(first), verdict(second))["conditions"]
    return found


VALUE = st.floats(-50, 50).map(lambda value: round(value, 3))


def _drawn(effect, values, items):
    return entry([math.exp(value / 20) for value in values] if effect == "ratio" else values, effect, items_error=items)


EFFECT = st.sampled_from(["difference", "ratio", "share"])
ENTRY = st.builds(_drawn, EFFECT, st.lists(VALUE, min_size=1, max_size=5), st.none() | st.floats(0, 5))


# ---------------------------------------------------------------- what holds for any two verdicts


@pytest.mark.parametrize("name", ["plain", "turned"])
def test_nothing_changes_from_a_verdict_to_itself(verdicts, name):
    found = diff(verdicts[name], verdicts[name])
    assert not found["changed"]
    assert all(told["same"] for told in found["inputs"].values())
    assert all(claim["a"] == claim["b"] for claim in found["claims"])
    assert {condition["finding"] for condition in found["conditions"]} <= {"within_noise", "not_compared"}
    assert found["only_a"] == found["only_b"] == []
    assert found["identical"] > 20
    said = text(found)
    assert "21 of 21 claims as before" in said
    assert "More than noise: 0 of" in said
    assert "→" not in said


@given(st.lists(ENTRY, max_size=4))
def test_nothing_changes_whatever_the_verdict(entries):
    found = diff(verdict(*entries), verdict(*copy.deepcopy(entries)))
    assert not found["changed"]
    json.dumps(found, allow_nan=False)


def _mirrored(found):
    """What the comparison must be the other way round."""

    def swapped(told):
        return {**told, "a": told["b"], "b": told["a"]}

    def minus(value):
        return None if value is None else -value

    conditions = [
        {
            **swapped(c),
            "change": minus(c["change"]),
            "low": minus(c["high"]),
            "high": minus(c["low"]),
            "z": minus(c["z"]),
        }
        for c in found["conditions"]
    ]
    return {
        **found, "inputs": {key: swapped(told) for key, told in found["inputs"].items()}, "conditions": conditions,
        "claims": [swapped(c) for c in found["claims"]], "areas": [swapped(a) for a in found["areas"]],
        "final": swapped(found["final"]), "only_a": found["only_b"], "only_b": found["only_a"],
    }  # fmt: skip


def _in_order(found):
    key = lambda told: json.dumps([told["claim"], told["test"], told["condition"]])  # noqa: E731
    return {**found, **{name: sorted(found[name], key=key) for name in ("conditions", "only_a", "only_b")}}


@settings(deadline=None)
@given(st.lists(ENTRY, max_size=4), st.lists(ENTRY, max_size=4))
def test_the_other_way_round_says_the_same(first, second):
    a, b = verdict(*first), verdict(*second, evidence_sha256="f" * 64, level=0.9)
    assert diff(b, a) == _mirrored(diff(a, b))


def test_the_other_way_round_says_the_same_of_what_the_judge_says(verdicts):
    one_way, other_way = (diff(verdicts[a], verdicts[b]) for a, b in (("plain", "turned"), ("turned", "plain")))
    assert _in_order(other_way) == _in_order(_mirrored(one_way))


# ---------------------------------------------------------------- the size of a change, and of its noise


@settings(deadline=None)
@given(st.lists(VALUE, min_size=2, max_size=6), st.lists(VALUE, min_size=2, max_size=6))
def test_it_is_welchs_test_where_there_are_replicates_alone(first, second):
    assume(len({*first}) > 1 and len({*second}) > 1)
    found = change(entry(first), entry(second), 0.95)
    known = ttest_ind(second, first, equal_var=False)
    assert two_sided(found) == pytest.approx(known.pvalue, rel=1e-6, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)), rel=1e-6, abs=1e-9)


def test_by_hand():
    a = entry([1.0, 2.0, 3.0], replicates_error=0.3, items_error=0.0)
    b = entry([4.0, 5.0, 6.0], replicates_error=0.4)
    found = one(a, b)
    assert (found["change"], found["error"], found["z"]) == pytest.approx((3.0, 0.5, 6.0))
    assert found["freedom"] == pytest.approx(0.5**4 / (0.3**4 / 2 + 0.4**4 / 2))


def test_test_items_that_both_runs_share_are_no_part_of_a_change():
    """Five seeds apart by twenty of their standard errors, on a text that moves both runs alike by much more."""
    a, b = entry([1.00, 1.01, 1.02, 1.01, 1.0]), entry([1.10, 1.11, 1.12, 1.11, 1.1])
    shared = {"items_error": 5.0, "items_groups": 3}
    assert one({**a, **shared}, {**b, **shared}) == one(a, b)
    assert one({**a, **shared}, {**b, **shared})["finding"] == "more_than_noise"


def test_a_ratio_changes_on_the_logarithms_scale():
    found = one(entry([1.9, 2.0, 2.1], "ratio"), entry([3.8, 4.0, 4.2], "ratio"))
    assert found["change"] == pytest.approx(math.log(2))
    assert "change ×2 [×" in text(
        diff(verdict(entry([1.9, 2.0, 2.1], "ratio")), verdict(entry([3.8, 4.0, 4.2], "ratio")))
    )


def test_a_planted_change_is_found_and_nothing_else_of_that_kind(verdicts):
    found = diff(verdicts["plain"], verdicts["turned"])
    assert found["changed"]
    names = {(c["claim"], c["test"]) for c in found["conditions"] if c["finding"] == "more_than_noise"}
    assert {("A1", "chrf"), ("A1", "bleu")} <= names
    # speed was left as it was
    assert not {c["a"]["metric"] for c in found["conditions"] if c["finding"] == "more_than_noise"} & {
        "train_tokens_per_second", "generated_tokens_per_second", "parameters_total",
    }  # fmt: skip
    assert "A1 chrf [translation, cpu, parameters, beam]" in text(found)


def _world(chance, shifts, replicates, noise):
    return verdict(*(entry([chance.gauss(shift, noise) for _ in range(replicates)]) for shift in shifts))


@pytest.mark.parametrize("replicates", [3, 5])
def test_without_a_change_hardly_any_is_found(replicates):
    chance = random.Random(replicates)
    pairs = 200
    found = [diff(*(_world(chance, [0.0] * 30, replicates, 1.0) for _ in "ab")) for _ in range(pairs)]
    # five per cent at most; three standard deviations of counting beside
    assert sum(each["changed"] for each in found) <= pairs * 0.05 + 3 * math.sqrt(pairs * 0.05 * 0.95)
    small = sum(c["p"] < 0.05 for each in found for c in each["conditions"])
    assert small <= 0.055 * 30 * pairs


def test_of_the_changes_found_few_are_noise():
    chance = random.Random(0)
    false = true = 0
    for _ in range(100):
        a, b = _world(chance, [0.0] * 30, 5, 1.0), _world(chance, [8.0] * 10 + [0.0] * 20, 5, 1.0)
        for number, condition in enumerate(diff(a, b)["conditions"]):
            if condition["finding"] == "more_than_noise":
                true, false = (true + 1, false) if number < 10 else (true, false + 1)
    assert true > 950
    assert false < 0.05 * (true + false)


def test_the_stricter_of_two_levels_counts():
    a, b = entry([0.0, 0.1, 0.2]), entry([0.5, 0.6, 0.7])
    assert diff(verdict(a), verdict(b))["changed"]
    for levels in ((0.95, 0.9999), (0.9999, 0.95)):
        found = diff(verdict(a, level=levels[0]), verdict(b, level=levels[1]))
        assert (found["level"], found["changed"]) == (0.9999, False)
        assert "another level" in text(found)
        assert "Level 99.99 %" in text(found)


# ---------------------------------------------------------------- what has no noise to be held against


@pytest.mark.parametrize(
    ("first", "second", "finding", "why"),
    [
        (counted(1.5, "parameter"), counted(1.5, "parameter"), "within_noise", None),
        (counted(1.5, "parameter"), counted(1.5000000000000002, "parameter"), "within_noise", None),
        (counted(1.5, "parameter"), counted(1.51, "parameter"), "more_than_noise", None),
        (counted(1.5, "byte"), counted(1.51, "byte"), "not_compared", "no_error"),
        (entry([2.0]), entry([2.0, 3.0]), "not_compared", "no_interval"),
        (entry([2.0, 3.0], estimate=None, low=None, high=None), entry([2.0, 3.0]), "not_compared", "no_estimate"),
        (entry([2.0, 3.0], "ratio", estimate=0.0), entry([2.0, 3.0], "ratio"), "not_compared", "no_estimate"),
        (entry([2.0, 3.0]), entry([4.0, 5.0], high=None), "not_compared", "no_interval"),
        (entry([2.0, 3.0]), entry([2.0, 3.0], effect="ratio"), "not_compared", "other_quantity"),
        (entry([2.0, 3.0]), entry([2.0, 3.0], unit="%"), "not_compared", "other_quantity"),
        (entry([2.0, 3.0]), entry([2.0, 3.0], favoured="b", against="a"), "not_compared", "other_quantity"),
    ],
)
def test_without_noise(first, second, finding, why):
    found = one(first, second)
    assert (found["finding"], found["why"], found["p"], found["p_corrected"]) == (finding, why, None, None)
    # it takes no part in the correction of the others
    assert diff(verdict(first), verdict(second))["tested"] == 0
    assert ("not comparable" in text(diff(verdict(first), verdict(second)))) == (why is not None)


# ---------------------------------------------------------------- what is told beside


def test_conditions_of_one_verdict_alone_are_listed(claims, verdicts):
    table = synthetic.table()
    lost = judge(claims, table.filter(table["task"] != "lm"))
    found = diff(verdicts["plain"], lost)
    assert {each["condition"]["task"] for each in found["only_a"]} == {"lm"}
    assert found["only_b"] == []
    said = text(found)
    assert f"Only in A: {len(found['only_a'])}" in said
    assert "\u00a0" not in said


def test_a_test_that_was_not_tried_is_no_condition(claims, verdicts):
    nothing = judge(claims, synthetic.table().filter(synthetic.table()["experiment"] == "device"))
    found = diff(nothing, verdicts["plain"])
    assert found["conditions"] == found["only_a"] == []
    assert found["only_b"]
    assert "A1: not_tried → " in text(found)


def test_what_was_judged_is_told(verdicts):
    other = {**verdicts["plain"], "docket_sha256": "0" * 64, "schema": 2}
    other["claims"] = other["claims"][1:]
    found = diff(verdicts["plain"], other)
    assert not found["inputs"]["docket_sha256"]["same"]
    assert found["inputs"]["evidence_sha256"]["same"]
    assert found["claims"][0] == {"id": "A1", "a": verdicts["plain"]["claims"][0]["label"], "b": None}
    said = text(found)
    assert "another docket: " in said
    assert "→ 000000000000" in said
    assert "another schema: 1 → 2" in said
    areas = {"A": {"label": "tie"}, "B": {"label": "tie"}}
    assert "  area A: inconclusive → tie\n  area B: not there → tie\n" in text(diff(verdict(), verdict(areas=areas)))
    assert "The evidence is the same" in said
    assert "→ not there" in said


def test_runs_that_share_seeds_are_noticed(verdicts):
    assert "taken for independent" in text(diff(verdicts["plain"], verdicts["again"]))
    same, moved = entry([1.0, 2.0, 4.0]), entry([1.0, 1.5])
    found = diff(verdict(same, moved), verdict(same, entry([1.0, 1.6]), evidence_sha256="f" * 64))
    assert found["identical"] == 1
    assert "not independent" in text(found)


def test_another_margin_is_told_and_compared_all_the_same():
    values = [1.0, 1.1, 1.2]
    found = diff(verdict(entry(values)), verdict(entry(values, margin=2.0, label="tie")))
    assert found["conditions"][0]["rules_changed"] == ["margin"]
    assert found["conditions"][0]["finding"] == "within_noise"
    said = text(found)
    assert "Another label, but no more than noise: 1" in said
    assert said.startswith("A: A\nB: B\n")
    assert "inconclusive → tie; other margin" in said


def told(first, second):
    """The lines of the only condition in the text, and the condition."""
    found = diff(verdict(first), verdict(second))
    lines = text(found).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("  A1 t"))
    end = next(number for number in range(start, len(lines)) if not lines[number])
    return [line.strip() for line in lines[start:end]], found["conditions"][0]


def side(entry, unit):
    return f"{entry['estimate']:.4g}{unit} [{entry['low']:.4g}, {entry['high']:.4g}]"


@pytest.mark.parametrize(("effect", "unit", "sign"), [("difference", " points", ""), ("ratio", "×", "×")])
def test_a_condition_is_told_with_its_numbers(effect, unit, sign):
    a, b = entry([1.0, 2.0, 1.5], effect), entry([41.0, 42.0, 41.5], effect, rule="at_least", equal=1.0)
    (place, sides, change), found = told(a, b)
    assert place == "A1 t [lm, cpu, n, 0]: inconclusive; other rule, equal"
    assert sides == f"{side(a, unit)} → {side(b, unit)}"
    back = math.exp if sign else float
    size = f"{sign}{back(found['change']):.4g}" if sign else f"{found['change']:+.4g}"
    span = f"[{sign}{back(found['low']):.4g}, {sign}{back(found['high']):.4g}]"
    assert f" {size} {span}" in change
    assert f"{abs(found['z']):.1f} standard errors" in change
    assert f"p {found['p']:.2g}, corrected {found['p_corrected']:.2g}" in change


def test_the_same_rules_are_not_called_others():
    lines, _ = told(entry([1.0, 1.1]), entry([9.0, 9.1]))
    assert lines[0] == "A1 t [lm, cpu, n, 0]: inconclusive"


def test_what_has_no_noise_or_no_estimate_is_told_without_an_interval():
    lines, found = told(counted(1.5, "parameter"), counted(1.75, "parameter"))
    assert lines[1] == "1.5× → 1.75×"
    assert lines[2:] == ["counted, without noise"]
    assert found["z"] is None
    lines, _ = told(counted(1.5, "byte"), counted(1.75, "byte"))  # its noise is not known
    assert lines[1:] == ["1.5× → 1.75×"]
    share = entry([0.5, 0.6], effect="share")
    lines, _ = told({**share, "estimate": None, "low": None, "high": None}, share)
    assert lines[1].split(" → ")[1] == side(share, "")
    assert not any(character.isdigit() for character in lines[1].split(" → ")[0])


def test_a_change_too_large_for_a_number_is_told_all_the_same():
    lines, _ = told(entry([1e-300, 1.1e-300], "ratio"), entry([1e300, 1.1e300], "ratio"))
    assert "×inf" in lines[2]


def test_conditions_of_one_side_are_listed_by_test_within_the_width():
    places = [{**NOWHERE, "task": f"a long name of a task {number}"} for number in range(12)]
    found = diff(verdict(*(entry([1.0, 1.1], condition=place) for place in places)), verdict())
    lines = text(found).splitlines()
    start = lines.index(f"Only in A: {len(places)}")
    listed = lines[start + 1 : lines.index("", start)]
    assert " ".join(line.strip() for line in listed) == "A1 t " + " ".join(f"[{p['task']}, cpu]" for p in places)
    assert len(listed) > 1
    assert all(len(line) <= compare.WIDTH and line.startswith("  ") for line in listed)


def test_the_final_labels_of_both_are_told():
    final = {"label": "only_when", "tests": []}
    assert any("inconclusive → only_when" in line for line in text(diff(verdict(), verdict(final=final))).splitlines())
    assert "only_when" in text(diff(verdict(final=final), verdict(final=final)))
    assert "→ only_when" not in text(diff(verdict(final=final), verdict(final=final)))


def test_conditions_that_their_columns_do_not_tell_apart_are_numbered():
    here = {**NOWHERE, "task": "translation"}
    first = [entry([1.0, 1.1], condition=here), entry([5.0, 5.1], condition=here)]
    found = diff(verdict(*first), verdict(*first, entry([9.0, 9.1], condition=here)))
    assert [c["change"] for c in found["conditions"]] == [0.0, 0.0]
    assert len(found["only_b"]) == 1


def test_every_reason_has_words():
    assert set(compare.NOT_COMPARED) == {"other_quantity", "no_estimate", "no_interval", "no_error"}
