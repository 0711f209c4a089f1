"""What earlier comparisons got wrong, each planted here and caught: an unfairness that reaches one side alone.

Every check is a function of a model or a run that gives the same for all architectures; with the defect it does not.
The errors are those of well-known tutorials, examples and papers (shared by one side: free running, a carried state,
weight tying, dropout; one run a cell; unequal parameters; an untuned rival; a straw implementation; timing in company).
"""

from collections.abc import Callable
from dataclasses import replace
from types import MethodType
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn

from verdict.device import prepare
from verdict.models.families import LanguageModel, Model
from verdict.models.mixers.lstm import LSTM
from verdict.models.mixers.recurrent import Recurrent
from verdict.models.sizes import count
from verdict.training.loop import evaluate, loss_of
from verdict.training.objectives import OBJECTIVES

BOTH = ("transformer", "lstm")
EVERY = tuple(tiny.ARCHITECTURES)
BYTES = torch.ones(tiny.VOCABULARY, dtype=torch.int64)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    prepare(1)


def windows(count: int = 3, length: int = 8, seed: int = 0) -> list[dict[str, Tensor]]:
    return [{"tokens": tiny.pieces(2, length + 1, seed=seed + i)} for i in range(count)]


def losses(model: Model, batches: list[dict[str, Tensor]]) -> list[float]:
    """The loss of each batch, read one after the other."""
    return [loss_of(evaluate(model, iter([batch]), OBJECTIVES["language_model"], BYTES)) for batch in batches]


# ------------------------------------------------------------------------------------------- a state that is carried


def remembers(model: Model) -> bool:
    """Whether what was read before changes the loss of a window."""
    batches = windows()
    return losses(model, batches) != list(reversed(losses(model, list(reversed(batches)))))


def carry(model: Model) -> None:
    """The defect: every recurrent layer goes on from the state in which it was left."""
    for block in model.stacks()["decoder"].blocks:
        left: dict[str, Any] = {}

        def forward(self: LSTM, x: Tensor, *_: Any, left: dict[str, Any] = left) -> Tensor:
            mixed, left["state"] = self.layers[0](x, left.get("state"))
            return self.project_out(mixed)

        block.mixer.forward = MethodType(forward, block.mixer)  # type: ignore[method-assign]


@pytest.mark.parametrize("architecture", EVERY)
def test_no_architecture_carries_its_state_from_window_to_window(architecture: str):
    assert not remembers(tiny.model(architecture, "language_model"))


def test_a_carried_state_is_caught():
    model = tiny.model("lstm", "language_model")
    carry(model)
    assert remembers(model)


# --------------------------------------------------------------------------------- free running against teacher forcing


def follows_the_reference(model: LanguageModel, cost: Callable[..., Any]) -> bool:
    """Whether the loss at a position hangs on the reference before it (teacher forcing): two references that differ in
    one early piece must give different losses at later positions, whatever the model itself would have said."""
    one = windows(1)[0]["tokens"]
    other = one.clone()
    other[:, 2] = (other[:, 2] - 4 + 1) % (tiny.VOCABULARY - 4) + 4

    def late(tokens: Tensor) -> float:
        """The loss of the last two pieces, given everything before them."""
        with torch.inference_mode():
            whole = cost(model, {"tokens": tokens}, BYTES).nats
            begun = cost(model, {"tokens": tokens[:, :-2]}, BYTES).nats
        return float(whole - begun)

    return abs(late(one) - late(other)) > 1e-3  # beyond rounding


def free_running(model: LanguageModel, batch: dict[str, Tensor], piece_bytes: Tensor) -> Any:
    """The defect: from the second piece on the model reads its own output."""
    tokens = batch["tokens"].clone()
    for position in range(1, tokens.shape[1] - 1):
        tokens[:, position] = model.logits(model(tokens[:, :position])[:, -1]).argmax(-1)
    own = OBJECTIVES["language_model"](model, {"tokens": tokens}, piece_bytes)
    hidden = model(tokens[:, :-1])
    truth = batch["tokens"][:, 1:].flatten()
    nats = nn.functional.cross_entropy(model.logits(hidden).flatten(0, 1).float(), truth, reduction="sum")
    return own._replace(nats=nats)


@pytest.mark.parametrize("architecture", EVERY)
def test_every_architecture_is_scored_with_the_reference_given(architecture: str):
    model = tiny.model(architecture, "language_model")
    assert isinstance(model, LanguageModel)
    assert follows_the_reference(model, OBJECTIVES["language_model"])


@pytest.mark.parametrize("architecture", BOTH)
def test_free_running_is_caught(architecture: str):
    model = tiny.model(architecture, "language_model")
    assert isinstance(model, LanguageModel)
    assert not follows_the_reference(model, free_running)


# ------------------------------------------------------------------------------------- tying and dropout for one alone


def tied(model: Model) -> bool:
    """Whether the output weights are the embedding: without it nothing but the hidden state's own bias is left."""
    hidden = torch.randn(3, model.shape.width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return bool(torch.equal(model.logits(hidden), hidden @ model.embedding.weight.T))


class Untied(nn.Module):
    """The defect: an output layer of its own."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.own = nn.Linear(model.shape.width, model.shape.vocabulary, bias=False)


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("architecture", EVERY)
def test_every_architecture_ties_its_output_to_the_embedding(architecture: str, family: str):
    if family == "encoder_decoder" and architecture in ("gru", "rnn_classic"):
        pytest.skip("covered by the language model")
    model = tiny.model(architecture, family)
    assert tied(model)
    assert not any(tuple(p.shape) == (model.shape.vocabulary, model.shape.width) for n, p in model.named_parameters()
                   if n != "embedding.weight")  # fmt: skip


def test_an_output_layer_of_its_own_is_caught():
    model = tiny.model("transformer", "language_model")
    model.untied = Untied(model)  # type: ignore[assignment]
    model.logits = MethodType(lambda self, hidden: self.untied.own(hidden), model)  # type: ignore[method-assign]
    assert not tied(model)


def dropped(model: Model) -> dict[str, float]:
    """Where dropout stands: on the embedding, and after each part of a block, by the share that it drops."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            found[name] = module.p
        if isinstance(module, nn.RNNBase) and module.dropout:
            found[name + " inside the kernel"] = module.dropout
    return found


def test_dropout_stands_at_the_same_places_for_every_architecture():
    places = [dropped(tiny.model(replace(tiny.ARCHITECTURES[name], dropout=0.3), "language_model")) for name in EVERY]
    assert all(place == places[0] for place in places)
    assert set(places[0].values()) == {0.3}


@pytest.mark.parametrize("architecture", BOTH)
def test_dropout_is_heard_in_training_and_silent_in_evaluation(architecture: str):
    model = tiny.model(replace(tiny.ARCHITECTURES[architecture], dropout=0.3), "language_model")
    tokens = windows(1)[0]["tokens"]
    with torch.no_grad():
        assert torch.equal(model(tokens), model(tokens))
        model.train()
        assert not torch.equal(model(tokens), model(tokens))


def test_dropout_that_misses_one_architecture_is_caught():
    full = tiny.model(replace(tiny.ARCHITECTURES["transformer"], dropout=0.3), "language_model")
    spared = tiny.model(replace(tiny.ARCHITECTURES["lstm"], dropout=0.3), "language_model")
    spared.dropout.p = 0.0
    assert dropped(spared) != dropped(full)


# ----------------------------------------------------------------------------- unequal parameters, straw implementation


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_contestants_have_equal_parameters_and_a_larger_one_is_caught(family: str):
    def spread(counts: list[int]) -> float:
        return max(counts) / min(counts)

    counts = [count(tiny.model(name, family, parameters=60_000))["nonembedding"] for name in BOTH]
    assert spread(counts) < 1.01
    unequal = count(tiny.model("lstm", family, parameters=180_000))["nonembedding"]  # as 61 M against 19 M
    assert spread([counts[0], unequal]) > 2


@pytest.mark.parametrize("architecture", [name for name in EVERY if tiny.ARCHITECTURES[name].mixer != "attention"])
def test_recurrent_models_run_on_the_frameworks_kernel_and_not_in_a_loop(architecture: str):
    model = tiny.model(architecture, "language_model")
    calls = 0

    def called(*_: Any) -> None:
        nonlocal calls
        calls += 1

    for block in model.stacks()["decoder"].blocks:
        assert isinstance(block.mixer, Recurrent)
        for layer in block.mixer.layers:
            assert isinstance(layer, nn.RNNBase)
            layer.register_forward_hook(called)
    with torch.no_grad():
        model(tiny.pieces(2, 50))
    assert calls == len(model.stacks()["decoder"].blocks)  # once a layer, not once a step
