# Takes encoded tasks, models and histories; leaves measurements/: rows of evidence about baselines, speed, sizes and
# curves, and what the page shows of the inside of models, which is no evidence.
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
        "python -m verdict.job verdict.measure.baselines --settings {params.settings:q} --corpus {params.corpus}"
        " --tokens {params.tokens} --out {output} 2>&1 | tee {log} >&2"


# One job for all stages: they share one state of the machine, and one start of Python and torch.
rule speed:
    input:
        tokens=expand("data/tokens/{task}/tokens.json", task=TASKS),
        tuning=[
            f"tuning/{tuned_stage(stage)}/{each['architecture_name']}.json"
            for stage in CURVED
            for each in timed_jobs(stage)
        ],
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
                    "tuned_as": tuned_stage(stage),
                    **SETTINGS.stages[stage].speed.model_dump(
                        exclude={"architectures", "rounds"}
                    ),
                    # one for each seed: their spreads are told together
                    "rounds": max(SETTINGS.stages[stage].speed.rounds, SETTINGS.seeds),
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
        "python -m verdict.job verdict.measure.speed --speeds {params.speeds:q} --tokens {params.tokens} --threads {threads}"
        " --tuning tuning --out {params.folder} 2>&1 | tee {log} >&2"


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
        precision=SETTINGS.precision,
        edition=SETTINGS.edition,
        code=code_digest("verdict.measure.machine"),
    message:
        "describe the machine and measure its matrix-product peak"
    shell:
        "python -m verdict.job verdict.measure.machine --device {params.device} --precision {params.precision} --edition {params.edition}"
        " --threads {threads} --machine {output.machine} --rows {output.rows} 2>&1 | tee {log} >&2"


# stages of one task and size train models of one shape, so one of them is counted
FIRST_STAGES = {
    (stage.task, stage.size, architecture): (name, architecture)
    for name, stage in reversed(SETTINGS.stages.items())
    for architecture in stage.architectures
}


rule anatomy:
    input:
        tokens=expand("data/tokens/{task}/tokens.json", task=[*TASKS, *ALGORITHMS]),
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
        "python -m verdict.job verdict.measure.anatomy --jobs {params.jobs:q} --tokens {params.tokens} --out {output}"
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
        "python -m verdict.job verdict.measure.curves --stage {wildcards.stage} --targets {params.targets:q} --runs {params.runs}"
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
        "python -m verdict.job verdict.measure.scaling --settings {params.settings:q} --runs {params.runs} --out {output}"
        " 2>&1 | tee {log} >&2"


rule algorithm_baselines:
    input:
        "data/tokens/{algorithm}/tokens.json",
    output:
        "measurements/baselines/{algorithm}.json",
    log:
        "logs/baselines/{algorithm}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=as_json(SETTINGS.measurements.algorithms),
        code=code_digest("verdict.measure.algorithms"),
        tokens=subpath(input[0], parent=True),
    message:
        "score answers to {wildcards.algorithm} that need no algorithm"
    shell:
        "python -m verdict.job verdict.measure.algorithms --settings {params.settings:q} --tokens {params.tokens}"
        " --baseline {output} 2>&1 | tee {log} >&2"


rule gradients:
    input:
        tokens="data/tokens/lm/tokens.json",
        models=[
            f"{run}/{file}"
            for run in language_models(SETTINGS.measurements.gradients.architectures)
            for file in (
                "model.safetensors",
                "model.json",
                "metrics.json",
                "history.jsonl",
            )
        ],
    output:
        "measurements/gradients.json",
    log:
        "logs/gradients.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    params:
        settings=as_json(
            SETTINGS.measurements.gradients.model_dump(exclude={"architectures"})
        ),
        code=code_digest(
            "verdict.measure.gradients",
            *mixer_modules(SETTINGS.measurements.gradients.architectures),
        ),
        runs=language_models(SETTINGS.measurements.gradients.architectures),
        tokens=subpath(input.tokens, parent=True),
    message:
        "follow gradients back in time"
    shell:
        "python -m verdict.job verdict.measure.gradients --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --threads {threads} --out {output} 2>&1 | tee {log} >&2"


rule context:
    input:
        tokens="data/tokens/lm/tokens.json",
        models=[
            f"{run}/{file}"
            for run in language_models(SETTINGS.measurements.context.architectures)
            for file in ("model.safetensors", "model.json", "metrics.json")
        ],
    output:
        "measurements/context.json",
    log:
        "logs/context.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=as_json(
            SETTINGS.measurements.context.model_dump(exclude={"architectures"})
        ),
        code=code_digest(
            "verdict.measure.context",
            *mixer_modules(SETTINGS.measurements.context.architectures),
        ),
        runs=language_models(SETTINGS.measurements.context.architectures),
        tokens=subpath(input.tokens, parent=True),
    message:
        "see how much context language models use"
    shell:
        "python -m verdict.job verdict.measure.context --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --threads {threads} --out {output} 2>&1 | tee {log} >&2"


rule parallelism:
    input:
        tokens="data/tokens/lm/tokens.json",
    output:
        "measurements/parallelism.json",
    log:
        "logs/parallelism.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1024
    resources:
        gpu=GPU,
    params:
        settings=as_json(
            {
                **SETTINGS.measurements.parallelism.model_dump(
                    exclude={"architectures"}
                ),
                "jobs": [
                    job(SETTINGS, main_stage(name), name, 0).to_dict()
                    for name in SETTINGS.measurements.parallelism.architectures
                ],
            }
        ),
        code=code_digest(
            "verdict.measure.parallelism",
            *mixer_modules(SETTINGS.measurements.parallelism.architectures),
        ),
        tokens=lambda wildcards, input: str(Path(input.tokens).parents[1]),
    message:
        "time threads, batches, lengths and implementations, alone on the machine"
    shell:
        "python -m verdict.job verdict.measure.parallelism --settings {params.settings:q} --tokens {params.tokens}"
        " --threads {threads} --out {output} 2>&1 | tee {log} >&2"


rule buckets:
    input:
        tokens="data/tokens/{task}/tokens.json",
        outputs=lambda wildcards: [
            f"{run}/{file}"
            for run in runs_of(wildcards.task)
            for file in ("metrics.json", "evaluation.json", "outputs.jsonl")
        ],
    output:
        "measurements/buckets/{task}.json",
    log:
        "logs/buckets/{task}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(bucket_settings(wildcards.task)),
        code=code_digest("verdict.measure.buckets"),
        runs=lambda wildcards: runs_of(wildcards.task),
        tokens=subpath(input.tokens, parent=True),
        corpus="data/corpus/{task}",
    message:
        "score {wildcards.task} by length"
    shell:
        "python -m verdict.job verdict.measure.buckets --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --corpus {params.corpus} --out {output} 2>&1 | tee {log} >&2"


rule items:
    input:
        outputs=lambda wildcards: [
            f"{run}/{file}"
            for run in runs_of(wildcards.stage)
            for file in ("evaluation.json", "outputs.jsonl")
        ],
        tokens=lambda wildcards: f"data/tokens/{stage_of(wildcards).task}/tokens.json",
    output:
        "measurements/items/{stage}.json",
    log:
        "logs/items/{stage}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(
            {
                "stage": wildcards.stage,
                "language": SETTINGS.corpora[stage_of(wildcards).task].language,
                "resamples": SETTINGS.measurements.items.resamples,
                "by_length": bucket_settings(wildcards.stage),
            }
        ),
        code=code_digest("verdict.measure.items"),
        runs=lambda wildcards: runs_of(wildcards.stage),
        tokens=subpath(input.tokens, parent=True),
        corpus=lambda wildcards: f"data/corpus/{stage_of(wildcards).task}",
    message:
        "draw the test items of {wildcards.stage} anew"
    shell:
        "python -m verdict.job verdict.measure.items --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --corpus {params.corpus} --out {output} 2>&1 | tee {log} >&2"


rule likelihoods:
    input:
        models=lambda wildcards: [
            f"{run}/{file}"
            for run in forecasting_runs(wildcards.task)
            for file in ("model.safetensors", "model.json", "metrics.json")
        ],
        evaluated=lambda wildcards: [
            f"{run}/evaluation.json"
            for run in forecasting_runs(wildcards.task, EVALUATED)
        ],
        tokens="data/tokens/{task}/tokens.json",
    output:
        "measurements/likelihoods/{task}.json",
    log:
        "logs/likelihoods/{task}.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: as_json(likelihood_settings(wildcards.task)),
        code=code_digest(
            "verdict.measure.likelihoods", *mixer_modules(SETTINGS.architectures)
        ),
        runs=lambda wildcards: forecasting_runs(wildcards.task),
        tokens=subpath(input.tokens, parent=True),
        corpus="data/corpus/{task}",
    message:
        "draw the held-out text of {wildcards.task} anew"
    shell:
        "python -m verdict.job verdict.measure.likelihoods --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --corpus {params.corpus} --threads {threads} --out {output} 2>&1 | tee {log} >&2"


rule activity:
    input:
        tokens=lambda wildcards: f"data/tokens/{stage_of(wildcards).task}/tokens.json",
        models=lambda wildcards: [
            f"{run}/{file}"
            for run in first_runs(
                wildcards.stage, SETTINGS.measurements.activity.architectures
            )
            for file in ("model.safetensors", "model.json", "metrics.json")
        ],
    output:
        "measurements/activity/{stage}.json",
    log:
        "logs/activity/{stage}.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    params:
        settings=as_json(
            SETTINGS.measurements.activity.model_dump(
                exclude={"architectures", "stages"}
            )
        ),
        code=code_digest(
            "verdict.measure.activity",
            *mixer_modules(SETTINGS.measurements.activity.architectures),
        ),
        runs=lambda wildcards: first_runs(
            wildcards.stage, SETTINGS.measurements.activity.architectures
        ),
        tokens=subpath(input.tokens, parent=True),
    message:
        "look inside the models of {wildcards.stage} while they read one sentence"
    shell:
        "python -m verdict.job verdict.measure.activity --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --threads {threads} --out {output} 2>&1 | tee {log} >&2"


# stages whose scores are of test items that can be drawn anew
SCORED = [
    name
    for name, stage in SETTINGS.stages.items()
    if stage.evaluation and stage.objective in ("sequence_pairs", "classification")
]
MEASURED = [
    "measurements/device.json",
    *expand("measurements/baselines/{task}.json", task=TASKS),
    "measurements/anatomy.json",
    *expand("measurements/speed/{stage}.json", stage=CURVED),
    *expand("measurements/curves/{stage}.json", stage=CURVED),
    *expand("measurements/scaling/{task}.json", task=SCALED),
    *expand("measurements/baselines/{algorithm}.json", algorithm=ALGORITHMS),
    *expand("measurements/items/{stage}.json", stage=SCORED),
    *expand("measurements/likelihoods/{task}.json", task=FORECAST),
    *expand("measurements/buckets/{task}.json", task=SETTINGS.measurements.buckets),
    "measurements/gradients.json",
    "measurements/context.json",
    "measurements/parallelism.json",
]
# shown and not judged, so no part of the evidence
SHOWN = expand(
    "measurements/activity/{stage}.json", stage=SETTINGS.measurements.activity.stages
)


rule measure:
    input:
        MEASURED,
        SHOWN,
