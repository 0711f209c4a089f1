"""The performance benchmarks: what they compare is the same, what they time takes turns, what they write stays."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from benchmarks.performance import __main__ as command
from benchmarks.performance import contest, floor, generation, goals, operators, peers, profile, sizes, table
from benchmarks.performance.contest import FailedError, Spec
from benchmarks.performance.plan import CHOSEN, QUICK
from benchmarks.performance.sizes import Size
from benchmarks.performance.table import Row, Store
from verdict.device import multiplies_bf16
from verdict.errors import UserError
from verdict.models.sizes import count
from verdict.training.objectives import training_flops

torch.set_num_threads(1)


def tiny(family: Any) -> Size:
    return Size(family, width=16, length=10, layers=2, heads=2, vocabulary=60, tokens=40)


@pytest.mark.parametrize(
    ("number", "expected"), [(2, None), (5, None), (6, (0, 5)), (9, (1, 7)), (20, (5, 14)), (100, (39, 60))]
)
def test_interval_of_a_median_is_the_narrowest_pair_of_order_statistics_that_covers(number, expected):
    values = [float(value) for value in reversed(range(number))]
    assert table.interval(values) == (None if expected is None else tuple(map(float, expected)))
    if expected:
        k = expected[0] + 1
        missed = [2 * sum(comb(number, i) for i in range(least)) / 2**number for least in (k, k + 1)]
        assert missed[0] <= 0.05 < missed[1]


def rows() -> list[Row]:
    return [
        table.row("s", "m", "a", "seconds", [3.0, 1.0, 2.0], "s", precision="fp32", width=8),
        table.ratios("s", "m", "b", [1.0, 2.0, 4.0], [2.0, 2.0, 2.0], note="x | y"),
    ]


def test_rows_come_back_from_disk_as_they_were(tmp_path: Path):
    store = Store(tmp_path)
    store.add("s", "first", rows())
    assert Store(tmp_path).rows() == rows()
    assert pl.read_parquet(tmp_path / "performance.parquet").equals(table.frame(rows()))
    text = (tmp_path / "performance.md").read_text(encoding="utf-8")
    assert "| m | a | fp32 | 8 | seconds | 2 | s | 3 |  |" in text
    assert "| m | b |  |  | times as fast as | 1 | ratio | 3 | x \\| y |" in text
    assert "threads" not in text  # no row has any


def test_a_run_goes_on_with_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    measured: list[str] = []
    broken = {"b"}

    def measure(name: str) -> list[Row]:
        measured.append(name)
        if name in broken:
            raise FailedError("no such library")
        return [Row("s", name, "", "seconds", 1.0, "s")]

    def sections(plan: Any, folder: Path) -> dict[str, Callable[[], Any]]:
        return {"s": lambda: iter([(name, lambda name=name: measure(name)) for name in "abc"])}

    monkeypatch.setattr(command, "sections", sections)
    with pytest.raises(UserError, match="s/b"):
        command.run(QUICK(), ["s"], tmp_path, Store(tmp_path))
    assert "no such library" in capsys.readouterr().err
    broken.clear()
    command.run(QUICK(), ["s"], tmp_path, Store(tmp_path))
    assert measured == ["a", "b", "c", "b"]
    assert [one.model for one in Store(tmp_path).rows()] == ["a", "b", "c"]


def test_figures_of_two_runs_are_not_mixed(tmp_path: Path):
    now = command.about(QUICK())
    command.same_run(tmp_path, now)
    command.same_run(tmp_path, command.about(QUICK()))
    with pytest.raises(UserError, match="plan"):
        command.same_run(tmp_path, command.about(replace(QUICK(), rounds=3)))


def counting(start: int) -> contest.Built:
    """A worker whose facts change with its steps, and one step that fails."""
    facts = {"start": start, "done": 0}

    def fail() -> None:
        raise ValueError(f"after {facts['done']}")

    return {"count": lambda: facts.update(done=facts["done"] + 1), "fail": fail}, facts


def test_workers_do_the_steps_they_are_asked_for_and_tell_what_went_wrong():
    with contest.workers({"one": Spec(counting, (1,)), "two": Spec(counting, (2,), prepared=False)}) as made:
        assert [worker.facts["start"] for worker in made.values()] == [1, 2]
        asks = made["one"].asks()
        assert 0 <= asks["count"](3) < 1
        assert contest.together(list(made.values()), "count")(2) > 0
        with pytest.raises(FailedError, match="ValueError: after 5"):
            asks["fail"](1)
    with pytest.raises(FailedError, match="TypeError"), contest.workers({"": Spec(counting)}):
        pass
    assert contest.tell(counting, 3)["start"] == 3


def test_contestants_take_turns_with_as_many_steps_as_fill_a_turn():
    asked: list[tuple[str, int]] = []

    def contestant(name: str, seconds: float) -> contest.Ask:
        return lambda steps: (asked.append((name, steps)), seconds)[1]

    found = contest.paired({"slow": contestant("slow", 1.0), "fast": contestant("fast", 0.01)}, 2)
    assert asked == [
        *[("slow", 1), ("fast", 1)] * 2,
        ("slow", 1), ("fast", 5), ("fast", 5), ("slow", 1),
    ]  # fmt: skip
    assert found == {"slow": [1.0, 1.0], "fast": [0.01, 0.01]}


def test_what_is_many_times_as_slow_takes_part_in_the_first_rounds_alone():
    taken = {"fast": 2.0, "slower": 9.0, "slowest": 11.0}
    asked: list[str] = []
    found = contest.paired({name: lambda _, name=name: (asked.append(name), taken[name])[1] for name in taken}, 3)
    assert {name: len(values) for name, values in found.items()} == {"fast": 3, "slower": 3, "slowest": 2}
    assert asked[:3] == list(taken)  # none is calibrated
    compared = table.ratios("section", "fast", "slowest", found["fast"], found["slowest"])
    assert (compared.value, compared.rounds, compared.low) == (5.5, 2, None)


@pytest.mark.parametrize("family", list(sizes.OBJECTIVES))
def test_ours_have_equal_parameters_and_train(family: Any):
    size = tiny(family)
    wanted = count(sizes.model("transformer", size))["nonembedding"]
    for name in sizes.OURS:
        assert count(sizes.model(name, size))["nonembedding"] == pytest.approx(wanted, rel=0.1)  # tiny: coarse steps
        calls, facts = sizes.ours(name, size, "fp32")
        calls["step"]()
        assert facts["pieces"] == size.tokens


def known(name: str) -> list[Any]:
    """(peer, family, attention) of a peer, skipped where its library is not installed."""
    library = {"Hugging": "transformers", "x-transformers": "x_transformers", "Joey": "joeynmt"}.get(name.split(" ")[0])
    missing = library is not None and importlib.util.find_spec(library) is None
    marks = [pytest.mark.skipif(missing, reason=f"{library} is not installed")]
    peer = peers.PEERS[name]
    return [
        pytest.param(name, family, attention, marks=marks) for family in peer.families for attention in peer.attentions
    ]


@pytest.mark.parametrize(
    ("name", "family", "attention"),
    [case for name, peer in peers.PEERS.items() if peer.copied for case in known(name)],
)
def test_a_peer_with_our_weights_has_our_loss(name: str, family: Any, attention: str):
    told = peers.check(name, tiny(family), attention)[1]
    assert told["difference"] <= peers.TOLERANCE
    assert told["copied"] == ("transformer" if peers.PEERS[name].against == "transformer" else told["copied"])


@torch.inference_mode()
def test_without_positions_a_model_steps_as_it_reads():
    model = sizes.model("transformer", tiny("language_model"))
    with_positions = model(torch.arange(4, 16)[None])
    peers.take_away(model, ["positions"])
    pieces, decoding, found = torch.arange(4, 16)[None], model.start(1, 12), []
    for piece in pieces.unbind(1):
        logits, decoding = model.step(piece, decoding)
        found.append(logits)
    hidden = model(pieces)
    torch.testing.assert_close(torch.stack(found, 1), model.logits(hidden), rtol=0, atol=1e-5)
    assert not torch.allclose(hidden, with_positions, atol=1e-3)


def test_a_peer_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch):
    twins = peers.twins

    def spoilt(name: str, size: Size, attention: str = "") -> Any:
        torch.manual_seed(0)  # of another draw, the loss might not move beyond the tolerance
        mine, peer = twins(name, size, attention)
        with torch.no_grad():
            peer.body.layers[0].linear1.bias += 0.1
        return mine, peer

    monkeypatch.setattr(peers, "twins", spoilt)
    with pytest.raises(ArithmeticError, match="not the same model"):
        peers.check("nn.TransformerEncoder", tiny("language_model"))


@pytest.mark.parametrize(("name", "family", "attention"), [case for name in peers.PEERS for case in known(name)])
def test_every_peer_trains(name: str, family: Any, attention: str):
    for way in peers.ways(peers.PEERS[name], CHOSEN):
        if way.shipped or way.attention == attention:
            calls, facts = peers.train(name, tiny(family), way)
            calls["step"]()
            assert facts["pieces"] == 40


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    ("name", "family", "attention"),
    [
        case
        for name in ("Hugging Face GPT-2", "Hugging Face GPT-NeoX", "Hugging Face Marian")
        for case in known(name)[:1]
    ],
)
def test_generate_with_our_weights_gives_our_pieces(name: str, family: Any, attention: str, beams: int):
    told = generation.check(name, tiny(family), beams)[1]
    assert told["equal"] >= generation.EQUAL


@pytest.mark.parametrize("name", sizes.OURS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_operators_of_a_step_do_the_work_that_the_model_counts(name: str, precision: str):
    if precision == "bf16" and not multiplies_bf16():
        pytest.skip("no kernels in bf16 here")
    size = Size("language_model", width=32, length=24, layers=2, heads=2, vocabulary=60, tokens=96)
    told = profile.trained(name, size, precision)[1]
    counted = sum(one["flops"] for one in told["work"].values())
    made, data = sizes.model(name, size), sizes.batch(size)
    assert counted == pytest.approx(training_flops(made, data), rel=0.03)  # so short a row is one block: all of it
    assert sizes.ours(name, size, precision)[1]["flops"] == training_flops(made, data, needed=True)
    assert told["products"] > 0
    weights = 4 * count(made)["total"]
    # the optimizer reads weights, gradients and two moments, and writes three of them
    moved = {kind: sum(value for what, value in one.items() if what != "flops") for kind, one in told["work"].items()}
    assert 7 * weights <= moved["optimizer and clipping"] <= 12 * weights
    assert set(moved) >= {"matrix products", "embedding", "softmax and loss"}
    assert ("recurrent kernel" in moved) == (name != "transformer")


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", generation.OURS)
def test_the_operators_of_a_search_do_the_work_that_the_model_counts(name: str, beams: int):
    """Without autograd operators come as a whole; their products are to be seen all the same."""
    size = Size("language_model", width=32, length=12, layers=2, heads=2, vocabulary=60, tokens=48)
    told = profile.searched(name, size, beams)[1]
    model = sizes.model(name, size)
    each = 2 * size.vocabulary * size.width
    for block in model.decoder.blocks:
        each += block.mixer.flops_per_token(size.length // 2)
        if block.feedforward is not None:
            each += 2 * (block.feedforward.up.weight.numel() + block.feedforward.down.weight.numel())
    counted = sum(one["flops"] for one in told["work"].values())
    assert counted == pytest.approx(size.rows * beams * each, rel=0.1)
    assert sum(told["shares"].values()) == pytest.approx(1.0)
    assert told["shares"][profile.BETWEEN] > 0
    assert 0 < told["products"] < told["whole"]


def test_work_of_an_operator_is_counted_once_and_views_are_free():
    a, b = torch.ones(8, 4), torch.ones(4, 16)
    with operators.Counter(lambda name: name) as counter:
        a.t().reshape(32)[:3].unsqueeze(0)
        torch.mm(a, b)
        torch.mm(a, b)
        a.add_(torch.ones(1).expand(8, 4))
    assert counter.work["aten::mm"].flops == 2 * 2 * 8 * 4 * 16
    assert sum(counter.work["aten::mm"].moved.values()) == 2 * 4 * (8 * 4 + 4 * 16 + 8 * 16)
    assert sum(counter.work["aten::add_"].moved.values()) == 4 * (32 + 1 + 32)
    assert "aten::view" not in counter.work
    assert [times for _, times in counter.products.values()] == [2]
    with operators.Counter(lambda name: name) as counter, torch.inference_mode():
        torch.nn.functional.linear(torch.ones(1, 8, 4), torch.ones(16, 4))
    assert counter.work["aten::mm"].flops == 2 * 8 * 4 * 16  # of which it is made
    with operators.Counter(lambda name: name) as counter:
        torch.zeros(1000, 8).gather(1, torch.zeros(5, 1, dtype=torch.int64))
        a.new_empty(1000)
    assert sum(counter.work["aten::gather"].moved.values()) == 5 * 8 + 2 * 5 * 4
    assert sum(counter.work["aten::new_empty"].moved.values()) == 0
    assert [operators.level(size) for size in (1, 2**20, 2**20 + 1, 2**25)] == [
        "second cache", "second cache", "third cache", "memory"
    ]  # fmt: skip


def profiles() -> list[Row]:
    """A step of 1 s: a kind bound by its FLOPs, one bound by its bytes."""
    at: dict[str, Any] = {"precision": "fp32", "width": 8, "length": 16}
    return [
        Row("peak", "matrix product", "best of all", "FLOPs per second", 200.0, "FLOP/s", precision="fp32"),
        Row("peak", "copy", "memory", "bytes per second", 10.0, "B/s"),
        Row("peak", "copy", "third cache", "bytes per second", 20.0, "B/s"),
        Row("profile", "language_model: lstm", profile.WHOLE, "seconds per step", 1.0, "s", **at),
        Row("profile", "language_model: lstm", profile.PRODUCTS, "seconds per step", 0.75, "s", **at),
        Row("profile", "language_model: lstm", "matrix products", "FLOPs per step", 100.0, "FLOP", **at),
        Row("profile", "language_model: lstm", "matrix products", "bytes per step", 2.0, "B", note="memory", **at),
        Row("profile", "language_model: lstm", "norms", "bytes per step", 1.0, "B", note="memory", **at),
        Row("profile", "language_model: lstm", "norms", "bytes per step", 2.0, "B", note="third cache", **at),
    ]


def test_floor_is_the_larger_of_computing_and_moving_for_each_kind():
    found = {(one.contestant, one.metric): one for one in floor.floors(profiles())}
    assert found["matrix products", "share of the step"].value == pytest.approx(0.5)
    assert found["matrix products", "share of the step"].note == "bound by its FLOPs"
    assert found["norms", "share of the step"].value == pytest.approx(0.2)
    assert found["norms", "share of the step"].note == "bound by its bytes"
    assert found[profile.WHOLE, "share of the step"].value == pytest.approx(0.7)
    assert found[profile.PRODUCTS, "share of the step"].value == pytest.approx(0.75)
    assert found[profile.WHOLE, "utilisation at the floor"].value == pytest.approx(0.5 / 0.7)
    assert floor.floors(profiles()[1:]) == []  # no peak, no floor


def test_a_missed_goal_is_told_with_what_it_would_be_at_the_floor():
    at: dict[str, Any] = {"precision": "fp32", "width": 128, "length": 16, "batch": 2}
    told = [replace(one, width=128, batch=2) if one.section == "profile" else one for one in profiles()]
    shares = ((profile.RECURRENT, 0.03), (profile.FUSED, 0.02), ("norms", 0.1))
    told += [
        Row("profile", "language_model: lstm", kind, "share of the step", each, "share", **at) for kind, each in shares
    ]
    missed = [
        Row("utilisation", "language_model", "lstm", "share of the peak", 0.56, "share", **at),
        Row("utilisation", "language_model", "lstm", "share of the peak", 0.28, "share", **{**at, "length": 32}),
        Row("utilisation", "language_model", "lstm", "share of the peak", 0.61, "share", **at),
    ]
    rows = [*told, *missed, *floor.floors(told)]
    # the floor is 0.7 of the step, products 0.75 and the kernels 0.05; of another length nothing is known
    assert goals.misses(rows).splitlines()[2:] == [
        "| utilisation in fp32 at width 128, ≥ 0.6 | 2 | 1 | 0.56 | 0.8 | 1 | 0.7 | 1 |"
    ]
    assert goals.misses(missed) == ""


def test_roofline_shows_each_step_below_the_roofs(tmp_path: Path):
    chart = floor.roofline(profiles())
    assert chart is not None
    roofs, steps = (layer["data"]["values"] for layer in chart.to_dict()["layer"])
    assert steps == [{"intensity": 20.0, "rate": 100.0, "architecture": "lstm", "at": "fp32, 8 × 16"}]
    assert max(one["rate"] for one in roofs) == 200.0
    chart.save(tmp_path / "roofline.svg")
    assert "<svg" in (tmp_path / "roofline.svg").read_text(encoding="utf-8")
    assert floor.roofline(profiles()[:3]) is None
    others = [replace(one, model=one.model.replace("language_model", "masked_encoder")) for one in profiles()]
    assert floor.roofline(others) is None


def test_utilisation_is_read_against_the_best_product_of_the_same_precision():
    measured = [
        Row("peak", "matrix product", "best of all", "FLOPs per second", 200.0, "FLOP/s", precision="fp32"),
        Row("peak", "matrix product", "mm, default, 64", "FLOPs per second", 100.0, "FLOP/s", precision="bf16"),
        Row("training", "language_model", "lstm", "model FLOPs per second", 130.0, "FLOP/s", 120.0, 140.0,
            precision="fp32", width=128),
        Row("training", "language_model", "lstm", "model FLOPs per second", 130.0, "FLOP/s", precision="bf16"),
    ]  # fmt: skip
    (found,) = goals.utilisation(measured)
    assert (found.section, found.value, found.low, found.high) == ("utilisation", 0.65, 0.6, 0.7)
    others = [replace(found, value=0.5, low=0.4, high=0.6), replace(found, value=0.4, low=0.3, high=0.5),
              replace(found, value=0.3, low=None, high=None)]  # fmt: skip
    assert "| utilisation in fp32 at width 128 | ≥ 0.6 | 4 | 1 | 2 | 0.3 | 0.45 | 0.65 |" in goals.summary(
        [*measured, found, *others]
    )
