"""“Transformer, for sure!” on trial: the one graph from text to verdict.

snakemake --cores all        everything, to reports/index.html
snakemake corpora | tokens | train | measure     as far as that
snakemake -n                 what would be done, and why
"""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.10")
sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from verdict import errors, settings

# Read strictly before Snakemake does, which takes the last of two equal keys without a word, names no line, and runs
# Python that stands in a template.
try:
    if Path("params.yaml").exists():
        settings.read("params.yaml")
except errors.UserError as error:
    raise WorkflowError(str(error)) from None


configfile: "params.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/tokens.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/page.smk"


onstart:
    start_server()  # jobs share one import of torch


rule all:
    default_target: True
    input:
        "reports/index.html",
        "results/scores.json",
