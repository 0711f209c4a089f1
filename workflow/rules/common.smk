# What the rules share. Takes params.yaml (as `config`); leaves the settings, lists of files and what jobs depend on.

import json
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

import environment

environment.prepare(Path(workflow.basedir))
if complaint := environment.complaint(Path.cwd()):
    raise WorkflowError(complaint)
if environment.release(Path.cwd()):
    print("An earlier run was killed; its lock is removed.", file=sys.stderr)
# no error: looking (-n, --dag) is allowed, and whoever wants to write finds Snakemake's lock
for process in environment.others(Path.cwd()):
    print(
        f"Another snakemake (process {process}) works in this folder; to write here too, wait until it has ended.",
        file=sys.stderr,
    )
environment.enter(Path.cwd())

from verdict.court import claims as docket
from verdict.errors import UserError
from verdict.job import start_server
from verdict.provenance import code_digest as digest_of
from verdict.provenance import files_digest
from verdict.settings import job, resolve, trials
from verdict.training.settings import IN_NATS

try:
    SETTINGS = resolve(config)
    # before anything is trained: the judge would refuse the evidence, and a docket changed then is told on the page
    docket.check_architectures(docket.load(Path("claims.yaml")), SETTINGS.trained)
except UserError as error:
    raise WorkflowError(str(error)) from None

environment.trust(one.mixer for one in SETTINGS.architectures.values())

ALGORITHMS = sorted(
    {stage.task for stage in SETTINGS.stages.values() if stage.objective == "answers"}
)
TASKS = sorted({stage.task for stage in SETTINGS.stages.values()} - set(ALGORITHMS))
STAGES = list(SETTINGS.stages)
# stages that are timed, so that targets and equal costs are read off their curves
CURVED = [name for name, stage in SETTINGS.stages.items() if stage.speed]
RUNS = [
    f"{name}/{architecture}/s{seed}"
    for name, stage in SETTINGS.stages.items()
    for architecture in stage.architectures
    for seed in range(SETTINGS.seeds)
]
EVALUATED = [
    run for run in RUNS if SETTINGS.stages[Path(run).parts[0]].evaluation is not None
]
# runs whose outputs are kept beside their references
ANSWERED = [
    run for run in EVALUATED if SETTINGS.stages[Path(run).parts[0]].task in TASKS
]
TUNED = [
    f"{name}/{architecture}"
    for name, stage in SETTINGS.stages.items()
    if stage.tuning
    for architecture in stage.architectures
]
# tasks of which a text is forecast
FORECAST = [
    task
    for task in TASKS
    if any(
        stage.task == task and stage.objective not in IN_NATS
        for stage in SETTINGS.stages.values()
    )
]
# the option that names the results of runs on other kinds of devices
OTHER_DEVICES = (
    f"--other-devices {shlex.join(SETTINGS.other_devices)}"
    if SETTINGS.other_devices
    else ""
)
GPU = int(
    SETTINGS.device == "cuda" or (SETTINGS.device == "auto" and environment.has_gpu())
)


wildcard_constraints:
    task="|".join(TASKS),
    algorithm="|".join(ALGORITHMS) or "none",
    answering="|".join(
        name for name, stage in SETTINGS.stages.items() if stage.objective == "answers"
    )
    or "none",
    stage="|".join(STAGES),
    architecture="|".join(SETTINGS.architectures),
    seed="[0-9]+",


def code_digest(*modules):
    """A param of every rule: jobs run again when the code they use changes (not when only its comments do)."""
    try:
        return digest_of(*modules)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def stage_of(wildcards):
    """The settings of a job's stage."""
    return SETTINGS.stages[wildcards.stage]


def as_json(value):
    """One line of JSON, the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def training_jobs(wildcards):
    """Everything that may change the weights of a job's runs (but what tuning chooses), and nothing else."""
    seeds = range(SETTINGS.seeds) if SETTINGS.seeds_together else [int(wildcards.seed)]
    return [
        job(SETTINGS, wildcards.stage, wildcards.architecture, seed).to_dict()
        for seed in seeds
    ]


def tuning_trials(wildcards):
    """The trials of which tuning chooses."""
    return [
        each.to_dict()
        for each in trials(SETTINGS, wildcards.stage, wildcards.architecture)
    ]


def tuned_stage(stage):
    """The stage whose tuning serves a stage."""
    return SETTINGS.stages[stage].tuned_as or stage


def timed_jobs(stage):
    """The first seed's job of each architecture that is timed for a stage."""
    told = SETTINGS.stages[stage]
    return [
        job(SETTINGS, stage, name, 0).to_dict()
        for name in told.speed.architectures or told.architectures
    ]


def mixer_modules(names):
    """The modules of architectures' mixers, which the registry loads by name."""
    mixers = [SETTINGS.architectures[name].mixer for name in names]
    return [
        m.partition(":")[0] if ":" in m else f"verdict.models.mixers.{m}"
        for m in mixers
    ]


def start_of(wildcards):
    """The weights that a run begins with, if its stage begins with another's."""
    before = stage_of(wildcards).start
    seeds = range(SETTINGS.seeds) if SETTINGS.seeds_together else [wildcards.seed]
    return (
        [
            f"runs/{before}/{wildcards.architecture}/s{seed}/model.safetensors"
            for seed in seeds
        ]
        if before
        else []
    )


def first_start_of(wildcards):
    """The weights that trials begin with: the first seed's."""
    before = stage_of(wildcards).start
    return (
        [f"runs/{before}/{wildcards.architecture}/s0/model.safetensors"]
        if before
        else []
    )


def of_seeds(file, seeds=None):
    """A file of the runs of an architecture on a stage, with all seeds or some."""
    return expand(
        "runs/{{stage}}/{{architecture}}/s{seed}/{file}",
        seed=range(SETTINGS.seeds) if seeds is None else seeds,
        file=file,
    )


def baseline_settings(task):
    """What the baselines share with the models of a task."""
    stages = [stage for stage in SETTINGS.stages.values() if stage.task == task]
    first = stages[0]
    return {
        "task": task,
        "objectives": sorted({stage.objective for stage in stages}),
        "window": first.training.window,
        "masked": first.training.masked,
        "batch_tokens": first.training.batch_tokens,
        "test_records": first.evaluation.test_records if first.evaluation else 0,
        "language": SETTINGS.corpora[task].language,
    }


def bucket_settings(task):
    """How the scores of a task's main stage, which has its name, are told by length; None where they are not."""
    told = SETTINGS.measurements.buckets.get(task)
    return told and {
        "task": task,
        "language": SETTINGS.corpora[task].language,
        "longest": SETTINGS.tokens[task].longest.get("source"),
        **told.model_dump(),
    }


def forecasting_runs(task, among=RUNS):
    """The runs of a task whose loss is told in bits per byte."""
    return [
        f"runs/{run}"
        for run in among
        if (stage := SETTINGS.stages[run.split("/")[0]]).task == task
        and stage.objective not in IN_NATS
    ]


def likelihood_settings(task):
    """Which held-out text of a task is drawn anew."""
    return {
        "task": task,
        "resamples": SETTINGS.measurements.items.resamples,
        "test_records": {
            name: stage.evaluation.test_records
            for name, stage in SETTINGS.stages.items()
            if stage.task == task
            and stage.evaluation
            and stage.objective not in IN_NATS
        },
    }


def scaled_stages(task):
    """The stages of a task that differ in size, from small to large."""
    stages = {
        name: stage
        for name, stage in SETTINGS.stages.items()
        if stage.task == task and not stage.variant
    }
    return sorted(stages, key=lambda name: stages[name].parameters)


def scaled_runs(task):
    """The runs of a task's sizes and of its ladder."""
    rungs = SETTINGS.ladders.get(task, [])
    return [
        run
        for run in RUNS
        if run.split("/")[0] in scaled_stages(task)
        or (
            SETTINGS.stages[run.split("/")[0]].task == task
            and run.split("/")[1] in rungs
        )
    ]


def scaling_settings(task):
    """What is read off the learning curves of a task."""
    stages = scaled_stages(task)
    everywhere = set.intersection(
        *(set(SETTINGS.stages[stage].architectures) for stage in stages)
    )
    return {
        "task": task,
        "sizes": stages,
        "architectures": [
            name
            for name in SETTINGS.stages[stages[0]].architectures
            if name in everywhere
        ],
        "ladder": SETTINGS.ladders.get(task, []),
        "targets": SETTINGS.stages[stages[-1]].targets,
        **SETTINGS.measurements.scaling.model_dump(exclude={"context"}),
        "context": SETTINGS.measurements.scaling.context.get(task, 128),
    }


# tasks of which several sizes are trained
SCALED = [task for task in TASKS if len(scaled_stages(task)) > 1]


def main_stage(architecture):
    """The first stage that trains an architecture as a language model of the main size."""
    return next(
        name
        for name, stage in SETTINGS.stages.items()
        if stage.task == "lm" and not stage.size and architecture in stage.architectures
    )


def language_models(architectures):
    """The runs of architectures as language models of the main size."""
    return [
        f"runs/{main_stage(name)}/{name}/s{seed}"
        for name in architectures
        for seed in range(SETTINGS.seeds)
    ]


def runs_of(stage):
    """The folders of a stage's runs."""
    return [f"runs/{run}" for run in RUNS if run.split("/")[0] == stage]


def first_runs(stage, architectures):
    """The folders of the first seed's runs of architectures on a stage."""
    return [f"runs/{stage}/{name}/s0" for name in architectures]
