# Takes the corpora of params.yaml; leaves data/corpus/{task}: train, valid, test (.jsonl) and card.json.
# Downloads are kept in downloads/ by hash and never fetched twice.


rule corpus:
    input:
        # the user's own; what is downloaded is known by its hash
        lambda wildcards: [
            str(Path(file.path).expanduser())
            for file in SETTINGS.corpora[wildcards.task].source.files
        ],
    output:
        "data/corpus/{task}/card.json",
        "data/corpus/{task}/train.jsonl",
        "data/corpus/{task}/valid.jsonl",
        "data/corpus/{task}/test.jsonl",
    log:
        "logs/corpus/{task}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        spec=lambda wildcards: as_json(
            SETTINGS.corpora[wildcards.task].model_dump(mode="json")
        ),
        code=code_digest("verdict.corpus.__main__"),
        folder="data/corpus/{task}",
    message:
        "read, clean and split the corpus of {wildcards.task}"
    shell:
        "python -m verdict.job verdict.corpus --task {wildcards.task} --spec {params.spec:q} --downloads downloads"
        " --out {params.folder} 2>&1 | tee {log} >&2"


rule corpora:
    input:
        expand("data/corpus/{task}/card.json", task=PLAN.tasks),
