"""What a job's result depends on in this package's code: a digest that comments and layout do not change."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import resolve_name
from pathlib import Path

from verdict.errors import UserError

SOURCE = Path(__file__).parent.parent


def code_digest(*modules: str) -> str:
    """A digest of modules and of all modules of their packages, and of this one, that they import, directly or not.

    Comments, docstrings and layout do not count. An import of a package counts its ``__init__`` alone. Nothing is
    imported to find it. Raises ``UserError`` for a module that is not there.
    """
    packages = {name.split(".")[0] for name in modules} | {"verdict"}
    seen: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or name.split(".")[0] not in packages:
            continue
        path = _path(name)
        if path is None:
            if name in modules:
                raise UserError(
                    f"there is no Python module {name} in this folder, src/ or the environment; correct its name"
                )
            continue  # what a module is asked for may be no module
        seen[name], imported = _read(path, name)
        waiting += [*imported, *_parents(name)]
    told = "".join(f"{name} {digest}\n" for name, digest in sorted(seen.items()))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def files_digest(*folders: str) -> str:
    """A digest of all files in folders of this package that are no Python (templates, catalogues of words)."""
    told = hashlib.sha256()
    for folder in folders:
        for path in sorted((SOURCE / "verdict" / folder).rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                told.update(f"{path.relative_to(SOURCE)} {len(path.read_bytes())}\n".encode() + path.read_bytes())
    return told.hexdigest()[:16]


def _path(name: str) -> Path | None:
    """The file of a module: in this package's folder, or, if it is another's, where Python would look for it too."""
    elsewhere = () if name.split(".")[0] == "verdict" else (Path.cwd(), *map(Path, sys.path))
    for place in (SOURCE, *elsewhere):
        base = place.joinpath(*name.split("."))
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


@lru_cache(None)
def _read(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """The digest of one file and the names it imports."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise UserError(f"{path} line {error.lineno} is not Python ({error.msg}); mend it") from error
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or package):
            source = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            imported += [str(source), *(f"{source}.{alias.name}" for alias in node.names)]
    told = " ".join(_walk(tree))
    return hashlib.sha256(told.encode()).hexdigest(), tuple(imported)


def _walk(node: object) -> Iterator[str]:
    """A tree as words, without positions, docstrings and empty fields (which differ between versions of Python)."""
    if isinstance(node, ast.AST):
        yield type(node).__name__
        for field, value in ast.iter_fields(node):
            if field in ("type_ignores", "type_comment", "kind") or value is None or value == []:
                continue
            if field == "body" and isinstance(value, list) and _is_docstring(value[0]):
                value = value[1:]
            yield f"{field}("
            yield from _walk(value)
            yield ")"
    elif isinstance(node, list):
        for item in node:
            yield from _walk(item)
    else:
        yield repr(node)


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
