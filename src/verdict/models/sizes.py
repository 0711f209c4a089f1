"""Equal parameters: the solver that gives every architecture its inner width, and counts of parameters and FLOPs."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from verdict.errors import UserError
from verdict.models.families import InnerWidths, Model, build
from verdict.models.mixers import mixer_class
from verdict.models.settings import Architecture, Shape


def count(model: Model) -> dict[str, int]:
    """Parameters by part: embedding (tied with the output), mixing (norms included), cross_attention, feedforward,
    output (a classification head; the vocabulary's output is the embedding), nonembedding and total."""
    parts = dict.fromkeys(("embedding", "mixing", "cross_attention", "feedforward", "output"), 0)
    for name, parameter in model.named_parameters():
        if name.startswith("embedding."):
            part = "embedding"
        elif name.startswith("classifier."):
            part = "output"
        elif ".cross" in name:
            part = "cross_attention"
        elif ".feedforward" in name:
            part = "feedforward"
        else:
            part = "mixing"
        parts[part] += parameter.numel()
    total = sum(parts.values())
    return {**parts, "nonembedding": total - parts["embedding"], "total": total}


class _Undrawn(TorchFunctionMode):
    """Skips the drawing of weights, which on the meta device would import torch's compiler (1.2 s)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


def skeleton(architecture: Architecture, shape: Shape, inner: list[InnerWidths]) -> Model:
    """A model without memory or values, to count its parts."""
    with torch.device("meta"), _Undrawn():
        return build(architecture, shape, inner)


def inner_widths(architecture: Architecture, width: int, units: int) -> list[InnerWidths]:
    """Widths of the blocks when ``units`` granules of inner width are dealt out evenly, the first blocks one more.

    With a feed-forward part that part takes them and the mixer keeps ``mixer_width``; without, the mixer takes them.
    """
    layers = architecture.layers
    dealt = [units // layers + (i < units % layers) for i in range(layers)]
    mixer = mixer_class(architecture.mixer)
    # encoder (two directions) and decoder share the widths, so both granularities must divide them
    granule = max(mixer.granularity(causal, **architecture.options) for causal in (True, False))
    if architecture.feedforward:
        kept = (
            width
            if architecture.mixer_width == 1
            else granule * max(1, round(architecture.mixer_width * width / granule))
        )
        return [InnerWidths(kept, granules) for granules in dealt]
    return [InnerWidths(granule * granules, 0) for granules in dealt]


def solve(architecture: Architecture, shape: Shape) -> list[InnerWidths]:
    """The inner widths whose non-embedding parameter count comes nearest to ``shape.parameters``.

    The model width is the same for all architectures, and with it the embedding, so that equal non-embedding counts
    are equal totals too. Raises ``UserError`` if even the narrowest model is too large.
    """

    @lru_cache(None)
    def parameters(units: int) -> int:
        return count(skeleton(architecture, shape, inner_widths(architecture, shape.width, units)))["nonembedding"]

    least = architecture.layers  # one granule a block
    if parameters(least) > shape.parameters:
        raise UserError(
            f"{architecture.layers} layers of {architecture.mixer} with width {shape.width} need at least "
            f"{parameters(least):,} parameters, more than the {shape.parameters:,} asked for: "
            "raise `parameters`, or lower `width` or `layers`"
        )
    units = _last(least, lambda n: parameters(n) <= shape.parameters)
    best = min((units, units + 1), key=lambda n: abs(parameters(n) - shape.parameters))
    return inner_widths(architecture, shape.width, best)


def _last(low: int, holds: Callable[[int], bool]) -> int:
    """The last n >= low for which a condition that turns from true to false holds (it holds at ``low``)."""
    high = 2 * low
    while holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def inference_floats(model: Model, rows: int, context: int, source_length: int = 0) -> int:
    """Numbers held in memory to go on generating ``rows`` texts after ``context`` positions: weights and states.

    An encoder–decoder also keeps what its blocks project of a source of ``source_length`` positions.
    """
    decoder = model.stacks()["decoder"]
    states = sum(block.mixer.state_floats(context) for block in decoder.blocks)
    memories = sum(2 * source_length * model.shape.width for block in decoder.blocks if block.cross is not None)
    return count(model)["total"] + rows * (states + memories)


def flops_per_sequence(
    model: Model, length: int, source_length: int = 0, predicted: int | None = None, needed: bool = False
) -> int:
    """Forward FLOPs for one row: matrix products alone, 2 per multiply-add, full (not halved) causal attention, which
    is what ``torch.utils.flop_counter`` counts.

    ``length`` positions (target positions for an encoder–decoder with ``source_length``); ``predicted`` positions go
    through the output (default: all); ``needed``: of causal attention only what is seen, as fused kernels compute it.
    Training costs three times as much.
    """
    total = 0
    for name, stack in model.stacks().items():
        positions = source_length if name == "encoder" and source_length else length
        for block in stack.blocks:
            seen = (positions + 1) // 2 if needed and block.mixer.causal else positions  # of each position, on average
            total += positions * block.mixer.flops_per_token(seen)
            if block.mixer.summary:
                total += 2 * model.shape.width * block.mixer.state_floats(0)  # the summary is mapped to a first state
            if block.feedforward is not None:
                total += positions * 4 * model.shape.width * block.feedforward.up.out_features
            if block.cross is not None:
                width = model.shape.width
                total += 4 * width * width * (positions + source_length) + 4 * width * positions * source_length
    predicted = length if predicted is None else predicted
    return total + predicted * 2 * model.shape.width * model.shape.vocabulary
