"""Plain recurrent network (Elman 1990), h = tanh(W x + U h + b), on the framework's kernel: no gate guards its state.

Initialised with orthogonal recurrent weights (Saxe et al. 2014), the start at which its gradients live longest,
Glorot input weights and zero biases.
"""

import torch
from torch import Tensor, nn

from verdict.models.mixers.recurrent import Hidden, Recurrent, heard, weights


class RNN(Recurrent):
    """The tanh recurrence without gates."""

    kernel = nn.RNN
    gates = 1
    state = Hidden
    spread = 0.66

    def advance(self, x: Tensor, state: Hidden) -> Hidden:
        return Hidden(torch.rnn_tanh_cell(x, state.hidden, *weights(self.layers[0])))

    def watched(self, layer: nn.RNNBase, x: Tensor, state: Hidden) -> tuple[dict[str, Tensor], Hidden]:
        """``hidden``: the state then."""
        ((of_x, of_hidden),) = heard(layer, x, state.hidden)
        hidden = (of_x + of_hidden).tanh()
        return {"hidden": hidden}, Hidden(hidden)
