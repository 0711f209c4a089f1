"""Kill a run again and again, wherever it is, and see that it ends as if nothing had happened.

    python benchmarks/soak.py --kills 50            (about 25 minutes on two cores)

Clones this repository twice, runs the smoke edition once undisturbed and once with kills: at random moments, SIGKILL,
SIGTERM or Ctrl-C, to Snakemake, to a job, or to all at once. After each kill the same command is given again. Prints a
table in Markdown and ends with 1 if anything differs: a weight, a row of the evidence (but for timings), or a file that
was whole and was made again.
"""

import argparse
import base64
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ("snakemake", "--cores", "all")
#: who is hit: the workflow, one of its jobs, or its whole process group, as Ctrl-C and a batch system do
TARGETS = ("workflow", "job", "group")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
#: experiments and metrics that measure time or memory, which no two runs share
TIMED = ("speed", "generation", "cost", "implementation", "device", "time_to_quality", "parallelism")
TIMED_METRICS = ("train_seconds", "peak_memory_bytes")
#: files that two runs have in common to the bit
COMPARED = ("runs/**/model.safetensors", "data/**/*.jsonl", "data/**/*.npy", "runs/**/outputs.jsonl")
#: seconds that a run has to end in once it was hit
PATIENCE = 120.0


@dataclass
class Kill:
    """One disturbance and what came of it."""

    target: str
    number: int
    #: seconds from the start of the run to the kill, and from there to its end
    after: float
    ended: float = 0.0
    #: when it was sent, in nanoseconds since 1970
    at: int = 0
    said: str = ""


@dataclass
class Disturbed:
    """What a disturbed run went through."""

    kills: list[Kill] = field(default_factory=list)
    remade: list[str] = field(default_factory=list)


def environment() -> dict[str, str]:
    """That of a user who has this Python's commands on the path."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_NUM_THREADS")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}


def whole(folder: Path) -> dict[str, int]:
    """Every file that Snakemake has recorded as made, with the moment it was written (nanoseconds)."""
    found = {}
    for record in (folder / ".snakemake/metadata").rglob("*"):
        if record.is_file():
            with contextlib.suppress(ValueError, OSError):
                told = json.loads(record.read_text(encoding="utf-8"))
                name = base64.b64decode("".join(record.relative_to(folder / ".snakemake/metadata").parts)).decode()
                if not told.get("incomplete") and (folder / name).exists():
                    found[name] = (folder / name).stat().st_mtime_ns
    return found


def processes_below(parent: int) -> list[int]:
    """All living descendants of a process."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = entry.read_text(encoding="utf-8").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, waiting = [], [parent]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def hit(process: subprocess.Popen[str], kill: Kill, chance: random.Random) -> None:
    """Send the signal."""
    if kill.target == "workflow":
        os.kill(process.pid, kill.number)
    elif kill.target == "group":
        os.killpg(process.pid, kill.number)
    elif victims := processes_below(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(victims), kill.number)


def run_and_kill(folder: Path, command: Sequence[str], kill: Kill, chance: random.Random) -> bool:
    """Start the command and kill it; whether it was still running then."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(kill.after)
        was_running = process.poll() is None
        kill.at = time.time_ns()
        if was_running:
            hit(process, kill, chance)
        begun = time.monotonic()
        try:
            # a job that is killed does not end the others: the run is ended as a person would end it
            process.wait(PATIENCE if kill.target != "job" else 5.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)
        kill.ended = time.monotonic() - begun
        output.seek(0)
        kill.said = output.read()
    return was_running


def disturb(
    folder: Path, kills: int, chance: random.Random, longest: float, command: Sequence[str] = COMMAND
) -> Disturbed:
    """Kill the command so many times, each at most ``longest`` seconds after its start; fewer, if it ends before."""
    found = Disturbed()
    made: dict[str, int] = {}
    for _ in range(kills):
        kill = Kill(chance.choice(TARGETS), chance.choice(SIGNALS), chance.uniform(1.0, longest))
        was_running = run_and_kill(folder, command, kill, chance)
        found.kills.append(kill)
        now = whole(folder)
        found.remade += [name for name, when in made.items() if now.get(name, when) != when]
        if not was_running:
            break
        # a job that ends while the workflow is being ended is one that Snakemake makes again
        made = {name: when for name, when in now.items() if when < kill.at}
    return found


def finish(folder: Path, found: Disturbed, command: Sequence[str] = COMMAND) -> None:
    """Let the command end by itself; raises ``SystemExit`` with what it said if it does not end well.

    DVC gives the files that it takes into its cache new times, so that nothing is said of what it made again.
    """
    made = whole(folder) if command[0] == "snakemake" else {}
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        told = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        raise SystemExit(f"after {len(found.kills)} kills the run does not end:\n{told}")
    now = whole(folder)
    found.remade += [name for name, when in made.items() if now.get(name, when) != when]


def differences(one: Path, other: Path) -> Iterator[str]:
    """What two finished runs do not have in common."""
    for pattern in COMPARED:
        names = {path.relative_to(one) for path in one.glob(pattern)} | {
            path.relative_to(other) for path in other.glob(pattern)
        }
        for name in sorted(names):
            first, second = one / name, other / name
            if not (first.exists() and second.exists()) or first.read_bytes() != second.read_bytes():
                yield str(name)
    tables = [untimed(pl.read_parquet(folder / "results/evidence.parquet")) for folder in (one, other)]
    if not tables[0].equals(tables[1]):
        yield "results/evidence.parquet"
    for folder in (one, other):
        yield from (f"{path} (left over)" for path in folder.glob("runs/**/.*"))
        yield from (f"{path} (left over)" for path in folder.glob("runs/**/checkpoint*"))


def untimed(evidence: pl.DataFrame) -> pl.DataFrame:
    """The rows that measure neither time nor memory, sorted."""
    timed = (
        pl.col("experiment").is_in(TIMED) | pl.col("metric").is_in(TIMED_METRICS) | (pl.col("matching") == "seconds")
    )
    return evidence.filter(~timed).sort(evidence.columns)


def clone(folder: Path) -> Path:
    """This repository as it is committed, with its downloads."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    (folder / "downloads").symlink_to(ROOT / "downloads")
    return folder


def table(found: Disturbed) -> str:
    """The kills by target and signal, and how long the runs took to end."""
    counts = Counter((kill.target, signal.Signals(kill.number).name) for kill in found.kills)
    lines = ["| hit | signal | times | slowest end, s | tracebacks |", "|---|---|---|---|---|"]
    for (target, name), count in sorted(counts.items()):
        same = [k for k in found.kills if (k.target, signal.Signals(k.number).name) == (target, name)]
        quiet = sum("Traceback" in kill.said for kill in same)
        lines.append(f"| {target} | {name} | {count} | {max(kill.ended for kill in same):.1f} | {quiet} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--longest", type=float, default=40.0, help="seconds after which a run is killed at the latest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work (default: a folder that is removed again)")
    given = parser.parse_args()
    work = given.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    command = (*COMMAND, "--config", "edition=smoke")
    (ROOT / "downloads").mkdir(exist_ok=True)
    calm, disturbed = clone(work / "calm"), clone(work / "disturbed")
    subprocess.run(command, cwd=calm, env=environment(), check=True, capture_output=True)
    chance, found = random.Random(given.seed), Disturbed()
    while len(found.kills) < given.kills:
        # a run that ends before it is killed begins anew
        part = disturb(disturbed, given.kills - len(found.kills), chance, given.longest, command)
        finish(disturbed, part, command)
        found.kills += part.kills
        found.remade += part.remade
        different = list(differences(calm, disturbed))
        if different or found.remade:
            break
        if len(found.kills) < given.kills:
            shutil.rmtree(disturbed)
            clone(disturbed)
    print(table(found))
    print(f"\n{len(found.kills)} kills survived; files that differ: {len(different)}; made twice: {len(found.remade)}")
    sizes = [path.stat().st_size for pattern in COMPARED for path in calm.glob(pattern)]
    rows = len(untimed(pl.read_parquet(calm / "results/evidence.parquet")))
    print(f"compared with an undisturbed run: {len(sizes)} files, {sum(sizes):,} bytes; {rows:,} rows of evidence")
    for name in (*different, *found.remade):
        print(f"- {name}")
    if not given.folder:
        shutil.rmtree(work)
    sys.exit(bool(different or found.remade))


if __name__ == "__main__":
    main()
