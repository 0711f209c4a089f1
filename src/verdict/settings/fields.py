"""What the sections of params.yaml are made of: names, numbers and lists, each within its bounds."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# names become parts of file names and of commands
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Task = Literal["lm", "translation", "summarization", "classification"]
Algorithm = Literal["recall", "copying", "reversal", "parity", "permutations"]
Positive = Annotated[int, Field(ge=1, le=10**12)]
#: of what is held in memory at once; no machine has room for more
Size = Annotated[int, Field(ge=1, le=10**6)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _distinct(values: list[Any]) -> list[Any]:
    """Refuse what stands in a list twice: it would be measured twice under one name."""
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{value} stands there twice; write it once")
    return values


Distinct = AfterValidator(_distinct)

#: what was kept of another run; Snakemake takes braces and stars for patterns
Kept = Annotated[str, Field(pattern=r"^[^\x00-\x1f{}*?\[\]]*$", max_length=1000)]


class Section(BaseModel):
    """A section of params.yaml: unknown keys are errors, and so are numbers that JSON does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
