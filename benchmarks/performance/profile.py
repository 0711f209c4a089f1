"""Where the time of a training step goes, by kinds of operators: what keeps it from the peak."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.profiler import ProfilerActivity

from benchmarks.performance import sizes
from benchmarks.performance.contest import Built, tell
from benchmarks.performance.plan import PRECISIONS, Plan
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


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One width and precision each."""
    for width in plan.widths:
        for precision in PRECISIONS:
            size = plan.size("language_model", width, plan.profiled_length)
            yield f"{width}-{precision}", partial(shares, size, precision, plan)


def kind_of(operator: str) -> str:
    """The kind of an operator by its name."""
    return next((kind for kind, words in KINDS.items() if any(word in operator.lower() for word in words)), OTHER)


def profiled(name: str, size: Size, precision: str) -> Built:
    """A worker that only profiles some steps: seconds of the CPU in each kind of operators."""
    step = sizes.ours(name, size, precision)[0]["step"]
    step()
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(STEPS):
            step()
    seconds: Counter[str] = Counter()
    for event in found.key_averages():
        seconds[kind_of(event.key)] += event.self_cpu_time_total / 1e6 / STEPS
    return {}, dict(seconds)


def shares(size: Size, precision: str, plan: Plan) -> list[Row]:
    """Each kind's share of a step's time."""
    columns = {"precision": precision, "threads": plan.threads, **size.columns}
    found = []
    for name in OURS:
        seconds = tell(profiled, name, size, precision, threads=plan.threads)
        whole = sum(seconds.values())
        found += [
            row(SECTION, name, kind, "share of the step", [value / whole], "share", **columns)
            for kind, value in sorted(seconds.items(), key=lambda one: -one[1])
        ]
    return found
