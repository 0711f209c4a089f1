"""A training run's whole state in one safetensors file, written aside and renamed: it is there whole or not at all."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from verdict.errors import UserError
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
    clipped: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    #: since the last validation: loss, predictions, gradient norms, clipped steps (all summed), steps
    tally: Tensor = field(default_factory=lambda: torch.zeros(5, dtype=torch.float64))


def save(
    path: Path, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average, now: Progress
) -> None:
    """Write weights, optimizer, average, random state and progress."""
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    for i, (name, parameter) in enumerate(model.named_parameters()):
        tensors[f"weight.{name}"] = parameter.detach()
        tensors[f"average.{name}"] = average.values[i]
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors["tally"] = now.tally
    told = {name: value for name, value in vars(now).items() if name != "tally"}
    metadata = {"fingerprint": fingerprint, "progress": json.dumps(told)}
    write_tensors(path, tensors, metadata)


def load(
    path: Path, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average
) -> Progress | None:
    """Put a checkpoint's state in place and say where it stands; None if there is none of these settings.

    Raises ``UserError`` for a damaged file.
    """
    if not path.exists():
        return None
    try:
        opened = safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it and run again") from error
    with opened as file:
        metadata = file.metadata() or {}
        if metadata.get("fingerprint") != fingerprint:
            return None
        names = set(file.keys())
        with torch.no_grad():
            for i, (name, parameter) in enumerate(model.named_parameters()):
                parameter.copy_(file.get_tensor(f"weight.{name}"))
                average.values[i].copy_(file.get_tensor(f"average.{name}"))
                if f"optimizer.step.{name}" not in names:
                    continue  # frozen
                optimizer.state[parameter] = {
                    key: file.get_tensor(f"optimizer.{key}.{name}").to("cpu" if key == "step" else parameter.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
                if parameter.device.type == "cuda":  # the fused optimizer keeps its step beside the parameter
                    optimizer.state[parameter]["step"] = optimizer.state[parameter]["step"].to(parameter.device)
        torch.set_rng_state(file.get_tensor("random"))
        if torch.cuda.is_available() and "random.cuda" in file.keys():  # noqa: SIM118 (safe_open has no `in`)
            torch.cuda.set_rng_state(file.get_tensor("random.cuda"))
        return Progress(**json.loads(metadata["progress"]), tally=file.get_tensor("tally"))
