"""What describes a model: an architecture (the swapped part and its surroundings) and the sizes all share.

Plain dataclasses, because training jobs must run where nothing but torch, numpy and tokenizers is installed; the
checks on values live with the schema of params.yaml (``verdict.settings``).
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Family = Literal["language_model", "encoder_decoder", "masked_encoder"]


class KnownMixer(NamedTuple):
    """A mixer that has a name of its own."""

    #: import path of its class
    path: str
    #: the options it takes, and of which types they are
    options: dict[str, tuple[type, ...]]


#: they stand here, and not with the mixers, so that settings can be checked without torch
MIXERS = {
    "attention": KnownMixer("verdict.models.mixers.attention:Attention", {"heads": (int,)}),
    "gru": KnownMixer("verdict.models.mixers.gru:GRU", {}),
    "lstm": KnownMixer("verdict.models.mixers.lstm:LSTM", {"forget_bias": (int, float)}),
    "rnn": KnownMixer("verdict.models.mixers.rnn:RNN", {}),
}


@dataclass(frozen=True)
class Architecture:
    """A setting of the block factory. ``transformer``, ``lstm`` and every rung between them are such settings."""

    #: attention, lstm, gru, rnn, or the import path module:Class of a Mixer
    mixer: str
    #: blocks in the stack (in each of encoder and decoder)
    layers: int
    #: whether a block has a feed-forward part (its width is what the parameter solver then chooses)
    feedforward: bool
    #: inner width of the mixer over the model width in blocks with a feed-forward part (without one it is solved for)
    mixer_width: float = 1.0
    #: layer normalisation before each part (pre-norm: Xiong et al. 2020) and at the end
    norm: bool = True
    #: residual connection around the mixer (He et al. 2016; for stacked LSTMs Wu et al. 2016)
    residual: bool = True
    #: which decoder blocks attend to the source; without any, the decoder starts from a summary of it
    cross_attention: Literal["every", "last", "none"] = "every"
    #: share of values dropped after the embedding and after each part, never along the recurrence (Zaremba et al. 2014)
    dropout: float = 0.1
    #: keyword arguments of the mixer's class (heads, forget_bias, …)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """What every architecture of a comparison shares."""

    family: Family
    #: model width D: of embeddings and of the residual stream
    width: int
    #: non-embedding parameters that each architecture is solved for
    parameters: int
    #: pieces of the tokenizer
    vocabulary: int
    #: classes of the classification head (0: none)
    classes: int = 0
