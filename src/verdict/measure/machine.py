"""``python -m verdict.measure.machine``: what this machine is and how fast it multiplies matrices at best.

Leaves machine.json (day, processor, memory, versions, commit) and device.json (rows: the peak that utilisation is read
against, in fp32 and in the precision that this run computes in, the best of the ways torch has).
"""

import argparse
import contextlib
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path

import torch

from verdict.device import choose_device, choose_precision, device_name, fp32_products, medium_is_exact, prepare
from verdict.errors import run_command
from verdict.files import write_json
from verdict.measure.timing import rounds
from verdict.metrics import Report

PACKAGES = (
    "torch",
    "numpy",
    "tokenizers",
    "safetensors",
    "sacrebleu",
    "rouge-score",
    "scikit-learn",
    "scipy",
    "polars",
)
#: rows and columns of the matrices multiplied; a GPU is not full of so few, so there their double and fourfold compete
SIZE = 2048
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as told:
            names = [line.split(":", 1)[1].strip() for line in told if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def commit() -> str | None:
    """The git commit of the working directory, with ``-dirty`` if tracked files were changed; None outside git."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


def versions() -> dict[str, str]:
    """Those of the packages that are installed: a machine that only trains and measures needs few of them."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def describe(edition: str) -> dict[str, object]:
    """Everything about the machine that the page shows."""
    cuda = torch.cuda.is_available()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        # the kernel's number alone: what follows may name who built it or where it runs
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "versions": versions(),
        "commit": commit(),
        "edition": edition,
    }


def sizes(device: torch.device) -> tuple[int, ...]:
    """Rows and columns of the matrices that compete for the peak."""
    return (SIZE, 2 * SIZE, 4 * SIZE) if device.type == "cuda" else (SIZE,)


def products(device: torch.device, precision: str, size: int) -> dict[str, Callable[[], object]]:
    """The ways to multiply that compete for the peak."""
    a, b = (torch.randn(size, size, device=device).to(DTYPES[precision]) for _ in range(2))
    return {"mm": partial(torch.mm, a, b), "linear": partial(torch.nn.functional.linear, a, b)}


def peak(device: torch.device, precision: str) -> float:
    """FLOPs per second of the fastest way to multiply large matrices in ``fp32`` or ``bf16``, with this process's
    threads: what utilisation is read against."""
    best = 0.0
    for level in ("highest", "medium") if precision == "fp32" and medium_is_exact(device) else ("highest",):
        for size in sizes(device):
            with fp32_products(level):
                for _, _, seconds in rounds(products(device, precision, size), 5, device):
                    best = max(best, 2 * size**3 / seconds)
    return best


def run(device: torch.device, precision: str, edition: str, machine: Path, rows: Path) -> None:
    """Write both files; ``precision`` as params.yaml has it."""
    write_json(machine, describe(edition))
    report = Report(
        "device", {"sizes": sizes(device)}, experiment="device", architecture="device", device=device_name(device)
    )
    # no other: a processor that has to emulate bf16 would be busy for minutes with what nobody reads
    for one in sorted({"fp32", choose_precision(precision, device)}):
        report.add("matmul_flops_per_second", peak(device, one), "FLOP/s", "higher", variant=one)
    report.write(rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.machine", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", default="auto", help="of this run's matrix products: auto, fp32 or bf16")
    parser.add_argument("--edition", required=True, help="name of the edition, for the page")
    parser.add_argument("--threads", type=int, required=True, help="CPU threads: all of the machine's")
    parser.add_argument("--machine", type=Path, required=True, help="file to write the description to")
    parser.add_argument("--rows", type=Path, required=True, help="file to write the rows to")
    given = parser.parse_args()
    prepare(given.threads, given.device)
    run(choose_device(given.device), given.precision, given.edition, given.machine, given.rows)


if __name__ == "__main__":
    run_command(main)
