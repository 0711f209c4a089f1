"""What the recurrent mixers share: one layer of the framework's kernel (cuDNN, oneDNN) each way and a projection.

Shapes: B rows, T positions, D model width, H inner width (both directions together), G gates of a cell.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verdict.models.mixers.base import Mixer


class Hidden(NamedTuple):
    """The state after some positions of a cell that carries nothing but its output."""

    hidden: Tensor  # [B, H]


class _Permuted(torch.autograd.Function):
    """Positions in another order, by an order that is its own inverse: the gradient takes the same way, while that of
    a gather would be added up element by element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x.flatten(0, 1).index_select(0, order).view(x.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return _Permuted.apply(gradients[0], order), None


def reverse_rows(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse each row of x [B, T, D] over its real positions alone; padding stays at the right.

    A backward recurrence over a row reversed in this way never reads padding before text, so no packed sequence
    (which leaves the fast CPU kernel) is needed.
    """
    if lengths is None:
        return x.flip(1)
    rows, size = x.shape[:2]
    positions = torch.arange(size, device=x.device)
    index = torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)
    starts = size * torch.arange(rows, device=x.device)
    return cast(Tensor, _Permuted.apply(x, (starts[:, None] + index).flatten()))


def weights(layer: nn.RNNBase) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input weights [GH, D], recurrent weights [GH, H] and two biases [GH] of a layer, its gates one after another."""
    return cast(
        tuple[Tensor, Tensor, Tensor, Tensor],
        (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0),
    )


def heard(layer: nn.RNNBase, x: Tensor, hidden: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What each gate of a layer hears of an input x [B, D] and of the hidden state [B, H] before it, [B, H] each."""
    of_x, of_hidden, bias, second_bias = weights(layer)
    parts = F.linear(x, of_x, bias), F.linear(hidden, of_hidden, second_bias)
    return list(zip(*(part.split(layer.hidden_size, -1) for part in parts), strict=True))


def read_in(dtype: torch.dtype, layer: nn.RNNBase, x: Tensor, start: tuple[Tensor, ...]) -> Tensor:
    """The outputs [B, T, H] of a layer's kernel over x [B, T, D] from a state of parts [1, B, H], all in ``dtype``.

    Torch's autocast of cuDNN's recurrent kernels takes fp16, whatever it is asked for (AutocastRNN.cpp): recurrent
    models alone would train in that, and without the scaled loss that it needs.
    """
    parts = weights(layer)
    # one piece of memory in cuDNN's order, or cuDNN would copy them into one at every call
    pieces = torch.cat([part.flatten() for part in parts]).to(dtype).split([part.numel() for part in parts])
    kernel = getattr(torch, layer.mode.lower())  # torch.lstm, torch.gru, torch.rnn_tanh
    with torch.autocast(x.device.type, enabled=False):
        outputs = kernel(
            x.to(dtype),
            _together(tuple(part.to(dtype) for part in start)),
            [piece.view_as(part) for piece, part in zip(pieces, parts, strict=True)],
            has_biases=True, num_layers=1, dropout=0.0, train=layer.training, bidirectional=False, batch_first=True,
        )[0]  # fmt: skip
    return cast(Tensor, outputs)


def _together(start: tuple[Tensor, ...]) -> Any:
    """The parts of a state as the kernels take them: a tensor, or a tuple where there are several."""
    return start if len(start) > 1 else start[0]


class Recurrent(Mixer):
    """One recurrent layer and its output projection: causal, or one layer forwards and one backwards, half the width
    each.

    The projection is the counterpart of attention's output projection; it lets the inner width be free, so that
    parameters can be matched at equal model width.
    """

    takes_summary: ClassVar[bool] = True
    #: the framework's layer
    kernel: ClassVar[Callable[..., nn.RNNBase]]
    #: matrices of the cell, each [H, D] and [H, H]
    gates: ClassVar[int]
    #: the NamedTuple of its state, whose parts are all [B, H]
    state: ClassVar[type[Any]]
    #: standard deviation of the cell's output when training begins, over inputs of unit variance
    spread: ClassVar[float]

    def __init__(self, width: int, inner: int, causal: bool, summary: bool = False) -> None:
        super().__init__(width, inner, causal, summary)
        count = 1 if causal else 2
        self.directions = nn.ModuleList(self.kernel(width, inner // count, batch_first=True) for _ in range(count))
        self.bridge = nn.Linear(width, len(self.state._fields) * inner) if summary else None
        self.project_out = nn.Linear(inner, width, bias=False)

    @classmethod
    def granularity(cls, causal: bool, **options: Any) -> int:
        return 1 if causal else 2

    @property
    def layers(self) -> list[nn.RNNBase]:
        """The layer that reads forwards and, if not causal, the one that reads backwards."""
        return cast(list[nn.RNNBase], list(self.directions))

    def reset_parameters(self, residual_scale: float) -> None:
        """Glorot input weights (Glorot & Bengio 2010), orthogonal recurrent weights (Saxe et al. 2014), zero biases.

        The output projection makes unit variance of the cell's, whose gates let little through at first: beside a
        residual stream a layer would else begin with a quarter of what a feed-forward part adds.
        """
        for layer in self.layers:
            inputs, recurrent, bias, second_bias = weights(layer)
            for part in inputs.chunk(self.gates):
                nn.init.xavier_uniform_(part)
            for part in recurrent.chunk(self.gates):
                nn.init.orthogonal_(part)
            nn.init.zeros_(bias)
            nn.init.zeros_(second_bias)
        if self.bridge is not None:
            nn.init.xavier_uniform_(self.bridge.weight)
            nn.init.zeros_(self.bridge.bias)
        nn.init.xavier_uniform_(self.project_out.weight, gain=residual_scale / self.spread)

    def _start(self, x: Tensor, summary: Tensor | None) -> tuple[Tensor, ...] | None:
        """The parts [1, B, H] of the state that a summary is mapped to; None for zeros, which kernels make."""
        if self.bridge is None:
            return None
        return tuple(part[None].to(x.dtype).contiguous() for part in self.initial_state(x, 0, summary))

    def _read(self, layer: nn.RNNBase, x: Tensor, start: tuple[Tensor, ...] | None = None) -> Tensor:
        """The outputs [B, T, H] of a layer, in the precision that is asked for."""
        # plain code in a layer's place (verdict.measure.implementations) is cast product by product
        if x.is_cuda and torch.is_autocast_enabled("cuda") and isinstance(layer, nn.RNNBase):
            zeros = x.new_zeros(1, x.shape[0], layer.hidden_size)
            return read_in(torch.get_autocast_dtype("cuda"), layer, x, start or (zeros,) * len(self.state._fields))
        return cast(Tensor, layer(x, _together(start) if start else None)[0])

    def forward(self, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None) -> Tensor:
        if self.causal:
            return self.project_out(self._read(self.layers[0], x, self._start(x, summary)))
        forwards = self._read(self.layers[0], x)
        backwards = self._read(self.layers[1], reverse_rows(x, lengths))
        return self.project_out(torch.cat((forwards, reverse_rows(backwards, lengths)), -1))

    def initial_state(self, x: Tensor, capacity: int, summary: Tensor | None = None) -> Any:
        """Zeros, or a learned map of the source's summary (as Nematus: Sennrich et al. 2017)."""
        parts = len(self.state._fields)
        if self.bridge is None or summary is None:
            return self.state(*[x.new_zeros(x.shape[0], self.inner)] * parts)
        return self.state(*map(torch.tanh, self.bridge(summary).chunk(parts, -1)))

    @abstractmethod
    def advance(self, x: Tensor, state: Any) -> Any:
        """The state after a position x [B, D]; its first part is the cell's output.

        The bare cell is about twice as fast for one position as a call of the sequence kernel.
        """

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        after = self.advance(x, state)
        return self.project_out(after[0]), after

    @abstractmethod
    def watched(self, layer: nn.RNNBase, x: Tensor, state: Any) -> tuple[dict[str, Tensor], Any]:
        """One position x [B, D] of a layer by the cell's equations: what can be watched, [B, H] each, and the state
        after it, whose parts are as wide as the layer."""

    def _watch(self, layer: nn.RNNBase, x: Tensor, state: Any) -> dict[str, Tensor]:
        """What can be watched at every position of x [B, T, D], [B, T, H] each."""
        told = []
        for now in x.unbind(1):
            found, state = self.watched(layer, now, state)
            told.append(found)
        return {name: torch.stack([found[name] for found in told], 1) for name in told[0]}

    def activity(self, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None) -> dict[str, Tensor]:
        """See the mixer's ``watched``."""
        if self.causal:
            return self._watch(self.layers[0], x, self.initial_state(x, 0, summary))
        start = self.state(*[x.new_zeros(x.shape[0], self.inner // 2)] * len(self.state._fields))
        forwards = self._watch(self.layers[0], x, start)
        backwards = self._watch(self.layers[1], reverse_rows(x, lengths), start)
        return {name: torch.cat((forwards[name], reverse_rows(backwards[name], lengths)), -1) for name in forwards}

    def flops_per_token(self, context: int) -> int:
        size = self.layers[0].hidden_size
        return 2 * (self.gates * len(self.layers) * size * (self.width + size) + self.inner * self.width)

    def state_floats(self, context: int) -> int:
        return len(self.state._fields) * self.inner

    def chain(self, length: int) -> int:
        return length
