"""params.yaml with its edition laid over it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from verdict.corpus.spec import CorpusSpec
from verdict.settings import consistency
from verdict.settings.architectures import ArchitectureSettings
from verdict.settings.fields import Distinct, Kept, Name, Section, Task
from verdict.settings.measurements import Measurements
from verdict.settings.stages import Stage
from verdict.settings.tasks import AlgorithmSettings, Tokens


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

    def main_stages(self, architecture: str) -> list[str]:
        """The stages of language modelling that train an architecture at the main size; the first one counts."""
        return [
            name
            for name, stage in self.stages.items()
            if stage.task == "lm" and not stage.size and architecture in stage.architectures
        ]

    def sizes(self, task: str) -> list[str]:
        """The stages of a task that differ in size, those without a variant, from small to large."""
        own = [name for name, stage in self.stages.items() if stage.task == task and not stage.variant]
        return sorted(own, key=lambda name: self.stages[name].parameters)

    @model_validator(mode="after")
    def _hang_together(self) -> "Settings":
        consistency.check(self)
        return self
