"""The form of verdict.json: what every key means, as types, as a JSON schema, and checked when one is read back.

``python -m verdict.court.form`` prints the schema, which a test holds against workflow/schemas/verdict.schema.json.
A verdict of schema 1 may gain keys, which readers pass over and which are not required, so that an earlier verdict can
still be read; it loses none, and none changes its meaning.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from verdict import documents
from verdict.court.claims import Rule
from verdict.errors import UserError, run_command
from verdict.files import parse_json

SCHEMA = 1

Label = Annotated[
    Literal["supported", "only_when", "tie", "contradicted", "inconclusive", "not_tried"],
    Field(description="The heads of src/verdict/court/weighing.py and judge.py say how a label comes about."),
]
Why = Annotated[
    Literal[
        "beyond", "equivalent", "other_side", "too_small", "wide", "one_replicate", "corrected", "never", "never_few",
        "never_mixed", "never_both", "no_gain", "no_pairs", "no_evidence",
        "unlearned", "never_size",
    ],
    Field(description="Why this label: `verdict explain` says it in words."),
]  # fmt: skip
Effect = Annotated[
    Literal["difference", "ratio", "share"],
    Field(description="difference: in the metric's unit; ratio: how many times better; share: part of a gain."),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
P = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Runs = Annotated[list[str], Field(description="The jobs whose rows were read, sorted.")]


class Part(BaseModel):
    """A part of the verdict; keys it does not know are passed over."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Condition(Part):
    """Where a test was judged; "" (or null) where its rows differ or the column does not apply."""

    task: str = Field(description="lm, translation, …")
    size: str = Field(description="Size of the model; that of the settings is not named.")
    device: str = Field(description="cpu or cuda; none where nothing was run.")
    matching: str = Field(description="What the two sides have in common: parameters, flops, seconds, …")
    variant: str = Field(description="How the model was trained or decoded.")
    variable: str = Field(description="What `at` is the value of: length, batch, target_bits_per_byte, …")
    at: float | None = Field(description="Value of the swept variable, in its own unit.")


class Named(Condition):
    """A condition of a claim with the label it got."""

    test: str = Field(description="Name of the test within the claim.")
    metric: str
    label: Label


class Entry(Part):
    """One test in one condition; a test without evidence has a single entry that says so."""

    name: str = Field(description="Name of the test within the claim.")
    metric: str
    unit: str = Field(description='Unit of the metric; "" if nothing was measured.')
    effect: Effect
    favoured: str = Field(description="The architecture the claim speaks for.")
    against: str = Field(description="The architecture it is compared with.")
    baseline: str | None = Field(description="The trivial answer that did best, where the test has baselines.")
    relative_to: dict[str, str | float] | None = Field(
        description="Gains over the row that differs in these columns are compared."
    )
    direction: Literal["higher", "lower", "neither", "more", "less", "better"] = Field(
        description="Which way a value speaks for a side; “better” only where nothing was measured."
    )
    rule: Rule
    margin: float = Field(description="In the metric's unit, or a factor, or a share; as `effect` says.")
    equal: float | None = Field(description="The smaller margin of equality, for the rule at_least.")
    level: float = Field(description="Confidence level of the interval, before any correction.")
    estimate: float | None = Field(
        description="The effect; a difference above 0 or a ratio above 1 speaks for the favoured side."
    )
    low: float | None = Field(description="Lower end of the interval; null if there is none.")
    high: float | None = Field(description="Upper end of the interval; null if there is none.")
    corrected_low: float | None = Field(
        default=None, description="Lower end at the level that the correction asks of this test; null if there is none."
    )
    corrected_high: float | None = Field(default=None, description="Upper end at that level; null if there is none.")
    exact: bool = Field(description="A counted value without error.")
    never: bool = Field(description="A side never reached a target, so that there is no number to compare.")
    pairs: Count = Field(description="Replicates behind the estimate; of unpaired sides the smaller number.")
    left_out: Count = Field(description="Replicates that only one side had.")
    favoured_mean: float | None = Field(description="In the metric's unit (a geometric mean beside a ratio).")
    against_mean: float | None = Field(description="In the metric's unit (a geometric mean beside a ratio).")
    baseline_mean: float | None = Field(description="The best trivial answer, in the metric's unit.")
    replicates_error: float | None = Field(
        ge=0,
        description="Standard error over replicates: in the metric's unit, of the ratio's logarithm, of the share.",
    )
    items_error: float | None = Field(
        ge=0, description="Standard error due to the sample of test items, in the same unit; null if not known."
    )
    items_groups: Count | None = Field(
        default=None,
        description="How many test items, or groups of them by effective number, it was drawn from; null if not known.",
    )
    condition: Condition
    label: Label = Field(description="After the correction over all tests of the area (or of the final table).")
    uncorrected_label: Label = Field(description="What the interval alone says.")
    why: Why
    p: P | None = Field(description="Two-sided p-value of the nearest decision; null if no test was possible.")
    p_corrected: P | None = Field(description="The same, adjusted over all tests of the area (or of the final table).")
    runs: Runs
    rows: list[Count] = Field(
        default_factory=list,
        description="Numbers, from 0, of the rows read: lines of the evidence's CSV below its head.",
    )
    needed_pairs: Count | None = Field(description="Replicates that would decide it, if the spread stays.")


class Claim(Part):
    """One claim of the docket, judged."""

    id: str
    area: str
    label: Label = Field(description="After the correction over all tests of the area.")
    uncorrected_label: Label = Field(description="What the intervals alone say.")
    tests: list[Entry] = Field(description="One entry for each condition of each test, in the docket's order.")
    when: list[Named] = Field(description="Conditions in which the claim is supported.")
    unless: list[Named] = Field(description="Conditions in which it is contradicted or a tie.")


class Counts(Part):
    """How many claims have each label."""

    supported: Count
    only_when: Count
    tie: Count
    contradicted: Count
    inconclusive: Count
    not_tried: Count


class Summary(Part):
    """A whole of several claims."""

    label: Label
    counts: Counts


class Situation(Condition):
    """Which architecture in this situation, read off a test of the final question."""

    criterion: str = Field(description="What the reader cares for: quality, memory, …")
    metric: str
    test: str
    favoured: str = Field(description="An architecture, or no_difference, or unresolved.")
    label: Label = Field(description="Holding the share of false decisions in the table at 1 − level.")
    why: Why
    effect: Effect
    estimate: float | None
    low: float | None
    high: float | None
    runs: Runs


class Final(Summary):
    """The final question: all claims together, its own tests, and the table of situations."""

    tests: list[Entry]
    situations: list[Situation] = Field(description="One for each of `tests`, in their order.")


class Beside(Condition):
    """The mean of a measurement that no test has read, over its replicates."""

    experiment: str = Field(description="What was done to measure it: context, gradients, …")
    architecture: str = Field(description="Whose measurement it is.")
    implementation: str = Field(description="kernel, loop, written_out, …")
    metric: str
    unit: str = Field(description="Unit of the metric.")
    better: Literal["higher", "lower", "neither"] = Field(description="Which way a value speaks for an architecture.")
    replicates: Count = Field(description="How many values the mean is of.")
    never_reached: Count = Field(default=0, description="How many of them never reached it.")
    mean: float | None = Field(
        description="In the metric's unit; geometric where all values are positive; null where some never reached it."
    )
    low: float | None = Field(description="Lower end of the interval, or of what was reached; null if there is none.")
    high: float | None = Field(description="Upper end of the interval, or of what was reached; null if there is none.")
    rows: list[Count] = Field(description="Numbers, from 0, of the rows: lines of the evidence's CSV below its head.")


class Verdict(Part):
    """What the judge says: a pure function of the docket and the evidence, whose hashes stand in it."""

    schema_: Literal[1] = Field(alias="schema", description="Version of this form.")
    level: float = Field(ge=0.5, lt=1, description="Confidence level of every interval.")
    docket_sha256: Sha256 = Field(description="Hash of the docket's content (claims.yaml).")
    recorded_docket_sha256: str | None = Field(
        description="The same hash as recorded before the runs; null if it was not."
    )
    evidence_sha256: Sha256 = Field(description="Hash of the evidence as canonical CSV: sha256sum of evidence.csv.")
    claims: list[Claim] = Field(description="In the docket's order.")
    areas: dict[str, Summary]
    final: Final
    beside: list[Beside] = Field(default_factory=list, description="What was measured besides; decides nothing.")


def schema() -> dict[str, Any]:
    """The JSON schema of verdict.json (draft 2020-12)."""
    made = Verdict.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def read(path: Path | str) -> dict[str, Any]:
    """A verdict as the judge wrote it; raises ``UserError`` if the file is missing or of another form."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; run `snakemake --cores all`, or name another verdict")
    try:
        content = parse_json(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a verdict but some other file; name the judge's verdict.json") from error
    return check(content, str(path))


def check(content: Any, where: str) -> dict[str, Any]:
    """The content itself if it has the form; raises ``UserError`` naming the first key that has not."""
    if not isinstance(content, dict) or "schema" not in content:
        raise UserError(f"{where} is not a verdict (it has no key 'schema'); name the judge's verdict.json")
    again = f"judge its evidence again: python -m verdict.judge --evidence E.parquet --claims claims.yaml --out {where}"
    if content["schema"] != SCHEMA:
        raise UserError(f"{where} has schema {content['schema']!r}, and this version reads schema {SCHEMA}; {again}")
    try:
        Verdict.model_validate(content)
    except ValidationError as error:
        wrong = documents.explain(error, Verdict, content).removesuffix("; add it")
        raise UserError(f"{where}: {wrong}; {again}") from error
    return content


def main() -> None:
    """Print the schema."""
    print(json.dumps(schema(), ensure_ascii=False, indent=2))


if __name__ == "__main__":
    run_command(main)
