"""The whole smoke edition, run once in a clean clone and shared by the tests that look at what it left."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import soak

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


#: secrets that a user may have in the environment; no run may write one down
CANARIES = {
    name: f"canary-{number}-5ecre7"
    for number, name in enumerate(
        ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY",
         "GITHUB_TOKEN", "HF_TOKEN", "DATABASE_PASSWORD", "API_KEY")
    )
}  # fmt: skip


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Look again and again, for so long at most."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


class Clone:
    """A clean copy of this repository, committed, set to the smoke edition; it shares the cache of downloads alone."""

    #: what Snakemake printed when everything was run
    said = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = self.call("git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z", where=ROOT)
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.change("edition: quick", "edition: smoke")
        (ROOT / "downloads").mkdir(exist_ok=True)
        (folder / "downloads").symlink_to(ROOT / "downloads")
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "clone"]):
            self.call("git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments)

    def change(self, old: str, new: str, file: str = "params.yaml") -> None:
        """Replace one text in a file."""
        text = (self.folder / file).read_text(encoding="utf-8")
        assert old in text, f"{file} does not contain {old!r}"
        (self.folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    def call(self, *command: str, where: Path | None = None, fails: bool = False) -> str:
        """Run a command in the clone; gives what it printed."""
        done = subprocess.run(
            command, cwd=where or self.folder, env=soak.environment() | CANARIES, text=True, timeout=900,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}"
        )
        return done.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """How many jobs of each rule ``snakemake -n`` would run."""
        told = self.call("snakemake", "-n", "--cores", "2", *arguments)
        if "Nothing to be done" in told:
            return {}
        table = told[told.index("Job stats:") :]
        return {
            rule: int(count)
            for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)
            if rule not in ("total", "all")
        }


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which ``snakemake --cores all`` has run."""
    clone = Clone(tmp_path_factory.mktemp("smoke"))
    clone.said = clone.call("snakemake", "--cores", "all")
    return clone
