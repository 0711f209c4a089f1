"""How the cost of a step grows with length, width, batch and vocabulary, with fitted exponents."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.performance import sizes
from benchmarks.performance.contest import Built, Spec, paired, workers
from benchmarks.performance.plan import PRECISIONS, Plan
from benchmarks.performance.sizes import OURS, Size
from benchmarks.performance.table import Row, row
from verdict.measure.sweeps import exponent

SECTION = "growth"
#: what stays as it is while another grows
WIDTH, LENGTH, ROWS = 128, 128, 4


def swept(plan: Plan) -> dict[str, dict[int, Size]]:
    """The sizes of each sweep."""

    def size(width: int = WIDTH, length: int = LENGTH, rows: int = ROWS, vocabulary: int = plan.vocabulary) -> Size:
        return plan.size("language_model", width, length, tokens=rows * length, vocabulary=vocabulary)

    return {
        "length": {at: size(length=at) for at in plan.grown_lengths},
        "width": {at: size(width=at) for at in plan.grown_widths},
        "batch": {at: size(rows=at) for at in plan.grown_batches},
        "vocabulary": {at: size(vocabulary=at) for at in plan.grown_vocabularies},
    }


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One sweep each."""
    for variable, points in swept(plan).items():
        for precision in PRECISIONS:
            yield f"{variable}-{precision}", partial(sweep, variable, points, precision, plan)


def steps(name: str, points: dict[int, Size], precision: str) -> Built:
    """A worker that trains one of ours at every size of a sweep."""
    return {str(at): sizes.ours(name, size, precision)[0]["step"] for at, size in points.items()}, {}


def sweep(variable: str, points: dict[int, Size], precision: str, plan: Plan) -> list[Row]:
    """Seconds at every point, and the slope of their logarithm over that of the variable, round by round."""
    with workers({name: Spec(steps, (name, points, precision), plan.threads) for name in OURS}) as made:
        asks = {(name, int(at)): ask for name, worker in made.items() for at, ask in worker.asks().items()}
        seconds = paired(asks, plan.rounds)
    columns: dict[str, Any] = {"precision": precision, "threads": plan.threads}
    found = []
    for name in OURS:
        for at, size in points.items():
            told = {**columns, **size.columns}
            note = f"vocabulary {size.vocabulary}"
            found.append(
                row(SECTION, name, f"{variable} {at}", "seconds per step", seconds[name, at], "s", note=note, **told)
            )
        series = zip(*(seconds[name, at] for at in points), strict=True)
        slopes = [exponent(list(points), values) for values in series]
        found.append(row(SECTION, name, f"over {variable}", "exponent", slopes, "exponent", **columns))
    return found
