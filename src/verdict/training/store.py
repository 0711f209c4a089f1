"""A trained model on disk: its weights as safetensors and, beside them, what is needed to build it again."""

from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from verdict.errors import UserError
from verdict.files import read_json, replacing, write_json
from verdict.models.families import InnerWidths, Model, build
from verdict.models.settings import Architecture, Shape


def save(folder: Path, model: Model, architecture: Architecture, inner: list[InnerWidths]) -> None:
    """Write model.json and model.safetensors."""
    told = {"architecture": asdict(architecture), "shape": asdict(model.shape), "inner": [list(i) for i in inner]}
    write_json(folder / "model.json", told)
    with replacing(folder / "model.safetensors") as aside:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, aside)


def load(folder: Path) -> Model:
    """Build the model of a folder and read its weights. Raises ``UserError`` if they do not fit."""
    told = read_json(folder / "model.json")
    architecture, shape = Architecture(**told["architecture"]), Shape(**told["shape"])
    model = build(architecture, shape, [InnerWidths(*widths) for widths in told["inner"]])
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder}/model.safetensors does not fit model.json; remove {folder} and run again") from error
    return model
