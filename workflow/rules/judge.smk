# Takes the metrics files of all jobs and the docket (claims.yaml); leaves results/: the evidence table, the ledger of
# MLflow runs, and the verdict.

METRICS = [
    *files(PLAN.runs, "metrics.json"),
    *files(PLAN.evaluated, "evaluation.json"),
    *expand("tuning/{tuned}.json", tuned=PLAN.tuned),
    *MEASURED,
]


rule evidence:
    input:
        metrics=METRICS,
        histories=files(PLAN.runs, "history.jsonl"),
        others=expand("{folder}/evidence.parquet", folder=SETTINGS.other_devices),
    output:
        "results/evidence.csv",
        "results/scores.json",
        evidence="results/evidence.parquet",
        history="results/history.parquet",
        curves=expand("results/curves/{stage}.csv", stage=SETTINGS.stages),
    log:
        "logs/evidence.log",
    conda:
        "../envs/verdict.yaml"
    params:
        code=code_digest("verdict.gathering"),
        metrics=lambda wildcards: environment.by_seed(METRICS),
        runs=lambda wildcards: environment.by_seed(folders(PLAN.runs)),
        others=OTHER_DEVICES,
        folder=subpath(output.evidence, parent=True),
    message:
        "gather the evidence"
    shell:
        "python -m verdict.job verdict.gathering --metrics {params.metrics} --runs {params.runs} {params.others}"
        " --out {params.folder}"
        " 2>&1 | tee {log} >&2"


rule ledger:
    input:
        metrics=METRICS,
        cards=expand("data/corpus/{task}/card.json", task=PLAN.tasks),
        machine="results/machine.json",
    output:
        ledger="results/ledger.json",
        # the local store is added to, never deleted first; with a server there is none
        store=update("mlflow.db") if environment.local_ledger() else [],
    log:
        "logs/ledger.log",
    conda:
        "../envs/verdict.yaml"
    params:
        code=code_digest("verdict.ledger"),
        metrics=lambda wildcards: environment.by_seed(METRICS),
        attempt=environment.ledger_attempt(Path("results/ledger.json")),
    message:
        "write new runs into MLflow"
    shell:
        "python -m verdict.job verdict.ledger --metrics {params.metrics} --cards {input.cards} --machine {input.machine}"
        " --out {output.ledger} --attempt {params.attempt} 2>&1 | tee {log} >&2"


rule judge:
    input:
        evidence="results/evidence.parquet",
        claims="claims.yaml",
        docket="results/docket.json",
    output:
        "results/verdict.json",
    log:
        "logs/judge.log",
    conda:
        "../envs/verdict.yaml"
    params:
        code=code_digest("verdict.judge"),
    message:
        "judge the claims"
    shell:
        "python -m verdict.job verdict.judge --evidence {input.evidence} --claims {input.claims} --docket {input.docket}"
        " --out {output} 2>&1 | tee {log} >&2"
