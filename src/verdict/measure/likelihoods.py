"""``python -m verdict.measure.likelihoods``: how far a ratio of bits per byte hangs on which text was held out.

Takes the folders of all runs of a task that forecast text, its encoded task and its corpus; leaves {task}.json (rows):
for every pair of architectures of a size the standard error of the logarithm of their ratio, averaged over seeds, that
is due to the sample of held-out text and that the spread over seeds does not show, since all seeds are evaluated on the
same text. It is found as ``verdict.measure.items`` finds that of scores: what was held out together is drawn together,
the same for every run.

Of the test split, and of the records of the validation split that validations read. The model that a run leaves (the
best on validation) is evaluated on each group by the one evaluation path; what all groups come to must be what was told
of the whole. Its error stands for the run's whole learning curve, and so for what is read off it at equal cost.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from verdict.arguments import filled, job_of, json_argument
from verdict.device import choose_device, device_name, prepare
from verdict.errors import UserError, run_command
from verdict.files import read_json
from verdict.measure import items
from verdict.metrics import LOG_RATIO, Report, read_rows
from verdict.tokens.arrays import Records, encoded_records, load_array
from verdict.training import store
from verdict.training.batches import Batch, Windows, masked, pairs, spread
from verdict.training.loop import evaluate
from verdict.training.objectives import OBJECTIVES
from verdict.training.settings import IN_NATS, Job

#: the metric that the evaluation on each split tells, and in which file
METRICS = {"valid": ("valid_bits_per_byte", "metrics.json"), "test": ("bits_per_byte", "evaluation.json")}
#: groups that records which stand alone are dealt to: that tells their error hardly less well (random groups: Wolter
#: 2007, chapter 2) and is evaluated faster
MOST = 25
#: by how much the groups together may differ from the whole, which was batched otherwise
TOLERANCE = 1e-3

#: architecture -> seed -> logarithm of the loss in each sample
Logarithms = dict[str, dict[int, np.ndarray]]


@dataclass(frozen=True)
class Settings:
    """What to draw anew."""

    task: str
    #: stages whose models are evaluated on the test split, and the records read there (0: all)
    test_records: dict[str, int] = field(default_factory=dict)
    #: samples of the held-out text that are drawn
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Losses:
    """A model's losses on each group of held-out text."""

    architecture: str
    replicate: int
    variant: str
    #: [groups], summed; 0 for a group of which nothing was read
    nats: np.ndarray


def dealt(groups: Sequence[str | None], seed: int, most: int = MOST) -> np.ndarray:
    """The number of each record's group, from 0. Records that stand alone are dealt to ``most`` groups at random."""
    if None not in groups:
        return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1])
    return np.asarray(np.random.default_rng(seed).permutation(len(groups)) % most)


def batches_of_windows(records: Records, job: Job, read: int, member: np.ndarray) -> Iterator[tuple[int, Batch]]:
    """A language model's windows, each of the group in which it begins."""
    windows = Windows(records, job.training.window, job.training.batch_tokens)
    starts = np.arange(0, len(records.pieces) - job.training.window, job.training.window)
    starts = starts[spread(len(starts), read)]
    groups = member[np.searchsorted(records.ends, starts, side="right")]
    done = 0
    for batch in windows.in_order(read):
        here = groups[done : done + len(batch["tokens"])]
        done += len(here)
        for group in np.unique(here):
            yield int(group), {"tokens": batch["tokens"][torch.from_numpy(here == group)]}


def batches_of_records(
    tokens: Path, job: Job, split: str, read: int, member: np.ndarray, vocabulary: int
) -> Iterator[tuple[int, Batch]]:
    """The records of each group by themselves."""
    fields = ("source", "target") if job.objective == "sequence_pairs" else ("text",)
    opened = [Records.open(tokens, f"{split}.{name}") for name in fields]
    # nothing is hidden in a text that is nothing but its END
    there = np.arange(len(opened[0])) if len(opened) == 2 else np.flatnonzero(opened[0].lengths > 1)
    there = there[spread(len(there), read)]
    for group in np.unique(member[there]):
        own = [records.take(there[member[there] == group]) for records in opened]
        if len(own) == 2:
            source = pairs(own[0], own[1], job.training.batch_tokens)
        else:
            source = masked(own[0], vocabulary, job.training.masked, job.training.batch_tokens)
        for batch in source.in_order():
            yield int(group), batch


def losses(folder: Path, job: Job, split: str, read: int, tokens: Path, member: np.ndarray) -> Losses:
    """A run's model on each group of the records of a split of which it reads ``read``.

    Raises ``UserError`` if the groups together do not come to what was told of the whole.
    """
    device = choose_device(job.device)
    model = store.load(folder).to(device).eval()
    piece_bytes = torch.from_numpy(load_array(tokens / "piece_bytes.npy")).to(device)
    nats, told = np.zeros(member.max() + 1), 0
    if job.objective == "language_model":
        batches = batches_of_windows(Records.open(tokens, f"{split}.text"), job, read, member)
    else:
        vocabulary = read_json(tokens / "tokens.json")["vocabulary"]
        batches = batches_of_records(tokens, job, split, read, member, vocabulary)
    for group, batch in batches:
        totals = evaluate(model, iter([batch]), OBJECTIVES[job.objective], piece_bytes)
        nats[group] += totals["nats"]
        told += int(totals["bytes"])
    metric, file = METRICS[split]
    whole = next(row["value"] for row in read_rows(folder / file) if row["metric"] == metric)
    found = nats.sum() / math.log(2) / told
    # what is hidden of a text is drawn by batch, so that a masked encoder has other questions here
    if job.objective != "masked" and abs(found / whole - 1) > TOLERANCE:
        raise UserError(
            f"the model of {folder} needs {found:.5f} bits per byte of the {split} split, but its {file} says "
            f"{whole:.5f}; remove {folder / file} and run again"
        )
    return Losses(job.architecture_name, job.seed, job.variant, nats)


def logarithms(found: Sequence[Losses], settings: Settings) -> Logarithms:
    """The logarithm of the loss in each sample of the groups that were read, by architecture and seed."""
    read = found[0].nats > 0
    counts = items.resamples(range(int(read.sum())), settings.resamples, settings.seed)
    scores: Logarithms = {}
    for each in found:
        if each.replicate in scores.setdefault(each.architecture, {}):
            raise UserError(f"--models has {each.architecture}, seed {each.replicate}, twice; name each run once")
        scores[each.architecture][each.replicate] = np.log(counts @ each.nats[read])
    return scores


def run(settings: Settings, folders: Sequence[Path], out: Path, tokens: Path, corpus: Path) -> None:
    """Evaluate the models of a task on each group and write the rows."""
    jobs = {folder: job_of(folder) for folder in folders}
    if wrong := [folder for folder, job in jobs.items() if job.objective in IN_NATS]:
        raise UserError(f"--models has {wrong[0]}, whose loss is not told in bits per byte; leave it out")
    device = device_name(choose_device(next(iter(jobs.values())).device))
    report = Report(
        f"likelihoods/{settings.task}", {"settings": asdict(settings)}, experiment="items", task=settings.task,
        device=device,
    )  # fmt: skip
    for split, (metric, _) in METRICS.items():
        records = encoded_records(corpus, tokens, split)
        member = dealt([record.get("group") for record in records], settings.seed)
        alike: dict[tuple[Any, ...], list[Losses]] = {}
        for folder, job in jobs.items():
            if split == "test" and job.stage not in settings.test_records:
                continue
            read = settings.test_records[job.stage] if split == "test" else job.training.validation_records
            print(f"{folder}: {split}", flush=True)
            # what was trained longer errs elsewhere, and is compared with nothing of another stage
            key = job.size, job.objective, job.training.window, read, job.training.budget_tokens
            alike.setdefault(key, []).append(losses(folder, job, split, read, tokens, member))
        told: set[tuple[str, ...]] = set()
        for (size, *_), found in alike.items():
            _tell(report, metric, size, found, settings, told)
    report.write(out)


def _tell(
    report: Report, metric: str, size: str, found: Sequence[Losses], settings: Settings, told: set[tuple[str, ...]]
) -> None:
    """The rows of models of a size that read the same groups: of each variant its own pairs, and under no variant those
    of all that were not ``told`` yet, as they stand together in what is read off learning curves (the ladder)."""
    groups = items.effective(found[0].nats[found[0].nats > 0])
    if groups < 2:
        return  # of one group nobody knows what another would have said
    by_variant: dict[str, list[Losses]] = {}
    for each in sorted(found, key=lambda each: each.variant):
        by_variant.setdefault(each.variant, []).append(each)
    together: Logarithms = {}
    for variant, own in by_variant.items():
        scores = logarithms(own, settings)
        together = {**scores, **together}  # whoever stands in several variants counts as in the first of them
        if variant:
            items.tell(report, metric, scores, LOG_RATIO, groups, size=size, variant=variant)
    if "" not in by_variant:
        return
    # whom another stage of this size and no variant has compared already, is compared there
    for pair in combinations(sorted(together), 2):
        if (size, *pair) not in told:
            told.add((size, *pair))
            items.tell(report, metric, {name: together[name] for name in pair}, LOG_RATIO, groups, size=size)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.likelihoods", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="the settings as JSON")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders of all runs of a task")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    prepare(given.threads, job_of(given.models[0]).device)
    run(filled(Settings, given.settings, "--settings"), given.models, given.out, given.tokens, given.corpus)


if __name__ == "__main__":
    run_command(main)
