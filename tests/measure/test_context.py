"""How much context a language model uses: against plain evaluation, by hand, and planted in a text."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from verdict.errors import UserError
from verdict.files import read_json
from verdict.measure import context
from verdict.measure.context import Settings
from verdict.metrics import Report
from verdict.models.families import LanguageModel
from verdict.tokens.arrays import Records
from verdict.training import loop, store
from verdict.training.batches import Windows
from verdict.training.objectives import OBJECTIVES

ENDS = ("transformer", "lstm")
WINDOW = 16
SETTINGS = Settings(places=6, run=4, kept=[2, 8], near=3, streams=3, batch_tokens=100)
TEXT = tiny.pieces(500, seed=5).numpy()
BYTES = np.arange(tiny.VOCABULARY) % 5 + 1


def measured(
    model: LanguageModel, text: np.ndarray = TEXT, settings: Settings = SETTINGS, piece_bytes: np.ndarray = BYTES
) -> dict[tuple[str, str, int | None], float]:
    report = Report("context", {}, experiment="context", architecture="any", replicate=0)
    context.measure(report, settings, model, text, piece_bytes, WINDOW)
    return {
        (row["metric"] if row["metric"] != "bits_per_byte" else row["variant"], row["variable"], row["at"]): row[
            "value"
        ]
        for row in report.rows
    }


@pytest.fixture(params=ENDS)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    made = tiny.model(request.param, "language_model")
    assert isinstance(made, LanguageModel)
    return made


def plain(model: LanguageModel, row: np.ndarray) -> np.ndarray:
    """Nats of every piece of a row but the first, written out."""
    with torch.inference_mode():
        logs = model.logits(model(torch.from_numpy(row[None, :-1])))[0].double().log_softmax(-1)
    return -logs[torch.arange(len(row) - 1), torch.from_numpy(row[1:])].numpy()


def test_the_whole_window_gives_the_plain_evaluations_loss_of_the_same_pieces(model: LanguageModel):
    """The last piece of every block of the plain evaluation has the whole window before it, and no more."""
    chosen = np.arange(WINDOW, len(TEXT), WINDOW)
    mine = context.nats(model, context.windows(TEXT, chosen, WINDOW), 1, 100)[:, 0]
    blocks = [TEXT[piece - WINDOW : piece + 1] for piece in chosen]
    assert mine == pytest.approx([plain(model, block)[-1] for block in blocks], rel=1e-5)


def test_the_blockwise_loss_of_all_pieces_is_the_plain_evaluation(model: LanguageModel):
    records = Records(TEXT.astype(np.uint16), np.array([len(TEXT)]))
    totals = loop.evaluate(
        model, Windows(records, WINDOW, 64).in_order(), OBJECTIVES["language_model"], torch.from_numpy(BYTES)
    )
    count = (len(TEXT) - 1) // WINDOW * WINDOW
    whole = replace(SETTINGS, places=count - WINDOW + 1, run=1, beyond=[])  # every piece with a window before it
    first = float(plain(model, TEXT[:WINDOW]).sum())
    expected = (totals["nats"] - first) / np.log(2) / (totals["bytes"] - BYTES[TEXT[1:WINDOW]].sum())
    assert measured(model, settings=whole)["blockwise", "", None] == pytest.approx(expected, rel=1e-5)


def test_the_positions_of_a_block_are_the_contexts_of_its_pieces(model: LanguageModel):
    block = TEXT[: WINDOW + 1]
    losses = context.nats(model, block[None], WINDOW, 100)[0]
    for seen in range(1, WINDOW + 1):
        alone = context.nats(model, context.windows(TEXT, np.array([seen]), seen), 1, 100)[0, 0]
        assert alone == pytest.approx(losses[seen - 1], rel=1e-4, abs=1e-5)


def test_positions_are_binned_by_hand():
    blocks, losses = np.zeros((2, 7), dtype=np.int64), np.arange(12.0).reshape(2, 6) * np.log(2)
    found = context.by_position(losses, blocks, np.array([2]))
    # pieces seen 1 | 2, 3 | 4, 5, 6; two blocks; two bytes each
    assert found == pytest.approx({1: (0 + 6) / 4, 2: (1 + 2 + 7 + 8) / 8, 4: (3 + 4 + 5 + 9 + 10 + 11) / 12})


@pytest.mark.parametrize("architecture", ["transformer", "attention_alone", "lstm", "lstm_feedforward"])
def test_a_model_whose_mixers_are_mute_gains_nothing_from_any_context(architecture: str):
    model = tiny.model(architecture, "language_model")
    assert isinstance(model, LanguageModel)
    with torch.no_grad():
        for block in model.decoder.blocks:
            block.mixer.project_out.weight.zero_()  # type: ignore[union-attr, operator]
    found = measured(model)
    one = found["truncated", "context", 1]
    assert found.pop(("effective_context", "", None)) == 1
    assert found.pop(("far_context_gain", "", None)) == pytest.approx(1.0, rel=1e-6)
    same = {key: value for key, value in found.items() if key[0] != "position"}  # which predicts other pieces
    assert len(same) >= len(found) - 4
    assert same == pytest.approx(dict.fromkeys(same, one), rel=1e-6)


def test_pieces_further_back_than_the_context_do_not_reach_the_truncated_loss_to_the_bit(model: LanguageModel):
    chosen = context.choose(len(TEXT), WINDOW, 4 * WINDOW, 5, 1)
    other = TEXT.copy()
    near = {int(piece) - back for piece in chosen for back in range(5)}
    far = np.array([i for i in range(len(TEXT)) if i not in near])
    other[far] = np.random.default_rng(1).permutation(other[far])
    for count, same in ((4, True), (WINDOW, False)):
        losses = [context.nats(model, context.windows(text, chosen, count), 1, 100) for text in (TEXT, other)]
        assert np.array_equal(*losses) == same


def test_the_carried_state_equals_one_long_sequence_call():
    model = tiny.model("lstm", "language_model")
    assert isinstance(model, LanguageModel)
    before, end = 64, 496
    chosen = context.choose(len(TEXT), WINDOW, before, 10, 2)
    whole = plain(model, TEXT[: end + 1])
    assert context.carried(model, TEXT, chosen, before, 1) == pytest.approx(whole[chosen - 1], rel=1e-4)
    size = -(-(int(chosen[-1]) + 1 - before) // 3)
    parts = [plain(model, TEXT[part * size : part * size + before + size]) for part in range(3)]
    expected = [parts[(piece - before) // size][piece - (piece - before) // size * size - 1] for piece in chosen]
    assert context.carried(model, TEXT, chosen, before, 3) == pytest.approx(expected, rel=1e-4)


def test_only_a_state_that_does_not_grow_is_carried():
    keys = {name: measured(tiny.model(name, "language_model")).keys() for name in ENDS}  # type: ignore[arg-type]
    assert keys["lstm"] - keys["transformer"] == {("carried", "", None)}
    assert not keys["transformer"] - keys["lstm"]
    contexts = {key[2] for key in keys["lstm"] if key[0] == "truncated"}
    assert contexts == {1, 2, 3, 4, 8, 16}
    assert {key[2] for key in keys["lstm"] if key[0] == "beyond_training"} == {32, 64}


@given(rows=st.integers(1, 4), size=st.integers(1, 20), kept=st.integers(0, 20))
def test_shuffling_moves_the_far_pieces_alone_and_loses_none(rows: int, size: int, kept: int):
    kept = min(kept, size)
    before = np.arange(rows * (size + 1)).reshape(rows, -1)
    after = context.shuffle(before, kept)
    far = size - kept
    assert np.array_equal(after[:, far:], before[:, far:])
    assert np.array_equal(np.sort(after[:, :far], axis=1), before[:, :far])
    assert np.array_equal(after, context.shuffle(before, kept))
    if kept >= size - 1:  # one piece alone has no other place
        assert np.array_equal(after, before)


def test_shuffling_the_whole_far_context_changes_something():
    rows = context.windows(TEXT, np.array([100, 200, 300]), WINDOW)
    assert (context.shuffle(rows, 2) != rows).any(axis=1).all()


@given(
    length=st.integers(60, 5000),
    window=st.integers(2, 20),
    times=st.integers(1, 4),
    places=st.integers(1, 20),
    run=st.integers(1, 5),
)
def test_every_chosen_piece_has_its_context_and_its_block(length: int, window: int, times: int, places: int, run: int):
    end = (length - 1) // window * window
    if end + 1 - window * times < places * run:
        with pytest.raises(UserError, match="too short"):
            context.choose(length, window, window * times, places, run)
        return
    chosen = context.choose(length, window, window * times, places, run)
    assert len(chosen) == places * run
    assert (np.diff(chosen) > 0).all()
    assert (np.diff(chosen.reshape(places, run)) == 1).all()
    assert chosen[0] >= window * times
    assert chosen[-1] <= end < length


@given(count=st.integers(1, 600), run=st.integers(1, 40))
def test_pieces_predicted_together_lack_an_eighth_of_their_context_at_most(count: int, run: int):
    found = context.together(count, run)
    assert run % found == 0
    assert count - (found - 1) > 7 / 8 * count - 1e-9
    assert context.together(count, 1) == 1


def test_pieces_predicted_together_have_the_loss_of_their_own_shorter_windows(model: LanguageModel):
    """By hand: 16 pieces of context, two predicted from each window, of which the first sees 15."""
    settings = replace(SETTINGS, beyond=[])
    chosen = context.choose(len(TEXT), WINDOW, WINDOW, settings.places, settings.run)
    losses = [plain(model, TEXT[piece - 15 - i % 2 : piece + 1])[-1] for i, piece in enumerate(chosen)]
    expected = context.bits_per_byte(np.array(losses), TEXT[chosen], BYTES)
    assert measured(model, settings=settings)["truncated", "context", 16] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("losses", "expected"),
    # the second: 2.02 lies a third of the way from 2.03 to 2.0
    [({1: 3.0, 2: 2.02, 4: 2.0}, 2), ({1: 3.0, 2: 2.03, 4: 2.0}, 2 ** (4 / 3)), ({1: 1.9, 2: 2.5, 4: 2.0}, 1)],
)
def test_effective_context_by_hand(losses: dict[int, float], expected: float):
    assert context.effective_context(losses, 4, 0.01) == pytest.approx(expected)


LAG = 6


def lagged(length: int, seed: int) -> np.ndarray:
    """A text of eight pieces, each nearly always the one ``LAG`` before it, with nothing to tell nearer by."""
    rng = np.random.default_rng(seed)
    text = rng.integers(10, 18, length)
    for i in np.flatnonzero(rng.random(length) < 0.95):
        if i >= LAG:
            text[i] = text[i - LAG]
    return text


@pytest.fixture(scope="module")
def lag_reader() -> LanguageModel:
    """A Transformer that has learned such texts."""
    model = tiny.model("transformer", "language_model")
    assert isinstance(model, LanguageModel)
    text = lagged(12_000, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    data = Windows(Records(text, np.array([len(text)])), WINDOW, 512)
    piece_bytes = torch.ones(tiny.VOCABULARY)
    for epoch in range(5):
        for batch in data.epoch(0, epoch):
            loop.train_step(model, batch, OBJECTIVES["language_model"], piece_bytes, optimizer, "fp32", 1.0)
    return model.eval()


def test_a_planted_dependence_is_found_at_its_distance(lag_reader: LanguageModel):
    """Pieces nearer than the planted distance are of little use, those further back of none."""
    settings = Settings(places=300, beyond=[], kept=[4, 8], near=4, within=0.25)
    found = measured(lag_reader, lagged(4000, 1), settings, np.ones(tiny.VOCABULARY))
    assert 4 < found["effective_context", "", None] <= 8
    assert found["truncated", "context", 4] > 2.5
    assert found["truncated", "context", 8] < 1.5
    assert found["far_context_gain", "", None] > 2
    # what lies behind the near pieces: its order is all when the planted distance is there, and nothing when it is not
    assert found["shuffled", "context", 4] > found["sliding", "", None] + 1
    assert found["shuffled", "context", 8] == pytest.approx(found["sliding", "", None], rel=0.25)


def test_a_text_without_dependence_gives_no_gain(lag_reader: LanguageModel):
    """Pieces drawn one by one: what a reader of far pieces believes does not come true."""
    text = np.random.default_rng(2).integers(10, 18, 4000)
    settings = Settings(places=300, beyond=[], kept=[8], near=4)
    found = measured(lag_reader, text, settings, np.ones(tiny.VOCABULARY))
    assert found["far_context_gain", "", None] < 1


def test_a_real_world_is_measured_alike_for_all_and_again_the_same(world: Path, tmp_path: Path):
    folders = [world / f"runs/lm/{name}/s{seed}" for name in ENDS for seed in (0, 1)]
    for name in ("once", "again"):
        context.run(SETTINGS, folders, world / "tokens/lm", tmp_path / f"{name}.json")
    told = read_json(tmp_path / "once.json")
    assert told["rows"] == read_json(tmp_path / "again.json")["rows"]
    assert told["job"]["context"] == asdict(SETTINGS)
    assert {(row["architecture"], row["replicate"]) for row in told["rows"]} == {
        (name, seed) for name in ENDS for seed in (0, 1)
    }
    assert all(row["task"] == "lm" and row["experiment"] == "context" for row in told["rows"])
    keys = [tuple(row[name] for name in ("architecture", "replicate", "metric", "variant", "variable", "at"))
            for row in told["rows"]]  # fmt: skip
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"near": 16}, "near"),
        ({"kept": [2, 16]}, "kept"),
        ({"kept": [0]}, "kept"),
        ({"beyond": [1]}, "beyond"),
        ({"places": 0}, "places"),
        ({"run": 0}, "run"),
        ({"streams": 0}, "streams"),
        ({"places": 10**6}, "places"),
    ],
)
def test_settings_that_cannot_be_measured_are_named(world: Path, tmp_path: Path, change: dict[str, Any], word: str):
    with pytest.raises(UserError, match=f"`{word}`"):
        context.run(
            replace(SETTINGS, **change), [world / "runs/lm/lstm/s0"], world / "tokens/lm", tmp_path / "out.json"
        )


def test_a_model_of_another_kind_is_named(world: Path, tmp_path: Path):
    with pytest.raises(UserError, match="translation/lstm/s0"):
        context.run(SETTINGS, [world / "runs/translation/lstm/s0"], world / "tokens/lm", tmp_path / "out.json")


def test_no_architecture_is_named_in_the_code():
    calls: list[Callable[..., Any]] = [context.measure, context.carried, context.nats, context.can_carry, context.run]
    named = {name for call in calls for name in call.__code__.co_consts}
    assert not named & {"transformer", "lstm", "attention"}


def test_weights_are_read_from_the_folder(world: Path):
    """The loss of a stored model is that of the stored weights: another seed's are others."""
    first, second = (store.load(world / f"runs/lm/lstm/s{seed}").eval() for seed in (0, 1))
    assert isinstance(first, LanguageModel)
    assert isinstance(second, LanguageModel)
    assert measured(first) != measured(second)
