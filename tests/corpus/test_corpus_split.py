"""Splits depend on content alone, and nothing that resembles held-out text stays in training."""

import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdict.corpus.records import Record, letters, words
from verdict.corpus.split import (
    NearIndex,
    assign,
    check_sizes,
    drop_near,
    limited,
    place,
    shingler,
    without_duplicates,
)
from verdict.errors import UserError

# Few words, so that duplicates and near-duplicates are frequent.
VOCABULARY = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "log", "far.", "Away!", "12"]
SENTENCES = st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join)
RECORDS = st.lists(
    st.builds(lambda text, group: Record({"text": text or "x"}, group), SENTENCES, st.sampled_from("abcdef"))
)


def key(record: Record) -> str:
    return letters(record.text)


def sides(records: list[Record], valid: float, test: float) -> dict[str, int]:
    parts = assign(records, valid, test, key)
    return {key(record): side for side, part in enumerate(parts) for record in part}


@given(RECORDS, RECORDS, st.randoms())
def test_shares_are_stable_under_growth_and_order(
    records: list[Record], more: list[Record], rng: random.Random
) -> None:
    before = sides(records, 0.2, 0.2)
    grown = [*records, *more]
    rng.shuffle(grown)
    after = sides(grown, 0.2, 0.2)
    assert all(after[one] == side for one, side in before.items())


@given(RECORDS, RECORDS, st.randoms(), st.integers(1, 8), st.integers(1, 8))
def test_with_numbers_growth_never_moves_training_text_to_the_held_out_side(
    records: list[Record], more: list[Record], rng: random.Random, valid: int, test: int
) -> None:
    before = sides(records, valid, test)
    grown = [*records, *more]
    rng.shuffle(grown)
    after = sides(grown, valid, test)
    assert all(after[one] <= side for one, side in before.items())


@given(RECORDS, st.integers(1, 8), st.integers(1, 8))
def test_a_large_group_is_not_most_of_what_is_held_out(records: list[Record], valid: int, test: int) -> None:
    """Of a held-out group some are kept, whatever their order; the rest is not trained on either."""
    parts = assign(records, valid, test, key=lambda record: record.group or "", most=2)
    again = assign(records[::-1], valid, test, key=lambda record: record.group or "", most=2)
    whole = assign(records, valid, test, key=lambda record: record.group or "")
    for part in parts[1:]:
        assert max(Counter(record.group for record in part).values(), default=0) <= 2
    held_out = {record.group for part in parts[1:] for record in part}
    assert not held_out & {record.group for record in parts[0]}
    assert {record.group for record in whole[2]} <= held_out
    assert [sorted(record.line for record in part) for part in parts] == [
        sorted(record.line for record in part) for part in again
    ]


@given(RECORDS, st.integers(1, 8), st.integers(1, 8))
def test_groups_stay_whole_and_numbers_are_reached(records: list[Record], valid: int, test: int) -> None:
    parts = assign(records, valid, test, key=lambda record: record.group or "")
    groups = [{record.group for record in part} for part in parts]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    assert sum(map(len, parts)) == len(records)
    assert len(parts[2]) >= min(test, len(records))
    assert not parts[0] or len(parts[1]) >= valid


def test_shares_are_about_what_was_asked_for() -> None:
    records = [Record({"text": f"text {number:x} of many".replace("0", "zero")}) for number in range(20_000)]
    train, valid, test = assign(records, 0.1, 0.05, key=lambda record: record.text)
    assert abs(len(valid) - 2000) < 150
    assert abs(len(test) - 1000) < 110
    chosen = {record.text for record in train}
    assert train == [record for record in records if record.text in chosen], "in the order they were given"


def test_places_are_the_same_on_every_machine() -> None:
    assert place("the same everywhere") == pytest.approx(0.835761745)
    assert place("the same everywhere") != place("the same everywhere", "limit")


@given(RECORDS, st.randoms())
def test_duplicates_go_whatever_the_order(records: list[Record], rng: random.Random) -> None:
    distinct, removed = without_duplicates(records)
    assert len({key(record) for record in distinct}) == len(distinct) == len(records) - removed
    shuffled = rng.sample(records, len(records))
    again, _ = without_duplicates(shuffled)
    assert sorted(record.line for record in again) == sorted(record.line for record in distinct)


def test_the_most_frequent_copy_is_kept_and_a_labelled_one_first() -> None:
    copies = [Record({"source": "Open!", "target": target}) for target in ("Ouvre", "Ouvrir", "Ouvrir")]
    assert without_duplicates(copies)[0] == [copies[1]]
    labelled = Record({"text": "Fine.", "label": "good"})
    assert without_duplicates([Record({"text": "fine"}, labelled=False), labelled])[0] == [labelled]
    assert len(without_duplicates([Record({"text": "12"}), Record({"text": "13"})])[0]) == 2


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


@settings(max_examples=200)
@given(
    st.lists(SENTENCES, min_size=1, max_size=12),
    st.lists(SENTENCES, max_size=12),
    st.sampled_from(["characters", "words"]),
    st.integers(1, 5),
    st.sampled_from([0.1, 1 / 3, 0.5, 0.6, 2 / 3, 0.75, 0.9, 1.0]),
)
def test_near_duplicates_are_found_exactly(
    held_out: list[str], texts: list[str], unit: str, size: int, similarity: float
) -> None:
    """The index agrees with comparing every text with every other."""
    shingles = shingler(unit, size)
    index = NearIndex(held_out, shingles, similarity)
    for text in texts:
        found = index.resembles(text)
        nearest = max(jaccard(shingles(text), shingles(other)) for other in held_out)
        assert found == (nearest >= similarity - 1e-12) or nearest == pytest.approx(similarity)


@given(RECORDS, RECORDS)
def test_no_near_duplicate_stands_on_both_sides(train: list[Record], test: list[Record]) -> None:
    shingles = shingler("characters", 4)
    left = drop_near(train, test, ["text"], shingles, 0.6)
    for record in left:
        for other in test:
            assert jaccard(shingles(record.text), shingles(other.text)) < 0.6


def test_case_punctuation_and_a_plural_do_not_hide_a_copy() -> None:
    index = NearIndex(["Remove the selected family events?"], shingler("characters", 4), 0.6)
    assert index.resembles("remove THE selected family event")
    assert not index.resembles("Add a new person to the tree")
    chinese = NearIndex(["从数据库中移除对象和所有索引"], shingler("characters", 2), 0.6)
    assert chinese.resembles("从数据库中移除对象和所有的索引。")


def test_forty_thousand_short_strings_take_seconds() -> None:
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(3000)]
    records = [Record({"text": " ".join(rng.choices(vocabulary, k=rng.randint(3, 15)))}) for _ in range(40_000)]
    begun = time.process_time()
    drop_near(records[1000:], records[:1000], ["text"], shingler("characters", 4), 0.6)
    assert time.process_time() - begun < 10, "about 2 s of one core"


def test_limits_choose_by_content() -> None:
    records = [Record({"text": f"{'x' * number} word"}) for number in range(100)]
    few, more = limited(records, 10, None), limited(records[::-1], 20, None)
    assert len(few) == 10
    assert {one.text for one in few} < {one.text for one in more}
    assert sum(len(one.text) for one in limited(records, None, 500)) <= 500
    assert limited(records, None, None) == records


@pytest.mark.parametrize(
    ("counts", "asked"),
    [((100, 5, 4), (5, 5)), ((3, 5, 5), (5, 5)), ((0, 0, 0), (0.1, 0.1)), ((9, 0, 1), (0.1, 0.1))],
)
def test_a_corpus_too_small_is_named_with_its_counts(counts: tuple[int, int, int], asked: tuple[float, float]) -> None:
    with pytest.raises(
        UserError, match=f"corpus tiny is too small .* {counts[0]} train, {counts[1]} valid, {counts[2]}"
    ):
        check_sizes("tiny", dict(zip(("train", "valid", "test"), counts, strict=True)), *asked)


def test_words_and_letters() -> None:
    assert words("Two words 中文x 3") == ["Two", "words", "中", "文", "x", "3"]
    assert letters("It's 3 Über-tests!") == "itsübertests"
    assert letters(" 1 2 ") == "12"
