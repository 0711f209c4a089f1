"""Files that come from somebody else run nothing: pickles in the place of weights, and models that name code."""

import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny
import torch

from verdict.court import evidence
from verdict.errors import UserError
from verdict.tokens import tokenizer
from verdict.tokens.arrays import load_array
from verdict.training import checkpoint, store
from verdict.training.averaging import Average


class Planted:
    """What a pickle is made of that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def pickled(path: Path) -> bytes:
    return pickle.dumps(Planted(path))


def torch_saved(path: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weights": Planted(path)}, buffer)
    return buffer.getvalue()


def npy(path: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Planted(path)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def npz(path: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", npy(path))
    return buffer.getvalue()


FORMS = (pickled, torch_saved, npy, npz)


@pytest.mark.parametrize("form", FORMS)
def test_the_plants_would_grow(tmp_path: Path, form: Callable[[Path], bytes]) -> None:
    """Or the tests below would hold of anything."""
    planted, data = tmp_path / "planted", form(tmp_path / "planted")
    if form is pickled:
        pickle.loads(data)
    elif form is torch_saved:
        torch.load(io.BytesIO(data), weights_only=False)
    else:
        found = np.load(io.BytesIO(data), allow_pickle=True)
        found["a"] if form is npz else found
    assert planted.exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_pickle_in_the_place_of_anything_is_told_and_not_run(
    world: Path, tmp_path: Path, form: Callable[[Path], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = tmp_path / "s0", form(tmp_path / "planted")
    shutil.copytree(world / "runs/lm/lstm/s0", folder)
    for name in ("model.safetensors", checkpoint.NAME, "pieces.npy", "evidence.parquet", "tokenizer.json"):
        (folder / name).write_bytes(data)
    for read in (
        lambda: store.load(folder),
        lambda: load_array(folder / "pieces.npy"),
        lambda: load_array(folder / "pieces.npy", mapped=True),
        lambda: evidence.read(folder / "evidence.parquet"),
        lambda: tokenizer.load(folder / "tokenizer.json"),
    ):
        with pytest.raises(UserError):
            read()
    model = tiny.model("lstm", "language_model")
    state = torch.optim.AdamW(model.parameters()), Average(list(model.parameters()))
    assert checkpoint.load(folder / checkpoint.NAME, "any", model, *state) is None
    assert "is damaged" in capsys.readouterr().err
    assert not (tmp_path / "planted").exists()


def foreign(world: Path, folder: Path, mixer: str) -> Path:
    """A model of somebody else, whose model.json names a mixer; beside it lies a module."""
    shutil.copytree(world / "runs/lm/lstm/s0", folder)
    told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    told["architecture"]["mixer"] = mixer
    (folder / "model.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "evil.py").write_text(
        "import pathlib; pathlib.Path(__file__).with_name('planted').touch()\n"
        "from verdict.models.mixers.lstm import LSTM as Mine\n",
        encoding="utf-8",
    )
    return folder


def test_a_model_from_elsewhere_does_not_choose_what_code_is_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = foreign(world, tmp_path / "s0", "evil:Mine")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv(store.NAMED, raising=False)
    with pytest.raises(UserError, match=r"model\.json names the mixer 'evil:Mine', which params\.yaml does not"):
        store.load(folder)
    monkeypatch.setenv(store.NAMED, "other:Mine evil:Other")
    with pytest.raises(UserError, match="VERDICT_MIXERS"):
        store.untrained(folder)
    assert "evil" not in sys.modules
    assert not (folder / "planted").exists()
    monkeypatch.setenv(store.NAMED, "other:Mine evil:Mine")
    store.load(folder)
    assert (folder / "planted").exists()


def test_tables_that_are_none_of_ours_are_told(tmp_path: Path) -> None:
    """A Parquet file may hold binary values, which stay bytes."""
    planted = tmp_path / "planted"
    pl.DataFrame({"value": [pickled(planted)]}).write_parquet(tmp_path / "e.parquet")
    with pytest.raises(UserError, match=r"e\.parquet"):
        evidence.read(tmp_path / "e.parquet")
    assert not planted.exists()
