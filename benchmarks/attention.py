"""Attention written out as products against torch's fused kernel: training steps of a Transformer that does either,
causal (a language model) and not (a masked encoder); the ways take turns. By itself the fused kernel looks better than
it is in a model, where its inputs are strided and its gradients come from elsewhere.

Then both for the single queries of generation, over keys and values of several layers, so that they are not in cache.

    python -m benchmarks.attention [--threads 2]
"""

import argparse
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import torch

from benchmarks.performance import sizes
from benchmarks.performance.plan import PRECISIONS
from benchmarks.performance.sizes import Size
from benchmarks.performance.table import ratios
from verdict.device import prepare
from verdict.measure.timing import rounds
from verdict.models.mixers import attention

#: query × key positions up to which attention is written out: all, and none
WAYS = {"written out": 1 << 60, "fused": 0}
ROUNDS = 9
#: heads of 32 channels, and sets of keys and values that take turns, as those of a model's layers do
HEADS, CHANNELS, SETS = 4, 32, 8


def stepping(step: Callable[[], object], bound: int) -> None:
    """One training step with attention written out up to a bound."""
    with patch.object(attention, "_most_written_out", lambda dtype, causal: bound):
        step()


def singles(rows: int, positions: int) -> dict[str, Callable[[], None]]:
    """A single query of each row and head to each set of keys and values, either way."""
    query = torch.randn(rows, HEADS, 1, CHANNELS)
    sets = [torch.randn(2, rows, HEADS, positions, CHANNELS) for _ in range(SETS)]

    @torch.inference_mode()
    def call(least: int) -> None:
        with patch.object(attention, "MANY_SINGLE", least):
            for keys, values in sets:
                attention.attend(query, keys, values)

    return {"written out": partial(call, 0), "fused": partial(call, 1 << 60)}


def told(calls: dict[str, Callable[[], None]]) -> str:
    """How many times as fast attention written out is, and the 95 % interval."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _, name, taken in rounds(calls, ROUNDS, torch.device("cpu")):
        seconds[name].append(taken)
    one = ratios("attention", "written out", "fused", seconds["written out"], seconds["fused"])
    return f"{one.value:.2f} ({one.low:.2f}–{one.high:.2f})"


def main() -> None:
    """Print two Markdown tables: of training steps, and of single queries."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attention", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=("steps", "singles"), help="one of the tables (default: both)")
    given = parser.parse_args()
    prepare(given.threads, "cpu")
    if given.only != "singles":
        print("| model | precision | width | length | written out over fused |\n|---|---|---|---|---|", flush=True)
        for precision in PRECISIONS:
            for family in ("language_model", "masked_encoder"):
                for width, length in ((w, n) for w in (128, 256) for n in (32, 64, 128, 256, 512, 1024, 2048)):
                    step = sizes.ours("transformer", Size(family, width, length), precision)[0]["step"]  # type: ignore[arg-type]
                    found = told({name: partial(stepping, step, bound) for name, bound in WAYS.items()})
                    print(f"| {family} | {precision} | {width} | {length} | {found} |", flush=True)
    if given.only != "steps":
        print(f"\n| rows of {HEADS} heads | positions | written out over fused |\n|---|---|---|", flush=True)
        for rows, positions in ((r, n) for r in (1, 4, 8, 16, 32, 128) for n in (32, 128, 512)):
            print(f"| {rows} | {positions} | {told(singles(rows, positions))} |", flush=True)


if __name__ == "__main__":
    main()
