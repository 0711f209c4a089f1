"""What every mixer offers: a whole sequence, one step with a state that agrees with it, and its costs.

Shapes: B rows, T positions, D model width, H inner width of the mixer.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

#: a NamedTuple whose tensors have the rows in dimension 0, so that beam search can reorder any mixer's state; one that
#: knows better may offer ``taken(rows, shared)``, with a dictionary for what all layers of a model have in common
State = NamedTuple


class Mixer(nn.Module, ABC):
    """Mixes information over time: [B, T, D] -> [B, T, D].

    ``causal`` mixers see the past alone and can be stepped; the others see the whole row. ``summary`` mixers take a
    [B, D] summary of a source text as the start of their state.
    """

    #: whether the mixer can start from a summary of the source (needed by a decoder without cross-attention)
    takes_summary: ClassVar[bool] = False

    def __init__(self, width: int, inner: int, causal: bool, summary: bool = False) -> None:
        super().__init__()
        self.width, self.inner, self.causal, self.summary = width, inner, causal, summary

    @classmethod
    @abstractmethod
    def granularity(cls, causal: bool, **options: Any) -> int:
        """The inner width must be a multiple of this."""

    @abstractmethod
    def reset_parameters(self, residual_scale: float) -> None:
        """Initialise; ``residual_scale`` shrinks the projection that adds to the residual stream."""

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None) -> Tensor:
        """Mix a whole sequence.

        ``x`` [B, T, D]; ``lengths`` [B] counts of real positions in right-padded rows (None: no padding; a causal
        mixer may ignore it, because padding lies in the future); ``summary`` [B, D] or None.
        What stands at padded positions of the result is unspecified.
        """

    @abstractmethod
    def initial_state(self, x: Tensor, capacity: int, summary: Tensor | None = None) -> Any:
        """The state before the first step, for rows, dtype and device like ``x`` [B, ...] and ``capacity`` steps.

        Steps beyond the capacity leave the state passed to them as it is: with capacity 0 gradients can be taken
        through all steps.
        """

    @abstractmethod
    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One position: ``x`` [B, D] and the state -> [B, D] and the next state; equals ``forward`` at that position.

        The state passed in may be overwritten (a cache is filled in place) within its capacity.
        """

    def written(self, state: Any) -> list[Tensor]:
        """The parts [B, ...] of a state that the last step wrote, for later steps to read.

        That is all of it, as a recurrence writes its state anew; a mixer that keeps a part for every position names
        the last position's.
        """
        return [part for part in state if isinstance(part, Tensor)]

    def activity(self, x: Tensor, lengths: Tensor | None = None, summary: Tensor | None = None) -> dict[str, Tensor]:
        """What can be watched inside while ``forward`` mixes the same arguments, by name; nothing if not overridden.

        A tensor is either [B, N, T, T], weights by which each position (third) takes from each other (fourth) in N
        heads, or [B, T, H], one value per inner unit and position; of mixers that read both ways the units of the
        forward direction come first. What stands at padded positions is unspecified. It is worked out by plain
        equations, far slower than ``forward`` and for looking at alone.
        """
        return {}

    @abstractmethod
    def flops_per_token(self, context: int) -> int:
        """Forward floating-point operations per position with ``context`` visible positions (2 per multiply-add;
        matrix products alone, as ``torch.utils.flop_counter`` counts them)."""

    @abstractmethod
    def state_floats(self, context: int) -> int:
        """Numbers kept per row to continue after ``context`` positions."""

    @abstractmethod
    def chain(self, length: int) -> int:
        """Matrix products over time that must wait for one another in a sequence of ``length``."""
