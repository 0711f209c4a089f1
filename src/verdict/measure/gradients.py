"""``python -m verdict.measure.gradients``: how much of a gradient arrives k steps back (Hochreiter 1991; Bengio et al.
1994; Pascanu et al. 2013, who write it as the derivative of the loss at one step with respect to an earlier state).

Takes folders of trained language models and the encoded task; leaves gradients.json (rows) for each model as it was
drawn (variant ``initial``) and as it is trained (``trained``), and how often its gradient was clipped on the way.

The loss is that of the last step t of a window, whose state starts afresh, on windows spread evenly over the test
split. Its gradient is taken, for every architecture by the same stepping, with respect to

- the input of step t−k: the embedding output there, through everything that follows;
- the state of step t−k: all that this step wrote into the mixers of all blocks for later steps to read, through those
  later steps alone. A recurrent mixer writes its whole state anew (the hidden state, of an LSTM the cell too), and
  everything older reaches the loss through it; attention writes the keys and values of one position, beside which
  those of all others stay open. So this number says how well one step's writing is conducted to the loss, which for a
  recurrent model is the only path and for attention one of many; the input's number counts all paths in both.

A distance's norm is the root mean square over the windows of each window's norm: squares are what adds up when
gradients of unrelated windows are summed in training. Norms are divided by that at the shortest distance asked for (of
the state: at the shortest from 1, for nothing reads it before the next step), so that neither the loss nor the width
counts. Gradients are computed in fp32 on the CPU.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from verdict.arguments import filled, job_of, json_argument
from verdict.device import prepare
from verdict.errors import UserError, run_command
from verdict.files import read_json_lines
from verdict.metrics import Report
from verdict.models.families import LanguageModel, map_tensors
from verdict.tokens.arrays import Records
from verdict.training import store
from verdict.training.batches import Windows

#: the smallest normal and the largest number of fp32: beyond them a gradient cannot be told from zero or infinity
FLOOR, CEILING = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max

#: root mean square over windows of the norm of their gradients, by distance in steps
Norms = dict[int, float]


@dataclass(frozen=True)
class Settings:
    """What to measure."""

    #: pieces that each window's last step can see, itself included
    length: int = 128
    #: windows of the test split, all measured at once (attention: length² × width × layers × 4 bytes of memory each)
    windows: int = 32
    #: steps back at which the gradient is looked at; a window's first steps are best left out, for a fresh state hears
    #: them more than others (and attention likes to rest on them)
    distances: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, *range(32, 121, 8)])
    #: the decay is read off the distances from this one on
    far: int = 32

    def __post_init__(self) -> None:
        """Raises ``UserError`` for distances that the windows do not have or that leave no decay to read."""
        if self.windows < 1:
            raise UserError(f"`windows` is {self.windows}; write a whole number from 1")
        if not all(0 <= distance < self.length for distance in self.distances):
            raise UserError(f"`distances` must lie between 0 and {self.length - 1}, within windows of {self.length}")
        if len({distance for distance in self.distances if distance >= max(1, self.far)}) < 2:
            raise UserError(f"fewer than two `distances` are {max(1, self.far)} (`far`) or more; lower `far`")


def spread_windows(text: Records, length: int, count: int) -> Tensor:
    """``count`` windows [count, length + 1] at even distances over a text. Raises ``UserError`` if it has fewer."""
    every = torch.cat([batch["tokens"] for batch in Windows(text, length, length * count).in_order()])
    if len(every) < count:
        raise UserError(f"the test split has only {len(every)} windows of {length} pieces; lower `windows` to that")
    return every[torch.from_numpy(np.linspace(0, len(every) - 1, count).round().astype(np.int64))]


def gradient_norms(model: LanguageModel, windows: Tensor, distances: Sequence[int]) -> tuple[Norms, Norms]:
    """Norms of the gradient of the loss at the last step of windows [B, T+1]: of the inputs, and of the states.

    State distances are those from 1 on; none if the mixers keep no state. The model is put into evaluation mode.
    Raises ``FloatingPointError`` if the loss is not finite.
    """
    model.eval().requires_grad_(False)
    tokens, truth = windows[:, :-1], windows[:, -1]
    rows, length = tokens.shape
    inputs = model.embed(tokens).requires_grad_()
    watched: list[Tensor] = []
    states: dict[int, list[Any]] = {}

    def watch(part: Tensor) -> Tensor:
        """A view, whose gradient counts what reads the view alone: the later steps, not the one that wrote it."""
        if not part.requires_grad:  # nothing of the text is in it
            return part
        watched.append(part.view_as(part))
        return watched[-1]

    decoding = model.start(rows, capacity=0)
    for position in range(length):
        hidden, decoding = model.decoder.step(inputs[:, position], decoding)
        distance = length - 1 - position
        if distance and distance in distances:
            decoding = map_tensors(decoding, watch)
            states[distance] = decoding.states
    loss = F.cross_entropy(model.logits(hidden), truth, reduction="sum")  # a row's gradient is its window's own
    if not loss.isfinite():
        raise FloatingPointError(f"the loss is {loss.item()}, which has no gradient")
    found = torch.autograd.grad(loss, [inputs, *watched], allow_unused=True, materialize_grads=True)
    of_inputs = {distance: _norm([found[0][:, length - 1 - distance]]) for distance in sorted(set(distances))}
    of_states = {}
    in_order = iter(found[1:])
    for distance, before in states.items():
        gradients = map_tensors(before, lambda part: next(in_order) if part.requires_grad else torch.zeros_like(part))
        blocks = zip(model.decoder.blocks, gradients, strict=True)
        if parts := [part for block, state in blocks for part in block.mixer.written(state)]:
            of_states[distance] = _norm(parts)
    return of_inputs, dict(sorted(of_states.items()))


def _norm(parts: list[Tensor]) -> float:
    """Root mean square over the rows of the norms of rows whose parts are [B, ...]; finite, see ``CEILING``."""
    squares = sum((part.double().flatten(1).square().sum(1) for part in parts), torch.zeros(()))
    norm = squares.mean().sqrt().item()
    return min(norm, CEILING) if not math.isnan(norm) else CEILING  # NaN: an infinite factor has met a zero


def kept(norms: Norms) -> Norms:
    """Norms as shares of that at the shortest distance; empty if that is below ``FLOOR``."""
    first = norms[min(norms)] if norms else 0.0
    return {distance: norm / first for distance, norm in norms.items()} if first >= FLOOR else {}


def decay_per_step(norms: Norms, far: int) -> float:
    """The factor per step of the straight line through log norm over the distances from ``far`` on (least squares).

    Distances from the first whose gradient is below ``FLOOR`` or at ``CEILING`` on would flatten the line and do not
    count. If that leaves less than two in the far part, the gradient has vanished or exploded on the way: the line is
    then that of all distances up to the first beyond the limits, itself included at its limit, so that the true factor
    is further from 1 than this.
    """
    distances = sorted(norms)
    beyond = (i for i, distance in enumerate(distances) if not FLOOR <= norms[distance] < CEILING)
    first = next(beyond, len(distances))
    line = [distance for distance in distances[:first] if distance >= far]
    line = line if len(line) > 1 else distances[: first + 1]
    slope, _ = np.polyfit(line, [math.log(max(norms[distance], FLOOR)) for distance in line], 1)
    return math.exp(slope)


def add_flow(report: Report, model: LanguageModel, windows: Tensor, settings: Settings, **columns: Any) -> None:
    """Add the rows of one model; none of a kind of gradient that it does not have."""
    for name, norms in zip(("input", "state"), gradient_norms(model, windows, settings.distances), strict=True):
        shares = kept(norms)
        for distance, share in shares.items():
            metric = f"{name}_gradient_kept"
            report.add(metric, share, "ratio", "higher", variable="distance", at=distance, **columns)
        if shares:
            decay = decay_per_step(norms, settings.far)
            report.add(f"{name}_gradient_decay_per_step", decay, "ratio", "higher", **columns)


def add_clipping(report: Report, history: list[dict[str, Any]], **columns: Any) -> None:
    """Add, for each phase of a training (from one validation to the next), the share of its steps whose gradient was
    clipped and the mean norm before clipping; ``at`` is the share of the training's tokens at the phase's end.

    The level part of a curve that diverged has no gradients.
    """
    for point in (point for point in history if point["gradient_norm"] is not None):
        at = point["tokens"] / history[-1]["tokens"]
        for metric, unit in (("clipped_share", "ratio"), ("gradient_norm", "nat")):
            report.add(metric, point[metric], unit, "neither", variable="phase", at=at, **columns)


def run(settings: Settings, folders: Sequence[Path], tokens: Path, out: Path) -> None:
    """Measure the models in ``folders``, all of one task with its pieces in ``tokens``, and write the rows."""
    windows = spread_windows(Records.open(tokens, "test.text"), settings.length, settings.windows)
    report = Report("gradients", asdict(settings), experiment="gradients", matching="parameters", device="cpu")
    for folder in folders:
        job = job_of(folder)
        if job.family != "language_model":
            raise UserError(f"{folder} holds a model of the family {job.family}; name runs of language models alone")
        columns = {"task": job.task, "architecture": job.architecture_name, "replicate": job.seed}
        for variant, model in (("initial", store.untrained(folder, job.seed)), ("trained", store.load(folder))):
            assert isinstance(model, LanguageModel)
            add_flow(report, model, windows, settings, variant=variant, **columns)
        history = list(read_json_lines(folder / "history.jsonl"))
        add_clipping(report, history, variant=job.variant, **columns)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.gradients", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="what to measure, as JSON")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders of trained language models")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    prepare(given.threads, "cpu")
    run(filled(Settings, given.settings, "--settings"), given.models, given.tokens, given.out)


if __name__ == "__main__":
    run_command(main)
