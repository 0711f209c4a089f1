"""Splits by content: a hash of the text decides, duplicates go, near-duplicates never stand on both sides."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from verdict.corpus.records import Record, letters, words
from verdict.errors import UserError

Shingles = Callable[[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Splits:
    """The three splits in the order in which the records were given, the unlabelled rest, and what was left out."""

    train: list[Record]
    valid: list[Record]
    test: list[Record]
    unlabelled: list[Record]
    duplicates_removed: int
    near_duplicates_removed: int
    #: records of held-out groups that were left out, since enough of their group is kept
    surplus: int = 0


def place(text: str, purpose: str = "split") -> float:
    """Where a text stands between 0 (included) and 1: the same on every machine and in every corpus."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=purpose.encode()[:16]).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def without_duplicates(records: Iterable[Record]) -> tuple[list[Record], int]:
    """One record for each text (compared by its lower-cased letters), where the first stood; the number left out.

    Where copies differ, the most frequent one is kept, so that the order of the input does not matter; a labelled
    one goes before an unlabelled one.
    """
    copies: dict[str, Counter[tuple[bool, str, str]]] = {}
    kept: dict[tuple[bool, str, str], Record] = {}
    total = 0
    for record in records:
        total += 1
        identity = (not record.labelled, record.line, record.group or "")
        copies.setdefault(letters(record.text), Counter())[identity] += 1
        kept.setdefault(identity, record)
    chosen = [kept[min(counts, key=lambda one: (one[0], -counts[one], one))] for counts in copies.values()]
    return chosen, total - len(chosen)


def shingler(unit: str, size: int) -> Shingles:
    """A function from a text to the set of its runs of ``size`` words or characters, case and punctuation aside."""

    def characters(text: str) -> frozenset[str]:
        plain = " ".join(_plain(text))
        return frozenset(plain[at : at + size] for at in range(max(1, len(plain) - size + 1)))

    def of_words(text: str) -> frozenset[str]:
        plain = _plain(text)
        return frozenset(" ".join(plain[at : at + size]) for at in range(max(1, len(plain) - size + 1)))

    return characters if unit == "characters" else of_words


def _plain(text: str) -> list[str]:
    kept = "".join(character if character.isalnum() else " " for character in text.casefold())
    return words(kept) or text.split()


class NearIndex:
    """Finds whether a text resembles any of a set: Jaccard similarity of shingles of at least ``similarity``.

    Exact and deterministic, unlike MinHash. Two sets that are so similar must share one of the rarest
    ``|x| - ceil(similarity * |x|) + 1`` shingles of each (prefix filtering: Chaudhuri, Ganti and Kaushik, ICDE 2006;
    Bayardo, Ma and Srikant, WWW 2007), so only texts that share one are compared.
    """

    def __init__(self, texts: Iterable[str], shingles: Shingles, similarity: float) -> None:
        self.shingles, self.similarity = shingles, similarity
        self.sets = [shingles(text) for text in texts]
        self.counts = Counter(shingle for one in self.sets for shingle in one)
        self.found: defaultdict[str, list[int]] = defaultdict(list)
        for number, one in enumerate(self.sets):
            for shingle in self._prefix(one):
                self.found[shingle].append(number)

    def _prefix(self, one: frozenset[str]) -> list[str]:
        """The rarest shingles of a set, those that the index does not know left out: they are the rarest of all."""
        known = [shingle for shingle in one if shingle in self.counts]
        length = 1 - _at_least(self.similarity, len(one)) + len(known)
        if length <= 0:
            return []
        return sorted(known, key=lambda shingle: (self.counts[shingle], shingle))[:length]

    def resembles(self, text: str) -> bool:
        """Whether any text of the index is at least ``similarity`` like this one."""
        one = self.shingles(text)
        seen: set[int] = set()
        for shingle in self._prefix(one):
            for number in self.found.get(shingle, ()):
                if number not in seen:
                    seen.add(number)
                    other = self.sets[number]
                    if min(len(one), len(other)) < self.similarity * max(len(one), len(other)):
                        continue
                    shared = len(one & other)
                    if shared >= self.similarity * (len(one) + len(other) - shared):
                        return True
        return False


def _at_least(share: float, count: int) -> int:
    """The smallest whole number not below ``share * count``; rounding errs to a longer prefix, which is exact too."""
    return max(1, -int(-(share * count - 1e-9) // 1))


def drop_near(
    records: list[Record], held_out: Sequence[Record], fields: Sequence[str], shingles: Shingles, similarity: float
) -> list[Record]:
    """The records that resemble none of ``held_out`` in any of ``fields``."""
    for field in fields:
        index = NearIndex((one.fields[field] for one in held_out if field in one.fields), shingles, similarity)
        records = [one for one in records if field not in one.fields or not index.resembles(one.fields[field])]
    return records


def assign(
    records: Sequence[Record], valid: float, test: float, key: Callable[[Record], str], most: int | None = None
) -> tuple[list[Record], list[Record], list[Record]]:
    """Train, valid and test by the place of each record's key.

    Below 1, ``valid`` and ``test`` are shares: a record's side depends on its key alone and never changes. From 1 on
    they are numbers of records, filled with whole keys in the order of their places: as a corpus grows, a record may
    leave the held-out side for the training side, never the other way. Of a held-out key at most ``most`` records are
    kept, chosen by content; the rest stands on no side.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        members[key(record)].append(number)
    side: dict[int, int] = {}
    filled = {2: 0, 1: 0}
    for one in sorted(members, key=lambda one: (place(one), one)):
        if test < 1:
            chosen = 2 if place(one) < test else 1 if place(one) < test + valid else 0
        else:
            chosen = 2 if filled[2] < test else 1 if filled[1] < valid else 0
        kept = _by_content(records, members[one])[:most] if chosen else members[one]
        side |= dict.fromkeys(kept, chosen)
        if chosen:
            filled[chosen] += len(kept)
    parts: tuple[list[Record], list[Record], list[Record]] = ([], [], [])
    for number in sorted(side):
        parts[side[number]].append(records[number])
    return parts


def _by_content(records: Sequence[Record], numbers: Iterable[int]) -> list[int]:
    """Record numbers in an order that their texts alone decide."""
    return sorted(numbers, key=lambda at: (place(letters(records[at].text), "limit"), at))


def limited(records: list[Record], most_records: int | None, most_characters: int | None) -> list[Record]:
    """No more than so many records and characters, chosen by content so that the choice is stable; order kept."""
    chosen: set[int] = set()
    characters = 0
    for number in _by_content(records, range(len(records))):
        size = sum(map(len, records[number].fields.values()))
        if (most_records is not None and len(chosen) >= most_records) or (
            most_characters is not None and characters + size > most_characters
        ):
            break
        chosen.add(number)
        characters += size
    return [record for number, record in enumerate(records) if number in chosen]


def check_sizes(name: str, splits: dict[str, int], valid: float, test: float) -> None:
    """Raise ``UserError`` if a split is empty, smaller than the number asked for, or training smaller than held-out."""
    asked = {"valid": valid if valid >= 1 else 1, "test": test if test >= 1 else 1}
    if _is_enough(splits) and all(splits[split] >= size for split, size in asked.items()):
        return
    raise UserError(
        f"corpus {name} is too small for its split: its {sum(splits.values())} records give {_counts(splits)}, but "
        f"valid={valid:g} and test={test:g} were asked for and training needs as many as the larger of "
        "them; add text, or lower split.valid and split.test"
    )


def check_left(name: str, splits: dict[str, int]) -> None:
    """Raise ``UserError`` if too little is left of a split without what resembles held-out text."""
    if not _is_enough(splits):
        raise UserError(
            f"corpus {name} is too small without its near-duplicates: {_counts(splits)} are left, and training needs "
            "as many as the larger of the others; add text, or raise split.near_duplicates.similarity"
        )


def _is_enough(splits: dict[str, int]) -> bool:
    return min(splits.values()) > 0 and splits["train"] >= max(splits["valid"], splits["test"])


def _counts(splits: dict[str, int]) -> str:
    return ", ".join(f"{splits[split]} {split}" for split in ("train", "valid", "test"))
