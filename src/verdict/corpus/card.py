"""The card of a corpus: what it is, where it comes from, how much of it there is, three examples."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from verdict.corpus.records import Record, words

EXAMPLE_CHARACTERS = 300
LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "zh": "Chinese",
}


def describe_split(records: Sequence[Record], path: Path) -> dict[str, Any]:
    """Counts: records, characters of all texts, bytes of the file, words by field (median, 95th percentile)."""
    lengths: dict[str, list[int]] = {}
    for record in records:
        for name, text in record.fields.items():
            if name != "label":
                lengths.setdefault(name, []).append(len(words(text)))
    return {
        "records": len(records),
        "characters": sum(len(text) for record in records for name, text in record.fields.items() if name != "label"),
        "bytes": path.stat().st_size,
        "words_median": {name: median(counts) for name, counts in lengths.items()},
        "words_p95": {name: sorted(counts)[math.ceil(0.95 * len(counts)) - 1] for name, counts in lengths.items()},
    }


def label_counts(records: Sequence[Record]) -> dict[str, int] | None:
    """How often each label stands in the records, the most frequent first; None where there are no labels."""
    counts = Counter(record.fields["label"] for record in records if "label" in record.fields)
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0]))) or None


def examples(records: Sequence[Record], count: int = 3) -> list[dict[str, str]]:
    """Records from the beginning, middle and end, long texts cut."""
    if not records:
        return []
    places = sorted({round(step * (len(records) - 1) / max(1, count - 1)) for step in range(count)})
    return [{name: _cut(text) for name, text in records[place].fields.items()} for place in places]


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1].rstrip() + "…"


def joint_sha256(paths: Sequence[Path]) -> str:
    """One SHA-256 over the bytes of files in this order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
