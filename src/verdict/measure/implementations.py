"""The same layer computed by a framework's fused kernel and by plain code: tells software from architecture.

Every implementation has the weights of the model it is made from and must give its outputs (``agree``); only the
time may differ.
"""

import copy
import os
import shutil
from collections.abc import Callable
from types import MethodType
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._triton import has_triton

from verdict.models.families import LanguageModel
from verdict.models.mixers.attention import Attention
from verdict.models.mixers.base import Mixer
from verdict.models.mixers.dot_product import written_out
from verdict.models.mixers.lstm import LSTM, weights

#: q, k, v [B, N, T, E], mask [B, S] or None, causal -> [B, N, T, E]
Product = Callable[[Tensor, Tensor, Tensor, Tensor | None, bool], Tensor]


class LoopedLSTM(nn.Module):
    """An ``nn.LSTM`` layer as a Python loop over the positions; takes and gives the same, with the same weights.

    What can be done for all positions at once (the product with the inputs) is, as in the kernels; a step waits for
    the one before it with its recurrent product alone.
    """

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.hidden_size = layer.hidden_size
        for name, weight in layer.named_parameters():
            self.register_parameter(name, weight)

    def forward(self, x: Tensor, start: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x [B, T, D] and a state of two [1, B, H] -> outputs [B, T, H] and the last state."""
        into, recurrent, bias, second_bias = weights(cast(nn.LSTM, self))
        inputs = F.linear(x, into, bias + second_bias)
        zeros = inputs.new_zeros(x.shape[0], self.hidden_size)
        hidden, cell = (part[0] for part in start) if start is not None else (zeros, zeros)
        outputs = []
        for now in inputs.unbind(1):
            take, forget, new, give = (now + F.linear(hidden, recurrent)).chunk(4, -1)
            cell = forget.sigmoid() * cell + take.sigmoid() * new.tanh()
            hidden = give.sigmoid() * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs, 1), (hidden[None], cell[None])


def _unchanged(mixer: Mixer) -> None:
    """The mixer as it stands."""


def _loop(mixer: Mixer) -> None:
    assert isinstance(mixer, LSTM)
    mixer.directions = nn.ModuleList(LoopedLSTM(cast(nn.LSTM, layer)) for layer in mixer.layers)


def _attending_by(product: Product) -> Callable[[Mixer], None]:
    def forward(self: Attention, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None) -> Tensor:
        mixed = product(*self.heard(x), self._mask(x, lengths), self.causal)
        return self.project_out(mixed.transpose(1, 2).flatten(2))

    def change(mixer: Mixer) -> None:
        mixer.forward = MethodType(forward, mixer)  # type: ignore[method-assign]

    return change


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, None if mask is None else mask[:, None, None, :], 0.0, causal)


#: how to change a mixer into each of its implementations: ``kernel`` is the framework's fused one
IMPLEMENTATIONS: dict[type[Mixer], dict[str, Callable[[Mixer], None]]] = {
    Attention: {"kernel": _attending_by(_fused), "written_out": _attending_by(written_out)},
    LSTM: {"kernel": _unchanged, "loop": _loop},
}


def can_compile(device: torch.device) -> bool:
    """Whether what ``torch.compile`` calls is there: a C++ compiler, and on a GPU also triton."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None and (device.type != "cuda" or has_triton())


def implementations(model: LanguageModel, compiled: bool = False) -> dict[str, LanguageModel]:
    """Copies of a model, one per implementation of its mixer; of a mixer with no other than its own, that alone.

    With ``compiled`` each that is not the framework's kernel also as ``torch.compile`` makes it (at its first call).
    """
    mixer = type(model.decoder.blocks[0].mixer)
    made = {}
    for name, change in IMPLEMENTATIONS.get(mixer, {"own": _unchanged}).items():
        made[name] = _copy(model, change)
        if compiled and name != "kernel":
            made[f"{name}, compiled"] = cast(LanguageModel, torch.compile(_copy(model, change)))
    return made


def _copy(model: LanguageModel, change: Callable[[Mixer], None]) -> LanguageModel:
    twin = copy.deepcopy(model)
    for part in twin.modules():
        if isinstance(part, nn.RNNBase):
            part.flatten_parameters()  # cuDNN wants a layer's weights in one piece of memory, and a copy tears it apart
    for block in twin.decoder.blocks:
        change(block.mixer)
    return twin


@torch.no_grad()
def disagreement(one: Tensor, other: Tensor) -> float:
    """The largest difference of two results, relative to the largest value (absolute below 1)."""
    return ((one - other).abs().max() / one.abs().max().clamp(min=1.0)).item()


def agree(name: str, one: Tensor, other: Tensor, tolerance: float) -> None:
    """Raises ``ArithmeticError`` if two results that must be equal are not, within ``tolerance``."""
    if not (found := disagreement(one, other)) <= tolerance:  # NaN does not agree either
        raise ArithmeticError(f"{name} differs from the model by {found:.1e}, more than {tolerance:.0e}")
