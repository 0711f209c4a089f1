"""``python -m verdict.judge``: evidence and docket in, verdict out; ``--explain A1`` shows the reckoning instead."""

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
    parser.add_argument("--out", type=Path, help="where the verdict goes (.json)")
    parser.add_argument("--docket", type=Path, help="the docket's hash as it was recorded before the runs (.json)")
    parser.add_argument("--explain", metavar="CLAIM", help="print how this claim is judged, from rows to label")
    arguments = parser.parse_args()
    if arguments.out is None and arguments.explain is None:
        raise UserError("nothing to do; name a file with --out, or a claim with --explain")

    from verdict.court import claims as docket  # late, so that --help answers at once
    from verdict.court import evidence
    from verdict.court.judge import judge
    from verdict.files import read_json, write_json

    claims = docket.load(arguments.claims)
    table = evidence.read(arguments.evidence)
    if arguments.explain is not None:
        from verdict.court.explain import explain

        print(explain(claims, table, arguments.explain))
    if arguments.out is not None:
        recorded = read_json(arguments.docket)["docket_sha256"] if arguments.docket else None
        write_json(arguments.out, judge(claims, table, recorded))


if __name__ == "__main__":
    run_command(main)
