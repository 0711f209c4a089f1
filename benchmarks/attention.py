"""Attention written out as products against torch's fused kernel: training steps of a Transformer that does either,
causal (a language model) and not (a masked encoder); the ways take turns. By itself the fused kernel looks better than
it is in a model, where its inputs are strided and its gradients come from elsewhere.

Then causal attention written out in blocks of queries, of which each needs no later keys, against all at once. Then
single queries of generation both ways, over keys and values of several layers, so that they are not in cache.

    python -m benchmarks.attention [--threads 2]
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F

from benchmarks.performance import figures, sizes
from benchmarks.performance.plan import PRECISIONS
from benchmarks.performance.sizes import Size
from benchmarks.performance.table import ratios
from verdict.device import fp32_products, prepare
from verdict.measure.timing import rounds
from verdict.models.mixers import dot_product

#: query × key positions up to which attention is written out: all, and none
WAYS = {"written out": 1 << 60, "fused": 0}
#: queries of a block
BLOCKS = (128, 256, 512)
ROUNDS = 9
#: heads of 32 channels, and sets of keys and values that take turns, as those of a model's layers do
HEADS, CHANNELS, SETS = 4, 32, 8


def compared(calls: dict[str, Callable[[], object]]) -> list[str]:
    """How many times as fast as the last each of the others is, and the 95 % interval."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _, name, taken in rounds(calls, ROUNDS, torch.device("cpu")):
        seconds[name].append(taken)
    *others, last = seconds
    return [figures.told(ratios("attention", name, last, seconds[name], seconds[last])) for name in others]


def stepping(step: Callable[[], object], bound: int, block: int = dot_product.BLOCK) -> None:
    """One training step with attention written out up to a bound, causal in such blocks."""
    with (
        patch.dict(dot_product.WRITTEN_OUT, dict.fromkeys(dot_product.WRITTEN_OUT, bound)),
        patch.object(dot_product, "BLOCK", block),
    ):
        step()


def steps() -> Iterator[str]:
    """The lines of a Markdown table of training steps."""
    yield "| model | precision | width | length | written out over fused |\n|---|---|---|---|---|"
    for precision in PRECISIONS:
        for family in ("language_model", "masked_encoder"):
            for width, length in ((w, n) for w in (128, 256) for n in (32, 64, 128, 256, 512, 1024, 2048)):
                step = sizes.ours("transformer", Size(family, width, length), precision)[0]["step"]  # type: ignore[arg-type]
                (found,) = compared({name: partial(stepping, step, bound) for name, bound in WAYS.items()})
                yield f"| {family} | {precision} | {width} | {length} | {found} |"


def blocks() -> Iterator[str]:
    """The lines of a Markdown table of training steps with causal attention in blocks of queries."""
    yield f"| precision | width | length | {' | '.join(f'blocks of {n} over one' for n in BLOCKS)} |"
    yield "|---" * (3 + len(BLOCKS)) + "|"
    for precision in PRECISIONS:
        for width, length in ((w, n) for w in (128, 256) for n in (512, 1024, 2048)):
            step = sizes.ours("transformer", Size("language_model", width, length), precision)[0]["step"]
            ways = {f"{block}": block for block in BLOCKS} | {"one": length}
            every = WAYS["written out"]
            found = compared({name: partial(stepping, step, every, block) for name, block in ways.items()})
            yield f"| {precision} | {width} | {length} | {' | '.join(found)} |"


def singles() -> Iterator[str]:
    """The lines of a Markdown table of single queries of each row and head."""
    yield f"| rows of {HEADS} heads | positions | written out over fused |\n|---|---|---|"
    for rows, positions in ((r, n) for r in (1, 4, 8, 16, 32, 128) for n in (32, 128, 512)):
        query = torch.randn(rows, HEADS, 1, CHANNELS)
        sets = [torch.randn(2, rows, HEADS, positions, CHANNELS).unbind() for _ in range(SETS)]
        written_out = partial(dot_product.written_out, mask=None, causal=False)
        ways = {"written out": written_out, "fused": F.scaled_dot_product_attention}
        (found,) = compared({name: partial(answer, way, query, sets) for name, way in ways.items()})
        yield f"| {rows} | {positions} | {found} |"


@torch.inference_mode()
def answer(way: Callable[..., torch.Tensor], query: torch.Tensor, sets: list[tuple[torch.Tensor, ...]]) -> None:
    """The query to each set of keys and values, by the library that serves it best."""
    with fp32_products("highest"):
        for keys, values in sets:
            way(query, keys, values)


TABLES = {"steps": steps, "blocks": blocks, "singles": singles}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attention", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES), help="default: all")
    given = parser.parse_args()
    prepare(given.threads, "cpu")
    for name in given.tables:
        for line in TABLES[name]():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
