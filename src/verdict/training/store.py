"""A trained model on disk: its weights as safetensors and, beside them, what is needed to build it again."""

from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor

from verdict.errors import UserError
from verdict.files import read_json, replacing, write_json
from verdict.models.families import InnerWidths, Model, build
from verdict.models.settings import Architecture, Shape


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole or not at all. Raises ``OSError`` (safetensors' own writer hides which)."""
    with replacing(path) as aside:
        aside.write_bytes(as_bytes({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))


def save(folder: Path, model: Model, architecture: Architecture, inner: list[InnerWidths]) -> None:
    """Write model.json and model.safetensors."""
    told = {"architecture": asdict(architecture), "shape": asdict(model.shape), "inner": [list(i) for i in inner]}
    write_json(folder / "model.json", told)
    write_tensors(folder / "model.safetensors", model.state_dict())


def untrained(folder: Path, seed: int | None = None) -> Model:
    """Build the model of a folder with freshly drawn weights: with its run's seed, those that training began with."""
    told = read_json(folder / "model.json")
    architecture, shape = Architecture(**told["architecture"]), Shape(**told["shape"])
    return build(architecture, shape, [InnerWidths(*widths) for widths in told["inner"]], seed)


def load(folder: Path) -> Model:
    """Build the model of a folder and read its weights. Raises ``UserError`` if they do not fit."""
    model = untrained(folder)
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder}/model.safetensors does not fit model.json; remove {folder} and run again") from error
    return model
