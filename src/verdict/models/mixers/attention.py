"""Multi-head attention (Vaswani et al. 2017) with rotary positions (Su et al. 2021).

Shapes: B rows, T query positions, S key positions, D model width, N heads, E width of a head.
"""

import contextlib
import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verdict.device import fp32_products
from verdict.models.mixers.base import Mixer

#: query × key positions up to which written-out products beat torch's fused kernel on a CPU
WRITTEN_OUT = {torch.bfloat16: 2048 * 2048, torch.float32: 512 * 512}
#: queries that see the same keys at once where they are causal: what follows the last of them is not multiplied
BLOCK = 256
#: queries of each row that are few, as in generation; and rows × heads from which they do for those, in fp32
FEW, MANY = 8, 64
#: entries that a cache grows by before it drops those that nobody sees
DROPPED = 64


class Cache(NamedTuple):
    """Keys and values of the positions so far, in buffers filled in place; what exceeds them is copied to new ones.

    G groups of K rows each (the beams of one source) share a buffer, to which each position adds an entry for every
    row; which of them a row descends from is its own. So rows are taken without their keys and values being moved; now
    and then entries from which no row descends are dropped.
    """

    keys: Tensor  # [G, N, capacity, E]
    values: Tensor  # [G, N, capacity, E]
    length: int = 0  # positions
    entries: int = 0  # filled
    kept: int = 0  # of them, when some were last dropped
    #: [B, at least entries], B = G · K: 0 at what a row descends from, its own entry at the next position included, and
    #: minus infinity elsewhere; the same for all layers of a model. None: a row is a group and sees all
    hidden: Tensor | None = None

    @property
    def beams(self) -> int:
        """Rows of a group."""
        return 1 if self.hidden is None else self.hidden.shape[0] // self.keys.shape[0]

    def append(self, key: Tensor, value: Tensor) -> "Cache":
        """The cache with one more position, [B, N, 1, E] each."""
        hidden, before = self.hidden, self.entries
        after = before + self.beams
        if hidden is not None:
            key, value = self._grouped(key), self._grouped(value)
            if hidden.shape[1] < after:
                hidden = _with_own(hidden, self.keys.shape[0])
        if after > self.keys.shape[2]:
            keys = torch.cat((self.keys.narrow(2, 0, before), key), 2)
            values = torch.cat((self.values.narrow(2, 0, before), value), 2)
        else:
            keys, values = self.keys, self.values
            keys.narrow(2, before, after - before).copy_(key)
            values.narrow(2, before, after - before).copy_(value)
        return Cache(keys, values, self.length + 1, after, self.kept, hidden)

    def _grouped(self, x: Tensor) -> Tensor:
        """x [B, N, 1, E] -> [G, N, K, E]."""
        return x.view(self.keys.shape[0], -1, *x.shape[1:]).select(3, 0).transpose(1, 2)

    def attend(self, query: Tensor) -> Tensor:
        """What the query of each row, [B, N, 1, E], takes of what the row sees: [B, N · E]."""
        keys, values = self.keys.narrow(2, 0, self.entries), self.values.narrow(2, 0, self.entries)
        if self.hidden is None:
            return attend(query, keys, values).flatten(1)
        mask = self.hidden.view(keys.shape[0], -1, self.hidden.shape[1]).narrow(2, 0, self.entries)
        mixed = attend(self._grouped(query), keys, values, mask)
        return mixed.transpose(1, 2).reshape(query.shape[0], -1)

    def taken(self, rows: Tensor, shared: dict[Any, Any]) -> "Cache":
        """The cache of some rows, as many of each group as of the others, the groups in their places.

        ``shared`` keeps what is the same for all layers of a model.
        """
        groups, beams = self.keys.shape[0], len(rows) // self.keys.shape[0]
        if beams == self.beams == 1:
            return self
        if (key := (id(self.hidden), *self.keys.shape)) not in shared:
            shared[key] = self._descent(rows, beams)
        hidden, moved = shared[key]
        keys, values, entries, kept = self.keys, self.values, self.entries, self.kept
        if moved is not None:
            entries = kept = len(moved) // (groups * keys.shape[1])
            keys, values = _gathered(keys, moved, entries), _gathered(values, moved, entries)
        if beams > self.beams:
            room = keys.shape[2] * beams // self.beams
            keys, values = _with_room(keys, entries, room), _with_room(values, entries, room)
        return Cache(keys, values, self.length, entries, kept, hidden)

    def _descent(self, rows: Tensor, beams: int) -> tuple[Tensor, Tensor | None]:
        """What is hidden from some rows; and if it is time to drop what none of them sees, where in buffers
        [G · N · capacity, E] that lies which is kept."""
        groups, heads, capacity, _ = self.keys.shape
        hidden = self.keys.new_zeros(groups, self.entries) if self.hidden is None else self.hidden
        hidden, moved = hidden.narrow(1, 0, self.entries).index_select(0, rows), None
        if self.entries >= self.kept + DROPPED:
            by_group = hidden.view(groups, beams, -1)
            alive = (by_group == 0).any(1)
            most = int(alive.sum(1).max())
            order = alive.to(torch.uint8).argsort(dim=1, descending=True, stable=True).narrow(1, 0, most)
            hidden = by_group.gather(2, order[:, None].expand(groups, beams, most)).flatten(0, 1)
            starts = capacity * torch.arange(groups * heads, device=rows.device).view(groups, heads, 1)
            moved = (starts + order[:, None]).flatten()
        return _with_own(hidden, groups), moved


def _with_own(hidden: Tensor, groups: int) -> Tensor:
    """What is hidden from rows, [B, entries], after the next position, of which each sees its own entry."""
    beams = hidden.shape[0] // groups
    others = hidden.new_full((beams, beams), float("-inf")).fill_diagonal_(0.0)
    return torch.cat((hidden, others.expand(groups, beams, beams).reshape(-1, beams)), 1)


def _gathered(buffer: Tensor, places: Tensor, entries: int) -> Tensor:
    """A buffer [G, N, capacity, E] that begins with what lies at some places, so many entries for each of G and N."""
    found = buffer.flatten(0, 2).index_select(0, places)
    buffer.narrow(2, 0, entries).copy_(found.view(*buffer.shape[:2], entries, -1))
    return buffer


def _with_room(buffer: Tensor, entries: int, room: int) -> Tensor:
    """What is filled of a buffer [G, N, capacity, E] in one of capacity ``room``."""
    made = buffer.new_empty(*buffer.shape[:2], room, buffer.shape[3])
    made.narrow(2, 0, entries).copy_(buffer.narrow(2, 0, entries))
    return made


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
        scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1), float("-inf"))
    return scores.softmax(-1)


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
