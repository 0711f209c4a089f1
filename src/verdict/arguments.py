"""What jobs are told as JSON: parsed, and filled into plain dataclasses; one sentence names what does not fit.

Plain dataclasses and no pydantic, because jobs must run where nothing but torch, numpy and tokenizers is installed.
"""

import argparse
import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from verdict.errors import UserError, readable
from verdict.files import parse_json, read_json
from verdict.training.settings import Job

Kind = TypeVar("Kind")


def json_argument(text: str) -> Any:
    """An argument of a command line that is JSON, as a type for ``argparse``."""
    try:
        return parse_json(text, "it")
    except UserError as error:
        raise argparse.ArgumentTypeError(f"{readable(text, 80)!r} is not JSON") from error


def filled(kind: type[Kind], value: Any, where: str) -> Kind:
    """A dataclass made of a JSON object, and of those inside it.

    Raises ``UserError`` that names ``where`` and the key that is unknown, missing or of another type.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where} must be a JSON object with the keys of {kind.__name__}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in value:
        if key not in fields:
            raise UserError(f"{where} has the key '{key}', which does not exist; known are {', '.join(fields)}")
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in value:
            raise UserError(f"{where} lacks the key '{name}'; add it")
    hints = typing.get_type_hints(kind)
    return kind(**{key: _of(hints[key], inner, f"{where}: '{key}'") for key, inner in value.items()})


def every(kind: type[Kind], values: Any, where: str) -> list[Kind]:
    """The dataclasses of a JSON list, which may not be empty; raises ``UserError`` as ``filled`` does."""
    if not isinstance(values, list) or not values:
        raise UserError(f"{where} must be a JSON list of objects with the keys of {kind.__name__}")
    return [filled(kind, value, f"{where} number {number}") for number, value in enumerate(values, start=1)]


def job_of(folder: Path) -> Job:
    """The training job of a run's folder; raises ``UserError`` naming its metrics.json and the key."""
    return filled(Job, read_json(folder / "metrics.json")["job"], f"{folder / 'metrics.json'}: job")


def numbers(values: Any, where: str) -> list[float]:
    """A JSON list of numbers; raises ``UserError``."""
    return list(_of(list[float], values, where))


def _of(hint: Any, value: Any, where: str) -> Any:
    """The value if it is of the hinted type, its objects filled into dataclasses."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return filled(hint, value, where)
    if origin is list and isinstance(value, list):
        return [_of(inside[0], each, where) for each in value]
    if origin is dict and isinstance(value, dict):
        return value
    if origin is typing.Literal and value in inside:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inside:
            return None
        return _of(next(one for one in inside if one is not type(None)), value, where)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    kind = f"one of {', '.join(map(str, inside))}" if origin is typing.Literal else getattr(hint, "__name__", str(hint))
    raise UserError(f"{where} is {readable(repr(value), 80)}; it must be {kind}")
