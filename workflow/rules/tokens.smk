# Takes data/corpus/{task}; leaves data/tokens/{task}: the tokenizer and every split as arrays of pieces; and of
# algorithms the sequences that they decide.


rule tokenize:
    input:
        card="data/corpus/{task}/card.json",
        train="data/corpus/{task}/train.jsonl",
        valid="data/corpus/{task}/valid.jsonl",
        test="data/corpus/{task}/test.jsonl",
    output:
        "data/tokens/{task}/tokens.json",
        "data/tokens/{task}/tokenizer.json",
        "data/tokens/{task}/piece_bytes.npy",
    log:
        "logs/tokens/{task}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        vocabulary=lambda wildcards: SETTINGS.tokens[wildcards.task].vocabulary,
        longest=lambda wildcards: as_json(SETTINGS.tokens[wildcards.task].longest),
        code=code_digest("verdict.tokens.__main__"),
        corpus=subpath(input.card, parent=True),
        folder=subpath(output[0], parent=True),
    message:
        "train the tokenizer of {wildcards.task} and encode its text"
    shell:
        "python -m verdict.job verdict.tokens --corpus {params.corpus} --vocabulary {params.vocabulary}"
        " --longest {params.longest:q} --out {params.folder} 2>&1 | tee {log} >&2"


rule algorithm:
    output:
        "data/tokens/{algorithm}/tokens.json",
        "data/tokens/{algorithm}/piece_bytes.npy",
    log:
        "logs/tokens/{algorithm}.log",
    conda:
        "../envs/verdict.yaml"
    params:
        task=lambda wildcards: (
            SETTINGS.algorithms[wildcards.algorithm].algorithm or wildcards.algorithm
        ),
        settings=lambda wildcards: as_json(
            SETTINGS.algorithms[wildcards.algorithm].model_dump(exclude={"algorithm"})
        ),
        code=code_digest("verdict.tokens.algorithms"),
        folder=subpath(output[0], parent=True),
    message:
        "draw sequences for {wildcards.algorithm}"
    shell:
        "python -m verdict.job verdict.tokens.algorithms --task {params.task} --settings {params.settings:q}"
        " --out {params.folder} 2>&1 | tee {log} >&2"


rule tokens:
    input:
        expand("data/tokens/{task}/tokens.json", task=[*PLAN.tasks, *PLAN.algorithms]),
