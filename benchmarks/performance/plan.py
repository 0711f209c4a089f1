"""How much is measured: everything, or everything tiny, to see that it runs."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.performance.contest import cores
from benchmarks.performance.sizes import Size
from verdict.device import choose_precision
from verdict.models.settings import Family

FAMILIES: tuple[Family, ...] = ("language_model", "encoder_decoder", "masked_encoder")
#: the precision that the pipeline chooses by itself: bf16 where the processor multiplies it natively
CHOSEN = choose_precision("auto", torch.device("cpu"))
#: what is timed; bf16 that a processor has to emulate is nobody's choice
PRECISIONS = tuple(dict.fromkeys(("fp32", CHOSEN)))


@dataclass(frozen=True)
class Plan:
    """The sizes of every section; figures that are not explained are plain counts."""

    rounds: int
    threads: int
    widths: tuple[int, ...] = (128, 256)
    lengths: tuple[int, ...] = (32, 128, 512, 2048)
    layers: int = 4
    vocabulary: int = 4000
    tokens: int = 4096  # a batch
    #: width, sequences at once, pieces generated, beams
    generation: tuple[tuple[int, int, int, int], ...] = (
        (128, 1, 32, 1), (128, 1, 128, 1), (128, 1, 512, 1), (128, 32, 32, 1), (128, 32, 128, 1), (128, 32, 512, 1),
        (128, 1, 32, 4), (128, 1, 128, 4), (128, 32, 32, 4), (128, 32, 128, 4),
        (256, 1, 128, 1), (256, 32, 128, 1), (256, 32, 128, 4),
    )  # fmt: skip
    #: rows and columns of the matrices of the peak
    squares: tuple[int, ...] = (512, 1024, 2048, 4096)
    seeds: int = 4  # trained at once
    faithful_length: int = 128
    faithful_steps: int = 300
    edition: str = "quick"  # whose run is looked at as a whole
    #: growth over one of them, the others at width 128, length 128, 4 sequences, vocabulary 4,000
    grown_lengths: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 2048)
    grown_widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    grown_batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    grown_vocabularies: tuple[int, ...] = (500, 1000, 2000, 4000, 8000, 16000, 32000)
    evidence_rows: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    page_rows: int = 100_000
    cells: tuple[int, ...] = (10, 100, 1_000, 10_000)
    history_points: int = 10_000
    text_bytes: int = 5_000_000

    def size(self, family: Family, width: int, length: int, **more: Any) -> Size:
        """A size with what all of the plan's have in common."""
        told = {"layers": self.layers, "vocabulary": self.vocabulary, "tokens": self.tokens, **more}
        return Size(family, width, length, **told)


#: six rounds: the least that give the median's interval, which is that between the smallest and the largest
FULL = partial(Plan, rounds=6, threads=cores())
QUICK = partial(
    Plan, rounds=2, threads=1, widths=(32,), lengths=(16,), layers=2, vocabulary=300, tokens=64,
    generation=((32, 1, 8, 1), (32, 2, 8, 2)), squares=(64, 128), seeds=2, grown_lengths=(8, 16), grown_widths=(16, 32),
    grown_batches=(1, 2), grown_vocabularies=(300, 600), evidence_rows=(10_000, 20_000), page_rows=10_000,
    cells=(10, 100), history_points=1_000, text_bytes=200_000,
    faithful_length=16, faithful_steps=40, edition="smoke",
)  # fmt: skip
