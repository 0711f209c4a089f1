"""x-transformers with rotary positions over the whole head, as ours; "flash" is torch's fused attention."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from x_transformers import Decoder, Encoder, TransformerWrapper

from benchmarks.performance.peers import Peer, Way, put, scaled_embedding
from benchmarks.performance.sizes import Size
from verdict.training.batches import Batch


class XTransformers(Peer):
    """Language model or masked encoder; pre-norm, no biases in attention."""

    copied = "transformer"
    differs = "norms without bias; as shipped gelu and half of each head rotated"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__()
        self.causal = size.family == "language_model"
        head = size.width // size.heads
        layers = (Decoder if self.causal else Encoder)(
            dim=size.width, depth=size.layers, heads=size.heads, attn_dim_head=head, rotary_pos_emb=True,
            attn_flash=way.attention == "flash", ff_mult=size.inner // size.width,
            **({} if way.shipped else {"ff_custom_activation": nn.ReLU(), "rotary_emb_dim": head}),
        )  # fmt: skip
        self.model = TransformerWrapper(
            num_tokens=size.vocabulary, max_seq_len=size.length, attn_layers=layers, tie_embedding=True
        )

    def forward(self, batch: Batch) -> Tensor:
        if self.causal:
            logits, truth = self.model(batch["tokens"][:, :-1]), batch["tokens"][:, 1:]
        else:
            # its own option; users who take the logits of all positions lose a little more
            hidden, truth = self.model(batch["tokens"], return_embeddings=True), batch["truth"]
            logits = self.model.to_logits(hidden[batch["where"]])
        return F.cross_entropy(logits.flatten(0, -2).float(), truth.flatten())

    def copy(self, ours: Any) -> None:
        stack, body = ours.decoder if self.causal else ours.encoder, self.model.attn_layers
        nn.init.zeros_(stack.norm.bias)
        self.model.token_emb.emb.weight.copy_(scaled_embedding(ours))
        self._norm(body.final_norm, stack.norm.weight)  # its outputs are divided by sqrt(D)
        attends, feeds = body.layers[::2], body.layers[1::2]
        for block, attend, feed in zip(stack.blocks, attends, feeds, strict=True):
            for layer, name in ((attend, "mixer"), (feed, "feedforward")):
                nn.init.zeros_(block.norms[name].bias)
                self._norm(layer[0][0], block.norms[name].weight)
            q, k, v = block.mixer.project_in.weight.chunk(3)
            put(attend[1].to_q, q)
            put(attend[1].to_k, k)
            put(attend[1].to_v, v)
            put(attend[1].to_out, block.mixer.project_out.weight)
            put(feed[1].ff[0][0], block.feedforward.up.weight, block.feedforward.up.bias)
            put(feed[1].ff[-1], block.feedforward.down.weight, block.feedforward.down.bias)

    def _norm(self, norm: Any, weight: Tensor) -> None:
        norm.gamma.copy_(weight - float(norm.unit_offset))
