"""The longest chain of matrix products that must wait for one another, counted while a model computes.

The depth of a tensor is the number of products on the longest path to it; a recorder under torch's dispatcher
(``TorchDispatchMode``) hands it on from the inputs of every operation to its outputs. The model reads position by
position (``step``), so that a product waits for exactly the products it needs: fused kernels over whole sequences
would hide their steps, and operations over whole sequences would make every position wait for all.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from verdict.models.families import LanguageModel

#: matrix products inside an operation, one after the other (attention: queries with keys, weights with values)
PRODUCTS = {
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "linear", "convolution"), 1),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_attention_math",
        ),
        2,
    ),
}
#: operations that run over a whole sequence inside
HIDING = ("mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn")


class Recorder(TorchDispatchMode):
    """Keeps the depth of every tensor made while it is active; ``longest`` is the largest so far.

    Depths belong to storages: a write into a slice of a buffer deepens the buffer, and its views with it. Tensors
    from before have depth 0. Raises ``ValueError`` at an operation that hides its steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0
        self._depths: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to tell torch's compiler to keep out of here imports it (1.4 s), and nothing here is compiled."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in HIDING:
            raise ValueError(f"{name} hides the steps inside it; record a model that computes them one by one")
        given = set(_storages((args, kwargs)))
        depth = PRODUCTS.get(name, 0) + max((self._depths.get(storage, 0) for storage in given), default=0)
        self.longest = max(self.longest, depth)
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            # new memory may lie where something deeper was freed; a view or a write keeps what was there
            self._depths[storage] = max(depth, self._depths.get(storage, 0)) if storage in given else depth
        return result


def _storages(nest: Any) -> Iterator[int]:
    return (leaf.untyped_storage()._cdata for leaf in tree_leaves(nest) if isinstance(leaf, Tensor))


@torch.no_grad()
def read_stepwise(model: LanguageModel, tokens: Tensor, generate: bool = False) -> Tensor:
    """Logits [B, T, V] of tokens [B, T] read one by one; with ``generate`` each but the first is the model's choice."""
    logits, decoding, now = [], model.start(*tokens.shape), tokens[:, 0]
    for position in range(tokens.shape[1]):
        told, decoding = model.step(now, decoding)
        logits.append(told)
        if position + 1 < tokens.shape[1]:
            now = told.argmax(-1) if generate else tokens[:, position + 1]
    return torch.stack(logits, 1)


def dependent_chain(model: LanguageModel, tokens: Tensor, generate: bool) -> int:
    """The longest chain of the forward pass over tokens [B, T], given (training) or chosen one by one (generation)."""
    with Recorder() as recorder:
        read_stepwise(model, tokens, generate)
    return recorder.longest
