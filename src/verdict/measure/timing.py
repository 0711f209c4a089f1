"""Timing that can be trusted on a noisy machine: contestants take turns in every round, the order reversed each time.

Ratios within a round are what is compared; what happens to the machine meanwhile happens to all contestants alike.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch

from verdict.device import synchronize

#: a call that is shorter than this is repeated within a round, so that the clock's grain does not matter
SHORTEST = 0.05

Name = TypeVar("Name", bound=Hashable)


def turns(names: Sequence[Name], count: int) -> Iterator[tuple[int, Name]]:
    """(round, whose turn it is), the order reversed in every other round."""
    for number in range(count):
        for name in names if number % 2 == 0 else reversed(names):
            yield number, name


def rounds(
    contestants: Mapping[Name, Callable[[], object]], count: int, device: torch.device
) -> Iterator[tuple[int, Name, float]]:
    """(round, contestant, seconds per call), after one warm-up call and one calibrating call of each."""
    repeats = {}
    for name, call in contestants.items():
        call()
        repeats[name] = max(1, round(SHORTEST / max(1e-9, _seconds(call, 1, device))))
    for number, name in turns(list(contestants), count):
        yield number, name, _seconds(contestants[name], repeats[name], device)


def with_threads(call: Callable[[], object], count: int) -> Callable[[], None]:
    """The call on so many CPU threads."""

    def counted() -> None:
        kept = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            call()
        finally:
            torch.set_num_threads(kept)

    return counted


def _seconds(call: Callable[[], object], repeats: int, device: torch.device) -> float:
    synchronize(device)
    begun = time.perf_counter()
    for _ in range(repeats):
        call()
    synchronize(device)
    return (time.perf_counter() - begun) / repeats
