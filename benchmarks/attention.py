"""Attention written out as products against torch's fused kernel: training steps of a Transformer that does either,
causal (a language model) and not (a masked encoder); the ways take turns. By itself the fused kernel looks better than
it is in a model, where its inputs are strided and its gradients come from elsewhere.

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


def stepping(step: Callable[[], object], bound: int) -> None:
    """One training step with attention written out up to a bound."""
    with patch.object(attention, "_better_written_out", lambda dtype, causal: bound):
        step()


def main() -> None:
    """Print a Markdown table: how many times as fast a step is with attention written out, and the 95 % interval."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attention", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    prepare(parser.parse_args().threads, "cpu")
    cpu = torch.device("cpu")
    print("| model | precision | width | length | written out over fused |\n|---|---|---|---|---|", flush=True)
    for precision in PRECISIONS:
        for family in ("language_model", "masked_encoder"):
            for width, length in ((w, n) for w in (128, 256) for n in (32, 64, 128, 256, 512, 1024, 2048)):
                step = sizes.ours("transformer", Size(family, width, length), precision)[0]["step"]  # type: ignore[arg-type]
                calls = {name: partial(stepping, step, bound) for name, bound in WAYS.items()}
                seconds: dict[str, list[float]] = {name: [] for name in WAYS}
                for _, name, taken in rounds(calls, ROUNDS, cpu):
                    seconds[name].append(taken)
                one = ratios("attention", "written out", "fused", seconds["written out"], seconds["fused"])
                found = f"{one.value:.2f} ({one.low:.2f}–{one.high:.2f})"
                print(f"| {family} | {precision} | {width} | {length} | {found} |", flush=True)


if __name__ == "__main__":
    main()
