"""A training run's whole state in one safetensors file, written aside and renamed: it is there whole or not at all.

The checkpoint before it stays beside it, for files rot: what does not have the digest that was written with it is told
and passed over, and the one before is gone on with, to the same result.
"""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from verdict.training.averaging import Average
from verdict.training.store import write_tensors


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # batches of the epoch already seen
    tokens: int = 0
    flops: int = 0
    seconds: float = 0.0
    #: bytes, the most of any process that had a part in the run
    peak_memory: int = 0
    clipped: int = 0
    #: the step at which the loss was no longer finite; 0 while it is
    diverged: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    #: what the model of each validation said to the questions, in their order; nothing where none are asked
    outputs: list[list[str]] = field(default_factory=list)
    #: since the last validation: loss, predictions, gradient norms, clipped steps (all summed), steps
    tally: Tensor = field(default_factory=lambda: torch.zeros(5, dtype=torch.float64))


#: in a run's folder
NAME = "checkpoint.safetensors"
#: what is added to the name of the one before it
PREVIOUS = ".previous"


def files(path: Path) -> tuple[Path, Path]:
    """A run's checkpoint and the one before it."""
    return path, path.with_name(path.name + PREVIOUS)


def save(
    path: Path, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average, now: Progress
) -> None:
    """Write weights, optimizer, average, random state and progress; the checkpoint that was there becomes the one
    before."""
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    for i, (name, parameter) in enumerate(model.named_parameters()):
        tensors[f"weight.{name}"] = parameter.detach()
        tensors[f"average.{name}"] = average.values[i]
        tensors[f"kept.{name}"] = average.kept[i]
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors["tally"] = now.tally
    told = {name: value for name, value in vars(now).items() if name != "tally"}
    metadata = {"fingerprint": fingerprint, "progress": json.dumps(told)}
    metadata["digest"] = _digest(tensors, metadata)
    last, before = files(path)
    if last.exists():
        last.replace(before)
    write_tensors(last, tensors, metadata)


def load(
    path: Path, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average
) -> Progress | None:
    """Put the state of the last checkpoint that is whole in place and say where it stands.

    None if there is none of these settings. A damaged file is told on the standard error and passed over.
    """
    for file in files(path):
        if not file.exists():
            continue
        try:
            metadata, tensors = _read(file)
        except (SafetensorError, OSError, ValueError) as error:
            print(f"{file} is damaged ({error}); it is passed over", file=sys.stderr, flush=True)
            continue
        if metadata.get("fingerprint") != fingerprint:
            return None
        _put(tensors, model, optimizer, average)
        return Progress(**json.loads(metadata["progress"]), tally=tensors["tally"])
    return None


def _read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors; raises ``ValueError`` if they are not what was written."""
    with safe_open(file, "pt") as opened:
        metadata = dict(opened.metadata() or {})
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not iterable itself)
    if metadata.pop("digest", "") != _digest(tensors, metadata):
        raise ValueError("its digest is another")
    return metadata, tensors


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    told = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        content = tensor.detach().cpu().contiguous().reshape(-1)
        told.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        told.update(content.view(torch.uint8).numpy().tobytes())
    return told.hexdigest()


@torch.no_grad()
def _put(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer, average: Average) -> None:
    for i, (name, parameter) in enumerate(model.named_parameters()):
        parameter.copy_(tensors[f"weight.{name}"])
        average.values[i].copy_(tensors[f"average.{name}"])
        average.kept[i].copy_(tensors[f"kept.{name}"])
        if f"optimizer.step.{name}" not in tensors:
            continue  # frozen
        # the fused optimizer keeps its step beside the parameter
        optimizer.state[parameter] = {
            key: tensors[f"optimizer.{key}.{name}"].to(parameter.device) for key in ("step", "exp_avg", "exp_avg_sq")
        }
    torch.set_rng_state(tensors["random"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
