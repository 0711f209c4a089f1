"""Train a run that is killed in the middle of its n-th write, and go on; for every n there is.

    python killed_writing.py JOB TOKENS FOLDER

Prints a line per kill: where it fell, and whether weights and learning curve are those of the undisturbed run and
nothing is left over. A write is half of a file's bytes, a sync, or a rename.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from verdict.device import prepare
from verdict.training import runs
from verdict.training.settings import Job

KILLED = -signal.SIGKILL


def in_a_child(call: Callable[[], object]) -> int:
    """The exit status of a forked child that makes the call."""
    process = os.fork()
    if process == 0:
        try:
            call()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_at(number: int, told: Path) -> None:
    """Have this process kill itself in its write of that number; the last write it began stands in ``told``."""
    count = 0

    def step(what: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            told.write_text(what)
            os.kill(os.getpid(), signal.SIGKILL)

    write_bytes, replace, fsync = Path.write_bytes, Path.replace, os.fsync

    def halfway(self: Path, data: bytes) -> int:
        if self != told:
            with open(self, "wb") as opened:
                opened.write(data[: len(data) // 2])
            step(f"half of {self.name.split('.')[1]}")
        return write_bytes(self, data)

    def renaming(self: Path, target: Path) -> Path:
        step(f"renaming to {Path(target).name}")
        return replace(self, target)

    def syncing(descriptor: int) -> None:
        step("syncing")
        fsync(descriptor)

    Path.write_bytes, Path.replace, os.fsync = halfway, renaming, syncing  # type: ignore[method-assign,assignment]


def left(folder: Path) -> tuple[bytes, list[dict[str, object]]]:
    """Weights and learning curve without its times."""
    lines = (folder / "history.jsonl").read_text().splitlines()
    points = [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]
    return (folder / "model.safetensors").read_bytes(), points


def main() -> None:
    """The command line."""
    job, tokens, folder = Job.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
    prepare(1)

    def train(out: Path) -> int:
        return in_a_child(lambda: runs.run_all([job], tokens, out, None))

    assert train(folder / "calm") == 0
    calm = folder / "calm" / job.name
    number, ended = 0, KILLED
    while ended == KILLED:
        number += 1
        out, told = folder / f"at{number}", folder / f"at{number}.txt"

        def disturbed(out: Path = out, told: Path = told, number: int = number) -> None:
            kill_at(number, told)
            runs.run_all([job], tokens, out, None)

        ended = in_a_child(disturbed)
        if ended == KILLED:
            again = train(out)
            same = left(out / job.name) == left(calm)
            names = {path.name for path in (out / job.name).iterdir()} == {path.name for path in calm.iterdir()}
            print(json.dumps({"at": told.read_text(), "ended": again, "same": same, "nothing_left": names}))
    assert ended == 0, ended


if __name__ == "__main__":
    main()
