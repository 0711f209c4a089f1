# Takes data/tokens/{task}; leaves runs/{stage}/{architecture}/s{seed}: model, history, metrics; then its evaluation.
# One thread per job: as many runs side by side as there are cores, and the same bits on any number of them.


rule train_model:
    input:
        tokens=lambda wildcards: f"data/tokens/{stage_of(wildcards).task}/tokens.json",
        start=start_of,
    output:
        "runs/{stage}/{architecture}/s{seed}/model.safetensors",
        "runs/{stage}/{architecture}/s{seed}/model.json",
        "runs/{stage}/{architecture}/s{seed}/history.jsonl",
        metrics="runs/{stage}/{architecture}/s{seed}/metrics.json",
    log:
        "logs/train/{stage}-{architecture}-s{seed}.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        job=lambda wildcards: as_json(training_job(wildcards)),
        code=lambda wildcards: code_digest(
            "verdict.training.__main__", *mixer_modules([wildcards.architecture])
        ),
        tokens=subpath(input.tokens, parent=True),
        start=lambda wildcards, input: (
            f"--start {Path(input.start).parent}" if input.start else ""
        ),
        folder=subpath(output.metrics, parent=True),
    message:
        "train {wildcards.architecture} for {wildcards.stage}, seed {wildcards.seed}"
    shell:
        "python -m verdict.training --job {params.job:q} --tokens {params.tokens} {params.start} --threads {threads}"
        " --out {params.folder} 2>&1 | tee {log} >&2"


# One job for all seeds: each takes seconds, and starting Python and torch takes as long.
rule evaluate:
    input:
        models=of_all_seeds("model.safetensors"),
        tokens=lambda wildcards: f"data/tokens/{stage_of(wildcards).task}/tokens.json",
        corpus=lambda wildcards: f"data/corpus/{stage_of(wildcards).task}/test.jsonl",
    output:
        of_all_seeds("evaluation.json"),
        of_all_seeds("outputs.jsonl"),
    log:
        "logs/evaluate/{stage}-{architecture}.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        evaluation=lambda wildcards: as_json(
            {
                "language": SETTINGS.corpora[stage_of(wildcards).task].language,
                **stage_of(wildcards).evaluation.model_dump(),
            }
        ),
        code=lambda wildcards: code_digest(
            "verdict.measure.quality", *mixer_modules([wildcards.architecture])
        ),
        folders=lambda wildcards, input: [
            str(Path(model).parent) for model in input.models
        ],
        tokens=subpath(input.tokens, parent=True),
        corpus=subpath(input.corpus, parent=True),
    message:
        "evaluate {wildcards.architecture} for {wildcards.stage}, all seeds"
    shell:
        "python -m verdict.measure.quality --evaluation {params.evaluation:q} --models {params.folders}"
        " --tokens {params.tokens} --corpus {params.corpus} --threads {threads} 2>&1 | tee {log} >&2"


rule train:
    input:
        expand("runs/{run}/evaluation.json", run=RUNS),
