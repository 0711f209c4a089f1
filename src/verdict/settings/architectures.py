"""``architectures``: settings of the block factory."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from verdict.documents import meant
from verdict.models.settings import MIXERS, Architecture
from verdict.settings.fields import Section, Share

# they travel as JSON in commands, in which Snakemake would replace what stands in braces
Option = (
    bool
    | Annotated[int, Field(ge=-(10**9), le=10**9)]
    | Annotated[float, Field(ge=-1e9, le=1e9)]
    | Annotated[str, Field(pattern=r"^[A-Za-z0-9_ .:/+-]*$", max_length=200)]
    | None
)


class ArchitectureSettings(Section):
    """One setting of the block factory; see ``verdict.models.settings.Architecture``."""

    mixer: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*((\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*)?$",
            max_length=200,
            description="attention, lstm, gru, rnn, or the import path module:Class of a Mixer, whose code is run",
        ),
    ]
    layers: Annotated[int, Field(ge=1, le=256, description="blocks in the stack (in each of encoder and decoder)")]
    feedforward: Annotated[bool, Field(description="whether a block has a feed-forward part")]
    mixer_width: Annotated[
        float, Field(gt=0, le=4, description="inner width of the mixer over the model width, with a feed-forward part")
    ] = 1.0
    norm: Annotated[bool, Field(description="layer normalisation before each part")] = True
    residual: Annotated[bool, Field(description="residual connection around the mixer")] = True
    cross_attention: Annotated[
        Literal["every", "last", "none"], Field(description="which decoder blocks attend to the source")
    ] = "every"
    dropout: Annotated[Share, Field(description="share dropped after the embedding and after each part")] = 0.1
    options: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=48)], Option],
        Field(description="keyword arguments of the mixer's class"),
    ] = {}

    @model_validator(mode="after")
    def _suit(self) -> "ArchitectureSettings":
        if ":" in self.mixer:
            return self  # its own class says what it takes
        if self.mixer not in MIXERS:
            hint = meant(self.mixer, MIXERS, f"it may be {', '.join(MIXERS)}")
            raise ValueError(f"mixer '{self.mixer}' is unknown; {hint}, or write module:Class")
        taken = MIXERS[self.mixer].options
        for name, value in self.options.items():
            if name not in taken:
                raise ValueError(
                    f"options.{name} is none of mixer '{self.mixer}'; it takes {', '.join(taken) or 'none'}"
                )
            if isinstance(value, bool) or not isinstance(value, taken[name]):
                raise ValueError(f"options.{name} is {value!r}; write a number")
            if name == "heads" and not 1 <= value <= 1024:  # type: ignore[operator]
                raise ValueError(f"options.heads is {value}; write a whole number from 1 to 1024")
        return self

    def build(self) -> Architecture:
        """The architecture as training jobs take it."""
        return Architecture(**self.model_dump())
