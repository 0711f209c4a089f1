"""What follows from the rows: utilisation, and how they stand to the project's goals."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from statistics import median
from typing import NamedTuple

from benchmarks.performance import floor, peak, profile, training, whole
from benchmarks.performance.table import Row

#: shares of the peak that are aimed at, by precision and width
UTILISATION = {("fp32", 128): 0.60, ("fp32", 256): 0.75, ("bf16", 128): 0.50, ("bf16", 256): 0.65}


class Goal(NamedTuple):
    """A bound on the rows that it reads."""

    name: str
    reads: Callable[[Row], bool]
    bound: float
    least: bool = True  # or most

    def met(self, value: float) -> bool:
        """Whether a value is on the right side of the bound."""
        return value >= self.bound if self.least else value <= self.bound

    def within_reach(self, one: Row) -> bool:
        """Whether any of a row's interval is on the right side; of one without an interval its value."""
        best = one.high if self.least else one.low
        return self.met(one.value if best is None else best)


def utilisation(rows: Sequence[Row]) -> list[Row]:
    """Model FLOPs per second over the best matrix-product rate of the same precision in the same run."""
    best = {one.precision: one.value for one in rows if one.section == peak.SECTION and one.contestant == peak.BEST}
    found = []
    for one in rows:
        if one.metric == "model FLOPs per second" and one.precision in best:
            most = best[one.precision]
            shares = {name: None if value is None else value / most for name, value in
                      (("value", one.value), ("low", one.low), ("high", one.high))}  # fmt: skip
            found.append(replace(one, section="utilisation", metric="share of the peak", unit="share", **shares))
    return found


def _ratio(ours: str, other: str, section: str = training.SECTION) -> Callable[[Row], bool]:
    return lambda one: (
        one.section == section
        and one.metric == "times as fast as"
        and one.model.endswith(ours)
        and one.contestant.startswith(other)
    )


def _around(contestant: str, metric: str = "seconds") -> Callable[[Row], bool]:
    return lambda one: one.section == "around" and one.metric == metric and one.contestant.startswith(contestant)


def _whole(metric: str, contestant: str = "") -> Callable[[Row], bool]:
    return lambda one: (
        one.section == whole.SECTION and one.metric.startswith(metric) and one.contestant.startswith(contestant)
    )


def goals() -> list[Goal]:
    """Those that rows can answer."""
    found = [
        Goal("Transformer over GPT-2 as shipped", _ratio("transformer", "Hugging Face GPT-2, as shipped"), 2.5),
        Goal("Transformer over BERT as shipped", _ratio("transformer", "Hugging Face BERT, as shipped"), 2.2),
        Goal("Transformer over Marian as shipped", _ratio("transformer", "Hugging Face Marian, as shipped"), 1.8),
        Goal("Transformer over the best setting of any peer", _ratio("transformer", "best setting"), 1.15),
        Goal("LSTM over bare nn.LSTM, same network", _ratio("lstm_classic", "nn.LSTM, same network"), 1.0),
        Goal("residual LSTM over bare nn.LSTM, same network", _ratio(" lstm", "nn.LSTM, same residual"), 1.0),
        Goal("LSTM over Joey NMT as shipped", _ratio(" lstm", "Joey NMT, as shipped"), 3.5),
        Goal("LSTM over Joey NMT at equal precision", _ratio(" lstm", "Joey NMT, best setting"), 2.0),
    ]
    found += [
        Goal(
            f"utilisation in {precision} at width {width}",
            lambda one, at=(precision, width): one.section == "utilisation" and (one.precision, one.width) == at,
            bound,
        )
        for (precision, width), bound in UTILISATION.items()
    ]
    found += [
        Goal(f"generation by the{name} over generate", _ratio(name, "Hugging Face", "generation"), 1.5)
        for name in (" transformer", " lstm")
    ]
    return [
        *found,
        Goal("tokenization, MB/s per core", _around("encode", "megabytes per second"), 2.0),
        Goal("ledger, seconds per run", _around("ledger: a run with 10 points"), 0.05, least=False),
        Goal("page from 100,000 rows, seconds", _around("page from 100000"), 3.0, least=False),
        Goal("snakemake with nothing to do, seconds", _around("snakemake, nothing"), 5.0, least=False),
        Goal("share of core time in training and measuring", _whole("share of core time"), 0.85),
        Goal("largest process, bytes", _whole("largest process"), 2e9, least=False),
        Goal("set-up from packages at hand, seconds", _whole("seconds", whole.SET_UP), 10.0, least=False),
    ]


def summary(rows: Sequence[Row]) -> str:
    """A Markdown table: how many cells of each goal meet it, how many miss it with all of their interval, if they
    have one, and the least, middle and greatest of them."""
    head = "| goal | bound | cells | met | missed beyond the interval | least | median | greatest |"
    lines = [head, f"|{'---|' * 8}"]
    for goal in goals():
        read = [one for one in rows if goal.reads(one)]
        if read:
            values = [one.value for one in read]
            counts = f"{sum(map(goal.met, values))} | {len(read) - sum(map(goal.within_reach, read))}"
            told = (f"{value:.3g}" for value in (min(values), median(values), max(values)))
            bound = f"{'≥' if goal.least else '≤'} {goal.bound:g}"
            lines.append(f"| {goal.name} | {bound} | {len(read)} | {counts} | {' | '.join(told)} |")
    return "\n".join(lines)


def misses(rows: Sequence[Row]) -> str:
    """A Markdown table of the speeds that miss their goal and whose step was looked into: what they would be if a step
    took what its floor says, or if products, recurrent kernels and fused attention were all there is to it."""
    floors = {floor.key(one): one.value for one in _shares(rows, "floor", profile.WHOLE)}
    kernels = {floor.key(one): one.value for one in _shares(rows, "floor", profile.PRODUCTS)}
    for one in chain.from_iterable(_shares(rows, profile.SECTION, kind) for kind in profile.KERNELS):
        if floor.key(one) in kernels:
            kernels[floor.key(one)] += one.value
    lines = []
    for goal in goals():
        missed = [one for one in rows if goal.reads(one) and not goal.met(one.value)]
        seen = [(one.value, _step(one)) for one in missed if _step(one) in floors]
        if seen:
            told = [_range([value for value, _ in seen])]
            for shares in (floors, kernels):
                reached = [value / shares[step] for value, step in seen]
                told += [_range(reached), str(sum(map(goal.met, reached)))]
            lines.append(f"| {goal.name}, ≥ {goal.bound:g} | {len(missed)} | {len(seen)} | {' | '.join(told)} |")
    head = [
        "| goal | missed | looked into | which are | at the floor | met so | products and kernels alone | met so |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines]) if lines else ""


def _shares(rows: Sequence[Row], section: str, contestant: str) -> list[Row]:
    return [
        one for one in rows if (one.section, one.contestant, one.metric) == (section, contestant, "share of the step")
    ]


def _step(one: Row) -> floor.Key:
    """Whose step a rate or a ratio is of."""
    return floor.key(one if ": " in one.model else replace(one, model=f"{one.model}: {one.contestant}"))


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3g}–{max(values):.3g}" if len(values) > 1 else f"{values[0]:.3g}"
