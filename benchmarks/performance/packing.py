"""Many small cells at once: one process for all cores, a process for each core, a thread for each core."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from math import ceil

import torch

from benchmarks.performance import sizes
from benchmarks.performance.contest import Built, Spec, Worker, paired, together
from benchmarks.performance.plan import PRECISIONS, Plan
from benchmarks.performance.sizes import OURS, Size
from benchmarks.performance.table import Row, ratios, row

SECTION = "packing"
ALONE = "one job at a time, all threads"


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One architecture and precision each."""
    for name in OURS:
        for precision in PRECISIONS:
            yield f"{name}-{precision}", partial(compare, name, precision, plan)


def several(name: str, size: Size, precision: str, count: int) -> Built:
    """A worker that takes one step of each of several models, one after another."""
    made = [sizes.ours(name, size, precision) for _ in range(count)]
    steps = [calls["step"] for calls, _ in made]

    def step() -> None:
        for one in steps:
            one()

    return {"step": step}, made[0][1]


def threaded(name: str, size: Size, precision: str, count: int, threads: int) -> Built:
    """The same, with a Python thread for each core; each computes with one thread."""
    made = [sizes.ours(name, size, precision) for _ in range(count)]
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    return {"step": lambda: list(pool.map(lambda one: one[0]["step"](), made))}, made[0][1]


def compare(name: str, precision: str, plan: Plan) -> list[Row]:
    """Tokens per second of all models together, for each way to arrange them."""
    # a cell as the quick edition has it: two layers, small batches
    size = plan.size("language_model", plan.widths[0], min(plan.lengths[-1], 128), layers=2, tokens=plan.tokens // 4)
    each = ceil(plan.seeds / plan.threads)
    count = each * plan.threads
    with ExitStack() as stack:

        def worker(spec: Spec) -> Worker:
            made = Worker(spec)
            stack.callback(made.close)
            return made

        alone = worker(Spec(several, (name, size, precision, count), plan.threads))
        pieces = count * alone.facts["pieces"]
        apart = [worker(Spec(several, (name, size, precision, each), 1)) for _ in range(plan.threads)]
        inside = worker(Spec(threaded, (name, size, precision, count, plan.threads), 1))
        seconds = paired(
            {
                ALONE: together([alone], "step"),
                "a process for each core, one thread each": together(apart, "step"),
                "a thread for each core, in one process": together([inside], "step"),
            },
            plan.rounds,
        )
    columns = {"precision": precision, "threads": plan.threads, **size.columns}
    note = f"{count} models of {size.layers} layers"
    found = []
    for way, values in seconds.items():
        rates = [pieces / value for value in values]
        found.append(row(SECTION, name, way, "tokens per second", rates, "1/s", note=note, **columns))
        if way != ALONE:
            found.append(ratios(SECTION, f"{name}: {way}", ALONE, values, seconds[ALONE], **columns))
    return found
