"""``stages``: kinds of training runs, with their tuning, evaluation and timing."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from verdict.settings.fields import Distinct, Name, Positive, Section, Share, Size, Task
from verdict.training.settings import IN_NATS, Objective


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
    output_records: Annotated[
        int, Field(ge=0, description="records whose outputs each validation keeps, for scores at equal cost; 0: none")
    ] = 0
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
        if self.training.records and self.objective != "classification":
            instead = "records under algorithms" if self.objective == "answers" else "corpora.<task>.limits.records"
            raise ValueError(f"training.records is for texts with labels; write fewer as {instead}")
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
        if self.targets and self.objective in IN_NATS:
            raise ValueError(f"a stage of {self.objective} has no bits per byte to reach; remove its targets")
        if self.training.output_records and self.objective in ("language_model", "masked"):
            raise ValueError(f"{self.objective} has no outputs; remove training.output_records")
        if swept and (self.family == "masked_encoder" or self.objective == "answers"):
            raise ValueError(f"{self.objective} is timed on its own batches alone; remove the lists under speed")
        if speed and (missing := set(speed.architectures) - set(self.architectures)):
            raise ValueError(f"speed.architectures has {', '.join(sorted(missing))}, which the stage does not train")
        if (self.tuning is None) == (self.tuned_as is None):
            raise ValueError("write either tuning or tuned_as")
        return self
