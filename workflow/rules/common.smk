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
from verdict.settings import Plan, resolve

try:
    SETTINGS = resolve(config)
    # before anything is trained: the judge would refuse the evidence, and a docket changed then is told on the page
    docket.check_architectures(docket.load(Path("claims.yaml")), SETTINGS.trained)
except UserError as error:
    raise WorkflowError(str(error)) from None

environment.trust(one.mixer for one in SETTINGS.architectures.values())

PLAN = Plan(SETTINGS)
# what a trained model is read from
MODEL = ("model.safetensors", "model.json", "metrics.json")
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
    task="|".join(PLAN.tasks),
    algorithm="|".join(PLAN.algorithms) or "none",
    answering="|".join(PLAN.answering) or "none",
    stage="|".join(SETTINGS.stages),
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


def folders(runs):
    """The folders of runs."""
    return [f"runs/{run}" for run in runs]


def files(runs, *names):
    """Files in the folders of runs."""
    return [f"runs/{run}/{name}" for run in runs for name in names]


def seeds_of(wildcards):
    """The seeds of one training job: all, or the one of its wildcard."""
    return range(SETTINGS.seeds) if SETTINGS.seeds_together else [int(wildcards.seed)]


def of_seeds(file, seeds=None, stage="stage"):
    """A file of the runs of an architecture on the stage of a wildcard, with all seeds or some."""
    return expand(
        "runs/{stage}/{{architecture}}/s{seed}/{file}",
        stage=f"{{{stage}}}",
        seed=range(SETTINGS.seeds) if seeds is None else seeds,
        file=file,
    )
