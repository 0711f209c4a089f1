"""Polynomial-decay averaging of weights (Shamir & Zhang 2013, section 4).

With a constant learning rate the last weights are noisy; a schedule that decays to the last step would cure that at
the end alone and make every earlier point of the learning curve unfair. This average, which weighs about the last
tenth of the steps so far and knows no last step, gives every point of the curve the benefit of a decay.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

#: with eta = 9 the average's weights lie mostly in the last tenth of the steps
ETA = 9.0


class Average:
    """A running average of parameters."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = [parameter.detach() for parameter in parameters]
        self.values = [parameter.clone() for parameter in self.parameters]
        self.kept = [value.clone() for value in self.values]

    def update(self, step: int) -> None:
        """Take in the parameters after step number ``step`` (from 1)."""
        torch._foreach_lerp_(self.values, self.parameters, (ETA + 1.0) / (step + ETA))

    def swap(self) -> None:
        """Exchange the parameters and the average."""
        for parameter, value in zip(self.parameters, self.values, strict=True):
            kept = parameter.clone()
            parameter.copy_(value)
            value.copy_(kept)

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """Within it the parameters are the average."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def keep(self) -> None:
        """Remember the average as it is, which has been found good."""
        for kept, value in zip(self.kept, self.values, strict=True):
            kept.copy_(value)

    def restore(self) -> None:
        """Go back to the average that was remembered last (at first the weights that training began with)."""
        for kept, value in zip(self.kept, self.values, strict=True):
            value.copy_(kept)
