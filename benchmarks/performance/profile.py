"""Where a training step's time goes by kinds of operators, and what they have to do: what keeps it from the peak."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from statistics import median

import torch
from torch.profiler import ProfilerActivity

from benchmarks.performance import operators, sizes
from benchmarks.performance.contest import Built, tell
from benchmarks.performance.plan import FAMILIES, PRECISIONS, Plan
from benchmarks.performance.sizes import OURS, Size
from benchmarks.performance.table import Row, row

SECTION = "profile"
STEPS = 5
#: kinds by what names of operators hold, the first that fits
KINDS = {
    "matrix products": ("mm", "linear", "matmul", "bmm"),
    "fused attention": ("attention",),
    "recurrent kernel": ("rnn", "lstm"),
    "softmax and loss": ("softmax", "nll_loss", "cross_entropy"),
    "optimizer and clipping": ("adam", "_foreach", "vector_norm", "linalg"),
    "norms": ("layer_norm",),
    "embedding": ("embedding", "index"),
    "copies and casts": ("copy", "clone", "cat", "to_copy", "contiguous", "zero", "fill", "empty"),
}
OTHER = "point by point and the rest"
WHOLE = "the whole step"
PRODUCTS = "its matrix products by themselves"


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One family, width, length and precision each."""
    for family, width, length, precision in product(FAMILIES, plan.widths, plan.profiled_lengths, PRECISIONS):
        size = plan.size(family, width, length)
        yield f"{family}-{width}-{length}-{precision}", partial(shares, size, precision, plan)


def kind_of(operator: str) -> str:
    """The kind of an operator by its name."""
    return next((kind for kind, words in KINDS.items() if any(word in operator.lower() for word in words)), OTHER)


def profiled(name: str, size: Size, precision: str) -> Built:
    """A worker that only looks at some steps: the seconds of a step and of its products alone, and for each kind its
    FLOPs, its bytes, and its seconds of the calling thread."""
    step = sizes.ours(name, size, precision)[0]["step"]
    step()
    whole = median(_timed(step) for _ in range(2 * STEPS))
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(STEPS):
            step()
    seconds: Counter[str] = Counter()
    for event in found.key_averages():
        seconds[kind_of(event.key)] += event.self_cpu_time_total / 1e6 / STEPS
    with operators.Counter(kind_of) as counter:
        step()
    work = {kind: {"flops": one.flops, **one.moved} for kind, one in counter.work.items()}
    return {}, {"seconds": dict(seconds), "work": work, "whole": whole, "products": counter.seconds_of_products()}


def _timed(step: Callable[[], object]) -> float:
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def shares(size: Size, precision: str, plan: Plan) -> list[Row]:
    """Each kind's share of a step's time, and its FLOPs and bytes."""
    columns = {"precision": precision, "threads": plan.threads, **size.columns}
    found = []
    for name in OURS:
        told = tell(profiled, name, size, precision, threads=plan.threads)
        mine = partial(row, SECTION, f"{size.family}: {name}", **columns)
        whole = sum(told["seconds"].values())
        found += [
            mine(kind, "share of the step", [value / whole], "share")
            for kind, value in sorted(told["seconds"].items(), key=lambda one: -one[1])
        ]
        found += [
            mine(WHOLE, "seconds per step", [told["whole"]], "s"),
            mine(PRODUCTS, "seconds per step", [told["products"]], "s", note="each repeated, its operands in cache"),
        ]
        for kind, work in told["work"].items():
            found += [
                mine(kind, "FLOPs per step", [value], "FLOP")
                if what == "flops"
                else mine(kind, "bytes per step", [value], "B", note=what)
                for what, value in work.items()
                if value
            ]
    return found
