"""Training runs: from a job to the files that are left of it."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from verdict.device import choose_device, choose_precision, device_name, forget_peak_memory
from verdict.errors import UserError
from verdict.files import read_json, sha256, write_text
from verdict.metrics import Report
from verdict.models.families import InnerWidths, Model, build
from verdict.models.mixers import mixer_class
from verdict.models.settings import Shape
from verdict.models.sizes import count, solve
from verdict.provenance import code_digest
from verdict.tokens.arrays import load_array
from verdict.training import checkpoint, store
from verdict.training.batches import open_split
from verdict.training.checkpoint import Progress
from verdict.training.loop import freeze, lowest, train
from verdict.training.outputs import OUTPUTS, Questions, questions
from verdict.training.settings import IN_NATS, Job


@dataclass(frozen=True)
class Trained:
    """A run that has reached its budget; ``model`` holds the averaged weights that were best on validation."""

    model: Model
    inner: list[InnerWidths]
    progress: Progress
    device: torch.device
    questions: Questions | None


def fit(job: Job, tokens: Path, folder: Path, start: Path | None = None) -> Trained:
    """Train, keeping a checkpoint in ``folder``. ``start``: the folder of a model whose weights are the beginning."""
    told = read_json(tokens / "tokens.json")
    classes = len(told["labels"]) if job.objective == "classification" else 0
    shape = Shape(job.family, job.width, job.parameters, told["vocabulary"], classes)
    device = choose_device(job.device)
    forget_peak_memory(device)  # of the run before, where one process does several
    precision = choose_precision(job.precision, device)
    inner = solve(job.architecture, replace(shape, classes=0))  # a head of classes is no part of the budget
    model = build(job.architecture, shape, inner, job.seed)
    if start:
        _begin_with(model, start)
    model.to(device)
    if job.training.frozen:
        freeze(model)
    piece_bytes = torch.from_numpy(load_array(tokens / "piece_bytes.npy")).to(device)
    data = open_split(tokens, job.objective, "train", job.training, shape.vocabulary, job.training.records, job.seed)
    validation = open_split(tokens, job.objective, "valid", job.training, shape.vocabulary)
    parts = count(model)
    sizes = f"{parts['nonembedding']:,} parameters and {parts['embedding']:,} of embedding"
    print(f"{job.name}: {sizes}, {precision} on {device}", file=sys.stderr, flush=True)
    # a checkpoint of other text, other code or another beginning is not gone on with
    files = [*sorted(tokens.glob("*.npy")), *([start / "model.safetensors"] if start else [])]
    code = code_digest("verdict.training.runs", mixer_class(job.architecture.mixer).__module__)
    begun_with = " ".join([code, *map(sha256, files)])
    folder.mkdir(parents=True, exist_ok=True)
    asked = questions(job, tokens, device)
    progress = train(job, model, data, validation, piece_bytes, precision, folder, begun_with, asked)
    return Trained(model, inner, progress, device, asked)


def run(job: Job, tokens: Path, out: Path, start: Path | None = None) -> None:
    """Train and write what is left of it; the checkpoint stays beside it."""
    report = Report(
        f"train/{job.name}", job.to_dict(), experiment="training", matching="parameters", implementation="kernel",
        **job.columns,
    )  # fmt: skip
    trained = fit(job, tokens, out, start)
    done, parts = trained.progress, count(trained.model)
    store.save(out, trained.model, job.architecture, trained.inner)
    write_text(out / "history.jsonl", "".join(json.dumps(point) + "\n" for point in done.history))
    write_text(out / OUTPUTS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _said(trained)))
    report.common["device"] = device_name(trained.device)
    report.add(value=lowest(done.history), better="lower", **validation_metric(job))
    report.add("train_tokens", done.tokens, "token", "neither")
    report.add("train_flops", done.flops, "FLOP", "neither")
    report.add("train_seconds", done.seconds, "s", "lower")
    report.add("clipped_share", done.clipped / done.step, "ratio", "neither")
    if done.diverged:
        report.add("diverged_at_step", done.diverged, "step", "neither")
    report.add("peak_memory_bytes", done.peak_memory, "byte", "lower")
    report.add("parameters_nonembedding", parts["nonembedding"], "parameter", "neither")
    report.add("parameters_total", parts["total"], "parameter", "neither")
    report.write(out / "metrics.json")


def _said(trained: Trained) -> Iterator[dict[str, Any]]:
    """Each question with its reference and what the model of each validation said to it."""
    references = trained.questions.references if trained.questions else {}
    for place, (number, reference) in enumerate(references.items()):
        said = [outputs[place] for outputs in trained.progress.outputs]
        yield {"record": number, "reference": reference, "outputs": said}


def run_all(jobs: Sequence[Job], tokens: Path, runs: Path, start: str | None) -> None:
    """Train every job into {runs}/{its name}; ``start`` names the stage whose models are the beginnings."""
    for job in jobs:
        before = runs / start / job.architecture_name / f"s{job.seed}" if start else None
        run(job, tokens, runs / job.name, before)
    for job in jobs:
        for file in checkpoint.files(runs / job.name / checkpoint.NAME):
            file.unlink(missing_ok=True)


def validation_metric(job: Job) -> dict[str, str]:
    """Name and unit of the loss on validation; predictions that stand for no bytes are counted one by one."""
    if job.objective in IN_NATS:
        return {"metric": "valid_loss", "unit": "nat"}
    return {"metric": "valid_bits_per_byte", "unit": "bit/byte"}


def tuned(job: Job, tuning: Path) -> Job:
    """The job with what tuning has chosen for its architecture."""
    chosen = read_json(tuning)["chosen"]
    return replace(
        job,
        training=replace(job.training, learning_rate=chosen["learning_rate"]),
        architecture=replace(job.architecture, dropout=chosen["dropout"]),
    )


def _begin_with(model: torch.nn.Module, start: Path) -> None:
    """Take over every weight of another model but the classification head."""
    weights = store.load(start).state_dict()
    own = {name: value.shape for name, value in model.state_dict().items() if not name.startswith("classifier.")}
    if own != {name: value.shape for name, value in weights.items() if not name.startswith("classifier.")}:
        raise UserError(f"the model in {start} is of another shape; remove {start} and run again")
    model.load_state_dict({name: value for name, value in weights.items() if name in own}, strict=False)
