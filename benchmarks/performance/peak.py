"""What the machine can do at best, for utilisation and the roofline: matrix products by library and size, copying."""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch

from benchmarks.performance.contest import Built, Spec, paired, workers
from benchmarks.performance.operators import LEVELS
from benchmarks.performance.plan import PRECISIONS, Plan
from benchmarks.performance.table import Row, row
from verdict.device import fp32_products, medium_is_exact
from verdict.measure.machine import products

SECTION = "peak"
BEST = "best of all"
#: bytes copied at once by where they lie: read and written, they are as many as that level holds
COPIED = {"second cache": LEVELS["second cache"] // 2, "third cache": LEVELS["third cache"] // 2, "memory": 2**28}


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One precision each, and the memory."""
    for precision in PRECISIONS:
        yield precision, partial(_products, precision, plan)
    yield "memory", partial(_memory, plan)


def multiplying(precision: str, squares: tuple[int, ...]) -> Built:
    """A worker that multiplies square matrices in every way there is."""
    calls: dict[str, Callable[[], object]] = {}
    device = torch.device("cpu")
    for size in squares:
        for way, call in products(device, precision, size).items():
            calls[f"{way}, default, {size}"] = call
            if precision == "fp32":  # in bf16 what is not oneDNN is a fallback that nobody waits for
                calls[f"{way}, without oneDNN, {size}"] = partial(_without_onednn, call)
                if medium_is_exact(device):
                    calls[f"{way}, precision medium, {size}"] = partial(_medium, call)
    return calls, {}


def _without_onednn(call: Callable[[], object]) -> None:
    with torch.backends.mkldnn.flags(enabled=False):
        call()


def _medium(call: Callable[[], object]) -> None:
    with fp32_products("medium"):
        call()


def copying() -> Built:
    """A worker that copies blocks of each size."""
    sources = {name: torch.ones(size, dtype=torch.uint8) for name, size in COPIED.items()}
    return {name: partial(torch.empty_like(source).copy_, source) for name, source in sources.items()}, {}


def _products(precision: str, plan: Plan) -> list[Row]:
    columns = {"precision": precision, "threads": plan.threads}
    with workers({"": Spec(multiplying, (precision, plan.squares), plan.threads)}) as made:
        seconds = paired(made[""].asks(), plan.rounds)
    rates = {
        name: [2 * int(name.rsplit(" ", 1)[1]) ** 3 / value for value in values] for name, values in seconds.items()
    }
    best = max(rates, key=lambda name: median(rates[name]))
    found = [
        row(SECTION, "matrix product", name, "FLOPs per second", values, "FLOP/s", **columns)
        for name, values in rates.items()
    ]
    return [
        *found,
        row(SECTION, "matrix product", BEST, "FLOPs per second", rates[best], "FLOP/s", note=best, **columns),
    ]


def _memory(plan: Plan) -> list[Row]:
    with workers({"": Spec(copying, (), plan.threads)}) as made:
        found = paired(made[""].asks(), plan.rounds)
    return [
        row(
            SECTION, "copy", name, "bytes per second", [2 * COPIED[name] / value for value in seconds], "B/s",
            threads=plan.threads, note=f"{COPIED[name] / 2**20:g} MiB, read and written",
        )
        for name, seconds in found.items()
    ]  # fmt: skip
