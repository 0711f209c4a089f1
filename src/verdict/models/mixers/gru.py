"""Gated recurrent unit (Cho et al. 2014) on the framework's kernel, which applies the reset gate after the recurrent
matrix product, as cuDNN does.

Initialised as Cho et al. do: orthogonal recurrent weights and zero biases; Glorot input weights as in all mixers here.
"""

import torch
from torch import Tensor, nn

from verdict.models.mixers.recurrent import Hidden, Recurrent, weights


class GRU(Recurrent):
    """GRU with the gates r z n: reset, update, candidate."""

    kernel = nn.GRU
    gates = 3
    state = Hidden

    def advance(self, x: Tensor, state: Hidden) -> Hidden:
        return Hidden(torch.gru_cell(x, state.hidden, *weights(self.layers[0])))
