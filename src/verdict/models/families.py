"""Three families around one stack of blocks: language model, encoder–decoder, masked encoder.

Shapes: B rows, T target (or text) positions, S source positions, D model width, V vocabulary, M masked positions.
Embeddings are shared between source, target and output (Press & Wolf 2017); they are drawn with variance 1/D and
multiplied by sqrt(D) on the way in (Vaswani et al. 2017, section 3.4), so that the stack sees unit variance. What the
blocks add to it has to begin of that order, too: else a residual stack is little more than its input, of which the tied
output makes a near certain forecast of the very piece that was read, and training begins with unlearning that.
"""

import contextlib
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verdict.device import fp32_products
from verdict.errors import UserError
from verdict.models.block import Block, FeedForward, Memory
from verdict.models.mixers import mixer_class
from verdict.models.mixers.attention import CrossAttention
from verdict.models.mixers.base import Mixer
from verdict.models.mixers.dot_product import visible
from verdict.models.settings import Architecture, Shape

#: rows · D² of a step of generation below which torch's default library multiplies faster than oneDNN
SMALL = 2**18
#: arguments of a mixer's class that are no options
_GIVEN = ("width", "inner", "causal", "summary")


class Decoding(NamedTuple):
    """Everything a step needs: one mixer state and, with a source, one memory per block.

    Rows are in dimension 0. A row of a memory serves as many neighbouring rows of the states as there are for each:
    the beams of a search hear one source.
    """

    states: list[Any]
    memories: list[Memory | None]


class InnerWidths(NamedTuple):
    """The widths inside block number i: of the mixer and of the feed-forward part (0: none)."""

    mixer: int
    feedforward: int


def _check(
    architecture: Architecture, make: type[Mixer], width: int, inner: list[InnerWidths], causal: bool, cross: bool
) -> None:
    """Raises ``UserError`` for options that the mixer does not take or that do not divide the widths."""
    name, options = architecture.mixer, architecture.options
    known = inspect.signature(make).parameters
    taken = set(known) - set(_GIVEN)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    if unknown := sorted(set(options) - taken if not takes_any else set()):
        raise UserError(
            f"`options.{unknown[0]}` is none of mixer '{name}'; it takes {', '.join(sorted(taken)) or 'none'}"
        )
    heads = options.get("heads", 4)
    if "heads" in options and (not isinstance(heads, int) or heads < 1):
        raise UserError(f"`options.heads` of mixer '{name}' is {heads!r}; write a whole number from 1")
    attends = cross and architecture.cross_attention != "none"
    granule = make.granularity(causal, **options)
    if any(widths.mixer % granule for widths in inner) or (attends and width % heads):
        raise UserError(
            f"mixer '{name}' with options {options} does not divide the model width {width}; "
            "change `options` or `width`"
        )
    if cross and not attends and not make.takes_summary:
        raise UserError(
            f"a decoder of mixer '{name}' without cross-attention would know nothing of its source; "
            "write `cross_attention: every` or `last`"
        )


class Stack(nn.Module):
    """Blocks in a row and the last norm."""

    def __init__(
        self, architecture: Architecture, width: int, inner: list[InnerWidths], causal: bool, cross: bool
    ) -> None:
        super().__init__()
        make = mixer_class(architecture.mixer)
        _check(architecture, make, width, inner, causal, cross)
        attends = {
            "every": [cross] * len(inner),
            "last": [cross and i == len(inner) - 1 for i in range(len(inner))],
            "none": [False] * len(inner),
        }[architecture.cross_attention]
        heads = architecture.options.get("heads", 4)
        self.layers = nn.ModuleList(
            Block(
                make(width, widths.mixer, causal, summary=cross, **architecture.options),
                CrossAttention(width, heads) if attend else None,
                FeedForward(width, widths.feedforward) if widths.feedforward else None,
                architecture.norm,
                architecture.residual,
                architecture.dropout,
            )
            for widths, attend in zip(inner, attends, strict=True)
        )
        self.norm = nn.LayerNorm(width) if architecture.norm else nn.Identity()

    @property
    def blocks(self) -> list[Block]:
        """The blocks from bottom to top."""
        return cast(list[Block], list(self.layers))

    def reset_parameters(self) -> None:
        """Projections onto the residual stream shrink with depth (Radford et al. 2019, section 2.3)."""
        parts = sum(len(block.norms) for block in self.blocks)
        for block in self.blocks:
            block.reset_parameters(1.0 / math.sqrt(parts) if block.residual else 1.0)

    def memories(self, encoded: Tensor, mask: Tensor | None) -> list[Memory | None]:
        """Project encoded [B, S, D] once for every block that attends to it."""
        return [None if b.cross is None else Memory(b.cross.memory(encoded), mask) for b in self.blocks]

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        summary: Tensor | None = None,
        memories: list[Memory | None] | None = None,
    ) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(x, lengths, summary, memories[i] if memories else None)
        return self.norm(x)

    def step(self, x: Tensor, decoding: Decoding) -> tuple[Tensor, Decoding]:
        states = []
        for block, state, memory in zip(self.blocks, decoding.states, decoding.memories, strict=True):
            x, state = block.step(x, state, memory)
            states.append(state)
        return self.norm(x), Decoding(states, decoding.memories)


class Model(nn.Module):
    """What the families share: embedding, dropout on it, tied output."""

    def __init__(self, architecture: Architecture, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.dropout = nn.Dropout(architecture.dropout)

    def stacks(self) -> dict[str, Stack]:
        """The stacks by name."""
        return {name: part for name, part in self.named_children() if isinstance(part, Stack)}

    def reset_parameters(self) -> None:
        nn.init.normal_(self.embedding.weight, std=self.shape.width**-0.5)
        for stack in self.stacks().values():
            stack.reset_parameters()

    def embed(self, tokens: Tensor) -> Tensor:
        """tokens [...] -> [..., D]."""
        return self.dropout(self.embedding(tokens) * math.sqrt(self.shape.width))

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [..., D] -> [..., V]."""
        return F.linear(hidden, self.embedding.weight.to(hidden.dtype))

    def next(self, decoder: Stack, tokens: Tensor, decoding: Decoding) -> tuple[Tensor, Decoding]:
        """tokens [B] -> logits [B, V] of the next token."""
        with fp32_products("highest") if len(tokens) * self.shape.width**2 < SMALL else contextlib.nullcontext():
            hidden, decoding = decoder.step(self.embed(tokens), decoding)
            return self.logits(hidden), decoding


class LanguageModel(Model):
    """A causal stack over one text."""

    def __init__(self, architecture: Architecture, shape: Shape, inner: list[InnerWidths]) -> None:
        super().__init__(architecture, shape)
        self.decoder = Stack(architecture, shape.width, inner, causal=True, cross=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B, T] -> hidden states [B, T, D] that predict the next token."""
        return self.decoder(self.embed(tokens))

    def start(self, rows: int, capacity: int) -> Decoding:
        """An empty text for ``rows`` rows and at most ``capacity`` steps."""
        like = self.embedding.weight.new_empty(rows, 1)
        states = [block.mixer.initial_state(like, capacity) for block in self.decoder.blocks]
        return Decoding(states, [None] * len(states))

    def step(self, tokens: Tensor, decoding: Decoding) -> tuple[Tensor, Decoding]:
        """tokens [B] -> logits [B, V] of the next token."""
        return self.next(self.decoder, tokens, decoding)


class EncoderDecoder(Model):
    """A bidirectional encoder over the source and a causal decoder over the target."""

    def __init__(self, architecture: Architecture, shape: Shape, inner: list[InnerWidths]) -> None:
        super().__init__(architecture, shape)
        self.encoder = Stack(architecture, shape.width, inner, causal=False, cross=False)
        self.decoder = Stack(architecture, shape.width, inner, causal=True, cross=True)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """source [B, S], lengths [B] -> encoded [B, S, D], mask [B, S], summary [B, D] (mean over real positions)."""
        encoded = self.encoder(self.embed(source), lengths)
        mask = visible(lengths, source.shape[1])
        summary = (encoded * mask[:, :, None]).sum(1) / lengths[:, None].to(encoded.dtype)
        return encoded, mask, summary

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """source [B, S], its lengths [B], target so far [B, T] -> hidden states [B, T, D], all steps at once."""
        encoded, mask, summary = self.encode(source, lengths)
        return self.decoder(self.embed(target), None, summary, self.decoder.memories(encoded, mask))

    def start(self, source: Tensor, lengths: Tensor, capacity: int) -> Decoding:
        """Encode a source once and stand before the first target token."""
        encoded, mask, summary = self.encode(source, lengths)
        states = [block.mixer.initial_state(summary, capacity, summary) for block in self.decoder.blocks]
        return Decoding(states, self.decoder.memories(encoded, None if mask.all() else mask))

    def step(self, tokens: Tensor, decoding: Decoding) -> tuple[Tensor, Decoding]:
        """tokens [B] -> logits [B, V] of the next token."""
        return self.next(self.decoder, tokens, decoding)


class MaskedEncoder(Model):
    """A bidirectional stack that restores masked tokens (Devlin et al. 2019) or names a text's class."""

    def __init__(self, architecture: Architecture, shape: Shape, inner: list[InnerWidths]) -> None:
        super().__init__(architecture, shape)
        self.encoder = Stack(architecture, shape.width, inner, causal=False, cross=False)
        self.classifier = nn.Linear(shape.width, shape.classes) if shape.classes else None

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.classifier is not None:
            nn.init.zeros_(self.classifier.weight)
            nn.init.zeros_(self.classifier.bias)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens [B, T], lengths [B] -> hidden states [B, T, D]."""
        return self.encoder(self.embed(tokens), lengths)

    def classify(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens [B, T], lengths [B] -> logits [B, classes] from the mean over real positions."""
        assert self.classifier is not None
        hidden = self(tokens, lengths)
        mask = visible(lengths, tokens.shape[1])
        return self.classifier(self.dropout((hidden * mask[:, :, None]).sum(1) / lengths[:, None].to(hidden.dtype)))


FAMILIES: dict[str, type[Any]] = {
    "language_model": LanguageModel,
    "encoder_decoder": EncoderDecoder,
    "masked_encoder": MaskedEncoder,
}


def map_tensors(nest: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change every tensor in a nest of tuples and lists, first to last; what is no tensor stays."""
    if isinstance(nest, Tensor):
        return change(nest)
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(map_tensors(part, change) for part in nest))
    if isinstance(nest, (tuple, list)):
        return type(nest)(map_tensors(part, change) for part in nest)
    return nest


def reorder(decoding: Decoding, rows: Tensor) -> Decoding:
    """Take the given rows of every state; each source is to serve as many of them as the others, in its old place.

    What the states lie in may be overwritten: the decoding that is given is of no use afterwards.
    """
    shared: dict[Any, Any] = {}

    def taken(state: Any) -> Any:
        if hasattr(state, "taken"):
            return state.taken(rows, shared)
        return map_tensors(state, lambda tensor: tensor.index_select(0, rows))

    return Decoding([taken(state) for state in decoding.states], decoding.memories)


def build(architecture: Architecture, shape: Shape, inner: list[InnerWidths], seed: int | None = None) -> Model:
    """A model with freshly drawn weights; ``seed`` fixes them without touching the caller's random state."""
    if seed is None:
        return cast(Model, FAMILIES[shape.family](architecture, shape, inner))
    with torch.random.fork_rng(devices=[]):  # torch draws once when it makes the layers
        model = build(architecture, shape, inner)
        torch.manual_seed(seed)
        model.reset_parameters()
    return model
