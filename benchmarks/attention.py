"""Attention written out as products against torch's fused kernel on this machine's CPU: forward and backward, causal,
4 heads of width 32, 4,096 positions a batch, one thread; the ways take turns. In fp32 with products through oneDNN
where it is exact, as training sets it.

    python benchmarks/attention.py
"""

from functools import partial
from statistics import median

import torch
import torch.nn.functional as F

from verdict.device import multiplies_bf16, prepare
from verdict.measure.timing import rounds
from verdict.models.mixers.attention import written_out


def step(way, q: torch.Tensor) -> None:
    """One forward and backward pass."""
    way(q, q, q).float().sum().backward()
    q.grad = None


def main() -> None:
    """Print a Markdown table of medians and of the median ratio within a round."""
    prepare(1)
    cpu = torch.device("cpu")
    ways = {
        "written out": partial(written_out, mask=None, causal=True),
        "fused": partial(F.scaled_dot_product_attention, is_causal=True),
    }
    print("| precision | length | written out | fused | fused / written out |\n|---|---|---|---|---|")
    for dtype in (torch.float32, torch.bfloat16) if multiplies_bf16() else (torch.float32,):
        for length in (16, 64, 128, 256, 512, 1024, 2048):
            q = torch.randn(4096 // length, 4, length, 32, dtype=dtype, requires_grad=True)
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for _, name, taken in rounds({name: partial(step, way, q) for name, way in ways.items()}, 7, cpu):
                seconds[name].append(taken)
            ratio = median(b / a for a, b in zip(seconds["written out"], seconds["fused"], strict=True))
            cells = " | ".join(f"{median(values) * 1000:.1f} ms" for values in seconds.values())
            print(f"| {str(dtype).removeprefix('torch.')} | {length} | {cells} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
