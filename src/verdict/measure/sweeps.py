"""What timings over a swept setting say: exponents, crossovers, gains. Pure functions of numbers."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Contest(NamedTuple):
    """How one architecture stands against another over lengths."""

    #: share of the range of lengths, on a logarithmic scale, in which it is faster (1: everywhere, 0: nowhere)
    faster_share: float
    #: the length from which on it is the faster one: the shortest if it is everywhere, inf if it is not at the longest
    overtakes_at: float


def exponent(lengths: Sequence[float], seconds: Sequence[float]) -> float:
    """The least-squares slope of log seconds over log length: 1 is linear."""
    return float(np.polyfit(np.log(lengths), np.log(seconds), 1)[0])


def contest(lengths: Sequence[float], ratios: Sequence[float]) -> Contest:
    """Read off a ratio of rates (own over the other's) at rising lengths.

    Between two lengths the logarithm of the ratio is taken to be straight over the logarithm of the length.
    """
    x, y = np.log(lengths), np.log(ratios)
    faster, overtakes = 0.0, float(lengths[0]) if y[0] > 0 else math.inf
    for (left, right), (low, high) in zip(pairwise(x), pairwise(y), strict=True):
        if (low > 0) == (high > 0):
            faster += (right - left) * (low > 0)
            continue
        at = left + (right - left) * low / (low - high)
        faster += right - at if high > 0 else at - left
        overtakes = float(np.exp(at)) if high > 0 else math.inf
    return Contest(float(faster / (x[-1] - x[0])), overtakes)


def thread_counts(most: int) -> list[int]:
    """1, the powers of two below ``most``, and ``most``."""
    return sorted({most, *(2**power for power in range(most.bit_length()) if 2**power < most)})
