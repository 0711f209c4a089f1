"""``python -m benchmarks.performance.document bench docs``: put a run's figures into the documentation.

``docs/performance/`` gets the rows, what they were measured on, and the roofline; the places of ``docs/performance.md``
are filled.
"""

import argparse
from pathlib import Path

from benchmarks.performance.__main__ import follows
from benchmarks.performance.figures import figures, setting
from benchmarks.performance.floor import roofline
from benchmarks.performance.table import Store, frame, read
from benchmarks.places import renewed
from verdict.errors import UserError, run_command
from verdict.files import read_json, replacing, write_json, write_text


def blocks(folder: Path) -> dict[str, str]:
    """What the figures in a folder of the documentation say, by the name of the place; ``setting``: of what."""
    told = figures(read(folder / "performance.parquet"))
    return {"setting": f"{setting(read_json(folder / 'run.json'))}.", **told}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance.document", description=__doc__)
    parser.add_argument("run", type=Path, help="folder that `make bench` has written")
    parser.add_argument("docs", type=Path, help="folder of performance.md")
    given = parser.parse_args()
    if not (given.run / "run.json").exists():
        raise UserError(f"{given.run} holds no figures; write the folder that `make bench` left")
    folder = given.docs / "performance"
    folder.mkdir(exist_ok=True)
    rows = Store(given.run, follows).rows()
    with replacing(folder / "performance.parquet") as aside:
        frame(rows).write_parquet(aside)
    write_json(folder / "run.json", read_json(given.run / "run.json"))
    if picture := roofline(rows):
        picture.save(folder / "roofline.svg")
    page = given.docs / "performance.md"
    write_text(page, renewed(page.read_text(encoding="utf-8"), blocks(folder)))


if __name__ == "__main__":
    run_command(main)
