"""``python -m verdict.licences``: whose work a run uses, and under which licences, as Markdown (docs/licences.md).

Packages are those of requirements.lock as they say it themselves, in their installed metadata; corpora those of
params.yaml.
"""

import argparse
import re
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from verdict import settings
from verdict.errors import UserError, run_command
from verdict.files import read_text

#: what packages that name no licence in a field say in the classifiers of the package index
CLASSIFIER = "License :: "
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy"
HEAD = """# Licences

What a run uses and does not itself contain; the code of this repository is under the [MIT licence](../LICENSE). Made by
`make licences`, and a test holds it equal to requirements.lock, the installed packages and params.yaml.

## Corpora

As the entries in params.yaml say; the page shows them beside hash and size. Text of your own keeps its licence.

| task | corpus | licence | from |
|---|---|---|---|
"""
PACKAGES = """
## Packages

As each says itself, word for word. The page holds copies of Vega, Vega-Lite and vega-embed (BSD-3-Clause), which come
with vl-convert-python. NVIDIA's libraries, which torch brings on machines with a GPU, are under its own terms.

| package | version | licence |
|---|---|---|
"""


def stated(distribution: metadata.Distribution) -> str:
    """A package's licence in one line: its expression, its field, its classifiers, or how its licence file begins."""
    about: Any = distribution.metadata  # a message, whose type lacks its methods
    if expression := about.get("License-Expression"):
        return expression
    line = (about.get("License") or "").strip().partition("\n")[0]
    if line and len(line) <= 50 and re.search(r"[A-Za-z]", line) and not re.search("copyright|agreement", line, re.I):
        return line
    told = [one.removeprefix(CLASSIFIER).split(" :: ")[-1] for one in about.get_all("Classifier") or []
            if one.startswith(CLASSIFIER)]  # fmt: skip
    if names := [one for one in told if one != "OSI Approved"]:
        return ", ".join(names)
    for file in sorted(distribution.files or [], key=str):
        if re.search(r"(?i)\b(licen[cs]e|copying)[^/]*$", str(file)):
            text = Path(str(file.locate())).read_text(encoding="utf-8")
            return "MIT License" if MIT in text else " ".join(text.strip().partition("\n")[0].split())
    return "not stated"


def packages(lock: Path) -> list[tuple[str, str, str]]:
    """(name, version, licence) of every package of a lock.

    Raises ``UserError`` if one is not installed in that version.
    """
    found = []
    for line in read_text(lock).splitlines():
        name, pinned, version = line.partition(";")[0].strip().partition("==")
        if line.startswith("#") or not pinned:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            raise UserError(f"{name} of {lock} is not installed; run `make setup`") from error
        if distribution.version.partition("+")[0] != version:
            raise UserError(f"{name} is installed as {distribution.version}, {lock} has {version}; run `make setup`")
        found.append((name, version, stated(distribution)))
    return found


def markdown(params: Path, lock: Path) -> str:
    """docs/licences.md."""
    corpora = settings.resolve(settings.read(params), str(params)).corpora
    rows = []
    for task, corpus in corpora.items():
        source = corpus.source
        origins = [
            *dict.fromkeys(one.requirement for one in source.package), *(one.url for one in source.https),
            *(one.path for one in source.files),
        ]  # fmt: skip
        rows.append((task, corpus.title.replace("{language}", "another language"), corpus.licence, ", ".join(origins)))
    return HEAD + _table(rows) + PACKAGES + _table(packages(lock))


def _table(rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.licences", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (default: %(default)s)")
    parser.add_argument(
        "--lock", type=Path, default=Path("requirements.lock"), help="the locked packages (default: %(default)s)"
    )
    given = parser.parse_args()
    print(markdown(given.params, given.lock), end="")


if __name__ == "__main__":
    run_command(main)
