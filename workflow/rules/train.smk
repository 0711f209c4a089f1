# Takes data/tokens/{task}; leaves tuning/{stage}/{architecture}.json, then runs/{stage}/{architecture}/s{seed}: model,
# history, metrics; then its evaluation.
# One thread per job: as many runs side by side as there are cores, and the same bits on any number of them.

# the seeds of one training job's files: all, or the one of its wildcard
SEEDS = list(range(SETTINGS.seeds)) if SETTINGS.seeds_together else ["{seed}"]


# The rules of judging are fixed before the runs: their hash is recorded once and kept when the docket changes.
rule docket:
    input:
        ancient("claims.yaml"),
    output:
        "results/docket.json",
    log:
        "logs/docket.log",
    conda:
        "../envs/verdict.yaml"
    message:
        "record the docket's hash"
    shell:
        "python -m verdict.job verdict.court.claims --claims {input} --record {output} 2>&1 | tee {log} >&2"


rule tune:
    input:
        ancient("results/docket.json"),
        tokens=lambda wildcards: f"data/tokens/{stage_of(wildcards).task}/tokens.json",
        start=lambda wildcards: files(
            PLAN.starts(wildcards.stage, wildcards.architecture, [0]),
            "model.safetensors",
        ),
    output:
        "tuning/{stage}/{architecture}.json",
    log:
        "logs/tune/{stage}-{architecture}.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        trials=lambda wildcards: as_json(
            PLAN.trials(wildcards.stage, wildcards.architecture)
        ),
        code=lambda wildcards: code_digest(
            "verdict.training.tuning", *PLAN.mixer_modules([wildcards.architecture])
        ),
        tokens=subpath(input.tokens, parent=True),
        start=lambda wildcards, input: (
            f"--start {Path(input.start[0]).parent}" if input.start else ""
        ),
    message:
        "tune {wildcards.architecture} for {wildcards.stage}"
    shell:
        "python -m verdict.job verdict.training.tuning --trials {params.trials:q} --tokens {params.tokens} {params.start}"
        " --threads {threads} --out {output} 2>&1 | tee {log} >&2"


rule train_model:
    input:
        ancient("results/docket.json"),
        tokens=lambda wildcards: f"data/tokens/{stage_of(wildcards).task}/tokens.json",
        tuning=lambda wildcards: f"tuning/{PLAN.tuned_as(wildcards.stage)}/{wildcards.architecture}.json",
        start=lambda wildcards: files(
            PLAN.starts(wildcards.stage, wildcards.architecture, seeds_of(wildcards)),
            "model.safetensors",
        ),
    output:
        of_seeds("model.safetensors", SEEDS),
        of_seeds("model.json", SEEDS),
        of_seeds("history.jsonl", SEEDS),
        of_seeds("validation.jsonl", SEEDS),
        of_seeds("metrics.json", SEEDS),
    log:
        f"logs/train/{{stage}}-{{architecture}}{'' if SETTINGS.seeds_together else '-s{seed}'}.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        jobs=lambda wildcards: as_json(
            PLAN.jobs(wildcards.stage, wildcards.architecture, seeds_of(wildcards))
        ),
        code=lambda wildcards: code_digest(
            "verdict.training.__main__", *PLAN.mixer_modules([wildcards.architecture])
        ),
        tokens=subpath(input.tokens, parent=True),
        start=lambda wildcards: (
            f"--start {stage_of(wildcards).start}" if stage_of(wildcards).start else ""
        ),
    message:
        "train {wildcards.architecture} for {wildcards.stage}"
    shell:
        "python -m verdict.job verdict.training --jobs {params.jobs:q} --tokens {params.tokens} --tuning {input.tuning}"
        " {params.start} --threads {threads} --runs runs 2>&1 | tee {log} >&2"


# One job for all seeds: each takes seconds, and starting Python and torch takes as long.
rule evaluate:
    input:
        models=of_seeds("model.safetensors"),
        tokens=lambda wildcards: f"data/tokens/{stage_of(wildcards).task}/tokens.json",
        corpus=lambda wildcards: f"data/corpus/{stage_of(wildcards).task}/test.jsonl",
    output:
        of_seeds("evaluation.json"),
        of_seeds("outputs.jsonl"),
    log:
        "logs/evaluate/{stage}-{architecture}.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        evaluation=lambda wildcards: as_json(PLAN.evaluation(wildcards.stage)),
        code=lambda wildcards: code_digest(
            "verdict.measure.quality", *PLAN.mixer_modules([wildcards.architecture])
        ),
        folders=lambda wildcards, input: [
            str(Path(model).parent) for model in input.models
        ],
        tokens=subpath(input.tokens, parent=True),
        corpus=subpath(input.corpus, parent=True),
    message:
        "evaluate {wildcards.architecture} for {wildcards.stage}, all seeds"
    shell:
        "python -m verdict.job verdict.measure.quality --evaluation {params.evaluation:q} --models {params.folders}"
        " --tokens {params.tokens} --corpus {params.corpus} --threads {threads} 2>&1 | tee {log} >&2"


rule evaluate_answers:
    input:
        models=of_seeds("model.safetensors", stage="answering"),
        tokens=lambda wildcards: f"data/tokens/{SETTINGS.stages[wildcards.answering].task}/tokens.json",
    output:
        of_seeds("evaluation.json", stage="answering"),
    log:
        "logs/evaluate/{answering}-{architecture}.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=as_json(SETTINGS.measurements.algorithms.model_dump()),
        code=lambda wildcards: code_digest(
            "verdict.measure.algorithms", *PLAN.mixer_modules([wildcards.architecture])
        ),
        folders=lambda wildcards, input: [
            str(Path(model).parent) for model in input.models
        ],
        tokens=subpath(input.tokens, parent=True),
    message:
        "evaluate {wildcards.architecture} for {wildcards.answering}, all seeds"
    shell:
        "python -m verdict.job verdict.measure.algorithms --settings {params.settings:q} --models {params.folders}"
        " --tokens {params.tokens} --threads {threads} 2>&1 | tee {log} >&2"


rule train:
    input:
        files(PLAN.runs, "metrics.json"),
        files(PLAN.evaluated, "evaluation.json"),


# the rules of stages overlap in the names of their files: those of algorithms have one of their own
ruleorder: evaluate_answers > evaluate
