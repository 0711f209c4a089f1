"""What one training job is told. Plain dataclasses: see ``verdict.models.settings``."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from verdict.models.settings import Architecture, Family

Objective = Literal["language_model", "sequence_pairs", "masked", "classification", "answers"]
#: objectives whose predictions stand for no bytes of text: their loss reads in nats per prediction, not bits per byte
IN_NATS: tuple[Objective, ...] = ("classification", "answers")


@dataclass(frozen=True)
class Training:
    """How to train; the same for every architecture, but for what is tuned for each."""

    #: pieces seen in training (source and target, padding not counted) before it ends
    budget_tokens: int
    #: pieces in a batch (padding counted, so that memory is bounded)
    batch_tokens: int
    #: peak and, after the warm-up, constant learning rate of AdamW; tuning chooses it
    learning_rate: float = 1e-3
    #: pieces in a window of a language model; the cut for other texts is made when they are encoded
    window: int = 128
    #: steps in which the learning rate rises from zero
    warmup_steps: int = 50
    weight_decay: float = 0.01
    #: largest gradient norm
    clip: float = 1.0
    #: share of pieces that a masked encoder must restore
    masked: float = 0.15
    #: validations at equal distances of tokens, the last at the end
    validations: int = 10
    #: records of the validation split that each validation reads (0: all)
    validation_records: int = 0
    #: records of the validation split whose outputs are kept at each validation, for scores at equal cost (0: none)
    output_records: int = 0
    #: records of the training split that are used (0: all)
    records: int = 0
    #: train the classifier alone, on an encoder that stays as it is (a probe)
    frozen: bool = False


@dataclass(frozen=True)
class Job:
    """One training run: the cell of an experiment."""

    name: str
    task: str
    stage: str
    architecture_name: str
    seed: int
    family: Family
    objective: Objective
    architecture: Architecture
    width: int
    parameters: int
    training: Training
    #: auto | cpu | cuda
    device: str = "auto"
    #: auto | fp32 | bf16 (matrix products; weights stay fp32)
    precision: str = "auto"
    #: which variant of its task this run is ("scratch", "pretrained", …)
    variant: str = ""
    #: which of several sizes ("" where the task has one)
    size: str = ""

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Job":
        """Rebuild a job from its JSON."""
        parts = {"architecture": Architecture(**value["architecture"]), "training": Training(**value["training"])}
        return cls(**{**value, **parts})

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that every row of evidence about this run shares; ``labels`` where a classifier got only some."""
        labels = {"variable": "labels", "at": self.training.records} if self.training.records else {}
        return {
            "task": self.task,
            "architecture": self.architecture_name,
            "variant": self.variant,
            "size": self.size,
            "replicate": self.seed,
            **labels,
        }

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a job."""
        return asdict(self)


def device_of(jobs: Iterable[Job]) -> str:
    """The device that params.yaml names, the same for all jobs; ``auto`` where there is none."""
    return next((job.device for job in jobs), "auto")
