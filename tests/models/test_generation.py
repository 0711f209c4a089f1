"""Search against brute force over small vocabularies, and against itself in other batches."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ARCHITECTURES, model, pieces

from verdict.models.families import Decoding, EncoderDecoder
from verdict.models.generation import beam_search
from verdict.models.mixers import cache

BEGIN, END = 0, 1


class Table:
    """A made-up language: logits [V] after each pair (pieces so far, row's own number), drawn from a seed."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self.vocabulary, self.seed = vocabulary, seed

    def logits(self, row: int, past: tuple[int, ...]) -> torch.Tensor:
        key = hash((self.seed, row, past)) % 2**31
        return torch.randn(self.vocabulary, generator=torch.Generator().manual_seed(key)) * 2

    def start(self, rows: int | list[int]) -> Decoding:
        """The state: each row's number and its pieces so far, in columns of a tensor."""
        numbers = list(range(rows)) if isinstance(rows, int) else rows
        return Decoding([torch.tensor([[number] for number in numbers])], [None])

    def step(self, tokens: torch.Tensor, decoding: Decoding) -> tuple[torch.Tensor, Decoding]:
        state = torch.cat((decoding.states[0], tokens[:, None]), 1)
        logits = torch.stack([self.logits(row[0], tuple(row[2:])) for row in state.tolist()])
        return logits, Decoding([state], [None])

    def score(self, row: int, said: tuple[int, ...]) -> float:
        """Log-probability of pieces, END included if they have one."""
        return sum(self.logits(row, said[:i]).log_softmax(-1)[piece].item() for i, piece in enumerate(said))


def everything(vocabulary: int, limit: int):
    """All finished sequences: those that end with END, and those cut at the limit."""
    others = [piece for piece in range(vocabulary) if piece != END]
    for length in range(limit):
        for said in itertools.product(others, repeat=length):
            yield (*said, END)
    yield from itertools.product(others, repeat=limit)


def normed(score: float, length: int, penalty: float) -> float:
    return score / ((5 + length) / 6) ** penalty


def value(table: Table, row: int, found: list[int], limit: int, penalty: float) -> float:
    said = tuple(found) if len(found) == limit else (*found, END)
    return normed(table.score(row, said), len(said), penalty)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    vocabulary=st.integers(3, 4),
    limit=st.integers(1, 3),
    penalty=st.sampled_from([0.0, 1.0, 2.0]),
)
def test_with_enough_beams_the_search_is_exhaustive(seed: int, vocabulary: int, limit: int, penalty: float):
    table = Table(vocabulary, seed)
    limits = torch.tensor([limit, max(1, limit - 1)])
    found = beam_search(table.step, table.start(2), 2, BEGIN, END, limits, vocabulary**limit, penalty)
    for row, most in enumerate(limits.tolist()):
        every = everything(vocabulary, most)
        best = max(normed(table.score(row, said), len(said), penalty) for said in every)
        assert value(table, row, found[row], most, penalty) == pytest.approx(best, abs=1e-5)


def by_hand(table: Table, row: int, limit: int, beams: int, penalty: float) -> list[int]:
    """Beam search as its definition reads, on lists: (score, pieces, whether it is finished)."""
    kept: list[tuple[float, tuple[int, ...], bool]] = [(0.0, (), False)]
    while not all(finished for *_, finished in kept):
        grown = [one for one in kept if one[2]]
        for score, said, finished in kept:
            if not finished:
                logs = table.logits(row, said).log_softmax(-1).tolist()
                for piece, more in enumerate(logs):
                    grown.append((score + more, (*said, piece), piece == END or len(said) + 1 == limit))
        kept = sorted(grown, key=lambda one: -normed(one[0], len(one[1]), penalty))[:beams]
    return [piece for piece in kept[0][1] if piece != END]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dropped", [1, 7, 1000])
@pytest.mark.parametrize("beams", [1, 4])
def test_a_search_with_states_is_the_search_that_reads_everything_again(
    monkeypatch: pytest.MonkeyPatch, architecture: str, dropped: int, beams: int
):
    monkeypatch.setattr(cache, "DROPPED", dropped)
    made = model(architecture, "language_model").double()
    made.embedding.weight.data *= 3  # pieces that differ in likelihood: beams die out

    def again(tokens: torch.Tensor, decoding: Decoding) -> tuple[torch.Tensor, Decoding]:
        past = torch.cat((decoding.states[0], tokens[:, None]), 1)
        return made.logits(made(past)[:, -1]), Decoding([past], [None])

    limits = torch.tensor([25, 9, 25])
    found = beam_search(made.step, made.start(3, 25), 3, BEGIN, END, limits, beams)
    nothing = Decoding([torch.empty(3, 0, dtype=torch.int64)], [None])
    assert found == beam_search(again, nothing, 3, BEGIN, END, limits, beams)
    assert any(len(row) > 5 for row in found)


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 3.0])
def test_the_batched_search_is_the_search_by_hand(beams: int, penalty: float):
    for seed in range(12):
        table, limits = Table(6, seed), [7, 4, 5]
        found = beam_search(table.step, table.start(3), 3, BEGIN, END, torch.tensor(limits), beams, penalty)
        assert found == [by_hand(table, row, limit, beams, penalty) for row, limit in enumerate(limits)], seed


@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=st.integers(0, 10**6), limit=st.integers(1, 6), penalty=st.sampled_from([0.0, 1.0]))
def test_one_beam_takes_the_likeliest_piece_each_time(seed: int, limit: int, penalty: float):
    table = Table(5, seed)
    found = beam_search(table.step, table.start(1), 1, BEGIN, END, torch.tensor([limit]), 1, penalty)[0]
    said: list[int] = []
    while len(said) < limit:
        piece = int(table.logits(0, tuple(said)).argmax())
        if piece == END:
            break
        said.append(piece)
    assert found == said


@settings(deadline=None, max_examples=15, derandomize=True)
@given(seed=st.integers(0, 10**6), beams=st.integers(1, 4), limits=st.lists(st.integers(1, 6), min_size=2, max_size=4))
def test_rows_do_not_disturb_each_other_and_keep_their_limits(seed: int, beams: int, limits: list[int]):
    table = Table(5, seed)
    together = beam_search(table.step, table.start(len(limits)), len(limits), BEGIN, END, torch.tensor(limits), beams)
    for row, limit in enumerate(limits):
        assert len(together[row]) <= limit
        assert END not in together[row]
        alone = beam_search(table.step, table.start([row]), 1, BEGIN, END, torch.tensor([limit]), beams)
        assert alone[0] == together[row]


@settings(deadline=None, max_examples=15, derandomize=True)
@given(seed=st.integers(0, 10**6), penalty=st.sampled_from([0.0, 1.0]))
def test_a_search_that_sees_everything_is_never_beaten_by_a_narrower_one(seed: int, penalty: float):
    table, limit = Table(3, seed), 3

    def best(beams: int) -> float:
        found = beam_search(table.step, table.start(1), 1, BEGIN, END, torch.tensor([limit]), beams, penalty)[0]
        return value(table, 0, found, limit, penalty)

    whole = best(27)
    assert all(best(beams) <= whole + 1e-5 for beams in (1, 2, 3, 9))


def test_more_beams_than_continuations_are_no_trouble():
    table = Table(3, 1)
    found = beam_search(table.step, table.start(1), 1, BEGIN, END, torch.tensor([2]), 50)[0]
    assert math.isfinite(value(table, 0, found, 2, 1.0))


@pytest.mark.parametrize("architecture", ["transformer", "lstm", "lstm_no_attention", "lstm_last"])
@pytest.mark.parametrize("beams", [1, 3])
@torch.inference_mode()
def test_real_models_decode_a_batch_as_they_decode_its_rows(architecture: str, beams: int):
    made = model(architecture, "encoder_decoder", vocabulary=270)
    assert isinstance(made, EncoderDecoder)
    source, lengths, limits = pieces(3, 6, vocabulary=270), torch.tensor([6, 3, 1]), torch.tensor([5, 8, 2])
    together = beam_search(made.step, made.start(source, lengths, 8), 3, 1, 2, limits, beams)
    for row, length in enumerate(lengths.tolist()):
        decoding = made.start(source[row : row + 1, :length], lengths[row : row + 1], 8)
        assert beam_search(made.step, decoding, 1, 1, 2, limits[row : row + 1], beams)[0] == together[row]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.inference_mode()
def test_greedy_search_of_a_real_model_is_argmax_of_its_whole_row(architecture: str):
    made = model(architecture, "encoder_decoder")
    source, length = pieces(1, 6), torch.tensor([6])
    found = beam_search(made.step, made.start(source, length, 6), 1, 1, 2, torch.tensor([6]))[0]
    row = [1]
    for piece in found:
        logits = made.logits(made(source, length, torch.tensor([row])))[0, -1]
        assert int(logits.argmax()) == piece
        row.append(piece)
