"""``python -m benchmarks.performance.document bench docs/performance.md``: put a run's figures into the documentation.

The places of the page are filled; a folder of its name beside it gets the rows, what they were measured on, and the
roofline. Each kind of machine has a page of its own. Of several runs the sections of a later one take the place of
those of the ones before, and it is told which those are: whoever has changed one thing need not measure all others
anew.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.performance.__main__ import follows
from benchmarks.performance.figures import figures, setting
from benchmarks.performance.floor import roofline
from benchmarks.performance.table import Row, Store, frame, read
from benchmarks.places import renewed
from verdict.errors import UserError, run_command
from verdict.files import read_json, replacing, write_json, write_text


def joined(folders: Sequence[Path]) -> tuple[list[Row], list[dict[str, Any]]]:
    """The rows of runs, and what each was measured on, with its ``sections`` that count."""
    latest: dict[str, tuple[Path, list[Row]]] = {}
    for folder in folders:
        if not (folder / "run.json").exists():
            raise UserError(f"{folder} holds no figures; write the folder that `make bench` left")
        rows = Store(folder).rows()
        for section in dict.fromkeys(one.section for one in rows):
            latest[section] = folder, [one for one in rows if one.section == section]
    rows = [one for _, some in latest.values() for one in some]
    told = [
        {**read_json(folder / "run.json"), "sections": [name for name, (where, _) in latest.items() if where == folder]}
        for folder in folders
    ]
    return [*rows, *follows(rows)], told


def blocks(folder: Path) -> dict[str, str]:
    """What the figures in a folder of the documentation say, by the name of the place; ``setting``: of what."""
    told = figures(read(folder / "performance.parquet"))
    first, *later = read_json(folder / "run.json")["runs"]
    settings = [f"{setting(first)}.", *(f"{', '.join(one['sections'])}: {setting(one)}." for one in later)]
    return {"setting": "\n\n".join(settings), **told}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance.document", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders that `make bench` has written, the latest last")
    parser.add_argument("page", type=Path, help="Markdown with places for figures")
    given = parser.parse_args()
    text, folder = given.page.read_text(encoding="utf-8"), given.page.with_suffix("")
    rows, runs = joined(given.runs)
    folder.mkdir(exist_ok=True)
    with replacing(folder / "performance.parquet") as aside:
        frame(rows).write_parquet(aside)
    write_json(folder / "run.json", {"runs": runs})
    if picture := roofline(rows):
        picture.save(folder / "roofline.svg")
    write_text(given.page, renewed(text, blocks(folder)))


if __name__ == "__main__":
    run_command(main)
