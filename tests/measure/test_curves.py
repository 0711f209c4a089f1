"""What is read off learning curves: made by hand, and by any numbers."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdict.errors import UserError
from verdict.files import write_json
from verdict.measure import curves
from verdict.measure.curves import cost_to_reach, loss_at, seconds_per_token

BY_HAND = [
    {"tokens": 100, "valid_loss": 4.0},
    {"tokens": 200, "valid_loss": 3.0},
    {"tokens": 300, "valid_loss": 3.5},
    {"tokens": 400, "valid_loss": 2.0},
]


@pytest.mark.parametrize(
    ("target", "cost"),
    [(5.0, 100), (4.0, 100), (3.5, 150), (3.0, 200), (2.75, 350), (2.0, 400), (1.999, math.inf)],
)
def test_the_first_time_a_target_is_reached(target: float, cost: float):
    assert cost_to_reach(BY_HAND, target) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("at", "loss"), [(100, 4.0), (150, 3.5), (250, 3.25), (400, 2.0), (99, None), (401, None), (400 * (1 + 1e-12), 2.0)]
)
def test_the_loss_between_two_validations(at: float, loss: float | None):
    found = loss_at(BY_HAND, "tokens", at)
    assert found is None if loss is None else found == pytest.approx(loss)


def curve(losses: list[float], steps: list[int]) -> list[dict]:
    return [{"tokens": sum(steps[: i + 1]), "valid_loss": loss} for i, loss in enumerate(losses)]


CURVES = st.integers(1, 8).flatmap(
    lambda n: st.builds(
        curve,
        st.lists(st.floats(0.1, 10), min_size=n, max_size=n),
        st.lists(st.integers(1, 1000), min_size=n, max_size=n),
    )
)


@given(points=CURVES, targets=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)))
def test_a_harder_target_never_costs_less(points: list[dict], targets: tuple[float, float]):
    hard, easy = sorted(targets)
    assert cost_to_reach(points, hard) >= cost_to_reach(points, easy)


@given(points=CURVES, target=st.floats(0.1, 10))
def test_a_target_is_never_reached_exactly_when_no_validation_reaches_it(points: list[dict], target: float):
    cost = cost_to_reach(points, target)
    assert math.isinf(cost) == all(point["valid_loss"] > target for point in points)
    if not math.isinf(cost):
        assert points[0]["tokens"] <= cost <= points[-1]["tokens"]
        loss = loss_at(points, "tokens", cost)
        assert loss is not None
        assert loss <= target + 1e-6 * abs(target)


@given(points=CURVES, share=st.floats(0, 1))
def test_a_loss_lies_between_those_that_were_measured(points: list[dict], share: float):
    losses = [point["valid_loss"] for point in points]
    at = points[0]["tokens"] + share * (points[-1]["tokens"] - points[0]["tokens"])
    assert min(losses) - 1e-9 <= loss_at(points, "tokens", at) <= max(losses) + 1e-9


@given(points=CURVES, target=st.floats(0.1, 10), faster=st.floats(1.01, 5))
def test_a_faster_architecture_with_the_same_curve_is_sooner_there_by_that_factor(
    points: list[dict], target: float, faster: float
):
    for point in points:
        point["slow"], point["fast"] = point["tokens"] * faster, point["tokens"] * 1.0
    slow, fast = (cost_to_reach(points, target, cost) for cost in ("slow", "fast"))
    assert slow == pytest.approx(fast * faster) or math.isinf(fast)


def test_the_speed_is_that_of_the_stages_own_batches_round_by_round():
    rows = [
        {"metric": "train_tokens_per_second", "variable": "", "architecture": "lstm", "value": value, "replicate": i}
        for i, value in ((2, 10), (0, 100), (1, 200))
    ]
    rows += [{**rows[0], "variable": "length", "value": 1}, {**rows[0], "metric": "train_step_seconds", "value": 1}]
    assert seconds_per_token(rows) == {"lstm": pytest.approx([0.01, 0.005, 0.1])}


def test_a_stage_by_hand(tmp_path: Path):
    """Two architectures, one twice as fast per token and half as good per token: the table must say both."""
    losses = {"fast": [4.0, 3.0, 2.0], "good": [3.0, 2.0, 1.0]}
    speed = {"fast": 200.0, "good": 100.0}
    for name, values in losses.items():
        folder = tmp_path / name
        write_json(folder / "metrics.json", {"job": {"architecture_name": name, "seed": 0}})
        points = [
            {"tokens": 1000 * (i + 1), "flops": 10 * (i + 1) * (2 if name == "good" else 1), "valid_loss": loss}
            for i, loss in enumerate(values)
        ]
        (folder / "history.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    rows = [
        {"metric": "train_tokens_per_second", "variable": "", "architecture": name, "value": value, "task": "lm",
         "variant": "", "device": "cpu", "implementation": "kernel", "replicate": 0}
        for name, value in speed.items()
    ]  # fmt: skip
    write_json(tmp_path / "speed.json", {"rows": rows})
    folders = [tmp_path / name for name in losses]
    curves.run("lm", [3.5, 2.0, 0.5], folders, tmp_path / "speed.json", tmp_path / "out.json")
    found = {
        (row["metric"], row["architecture"], row["matching"], row["at"]): row["value"]
        for row in json.loads((tmp_path / "out.json").read_text())["rows"]
    }
    assert found == {
        # 3.5 bits were there before the good one was first looked at: no row for either
        ("seconds_to_target", "fast", "", 2.0): 15.0,
        ("seconds_to_target", "good", "", 2.0): 20.0,
        ("seconds_to_target", "fast", "", 0.5): "never",
        ("seconds_to_target", "good", "", 0.5): "never",
        # the worse of them ends with 2 bits
        ("seconds_to_common_loss", "fast", "", None): 15.0,
        ("seconds_to_common_loss", "good", "", None): 20.0,
        ("days_per_billion_tokens", "fast", "", None): pytest.approx(1e9 / 200 / 86_400),
        ("days_per_billion_tokens", "good", "", None): pytest.approx(1e9 / 100 / 86_400),
        ("seconds_sought", "fast", "", None): 15.0,
        ("seconds_sought", "good", "", None): 30.0,
        # what both can afford: 30 FLOPs (fast ends there), 15 s (fast ends there)
        ("valid_bits_per_byte", "fast", "flops", None): 2.0,
        ("valid_bits_per_byte", "good", "flops", None): 2.5,
        ("valid_bits_per_byte", "fast", "seconds", None): 2.0,
        ("valid_bits_per_byte", "good", "seconds", None): 2.5,
    }


def test_a_seed_without_a_round_of_its_own_is_told(tmp_path: Path):
    """Two seeds with one round of the timing would be one observation."""
    write_json(tmp_path / "s1/metrics.json", {"job": {"architecture_name": "lstm", "seed": 1}})
    (tmp_path / "s1/history.jsonl").write_text('{"tokens": 9, "flops": 9, "valid_loss": 1.0}\n')
    row = {
        "metric": "train_tokens_per_second", "variable": "", "architecture": "lstm", "value": 5.0, "task": "lm",
        "variant": "", "device": "cpu", "implementation": "kernel", "replicate": 0,
    }  # fmt: skip
    write_json(tmp_path / "speed.json", {"rows": [row]})
    with pytest.raises(UserError, match="1 rounds, and none for seed 1"):
        curves.run("lm", [], [tmp_path / "s1"], tmp_path / "speed.json", tmp_path / "out.json")


def test_a_curve_is_that_of_the_models_that_shorter_runs_would_leave():
    points = [{"tokens": at, "valid_loss": loss} for at, loss in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 0.5))]
    best = curves.best_so_far(points)
    assert [point["valid_loss"] for point in best] == [3.0, 1.0, 1.0, 0.5]
    assert [point["tokens"] for point in best] == [1, 2, 3, 4]
    assert points[2]["valid_loss"] == 2.0  # what was measured stays as it is
