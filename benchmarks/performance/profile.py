"""Where the time of training steps and of searches goes by kinds of operators, and what they have to do: what keeps
them from the peak."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity

from benchmarks.performance import generation, operators, sizes
from benchmarks.performance.contest import Built, tell
from benchmarks.performance.plan import FAMILIES, PRECISIONS, Plan
from benchmarks.performance.sizes import OURS, Size
from benchmarks.performance.table import Row, row

SECTION = "profile"
#: calls that are watched: as many as these seconds hold, up to so many; two more are timed
WATCHED, MOST = 1.0, 5
RECURRENT, FUSED = "recurrent kernel", "fused attention"
#: kinds that are one call of the library, products and all
KERNELS = (RECURRENT, FUSED)
#: kinds by what names of operators hold, the first that fits
KINDS = {
    "matrix products": ("mm", "linear", "matmul", "bmm"),
    FUSED: ("attention",),
    RECURRENT: ("rnn", "lstm"),
    "softmax and loss": ("softmax", "nll_loss", "cross_entropy"),
    "optimizer and clipping": ("adam", "_foreach", "vector_norm", "linalg"),
    "norms": ("layer_norm",),
    "embedding": ("embedding",),
    "copies and casts": ("index", "copy", "clone", "cat", "to_copy", "contiguous", "zero", "fill", "empty"),
}
OTHER = "point by point and the rest"
BETWEEN = "between operators"
WHOLE = "the whole step"
PRODUCTS = "its matrix products by themselves"


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One family, width, length and precision of training each, then one search each."""
    for family, width, length, precision in product(FAMILIES, plan.widths, plan.lengths, PRECISIONS):
        size = plan.size(family, width, length)
        yield f"{family}-{width}-{length}-{precision}", partial(trainings, size, precision, plan)
    for name, size, beams in generation.searches(plan):
        yield name, partial(searches, size, beams, plan)


def kind_of(operator: str) -> str:
    """The kind of an operator by its name."""
    return next((kind for kind, words in KINDS.items() if any(word in operator.lower() for word in words)), OTHER)


def trained(name: str, size: Size, precision: str) -> Built:
    """A worker that only looks at training steps of one of ours."""
    return {}, looked_at(sizes.ours(name, size, precision)[0]["step"])


def searched(name: str, size: Size, beams: int) -> Built:
    """A worker that only looks at searches by one of ours; a step is a piece of every row."""
    return {}, looked_at(generation.ours(name, size, beams)[0]["generate"], size.length)


def looked_at(call: Callable[[], object], steps: int = 1) -> dict[str, Any]:
    """What a call of so many steps takes, each figure for one of them: its seconds and those of its products alone, and
    for each kind its FLOPs, its bytes, and its share of the calling thread's seconds."""
    call()
    calls = max(1, min(MOST, int(WATCHED / _timed(call))))
    whole = median(_timed(call) for _ in range(calls + 2))
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as found:
        watched = sum(_timed(call) for _ in range(calls))
    seconds: Counter[str] = Counter()
    for event in found.key_averages():
        seconds[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    seconds[BETWEEN] = max(0.0, watched - seconds.total())
    with operators.Counter(kind_of) as counter:
        call()
    return {
        "shares": {kind: value / seconds.total() for kind, value in seconds.items()},
        "work": {
            kind: {what: value / steps for what, value in {"flops": one.flops, **one.moved}.items()}
            for kind, one in counter.work.items()
        },
        "whole": whole / steps,
        "products": counter.seconds_of_products() / steps,
    }


def _timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def trainings(size: Size, precision: str, plan: Plan) -> list[Row]:
    """What is seen of a training step of each of ours."""
    columns = {"precision": precision, "threads": plan.threads, **size.columns}
    return _seen(size.family, OURS, trained, (size, precision), columns)


def searches(size: Size, beams: int, plan: Plan) -> list[Row]:
    """What is seen of a search by each of ours."""
    columns = {"precision": "fp32", "threads": plan.threads, **size.columns}
    return _seen(generation.kind(size, beams), generation.OURS, searched, (size, beams), columns)


def _seen(
    what: str, names: Sequence[str], build: Callable[..., Built], given: tuple[Any, ...], columns: dict[str, Any]
) -> list[Row]:
    """The rows of what a worker for each name sees."""
    seen = {name: tell(build, name, *given, threads=columns["threads"]) for name in names}
    return [one for name, found in seen.items() for one in told(f"{what}: {name}", found, columns)]


def told(model: str, seen: dict[str, Any], columns: dict[str, Any]) -> list[Row]:
    """The rows of what a worker has seen."""
    mine = partial(row, SECTION, model, **columns)
    found = [
        mine(kind, "share of the step", [value], "share")
        for kind, value in sorted(seen["shares"].items(), key=lambda one: -one[1])
    ]
    found += [
        mine(WHOLE, "seconds per step", [seen["whole"]], "s"),
        mine(PRODUCTS, "seconds per step", [seen["products"]], "s", note="each repeated, its operands in cache"),
    ]
    for kind, work in seen["work"].items():
        found += [
            mine(kind, "FLOPs per step", [value], "FLOP")
            if what == "flops"
            else mine(kind, "bytes per step", [value], "B", note=what)
            for what, value in work.items()
            if value
        ]
    return found
