"""The key-value cache of attention in generation, which beams share.

Shapes: B rows, N heads, E width of a head.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from verdict.models.mixers.dot_product import attend

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
