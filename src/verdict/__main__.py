"""``verdict``: what people ask of a finished run; ``verdict explain A5`` shows how a claim got its label."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from verdict.errors import UserError, run_command

VERDICT, EVIDENCE, CLAIMS = Path("results/verdict.json"), Path("results/evidence.parquet"), Path("claims.yaml")
REPORTS, STORE = Path("reports"), Path("mlflow.db")
DIFF = """Estimates are compared by their standard errors, and all p-values corrected together (Benjamini-Hochberg).
The runs are taken for independent, which those with the same seeds on one machine are not: there any difference of a
quality is the doing of what was changed. Timings differ between sessions by about twice the error told
(docs/statistics.md)."""
DIFF_CODES = "exit code: 0 if nothing changed by more than noise, 1 if something did, 2 if the files cannot be compared"

# what a command needs is imported by its function, so that --help answers at once


def explain(arguments: argparse.Namespace) -> None:
    """Print the claim, its rules, the rows, the calculation and the label."""
    from verdict.court import claims, evidence
    from verdict.court.explain import explain as told

    print(told(claims.load(arguments.claims), evidence.read(arguments.evidence), arguments.claim))


def diff(arguments: argparse.Namespace) -> None:
    """Print what changed between two verdicts and end with the exit codes of diff(1)."""
    from verdict.court import form
    from verdict.court.diff import diff as compared
    from verdict.court.diff import text

    def main() -> None:
        found = compared(form.read(arguments.first), form.read(arguments.second))
        names = (str(arguments.first), str(arguments.second))
        print(json.dumps(found, ensure_ascii=False, indent=1) if arguments.json else text(found, names))
        if found["changed"]:
            sys.exit(1)

    try:
        run_command(main)
    except SystemExit as end:
        if isinstance(end.code, str):  # a user's error; 1 would say that something changed
            print(end.code, file=sys.stderr)
            sys.exit(2)
        raise


def badge(arguments: argparse.Namespace) -> None:
    """Write or print the verdict in one line of SVG."""
    from verdict.court import form
    from verdict.files import write_text
    from verdict.page import badge as drawn
    from verdict.page import words

    left, right, label = drawn.told(form.read(arguments.verdict), words.load(), arguments.claim)
    svg = drawn.badge(left, right, label)
    if arguments.out:
        write_text(arguments.out, svg)
    else:
        print(svg, end="")


def export(arguments: argparse.Namespace) -> None:
    """Write the evidence as the CSV that the judge also reads."""
    from verdict.court import evidence
    from verdict.files import replacing

    if arguments.out.suffix != ".csv":
        raise UserError(f"--out {arguments.out} must end in .csv, or the judge would read it as Parquet; rename it")
    table = evidence.read(arguments.evidence)
    with replacing(arguments.out) as aside:
        aside.write_bytes(evidence.csv(table))


def open_page(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    from verdict.serve import serve

    serve(REPORTS, arguments.port, STORE if arguments.mlflow else None, not arguments.no_browser)


def parser() -> argparse.ArgumentParser:
    """The command line: one sub-command for each thing to ask."""
    made = argparse.ArgumentParser(prog="verdict", description="Ask a finished run.")
    commands = made.add_subparsers(title="commands", required=True)

    def command(
        name: str, do: Callable[[argparse.Namespace], None], about: str, description: str = "", epilog: str = ""
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=description or f"{about}.", epilog=epilog)
        added.set_defaults(do=do)
        return added

    asked = command("explain", explain, "how a claim got its label, from rows to verdict")
    asked.add_argument("claim", help="one of A1 to D4")
    asked.add_argument("--evidence", type=Path, default=EVIDENCE, help="the measurements (default: %(default)s)")
    asked.add_argument("--claims", type=Path, default=CLAIMS, help="the docket (default: %(default)s)")

    asked = command(
        "diff", diff, "what changed between two verdicts by more than noise", description=DIFF, epilog=DIFF_CODES
    )
    asked.add_argument("first", type=Path, metavar="A.json", help="a verdict")
    asked.add_argument("second", type=Path, metavar="B.json", help="the other, as a rule the newer one")
    asked.add_argument("--json", action="store_true", help="print every condition as JSON")

    asked = command("open", open_page, "the page in a browser, served to this machine alone")
    asked.add_argument("--port", type=int, default=0, help="port of 127.0.0.1 (default: a free one)")
    asked.add_argument("--mlflow", action="store_true", help="also start MLflow's own pages over mlflow.db")
    asked.add_argument("--no-browser", action="store_true", help="only print the address")

    asked = command("badge", badge, "the verdict in one line of SVG, for a README")
    asked.add_argument("--verdict", type=Path, default=VERDICT, help="what the judge said (default: %(default)s)")
    asked.add_argument("--claim", help="of one claim (A1 to D4) instead of all")
    asked.add_argument("--out", type=Path, help="file to write (default: print it)")

    asked = command("export", export, "the evidence as CSV, which the judge reads too")
    asked.add_argument("--evidence", type=Path, default=EVIDENCE, help="the measurements (default: %(default)s)")
    asked.add_argument("--out", type=Path, required=True, help="file to write (.csv)")
    return made


def run() -> None:
    """Read the command line and do what it says."""
    arguments = parser().parse_args()
    arguments.do(arguments)


def main() -> None:
    """The console script; a reader who has enough (``verdict diff … | head``) is no error to tell of."""
    try:
        run_command(run)
    except BrokenPipeError:
        sys.exit(128 + 13)  # as the shell says of a program that SIGPIPE ended
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
