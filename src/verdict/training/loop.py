"""The training loop: AdamW, warm-up then a constant rate, clipping, averaging, validation at fixed token counts."""

import contextlib
import hashlib
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from torch import Tensor

from verdict.device import autocast
from verdict.models.families import Model
from verdict.training import checkpoint
from verdict.training.averaging import Average
from verdict.training.batches import Batch, Source
from verdict.training.checkpoint import Progress
from verdict.training.objectives import OBJECTIVES, Cost, training_flops
from verdict.training.settings import Job, Training

#: seconds between progress lines
PROGRESS_EVERY = 10.0
#: seconds between checkpoints, at least
CHECKPOINT_EVERY = 20.0


def make_optimizer(model: Model, training: Training) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019); matrices decay, vectors (biases, norms) and embeddings do not."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in named if p.ndim >= 2 and not name.startswith("embedding.")]
    kept = [p for name, p in named if p.ndim < 2 or name.startswith("embedding.")]
    groups = [{"params": decayed, "weight_decay": training.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=(0.9, 0.98), eps=1e-9, fused=True)


def move(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def train_step(
    model: Model,
    batch: Batch,
    cost: Callable[..., Cost],
    piece_bytes: Tensor,
    optimizer: torch.optim.Optimizer,
    precision: str,
    clip: float,
) -> tuple[Cost, Tensor]:
    """One step of the optimizer on the mean loss; gives the cost and the gradient's norm before clipping.

    The speed measurements time exactly this function.
    """
    optimizer.zero_grad(set_to_none=True)
    with autocast(piece_bytes.device, precision):
        found = cost(model, batch, piece_bytes)
    (found.nats / found.predicted).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip, foreach=True)
    optimizer.step()
    return found, norm


@torch.inference_mode()
def evaluate(
    model: Model, batches: Iterator[Batch], cost: Callable[..., Cost], piece_bytes: Tensor
) -> dict[str, float]:
    """Summed losses over batches in fp32: nats, predictions, bytes; the one evaluation path of every architecture."""
    training = model.training
    model.eval()
    totals = {"nats": 0.0, "predicted": 0, "bytes": 0}
    try:
        for batch in batches:
            found = cost(model, move(batch, piece_bytes.device), piece_bytes)
            totals["nats"] += found.nats.double().item()
            totals["predicted"] += found.predicted
            totals["bytes"] += found.bytes
    finally:
        model.train(training)  # as it was: what searches with the model afterwards must not find dropout switched on
    return totals


def loss_of(totals: dict[str, float]) -> float:
    """Bits per byte, or nats per prediction where predictions stand for no bytes (classes, answers)."""
    if totals["bytes"]:
        return totals["nats"] / math.log(2) / totals["bytes"]
    return totals["nats"] / totals["predicted"]


def lowest(history: Sequence[dict[str, Any]]) -> float:
    """The loss of the model that a run leaves: the lowest on validation."""
    return min(float(point["valid_loss"]) for point in history)


class StoppedError(Exception):
    """The run was asked to end (SIGTERM); its checkpoint is written."""


class _BrokenOffError(Exception):
    """SIGTERM came during a validation."""


def train(
    job: Job,
    model: Model,
    data: Source,
    validation: Source,
    piece_bytes: Tensor,
    precision: str,
    folder: Path,
    start_from: str = "",
) -> Progress:
    """Train ``model`` in place and leave in it the averaged weights that were best on validation (which need not be the
    last ones, where a text is seen many times); resumes from ``folder``'s checkpoint, if any.

    The checkpoint stays, also of a finished run: whoever has written the results removes it. ``start_from``: a
    fingerprint of data, code and the weights the run begins with, so that a checkpoint of others is not taken up.
    Raises ``StoppedError`` after SIGTERM.

    A run whose loss or gradient is no longer finite ends at that step (``Progress.diverged``): its model is the best of
    those validated before, or the untrained one, and its learning curve goes on level to the end of the budget, for
    more of the same would bring nothing better. Points of that level part have no training loss and no gradient.
    """
    settings, cost = job.training, OBJECTIVES[job.objective]
    optimizer = make_optimizer(model, settings)
    average = Average(list(model.parameters()))
    torch.manual_seed(job.seed)
    fingerprint = _fingerprint(job, precision, start_from)
    saved = folder / checkpoint.NAME
    now = checkpoint.load(saved, fingerprint, model, optimizer, average)
    if now:
        _say(f"{job.name}: resumed at step {now.step}")
    now = now or Progress()
    every = settings.budget_tokens / settings.validations
    clock = said = kept = began = time.monotonic()
    began_tokens = now.tokens
    model.train()

    def hold_clock() -> None:
        """Validation and checkpoints are not training time."""
        nonlocal clock
        now.seconds += time.monotonic() - clock
        clock = time.monotonic()

    def is_due() -> bool:
        """Whether the model is to be validated before the next step."""
        done = bool(now.history) and now.history[-1]["step"] == now.step
        return not done and now.tokens >= min((len(now.history) + 1) * every, settings.budget_tokens)

    def score(batches: Iterator[Batch]) -> float:
        """The loss of the averaged weights."""
        average.swap()
        try:
            return loss_of(evaluate(model, batches, cost, piece_bytes))
        finally:
            average.swap()

    def validate(stopped: Callable[[], bool]) -> None:
        """Add a point to the curve, and keep the model if none was better, if it is due; a model without a finite loss
        is given up.

        A validation may take longer than who stops a run waits: it is broken off and due again when the run goes on.
        """
        nonlocal clock
        if not is_due():
            return
        hold_clock()
        try:
            valid_loss = score(_until(stopped, validation.in_order(settings.validation_records)))
        except _BrokenOffError:
            stop()
        clock = time.monotonic()
        if not math.isfinite(valid_loss):
            give_up()
            return
        if not now.history or valid_loss < lowest(now.history):
            average.keep()
        loss, predicted, norm, clipped, steps = now.tally.tolist()
        now.clipped += int(clipped)
        now.history.append(
            {
                "step": now.step,
                "tokens": now.tokens,
                "flops": now.flops,
                "seconds": now.seconds,
                "train_loss": loss / predicted,
                "valid_loss": valid_loss,
                "gradient_norm": norm / steps,
                "clipped_share": clipped / steps,
                "learning_rate": settings.learning_rate,
            }
        )
        now.tally.zero_()
        clock = time.monotonic()

    def give_up() -> None:
        """End a run that diverged: with the best model validated, and a curve that is level at its loss."""
        now.diverged = now.step
        average.restore()
        valid_loss = lowest(now.history) if now.history else score(validation.in_order(settings.validation_records))
        _say(f"{job.name}: the loss is no longer finite at step {now.step}; the best model before that is kept")
        for mark in range(len(now.history) + 1, settings.validations + 1):
            tokens = math.ceil(mark * every)
            now.history.append(
                {
                    "step": now.step,
                    "tokens": tokens,
                    "flops": round(now.flops * tokens / now.tokens),
                    "seconds": now.seconds * tokens / now.tokens,
                    "train_loss": None,
                    "valid_loss": valid_loss,
                    "gradient_norm": None,
                    "clipped_share": None,
                    "learning_rate": settings.learning_rate,
                }
            )

    def keep() -> None:
        nonlocal kept, clock
        hold_clock()
        checkpoint.save(saved, fingerprint, model, optimizer, average, now)
        kept = clock = time.monotonic()

    def stop() -> NoReturn:
        keep()
        raise StoppedError(f"{job.name} was stopped at step {now.step}; run again to go on from its checkpoint")

    def take(batch: Batch) -> None:
        """One step, counted; a model whose loss or gradient is not finite is given up."""
        rate = settings.learning_rate * min(1.0, (now.step + 1) / settings.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        found, norm = train_step(
            model, move(batch, piece_bytes.device), cost, piece_bytes, optimizer, precision, settings.clip
        )
        now.step += 1
        now.batch += 1
        now.tokens += found.seen
        now.flops += training_flops(model, batch)  # type: ignore[arg-type]
        average.update(now.step)
        now.tally += torch.stack(
            (
                found.nats.detach().double().cpu(),
                torch.tensor(found.predicted, dtype=torch.float64),
                norm.double().cpu(),
                (norm > settings.clip).double().cpu(),
                torch.ones((), dtype=torch.float64),
            )
        )
        if not now.tally.isfinite().all():
            give_up()

    with _stop_request() as stopped:
        validate(stopped)  # of a run that was stopped during one
        while now.tokens < settings.budget_tokens and not now.diverged:
            for number, batch in enumerate(data.epoch(job.seed, now.epoch)):
                if number < now.batch:
                    continue
                take(batch)
                if not now.diverged:
                    validate(stopped)
                if now.tokens >= settings.budget_tokens or now.diverged:
                    break
                if stopped():
                    stop()
                if time.monotonic() - kept > CHECKPOINT_EVERY:
                    keep()
                if time.monotonic() - said > PROGRESS_EVERY:
                    said = time.monotonic()
                    _say(_progress(job, now, (now.tokens - began_tokens) / (said - began)))
            else:
                now.epoch, now.batch = now.epoch + 1, 0
    keep()
    average.restore()
    average.swap()
    return now


@contextlib.contextmanager
def _stop_request() -> Iterator[Callable[[], bool]]:
    """Whether a SIGTERM has come, so that the loop can end between two steps; afterwards it ends the process again."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _until(stopped: Callable[[], bool], batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches; raises ``_BrokenOffError`` once a stop is asked for."""
    for batch in batches:
        if stopped():
            raise _BrokenOffError
        yield batch


def _fingerprint(job: Job, precision: str, start_from: str) -> str:
    told = json.dumps([job.to_dict(), precision, start_from], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _progress(job: Job, now: Progress, rate: float) -> str:
    share = now.tokens / job.training.budget_tokens
    left = (job.training.budget_tokens - now.tokens) / max(rate, 1e-9)
    last: dict[str, Any] = now.history[-1] if now.history else {}
    loss = f", loss {last['valid_loss']:.3f}" if last else ""
    return f"{job.name}: {share:4.0%}, {now.tokens:,} tokens, {rate:,.0f} tokens/s{loss}, {left:.0f} s left"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
