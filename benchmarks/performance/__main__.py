"""``python -m benchmarks.performance``: measure, and write performance.md, performance.parquet and roofline.svg.

    make bench
    python -m benchmarks.performance --sections training generation --out bench

Each comparison is kept as soon as it is measured; given again, the command goes on with what is missing.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.performance import around, fidelity, generation, growth, packing, peak, peers, profile, training, whole
from benchmarks.performance.contest import FailedError
from benchmarks.performance.figures import overview
from benchmarks.performance.floor import floors, roofline
from benchmarks.performance.goals import utilisation
from benchmarks.performance.plan import FULL, PRECISIONS, QUICK, Plan
from benchmarks.performance.table import Row, Store
from verdict.errors import UserError, run_command
from verdict.files import read_json, write_json
from verdict.measure import machine

Parts = Iterator[tuple[str, Callable[[], list[Row]]]]


def sections(plan: Plan, folder: Path) -> dict[str, Callable[[], Parts]]:
    """The parts of each section; the peak comes first, as utilisation is read against it."""
    return {
        "peak": partial(peak.parts, plan),
        "training": partial(training.parts, plan),
        "generation": partial(generation.parts, plan),
        "packing": partial(packing.parts, plan),
        "growth": partial(growth.parts, plan),
        "profile": partial(profile.parts, plan),
        "fidelity": partial(fidelity.parts, plan, folder / "work"),
        "around": partial(around.parts, plan, folder / "work"),
        "whole": partial(whole.parts, plan, folder / "work"),
    }


def about(plan: Plan) -> dict[str, Any]:
    """What the figures are measured on and with, as JSON reads it back."""
    told = machine.describe("bench")
    kept = {name: told[name] for name in ("cpu", "cores", "python", "versions", "commit")}
    kept.update(peers=peers.versions(), precisions=PRECISIONS, plan=asdict(plan))
    return dict(json.loads(json.dumps(kept)))


def same_run(folder: Path, now: dict[str, Any]) -> None:
    """Raises ``UserError`` if the folder holds figures of anything else."""
    path = folder / "run.json"
    if not path.exists():
        write_json(path, now)
    before = read_json(path)
    if different := [name for name in now if now[name] != before.get(name)]:
        raise UserError(
            f"{folder} holds figures of another run ({', '.join(different)} differ); name another folder or remove it"
        )


def follows(rows: Sequence[Row]) -> list[Row]:
    """What is worked out from the measured rows."""
    return [*utilisation(rows), *floors(rows)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.performance", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    names = list(sections(QUICK(), Path()))
    parser.add_argument("--sections", nargs="+", choices=names, default=names, metavar="SECTION", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="turns of each contestant; fewer than 6 give no interval")
    parser.add_argument("--quick", action="store_true", help="everything tiny: shows that it runs, measures nothing")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    given = parser.parse_args()
    plan = QUICK() if given.quick else FULL()
    plan = replace(plan, rounds=given.rounds) if given.rounds else plan
    now = about(plan)
    same_run(given.out, now)
    store = Store(given.out, follows, partial(overview, now))
    run(plan, given.sections, given.out, store)
    if picture := roofline(store.rows()):
        picture.save(given.out / "roofline.svg")


def run(plan: Plan, names: list[str], out: Path, store: Store) -> None:
    """Measure what is missing of some sections, and write the tables after every part.

    Raises ``UserError`` naming the parts that failed; the others are measured all the same.
    """
    failed = []
    for section in names:
        for part, measure in sections(plan, out.resolve())[section]():
            if store.has(section, part):
                continue
            begun = time.monotonic()
            try:
                store.add(section, part, measure())
            except (FailedError, RuntimeError) as error:
                failed.append(f"{section}/{part}")
                print(f"{section}/{part} failed: {error}", file=sys.stderr, flush=True)
                continue
            print(f"{section}/{part}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    if failed:
        raise UserError(f"not measured: {', '.join(failed)}; what they said is above")
    print(f"{out}/performance.md, {out}/performance.parquet: {len(store.rows())} rows")


if __name__ == "__main__":
    run_command(main)
