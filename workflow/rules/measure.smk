# Takes encoded tasks and histories; leaves measurements/: rows of evidence about baselines, speed, sizes and curves.
# What is timed asks for more threads than there are, gets all of them, and so runs with nothing beside it.


rule baselines:
    input:
        train="data/corpus/{task}/train.jsonl",
        test="data/corpus/{task}/test.jsonl",
        tokens="data/tokens/{task}/tokens.json",
    output:
        "measurements/baselines/{task}.json",
    log:
        "logs/baselines/{task}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(baseline_settings(wildcards.task)),
        code=code_digest("verdict.measure.baselines"),
        corpus=subpath(input.train, parent=True),
        tokens=subpath(input.tokens, parent=True),
    message:
        "score the baselines of {wildcards.task}"
    shell:
        "python -m verdict.measure.baselines --settings {params.settings:q} --corpus {params.corpus}"
        " --tokens {params.tokens} --out {output} 2>&1 | tee {log} >&2"


# One job for all stages: they share one state of the machine, and one start of Python and torch.
rule speed:
    input:
        tokens=expand("data/tokens/{task}/tokens.json", task=TASKS),
    output:
        expand("measurements/speed/{stage}.json", stage=CURVED),
    log:
        "logs/speed.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1024
    resources:
        gpu=GPU,
    params:
        speeds=as_json(
            [
                {
                    "stage": stage,
                    "jobs": timed_jobs(stage),
                    **SETTINGS.stages[stage].speed.model_dump(
                        exclude={"architectures"}
                    ),
                }
                for stage in CURVED
            ]
        ),
        code=code_digest(
            "verdict.measure.speed", *mixer_modules(SETTINGS.architectures)
        ),
        tokens=lambda wildcards, input: str(Path(input.tokens[0]).parents[1]),
        folder=subpath(output[0], parent=True),
    message:
        "time training and generation of every stage, alone on the machine"
    shell:
        "python -m verdict.measure.speed --speeds {params.speeds:q} --tokens {params.tokens} --threads {threads}"
        " --out {params.folder} 2>&1 | tee {log} >&2"


rule machine:
    output:
        machine="results/machine.json",
        rows="measurements/device.json",
    log:
        "logs/machine.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1024
    resources:
        gpu=GPU,
    params:
        device=SETTINGS.device,
        edition=SETTINGS.edition,
        code=code_digest("verdict.measure.machine"),
    message:
        "describe the machine and measure its matrix-product peak"
    shell:
        "python -m verdict.measure.machine --device {params.device} --edition {params.edition} --threads {threads}"
        " --machine {output.machine} --rows {output.rows} 2>&1 | tee {log} >&2"


# stages of one task and size train models of one shape, so one of them is counted
FIRST_STAGES = {
    (stage.task, stage.size, architecture): (name, architecture)
    for name, stage in reversed(SETTINGS.stages.items())
    for architecture in stage.architectures
}


rule anatomy:
    input:
        tokens=expand("data/tokens/{task}/tokens.json", task=TASKS),
    output:
        "measurements/anatomy.json",
    log:
        "logs/anatomy.log",
    conda:
        "../envs/verdict.yaml"
    params:
        jobs=as_json(
            [job(SETTINGS, *first, 0).to_dict() for first in FIRST_STAGES.values()]
        ),
        code=code_digest(
            "verdict.measure.anatomy", *mixer_modules(SETTINGS.architectures)
        ),
        tokens=lambda wildcards, input: str(Path(input.tokens[0]).parents[1]),
    message:
        "count parameters and operations of every model"
    shell:
        "python -m verdict.measure.anatomy --jobs {params.jobs:q} --tokens {params.tokens} --out {output}"
        " 2>&1 | tee {log} >&2"


rule curves:
    input:
        metrics=lambda wildcards: [
            f"{run}/metrics.json" for run in runs_of(wildcards.stage)
        ],
        histories=lambda wildcards: [
            f"{run}/history.jsonl" for run in runs_of(wildcards.stage)
        ],
        speed="measurements/speed/{stage}.json",
    output:
        "measurements/curves/{stage}.json",
    log:
        "logs/curves/{stage}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        targets=lambda wildcards: as_json(stage_of(wildcards).targets),
        code=code_digest("verdict.measure.curves"),
        runs=lambda wildcards: runs_of(wildcards.stage),
    message:
        "read the learning curves of {wildcards.stage} at equal cost"
    shell:
        "python -m verdict.measure.curves --stage {wildcards.stage} --targets {params.targets:q} --runs {params.runs}"
        " --speed {input.speed} --out {output} 2>&1 | tee {log} >&2"


rule scaling:
    input:
        lambda wildcards: [
            f"runs/{run}/{file}"
            for run in scaled_runs(wildcards.task)
            for file in ("metrics.json", "model.json", "history.jsonl")
        ],
    output:
        "measurements/scaling/{task}.json",
    log:
        "logs/scaling/{task}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(scaling_settings(wildcards.task)),
        code=code_digest(
            "verdict.measure.scaling", *mixer_modules(SETTINGS.architectures)
        ),
        runs=lambda wildcards: [f"runs/{run}" for run in scaled_runs(wildcards.task)],
    message:
        "fit what text and parameters are worth for {wildcards.task}"
    shell:
        "python -m verdict.measure.scaling --settings {params.settings:q} --runs {params.runs} --out {output}"
        " 2>&1 | tee {log} >&2"


MEASURED = [
    "measurements/device.json",
    *expand("measurements/baselines/{task}.json", task=TASKS),
    "measurements/anatomy.json",
    *expand("measurements/speed/{stage}.json", stage=CURVED),
    *expand("measurements/curves/{stage}.json", stage=CURVED),
    *expand("measurements/scaling/{task}.json", task=SCALED),
]


rule measure:
    input:
        MEASURED,
