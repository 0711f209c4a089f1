"""A trained model on disk: its weights as safetensors and, beside them, what is needed to build it again."""

import os
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor

from verdict.arguments import filled
from verdict.errors import UserError
from verdict.files import read_json, replacing, write_json
from verdict.models.families import InnerWidths, Model, build
from verdict.models.settings import MIXERS, Architecture, Shape

#: import paths of the mixers that the user's own params.yaml names, with blanks between; the workflow sets it
NAMED = "VERDICT_MIXERS"


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole or not at all. Raises ``OSError`` (safetensors' own writer hides which)."""
    with replacing(path) as aside:
        aside.write_bytes(as_bytes({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))


def save(folder: Path, model: Model, architecture: Architecture, inner: list[InnerWidths]) -> None:
    """Write model.json and model.safetensors."""
    told = {"architecture": asdict(architecture), "shape": asdict(model.shape), "inner": [list(i) for i in inner]}
    write_json(folder / "model.json", told)
    write_tensors(folder / "model.safetensors", model.state_dict())


def described(folder: Path) -> tuple[Architecture, Shape, list[InnerWidths]]:
    """What model.json says of the model of a folder.

    Raises ``UserError`` if it is damaged, or names a mixer by an import path that is not the user's own: a model may
    come from somebody else, and its file must not choose what code is run.
    """
    path = folder / "model.json"
    told = read_json(path)
    architecture = filled(Architecture, told["architecture"], f"{path}: architecture")
    if architecture.mixer not in MIXERS and architecture.mixer not in os.environ.get(NAMED, "").split():
        raise UserError(
            f"{path} names the mixer '{architecture.mixer}', which params.yaml does not, so its code is not run; "
            f"if you trust it, set {NAMED} to this name"
        )
    try:
        inner = [InnerWidths(*map(int, widths)) for widths in told["inner"]]
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: 'inner' holds no pairs of widths; remove {folder} and run again") from error
    return architecture, filled(Shape, told["shape"], f"{path}: shape"), inner


def untrained(folder: Path, seed: int | None = None) -> Model:
    """Build the model of a folder with freshly drawn weights: with its run's seed, those that training began with."""
    return build(*described(folder), seed)


def load(folder: Path) -> Model:
    """Build the model of a folder and read its weights. Raises ``UserError`` if they do not fit."""
    model = untrained(folder)
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder}/model.safetensors does not fit model.json; remove {folder} and run again") from error
    return model
