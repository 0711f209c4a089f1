"""Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) on the framework's kernel (cuDNN, oneDNN).

Shapes: B rows, D model width, H inner width (both directions together).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from verdict.models.mixers.recurrent import Recurrent, heard, weights


class Cell(NamedTuple):
    """The state after some positions."""

    hidden: Tensor  # [B, H]
    cell: Tensor  # [B, H]


class LSTM(Recurrent):
    """LSTM with the gates i f g o: input, forget, candidate, output."""

    kernel = nn.LSTM
    gates = 4
    state = Cell
    spread = 0.22

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

    def watched(self, layer: nn.RNNBase, x: Tensor, state: Cell) -> tuple[dict[str, Tensor], Cell]:
        """``input``, ``forget``, ``output``: how far each gate is open, 0 to 1; ``cell``: what the cell holds then."""
        i, f, g, o = (of_x + of_hidden for of_x, of_hidden in heard(layer, x, state.hidden))
        gates = {"input": i.sigmoid(), "forget": f.sigmoid(), "output": o.sigmoid()}
        cell = gates["forget"] * state.cell + gates["input"] * g.tanh()
        return {**gates, "cell": cell}, Cell(gates["output"] * cell.tanh(), cell)
