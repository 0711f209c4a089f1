"""Commands of this project that sections run, and the clones that they run in."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import soak
from benchmarks.performance.plan import Plan
from benchmarks.performance.sizes import ROOT


def run(command: Sequence[str], folder: Path = ROOT) -> str:
    """What a command of this Python says; raises ``RuntimeError`` with it if it fails."""
    # this repository's sources are found also where it is not installed
    environment = {**soak.environment(), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def snakemake(plan: Plan, *more: str) -> tuple[str, ...]:
    """Snakemake with as many cores as the plan has threads."""
    return ("-m", "snakemake", "--cores", str(plan.threads), *more)


def cloned(folder: Path) -> Path:
    """A clone of this repository that shares its downloads."""
    if not folder.exists():
        (ROOT / "downloads").mkdir(exist_ok=True)
        soak.clone(folder)
    return folder


def finished(plan: Plan, folder: Path) -> Path:
    """A clone in which the smoke edition has run."""
    clone = cloned(folder / "finished")
    if not (clone / "reports/index.html").exists():
        run(snakemake(plan, "--config", "edition=smoke"), clone)
    return clone
