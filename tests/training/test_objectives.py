"""What a batch costs, and that padding and the cut into batches do not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ARCHITECTURES, VOCABULARY, model, pieces
from torch import nn

from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import Records
from verdict.training.batches import Source, Windows, answers, labelled, masked, pairs
from verdict.training.loop import evaluate, loss_of
from verdict.training.objectives import OBJECTIVES
from verdict.training.settings import IN_NATS

FAMILY = {
    "language_model": "language_model",
    "sequence_pairs": "encoder_decoder",
    "masked": "masked_encoder",
    "classification": "masked_encoder",
    "answers": "language_model",
}
BYTES = torch.arange(VOCABULARY) % 5  # special pieces stand for bytes here too, so that none is forgotten


def source_of(objective: str, batch_tokens: int) -> Source:
    rng = np.random.default_rng(0)
    lengths = list(rng.integers(2, 20, 40))
    flat = rng.integers(4, VOCABULARY, sum(lengths)).astype(np.uint16)
    ends = np.cumsum(lengths)
    flat[ends - 1] = bpe.END
    text = Records(flat, ends)
    other = Records(flat[::-1].copy(), np.cumsum(lengths[::-1]))
    return {
        "language_model": lambda: Windows(text, 12, batch_tokens),
        "sequence_pairs": lambda: pairs(text, other, batch_tokens),
        "masked": lambda: masked(text, VOCABULARY, 0.2, batch_tokens),
        "classification": lambda: labelled(text, np.arange(40) % 3, batch_tokens),
        "answers": lambda: answers(text, other.pieces, flat % 3 == 0, batch_tokens),
    }[objective]()


class Uniform(nn.Module):
    """Thinks every piece equally likely; its hidden states are nothing."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 1)

    def forward(self, tokens, lengths=None, target=None):
        rows = tokens if target is None else target
        return torch.zeros(*rows.shape, 1)

    def classify(self, tokens, lengths):
        return torch.zeros(len(tokens), 3)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_uniform_model_pays_the_logarithm_of_its_choices(objective: str):
    totals = evaluate(Uniform(), source_of(objective, 128).in_order(), OBJECTIVES[objective], BYTES)
    choices = 3 if objective == "classification" else VOCABULARY
    assert totals["nats"] == pytest.approx(totals["predicted"] * math.log(choices), rel=1e-6)
    if objective in IN_NATS:
        assert totals["bytes"] == 0
        assert loss_of(totals) == pytest.approx(math.log(choices), rel=1e-6)
    else:
        bits = math.log2(VOCABULARY) * totals["predicted"] / totals["bytes"]
        assert loss_of(totals) == pytest.approx(bits, rel=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_predictions_bytes_and_pieces_are_counted_once(objective: str):
    batch = next(source_of(objective, 128).in_order())
    found = OBJECTIVES[objective](
        model("lstm", FAMILY[objective], classes=3 * (objective == "classification")), batch, BYTES
    )
    if objective == "language_model":
        truth, seen = batch["tokens"][:, 1:].flatten(), batch["tokens"][:, 1:].numel()
    elif objective == "sequence_pairs":
        rows = zip(batch["target"], batch["target_lengths"], strict=True)
        truth = torch.cat([row[:length] for row, length in rows])
        assert (truth == bpe.END).sum() >= 1
        seen = int(batch["source_lengths"].sum() + batch["target_lengths"].sum())
    else:
        truth = batch["truth"] if objective == "masked" else torch.empty(0, dtype=torch.long)
        seen = int(batch["lengths"].sum()) if objective != "answers" else batch["tokens"].numel()
    predicted = {"classification": lambda: len(batch["label"]), "answers": lambda: int(batch["where"].sum())}
    assert found.predicted == predicted.get(objective, lambda: len(truth))()
    assert found.bytes == int(BYTES[truth].sum())
    assert found.seen == seen


class Forgetful(Uniform):
    """Whoever calls it can no longer look anything up in the batch."""

    def __init__(self, batch: dict[str, torch.Tensor], told: torch.Tensor):
        super().__init__()
        self.lost = [told, *(value for name, value in batch.items() if name == "where" or name.endswith("lengths"))]

    def forward(self, *given):
        hidden = super().forward(*given)
        for value in self.lost:
            value.zero_()
        return hidden

    def classify(self, *given):
        self(*given)
        return super().classify(*given)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_counted_is_counted_before_the_model_computes(objective: str):
    """A GPU would be waited for, and would then wait itself, in the middle of a step."""
    (batch, same), told = (next(source_of(objective, 128).in_order()) for _ in range(2)), BYTES.clone()
    found = OBJECTIVES[objective](Forgetful(batch, told), batch, told)
    expected = OBJECTIVES[objective](Uniform(), same, BYTES)
    assert found[1:] == expected[1:]
    assert torch.equal(found.nats, expected.nats)


@pytest.mark.parametrize("architecture", ["transformer", "lstm", "lstm_no_attention"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_how_an_evaluation_is_cut_into_batches_does_not_change_it(architecture: str, objective: str):
    made = model(architecture, FAMILY[objective], classes=3 * (objective == "classification"))
    totals = []
    for batch_tokens in (16, 100, 1000):
        batches = source_of(objective, batch_tokens).in_order()
        if objective == "masked":  # masks are drawn batch by batch: compare other cuts of the very same masks
            batches = iter(
                [batch for big in source_of(objective, 10_000).in_order() for batch in _cut(big, batch_tokens)]
            )
        totals.append(evaluate(made, batches, OBJECTIVES[objective], BYTES))
    for other in totals[1:]:
        assert other["predicted"] == totals[0]["predicted"]
        assert other["bytes"] == totals[0]["bytes"]
        assert other["nats"] == pytest.approx(totals[0]["nats"], rel=1e-6)


def _cut(batch: dict[str, torch.Tensor], batch_tokens: int) -> list[dict[str, torch.Tensor]]:
    """A masked batch as several of fewer rows (and so with less padding)."""
    step, found, taken = max(1, batch_tokens // 50), [], 0
    for i in range(0, len(batch["lengths"]), step):
        lengths = batch["lengths"][i : i + step]
        where = batch["where"][i : i + step, : lengths.max()]
        found.append({"tokens": batch["tokens"][i : i + step, : lengths.max()], "lengths": lengths, "where": where,
                      "truth": batch["truth"][taken : taken + int(where.sum())]})  # fmt: skip
        taken += int(where.sum())
    return found


@settings(deadline=None, max_examples=10)
@given(extra=st.integers(1, 9), fill=st.integers(0, VOCABULARY - 1))
def test_padding_adds_nothing_to_the_loss(extra: int, fill: int):
    for name in ("transformer", "lstm"):
        made = model(name, "encoder_decoder").double()
        batch = next(source_of("sequence_pairs", 128).in_order())
        wider = {
            field: nn.functional.pad(tensor, (0, extra), value=fill) if field in ("source", "target") else tensor
            for field, tensor in batch.items()
        }
        with torch.inference_mode():
            before, after = (OBJECTIVES["sequence_pairs"](made, told, BYTES) for told in (batch, wider))
        assert after[1:] == before[1:]
        assert after.nats.item() == pytest.approx(before.nats.item(), rel=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_loss_is_the_models_own_likelihood_of_the_text(architecture: str):
    """Teacher forcing, written out piece by piece from the steps."""
    made = model(architecture, "encoder_decoder")
    source, target = pieces(1, 5), torch.cat((pieces(1, 4, seed=1), torch.tensor([[bpe.END]])), 1)
    lengths = torch.tensor([5])
    batch = {"source": source, "source_lengths": lengths, "target": target, "target_lengths": lengths}
    with torch.inference_mode():
        found = OBJECTIVES["sequence_pairs"](made, batch, BYTES)
        decoding, before, nats = made.start(source, lengths, 5), bpe.BEGIN, 0.0
        for piece in target[0].tolist():
            logits, decoding = made.step(torch.tensor([before]), decoding)
            nats -= logits.log_softmax(-1)[0, piece].item()
            before = piece
    assert found.nats.item() == pytest.approx(nats, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_evaluation_leaves_the_model_as_it_was(objective: str, training: bool):
    """Training goes on with dropout after a validation; a search after an evaluation goes on without."""
    made = model("lstm", FAMILY[objective], classes=3 * (objective == "classification")).train(training)
    before, state = {name: value.clone() for name, value in made.state_dict().items()}, torch.get_rng_state()
    evaluate(made, source_of(objective, 128).in_order(), OBJECTIVES[objective], BYTES)
    assert all(part.training == training for part in made.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_evaluation_never_drops_anything(objective: str):
    dropping = replace(ARCHITECTURES["lstm"], dropout=0.5)
    made = model(dropping, FAMILY[objective], classes=3 * (objective == "classification")).train()
    totals = [
        evaluate(made, source_of(objective, 128).in_order(), OBJECTIVES[objective], BYTES)["nats"] for _ in range(2)
    ]
    assert totals[0] == totals[1]
