"""Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) on the framework's kernel (cuDNN, oneDNN).

Shapes: B rows, D model width, H inner width (both directions together).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from verdict.models.mixers.recurrent import Recurrent, weights


class Cell(NamedTuple):
    """The state after some positions."""

    hidden: Tensor  # [B, H]
    cell: Tensor  # [B, H]


class LSTM(Recurrent):
    """LSTM with the gates i f g o: input, forget, candidate, output."""

    kernel = nn.LSTM
    gates = 4
    state = Cell

    def __init__(self, width: int, inner: int, causal: bool, summary: bool = False, forget_bias: float = 1.0) -> None:
        super().__init__(width, inner, causal, summary)
        self.forget_bias = forget_bias

    def reset_parameters(self, residual_scale: float) -> None:
        """As every recurrent mixer, and the forget bias as set (Gers et al. 2000; Jozefowicz et al. 2015 recommend
        1)."""
        super().reset_parameters(residual_scale)
        for layer in self.layers:
            with torch.no_grad():
                weights(layer)[2].chunk(self.gates)[1].fill_(self.forget_bias)

    def advance(self, x: Tensor, state: Cell) -> Cell:
        return Cell(*torch.lstm_cell(x, state, *weights(self.layers[0])))
