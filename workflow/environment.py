"""What every job of the workflow finds in its environment, and what the workflow finds in its folder: locks, others who
work there, what its commands need to know of the whole graph."""

import atexit
import errno
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

#: bytes; the quick edition leaves 160 MB and downloads 90
LEAST_FREE = 500_000_000
#: which processes work in the folder, so that their locks can be told from dead ones'
OWNERS = ".snakemake/owners"


def complaint(folder: Path) -> str | None:
    """Why results cannot be written to a folder, in one sentence; None if they can."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return f"{folder} cannot be written to ({error.strerror}); check its permissions, or run in another folder"
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        return f"{folder} has {free // 10**6} MB free, and a run needs {LEAST_FREE // 10**6}; free some space"
    return None


def prepare(root: Path) -> None:
    """Let jobs find this Python and this package, installed or not, and speak UTF-8, without telemetry."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    source = str(root / "src")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    if source not in sys.path:
        sys.path.insert(0, source)
    os.environ["PYTHONUTF8"] = "1"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # hashes of strings would otherwise order sets differently in every process
    os.environ["PYTHONHASHSEED"] = "0"


def trust(mixers: Iterable[str]) -> None:
    """Let models on disk name these mixers by import path, and no others (``verdict.training.store``)."""
    os.environ["VERDICT_MIXERS"] = " ".join(sorted({mixer for mixer in mixers if ":" in mixer}))


def release(folder: Path) -> bool:
    """Remove the lock that a killed Snakemake has left; whether there was one.

    Left alone is a lock while any process that has entered itself (``enter``) lives or is another machine's, and one
    that nobody has entered himself for.
    """
    locks = [path for path in (folder / ".snakemake/locks").glob("*.lock") if path.is_file()]
    entries = list((folder / OWNERS).glob("*.json"))
    if any(_may_live(entry) for entry in entries):
        return False
    for path in (*entries, *(locks if entries else ())):
        path.unlink(missing_ok=True)
    return bool(entries and locks)


def others(folder: Path) -> list[int]:
    """The numbers of the processes that have entered themselves and work in the folder."""
    entries = (folder / OWNERS).glob("*.json")
    return sorted(int(entry.stem.rpartition("-")[2]) for entry in entries if _may_live(entry))


def enter(folder: Path) -> None:
    """Write down that this process works in the folder, until it ends."""
    entry = folder / OWNERS / f"{platform.node()}-{os.getpid()}.json"
    entry.parent.mkdir(parents=True, exist_ok=True)
    entry.write_text(json.dumps(_identity(os.getpid())), encoding="utf-8")
    atexit.register(entry.unlink, missing_ok=True)


def _may_live(entry: Path) -> bool:
    try:
        told = json.loads(entry.read_text(encoding="utf-8"))
        process = int(told["process"])
    except (OSError, ValueError, TypeError, KeyError):
        return False  # half written when its process was killed
    here = _identity(process)
    return bool(told.get("machine") != here["machine"] or (here["since"] is not None and told == here))


def _identity(process: int) -> dict[str, object]:
    """What tells a process from every other, on this machine and after a restart; ``since`` is None if it is dead."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        # the 22nd field, counted behind the name, which may hold blanks
        since = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        since = None
    return {
        "machine": platform.node(),
        "boot": boot.read_text(encoding="utf-8").strip() if boot.exists() else "",
        "process": process,
        "since": since,
    }


def by_seed(paths: Iterable[str]) -> list[str]:
    """Paths as words for bash, those that differ in the seed alone as one of braces: ``runs/lm/lstm/s{0..4}``.

    A shell command is a single argument, of which Linux takes no more than 128 KiB; a file for each of thirty seeds and
    sixty trainings would not fit. Rules take these words from functions, or Snakemake would look for wildcards in them.
    """
    seeds: dict[tuple[str, str], list[int]] = {}
    for path in paths:
        before, mark, after = re.match(r"(.*/)s(\d+)(?![^/])(.*)|", path).groups()  # type: ignore[union-attr]
        seeds.setdefault((before, after) if mark else (path, ""), []).extend([int(mark)] if mark else [])
    return [
        f"{before}s{{{min(found)}..{max(found)}}}{after}" if len(found) > 1
        else f"{before}s{found[0]}{after}" if found else before
        for (before, after), found in seeds.items()
    ]  # fmt: skip


def rooms(rules: Iterable[Any]) -> list[tuple[str, list[str]]]:
    """Snakemake's rules by the file that holds them, in the order of the data: (file without its ending, rules)."""
    found: dict[str, list[str]] = {}
    for rule in rules:
        room = Path(rule.snakefile).stem
        if room != "Snakefile":
            found.setdefault(room, []).append(rule.name)
    return list(found.items())


def has_gpu(root: Path = Path("/")) -> bool:
    """Whether jobs will see an NVIDIA GPU of this machine, asked without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):  # which hide them all
        return False
    # the first GPU that a container or a SLURM job is given need not be number 0
    return (root / "proc/driver/nvidia/gpus").is_dir() or any((root / "dev").glob("nvidia[0-9]*"))


def local_ledger() -> bool:
    """Whether MLflow's runs go to the file mlflow.db rather than to a server or store of the user's."""
    return not os.environ.get("MLFLOW_TRACKING_URI")


def ledger_attempt(ledger: Path) -> int:
    """How often the ledger was tried in vain: a number that grows, so that its job runs again, until a try succeeds."""
    try:
        told = json.loads(ledger.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    return int(told.get("attempts", 1)) - (0 if told.get("pending") else 1)
