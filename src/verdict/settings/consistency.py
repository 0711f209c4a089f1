"""What sections of params.yaml must agree on with each other: each check raises ``ValueError`` that names the key."""

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

from verdict.documents import meant
from verdict.settings.fields import Algorithm, Task
from verdict.settings.stages import Stage, TrainingSettings

if TYPE_CHECKING:
    from verdict.settings.whole import Settings


def check(settings: "Settings") -> None:
    """Raise ``ValueError`` for the first thing on which sections disagree."""
    _main_models(settings)
    _activity(settings)
    _ladders(settings)
    _algorithms(settings)
    for name, stage in settings.stages.items():
        _known(settings, name, stage)
        if stage.start is not None:
            _start(settings, name, stage, stage.start)
        if stage.tuned_as is not None:
            _tuned_as(settings, name, stage, stage.tuned_as)
    _names(settings)
    _grids(settings)
    _shapes(settings)
    _sizes(settings)
    _buckets(settings)


def _main_models(settings: "Settings") -> None:
    """What is measured on language models is measured on the first stage of the main size that trains them."""
    context = settings.measurements.context
    windows = {
        stage.training.window
        for stage in settings.stages.values()
        if stage.objective == "language_model" and not stage.size
    }
    for what, values in (("near", [context.near]), ("kept", context.kept)):
        if wrong := [value for value in values if windows and value >= min(windows)]:
            raise ValueError(
                f"measurements.context.{what} has {wrong[0]}; write less than the training window of {min(windows)}"
            )
    for what in ("gradients", "context", "parallelism"):
        for model in getattr(settings.measurements, what).architectures:
            trained = settings.main_stages(model)
            where = f"measurements.{what}.architectures has {model}, which"
            if not trained:
                raise ValueError(f"{where} no stage of lm without a size trains")
            if settings.stages[trained[0]].objective != "language_model":
                raise ValueError(f"{where} stages.{trained[0]} trains first, and not as a language model")


def _activity(settings: "Settings") -> None:
    """What is looked at inside models are models that are trained."""
    activity = settings.measurements.activity
    for name in activity.stages:
        shown = settings.stages.get(name)
        if shown is None or shown.objective not in ("language_model", "sequence_pairs"):
            raise ValueError(
                f"measurements.activity.stages has '{name}', which is no stage of language_model or sequence_pairs"
            )
        if missing := set(activity.architectures) - set(shown.architectures):
            raise ValueError(
                f"measurements.activity.architectures has {', '.join(sorted(missing))}, which {name} does not train"
            )


def _ladders(settings: "Settings") -> None:
    """Every rung is trained at the task's main size."""
    for task, ladder in settings.ladders.items():
        trained = {
            rung
            for stage in settings.stages.values()
            if stage.task == task and not stage.size
            for rung in stage.architectures
        }
        for rung in ladder:
            if rung not in trained:
                raise ValueError(f"ladders.{task} names '{rung}', which no stage of {task}'s main size trains")


def _algorithms(settings: "Settings") -> None:
    """What decides an algorithm's answers is told, and its name is no corpus's."""
    for name, drawn in settings.algorithms.items():
        if name in get_args(Task):
            raise ValueError(f"algorithms.{name} has the name of a corpus; give it another")
        if drawn.algorithm is None and name not in get_args(Algorithm):
            raise ValueError(f"algorithms.{name}.algorithm is missing; write one of {', '.join(get_args(Algorithm))}")


def _known(settings: "Settings", name: str, stage: Stage) -> None:
    """The task and the architectures of a stage have their sections."""
    where = f"stages.{name}"
    known: list[tuple[str, Mapping[Any, Any]]] = [("corpora", settings.corpora), ("tokens", settings.tokens)]
    if stage.objective == "answers":
        known = [("algorithms", settings.algorithms)]
    for section, there in known:
        if stage.task not in there:
            raise ValueError(f"{where}.task is {stage.task}, but {section} has no {stage.task}; add one")
    for architecture in stage.architectures:
        if architecture not in settings.architectures:
            raise ValueError(
                f"{where}.architectures names '{architecture}', which architectures has not; "
                + meant(architecture, settings.architectures, f"it has {', '.join(settings.architectures)}")
            )


def _start(settings: "Settings", name: str, stage: Stage, start: str) -> None:
    """A stage begins with models of its own shape, and no ring of stages begins with itself."""
    where = f"stages.{name}"
    if start not in settings.stages or start == name:
        raise ValueError(f"{where}.start is '{start}', which is no other stage")
    before = settings.stages[start]
    alike = ("task", "family", "width", "parameters")
    if any(getattr(before, what) != getattr(stage, what) for what in alike):
        raise ValueError(f"{where} and its start {start} differ in task, family, width or parameters")
    if name in _beginnings(settings, start):
        raise ValueError(f"{where}.start is '{start}', which itself begins with {name}; break the ring")
    if missing := set(stage.architectures) - set(before.architectures):
        raise ValueError(f"{where}.start {start} does not train {', '.join(sorted(missing))}")


def _tuned_as(settings: "Settings", name: str, stage: Stage, other: str) -> None:
    """The stage whose tuning serves another tunes all of its architectures."""
    where = f"stages.{name}"
    tuned = settings.stages.get(other)
    if tuned is None or tuned.tuning is None or tuned.family != stage.family:
        raise ValueError(f"{where}.tuned_as is '{other}', which is no tuned stage of family {stage.family}")
    if missing := set(stage.architectures) - set(tuned.architectures):
        raise ValueError(f"{where}.tuned_as {other} does not tune {', '.join(sorted(missing))}")


def _beginnings(settings: "Settings", name: str) -> list[str]:
    """The stages that a stage begins with, itself first, as far as there are some and none stands twice."""
    found: list[str] = []
    here: str | None = name
    while here in settings.stages and here not in found:
        found.append(here)
        here = settings.stages[here].start
    return found


def _names(settings: "Settings") -> None:
    """No two stages' rows of evidence may have the same names; not every kind tells variant and size."""
    seen: dict[tuple[Any, ...], str] = {}
    for name, stage in settings.stages.items():
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


def _grids(settings: "Settings") -> None:
    """Architectures that are compared are tuned over one grid, whichever stages they stand in."""
    seen: dict[tuple[Any, ...], str] = {}
    for name, stage in settings.stages.items():
        if stage.tuning is None:
            continue
        key = (stage.task, stage.objective, stage.start, stage.training.frozen, stage.training.records)
        other = seen.setdefault(key, name)
        before = settings.stages[other].tuning
        assert before is not None
        # it matters which dropout is first
        for what, alike in (("learning_rates", sorted), ("dropouts", list), ("budget", float)):
            if alike(getattr(before, what)) != alike(getattr(stage.tuning, what)):
                raise ValueError(
                    f"stages.{other}.tuning.{what} and stages.{name}.tuning.{what} differ, and their architectures "
                    "are compared; write the same in both"
                )


def _shapes(settings: "Settings") -> None:
    """Models of one task and size are compared at equal width and parameters, whichever stages they stand in."""
    seen: dict[tuple[str, str, str], str] = {}
    for name, stage in settings.stages.items():
        other = seen.setdefault((stage.task, stage.family, stage.size), name)
        for what in ("width", "parameters"):
            if getattr(settings.stages[other], what) != getattr(stage, what):
                raise ValueError(
                    f"stages.{other}.{what} and stages.{name}.{what} differ, and their architectures are compared; "
                    "write the same in both, or give one a size"
                )


def _sizes(settings: "Settings") -> None:
    """Stages of a task without a variant are its sizes; their learning curves are compared, and a ladder's."""
    for task in get_args(Task):
        mine = {name: stage for name, stage in settings.stages.items() if stage.task == task}
        sizes = {name: mine[name] for name in settings.sizes(task)}
        if len(sizes) < 2:
            continue
        named = ", ".join(f"stages.{name}" for name in sizes)
        if len({stage.objective for stage in sizes.values()}) > 1:
            raise ValueError(f"{named} are the sizes of {task} and differ in their objective; give one a variant")
        if len({stage.parameters for stage in sizes.values()}) < len(sizes):
            raise ValueError(f"{named} are the sizes of {task}, and two have the same parameters; change one's")
        if not set.intersection(*(set(stage.architectures) for stage in sizes.values())):
            raise ValueError(f"{named} are the sizes of {task}, and no architecture is trained in all of them")
        rungs = set(settings.ladders.get(task, [])) if task in ("lm", "translation") else set()
        for curves in (sizes, {name: stage for name, stage in mine.items() if rungs & set(stage.architectures)}):
            _curves({name: stage.training for name, stage in curves.items()})


def _curves(trainings: Mapping[str, TrainingSettings]) -> None:
    """Curves are compared at the end of the shortest, which no other's first validation may come after."""
    for name, training in trainings.items():
        first = training.budget_tokens / training.validations + training.batch_tokens
        for other, shorter in trainings.items():
            if shorter.budget_tokens < first and other != name:
                raise ValueError(
                    f"stages.{other}.training.budget_tokens ends before the first validation of stages.{name}, "
                    "with whose learning curve it is compared; raise it, or the other's validations"
                )


def _buckets(settings: "Settings") -> None:
    """Quality by length is that of the stage of the task's own name."""
    scores = {"translation": ("chrf", "bleu"), "summarization": ("rouge1", "rouge2", "rougeL")}
    for task, buckets in settings.measurements.buckets.items():
        stage = settings.stages.get(task)
        if stage is None or stage.task != task or stage.evaluation is None:
            raise ValueError(
                f"measurements.buckets has {task}, and no stage of that name is trained and evaluated on it"
            )
        if buckets.quality not in scores[task]:
            raise ValueError(
                f"measurements.buckets.{task}.quality is {buckets.quality}; write {' or '.join(scores[task])}"
            )
