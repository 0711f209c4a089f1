"""Kill a run again and again, wherever it is, and see that it ends as if nothing had happened.

    python benchmarks/soak.py --kills 50            (about 35 minutes on two cores)

Clones this repository twice, runs the smoke edition once undisturbed and once with kills: at random moments, SIGKILL,
SIGTERM or Ctrl-C, to Snakemake, to a job (of the module that was hit least so far), or to all at once. After each kill
the same command is given again. A kill that met nothing is not counted. Prints tables in Markdown, also when
it is stopped with Ctrl-C, and ends with 1 if

- a weight, text, token, output or row of the evidence (but for timings) differs,
- judging and drawing the page once more gives another verdict or page,
- a file that was whole was made again, anything is left over, a run did not end, or one told a traceback.
"""

import argparse
import base64
import contextlib
import json
import os
import random
import re
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
#: experiments and metrics that measure time or memory, which no two runs share, and what is counted among them
TIMED = ("speed", "generation", "cost", "implementation", "device", "time_to_quality", "parallelism")
TIMED_METRICS = ("train_seconds", "peak_memory_bytes")
COUNTED = ("state_bytes", "dependent_chain", "declared_chain")
#: made again from the evidence at the end, to the bit
MADE_OF_EVIDENCE = ("results/verdict.json", "reports/index.html")
#: files that two runs have in common to the bit
COMPARED = ("runs/**/model.safetensors", "data/**/*.jsonl", "data/**/*.npy", "runs/**/outputs.jsonl")
#: seconds that a run has to end in once it was hit
PATIENCE = 240.0
#: seconds after which a run is hit at the latest that has just begun, while it reads and encodes texts
EARLY = 8.0


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
    #: the jobs that it met, by the names of their modules
    jobs: list[str] = field(default_factory=list)
    #: whether the run had to be ended by force
    hung: bool = False


@dataclass
class Disturbed:
    """What a disturbed run went through."""

    kills: list[Kill] = field(default_factory=list)
    remade: list[str] = field(default_factory=list)


def environment(**more: str) -> dict[str, str]:
    """That of a user who has this Python's commands on the path."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_NUM_THREADS")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}", **more}


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


def jobs_below(parent: int) -> dict[int, str]:
    """The jobs that work for a process, by the module that each has become: children of its server of jobs."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            name, _, fields = entry.read_text(encoding="utf-8").partition("(")[2].rpartition(")")
            children.setdefault(int(fields.split()[1]), []).append((int(entry.parent.name), name))
    for server, _ in children.get(parent, []):
        with contextlib.suppress(OSError):
            if b"--serve" in Path(f"/proc/{server}/cmdline").read_bytes().split(b"\0"):
                return {job: name for job, name in children.get(server, []) if not name.startswith("python")}
    return {}


def hit(process: subprocess.Popen[str], kill: Kill, chance: random.Random, before: Counter[str]) -> bool:
    """Send the signal; whether it met anything. Waits for a job, if one is to be hit and none is at work, and with
    Ctrl-C: what Python prints of a workflow that still imports its modules is Python's.

    ``before``: how often jobs of each module were hit.
    """
    while process.poll() is None:
        jobs = jobs_below(process.pid)
        if not jobs and (kill.target == "job" or kill.number == signal.SIGINT):
            time.sleep(0.05)
            continue
        kill.at = time.time_ns()
        with contextlib.suppress(ProcessLookupError):
            if kill.target == "workflow":
                os.kill(process.pid, kill.number)
            elif kill.target == "group":
                os.killpg(process.pid, kill.number)
            else:
                least = min(before[name] for name in jobs.values())
                victim = chance.choice([job for job, name in sorted(jobs.items()) if before[name] == least])
                os.kill(victim, kill.number)
                jobs = {victim: jobs[victim]}
            kill.jobs = sorted(jobs.values())
            return True
    return False


def tracebacks(said: str) -> int:
    """How many tracebacks a run printed, but for those of an interpreter that was hit while it started."""
    told = re.split(r"^Traceback \(most recent call last\):$", said, flags=re.M)[1:]
    return sum('File "<frozen site>"' not in each for each in told)


def run_and_kill(
    folder: Path, command: Sequence[str], kill: Kill, chance: random.Random, before: Counter[str], **more: str
) -> bool:
    """Start the command and kill it; whether it was still running then."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as shells start what runs in the background, children too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(**more), stdout=output, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(kill.after)
        was_hit = hit(process, kill, chance, before)
        begun = time.monotonic()
        # a job that is killed does not end the others: the run is ended as a person would end it
        for seconds in [5.0, PATIENCE] if kill.target == "job" else [PATIENCE]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                break
            kill.hung = seconds == PATIENCE
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL if kill.hung else signal.SIGTERM)
        process.wait()
        kill.ended = time.monotonic() - begun
        output.seek(0)
        kill.said = output.read()
    return was_hit


def disturb(
    folder: Path, kills: int, chance: random.Random, longest: float, command: Sequence[str] = COMMAND,
    before: Counter[str] | None = None, **more: str,
) -> Disturbed:  # fmt: skip
    """Kill the command so many times, each at most ``longest`` seconds after its start; fewer, if it ends before.

    ``before``: how often jobs of each module were hit, which is added to; ``more``: variables of the environment.
    """
    before = Counter() if before is None else before
    found = Disturbed()
    made: dict[str, int] = {}
    while len(found.kills) < kills:
        latest = longest if found.kills else min(longest, EARLY)
        kill = Kill(chance.choice(TARGETS), chance.choice(SIGNALS), chance.uniform(1.0, latest))
        was_hit = run_and_kill(folder, command, kill, chance, before, **more)
        now = whole(folder)
        found.remade += [name for name, when in made.items() if now.get(name, when) != when]
        if not was_hit:
            break
        found.kills.append(kill)
        before.update(kill.jobs)
        # a job that ends while the workflow is being ended is one that Snakemake makes again
        made = {name: when for name, when in now.items() if when < kill.at}
    return found


def finish(folder: Path, found: Disturbed, command: Sequence[str] = COMMAND, **more: str) -> None:
    """Let the command end by itself; raises ``SystemExit`` with what it said if it does not end well.

    DVC gives the files that it takes into its cache new times, so that nothing is said of what it made again.
    """
    made = whole(folder) if command[0] == "snakemake" else {}
    done = subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False)
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
    yield from left_over(other)


def left_over(folder: Path) -> Iterator[str]:
    """What nothing should be left of in a folder whose run is finished: files aside, checkpoints, trials, locks."""
    for top in ("data", "runs", "tuning", "measurements", "results", "reports", "downloads"):
        for path in (folder / top).rglob("*"):
            aside = path.name.startswith(".") and not {".locks", ".gitkeep", ".gitignore"} & set(path.parts)
            if aside or path.name.startswith("checkpoint") or (top == "tuning" and path.name.startswith("t0")):
                yield f"{path} (left over)"
    yield from (f"{path} (left over)" for path in (folder / ".snakemake/locks").glob("*"))


def made_again(folder: Path, command: Sequence[str]) -> list[str]:
    """Those of verdict and page that another judging and drawing gives other bytes."""
    before = {name: (folder / name).read_bytes() for name in MADE_OF_EVIDENCE}
    again = (*command, "--forcerun", "judge", "page")
    subprocess.run(again, cwd=folder, env=environment(), check=True, capture_output=True)
    return [f"{name} (judged and drawn again)" for name, old in before.items() if (folder / name).read_bytes() != old]


def untimed(evidence: pl.DataFrame) -> pl.DataFrame:
    """The rows that measure neither time nor memory, sorted."""
    timed = (
        (pl.col("experiment").is_in(TIMED) & ~pl.col("metric").is_in(COUNTED))
        | pl.col("metric").is_in(TIMED_METRICS)
        | (pl.col("matching") == "seconds")
    )
    return evidence.filter(~timed).sort(evidence.columns)


def clone(folder: Path, shared: bool = False) -> Path:
    """This repository as it is committed, with its downloads or none."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    if shared:
        (folder / "downloads").symlink_to(ROOT / "downloads")
    return folder


def table(found: Disturbed) -> str:
    """The kills by target and signal, how long the runs took to end, and which jobs were at work."""
    counts = Counter((kill.target, signal.Signals(kill.number).name) for kill in found.kills)
    lines = ["| hit | signal | times | slowest end, s | tracebacks |", "|---|---|---|---|---|"]
    for (target, name), count in sorted(counts.items()):
        same = [k for k in found.kills if (k.target, signal.Signals(k.number).name) == (target, name)]
        told = sum(tracebacks(kill.said) for kill in same)
        lines.append(f"| {target} | {name} | {count} | {max(kill.ended for kill in same):.1f} | {told} |")
    lines += ["", "| job that was at work | times |", "|---|---|"]
    met = Counter(job for kill in found.kills for job in kill.jobs)
    lines += [f"| {name} | {count} |" for name, count in sorted(met.items())]
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
    calm, disturbed = clone(work / "calm", shared=True), clone(work / "disturbed")
    subprocess.run(command, cwd=calm, env=environment(), check=True, capture_output=True)
    # the disturbed run fetches everything for itself, from the files that the calm one has fetched
    mirror = {"VERDICT_MIRROR": str(ROOT / "downloads")}
    chance, found, before, wrong = random.Random(given.seed), Disturbed(), Counter[str](), []
    with contextlib.suppress(KeyboardInterrupt):  # what is whole by then is told
        while len(found.kills) < given.kills and not wrong:
            if found.kills:  # a run that ends before it is killed begins anew
                shutil.rmtree(disturbed)
                clone(disturbed)
            left = given.kills - len(found.kills)
            part = disturb(disturbed, left, chance, given.longest, command, before, **mirror)
            try:
                finish(disturbed, part, command, **mirror)
                wrong += [*differences(calm, disturbed), *made_again(disturbed, command)]
            except SystemExit as error:
                wrong.append(str(error))
            found.kills += part.kills
            wrong += [f"{name} (made twice)" for name in part.remade]
            for kill in part.kills:
                name = f"{signal.Signals(kill.number).name} to {kill.target} at {kill.after:.1f} s"
                wrong += [f"{name}: did not end"] if kill.hung else []
                wrong += [f"{name}: a traceback\n{kill.said[-2000:]}"] if tracebacks(kill.said) else []
            print(f"{len(found.kills)} of {given.kills} kills", file=sys.stderr, flush=True)
    print(table(found))
    print(f"\n{len(found.kills)} kills survived; found wrong: {len(wrong)}")
    sizes = [path.stat().st_size for pattern in COMPARED for path in calm.glob(pattern)]
    rows = len(untimed(pl.read_parquet(calm / "results/evidence.parquet")))
    print(f"compared with an undisturbed run: {len(sizes)} files, {sum(sizes):,} bytes; {rows:,} rows of evidence")
    for name in wrong:
        print(f"- {name}")
    if not given.folder and not wrong:
        shutil.rmtree(work)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
