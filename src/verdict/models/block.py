"""The block: a mixer over time, optional cross-attention, an optional feed-forward part; norm and residual switchable.

Shapes: B rows, T positions, S source positions, D model width.
"""

from typing import Any, NamedTuple

from torch import Tensor, nn

from verdict.models.mixers.attention import CrossAttention
from verdict.models.mixers.base import Mixer


class Memory(NamedTuple):
    """A source as one decoder block sees it."""

    projected: tuple[Tensor, Tensor]  # keys and values, each [B, N, S, E]
    mask: Tensor | None  # [B, S] bool, true at real positions; None where all are


class FeedForward(nn.Module):
    """Position-wise feed-forward part with ReLU (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)

    def reset_parameters(self, residual_scale: float) -> None:
        nn.init.kaiming_uniform_(self.up.weight, nonlinearity="relu")
        nn.init.xavier_uniform_(self.down.weight, gain=residual_scale)
        nn.init.zeros_(self.up.bias)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        # in place on a matrix: on a view, as linear layers of more dimensions return, backward would copy it thrice
        return self.down(self.up(x.flatten(0, -2)).relu_()).view(x.shape)


class Block(nn.Module):
    """mixer -> cross-attention -> feed-forward, each as x + dropout(part(norm(x))).

    Without ``residual`` the mixer's output replaces x (the classic stacked recurrent network); cross-attention and
    feed-forward always add, else the decoder's own state would be lost.
    """

    def __init__(
        self,
        mixer: Mixer,
        cross: CrossAttention | None,
        feedforward: FeedForward | None,
        norm: bool,
        residual: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.mixer, self.cross, self.feedforward = mixer, cross, feedforward
        parts = [("mixer", mixer), ("cross", cross), ("feedforward", feedforward)]
        self.norms = nn.ModuleDict(
            {name: nn.LayerNorm(mixer.width) if norm else nn.Identity() for name, part in parts if part is not None}
        )
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self, residual_scale: float) -> None:
        for part in (self.mixer, self.cross, self.feedforward):
            if part is not None:
                part.reset_parameters(residual_scale)

    def _after_mixer(self, x: Tensor, mixed: Tensor, memory: Memory | None) -> Tensor:
        """x and mixed [B, T, D]; without a memory also [B, D]."""
        mixed = self.dropout(mixed)
        x = x + mixed if self.residual else mixed
        if self.cross is not None:
            assert memory is not None
            x = x + self.dropout(self.cross(self.norms["cross"](x), *memory))
        if self.feedforward is not None:
            x = x + self.dropout(self.feedforward(self.norms["feedforward"](x)))
        return x

    def forward(
        self, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None, memory: Memory | None = None
    ) -> Tensor:
        """x [B, T, D], lengths [B], summary [B, D] -> [B, T, D]."""
        return self._after_mixer(x, self.mixer(self.norms["mixer"](x), lengths, summary), memory)

    def step(self, x: Tensor, state: Any, memory: Memory | None = None) -> tuple[Tensor, Any]:
        """x [B, D] and the mixer's state -> [B, D] and the next state.

        A memory of fewer rows serves B / its rows neighbouring rows of x each, as if they were positions.
        """
        mixed, state = self.mixer.step(self.norms["mixer"](x), state)
        if memory is None:
            return self._after_mixer(x, mixed, None), state
        together = (memory.projected[0].shape[0], -1, x.shape[1])
        return self._after_mixer(x.reshape(together), mixed.reshape(together), memory).flatten(0, 1), state
