"""Every architecture of a stage with every learning rate of one grid, seed 1000 (not among the runs judged), by its
loss on validation: where the learning rates in params.yaml come from.

    python benchmarks/learning_rates.py lm translation --rates 0.001 0.002 0.004 --set training.budget_tokens=500000

Needs data/tokens (``snakemake tokens``). Prints one Markdown table per stage.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import yaml

from verdict.settings import job, overlay, read, resolve

SEED = 1000


def trial(stage: str, architecture: str, rate: float, params: dict, folder: Path) -> dict[str, float]:
    """Train once; gives the last point of the history."""
    settings = resolve(params)
    cell = job(settings, stage, architecture, SEED)
    cell = replace(cell, training=replace(cell.training, learning_rate=rate))
    out = folder / f"{stage}-{architecture}-{rate}"
    start = settings.stages[stage].start
    command = [
        sys.executable, "-W", "ignore", "-m", "verdict.training", "--job", json.dumps(cell.to_dict()),
        "--tokens", f"data/tokens/{cell.task}", "--out", str(out),
        *(["--start", f"runs/{start}/{architecture}/s0"] if start else []),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return {"valid_loss": float("inf"), "seconds": 0.0}
    return json.loads((out / "history.jsonl").read_text().splitlines()[-1])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="+")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.001, 0.002, 0.004, 0.008])
    parser.add_argument("--set", action="append", default=[], help="key=value within the stages, as training.clip=0.5")
    parser.add_argument("--architectures", nargs="+", help="these alone")
    parser.add_argument("--cores", type=int, default=2, help="trials at once, one thread each")
    given = parser.parse_args()
    params = read("params.yaml")
    for stage in given.stages:
        for setting in given.set:
            key, value = setting.split("=", 1)
            change: object = yaml.safe_load(value)
            for part in reversed(key.split(".")):
                change = {part: change}
            params = overlay(params, {"stages": {stage: change}})
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.cores) as pool:
        for stage in given.stages:
            names = given.architectures or resolve(params).stages[stage].architectures
            trials = {
                (name, rate): pool.submit(trial, stage, name, rate, params, Path(folder))
                for rate in given.rates
                for name in names
            }
            print(f"\n| {stage}: rate | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
            for rate in given.rates:
                found = [trials[name, rate].result() for name in names]
                cells = [f"{point['valid_loss']:.4f} ({point['seconds']:.0f} s)" for point in found]
                print(f"| {rate:g} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
