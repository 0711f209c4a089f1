"""Gated recurrent unit (Cho et al. 2014) on the framework's kernel, which applies the reset gate after the recurrent
matrix product, as cuDNN does.

Initialised as Cho et al. do: orthogonal recurrent weights and zero biases; Glorot input weights as in all mixers here.
"""

import torch
from torch import Tensor, nn

from verdict.models.mixers.recurrent import Hidden, Recurrent, heard, weights


class GRU(Recurrent):
    """GRU with the gates r z n: reset, update, candidate."""

    kernel = nn.GRU
    gates = 3
    state = Hidden
    spread = 0.39

    def advance(self, x: Tensor, state: Hidden) -> Hidden:
        return Hidden(torch.gru_cell(x, state.hidden, *weights(self.layers[0])))

    def watched(self, layer: nn.RNNBase, x: Tensor, state: Hidden) -> tuple[dict[str, Tensor], Hidden]:
        """``reset``: how much of the past the candidate hears, ``update``: how much of it stays, both 0 to 1;
        ``hidden``: the state then."""
        r, z, (of_x, of_hidden) = heard(layer, x, state.hidden)
        reset, update = (r[0] + r[1]).sigmoid(), (z[0] + z[1]).sigmoid()
        hidden = update * state.hidden + (1 - update) * (of_x + reset * of_hidden).tanh()
        return {"reset": reset, "update": update, "hidden": hidden}, Hidden(hidden)
