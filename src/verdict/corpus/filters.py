"""What is left out of a corpus before it is split, and why."""

import re
from collections import Counter
from collections.abc import Callable, Iterable

from verdict.corpus.records import Record, words
from verdict.corpus.spec import Filters, Range

Reject = Callable[[Record], str | None]


def apply(records: Iterable[Record], filters: Filters) -> tuple[list[Record], dict[str, int]]:
    """The records that pass, and how many were left out by the first reason that applied.

    Reasons: ``"<field> words"``, ``"<field> characters"``, ``"forbidden text"``, ``"copied"``.
    """
    reject = _rule(filters)
    kept: list[Record] = []
    reasons: Counter[str] = Counter()
    for record in records:
        reason = reject(record)
        if reason:
            reasons[reason] += 1
        else:
            kept.append(record)
    return kept, dict(sorted(reasons.items()))


def _rule(filters: Filters) -> Reject:
    forbidden = [re.compile(one) for one in filters.forbidden]  # together they might be no expression

    def reject(record: Record) -> str | None:
        for name, bounds in filters.words.items():
            if name in record.fields and not _within(len(words(record.fields[name])), bounds):
                return f"{name} words"
        for name, bounds in filters.characters.items():
            if name in record.fields and not _within(len(record.fields[name]), bounds):
                return f"{name} characters"
        texts = [text for name, text in record.fields.items() if name != "label"]
        if any(one.search(text) for one in forbidden for text in texts):
            return "forbidden text"
        if filters.most_copied < 1 and copied(record) > filters.most_copied:
            return "copied"
        return None

    return reject


def _within(count: int, bounds: Range) -> bool:
    low, high = bounds
    return (low is None or count >= low) and (high is None or count <= high)


def copied(record: Record) -> float:
    """Share of the source's words that stand in the target as well; 0 where there is no target."""
    if "target" not in record.fields:
        return 0.0
    source, target = (
        re.findall(r"\w+", " ".join(words(record.fields[one])).casefold()) for one in ("source", "target")
    )
    there = set(target)
    return sum(word in there for word in source) / len(source) if source else 1.0
