"""The quick edition as a user runs it: where its core time goes, its largest process; and the set-up before it."""

import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from benchmarks.performance.commands import cloned, run, snakemake
from benchmarks.performance.plan import Plan
from benchmarks.performance.sizes import ROOT
from benchmarks.performance.table import Row, row
from verdict.job import TOOK

SECTION = "whole"
SET_UP = "set-up: altogether"
#: what the machine is left alone for: each of these has all of its cores
ALONE = ("verdict.measure.speed", "verdict.measure.parallelism", "verdict.measure.machine")
#: what trains and measures; the rest are texts, pieces, books and pages
WITHIN = ("verdict.training", "verdict.measure")


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
        unpacked = _unpacked(Path(wheels), there / "unpacked")
    return [
        _row("set-up: the environment", "seconds", venv, "s"),
        _row("set-up: packages that are at hand", "seconds", packages, "s", "unpacked by pip"),
        _row("set-up: this project", "seconds", own, "s"),
        _row(SET_UP, "seconds", venv + packages + own, "s"),
        _row("the same packages, unpacked by one process and no more", "seconds", unpacked, "s"),
    ]


def _unpacked(wheels: Path, folder: Path) -> float:
    """Seconds of writing what wheels hold, a file for each of theirs, by number in a folder for each wheel."""
    begun = time.monotonic()
    for wheel in sorted(wheels.iterdir()):
        (folder / wheel.stem).mkdir(parents=True)
        with ZipFile(wheel) as archive:
            for number, member in enumerate(archive.infolist()):
                (folder / wheel.stem / str(number)).write_bytes(archive.read(member))
    return time.monotonic() - begun


def _edition(plan: Plan, folder: Path) -> list[Row]:
    """A run of the edition in a new clone."""
    shutil.rmtree(folder / "whole", ignore_errors=True)
    clone = cloned(folder / "whole")
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run(snakemake(plan, "--config", f"edition={plan.edition}"), clone)
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = took("\n".join(path.read_text(encoding="utf-8") for path in clone.glob("logs/**/*.log")))
    used, largest = own + sum(job.busy for job in jobs), max(jobs, key=lambda job: job.peak)
    name, available = f"snakemake, {plan.edition} edition", wall * plan.threads
    return [
        _row(name, "seconds", wall, "s"),
        _row(name, "core seconds used", used, "s", f"{used / available:.1%} of those there were"),
        _row(
            name, "share of core time in training and measuring", inside(jobs, plan.threads) / available, "share",
            "a job that the machine is left alone for has all cores",
        ),
        _row(name, "largest process", largest.peak * 2**20, "byte", largest.module),
    ]  # fmt: skip


class Job(NamedTuple):
    """What a job of the workflow says at its end that it took."""

    module: str
    seconds: float
    #: core seconds
    busy: float
    #: MiB
    peak: float


def took(logs: str) -> list[Job]:
    """The jobs that logs tell of."""
    number = r"([\d.]+)"
    line = re.escape(TOOK).replace(r"\{module\}", r"(verdict\S*)")
    for field in (r"\{seconds:\.1f\}", r"\{busy:\.1f\}", r"\{peak:\.0f\}"):
        line = line.replace(field, number)
    return [Job(module, *map(float, numbers)) for module, *numbers in re.findall(f"^{line}$", logs, re.MULTILINE)]


def inside(jobs: Sequence[Job], cores: int) -> float:
    """Core seconds of the jobs that train or measure."""
    counted = (job for job in jobs if job.module.startswith(WITHIN))
    return sum(job.seconds * (cores if job.module in ALONE else 1) for job in counted)
