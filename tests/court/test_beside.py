"""What is told beside the claims: every measurement that no test has read, its mean and interval as scipy says."""

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from verdict.court import beside, evidence


def table(*rows: dict) -> pl.DataFrame:
    common = {"experiment": "ladder", "architecture": "lstm", "metric": "m", "unit": "ratio", "better": "higher"}
    made = evidence.frame({**common, "run": f"run{number}", **row} for number, row in enumerate(rows))
    return made.with_row_index("row")


def values(*given: float, **columns: object) -> list[dict]:
    return [{"value": value, "replicate": number, **columns} for number, value in enumerate(given)]


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6))
def test_means_and_intervals_are_scipys(given_values: list[float]):
    [told] = beside.estimates(table(*values(*given_values)), [], 0.9)
    is_positive = min(given_values) > 0
    on_scale = [math.log(value) for value in given_values] if is_positive else given_values
    back = math.exp if is_positive else float
    low, high = stats.t.interval(0.9, len(on_scale) - 1, stats.tmean(on_scale), stats.sem(on_scale))
    assert told["mean"] == pytest.approx(back(stats.tmean(on_scale)), abs=1e-9)
    if stats.sem(on_scale) > 0 and (not is_positive or high < 300):
        assert (told["low"], told["high"]) == pytest.approx((back(low), back(high)), rel=1e-6, abs=1e-9)
    assert told["replicates"] == len(given_values)


def test_what_a_test_has_read_is_not_told_again():
    rows = table(*values(1.0, 2.0), *values(3.0, 4.0, architecture="transformer"))
    read = rows.filter(pl.col("architecture") == "lstm")["row"].to_list()
    assert [told["architecture"] for told in beside.estimates(rows, read, 0.95)] == ["transformer"]


@pytest.mark.parametrize(
    "rows",
    [
        values(1.0),  # nothing to take a spread of
        [{"value": 1.0}],  # counted
        values(1.0, 2.0, experiment="training"),  # in the tables of models and scores
        [*values(1.0, 2.0, variable="length", at=8), *values(1.0, 2.0, variable="length", at=16)],  # a chart
    ],
)
def test_what_has_no_interval_or_its_own_place_is_left_out(rows: list[dict]):
    assert beside.estimates(table(*rows), [], 0.95) == []


@pytest.mark.parametrize(
    ("given_values", "never", "ends"), [((3.0, math.inf, 1.0), 1, (1.0, 3.0)), ((math.inf, math.inf), 2, (None, None))]
)
def test_where_some_never_reached_it_there_is_no_mean(given_values, never, ends):
    [told] = beside.estimates(table(*values(*given_values, better="lower")), [], 0.95)
    assert (told["never_reached"], told["mean"], (told["low"], told["high"])) == (never, None, ends)
    assert told["replicates"] == len(given_values)


def test_a_sweep_of_one_value_is_no_sweep():
    [told] = beside.estimates(table(*values(1.0, 2.0, variable="length", at=8)), [], 0.95)
    assert (told["variable"], told["at"]) == ("length", 8.0)


@pytest.mark.parametrize("column", ["architecture", "variant", "implementation"])
def test_a_sweep_that_only_some_have_made_is_a_chart_of_all(column: str):
    swept = [*values(1.0, 2.0, variable="length", at=8), *values(1.0, 2.0, variable="length", at=16)]
    other = values(1.0, 2.0, variable="length", at=8, **{column: "another"})
    assert beside.estimates(table(*swept, *other), [], 0.95) == []


def test_what_is_left_out_takes_nothing_else_with_it():
    rows = [
        *values(1.0, metric="a"),
        *values(1.0, 2.0, metric="b"),
        *values(1.0, metric="c"),
        *values(2.0, 3.0, metric="d"),
    ]
    assert [told["metric"] for told in beside.estimates(table(*rows), [], 0.95)] == ["b", "d"]


def test_an_end_that_no_number_can_hold_is_none_and_others_stay():
    [told] = beside.estimates(table(*values(1e-300, 1e300)), [], 0.95)
    assert told["mean"] == pytest.approx(1.0)
    assert (told["low"], told["high"]) == (0.0, pytest.approx(math.exp(700.0)))
    [told] = beside.estimates(table(*values(-1e6, 2e6)), [], 0.95)
    assert told["low"] < -1e6
    assert told["high"] > 2e6
