"""Multi-head attention (Vaswani et al. 2017) with rotary positions (Su et al. 2021).

Shapes: B rows, T query positions, S key positions, D model width, N heads, E width of a head.
"""

from typing import Any

import torch
from torch import Tensor, nn

from verdict.models.mixers.base import Mixer
from verdict.models.mixers.cache import Cache
from verdict.models.mixers.dot_product import attend, attention_weights, visible


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    """Pairs of channels of x [..., E] times the complex numbers ``turns``, which broadcast to [..., E/2]."""
    wide = x if x.dtype.itemsize >= 4 else x.float()  # as complex numbers: there are none in bf16
    pairs = torch.view_as_complex(wide.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


class Rotary(nn.Module):
    """Rotary position embedding: rotates pairs of neighbouring channels by an angle proportional to the position."""

    def __init__(self, width: int, base: float = 10_000.0) -> None:
        super().__init__()
        self.width, self.base = width, base
        self._table: Tensor | None = None

    def table(self, size: int, like: Tensor) -> Tensor:
        """[at least size, width/2] complex: e to the i times the angle, kept for the largest size seen."""
        if self._table is None or self._table.shape[0] < size or self._table.device != like.device:
            with torch.inference_mode(False):  # a table first needed in a validation serves training afterwards
                steps = torch.arange(max(size, 256), device=like.device, dtype=torch.float32)
                channels = torch.arange(0, self.width, 2, device=like.device, dtype=torch.float32)
                angles = steps[:, None] * self.base ** (-channels / self.width)
                self._table = torch.polar(torch.ones_like(angles), angles)
        return self._table

    def forward(self, x: Tensor) -> Tensor:
        """Rotate x [..., T, E] from the first position on."""
        return _turned(x, self.table(x.shape[-2], x)[: x.shape[-2]]).contiguous()

    def at(self, x: Tensor, position: int) -> Tensor:
        """Rotate x [..., E], all at one position."""
        return _turned(x, self.table(position + 1, x)[position])


class Attention(Mixer):
    """Self-attention; its state is the key-value cache."""

    def __init__(self, width: int, inner: int, causal: bool, summary: bool = False, heads: int = 4) -> None:
        super().__init__(width, inner, causal, summary=False)
        self.heads = heads
        self.project_in = nn.Linear(width, 3 * inner, bias=False)
        self.project_out = nn.Linear(inner, width, bias=False)
        self.rotary = Rotary(inner // heads)

    @classmethod
    def granularity(cls, causal: bool, heads: int = 4, **options: Any) -> int:
        return 2 * heads

    def reset_parameters(self, residual_scale: float) -> None:
        for part in self.project_in.weight.chunk(3):  # Glorot for q, k and v each, as if they were three layers
            nn.init.xavier_uniform_(part)
        nn.init.xavier_uniform_(self.project_out.weight, gain=residual_scale)

    def heard(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, T, D] -> queries, keys and values, [B, N, T, E] each."""
        parts = self.project_in(x).view(*x.shape[:-1], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        turning, (values,) = parts.split((2, 1))  # whose gradients are joined at once
        queries, keys = self.rotary(turning)
        return queries, keys, values

    def _mask(self, x: Tensor, lengths: Tensor | None) -> Tensor | None:
        return visible(lengths, x.shape[1]) if lengths is not None and not self.causal else None

    def forward(self, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None) -> Tensor:
        mixed = attend(*self.heard(x), self._mask(x, lengths), self.causal)
        return self.project_out(mixed.transpose(1, 2).flatten(2))

    def activity(self, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None) -> dict[str, Tensor]:
        """``attention`` [B, N, T, T]: the weights."""
        q, k, _ = self.heard(x)
        return {"attention": attention_weights(q, k, self._mask(x, lengths), self.causal)}

    def initial_state(self, x: Tensor, capacity: int, summary: Tensor | None = None) -> Cache:
        shape = (x.shape[0], self.heads, capacity, self.inner // self.heads)
        return Cache(x.new_empty(shape), x.new_empty(shape))

    def step(self, x: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        # views are most of what a single row's step costs: few of them
        parts = self.project_in(x).view(x.shape[0], 3, self.heads, 1, -1)
        query, key = self.rotary.at(parts.narrow(1, 0, 2), state.length).unbind(1)
        after = state.append(key, parts.select(1, 2))
        return self.project_out(after.attend(query)), after

    def written(self, state: Cache) -> list[Tensor]:
        last = (part.narrow(2, state.entries - state.beams, state.beams) for part in (state.keys, state.values))
        return [part.transpose(1, 2).flatten(0, 1) for part in last]

    def flops_per_token(self, context: int) -> int:
        return 2 * 4 * self.width * self.inner + 2 * 2 * self.inner * context

    def state_floats(self, context: int) -> int:
        return 2 * self.inner * context

    def chain(self, length: int) -> int:
        return 1


class CrossAttention(nn.Module):
    """Attention from a decoder over an encoder's output; the same part for every architecture.

    For a recurrent decoder this is Luong et al. 2015 (queries are the decoder's states, all target steps at once).
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.query = nn.Linear(width, width, bias=False)
        self.project_memory = nn.Linear(width, 2 * width, bias=False)
        self.project_out = nn.Linear(width, width, bias=False)

    def reset_parameters(self, residual_scale: float) -> None:
        nn.init.xavier_uniform_(self.query.weight)
        for part in self.project_memory.weight.chunk(2):
            nn.init.xavier_uniform_(part)
        nn.init.xavier_uniform_(self.project_out.weight, gain=residual_scale)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    def memory(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, N, S, E] of an encoder's output [B, S, D]; computed once per source."""
        keys, values = self.project_memory(encoded).chunk(2, -1)
        return self._split(keys).contiguous(), self._split(values).contiguous()  # read at every step of generation

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """x [B, T, D], memory from ``memory``, mask [B, S] bool (None: all is real) -> [B, T, D]."""
        mixed = attend(self._split(self.query(x)), *memory, mask)
        return self.project_out(mixed.transpose(1, 2).flatten(2))

    def activity(self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor | None) -> dict[str, Tensor]:
        """``attention`` [B, N, T, S]: the weights while ``forward`` is given the same arguments."""
        return {"attention": attention_weights(self._split(self.query(x)), memory[0], mask)}
