"""``python -m verdict.tokens.algorithms``: sequences whose answers an algorithm decides, laid out like an encoded task.

Takes settings; leaves data/tokens/{task}: for train, valid and each test split {split}.text.npy and .ends.npy (what is
read), {split}.answers.npy (the right answer at each position), {split}.where.npy (bool: is an answer asked there),
{split}.distance.npy (how far back its earliest cause lies), and piece_bytes.npy (zeros: losses read in nats per answer)
and tokens.json. An answer may depend on its own position's piece and on those before it.

Shapes: N sequences, T positions. Pieces below ``FIRST`` are the tokenizer's special ones: PAD stands where nothing is
said, BEGIN asks for an output.
"""

import argparse
import hashlib
import itertools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from verdict.arguments import filled, json_argument
from verdict.errors import UserError, run_command
from verdict.files import replacing_folder, write_json
from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import Records

#: the first piece that is no special one
FIRST = len(bpe.SPECIAL)
#: sequences drawn at a time, which bounds the memory
CHUNK = 1024
#: of 16 possible sequences one is kept for validation, one for the tests and 14 for training
PARTS = ("valid", "test")
#: variants by how many times the longest trained length a test length is
MULTIPLES = {2: "twice", 4: "four_times"}


class Examples(NamedTuple):
    """Sequences of one length. ``answers`` and ``distance`` mean something where ``where`` is true alone."""

    tokens: np.ndarray  # [N, T] uint16
    answers: np.ndarray  # [N, T] uint16, PAD where none is asked
    where: np.ndarray  # [N, T] bool
    distance: np.ndarray  # [N, T] int32: positions back to the earliest piece that the answer depends on


@dataclass(frozen=True)
class Settings:
    """What to draw. A length counts positions for recall and symbols to remember or to follow for the others."""

    task: str
    #: pieces, the 4 special ones counted; recall halves the rest into keys and values
    vocabulary: int
    #: lengths trained on, equally often
    lengths: list[int]
    #: lengths tested: trained ones, and twice and four times the longest trained
    test_lengths: list[int]
    #: training sequences
    records: int
    #: sequences of validation, and of each test split
    test_records: int = 500
    #: recall: numbers of key-value pairs trained on; the tests by length have the largest
    pairs: list[int] = field(default_factory=list)
    #: recall: numbers of pairs tested, at the longest trained length
    test_pairs: list[int] = field(default_factory=list)
    #: recall: exponent a of the gaps' power law gap^(a - 1); 1 is uniform, 0.01 is Zoology's
    power: float = 0.01
    #: permutations: how many things are permuted
    permuted: int = 5
    seed: int = 0

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Settings":
        """Settings from JSON; raises ``UserError`` for what cannot be drawn."""
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(value) - known):
            raise UserError(f"the settings have no key `{unknown[0]}`; known are {', '.join(sorted(known))}")
        try:
            made = cls(**value)
        except TypeError as error:
            missing = [
                name for name in ("task", "vocabulary", "lengths", "test_lengths", "records") if name not in value
            ]
            raise UserError(f"the settings lack `{', '.join(missing)}`; write it") from error
        made = filled(cls, value, "the settings")
        check(made)
        return made


def check(settings: Settings) -> None:
    """Raises ``UserError`` for settings that cannot be."""
    if settings.task not in ALGORITHMS:
        raise UserError(f"`task` is '{settings.task}'; write {', '.join(ALGORITHMS)}")
    for name, values in (("lengths", settings.lengths), ("test_lengths", settings.test_lengths)):
        if not values or len(set(values)) != len(values) or min(values) < 1:
            raise UserError(f"`{name}` is {values}; write different whole numbers from 1")
    for length in settings.test_lengths:
        variant_of(length, settings.lengths)
    if min(settings.records, settings.test_records) < 1:
        raise UserError("`records` and `test_records` must be at least 1; raise them")
    if settings.vocabulary > bpe.LARGEST_VOCABULARY:
        raise UserError(f"`vocabulary` is {settings.vocabulary}; write at most {bpe.LARGEST_VOCABULARY}")
    if settings.task == "recall":
        _check_recall(settings)
        return
    if settings.pairs or settings.test_pairs:
        raise UserError(f"the task '{settings.task}' has no pairs; remove `pairs` and `test_pairs`")
    if settings.task == "permutations" and not 2 <= settings.permuted <= 6:
        raise UserError(f"`permuted` is {settings.permuted}; write a number from 2 to 6 (6 things have 720 orders)")
    symbols = {"parity": 2, "permutations": math.factorial(settings.permuted)}.get(settings.task, 2)
    if settings.vocabulary < FIRST + symbols:
        raise UserError(f"`vocabulary` is {settings.vocabulary}; {settings.task} needs at least {FIRST + symbols}")


def _check_recall(settings: Settings) -> None:
    if not settings.pairs or min(settings.pairs + settings.test_pairs) < 1:
        raise UserError("recall needs `pairs`, and every number under `pairs` and `test_pairs` to be 1 or more")
    most, keys = max(settings.pairs + settings.test_pairs), (settings.vocabulary - FIRST) // 2
    if most > keys:
        raise UserError(
            f"{most} pairs need as many different keys, and a `vocabulary` of {settings.vocabulary} has {keys}; "
            f"raise it to {2 * most + FIRST} or lower `pairs` and `test_pairs`"
        )
    needs = [(max(settings.pairs), min(settings.lengths + settings.test_lengths))]
    needs += [(max(settings.test_pairs), max(settings.lengths))] if settings.test_pairs else []
    for pairs, length in needs:
        if length < 4 * pairs:
            raise UserError(
                f"{pairs} pairs and their queries need {4 * pairs} positions, not {length}; "
                "raise `lengths` or lower `pairs`"
            )


def variant_of(length: int, trained: list[int]) -> str:
    """trained_length, twice or four_times; raises ``UserError`` for another length."""
    if length in trained:
        return "trained_length"
    for multiple, name in MULTIPLES.items():
        if length == multiple * max(trained):
            return name
    raise UserError(
        f"`test_lengths` has {length}, which is none of `lengths` and not 2 or 4 times their longest; "
        f"write {2 * max(trained)}, {4 * max(trained)} or trained ones"
    )


def _smallest(values: np.ndarray, size: int) -> np.ndarray:
    """[N, size]: the places of the smallest values of each row of [N, C], from small to large."""
    places = np.argpartition(values, size - 1, axis=1)[:, :size]  # sorting whole rows would take most of the time
    order = np.take_along_axis(values, places, 1).argsort(1)
    return np.take_along_axis(places, order, 1)


def _distinct(rng: np.random.Generator, count: int, choices: int, size: int) -> np.ndarray:
    """[count, size]: in each row ``size`` different numbers below ``choices``, in random order."""
    return _smallest(rng.random((count, choices), dtype=np.float32), size)


def recall(
    rng: np.random.Generator, count: int, length: int, pairs: int, vocabulary: int, power: float = 0.01
) -> Examples:
    """Multi-query associative recall (Arora et al. 2023, "Zoology", arXiv 2312.04927, section 4 and appendix).

    Different keys (from the lower half of the vocabulary), each followed by its value (upper half, all different);
    then every key once more, at even gaps drawn without replacement from a power law; its value is asked there and is
    not shown. Everything else is PAD. ``length`` is T.
    """
    half, context = (vocabulary - FIRST) // 2, 2 * pairs
    keys = FIRST + _distinct(rng, count, half, pairs)
    values = FIRST + half + _distinct(rng, count, half, pairs)
    slots = (length - context) // 2
    weights = np.arange(1, slots + 1) ** (power - 1.0)
    # the order of exponential times with these rates is that of drawing one after the other without replacement
    gaps = _smallest(rng.exponential(size=(count, slots)) / weights, pairs)
    queries = context + 2 * gaps
    tokens = np.full((count, length), bpe.PAD, dtype=np.uint16)
    tokens[:, 0:context:2], tokens[:, 1:context:2] = keys, values
    np.put_along_axis(tokens, queries, keys.astype(np.uint16), 1)
    answers, where = np.full_like(tokens, bpe.PAD), np.zeros(tokens.shape, dtype=bool)
    np.put_along_axis(answers, queries, values.astype(np.uint16), 1)
    np.put_along_axis(where, queries, True, 1)
    distance = np.zeros(tokens.shape, dtype=np.int32)
    np.put_along_axis(distance, queries, (queries - 2 * np.arange(pairs)).astype(np.int32), 1)
    return Examples(tokens, answers, where, distance)


def _output_of(symbols: np.ndarray, order: np.ndarray) -> Examples:
    """``symbols`` [N, L], then BEGIN, then the symbols in ``order`` [L], each shown once it has been asked (teacher
    forcing); T is 2 L."""
    count, length = symbols.shape
    output = symbols[:, order]
    begin = np.full((count, 1), bpe.BEGIN, dtype=np.uint16)
    tokens = np.concatenate((symbols, begin, output[:, :-1]), 1)
    answers = np.concatenate((np.full_like(symbols, bpe.PAD), output), 1)
    where = np.broadcast_to(np.arange(2 * length) >= length, tokens.shape)
    back = np.concatenate((np.zeros(length), length + np.arange(length) - order)).astype(np.int32)
    return Examples(tokens, answers, where, np.broadcast_to(back, tokens.shape))


def _symbols(rng: np.random.Generator, count: int, length: int, vocabulary: int) -> np.ndarray:
    return rng.integers(FIRST, vocabulary, (count, length)).astype(np.uint16)


def copying(rng: np.random.Generator, count: int, length: int, vocabulary: int) -> Examples:
    """Random symbols, then the same once more (Graves et al. 2014, section 4.1; Jelassi et al. 2024)."""
    return _output_of(_symbols(rng, count, length, vocabulary), np.arange(length))


def reversal(rng: np.random.Generator, count: int, length: int, vocabulary: int) -> Examples:
    """Random symbols, then the same from last to first (Grefenstette et al. 2015, section 4.1)."""
    return _output_of(_symbols(rng, count, length, vocabulary), np.arange(length)[::-1])


def running_products(rng: np.random.Generator, count: int, length: int, permuted: int) -> Examples:
    """Random permutations of ``permuted`` things; asked at every position is the product of all so far.

    The word problem of the symmetric group (Merrill et al. 2024, "The illusion of state", arXiv 2404.08819). Of two
    things it is the running parity; of five and more, what transformers of fixed depth are not expected to solve at
    every length. No answer is shown, so that the state must be kept.
    """
    elements = np.asarray(list(itertools.permutations(range(permuted))))
    number = {tuple(one): i for i, one in enumerate(elements.tolist())}
    # table[a, b]: first a, then b
    table = np.asarray([[number[tuple(second[first])] for second in elements] for first in elements])
    steps = rng.integers(len(elements), size=(count, length))
    products = steps.copy()
    for t in range(1, length):
        products[:, t] = table[products[:, t - 1], steps[:, t]]
    tokens, answers = (FIRST + steps).astype(np.uint16), (FIRST + products).astype(np.uint16)
    distance = np.broadcast_to(np.arange(length, dtype=np.int32), tokens.shape)
    return Examples(tokens, answers, np.ones(tokens.shape, dtype=bool), distance)


#: task -> its generator as a function of (settings, random generator, sequences, length, pairs)
ALGORITHMS: dict[str, Callable[[Settings, np.random.Generator, int, int, int], Examples]] = {
    "recall": lambda s, rng, count, length, pairs: recall(rng, count, length, pairs, s.vocabulary, s.power),
    "copying": lambda s, rng, count, length, _: copying(rng, count, length, s.vocabulary),
    "reversal": lambda s, rng, count, length, _: reversal(rng, count, length, s.vocabulary),
    "parity": lambda s, rng, count, length, _: running_products(rng, count, length, 2),
    "permutations": lambda s, rng, count, length, _: running_products(rng, count, length, s.permuted),
}


class Split(NamedTuple):
    """A split to draw: its sequences are of the given (length, pairs), in turn."""

    name: str
    part: str  # train, valid or test: which of all possible sequences it may hold
    records: int
    shapes: list[tuple[int, int]]


class Tested(NamedTuple):
    """What a test split measures."""

    variable: str  # length or pairs
    at: int
    variant: str
    #: whether its answers are also looked at by distance (one split per variant is enough)
    by_distance: bool


def splits(settings: Settings) -> tuple[list[Split], dict[str, Tested]]:
    """The splits to draw, and what each test split measures."""
    longest, most = max(settings.lengths), max(settings.pairs, default=0)
    shapes = list(itertools.product(settings.lengths, settings.pairs or [0]))
    drawn = [
        Split("train", "train", settings.records, shapes),
        Split("valid", "valid", settings.test_records, shapes),
    ]
    tests = {}
    for length in settings.test_lengths:
        name = f"test.length{length}"
        drawn.append(Split(name, "test", settings.test_records, [(length, most)]))
        tests[name] = Tested("length", length, variant_of(length, settings.lengths), length >= longest)
    for pairs in settings.test_pairs:
        name = f"test.pairs{pairs}"
        drawn.append(Split(name, "test", settings.test_records, [(longest, pairs)]))
        tests[name] = Tested("pairs", pairs, "trained_length", False)
    return drawn, tests


def part_of(sequence: np.ndarray) -> str:
    """The part (train, valid, test) that a sequence [T] uint16 belongs to: decided by its own pieces, so that no two
    parts share a sequence however few there are."""
    number = hashlib.blake2b(np.ascontiguousarray(sequence).tobytes(), digest_size=2).digest()[0] % 16
    return PARTS[number] if number < len(PARTS) else "train"


def draw(settings: Settings, split: Split) -> list[Examples]:
    """The examples of a split, one list entry per shape; raises ``UserError`` where too few sequences exist."""
    name = int.from_bytes(hashlib.blake2b(split.name.encode(), digest_size=8).digest(), "big")
    rng = np.random.default_rng((settings.seed, name))  # a split's own, so that one more test changes no other split
    found = []
    for i, (length, pairs) in enumerate(split.shapes):
        wanted = len(range(i, split.records, len(split.shapes)))
        kept: list[Examples] = []
        have = rounds = 0
        while have < wanted:
            made = ALGORITHMS[settings.task](settings, rng, CHUNK, length, pairs)
            mine = np.asarray([part_of(sequence) == split.part for sequence in made.tokens])
            kept.append(Examples(*(array[mine] for array in made)))
            have, rounds = have + int(mine.sum()), rounds + 1
            if not have and rounds == 10:
                raise UserError(
                    f"no sequence of length {length} is left for {split.name}: too few exist; "
                    f"raise that length or `vocabulary`"
                )
        found.append(Examples(*(np.concatenate(arrays)[:wanted] for arrays in zip(*kept, strict=True))))
    return found


def interleave(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Rows of arrays [N, T] in turn, so that the first records of a split are of every shape."""
    turns = itertools.zip_longest(*parts)
    return [row for turn in turns for row in turn if row is not None]


def write(settings: Settings, out: Path) -> None:
    """Draw every split and write the folder."""
    drawn, tests = splits(settings)
    summary = {}
    with replacing_folder(out) as folder:
        for split in drawn:
            fields_of = [interleave(list(arrays)) for arrays in zip(*draw(settings, split), strict=True)]
            ends = np.cumsum([len(row) for row in fields_of[0]], dtype=np.int64)
            tokens, answers, where, distance = map(np.concatenate, fields_of)
            Records(tokens, ends).save(folder, f"{split.name}.text")
            for name, array in (("answers", answers), ("where", where), ("distance", distance)):
                np.save(folder / f"{split.name}.{name}.npy", array)
            summary[f"{split.name}.text"] = {"records": len(ends), "pieces": len(tokens), "answers": int(where.sum())}
        np.save(folder / "piece_bytes.npy", np.zeros(settings.vocabulary, dtype=np.int64))
        told = {"vocabulary": settings.vocabulary, "labels": [], "splits": summary, "settings": asdict(settings)}
        write_json(folder / "tokens.json", {**told, "tests": {name: test._asdict() for name, test in tests.items()}})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.tokens.algorithms", description=__doc__)
    parser.add_argument("--task", choices=list(ALGORITHMS), required=True, help="which algorithm")
    parser.add_argument("--settings", type=json_argument, required=True, help="the settings as JSON, without the task")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    given = parser.parse_args()
    if not isinstance(given.settings, dict):
        raise UserError("--settings must be a JSON object")
    write(Settings.from_dict({**given.settings, "task": given.task}), given.out)


if __name__ == "__main__":
    run_command(main)
