"""What the page is made from, read and checked; the only part of the page that opens files."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict

from verdict import documents, gathering
from verdict.court import claims as docket
from verdict.court import evidence as table
from verdict.court import form
from verdict.errors import UserError
from verdict.files import read_json, read_json_lines

#: what the page reads of the learning curves
HISTORY = {
    name: gathering.HISTORY[name]
    for name in (
        "run", "task", "architecture", "variant", "size", "replicate", "tokens", "flops", "seconds",
        "valid_bits_per_byte",
    )
}  # fmt: skip


def _is_day(text: str) -> str:
    date.fromisoformat(text)
    return text


class _Form(BaseModel):
    """What the page needs of a JSON file; keys that it does not know are passed over."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Split(_Form):
    records: int | None = None
    characters: int | None = None


class _Source(_Form):
    package: str = ""
    url: str = ""
    path: str = ""
    sha256: str = ""
    bytes: int | None = None


class _Card(_Form):
    """A corpus's card, as ``verdict.corpus`` writes it."""

    task: str
    name: str
    title: str
    language: str
    licence: str
    source: list[_Source]
    splits: dict[str, _Split]
    duplicates_removed: int
    near_duplicates_removed: int
    labels: dict[str, int] | None
    examples: list[dict[str, str]]


class _Machine(_Form):
    """What ``verdict.measure.machine`` tells."""

    date: Annotated[str, AfterValidator(_is_day)] | None = None
    cpu: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    gpu: str | None = None
    system: str | None = None
    python: str | None = None
    edition: str | None = None
    seconds: float | None = None
    commit: str | None = None
    versions: dict[str, str] = {}


class _Ledger(_Form):
    """What ``verdict.ledger`` leaves."""

    runs: dict[str, str] = {}
    tracking_uri: str = ""


class _Docket(_Form):
    """What ``verdict.court.claims --record`` leaves."""

    docket_sha256: str


@dataclass(frozen=True)
class Elsewhere:
    """A run on another kind of device whose rows stand in the evidence too."""

    folder: str
    machine: dict[str, Any]
    docket_sha256: str


@dataclass(frozen=True)
class Outputs:
    """What one run wrote for the test set: records of ``source`` (``text``), ``reference``, ``output``, ``variant``."""

    run: str
    task: str
    architecture: str
    records: list[dict[str, str]]


@dataclass(frozen=True)
class Inputs:
    """Everything the page shows; ``evidence`` and ``history`` are rows, ``paths`` the command line's names."""

    table: pl.DataFrame  # the evidence
    evidence: list[dict[str, Any]]  # its rows
    history: list[dict[str, Any]]
    verdict: dict[str, Any]
    claims: docket.Claims
    cards: list[dict[str, Any]] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    outputs: list[Outputs] = field(default_factory=list)
    activity: list[dict[str, Any]] = field(default_factory=list)  # as ``verdict.measure.activity`` tells it
    #: the verdict of an earlier run
    earlier: dict[str, Any] | None = None
    others: list[Elsewhere] = field(default_factory=list)
    #: room of the workflow → its rules, in the order of the data
    rules: dict[str, list[str]] = field(default_factory=dict)
    #: file → MD5, by which DVC knows it
    md5: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)


def read(
    evidence: Path,
    history: Path,
    verdict: Path,
    claims: Path,
    cards: Sequence[Path] = (),
    ledger: Path | None = None,
    machine: Path | None = None,
    outputs: Sequence[Path] = (),
    activity: Sequence[Path] = (),
    earlier: Path | None = None,
    rules: Mapping[str, Sequence[str]] | None = None,
    others: Sequence[Path] = (),
) -> Inputs:
    """Read all files; raises ``UserError`` naming the one that is missing, damaged or does not belong here."""
    found = table.read(evidence)
    registry = docket.load(claims)
    judged = form.read(verdict)
    for key, actual, other in (
        ("docket_sha256", registry.sha256(), claims),
        ("evidence_sha256", table.fingerprint(found), evidence),
    ):
        if judged.get(key) != actual:
            raise UserError(
                f"{verdict} was not judged from {other} as it is now ({key} differs); judge again: "
                f"python -m verdict.judge --evidence {evidence} --claims {claims} --out {verdict}"
            )
    rows = found.with_row_index("row").to_dicts()  # the judge names rows by their numbers in the sorted table
    diary = _json(ledger, _Ledger) if ledger else {}
    return Inputs(
        table=found,
        evidence=rows,
        history=_history(history),
        verdict=judged,
        claims=registry,
        cards=[_json(path, _Card) for path in cards],
        ledger=diary,
        machine=_json(machine, _Machine) if machine else {},
        outputs=[_outputs(path, rows, diary.get("runs", {})) for path in sorted(outputs)],
        activity=[_activity(path) for path in activity],
        earlier=form.read(earlier) if earlier else None,
        others=[_elsewhere(folder) for folder in others],
        rules={room: list(names) for room, names in (rules or {}).items()},
        md5={path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in (evidence, verdict)},
        paths={"evidence": str(evidence), "claims": str(claims)},
    )


def _elsewhere(folder: Path) -> Elsewhere:
    machine, recorded = _json(folder / "machine.json", _Machine), _json(folder / "docket.json", _Docket)
    return Elsewhere(str(folder), machine, recorded["docket_sha256"])


def _history(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path} does not exist; run the trainings first or name another history file")
    try:
        frame = table.read_parquet(path)
        if missing := [name for name in HISTORY if name not in frame.columns]:
            raise UserError(f"{path} lacks the column '{missing[0]}'; make it again")
        frame = frame.select(pl.col(name).cast(kind, strict=True) for name, kind in HISTORY.items())
    except pl.exceptions.PolarsError as error:
        raise UserError(f"{path} cannot be read as a table of learning curves; make it again") from error
    drawn = frame.filter(pl.col("valid_bits_per_byte").is_not_null())  # steps between two validations are not drawn
    needed = [name for name in HISTORY if name != "replicate"]
    if drawn.select(needed).null_count().sum_horizontal().sum():
        raise UserError(f"{path} has empty cells in rows with a validation; make it again")
    numbers = [name for name, kind in HISTORY.items() if kind == pl.Float64]
    if not drawn.select(pl.all_horizontal(pl.col(numbers).is_finite()).all()).item():
        raise UserError(f"{path} has values that are no numbers in rows with a validation; make it again")
    return drawn.to_dicts()


def _json(path: Path, model: type[_Form] | None = None) -> dict[str, Any]:
    """A JSON file, as it stands, if it has the form."""
    content: dict[str, Any] = read_json(path)
    if model:
        documents.check(model, content, f"{path} is damaged, make it again")
    return content


def _activity(path: Path) -> dict[str, Any]:
    """A file of ``verdict.measure.activity`` whose lists are as long as its sentence."""
    content = _json(path)
    try:
        whole = _is_whole(content)
    except (KeyError, TypeError, AttributeError):  # something is missing or no list
        whole = False
    if not whole:
        raise UserError(f"{path} is damaged (its numbers do not fit its sentence); remove it and run again")
    return content


def _is_whole(told: dict[str, Any]) -> bool:
    read, source = len(told["read"]), len(told.get("source", []))

    def numbers(values: Any, count: int) -> bool:
        return len(values) == count and all(isinstance(value, (int, float)) for value in values)

    def fits(values: Any, width: int) -> bool:
        if isinstance(values, dict):  # what units do
            return all(numbers(values[name], read) for name in ("mean", "low", "high"))
        return all(len(head) == read and all(numbers(row, width) for row in head) for head in values)

    def tells(model: dict[str, Any]) -> bool:
        return (
            {"run", "architecture", "seed"} <= model.keys()
            and numbers(model["bits"], read)
            and all(fits(values, read) for layer in model["layers"] for values in layer["mixer"].values())
            and all(fits(values, source) for layer in model["layers"] for values in layer.get("cross", {}).values())
        )

    said = [told["stage"], told["objective"], told["rule"], *told["read"], *told["next"], *told.get("source", [])]
    return (
        len(told["next"]) == read
        and all(isinstance(text, str) for text in said)
        and all(tells(model) for model in told["models"])
    )


def run_of(path: Path, known: Iterable[str]) -> str:
    """The run that wrote an ``outputs.jsonl``: the known run whose name ends with what follows ``runs/`` in its folder
    (``evaluate/…`` comes before ``train/…``), else that itself."""
    parts = path.parent.parts
    after = [i for i, part in enumerate(parts) if part == "runs"]
    name = "/".join(parts[after[-1] + 1 :] if after else parts[-1:])
    return min((run for run in known if run == name or run.endswith(f"/{name}")), default=name)


def _outputs(path: Path, rows: Sequence[dict[str, Any]], ledger: dict[str, str]) -> Outputs:
    name = run_of(path, {row["run"] for row in rows} | set(ledger))
    row = next((row for row in rows if row["run"] == name and row["architecture"] != "device"), None)
    parts = [*name.split("/"), "", "", ""]
    records = [{key: str(value) for key, value in record.items()} for record in read_json_lines(path)]
    return Outputs(name, row["task"] if row else parts[1], row["architecture"] if row else parts[2], records)
