"""``verdict``: what people ask of a finished run; ``verdict explain A5`` shows how a claim got its label."""

import argparse
from pathlib import Path

from verdict.errors import run_command


def explain(arguments: argparse.Namespace) -> None:
    """Print the claim, its rules, the rows, the calculation and the label."""
    from verdict.court import claims, evidence  # late, so that --help answers at once
    from verdict.court.explain import explain as told

    print(told(claims.load(arguments.claims), evidence.read(arguments.evidence), arguments.claim))


def run() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="verdict", description="Ask a finished run.")
    commands = parser.add_subparsers(title="commands", required=True)
    shown = commands.add_parser("explain", help="how a claim got its label, from rows to verdict")
    shown.add_argument("claim", help="A1 to D4")
    shown.add_argument("--evidence", type=Path, default=Path("results/evidence.parquet"), help="default: %(default)s")
    shown.add_argument("--claims", type=Path, default=Path("claims.yaml"), help="the docket (default: %(default)s)")
    shown.set_defaults(do=explain)
    arguments = parser.parse_args()
    arguments.do(arguments)


def main() -> None:
    """The console script."""
    run_command(run)


if __name__ == "__main__":
    main()
