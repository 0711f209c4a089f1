"""Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) on the framework's kernel (cuDNN, oneDNN).

Shapes: B rows, T positions, D model width, H inner width (both directions together).
"""

from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from verdict.models.mixers.base import Mixer


class Cell(NamedTuple):
    """The state after some positions."""

    hidden: Tensor  # [B, H]
    cell: Tensor  # [B, H]


def reverse_rows(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse each row of x [B, T, ...] over its real positions alone; padding stays at the right.

    A backward recurrence over a row reversed in this way never reads padding before text, so no packed sequence
    (which leaves the fast CPU kernel) is needed.
    """
    if lengths is None:
        return x.flip(1)
    positions = torch.arange(x.shape[1], device=x.device)
    index = torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)
    return x.gather(1, index[:, :, None].expand(-1, -1, x.shape[2]))


def weights(layer: nn.LSTM) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input weights [4H, D], recurrent weights [4H, H] and two biases [4H] of a layer; gates in the order i f g o."""
    return cast(
        tuple[Tensor, Tensor, Tensor, Tensor],
        (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0),
    )


class LSTM(Mixer):
    """One LSTM layer and its output projection: causal, or one layer forwards and one backwards, half the width each.

    The projection is the counterpart of attention's output projection; it lets the inner width be free, so that
    parameters can be matched at equal model width.
    """

    takes_summary: ClassVar[bool] = True

    def __init__(self, width: int, inner: int, causal: bool, summary: bool = False, forget_bias: float = 1.0) -> None:
        super().__init__(width, inner, causal, summary)
        self.forget_bias = forget_bias
        count = 1 if causal else 2
        self.directions = nn.ModuleList(nn.LSTM(width, inner // count, batch_first=True) for _ in range(count))
        self.bridge = nn.Linear(width, 2 * inner) if summary else None
        self.project_out = nn.Linear(inner, width, bias=False)

    @classmethod
    def granularity(cls, causal: bool, **options: Any) -> int:
        return 1 if causal else 2

    @property
    def layers(self) -> list[nn.LSTM]:
        """The layer that reads forwards and, if not causal, the one that reads backwards."""
        return cast(list[nn.LSTM], list(self.directions))

    def reset_parameters(self, residual_scale: float) -> None:
        """Glorot input weights, orthogonal recurrent weights (Saxe et al. 2014), forget bias as set (Gers et al. 2000;
        Jozefowicz et al. 2015 recommend 1), other biases zero."""
        for layer in self.layers:
            size = layer.hidden_size
            inputs, recurrent, bias, second_bias = weights(layer)
            for part in inputs.chunk(4):
                nn.init.xavier_uniform_(part)
            for part in recurrent.chunk(4):
                nn.init.orthogonal_(part)
            nn.init.zeros_(bias)
            nn.init.zeros_(second_bias)
            with torch.no_grad():
                bias[size : 2 * size].fill_(self.forget_bias)
        if self.bridge is not None:
            nn.init.xavier_uniform_(self.bridge.weight)
            nn.init.zeros_(self.bridge.bias)
        nn.init.xavier_uniform_(self.project_out.weight, gain=residual_scale)

    def _start(self, x: Tensor, summary: Tensor | None) -> Cell:
        """Zeros, or a learned map of the source's summary (as Nematus: Sennrich et al. 2017)."""
        if self.bridge is None or summary is None:
            zeros = x.new_zeros(x.shape[0], self.inner)
            return Cell(zeros, zeros)
        hidden, cell = self.bridge(summary).chunk(2, -1)
        return Cell(torch.tanh(hidden), torch.tanh(cell))

    def forward(self, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None) -> Tensor:
        if self.causal:
            if self.bridge is None:
                return self.project_out(self.layers[0](x)[0])
            start = tuple(part[None].to(x.dtype).contiguous() for part in self._start(x, summary))
            return self.project_out(self.layers[0](x, start)[0])
        forwards, _ = self.layers[0](x)
        backwards, _ = self.layers[1](reverse_rows(x, lengths))
        return self.project_out(torch.cat((forwards, reverse_rows(backwards, lengths)), -1))

    def initial_state(self, x: Tensor, capacity: int, summary: Tensor | None = None) -> Cell:
        return self._start(x, summary)

    def step(self, x: Tensor, state: Cell) -> tuple[Tensor, Cell]:
        # the bare cell is about twice as fast for one position as a call of the sequence kernel
        after = Cell(*torch.lstm_cell(x, state, *weights(self.layers[0])))
        return self.project_out(after.hidden), after

    def flops_per_token(self, context: int) -> int:
        size = self.layers[0].hidden_size
        return 2 * (4 * len(self.layers) * size * (self.width + size) + self.inner * self.width)

    def state_floats(self, context: int) -> int:
        return 2 * self.inner

    def chain(self, length: int) -> int:
        return length
