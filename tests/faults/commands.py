"""Command lines in a folder in which everything has run: each is right, until ``inputs.command`` spoils one thing."""

import contextlib
import functools
import importlib
import io
import json
import os
import random
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inputs
import polars as pl
import tiny
from promise import ROOT, BrokenError, Kind, Outcome, left, real_claims, tried, working_in

from verdict import gathering
from verdict.court import evidence, judge
from verdict.errors import UserError, run_command
from verdict.files import write_json, write_text

#: module, its arguments, the files that it reads
Known = tuple[str, list[str], list[str]]

SPEC = {
    "name": "mine", "title": "My own text", "licence": "mine", "language": "en",
    "source": {"files": [{"path": "mine.txt"}]}, "reader": {"name": "text", "options": {"documents": "lines"}},
    "split": {"valid": 5, "test": 5},
}  # fmt: skip
CARD = {
    "name": "made", "title": "Made", "licence": "none", "language": "en", "duplicates_removed": 0,
    "near_duplicates_removed": 0, "labels": None, "source": [{"path": "mine.txt", "bytes": 3, "sha256": "ab" * 32}],
    "splits": {"train": {"records": 80, "characters": 900}}, "examples": [{"text": "alpha beta"}],
}  # fmt: skip


def copied(world: Path, folder: Path) -> Path:
    """A copy of a folder in which every kind of job has run."""
    return shutil.copytree(world, folder)


def finish(folder: Path) -> None:
    """Give a folder in which every kind of job has run (``tiny.run_everything``) what comes after: evidence, verdict,
    and some text of one's own."""
    runs = sorted(path.parent for path in folder.glob("runs/*/*/*/history.jsonl"))
    gathering.run(tiny.metrics_of(folder), runs, folder / "results")
    verdict = judge.judge(real_claims(), evidence.read(folder / "results/evidence.parquet"))
    for name in ("verdict", "earlier"):
        write_json(folder / f"results/{name}.json", verdict)
    write_json(folder / "results/docket.json", {"docket_sha256": real_claims().sha256()})
    on_a_card = pl.when(pl.col("device") == "cpu").then(pl.lit("cuda")).otherwise(pl.col("device"))
    found = evidence.read(folder / "results/evidence.parquet").filter(pl.col("experiment") != "baseline")
    evidence.write(evidence.check(found.with_columns(device=on_a_card)), folder / "elsewhere/evidence.parquet")
    for name in ("machine.json", "docket.json"):
        if (folder / "results" / name).exists():
            shutil.copyfile(folder / "results" / name, folder / "elsewhere" / name)
    write_json(folder / "results/ledger.json", {"runs": {}, "experiments": {}, "tracking_uri": "sqlite:///mlflow.db"})
    for path in folder.glob("corpus/*/card.json"):
        write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **CARD})
    own = random.Random(0)
    write_text(folder / "mine.txt", "".join(inputs.sentence(number, own) + "\n" for number in range(60)))
    write_json(folder / "spec.json", SPEC)
    shutil.copyfile(ROOT / "claims.yaml", folder / "claims.yaml")


def line(text: str, *reads: str, **told: Any) -> Known:
    """A command line as it is typed; ``told`` stands in it as JSON, where its name is in braces."""
    module, *arguments = shlex.split(text)
    return module, [json.dumps(told[one[1:-1]]) if one[1:-1] in told else one for one in arguments], list(reads)


def known_commands() -> list[Known]:
    """Command lines that are right in such a folder."""
    job = tiny.job("lm", "lm", "language_model", "lstm", budget_tokens=64, validations=1).to_dict()
    timed = {
        "stage": "lm", "jobs": [job], "rounds": 1, "own_batches": 1, "lengths": [], "sweep_tokens": 16, "batches": [1],
        "batch_length": 8, "generation_batches": [1], "generation_tokens": 1, "contexts": [0],
    }  # fmt: skip
    table, docket = "results/evidence.parquet", "claims.yaml"
    verdict, earlier = "results/verdict.json", "results/earlier.json"
    lm, other_lm, pairs = "runs/lm/lstm/s0", "runs/lm/transformer/s0", "runs/translation/lstm/s0"
    classes, other_classes = "runs/finetuning/lstm/s0", "runs/finetuning/transformer/s0"
    tokens, text = "tokens/lm/tokens.json", ("tokens/lm/test.text.npy", "tokens/lm/test.text.ends.npy")
    of_pairs = ("tokens/translation/tokenizer.json", "tokens/translation/test.source.npy")

    def model(folder: str) -> list[str]:
        return [f"{folder}/{name}" for name in ("metrics.json", "model.json", "model.safetensors")]

    def scored(folder: str) -> list[str]:
        return [f"{folder}/{name}" for name in ("metrics.json", "evaluation.json", "outputs.jsonl")]

    def curve(folder: str) -> list[str]:
        return [f"{folder}/{name}" for name in ("metrics.json", "history.jsonl")]

    return [
        line(f"verdict explain A1 --evidence {table} --claims {docket}", table, docket),
        line(f"verdict diff {verdict} {earlier}", verdict, earlier),
        line(f"verdict badge --verdict {verdict} --out badge.svg", verdict),
        line(f"verdict export --evidence {table} --out out.csv", table),
        line(
            f"verdict.judge --evidence {table} --claims {docket} --docket results/docket.json --out v.json",
            table, docket, "results/docket.json",
        ),
        line(
            f"verdict.page --evidence {table} --history results/history.parquet --verdict {verdict} --claims {docket} "
            f"--ledger results/ledger.json --machine results/machine.json --outputs {pairs}/outputs.jsonl "
            f"--earlier {earlier} --cards corpus/lm/card.json --rules {{rules}} --other-devices elsewhere "
            "--out page.html",
            table, docket, verdict, earlier, "elsewhere/machine.json", "elsewhere/docket.json",
            "results/history.parquet", "results/ledger.json", "results/machine.json",
            f"{pairs}/outputs.jsonl", "corpus/lm/card.json", rules=[["corpus", ["corpus"]]],
        ),
        line(
            f"verdict.gathering --metrics {lm}/metrics.json measurements/anatomy.json --runs {lm} "
            "--other-devices elsewhere --out gathered",
            "measurements/anatomy.json", "elsewhere/evidence.parquet", *curve(lm),
        ),
        line(f"verdict.court.claims --claims {docket} --record recorded.json", docket),
        line("verdict.corpus --task lm --spec @spec.json --downloads d --out made", "spec.json", "mine.txt"),
        line(
            "verdict.tokens --corpus corpus/lm --vocabulary 280 --longest {longest} --out made",
            "corpus/lm/train.jsonl", "corpus/lm/test.jsonl", longest={"text": 20},
        ),
        line(
            "verdict.tokens.algorithms --task copying --settings {settings} --out made",
            settings={"vocabulary": 12, "lengths": [2, 4], "test_lengths": [4, 8], "records": 40, "test_records": 10},
        ),
        line("verdict.training --jobs {jobs} --tokens tokens/lm --runs made", tokens, jobs=[job]),
        line("verdict.training.tuning --trials {trials} --tokens tokens/lm --out made.json", tokens, trials=[job]),
        line(
            f"verdict.measure.quality --evaluation {{evaluation}} --models {pairs} --tokens tokens/translation "
            "--corpus corpus/translation",
            *model(pairs), *of_pairs, "corpus/translation/test.jsonl",
            evaluation={"beams": [1], "test_records": 4, "longest_output": 4},
        ),
        line(
            f"verdict.measure.items --settings {{settings}} --models {classes} {other_classes}"
            " --tokens tokens/classification --corpus corpus/classification --out made.json",
            *scored(classes)[1:], *scored(other_classes)[1:], "corpus/classification/test.jsonl",
            settings={"stage": "finetuning", "resamples": 20},
        ),
        line(
            f"verdict.measure.likelihoods --settings {{settings}} --models {lm} {other_lm} --tokens tokens/lm"
            " --corpus corpus/lm --out made.json",
            *model(lm), f"{lm}/evaluation.json", tokens, *text, "corpus/lm/test.jsonl",
            settings={"task": "lm", "test_records": {"lm": 20}, "resamples": 20},
        ),
        line(
            f"verdict.measure.buckets --settings {{settings}} --models {pairs} --tokens tokens/translation "
            "--corpus corpus/translation --out made.json",
            *scored(pairs), of_pairs[1], "corpus/translation/test.jsonl",
            settings={"task": "translation", "quality": "chrf", "buckets": 2},
        ),
        line(
            f"verdict.measure.curves --stage lm --targets {{targets}} --runs {lm} {other_lm} "
            "--speed measurements/speed/lm.json --out made.json",
            *curve(lm), *curve(other_lm), "measurements/speed/lm.json", targets=[5.0, 3.0],
        ),
        line(
            f"verdict.measure.matched --settings {{settings}} --runs {classes} {other_classes}"
            " --speed measurements/speed/finetuning.json --corpus corpus/classification --out made.json",
            *curve(classes), *curve(other_classes), f"{classes}/validation.jsonl", f"{other_classes}/validation.jsonl",
            "measurements/speed/finetuning.json", "corpus/classification/valid.jsonl",
            settings={"stage": "finetuning", "resamples": 20},
        ),
        line(
            f"verdict.measure.scaling --settings {{settings}} --runs {lm} {other_lm} --out made.json",
            *curve(lm), *curve(other_lm), f"{lm}/model.json",
            settings={"task": "lm", "sizes": ["lm"], "architectures": ["transformer", "lstm"], "targets": [3.0]},
        ),
        line("verdict.measure.anatomy --jobs {jobs} --tokens tokens --out made.json", tokens, jobs=[job]),
        line(
            "verdict.measure.baselines --settings {settings} --corpus corpus/lm --tokens tokens/lm --out made.json",
            tokens, *text, "tokens/lm/piece_bytes.npy",
            settings={"task": "lm", "objectives": ["language_model"], "window": 16, "batch_tokens": 512},
        ),
        line(
            f"verdict.measure.gradients --settings {{settings}} --models {lm} --tokens tokens/lm --out made.json",
            *model(lm), *text, f"{lm}/history.jsonl",
            settings={"length": 16, "windows": 2, "distances": [0, 1, 2, 4, 8], "far": 2},
        ),
        line(
            f"verdict.measure.context --settings {{settings}} --models {lm} --tokens tokens/lm --out made.json",
            *model(lm), *text,
            settings={"places": 2, "run": 1, "beyond": [2], "kept": [4], "near": 4, "streams": 2},
        ),
        line(
            f"verdict.measure.activity --settings {{settings}} --models {pairs} --tokens tokens/translation "
            "--out made.json",
            *model(pairs), *of_pairs, settings={"pieces": 8, "seed": 0, "quantiles": [0.1, 0.9]},
        ),
        line("verdict.measure.speed --speeds {speeds} --tokens tokens --threads 1 --out made", tokens, speeds=[timed]),
    ]  # fmt: skip


def main_of(module: str) -> Callable[[], None]:
    """The ``main`` of a command, under the wrapper that its module gives it."""
    if module == "verdict":
        return importlib.import_module("verdict.__main__").main
    with contextlib.suppress(ModuleNotFoundError):
        return functools.partial(run_command, importlib.import_module(f"{module}.__main__").main)
    return functools.partial(run_command, importlib.import_module(module).main)


def ended(made: inputs.Command, folder: Path, said: io.StringIO) -> None:
    """Run a command line in a folder. Raises ``UserError`` with the sentence by which it ended in failure."""
    main, kept = main_of(made.module), sys.argv
    sys.argv = [made.module, *made.arguments]
    try:
        with working_in(folder), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            main()
    except SystemExit as end:
        lines = said.getvalue().splitlines()
        if isinstance(end.code, str) and end.code.startswith("error: "):
            raise UserError(end.code.removeprefix("error: ")) from end
        if end.code and lines and "error: " in lines[-1]:  # argparse's, after its lines on usage
            raise UserError(lines[-1].partition("error: ")[2]) from end
        if end.code and not (end.code == 1 and made.arguments[:1] == ["diff"]):  # which says that something changed
            raise BrokenError(f"it ended with {end.code!r:.200} and said {lines[-3:]}") from end
    finally:
        sys.argv = kept
    if "Traceback" in said.getvalue():
        raise BrokenError(f"it told a traceback: {said.getvalue()[-300:]}")


def try_command(made: inputs.Command, folder: Path, world: Path) -> Outcome:
    """A command line in a copy of a finished folder."""
    shutil.copytree(world, folder, copy_function=os.link, dirs_exist_ok=True)
    for name, content in made.damage.items():
        path = folder / name
        path.unlink()  # a link: the world's own stays
        if content == "folder":
            path.mkdir()
        elif isinstance(content, bytes):
            path.write_bytes(content)
    before, said = left(folder), io.StringIO()
    shown = (argument.strip()[:40] for argument in made.arguments)
    names = (*(Path(name).name for name in made.damage), *shown, "--", "JSON", "required:", "invalid choice", ". ")
    names = (*names, *(("does not exist",) if "" in made.arguments else ()))  # which has no name
    outcome = tried(lambda: ended(made, folder, said), tuple(filter(None, names)))
    after = left(folder)
    wrong = [name for name in before if name not in after]
    for name, content in after.items():
        half = content == b"" or (Path(name).name.startswith(".") and name.split("/")[0] != "d")
        if half and before.get(name, ...) != content:
            wrong.append(name)
    if outcome.label == "told" and wrong:
        return Outcome("wrong", f"left half-made or lost {wrong} after: {outcome.said}")
    return outcome


def command_kind(world: Path) -> Kind:
    """Command lines, tried in copies of a finished folder."""
    known = known_commands()
    return Kind(
        lambda chance: inputs.command(known, chance, lambda name: (world / name).read_bytes()),
        lambda made, folder: try_command(made, folder, world),
        "`main` of 25 commands",
    )
