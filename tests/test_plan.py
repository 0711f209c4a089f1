"""What settings ask for."""

import json
from pathlib import Path

import pytest

from verdict.settings import Plan, read, resolve
from verdict.settings.plan import Run

TOLD = read(Path(__file__).parent.parent / "params.yaml")


@pytest.fixture(params=list(TOLD["editions"]))
def plan(request: pytest.FixtureRequest) -> Plan:
    return Plan(resolve({**TOLD, "edition": request.param}))


def test_every_architecture_of_every_stage_has_every_seed(plan: Plan):
    assert len(plan.runs) == len(set(map(str, plan.runs))) == len(set(plan.runs))
    for name, stage in plan.settings.stages.items():
        assert [(run.architecture, run.seed) for run in plan.runs_of(name)] == [
            (architecture, seed) for architecture in stage.architectures for seed in range(plan.settings.seeds)
        ]
    assert str(Run("lm", "lstm", 2)) == "lm/lstm/s2"


def test_what_is_read_of_runs_are_runs(plan: Plan):
    runs = set(plan.runs)
    told = [plan.evaluated, plan.answered, *map(plan.forecasting, plan.tasks), *map(plan.curves_of, plan.scaled)]
    told += map(plan.mixed, plan.matched)
    measured = plan.settings.measurements
    told += [
        plan.language_models(measured.gradients.architectures),
        plan.language_models(measured.context.architectures),
    ]
    told += map(plan.watched, measured.activity.stages)
    for name, stage in plan.settings.stages.items():
        told += [plan.starts(name, architecture, [0]) for architecture in stage.architectures]
    for some in told:
        assert set(some) <= runs
    assert set(plan.answered) <= set(plan.evaluated)


def test_everything_that_jobs_are_told_is_json_and_needs_no_other_stage(plan: Plan):
    told = [plan.speeds(), plan.anatomy(), plan.parallelism()]
    told += [plan.baselines(task) for task in plan.tasks] + [plan.scaling(task) for task in plan.scaled]
    told += [plan.items(stage) for stage in plan.scored] + [plan.likelihoods(task) for task in plan.forecast]
    told += [plan.matching(stage) for stage in plan.matched]
    assert json.loads(json.dumps(told)) == told
    assert {speed["stage"] for speed in plan.speeds()} == set(plan.timed)
    assert all(speed["rounds"] >= plan.settings.seeds for speed in plan.speeds())


def test_every_shape_is_counted_once_by_the_first_stage_that_trains_it(plan: Plan):
    counted = [(job["task"], job["size"], job["architecture_name"]) for job in plan.anatomy()]
    assert len(counted) == len(set(counted))
    first = {}
    for name, stage in plan.settings.stages.items():
        for architecture in stage.architectures:
            first.setdefault((stage.task, stage.size, architecture), name)
    assert {key: job["stage"] for key, job in zip(counted, plan.anatomy(), strict=True)} == first


def test_sizes_stand_from_small_to_large_and_have_common_architectures(plan: Plan):
    for task in plan.scaled:
        told = plan.scaling(task)
        parameters = [plan.settings.stages[stage].parameters for stage in told["sizes"]]
        assert parameters == sorted(set(parameters))
        for stage in told["sizes"]:
            assert set(told["architectures"]) <= set(plan.settings.stages[stage].architectures)


def test_every_stage_with_scores_is_told_at_equal_cost(plan: Plan):
    scored = {name for name in plan.scored if not plan.settings.stages[name].size} | set(plan.answering)
    assert set(plan.matched) == scored
    assert plan.matching("translation")["sizes"] == ["translation_small", "translation"]
    assert {run.stage for run in plan.mixed("translation")} == {"translation_small", "translation"}
    assert plan.matching("recall")["sizes"] == plan.matching("probe")["sizes"] == []
    assert {run.stage for run in plan.mixed("probe")} == {"probe"}


def test_a_users_mixer_is_a_module_of_its_own():
    told = {**TOLD, "architectures": {**TOLD["architectures"], "mine": {"mixer": "mine:Mixer", "layers": 1,
            "feedforward": False}}}  # fmt: skip
    assert Plan(resolve(told)).mixer_modules(["mine", "lstm"]) == ["mine", "verdict.models.mixers.lstm"]
