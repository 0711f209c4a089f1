"""GPT-2, GPT-NeoX, BERT and Marian of Hugging Face transformers, without dropout, and how they generate."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    GenerationConfig,
    GPT2Config,
    GPTNeoXConfig,
    MarianConfig,
    PreTrainedConfig,
)

from benchmarks.performance.peers import Peer, Scaled, Way, put, scaled_embedding, swap
from benchmarks.performance.sizes import Size
from verdict.models.block import Block
from verdict.tokens import tokenizer as bpe
from verdict.training.batches import Batch


class HuggingFace(Peer):
    """A model made from a configuration; users pass labels and take its loss."""

    copied = "transformer"

    def made(self, auto: Any, config: PreTrainedConfig, way: Way) -> Any:
        """The model; which attention it has by default is the library's choice."""
        chosen = {"attn_implementation": way.attention} if way.attention else {}
        return auto.from_config(config, **chosen)

    def generate(self, inputs: dict[str, Tensor], count: int, beams: int) -> Tensor:
        """Exactly ``count`` pieces more for each row."""
        settings = GenerationConfig(
            max_new_tokens=count, min_new_tokens=count, do_sample=False, num_beams=beams, use_cache=True,
            pad_token_id=bpe.PAD, eos_token_id=None, bos_token_id=bpe.BEGIN, decoder_start_token_id=bpe.BEGIN,
        )  # fmt: skip
        found: Tensor = self.model.generate(**inputs, generation_config=settings)
        return found[:, -count:]


class GPT2(HuggingFace):
    """Pre-norm, as ours."""

    without = ("positions",)
    differs = "learned positions, biases in attention; as shipped also gelu_new"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__()
        config = GPT2Config(
            vocab_size=size.vocabulary, n_positions=size.length + 2, n_embd=size.width, n_layer=size.layers,
            n_head=size.heads, n_inner=size.inner, activation_function="gelu_new" if way.shipped else "relu",
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=bpe.BEGIN, eos_token_id=bpe.END,
        )  # fmt: skip
        self.model = self.made(AutoModelForCausalLM, config, way)

    def forward(self, batch: Batch) -> Tensor:
        return _next_piece(self.model, batch)

    def copy(self, ours: Any) -> None:
        body = self.model.transformer
        body.wte.weight.copy_(scaled_embedding(ours))
        _last_norm(body.ln_f, ours)
        for block, layer in zip(ours.decoder.blocks, body.h, strict=True):
            _norms(block, layer.ln_1, layer.ln_2)
            put(layer.attn.c_attn, block.mixer.project_in.weight.T)  # its layers hold matrices the other way round
            put(layer.attn.c_proj, block.mixer.project_out.weight.T)
            put(layer.mlp.c_fc, block.feedforward.up.weight.T, block.feedforward.up.bias)
            put(layer.mlp.c_proj, block.feedforward.down.weight.T, block.feedforward.down.bias)

    def simplify(self) -> None:
        nn.init.zeros_(self.model.transformer.wpe.weight)


class NeoX(HuggingFace):
    """Configured to be our Transformer in every product, rotary positions included."""

    differs = "nothing; as shipped gelu"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__()
        self.heads = size.heads
        config = GPTNeoXConfig(
            vocab_size=size.vocabulary, hidden_size=size.width, num_hidden_layers=size.layers,
            num_attention_heads=size.heads, intermediate_size=size.inner, attention_bias=False,
            hidden_act="gelu" if way.shipped else "relu", max_position_embeddings=size.length + 2,
            use_parallel_residual=False, tie_word_embeddings=True, bos_token_id=bpe.BEGIN, eos_token_id=bpe.END,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 1.0},
        )  # fmt: skip
        self.model = self.made(AutoModelForCausalLM, config, way)

    def forward(self, batch: Batch) -> Tensor:
        return _next_piece(self.model, batch)

    def copy(self, ours: Any) -> None:
        body = self.model.gpt_neox
        body.embed_in.weight.copy_(scaled_embedding(ours))
        _last_norm(body.final_layer_norm, ours)
        for block, layer in zip(ours.decoder.blocks, body.layers, strict=True):
            _norms(block, layer.input_layernorm, layer.post_attention_layernorm)
            # its rows are q, k, v of the first head, of the second, …; ours q of all heads, then k, then v. It rotates
            # channels half a head apart where ours rotates neighbours
            q, k, v = block.mixer.project_in.weight.unflatten(0, (3, self.heads, -1))
            q, k = (part.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2) for part in (q, k))
            put(layer.attention.query_key_value, torch.stack((q, k, v), 1).flatten(0, 2))
            put(layer.attention.dense, block.mixer.project_out.weight)
            _feedforward(block, layer.mlp.dense_h_to_4h, layer.mlp.dense_4h_to_h)


class Bert(HuggingFace):
    """Post-norm."""

    without = ("positions", "norms")
    differs = (
        "norms after each part, learned positions and segments, biases, a layer before the output, all positions "
        "through the output; as shipped also gelu"
    )

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__()
        self.width = size.width
        config = BertConfig(
            vocab_size=size.vocabulary, hidden_size=size.width, num_hidden_layers=size.layers,
            num_attention_heads=size.heads, intermediate_size=size.inner,
            hidden_act="gelu" if way.shipped else "relu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            max_position_embeddings=size.length, pad_token_id=bpe.PAD,
        )  # fmt: skip
        self.model = self.made(AutoModelForMaskedLM, config, way)

    def forward(self, batch: Batch) -> Tensor:
        tokens = batch["tokens"]
        labels = torch.full_like(tokens, -100).masked_scatter_(batch["where"], batch["truth"])
        loss: Tensor = self.model(input_ids=tokens, attention_mask=torch.ones_like(tokens), labels=labels).loss
        return loss

    def copy(self, ours: Any) -> None:
        self.model.bert.embeddings.word_embeddings.weight.copy_(scaled_embedding(ours))
        nn.init.zeros_(self.model.cls.predictions.decoder.bias)
        for block, layer in zip(ours.encoder.blocks, self.model.bert.encoder.layer, strict=True):
            own = layer.attention.self
            for linear, part in zip(
                (own.query, own.key, own.value), block.mixer.project_in.weight.chunk(3), strict=True
            ):
                put(linear, part)
            put(layer.attention.output.dense, block.mixer.project_out.weight)
            _feedforward(block, layer.intermediate.dense, layer.output.dense)

    def simplify(self) -> None:
        embeddings = self.model.bert.embeddings
        nn.init.zeros_(embeddings.position_embeddings.weight)
        nn.init.zeros_(embeddings.token_type_embeddings.weight)
        self.model.cls.predictions.transform = Scaled(self.width**-0.5)
        swap(self.model, nn.LayerNorm, nn.Identity)


class Marian(HuggingFace):
    """Post-norm; the embedding is multiplied by sqrt(D), as in all published Marian models and in ours."""

    without = ("positions", "norms")
    differs = "norms after each part, sinusoidal positions, biases in attention; as shipped also swish"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__()
        config = MarianConfig(
            vocab_size=size.vocabulary, max_position_embeddings=size.length + 1, encoder_layers=size.layers,
            encoder_ffn_dim=size.inner, encoder_attention_heads=size.heads, decoder_layers=size.layers,
            decoder_ffn_dim=size.inner, decoder_attention_heads=size.heads, d_model=size.width, dropout=0.0,
            activation_function="swish" if way.shipped else "relu", scale_embedding=True, pad_token_id=bpe.PAD,
            eos_token_id=bpe.END, forced_eos_token_id=None, decoder_start_token_id=bpe.BEGIN,
        )  # fmt: skip
        self.model = self.made(AutoModelForSeq2SeqLM, config, way)

    def forward(self, batch: Batch) -> Tensor:
        source = batch["source"]
        loss: Tensor = self.model(
            input_ids=source, attention_mask=torch.ones_like(source), labels=batch["target"], use_cache=False
        ).loss
        return loss

    def copy(self, ours: Any) -> None:
        body = self.model.model
        body.shared.weight.copy_(ours.embedding.weight)
        for stack, other in ((ours.encoder, body.encoder), (ours.decoder, body.decoder)):
            for block, layer in zip(stack.blocks, other.layers, strict=True):
                own = layer.self_attn
                _projections(own, block.mixer.project_in.weight.chunk(3), block.mixer.project_out.weight)
                if block.cross is not None:
                    parts = (block.cross.query.weight, *block.cross.project_memory.weight.chunk(2))
                    _projections(layer.encoder_attn, parts, block.cross.project_out.weight)
                _feedforward(block, layer.fc1, layer.fc2)

    def simplify(self) -> None:
        for part in (self.model.model.encoder, self.model.model.decoder):
            nn.init.zeros_(part.embed_positions.weight)
        swap(self.model, nn.LayerNorm, nn.Identity)


def _next_piece(model: Any, batch: Batch) -> Tensor:
    """The loss of every piece from those before it, through the library's own loss."""
    inputs, truth = batch["tokens"][:, :-1], batch["tokens"][:, 1:].contiguous()
    loss: Tensor = model(input_ids=inputs, labels=truth, shift_labels=truth, use_cache=False).loss
    return loss


def _norms(block: Block, first: nn.Module, second: nn.Module) -> None:
    for norm, name in ((first, "mixer"), (second, "feedforward")):
        put(norm, block.norms[name].weight, block.norms[name].bias)  # type: ignore[arg-type]


def _last_norm(norm: nn.Module, ours: Any) -> None:
    """Our last norm, divided by what the embedding was multiplied by."""
    scale = math.sqrt(ours.shape.width)
    put(norm, ours.decoder.norm.weight / scale, ours.decoder.norm.bias / scale)


def _feedforward(block: Any, up: nn.Module, down: nn.Module) -> None:
    put(up, block.feedforward.up.weight, block.feedforward.up.bias)
    put(down, block.feedforward.down.weight, block.feedforward.down.bias)


def _projections(attention: Any, parts: tuple[Tensor, ...], out: Tensor) -> None:
    for linear, part in zip((attention.q_proj, attention.k_proj, attention.v_proj), parts, strict=True):
        put(linear, part)
    put(attention.out_proj, out)
