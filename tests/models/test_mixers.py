"""Each mixer against its equations, written out anew in float64; and what makes it a mixer."""

import math

import pytest
import torch
from tiny import ARCHITECTURES, pieces

from verdict.errors import UserError
from verdict.models.families import build
from verdict.models.mixers import mixer_class
from verdict.models.mixers.attention import Attention, CrossAttention, Rotary, attend, visible
from verdict.models.mixers.base import Mixer
from verdict.models.mixers.lstm import LSTM, reverse_rows
from verdict.models.settings import Architecture, Shape
from verdict.models.sizes import solve

WIDTH = 8


def made(kind: type[Mixer], causal: bool, **more: object) -> Mixer:
    mixer = kind(WIDTH, 8, causal, **more)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mixer.reset_parameters(1.0)
        for parameter in mixer.parameters():  # biases too, so that a forgotten one shows
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, std=0.5)
    return mixer.double()


def values(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def lstm_by_hand(layer: torch.nn.LSTM, row: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
    """Hochreiter & Schmidhuber's equations with a forget gate, one position after another: row [T, D] -> [T, H]."""
    size, found = layer.hidden_size, []
    weights = {name: p.detach() for name, p in layer.named_parameters()}
    for x in row:
        gates = weights["weight_ih_l0"] @ x + weights["weight_hh_l0"] @ hidden
        gates = gates + weights["bias_ih_l0"] + weights["bias_hh_l0"]
        i, f, g, o = (gates[k * size : (k + 1) * size] for k in range(4))
        cell = cell / (1 + torch.exp(-f)) + torch.tanh(g) / (1 + torch.exp(-i))
        hidden = torch.tanh(cell) / (1 + torch.exp(-o))
        found.append(hidden)
    return torch.stack(found)


@pytest.mark.parametrize("summary", [False, True])
def test_the_causal_lstm_is_its_equations(summary: bool):
    mixer = made(LSTM, causal=True, summary=summary)
    x, told = values(2, 6, WIDTH), values(2, WIDTH, seed=1)
    found = mixer(x, None, told if summary else None)
    for row in range(2):
        if summary:
            start = torch.tanh(mixer.bridge.weight @ told[row] + mixer.bridge.bias)
            hidden, cell = start[:8], start[8:]
        else:
            hidden = cell = torch.zeros(8, dtype=torch.float64)
        by_hand = lstm_by_hand(mixer.layers[0], x[row], hidden, cell) @ mixer.project_out.weight.T
        torch.testing.assert_close(found[row], by_hand, rtol=0, atol=1e-12)


def test_the_other_lstm_reads_each_row_from_both_of_its_ends():
    mixer = made(LSTM, causal=False)
    x, lengths = values(3, 6, WIDTH), torch.tensor([6, 4, 1])
    found, zeros = mixer(x, lengths), torch.zeros(4, dtype=torch.float64)
    for row, length in enumerate(lengths.tolist()):
        there = lstm_by_hand(mixer.layers[0], x[row, :length], zeros, zeros)
        back = lstm_by_hand(mixer.layers[1], x[row, :length].flip(0), zeros, zeros).flip(0)
        by_hand = torch.cat((there, back), -1) @ mixer.project_out.weight.T
        torch.testing.assert_close(found[row, :length], by_hand, rtol=0, atol=1e-12)


def test_reversing_rows_twice_is_nothing_and_leaves_padding_where_it_is():
    x, lengths = values(3, 5, 2), torch.tensor([5, 3, 1])
    once = reverse_rows(x, lengths)
    assert torch.equal(reverse_rows(once, lengths), x)
    assert torch.equal(once[1, 3:], x[1, 3:])
    assert torch.equal(once[1, :3], x[1, :3].flip(0))


def rotated(x: torch.Tensor, position: int) -> torch.Tensor:
    """Su et al. 2021, pairs (k, k + E/2)."""
    half, out = len(x) // 2, x.clone()
    for k in range(half):
        # the mixer keeps its table in float32
        angle = torch.tensor(position * 10_000.0 ** (-2 * k / len(x)), dtype=torch.float32).double()
        out[k] = x[k] * angle.cos() - x[k + half] * angle.sin()
        out[k + half] = x[k] * angle.sin() + x[k + half] * angle.cos()
    return out


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_its_equations(causal: bool):
    heads, size = 2, 4
    mixer = made(Attention, causal, heads=heads)
    x, lengths = values(2, 5, WIDTH), torch.tensor([5, 3])
    found = mixer(x, None if causal else lengths)
    q, k, v = (part.detach() for part in mixer.project_in.weight.chunk(3))
    for row, length in enumerate(lengths.tolist()):
        for t in range(length):
            seen, parts = range(t + 1) if causal else range(length), []
            for head in range(heads):
                own = slice(head * size, (head + 1) * size)
                asked = rotated((q @ x[row, t])[own], t)
                scores = torch.stack([asked @ rotated((k @ x[row, s])[own], s) / math.sqrt(size) for s in seen])
                told = torch.exp(scores) / torch.exp(scores).sum()
                parts.append(sum(w * (v @ x[row, s])[own] for w, s in zip(told, seen, strict=True)))
            by_hand = mixer.project_out.weight @ torch.cat(parts)
            torch.testing.assert_close(found[row, t], by_hand, rtol=0, atol=1e-6)


def test_rotary_products_depend_on_the_distance_alone():
    rotary, q, k = Rotary(8), values(1, 8), values(1, 8, seed=1)
    products = [(rotary(q, start + 5) * rotary(k, start)).sum().item() for start in (0, 1, 17, 200, 300)]
    assert products == pytest.approx([products[0]] * 5, abs=1e-5)
    assert abs((rotary(q, 6) * rotary(k, 0)).sum().item() - products[0]) > 1e-3


def test_a_rotary_table_grown_in_a_validation_still_serves_training():
    mixer = Attention(WIDTH, 8, False, heads=2)
    with torch.inference_mode():
        mixer(torch.randn(1, 300, WIDTH), torch.tensor([300]))
    mixer(torch.randn(1, 5, WIDTH), torch.tensor([5])).sum().backward()
    assert mixer.project_in.weight.grad is not None


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_the_written_out_products_are_torchs_fused_attention(causal: bool, masked: bool):
    if causal and masked:
        pytest.skip("no caller masks a causal row")
    q, k, v = (values(2, 3, 7, 4, seed=i) for i in range(3))
    mask = visible(torch.tensor([7, 4]), 7) if masked else None
    fused = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, None if mask is None else mask[:, None, None, :], 0.0, causal
    )
    torch.testing.assert_close(attend(q, k, v, mask, causal), fused, rtol=0, atol=1e-12)


def test_long_rows_take_the_fused_kernel_and_agree_with_the_other_path():
    """At 1024 × 1024 scores the path changes; the function must not."""
    q, k, v = (values(1, 1, 1025, 2, seed=i) for i in range(3))
    whole = attend(q, k, v, causal=True)
    torch.testing.assert_close(whole[:, :, :1024], attend(*(x[:, :, :1024] for x in (q, k, v)), causal=True))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", [Attention, LSTM])
def test_gradients_are_those_of_finite_differences(kind: type[Mixer], causal: bool):
    mixer = made(kind, causal, **({"heads": 2} if kind is Attention else {"summary": causal}))
    told = values(2, WIDTH, seed=5).requires_grad_() if kind is LSTM and causal else None
    lengths = torch.tensor([4, 2])

    def real(x: torch.Tensor, told: torch.Tensor | None, *_: torch.Tensor) -> torch.Tensor:
        out = mixer(x, lengths, told)
        return out[visible(lengths, 4)]

    inputs = (values(2, 4, WIDTH).requires_grad_(), told, *mixer.parameters())
    assert torch.autograd.gradcheck(real, inputs, fast_mode=True)


def test_gradients_through_cross_attention_are_those_of_finite_differences():
    cross = CrossAttention(WIDTH, 2).double()
    cross.reset_parameters(1.0)
    mask = visible(torch.tensor([3, 2]), 3)

    def real(x: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        return cross(x, cross.memory(encoded), mask)

    inputs = (values(2, 4, WIDTH).requires_grad_(), values(2, 3, WIDTH, seed=1).requires_grad_())
    assert torch.autograd.gradcheck(real, inputs)


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.5])
def test_the_forget_bias_is_as_set_and_all_other_biases_are_zero(bias: float):
    mixer = LSTM(WIDTH, 8, False, forget_bias=bias)
    mixer.reset_parameters(1.0)
    for layer in mixer.layers:
        total = layer.bias_ih_l0 + layer.bias_hh_l0
        assert total[4:8].tolist() == [bias] * 4
        assert not total[:4].any()
        assert not total[8:].any()


class Mean(Mixer):
    """The mean of the past: the smallest mixer somebody might add."""

    @classmethod
    def granularity(cls, causal: bool, **options: object) -> int:
        return 1

    def reset_parameters(self, residual_scale: float) -> None:
        pass

    def forward(self, x, lengths=None, summary=None):
        return x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]

    def initial_state(self, x, capacity, summary=None):
        return (x.new_zeros(x.shape[0], self.width), x.new_zeros(x.shape[0], 1))

    def step(self, x, state):
        total, count = state[0] + x, state[1] + 1
        return total / count, (total, count)

    def flops_per_token(self, context: int) -> int:
        return 0

    def state_floats(self, context: int) -> int:
        return self.width + 1

    def chain(self, length: int) -> int:
        return 1


def test_a_mixer_named_by_its_import_path_works_like_the_known_ones():
    architecture = Architecture(f"{__name__}:Mean", 2, feedforward=True, dropout=0.0)
    shape = Shape("language_model", 16, 3000, 280)
    model = build(architecture, shape, solve(architecture, shape), 0).eval()
    tokens, decoding = pieces(2, 6), model.start(2, 6)
    whole = model.logits(model(tokens))
    for t in range(6):
        logits, decoding = model.step(tokens[:, t], decoding)
        torch.testing.assert_close(logits, whole[:, t], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["atention", "no.such.module:Mixer", "verdict.models.mixers.lstm:Nothing", "json:loads", ":", ":Mixer", "json:",
     "verdict.models.block:Block", "..json:loads", ""],
)  # fmt: skip
def test_a_wrong_name_of_a_mixer_is_one_sentence(name: str):
    with pytest.raises(UserError) as told:
        mixer_class(name)
    assert name in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"options": {"head": 4}}, "heads"),
        ({"options": {"heads": 3}}, "width"),
        ({"options": {"heads": 0}}, "heads"),
        ({"options": {"heads": "2"}}, "heads"),
        ({"options": {"heads": 16}}, "width"),
        ({"cross_attention": "none"}, "cross_attention"),
        ({"mixer": "lstm", "options": {"heads": 2}}, "forget_bias"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence_before_anything_is_trained(change: dict, word: str):
    architecture = Architecture(**{**vars(ARCHITECTURES["transformer"]), **change})
    with pytest.raises(UserError, match=word):
        solve(architecture, Shape("encoder_decoder", 16, 14_000, 280))
