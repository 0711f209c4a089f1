"""The output's cross-entropy in portions against torch's on whole logits."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from verdict.training import cross_entropy
from verdict.training.cross_entropy import linear_cross_entropy, summed_cross_entropy

WIDTH, VOCABULARY = 5, 7


def drawn(rows: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    chance = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, WIDTH, generator=chance, dtype=dtype) * scale
    weight = torch.randn(VOCABULARY, WIDTH, generator=chance, dtype=dtype)
    return hidden.requires_grad_(), weight.requires_grad_(), torch.randint(VOCABULARY, (rows,), generator=chance)


def whole(hidden: torch.Tensor, weight: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(hidden @ weight.T, truth, reduction="sum")


@given(
    rows=st.integers(0, 40), portion=st.integers(1, 50), scale=st.sampled_from([0.0, 0.1, 1.0, 30.0, 1e4]),
    which=st.sampled_from([(True, True), (True, False), (False, True), (False, False)]),
)  # fmt: skip
def test_loss_and_gradients_are_those_of_whole_logits(rows: int, portion: int, scale: float, which: tuple[bool, bool]):
    given = drawn(rows, scale)
    for tensor, wanted in zip(given, which, strict=False):
        tensor.requires_grad_(wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_entropy, "ROWS", portion)
        found = linear_cross_entropy(*given)
    expected = whole(*given)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    if any(which):
        asked = [tensor for tensor, wanted in zip(given, which, strict=False) if wanted]
        for one, other in zip(
            torch.autograd.grad(3.0 * found, asked), torch.autograd.grad(3.0 * expected, asked), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_on_other_devices_it_is_that_of_whole_logits():
    given = hidden, weight, truth = drawn(9, dtype=torch.float32)
    torch.testing.assert_close(summed_cross_entropy(hidden @ weight.T, truth), whole(*given))
    hidden, weight, truth = (tensor.to("meta") for tensor in given)
    assert linear_cross_entropy(hidden, weight, truth).shape == ()


def test_gradients_are_those_of_finite_differences():
    hidden, weight, truth = drawn(6)
    assert torch.autograd.gradcheck(lambda h, w: linear_cross_entropy(h, w, truth), (hidden, weight))


def test_a_loss_that_no_share_can_hold_is_told_all_the_same():
    hidden, weight, truth = drawn(9, scale=1e3, dtype=torch.float32)
    found, expected = linear_cross_entropy(hidden, weight, truth), whole(hidden, weight, truth)
    assert expected > 1000
    torch.testing.assert_close(found, expected)


def test_what_is_no_number_stays_none():
    hidden, weight, truth = drawn(3)
    with torch.no_grad():
        hidden[1, 0] = float("nan")
    assert linear_cross_entropy(hidden, weight, truth).isnan()


def test_in_bf16_it_is_as_near_as_whole_logits_are():
    hidden, weight, truth = drawn(600, dtype=torch.float32)
    exact = torch.autograd.grad(whole(hidden, weight, truth), (hidden, weight))
    with torch.autocast("cpu", torch.bfloat16):
        found = linear_cross_entropy(hidden, weight, truth)
    assert found.dtype == torch.float32
    assert found != whole(hidden, weight, truth), "its products are those of bf16"
    torch.testing.assert_close(found, whole(hidden, weight, truth), rtol=1e-3, atol=0)
    for one, other in zip(torch.autograd.grad(found, (hidden, weight)), exact, strict=True):
        assert one.dtype == torch.float32
        assert ((one - other).norm() / other.norm()).item() < 0.01
