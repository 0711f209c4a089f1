"""``python -m verdict.page``: evidence, verdict and docket in, one HTML file out."""

import argparse
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verdict.arguments import json_argument
from verdict.errors import UserError, run_command
from verdict.page import library


def main() -> None:
    """Read the files named on the command line and write the page whole or not at all."""
    parser = argparse.ArgumentParser(
        prog="python -m verdict.page", description="Write the page: one HTML file that opens offline."
    )
    for name, file, what in (
        ("evidence", "evidence.parquet", "the table of measurements"),
        ("history", "history.parquet", "the learning curves"),
        ("verdict", "verdict.json", "what the judge said"),
    ):
        parser.add_argument(
            f"--{name}", type=Path, default=Path("results") / file, help=f"{what} (default: %(default)s)"
        )
    parser.add_argument("--claims", type=Path, default=Path("claims.yaml"), help="the docket (default: %(default)s)")
    parser.add_argument("--cards", type=Path, nargs="*", default=[], help="the corpora's card.json files")
    parser.add_argument("--ledger", type=Path, help="run name → MLflow run id")
    parser.add_argument("--machine", type=Path, help="what the runs were made on")
    parser.add_argument("--outputs", type=Path, nargs="*", default=[], help="outputs.jsonl files of the runs")
    parser.add_argument("--activity", type=Path, nargs="*", default=[], help="files of verdict.measure.activity")
    parser.add_argument("--earlier", type=Path, help="an earlier verdict.json: the page tells what has changed since")
    parser.add_argument(
        "--other-devices", type=Path, nargs="*", default=[], help="results folders of runs on other kinds of devices"
    )
    parser.add_argument("--rules", type=json_argument, default=[], help="the workflow's rules: [[room, [rule, …]], …]")
    parser.add_argument("--out", type=Path, default=Path("reports/index.html"), help="the page (default: %(default)s)")
    parser.add_argument("--card", type=Path, help="picture for links to the page (.png)")
    arguments = parser.parse_args()

    if arguments.out.is_dir():
        raise UserError(f"{arguments.out} is a folder; name the HTML file to write with --out")
    gc.disable()  # what is made is kept to the end, and to look through it again and again takes a tenth of the time
    with library.bundling() as bundle:  # before all that takes seconds
        _write(arguments, bundle)


def _write(arguments: argparse.Namespace, bundle: Callable[[], str]) -> None:
    from verdict.files import write_bytes, write_text  # after parsing, so that --help answers at once
    from verdict.page import build, card, inputs, words

    found = inputs.read(
        arguments.evidence,
        arguments.history,
        arguments.verdict,
        arguments.claims,
        arguments.cards,
        arguments.ledger,
        arguments.machine,
        arguments.outputs,
        arguments.activity,
        arguments.earlier,
        _rooms(arguments.rules),
        arguments.other_devices,
    )
    page = build.render(found, words.load(), arguments.card.name if arguments.card else None, bundle)
    if arguments.card:
        areas = {letter: text.en for letter, text in found.claims.areas.items()}
        write_bytes(arguments.card, card.png(card.card(found.verdict, areas, words.load())))
    write_text(arguments.out, page)
    print(f"{arguments.out}: {len(page.encode('utf-8')) / 2**20:.1f} MiB, open it in any browser")


def _rooms(told: Any) -> dict[str, list[str]]:
    """The workflow's rules as they are told on the command line."""
    try:
        rooms = {str(room): [str(rule) for rule in rules] for room, rules in told}
    except (TypeError, ValueError) as error:
        raise UserError("--rules must be a JSON list of rooms with their rules, as [[room, [rule, …]], …]") from error
    return rooms


if __name__ == "__main__":
    run_command(main)
