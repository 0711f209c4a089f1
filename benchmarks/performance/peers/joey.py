"""Joey NMT's recurrent translation model: its decoder feeds the attention's output back, so it goes step by step."""

import logging
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from joeynmt.model import build_model
from joeynmt.vocabulary import Vocabulary
from torch import Tensor

from benchmarks.performance import sizes
from benchmarks.performance.peers import Peer, Way
from benchmarks.performance.sizes import Size
from verdict.training.batches import Batch

logging.getLogger("joeynmt.model").setLevel(logging.WARNING)  # it announces every model
_SPECIAL = SimpleNamespace(
    unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>", sep_token=None, lang_tags=[],
    unk_id=0, pad_id=1, bos_id=2, eos_id=3,
)  # fmt: skip


class Joey(Peer):
    """Bidirectional encoder, Luong attention with input feeding, shared embeddings and output; the encoder's inner
    width is chosen for equal parameters."""

    differs = "step-by-step decoder with input feeding, one attention for all layers, plain stack; encoder packed"

    def __init__(self, size: Size, way: Way) -> None:
        super().__init__()
        self.vocabulary = Vocabulary([f"p{number}" for number in range(4, size.vocabulary)], _SPECIAL)
        wanted = sizes.shape(size).parameters + size.vocabulary * size.width
        low, high = 1, 16 * size.width  # the encoder grows with its width
        while high - low > 1:
            middle = (low + high) // 2
            with torch.device("meta"):
                parameters = sum(map(Tensor.numel, self._made(size, middle).parameters()))
            low, high = (middle, high) if parameters <= wanted else (low, middle)
        self.model = self._made(size, low)
        self.model.loss_function = ("crossentropy", 0.0)

    def _made(self, size: Size, inner: int) -> torch.nn.Module:
        embeddings = {"embedding_dim": size.width}
        plain = {"type": "recurrent", "rnn_type": "lstm", "num_layers": size.layers, "embeddings": embeddings}
        config = {
            "tied_embeddings": True, "tied_softmax": True,
            "encoder": {**plain, "hidden_size": inner, "bidirectional": True, "dropout": 0.0},
            "decoder": {
                **plain, "hidden_size": size.width, "dropout": 0.0, "hidden_dropout": 0.0, "input_feeding": True,
                "attention": "luong", "init_hidden": "bridge",
            },
        }  # fmt: skip
        return build_model(config, self.vocabulary, self.vocabulary)

    def forward(self, batch: Batch) -> Tensor:
        source, target = batch["source"], batch["target"]
        loss: Tensor = self.model(
            return_type="loss", src=source, src_length=batch["source_lengths"], trg=target,
            src_mask=(source != self.vocabulary.pad_index)[:, None],
            trg_mask=(target != self.vocabulary.pad_index)[:, None],
            trg_input=F.pad(target[:, :-1], (1, 0), value=self.vocabulary.bos_index),
        )[0]  # fmt: skip
        return loss / target.numel()
