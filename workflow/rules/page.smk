# Takes results/, the corpora's cards, the models' outputs and what they do inside; leaves the page, one file that opens anywhere.


rule page:
    input:
        evidence="results/evidence.parquet",
        history="results/history.parquet",
        verdict="results/verdict.json",
        claims="claims.yaml",
        ledger="results/ledger.json",
        machine="results/machine.json",
        cards=expand("data/corpus/{task}/card.json", task=TASKS),
        outputs=expand("runs/{run}/outputs.jsonl", run=ANSWERED),
        activity=SHOWN,
    output:
        "reports/index.html",
    log:
        "logs/page.log",
    conda:
        "../envs/verdict.yaml"
    params:
        code=code_digest("verdict.page.__main__"),
        words=files_digest("page/templates", "page/words"),
    message:
        "write the page"
    shell:
        "python -m verdict.job verdict.page --evidence {input.evidence} --history {input.history} --verdict {input.verdict}"
        " --claims {input.claims} --ledger {input.ledger} --machine {input.machine} --cards {input.cards}"
        " --outputs {input.outputs} --activity {input.activity} --out {output} 2>&1 | tee {log} >&2"
