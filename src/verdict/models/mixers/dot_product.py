"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1): by torch's fused kernel, or written out where that
is faster.

Shapes: B rows, N heads, T query positions, S key positions, E width of a head.
"""

import contextlib
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from verdict.device import fp32_products

#: query × key positions up to which written-out products beat torch's fused kernel on a CPU
WRITTEN_OUT = {torch.bfloat16: 2048 * 2048, torch.float32: 512 * 512}
#: queries that see the same keys at once where they are causal: what follows the last of them is not multiplied
BLOCK = 256
#: queries of each row that are few, as in generation; and rows × heads from which they do for those, in fp32
FEW, MANY = 8, 64


def visible(lengths: Tensor, size: int) -> Tensor:
    """[B] lengths -> [B, size] bool, true at real positions."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """Scaled dot-product attention: q [B, N, T, E], k and v [B, N, S, E], mask [B, S] or [B, T, S]: bool (true: seen)
    or what is added to scores.

    On a CPU torch's fused kernel is slower than written-out products of not too many positions
    (``benchmarks/attention.py`` measures both); each gets the better one of the same function.
    """
    if k.shape[2] == 1 and mask is None:  # all that there is to see
        return v.expand(*q.shape[:3], -1)
    few = q.shape[2] <= FEW  # too little for oneDNN
    with fp32_products("highest") if few else contextlib.nullcontext():
        if q.device.type == "cpu" and _better_written_out(q, k):
            return written_out(q, k, v, mask, causal)
        return F.scaled_dot_product_attention(q, k, v, None if mask is None else _of_heads(mask), 0.0, causal)


def _of_heads(mask: Tensor) -> Tensor:
    """A mask [B, S] or [B, T, S] as it broadcasts to scores [B, N, T, S]."""
    return mask[:, None] if mask.dim() == 3 else mask[:, None, None]


def _better_written_out(q: Tensor, k: Tensor) -> bool:
    """Whether written-out products are the better ones on a CPU."""
    if q.shape[2] <= FEW:
        return q.dtype == torch.float32 and q.shape[0] * q.shape[1] >= MANY
    return q.shape[2] * k.shape[2] <= WRITTEN_OUT.get(q.dtype, 0)


def written_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """``attend`` as batched products and a softmax; causal ones in blocks of queries, which need no later keys."""
    if not causal or q.shape[2] <= BLOCK:
        return _products(q, k, v, mask, 0 if causal else None)
    parts, begin = [], 0
    for block in q.split(BLOCK, 2):
        end = begin + block.shape[2]
        seen = None if mask is None else mask[..., :end]
        parts.append(_products(block, k[:, :, :end], v[:, :, :end], seen, begin))
        begin = end
    return torch.cat(parts, 2)


def _products(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, begin: int | None) -> Tensor:
    """Two batched products and a softmax; ``begin``: the first query's position where keys after a query are hidden."""
    rows, heads, length, size = *q.shape[:3], k.shape[2]
    q, k, v = (x.reshape(rows * heads, x.shape[2], x.shape[3]) for x in (q, k, v))
    scores = torch.bmm(q * (1.0 / math.sqrt(q.shape[-1])), k.transpose(1, 2))
    # hidden in place: a constant is added, so gradients pass unchanged and autograd need not know
    raw = scores.detach()
    if mask is not None:
        if mask.dtype == torch.bool:
            mask = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill_(~mask, float("-inf"))
        raw.view(rows, heads, length, size).add_(_of_heads(mask))
    if begin is not None:
        future = torch.full((length, size - begin), float("-inf"), dtype=q.dtype, device=q.device)
        raw[:, :, begin:].add_(future.triu_(1))
    return torch.bmm(scores.softmax(-1).to(v.dtype), v).view(rows, heads, length, -1)


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """The weights [B, N, T, S] by which ``attend`` takes values: each row sums to 1, hidden positions have 0."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~_of_heads(mask), float("-inf"))
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1), float("-inf"))
    return scores.softmax(-1)
