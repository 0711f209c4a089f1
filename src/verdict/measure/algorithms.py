"""``python -m verdict.measure.algorithms``: what share of an algorithm's answers a trained model gets right.

Takes folders of models and data/tokens/{task} as ``verdict.tokens.algorithms`` left it; leaves in each evaluation.json
(rows): accuracy by length (trained, twice, four times), by distance back to the answer's earliest cause, and by number
of pairs. With ``--baseline`` it leaves the rows by length and pairs for guessing the most frequent answer.
Evaluation is in fp32 with the right earlier outputs shown (teacher forcing), one path for every architecture.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from verdict.device import choose_device, device_name, prepare
from verdict.errors import run_command
from verdict.files import read_json
from verdict.metrics import Report
from verdict.models.families import LanguageModel
from verdict.training import store
from verdict.training.batches import Batch, open_answers
from verdict.training.loop import move
from verdict.training.settings import Job

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


def model_answers(model: LanguageModel) -> Answerer:
    """The model's most probable pieces."""

    def answer(batch: Batch) -> Tensor:
        return model.logits(model(batch["tokens"])[batch["where"]]).argmax(-1)

    return answer


def guess_answers(tokens: Path) -> Answerer:
    """Always the most frequent answer of the training split (the smallest of equals)."""
    asked = np.load(tokens / "train.where.npy", mmap_mode="r")
    most = int(np.bincount(np.load(tokens / "train.answers.npy", mmap_mode="r")[asked]).argmax())

    def answer(batch: Batch) -> Tensor:
        return torch.full_like(batch["truth"], most)

    return answer


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
            asked = np.load(tokens / f"{split}.where.npy", mmap_mode="r")
            octaves = octave(np.load(tokens / f"{split}.distance.npy", mmap_mode="r")[asked][: len(right)])
            for at in np.unique(octaves).tolist():
                yield Share("distance", at, test["variant"], 100.0 * float(right[octaves == at].mean()))


def run(settings: Settings, folder: Path, tokens: Path) -> None:
    """Evaluate the model in ``folder`` and write evaluation.json there."""
    job = Job.from_dict(read_json(folder / "metrics.json")["job"])
    device = choose_device(job.device)
    model = store.load(folder).to(device).eval()
    assert isinstance(model, LanguageModel)
    report = Report(
        f"evaluate/{job.name}", {"evaluation": asdict(settings), "train": job.to_dict()}, experiment="algorithms",
        task=job.task, architecture=job.architecture_name, matching="parameters", replicate=job.seed,
        device=device_name(device), implementation="kernel",
    )  # fmt: skip
    for share in shares(model_answers(model), settings, tokens, device):
        report.add(
            "accuracy", share.percent, "%", "higher", variable=share.variable, at=share.at, variant=share.variant
        )
    report.write(folder / "evaluation.json")


def run_baseline(settings: Settings, tokens: Path, out: Path) -> None:
    """Write what guessing scores on the same splits."""
    task = read_json(tokens / "tokens.json")["settings"]["task"]
    report = Report(
        f"baselines/{task}", {"settings": asdict(settings)}, experiment="baseline", task=task,
        architecture="baseline", variant="guess", device="cpu",
    )  # fmt: skip
    for share in shares(guess_answers(tokens), settings, tokens, torch.device("cpu")):
        if share.variable != "distance":  # a guess looks at nothing, near or far
            report.add("accuracy", share.percent, "%", "higher", variable=share.variable, at=share.at)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.algorithms", description=__doc__)
    parser.add_argument("--settings", type=json.loads, default={}, help="how to evaluate, as JSON")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the task")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--models", type=Path, nargs="+", help="folders of trained models of the task")
    what.add_argument("--baseline", type=Path, help="file to write the rows of guessing to")
    given = parser.parse_args()
    prepare(given.threads)
    settings = Settings(**given.settings)
    for folder in given.models or []:
        run(settings, folder, given.tokens)
    if given.baseline:
        run_baseline(settings, given.tokens, given.baseline)


if __name__ == "__main__":
    run_command(main)
