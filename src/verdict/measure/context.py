"""``python -m verdict.measure.context``: how much of the text before a piece a language model makes use of.

Takes folders of trained language models and the encoded text; leaves context.json (rows, experiment ``context``): bits
per byte of one and the same set of test pieces, teacher-forced in fp32, in regimes that differ in what the model may
see. A regime is a row's ``variant``; rows are compared within a regime, never across.

- ``truncated``: each piece is predicted from its last ``at`` pieces, read as a text of their own (Khandelwal et al.
  2018); ``beyond_training``: the same with more pieces than the training window.
- ``shuffled``: the window keeps its last ``at`` pieces, those further back change places with one another.
- ``sliding``: the whole training window before each piece (``truncated`` at its end, beside the two that follow).
- ``blockwise``: windows side by side, each begun afresh, as in training and evaluation; ``position``: the loss of all
  pieces of those windows by the number of pieces seen since the window's start (Kaplan et al. 2020, figure 7).
- ``carried``: a state that goes on through the text, for models whose state does not grow with it.

A window of its own for each piece is exact and dear. With ``run`` above 1 up to that many neighbours are predicted from
one window: the last of them sees ``at`` pieces, the others a little less (by an eighth at most), none ever more.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from verdict.arguments import filled, job_of, json_argument
from verdict.device import choose_device, device_name, prepare
from verdict.errors import UserError, run_command
from verdict.measure.curves import cost_to_reach
from verdict.metrics import Report
from verdict.models.families import LanguageModel
from verdict.tokens.arrays import Records, load_array
from verdict.training import store
from verdict.training.settings import Job

#: what is drawn (which pieces, which order) is drawn alike for every model
SEED = 0


@dataclass(frozen=True)
class Settings:
    """What to read."""

    #: places in the test text whose pieces are predicted in every regime
    places: int = 256
    #: pieces in a row at each place
    run: int = 1
    #: contexts longer than the training window, in windows
    beyond: list[int] = field(default_factory=lambda: [2, 4])
    #: last pieces that keep their places when those before them are shuffled
    kept: list[int] = field(default_factory=lambda: [4, 16, 64])
    #: pieces of context that ``far_context_gain`` compares the full window with
    near: int = 16
    #: a context is long enough when its loss is above that of the full window by no more than this share
    within: float = 0.01
    #: parts of the text that a carried state goes through side by side
    streams: int = 32
    #: pieces in a batch
    batch_tokens: int = 8192


def grid(window: int, near: int) -> list[int]:
    """Context lengths up to the window: powers of two, ``near`` and the window itself."""
    return sorted({2**i for i in range(window.bit_length()) if 2**i < window} | {near, window})


def choose(length: int, window: int, before: int, places: int, run: int) -> np.ndarray:
    """Numbers [places × run] of the pieces to predict, ascending: ``run`` in a row at a random place in each of
    ``places`` equal stretches of the text.

    Each has ``before`` pieces before it and lies in a whole window of the block-wise reading of ``length`` pieces.
    Raises ``UserError`` if the text is too short for that.
    """
    end = (length - 1) // window * window + 1
    if end - before < places * run:
        raise UserError(
            f"a test text of {length} pieces is too short to predict {places} × {run} with {before} before each; "
            "lower `places`, `run` or `beyond` or give more text"
        )
    edges = np.linspace(before, end, places + 1).astype(np.int64)
    first = np.random.default_rng(SEED).integers(edges[:-1], edges[1:] - run + 1)
    return (first[:, None] + np.arange(run)).ravel()


def together(context: int, run: int) -> int:
    """How many of a run of pieces are predicted from one window of ``context``: a divisor of the run that leaves the
    first of them more than seven eighths of the context."""
    return max(count for count in range(1, run + 1) if run % count == 0 and count <= max(1, context // 8))


def windows(text: np.ndarray, chosen: np.ndarray, context: int) -> np.ndarray:
    """Chosen pieces [N], each after its last ``context`` pieces: [N, context + 1]."""
    return text[chosen[:, None] + np.arange(-context, 1)]


def shuffle(rows: np.ndarray, kept: int) -> np.ndarray:
    """Rows [N, context + 1] whose last piece and the ``kept`` before it stay; the rest change places, row by row."""
    far = rows.shape[1] - 1 - kept
    mixed = np.random.default_rng((SEED, kept)).permuted(rows[:, :far], axis=1)
    return np.concatenate((mixed, rows[:, far:]), axis=1)


@torch.inference_mode()
def nats(model: LanguageModel, rows: np.ndarray, predicted: int, batch_tokens: int) -> np.ndarray:
    """Negative log-likelihood [N, predicted] of the last pieces of rows [N, T], each read as a text of its own."""
    device = model.embedding.weight.device
    found = []
    for batch in torch.from_numpy(rows).split(max(1, batch_tokens // rows.shape[1])):
        batch = batch.to(device)
        logits = model.logits(model(batch[:, :-1])[:, -predicted:])
        truth = batch[:, -predicted:]
        found.append(F.cross_entropy(logits.flatten(0, 1), truth.flatten(), reduction="none").view_as(truth).cpu())
    return torch.cat(found).double().numpy()


def can_carry(model: LanguageModel) -> bool:
    """Whether the model's state stays as large as it is however long the text."""
    return all(block.mixer.state_floats(1) == block.mixer.state_floats(2) for block in model.decoder.blocks)


@torch.inference_mode()
def carried(model: LanguageModel, text: np.ndarray, chosen: np.ndarray, before: int, streams: int) -> np.ndarray:
    """Negative log-likelihood [N] of the chosen pieces with a state carried from piece to piece.

    The pieces from number ``before`` on are dealt to ``streams`` equal parts, read side by side; each part's state has
    read at least the ``before`` pieces that precede the part (and all of the part) when it predicts.
    """
    device = model.embedding.weight.device
    size = -(-(int(chosen[-1]) + 1 - before) // streams)
    rows, offsets = np.divmod(chosen - before, size)
    steps = before + offsets - 1  # a piece is predicted in the step that reads the one before it
    starts = np.arange(streams) * size
    asked: dict[int, list[int]] = {}
    for number, step in enumerate(steps.tolist()):
        asked.setdefault(step, []).append(number)
    found = np.empty(len(chosen))
    decoding = model.start(streams, max(asked) + 1)
    for step in range(max(asked) + 1):
        # the last part may end with the text, before the others do; what it reads then is not asked for
        pieces = torch.from_numpy(text[np.minimum(starts + step, len(text) - 1)]).to(device)
        hidden, decoding = model.decoder.step(model.embed(pieces), decoding)
        if numbers := asked.get(step):
            truth = torch.from_numpy(text[chosen[numbers]]).to(device)
            loss = F.cross_entropy(model.logits(hidden[rows[numbers].tolist()]), truth, reduction="none")
            found[numbers] = loss.double().cpu().numpy()
    return found


def bits_per_byte(losses: np.ndarray, pieces: np.ndarray, piece_bytes: np.ndarray) -> float:
    """Summed losses (nats) of pieces over the bytes that those stand for."""
    return float(losses.sum()) / math.log(2) / float(piece_bytes[pieces].sum())


def by_position(losses: np.ndarray, blocks: np.ndarray, piece_bytes: np.ndarray) -> dict[int, float]:
    """Bits per byte by pieces seen in the window: bins from 1, 2, 4, … each up to the next, the last to the end.

    ``losses`` [K, T] of all pieces but the first of ``blocks`` [K, T + 1].
    """
    starts = [count for count in grid(losses.shape[1], 1) if count == 1 or count < losses.shape[1]]
    ends = [start - 1 for start in starts[1:]] + [losses.shape[1]]
    return {
        start: bits_per_byte(losses[:, start - 1 : end], blocks[:, start : end + 1], piece_bytes)
        for start, end in zip(starts, ends, strict=True)
    }


def effective_context(losses: dict[int, float], window: int, within: float) -> float:
    """The shortest context whose loss is no more than a share ``within`` above that of the full window.

    Between two contexts that were read, the loss lies on the line over the logarithm of the context.
    """
    points = [{"valid_loss": losses[context], "logarithm": math.log(context)} for context in sorted(losses)]
    return math.exp(cost_to_reach(points, (1 + within) * losses[window], "logarithm"))


def measure(
    report: Report, settings: Settings, model: LanguageModel, text: np.ndarray, piece_bytes: np.ndarray, window: int
) -> None:
    """Add the rows of one model; ``text`` [pieces] int64, ``piece_bytes`` [V]."""
    before = window * max([1, *settings.beyond])
    chosen = choose(len(text), window, before, settings.places, settings.run)

    def add(variant: str, losses: np.ndarray, variable: str = "", at: int | None = None) -> float:
        value = bits_per_byte(losses, text[chosen], piece_bytes)
        report.add("bits_per_byte", value, "bit/byte", "lower", variant=variant, variable=variable, at=at)
        return value

    def after(context: int, kept: int) -> np.ndarray:
        """Losses of the chosen pieces after ``context`` pieces of which the last ``kept`` are in their places."""
        count = together(kept, settings.run)
        rows = windows(text, chosen[count - 1 :: count], context)
        return nats(model, shuffle(rows, kept), count, settings.batch_tokens).ravel()

    seen = {}
    for context in grid(window, settings.near):
        losses = after(context, context)
        seen[context] = add("truncated", losses, "context", context)
    add("sliding", losses)  # the longest of these contexts is the window
    for context in (window * times for times in settings.beyond):
        add("beyond_training", after(context, context), "context", context)
    for kept in settings.kept:
        add("shuffled", after(window, kept), "context", kept)
    blocks = text[np.arange(0, len(text) - window, window)[:, None] + np.arange(window + 1)]
    losses = nats(model, blocks, window, settings.batch_tokens)
    add("blockwise", losses.ravel()[chosen - 1])
    for start, loss in by_position(losses, blocks, piece_bytes).items():
        report.add(
            "bits_per_byte", loss, "bit/byte", "lower", variant="position", variable="position", at=start
        )  # fmt: skip
    if can_carry(model):
        add("carried", carried(model, text, chosen, before, settings.streams))
    effective = effective_context(seen, window, settings.within)
    report.add("effective_context", effective, "token", "neither", variant="truncated")
    report.add("far_context_gain", seen[settings.near] / seen[window], "ratio", "higher", variant="truncated")


def _check(settings: Settings, jobs: Sequence[Job]) -> int:
    """The training window of all jobs; raises ``UserError`` if it is not one or the settings do not go with it."""
    for job in jobs:
        if job.objective != "language_model":
            raise UserError(f"{job.name} is no language model; give `--models` folders of language models alone")
    found = {job.training.window for job in jobs}
    if len(found) > 1:
        raise UserError(f"the models have training windows of {sorted(found)} pieces; measure one window at a time")
    window = found.pop()
    for name, values in (("near", [settings.near]), ("kept", settings.kept)):
        if wrong := [value for value in values if not 1 <= value < window]:
            raise UserError(f"`{name}` holds {wrong[0]}; write numbers from 1 to less than the window of {window}")
    if wrong := [times for times in settings.beyond if times < 2]:
        raise UserError(f"`beyond` holds {wrong[0]}; write whole numbers of windows from 2")
    if least := [name for name in ("places", "run", "streams") if getattr(settings, name) < 1]:
        raise UserError(f"`{least[0]}` is {getattr(settings, least[0])}; write a whole number from 1")
    return window


def run(settings: Settings, folders: Sequence[Path], tokens: Path, out: Path) -> None:
    """Measure the model of each folder and write the rows of all."""
    jobs = [job_of(folder) for folder in folders]
    window = _check(settings, jobs)
    text = np.asarray(Records.open(tokens, "test.text").pieces).astype(np.int64)
    piece_bytes = load_array(tokens / "piece_bytes.npy")
    told = {"context": asdict(settings), "models": [job.name for job in jobs]}
    report = Report("context", told, experiment="context", matching="parameters", implementation="kernel")
    for folder, job in zip(folders, jobs, strict=True):
        device = choose_device(job.device)
        model = store.load(folder).to(device).eval()
        assert isinstance(model, LanguageModel)
        report.common |= {
            "task": job.task, "architecture": job.architecture_name, "replicate": job.seed,
            "device": device_name(device),
        }  # fmt: skip
        measure(report, settings, model, text, piece_bytes, window)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.context", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="the settings as JSON")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders of trained language models")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded text")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    prepare(given.threads, job_of(given.models[0]).device)
    run(filled(Settings, given.settings, "--settings"), given.models, given.tokens, given.out)


if __name__ == "__main__":
    run_command(main)
