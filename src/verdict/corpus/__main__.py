"""``python -m verdict.corpus``: one corpus, from its settings to its folder of splits and card."""

import argparse
from pathlib import Path

from verdict.errors import UserError, run_command


def main() -> None:
    """Parse the command line and build the corpus."""
    parser = argparse.ArgumentParser(prog="python -m verdict.corpus", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--task", required=True, help="lm, translation, summarization or classification")
    parser.add_argument("--spec", required=True, help="the corpus's settings as JSON, or @FILE to read them from")
    parser.add_argument("--downloads", type=Path, default=Path("data/downloads"), help="the download cache")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, replaced as a whole")
    arguments = parser.parse_args()

    from pydantic import ValidationError

    from verdict.corpus.build import build
    from verdict.corpus.spec import CorpusSpec
    from verdict.files import read_text

    try:
        text = read_text(arguments.spec[1:]) if arguments.spec.startswith("@") else arguments.spec
        spec = CorpusSpec.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, ("corpora", arguments.task, *first["loc"])))
        raise UserError(f"{key}: {first['msg'].removeprefix('Value error, ')}; correct it in the settings") from error
    build(arguments.task, spec, arguments.downloads, arguments.out)


if __name__ == "__main__":
    run_command(main)
