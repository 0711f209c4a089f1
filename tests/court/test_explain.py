"""An account of a claim holds the rows, the reckoning and the label that the judge has, each in its place."""

from pathlib import Path

import pytest
import synthetic
from test_judge import BASELINE, LEARNED, _baselines, items_row, margin, measured, small

from verdict.court import claims as docket
from verdict.court import evidence
from verdict.court.explain import WHY, WIDTH, explain
from verdict.court.judge import judge
from verdict.errors import UserError

ROOT = Path(__file__).parents[2]
RATIO = {"metric": "seconds", "effect": "ratio", "rule": "at_least", "margin": margin(1.5, equal=1.1)}
SHARE = {"effect": "share", "rule": "share_at_most", "margin": margin(0.5), "baseline": BASELINE}


def account(test, rows):
    """The lines of a claim with this one test, and the judge's entry."""
    claims, table = small(test), evidence.frame(rows)
    [entry] = judge(claims, table)["claims"][0]["tests"]
    return [line.strip() for line in explain(claims, table, "A1").splitlines()], entry


def starting(lines, word):
    [found] = [line for line in lines if line.startswith(word)]
    return found


def test_a_comparison_with_its_rows_its_interval_and_its_borders():
    lines, entry = account({}, measured([30.25, 31.0, 32.0], [25.0, 27.0, 26.0]))
    assert starting(lines, "── t:").endswith("score, difference, a against b, margin 1 points")
    assert starting(lines, "a:") == "a: #0 30.25, #1 31, #2 32"
    assert starting(lines, "b:") == "b: #0 25, #1 27, #2 26"
    assert "[lm]" in starting(lines, "[").replace("task ", "")
    told = starting(lines, "difference")
    assert told.startswith(f"difference {entry['estimate']:.6g}, 95% interval")
    assert f"[{entry['low']:.6g}, {entry['high']:.6g}], 3 replicates" in told
    assert starting(lines, "borders:") == "borders: supported above 1, contradicted below -1"
    assert starting(lines, "→") == (
        f"→ supported: {WHY['beyond']} (p {entry['p']:.3g}, corrected {entry['p_corrected']:.3g})"
    )
    assert starting(lines, "A1: supported").endswith(
        "(conditions judged: 1; without correction over the area: the same)"
    )
    assert not any(line.startswith(("best baseline", "standard error", "border:")) for line in lines)


def test_a_ratio_has_its_borders_as_factors():
    rows = measured([1.0, 2.0, 4.0], [2.0, 4.1, 8.0], better="lower", metric="seconds")
    lines, entry = account(RATIO, rows)
    assert starting(lines, "── t:").endswith("margin 1.5 points, equal within 1.1")
    assert starting(lines, "borders:") == "borders: supported above 1.5, contradicted below 1.5"
    assert starting(lines, "ratio").startswith(f"ratio {entry['estimate']:.6g}, ")


def test_a_count_has_no_interval_and_one_replicate_neither():
    counted, _ = account({}, measured(30.0, 25.0))
    assert starting(counted, "a:") == "a: 30"
    assert starting(counted, "difference").startswith("difference 5, counted")
    single, _ = account({}, measured([30.0], [25.0]))
    assert starting(single, "difference") == "difference 5, no interval, 1 replicates"
    assert starting(single, "→") == f"→ inconclusive: {WHY['one_replicate']}"


@pytest.mark.parametrize(("sides", "who"), [("both", "on both sides"), ("either", "on one side")])
def test_what_has_to_be_learned_first_is_told(sides, who):
    slopes = measured([0.2, 0.1, 0.2], [0.1, 0.2, 0.1])
    shares = measured([9.0] * 2, [8.0] * 2, metric="seconds", variant="near")
    lines, _ = account({"learned": {**LEARNED, "sides": sides}, "by": ["task"]}, [*slopes, *shares])
    assert starting(lines, "counts only with") == f"counts only with seconds of at least 50 {who}: words"
    assert starting(lines, "→") == f"→ inconclusive: {WHY['unlearned']}"
    assert starting(lines, "a:") == "a: #0 0.2, #1 0.1, #2 0.2"  # of what is compared alone


def test_more_replicates_that_would_decide_are_counted():
    lines, entry = account({}, measured([31.0, 32.0, 36.0], [30.0, 30.0, 30.0]))
    assert entry["needed_pairs"] == 10
    assert "about 10 replicates" in starting(lines, "→")


def test_only_the_best_baseline_is_shown():
    test = {"favoured": "baseline", "against": "b", "rule": "non_inferior", "baseline": BASELINE}
    rows = measured([0.0], [10.1, 10.2, 10.3]) + _baselines(copy=3.0, lead=10.0)
    lines, _ = account(test, rows)
    assert starting(lines, "baseline:") == "baseline: 10"
    assert starting(lines, "best baseline:") == "best baseline: lead 10"
    assert starting(lines, "borders:") == "borders: supported above -1, contradicted below -1"


def test_a_share_has_one_border():
    rows = measured([20.0, 20.3, 20.1], [12.0, 12.2, 12.1]) + _baselines(copy=3.0, lead=10.0)
    lines, entry = account(SHARE, rows)
    assert starting(lines, "border:") == "border: 0.5"
    assert starting(lines, "share").startswith(f"share {entry['estimate']:.6g}, ")
    assert not any(line.startswith("borders:") for line in lines)


def test_both_parts_of_the_error_are_told_where_both_are_known():
    lines, entry = account({}, [*measured([30.0, 31.0, 32.0], [25.0, 27.0, 26.0]), items_row(0.7)])
    assert starting(lines, "standard error:").startswith(f"standard error: {entry['replicates_error']:.3g} ")
    assert " 0.7 " in starting(lines, "standard error:")
    # the row that tells it is no measurement of a side
    assert starting(lines, "a:") == "a: #0 30, #1 31, #2 32"


def test_a_gain_names_both_of_its_rows():
    test = {"select": {"variant": "pretrained"}, "relative_to": {"variant": "scratch"}}
    rows = measured([80.0, 90.0], [75.0, 85.0], variant="pretrained")
    rows += measured([70.0, 80.1], [72.0, 82.0], variant="scratch")
    lines, _ = account(test, rows)
    assert starting(lines, "a:") == "a: pretrained #0 80, pretrained #1 90, scratch #0 70, scratch #1 80.1"


def test_what_was_not_measured_is_said():
    lines, _ = account({}, measured([30.0], [])[:1])
    assert starting(lines, "a:") == "a: nothing measured"
    assert starting(lines, "→") == f"→ not_tried: {WHY['no_evidence']}"
    assert any(line.startswith("A1: not_tried") for line in lines)


def test_conditions_are_told_apart_and_the_correction_shows():
    rows = []
    for at in range(12):
        b = [25.0, 25.9, 25.2] if at == 0 else [30.0, 27.0, 33.0]
        rows += measured([28.0, 28.5, 29.0] if at == 0 else [30.0, 30.0, 30.0], b, variable="x", at=at)
    claims, table = small({}), evidence.frame(rows)
    said = explain(claims, table, "A1")
    for at in range(12):
        assert f"variable x, at {at:.1f}]" in said
    assert said.splitlines()[-1] == (
        "A1: inconclusive   (conditions judged: 12; without correction over the area: only_when)"
    )


@pytest.mark.parametrize("claim", ["A1", "A2", "B4", "D1"])
def test_an_account_ends_with_the_label_that_the_whole_docket_gives(claim):
    """The correction runs over the claims of an area; alone a claim could be labelled otherwise."""
    claims, table = docket.load(ROOT / "claims.yaml"), synthetic.table()
    [wanted] = [judged for judged in judge(claims, table)["claims"] if judged["id"] == claim]
    lines = explain(claims, table, claim).splitlines()
    assert lines[-1].startswith(f"{claim}: {wanted['label']} ")
    assert f"conditions judged: {len(wanted['tests'])};" in lines[-1]
    shown = [line.strip() for line in lines if line.strip().startswith("→")]
    assert [line.split(":")[0] for line in shown] == [f"→ {test['label']}" for test in wanted["tests"]]
    said = " ".join(" ".join(lines).split())
    told = claims.claim(claim)
    for text in (told.text, told.measured, *(part for test in told.tests for part in (test.reads, test.margin.reason))):
        assert text.en in said
    for test in told.tests:
        assert f"rule {test.rule}: {claims.rules[test.rule].en}" in said
    wrapped = [line for line in lines if not line.strip().startswith(("──", "→", f"{claim}: "))]
    assert all(len(line) <= WIDTH for line in wrapped)


def test_an_unknown_claim_is_named():
    with pytest.raises(UserError, match="Z9"):
        explain(small({}), evidence.frame([]), "Z9")
