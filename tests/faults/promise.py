"""The promise on bad input, as code: it is taken and does no harm, or told in one sentence, and nothing is lost.

``KINDS`` joins what ``inputs`` makes with where it enters. Tests try some inputs of every kind, and
``benchmarks/bad_input.py`` many.
"""

import contextlib
import functools
import io
import json
import os
import random
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import inputs
import polars as pl
import synthetic
from pydantic import ValidationError

from verdict import settings
from verdict.corpus import CorpusSpec
from verdict.corpus.archive import read_members
from verdict.corpus.build import build
from verdict.corpus.records import letters
from verdict.court import claims, diff, evidence, form, judge
from verdict.errors import UserError
from verdict.page import badge, words
from verdict.training.settings import Job

ROOT = Path(__file__).parents[2]
#: characters of a sentence that can still be read
LONGEST = 1000


@dataclass(frozen=True)
class Outcome:
    """What came of an input: taken, told in one sentence, or wrong, which must never be."""

    label: Literal["accepted", "told", "wrong"]
    said: str = ""


class BrokenError(AssertionError):
    """Something was taken that does harm, or something was lost."""


def complaint(sentence: str, names: tuple[str, ...]) -> str:
    """What is wrong with a sentence to the user; "" if nothing is."""
    if not sentence.isprintable():
        return "it is not one line of text"
    if not 10 < len(sentence) <= LONGEST:
        return f"it has {len(sentence)} characters"
    if not any(name in sentence for name in names):
        return "it names neither file nor key"
    return ""


def tried(do: Callable[[], object], names: tuple[str, ...]) -> Outcome:
    """What comes of doing it; ``names``: one of these a sentence must have."""
    try:
        do()
    except UserError as error:
        if wrong := complaint(str(error), names):
            return Outcome("wrong", f"{wrong}: {str(error)[:500]!r}")
        return Outcome("told", str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # polars' Rust panics are no Exception
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome("wrong", f"{type(error).__name__}: {str(error)[:300]} ({place.filename}:{place.lineno})")
    return Outcome("accepted")


def left(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: name → content, None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """The working folder, in which nothing planted may be left."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
        if Path(inputs.PLANTED).exists():
            raise BrokenError("a planted command was run")
    finally:
        os.chdir(before)


# ------------------------------------------------------------------------------------------------------------ settings


@functools.cache
def told_settings() -> dict[str, Any]:
    """params.yaml as it stands."""
    return settings.read(ROOT / "params.yaml")


@functools.cache
def _built(architecture: str, family: str, width: int, parameters: int) -> None:
    """Solve for the widths of a model, as its job will."""
    from verdict.models.settings import Architecture, Shape
    from verdict.models.sizes import solve

    with contextlib.suppress(UserError):  # told, if late
        solve(Architecture(**json.loads(architecture)), Shape(family, width, parameters, 300))  # type: ignore[arg-type]


def harmless(found: settings.Settings) -> None:
    """Raises if settings that were accepted would end a job, or the workflow itself, with a traceback."""
    for name, stage in found.stages.items():
        for architecture in stage.architectures:
            made = settings.job(found, name, architecture, 0)
            text = json.dumps(made.to_dict(), allow_nan=False, ensure_ascii=False)
            if Job.from_dict(json.loads(text)) != made:
                raise BrokenError(f"the job {made.name} is another after JSON")
            text.encode()
            if stage.tuning:
                for trial in settings.trials(found, name, architecture):
                    json.dumps(trial.to_dict(), allow_nan=False)
            told = json.dumps(made.to_dict()["architecture"], sort_keys=True)
            if made.architecture.mixer in ("attention", "lstm", "gru", "rnn"):
                _built(told, stage.family, stage.width, stage.parameters)
    json.dumps(found.model_dump(mode="json"), allow_nan=False, ensure_ascii=False).encode()
    # what stands in a shell's command without quotation marks, and what Snakemake would take for a wildcard
    plain = [found.edition, found.device, *found.stages, *found.architectures]
    plain += [text for stage in found.stages.values() for text in (stage.variant, stage.size, stage.start or "")]
    if odd := [text for text in plain if not text.isascii() or not (text or "a").replace("_", "a").isalnum()]:
        raise BrokenError(f"{odd[0]!r} stands unquoted in commands")
    jobs = json.dumps(found.model_dump(mode="json", exclude={"corpora"}))
    if "{x}" in jobs or "{wildcards" in jobs or "{params" in jobs:
        raise BrokenError("Snakemake would take a text for a wildcard")


def try_settings(made: tuple[Any, str], folder: Path) -> Outcome:
    """A tree into ``settings.resolve``."""
    return tried(lambda: harmless(settings.resolve(made[0])), ("params.yaml",))


def try_settings_text(made: tuple[bytes, str], folder: Path) -> Outcome:
    """A file through ``settings.read`` into ``settings.resolve``."""

    def do() -> None:
        with working_in(folder):
            Path("params.yaml").write_bytes(made[0])
            harmless(settings.resolve(settings.read("params.yaml")))

    return tried(do, ("params.yaml",))


# -------------------------------------------------------------------------------------------------------------- docket


@functools.cache
def told_claims() -> Any:
    """claims.yaml as it stands."""
    from verdict import documents

    return documents.read(ROOT / "claims.yaml")


@functools.cache
def table() -> pl.DataFrame:
    """Evidence for the judge."""
    return synthetic.table()


def judged(docket: claims.Claims, rows: pl.DataFrame) -> dict[str, Any]:
    """The verdict, which must have its form and be JSON."""
    found = judge.judge(docket, rows)
    text = json.dumps(found, allow_nan=False, ensure_ascii=False)
    text.encode()
    return form.check(json.loads(text), "verdict.json")


#: how the judge names what it cannot judge
CASES = ("claims.", "final.", "the test ")


def try_claims(made: tuple[Any, str], folder: Path) -> Outcome:
    """A tree into ``claims.parse``, and what is accepted judges."""
    return tried(lambda: judged(claims.parse(made[0]), table()), ("claims.yaml", *CASES))


def try_claims_text(made: tuple[bytes, str], folder: Path) -> Outcome:
    """A file into ``claims.load``, and what is accepted judges."""

    def do() -> None:
        with working_in(folder):
            Path("claims.yaml").write_bytes(made[0])
            judged(claims.load("claims.yaml"), table())

    return tried(do, ("claims.yaml", *CASES))


# ------------------------------------------------------------------------------------------------- evidence and verdict


@functools.cache
def real_claims() -> claims.Claims:
    """The project's own docket."""
    return claims.load(ROOT / "claims.yaml")


def small_table(chance: random.Random) -> pl.DataFrame:
    """The rows of a few metrics, so that a change is likely to be read by a claim."""
    metrics = chance.sample(sorted(table()["metric"].unique()), 4)
    return table().filter(pl.col("metric").is_in(metrics))


def _try_evidence(name: str) -> Callable[[tuple[bytes, str], Path], Outcome]:
    def attempt(made: tuple[bytes, str], folder: Path) -> Outcome:
        path = folder / name
        path.write_bytes(made[0])
        return tried(lambda: judged(real_claims(), evidence.read(path)), (name, *CASES))

    return attempt


@functools.cache
def real_verdict() -> dict[str, Any]:
    """A verdict as the judge writes it, cut to three claims."""
    whole = judged(real_claims(), table())
    return {**whole, "claims": whole["claims"][:3]}


def try_verdict(made: tuple[bytes, str], folder: Path) -> Outcome:
    """A verdict.json through ``form.read``, and what is accepted is compared and drawn."""
    path = folder / "verdict.json"
    path.write_bytes(made[0])

    def do() -> None:
        found = form.read(path)
        diff.text(diff.diff(found, real_verdict()), ("a", "b")).encode()
        diff.text(diff.diff(real_verdict(), found), ("a", "b")).encode()
        badge.badge(*badge.told(found, words.load(), None)).encode()

    return tried(do, ("verdict.json",))


# ------------------------------------------------------------------------------------------------------------- corpora


def try_corpus(made: inputs.Corpus, folder: Path) -> Outcome:
    """Own files through ``corpus.build`` and the tokenizer."""
    before: dict[str, bytes | None] = {}

    def do() -> None:
        with working_in(folder):
            for name, data in made.files.items():
                Path(name).write_bytes(data)
            for kind, name in (("corpus", "card.json"), ("tokens", "tokens.json")):
                (folder / "data" / kind).mkdir(parents=True)
                (folder / "data" / kind / name).write_text("an earlier run's", encoding="utf-8")
            before.update(left(folder))
            try:
                spec = CorpusSpec.model_validate(made.settings)
            except ValidationError as error:  # told by ``settings.resolve``, which the settings' own inputs try
                first = error.errors()[0]
                raise UserError(
                    f"corpora.{made.task}.{'.'.join(map(str, first['loc']))}: {first['msg'][:500]}"
                ) from error
            with contextlib.redirect_stderr(io.StringIO()):
                card = build(made.task, spec, Path("downloads"), Path("data/corpus"))
            _sound(made, card, folder / "data/corpus")
            before.clear()
            before.update(left(folder))
            _tokenized(made, folder)

    names = (
        *made.files,
        "absent",
        "corpus mine",
        "corpora.",
        "reader.options",
        "source.files",
        "aligned reader",
        "`vocabulary`",
    )
    outcome = tried(do, names)
    if outcome.label == "told" and left(folder) != before:
        return Outcome("wrong", f"the folder is not as it was after: {outcome.said}")
    return outcome


def _records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _sound(made: inputs.Corpus, card: dict[str, Any], folder: Path) -> None:
    """Raises if the splits are empty or share a text."""
    json.dumps(card, allow_nan=False, ensure_ascii=False).encode()
    splits = {name: _records(folder / f"{name}.jsonl") for name in ("train", "valid", "test")}
    seen: dict[str, str] = {}
    for name, records in splits.items():
        if not records or len(records) != card["splits"][name]["records"]:
            raise BrokenError(f"{name} has {len(records)} records")
        for record in records:
            text = letters(next(iter(record.values())))
            if seen.setdefault(text, name) != name or not text:
                raise BrokenError(f"{text!r:.80} stands in {seen[text]} and in {name}")
    if made.task == "classification" and len({one["label"] for one in splits["train"]}) < 2:
        raise BrokenError("there is one label, so that nothing is classified")


def _tokenized(made: inputs.Corpus, folder: Path) -> None:
    """Tokenize, and raise if a text is not what was encoded."""
    from verdict.tokens import tokenizer as bpe
    from verdict.tokens.__main__ import TEXT_FIELDS, tokenize
    from verdict.tokens.arrays import Records, read_records

    corpus, tokens = folder / "data/corpus", folder / "data/tokens"
    tokenize(corpus, tokens, made.vocabulary, {})
    coder = bpe.load(tokens / "tokenizer.json")
    for split in ("train", "valid", "test"):
        records = list(read_records(corpus / f"{split}.jsonl"))
        if records != _records(corpus / f"{split}.jsonl"):
            raise BrokenError(f"{split} is read as other records than were written")
        for name in (one for one in TEXT_FIELDS if one in records[0]):
            encoded = Records.open(tokens, f"{split}.{name}")
            texts = coder.decode_batch([encoded[number].tolist()[:-1] for number in range(len(encoded))])
            if texts != [record[name] for record in records]:
                raise BrokenError(f"{split}.{name} does not decode to what was encoded")


# ------------------------------------------------------------------------------------------------------------ archives

LIMIT = 2**20


def try_archive(made: inputs.Archive, folder: Path) -> Outcome:
    """An archive through ``archive.read_members``: in memory, none larger than the limit, nothing from outside."""
    path = folder / made.name
    path.write_bytes(made.data)
    before = left(folder)

    def do() -> None:
        for member in read_members(path, made.patterns, limit=LIMIT):
            if made.patterns and len(member.data) > LIMIT:
                raise BrokenError(f"{member.name} has {len(member.data)} bytes")
            if b"root:" in member.data:
                raise BrokenError(f"{member.name} is a file of this machine")

    outcome = tried(do, (made.name,))
    return Outcome("wrong", "something was unpacked") if left(folder) != before else outcome


# ------------------------------------------------------------------------------------------------------- the kinds


@dataclass(frozen=True)
class Kind:
    """A kind of input: how it is made, where it enters, and where that is."""

    make: Callable[[random.Random], Any]
    attempt: Callable[[Any, Path], Outcome]
    enters: str


KINDS: dict[str, Kind] = {
    "params.yaml, keys and values": Kind(
        lambda chance: inputs.spoilt_settings(told_settings(), chance), try_settings, "settings.resolve"
    ),
    "params.yaml, text": Kind(
        lambda chance: inputs.retyped((ROOT / "params.yaml").read_text(encoding="utf-8"), chance),
        try_settings_text,
        "settings.read, resolve",
    ),
    "claims.yaml, keys and values": Kind(
        lambda chance: inputs.spoilt(told_claims(), chance), try_claims, "court.claims.parse, judge"
    ),
    "claims.yaml, text": Kind(
        lambda chance: inputs.retyped((ROOT / "claims.yaml").read_text(encoding="utf-8"), chance),
        try_claims_text,
        "court.claims.load, judge",
    ),
    "evidence as CSV": Kind(
        lambda chance: inputs.evidence_csv(small_table(chance), chance),
        _try_evidence("evidence.csv"),
        "court.evidence.read, judge",
    ),
    "evidence as Parquet": Kind(
        lambda chance: inputs.evidence_parquet(small_table(chance), chance),
        _try_evidence("evidence.parquet"),
        "court.evidence.read, judge",
    ),
    "verdict.json": Kind(
        lambda chance: inputs.spoilt_verdict(real_verdict(), chance), try_verdict, "court.form.read, diff, badge"
    ),
    "own text": Kind(inputs.corpus_text, try_corpus, "corpus.build, tokens"),
    "own TSV": Kind(inputs.corpus_tsv, try_corpus, "corpus.build, tokens"),
    "own JSONL": Kind(inputs.corpus_jsonl, try_corpus, "corpus.build, tokens"),
    "own aligned files": Kind(inputs.corpus_aligned, try_corpus, "corpus.build, tokens"),
    "archives": Kind(inputs.archive, try_archive, "corpus.archive"),
}
