"""Charts as pure functions: the rows go in, exactly these rows are drawn, in fixed colours and shapes."""

import json
import math
import re
from typing import Any

import altair as alt
import pytest
import world

from verdict.page import charts, effects, words

WORDS = words.load()
ROWS = world.evidence_rows()
HISTORY = [row for row in world.history_rows() if row["valid_bits_per_byte"] is not None]


def chosen(**wanted: Any) -> list[dict[str, Any]]:
    return [row for row in ROWS if all(row[key] == value for key, value in wanted.items())]


def drawn(panel: charts.Panel) -> list[dict[str, Any]]:
    """The data of a spec's points."""
    layers = [layer for layer in panel.spec["layer"] if layer["mark"]["type"] in ("point", "bar")]
    name = layers[0].get("data", panel.spec.get("data"))
    return list(name["values"])


def every_panel() -> list[charts.Panel]:
    speed = chosen(experiment="speed", task="lm", metric="train_tokens_per_second", variable="length")
    return [
        charts.strip(chosen(task="translation", metric="chrf"), WORDS),
        charts.curve(speed, WORDS),
        charts.curve(chosen(experiment="time_to_quality", task="lm"), WORDS),
        charts.learning([row for row in HISTORY if row["task"] == "lm"], WORDS, "seconds"),
        charts.parts(chosen(experiment="anatomy", task="translation", variant="matched"), WORDS),
    ]


@pytest.mark.parametrize("panel", every_panel(), ids=lambda panel: panel.kind)
def test_specs_are_valid_fluid_and_hold_no_infinity(panel: charts.Panel) -> None:
    spec = {key: value for key, value in panel.spec.items()}
    alt.Chart.from_dict(spec, validate=True)
    assert spec["width"] == "container"
    json.dumps(spec, allow_nan=False)


@pytest.mark.parametrize("panel", every_panel(), ids=lambda panel: panel.kind)
def test_every_text_token_has_its_word(panel: charts.Panel) -> None:
    tokens = set(re.findall(r"@@((?!colour)[a-z_]+(?:\.\w+)+)", json.dumps(panel.spec)))
    assert tokens
    assert [token for token in tokens if token not in WORDS] == []


def test_strip_draws_every_replicate_once_and_baselines_last() -> None:
    rows = chosen(task="translation", metric="chrf")
    panel = charts.strip(rows, WORDS)
    assert sorted(value["value"] for value in drawn(panel)) == sorted(row["value"] for row in rows)
    labels = panel.spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert labels[-2:] == ["@@baseline.copy", "@@baseline.nearest"]
    assert "@@architecture.transformer · @@variant.beam" in labels


def test_curve_draws_all_rounds_and_marks_never() -> None:
    rows = chosen(experiment="time_to_quality", task="lm")
    panel = charts.curve(rows, WORDS)
    values = drawn(panel)
    assert len(values) == len(rows)
    never = [row for row in rows if math.isinf(row["value"])]
    assert never
    assert sum(value["value"] is None for value in values) == len(never)
    assert all(not value["whole"] for value in values if value["value"] is None)  # no mean of the lucky ones
    assert any("@@figure.never" in str(layer["mark"].get("text", "")) for layer in panel.spec["layer"])


def test_parts_are_drawn_and_sums_are_not() -> None:
    panel = charts.parts(chosen(experiment="anatomy", task="lm", variant="matched"), WORDS)
    bars = [value for value in drawn(panel) if "transformer" in value["label"]]
    total = chosen(
        experiment="anatomy", task="lm", variant="matched", architecture="transformer", metric="parameters_total"
    )[0]["value"]
    assert sum(value["value"] for value in bars) == total


def test_learning_curve_has_a_line_for_each_seed() -> None:
    panel = charts.learning([row for row in HISTORY if row["task"] == "lm"], WORDS)
    assert len({value["run"] for value in drawn(panel)}) == 6


def test_an_architecture_keeps_colour_and_shape_whoever_stands_beside_it() -> None:
    rows = chosen(task="translation", metric="chrf")
    found = set()
    for names in (("lstm",), ("lstm", "transformer"), ("lstm", "lstm_no_attention", "baseline")):
        panel = charts.strip([row for row in rows if row["architecture"] in names], WORDS)
        point = next(layer for layer in panel.spec["layer"] if layer["mark"]["type"] == "point")
        scales = [point["encoding"][channel]["scale"] for channel in ("color", "shape")]
        found.add(tuple(scale["range"][scale["domain"].index("lstm")] for scale in scales))
    assert found == {("@@colour.lstm", "square")}
    assert len(set(charts.SHAPES.values())) == len(charts.SHAPES)


def test_unknown_architectures_get_spare_marks() -> None:
    rows = [
        row | {"architecture": name}
        for row in chosen(task="lm", metric="bits_per_byte", architecture="lstm")
        for name in ("mamba", "<gru>")
    ]
    panel = charts.strip(rows, WORDS)
    assert panel.architectures == ["<gru>", "mamba"]
    spec = json.dumps(panel.spec)
    assert {charts.kind_of(name) for name in panel.architectures} <= {f"spare{number}" for number in range(4)}
    for name in panel.architectures:
        assert f"@@colour.{charts.kind_of(name)}" in spec


def test_architectures_that_are_added_can_be_told_apart() -> None:
    names = ["leaky", "mamba", "s4", "hyena", "rwkv", "mine", "retnet", "xlstm", "griffin"]
    marks = {(charts.kind_of(name), charts.shape_of(name)) for name in names}
    assert len(marks) >= len(names) - 2  # of sixteen


def judged(at: float, estimate: float, label: str, **more: Any) -> dict[str, Any]:
    """An entry as the page has it, of a ratio over lengths with the margin 1.5."""
    base: dict[str, Any] = {
        "effect": "ratio", "rule": "superior", "margin": 1.5, "equal": None, "metric": "tokens_per_second",
        "label": label, "estimate": estimate, "low": estimate / 1.1, "high": estimate * 1.1,
        "sides": {"task": "lm", "device": "cpu", "variable": "length", "at": at},
    }  # fmt: skip
    return base | more


def test_effects_over_a_sweep_are_the_judges_with_their_margin() -> None:
    tests = [judged(64.0, 1.2, "inconclusive"), judged(16.0, 0.5, "contradicted"), judged(256.0, 2.5, "supported")]
    panel = charts.gap(tests, WORDS)
    values = panel.spec["data"]["values"]
    assert [value["at"] for value in values] == [16.0, 64.0, 256.0]
    assert {value["estimate"] for value in values} == {test["estimate"] for test in tests}
    band = panel.spec["layer"][0]
    assert band["mark"]["type"] == "rect"
    assert band["data"]["values"] == [{"low": pytest.approx(1 / 1.5), "high": pytest.approx(1.5)}]
    low, high = panel.spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < 0.5 / 1.1
    assert high > 2.5 * 1.1


def test_an_explorer_holds_every_replicate_at_its_place() -> None:
    rows = chosen(experiment="time_to_quality", task="lm")
    values = charts.explorer(rows, WORDS).spec["data"]["values"]
    ats = sorted({row["at"] for row in rows})
    assert len(values) == len(rows)
    assert all(ats[value["place"]] == value["at"] for value in values)
    assert sum(value["value"] is None for value in values) == sum(math.isinf(row["value"]) for row in rows)


def test_maps_hold_every_weight_of_every_layer_and_head() -> None:
    weights = [[[[0.25 * (1 + layer + head), 0.0], [0.5, 0.5]] for head in range(2)] for layer in range(2)]
    panel = charts.attention(weights, ["a", " b"], ["c", "<d>"], "transformer")
    values = panel.spec["data"]["values"]
    assert len(values) == 2 * 2 * 3  # a weight of zero is not drawn
    assert {(value["layer"], value["head"]) for value in values} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert [value["value"] for value in values if value["down"] == "00 a"] == [0.25, 0.5, 0.5, 0.75]
    gates = [{"input": {"mean": [0.1, 0.2]}, "forget": {"mean": [0.8, 0.9]}}]
    told = charts.gates(gates, ["a", "b"], "lstm").spec["data"]["values"]
    assert {(value["name"], value["value"]) for value in told} == {
        ("@@gate.input", 0.1), ("@@gate.input", 0.2), ("@@gate.forget", 0.8), ("@@gate.forget", 0.9),
    }  # fmt: skip


def test_names_at_the_ends_of_lines_do_not_touch() -> None:
    speed = chosen(experiment="speed", task="lm", metric="train_tokens_per_second", variable="length")
    same = [row | {"value": 100.0 + row["at"]} for row in speed]
    layers = charts.curve(same, WORDS).spec["layer"]
    placed = next(layer["data"]["values"] for layer in layers if layer["mark"]["type"] == "text")
    heights = sorted(value["value"] for value in placed)
    span = max(row["value"] for row in same) - min(row["value"] for row in same)
    assert len(heights) == 2
    assert heights[1] - heights[0] >= 0.08 * span


@pytest.mark.parametrize(
    ("effect", "rule", "margin", "value", "where"),
    [
        ("difference", "superior", 1.0, 0.0, 50),
        ("ratio", "superior", 1.1, 1.0, 50),
        ("share", "share_at_most", 0.5, 0.5, 50),
    ],
)
def test_no_effect_stands_in_the_middle(effect: str, rule: str, margin: float, value: float, where: float) -> None:
    test = {
        "effect": effect,
        "rule": rule,
        "margin": margin,
        "estimate": value,
        "low": None,
        "high": None,
        "equal": None,
    }
    geometry = effects.geometry(test)
    assert geometry is not None
    assert geometry.estimate == where


def test_ratios_mirror_and_far_effects_become_arrows() -> None:
    test = {
        "effect": "ratio",
        "rule": "superior",
        "margin": 1.1,
        "estimate": 1.2,
        "low": 1.1,
        "high": 1.3,
        "equal": None,
    }
    there = effects.geometry(test)
    back = effects.geometry(test | {"estimate": 1 / 1.2, "low": 1 / 1.3, "high": 1 / 1.1})
    assert there is not None
    assert back is not None
    assert there.estimate == pytest.approx(100 - (back.estimate or 0))
    far = effects.geometry(test | {"estimate": 9.0, "low": 8.0, "high": 10.0})
    assert far is not None
    assert (far.estimate, far.arrow_right, far.arrow_left) == (None, True, False)
    assert effects.geometry(test | {"estimate": None}) is None
