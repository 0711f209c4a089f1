"""From a corpus's settings to its folder: fetch, read, clean, split, write."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from verdict.corpus import archive, card, filters, split
from verdict.corpus.fetch import Fetched, fetch
from verdict.corpus.readers import READERS
from verdict.corpus.records import TASK_FIELDS, Member, Record, letters
from verdict.corpus.spec import CorpusSpec, OwnFile, PackageFile, WebFile, check_task
from verdict.errors import UserError
from verdict.files import replacing_folder, write_json


def build(task: str, spec: CorpusSpec, downloads: Path, out: Path) -> dict[str, Any]:
    """Write ``{train,valid,test}.jsonl`` (for classification also ``pretrain.jsonl``) and ``card.json`` into ``out``.

    Returns the card. Raises ``UserError`` for whatever is wrong with settings, download, archive or text; ``out`` is
    then as it was before.
    """
    check_task(task, spec)
    items: list[PackageFile | WebFile | OwnFile] = [*spec.source.package, *spec.source.https, *spec.source.files]
    fetched = [fetch(item, downloads) for item in items]
    members = [
        member
        for item, one in zip(items, fetched, strict=True)
        for member in archive.read_members(one.path, spec.patterns(item.members), one.name)
    ]
    records, left_out = filters.apply(read(task, spec, members), spec.filters)
    if not records:
        raise UserError(
            f"corpus {spec.name} is empty: no record was read or passed its filters ({left_out or 'none read'})"
        )
    splits = make_splits(task, spec, records)
    return _write(task, spec, fetched, left_out, splits, out)


def read(task: str, spec: CorpusSpec, members: Sequence[Member]) -> Iterable[Record]:
    """Records of the task, as the corpus's reader finds them in the members."""
    reader = READERS[spec.reader.name]
    return reader.read(members, TASK_FIELDS[task], reader.options.model_validate(spec.reader.options))


def make_splits(task: str, spec: CorpusSpec, records: Iterable[Record]) -> split.Splits:
    """Remove duplicates, limit, split by content or group, and drop from training what resembles held-out text.

    Held-out means test before valid: near-duplicates of test texts leave valid and train, those of valid leave train.
    Raises ``UserError`` if the corpus is too small for its split.
    """
    distinct, duplicates = split.without_duplicates(records)
    distinct = split.limited(distinct, spec.limits.records, spec.limits.characters)
    labelled = [record for record in distinct if record.labelled]
    unlabelled = [record for record in distinct if not record.labelled]
    if spec.split.by == "group" and any(record.group is None for record in labelled):
        raise UserError(f"corpus {spec.name} is split by group, but its records have none; set split.by to content")
    portions = (spec.split.valid, spec.split.test)
    train, valid, test = split.assign(labelled, *portions, key=_key(spec.split.by), most=spec.split.most_of_group)
    surplus = len(labelled) - len(train) - len(valid) - len(test)
    split.check_sizes(spec.name, {"train": len(train), "valid": len(valid), "test": len(test)}, *portions)

    near = spec.split.near_duplicates
    shingles = split.shingler(near.unit, near.size)
    fields: Sequence[str] = near.fields or TASK_FIELDS[task][:1]

    def apart(some: list[Record], held_out: list[Record]) -> list[Record]:
        return split.drop_near(some, held_out, fields, shingles, near.similarity)

    before = len(train) + len(valid) + len(unlabelled)
    valid = apart(valid, test)
    held_out = [*valid, *test]
    train, unlabelled = apart(train, held_out), apart(unlabelled, held_out)
    split.check_left(spec.name, {"train": len(train), "valid": len(valid), "test": len(test)})
    _check_labels(spec.name, train, [*valid, *test])
    dropped = before - len(train) - len(valid) - len(unlabelled)
    return split.Splits(train, valid, test, unlabelled, duplicates, dropped, surplus)


def _check_labels(name: str, train: Sequence[Record], held_out: Sequence[Record]) -> None:
    """Raise ``UserError`` if there is nothing to tell apart, or a label of which nothing can be learned."""
    labels, asked = ({one.fields["label"] for one in some if "label" in one.fields} for some in (train, held_out))
    if len(labels) == 1:
        raise UserError(
            f"corpus {name} has the label {min(labels)[:40]!r} alone in its training split; "
            "a classification needs two: add text of another"
        )
    if unlearned := asked - labels:
        raise UserError(
            f"corpus {name} has the label {min(unlearned)[:40]!r} in its held-out text and not in its training split; "
            "add text of it, or remove what there is"
        )


def _line(record: Record, grouped: bool) -> str:
    """The record as one line of JSON, with its group where whole groups are held out."""
    return (
        replace(record, fields={**record.fields, "group": record.group}).line
        if grouped and record.group
        else record.line
    )


def _key(by: str) -> Any:
    return (lambda record: record.group) if by == "group" else (lambda record: letters(record.text))


def _write(
    task: str, spec: CorpusSpec, fetched: list[Fetched], left_out: dict[str, int], splits: split.Splits, out: Path
) -> dict[str, Any]:
    files = {"train": splits.train, "valid": splits.valid, "test": splits.test}
    if task == "classification":
        texts = sorted([*splits.train, *splits.unlabelled], key=lambda record: split.place(letters(record.text)))
        files["pretrain"] = [Record({"text": record.text}) for record in texts]
    with replacing_folder(out) as folder:
        for name, records in files.items():
            with open(folder / f"{name}.jsonl", "w", encoding="utf-8", newline="\n") as file:
                file.writelines(_line(record, spec.split.by == "group") + "\n" for record in records)
        paths = [folder / f"{name}.jsonl" for name in files]
        made = {
            "task": task,
            "name": spec.name,
            "title": spec.title.replace("{language}", card.LANGUAGES.get(spec.language, spec.language)),
            "kind": spec.source.kind,
            "source": [one.origin for one in fetched],
            "licence": spec.licence,
            "language": spec.language,
            "splits": {
                name: card.describe_split(records, path)
                for (name, records), path in zip(files.items(), paths, strict=True)
            },
            "duplicates_removed": splits.duplicates_removed,
            "near_duplicates_removed": splits.near_duplicates_removed,
            "filtered": {**left_out, **({"surplus of a held-out group": splits.surplus} if splits.surplus else {})},
            "labels": card.label_counts([*splits.train, *splits.valid, *splits.test]),
            "examples": card.examples(splits.train),
            "sha256": card.joint_sha256(paths),
        }
        write_json(folder / "card.json", made)
    counts = ", ".join(f"{len(records):,} {name}" for name, records in files.items())
    print(
        f"{task}: {spec.name}: {counts}; {splits.duplicates_removed:,} duplicates and "
        f"{splits.near_duplicates_removed:,} near-duplicates removed",
        file=sys.stderr,
    )
    return made
