"""What the operators of a step have to do: FLOPs, bytes, and the seconds its matrix products take by themselves.

Seen by the dispatcher while the step runs, so it is the step's own operators at their own shapes, backward included.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from verdict.device import fp32_products

#: where an operator's tensors lie at best: bytes of its tensors together, at most
LEVELS = {"second cache": 2**20, "third cache": 2**24, "memory": 2**63}
#: they touch of their first argument what they are told to, and leave the rest
PICKING = ("gather", "scatter_", "embedding", "index", "index_put_")
RECURRENT = "mkldnn_rnn_layer"
ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"
#: seconds that the products of one shape are repeated for
SHORTEST = 0.02


@dataclass
class Work:
    """What operators of one kind do in a step."""

    flops: int = 0
    moved: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # bytes by level


def level(size: int) -> str:
    """The level that tensors of so many bytes together fit into."""
    return next(name for name, most in LEVELS.items() if size <= most)


class Counter(TorchDispatchMode):
    """Counts the work of every operator while it is active, by ``kind_of`` its name.

    Bytes are those of the tensors read and written, each once, as if an operator left nothing to read twice; views and
    memory that is not filled move nothing. A recurrent kernel reads its recurrent weights again at every position, as
    each waits for the last. ``products`` holds a call of each shape of matrix product, by the library that it was made
    with, and how often it was made.
    """

    def __init__(self, kind_of: Callable[[str], str]) -> None:
        super().__init__()
        self.kind_of = kind_of
        self.work: dict[str, Work] = defaultdict(Work)
        self.products: dict[Any, tuple[Callable[[], object], int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket not in flop_registry:
            with self:  # without autograd an operator that is made of others comes as a whole
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        result = func(*args, **(kwargs or {}))
        if not func.is_view and (func._schema.is_mutable or _made(result, args)):
            self._count(func, args, kwargs or {}, result)
        return result

    def _count(self, func: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        name = func.overloadpacket.__name__
        work = self.work[self.kind_of(func._schema.name)]
        moved = _moved(func, name, args, kwargs, result)
        work.moved[level(moved)] += moved
        if name.startswith(RECURRENT):
            flops, again = _recurrent(name, args)
            work.flops += flops
            work.moved[level(again[1])] += again[0] * again[1]
        elif name.startswith(ATTENTION):
            work.flops += _attention(name, args)
        elif (formula := flop_registry.get(func.overloadpacket)) is not None:
            work.flops += formula(*args, **kwargs, out_val=result)
            self._keep(func, args, kwargs)

    def _keep(self, func: Any, args: Any, kwargs: dict[str, Any]) -> None:
        layouts = tuple((*one.shape, *one.stride(), one.dtype) for one in _tensors((args, kwargs)))
        key = (func, torch.get_float32_matmul_precision(), layouts)
        if key not in self.products:
            # random numbers in the same layout: the step's own tensors would be kept from being freed
            same = tree_map(lambda one: torch.empty_like(one).normal_() if isinstance(one, Tensor) else one, args)
            self.products[key] = (lambda: func(*same, **kwargs), 0)
        call, times = self.products[key]
        self.products[key] = (call, times + 1)

    def seconds_of_products(self) -> float:
        """What the step's matrix products take one after another, each repeated by itself, its operands in cache."""
        return sum(times * _seconds(call, key[1]) for key, (call, times) in self.products.items())


def _seconds(call: Callable[[], object], level: str) -> float:
    with fp32_products(level):
        call()
        done, begun = 0, time.perf_counter()
        while (passed := time.perf_counter() - begun) < SHORTEST:
            call()
            done += 1
    return passed / done


def _tensors(nest: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(nest) if isinstance(leaf, Tensor))


def _sizes(nest: Any) -> Iterator[int]:
    """Bytes of each tensor; what is read again and again by a stride of 0 counts once."""
    for one in _tensors(nest):
        yield prod(size for size, step in zip(one.shape, one.stride(), strict=True) if step) * one.element_size()


def _moved(func: Any, name: str, args: Any, kwargs: dict[str, Any], result: Any) -> int:
    """Bytes that an operator reads and writes."""
    if "empty" in name:
        return 0
    if name in PICKING:
        # picked out: read and written; or written in the place of what was there
        picked = sum(_sizes(args[-1:])) if name.endswith("_") else 2 * sum(_sizes(result))
        return sum(_sizes((args[1:], kwargs))) + picked
    return sum(_sizes((args, kwargs, result if result is not None else _changed(func, args))))


def _changed(func: Any, args: Any) -> list[Any]:
    """What an operator that returns nothing writes to (the optimizer's)."""
    pairs = zip(func._schema.arguments, args, strict=False)
    return [given for said, given in pairs if said.alias_info is not None and said.alias_info.is_write]


def _made(result: Any, args: Any) -> bool:
    """Whether an operator made a tensor with memory of its own."""
    given = {one.untyped_storage()._cdata for one in _tensors(args)}
    return any(one.untyped_storage()._cdata not in given for one in _tensors(result))


def _passes(name: str) -> int:
    """Once forward; backward once for each of the two factors."""
    return 2 if name.endswith("backward") else 1


def _attention(name: str, args: Any) -> int:
    """FLOPs of torch's fused attention on a CPU, which the registry lacks; those that backward repeats do not count."""
    query, key, value = args[1:4] if name.endswith("backward") else args[:3]
    return _passes(name) * int(sdpa_flop_count(query.shape, key.shape, value.shape))


def _recurrent(name: str, args: Any) -> tuple[int, tuple[int, int]]:
    """FLOPs of oneDNN's LSTM over a sequence [T, B, in], and (positions, bytes of the recurrent weights)."""
    read, inward, recurrent = args[:3]
    positions, rows = read.shape[:2]
    flops = _passes(name) * 2 * positions * rows * (inward.numel() + recurrent.numel())
    return flops, (positions, recurrent.numel() * recurrent.element_size())
