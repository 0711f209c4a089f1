"""``python -m verdict.measure.algorithms``: what share of an algorithm's answers a trained model gets right.

Takes folders of models and data/tokens/{task} as ``verdict.tokens.algorithms`` left it; leaves in each evaluation.json
(rows): accuracy by length (trained, twice, four times), by distance back to the answer's earliest cause, and by number
of pairs. With ``--baseline`` it leaves the rows by length and pairs for answers that need no algorithm.
Evaluation is in fp32 with the right earlier outputs shown (teacher forcing), one path for every architecture.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from verdict.arguments import filled, job_of, json_argument
from verdict.device import choose_device, device_name, prepare
from verdict.errors import run_command
from verdict.files import read_json
from verdict.measure.buckets import slope
from verdict.metrics import Report
from verdict.models.families import LanguageModel
from verdict.tokens.arrays import load_array
from verdict.training import store
from verdict.training.batches import Batch, move, open_answers
from verdict.training.outputs import answers

#: gives the answers [M] to what a batch asks
Answerer = Callable[[Batch], Tensor]


@dataclass(frozen=True)
class Settings:
    """How to evaluate."""

    #: records of each test split to read (0: all)
    test_records: int = 0
    #: pieces in a batch
    batch_tokens: int = 8192


class Share(NamedTuple):
    """A share of right answers and where it was measured."""

    variable: str
    at: int
    variant: str
    percent: float


def answer_counts(tokens: Path) -> Tensor:
    """How often each piece is an answer of the training split, [V]."""
    answers, asked = (load_array(tokens / f"train.{name}.npy", mapped=True) for name in ("answers", "where"))
    return torch.from_numpy(np.bincount(answers[asked], minlength=read_json(tokens / "tokens.json")["vocabulary"]))


def guess_answers(counts: Tensor) -> Answerer:
    """Always the most frequent answer (the smallest of equals); ``counts`` [V]."""
    most = int(counts.argmax())

    def answer(batch: Batch) -> Tensor:
        return torch.full_like(batch["truth"], most)

    return answer


def latest_answers(counts: Tensor) -> Answerer:
    """The piece last read that is ever an answer (``counts`` [V]): what it takes to know which pieces are answers, but
    not which is asked. In recall it is the last value, right for one of the pairs."""

    def answer(batch: Batch) -> Tensor:
        tokens = batch["tokens"]
        place = torch.where(counts[tokens] > 0, torch.arange(tokens.shape[1]), 0).cummax(1).values
        return tokens.gather(1, place)[batch["where"]]

    return answer


BASELINES: dict[str, Callable[[Tensor], Answerer]] = {"guess": guess_answers, "latest": latest_answers}


@torch.inference_mode()
def hits(answer: Answerer, batches: Iterator[Batch], device: torch.device) -> np.ndarray:
    """Which answers are right, [M] bool, in the order in which they are asked."""
    moved = (move(batch, device) for batch in batches)
    return np.concatenate([(answer(batch) == batch["truth"]).cpu().numpy() for batch in moved])


def octave(distance: np.ndarray) -> np.ndarray:
    """The largest power of two that is no larger than a distance (0 for 0)."""
    return np.where(distance > 0, 2 ** np.floor(np.log2(np.maximum(distance, 1))), 0).astype(np.int64)


def shares(answer: Answerer, settings: Settings, tokens: Path, device: torch.device) -> Iterator[Share]:
    """The shares of right answers on every test split. Distances are told by octaves: ``at`` is the nearest of each."""
    for split, test in read_json(tokens / "tokens.json")["tests"].items():
        data = open_answers(tokens, split, settings.batch_tokens)
        # a test split holds sequences of one length, so its batches are in the order of the file
        right = hits(answer, data.in_order(settings.test_records), device)
        yield Share(test["variable"], test["at"], test["variant"], 100.0 * float(right.mean()))
        if test["by_distance"]:
            asked = load_array(tokens / f"{split}.where.npy", mapped=True)
            octaves = octave(load_array(tokens / f"{split}.distance.npy", mapped=True)[asked][: len(right)])
            for at in np.unique(octaves).tolist():
                yield Share("distance", at, test["variant"], 100.0 * float(right[octaves == at].mean()))


def run(settings: Settings, folder: Path, tokens: Path) -> None:
    """Evaluate the model in ``folder`` and write evaluation.json there."""
    job = job_of(folder)
    device = choose_device(job.device)
    model = store.load(folder).to(device).eval()
    assert isinstance(model, LanguageModel)
    report = Report(
        f"evaluate/{job.name}", {"evaluation": asdict(settings), "train": job.to_dict()}, experiment="algorithms",
        task=job.task, architecture=job.architecture_name, matching="parameters", replicate=job.seed,
        device=device_name(device), implementation="kernel",
    )  # fmt: skip
    found = list(shares(partial(answers, model), settings, tokens, device))
    for share in found:
        report.add(
            "accuracy", share.percent, "%", "higher", variable=share.variable, at=share.at, variant=share.variant
        )
    for variant, points in _by_distance(found).items():
        if len(points) > 1:
            steepness = slope(list(points), list(points.values()))
            report.add("distance_slope", steepness, "points per doubling", "higher", variant=variant)
    report.write(folder / "evaluation.json")


def _by_distance(found: Iterable[Share]) -> dict[str, dict[float, float]]:
    """Variant → distance (from 1 on) → share of right answers."""
    points: dict[str, dict[float, float]] = {}
    for share in found:
        if share.variable == "distance" and share.at > 0:
            points.setdefault(share.variant, {})[share.at] = share.percent
    return points


def run_baseline(settings: Settings, tokens: Path, out: Path) -> None:
    """Write what each baseline scores on the same splits; the folder bears the task's name."""
    report = Report(
        f"baselines/{tokens.name}", {"settings": asdict(settings)}, experiment="baseline", task=tokens.name,
        architecture="baseline", device="cpu",
    )  # fmt: skip
    counts = answer_counts(tokens)
    for name, make in BASELINES.items():
        for share in shares(make(counts), settings, tokens, torch.device("cpu")):
            # by distance the splits would have to be told apart by the variant, which is the baseline's name
            if share.variable != "distance":
                columns = {"variable": share.variable, "at": share.at, "variant": name}
                report.add("accuracy", share.percent, "%", "higher", **columns)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.algorithms", description=__doc__)
    parser.add_argument("--settings", type=json_argument, default={}, help="how to evaluate, as JSON")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the task")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--models", type=Path, nargs="+", help="folders of trained models of the task")
    what.add_argument("--baseline", type=Path, help="file to write the rows of the baselines to")
    given = parser.parse_args()
    prepare(given.threads, job_of(given.models[0]).device if given.models else "cpu")
    settings = filled(Settings, given.settings, "--settings")
    for folder in given.models or []:
        run(settings, folder, given.tokens)
    if given.baseline:
        run_baseline(settings, given.tokens, given.baseline)


if __name__ == "__main__":
    run_command(main)
