# What the rules share. Takes params.yaml (as `config`); leaves the settings, lists of files and what jobs depend on.

import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

import environment

environment.prepare(Path(workflow.basedir))
if complaint := environment.complaint(Path.cwd()):
    raise WorkflowError(complaint)

from verdict.errors import UserError
from verdict.provenance import code_digest as digest_of
from verdict.provenance import files_digest
from verdict.settings import job, resolve

try:
    SETTINGS = resolve(config)
except UserError as error:
    raise WorkflowError(str(error)) from None

TASKS = sorted({stage.task for stage in SETTINGS.stages.values()})
STAGES = list(SETTINGS.stages)
# stages whose loss is in bits per byte have curves to read targets and equal costs off
CURVED = [
    name
    for name, stage in SETTINGS.stages.items()
    if stage.objective != "classification"
]
RUNS = [
    f"{name}/{architecture}/s{seed}"
    for name, stage in SETTINGS.stages.items()
    for architecture in stage.architectures
    for seed in range(SETTINGS.seeds)
]
GPU = int(
    SETTINGS.device == "cuda" or (SETTINGS.device == "auto" and environment.has_gpu())
)


wildcard_constraints:
    task="[a-z]+",
    stage="[a-z][a-z0-9_]*",
    architecture="[a-z][a-z0-9_]*",
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


def training_job(wildcards):
    """Everything that may change the weights of one run, and nothing else."""
    return job(
        SETTINGS, wildcards.stage, wildcards.architecture, int(wildcards.seed)
    ).to_dict()


def stage_jobs(stage):
    """The first seed's job of each architecture of a stage."""
    return [
        job(SETTINGS, stage, name, 0).to_dict()
        for name in SETTINGS.stages[stage].architectures
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
    return (
        f"runs/{before}/{wildcards.architecture}/s{wildcards.seed}/model.safetensors"
        if before
        else []
    )


def of_all_seeds(file):
    """A file of the runs of an architecture on a stage."""
    return expand(
        "runs/{{stage}}/{{architecture}}/s{seed}/{file}",
        seed=range(SETTINGS.seeds),
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
        "test_records": first.evaluation.test_records,
        "language": SETTINGS.corpora[task].language,
    }


def runs_of(stage):
    """The folders of a stage's runs."""
    return [f"runs/{run}" for run in RUNS if run.split("/")[0] == stage]
