"""The solver of equal parameters and the counts of operations, against torch's own counter."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ARCHITECTURES, FAMILIES, VOCABULARY, model, pieces
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from verdict.errors import UserError
from verdict.models.families import Model, build, map_tensors
from verdict.models.mixers.attention import Attention
from verdict.models.settings import Shape
from verdict.models.sizes import count, flops_per_sequence, inference_floats, solve
from verdict.tokens import tokenizer as bpe
from verdict.training.objectives import OBJECTIVES, training_flops

# torch says so of any CPU when its fast kernels are switched off
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")
EVERY = pytest.mark.parametrize("architecture", ARCHITECTURES)


@settings(deadline=None, max_examples=10, derandomize=True)
@given(
    family=st.sampled_from(FAMILIES),
    width=st.sampled_from([64, 96, 128]),
    factor=st.floats(14, 60),
    layers=st.integers(2, 4),
    pair=st.lists(st.sampled_from(list(ARCHITECTURES)), min_size=2, max_size=2),
)
def test_the_solver_meets_the_budget_and_totals_agree(family, width, factor, layers, pair):
    shape = Shape(family, width, round(factor * width**2) * layers * (2 if family == "encoder_decoder" else 1), 2048)
    found = []
    for name in pair:
        setting = replace(ARCHITECTURES[name], layers=layers)
        with torch.device("meta"):
            made = build(setting, shape, solve(setting, shape))
        found.append(count(made))
    for parts in found:
        assert parts["nonembedding"] == pytest.approx(shape.parameters, rel=0.01)
    assert found[0]["total"] == pytest.approx(found[1]["total"], rel=0.01)
    assert found[0]["embedding"] == found[1]["embedding"] == 2048 * width


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_no_other_inner_width_comes_nearer(name: str):
    setting, shape = ARCHITECTURES[name], Shape("encoder_decoder", 32, 60_000, 280)
    best = solve(setting, shape)

    part = "feedforward" if setting.feedforward else "mixer"

    def off(change: int) -> int:
        inner = [best[0]._replace(**{part: getattr(best[0], part) + change}), best[1]]
        with torch.device("meta"):
            return abs(count(build(setting, shape, inner))["nonembedding"] - 60_000)

    step = 1 if setting.feedforward else 2
    assert off(0) <= min(off(step), off(-step))


@EVERY
@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_sum_to_all_parameters(architecture: str, family: str):
    made = model(architecture, family, classes=3 if family == "masked_encoder" else 0)
    parts = count(made)
    assert parts["total"] == sum(p.numel() for p in made.parameters())
    assert parts["total"] == parts["embedding"] + parts["nonembedding"]
    named = ("embedding", "mixing", "cross_attention", "feedforward", "output")
    assert sum(parts[name] for name in named) == parts["total"]
    setting = ARCHITECTURES[architecture]
    assert (parts["feedforward"] > 0) == setting.feedforward
    assert (parts["cross_attention"] > 0) == (family == "encoder_decoder" and setting.cross_attention != "none")
    assert (parts["output"] > 0) == (family == "masked_encoder")


def test_a_budget_too_small_says_what_it_takes():
    with pytest.raises(UserError, match=r"at least [\d,]+ parameters.*raise `parameters`"):
        solve(ARCHITECTURES["transformer"], Shape("language_model", 64, 1000, 280))


def floats_in(decoding: object) -> int:
    """Numbers in the tensors of a decoding (a mask is none)."""
    sizes: list[int] = []
    map_tensors(decoding, lambda part: sizes.append(part.numel() * part.is_floating_point()))
    return sum(sizes)


@EVERY
def test_what_generation_holds_in_memory_is_weights_and_a_decoding(architecture: str):
    lm, pairs = model(architecture, "language_model"), model(architecture, "encoder_decoder")
    weights = [sum(p.numel() for p in made.parameters()) for made in (lm, pairs)]
    assert inference_floats(lm, 3, 6) == weights[0] + floats_in(lm.start(3, 6))
    decoding = pairs.start(pieces(3, 5), torch.tensor([5, 2, 4]), 6)
    assert inference_floats(pairs, 3, 6, source_length=5) == weights[1] + floats_in(decoding)


def flops(call) -> int:
    """What torch counts, with the kernels it cannot look into (oneDNN's LSTM, fused attention) switched off."""
    plain = torch.backends.mkldnn.flags(enabled=False)
    with plain, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@EVERY
@pytest.mark.parametrize("length", [2, 5, 32])  # of one key attention multiplies nothing
def test_flops_are_those_of_torchs_counter(architecture: str, length: int):
    tokens, lengths = pieces(2, length), torch.tensor([length, max(1, length - 1)])
    source, source_lengths = pieces(2, length + 3), torch.full((2,), length + 3)
    with torch.no_grad():
        lm, pairs = model(architecture, "language_model"), model(architecture, "encoder_decoder")
        masked = model(architecture, "masked_encoder")
        assert flops(lambda: lm.logits(lm(tokens))) == 2 * flops_per_sequence(lm, length)
        found = flops(lambda: pairs.logits(pairs(source, source_lengths, tokens)))
        assert found == 2 * flops_per_sequence(pairs, length, length + 3)
        hidden = flops(lambda: masked.logits(masked(tokens, lengths)[:, :1]))
        assert hidden == 2 * flops_per_sequence(masked, length, predicted=1)


@EVERY
def test_of_causal_attention_half_is_needed(architecture: str):
    lm, masked = model(architecture, "language_model"), model(architecture, "masked_encoder")
    spared = flops_per_sequence(lm, 33) - flops_per_sequence(lm, 33, needed=True)
    attention = [block.mixer for block in lm.decoder.blocks if isinstance(block.mixer, Attention)]
    assert spared == sum(33 * 4 * mixer.inner * 16 for mixer in attention)  # of 33 pieces each sees 17, not 33
    assert flops_per_sequence(masked, 33) == flops_per_sequence(masked, 33, needed=True)


def batch_of(objective: str) -> dict[str, torch.Tensor]:
    tokens, lengths = pieces(3, 8), torch.tensor([8, 5, 2])
    where = torch.zeros(3, 8, dtype=torch.bool)
    where[0, 1] = where[0, 5] = where[1, 0] = True
    hidden = tokens.masked_fill(where, bpe.MASK)
    return {
        "language_model": {"tokens": tokens},
        "sequence_pairs": {
            "source": tokens, "source_lengths": lengths, "target": pieces(3, 6, seed=1),
            "target_lengths": torch.tensor([6, 2, 4]),
        },
        "masked": {"tokens": hidden, "lengths": lengths, "where": where, "truth": tokens[where]},
        "classification": {"tokens": tokens, "lengths": lengths, "label": torch.tensor([0, 1, 1])},
        "answers": {"tokens": tokens, "where": where, "truth": tokens[where]},
    }[objective]  # fmt: skip


FAMILY_OF = {
    "language_model": "language_model",
    "sequence_pairs": "encoder_decoder",
    "masked": "masked_encoder",
    "classification": "masked_encoder",
    "answers": "language_model",
}


@EVERY
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_training_step_costs_three_forward_passes(architecture: str, objective: str):
    made: Model = model(architecture, FAMILY_OF[objective], classes=2 * (objective == "classification"))
    batch, zeros = batch_of(objective), torch.ones(VOCABULARY, dtype=torch.int64)
    with torch.no_grad():
        forward = flops(lambda: OBJECTIVES[objective](made, batch, zeros))
    head = 2 * 3 * 16 * 2 if objective == "classification" else 0  # 3 rows, 16 wide, 2 classes: left out as trifling
    assert training_flops(made, batch) == 3 * (forward - head)
    made.embedding.requires_grad_(False)  # a frozen encoder goes forward alone
    assert training_flops(made, batch) == forward - head


@pytest.mark.parametrize("architecture", ["transformer", "lstm", "lstm_feedforward", "lstm_no_attention"])
@pytest.mark.parametrize("objective", ["language_model", "sequence_pairs"])
def test_forward_and_backward_of_a_real_step_are_near_three_forward_passes(architecture: str, objective: str):
    """torch's count differs by what a backward pass saves at the ends (the first recurrent step has no past)."""
    made = model(architecture, FAMILY_OF[objective], width=32, parameters=60_000)
    batch, zeros = batch_of(objective), torch.ones(VOCABULARY, dtype=torch.int64)
    real = flops(lambda: OBJECTIVES[objective](made, batch, zeros).nats.backward())
    assert real == pytest.approx(training_flops(made, batch), rel=0.15)
