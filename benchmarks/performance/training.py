"""A training step of each of ours against every peer, per family, width, length and precision; all take turns."""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from benchmarks.performance import peers, sizes
from benchmarks.performance.contest import Spec, paired, tell, workers
from benchmarks.performance.peers import PEERS, Way
from benchmarks.performance.plan import FAMILIES, PRECISIONS, Plan
from benchmarks.performance.sizes import OURS, Size
from benchmarks.performance.table import Row, ratios, row

SECTION = "training"


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """One comparison each."""
    for family in FAMILIES:
        for width in plan.widths:
            for length in plan.lengths:
                size = plan.size(family, width, length)
                for precision in PRECISIONS:
                    yield f"{family}-{width}-{length}-{precision}", partial(compare, size, precision, plan)


def contestants(size: Size, precision: str, threads: int) -> dict[str, Spec]:
    """The workers: ours by their architecture's name, peers by name and way."""
    specs = {name: Spec(sizes.ours, (name, size, precision), threads) for name in OURS}
    for name, way in _entered(size, precision):
        # who runs a peer as it is shipped has no allocator settings
        specs[f"{name}, {way.name}"] = Spec(peers.train, (name, size, way), threads, prepared=not way.shipped)
    return specs


def _entered(size: Size, precision: str) -> list[tuple[str, Way]]:
    known = {name: peer for name, peer in PEERS.items() if size.family in peer.families}
    return [(name, way) for name, peer in known.items() for way in peers.ways(peer, precision)]


def compare(size: Size, precision: str, plan: Plan) -> list[Row]:
    """Rates of all, and how many times as fast as each other model of its kind each of ours is.

    Raises if a peer that can compute what ours computes does not.
    """
    columns = {"precision": precision, "threads": plan.threads, **size.columns}
    found = []
    if precision == "fp32":  # which comes first; in bf16 equal sums are rounded unequally
        found = [
            _checked(name, way, size, plan.threads)
            for name, way in _entered(size, precision)
            if not way.shipped and PEERS[name].copied
        ]
    specs = contestants(size, precision, plan.threads)
    with workers(specs) as made:
        facts = {name: worker.facts for name, worker in made.items()}
        seconds = paired({name: worker.asks()["step"] for name, worker in made.items()}, plan.rounds)
    model = f"{size.family}"
    for name, values in seconds.items():
        told = facts[name]
        note = "; ".join(filter(None, (f"{told['parameters']:,} parameters", told.get("differs", ""))))
        mine = {**columns, "precision": "fp32" if name.endswith("as shipped") else precision}
        rates = [told["pieces"] / value for value in values]
        found.append(row(SECTION, model, name, "tokens per second", rates, "1/s", note=note, **mine))
        if name in OURS:
            speeds = [told["flops"] / value for value in values]
            found.append(row(SECTION, model, name, "model FLOPs per second", speeds, "FLOP/s", **mine))
    return found + _comparisons(model, size, precision, seconds, columns)


def _checked(name: str, way: Way, size: Size, threads: int) -> Row:
    """The row that says how far the losses of a peer and of ours with equal weights lie apart (in fp32)."""
    told = tell(peers.check, name, size, way.attention, threads=threads)
    without = f"without {told['without']} on both sides" if told["without"] else "the same model"
    return row(
        SECTION, f"{size.family}: {told['copied']}", f"{name}, {way.name}", "relative difference of losses",
        [told["difference"]], "share", precision="fp32", threads=threads, note=without, **size.columns,
    )  # fmt: skip


def _comparisons(
    model: str, size: Size, precision: str, seconds: dict[str, list[float]], columns: dict[str, object]
) -> list[Row]:
    """Each of ours against the peers of its kind, against the best setting of any of them, and against the others."""
    rows = []
    for name in OURS:
        kind = "transformer" if name == "transformer" else "lstm"
        rivals = [(peer, way) for peer, way in _entered(size, precision) if PEERS[peer].against == kind]
        names = [f"{peer}, {way.name}" for peer, way in rivals] + [other for other in OURS if other != name]
        rows += [
            ratios(SECTION, f"{model}: {name}", other, seconds[name], seconds[other], **columns) for other in names
        ]
        best = min(
            (f"{peer}, {way.name}" for peer, way in rivals if not way.shipped), key=lambda one: median(seconds[one])
        )
        rows.append(
            ratios(
                SECTION, f"{model}: {name}", "best setting of any peer", seconds[name], seconds[best], note=best,
                **columns,
            )
        )  # fmt: skip
    return rows
