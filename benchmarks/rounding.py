"""How far do results lie apart between machines whose kernels round differently?

    python benchmarks/rounding.py runs/lm_tiny runs/reversal        (after a run; a few minutes)

Trains the runs of stages again as other machines would: without bfloat16, and so with the instructions of an older
processor (AVX2). Prints how far their last validation loss lies from that of the runs as they are, beside the
standard deviation over seeds: rounding is noise like a seed's, so the page's intervals should hold there
too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

OLDER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
#: environment and precision of other machines
MACHINES: dict[str, tuple[dict[str, str], str | None]] = {
    "this one again": ({}, None),
    "no bfloat16": ({}, "fp32"),
    "AVX2, no bfloat16": (OLDER, "fp32"),
}


def last_loss(run: Path) -> float:
    """The last validation loss of a run."""
    return float(json.loads((run / "history.jsonl").read_text(encoding="utf-8").splitlines()[-1])["valid_loss"])


def retrain(job: dict[str, Any], tokens: Path, told: dict[str, str]) -> float:
    """The last validation loss of a job trained in such an environment."""
    with tempfile.TemporaryDirectory() as folder:
        call = ["-m", "verdict.training", "--jobs", json.dumps([job]), "--tokens", str(tokens), "--runs", folder]
        subprocess.run([sys.executable, *call], check=True, env={**os.environ, **told}, stderr=subprocess.DEVNULL)
        return last_loss(Path(folder) / job["name"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", type=Path, nargs="+", help="folders of stages that begin with no other's model")
    parser.add_argument("--tokens", type=Path, default=Path("data/tokens"), help="encoded tasks (default: %(default)s)")
    given = parser.parse_args()
    print("| stage | architecture | machine | seeds | furthest apart | standard deviation over seeds |")
    print("|---|---|---|---|---|---|")
    for architecture in sorted(folder for stage in given.stages for folder in stage.iterdir()):
        runs = sorted(architecture.glob("s*"))
        kept = [last_loss(run) for run in runs]
        jobs = [json.loads((run / "metrics.json").read_text(encoding="utf-8"))["job"] for run in runs]
        spread = statistics.stdev(kept) if len(kept) > 1 else float("nan")
        for name, (told, precision) in MACHINES.items():
            found = [
                retrain({**job, "precision": precision or job["precision"]}, given.tokens / job["task"], told)
                for job in jobs
            ]
            apart = max(abs(one - other) for one, other in zip(found, kept, strict=True))
            cells = (architecture.parent.name, architecture.name, name, len(jobs), f"{apart:.2g}", f"{spread:.2g}")
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
