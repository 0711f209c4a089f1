"""params.yaml, typed: what may stand in it, in which range, and one sentence for what is wrong with it.

``resolve`` lays the chosen edition over the rest and checks the result; ``job`` makes the training jobs of it. The
JSON schema in workflow/schemas/params.schema.json is generated from these classes.
"""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from verdict import documents
from verdict.corpus.spec import CorpusSpec, check_task
from verdict.errors import UserError
from verdict.models.settings import MIXERS, Architecture
from verdict.training.settings import IN_NATS, Job, Objective, Training

#: of the trials of tuning; judged runs have 0, 1, …, at most 999
TUNING_SEED = 1000
#: a key by which Snakemake takes a file of settings for a template with Python in it
TEMPLATES = "__use_yte__"
# names become parts of file names and of commands
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Task = Literal["lm", "translation", "summarization", "classification"]
Algorithm = Literal["recall", "copying", "reversal", "parity", "permutations"]
Positive = Annotated[int, Field(ge=1, le=10**12)]
#: of what is held in memory at once; no machine has room for more
Size = Annotated[int, Field(ge=1, le=10**6)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _distinct(values: list[Any]) -> list[Any]:
    """Refuse what stands in a list twice: it would be measured twice under one name."""
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{value} stands there twice; write it once")
    return values


Distinct = AfterValidator(_distinct)

#: what was kept of another run; Snakemake takes braces and stars for patterns
Kept = Annotated[str, Field(pattern=r"^[^\x00-\x1f{}*?\[\]]*$", max_length=1000)]


class Section(BaseModel):
    """A section of params.yaml: unknown keys are errors, and so are numbers that JSON does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Tokens(Section):
    """The tokenizer of a task."""

    vocabulary: Annotated[int, Field(ge=260, le=65536, description="pieces of the byte-level BPE")]
    longest: Annotated[
        dict[Literal["text", "source", "target"], Annotated[int, Field(ge=2, le=10**6)]],
        Field(description="pieces kept per field, END included"),
    ] = {}


# they travel as JSON in commands, in which Snakemake would replace what stands in braces
Option = (
    bool
    | Annotated[int, Field(ge=-(10**9), le=10**9)]
    | Annotated[float, Field(ge=-1e9, le=1e9)]
    | Annotated[str, Field(pattern=r"^[A-Za-z0-9_ .:/+-]*$", max_length=200)]
    | None
)


class ArchitectureSettings(Section):
    """One setting of the block factory; see ``verdict.models.settings.Architecture``."""

    mixer: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*((\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*)?$",
            max_length=200,
            description="attention, lstm, gru, rnn, or the import path module:Class of a Mixer, whose code is run",
        ),
    ]
    layers: Annotated[int, Field(ge=1, le=256, description="blocks in the stack (in each of encoder and decoder)")]
    feedforward: Annotated[bool, Field(description="whether a block has a feed-forward part")]
    mixer_width: Annotated[
        float, Field(gt=0, le=4, description="inner width of the mixer over the model width, with a feed-forward part")
    ] = 1.0
    norm: Annotated[bool, Field(description="layer normalisation before each part")] = True
    residual: Annotated[bool, Field(description="residual connection around the mixer")] = True
    cross_attention: Annotated[
        Literal["every", "last", "none"], Field(description="which decoder blocks attend to the source")
    ] = "every"
    dropout: Annotated[Share, Field(description="share dropped after the embedding and after each part")] = 0.1
    options: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=48)], Option],
        Field(description="keyword arguments of the mixer's class"),
    ] = {}

    @model_validator(mode="after")
    def _suit(self) -> "ArchitectureSettings":
        if ":" in self.mixer:
            return self  # its own class says what it takes
        if self.mixer not in MIXERS:
            raise ValueError(f"mixer '{self.mixer}' is unknown{_suggest(self.mixer, MIXERS)}, or write module:Class")
        taken = MIXERS[self.mixer].options
        for name, value in self.options.items():
            if name not in taken:
                raise ValueError(
                    f"options.{name} is none of mixer '{self.mixer}'; it takes {', '.join(taken) or 'none'}"
                )
            if isinstance(value, bool) or not isinstance(value, taken[name]):
                raise ValueError(f"options.{name} is {value!r}; write a number")
            if name == "heads" and not 1 <= value <= 1024:  # type: ignore[operator]
                raise ValueError(f"options.heads is {value}; write a whole number from 1 to 1024")
        return self

    def build(self) -> Architecture:
        """The architecture as training jobs take it."""
        return Architecture(**self.model_dump())


class TrainingSettings(Section):
    """How a stage trains; see ``verdict.training.settings.Training``."""

    budget_tokens: Annotated[Positive, Field(description="pieces seen in training (source and target)")]
    batch_tokens: Annotated[int, Field(ge=16, le=10**7, description="pieces in a batch, padding counted")]
    window: Annotated[int, Field(ge=2, le=10**6, description="pieces in a window of a language model")] = 128
    warmup_steps: Annotated[Positive, Field(description="steps in which the learning rate rises")] = 50
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    clip: Annotated[float, Field(gt=0, description="largest gradient norm")] = 1.0
    masked: Annotated[float, Field(gt=0, lt=1, description="share of pieces a masked encoder restores")] = 0.15
    validations: Annotated[Size, Field(description="validations at equal distances of tokens")] = 10
    validation_records: Annotated[int, Field(ge=0, description="records a validation reads; 0: all")] = 0
    records: Annotated[int, Field(ge=0, description="records of the training split that are used; 0: all")] = 0
    frozen: Annotated[bool, Field(description="train the classifier alone, on an encoder that stays as it is")] = False


class TuningSettings(Section):
    """What is tried for every architecture of a stage; the loss on validation chooses."""

    learning_rates: Annotated[
        list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1, description="AdamW's, each a trial"), Distinct
    ]
    dropouts: Annotated[
        list[Share],
        Field(description="the first is tried with every rate, others with the best; empty: the architecture's own"),
        Distinct,
    ] = []
    budget: Annotated[float, Field(gt=0, le=1, description="share of the stage's budget that a trial gets")] = 0.25


class EvaluationSettings(Section):
    """How a stage's models are evaluated on the test split."""

    test_records: Annotated[int, Field(ge=0, description="records read; 0: all")] = 0
    beams: Annotated[
        list[Annotated[int, Field(ge=1, le=1024)]],
        Field(min_length=1, max_length=2, description="beams of each search; 1 is greedy"),
        Distinct,
    ] = [1]
    length_penalty: Annotated[float, Field(ge=0, le=5)] = 1.0
    longest_output: Annotated[Size, Field(description="most pieces of an output")] = 48

    @model_validator(mode="after")
    def _one_beam_search(self) -> "EvaluationSettings":
        if len(self.beams) == 2 and 1 not in self.beams:
            raise ValueError("beams may name 1 (greedy) and one larger number, because all larger ones are called beam")
        return self


class SpeedSettings(Section):
    """What is timed for a stage, with the machine to itself."""

    architectures: Annotated[list[Name], Field(description="those timed; empty: all of the stage's"), Distinct] = []
    rounds: Annotated[int, Field(ge=2, le=10**4, description="rounds of turns; at least one for each seed")] = 5
    own_batches: Annotated[Size, Field(description="batches of the stage's own data timed in each round")] = 4
    memory_rounds: Annotated[int, Field(ge=1, le=100, description="rounds in which a step's memory is measured")] = 3
    lengths: Annotated[list[Size], Field(description="pieces per sequence at constant tokens per batch"), Distinct] = []
    sweep_tokens: Annotated[Size, Field(description="pieces per batch at every one of the lengths")] = 4096
    batches: Annotated[list[Size], Field(description="sequences per batch at batch_length pieces"), Distinct] = []
    batch_length: Annotated[int, Field(ge=2, le=10**6)] = 64
    generation_batches: Annotated[list[Size], Field(description="sequences generated at once"), Distinct] = []
    generation_tokens: Annotated[Size, Field(description="pieces generated per sequence")] = 32
    contexts: Annotated[
        list[Annotated[int, Field(ge=0, le=10**6)]],
        Field(description="pieces in the context when generation is timed"),
        Distinct,
    ] = []

    @model_validator(mode="after")
    def _starts(self) -> "SpeedSettings":
        if self.generation_batches and not self.contexts:
            raise ValueError("generation_batches needs at least one number under contexts")
        return self


class AlgorithmSettings(Section):
    """A task whose answers an algorithm decides; see ``verdict.tokens.algorithms``."""

    algorithm: Annotated[Algorithm | None, Field(description="what decides; left out: the one of the task's name")] = (
        None
    )
    vocabulary: Annotated[int, Field(ge=6, le=65536, description="pieces, the 4 special ones counted")]
    lengths: Annotated[list[Size], Field(min_length=1, description="lengths trained on"), Distinct]
    test_lengths: Annotated[
        list[Size], Field(min_length=1, description="trained ones, and 2 and 4 times the longest"), Distinct
    ]
    records: Annotated[Size, Field(description="training sequences")]
    test_records: Annotated[Size, Field(description="sequences of validation and of each test")] = 500
    pairs: Annotated[list[Size], Field(description="recall: numbers of pairs trained on"), Distinct] = []
    test_pairs: Annotated[list[Size], Field(description="recall: numbers of pairs tested"), Distinct] = []
    permuted: Annotated[int, Field(ge=2, le=6, description="permutations: how many things are permuted")] = 5


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
    batches: Annotated[list[Size], Field(description="sequences of the map; 1 is always measured"), Distinct] = [
        4,
        16,
    ]
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


class Measurements(Section):
    """What is measured on trained models and on the machine, besides quality and speed."""

    gradients: GradientSettings
    context: ContextSettings
    parallelism: ParallelismSettings
    scaling: ScalingSettings = ScalingSettings()
    buckets: dict[Literal["translation", "summarization"], BucketSettings]
    items: ItemSettings = ItemSettings()
    activity: ActivitySettings
    algorithms: Annotated[
        dict[Literal["test_records", "batch_tokens"], Annotated[int, Field(ge=0, le=10**7)]],
        Field(description="evaluation"),
    ] = {}


class Stage(Section):
    """One kind of training run on a task, for each of its architectures and each seed."""

    task: Annotated[Name, Field(description="one of corpora, or one of algorithms with the objective answers")]
    family: Literal["language_model", "encoder_decoder", "masked_encoder"]
    objective: Objective
    architectures: Annotated[list[Name], Field(min_length=1), Distinct]
    width: Annotated[
        int, Field(ge=8, le=2**16, multiple_of=8, description="model width, the same for all architectures")
    ]
    parameters: Annotated[Positive, Field(description="non-embedding parameters that each architecture is solved for")]
    start: Annotated[Name | None, Field(description="stage whose models are the beginning")] = None
    variant: Annotated[str, Field(pattern=r"^[a-z0-9_]*$", max_length=48)] = ""
    size: Annotated[
        str,
        Field(pattern=r"^[a-z0-9]*$", max_length=48, description="which of the task's sizes; empty: its main one"),
    ] = ""
    training: TrainingSettings
    tuning: TuningSettings | None = None
    tuned_as: Annotated[Name | None, Field(description="stage of the same family whose tuning serves this one")] = None
    evaluation: Annotated[
        EvaluationSettings | None,
        Field(description="null: the test split is not read; the learning curve alone counts"),
    ] = EvaluationSettings()
    speed: Annotated[SpeedSettings | None, Field(description="null: not timed, and no costs read off its curves")] = (
        None
    )
    targets: Annotated[
        list[Annotated[float, Field(gt=0)]],
        Field(description="bits per byte on validation whose time to reach is measured; set before the runs"),
        Distinct,
    ] = []

    @model_validator(mode="after")
    def _agree(self) -> "Stage":
        families = {
            "language_model": "language_model",
            "sequence_pairs": "encoder_decoder",
            "masked": "masked_encoder",
            "classification": "masked_encoder",
            "answers": "language_model",
        }
        if families[self.objective] != self.family:
            raise ValueError(f"objective {self.objective} needs the family {families[self.objective]}")
        if (self.objective == "answers") == (self.task in get_args(Task)):
            raise ValueError(
                f"the objective of {self.task} is {self.objective}; answers is that of algorithms, and of these alone"
            )
        if self.objective == "answers" and self.training.records:
            raise ValueError("training.records is for texts; write fewer records under algorithms")
        pairs = self.task in ("translation", "summarization")
        labels = self.task == "classification"
        if pairs != (self.objective == "sequence_pairs") or (self.objective == "classification" and not labels):
            raise ValueError(
                f"the texts of {self.task} do not serve the objective {self.objective}; change one of them"
            )
        if self.speed and self.evaluation is None:
            raise ValueError("a stage that is timed is evaluated too; remove its speed or `evaluation: null`")
        speed = self.speed
        swept = speed and (speed.lengths or speed.batches or speed.generation_batches or speed.contexts)
        if self.training.frozen and (self.objective != "classification" or self.start is None):
            raise ValueError("training.frozen needs the objective classification and a start")
        if speed and self.objective in IN_NATS:
            raise ValueError(f"a stage of {self.objective} has no bits per byte to reach; remove its speed")
        if self.family == "masked_encoder" and swept:
            raise ValueError(
                "speed of a masked_encoder is timed on its own batches alone; remove its lists under speed"
            )
        if speed and (missing := set(speed.architectures) - set(self.architectures)):
            raise ValueError(f"speed.architectures has {', '.join(sorted(missing))}, which the stage does not train")
        if (self.tuning is None) == (self.tuned_as is None):
            raise ValueError("write either tuning or tuned_as")
        return self


class Settings(Section):
    """params.yaml with its edition laid over it."""

    edition: Name
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto: CUDA where there is one")] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Field(description="auto: bf16 where the device has it natively")
    ] = "auto"
    seeds: Annotated[int, Field(ge=1, le=1000, description="seeds of every training run: 0, 1, …")]
    seeds_together: Annotated[
        bool, Field(description="one job trains all seeds of a cell, which saves the starts of short runs")
    ] = False
    earlier: Annotated[
        Kept, Field(description="verdict.json of an earlier run, kept elsewhere: the page tells what has changed")
    ] = ""
    other_devices: Annotated[
        list[Annotated[Kept, Field(min_length=1)]],
        Distinct,
        Field(description="results folders of runs on other kinds of devices, judged and shown beside this run"),
    ] = []
    corpora: dict[Task, CorpusSpec]
    tokens: dict[Task, Tokens]
    algorithms: dict[Name, AlgorithmSettings] = {}
    architectures: dict[Name, ArchitectureSettings]
    ladders: Annotated[
        dict[Literal["lm", "translation"], Annotated[list[Name], Field(min_length=2), Distinct]],
        Field(description="architectures from one to the other, a part at a time, for a task"),
    ] = {}
    stages: dict[Name, Stage]
    measurements: Measurements

    @property
    def trained(self) -> set[str]:
        """The architectures of all stages."""
        return {name for stage in self.stages.values() for name in stage.architectures}

    @model_validator(mode="after")
    def _hang_together(self) -> "Settings":
        self._check_main_models()
        activity = self.measurements.activity
        for name in activity.stages:
            shown = self.stages.get(name)
            if shown is None or shown.objective not in ("language_model", "sequence_pairs"):
                raise ValueError(
                    f"measurements.activity.stages has '{name}', which is no stage of language_model or sequence_pairs"
                )
            if missing := set(activity.architectures) - set(shown.architectures):
                raise ValueError(
                    f"measurements.activity.architectures has {', '.join(sorted(missing))}, which {name} does not train"
                )
        for task, ladder in self.ladders.items():
            trained = {
                rung
                for stage in self.stages.values()
                if stage.task == task and not stage.size
                for rung in stage.architectures
            }
            for rung in ladder:
                if rung not in trained:
                    raise ValueError(f"ladders.{task} names '{rung}', which no stage of {task}'s main size trains")
        for name, drawn in self.algorithms.items():
            if name in get_args(Task):
                raise ValueError(f"algorithms.{name} has the name of a corpus; give it another")
            if drawn.algorithm is None and name not in get_args(Algorithm):
                raise ValueError(
                    f"algorithms.{name}.algorithm is missing; write one of {', '.join(get_args(Algorithm))}"
                )
        for name, stage in self.stages.items():
            where = f"stages.{name}"
            known: list[tuple[str, Mapping[Any, Any]]] = [("corpora", self.corpora), ("tokens", self.tokens)]
            if stage.objective == "answers":
                known = [("algorithms", self.algorithms)]
            for section, there in known:
                if stage.task not in there:
                    raise ValueError(f"{where}.task is {stage.task}, but {section} has no {stage.task}; add one")
            for architecture in stage.architectures:
                if architecture not in self.architectures:
                    raise ValueError(
                        f"{where}.architectures names '{architecture}', which architectures has not"
                        f"{_suggest(architecture, self.architectures)}"
                    )
            if stage.start is not None:
                if stage.start not in self.stages or stage.start == name:
                    raise ValueError(f"{where}.start is '{stage.start}', which is no other stage")
                before = self.stages[stage.start]
                alike = ("task", "family", "width", "parameters")
                if any(getattr(before, what) != getattr(stage, what) for what in alike):
                    raise ValueError(f"{where} and its start {stage.start} differ in task, family, width or parameters")
                if name in self._beginnings(stage.start):
                    raise ValueError(
                        f"{where}.start is '{stage.start}', which itself begins with {name}; break the ring"
                    )
                if missing := set(stage.architectures) - set(before.architectures):
                    raise ValueError(f"{where}.start {stage.start} does not train {', '.join(sorted(missing))}")
            if stage.tuned_as is not None:
                tuned = self.stages.get(stage.tuned_as)
                if tuned is None or tuned.tuning is None or tuned.family != stage.family:
                    raise ValueError(
                        f"{where}.tuned_as is '{stage.tuned_as}', which is no tuned stage of family {stage.family}"
                    )
                if missing := set(stage.architectures) - set(tuned.architectures):
                    raise ValueError(f"{where}.tuned_as {stage.tuned_as} does not tune {', '.join(sorted(missing))}")
        self._check_names()
        self._check_grids()
        self._check_sizes()
        self._check_buckets()
        return self

    def _beginnings(self, name: str) -> list[str]:
        """The stages that a stage begins with, itself first, as far as there are some and none stands twice."""
        found: list[str] = []
        here: str | None = name
        while here in self.stages and here not in found:
            found.append(here)
            here = self.stages[here].start
        return found

    def _check_main_models(self) -> None:
        """What is measured on language models is measured on the first stage of the main size that trains them."""
        context = self.measurements.context
        windows = {
            stage.training.window
            for stage in self.stages.values()
            if stage.objective == "language_model" and not stage.size
        }
        for what, values in (("near", [context.near]), ("kept", context.kept)):
            if wrong := [value for value in values if windows and value >= min(windows)]:
                raise ValueError(
                    f"measurements.context.{what} has {wrong[0]}; write less than the training window of {min(windows)}"
                )
        for what in ("gradients", "context", "parallelism"):
            for model in getattr(self.measurements, what).architectures:
                trained = [
                    (name, stage)
                    for name, stage in self.stages.items()
                    if stage.task == "lm" and not stage.size and model in stage.architectures
                ]
                where = f"measurements.{what}.architectures has {model}, which"
                if not trained:
                    raise ValueError(f"{where} no stage of lm without a size trains")
                if trained[0][1].objective != "language_model":
                    raise ValueError(f"{where} stages.{trained[0][0]} trains first, and not as a language model")

    def _check_names(self) -> None:
        """No two stages' rows of evidence may have the same names; not every kind tells variant and size."""
        seen: dict[tuple[Any, ...], str] = {}
        for name, stage in self.stages.items():
            trained = (stage.task, stage.objective, stage.variant, stage.size, stage.training.records)
            cures: dict[tuple[Any, ...], str] = {
                trained: "with the same variant, size and training.records; give one a variant"
            }
            if stage.objective == "sequence_pairs" and stage.evaluation:
                told = "and evaluate it at one size; write evaluation: null in one, or give it a size"
                cures["searched", stage.task, stage.size] = told
            if stage.objective == "answers":
                cures["answered", stage.task] = "to answer; give one an entry of its own under algorithms"
            if stage.speed:
                cures["timed", stage.task, stage.variant] = "and time it; write speed: null in one"
            for model, (kind, cure) in product(stage.architectures, cures.items()):
                if (other := seen.setdefault((*kind, model), name)) != name:
                    raise ValueError(
                        f"stages.{other} and stages.{name} both train {model} on {stage.task} {cure}, "
                        "for their figures could not be told apart"
                    )

    def _check_grids(self) -> None:
        """Architectures that are compared are tuned over one grid, whichever stages they stand in."""
        seen: dict[tuple[Any, ...], str] = {}
        for name, stage in self.stages.items():
            if stage.tuning is None:
                continue
            key = (stage.task, stage.objective, stage.start, stage.training.frozen, stage.training.records)
            other = seen.setdefault(key, name)
            before = self.stages[other].tuning
            assert before is not None
            for what, alike in (("learning_rates", sorted), ("dropouts", list)):  # it matters which dropout is first
                if alike(getattr(before, what)) != alike(getattr(stage.tuning, what)):
                    raise ValueError(
                        f"stages.{other}.tuning.{what} and stages.{name}.tuning.{what} differ, and their architectures "
                        "are compared; write the same in both"
                    )

    def _check_sizes(self) -> None:
        """Stages of a task without a variant are its sizes; their learning curves are compared, and a ladder's."""
        for task in get_args(Task):
            mine = {name: stage for name, stage in self.stages.items() if stage.task == task}
            sizes = {name: stage for name, stage in mine.items() if not stage.variant}
            if len(sizes) < 2:
                continue
            named = ", ".join(f"stages.{name}" for name in sizes)
            if len({stage.objective for stage in sizes.values()}) > 1:
                raise ValueError(f"{named} are the sizes of {task} and differ in their objective; give one a variant")
            if len({stage.parameters for stage in sizes.values()}) < len(sizes):
                raise ValueError(f"{named} are the sizes of {task}, and two have the same parameters; change one's")
            if not set.intersection(*(set(stage.architectures) for stage in sizes.values())):
                raise ValueError(f"{named} are the sizes of {task}, and no architecture is trained in all of them")
            rungs = set(self.ladders.get(task, [])) if task in ("lm", "translation") else set()
            for curves in (sizes, {name: stage for name, stage in mine.items() if rungs & set(stage.architectures)}):
                _check_curves({name: stage.training for name, stage in curves.items()})

    def _check_buckets(self) -> None:
        """Quality by length is that of the stage of the task's own name."""
        scores = {"translation": ("chrf", "bleu"), "summarization": ("rouge1", "rouge2", "rougeL")}
        for task, buckets in self.measurements.buckets.items():
            stage = self.stages.get(task)
            if stage is None or stage.task != task or stage.evaluation is None:
                raise ValueError(
                    f"measurements.buckets has {task}, and no stage of that name is trained and evaluated on it"
                )
            if buckets.quality not in scores[task]:
                raise ValueError(
                    f"measurements.buckets.{task}.quality is {buckets.quality}; write {' or '.join(scores[task])}"
                )


def _check_curves(trainings: Mapping[str, TrainingSettings]) -> None:
    """Curves are compared at the end of the shortest, which no other's first validation may come after."""
    for name, training in trainings.items():
        first = training.budget_tokens / training.validations + training.batch_tokens
        for other, shorter in trainings.items():
            if shorter.budget_tokens < first and other != name:
                raise ValueError(
                    f"stages.{other}.training.budget_tokens ends before the first validation of stages.{name}, "
                    "with whose learning curve it is compared; raise it, or the other's validations"
                )


def read(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ``UserError`` naming the line if it is not one."""
    told = documents.read(path)
    if not isinstance(told, dict):
        raise UserError(f"{path} holds no mapping of keys to values; write one")
    if TEMPLATES in told:
        raise UserError(
            f"{path}: the key '{TEMPLATES}' would have Snakemake run code that stands in the file; remove it"
        )
    return told


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``, mappings merged and everything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        mapping = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlay(merged[key], value) if mapping else value
    return merged


def resolve(told: Mapping[str, Any], name: str = "params.yaml") -> Settings:
    """The settings of the chosen edition. Raises ``UserError`` with one sentence that names the key."""
    editions = told.get("editions")
    if not isinstance(editions, Mapping):
        raise UserError(f"{name}: `editions` must be a mapping of edition names to what they change")
    edition = told.get("edition")
    if not isinstance(edition, str) or edition not in editions:
        known = [each for each in editions if isinstance(each, str)]
        raise UserError(f"{name}: `edition` is{documents.shown(edition)}; write one of {', '.join(known)}")
    base = {key: value for key, value in told.items() if key != "editions"}
    change = editions[edition] or {}
    if not isinstance(change, Mapping):
        raise UserError(f"{name}: `editions.{edition}` must be a mapping")
    merged = overlay(base, change)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        # a value of the edition is found under editions, where the user must mend it
        under = f"editions.{edition}." if _in_edition(error, change) else ""
        raise UserError(f"{name}: {documents.explain(error, Settings, merged, under)}") from error
    try:
        for task, corpus in settings.corpora.items():
            check_task(task, corpus)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    return settings


def job(settings: Settings, stage_name: str, architecture: str, seed: int) -> Job:
    """The training job of one cell."""
    stage = settings.stages[stage_name]
    return Job(
        name=f"{stage_name}/{architecture}/s{seed}",
        task=stage.task,
        stage=stage_name,
        architecture_name=architecture,
        seed=seed,
        family=stage.family,
        objective=stage.objective,
        architecture=settings.architectures[architecture].build(),
        width=stage.width,
        parameters=stage.parameters,
        training=Training(**stage.training.model_dump()),
        device=settings.device,
        precision=settings.precision,
        variant=stage.variant,
        size=stage.size,
    )


def trials(settings: Settings, stage_name: str, architecture: str) -> list[Job]:
    """The jobs of which tuning tries some and chooses one, each with a share of the budget and one validation."""
    tuning = settings.stages[stage_name].tuning
    if tuning is None:
        raise ValueError(f"{stage_name} is not tuned by itself")
    base = job(settings, stage_name, architecture, TUNING_SEED)
    return [
        replace(
            base,
            name=f"tuning/{stage_name}/{architecture}/rate {rate:g} dropout {dropout:g}",
            architecture=replace(base.architecture, dropout=dropout),
            training=replace(
                base.training,
                learning_rate=rate,
                budget_tokens=max(1, round(tuning.budget * base.training.budget_tokens)),
                validations=1,
            ),
        )
        for dropout in tuning.dropouts or [base.architecture.dropout]
        for rate in tuning.learning_rates
    ]


def _suggest(wrong: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(wrong, list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else f"; it has {', '.join(known)}"


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml with its edition laid over it, for editors and documentation."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}


def _in_edition(error: ValidationError, change: Mapping[str, Any]) -> bool:
    """Whether the first problem is with something that the edition says."""
    place = documents.first_problem(error)["loc"]
    inside: Any = change
    for part in place:
        if not isinstance(inside, Mapping):
            break  # the edition says this whole value
        if part not in inside:
            return False
        inside = inside[part]
    return bool(place)
