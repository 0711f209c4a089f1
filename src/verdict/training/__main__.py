"""``python -m verdict.training``: train one model.

Takes data/tokens/{task} (and the folder of a pretrained encoder); leaves in its folder model.safetensors, model.json,
history.jsonl and metrics.json. Goes on from checkpoint.safetensors, if there is one of the same settings.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from verdict.device import choose_device, choose_precision, device_name, peak_memory, prepare
from verdict.errors import UserError, run_command
from verdict.files import read_json, sha256, write_text
from verdict.metrics import Report
from verdict.models.families import build
from verdict.models.mixers import mixer_class
from verdict.models.settings import Shape
from verdict.models.sizes import count, solve
from verdict.provenance import code_digest
from verdict.training import store
from verdict.training.batches import open_split
from verdict.training.loop import StoppedError, train
from verdict.training.settings import IN_NATS, Job


def run(job: Job, tokens: Path, out: Path, start: Path | None) -> None:
    """Train and write what is left of it. ``start``: the folder of a model whose weights are the beginning."""
    told = read_json(tokens / "tokens.json")
    classes = len(told["labels"]) if job.objective == "classification" else 0
    shape = Shape(job.family, job.width, job.parameters, told["vocabulary"], classes)
    device = choose_device(job.device)
    precision = choose_precision(job.precision, device)
    inner = solve(job.architecture, replace(shape, classes=0))  # a head of classes is no part of the budget
    model = build(job.architecture, shape, inner, job.seed)
    if start:
        _begin_with(model, start)
    model.to(device)
    piece_bytes = torch.from_numpy(np.load(tokens / "piece_bytes.npy")).to(device)
    data, validation = (
        open_split(tokens, job.objective, split, job.training, shape.vocabulary) for split in ("train", "valid")
    )
    parts = count(model)
    sizes = f"{parts['nonembedding']:,} parameters and {parts['embedding']:,} of embedding"
    print(f"{job.name}: {sizes}, {precision} on {device}", file=sys.stderr, flush=True)
    report = Report(
        f"train/{job.name}", job.to_dict(), experiment="training", task=job.task, architecture=job.architecture_name,
        variant=job.variant, matching="parameters", replicate=job.seed, device=device_name(device),
        implementation="kernel",
    )  # fmt: skip
    # a checkpoint of other text, other code or another beginning is not gone on with
    files = [*sorted(tokens.glob("*.npy")), *([start / "model.safetensors"] if start else [])]
    code = code_digest("verdict.training.__main__", mixer_class(job.architecture.mixer).__module__)
    begun_with = " ".join([code, *map(sha256, files)])
    out.mkdir(parents=True, exist_ok=True)
    done = train(job, model, data, validation, piece_bytes, precision, out, begun_with)
    store.save(out, model, job.architecture, inner)
    write_text(out / "history.jsonl", "".join(json.dumps(point) + "\n" for point in done.history))
    metric, unit = ("valid_loss", "nat") if job.objective in IN_NATS else ("valid_bits_per_byte", "bit/byte")
    report.add(metric, done.history[-1]["valid_loss"], unit, "lower")
    report.add("train_tokens", done.tokens, "token", "neither")
    report.add("train_flops", done.flops, "FLOP", "neither")
    report.add("train_seconds", done.seconds, "s", "lower")
    report.add("clipped_share", done.clipped / done.step, "ratio", "neither")
    report.add("peak_memory_bytes", peak_memory(device), "byte", "lower")
    report.add("parameters_nonembedding", parts["nonembedding"], "parameter", "neither")
    report.add("parameters_total", parts["total"], "parameter", "neither")
    report.write(out / "metrics.json")
    (out / "checkpoint.safetensors").unlink(missing_ok=True)


def _begin_with(model: torch.nn.Module, start: Path) -> None:
    """Take over every weight of another model but the classification head."""
    weights = store.load(start).state_dict()
    own = {name: value.shape for name, value in model.state_dict().items() if not name.startswith("classifier.")}
    if own != {name: value.shape for name, value in weights.items() if not name.startswith("classifier.")}:
        raise UserError(f"the model in {start} is of another shape; remove {start} and run again")
    model.load_state_dict({name: value for name, value in weights.items() if name in own}, strict=False)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.training", description=__doc__)
    parser.add_argument("--job", required=True, help="the job as JSON (verdict.training.settings.Job)")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--start", type=Path, help="folder of a model to begin with")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; results depend on it in the last bits")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    given = parser.parse_args()
    prepare(given.threads)
    try:
        run(Job.from_dict(json.loads(given.job)), given.tokens, given.out, given.start)
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(143)
    except FloatingPointError as error:
        raise UserError(f"{error}; lower its learning rate in params.yaml") from error


if __name__ == "__main__":
    run_command(main)
