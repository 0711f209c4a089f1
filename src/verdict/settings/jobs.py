"""The training jobs that settings ask for."""

from dataclasses import replace

from verdict.settings.whole import Settings
from verdict.training.settings import Job, Training

#: of the trials of tuning; judged runs have 0, 1, …, at most 999
TUNING_SEED = 1000


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
                output_records=0,
            ),
        )
        for dropout in tuning.dropouts or [base.architecture.dropout]
        for rate in tuning.learning_rates
    ]
