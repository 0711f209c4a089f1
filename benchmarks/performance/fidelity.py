"""Whether speed costs quality: training as the pipeline does it, step by step beside the same in fp32 by plain code.

Plain code is attention as two products and a softmax, the LSTM as a loop over the positions, and AdamW as a loop over
the weights. Both see the same text in the same order from the same weights.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import cast

import torch

from benchmarks.performance import sizes
from benchmarks.performance.commands import finished
from benchmarks.performance.contest import Built, tell
from benchmarks.performance.plan import PRECISIONS, Plan
from benchmarks.performance.sizes import Size
from benchmarks.performance.table import Row, row
from verdict.files import read_json
from verdict.measure.implementations import implementations
from verdict.models.families import LanguageModel
from verdict.tokens.arrays import load_array
from verdict.training.batches import open_split
from verdict.training.loop import make_optimizer, train_step
from verdict.training.objectives import OBJECTIVES

SECTION = "fidelity"
#: the plain implementation of each of ours
PLAIN = {"transformer": "written_out", "lstm": "loop"}
#: losses are compared as means over so many steps
WINDOW = 20


def parts(plan: Plan, folder: Path) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One architecture each."""
    for name in PLAIN:
        yield name, partial(compare, name, plan, folder)


def losses(name: str, size: Size, tokens: Path, precision: str, plain: bool, steps: int) -> Built:
    """A worker that only trains: the loss of every step, in nats."""
    job = sizes.job(name, size)
    training = replace(job.training, window=size.length, batch_tokens=size.tokens)
    data = open_split(tokens, job.objective, "train", training, size.vocabulary)
    model = cast(LanguageModel, sizes.model(name, size))
    if plain:
        model = implementations(model)[PLAIN[name]]
    optimizer = make_optimizer(model, training)
    if plain:
        groups = [
            {"params": group["params"], "weight_decay": group["weight_decay"]} for group in optimizer.param_groups
        ]
        kept = {name: optimizer.defaults[name] for name in ("lr", "betas", "eps")}
        optimizer = torch.optim.AdamW(groups, **kept, fused=False, foreach=False)
    piece_bytes = torch.from_numpy(load_array(tokens / "piece_bytes.npy"))
    batches = itertools.chain.from_iterable(data.epoch(0, number) for number in itertools.count())
    found = []
    for batch in itertools.islice(batches, steps):
        cost, _ = train_step(
            model.train(), batch, OBJECTIVES[job.objective], piece_bytes, optimizer, precision, training.clip
        )
        found.append(float(cost.nats.detach()) / cost.predicted)
    return {}, {"losses": found}


def compare(name: str, plan: Plan, folder: Path) -> list[Row]:
    """How far the losses of the pipeline's way lie from those of plain fp32, at most and at the end."""
    tokens = finished(plan, folder) / "data/tokens/lm"
    vocabulary = int(read_json(tokens / "tokens.json")["vocabulary"])
    size = plan.size("language_model", plan.widths[0], plan.faithful_length, vocabulary=vocabulary)
    told = {
        (precision, plain): _means(
            tell(losses, name, size, tokens, precision, plain, plan.faithful_steps, threads=plan.threads)["losses"]
        )
        for precision, plain in [("fp32", True), *((precision, False) for precision in PRECISIONS)]
    }
    reference = told.pop(("fp32", True))
    found = []
    for (precision, _), means in told.items():
        columns = {"precision": precision, "threads": plan.threads, **size.columns}
        apart = [abs(one - other) / other for one, other in zip(means, reference, strict=True)]
        note = f"means over {WINDOW} of {plan.faithful_steps} steps; plain fp32 ends at {reference[-1]:.4f} nats"
        found += [
            row(SECTION, name, "plain fp32", "largest relative difference of losses", [max(apart)], "share",
                note=note, **columns),
            row(SECTION, name, "plain fp32", "relative difference of losses at the end",
                [means[-1] / reference[-1] - 1], "share", note=note, **columns),
        ]  # fmt: skip
    return found


def _means(values: list[float]) -> list[float]:
    """Means over successive steps."""
    return [fmean(values[at : at + WINDOW]) for at in range(0, len(values), WINDOW)]
