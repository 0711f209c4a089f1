"""``python -m verdict.training``: train models, one after another.

Takes data/tokens/{task}, the tuned settings and, for runs that begin with others, the folder of those; leaves in each
run's folder model.safetensors, model.json, history.jsonl, validation.jsonl and metrics.json. Goes on from each run's
checkpoint.safetensors, if there is one of the same settings; they are removed when all runs are whole, so that none is
trained twice.
"""

import argparse
import json
import sys
from pathlib import Path

from verdict.device import prepare
from verdict.errors import run_command
from verdict.training.loop import StoppedError
from verdict.training.runs import run_all, tuned
from verdict.training.settings import Job, device_of


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.training", description=__doc__)
    parser.add_argument("--jobs", required=True, help="a JSON list of jobs (verdict.training.settings.Job)")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--tuning", type=Path, help="file of what tuning has chosen for their architecture")
    parser.add_argument("--start", help="stage among the runs whose models are the beginnings")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; results depend on it in the last bits")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs' folders")
    given = parser.parse_args()
    jobs = [Job.from_dict(job) for job in json.loads(given.jobs)]
    prepare(given.threads, device_of(jobs))
    if given.tuning:
        jobs = [tuned(job, given.tuning) for job in jobs]
    try:
        run_all(jobs, given.tokens, given.runs, given.start)
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(143)


if __name__ == "__main__":
    run_command(main)
