"""``measurements``: what is measured on trained models and on the machine, besides quality and speed."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from verdict.settings.fields import Distinct, Name, Section, Size, Task


class GradientSettings(Section):
    """How far back gradients are followed; see ``verdict.measure.gradients``."""

    architectures: Annotated[list[Name], Field(min_length=1, description="language models"), Distinct]
    length: Annotated[int, Field(ge=2, le=10**6, description="pieces of a window")] = 128
    windows: Annotated[Size, Field(description="windows of the test split")] = 16
    distances: Annotated[
        list[Annotated[int, Field(ge=0, le=10**6)]],
        Field(min_length=2, description="steps back, below length"),
        Distinct,
    ] = [0, 1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 127]
    far: Annotated[Size, Field(description="the decay is read off the distances from this one on")] = 32

    @model_validator(mode="after")
    def _within(self) -> "GradientSettings":
        if far := [distance for distance in self.distances if distance >= self.length]:
            raise ValueError(f"distances has {far[0]}, and a window of length {self.length} has no more than one less")
        if sum(distance >= self.far for distance in self.distances) < 2:
            raise ValueError(f"fewer than two of distances are {self.far} (far) or more; lower far")
        return self


class ContextSettings(Section):
    """How much context language models use; see ``verdict.measure.context``."""

    architectures: Annotated[list[Name], Field(min_length=1, description="language models"), Distinct]
    places: Annotated[Size, Field(description="places of the test text")] = 64
    run: Annotated[Size, Field(description="neighbouring pieces predicted at each place")] = 16
    beyond: Annotated[
        list[Annotated[int, Field(ge=2, le=10**6)]],
        Field(description="contexts longer than training, in windows"),
        Distinct,
    ] = [2, 4]
    kept: Annotated[list[Size], Field(description="near pieces left in order when the rest is shuffled"), Distinct] = [
        16,
        64,
    ]
    near: Annotated[Size, Field(description="context that the gain of the whole window is compared with")] = 16
    streams: Annotated[Size, Field(description="parts of the text that a carried state reads")] = 32


class ParallelismSettings(Section):
    """What is timed over threads, batches and lengths; see ``verdict.measure.parallelism``."""

    architectures: Annotated[list[Name], Field(min_length=1, description="language models"), Distinct]
    rounds: Annotated[int, Field(ge=2, le=10**4, description="rounds of turns")] = 5
    length: Annotated[
        int, Field(ge=2, le=10**6, description="pieces where threads and implementations are compared")
    ] = 64
    large_batch: Annotated[
        int, Field(ge=2, le=10**6, description="sequences at once where many are compared with one")
    ] = 16
    generation_tokens: Annotated[Size, Field(description="pieces generated in a call")] = 16
    batches: Annotated[list[Size], Field(description="sequences of the map; 1 is always measured"), Distinct] = [4, 16]
    lengths: Annotated[list[Size], Field(min_length=2, description="pieces per sequence of the map"), Distinct] = [
        16,
        64,
        256,
        1024,
    ]
    most_tokens: Annotated[Size, Field(description="largest batch × length of the map")] = 4096
    chain_lengths: Annotated[
        list[Size], Field(min_length=2, description="lengths whose dependent products are counted"), Distinct
    ] = [16, 32, 64]
    compile: Annotated[bool, Field(description="time torch.compile's code too, which takes minutes")] = False
    contexts: Annotated[list[Size], Field(min_length=1, description="pieces whose cost is told"), Distinct] = [
        32,
        128,
        512,
    ]
    cost_tokens: Annotated[Size, Field(description="pieces per batch for which the cost is told")] = 1024


class ScalingSettings(Section):
    """What is read off the learning curves of a task's sizes; see ``verdict.measure.scaling``."""

    halvings: Annotated[int, Field(ge=1, le=20, description="how often the tokens are halved")] = 3
    fitted: Annotated[int, Field(ge=1, le=20, description="last halvings that the law over tokens is fitted to")] = 2
    texts: Annotated[Size, Field(description="texts at once, for the memory of inference")] = 8
    context: Annotated[
        dict[Task, Size], Field(description="per task: pieces of each text (and of its source); 128 where left out")
    ] = {}


class BucketSettings(Section):
    """Quality by length of the source; see ``verdict.measure.buckets``."""

    quality: Annotated[Literal["chrf", "bleu", "rouge1", "rouge2", "rougeL"], Field(description="whose slope is taken")]
    buckets: Annotated[int, Field(ge=2, le=1000, description="groups of about equal numbers of records")] = 5


class ItemSettings(Section):
    """How test items are drawn anew; see ``verdict.measure.items``."""

    resamples: Annotated[int, Field(ge=100, le=10**5, description="samples of the test set")] = 1000


class ActivitySettings(Section):
    """What is looked at inside models while they read one sentence; see ``verdict.measure.activity``."""

    architectures: Annotated[
        list[Name], Field(min_length=1, description="trained in every one of the stages"), Distinct
    ]
    stages: Annotated[
        list[Name], Field(min_length=1, description="of the objectives language_model and sequence_pairs"), Distinct
    ]
    pieces: Annotated[
        int, Field(ge=2, le=64, description="of a language model's sentence; most of either side of a pair")
    ] = 24
    seed: Annotated[int, Field(ge=0, lt=2**63, description="another one draws another sentence of the test split")] = 0
    quantiles: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]],
        Field(min_length=2, max_length=2, description="of the units, low and high, shown beside their mean"),
        Distinct,
    ] = [0.1, 0.9]

    @model_validator(mode="after")
    def _ascend(self) -> "ActivitySettings":
        if self.quantiles[0] > self.quantiles[1]:
            raise ValueError("the second of quantiles is the lower one; write them in ascending order")
        return self


class AnswerSettings(Section):
    """How answers to algorithms are evaluated; see ``verdict.measure.algorithms``."""

    test_records: Annotated[int, Field(ge=0, description="records read of each test split; 0: all")] = 0
    batch_tokens: Annotated[int, Field(ge=16, le=10**7, description="pieces in a batch")] = 8192


class Measurements(Section):
    """What is measured on trained models and on the machine, besides quality and speed."""

    gradients: GradientSettings
    context: ContextSettings
    parallelism: ParallelismSettings
    scaling: ScalingSettings = ScalingSettings()
    buckets: dict[Literal["translation", "summarization"], BucketSettings]
    items: ItemSettings = ItemSettings()
    activity: ActivitySettings
    algorithms: AnswerSettings = AnswerSettings()
