"""Contestants in processes of their own, taking turns round by round.

A contestant's allocator, threads and libraries are settings of its process, and blocks that one has freed are no gain
or loss of another; an idle contestant waits for a message and takes no core.
"""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from verdict.measure.timing import SHORTEST, Name, turns

#: what a worker can do by name, and what it tells of itself
Built = tuple[dict[str, Callable[[], object]], dict[str, Any]]
#: does so many steps and gives the seconds of each
Ask = Callable[[int], float]

#: seconds between turns: OpenMP's threads spin for a moment after their work, on the next one's cores
PAUSE = 0.02

#: a first step of more seconds than this needs no calibration
LONG = 1.0
#: if it takes more than so many seconds, and so many times those of the shortest, few rounds show what there is to see
SLOW, MANY_TIMES, FEW = 4.0, 5, 2

#: imported once; every worker is a fork of the process that has
PRELOADED = ("torch", "polars", "verdict.measure.work", "benchmarks.performance.peers.preload")


class Spec(NamedTuple):
    """How a worker is made."""

    build: Callable[..., Built]  # a function of a module
    arguments: tuple[Any, ...] = ()
    threads: int = 1
    prepared: bool = True  # this project's settings of a process (``verdict.device.prepare``), or torch's own


class FailedError(Exception):
    """What a worker could not do, as it told it."""


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _serve(pipe: Connection, spec: Spec) -> None:
    """The worker: builds, tells what it has, then does the steps it is asked for and answers with seconds for each."""
    import torch

    from verdict.device import prepare

    try:
        prepare(spec.threads, "cpu") if spec.prepared else torch.set_num_threads(spec.threads)
        calls, facts = spec.build(*spec.arguments)
        pipe.send((list(calls), facts))
        while (asked := pipe.recv()) is not None:
            name, steps = asked
            begun = time.perf_counter()
            for _ in range(steps):
                calls[name]()
            pipe.send(((time.perf_counter() - begun) / steps, None))
    except (EOFError, KeyboardInterrupt):
        pass
    except BaseException:
        pipe.send((None, traceback.format_exc()))


class Worker:
    """A process that does steps when it is asked to."""

    def __init__(self, spec: Spec) -> None:
        context = _context()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, spec), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.names, self.facts = self._answer()
        except BaseException:
            self.close()
            raise

    def _answer(self) -> tuple[Any, Any]:
        try:
            first, second = self._pipe.recv()
        except EOFError as error:
            self._process.join()
            raise FailedError(f"a worker ended with code {self._process.exitcode}") from error
        if first is None:
            raise FailedError(second)
        return first, second

    def send(self, name: str, steps: int) -> None:
        """Let it begin; ``wait`` gives what it answers."""
        self._pipe.send((name, steps))

    def wait(self) -> float:
        """Seconds of each step."""
        return float(self._answer()[0])

    def asks(self) -> dict[str, Ask]:
        """Everything it can do."""
        return {name: lambda steps, name=name: self._ask(name, steps) for name in self.names}

    def _ask(self, name: str, steps: int) -> float:
        self.send(name, steps)
        return self.wait()

    def close(self) -> None:
        """End it."""
        with suppress(OSError):  # it may have ended by itself
            self._pipe.send(None)
        self._process.join()
        self._pipe.close()


@contextmanager
def workers(specs: Mapping[str, Spec]) -> Iterator[dict[str, Worker]]:
    """A worker for each spec, ended together."""
    with ExitStack() as stack:
        found = {}
        for name, spec in specs.items():
            found[name] = Worker(spec)
            stack.callback(found[name].close)
        yield found


def tell(build: Callable[..., Built], *arguments: Any, threads: int = 1) -> dict[str, Any]:
    """What a worker finds out while it is built; it does no steps."""
    with workers({"": Spec(build, arguments, threads)}) as found:
        return dict(found[""].facts)


def together(helpers: Sequence[Worker], name: str) -> Ask:
    """Several workers at once as one contestant: a step is a step of each of them."""

    def ask(steps: int) -> float:
        begun = time.perf_counter()
        for helper in helpers:
            helper.send(name, steps)
        for helper in helpers:
            helper.wait()
        return (time.perf_counter() - begun) / steps

    return ask


def paired(contestants: Mapping[Name, Ask], rounds: int) -> dict[Name, list[float]]:
    """Seconds per step by contestant, one a round, after one step to warm up and, of short ones, one to calibrate.

    Of a contestant that is many times as slow as the fastest only the first rounds.
    """
    first = {name: ask(1) for name, ask in contestants.items()}
    repeats = {
        name: 1 if first[name] > LONG else max(1, round(SHORTEST / max(1e-9, ask(1))))
        for name, ask in contestants.items()
    }
    most = {
        name: FEW if seconds > max(SLOW, MANY_TIMES * min(first.values())) else rounds
        for name, seconds in first.items()
    }
    found: dict[Name, list[float]] = {name: [] for name in contestants}
    for number, name in turns(list(contestants), rounds):
        if number < most[name]:
            time.sleep(PAUSE)
            found[name].append(contestants[name](repeats[name]))
    return found


def local(call: Callable[[], object]) -> Ask:
    """A contestant of this process (commands that it starts, say)."""

    def ask(steps: int) -> float:
        begun = time.perf_counter()
        for _ in range(steps):
            call()
        return (time.perf_counter() - begun) / steps

    return ask


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
