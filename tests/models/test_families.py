"""Every family × architecture: one step after another is the whole row, the future and padding are not heard."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from tiny import ARCHITECTURES, FAMILIES, model, pieces

from verdict.device import fp32_products, medium_is_exact, multiplies_bf16
from verdict.models import families
from verdict.models.families import EncoderDecoder, InnerWidths, Model, build, reorder
from verdict.models.mixers import cache
from verdict.models.settings import Shape
from verdict.models.sizes import solve

LENGTHS = torch.tensor([7, 4, 1])
EVERY = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture(params=["fp32", "fp32 through oneDNN", "bf16"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Attention takes another way with each of these."""
    through_onednn = request.param == "fp32 through oneDNN"
    if through_onednn:
        if not medium_is_exact(torch.device("cpu")):
            pytest.skip("oneDNN rounds here")
        monkeypatch.setattr(families, "SMALL", 0)
    if request.param == "bf16" and not multiplies_bf16():
        pytest.skip("no kernels in bf16 here")
    with (
        fp32_products("medium" if through_onednn else "highest"),
        torch.autocast("cpu", torch.bfloat16, enabled=request.param == "bf16"),
    ):
        yield


def steps(model: Model, decoding: object, tokens: torch.Tensor) -> torch.Tensor:
    """Logits [B, T, V] by stepping."""
    found = []
    for t in range(tokens.shape[1]):
        logits, decoding = model.step(tokens[:, t], decoding)
        found.append(logits)
    return torch.stack(found, 1)


@EVERY
@pytest.mark.parametrize("arithmetic", ["fp32", "fp32 through oneDNN"], indirect=True)
@torch.inference_mode()
def test_steps_give_what_the_whole_row_gives(architecture: str, arithmetic: None):
    tokens, source = pieces(3, 9), pieces(3, 7, seed=1)
    lm = model(architecture, "language_model")
    torch.testing.assert_close(steps(lm, lm.start(3, 9), tokens), lm.logits(lm(tokens)), rtol=0, atol=1e-5)
    pairs = model(architecture, "encoder_decoder")
    whole = pairs.logits(pairs(source, LENGTHS, tokens))
    torch.testing.assert_close(steps(pairs, pairs.start(source, LENGTHS, 9), tokens), whole, rtol=0, atol=1e-5)


@EVERY
@pytest.mark.usefixtures("arithmetic")
@torch.inference_mode()
def test_what_comes_later_changes_nothing_before_it(architecture: str):
    tokens, source = pieces(2, 9), pieces(2, 7, seed=1)
    changed = tokens.clone()
    changed[:, 5:] = pieces(2, 4, seed=2)
    lm, pairs = model(architecture, "language_model"), model(architecture, "encoder_decoder")
    both = [
        (lm(tokens), lm(changed)),
        (pairs(source, LENGTHS[:2], tokens), pairs(source, LENGTHS[:2], changed)),
    ]
    for before, after in both:
        assert torch.equal(before[:, :5], after[:, :5])
        assert not torch.equal(before[:, 5], after[:, 5])


@EVERY
@pytest.mark.parametrize("family", ["encoder_decoder", "masked_encoder"])
@torch.inference_mode()
def test_padding_is_not_heard(architecture: str, family: str):
    """Neither what stands at padded positions nor how many there are."""
    made = model(architecture, family, classes=3 if family == "masked_encoder" else 0).double()
    rows = pieces(3, 7)
    other = rows.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        other[row, length:] = 0
    wider = torch.cat((other, pieces(3, 5, seed=3)), 1)
    target = pieces(3, 4, seed=4)

    def heard(tokens: torch.Tensor) -> list[torch.Tensor]:
        if isinstance(made, EncoderDecoder):
            return [made(tokens, LENGTHS, target), steps(made, made.start(tokens, LENGTHS, 4), target)]
        real = made(tokens, LENGTHS)
        return [made.classify(tokens, LENGTHS), *(real[row, :length] for row, length in enumerate(LENGTHS.tolist()))]

    for tokens in (other, wider):
        for found, expected in zip(heard(tokens), heard(rows), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@EVERY
@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("family", ["encoder_decoder", "masked_encoder"])
@torch.inference_mode()
def test_what_stands_at_padded_positions_is_not_heard_to_the_bit(architecture: str, family: str):
    made = model(architecture, family, classes=3 if family == "masked_encoder" else 0)
    rows, target = pieces(3, 7), pieces(3, 4, seed=4)
    other = rows.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        other[row, length:] = pieces(7 - length, seed=5)

    def heard(tokens: torch.Tensor) -> list[torch.Tensor]:
        if isinstance(made, EncoderDecoder):
            return [made(tokens, LENGTHS, target)]
        real = made(tokens, LENGTHS)
        return [made.classify(tokens, LENGTHS), *(real[row, :length] for row, length in enumerate(LENGTHS.tolist()))]

    for found, expected in zip(heard(other), heard(rows), strict=True):
        assert torch.equal(found, expected)


@EVERY
@pytest.mark.parametrize("family", ["encoder_decoder", "masked_encoder"])
@torch.inference_mode()
def test_an_encoder_hears_both_sides(architecture: str, family: str):
    made, tokens, lengths = model(architecture, family), pieces(1, 5), torch.tensor([5])

    def encoded(row: torch.Tensor) -> torch.Tensor:
        return made(row, lengths)[0] if family == "masked_encoder" else made.encode(row, lengths)[0][0]

    for changed, heard in ((0, 4), (4, 0)):
        other = tokens.clone()
        other[0, changed] = pieces(1, seed=9)[0]
        assert not torch.equal(encoded(tokens)[heard], encoded(other)[heard])


@pytest.mark.parametrize(("said", "attends"), [("every", [1, 1, 1]), ("last", [0, 0, 1]), ("none", [0, 0, 0])])
def test_cross_attention_stands_in_the_blocks_that_the_settings_say(said: str, attends: list[int]):
    setting = replace(ARCHITECTURES["lstm"], cross_attention=said)
    made = build(setting, Shape("encoder_decoder", 16, 1, 280), [InnerWidths(8, 0)] * 3, 0)
    assert [block.cross is not None for block in made.decoder.blocks] == attends
    assert not any(block.cross for block in made.encoder.blocks)


@pytest.mark.parametrize(("options", "heads"), [({"heads": 1}, 1), ({"heads": 2}, 2), ({}, 4)])
def test_cross_attention_has_the_heads_of_the_mixer(options: dict[str, int], heads: int):
    setting = replace(ARCHITECTURES["transformer"], options=options)
    made = build(setting, Shape("encoder_decoder", 16, 1, 280), [InnerWidths(8, 8)], 0)
    assert [block.cross.heads for block in made.decoder.blocks] == [heads]


@pytest.mark.parametrize(("architecture", "parts"), [("transformer", 9), ("attention_bare", 1)])
def test_what_is_added_to_the_stream_begins_smaller_the_more_is_added(architecture: str, parts: int):
    made = build(ARCHITECTURES[architecture], Shape("encoder_decoder", 64, 1, 280), [InnerWidths(64, 64)] * 3, 0)
    for block in made.decoder.blocks:  # three blocks of mixer, cross-attention and feed-forward part
        largest = block.cross.project_out.weight.abs().max().item()
        assert largest == pytest.approx(math.sqrt(6 / (64 + 64)) / math.sqrt(parts), rel=0.01)


@torch.inference_mode()
def test_what_goes_in_and_what_a_decoder_is_told_of_its_source():
    made, source = model("lstm", "encoder_decoder"), pieces(3, 7)
    torch.testing.assert_close(made.embed(source), made.embedding.weight[source] * 4)  # of 16 channels
    encoded, _, summary = made.encode(source, LENGTHS)
    means = torch.stack([encoded[row, :length].mean(0) for row, length in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(summary, means, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("rows", "level"), [(3, "highest"), (4, "medium")])
@torch.inference_mode()
def test_few_rows_are_multiplied_by_the_default_library(monkeypatch: pytest.MonkeyPatch, rows: int, level: str):
    monkeypatch.setattr(families, "SMALL", 4 * 16**2)
    made, levels = model("lstm", "language_model"), []
    step = made.decoder.step
    noted = lambda *given: levels.append(torch.get_float32_matmul_precision()) or step(*given)  # noqa: E731
    monkeypatch.setattr(made.decoder, "step", noted)
    with fp32_products("medium"):
        made.step(pieces(rows), made.start(rows, 1))
    assert levels == [level]


@EVERY
@torch.inference_mode()
def test_a_row_is_treated_as_if_it_were_alone(architecture: str):
    made, source, target = model(architecture, "encoder_decoder").double(), pieces(3, 7), pieces(3, 5, seed=1)
    together = made(source, LENGTHS, target)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = made(source[row : row + 1, :length], LENGTHS[row : row + 1], target[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-10)


@EVERY
@torch.inference_mode()
def test_every_source_piece_is_heard_by_the_decoder(architecture: str):
    made, source, target = model(architecture, "encoder_decoder"), pieces(1, 5), pieces(1, 3, seed=1)
    length = torch.tensor([5])
    before = made(source, length, target)
    for position in range(5):
        changed = source.clone()
        changed[0, position] = 4 + (changed[0, position] - 3) % 200
        assert (made(changed, length, target) - before).abs().amax() > 1e-5, position


@EVERY
@pytest.mark.parametrize("capacity", [0, 1, 3, 5, 50])
@pytest.mark.parametrize("dropped", [1, 3, 64])
@torch.inference_mode()
def test_reordering_a_state_is_decoding_the_reordered_rows(
    monkeypatch: pytest.MonkeyPatch, architecture: str, capacity: int, dropped: int
):
    monkeypatch.setattr(cache, "DROPPED", dropped)
    made, source = model(architecture, "encoder_decoder"), pieces(3, 7)
    tokens, after = pieces(6, 3, seed=1), pieces(6, 4)
    twice, order = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 1, 2, 3, 5, 4])
    # two rows for each source, which is kept once, as for the beams of a search
    beams = reorder(made.start(source, LENGTHS, capacity), twice)
    # and for comparison a source for each row
    plain = made.start(source[twice], LENGTHS[twice], capacity)
    for t in range(3):
        _, beams = made.step(tokens[:, t], beams)
        _, plain = made.step(tokens[order, t], plain)
    torch.testing.assert_close(steps(made, reorder(beams, order), after), steps(made, plain, after), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_taking_rows_of_a_cache_moves_nothing_that_it_holds():
    made = model("transformer", "language_model")
    decoding = made.start(2, 10)
    _, decoding = made.step(pieces(2), decoding)
    wider = reorder(decoding, torch.tensor([0, 0, 1, 1]))
    _, wider = made.step(pieces(4), wider)
    taken = reorder(wider, torch.tensor([1, 1, 3, 2]))
    for before, after in zip(wider.states, taken.states, strict=True):
        assert after.keys is before.keys
        assert after.values is before.values
    # of the first position each row sees its source's entry, of the second that of the row it was taken from
    seen = taken.states[0].hidden[:, :3] == 0
    assert seen.int().tolist() == [[1, 0, 1], [1, 0, 1], [1, 0, 1], [1, 1, 0]]
    assert all(state.hidden is taken.states[0].hidden for state in taken.states)
    assert (taken.states[0].length, taken.states[0].entries) == (2, 3)
    assert reorder(decoding, torch.tensor([0, 1])).states[0] is decoding.states[0]


@EVERY
@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_fixes_the_weights_and_leaves_the_callers_random_numbers_alone(architecture: str, family: str):
    setting, shape = ARCHITECTURES[architecture], Shape(family, 16, 14_000, 280, 2 if family == "masked_encoder" else 0)
    inner = solve(setting, shape)
    state = torch.get_rng_state()
    first, again, other = (build(setting, shape, inner, seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])
    # nothing is left as torch happened to draw it when the module was made
    torch.manual_seed(99)
    assert all(torch.equal(value, build(setting, shape, inner, 5).state_dict()[name]) for name, value in first.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_all_architectures_begin_with_the_same_embedding(family: str):
    first, *others = (model(name, family).embedding.weight for name in ARCHITECTURES)
    assert all(torch.equal(first, other) for other in others)


def is_tied(model: Model) -> bool:
    """Whether the logits come from the embedding and nothing else."""
    hidden = torch.randn(3, model.shape.width)
    return torch.allclose(model.logits(hidden), hidden @ model.embedding.weight.T, atol=1e-5)


@EVERY
@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_the_output_is_tied_to_the_embedding(architecture: str, family: str):
    assert is_tied(model(architecture, family))


@torch.inference_mode()
def test_an_architecture_given_an_output_of_its_own_would_be_noticed(monkeypatch: pytest.MonkeyPatch):
    own = torch.randn(280, 16)
    made = model("lstm", "language_model")
    monkeypatch.setattr(type(made), "logits", lambda self, hidden: hidden @ own.T)
    assert not is_tied(made)


@EVERY
@torch.inference_mode()
def test_the_first_logits_are_of_order_one(architecture: str):
    made = model(architecture, "language_model", width=64, parameters=100_000)
    assert 0.1 < made.logits(made(pieces(8, 12))).std() < 3


@pytest.mark.parametrize("causal", [True, False])
def test_dropout_is_heard_in_training_and_silent_in_evaluation(causal: bool):
    setting = type(ARCHITECTURES["lstm"])(**{**vars(ARCHITECTURES["lstm"]), "dropout": 0.5})
    made, tokens = model(setting, "language_model" if causal else "masked_encoder"), pieces(1, 5)
    more = () if causal else (torch.tensor([5]),)
    assert torch.equal(made(tokens, *more), made(tokens, *more))
    made.train()
    assert not torch.equal(made(tokens, *more), made(tokens, *more))


@torch.inference_mode()
def test_a_class_is_told_from_the_mean_over_real_positions():
    made, tokens = model("lstm", "masked_encoder", classes=3), pieces(3, 7)
    assert made.classifier is not None
    hidden = made(tokens, LENGTHS)
    means = torch.stack([hidden[row, :length].mean(0) for row, length in enumerate(LENGTHS.tolist())])
    by_hand = means @ made.classifier.weight.T + made.classifier.bias
    torch.testing.assert_close(made.classify(tokens, LENGTHS), by_hand, rtol=0, atol=1e-5)


def test_there_is_a_classifier_where_there_are_classes():
    assert model("lstm", "masked_encoder").classifier is None
    built = build(ARCHITECTURES["lstm"], Shape("masked_encoder", 16, 1, 280, 3), [InnerWidths(10, 0)], 0)
    assert built.classifier.out_features == 3
    assert not any(parameter.any() for parameter in built.classifier.parameters()), "all classes alike at first"


@EVERY
@torch.inference_mode()
def test_what_leaves_a_stack_with_norms_has_mean_0_and_variance_1(architecture: str):
    setting = ARCHITECTURES[architecture]
    built = build(setting, Shape("language_model", 16, 1, 280), [InnerWidths(8, 8 * setting.feedforward)] * 2, 0).eval()
    out = built(pieces(2, 9))
    is_normed = bool(out.mean(-1).abs().max() < 1e-5 and (out.var(-1, correction=0) - 1).abs().max() < 1e-2)
    assert is_normed == setting.norm


def test_inner_widths_may_differ_from_block_to_block():
    setting = ARCHITECTURES["lstm"]
    made = build(setting, Shape("language_model", 16, 1, 280), [InnerWidths(10, 0), InnerWidths(7, 0)], 0).eval()
    tokens = pieces(1, 4)
    with torch.inference_mode():
        torch.testing.assert_close(steps(made, made.start(1, 4), tokens), made.logits(made(tokens)), rtol=0, atol=1e-5)
