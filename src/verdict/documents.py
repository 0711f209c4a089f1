"""YAML that people write (params.yaml, claims.yaml): read strictly, checked by types, one sentence for an error."""

import difflib
import math
import types
import typing
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from verdict.errors import UserError

Document = TypeVar("Document", bound=BaseModel)
#: values that a document may hold when its aliases are written out; params.yaml has 3,000
MOST_VALUES = 200_000
#: mappings and lists within each other; libyaml composes them by recursion, which a hostile document makes overflow
DEEPEST = 100


def read(path: Path | str) -> Any:
    """What a YAML file says. Raises ``UserError`` naming the file and line if it is missing or no YAML in UTF-8, if a
    key stands twice, or if aliases make it endless."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        _refuse_depth(text)
        return yaml.load(text, Loader=_Loader)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; run from the folder that holds it, or name it") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise UserError(f"{path} is no file; name the YAML file itself") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{place}: {error.problem or 'this is not YAML'}; correct it") from error
    except yaml.reader.ReaderError as error:
        line = text.encode("utf-8").count(b"\n", 0, error.position) + 1
        raise UserError(f"{path} line {line}: YAML has no character U+{error.character:04X}; remove it") from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        # what YAML's own constructors of dates, numbers and sets stumble over
        raise UserError(f"{path} is not YAML ({error}); correct it") from error


def check(model: type[Document], content: Any, where: str) -> Document:
    """The content as a typed document. Raises ``UserError`` with one sentence that names ``where`` and the key."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{where}: {explain(error, model, content)}") from error


def first_problem(error: ValidationError) -> Any:
    """The problem to tell: a misspelt key before others, for it also makes the right one “missing”."""
    return min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")


def meant(word: str, known: Iterable[str], otherwise: str) -> str:
    """“did you mean 'lstm'?” for the known word nearest to a misspelt one, or ``otherwise`` where none is near."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean '{near[0]}'?" if near else otherwise


def explain(error: ValidationError, model: type[BaseModel], content: Any, under: str = "") -> str:
    """The first problem of a pydantic error as one sentence: key path, what is wrong, and the nearest known key.

    ``under`` is written before the key path, where the content stands deeper in its file than the model begins.
    """
    problem = first_problem(error)
    place = under + _place(problem["loc"], content)
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(model, problem["loc"])
        hint = meant(str(problem["loc"][-1]), known, f"known here are {', '.join(known)}")
        return f"the key '{place}' does not exist; {hint}"
    if problem["type"] == "missing":
        return f"the key '{place}' is missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{place}: {message}" if place else message
    found = shown(problem["input"])
    if not place:
        return f"the document must be a mapping of keys to values{found and ', not' + found}"
    return f"'{place}' is not accepted: {message[0].lower()}{message[1:]}{found and ', not' + found}"


def shown(value: Any) -> str:
    """A wrong value as a sentence may show it, after a space; "" for what is no single value."""
    if not isinstance(value, str | int | float | bool | type(None)):
        return ""
    if isinstance(value, int) and abs(value) > 10**30:
        return f" a number of {math.floor(math.log10(abs(value))) + 1} digits"  # Python refuses to write some of them
    text = repr(value)
    return f" {text if len(text) <= 80 else text[:60] + '…'}"


def _place(location: tuple[int | str, ...], content: Any) -> str:
    """claims.2.tests.0.metric as the reader knows it: claims.A3.tests.accuracy.metric."""
    parts: list[str] = []
    for step in location:
        inside = content
        content = None
        if isinstance(inside, dict):
            content = inside.get(step)
        elif isinstance(inside, list) and isinstance(step, int) and step < len(inside):
            content = inside[step]
            named = content.get("id") or content.get("name") if isinstance(content, dict) else None
            step = str(named) if named else f"{step}"
        elif inside is None or not isinstance(step, int):
            continue  # a union's branch, which is no key in the file
        parts.append(str(step))
    return ".".join(parts)


def _keys_beside(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where ``location`` ends, found by walking the types."""
    kind: Any = model
    for step in location[:-1]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {field.alias or name: field for name, field in kind.model_fields.items()}
            kind = fields[str(step)].annotation if str(step) in fields else None
        else:
            arguments = typing.get_args(kind)
            kind = arguments[-1] if arguments else None
        while typing.get_origin(kind) in (Annotated, typing.Union, types.UnionType):
            kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.alias or name for name, field in kind.model_fields.items()]
    return []


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            mark: Any = event.start_mark  # libyaml's, which the stub of the error does not know
            raise yaml.MarkedYAMLError(problem=f"this is nested {DEEPEST} deep", problem_mark=mark)


class _Loader(yaml.CSafeLoader):
    """YAML in which a key may stand only once: a silently dropped claim would be the worst misprint.

    Aliases may not multiply without bounds ("billion laughs"), nor stand inside what they stand for. libyaml parses it,
    ten times as fast as PyYAML's own parser.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            self._measure(node, {}, set())
        return node

    def _measure(self, node: yaml.Node, sizes: dict[int, int], open_nodes: set[int]) -> int:
        """How many values a node stands for when aliases are written out."""
        if id(node) in open_nodes:
            raise yaml.MarkedYAMLError(
                problem="an alias stands inside what it stands for", problem_mark=node.start_mark
            )
        if id(node) not in sizes:
            inside: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                inside = [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                inside = node.value
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(self._measure(part, sizes, open_nodes) for part in inside)
            open_nodes.discard(id(node))
            if sizes[id(node)] > MOST_VALUES:
                raise yaml.MarkedYAMLError(
                    problem=f"aliases make more than {MOST_VALUES:,} values of this", problem_mark=node.start_mark
                )
        return sizes[id(node)]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key '{key}' stands twice; keep one of them", problem_mark=key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep)
