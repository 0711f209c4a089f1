"""What a model gets to see: everything once, in an order that seed and epoch decide alone."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from verdict.errors import UserError
from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import Records
from verdict.training.batches import (
    Batch,
    Buckets,
    Source,
    Windows,
    answers,
    labelled,
    masked,
    open_split,
    pad,
    pairs,
    spread,
)
from verdict.training.settings import Training

VOCABULARY = 300


def records(lengths: list[int], seed: int = 0) -> Records:
    """Records of random pieces that end with END."""
    rng = np.random.default_rng(seed)
    rows = [np.append(rng.integers(4, VOCABULARY, n - 1), bpe.END).astype(np.uint16) for n in lengths]
    return Records(np.concatenate(rows), np.cumsum(lengths))


LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=60)
EXAMPLES = settings(deadline=None, max_examples=40)


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


@EXAMPLES
@given(source=LENGTHS, budget=st.integers(16, 300), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_every_record_comes_once_an_epoch_with_its_own_pieces(source: list[int], budget: int, seed: int, epoch: int):
    sources, targets = records(source), records(source[::-1], seed=1)
    made = pairs(sources, targets, budget)
    for batches in (list(made.epoch(seed, epoch)), list(made.in_order())):
        assert sorted(i for batch in batches for i in batch["index"].tolist()) == list(range(len(source)))
        for batch in batches:
            for field, told in (("source", sources), ("target", targets)):
                for row, index in enumerate(batch["index"].tolist()):
                    length = int(batch[f"{field}_lengths"][row])
                    assert batch[field][row, :length].tolist() == told[index].tolist()
                    assert (batch[field][row, length:] == bpe.PAD).all()


@EXAMPLES
@given(lengths=LENGTHS, budget=st.integers(16, 300), seed=st.integers(0, 9))
def test_batches_stay_within_the_budget_of_pieces(lengths: list[int], budget: int, seed: int):
    text = records(lengths)
    for batches in (labelled(text, np.arange(len(lengths)), budget).epoch(seed, 0),
                    masked(text, VOCABULARY, 0.15, budget).in_order()):  # fmt: skip
        for batch in batches:
            assert batch["tokens"].numel() <= budget or len(batch["tokens"]) == 1


@EXAMPLES
@given(seed=st.integers(0, 99))
def test_batches_of_pairs_stay_within_the_budget_though_both_sides_are_padded(seed: int):
    rng = np.random.default_rng(seed)
    made = pairs(records(list(rng.integers(2, 40, 80))), records(list(rng.integers(2, 40, 80))), 200)
    for batch in made.epoch(seed, 0):
        assert batch["source"].numel() + batch["target"].numel() <= 200


def test_labelled_texts_keep_their_pieces_labels_and_numbers():
    text, labels = records([5, 3, 9, 4, 7]), np.asarray([0, 1, 2, 1, 0])
    for batches in (labelled(text, labels, 16).epoch(0, 0), labelled(text, labels, 16).in_order()):
        seen = []
        for batch in batches:
            seen += batch["index"].tolist()
            assert batch["label"].tolist() == labels[batch["index"].numpy()].tolist()
            for row, length, index in zip(batch["tokens"], batch["lengths"], batch["index"], strict=True):
                assert row[:length].tolist() == text[int(index)].tolist()
        assert sorted(seen) == [0, 1, 2, 3, 4]


def test_a_batch_has_other_company_in_every_epoch_and_still_little_padding():
    lengths = list(np.random.default_rng(0).integers(2, 41, 400))
    made = labelled(records(lengths), np.zeros(400), 240)
    epochs = [list(made.epoch(0, epoch)) for epoch in range(2)]
    companies = [{frozenset(batch["index"].tolist()) for batch in batches} for batches in epochs]
    assert len(companies[0] & companies[1]) < len(companies[0]) / 10
    for batches in epochs:
        held = sum(batch["tokens"].numel() for batch in batches)
        assert 1 - sum(lengths) / held < 0.15


def test_a_batch_is_filled_before_the_next_is_begun():
    """No two neighbouring batches would fit into one."""
    lengths = np.sort(np.random.default_rng(1).integers(2, 41, 100))
    made = list(Buckets(lengths[:, None], 150, lambda index, rng: {"index": torch.from_numpy(index)}).in_order())
    for one, following in pairwise(made):
        assert (len(one["index"]) + 1) * lengths[following["index"][0]] > 150


def sources() -> dict[str, Source]:
    rng = np.random.default_rng(5)
    lengths = list(rng.integers(2, 30, 120))
    text = records(lengths)
    return {
        "windows": Windows(text, 16, 64),
        "pairs": pairs(text, records(lengths[::-1]), 256),
        "masked": masked(text, VOCABULARY, 0.15, 256),
        "labelled": labelled(text, np.arange(120) % 2, 256),
        "answers": answers(text, text.pieces[::-1], text.pieces % 2 == 0, 64),
    }


@pytest.mark.parametrize("kind", ["windows", "pairs", "masked", "labelled", "answers"])
def test_seed_and_epoch_decide_the_batches_alone(kind: str):
    one, other = sources()[kind], sources()[kind]
    list(one.epoch(3, 4))  # what was asked before does not matter
    np.random.seed(1)  # nor does anybody else's random state
    torch.manual_seed(1)
    assert same(list(one.epoch(0, 1)), list(other.epoch(0, 1)))
    for different in ((0, 2), (1, 1)):
        assert not same(list(one.epoch(0, 1)), list(one.epoch(*different)))
    assert same(list(one.in_order()), list(other.in_order()))


@pytest.mark.parametrize("kind", ["windows", "pairs", "masked", "labelled"])
def test_records_from_everywhere_are_evaluated_when_not_all_are(kind: str):
    made = sources()[kind]
    batches = list(made.in_order(7))
    assert sum(len(batch["source" if kind == "pairs" else "tokens"]) for batch in batches) == 7
    if "index" in batches[0]:
        count = len(made.total)
        assert sorted(i for batch in batches for i in batch["index"].tolist()) == [i * count // 7 for i in range(7)]


@EXAMPLES
@given(count=st.integers(1, 300), records=st.integers(0, 400))
def test_records_are_spread_evenly(count: int, records: int):
    """A split in the order of its sources is read in all of its parts alike."""
    chosen = spread(count, records)
    assert len(chosen) == min(count, records or count)
    assert chosen[0] == 0
    gaps = np.diff([*chosen, count])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


@EXAMPLES
@given(size=st.integers(20, 900), window=st.integers(2, 18), rows=st.integers(1, 9), seed=st.integers(0, 99))
def test_no_piece_of_a_window_is_predicted_twice(size: int, window: int, rows: int, seed: int):
    text = Records(np.arange(size, dtype=np.uint16), np.asarray([size]))
    made = Windows(text, window, rows * window)
    for batches in (list(made.epoch(seed, 0)), list(made.in_order())):
        truth = Counter(piece for batch in batches for piece in batch["tokens"][:, 1:].flatten().tolist())
        assert max(truth.values()) == 1
        for batch in batches:
            assert batch["tokens"].shape[1] == window + 1
            assert (batch["tokens"].diff(dim=1) == 1).all()  # a window is a stretch of the text
            assert 1 <= len(batch["tokens"]) <= rows
    # an evaluation misses less than a window at the end; an epoch less than a window at each end and a batch
    assert sum(truth.values()) > size - 1 - window
    seen = sum(batch["tokens"][:, 1:].numel() for batch in made.epoch(seed, 0))
    assert seen > size - 1 - 2 * window - rows * window


def test_offsets_move_from_epoch_to_epoch_so_that_every_piece_has_its_turn():
    text = Records(np.arange(100, dtype=np.uint16), np.asarray([100]))
    made, predicted = Windows(text, 16, 16), set()
    for epoch in range(60):
        predicted |= {p for batch in made.epoch(0, epoch) for p in batch["tokens"][:, 1:].flatten().tolist()}
    assert predicted == set(range(1, 100))


def test_a_text_shorter_than_a_window_is_told():
    for short in (10, 16, 17):
        with pytest.raises(UserError, match="lower `window` or give more text"):
            Windows(records([short]), 16, 64)
    assert len(list(Windows(records([18]), 16, 64).epoch(0, 0))) == 1


@settings(deadline=None, max_examples=25)
@given(lengths=LENGTHS, share=st.sampled_from([0.05, 0.15, 0.5]), seed=st.integers(0, 9))
def test_masks_hide_the_asked_share_and_never_the_end(lengths: list[int], share: float, seed: int):
    made = masked(records(lengths), VOCABULARY, share, 200)
    for batch in made.epoch(seed, 0):
        hidden = batch["where"].sum(1)
        for row, length in enumerate(batch["lengths"].tolist()):
            assert hidden[row] == max(1, round(share * (length - 1)))
            assert not batch["where"][row, length - 1 :].any()
            assert batch["tokens"][row, length - 1] == bpe.END
        assert len(batch["truth"]) == hidden.sum()


def test_masked_pieces_are_the_originals_and_hidden_as_bert_hides_them():
    text = records([25] * 400)
    originals = {row.tobytes() for row in (text[i].astype(np.int64) for i in range(400))}
    fates: Counter[str] = Counter()
    drawn = 0
    for batch in masked(text, VOCABULARY, 0.15, 500).epoch(0, 0):
        restored = batch["tokens"].clone()
        restored[batch["where"]] = batch["truth"]
        assert all(row.numpy().tobytes() in originals for row in restored)
        for shown, true in zip(batch["tokens"][batch["where"]].tolist(), batch["truth"].tolist(), strict=True):
            assert true >= len(bpe.SPECIAL)
            assert shown == bpe.MASK or shown >= len(bpe.SPECIAL)
            fates["masked" if shown == bpe.MASK else "kept" if shown == true else "replaced"] += 1
        hidden, truth = batch["tokens"][batch["where"]], batch["truth"]
        drawn += len(set(hidden[(hidden != bpe.MASK) & (hidden != truth)].tolist()))
    assert drawn > 0.9 * fates["replaced"]  # each piece is drawn for itself
    total = fates.total()
    assert fates["masked"] / total == pytest.approx(0.8, abs=0.04)
    assert fates["replaced"] / total == pytest.approx(0.1, abs=0.03)
    assert fates["kept"] / total == pytest.approx(0.1, abs=0.03)


@EXAMPLES
@given(lengths=LENGTHS, budget=st.integers(16, 300), seed=st.integers(0, 9))
def test_answers_come_in_batches_of_one_length_with_the_records_own_questions(
    lengths: list[int], budget: int, seed: int
):
    text = records(lengths)
    number = np.arange(len(text.pieces), dtype=np.uint16)  # the answer tells the position in the file
    where = np.random.default_rng(seed).random(len(number)) < 0.5
    made = answers(text, number, where, budget)
    for batches, whole in ((list(made.in_order()), True), (list(made.epoch(seed, 0)), False)):
        asked = Counter(answer for batch in batches for answer in batch["truth"].tolist())
        assert not asked or max(asked.values()) == 1
        assert not whole or sorted(asked) == number[where].tolist()
        for batch in batches:
            assert batch["tokens"].numel() <= budget or len(batch["tokens"]) == 1
            assert (batch["tokens"][:, :-1] != bpe.END).all()  # every record ends where its row ends
            assert (batch["tokens"][:, -1] == bpe.END).all()
            assert batch["tokens"][batch["where"]].tolist() == text.pieces[batch["truth"].numpy()].tolist()
    sizes = [(batch["tokens"].shape[1], len(batch["tokens"])) for batch in batches]
    assert len(set(sizes)) == len({length for length, _ in sizes})  # all of a length count alike
    assert {length for length, _ in sizes} == set(lengths)


def test_records_from_everywhere_are_asked_when_not_all_are():
    text = records([5, 3, 5, 3, 5])
    made = answers(text, text.pieces, text.pieces > 0, 100)
    assert [len(batch["tokens"]) for batch in made.in_order(3)] == [2, 1]  # records 0, 1 and 3
    assert next(made.in_order(1))["truth"].tolist() == text[0].tolist()


def test_padding_goes_to_the_right():
    assert pad([np.asarray([5, 6]), np.asarray([7])]).tolist() == [[5, 6], [7, bpe.PAD]]


def test_texts_without_a_word_have_nothing_to_mask_and_are_left_out(tmp_path: Path):
    records([1, 5, 1, 2]).save(tmp_path, "train.text")
    batches = list(open_split(tmp_path, "masked", "train", Training(1, 64), VOCABULARY).in_order())
    assert sorted(length for batch in batches for length in batch["lengths"].tolist()) == [2, 5]


def test_unlabelled_text_is_what_pretraining_reads(tmp_path: Path):
    records([5, 4]).save(tmp_path, "train.text")
    records([9]).save(tmp_path, "pretrain.text")
    settings = Training(1, 64)
    assert next(open_split(tmp_path, "masked", "train", settings, VOCABULARY).in_order())["lengths"].tolist() == [9]


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize("objective", ["language_model", "sequence_pairs", "masked", "classification", "answers"])
def test_a_split_is_what_its_files_hold_cut_as_the_settings_say(tmp_path: Path, split: str, objective: str):
    lengths = list(np.random.default_rng(2).integers(2, 30, 60))
    text, other = records(lengths), records(lengths[::-1], seed=1)
    labels, right, where = np.arange(60) % 3, text.pieces[::-1], text.pieces % 2 == 0
    for name, part in (("text", text), ("source", text), ("target", other)):
        part.save(tmp_path, f"{split}.{name}")
    for name, array in (("label", labels), ("answers", right), ("where", where)):
        np.save(tmp_path / f"{split}.{name}.npy", array)
    told = Training(1, 100, window=9, masked=0.4)
    wanted = {
        "language_model": lambda: Windows(text, 9, 100),
        "sequence_pairs": lambda: pairs(text, other, 100),
        "masked": lambda: masked(text, VOCABULARY, 0.4, 100),
        "classification": lambda: labelled(text, labels, 100),
        "answers": lambda: answers(text, right, where, 100),
    }[objective]()
    found = open_split(tmp_path, objective, split, told, VOCABULARY)
    assert same(list(found.in_order()), list(wanted.in_order()))
    assert same(list(found.epoch(0, 1)), list(wanted.epoch(0, 1)))


@pytest.mark.parametrize("count", [1, 2, 59, 60])
def test_so_many_records_of_a_split_are_opened_as_are_asked_for(tmp_path: Path, count: int):
    records([3] * 60).save(tmp_path, "train.source")
    records([4] * 60, seed=1).save(tmp_path, "train.target")
    told = open_split(tmp_path, "sequence_pairs", "train", Training(1, 100), VOCABULARY, count)
    assert sum(len(batch["index"]) for batch in told.in_order()) == count


def test_an_unknown_objective_is_told(tmp_path: Path):
    with pytest.raises(UserError, match="objective 'guess' is unknown"):
        open_split(tmp_path, "guess", "train", Training(1, 64), VOCABULARY)


def test_some_records_are_a_part_of_more_and_keep_their_labels(tmp_path: Path):
    """A sorted corpus has its classes one after the other; the first ones would be of one class."""
    tiny.texts(tmp_path, "classification")
    tokens = tmp_path / "tokens/classification"
    job = tiny.job("few", "classification", "classification", "lstm")

    def known(records: int, seed: int = 0) -> dict[tuple[int, ...], int]:
        found = {}
        for batch in open_split(tokens, "classification", "train", job.training, 280, records, seed).in_order():
            for row, length, label in zip(batch["tokens"], batch["lengths"], batch["label"], strict=True):
                found[tuple(row[:length].tolist())] = int(label)
        return found

    few, more, every = known(12), known(30), known(0)
    assert len(few) <= 12 < len(more) <= 30 < len(every)
    assert few.items() <= more.items() <= every.items()
    assert set(few.values()) == {0, 1}
    assert known(10_000) == every
    assert known(12, seed=1) != few  # which texts are labelled is chance, and each seed has its own
