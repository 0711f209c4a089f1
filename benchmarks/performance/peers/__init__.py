"""What a user would run instead, each with equal layers, width, feed-forward width, heads, vocabulary and batch.

A peer is a module whose ``forward(batch)`` gives the mean loss. Where it can compute what one of ours computes, it
takes over the weights of that one, and ``check`` holds the losses equal before anything is timed; what must be taken
away on either side for that is named. Libraries are imported when a peer is made.
"""

import contextlib
import importlib
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.performance import sizes
from benchmarks.performance.plan import CHOSEN
from benchmarks.performance.sizes import Size
from verdict.device import autocast
from verdict.measure.work import pieces_of
from verdict.models.families import Model
from verdict.models.mixers.attention import Rotary
from verdict.training.batches import Batch
from verdict.training.objectives import OBJECTIVES

#: largest relative difference of two losses that count as equal (fp32, sums in another order)
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Way:
    """How a peer is run."""

    #: as its users run it: fp32, its own defaults for attention and activation, AdamW as it is, torch's allocator
    shipped: bool = False
    precision: str = "fp32"
    #: which of the peer's implementations of attention ("": it has one)
    attention: str = ""

    @property
    def name(self) -> str:
        """What the table says."""
        return "as shipped" if self.shipped else ", ".join(filter(None, ("best setting", self.attention)))


class Peer(nn.Module):
    """A model of somebody else's. Made from a size and a way."""

    #: which of ours it can be a copy of, if any
    copied: ClassVar[str]
    #: parts of ours without which it is the same function: positions, norms
    without: ClassVar[tuple[str, ...]] = ()
    #: what it computes otherwise than ours when it is timed
    differs: ClassVar[str] = ""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """The mean loss."""

    def copy(self, ours: Any) -> None:
        """Take over the weights of ours."""
        raise NotImplementedError

    def simplify(self) -> None:
        """Take away what ours does not have either."""


@dataclass(frozen=True)
class Known:
    """A peer by name."""

    path: str
    families: tuple[str, ...]
    against: str  # "transformer" or "lstm"
    attentions: tuple[str, ...] = ("",)
    #: whether it is also timed as its users run it
    shipped: bool = True
    #: whether it can take over the weights of one of ours
    copied: bool = True


_HUGGING_FACE = "benchmarks.performance.peers.huggingface"
_PLAIN = "benchmarks.performance.peers.plain"
PEERS: dict[str, Known] = {
    "Hugging Face GPT-2": Known(f"{_HUGGING_FACE}:GPT2", ("language_model",), "transformer", ("sdpa", "eager")),
    "Hugging Face GPT-NeoX": Known(f"{_HUGGING_FACE}:NeoX", ("language_model",), "transformer", ("sdpa", "eager")),
    "Hugging Face BERT": Known(f"{_HUGGING_FACE}:Bert", ("masked_encoder",), "transformer", ("sdpa", "eager")),
    "Hugging Face Marian": Known(f"{_HUGGING_FACE}:Marian", ("encoder_decoder",), "transformer", ("sdpa", "eager")),
    "x-transformers": Known(
        "benchmarks.performance.peers.xtransformers:XTransformers", ("language_model", "masked_encoder"), "transformer",
        ("flash", "plain"),
    ),
    "nn.TransformerEncoder": Known(f"{_PLAIN}:Encoder", ("language_model", "masked_encoder"), "transformer"),
    "nn.Transformer": Known(f"{_PLAIN}:Translator", ("encoder_decoder",), "transformer"),
    "nn.LSTM, same network": Known(f"{_PLAIN}:Same", ("language_model", "masked_encoder"), "lstm", shipped=False),
    "nn.LSTM, same residual network": Known(
        f"{_PLAIN}:SameResidual", ("language_model", "masked_encoder"), "lstm", shipped=False
    ),
    "nn.LSTM, stacked": Known(f"{_PLAIN}:Stacked", ("language_model", "masked_encoder"), "lstm", copied=False),
    "Joey NMT": Known("benchmarks.performance.peers.joey:Joey", ("encoder_decoder",), "lstm", copied=False),
}  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of the peers' packages that are installed."""
    found = {}
    for package in ("transformers", "x-transformers", "joeynmt"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def ways(known: Known, precision: str) -> list[Way]:
    """How a peer is run in a comparison: as shipped (which is in fp32) where ours are as shipped, too."""
    return [Way(shipped=True)] * (known.shipped and precision == CHOSEN) + [
        Way(False, precision, one) for one in known.attentions
    ]


def make(name: str, size: Size, way: Way) -> Peer:
    """A peer with weights of its own."""
    module, _, attribute = PEERS[name].path.partition(":")
    made: Peer = getattr(importlib.import_module(module), attribute)(size, way)
    return made


def train(name: str, size: Size, way: Way) -> tuple[dict[str, Callable[[], object]], dict[str, Any]]:
    """A worker that trains a peer."""
    peer, data = make(name, size, way).train(), sizes.batch(size)
    weights = list(peer.parameters())
    # left alone, AdamW is a loop over the weights on a CPU
    optimizer = torch.optim.AdamW(weights, lr=1e-3, fused=None if way.shipped else True)

    def step() -> None:
        optimizer.zero_grad()
        with autocast(torch.device("cpu"), way.precision):
            loss = peer(data)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()

    facts = {"parameters": sum(map(Tensor.numel, weights)), "pieces": pieces_of(data), "differs": peer.differs}
    return {"step": step}, facts


def twins(name: str, size: Size, attention: str = "") -> tuple[Model, Peer]:
    """One of ours and a peer with its weights, both without what the other lacks: the same function."""
    peer = make(name, size, Way(attention=attention)).eval()
    mine = sizes.model(peer.copied, size).eval()
    with torch.no_grad():
        for parameter in mine.parameters():
            if parameter.ndim == 1:  # fresh ones are all 0 or 1, which would hide a wrong place
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    take_away(mine, peer.without)
    with torch.no_grad():
        peer.copy(mine)
    peer.simplify()
    return mine, peer


def check(name: str, size: Size, attention: str = "") -> tuple[dict[str, Callable[[], object]], dict[str, Any]]:
    """A worker that does nothing but compare the losses; raises ``ArithmeticError`` if they are not equal."""
    mine, peer = twins(name, size, attention)
    data = sizes.batch(size)
    with torch.no_grad():
        cost = OBJECTIVES[sizes.OBJECTIVES[size.family]](mine, data, torch.zeros(size.vocabulary, dtype=torch.int64))
        one, other = float(cost.nats / cost.predicted), float(peer(data))
    difference = abs(one - other) / abs(one)
    if not difference <= TOLERANCE:
        raise ArithmeticError(f"{name} has loss {other} where {peer.copied} has {one}: they are not the same model")
    return {}, {"difference": difference, "copied": peer.copied, "without": ", ".join(peer.without)}


def take_away(ours: Model, parts: Iterable[str]) -> None:
    """Remove positions or norms from one of ours."""
    kinds = {"positions": (Rotary, Still), "norms": (nn.LayerNorm, nn.Identity)}
    for part in parts:
        swap(ours, *kinds[part])


def swap(module: nn.Module, kind: type[nn.Module], other: Callable[[], nn.Module]) -> None:
    """Put another module in the place of every one of a kind."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, other())


class Still(nn.Module):
    """A rotation by no angle."""

    def forward(self, x: Tensor) -> Tensor:
        """x as it is."""
        return x

    def at(self, x: Tensor, position: int) -> Tensor:
        """x as it is, at any position."""
        return x


class Scaled(nn.Module):
    """A multiplication by a number."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x * self.by


def put(module: Any, weight: Tensor, bias: Tensor | None = None) -> None:
    """Copy a weight and a bias (None: zeros, if there is one at all) into a module."""
    module.weight.copy_(weight)
    if getattr(module, "bias", None) is not None:
        module.bias.zero_() if bias is None else module.bias.copy_(bias)


def scaled_embedding(ours: Model) -> Tensor:
    """Our embedding as a model has it that does not multiply it by sqrt(D) on the way in; its outputs must be divided
    by that."""
    return ours.embedding.weight * math.sqrt(ours.shape.width)
