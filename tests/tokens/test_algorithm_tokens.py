"""Every answer can be found in what stands before it, and the parts share no sequence."""

import json
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdict.errors import UserError
from verdict.files import read_json
from verdict.tokens import algorithms
from verdict.tokens import tokenizer as bpe
from verdict.tokens.algorithms import ALGORITHMS, FIRST, Examples, Settings, copying, recall, reversal, running_products
from verdict.tokens.arrays import Records

EXAMPLES = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 2**32 - 1)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def asked(made: Examples) -> list[list[tuple[int, int, int]]]:
    """For each sequence (position, answer, distance) of what is asked."""
    return [
        [(int(t), int(made.answers[i, t]), int(made.distance[i, t])) for t in np.flatnonzero(made.where[i])]
        for i in range(len(made.tokens))
    ]


@EXAMPLES
@given(seed=SEEDS, pairs=st.integers(1, 6), spare=st.integers(0, 30), more=st.integers(0, 20),
       power=st.sampled_from([0.01, 0.5, 1.0]))  # fmt: skip
def test_recall_asks_for_the_value_behind_the_keys_first_appearance(
    seed: int, pairs: int, spare: int, more: int, power: float
):
    length, vocabulary = 4 * pairs + spare, FIRST + 2 * (pairs + more)
    made = recall(rng(seed), 5, length, pairs, vocabulary, power)
    middle = FIRST + pairs + more
    for row, questions in zip(made.tokens.tolist(), asked(made), strict=True):
        assert len(row) == length
        assert len(questions) == pairs
        keys, values = row[0 : 2 * pairs : 2], row[1 : 2 * pairs : 2]
        assert len(set(keys)) == len(set(values)) == pairs
        assert all(FIRST <= key < middle <= value < vocabulary for key, value in zip(keys, values, strict=True))
        assert sorted(row[t] for t, _, _ in questions) == sorted(keys)
        for t, answer, distance in questions:
            assert t >= 2 * pairs
            assert row[row.index(row[t]) + 1] == answer
            assert distance == t - row.index(row[t])
        rest = set(range(2 * pairs, length)) - {t for t, _, _ in questions}
        assert all(row[t] == bpe.PAD for t in rest)


def test_near_queries_are_the_more_frequent_the_smaller_the_power():
    near = {}
    for power in (0.01, 1.0):
        made = recall(rng(0), 2000, 64, 1, 64, power)
        slots = np.flatnonzero(made.where.any(0))
        assert len(slots) == 31  # every gap happens
        counts = made.where.sum(0)[slots]
        weights = np.arange(1, 32) ** (power - 1.0)
        assert counts / 2000 == pytest.approx(weights / weights.sum(), abs=0.03)
        near[power] = counts[:4].sum()
    assert near[0.01] > 2 * near[1.0]


@EXAMPLES
@given(seed=SEEDS, length=st.integers(1, 12), symbols=st.integers(2, 30), backwards=st.booleans())
def test_copies_are_copies_and_reversals_are_reversed(seed: int, length: int, symbols: int, backwards: bool):
    made = (reversal if backwards else copying)(rng(seed), 5, length, FIRST + symbols)
    for row, questions in zip(made.tokens.tolist(), asked(made), strict=True):
        said = row[:length]
        assert all(FIRST <= piece < FIRST + symbols for piece in said)
        assert [t for t, _, _ in questions] == list(range(length, 2 * length))
        answers = [answer for _, answer, _ in questions]
        assert answers == (said[::-1] if backwards else said)
        assert row[length:] == [bpe.BEGIN, *answers[:-1]]
        assert all(row[t - distance] == answer for t, answer, distance in questions)
        assert [distance for _, _, distance in questions] == [2 * i + 1 if backwards else length for i in range(length)]


@EXAMPLES
@given(seed=SEEDS, length=st.integers(1, 30))
def test_the_parity_is_that_of_all_bits_so_far(seed: int, length: int):
    made = running_products(rng(seed), 5, length, 2)
    bits, answers = made.tokens.astype(int) - FIRST, made.answers.astype(int) - FIRST
    assert set(np.unique(bits)) <= {0, 1}
    assert (answers == bits.cumsum(1) % 2).all()
    assert made.where.all()
    assert (made.distance == np.arange(length)).all()


@EXAMPLES
@given(seed=SEEDS, length=st.integers(1, 12), permuted=st.integers(2, 5))
def test_running_products_move_things_as_one_step_after_another_does(seed: int, length: int, permuted: int):
    made = running_products(rng(seed), 3, length, permuted)
    elements = list(permutations(range(permuted)))
    for row, answers in zip(made.tokens.tolist(), made.answers.tolist(), strict=True):
        things = tuple(range(permuted))
        for piece, answer in zip(row, answers, strict=True):
            step = elements[piece - FIRST]
            things = tuple(step[thing] for thing in things)  # every thing goes where the step sends it
            assert elements[answer - FIRST] == things


def as_told(task: str) -> dict[str, Any]:
    """Small settings of a task as JSON says them."""
    recalls = {"vocabulary": 40, "lengths": [16], "test_lengths": [16, 32, 64], "pairs": [2, 4], "test_pairs": [1, 4]}
    copies = {"vocabulary": 12, "lengths": [2, 4], "test_lengths": [2, 4, 8, 16]}
    groups = {"vocabulary": 124, "lengths": [6, 8], "test_lengths": [8, 16, 32]}
    of = {"recall": recalls, "copying": copies, "reversal": copies, "parity": groups, "permutations": groups}
    return {"task": task, "records": 300, "test_records": 40, **of.get(task, {})}


def some(task: str, **told: Any) -> Settings:
    """Small settings of a task."""
    return Settings.from_dict({**as_told(task), **told})


@pytest.mark.parametrize("task", ALGORITHMS)
def test_a_folder_has_every_split_and_the_parts_share_no_sequence(task: str, tmp_path: Path):
    wanted = some(task)
    algorithms.write(wanted, tmp_path / task)
    told = read_json(tmp_path / task / "tokens.json")
    assert told["vocabulary"] == wanted.vocabulary
    assert (np.load(tmp_path / task / "piece_bytes.npy") == np.zeros(wanted.vocabulary)).all()
    lengths = {"recall": lambda n: n, "copying": lambda n: 2 * n, "reversal": lambda n: 2 * n}
    seen: dict[str, set[bytes]] = {"train": set(), "valid": set(), "test": set()}
    tests = {f"test.length{n}" for n in wanted.test_lengths} | {f"test.pairs{n}" for n in wanted.test_pairs}
    assert {name.removesuffix(".text") for name in told["splits"]} == {"train", "valid", *tests}
    assert told["tests"].keys() == tests
    for split in ("train", "valid", *tests):
        text = Records.open(tmp_path / task, f"{split}.text")
        arrays = {name: np.load(tmp_path / task / f"{split}.{name}.npy") for name in ("answers", "where", "distance")}
        assert len(text) == (300 if split == "train" else 40)
        assert all(len(array) == len(text.pieces) for array in arrays.values())
        assert arrays["where"].dtype == bool
        assert (arrays["answers"][arrays["where"]] >= FIRST).all()
        assert text.pieces.max() < wanted.vocabulary
        starts = text.ends - text.lengths
        assert np.add.reduceat(arrays["where"], starts).min() >= 1
        if split in ("train", "valid"):  # the first records are already of every length
            here = set(text.lengths[: len(wanted.lengths) * max(1, len(wanted.pairs))].tolist())
            assert here == {lengths.get(task, lambda n: n)(n) for n in wanted.lengths}
        seen[split.split(".")[0]] |= {text[i].tobytes() for i in range(len(text))}
    assert not seen["train"] & seen["valid"]
    assert not (seen["train"] | seen["valid"]) & seen["test"]


def test_tests_say_what_they_measure(tmp_path: Path):
    algorithms.write(some("recall", lengths=[16, 24], test_lengths=[16, 24, 48, 96]), tmp_path / "recall")
    tests = read_json(tmp_path / "recall/tokens.json")["tests"]
    assert {name: (t["variable"], t["at"], t["variant"], t["by_distance"]) for name, t in tests.items()} == {
        "test.length16": ("length", 16, "trained_length", False),
        "test.length24": ("length", 24, "trained_length", True),
        "test.length48": ("length", 48, "twice", True),
        "test.length96": ("length", 96, "four_times", True),
        "test.pairs1": ("pairs", 1, "trained_length", False),
        "test.pairs4": ("pairs", 4, "trained_length", False),
    }
    for split, pairs in (("test.length96", 4), ("test.pairs1", 1)):
        where = np.load(tmp_path / f"recall/{split}.where.npy").reshape(40, -1)
        assert (where.sum(1) == pairs).all()
        assert where.shape[1] == (96 if pairs == 4 else 24)


def test_the_seed_decides_everything_and_one_test_more_changes_no_other_split(tmp_path: Path):
    changed = {"one": {}, "again": {}, "more": {"test_lengths": [6, 8]}, "other": {"seed": 1}}
    for name, told in changed.items():
        algorithms.write(some("parity", **told), tmp_path / name)
    train = {path.name: (path / "train.text.npy").read_bytes() for path in tmp_path.iterdir()}
    assert train["one"] == train["again"] == train["more"] != train["other"]


@pytest.mark.parametrize(
    ("task", "told", "message"),
    [
        ("recall", {"pairs": [20]}, "20 pairs need as many different keys.*has 18; raise it to 44"),
        ("recall", {"pairs": [5], "test_pairs": []}, "5 pairs and their queries need 20 positions, not 16"),
        ("recall", {"test_pairs": [5]}, "5 pairs and their queries need 20 positions, not 16"),
        ("recall", {"pairs": []}, "recall needs `pairs`"),
        ("copying", {"pairs": [2]}, "'copying' has no pairs"),
        ("copying", {"test_lengths": [4, 7]}, "has 7, which is none of `lengths`.*write 8, 16"),
        ("copying", {"lengths": []}, "`lengths` is \\[\\]"),
        ("copying", {"records": 0}, "must be at least 1"),
        ("copying", {"vocabulary": 70_000}, "write at most 65536"),
        ("copying", {"vocabulary": 5}, "needs at least 6"),
        ("permutations", {"vocabulary": 64}, "needs at least 124"),
        ("permutations", {"permuted": 7}, "write a number from 2 to 6"),
        ("sorting", {}, "`task` is 'sorting'; write recall"),
        ("parity", {"length": 3}, "no key `length`"),
        ("parity", {"lengths": [1], "test_lengths": [1, 2, 4]}, "no sequence of length 1 is left"),
    ],
)
def test_what_cannot_be_drawn_is_told(task: str, told: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        algorithms.write(Settings.from_dict({**as_told("parity"), **as_told(task), "task": task, **told}), tmp_path)


def test_missing_keys_are_told():
    with pytest.raises(UserError, match="lack `lengths, records`"):
        Settings.from_dict({"task": "parity", "vocabulary": 8, "test_lengths": [4]})


def test_the_command_writes_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told = {"vocabulary": 12, "lengths": [3], "test_lengths": [3, 6, 12], "records": 20, "test_records": 5}
    arguments = ["--task", "reversal", "--settings", json.dumps(told), "--out", str(tmp_path / "reversal")]
    monkeypatch.setattr(sys, "argv", ["algorithms", *arguments])
    algorithms.main()
    assert read_json(tmp_path / "reversal/tokens.json")["settings"]["task"] == "reversal"
