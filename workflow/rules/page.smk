# Takes results/, the corpora's cards, the models' outputs and what they do inside; leaves the page, one file that opens
# anywhere.


rule page:
    input:
        evidence="results/evidence.parquet",
        history="results/history.parquet",
        verdict="results/verdict.json",
        claims="claims.yaml",
        ledger="results/ledger.json",
        machine="results/machine.json",
        cards=expand("data/corpus/{task}/card.json", task=PLAN.tasks),
        outputs=files(PLAN.answered, "outputs.jsonl"),
        activity=SHOWN,
        earlier=[SETTINGS.earlier] if SETTINGS.earlier else [],
        others=expand(
            "{folder}/{file}",
            folder=SETTINGS.other_devices,
            file=["machine.json", "docket.json"],
        ),
    output:
        page="reports/index.html",
        card="reports/card.png",
    log:
        "logs/page.log",
    conda:
        "../envs/verdict.yaml"
    params:
        code=code_digest("verdict.page.__main__"),
        words=files_digest("page/templates", "page/words"),
        outputs=lambda wildcards: environment.by_seed(
            files(PLAN.answered, "outputs.jsonl")
        ),
        earlier=f"--earlier {shlex.quote(SETTINGS.earlier)}" if SETTINGS.earlier else "",
        others=OTHER_DEVICES,
        rooms=lambda wildcards: as_json(environment.rooms(workflow.rules)),
    message:
        "write the page"
    shell:
        "python -m verdict.job verdict.page --evidence {input.evidence} --history {input.history} --verdict {input.verdict}"
        " --claims {input.claims} --ledger {input.ledger} --machine {input.machine} --cards {input.cards}"
        " --outputs {params.outputs} --activity {input.activity} {params.earlier} {params.others}"
        " --rules {params.rooms:q} --out {output.page} --card {output.card} 2>&1 | tee {log} >&2"
