"""Each mixer against its equations, written out anew in float64; and what makes it a mixer."""

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tiny import ARCHITECTURES, pieces
from torch.utils.flop_counter import FlopCounterMode

from verdict.device import fp32_products
from verdict.errors import UserError
from verdict.models.families import build
from verdict.models.mixers import dot_product, mixer_class, recurrent
from verdict.models.mixers.attention import Attention, CrossAttention, Rotary
from verdict.models.mixers.base import Mixer
from verdict.models.mixers.dot_product import attend, attention_weights, visible, written_out
from verdict.models.mixers.gru import GRU
from verdict.models.mixers.lstm import LSTM
from verdict.models.mixers.recurrent import Recurrent, read_in, reverse_rows
from verdict.models.mixers.rnn import RNN
from verdict.models.settings import Architecture, Shape
from verdict.models.sizes import solve

WIDTH = 8
States = tuple[torch.Tensor, ...]


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


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    return 1 / (1 + torch.exp(-x))


def lstm(x: list[torch.Tensor], h: list[torch.Tensor], hidden: torch.Tensor, cell: torch.Tensor) -> States:
    """Hochreiter & Schmidhuber's equations with a forget gate."""
    i, f, g, o = (a + b for a, b in zip(x, h, strict=True))
    cell = sigmoid(f) * cell + sigmoid(i) * torch.tanh(g)
    return sigmoid(o) * torch.tanh(cell), cell


def gru(x: list[torch.Tensor], h: list[torch.Tensor], hidden: torch.Tensor) -> States:
    """Cho et al.'s equations, the reset gate after the recurrent product."""
    reset, update = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
    return (update * hidden + (1 - update) * torch.tanh(x[2] + reset * h[2]),)


def rnn(x: list[torch.Tensor], h: list[torch.Tensor], hidden: torch.Tensor) -> States:
    """Elman's equation."""
    return (torch.tanh(x[0] + h[0]),)


#: per mixer: its gates, the parts of its state, and one step from what each gate hears of x and of the hidden state
EQUATIONS = {LSTM: (4, 2, lstm), GRU: (3, 1, gru), RNN: (1, 1, rnn)}
RECURRENT = pytest.mark.parametrize("kind", EQUATIONS)


def by_hand(kind: type[Recurrent], layer: torch.nn.RNNBase, row: torch.Tensor, state: States) -> torch.Tensor:
    """The recurrence, one position after another: row [T, D] -> [T, H]."""
    gates, _, equations = EQUATIONS[kind]
    found = []
    weights = {name: p.detach().chunk(gates) for name, p in layer.named_parameters()}
    for x in row:
        of_x = [w @ x + b for w, b in zip(weights["weight_ih_l0"], weights["bias_ih_l0"], strict=True)]
        of_h = [w @ state[0] + b for w, b in zip(weights["weight_hh_l0"], weights["bias_hh_l0"], strict=True)]
        state = equations(of_x, of_h, *state)
        found.append(state[0])
    return torch.stack(found)


@RECURRENT
@pytest.mark.parametrize("summary", [False, True])
def test_a_causal_recurrence_is_its_equations(kind: type[Recurrent], summary: bool):
    mixer, parts = made(kind, causal=True, summary=summary), EQUATIONS[kind][1]
    x, told = values(2, 6, WIDTH), values(2, WIDTH, seed=1)
    found = mixer(x, None, told if summary else None)
    for row in range(2):
        start = torch.zeros(8 * parts, dtype=torch.float64)
        if summary:
            start = torch.tanh(mixer.bridge.weight @ told[row] + mixer.bridge.bias)
        expected = by_hand(kind, mixer.layers[0], x[row], start.split(8)) @ mixer.project_out.weight.T
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-12)


@RECURRENT
def test_the_other_recurrence_reads_each_row_from_both_of_its_ends(kind: type[Recurrent]):
    mixer = made(kind, causal=False)
    x, lengths = values(3, 6, WIDTH), torch.tensor([6, 4, 1])
    found, zeros = mixer(x, lengths), (torch.zeros(4, dtype=torch.float64),) * EQUATIONS[kind][1]
    for row, length in enumerate(lengths.tolist()):
        there = by_hand(kind, mixer.layers[0], x[row, :length], zeros)
        back = by_hand(kind, mixer.layers[1], x[row, :length].flip(0), zeros).flip(0)
        expected = torch.cat((there, back), -1) @ mixer.project_out.weight.T
        torch.testing.assert_close(found[row, :length], expected, rtol=0, atol=1e-12)


def read(kind: type[Recurrent], dtype: torch.dtype, learned: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's outputs in fp64 and those of its kernel in other numbers, from zeros or from another state."""
    layer, x = made(kind, causal=True).layers[0], values(3, 5, WIDTH)
    start = tuple(values(1, 3, 8, seed=seed) * learned for seed in range(1, 1 + EQUATIONS[kind][1]))
    truth = layer(x, start if len(start) > 1 else start[0])[0]
    return truth, read_in(dtype, layer, x, start)


@RECURRENT
@pytest.mark.parametrize("learned", [False, True])
def test_a_kernel_in_other_numbers_computes_the_same_function(kind: type[Recurrent], learned: bool):
    truth, same = read(kind, torch.float64, learned)
    torch.testing.assert_close(same, truth, rtol=0, atol=1e-14)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        found = read(kind, dtype, learned)[1]
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), truth, rtol=0, atol=tolerance)


@RECURRENT
def test_a_kernel_in_bf16_teaches_the_weights_in_their_own_numbers(kind: type[Recurrent]):
    layer, x = made(kind, causal=True).layers[0], values(3, 5, WIDTH).requires_grad_()
    start = tuple(values(1, 3, 8, seed=seed).requires_grad_() for seed in range(1, 1 + EQUATIONS[kind][1]))
    taught = (x, *start, *layer.parameters())
    truth = torch.autograd.grad(layer(x, start if len(start) > 1 else start[0])[0].square().sum(), taught)
    found = torch.autograd.grad(read_in(torch.bfloat16, layer, x, start).square().sum(), taught)
    for ours, theirs in zip(found, truth, strict=True):
        assert ours.dtype == torch.float64
        assert (ours - theirs).norm() / theirs.norm() < 0.05


def test_the_weights_of_a_kernel_lie_in_one_piece_in_cudnns_order(monkeypatch: pytest.MonkeyPatch):
    given: list[list[torch.Tensor]] = []
    kernel = torch.lstm
    monkeypatch.setattr(
        torch, "lstm", lambda x, start, parts, **more: given.append(parts) or kernel(x, start, parts, **more)
    )
    read(LSTM, torch.float32, learned=True)
    (parts,) = given
    assert parts[0].storage_offset() == 0
    for part, following in pairwise(parts):
        assert part.is_contiguous()
        assert following.data_ptr() == part.data_ptr() + part.nbytes
    assert parts[0].untyped_storage().nbytes() == sum(part.nbytes for part in parts)


class OnGPU(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


@RECURRENT
@pytest.mark.parametrize("causal", [True, False])
def test_on_a_gpu_a_kernel_takes_the_numbers_that_autocast_was_asked_for(
    kind: type[Recurrent], causal: bool, monkeypatch: pytest.MonkeyPatch
):
    """And not fp16, which torch's own autocast of the kernel takes."""
    mixer = made(kind, causal, summary=causal)
    x, lengths, told = values(2, 4, WIDTH), torch.tensor([4, 2]), values(2, WIDTH, seed=1)
    taken: list[torch.dtype] = []

    def recorded(dtype: torch.dtype, *more: object) -> torch.Tensor:
        taken.append(dtype)
        return read_in(torch.float64, *more)

    monkeypatch.setattr(recurrent, "read_in", recorded)
    truth = mixer(x, lengths, told)
    assert not taken
    plain = mixer(x.as_subclass(OnGPU), lengths, told)  # no autocast, so no other numbers
    assert not taken
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: device == "cuda")
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda device: torch.bfloat16)
    found = mixer(x.as_subclass(OnGPU), lengths, told)
    assert taken == [torch.bfloat16] * len(mixer.layers)
    for same in (plain, found):
        torch.testing.assert_close(same.as_subclass(torch.Tensor), truth, rtol=0, atol=1e-14)


@RECURRENT
def test_a_recurrences_first_weights(kind: type[Recurrent]):
    """Every gate's recurrent matrix is orthogonal, and no bias but the forget gate's is set."""
    mixer, gates = kind(WIDTH, 8, True), EQUATIONS[kind][0]
    mixer.reset_parameters(1.0)
    for layer in mixer.layers:
        for matrix in layer.weight_hh_l0.chunk(gates):
            torch.testing.assert_close(matrix @ matrix.T, torch.eye(8), rtol=0, atol=1e-5)
        biases = (layer.bias_ih_l0 + layer.bias_hh_l0).view(gates, 8)
        assert [bool(bias.any()) for bias in biases] == [kind is LSTM and gate == 1 for gate in range(gates)]


def test_reversing_rows_twice_is_nothing_and_leaves_padding_where_it_is():
    x, lengths = values(3, 5, 2), torch.tensor([5, 3, 1])
    once = reverse_rows(x, lengths)
    assert torch.equal(reverse_rows(once, lengths), x)
    assert torch.equal(once[1, 3:], x[1, 3:])
    assert torch.equal(once[1, :3], x[1, :3].flip(0))
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda given: reverse_rows(given, lengths).sin(), x)
    assert torch.autograd.gradgradcheck(lambda given: reverse_rows(given, lengths).sin(), x)


def rotated(x: torch.Tensor, position: int) -> torch.Tensor:
    """Su et al. 2021, equation 15: pairs (2k, 2k + 1)."""
    out = x.clone()
    for k in range(len(x) // 2):
        # the mixer keeps its table in float32
        angle = torch.tensor(position * 10_000.0 ** (-2 * k / len(x)), dtype=torch.float32).double()
        one, other = 2 * k, 2 * k + 1
        out[one] = x[one] * angle.cos() - x[other] * angle.sin()
        out[other] = x[one] * angle.sin() + x[other] * angle.cos()
    return out


def looked_up(asked: torch.Tensor, keys: list[torch.Tensor], told: list[torch.Tensor]) -> torch.Tensor:
    """What one head of attention answers: the values by the softmax of the scaled products."""
    shares = torch.exp(torch.stack([asked @ key / math.sqrt(len(asked)) for key in keys]))
    return sum((share * value for share, value in zip(shares / shares.sum(), told, strict=True)), torch.zeros(()))


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
                keys = [rotated((k @ x[row, s])[own], s) for s in seen]
                parts.append(looked_up(asked, keys, [(v @ x[row, s])[own] for s in seen]))
            by_hand = mixer.project_out.weight @ torch.cat(parts)
            torch.testing.assert_close(found[row, t], by_hand, rtol=0, atol=1e-6)


def test_cross_attention_is_its_equations():
    heads, size = 2, 4
    cross = CrossAttention(WIDTH, heads).double()
    x, encoded, lengths = values(2, 3, WIDTH), values(2, 5, WIDTH, seed=1), torch.tensor([5, 3])
    found = cross(x, cross.memory(encoded), visible(lengths, 5))
    k, v = cross.project_memory.weight.chunk(2)
    for row, length in enumerate(lengths.tolist()):
        for t in range(3):
            parts = []
            for head in range(heads):
                own = slice(head * size, (head + 1) * size)
                keys, told = ([(part @ one)[own] for one in encoded[row, :length]] for part in (k, v))
                parts.append(looked_up((cross.query.weight @ x[row, t])[own], keys, told))
            by_hand = cross.project_out.weight @ torch.cat(parts)
            torch.testing.assert_close(found[row, t], by_hand, rtol=0, atol=1e-12)


@RECURRENT
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("width", [48, 192])
def test_a_recurrent_layer_adds_unit_variance_when_training_begins(kind: type[Recurrent], causal: bool, width: int):
    """As a feed-forward part does: else a residual stack would begin as a copy of its input (docs/fairness.md)."""
    mixer = kind(width, 2 * width, causal)
    torch.manual_seed(0)
    mixer.reset_parameters(0.5)
    with torch.inference_mode():
        assert mixer(torch.randn(16, 64, width)).std().item() == pytest.approx(0.5, rel=0.25)


def test_the_mixer_in_the_documentation_does_what_it_owes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = (Path(__file__).parents[2] / "docs/architectures.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    setting = Architecture("mine:LeakyAverage", 2, True, options={"keep": 0.8})
    shape = Shape("language_model", 16, 4000, 280)
    lm, tokens = build(setting, shape, solve(setting, shape), 0).eval(), pieces(3, 20)
    mixer = lm.decoder.blocks[0].mixer
    decoding, found = lm.start(3, 20), []
    with torch.inference_mode():
        for t in range(20):
            logits, decoding = lm.step(tokens[:, t], decoding)
            found.append(logits)
        torch.testing.assert_close(torch.stack(found, 1), lm.logits(lm(tokens)), rtol=0, atol=1e-5)
        assert mixer(torch.randn(8, 200, 16)).std().item() == pytest.approx(0.5, rel=0.3)
    assert decoding.states[0].mean.shape == (3, mixer.state_floats(20))
    with FlopCounterMode(display=False) as counter:
        mixer(torch.randn(1, 20, 16))
    assert counter.get_total_flops() == 20 * mixer.flops_per_token(20)


def test_one_key_is_all_there_is_to_see():
    """A piece alone in its sequence attends to itself; the products are spared, the function stays."""
    q, v = values(2, 3, 4, 5), values(2, 3, 1, 5, seed=1)
    k, seen = values(2, 3, 1, 5, seed=2), torch.ones(2, 1, dtype=torch.bool)
    torch.testing.assert_close(attend(q, k, v), written_out(q, k, v, seen, causal=False))


def test_cross_attention_begins_with_square_matrices_of_glorots_scale():
    cross = CrossAttention(64)
    cross.reset_parameters(0.5)
    squares = {cross.query.weight: 1.0, cross.project_out.weight: 0.5}
    squares |= dict.fromkeys(cross.project_memory.weight.chunk(2), 1.0)
    for square, scale in squares.items():
        assert square.abs().max().item() == pytest.approx(scale * math.sqrt(6 / (64 + 64)), rel=0.01)


def test_rotary_products_depend_on_the_distance_alone():
    rotary, q, k = Rotary(8), values(1, 8), values(1, 8, seed=1)
    products = [(rotary.at(q, start + 5) * rotary.at(k, start)).sum().item() for start in (0, 1, 17, 200, 300)]
    assert products == pytest.approx([products[0]] * 5, abs=1e-5)
    assert abs((rotary.at(q, 6) * rotary.at(k, 0)).sum().item() - products[0]) > 1e-3


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
    keys = 7 if causal else 5  # a decoder's source has another length than its target
    q, k, v = values(2, 3, 7, 4), values(2, 3, keys, 4, seed=1), values(2, 3, keys, 4, seed=2)
    mask = visible(torch.tensor([keys, 4]), keys) if masked else None
    fused = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, None if mask is None else mask[:, None, None, :], 0.0, causal
    )
    for found in (attend(q, k, v, mask, causal), written_out(q, k, v, mask, causal)):
        torch.testing.assert_close(found, fused, rtol=0, atol=1e-12)
    torch.testing.assert_close(attention_weights(q, k, mask, causal) @ v, fused, rtol=0, atol=1e-12)
    half = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), mask, causal)  # the numbers for which it is written out
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), fused, rtol=0, atol=0.05)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("block", [1, 3, 7, 256])
def test_blocks_of_queries_are_the_whole_gradients_included(monkeypatch: pytest.MonkeyPatch, causal: bool, block: int):
    """What is hidden is added behind autograd's back: the gradients have to be the fused kernel's all the same."""
    monkeypatch.setattr(dot_product, "BLOCK", block)
    given = [values(2, 3, 7, 4, seed=i).requires_grad_() for i in range(3)]
    mask = None if causal else visible(torch.tensor([7, 4]), 7)
    fused = torch.nn.functional.scaled_dot_product_attention(
        *given, None if mask is None else mask[:, None, None, :], 0.0, causal
    )
    upstream = values(2, 3, 7, 4, seed=9)
    found = written_out(*given, mask, causal)
    torch.testing.assert_close(found, fused, rtol=0, atol=1e-12)
    for one, other in zip(
        torch.autograd.grad(found, given, upstream), torch.autograd.grad(fused, given, upstream), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_where_the_path_changes_the_function_does_not(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, causal: bool
):
    monkeypatch.setattr(dot_product, "WRITTEN_OUT", {dtype: 8 * 8})
    monkeypatch.setattr(dot_product, "FEW", 1)
    ways, way = [], dot_product.written_out
    monkeypatch.setattr(dot_product, "written_out", lambda *given: ways.append(given) or way(*given))
    q, k, v = (values(1, 1, 9, 2, seed=i).to(dtype) for i in range(3))
    hidden = torch.arange(9)[None] < 8  # so that eight keys are seen either way
    whole = attend(q, k, v, None if causal else hidden, causal)
    assert not ways
    part = attend(*(x[:, :, :8] for x in (q, k, v)), causal=causal)
    assert len(ways) == 1
    torch.testing.assert_close(whole[:, :, :8], part, rtol=0, atol=1e-6 if dtype == torch.float32 else 0.02)


@pytest.mark.parametrize(("rows", "expected"), [(1, 0), (2, 1)])
def test_single_queries_are_written_out_where_they_are_many(monkeypatch: pytest.MonkeyPatch, rows: int, expected: int):
    monkeypatch.setattr(dot_product, "MANY", 6)
    levels, way = [], dot_product.written_out
    noted = lambda *given: levels.append(torch.get_float32_matmul_precision()) or way(*given)  # noqa: E731
    monkeypatch.setattr(dot_product, "written_out", noted)
    q, k, v = values(rows, 3, 1, 4).float(), values(rows, 3, 9, 4).float(), values(rows, 3, 9, 4, seed=1).float()
    mask = visible(torch.tensor([5, 9][:rows]), 9)
    with fp32_products("medium"):
        found = attend(q, k, v, mask)
    assert levels == ["highest"] * expected
    torch.testing.assert_close(found, attention_weights(q, k, mask) @ v, rtol=0, atol=1e-6)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", [Attention, *EQUATIONS])
def test_gradients_are_those_of_finite_differences(kind: type[Mixer], causal: bool):
    mixer = made(kind, causal, **({"heads": 2} if kind is Attention else {"summary": causal}))
    told = values(2, WIDTH, seed=5).requires_grad_() if kind is not Attention and causal else None
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


@pytest.mark.parametrize("kind", [Attention, *EQUATIONS])
def test_what_steps_have_written_is_all_that_later_steps_see_of_them(kind: type[Mixer]):
    """With what two steps wrote set to other values, it no longer matters what they read."""
    mixer, x = made(kind, causal=True).requires_grad_(False), values(2, 3, WIDTH)

    def after(sign: int, change: bool) -> torch.Tensor:
        state = mixer.initial_state(x[:, 0], 3)
        for position, now in enumerate((sign * x[:, 0], sign * x[:, 1])):
            _, state = mixer.step(now, state)
            if change:
                for number, part in enumerate(mixer.written(state)):
                    assert part.shape[0] == 2
                    part.copy_(values(*part.shape, seed=10 * position + number))
        return mixer.step(x[:, 2], state)[0]

    assert torch.equal(after(1, change=True), after(-1, change=True))
    assert not torch.allclose(after(1, change=False), after(-1, change=False))


@pytest.mark.parametrize("kind", [Attention, *EQUATIONS])
@pytest.mark.parametrize("capacity", [0, 2])
def test_steps_beyond_the_capacity_give_the_same_and_leave_earlier_states_alone(kind: type[Mixer], capacity: int):
    mixer, x = made(kind, causal=True), values(2, 5, WIDTH)
    whole, state = mixer(x), mixer.initial_state(x, capacity)
    for t in range(5):
        kept = [part.clone() for part in state if isinstance(part, torch.Tensor)]
        with torch.set_grad_enabled(capacity == 0):
            found, after = mixer.step(x[:, t], state)
        torch.testing.assert_close(found, whole[:, t], rtol=0, atol=1e-6)
        if t >= capacity:
            now = [part for part in state if isinstance(part, torch.Tensor)]
            assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))
        state = after
    if capacity == 0:  # so gradients go through steps
        ours = torch.autograd.grad(found.sum(), list(mixer.parameters()), allow_unused=True)
        theirs = torch.autograd.grad(whole[:, 4].sum(), list(mixer.parameters()), allow_unused=True)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


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
        ({"mixer": "gru", "options": {"forget_bias": 1.0}}, "none"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence_before_anything_is_trained(change: dict, word: str):
    architecture = Architecture(**{**vars(ARCHITECTURES["transformer"]), **change})
    with pytest.raises(UserError, match=word):
        solve(architecture, Shape("encoder_decoder", 16, 14_000, 280))
