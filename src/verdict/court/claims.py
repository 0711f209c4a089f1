"""The docket: every claim, how it is tested and from which size on a difference counts, fixed before the runs.

``python -m verdict.court.claims --schema`` prints the JSON schema of claims.yaml, which a test holds against
workflow/schemas/claims.schema.json.
"""

import argparse
import hashlib
import json
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from verdict import documents
from verdict.errors import UserError, run_command
from verdict.files import write_json

Column = Literal["experiment", "task", "variant", "matching", "size", "device", "implementation", "variable", "at"]
Cell = str | float
Rule = Literal["superior", "at_least", "non_inferior", "share_at_most"]
Words = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Criterion = Literal["quality", "training_speed", "time_to_quality", "generation_speed", "memory", "parameters"]

CONDITIONS: tuple[Column, ...] = ("task", "size", "device", "matching", "variant", "variable", "at")


class Strict(BaseModel):
    """A part of the registry: an unknown key is an error, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Text(Strict):
    """Words in both languages of the page."""

    en: Words = Field(description="English")
    zh: Words = Field(description="Chinese (simplified)")


class Margin(Strict):
    """From which size on a difference counts, and why."""

    value: float = Field(gt=0, description="Size of the margin: in the metric's unit, or a factor above 1, or a share.")
    unit: Words = Field(description="Unit of `value`, for the reader.")
    equal: float | None = Field(
        default=None, gt=0, description="Only for at_least: inside this smaller margin the two count as equal."
    )
    reason: Text = Field(description="Why this size, in one line.")


def _suits(select: dict[Column, Any] | None) -> dict[Column, Any] | None:
    """Refuse a number where a column holds text, and text where it holds numbers: it would select nothing."""
    for column, value in (select or {}).items():
        for cell in value if isinstance(value, list) else [value]:
            if isinstance(cell, str) == (column == "at"):
                kind = "numbers" if column == "at" else "text"
                raise ValueError(f"the column '{column}' holds {kind}, and {cell!r} is none; write {kind}")
    return select


Selection = Annotated[dict[Column, Cell | list[Cell]], AfterValidator(_suits)]
Cells = Annotated[dict[Column, Cell], AfterValidator(_suits)]


class Baseline(Strict):
    """Trivial answers to stand beside: the best of them on the metric is taken."""

    architecture: Name = Field(description="Label of the baselines in the evidence's architecture column.")
    select: Selection = Field(description="Which rows are baselines: column → value(s).")


class Learned(Strict):
    """What must have been learned before the comparison says anything: who stays at the floor shows no loss."""

    metric: Name = Field(description="Metric of the evidence rows; must stand under `metrics`.")
    select: Selection = Field(
        description="Which rows count: column → value(s); task, size, device and matching are those of the condition."
    )
    least: float = Field(description="What the mean over a side's rows must reach, in the metric's unit.")
    sides: Literal["both", "either"] = Field(default="both", description="Which sides must reach it.")
    reason: Text = Field(description="Why this much, in one line.")


class Test(Strict):
    """One comparison; each combination of the columns in ``by`` is judged as a condition of its own."""

    __test__ = False  # not a test for pytest to collect

    name: Name = Field(description="Unique within the claim.")
    reads: Text = Field(description="What is compared, in plain words without numbers.")
    metric: Name = Field(description="Metric of the evidence rows; must stand under `metrics`.")
    select: Selection = Field(description="Which rows count: column → value or list of values.")
    by: list[Column] = Field(
        default=list(CONDITIONS), description="Columns whose combinations are judged as separate conditions."
    )
    favoured: Name = Field(description="The architecture the claim speaks for.")
    against: Name = Field(description="The architecture it is compared with.")
    effect: Literal["difference", "ratio", "share"] = Field(
        description="difference: in the metric's unit; ratio: how many times better; "
        "share: what part of the favoured's gain over the baseline the other reaches."
    )
    direction: Literal["better", "more", "less"] = Field(
        default="better",
        description="Which way the claim points: better (as the evidence says of the metric), more or less of it.",
    )
    pairing: Literal["paired", "independent"] = Field(
        default="paired", description="paired: replicate with replicate (t-interval); independent: Welch's interval."
    )
    relative_to: Cells | None = Field(
        default=None, description="Compare gains over the row that differs in these columns, replicate by replicate."
    )
    baseline: Baseline | None = Field(default=None, description="Needed when a side is a baseline, and for shares.")
    learned: Learned | None = Field(
        default=None, description="Inconclusive where this was not learned; not tried where it was not measured."
    )
    limit: Name | None = Field(
        default=None,
        description="Metric that tells of each replicate up to which value it was sought what “never” was found "
        "(otherwise never counts as beyond any margin).",
    )
    rule: Rule = Field(description="How the interval decides; see `rules`.")
    margin: Margin

    @model_validator(mode="after")
    def _fits(self) -> "Test":
        if (self.effect == "share") != (self.rule == "share_at_most"):
            raise ValueError("effect 'share' and rule 'share_at_most' go together; change one of them")
        if self.effect == "share" and (self.baseline is None or self.pairing != "paired" or self.relative_to):
            raise ValueError("effect 'share' needs a 'baseline', paired replicates and no 'relative_to'")
        if self.effect == "ratio" and self.margin.value <= 1:
            raise ValueError("the 'margin' of a ratio is a factor; write a value above 1, such as 1.1")
        if self.effect == "share" and self.margin.value >= 1:
            raise ValueError("the 'margin' of a share must lie between 0 and 1")
        if (self.margin.equal is not None) != (self.rule == "at_least"):
            raise ValueError("rule 'at_least' needs 'margin.equal', and only that rule may have it")
        smallest = 1.0 if self.effect == "ratio" else 0.0
        if self.margin.equal is not None and not smallest < self.margin.equal <= self.margin.value:
            raise ValueError(f"'margin.equal' must lie between {smallest:g} and 'margin.value'")
        if self.favoured == self.against:
            raise ValueError(f"'favoured' and 'against' are both '{self.favoured}'; name two different sides")
        if self.limit and self.effect != "ratio":
            raise ValueError("'limit' goes with effect 'ratio'")
        if self.learned and (self.learned.metric, self.learned.select) == (self.metric, self.select):
            raise ValueError("'learned' needs other rows than the test's own")
        if self.relative_to and not set(self.relative_to) <= set(self.select):
            raise ValueError("each column of 'relative_to' must stand in 'select' too, or rows meet themselves")
        return self


class SituationTest(Test):
    """A comparison that answers “which one in this situation?”, for no side in particular."""

    criterion: Criterion = Field(description="What the reader of the final table cares for.")


class Published(Strict):
    """Numbers of others, quoted beside ours; no verdict reads them."""

    what: Text
    of_recurrent: str = Field(description="What was reported of the recurrent model; – if nothing.")
    of_transformer: str = Field(description="What was reported of the Transformer; – if nothing.")
    source: str
    flaw: Text = Field(description="Why it decides nothing.")


class Claim(Strict):
    """One claim of the docket. Without tests it is “not yet tried”."""

    id: Annotated[str, Field(pattern=r"^[A-Z][0-9]+$")]
    area: Name
    text: Text = Field(description="The claim in our own words.")
    measured: Text = Field(description="What must be measured before anyone may call it true.")
    tests: list[Test] = Field(default_factory=list)
    published: list[Published] = Field(default_factory=list, description="Numbers of others, for comparison.")


class Final(Strict):
    """The question answered last, and the tests behind its table of situations."""

    text: Text
    measured: Text
    tests: list[SituationTest] = Field(default_factory=list)


class Claims(Strict):
    """The whole of claims.yaml."""

    schema_: Literal[1] = Field(alias="schema", description="Version of this file's form.")
    level: float = Field(ge=0.5, lt=1, description="Confidence level of every interval.")
    rules: dict[Rule, Text] = Field(description="What each rule says, in words.")
    architectures: dict[Name, Text] = Field(description="Every label a claim may meet in the evidence.")
    metrics: dict[Name, Text] = Field(description="Every metric a claim may name.")
    areas: dict[Name, Text] = Field(description="The areas with their titles.")
    claims: list[Claim] = Field(min_length=1)
    final: Final

    @model_validator(mode="after")
    def _hangs_together(self) -> "Claims":
        ids = [claim.id for claim in self.claims]
        if twice := next((id for id in ids if ids.count(id) > 1), None):
            raise ValueError(f"the claim '{twice}' stands twice; give each its own id")
        if missing := [rule for rule in typing.get_args(Rule) if rule not in self.rules]:
            raise ValueError(f"'rules' lacks words for '{missing[0]}'; describe it")
        for claim in self.claims:
            _known(claim.area, self.areas, f"claims.{claim.id}.area", "areas")
        for place, tests in [(f"claims.{claim.id}", claim.tests) for claim in self.claims] + [
            ("final", list[Test](self.final.tests))
        ]:
            names = [test.name for test in tests]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"{place}: the test '{twice}' stands twice; give each its own name")
            for test in tests:
                where = f"{place}.tests.{test.name}"
                _known(test.metric, self.metrics, f"{where}.metric", "metrics")
                _known(test.favoured, self.architectures, f"{where}.favoured", "architectures")
                _known(test.against, self.architectures, f"{where}.against", "architectures")
                if test.learned:
                    _known(test.learned.metric, self.metrics, f"{where}.learned", "metrics")
                if test.limit:
                    _known(test.limit, self.metrics, f"{where}.limit", "metrics")
                if test.baseline:
                    _known(test.baseline.architecture, self.architectures, f"{where}.baseline", "architectures")
        return self

    def sha256(self) -> str:
        """Hash of the content: comments, order of keys and line breaks do not change it, every word and number does.

        What is left out is left out of the hash, so that a key the form gains later leaves older dockets as they are.
        """
        content = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def claim(self, id: str) -> Claim:
        """The claim of that id; raises ``UserError`` when there is none."""
        for claim in self.claims:
            if claim.id == id:
                return claim
        raise UserError(f"there is no claim '{id}'; known are {', '.join(claim.id for claim in self.claims)}")


def check_architectures(claims: Claims, trained: Iterable[str]) -> None:
    """Raise ``UserError`` if an architecture is to be trained that the docket has no name for."""
    if unknown := sorted(set(trained) - claims.architectures.keys()):
        raise UserError(
            f"claims.yaml has no name for the architecture '{unknown[0]}', which params.yaml trains; write it under "
            "architectures there before the first run"
        )


def load(path: Path | str) -> Claims:
    """Read and check claims.yaml; raises ``UserError`` with one sentence naming the file and the key's path."""
    return parse(documents.read(path), str(path))


def parse(content: Any, where: str = "claims.yaml") -> Claims:
    """Check a docket already read; raises ``UserError``."""
    return documents.check(Claims, content, where)


def schema() -> dict[str, Any]:
    """The JSON schema of claims.yaml, for editors."""
    made = Claims.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _known(word: str, known: dict[str, Text], where: str, section: str) -> None:
    if word not in known:
        hint = documents.meant(word, known, f"add it there or use one of {', '.join(known)}")
        raise ValueError(f"{where}: '{word}' does not stand under '{section}'; {hint}")


def main() -> None:
    """Print the schema, or check a docket, say how many claims and tests it holds, and record its hash."""
    parser = argparse.ArgumentParser(description="Check a docket (claims.yaml), or print its JSON schema.")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema and stop")
    parser.add_argument("--claims", default="claims.yaml", help="the docket to check (default: %(default)s)")
    parser.add_argument("--record", type=Path, help="file to record the docket's SHA-256 in, before the first run")
    arguments = parser.parse_args()
    if arguments.schema:
        print(json.dumps(schema(), ensure_ascii=False, indent=2))
        return
    claims = load(arguments.claims)
    tests = sum(len(claim.tests) for claim in claims.claims)
    if arguments.record:
        write_json(arguments.record, {"docket_sha256": claims.sha256()})
    print(f"{arguments.claims}: {len(claims.claims)} claims, {tests} tests, docket {claims.sha256()}")


if __name__ == "__main__":
    run_command(main)
