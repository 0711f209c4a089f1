"""What can be done at once: counted chains, equal implementations, planted crossovers, and rows for every setting."""

import copy
import math
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from verdict.errors import UserError
from verdict.files import read_json
from verdict.measure import energy, machine, parallelism, sweeps, timing
from verdict.measure.chain import Recorder, dependent_chain, read_stepwise
from verdict.measure.implementations import IMPLEMENTATIONS, agree, can_compile, implementations
from verdict.training.objectives import OBJECTIVES

CPU = torch.device("cpu")
NAMES = ("transformer", "lstm")
LENGTHS = [8, 32, 128, 512]


# ------------------------------------------------------------------------------------------------- chains


def recorded(compute: Any) -> int:
    with torch.no_grad(), Recorder() as recorder:
        compute()
    return recorder.longest


@given(st.integers(1, 12), st.integers(1, 12))
def test_products_in_a_row_are_counted_and_products_side_by_side_are_not(row: int, beside: int):
    x, weight = torch.ones(2, 3), torch.eye(3)

    def compute() -> None:
        y, apart = x, [x @ weight for _ in range(beside)]
        for _ in range(row):
            y = torch.tanh(y @ weight) + 1
        torch.stack([y, *apart]).sum()

    assert recorded(compute) == row


def test_a_write_into_a_buffer_is_handed_on_through_every_view_of_it():
    def compute() -> None:
        buffer, weight = torch.zeros(4, 3), torch.eye(3)
        view = buffer[1:]
        buffer[2:3] = buffer[:1] @ weight @ weight
        view @ weight

    assert recorded(compute) == 3


def test_freed_memory_hands_nothing_on():
    def compute() -> None:
        weight = torch.eye(3)
        for _ in range(50):
            torch.ones(3, 3) @ weight

    assert recorded(compute) == 1


def test_a_kernel_that_hides_its_steps_is_refused():
    layer = torch.nn.LSTM(4, 4, batch_first=True)
    with pytest.raises(ValueError, match="hides the steps"):
        recorded(lambda: layer(torch.ones(1, 5, 4)))


@pytest.mark.parametrize(
    "architecture", [name for name, setting in tiny.ARCHITECTURES.items() if setting.cross_attention == "every"]
)
def test_the_chain_of_given_text_grows_as_the_mixer_declares(architecture: str):
    model = tiny.model(architecture, "language_model")
    short, long = (dependent_chain(model, tiny.pieces(1, length), generate=False) for length in (5, 12))
    mixer = model.decoder.blocks[0].mixer
    assert long - short == mixer.chain(12) - mixer.chain(5)
    assert long - short == (0 if tiny.ARCHITECTURES[architecture].mixer == "attention" else 7)


@pytest.mark.parametrize("architecture", NAMES)
def test_generation_is_serial_for_every_architecture(architecture: str):
    model = tiny.model(architecture, "language_model")
    found = [dependent_chain(model, tiny.pieces(1, length), generate=True) for length in (1, 2, 3, 9)]
    assert found[0] == dependent_chain(model, tiny.pieces(1, 1), generate=False)
    # each piece waits for all layers of the one before
    layers = {"transformer": 2 * 6 + 1, "lstm": 2 * 2 + 1}[architecture]
    assert np.diff(found).tolist() == [layers, layers, 6 * layers]


@pytest.mark.parametrize("architecture", NAMES)
def test_what_is_recorded_computes_what_trains(architecture: str):
    model, tokens = tiny.model(architecture, "language_model"), tiny.pieces(2, 9)
    with torch.no_grad():
        truth = model.logits(model(tokens))
    agree("", read_stepwise(model, tokens), truth, parallelism.RECORDED)
    chosen = read_stepwise(model, tokens, generate=True)
    follows = torch.cat((tokens[:, :1], chosen.argmax(-1)[:, :-1]), 1)
    torch.testing.assert_close(chosen, read_stepwise(model, follows))


# -------------------------------------------------------------------------------------- implementations


@pytest.mark.parametrize("architecture", NAMES)
@pytest.mark.parametrize("family", ["language_model", "encoder_decoder"])
def test_implementations_give_the_kernels_outputs_and_gradients(architecture: str, family: str):
    model = tiny.model(architecture, family)
    batch = {
        "tokens": tiny.pieces(3, 12), "source": tiny.pieces(3, 7), "source_lengths": torch.tensor([7, 2, 5]),
        "target": tiny.pieces(3, 6), "target_lengths": torch.tensor([6, 6, 1]),
    }  # fmt: skip
    cost = OBJECTIVES["language_model" if family == "language_model" else "sequence_pairs"]

    def outcome(model: Any) -> dict[str, Tensor]:
        nats = cost(model, batch, torch.ones(tiny.VOCABULARY, dtype=torch.long)).nats
        model.zero_grad()
        nats.backward()
        return {"nats": nats, **{name: weight.grad for name, weight in model.named_parameters()}}

    truth = outcome(model)
    changes = IMPLEMENTATIONS[type(model.decoder.blocks[0].mixer)]
    assert len(changes) == 2
    for change in changes.values():
        twin = copy.deepcopy(model)
        for stack in twin.stacks().values():
            for block in stack.blocks:
                change(block.mixer)
        for (name, expected), found in zip(truth.items(), outcome(twin).values(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, msg=name)


def test_plain_code_is_compiled_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch):
    taken: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda model: taken.append(model) or model)
    twins = implementations(tiny.model("transformer", "language_model"), compiled=True)
    assert list(twins) == ["kernel", "written_out", "written_out, compiled"]
    assert taken == [twins["written_out, compiled"]]
    assert twins["written_out"] is not twins["written_out, compiled"]


@pytest.mark.parametrize("triton", [True, False])
def test_without_a_compiler_compiled_code_is_left_out(triton: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("verdict.measure.implementations.has_triton", lambda: triton)
    devices = CPU, torch.device("cuda")
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    assert not any(map(can_compile, devices))
    monkeypatch.setenv("CXX", sys.executable)
    assert list(map(can_compile, devices)) == [True, triton]


def test_the_kernel_gets_the_weights_of_a_copy_in_one_piece(monkeypatch: pytest.MonkeyPatch):
    """Else cuDNN would copy them into one at every call, and be told to be slower than it is."""
    flattened: list[torch.nn.RNNBase] = []
    monkeypatch.setattr(torch.nn.RNNBase, "flatten_parameters", lambda layer: flattened.append(layer))
    twin = implementations(tiny.model("lstm", "language_model"))["kernel"]
    layers = [part for part in twin.modules() if isinstance(part, torch.nn.RNNBase)]
    assert layers
    assert all(any(layer is part for part in flattened) for layer in layers)


def test_an_implementation_leaves_the_model_alone():
    model = tiny.model("lstm", "language_model")
    twins = implementations(model)
    assert list(twins) == ["kernel", "loop"]
    assert type(model.decoder.blocks[0].mixer.directions[0]) is torch.nn.LSTM
    with torch.no_grad():
        for weight in twins["loop"].parameters():
            weight.zero_()
    assert all(weight.any() for weight in model.parameters())


def test_another_function_is_not_taken_for_another_implementation():
    one = torch.linspace(-3, 3, 50)
    agree("same", one, one * (1 + 1e-7), 1e-4)
    for other in (one + 1e-2, one * math.nan, one.flip(0)):
        with pytest.raises(ArithmeticError, match="other differs"):
            agree("other", one, other, 1e-4)


# ------------------------------------------------------------------------------------ numbers of timings


@given(st.floats(0.2, 2.5), st.floats(1e-6, 1.0))
def test_the_planted_exponent_is_found(power: float, scale: float):
    assert sweeps.exponent(LENGTHS, [scale * length**power for length in LENGTHS]) == pytest.approx(power)


@given(st.floats(9, 500), st.floats(0.1, 2.0))
def test_planted_rates_cross_where_they_were_planted(at: float, slope: float):
    overtaking = sweeps.contest(LENGTHS, [(length / at) ** slope for length in LENGTHS])
    assert overtaking.overtakes_at == pytest.approx(at)
    overtaken = sweeps.contest(LENGTHS, [(length / at) ** -slope for length in LENGTHS])
    assert overtaken.overtakes_at == math.inf
    assert overtaking.faster_share == pytest.approx(math.log(512 / at) / math.log(512 / 8))
    assert overtaking.faster_share + overtaken.faster_share == pytest.approx(1)


@given(st.floats(0.1, 10).filter(lambda ratio: abs(ratio - 1) > 1e-9))
def test_parallel_lines_cross_nowhere(ratio: float):
    found = sweeps.contest(LENGTHS, [ratio] * 4)
    assert found == ((1.0, LENGTHS[0]) if ratio > 1 else (0.0, math.inf))


def test_of_several_crossings_the_last_counts():
    found = sweeps.contest([1, 2, 4, 8, 16], [0.5, 2, 0.5, 0.5, 2])
    assert found.overtakes_at == pytest.approx(8 * math.sqrt(2))
    assert sweeps.contest([1, 2, 4], [0.5, 2, 0.5]).overtakes_at == math.inf
    assert sweeps.contest([1, 2, 4], [2, 0.5, 2]).overtakes_at == pytest.approx(2 * math.sqrt(2))
    assert sweeps.contest([1, 2, 4], [0.5, 2, 0.5]).faster_share == pytest.approx(0.5)


@given(st.integers(1, 300))
def test_threads_double_from_one_to_all(most: int):
    counts = sweeps.thread_counts(most)
    assert counts[0] == 1
    assert counts[-1] == most
    assert all(later <= 2 * before for before, later in pairwise(counts))
    assert len(counts) == math.ceil(math.log2(most)) + 1


# ----------------------------------------------------------------------------------------- memory, energy


@pytest.mark.parametrize("architecture", NAMES)
def test_the_state_takes_the_bytes_of_its_tensors(architecture: str):
    model = tiny.model(architecture, "language_model")
    found = {context: parallelism.state_bytes(model, context) for context in (1, 10, 40)}
    inner = sum(block.mixer.inner for block in model.decoder.blocks)
    assert found == {context: 8 * inner * (context if architecture == "transformer" else 1) for context in found}


def test_a_wrong_account_of_the_state_is_refused(monkeypatch: pytest.MonkeyPatch):
    model = tiny.model("lstm", "language_model")
    monkeypatch.setattr(type(model.decoder.blocks[0].mixer), "state_floats", lambda self, context: self.inner)
    with pytest.raises(ArithmeticError, match="mixers tell"):
        parallelism.state_bytes(model, 4)


def register(folder: Path, name: str, microjoules: int) -> None:
    folder.mkdir(exist_ok=True)
    for file, value in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", 9_999_999)):
        (folder / file).write_text(f"{value}\n")


def test_energy_of_all_packages_is_added_and_a_counter_that_begins_anew_goes_on(tmp_path: Path):
    for folder, name in (("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1"), ("intel-rapl:0:0", "core"),
                         ("intel-rapl-mmio:0", "package-0")):  # fmt: skip
        register(tmp_path / folder, name, 9_000_000)
    counter = energy.meter(CPU, tmp_path)
    assert counter is not None
    assert counter.read() == 0
    for folder in tmp_path.iterdir():
        register(folder, (folder / "name").read_text().strip(), 500_000)
    assert counter.read() == pytest.approx(2 * 1.5)

    def call() -> None:
        register(tmp_path / "intel-rapl:1", "package-1", int((tmp_path / "intel-rapl:1/energy_uj").read_text()) + 1000)

    assert energy.joules(call, counter, CPU) == pytest.approx(0.001)


def test_a_device_that_tells_no_energy_has_no_meter(tmp_path: Path):
    assert energy.meter(CPU, tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert energy.meter(CPU, tmp_path) is None


# ----------------------------------------------------------------------------------------------- the job


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[parallelism.Settings, dict[str, Any]]:
    """The metrics file of a whole run, told that it has two threads."""
    folder = tmp_path_factory.mktemp("parallelism")
    tiny.texts(folder, "lm")
    settings = parallelism.Settings(
        [tiny.job("lm", "lm", "language_model", name) for name in NAMES], rounds=2, length=6, large_batch=3,
        generation_tokens=2, batches=[3], lengths=[4, 8, 16], most_tokens=24, chain_lengths=[3, 5], contexts=[4, 8],
        cost_tokens=16,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "SIZE", 64)
        patch.setattr(timing, "SHORTEST", 0.0)
        patch.setattr(parallelism, "meter", lambda device: energy.Meter("one watt", time.perf_counter, window=0.0))
        # two threads wait long for each other where something else runs beside the tests
        patch.setattr(torch, "set_num_threads", lambda count: None)
        parallelism.run(settings, folder / "tokens", folder / "out.json", threads_in_all=2)
    return settings, read_json(folder / "out.json")


def test_every_setting_has_its_rows(told: tuple[parallelism.Settings, dict[str, Any]]):
    found = Counter(
        (row["experiment"], row["metric"], row["variant"], row["size"], row["implementation"], row["variable"],
         row["at"], row["architecture"])
        for row in told[1]["rows"]
    )  # fmt: skip

    def rounds_of(experiment: str, metric: str, variant: str = "", size: str = "", implementation: str = "kernel",
                  variable: str = "", at: float | None = None) -> None:  # fmt: skip
        for name in NAMES:
            assert found.pop((experiment, metric, variant, size, implementation, variable, at, name)) == 2

    for size in ("batch 1", "batch 3"):
        for count in (1, 2):
            for metric in ("train_tokens_per_second", "generated_tokens_per_second"):
                rounds_of("parallelism", metric, size=size, variable="threads", at=count)
        for variant in ("training", "generation"):
            rounds_of("parallelism", "thread_gain", variant, size)
        for length in (4, 8, 16) if size == "batch 1" else (4, 8):
            for metric in ("train_tokens_per_second", "utilisation"):
                rounds_of("parallelism", metric, size=size, variable="length", at=length)
            if size == "batch 1":
                rounds_of("parallelism", "train_step_seconds", "single", size, variable="length", at=length)
        rounds_of("parallelism", "throughput_kept", size=size)
        rounds_of("parallelism", "serial_share", size=size, variable="length", at=6)
    for variant in ("training", "generation"):
        for count in (1, 2):
            rounds_of("parallelism", "batch_gain", variant, variable="threads", at=count)
        for context in (4, 8):
            for metric in ("seconds_per_million_tokens", "joules_per_million_tokens"):
                # in training as many sequences as fill the tokens, in generation the large batch
                rows = max(1, 16 // context) if variant == "training" else 3
                rounds_of("cost", metric, variant, f"batch {rows}", variable="context", at=context)
    rounds_of("parallelism", "step_time_exponent", "single", "batch 1")
    for name, rival, plain in (("transformer", "lstm", "written_out"), ("lstm", "transformer", "loop")):
        for size in ("batch 1", "batch 3"):
            key = (f"against {rival}", size, "kernel", "", None, name)
            assert found.pop(("parallelism", "faster_share", *key)) == 2
            assert found.pop(("parallelism", "crossover_length", *key)) == 2
        for length in (3, 5):
            for variant in ("training", "generation"):
                assert found.pop(("parallelism", "dependent_chain", variant, "", "kernel", "length", length, name)) == 1
            assert found.pop(("parallelism", "declared_chain", "training", "", "kernel", "length", length, name)) == 1
        for context in (4, 8):
            assert found.pop(("cost", "state_bytes", "", "", "kernel", "context", context, name)) == 1
        for implementation in ("kernel", plain):
            key = ("", "batch 3", implementation, "length", 6, name)
            assert found.pop(("implementation", "train_tokens_per_second", *key)) == 2
            if implementation == plain:
                assert found.pop(("implementation", "kernel_gain", *key)) == 2
    assert not found
    assert told[1]["job"]["energy"] == "one watt"


def test_no_measurement_is_told_twice(told: tuple[parallelism.Settings, dict[str, Any]]):
    rows = told[1]["rows"]
    assert len({tuple((key, value) for key, value in row.items() if key != "value") for row in rows}) == len(rows)


def test_what_is_derived_follows_from_the_rates_of_the_same_round(
    told: tuple[parallelism.Settings, dict[str, Any]],
):
    rows = told[1]["rows"]

    def value(metric: str, **columns: Any) -> float:
        columns = {"experiment": "parallelism", "architecture": "lstm", "replicate": 1, **columns}
        found = [row["value"] for row in rows if row["metric"] == metric
                 and all(row[key] == told for key, told in columns.items())]  # fmt: skip
        assert len(found) == 1
        return found[0]

    def rate(size: str, at: int) -> float:
        return value("generated_tokens_per_second", size=size, variable="threads", at=at)

    for size in ("batch 1", "batch 3"):
        gain = value("thread_gain", variant="generation", size=size)
        assert gain == pytest.approx(rate(size, 2) / rate(size, 1))
    for at in (1, 2):
        gain = value("batch_gain", variant="generation", variable="threads", at=at)
        assert gain == pytest.approx(rate("batch 3", at) / rate("batch 1", at))
    speeds = [value("train_tokens_per_second", size="batch 1", variable="length", at=at) for at in (4, 8, 16)]
    steps = [value("train_step_seconds", variable="length", at=at) for at in (4, 8, 16)]
    assert [at / step for at, step in zip((4, 8, 16), steps, strict=True)] == pytest.approx(speeds)
    # over the longer half: what a step costs at any length would hide how it grows
    assert value("step_time_exponent") == pytest.approx(sweeps.exponent([8, 16], steps[1:]))
    assert value("throughput_kept", size="batch 1") == pytest.approx(speeds[2] / speeds[0])
    signed = ("serial_share", "faster_share", "step_time_exponent", "crossover_length")
    assert all(row["value"] > 0 for row in rows if row["metric"] not in signed)


def test_where_no_energy_is_told_none_is_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    tiny.texts(tmp_path, "lm")
    monkeypatch.setattr(parallelism, "meter", lambda device: None)
    settings = parallelism.Settings(
        [tiny.job("lm", "lm", "language_model", "lstm")], rounds=1, large_batch=1, contexts=[2], cost_tokens=2
    )
    bench = parallelism.Bench(settings, tmp_path / "tokens", 1)
    parallelism.costs(bench)
    assert {row["metric"] for row in bench.report.rows} == {"seconds_per_million_tokens", "state_bytes"}
    assert bench.report.job["energy"] == "not told by this device"


def test_threads_are_set_while_a_call_runs_and_restored_if_it_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    tiny.texts(tmp_path, "lm")
    settings = parallelism.Settings([tiny.job("lm", "lm", "language_model", "lstm")], rounds=1, large_batch=1)
    bench = parallelism.Bench(settings, tmp_path / "tokens", 4)
    seen: list[int] = []

    def call() -> None:
        seen.append(torch.get_num_threads())
        if len(seen) == 9:
            raise RuntimeError

    monkeypatch.setattr(timing, "SHORTEST", 0.0)
    monkeypatch.setattr(bench, "training", lambda rows, length: {"lstm": call})
    with pytest.raises(RuntimeError):
        parallelism.threads(bench)
    assert seen == [1, 1, 2, 2, 4, 4, 1, 2, 4]
    assert torch.get_num_threads() == 1


def test_jobs_that_are_no_language_models_are_refused(tmp_path: Path):
    settings = parallelism.Settings([tiny.job("translation", "translation", "sequence_pairs", "lstm")])
    with pytest.raises(UserError, match="language model alone"):
        parallelism.Bench(settings, tmp_path, 1)
