"""What models do inside: what is told is what the real call does, on a sentence that a rule picks."""

import json
import math
import random
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ARCHITECTURES, WORDS, model, pieces

from verdict.errors import UserError
from verdict.files import read_json
from verdict.measure import activity
from verdict.measure.activity import Settings
from verdict.models.families import Model
from verdict.models.mixers.attention import Attention, CrossAttention
from verdict.models.mixers.base import Mixer
from verdict.models.mixers.dot_product import visible
from verdict.models.mixers.gru import GRU
from verdict.models.mixers.lstm import LSTM
from verdict.models.mixers.recurrent import Recurrent, reverse_rows
from verdict.models.mixers.rnn import RNN
from verdict.models.settings import Architecture
from verdict.page import inputs
from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import Records, encode, read_records
from verdict.training import store
from verdict.training.objectives import OBJECTIVES

WIDTH, INNER = 8, 12
Told = dict[str, torch.Tensor]


class Silent(Attention):
    """Attention that tells nothing of itself, as a mixer that somebody adds may."""

    activity = Mixer.activity


def made(kind: type[Mixer], causal: bool, seed: int, **more: object) -> Mixer:
    mixer = kind(WIDTH, INNER, causal, **more)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mixer.reset_parameters(1.0)
        for parameter in mixer.parameters():  # biases too, so that a forgotten one shows
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, std=0.5)
    return mixer.requires_grad_(False)


def attended(part: Attention | CrossAttention, weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Values [B, N, S, E] taken by weights [B, N, T, S], and the output projection."""
    return part.project_out((weights @ values).transpose(1, 2).flatten(2))


def direction(kind: type[Recurrent], layer: torch.nn.RNNBase, x: torch.Tensor, told: Told, state: list) -> torch.Tensor:
    """A recurrence whose gates are those told and whose candidate alone is computed, from the state so reached."""
    number = kind.gates - 2 if kind is LSTM else kind.gates - 1
    of_x, of_hidden, bias, second_bias = (p.chunk(kind.gates)[number] for p in layer.parameters())
    found = []
    for t in range(x.shape[1]):
        now = {name: values[:, t] for name, values in told.items()}
        heard = x[:, t] @ of_x.T + bias
        past = state[0] @ of_hidden.T + second_bias
        if kind is LSTM:
            cell = now["forget"] * state[1] + now["input"] * torch.tanh(heard + past)
            torch.testing.assert_close(now["cell"], cell, rtol=0, atol=1e-5)
            state = [now["output"] * torch.tanh(cell), cell]
        elif kind is GRU:
            candidate = torch.tanh(heard + now["reset"] * past)
            state = [now["update"] * state[0] + (1 - now["update"]) * candidate]
            torch.testing.assert_close(now["hidden"], state[0], rtol=0, atol=1e-5)
        else:
            state = [torch.tanh(heard + past)]
            torch.testing.assert_close(now["hidden"], state[0], rtol=0, atol=1e-5)
        found.append(state[0])
    return torch.stack(found, 1)


def mixed(
    mixer: Mixer, x: torch.Tensor, told: Told, lengths: torch.Tensor | None = None, summary: torch.Tensor | None = None
) -> torch.Tensor:
    """The mixer's output from what it is said to do."""
    if isinstance(mixer, Attention):
        values = mixer.project_in(x).chunk(3, -1)[2]
        return attended(mixer, told["attention"], values.view(*x.shape[:2], mixer.heads, -1).transpose(1, 2))
    assert isinstance(mixer, Recurrent)
    kind, parts = type(mixer), len(mixer.state._fields)
    if mixer.causal:
        start = x.new_zeros(len(x), parts * mixer.inner)
        if mixer.bridge is not None and summary is not None:
            start = torch.tanh(mixer.bridge(summary))
        return mixer.project_out(direction(kind, mixer.layers[0], x, told, list(start.chunk(parts, -1))))
    half, zeros = mixer.inner // 2, [x.new_zeros(len(x), mixer.inner // 2)] * parts
    there = direction(kind, mixer.layers[0], x, {name: v[..., :half] for name, v in told.items()}, zeros)
    turned = {name: reverse_rows(v[..., half:], lengths) for name, v in told.items()}
    back = direction(kind, mixer.layers[1], reverse_rows(x, lengths), turned, zeros)
    return mixer.project_out(torch.cat((there, reverse_rows(back, lengths)), -1))


@settings(deadline=None)
@given(
    kind=st.sampled_from([Attention, LSTM, GRU, RNN]),
    causal=st.booleans(),
    padded=st.booleans(),
    summary=st.booleans(),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_what_a_mixer_tells_gives_its_output(
    kind: type[Mixer], causal: bool, padded: bool, summary: bool, lengths: list[int], seed: int
):
    takes = causal and kind is not Attention
    mixer = made(kind, causal, seed, **({"summary": True} if takes else {"heads": 2} if kind is Attention else {}))
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(lengths), max(lengths), WIDTH, generator=generator)
    source = torch.randn(len(lengths), WIDTH, generator=generator) if takes and summary else None
    given_lengths = torch.tensor(lengths) if padded else None
    real = visible(torch.tensor(lengths) if padded else torch.full((len(x),), x.shape[1]), x.shape[1])
    told = mixer.activity(x, given_lengths, source)
    found = mixed(mixer, x, told, given_lengths, source)
    torch.testing.assert_close(found[real], mixer(x, given_lengths, source)[real], rtol=0, atol=1e-5)
    for name, values in told.items():
        if name == "attention":
            assert values.shape == (len(x), 2, x.shape[1], x.shape[1])
            torch.testing.assert_close(values.sum(-1), torch.ones(values.shape[:-1]))
            seen = torch.ones(x.shape[1], x.shape[1]).tril().bool() if causal else real[:, None, None, :]
            assert not values.masked_select(~seen).any()
        else:
            assert values.shape == (len(x), x.shape[1], INNER)
            if name not in ("cell", "hidden"):
                assert ((values >= 0) & (values <= 1)).all()


@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4), steps=st.integers(1, 6), seed=st.integers(0, 99))
def test_what_cross_attention_tells_gives_its_output(lengths: list[int], steps: int, seed: int):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        cross = CrossAttention(WIDTH, 2).requires_grad_(False)
        x, memory = torch.randn(len(lengths), steps, WIDTH), cross.memory(torch.randn(len(lengths), 7, WIDTH))
    mask = visible(torch.tensor(lengths), 7)
    weights = cross.activity(x, memory, mask)["attention"]
    torch.testing.assert_close(attended(cross, weights, memory[1]), cross(x, memory, mask), rtol=0, atol=1e-5)
    assert not weights.masked_select(~mask[:, None, None, :]).any()


def test_gates_and_weights_that_were_planted_are_told():
    blind = made(Attention, True, 0, heads=2)
    blind.project_in.weight[:INNER] = 0.0  # whatever is asked, every key answers alike
    weights = blind.activity(torch.randn(1, 5, WIDTH))["attention"]
    torch.testing.assert_close(weights, (torch.ones(5, 5).tril() / torch.arange(1, 6)[:, None]).expand(1, 2, 5, 5))
    lstm = LSTM(WIDTH, INNER, True, forget_bias=3.0).requires_grad_(False)
    lstm.reset_parameters(1.0)
    told = lstm.activity(torch.zeros(1, 4, WIDTH))  # the state stays zero, the gates hear their biases alone
    for name, bias in (("input", 0.0), ("forget", 3.0), ("output", 0.0)):
        torch.testing.assert_close(told[name], torch.full((1, 4, INNER), 1 / (1 + math.exp(-bias))))


def called_with(family: str) -> tuple[torch.Tensor, ...]:
    read = pieces(3, 8)
    return (read,) if family == "language_model" else (pieces(3, 7, seed=1), torch.tensor([7, 4, 1]), read)


@pytest.mark.parametrize("family", ["language_model", "encoder_decoder"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.inference_mode()
def test_a_model_made_of_what_was_recorded_is_the_model(architecture: str, family: str):
    """Every mixer and every cross-attention of the decoder is replaced by what it is said to have done."""
    whole, arguments = model(architecture, family), called_with(family)
    expected = whole(*arguments)
    hidden, layers = activity.watch(whole, arguments)
    assert torch.equal(hidden, expected)
    blocks = whole.decoder.blocks
    assert [set(layer) for layer in layers] == [{"mixer", "cross"} if b.cross else {"mixer"} for b in blocks]
    assert not any(part._forward_pre_hooks for part in whole.modules())
    for block, layer in zip(blocks, layers, strict=True):

        def mix(x, lengths=None, summary=None, mixer=block.mixer, told=layer["mixer"]):
            return mixed(mixer, x, told, lengths, summary)

        block.mixer.forward = mix
        if block.cross is not None:

            def take(x, memory, mask, cross=block.cross, told=layer["cross"]):
                return attended(cross, told["attention"], memory[1])

            block.cross.forward = take
    torch.testing.assert_close(whole(*arguments), expected, rtol=0, atol=1e-5)


def test_a_mixer_that_tells_nothing_is_shown_by_its_cross_attention_alone():
    silent = Architecture(f"{__name__}:Silent", 2, feedforward=True, dropout=0.0, options={"heads": 2})
    _, layers = activity.watch(model(silent, "encoder_decoder"), called_with("encoder_decoder"))
    assert [layer["mixer"] for layer in layers] == [{}, {}]
    assert [list(layer["cross"]) for layer in layers] == [["attention"]] * 2


def test_a_model_that_fails_keeps_no_hooks():
    whole = model("lstm", "language_model")
    with pytest.raises(IndexError):
        activity.watch(whole, (torch.tensor([[10**6]]),))
    assert not any(part._forward_pre_hooks for part in whole.modules())


def test_numbers_have_three_decimals_and_units_are_told_by_their_magnitudes():
    values = torch.tensor([[[0.5, -0.5, 0.1, -1.0, 0.0], [0.12345, 0.12345, 0.12345, 0.12345, 0.12345]]])
    assert activity.told(values, Settings(quantiles=[0.0, 0.5])) == {
        "mean": [0.42, 0.123],
        "low": [0.0, 0.123],
        "high": [0.5, 0.123],
    }
    assert activity.told(torch.tensor([[[[1 / 3, 2 / 3]]]]), Settings()) == [[[0.333, 0.667]]]


@pytest.fixture(scope="module")
def tokenizer(world: Path) -> bpe.Tokenizer:
    return bpe.load(world / "tokens/lm/tokenizer.json")


SENTENCE = st.builds(
    lambda words, end: " ".join(words) + end,
    st.lists(st.sampled_from([*WORDS, "é", "语言", "3.5", '"so"']), min_size=1, max_size=4),
    st.sampled_from([".", "?", "!", "。", '."', "?)", "...”", "？」"]),
)
RECORDS = st.lists(st.lists(SENTENCE, min_size=1, max_size=4), min_size=1, max_size=4)


@settings(deadline=None)
@given(records=RECORDS, between=st.sampled_from([" ", "\n", "  "]))
def test_sentences_begin_where_they_do(tokenizer: bpe.Tokenizer, records: list[list[str]], between: str):
    text = encode(tokenizer, [between.join(record) for record in records])
    found = activity.beginnings(tokenizer, text)
    ends = pairwise([*found, len(text.pieces)])
    said = [tokenizer.decode(text.pieces[first:last].tolist()).strip() for first, last in ends]
    assert said == [sentence for record in records for sentence in record]


@settings(deadline=None)
@given(records=RECORDS, size=st.integers(2, 12), seed=st.integers(0, 99))
def test_a_window_begins_with_a_sentence_of_the_rule(
    tokenizer: bpe.Tokenizer, tmp_path_factory: pytest.TempPathFactory, records: list[list[str]], size: int, seed: int
):
    folder = tmp_path_factory.mktemp("tokens")
    text = encode(tokenizer, [" ".join(record) for record in records])
    text.save(folder, "test.text")
    candidates = [at for at in activity.beginnings(tokenizer, text) if at + size < len(text.pieces)]
    wanted = Settings(pieces=size, seed=seed)
    if not candidates:
        with pytest.raises(UserError, match="lower `pieces` or give more text"):
            activity.pick_window(wanted, folder, tokenizer)
        return
    picked = activity.pick_window(wanted, folder, tokenizer)
    start = random.Random(seed).choice(candidates)
    window = text.pieces[start : start + size + 1].tolist()
    assert (picked.read, picked.following, picked.candidates) == (window[:-1], window[1:], len(candidates))
    assert [tensor.tolist() for tensor in picked.inputs] == [[window[:-1]]]
    assert (text.ends[picked.record - 1] if picked.record else 0) <= start < text.ends[picked.record]


@given(
    lengths=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=30),
    longest=st.integers(2, 30),
    seed=st.integers(0, 99),
)
def test_a_pair_is_of_middling_length_among_those_that_fit(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[tuple[int, int]], longest: int, seed: int
):
    folder = tmp_path_factory.mktemp("tokens")
    rng = np.random.default_rng(seed)
    sides = []
    for name, counts in zip(("test.source", "test.target"), zip(*lengths, strict=True), strict=True):
        ends = np.cumsum(counts)
        sides.append(Records(rng.integers(4, 200, ends[-1]).astype(np.uint16), ends))
        sides[-1].save(folder, name)
    fitting = sorted(sum(pair) for pair in lengths if max(pair) <= longest)
    wanted = Settings(pieces=longest, seed=seed)
    if not fitting:
        with pytest.raises(UserError, match="raise `pieces`"):
            activity.pick_pair(wanted, folder, SimpleNamespace())
        return
    picked = activity.pick_pair(wanted, folder, SimpleNamespace())
    assert picked.source == sides[0][picked.record].tolist()
    assert picked.following == sides[1][picked.record].tolist()
    assert picked.read == [bpe.BEGIN, *picked.following[:-1]]
    assert max(len(picked.source), len(picked.read)) <= longest
    size, quarter = len(picked.source) + len(picked.read), len(fitting) // 4
    assert fitting[quarter] <= size <= fitting[-1 - quarter]
    assert picked.candidates == len(fitting) - 2 * quarter
    assert [tensor.tolist() for tensor in picked.inputs] == [[picked.source], [len(picked.source)], [picked.read]]


SETTINGS = Settings(pieces=9, seed=1)


@pytest.mark.parametrize("stage", ["lm", "translation"])
def test_from_folders_to_what_the_page_reads(world: Path, tmp_path: Path, stage: str):
    names, tokens = ("transformer", "lstm"), world / "tokens" / stage
    folders = [world / f"runs/{stage}/{name}/s0" for name in names]
    for file in ("once", "again"):
        activity.run(SETTINGS, folders, tokens, tmp_path / file)
    found, again = (read_json(tmp_path / file) for file in ("once", "again"))
    assert {**found, "started": 0, "seconds": 0} == {**again, "started": 0, "seconds": 0}
    assert inputs._activity(tmp_path / "once") == found
    assert found["rows"] == []
    assert found["run"] == f"activity/{stage}"
    assert found["stage"] == stage
    assert (tmp_path / "once").stat().st_size < 150_000
    said, steps = list(read_records(world / f"corpus/{stage}/test.jsonl"))[found["record"] :], len(found["read"])
    if stage == "lm":
        assert steps == 9
        assert "".join(one["text"] for one in said).startswith("".join([*found["read"], found["next"][-1]]))
        assert "source" not in found
    else:
        assert "".join(found["source"]) == said[0]["source"] + "<end>"
        assert "".join(found["next"]) == said[0]["target"] + "<end>"
        assert found["read"] == ["<begin>", *found["next"][:-1]]
    for told, name in zip(found["models"], names, strict=True):
        assert (told["run"], told["architecture"], told["seed"]) == (f"train/{stage}/{name}/s0", name, 0)
        assert len(told["layers"]) == 2
        for layer in told["layers"]:
            inside = {"transformer": {"attention"}, "lstm": {"input", "forget", "output", "cell"}}
            assert set(layer["mixer"]) == inside[name]
            assert ("cross" in layer) == (stage == "translation")
            for curve in layer["mixer"].values() if name == "lstm" else []:
                assert all(low <= high for low, high in zip(curve["low"], curve["high"], strict=True))


@pytest.mark.parametrize(("stage", "objective"), [("lm", "language_model"), ("translation", "sequence_pairs")])
@pytest.mark.parametrize("name", ["transformer", "lstm"])
@torch.inference_mode()
def test_the_losses_are_those_of_training_and_evaluation(world: Path, stage: str, objective: str, name: str):
    tokens = world / "tokens" / stage
    picked = activity.PICKS[objective](SETTINGS, tokens, bpe.load(tokens / "tokenizer.json"))
    found: Model = store.load(world / f"runs/{stage}/{name}/s0").eval()
    truth = torch.tensor([picked.following])
    batch = {"tokens": torch.cat((picked.inputs[0], truth[:, -1:]), 1)}
    if objective == "sequence_pairs":
        lengths = {"source_lengths": picked.inputs[1], "target_lengths": torch.tensor([truth.shape[1]])}
        batch = {"source": picked.inputs[0], "target": truth, **lengths}
    nats = OBJECTIVES[objective](found, batch, torch.from_numpy(np.load(tokens / "piece_bytes.npy"))).nats.item()
    bits = activity.look(found, picked, SETTINGS)["bits"]
    assert sum(bits) == pytest.approx(nats / math.log(2), abs=0.001 * len(bits))


def test_another_seed_draws_another_sentence(world: Path):
    tokens = world / "tokens/translation"
    drawn = {activity.pick_pair(Settings(seed=seed), tokens, SimpleNamespace()).record for seed in range(20)}
    assert len(drawn) > 5


@pytest.mark.parametrize(
    ("change", "word"),
    [({"pieces": 1}, "pieces"), ({"quantiles": [0.5]}, "quantiles"), ({"quantiles": [0.9, 0.1]}, "ascending"),
     ({"quantiles": [0.5, 1.5]}, "quantiles")],
)  # fmt: skip
def test_settings_that_show_nothing_are_one_sentence(change: dict, word: str):
    with pytest.raises(UserError, match=word):
        Settings(**change)


def test_models_that_no_rule_picks_for_are_one_sentence(world: Path, tmp_path: Path):
    for stages, word in ((("pretraining",), "the objective masked"), (("lm", "translation"), "another stage")):
        folders = [world / f"runs/{stage}/lstm/s0" for stage in stages]
        with pytest.raises(UserError, match=word):
            activity.run(SETTINGS, folders, world / "tokens/lm", tmp_path / "out")
    assert json.dumps(list(activity.PICKS)) == '["language_model", "sequence_pairs"]'
