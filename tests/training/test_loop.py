"""The training loop: it learns, repeats itself to the bit, goes on where it was stopped, and says when it cannot."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from verdict.device import prepare
from verdict.errors import UserError
from verdict.files import read_json
from verdict.models.families import InnerWidths
from verdict.models.generation import beam_search
from verdict.models.settings import Architecture
from verdict.tokens import tokenizer as bpe
from verdict.tokens.__main__ import tokenize
from verdict.training import checkpoint, loop, store
from verdict.training import runs as command
from verdict.training.averaging import ETA, Average
from verdict.training.batches import open_split
from verdict.training.checkpoint import Progress
from verdict.training.loop import StoppedError
from verdict.training.settings import Job

#: the command line as it is, but that checkpoints and progress come often enough for a run of seconds
OFTEN = (
    "import sys; from verdict.training import loop, __main__ as command; from verdict.errors import run_command;"
    "loop.CHECKPOINT_EVERY = loop.PROGRESS_EVERY = 0.2; run_command(command.main)"
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prepare(1)
    return tiny.reversal(tmp_path_factory.mktemp("reversal"), records=3000, words=4)


def small(architecture: str, **training: Any) -> Job:
    return tiny.job("reversal", "reversal", "sequence_pairs", architecture, **training)


def large_enough(architecture: str) -> Job:
    told = {"learning_rate": 3e-3, "budget_tokens": 300_000, "batch_tokens": 1024, "warmup_steps": 30, "validations": 4}
    job = replace(small(architecture, **told), width=48, parameters=120_000)
    return replace(job, architecture=tiny.ARCHITECTURES[architecture])


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def without_seconds(folder: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in point.items() if name != "seconds"} for point in history(folder)]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def assert_the_same_run(one: Path, other: Path) -> None:
    assert without_seconds(one) == without_seconds(other)
    assert weights(one) == weights(other)
    assert (one / "validation.jsonl").read_bytes() == (other / "validation.jsonl").read_bytes()


def answered(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "validation.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_both_architectures_learn_to_read_backwards(architecture: str, tokens: Path, tmp_path: Path):
    job = large_enough(architecture)
    command.run(job, tokens, tmp_path, None)
    losses = [point["valid_loss"] for point in history(tmp_path)]
    assert losses[-1] < 0.15 < losses[0]  # knowing the words but not their order costs 0.2 bits per byte
    model = store.load(tmp_path).eval()
    right = total = 0
    with torch.inference_mode():
        for batch in open_split(tokens, job.objective, "test", job.training, 280).in_order():
            rows = len(batch["source"])
            decoding = model.start(batch["source"], batch["source_lengths"], 40)
            found = beam_search(model.step, decoding, rows, bpe.BEGIN, bpe.END, torch.full((rows,), 40))
            for row, said in enumerate(found):
                right += said == batch["target"][row, : batch["target_lengths"][row] - 1].tolist()
                total += 1
    assert right / total > 0.8


def test_a_run_leaves_what_it_says_and_no_checkpoint(tokens: Path, tmp_path: Path):
    job = small("lstm", budget_tokens=5000, validations=4)
    command.run_all([job], tokens, tmp_path, None)
    assert {path.name for path in (tmp_path / job.name).iterdir()} == {
        "model.safetensors", "model.json", "history.jsonl", "validation.jsonl", "metrics.json",
    }  # fmt: skip
    told, points = read_json(tmp_path / job.name / "metrics.json"), history(tmp_path / job.name)
    rows = {row["metric"]: row["value"] for row in told["rows"]}
    assert rows["train_tokens"] == points[-1]["tokens"] >= 5000
    assert rows["valid_bits_per_byte"] == points[-1]["valid_loss"]
    assert Job.from_dict(told["job"]) == job
    assert told["run"] == "train/reversal/lstm/s0"
    # validations stand at equal distances, each at the first step that reaches its mark, the last at the end
    assert len(points) == 4
    longest = max(point["tokens"] / point["step"] for point in points) * 2
    for number, point in enumerate(points, start=1):
        assert 0 <= point["tokens"] - number * 1250 < longest
    for name in ("step", "tokens", "flops", "seconds"):
        values = [point[name] for point in points]
        assert values == sorted(set(values))


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_the_same_seed_gives_the_same_bits_and_another_gives_others(architecture: str, tokens: Path, tmp_path: Path):
    job = small(architecture, budget_tokens=3000)
    for name in ("one", "two"):
        torch.rand(3)  # what happened before in the process does not matter
        command.run(job, tokens, tmp_path / name, None)
    assert_the_same_run(tmp_path / "one", tmp_path / "two")
    command.run(replace(job, seed=1), tokens, tmp_path / "other", None)
    assert weights(tmp_path / "one") != weights(tmp_path / "other")


def start(job: Job, tokens: Path, out: Path, often: bool = True) -> subprocess.Popen[str]:
    call = ["-c", OFTEN] if often else ["-m", "verdict.training"]
    told = ["--jobs", json.dumps([job.to_dict()]), "--tokens", str(tokens), "--threads", "1", "--runs", str(out)]
    return subprocess.Popen([sys.executable, *call, *told], stderr=subprocess.PIPE, text=True)


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.parametrize(("architecture", "how"), [("lstm", signal.SIGTERM), ("transformer", signal.SIGKILL)])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(architecture: str, how: int, tokens: Path, tmp_path: Path):
    """Twice stopped: the second time after it was resumed. Several epochs, so that stops fall anywhere in one."""
    job = small(architecture, budget_tokens=120_000, batch_tokens=1024, validations=7)
    out = tmp_path / "stopped" / job.name
    saved = out / "checkpoint.safetensors"
    for _ in range(2):
        before = saved.stat().st_mtime_ns if saved.exists() else 0
        process = start(job, tokens, tmp_path / "stopped")
        wait_for(lambda before=before: saved.exists() and saved.stat().st_mtime_ns > before, process)
        process.send_signal(how)
        asked = time.monotonic()
        said = process.communicate()[1]
        assert time.monotonic() - asked < 5  # what batch systems wait before they kill is more, but not much
        assert process.returncode == (143 if how == signal.SIGTERM else -how), said
        if how == signal.SIGTERM:
            assert "was stopped at step" in said
            assert "Traceback" not in said
        assert not (out / "model.safetensors").exists()
    process = start(job, tokens, tmp_path / "stopped", often=False)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "resumed at step" in said
    assert not saved.exists()
    if how == signal.SIGTERM:
        assert not list(out.glob(".*"))
    command.run(job, tokens, tmp_path / "undisturbed", None)
    assert_the_same_run(out, tmp_path / "undisturbed")


@contextlib.contextmanager
def stopped_after(calls: int, monkeypatch: pytest.MonkeyPatch, of: str = "train_step"):
    """A SIGTERM in this process as a function of the loop, the training step if none is named, begins for that time."""
    real, kept, begun = getattr(loop, of), signal.getsignal(signal.SIGTERM), 0

    def call(*given: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun == calls:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*given)

    monkeypatch.setattr(loop, of, call)
    with pytest.raises(StoppedError):
        yield
    assert begun == calls
    monkeypatch.setattr(loop, of, real)
    signal.signal(signal.SIGTERM, kept)


@pytest.mark.parametrize("objective", ["language_model", "masked", "classification"])
@pytest.mark.parametrize("steps", [1, 5, 12])
def test_any_step_of_any_objective_can_be_the_last_before_a_stop(
    objective: str, steps: int, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Windows of 16 in batches of 64 pieces: an epoch ends among these steps."""
    prepare(1)
    task = "lm" if objective == "language_model" else "classification"
    tokens = world / "tokens" / task
    job = tiny.job(objective, task, objective, "transformer", budget_tokens=6000, batch_tokens=256, validations=5)
    with stopped_after(steps, monkeypatch):
        command.run(job, tokens, tmp_path / "stopped", None)
    command.run(job, tokens, tmp_path / "stopped", None)
    command.run(job, tokens, tmp_path / "whole", None)
    assert_the_same_run(tmp_path / "stopped", tmp_path / "whole")


@pytest.mark.parametrize("number", [1, 3])
def test_a_stop_does_not_wait_for_a_validation(
    number: int, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is broken off, the checkpoint is written, and the run goes on with the same validation: here one in the middle
    and the last."""
    job = small("lstm", budget_tokens=4000, validations=3)
    with stopped_after(number, monkeypatch, "evaluate"):
        command.run(job, tokens, tmp_path / "stopped", None)
    assert not (tmp_path / "stopped" / "history.jsonl").exists()
    command.run(job, tokens, tmp_path / "stopped", None)
    command.run(job, tokens, tmp_path / "whole", None)
    assert_the_same_run(tmp_path / "stopped", tmp_path / "whole")


def test_a_checkpoint_of_other_settings_or_other_text_is_not_gone_on_with(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    job = small("lstm", budget_tokens=4000)
    other = tiny.reversal(tmp_path / "other", records=200, words=3)
    tokenize(tmp_path / "other/corpus", tmp_path / "wider", 284, {})
    for name, after, data in (
        ("settings", replace(job, training=replace(job.training, learning_rate=1e-3)), tokens),
        ("text", job, other),
        ("vocabulary", job, tmp_path / "wider"),
    ):
        with stopped_after(3, monkeypatch):
            command.run(job, tokens, tmp_path / name, None)
        capfd.readouterr()
        command.run(after, data, tmp_path / name, None)
        assert "resumed" not in capfd.readouterr().err, name
        command.run(after, data, tmp_path / f"{name}-fresh", None)
        assert_the_same_run(tmp_path / name, tmp_path / f"{name}-fresh")


def test_a_run_that_diverges_keeps_its_last_good_model_and_says_so(tokens: Path, tmp_path: Path):
    job = small("attention_bare", learning_rate=1e30, budget_tokens=6000, warmup_steps=1, clip=1e30)
    command.run(job, tokens, tmp_path / "out", None)
    rows = {row["metric"]: row["value"] for row in read_json(tmp_path / "out" / "metrics.json")["rows"]}
    points = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    assert 0 < rows["diverged_at_step"] == points[-1]["step"]
    assert rows["train_tokens"] < job.training.budget_tokens
    # the curve goes on level to the end of the budget, and only what was measured stands in it
    assert len(points) == job.training.validations
    assert points[-1]["tokens"] >= job.training.budget_tokens
    assert all(math.isfinite(point["valid_loss"]) for point in points)
    assert {point["gradient_norm"] for point in points} == {None}
    assert len({point["valid_loss"] for point in points}) == 1
    assert all(
        len(row["outputs"]) == len(points) and len(set(row["outputs"])) == 1 for row in answered(tmp_path / "out")
    )
    # it diverged before anything was found good: what is left is the untrained model
    kept, drawn = store.load(tmp_path / "out"), store.untrained(tmp_path / "out", job.seed)
    assert all(torch.equal(one, other) for one, other in zip(kept.parameters(), drawn.parameters(), strict=True))


def test_what_was_good_before_a_divergence_is_kept(tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    job = small("lstm", budget_tokens=6000)
    command.run(job, tokens, tmp_path / "whole", None)
    whole = [json.loads(line) for line in (tmp_path / "whole" / "history.jsonl").read_text().splitlines()]
    spoilt_at = whole[0]["step"] + 2

    def spoil(*arguments: Any, real: Any = loop.train_step) -> Any:
        found, norm = real(*arguments)
        state = arguments[4].state
        if next(iter(state.values()))["step"].item() >= spoilt_at:
            with torch.no_grad():
                next(arguments[0].parameters()).fill_(math.nan)
        return found, norm

    monkeypatch.setattr(loop, "train_step", spoil)
    command.run(job, tokens, tmp_path / "spoilt", None)
    assert history(tmp_path / "spoilt")[-1]["step"] == spoilt_at + 1  # the first step that computes with what is spoilt
    # stopped and gone on with after the step that spoilt it, it says the same
    with monkeypatch.context() as patch, stopped_after(spoilt_at, patch):
        command.run(job, tokens, tmp_path / "stopped", None)
    command.run(job, tokens, tmp_path / "stopped", None)
    assert_the_same_run(tmp_path / "stopped", tmp_path / "spoilt")
    points = [json.loads(line) for line in (tmp_path / "spoilt" / "history.jsonl").read_text().splitlines()]
    without_time = [{k: v for k, v in point.items() if k != "seconds"} for point in (points[0], whole[0])]
    assert without_time[0] == without_time[1]
    assert {point["valid_loss"] for point in points} == {whole[0]["valid_loss"]}
    for row, undisturbed in zip(answered(tmp_path / "spoilt"), answered(tmp_path / "whole"), strict=True):
        assert row["outputs"] == undisturbed["outputs"][:1] * len(points)
    assert all(weight.isfinite().all() for weight in store.load(tmp_path / "spoilt").parameters())


@pytest.mark.parametrize(("losses", "best"), [([2.0, 1.0, 1.5, 1.2], 1), ([4.0, 3.0, 2.0, 1.0], 3), ([1.0] * 4, 0)])
def test_a_run_leaves_the_model_that_was_best_on_validation(
    losses: list[float], best: int, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Text that is seen many times is learned by heart in the end: the last weights would be those of that."""
    job, seen = small("lstm", budget_tokens=6000, validations=4), []

    def told(model: nn.Module, *arguments: Any) -> dict[str, float]:
        seen.append([parameter.detach().clone() for parameter in model.parameters()])
        return {"nats": losses[len(seen) - 1], "predicted": 1, "bytes": 0}

    monkeypatch.setattr(loop, "evaluate", told)
    command.run(job, tokens, tmp_path / "out", None)
    assert [point["valid_loss"] for point in history(tmp_path / "out")] == losses
    left = list(store.load(tmp_path / "out").parameters())
    assert [all(map(torch.equal, left, weights)) for weights in seen].index(True) == best
    rows = {row["metric"]: row["value"] for row in read_json(tmp_path / "out" / "metrics.json")["rows"]}
    assert rows["valid_bits_per_byte" if "valid_bits_per_byte" in rows else "valid_loss"] == losses[best]


def test_finetuning_begins_with_the_pretrained_weights(world: Path, tmp_path: Path):
    tokens = world / "tokens/classification"
    job = tiny.job("finetuning", "classification", "classification", "lstm", learning_rate=1e-12, budget_tokens=300)
    command.run(job, tokens, tmp_path, world / "runs/pretraining/lstm/s0")
    begun, ended = (load_file(f / "model.safetensors") for f in (world / "runs/pretraining/lstm/s0", tmp_path))
    assert {name for name in ended if not name.startswith("classifier.")} == set(begun)
    for name, value in begun.items():
        torch.testing.assert_close(ended[name], value, rtol=0, atol=1e-6)


def test_weights_of_another_shape_are_no_beginning(world: Path, tmp_path: Path):
    job = tiny.job("finetuning", "classification", "classification", "lstm", budget_tokens=300)
    for other in ("pretraining/transformer", "lm/lstm", "translation/lstm"):
        with pytest.raises(UserError, match="another shape"):
            command.run(job, world / "tokens/classification", tmp_path, world / "runs" / other / "s0")


def test_a_spoilt_model_file_is_told(world: Path, tmp_path: Path):
    run = world / "runs/lm/lstm/s0"
    (tmp_path / "model.json").write_bytes((run / "model.json").read_bytes())
    for spoilt in (weights(run)[:1000], b"", b"no tensors at all"):
        (tmp_path / "model.safetensors").write_bytes(spoilt)
        with pytest.raises(UserError, match="run again"):
            store.load(tmp_path)
    tensors = load_file(run / "model.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if "norm" not in name}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="run again"):
        store.load(tmp_path)


@pytest.mark.parametrize("how", ["cut", "flipped", "emptied", "missing"])
def test_a_spoilt_checkpoint_is_passed_over_and_the_one_before_taken(
    how: str, tokens: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    job = small("lstm", budget_tokens=120_000, batch_tokens=1024, validations=7)
    process = start(job, tokens, tmp_path)
    folder = tmp_path / job.name
    last, before = checkpoint.files(folder / checkpoint.NAME)
    wait_for(before.exists, process)
    process.kill()
    process.communicate()
    content = bytearray(last.read_bytes() if last.exists() else b"")
    if how == "flipped" and content:
        content[-100] ^= 1
    last.write_bytes({"cut": content[: len(content) // 2], "emptied": b""}.get(how, bytes(content)))
    if how == "missing":
        last.unlink()
    command.run(job, tokens, folder, None)
    said = capfd.readouterr().err
    assert ("is damaged" in said) == (how != "missing")
    assert "resumed at step" in said
    command.run(job, tokens, tmp_path / "fresh", None)
    assert_the_same_run(folder, tmp_path / "fresh")


def test_a_stored_model_computes_what_it_computed(world: Path, tmp_path: Path):
    model = store.load(world / "runs/translation/transformer/s1").eval()
    told = read_json(world / "runs/translation/transformer/s1/model.json")
    store.save(tmp_path, model, Architecture(**told["architecture"]), [InnerWidths(*w) for w in told["inner"]])
    again = store.load(tmp_path).eval()
    source, lengths, target = tiny.pieces(2, 5), torch.tensor([5, 3]), tiny.pieces(2, 4, seed=1)
    assert torch.equal(model(source, lengths, target), again(source, lengths, target))


def test_the_average_is_polynomial_decay_in_closed_form():
    """Shamir & Zhang 2013: the weights of w_1 … w_n are those of the recursion a_n = (1 − r_n) a_{n−1} + r_n w_n with
    r_n = (η + 1) / (n + η), written out: products of the (1 − r_k) that follow."""
    parameter, seen = nn.Parameter(torch.zeros(3)), []
    average = Average([parameter])
    for step in range(1, 41):
        with torch.no_grad():
            parameter.copy_(torch.randn(3, generator=torch.Generator().manual_seed(step)))
        seen.append(parameter.detach().clone())
        average.update(step)
    rate = [(ETA + 1) / (n + ETA) for n in range(1, 41)]
    shares = [rate[k] * float(np.prod([1 - r for r in rate[k + 1 :]])) for k in range(40)]
    # the same in binomial coefficients: C(k + η − 1, η) over their sum
    binomial = np.array([float(np.prod([(k + i) / (i + 1) for i in range(int(ETA))])) for k in range(1, 41)])
    np.testing.assert_allclose(shares, binomial / binomial.sum(), rtol=1e-9)
    expected = sum(share * value for share, value in zip(shares, seen, strict=True))
    torch.testing.assert_close(average.values[0], expected, rtol=1e-5, atol=1e-6)
    last = parameter.detach().clone()
    average.swap()
    torch.testing.assert_close(parameter.detach(), expected, rtol=1e-5, atol=1e-6)
    average.swap()
    assert torch.equal(parameter.detach(), last)


def test_a_checkpoint_holds_the_whole_state(tmp_path: Path):
    job, batches = small("lstm"), [tiny.pieces(2, 9, seed=i) for i in range(6)]

    def fresh() -> tuple[Any, Any, Any]:
        model = tiny.model("lstm", "language_model").train()
        return model, loop.make_optimizer(model, job.training), Average(list(model.parameters()))

    def step(model: Any, optimizer: Any, average: Any, number: int) -> None:
        cost = loop.OBJECTIVES["language_model"]
        loop.train_step(
            model, {"tokens": batches[number]}, cost, torch.ones(280, dtype=torch.long), optimizer, "fp32", 1.0
        )
        average.update(number + 1)

    one, now = fresh(), Progress(step=3, epoch=1, batch=2, tokens=48, flops=10**15, seconds=1.5, history=[{"step": 1}])
    now.tally += torch.tensor([1.25, 2, 3, 4, 5])
    for number in range(3):
        step(*one, number)
    checkpoint.save(tmp_path / "c.safetensors", "mine", *one, now)
    drawn = torch.rand(3)
    assert checkpoint.load(tmp_path / "c.safetensors", "other", *fresh()) is None
    assert checkpoint.load(tmp_path / "none.safetensors", "mine", *fresh()) is None
    two = fresh()
    back = checkpoint.load(tmp_path / "c.safetensors", "mine", *two)
    assert torch.equal(torch.rand(3), drawn)
    assert vars(back).keys() == vars(now).keys()
    assert all(torch.equal(a, b) if name == "tally" else a == b for (name, a), b in
               zip(vars(back).items(), vars(now).values(), strict=True))  # fmt: skip
    for number in range(3, 6):
        step(*one, number)
        step(*two, number)
    for a, b in zip([*one[0].parameters(), *one[2].values], [*two[0].parameters(), *two[2].values], strict=True):
        assert torch.equal(a, b)


def test_matrices_decay_and_vectors_and_embeddings_do_not():
    model = tiny.model("transformer", "masked_encoder", classes=2)
    decayed, kept = loop.make_optimizer(model, small("lstm", weight_decay=0.5).training).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.5
    assert kept["weight_decay"] == 0.0
    assert all("weight" in names[id(p)] and "norm" not in names[id(p)] for p in decayed["params"])
    assert "embedding.weight" in {names[id(p)] for p in kept["params"]}
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_the_learning_rate_rises_evenly_and_then_stays(tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rates: list[float] = []
    real = loop.train_step

    def step(model: Any, batch: Any, cost: Any, piece_bytes: Any, optimizer: Any, *more: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return real(model, batch, cost, piece_bytes, optimizer, *more)

    monkeypatch.setattr(loop, "train_step", step)
    command.run(small("lstm", learning_rate=0.01, warmup_steps=4, budget_tokens=3000), tokens, tmp_path, None)
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, *[0.01] * (len(rates) - 3)])


def test_epochs_follow_each_other_and_none_of_their_batches_is_left_out(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = tiny.job("translation", "translation", "sequence_pairs", "lstm", budget_tokens=9000)
    seen: list[list[int]] = []
    real = loop.train_step

    def step(model: Any, batch: Any, *more: Any) -> Any:
        seen.append(batch["index"].tolist())
        return real(model, batch, *more)

    monkeypatch.setattr(loop, "train_step", step)
    command.run(job, world / "tokens/translation", tmp_path, None)
    data = open_split(world / "tokens/translation", "sequence_pairs", "train", job.training, 280)
    expected = [batch["index"].tolist() for epoch in range(9) for batch in data.epoch(0, epoch)]
    assert seen == expected[: len(seen)]
    assert len(seen) > len(list(data.epoch(0, 0)))


def test_looking_at_a_model_does_not_change_its_training(tokens: Path, tmp_path: Path):
    """Neither how often it is validated, nor on how much, nor what it is asked."""
    for name, told in (
        ("seldom", {"validations": 1, "output_records": 0}),
        ("often", {"validations": 7, "validation_records": 5, "output_records": 20}),
    ):
        command.run(small("transformer", budget_tokens=4000, **told), tokens, tmp_path / name, None)
    assert weights(tmp_path / "seldom") == weights(tmp_path / "often")


def treatment(job: Job, tokens: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Everything that a run's loss function, optimizer and evaluation were given, in order, but for the model."""
    given: list[Any] = []
    with monkeypatch.context() as patch:
        real_step, real_evaluate = loop.train_step, loop.evaluate

        def told(batch: Any) -> list[Any]:
            return [(name, tensor.tolist()) for name, tensor in sorted(batch.items())]

        def step(
            model: Any, batch: Any, cost: Any, piece_bytes: Any, optimizer: Any, precision: str, clip: float
        ) -> Any:
            groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
            given.append((told(batch), cost, piece_bytes.tolist(), groups, precision, clip))
            return real_step(model, batch, cost, piece_bytes, optimizer, precision, clip)

        def evaluate(model: Any, batches: Any, cost: Any, piece_bytes: Any) -> Any:
            batches = list(batches)
            given.append(([told(batch) for batch in batches], cost, piece_bytes.tolist()))
            return real_evaluate(model, iter(batches), cost, piece_bytes)

        patch.setattr(loop, "train_step", step)
        patch.setattr(loop, "evaluate", evaluate)
        command.run(job, tokens, out, None)
    return given


def test_every_architecture_is_given_the_same_and_a_difference_would_be_noticed(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    names = ("transformer", "lstm", "lstm_no_attention")
    first, *others = (treatment(small(name), tokens, tmp_path / name, monkeypatch) for name in names)
    assert all(other == first for other in others)
    # a defect: one architecture is given targets of its own
    real = command.open_split

    def partial(*arguments: Any) -> Any:
        source = real(*arguments)
        collate = source.collate
        source.collate = lambda index, rng: {**(batch := collate(index, rng)), "target": batch["target"].clamp(max=90)}
        return source

    monkeypatch.setattr(command, "open_split", partial)
    assert treatment(small("lstm"), tokens, tmp_path / "defect", monkeypatch) != first
