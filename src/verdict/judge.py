"""``python -m verdict.judge``: evidence and docket in, verdict out."""

import argparse
from pathlib import Path

from verdict.errors import UserError, run_command


def main() -> None:
    """Read, judge, write; everything that decides is in ``verdict.court``."""
    parser = argparse.ArgumentParser(
        prog="python -m verdict.judge", description="Judge the claims of the docket by a table of evidence."
    )
    parser.add_argument("--evidence", required=True, type=Path, help="the table of measurements (.parquet or .csv)")
    parser.add_argument("--claims", required=True, type=Path, help="the docket (claims.yaml)")
    parser.add_argument("--docket", type=Path, help="the docket's hash as it was recorded before the runs (.json)")
    parser.add_argument("--out", required=True, type=Path, help="where the verdict goes (.json)")
    arguments = parser.parse_args()

    from verdict.court import claims, evidence  # late, so that --help answers at once
    from verdict.court.judge import judge
    from verdict.files import read_json, write_json

    recorded = read_json(arguments.docket)["docket_sha256"] if arguments.docket else None
    if not isinstance(recorded, str | None):
        raise UserError(f"{arguments.docket}: the key 'docket_sha256' holds no text; remove the file and run again")
    write_json(arguments.out, judge(claims.load(arguments.claims), evidence.read(arguments.evidence), recorded))


if __name__ == "__main__":
    run_command(main)
