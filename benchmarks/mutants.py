"""Mutants: small changes to the source, one at a time; a good test suite fails for each. Run by ``make mutants``.

    python benchmarks/mutants.py                      every mutant of the modules that pyproject.toml lists
    python benchmarks/mutants.py "verdict.court*"     those of some modules or functions
    python benchmarks/mutants.py --sample 150         at most so many of each module, drawn with a seed
    python benchmarks/mutants.py --table              only the table of what was found so far

mutmut makes the mutants, in the folder mutants/. They are run here and not by ``mutmut run``, because that starts
pytest anew and collects its tests for each of thousands: here a process that has collected them is copied (``fork``)
for each mutant, and runs the tests that reach the changed function, the quickest first, until one fails.

What was killed stays so until its function changes; a survivor is tried again by the next run. Remove the folder to
start afresh. ``mutmut results`` lists the survivors, ``mutmut show NAME`` shows one.
"""

import argparse
import gc
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from mutmut import __main__ as mutmut
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.state import state
from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parents[1]
MADE = ROOT / "mutants"
SEED = 0
SURVIVED, KILLED, UNTESTED, LATE = 0, 1, 33, 36
ENDED = ("killed", "timeout", "segfault")


def found() -> dict[Path, SourceFileMutationData]:
    """Per source file its mutants and what became of them."""
    told = {}
    for path in sorted(MADE.glob("src/**/*.py.meta")):
        data = SourceFileMutationData(path=path.relative_to(MADE).with_suffix(""))
        data.meta_path = path  # absolute: the tests run in another folder
        data.load()
        if data.exit_code_by_key:
            told[data.path] = data
    return told


def table() -> str:
    """Per module the mutants that were run, by what became of them; one that no test reaches has survived."""
    columns = ("module", "mutants", "run", "killed", "timeouts", "survived", "share killed")
    lines = [f"| {' | '.join(columns)} |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    for path, data in found().items():
        codes = data.exit_code_by_key.values()
        fates = Counter(status_by_exit_code[code] for code in codes if code is not None)
        run, killed, late = fates.total(), fates["killed"] + fates["segfault"], fates["timeout"]
        share = f"{(killed + late) / run:.1%}" if run else "–"
        lines.append(f"| {path} | {len(codes)} | {run} | {killed} | {late} | {run - killed - late} | {share} |")
    return "\n".join(lines)


def chosen(patterns: list[str], sample: int) -> list[str]:
    """The mutants asked for that are not killed yet; of each module the same ``sample`` every time (0: all)."""
    names: list[str] = []
    for data in found().values():
        asked = [n for n in sorted(data.exit_code_by_key) if not patterns or any(fnmatch(n, one) for one in patterns)]
        drawn = random.Random(SEED).sample(asked, min(sample, len(asked))) if sample else asked
        names += [n for n in drawn if status_by_exit_code[data.exit_code_by_key[n]] not in ENDED]
    return names


class Runner:
    """In place of pytest's own loop over the tests: one forked process for each mutant."""

    def __init__(self, patterns: list[str], sample: int, workers: int) -> None:
        self.names, self.workers = chosen(patterns, sample), workers
        self.data = {name: data for data in found().values() for name in data.exit_code_by_key}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        with session.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            reached, seconds = self.survey(session)
            order = {function: sorted(items, key=seconds.__getitem__) for function, items in reached.items()}
            waiting = sorted(self.names, key=lambda name: sum(seconds[i] for i in order.get(function_of(name), [])))
            running: dict[int, str] = {}
            gc.collect()
            gc.freeze()  # or the first collection in each copy would write to, and so copy, all of the memory
            begun = time.monotonic()
            for number, name in enumerate(waiting, start=1):
                if function_of(name) not in order:
                    self.settle(name, UNTESTED)
                    continue
                if len(running) >= self.workers:
                    self.reap(running)
                running[self.started(session, name, order[function_of(name)], seconds)] = name
                if not number % 10:
                    print(f"{number} of {len(waiting)} mutants after {time.monotonic() - begun:.0f} s", flush=True)
            while running:
                self.reap(running)
        return True

    def survey(self, session: pytest.Session) -> tuple[dict[str, set[int]], list[float]]:
        """Function → the tests that reach it; and every test's duration. All tests must pass without a mutant.

        In a process of its own, so that nothing that a test leaves behind is there when the mutants are run.
        """
        print(f"{len(session.items)} tests without a mutant first", flush=True)
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(read)
            os.environ["MUTANT_UNDER_TEST"] = "stats"
            witness = Witness()
            session.config.pluginmanager.register(witness)
            reached: dict[str, set[int]] = defaultdict(set)
            seconds = []
            for number, item in enumerate(session.items):
                begun = time.process_time()
                if not passes(session, [number], following=number + 1):
                    print(f"{item.nodeid} fails without any mutant")
                    os._exit(1)
                used = [id(d) for several in item._fixtureinfo.name2fixturedefs.values() for d in several]
                # in a copy each test pays for its fixtures, not only the first of those that share one
                seconds.append(time.process_time() - begun - witness.now + sum(witness.seconds[d] for d in used))
                witness.now = 0.0
                for function in state()._stats.union(*(witness.reached[d] for d in used)):
                    reached[function].add(number)
                state()._stats.clear()
            with os.fdopen(write, "w") as told:
                json.dump(({function: sorted(numbers) for function, numbers in reached.items()}, seconds), told)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as told:
            content = told.read()
        if os.waitpid(pid, 0)[1]:
            raise session.Interrupted("the tests do not pass without a mutant")
        functions, spent = json.loads(content)
        return {function: set(numbers) for function, numbers in functions.items()}, spent

    def started(self, session: pytest.Session, name: str, items: list[int], seconds: list[float]) -> int:
        """Begin with a mutant in a new process; gives its number."""
        pid = os.fork()
        if pid:
            return pid
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.environ["MUTANT_UNDER_TEST"] = name
        # an endless loop; processor time, so that a pause of the whole run is none of a mutant's
        limit = 10 + int(3 * sum(seconds[i] for i in items))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        signal.alarm(10 * limit)
        session.config._tmp_path_factory._basetemp = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=MADE / "tmp"))
        os._exit(SURVIVED if passes(session, items) else KILLED)

    def reap(self, running: dict[int, str]) -> None:
        """Wait for one of them to end."""
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        late = code in (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL)
        self.settle(running.pop(pid), LATE if late else code)
        for folder in (MADE / "tmp").glob(f"{pid}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def settle(self, name: str, code: int) -> None:
        self.data[name].exit_code_by_key[name] = code
        self.data[name].save()


class Witness:
    """Notes which functions a fixture that several tests share reaches, and how long that takes."""

    def __init__(self) -> None:
        self.reached: dict[int, set[str]] = defaultdict(set)
        self.seconds: dict[int, float] = defaultdict(float)
        self.now = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        before, begun = set(state()._stats), time.process_time()
        state()._stats.clear()
        result = yield
        if fixturedef.scope != "function":
            self.reached[id(fixturedef)] = set(state()._stats)
            self.seconds[id(fixturedef)] = time.process_time() - begun
            self.now += self.seconds[id(fixturedef)]
        state()._stats.update(before)
        return result


def passes(session: pytest.Session, numbers: list[int], following: int | None = None) -> bool:
    """Whether these tests pass one after another; ends with the first that does not."""
    from _pytest.runner import runtestprotocol

    for place, number in enumerate(numbers):
        after = numbers[place + 1] if place + 1 < len(numbers) else following
        item = session.items[number]
        then = session.items[after] if after is not None and after < len(session.items) else None
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=then)):
            return False
    return True


def function_of(name: str) -> str:
    return name.partition("__mutmut_")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description="Change the source by one small step at a time and run its tests.")
    parser.add_argument("names", nargs="*", help='which mutants, such as "verdict.court.judge*" (default: all)')
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="at most N mutants of each module")
    parser.add_argument("--workers", type=int, default=1, help="processes at a time")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="run these (default: as pyproject.toml says)")
    parser.add_argument("--table", action="store_true", help="run nothing")
    asked = parser.parse_args()
    if not asked.table:
        os.chdir(ROOT)
        settings = config()
        MADE.mkdir(exist_ok=True)
        shutil.rmtree(MADE / "tests", ignore_errors=True)  # a test that is no more
        mutmut.copy_src_dir()
        mutmut.copy_also_copy_files()
        mutmut.create_mutants(1)
        shutil.rmtree(MADE / "tmp", ignore_errors=True)
        (MADE / "tmp").mkdir()
        # one thread each; commands that tests start find the mutants too
        os.environ |= {"OMP_NUM_THREADS": "1", "MUTANT_UNDER_TEST": "", "PYTHONPATH": str(MADE / "src")}
        sys.path[:] = [str(MADE / "src"), *(p for p in sys.path if Path(p).resolve() != ROOT / "src")]
        os.chdir(MADE)
        options = ["--rootdir=.", "-q", "--basetemp=tmp/pytest", *settings.pytest_add_cli_args]
        code = pytest.main(
            [*options, *(asked.tests or settings.pytest_add_cli_args_test_selection)],
            plugins=[Runner(asked.names, asked.sample, asked.workers)],
        )
        if code:
            sys.exit(int(code))
    print(table())


if __name__ == "__main__":
    main()
