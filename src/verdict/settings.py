"""params.yaml, typed: what may stand in it, in which range, and one sentence for what is wrong with it.

``resolve`` lays the chosen edition over the rest and checks the result; ``job`` makes the training jobs of it. The
JSON schema in workflow/schemas/params.schema.json is generated from these classes.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from verdict import documents
from verdict.corpus.spec import CorpusSpec, check_task
from verdict.errors import UserError
from verdict.models.settings import Architecture
from verdict.training.settings import Job, Training

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _distinct(values: list[Any]) -> list[Any]:
    """Refuse what stands in a list twice: it would be measured twice under one name."""
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{value} stands there twice; write it once")
    return values


Distinct = AfterValidator(_distinct)


class Section(BaseModel):
    """A section of params.yaml: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tokens(Section):
    """The tokenizer of a task."""

    vocabulary: Annotated[int, Field(ge=260, le=65536, description="pieces of the byte-level BPE")]
    longest: Annotated[
        dict[Literal["text", "source", "target"], Annotated[int, Field(ge=2)]],
        Field(description="pieces kept per field, END included"),
    ] = {}


class ArchitectureSettings(Section):
    """One setting of the block factory; see ``verdict.models.settings.Architecture``."""

    mixer: Annotated[str, Field(description="attention, lstm, or the import path module:Class of a Mixer")]
    layers: Annotated[Positive, Field(description="blocks in the stack (in each of encoder and decoder)")]
    feedforward: Annotated[bool, Field(description="whether a block has a feed-forward part")]
    norm: Annotated[bool, Field(description="layer normalisation before each part")] = True
    residual: Annotated[bool, Field(description="residual connection around the mixer")] = True
    cross_attention: Annotated[
        Literal["every", "last", "none"], Field(description="which decoder blocks attend to the source")
    ] = "every"
    dropout: Annotated[Share, Field(description="share dropped after the embedding and after each part")] = 0.1
    options: Annotated[dict[str, Any], Field(description="keyword arguments of the mixer's class")] = {}

    def build(self) -> Architecture:
        """The architecture as training jobs take it."""
        return Architecture(**self.model_dump())


class TrainingSettings(Section):
    """How a stage trains; see ``verdict.training.settings.Training``."""

    budget_tokens: Annotated[Positive, Field(description="pieces seen in training (source and target)")]
    batch_tokens: Annotated[int, Field(ge=16, description="pieces in a batch, padding counted")]
    learning_rate: Annotated[
        dict[Name, Annotated[float, Field(gt=0, le=1)]],
        Field(description="per architecture, all chosen from the same grid with the same number of trials"),
    ]
    window: Annotated[int, Field(ge=2, description="pieces in a window of a language model")] = 128
    warmup_steps: Annotated[Positive, Field(description="steps in which the learning rate rises")] = 50
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    clip: Annotated[float, Field(gt=0, description="largest gradient norm")] = 1.0
    masked: Annotated[float, Field(gt=0, lt=1, description="share of pieces a masked encoder restores")] = 0.15
    validations: Annotated[Positive, Field(description="validations at equal distances of tokens")] = 10
    validation_records: Annotated[int, Field(ge=0, description="records a validation reads; 0: all")] = 0


class EvaluationSettings(Section):
    """How a stage's models are evaluated on the test split."""

    test_records: Annotated[int, Field(ge=0, description="records read; 0: all")] = 0
    beams: Annotated[
        list[Positive], Field(min_length=1, max_length=2, description="beams of each search; 1 is greedy"), Distinct
    ] = [1]
    length_penalty: Annotated[float, Field(ge=0, le=5)] = 1.0
    longest_output: Annotated[Positive, Field(description="most pieces of an output")] = 48

    @model_validator(mode="after")
    def _one_beam_search(self) -> "EvaluationSettings":
        if len(self.beams) == 2 and 1 not in self.beams:
            raise ValueError("beams may name 1 (greedy) and one larger number, because all larger ones are called beam")
        return self


class SpeedSettings(Section):
    """What is timed for a stage, with the machine to itself."""

    rounds: Annotated[int, Field(ge=2, description="rounds in which the architectures take turns")] = 5
    own_batches: Annotated[Positive, Field(description="batches of the stage's own data timed in each round")] = 4
    lengths: Annotated[
        list[Positive], Field(description="pieces per sequence at constant tokens per batch"), Distinct
    ] = []
    sweep_tokens: Annotated[Positive, Field(description="pieces per batch at every one of the lengths")] = 4096
    batches: Annotated[list[Positive], Field(description="sequences per batch at batch_length pieces"), Distinct] = []
    batch_length: Annotated[int, Field(ge=2)] = 64
    generation_batches: Annotated[list[Positive], Field(description="sequences generated at once"), Distinct] = []
    generation_tokens: Annotated[Positive, Field(description="pieces generated per sequence")] = 32
    contexts: Annotated[
        list[Annotated[int, Field(ge=0)]],
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

    task: Literal["lm", "translation", "summarization", "classification"]
    family: Literal["language_model", "encoder_decoder", "masked_encoder"]
    objective: Literal["language_model", "sequence_pairs", "masked", "classification"]
    architectures: Annotated[list[Name], Field(min_length=1), Distinct]
    width: Annotated[int, Field(ge=8, multiple_of=8, description="model width, the same for all architectures")]
    parameters: Annotated[Positive, Field(description="non-embedding parameters that each architecture is solved for")]
    start: Annotated[Name | None, Field(description="stage whose models are the beginning")] = None
    variant: str = ""
    training: TrainingSettings
    evaluation: EvaluationSettings = EvaluationSettings()
    speed: SpeedSettings = SpeedSettings()
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
        }
        if families[self.objective] != self.family:
            raise ValueError(f"objective {self.objective} needs the family {families[self.objective]}")
        pairs = self.task in ("translation", "summarization")
        labels = self.task == "classification"
        if pairs != (self.objective == "sequence_pairs") or (self.objective == "classification" and not labels):
            raise ValueError(
                f"the texts of {self.task} do not serve the objective {self.objective}; change one of them"
            )
        timed = self.speed.lengths or self.speed.batches or self.speed.generation_batches or self.speed.contexts
        if self.family == "masked_encoder" and timed:
            raise ValueError(
                "speed of a masked_encoder is timed on its own batches alone; remove its lists under speed"
            )
        if missing := set(self.architectures) - set(self.training.learning_rate):
            raise ValueError(f"training.learning_rate has none for {', '.join(sorted(missing))}; write one for each")
        return self


class Settings(Section):
    """params.yaml with its edition laid over it."""

    edition: Name
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto: CUDA where there is one")] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Field(description="auto: bf16 where the device has it natively")
    ] = "auto"
    seeds: Annotated[int, Field(ge=1, le=1000, description="seeds of every training run: 0, 1, …")]
    corpora: dict[Literal["lm", "translation", "summarization", "classification"], CorpusSpec]
    tokens: dict[Literal["lm", "translation", "summarization", "classification"], Tokens]
    architectures: dict[Name, ArchitectureSettings]
    stages: dict[Name, Stage]

    @model_validator(mode="after")
    def _hang_together(self) -> "Settings":
        for name, stage in self.stages.items():
            where = f"stages.{name}"
            for section, there in (("corpora", self.corpora), ("tokens", self.tokens)):
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
                if (before.task, before.width, before.parameters) != (stage.task, stage.width, stage.parameters):
                    raise ValueError(f"{where} and its start {stage.start} differ in task, width or parameters")
                if missing := set(stage.architectures) - set(before.architectures):
                    raise ValueError(f"{where}.start {stage.start} does not train {', '.join(sorted(missing))}")
        return self


def read(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ``UserError`` naming the line if it is not one."""
    told = documents.read(path)
    if not isinstance(told, dict):
        raise UserError(f"{path} holds no mapping of keys to values; write one")
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
        raise UserError(f"{name}: `edition` is {edition!r}; write one of {', '.join(map(str, editions))}")
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
    for task, corpus in settings.corpora.items():
        check_task(task, corpus)
    return settings


def job(settings: Settings, stage_name: str, architecture: str, seed: int) -> Job:
    """The training job of one cell."""
    stage = settings.stages[stage_name]
    told = stage.training.model_dump()
    told["learning_rate"] = stage.training.learning_rate[architecture]
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
        training=Training(**told),
        device=settings.device,
        precision=settings.precision,
        variant=stage.variant,
    )


def _suggest(wrong: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(wrong, list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else f"; it has {', '.join(known)}"


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml with its edition laid over it, for editors and documentation."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}


def _in_edition(error: ValidationError, change: Mapping[str, Any]) -> bool:
    """Whether the first problem is with something that the edition says."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    inside: Any = change
    for part in problems[0]["loc"]:
        if not isinstance(inside, Mapping) or part not in inside:
            return False
        inside = inside[part]
    return bool(problems[0]["loc"])
