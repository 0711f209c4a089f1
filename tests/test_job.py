"""Jobs run the same with a server that has torch ready as without it, and none outlives whoever started it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from verdict.job import ADDRESS

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system cannot wait for any process")
SOURCE = str(Path(__file__).parents[1] / "src")

#: a module that tells what it sees and does what it is told
MODULE = """
    import os, sys, time
    print("said", sys.argv[1:], os.environ.get("SEEN"), os.getcwd(), __name__)
    print("aside", file=sys.stderr)
    what = sys.argv[1]
    if what == "fail": raise ValueError("a defect")
    if what == "sentence": sys.exit("error: one sentence")
    if what == "code": sys.exit(7)
    if what == "wait":
        open(sys.argv[2], "w").write(str(os.getpid()))
        time.sleep(60)
    if what == "fill":
        kept = bytearray(b"x" * (300 * 2**20))
        time.sleep(0.2)
    if what == "die": os.kill(os.getpid(), 9)
    if what == "torch": print("torch" in sys.modules, len(os.listdir("/proc/self/task")))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server whose parent is a process that waits; it tells the address."""
    code = (
        "import os, sys\nfrom verdict.job import ADDRESS, start_server\n"
        "start_server()\nprint(os.environ[ADDRESS], flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": SOURCE}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        address = parent.stdout.readline().strip()
        wait(lambda: Path(address).exists())
        yield address
        assert parent.stdin is not None
        parent.stdin.close()
    wait(lambda: not Path(address).parent.exists())


def wait(condition: object, seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.02)


def job(folder: Path, address: str | None, *arguments: str) -> "subprocess.Popen[str]":
    (folder / "module_of_test.py").write_text(textwrap.dedent(MODULE))
    environment = {k: v for k, v in os.environ.items() if k != ADDRESS}
    environment |= {"PYTHONPATH": f"{SOURCE}:{folder}", "SEEN": "yes"} | ({ADDRESS: address} if address else {})
    return subprocess.Popen(
        [sys.executable, "-m", "verdict.job", "module_of_test", *arguments], env=environment, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("what", ["end", "fail", "sentence", "code"])
def test_a_job_says_and_ends_the_same_with_and_without_a_server(what: str, server: str, tmp_path: Path):
    told = []
    for address in (server, None, "/nowhere/socket"):
        process = job(tmp_path, address, what, "two words", "ünïcode")
        said, aside = process.communicate(timeout=60)
        last = re.sub(r"[\d.]+", "…", aside.splitlines()[-1])  # times and memory
        told.append((said, aside.splitlines()[0], last, process.returncode))
    assert told[0] == told[1] == told[2]
    assert "said" in told[0][0]


def test_a_job_tells_at_its_end_what_it_took(server: str, tmp_path: Path):
    """Its own memory, not that of who started it."""
    kept = bytearray(b"x" * (900 * 2**20))
    for address in (server, None):
        _, aside = job(tmp_path, address, "fill").communicate(timeout=60)
        told = re.fullmatch(
            r"module_of_test took ([\d.]+) s, ([\d.]+) core seconds and at most (\d+) MiB", aside.splitlines()[-1]
        )
        assert told, aside
        seconds, busy, peak = map(float, told.groups())
        assert seconds >= 0.2
        assert busy >= 0
        assert 300 <= peak < 900
    assert len(kept) == 900 * 2**20


def test_a_job_of_the_server_has_torch_and_one_thread(server: str, tmp_path: Path):
    said, _ = job(tmp_path, server, "torch").communicate(timeout=60)
    assert said.splitlines()[-1] == "True 1"


def test_a_job_that_kills_itself_is_told(server: str, tmp_path: Path):
    process = job(tmp_path, server, "die")
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_ends_when_its_client_is_told_to_end_or_is_killed(how: signal.Signals, server: str, tmp_path: Path):
    process = job(tmp_path, server, "wait", str(tmp_path / "number"))
    wait(lambda: (tmp_path / "number").exists() and (tmp_path / "number").read_text())
    number = int((tmp_path / "number").read_text())
    assert number != process.pid
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == (128 + how if how == signal.SIGTERM else -how)
    wait(lambda: not Path(f"/proc/{number}").exists())


def test_jobs_side_by_side_keep_their_outputs_apart(server: str, tmp_path: Path):
    running = [job(tmp_path, server, "end", str(number)) for number in range(8)]
    for number, process in enumerate(running):
        said, _ = process.communicate(timeout=60)
        assert f"'{number}'" in said


def serving(address: str) -> int:
    """The process of a server."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (folder / "cmdline").read_bytes().split(b"\0")
            if b"--serve" in told and address.encode() in told:
                return int(folder.name)
    raise AssertionError(address)


def test_a_client_and_its_job_that_end_at_one_moment_leave_the_server_to_others(server: str, tmp_path: Path):
    """The server hears of both at once, as when a busy machine's jobs are all told to end."""
    process, runs = job(tmp_path, server, "wait", str(tmp_path / "number")), serving(server)
    wait(lambda: (tmp_path / "number").exists() and (tmp_path / "number").read_text())
    number = int((tmp_path / "number").read_text())
    os.kill(runs, signal.SIGSTOP)
    try:
        os.kill(number, signal.SIGKILL)
        process.kill()
        process.communicate(timeout=60)
    finally:
        os.kill(runs, signal.SIGCONT)
    wait(lambda: not Path(f"/proc/{number}").exists())
    said, _ = job(tmp_path, server, "end").communicate(timeout=60)
    assert "said" in said
    assert serving(server) == runs
