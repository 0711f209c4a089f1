"""``tokens`` and ``algorithms``: what is made of texts, and tasks that need none."""

from typing import Annotated, Literal

from pydantic import Field

from verdict.settings.fields import Algorithm, Distinct, Section, Size


class Tokens(Section):
    """The tokenizer of a task."""

    vocabulary: Annotated[int, Field(ge=260, le=65536, description="pieces of the byte-level BPE")]
    longest: Annotated[
        dict[Literal["text", "source", "target"], Annotated[int, Field(ge=2, le=10**6)]],
        Field(description="pieces kept per field, END included"),
    ] = {}


class AlgorithmSettings(Section):
    """A task whose answers an algorithm decides; see ``verdict.tokens.algorithms``."""

    algorithm: Annotated[Algorithm | None, Field(description="what decides; left out: the one of the task's name")] = (
        None
    )
    vocabulary: Annotated[int, Field(ge=6, le=65536, description="pieces, the 4 special ones counted")]
    lengths: Annotated[list[Size], Field(min_length=1, description="lengths trained on"), Distinct]
    test_lengths: Annotated[
        list[Size], Field(min_length=1, description="trained ones, and 2 and 4 times the longest"), Distinct
    ]
    records: Annotated[Size, Field(description="training sequences")]
    test_records: Annotated[Size, Field(description="sequences of validation and of each test")] = 500
    pairs: Annotated[list[Size], Field(description="recall: numbers of pairs trained on"), Distinct] = []
    test_pairs: Annotated[list[Size], Field(description="recall: numbers of pairs tested"), Distinct] = []
    permuted: Annotated[int, Field(ge=2, le=6, description="permutations: how many things are permuted")] = 5
