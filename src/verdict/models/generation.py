"""Greedy and beam search over any family that steps; batched, one code path for every architecture.

Shapes: B rows, K beams, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from verdict.models.families import Decoding, reorder

Step = Callable[[Tensor, Decoding], tuple[Tensor, Decoding]]


@torch.inference_mode()
def beam_search(
    step: Step,
    decoding: Decoding,
    rows: int,
    begin: int,
    end: int,
    limits: Tensor,
    beams: int = 1,
    length_penalty: float = 1.0,
) -> list[list[int]]:
    """The best continuation of each row, without ``begin`` and ``end``.

    Scores are log-probabilities divided by ((5 + length) / 6) ** length_penalty (Wu et al. 2016, equation 14); a
    finished beam keeps its score and its place until something better comes. One beam is greedy search.
    ``limits`` [B]: most tokens each row may get, ``end`` included.
    """
    device = limits.device
    if beams > 1:
        decoding = reorder(decoding, torch.arange(rows, device=device).repeat_interleave(beams))
    tokens = torch.full((rows * beams,), begin, device=device)
    scores = torch.full((rows, beams), float("-inf"), device=device)
    scores[:, 0] = 0.0
    lengths = torch.zeros(rows, beams, device=device)
    finished = torch.zeros(rows, beams, dtype=torch.bool, device=device)
    most = int(limits.max())
    history = torch.full((rows, beams, most), end, device=device)
    for taken in range(1, most + 1):
        logits, decoding = step(tokens, decoding)
        if beams == 1:  # the likeliest piece, whatever it costs
            piece = logits.argmax(1, keepdim=True).masked_fill_(finished, end)
        else:
            parent, piece, scores, lengths = _ranked(logits, scores, lengths, finished, end, taken, length_penalty)
            finished = finished.gather(1, parent)
            before = history[:, :, : taken - 1]
            before.copy_(before.gather(1, parent[:, :, None].expand_as(before)))
        history[:, :, taken - 1] = piece
        finished = finished | (piece == end) | (limits[:, None] <= taken)
        if finished.all():
            break
        tokens = piece.flatten()
        if beams > 1:
            decoding = reorder(decoding, (torch.arange(rows, device=device)[:, None] * beams + parent).flatten())
    best = (scores / ((5.0 + lengths) / 6.0) ** length_penalty).argmax(1)
    chosen = history[torch.arange(rows, device=device), best].tolist()
    return [
        row[: row.index(end)] if end in row else row[: int(limit)] for row, limit in zip(chosen, limits, strict=True)
    ]


def _ranked(
    logits: Tensor, scores: Tensor, lengths: Tensor, finished: Tensor, end: int, taken: int, length_penalty: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best K continuations of each row's beams, given logits [B·K, V] and [B, K] of what the beams are: whose each
    is, its piece, its score and its length, [B, K] each."""
    rows, beams = scores.shape
    # no more than K of one beam can be among the best K of all
    likeliest = logits.float().log_softmax(1).topk(min(beams, logits.shape[1]), 1)
    logs, pieces = (one.view(rows, beams, -1) for one in likeliest)
    # a finished beam has one continuation, which costs nothing and is not counted
    logs = logs.masked_fill(finished[:, :, None], float("-inf"))
    logs[:, :, 0].masked_fill_(finished, 0.0)
    pieces = pieces.masked_fill(finished[:, :, None], end)
    total = scores[:, :, None] + logs
    after = lengths.masked_fill(~finished, taken)
    normed = total / ((5.0 + after) / 6.0)[:, :, None] ** length_penalty
    index = normed.view(rows, -1).topk(beams).indices
    parent, piece = index // pieces.shape[2], pieces.view(rows, -1).gather(1, index)
    return parent, piece, total.view(rows, -1).gather(1, index), after.gather(1, parent)
