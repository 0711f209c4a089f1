# Takes encoded tasks, models and histories; leaves measurements/: rows of evidence about baselines, speed, sizes and
# curves, and what the page shows of the inside of models, which is no evidence.
# What is timed asks for more threads than there are, gets all of them, and so runs with nothing beside it.


rule baselines:
    input:
        train="data/corpus/{task}/train.jsonl",
        valid="data/corpus/{task}/valid.jsonl",
        test="data/corpus/{task}/test.jsonl",
        tokens="data/tokens/{task}/tokens.json",
    output:
        "measurements/baselines/{task}.json",
    log:
        "logs/baselines/{task}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(PLAN.baselines(wildcards.task)),
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
        tokens=expand("data/tokens/{task}/tokens.json", task=PLAN.tasks),
        tuning=[
            f"tuning/{PLAN.tuned_as(stage)}/{architecture}.json"
            for stage in PLAN.timed
            for architecture in PLAN.timed_architectures(stage)
        ],
    output:
        expand("measurements/speed/{stage}.json", stage=PLAN.timed),
    log:
        "logs/speed.log",
    conda:
        "../envs/verdict.yaml"
    threads: 1024
    resources:
        gpu=GPU,
    params:
        speeds=as_json(PLAN.speeds()),
        code=code_digest(
            "verdict.measure.speed", *PLAN.mixer_modules(SETTINGS.architectures)
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


rule anatomy:
    input:
        tokens=expand(
            "data/tokens/{task}/tokens.json", task=[*PLAN.tasks, *PLAN.algorithms]
        ),
    output:
        "measurements/anatomy.json",
    log:
        "logs/anatomy.log",
    conda:
        "../envs/verdict.yaml"
    params:
        jobs=as_json(PLAN.anatomy()),
        code=code_digest(
            "verdict.measure.anatomy", *PLAN.mixer_modules(SETTINGS.architectures)
        ),
        tokens=lambda wildcards, input: str(Path(input.tokens[0]).parents[1]),
    message:
        "count parameters and operations of every model"
    shell:
        "python -m verdict.job verdict.measure.anatomy --jobs {params.jobs:q} --tokens {params.tokens} --out {output}"
        " 2>&1 | tee {log} >&2"


rule curves:
    input:
        metrics=lambda wildcards: files(PLAN.runs_of(wildcards.stage), "metrics.json"),
        histories=lambda wildcards: files(
            PLAN.runs_of(wildcards.stage), "history.jsonl"
        ),
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
        runs=lambda wildcards: folders(PLAN.runs_of(wildcards.stage)),
    message:
        "read the learning curves of {wildcards.stage} at equal cost"
    shell:
        "python -m verdict.job verdict.measure.curves --stage {wildcards.stage} --targets {params.targets:q} --runs {params.runs}"
        " --speed {input.speed} --out {output} 2>&1 | tee {log} >&2"


# A stage that is not timed has no speed.json, and is told at equal FLOPs alone.
rule matched:
    input:
        runs=lambda wildcards: files(
            PLAN.mixed(wildcards.stage),
            "metrics.json",
            "model.json",
            "history.jsonl",
            "validation.jsonl",
        ),
        speed=lambda wildcards: (
            f"measurements/speed/{wildcards.stage}.json"
            if wildcards.stage in PLAN.timed
            else []
        ),
        corpus=lambda wildcards: (
            f"data/corpus/{stage_of(wildcards).task}/valid.jsonl"
            if stage_of(wildcards).task in PLAN.tasks
            else []
        ),
    output:
        "measurements/matched/{stage}.json",
    log:
        "logs/matched/{stage}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(PLAN.matching(wildcards.stage)),
        code=code_digest(
            "verdict.measure.matched", *PLAN.mixer_modules(SETTINGS.architectures)
        ),
        runs=lambda wildcards: folders(PLAN.mixed(wildcards.stage)),
        speed=lambda wildcards, input: f"--speed {input.speed}" if input.speed else "",
        corpus=lambda wildcards, input: (
            f"--corpus {Path(input.corpus).parent}" if input.corpus else ""
        ),
    message:
        "score what the models of {wildcards.stage} say at equal cost"
    shell:
        "python -m verdict.job verdict.measure.matched --settings {params.settings:q} --runs {params.runs} {params.speed}"
        " {params.corpus} --out {output} 2>&1 | tee {log} >&2"


rule scaling:
    input:
        lambda wildcards: files(
            PLAN.curves_of(wildcards.task),
            "metrics.json",
            "model.json",
            "history.jsonl",
        ),
    output:
        "measurements/scaling/{task}.json",
    log:
        "logs/scaling/{task}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(PLAN.scaling(wildcards.task)),
        code=code_digest(
            "verdict.measure.scaling", *PLAN.mixer_modules(SETTINGS.architectures)
        ),
        runs=lambda wildcards: folders(PLAN.curves_of(wildcards.task)),
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
        settings=as_json(SETTINGS.measurements.algorithms.model_dump()),
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
        models=files(
            PLAN.language_models(SETTINGS.measurements.gradients.architectures),
            *MODEL,
            "history.jsonl",
        ),
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
            *PLAN.mixer_modules(SETTINGS.measurements.gradients.architectures),
        ),
        runs=folders(
            PLAN.language_models(SETTINGS.measurements.gradients.architectures)
        ),
        tokens=subpath(input.tokens, parent=True),
    message:
        "follow gradients back in time"
    shell:
        "python -m verdict.job verdict.measure.gradients --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --threads {threads} --out {output} 2>&1 | tee {log} >&2"


rule context:
    input:
        tokens="data/tokens/lm/tokens.json",
        models=files(
            PLAN.language_models(SETTINGS.measurements.context.architectures), *MODEL
        ),
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
            *PLAN.mixer_modules(SETTINGS.measurements.context.architectures),
        ),
        runs=folders(PLAN.language_models(SETTINGS.measurements.context.architectures)),
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
        settings=as_json(PLAN.parallelism()),
        code=code_digest(
            "verdict.measure.parallelism",
            *PLAN.mixer_modules(SETTINGS.measurements.parallelism.architectures),
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
        outputs=lambda wildcards: files(
            PLAN.runs_of(wildcards.task),
            "metrics.json",
            "evaluation.json",
            "outputs.jsonl",
        ),
    output:
        "measurements/buckets/{task}.json",
    log:
        "logs/buckets/{task}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(PLAN.buckets(wildcards.task)),
        code=code_digest("verdict.measure.buckets"),
        runs=lambda wildcards: folders(PLAN.runs_of(wildcards.task)),
        tokens=subpath(input.tokens, parent=True),
        corpus="data/corpus/{task}",
    message:
        "score {wildcards.task} by length"
    shell:
        "python -m verdict.job verdict.measure.buckets --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --corpus {params.corpus} --out {output} 2>&1 | tee {log} >&2"


rule items:
    input:
        outputs=lambda wildcards: files(
            PLAN.runs_of(wildcards.stage), "evaluation.json", "outputs.jsonl"
        ),
        tokens=lambda wildcards: f"data/tokens/{stage_of(wildcards).task}/tokens.json",
    output:
        "measurements/items/{stage}.json",
    log:
        "logs/items/{stage}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        settings=lambda wildcards: as_json(PLAN.items(wildcards.stage)),
        code=code_digest("verdict.measure.items"),
        runs=lambda wildcards: folders(PLAN.runs_of(wildcards.stage)),
        tokens=subpath(input.tokens, parent=True),
        corpus=lambda wildcards: f"data/corpus/{stage_of(wildcards).task}",
    message:
        "draw the test items of {wildcards.stage} anew"
    shell:
        "python -m verdict.job verdict.measure.items --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --corpus {params.corpus} --out {output} 2>&1 | tee {log} >&2"


rule likelihoods:
    input:
        models=lambda wildcards: files(PLAN.forecasting(wildcards.task), *MODEL),
        evaluated=lambda wildcards: files(
            [run for run in PLAN.forecasting(wildcards.task) if run in PLAN.evaluated],
            "evaluation.json",
        ),
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
        settings=lambda wildcards: as_json(PLAN.likelihoods(wildcards.task)),
        code=code_digest(
            "verdict.measure.likelihoods", *PLAN.mixer_modules(SETTINGS.architectures)
        ),
        runs=lambda wildcards: folders(PLAN.forecasting(wildcards.task)),
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
        models=lambda wildcards: files(PLAN.watched(wildcards.stage), *MODEL),
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
            *PLAN.mixer_modules(SETTINGS.measurements.activity.architectures),
        ),
        runs=lambda wildcards: folders(PLAN.watched(wildcards.stage)),
        tokens=subpath(input.tokens, parent=True),
    message:
        "look inside the models of {wildcards.stage} while they read one sentence"
    shell:
        "python -m verdict.job verdict.measure.activity --settings {params.settings:q} --models {params.runs}"
        " --tokens {params.tokens} --threads {threads} --out {output} 2>&1 | tee {log} >&2"


MEASURED = [
    "measurements/device.json",
    *expand("measurements/baselines/{task}.json", task=PLAN.tasks),
    "measurements/anatomy.json",
    *expand("measurements/speed/{stage}.json", stage=PLAN.timed),
    *expand("measurements/curves/{stage}.json", stage=PLAN.curved),
    *expand("measurements/matched/{stage}.json", stage=PLAN.matched),
    *expand("measurements/scaling/{task}.json", task=PLAN.scaled),
    *expand("measurements/baselines/{algorithm}.json", algorithm=PLAN.algorithms),
    *expand("measurements/items/{stage}.json", stage=PLAN.scored),
    *expand("measurements/likelihoods/{task}.json", task=PLAN.forecast),
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
