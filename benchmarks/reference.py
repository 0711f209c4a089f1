"""``python -m benchmarks.reference``: keep a finished `standard` run as the reference.

reports/reference gets the evidence, the curves, the docket, the verdict and the page of the run in this clone; what its
README says of labels and machine, and docs/statistics.md of noise, is written anew; what to keep in mind of it is for
people to write.
"""

import argparse
import math
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from benchmarks.places import renewed
from verdict.court import evidence
from verdict.errors import UserError, run_command
from verdict.files import read_json, write_text
from verdict.page import inputs, words
from verdict.page.build import english, named
from verdict.page.content.claims import findings

ROOT = Path(__file__).resolve().parents[1]
KEPT = (
    "results/evidence.parquet", "results/history.parquet", "results/verdict.json", "results/docket.json",
    "results/machine.json", "results/scores.json", "claims.yaml", "reports/index.html",
)  # fmt: skip
#: up to this noise a test with five seeds finds an effect of twice the margin in 80 % of worlds (docs/statistics.md)
QUIET, LOUD = 0.5, 1.0


def setting(machine: dict[str, Any], trainings: pl.DataFrame) -> str:
    """What the run was made on and with, in a line."""
    day = date.fromisoformat(machine["date"])
    seeds = trainings["replicate"].n_unique()
    return (
        f"{day.day} {day:%B %Y}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.0f} GB; "
        f"{machine['gpu'] or 'no GPU'}; torch {machine['versions']['torch']}; `{machine['edition']}`, {seeds} seeds; "
        f"commit {machine['commit'][:7]}."
    )


def labels(folder: Path) -> str:
    """A table of the claims: label and finding, as the page tells them."""
    names = ("evidence.parquet", "history.parquet", "verdict.json", "claims.yaml")
    naming = named(inputs.read(*(folder / name for name in names)), words.load())
    lines = ["| claim | label | finding |", "|---|---|---|"]
    found = findings(naming)
    for claim in naming.inputs.verdict["claims"]:
        lines.append(f"| {claim['id']} | {claim['label'].replace('_', ' ')} | {english(found[claim['id']])} |")
    return "\n".join(lines)


def noises(verdict: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]], float]]:
    """Each test's name, its conditions, and their median noise: the standard deviation of a paired difference, in
    margins."""
    for claim in verdict["claims"]:
        by_test: dict[str, list[dict[str, Any]]] = {}
        for entry in claim["tests"]:
            if entry["replicates_error"]:
                by_test.setdefault(entry["name"], []).append(entry)
        for name, entries in by_test.items():
            margins = [math.log(one["margin"]) if one["effect"] == "ratio" else one["margin"] for one in entries]
            found = [
                one["replicates_error"] * math.sqrt(one["pairs"]) / margin
                for one, margin in zip(entries, margins, strict=True)
            ]
            yield f"{claim['id']} {name}", entries, median(found)


def noise(verdict: dict[str, Any]) -> str:
    """The noise of every test as a table, and how many are quiet."""
    lines = [
        "| test | conditions | replicates | noise (median) | items' error, of the seeds' |",
        "|---|---|---|---|---|",
    ]
    told = list(noises(verdict))
    for name, entries, value in told:
        shares = [one["items_error"] / one["replicates_error"] for one in entries if one["items_error"] is not None]
        share = f"{median(shares):.2f}" if shares else "–"
        lines.append(f"| {name} | {len(entries)} | {entries[0]['pairs']} | {value:.2f} | {share} |")
    quiet, loud = sum(value <= QUIET for *_, value in told), sum(value > LOUD for *_, value in told)
    return "\n".join(
        [*lines, "", f"Of these {len(told)} tests {quiet} have a noise of {QUIET:g} or less, {loud} above {LOUD:g}."]
    )


def blocks(folder: Path) -> dict[str, str]:
    """What is told of a reference, by the name of the place."""
    verdict = read_json(folder / "verdict.json")
    trainings = evidence.read(folder / "evidence.parquet").filter(experiment="training")
    return {
        "setting": setting(read_json(folder / "machine.json"), trainings), "labels": labels(folder),
        "noise": noise(verdict),
    }  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reference", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    if missing := [file for file in KEPT if not (ROOT / file).exists()]:
        raise UserError(f"there is no {missing[0]}; run snakemake --cores all --config edition=standard first")
    edition = read_json(ROOT / "results/machine.json")["edition"]
    if edition != "standard":
        raise UserError(f"the results are of the edition {edition}; the reference is one of standard")
    folder = ROOT / "reports/reference"
    for file in KEPT:
        shutil.copyfile(ROOT / file, folder / Path(file).name)
    told = blocks(folder)
    for page in (folder / "README.md", ROOT / "docs/statistics.md"):
        write_text(page, renewed(page.read_text(encoding="utf-8"), told))
    print(f"{folder}: kept; now write in its README.md what to keep in mind of it")


if __name__ == "__main__":
    run_command(main)
