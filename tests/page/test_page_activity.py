"""What models do inside, as the page takes it in: whole, or one sentence that names the file."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import ACTIVITY

from verdict.errors import UserError
from verdict.page import inputs


def read(built: dict[str, Path], *activity: Path) -> inputs.Inputs:
    return inputs.read(
        built["evidence"], built["history"], built["verdict"], built["claims"], activity=activity
    )  # fmt: skip


def test_what_models_do_is_read_as_it_is_told(built: dict[str, Path], tmp_path: Path):
    path = tmp_path / "translation.json"
    path.write_text(json.dumps(ACTIVITY), encoding="utf-8")
    assert read(built, path, path).activity == [ACTIVITY, ACTIVITY]
    assert read(built).activity == []


def shorten(*path: Any) -> Callable[[dict[str, Any]], None]:
    def damage(told: Any) -> None:
        for key in path:
            told = told[key]
        told.pop()

    return damage


def put(value: Any, *path: Any) -> Callable[[dict[str, Any]], None]:
    def damage(told: Any) -> None:
        for key in path[:-1]:
            told = told[key]
        told[path[-1]] = value

    return damage


LAYERS = ("models", 0, "layers")


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda told, key=key: told.pop(key) for key in ("stage", "rule", "read", "next", "models", "source")),
        *(lambda told, key=key: told["models"][0].pop(key) for key in ACTIVITY["models"][0]),
        shorten("source"),
        shorten("next"),
        shorten("models", 0, "bits"),
        shorten(*LAYERS, 0, "mixer", "forget", "low"),
        shorten(*LAYERS, 0, "cross", "attention", 0),
        shorten(*LAYERS, 0, "cross", "attention", 0, 0),
        shorten(*LAYERS, 1, "mixer", "attention", 0, 1),
        put("c", "read"),
        put(3, "read", 0),
        put(None, "models"),
        put("3.5", "models", 0, "bits", 0),
        put(3.5, *LAYERS, 0, "mixer", "forget"),
        put({}, *LAYERS, 0, "mixer", "forget"),
        put([[0.5, 0.5]], *LAYERS, 1, "mixer", "attention"),
        put([], *LAYERS, 0),
    ],
)
def test_a_damaged_file_is_one_sentence_that_names_it(tmp_path: Path, damage: Callable[[dict[str, Any]], None]):
    told = copy.deepcopy(ACTIVITY)
    damage(told)
    path = tmp_path / "translation.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(UserError, match=r"translation\.json is damaged .* remove it and run again"):
        inputs._activity(path)


@pytest.mark.parametrize(("text", "word"), [("{", "is not JSON"), ("[]", "JSON object"), (None, "does not exist")])
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, text: str | None, word: str):
    path = tmp_path / "lm.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"lm\.json .*{word}"):
        inputs._activity(path)
