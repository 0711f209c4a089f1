"""What torch itself offers, as a user would put it together: nn.TransformerEncoder, nn.Transformer, nn.LSTM."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.performance import sizes
from benchmarks.performance.peers import Peer, Way, put
from benchmarks.performance.sizes import Size
from verdict.models.sizes import solve
from verdict.tokens import tokenizer as bpe
from verdict.training.batches import Batch


class Network(Peer):
    """Embedding, a body, tied output; for language models and masked encoders."""

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__()
        self.size, self.causal = size, size.family == "language_model"
        self.embedding = nn.Embedding(size.vocabulary, size.width)
        nn.init.normal_(self.embedding.weight, std=size.width**-0.5)
        #: at its best setting only masked positions go through the output, as in ours
        self.selects = not way.shipped

    def hidden(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> [B, T, D]."""
        raise NotImplementedError

    def embed(self, tokens: Tensor) -> Tensor:
        """tokens [B, T] -> [B, T, D]."""
        return self.embedding(tokens) * math.sqrt(self.size.width)

    def loss(self, hidden: Tensor, truth: Tensor) -> Tensor:
        """hidden [..., D] and truth [...]."""
        logits = F.linear(hidden, self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, -2).float(), truth.flatten())

    def forward(self, batch: Batch) -> Tensor:
        if self.causal:
            return self.loss(self.hidden(self.embed(batch["tokens"][:, :-1])), batch["tokens"][:, 1:])
        hidden, where = self.hidden(self.embed(batch["tokens"])), batch["where"]
        if self.selects:
            return self.loss(hidden[where], batch["truth"])
        labels = torch.full_like(batch["tokens"], -100).masked_scatter_(where, batch["truth"])
        return self.loss(hidden, labels)


def sinusoids(length: int, width: int) -> Tensor:
    """Positions [T, D] of Vaswani et al. 2017, section 3.5."""
    angles = torch.arange(length)[:, None] * 10_000.0 ** (-torch.arange(0, width, 2) / width)
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1)


class Encoder(Network):
    """nn.TransformerEncoder, pre-norm, with ReLU (its own default)."""

    copied, without = "transformer", ("positions",)
    differs = "sinusoidal positions, biases in attention"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__(size, way)
        layer = nn.TransformerEncoderLayer(
            size.width, size.heads, size.inner, dropout=0.0, batch_first=True, norm_first=True
        )
        last = nn.LayerNorm(size.width)
        self.body = nn.TransformerEncoder(layer, size.layers, last, enable_nested_tensor=False)
        self.register_buffer("positions", sinusoids(size.length, size.width))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(size.length))

    def hidden(self, x: Tensor) -> Tensor:
        return self.body(x + self.positions, self.mask if self.causal else None, is_causal=self.causal)

    def copy(self, ours: Any) -> None:
        self.embedding.weight.copy_(ours.embedding.weight)
        stack = ours.decoder if self.causal else ours.encoder
        _stack(stack, self.body)

    def simplify(self) -> None:
        self.positions.zero_()


class Translator(Network):
    """nn.Transformer, pre-norm."""

    copied, without = "transformer", ("positions",)
    differs = "sinusoidal positions, biases in attention"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__(size, way)
        self.body = nn.Transformer(
            size.width, size.heads, size.layers, size.layers, size.inner, dropout=0.0, batch_first=True, norm_first=True
        )
        self.register_buffer("positions", sinusoids(size.length, size.width))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(size.length))

    def forward(self, batch: Batch) -> Tensor:
        shifted = F.pad(batch["target"][:, :-1], (1, 0), value=bpe.BEGIN)
        hidden = self.body(
            self.embed(batch["source"]) + self.positions, self.embed(shifted) + self.positions,
            tgt_mask=self.mask, tgt_is_causal=True,
        )  # fmt: skip
        return self.loss(hidden, batch["target"])

    def copy(self, ours: Any) -> None:
        self.embedding.weight.copy_(ours.embedding.weight)
        _stack(ours.encoder, self.body.encoder)
        _stack(ours.decoder, self.body.decoder)

    def simplify(self) -> None:
        self.positions.zero_()


def _stack(ours: Any, body: Any) -> None:
    put(body.norm, ours.norm.weight, ours.norm.bias)
    for block, layer in zip(ours.blocks, body.layers, strict=True):
        _attention(layer.self_attn, block.mixer.project_in.weight, block.mixer.project_out.weight)
        names = ["mixer", "feedforward"]
        if block.cross is not None:
            joined = torch.cat((block.cross.query.weight, block.cross.project_memory.weight))
            _attention(layer.multihead_attn, joined, block.cross.project_out.weight)
            names.insert(1, "cross")
        for norm, name in zip((layer.norm1, layer.norm2, getattr(layer, "norm3", None)), names, strict=False):
            put(norm, block.norms[name].weight, block.norms[name].bias)
        put(layer.linear1, block.feedforward.up.weight, block.feedforward.up.bias)
        put(layer.linear2, block.feedforward.down.weight, block.feedforward.down.bias)


def _attention(attention: nn.MultiheadAttention, projections: Tensor, out: Tensor) -> None:
    attention.in_proj_weight.copy_(projections)
    nn.init.zeros_(attention.in_proj_bias)
    put(attention.out_proj, out)


class Same(Network):
    """Bare nn.LSTM layers in the network that our plain stack is: each with its projection."""

    copied = "lstm_classic"
    differs = "nothing"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__(size, way)
        inner = [one.mixer for one in solve(sizes.architecture(self.copied, size), sizes.shape(size))]
        ways = 1 if self.causal else 2
        self.layers = nn.ModuleList(
            nn.LSTM(size.width, one // ways, batch_first=True, bidirectional=not self.causal) for one in inner
        )
        self.projections = nn.ModuleList(nn.Linear(one, size.width, bias=False) for one in inner)

    def hidden(self, x: Tensor) -> Tensor:
        for layer, projection in zip(self.layers, self.projections, strict=True):
            x = projection(layer(x)[0])
        return x

    def copy(self, ours: Any) -> None:
        self.embedding.weight.copy_(ours.embedding.weight)
        blocks = (ours.decoder if self.causal else ours.encoder).blocks
        for block, layer, projection in zip(blocks, self.layers, self.projections, strict=True):
            for direction, suffix in zip(block.mixer.layers, ("", "_reverse"), strict=False):
                for name, weight in direction.named_parameters():
                    getattr(layer, name + suffix).copy_(weight)
            put(projection, block.mixer.project_out.weight)


class SameResidual(Same):
    """The same with the norms and residual connections of our LSTM."""

    copied = "lstm"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__(size, way)
        self.norms = nn.ModuleList(nn.LayerNorm(size.width) for _ in range(size.layers + 1))

    def hidden(self, x: Tensor) -> Tensor:
        for layer, projection, norm in zip(self.layers, self.projections, self.norms, strict=False):
            x = x + projection(layer(norm(x))[0])
        return self.norms[-1](x)

    def copy(self, ours: Any) -> None:
        super().copy(ours)
        stack = ours.decoder if self.causal else ours.encoder
        norms = [*(block.norms["mixer"] for block in stack.blocks), stack.norm]
        for mine, norm in zip(self.norms, norms, strict=True):
            put(mine, norm.weight, norm.bias)


class Stacked(Network):
    """One nn.LSTM of several layers and one projection, with about as many parameters as ours."""

    differs = "one projection after all layers"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__(size, way)
        ways, wanted = 1 if self.causal else 2, sizes.shape(size).parameters
        inner = ways
        while self._count(inner + ways) <= wanted:
            inner += ways
        self.body = nn.LSTM(size.width, inner // ways, size.layers, batch_first=True, bidirectional=not self.causal)
        self.projection = nn.Linear(inner, size.width, bias=False)

    def _count(self, inner: int) -> int:
        """With ``inner`` units in each layer, both directions together."""
        each = inner if self.causal else inner // 2
        recurrent = 4 * inner * (each + 2)
        return (
            4 * inner * (self.size.width + inner * (self.size.layers - 1))
            + recurrent * self.size.layers
            + (inner * self.size.width)
        )

    def hidden(self, x: Tensor) -> Tensor:
        return self.projection(self.body(x)[0])
