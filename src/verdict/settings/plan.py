"""What settings ask for: which runs there are, and what each job of the workflow is told.

Pure functions of the settings; the rules in workflow/rules/ lay them out as files and commands.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from verdict.settings.jobs import job, trials
from verdict.settings.stages import Stage
from verdict.settings.whole import Settings
from verdict.training.settings import IN_NATS


class Run(NamedTuple):
    """One training run; as text the name of its folder under runs/."""

    stage: str
    architecture: str
    seed: int

    def __str__(self) -> str:
        return f"{self.stage}/{self.architecture}/s{self.seed}"


@dataclass(frozen=True)
class Plan:
    """Everything that settings ask for."""

    settings: Settings

    # ---- tasks and stages

    @cached_property
    def algorithms(self) -> list[str]:
        """Tasks whose answers an algorithm decides."""
        return sorted({stage.task for stage in self.settings.stages.values() if stage.objective == "answers"})

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks of texts."""
        return sorted({stage.task for stage in self.settings.stages.values()} - set(self.algorithms))

    @cached_property
    def answering(self) -> list[str]:
        """Stages that learn an algorithm."""
        return self._stages(lambda stage: stage.objective == "answers")

    @cached_property
    def timed(self) -> list[str]:
        """Stages that are timed."""
        return self._stages(lambda stage: stage.speed is not None)

    @cached_property
    def curved(self) -> list[str]:
        """Timed stages whose loss is in bits per byte, so that targets and equal costs are read off their curves."""
        return [name for name in self.timed if self.settings.stages[name].objective not in IN_NATS]

    @cached_property
    def matched(self) -> list[str]:
        """Stages of a main size that keep outputs along their curves, so that scores are told at equal cost."""
        return self._stages(lambda stage: bool(stage.training.output_records) and not stage.size)

    @cached_property
    def scored(self) -> list[str]:
        """Stages whose scores are of test items that can be drawn anew."""
        return self._stages(
            lambda stage: stage.evaluation is not None and stage.objective in ("sequence_pairs", "classification")
        )

    @cached_property
    def forecast(self) -> list[str]:
        """Tasks of which a text is forecast."""
        return [task for task in self.tasks if self.forecasting(task)]

    @cached_property
    def scaled(self) -> list[str]:
        """Tasks of which several sizes are trained."""
        return [task for task in self.tasks if len(self.settings.sizes(task)) > 1]

    def tuned_as(self, stage: str) -> str:
        """The stage whose tuning serves a stage."""
        return self.settings.stages[stage].tuned_as or stage

    def _stages(self, asked: Callable[[Stage], bool]) -> list[str]:
        return [name for name, stage in self.settings.stages.items() if asked(stage)]

    # ---- runs

    @cached_property
    def runs(self) -> list[Run]:
        """Every training run."""
        return [
            Run(name, architecture, seed)
            for name, stage in self.settings.stages.items()
            for architecture in stage.architectures
            for seed in range(self.settings.seeds)
        ]

    @cached_property
    def evaluated(self) -> list[Run]:
        """Runs whose models are evaluated on the test split."""
        return [run for run in self.runs if self._stage(run).evaluation is not None]

    @cached_property
    def answered(self) -> list[Run]:
        """Runs whose outputs are kept beside their references."""
        return [run for run in self.evaluated if self._stage(run).task in self.tasks]

    @cached_property
    def tuned(self) -> list[str]:
        """{stage}/{architecture} of everything that is tuned."""
        return [
            f"{name}/{architecture}"
            for name, stage in self.settings.stages.items()
            if stage.tuning
            for architecture in stage.architectures
        ]

    def runs_of(self, stage: str) -> list[Run]:
        """A stage's runs."""
        return [run for run in self.runs if run.stage == stage]

    def forecasting(self, task: str) -> list[Run]:
        """The runs of a task whose loss is told in bits per byte."""
        return [run for run in self.runs if self._stage(run).task == task and self._stage(run).objective not in IN_NATS]

    def curves_of(self, task: str) -> list[Run]:
        """The runs of a task's sizes and of its ladder."""
        sizes, rungs = self.settings.sizes(task), _told(self.settings.ladders, task) or []
        return [
            run
            for run in self.runs
            if run.stage in sizes or (self._stage(run).task == task and run.architecture in rungs)
        ]

    def mixed(self, stage: str) -> list[Run]:
        """The runs that a stage's scores at equal cost are read of: its own, and those of its task's other sizes."""
        return [run for run in self.runs if run.stage in (stage, *self._other_sizes(stage))]

    def _other_sizes(self, stage: str) -> list[str]:
        """The other sizes of a stage's task whose outputs are kept; none if it is none of the sizes itself."""
        told = self.settings.stages
        sizes = self.settings.sizes(told[stage].task)
        kept = [name for name in sizes if name != stage and told[name].training.output_records]
        return kept if stage in sizes else []

    def language_models(self, architectures: Iterable[str]) -> list[Run]:
        """The runs of architectures as language models of the main size."""
        return [
            Run(self.settings.main_stages(name)[0], name, seed)
            for name in architectures
            for seed in range(self.settings.seeds)
        ]

    def watched(self, stage: str) -> list[Run]:
        """The runs whose models are looked into while they read one sentence: of each architecture the first seed's."""
        return [Run(stage, name, 0) for name in self.settings.measurements.activity.architectures]

    def starts(self, stage: str, architecture: str, seeds: Iterable[int]) -> list[Run]:
        """The runs whose weights those of a stage begin with; none if it begins with fresh ones."""
        before = self.settings.stages[stage].start
        return [Run(before, architecture, seed) for seed in seeds] if before else []

    def _stage(self, run: Run) -> Stage:
        return self.settings.stages[run.stage]

    # ---- what jobs are told

    def jobs(self, stage: str, architecture: str, seeds: Iterable[int]) -> list[dict[str, Any]]:
        """Everything that may change the weights of runs (but what tuning chooses), and nothing else."""
        return [job(self.settings, stage, architecture, seed).to_dict() for seed in seeds]

    def trials(self, stage: str, architecture: str) -> list[dict[str, Any]]:
        """The trials of which tuning chooses."""
        return [each.to_dict() for each in trials(self.settings, stage, architecture)]

    def timed_architectures(self, stage: str) -> list[str]:
        """The architectures that are timed for a stage."""
        told = self.settings.stages[stage]
        return (told.speed and told.speed.architectures) or told.architectures

    def mixer_modules(self, architectures: Iterable[str]) -> list[str]:
        """The modules of architectures' mixers, which the registry loads by name."""
        mixers = [self.settings.architectures[name].mixer for name in architectures]
        return [m.partition(":")[0] if ":" in m else f"verdict.models.mixers.{m}" for m in mixers]

    def evaluation(self, stage: str) -> dict[str, Any]:
        """How a stage's models are evaluated on the test split."""
        told = self.settings.stages[stage]
        assert told.evaluation is not None
        return {"language": self._language(told.task), **told.evaluation.model_dump()}

    def speeds(self) -> list[dict[str, Any]]:
        """What is timed at each stage."""
        return [
            {
                "stage": stage,
                "jobs": [each for name in self.timed_architectures(stage) for each in self.jobs(stage, name, [0])],
                "tuned_as": self.tuned_as(stage),
                **speed.model_dump(exclude={"architectures", "rounds"}),
                # one for each seed: their spreads are told together
                "rounds": max(speed.rounds, self.settings.seeds),
            }
            for stage in self.timed
            if (speed := self.settings.stages[stage].speed)
        ]

    def anatomy(self) -> list[dict[str, Any]]:
        """The jobs whose models' parts are counted: stages of one task and size train models of one shape, so that the
        first is enough."""
        first = {
            (stage.task, stage.size, architecture): (name, architecture)
            for name, stage in reversed(self.settings.stages.items())
            for architecture in stage.architectures
        }
        return [each for stage, name in first.values() for each in self.jobs(stage, name, [0])]

    def baselines(self, task: str) -> dict[str, Any]:
        """What the baselines share with the models of a task."""
        stages = [stage for stage in self.settings.stages.values() if stage.task == task]
        first = stages[0]
        return {
            "task": task,
            "objectives": sorted({stage.objective for stage in stages}),
            "window": first.training.window,
            "masked": first.training.masked,
            "batch_tokens": first.training.batch_tokens,
            "test_records": first.evaluation.test_records if first.evaluation else 0,
            "valid_records": max(stage.training.output_records for stage in stages),
            "language": self._language(task),
        }

    def buckets(self, task: str) -> dict[str, Any] | None:
        """How the scores of a task's main stage, which has its name, are told by length; None where they are not."""
        told = _told(self.settings.measurements.buckets, task)
        return told and {
            "task": task,
            "language": self._language(task),
            "longest": _told(self.settings.tokens, task).longest.get("source"),
            **told.model_dump(),
        }

    def items(self, stage: str) -> dict[str, Any]:
        """How the test items of a stage are drawn anew."""
        return {
            "stage": stage,
            "language": self._language(self.settings.stages[stage].task),
            "resamples": self.settings.measurements.items.resamples,
            "by_length": self.buckets(stage),
        }

    def matching(self, stage: str) -> dict[str, Any]:
        """How the scores of a stage are told at equal cost."""
        told = self.settings.stages[stage]
        others = self._other_sizes(stage)
        scaling = self.settings.measurements.scaling
        return {
            "stage": stage,
            "sizes": [name for name in self.settings.sizes(told.task) if name in (stage, *others)] if others else [],
            "texts": scaling.texts,
            "context": _told(scaling.context, told.task) or 128,
            "resamples": self.settings.measurements.items.resamples,
            "language": self._language(told.task) if told.task in self.tasks else "",
        }

    def likelihoods(self, task: str) -> dict[str, Any]:
        """Which held-out text of a task is drawn anew."""
        stages = {run.stage for run in self.forecasting(task)}
        return {
            "task": task,
            "resamples": self.settings.measurements.items.resamples,
            "test_records": {
                name: stage.evaluation.test_records
                for name, stage in self.settings.stages.items()
                if name in stages and stage.evaluation
            },
        }

    def scaling(self, task: str) -> dict[str, Any]:
        """What is read off the learning curves of a task."""
        sizes = self.settings.sizes(task)
        stages = [self.settings.stages[name] for name in sizes]
        everywhere = set.intersection(*(set(stage.architectures) for stage in stages))
        return {
            "task": task,
            "sizes": sizes,
            "architectures": [name for name in stages[0].architectures if name in everywhere],
            "ladder": _told(self.settings.ladders, task) or [],
            "targets": stages[-1].targets,
            **self.settings.measurements.scaling.model_dump(exclude={"context"}),
            "context": _told(self.settings.measurements.scaling.context, task) or 128,
        }

    def parallelism(self) -> dict[str, Any]:
        """What is timed over threads, batches and lengths."""
        told = self.settings.measurements.parallelism
        return {
            **told.model_dump(exclude={"architectures"}),
            "jobs": [
                each for name in told.architectures for each in self.jobs(self.settings.main_stages(name)[0], name, [0])
            ],
        }

    def _language(self, task: str) -> str:
        return str(_told(self.settings.corpora, task).language)


def _told(section: Mapping[Any, Any], task: str) -> Any:
    """What a section whose keys are some of the tasks tells of one; None if nothing."""
    return section.get(task)
