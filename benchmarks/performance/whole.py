"""The quick edition as a user runs it: where its core time goes, its largest process; and the set-up before it."""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.performance.commands import cloned, run, snakemake
from benchmarks.performance.plan import Plan
from benchmarks.performance.sizes import ROOT
from benchmarks.performance.table import Row, row

SECTION = "whole"
#: what the machine is left alone for: each of these has all of its cores
ALONE = ("speed/", "parallelism", "machine")
#: no training and no measuring: texts, pieces, books and pages
AROUND = ("corpus/", "tokens/", "evidence", "ledger", "page")


def parts(plan: Plan, folder: Path) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """The set-up and the edition."""
    yield "set-up", partial(_setup, folder)
    yield plan.edition, partial(_edition, plan, folder)


def _row(contestant: str, metric: str, value: float, unit: str, note: str = "") -> Row:
    return row(SECTION, "command", contestant, metric, [value], unit, note=note)


def _setup(folder: Path) -> list[Row]:
    """Seconds of a new environment from packages that are at hand, as `make verdict` makes it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        there = Path(made)

        def pip(*arguments: str, python: str = sys.executable) -> float:
            begun = time.monotonic()
            subprocess.run(
                [python, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"], check=True, cwd=ROOT
            )
            return time.monotonic() - begun

        wheels = str(there / "wheels")
        pip("wheel", "--requirement", "requirements.lock", "--wheel-dir", wheels)
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "venv", str(there / "new")], check=True)
        venv = time.monotonic() - begun
        packages = pip(
            "install", "--no-compile", "--no-deps", "--no-index", "--find-links", wheels,
            "--requirement", "requirements.lock",
            python=str(there / "new/bin/python"),
        )  # fmt: skip
        own = pip(
            "install", "--no-index", "--no-build-isolation", "--no-deps", "--editable", ".",
            python=str(there / "new/bin/python"),
        )  # fmt: skip
    return [
        _row("set-up: the environment", "seconds", venv, "s"),
        _row("set-up: packages that are at hand", "seconds", packages, "s", "unpacked by pip"),
        _row("set-up: this project", "seconds", own, "s"),
    ]


def _edition(plan: Plan, folder: Path) -> list[Row]:
    """A run of the edition in a new clone."""
    shutil.rmtree(folder / "whole", ignore_errors=True)
    clone = cloned(folder / "whole")
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run(snakemake(plan, "--config", f"edition={plan.edition}"), clone)
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    name, available = f"snakemake, {plan.edition} edition", wall * plan.threads
    share = inside(_told(clone), plan.threads) / available
    return [
        _row(name, "seconds", wall, "s"),
        _row(name, "core seconds used", used, "s", f"{used / available:.1%} of those there were"),
        _row(
            name, "share of core time in training and measuring", share, "share",
            "a job that the machine is left alone for has all cores",
        ),
        _row(name, "largest process", after.ru_maxrss * 1024, "byte"),
    ]  # fmt: skip


def _told(clone: Path) -> list[dict[str, Any]]:
    """What all jobs have left."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in clone.glob("*/**/*.json") if path.stat().st_size)
    return [told for told in found if isinstance(told, dict) and {"run", "rows", "seconds"} <= set(told)]


def inside(told: list[dict[str, Any]], cores: int) -> float:
    """Core seconds of the jobs that train or measure."""
    counted = (one for one in told if not one["run"].startswith(AROUND))
    return sum(one["seconds"] * (cores if one["run"].startswith(ALONE) else 1) for one in counted)
