"""Gradients back in time: mixers whose gradient is known in closed form, planted differences, and the rows."""

import json
import math
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import ARCHITECTURES, model, pieces

from verdict.errors import UserError
from verdict.files import read_json
from verdict.measure import gradients
from verdict.measure.gradients import CEILING, FLOOR, Settings, decay_per_step, gradient_norms, kept
from verdict.models.families import InnerWidths, LanguageModel, build
from verdict.models.mixers.base import Mixer
from verdict.models.settings import Architecture, Shape
from verdict.tokens.arrays import Records

LENGTH = 24
DISTANCES = [0, 1, 2, 3, 5, 8, 12, 16, 20, 23]


class Leaky(Mixer):
    """h_t = a h_{t−1} + x_t, and h_t is what comes out: a gradient k steps back is that of now times a^k."""

    def __init__(self, width: int, inner: int, causal: bool, summary: bool = False, a: float = 0.5) -> None:
        super().__init__(width, inner, causal, summary)
        self.a = a

    @classmethod
    def granularity(cls, causal: bool, **options: object) -> int:
        return 1

    def reset_parameters(self, residual_scale: float) -> None:
        pass

    def forward(self, x, lengths=None, summary=None):
        raise NotImplementedError

    def initial_state(self, x, capacity, summary=None):
        return (x.new_zeros(x.shape[0], self.width),)

    def step(self, x, state):
        after = self.a * state[0] + x
        return after, (after,)

    flops_per_token = state_floats = chain = lambda self, length: 0


class Recent(Leaky):
    """The sum of the last three inputs, kept in a state of two: nothing older is seen."""

    def initial_state(self, x, capacity, summary=None):
        return (x.new_zeros(x.shape[0], self.width), x.new_zeros(x.shape[0], self.width))

    def step(self, x, state):
        return x + state[0] + state[1], (x, state[0])


class Hidden(Leaky):
    """Gives out its input as it is and hands on nothing, but its gradient is that of ``Leaky``."""

    def step(self, x, state):
        past = self.a * state[0]
        after = x + past - past.detach()
        return after, (after,)


class Alone(Leaky):
    """Sees nothing but the present and keeps nothing."""

    def initial_state(self, x, capacity, summary=None):
        return ()

    def step(self, x, state):
        return x, state


def bare(mixer: type[Mixer], **options: object) -> LanguageModel:
    """One mixer between the embedding and the output, and nothing else."""
    setting = Architecture(
        f"{__name__}:{mixer.__name__}", 1, False, norm=False, residual=False, dropout=0.0, options=options
    )
    return build(setting, Shape("language_model", 8, 0, 280), [InnerWidths(8, 0)], 0)


WINDOWS = pieces(3, LENGTH + 1)


@pytest.mark.parametrize("a", [0.5, 0.9, 1.0, 1.25, 2.0])
def test_a_linear_recurrence_keeps_a_to_the_k(a: float):
    """Vanishing, lasting and exploding."""
    of_input, of_state = gradient_norms(bare(Leaky, a=a), WINDOWS, DISTANCES)
    assert kept(of_input) == pytest.approx({k: a**k for k in DISTANCES}, rel=1e-4)
    assert kept(of_state) == pytest.approx({k: a ** (k - 1) for k in DISTANCES if k}, rel=1e-4)
    assert of_state[5] == pytest.approx(of_input[5], rel=1e-5)  # in one layer the state is the only way from the input
    for norms in (of_input, of_state):
        assert decay_per_step(norms, 8) == pytest.approx(a, rel=1e-4)


@given(
    a=st.floats(0.3, 3.0),
    scale=st.floats(1e-3, 1e3),
    distances=st.lists(st.integers(1, 40), min_size=2, max_size=8, unique=True),
)
def test_a_geometric_decay_is_read_off_exactly_whatever_the_scale(a: float, scale: float, distances: list[int]):
    norms = {k: a**k for k in distances}
    scaled = {k: scale * norm for k, norm in norms.items()}
    assert decay_per_step(scaled, min(distances)) == pytest.approx(a, rel=1e-6)
    assert kept(scaled) == pytest.approx(kept(norms), rel=1e-9)


def test_a_model_that_cannot_see_further_keeps_nothing_from_there():
    of_input, of_state = gradient_norms(bare(Recent), WINDOWS, DISTANCES)
    assert kept(of_input) == {k: pytest.approx(1.0) if k < 3 else 0.0 for k in DISTANCES}
    assert all((share > 0) == (k < 3) for k, share in kept(of_state).items())
    assert decay_per_step(of_input, 8) < 1e-6
    assert decay_per_step(of_state, 8) < 1e-6


def test_a_model_without_a_past_has_no_state_to_lose():
    of_input, of_state = gradient_norms(bare(Alone), WINDOWS, DISTANCES)
    assert kept(of_input) == {k: float(k == 0) for k in DISTANCES}
    assert of_state == {}
    assert kept(of_state) == {}
    assert kept(dict.fromkeys(DISTANCES, 0.0)) == {}


@pytest.mark.parametrize("a", [1e-30, 1e-3, 1e3, 1e30])
def test_beyond_the_range_of_fp32_nothing_breaks(a: float):
    """Gradients of exactly zero and of infinity, some before the far part begins: the decay is a bound of a."""
    for norms in gradient_norms(bare(Hidden, a=a), WINDOWS, DISTANCES):
        assert all(0 <= norm <= CEILING for norm in norms.values())
        assert norms[23] == (0.0 if a < 1 else CEILING)
        decay = decay_per_step(norms, 8)
        assert a * 0.99 < decay < 0.02 if a < 1 else 50 < decay < a * 1.01


def test_a_loss_that_is_not_finite_is_no_measurement():
    with pytest.raises(FloatingPointError):
        gradient_norms(bare(Leaky, a=1e30), WINDOWS, DISTANCES)


@given(a=st.sampled_from([1e-3, 0.02, 0.3, 3.0, 50.0, 1e3]), far=st.integers(1, 60))
def test_what_lies_beyond_the_limits_of_fp32_does_not_flatten_the_line(a: float, far: int):
    """Exact where two far distances are within the limits, else near and on the safe side."""
    norms = {k: min(a**k, CEILING) if a**k >= FLOOR else 0.0 for k in range(1, 70)}
    decay = decay_per_step(norms, far)
    within = [k for k in norms if k >= far and FLOOR <= norms[k] < CEILING]
    if len(within) > 1:
        assert decay == pytest.approx(a, rel=1e-6)
    assert 0.9 < math.log(decay) / math.log(a) < 1 + 1e-6


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_stepping_gives_the_gradient_of_the_whole_row(architecture: str):
    """The input's gradient by the sequence call that training uses; and measuring leaves a model as it was."""
    made = model(architecture, "language_model")
    assert isinstance(made, LanguageModel)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    of_input, of_state = gradient_norms(made, WINDOWS, DISTANCES)
    inputs = made.embed(WINDOWS[:, :-1]).detach().requires_grad_()
    logits = made.logits(made.decoder(inputs)[:, -1])
    torch.nn.functional.cross_entropy(logits, WINDOWS[:, -1], reduction="sum").backward()
    for k in DISTANCES:
        expected = inputs.grad[:, LENGTH - 1 - k].square().sum(-1).mean().sqrt().item()
        assert of_input[k] == pytest.approx(expected, rel=1e-3, abs=1e-7)
    assert sorted(of_state) == DISTANCES[1:]
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert gradient_norms(made, WINDOWS, DISTANCES) == (of_input, of_state)  # to the bit


def test_a_states_gradient_is_how_the_loss_answers_to_a_nudge_of_it():
    """Attention too: nudging the keys and values of one position, by finite differences in float64."""
    for architecture in ("transformer", "lstm", "gru", "rnn"):
        made = model(architecture, "language_model", width=8, parameters=2500).double()
        window, distance = WINDOWS[:1, -9:], 5
        norm = gradient_norms(made, window, [distance])[1][distance]

        def loss(nudged: tuple[int, int] | None, by: float, made=made, window=window) -> tuple[float, list[int]]:
            decoding = made.start(1, 8)
            for position in range(8):
                hidden, decoding = made.decoder.step(made.embed(window[:, position]), decoding)
                if position == 7 - 5:
                    parts = [p for b, s in zip(made.decoder.blocks, decoding.states, strict=True)
                             for p in b.mixer.written(s)]  # fmt: skip
                    if nudged:
                        part, number = nudged
                        index = torch.unravel_index(torch.tensor(number), parts[part].shape)
                        parts[part][index] += by
            sizes = [part.numel() for part in parts]
            return torch.nn.functional.cross_entropy(made.logits(hidden), window[:, -1]).item(), sizes

        with torch.no_grad():
            sizes, step = loss(None, 0.0)[1], 1e-5
            slopes = [
                (loss((part, number), step)[0] - loss((part, number), -step)[0]) / (2 * step)
                for part, size in enumerate(sizes)
                for number in range(size)
            ]
        assert norm == pytest.approx(math.hypot(*slopes), rel=1e-3), architecture


def test_a_larger_forget_bias_keeps_more_at_the_start():
    shares = defaultdict(list)
    for bias in (0.0, 1.0, 3.0):
        setting = Architecture("lstm", 2, False, dropout=0.0, options={"forget_bias": bias})
        for seed in range(3):
            made = build(setting, Shape("language_model", 16, 0, 280), [InnerWidths(16, 0)] * 2, seed)
            for norms in gradient_norms(made, WINDOWS, [1, 12, 23]):
                shares[bias].append(kept(norms)[23])
    for smaller, larger in ((0.0, 1.0), (1.0, 3.0)):
        assert all(a < b for a, b in zip(shares[smaller], shares[larger], strict=True))


SETTINGS = Settings(length=16, windows=4, distances=[0, 1, 2, 4, 8, 15], far=4)


def test_a_run_from_folders_to_rows(world: Path, tmp_path: Path):
    folders = [world / f"runs/lm/{name}/s{seed}" for name in ("transformer", "lstm") for seed in (0, 1)]
    for name in ("once", "again"):
        gradients.run(SETTINGS, folders, world / "tokens/lm", tmp_path / name)
    rows = read_json(tmp_path / "once")["rows"]
    assert rows == read_json(tmp_path / "again")["rows"]
    by = defaultdict(list)
    for row in rows:
        by[row["architecture"], row["replicate"], row["variant"], row["metric"], row["variable"]].append(row)
    for name in ("transformer", "lstm"):
        for seed in (0, 1):
            for variant in ("initial", "trained"):
                for kind, first in (("input", 0), ("state", 1)):
                    found = by[name, seed, variant, f"{kind}_gradient_kept", "distance"]
                    assert [row["at"] for row in found] == [k for k in SETTINGS.distances if k >= first]
                    assert found[0]["value"] == 1.0
                    assert len(by[name, seed, variant, f"{kind}_gradient_decay_per_step", ""]) == 1
            folder = world / f"runs/lm/{name}/s{seed}"
            history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
            for metric in ("clipped_share", "gradient_norm"):
                found = by[name, seed, "", metric, "phase"]
                assert [row["value"] for row in found] == [point[metric] for point in history]
                assert found[-1]["at"] == 1.0
    values = {variant: by["lstm", 0, variant, "input_gradient_kept", "distance"] for variant in ("initial", "trained")}
    assert [row["value"] for row in values["initial"]] != [row["value"] for row in values["trained"]]


def test_the_initial_model_is_the_one_its_training_began_with(world: Path):
    folder = world / "runs/lm/lstm/s1"
    told = read_json(folder / "model.json")
    inner = [InnerWidths(*widths) for widths in told["inner"]]
    began = build(Architecture(**told["architecture"]), Shape(**told["shape"]), inner, 1).state_dict()
    assert all(
        torch.equal(value, began[name]) for name, value in gradients.store.untrained(folder, 1).state_dict().items()
    )


def test_windows_are_spread_over_the_whole_text():
    text = Records(torch.arange(101).numpy(), torch.tensor([101]).numpy())
    assert gradients.spread_windows(text, 10, 3)[:, 0].tolist() == [0, 40, 90]
    assert gradients.spread_windows(text, 10, 3).shape == (3, 11)
    with pytest.raises(UserError, match=r"only 10 windows of 10 pieces; lower `windows`"):
        gradients.spread_windows(text, 10, 11)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"windows": 0}, "windows"),
        ({"distances": [1, 16]}, "between 0 and 15"),
        ({"distances": [-1, 8, 15]}, "distances"),
        ({"far": 15}, "far"),
        ({"distances": [1, 2, 8, 8]}, "far"),
    ],
)
def test_settings_that_cannot_be_measured_are_one_sentence(change: dict, word: str):
    with pytest.raises(UserError, match=word):
        Settings(**{**vars(SETTINGS), **{"far": 5}, **change})


def test_a_run_that_is_no_language_model_is_one_sentence(world: Path, tmp_path: Path):
    with pytest.raises(UserError, match="encoder_decoder"):
        gradients.run(SETTINGS, [world / "runs/translation/lstm/s0"], world / "tokens/lm", tmp_path / "out")
