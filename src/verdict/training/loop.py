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

from verdict.device import autocast, peak_memory
from verdict.models.families import Model
from verdict.training import checkpoint
from verdict.training.averaging import Average
from verdict.training.batches import Batch, Source, move
from verdict.training.checkpoint import Progress
from verdict.training.objectives import OBJECTIVES, Cost, training_flops
from verdict.training.outputs import Questions
from verdict.training.settings import Job, Training

#: seconds between progress lines
PROGRESS_EVERY = 10.0
#: seconds between checkpoints, at least
CHECKPOINT_EVERY = 20.0


def freeze(model: Model) -> None:
    """Leave the classifier alone to be trained."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("classifier.")


def make_optimizer(model: Model, training: Training) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019); matrices decay, vectors (biases, norms) and embeddings do not."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in named if p.ndim >= 2 and not name.startswith("embedding.")]
    kept = [p for name, p in named if p.ndim < 2 or name.startswith("embedding.")]
    groups = [{"params": decayed, "weight_decay": training.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=(0.9, 0.98), eps=1e-9, fused=True)


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
    questions: Questions | None = None,
) -> Progress:
    """Train ``model`` in place and leave in it the averaged weights that were best on validation (which need not be the
    last ones, where a text is seen many times); resumes from ``folder``'s checkpoint, if any.

    The checkpoint stays, also of a finished run: whoever has written the results removes it. ``start_from``: a
    fingerprint of data, code and the weights the run begins with, so that a checkpoint of others is not taken up.
    ``questions``: what the model of each validation is asked besides (``Progress.outputs``).
    Raises ``StoppedError`` after SIGTERM.

    A run whose loss or gradient is no longer finite ends at that step (``Progress.diverged``): its model is the best of
    those validated before, or the untrained one, and its learning curve goes on level to the end of the budget, for
    more of the same would bring nothing better. Points of that level part have no training loss and no gradient.
    """
    run = _Run(job, model, validation, piece_bytes, precision, folder / checkpoint.NAME, start_from, questions)
    now, settings = run.now, job.training
    model.train()
    with _stop_request() as run.stopped:
        run.validate()  # if it was stopped during one
        while now.tokens < settings.budget_tokens and not now.diverged:
            for number, batch in enumerate(data.epoch(job.seed, now.epoch)):
                if number < now.batch:
                    continue
                run.take(batch)
                if not now.diverged:
                    run.validate()
                if now.tokens >= settings.budget_tokens or now.diverged:
                    break
                run.between_steps()
            else:
                now.epoch, now.batch = now.epoch + 1, 0
    run.keep()
    run.average.restore()
    run.average.swap()
    return now


class _Clock:
    """Adds the seconds of training to a run's progress; what is done while it is held is no training."""

    def __init__(self, now: Progress) -> None:
        self.now = now
        self.since: float | None = time.monotonic()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within it no seconds are counted."""
        since, self.since = self.since, None
        if since is not None:
            self.now.seconds += time.monotonic() - since
        try:
            yield
        finally:
            self.since = None if since is None else time.monotonic()


class _Run:
    """A run under way: the state that steps, validations and checkpoints share."""

    def __init__(
        self,
        job: Job,
        model: Model,
        validation: Source,
        piece_bytes: Tensor,
        precision: str,
        saved: Path,
        start_from: str,
        questions: Questions | None,
    ) -> None:
        self.job, self.settings, self.model, self.precision, self.saved = job, job.training, model, precision, saved
        self.cost, self.validation, self.piece_bytes = OBJECTIVES[job.objective], validation, piece_bytes
        self.questions = questions
        self.optimizer = make_optimizer(model, job.training)
        self.average = Average(list(model.parameters()))
        torch.manual_seed(job.seed)
        self.fingerprint = _fingerprint(job, precision, start_from)
        self.now = checkpoint.load(saved, self.fingerprint, model, self.optimizer, self.average) or Progress()
        if self.now.step:
            _say(f"{job.name}: resumed at step {self.now.step}")
        self.every = job.training.budget_tokens / job.training.validations
        self.clock = _Clock(self.now)
        self.kept = self.said = self.began = time.monotonic()
        self.began_tokens = self.now.tokens
        self.stopped: Callable[[], bool] = lambda: False

    def take(self, batch: Batch) -> None:
        """One step, counted; a model whose loss or gradient is not finite is given up."""
        now, settings = self.now, self.settings
        rate = settings.learning_rate * min(1.0, (now.step + 1) / settings.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        found, norm = train_step(
            self.model, move(batch, self.piece_bytes.device), self.cost, self.piece_bytes, self.optimizer,
            self.precision, settings.clip,
        )  # fmt: skip
        now.step += 1
        now.batch += 1
        now.tokens += found.seen
        now.flops += training_flops(self.model, batch)  # type: ignore[arg-type]
        self.average.update(now.step)
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
            self._give_up()

    def validate(self) -> None:
        """Add a point to the curve, and keep the model if none was better, if it is due; a model without a finite loss
        is given up.

        A validation may take longer than who stops a run waits: it is broken off and due again when the run goes on.
        """
        now = self.now
        if not self._is_due():
            return
        with self.clock.held():
            try:
                valid_loss = self._score(_until(self.stopped, self._validation()))
                outputs = self._ask() if math.isfinite(valid_loss) else []
            except _BrokenOffError:
                self.stop()
        if not math.isfinite(valid_loss):
            self._give_up()
            return
        now.outputs.append(outputs)
        if not now.history or valid_loss < lowest(now.history):
            self.average.keep()
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
                "learning_rate": self.settings.learning_rate,
            }
        )
        now.tally.zero_()

    def between_steps(self) -> None:
        """Stop if that is asked for; a checkpoint and a line of progress, if it is time."""
        if self.stopped():
            self.stop()
        if time.monotonic() - self.kept > CHECKPOINT_EVERY:
            self.keep()
        if time.monotonic() - self.said > PROGRESS_EVERY:
            self.said = time.monotonic()
            rate = (self.now.tokens - self.began_tokens) / (self.said - self.began)
            _say(_progress(self.job, self.now, rate))

    def keep(self) -> None:
        """Write a checkpoint."""
        with self.clock.held():
            self.now.peak_memory = max(self.now.peak_memory, peak_memory(self.piece_bytes.device))
            checkpoint.save(self.saved, self.fingerprint, self.model, self.optimizer, self.average, self.now)
        self.kept = time.monotonic()

    def stop(self) -> NoReturn:
        """End the process's part of the run."""
        self.keep()
        raise StoppedError(
            f"{self.job.name} was stopped at step {self.now.step}; run again to go on from its checkpoint"
        )

    def _is_due(self) -> bool:
        """Whether the model is to be validated before the next step."""
        now = self.now
        done = bool(now.history) and now.history[-1]["step"] == now.step
        return not done and now.tokens >= min((len(now.history) + 1) * self.every, self.settings.budget_tokens)

    def _validation(self) -> Iterator[Batch]:
        return self.validation.in_order(self.settings.validation_records)

    def _score(self, batches: Iterator[Batch]) -> float:
        """The loss of the averaged weights."""
        with self.average.swapped():
            return loss_of(evaluate(self.model, batches, self.cost, self.piece_bytes))

    def _ask(self) -> list[str]:
        """What the averaged weights say to the questions, if there are any."""
        if self.questions is None:
            return []
        with self.average.swapped():
            return self.questions.outputs(self.model, _until(self.stopped, self.questions.batches()))

    def _give_up(self) -> None:
        """End a run that diverged: with the best model validated, and a curve that is level at its loss."""
        now = self.now
        now.diverged = now.step
        self.average.restore()
        with self.clock.held():
            if now.history:
                valid_loss = lowest(now.history)
                outputs = next(
                    said
                    for said, point in zip(now.outputs, now.history, strict=True)
                    if point["valid_loss"] == valid_loss
                )
            else:
                valid_loss, outputs = self._score(self._validation()), self._ask()
        _say(f"{self.job.name}: the loss is no longer finite at step {now.step}; the best model before that is kept")
        for mark in range(len(now.history) + 1, self.settings.validations + 1):
            tokens = math.ceil(mark * self.every)
            now.outputs.append(outputs)
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
                    "learning_rate": self.settings.learning_rate,
                }
            )


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
