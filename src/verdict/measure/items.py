"""``python -m verdict.measure.items``: how far a difference of scores hangs on which test items were drawn.

Takes the folders of all evaluated runs of a stage (evaluation.json, outputs.jsonl); leaves rows:
for every pair of architectures, variant and metric the standard error of their difference, averaged over seeds, that is
due to the sample of test items and that the spread over seeds does not show, since all seeds are scored on the same
items. It is found by the paired bootstrap (Efron 1979; Koehn 2004): items are drawn with replacement, the same for
every run, and corpus scores are made anew from the sums of the items' statistics, as the scorers of
``verdict.measure.scores`` make them. The full sample's score must be the one that evaluation.json tells.

Stages without outputs (language models, masked pretraining) leave no row: of bits per byte the losses of single records
are not stored, so those differences carry the error over seeds alone.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from verdict.arguments import filled, json_argument
from verdict.errors import UserError, run_command
from verdict.files import read_json_lines
from verdict.metrics import Report, read_rows

#: metric -> scores, one for each row of item counts (resamples × items)
Scorer = Callable[[np.ndarray], dict[str, np.ndarray]]
Outputs = list[dict[str, str]]


@dataclass(frozen=True)
class Settings:
    """How to draw test items anew."""

    stage: str
    #: samples of the test set that are drawn; a standard error is then known to 1/√(2·resamples), 2 % for 1000
    resamples: int = 1000
    seed: int = 0
    #: neighbouring items drawn together: 1 where records are held out one by one, the size of a group or more where
    #: whole groups of similar records are
    block: int = 1
    #: language of the outputs, as the scorers need it
    language: str = ""


@dataclass(frozen=True)
class Scored:
    """The outputs of one run that were scored together, with the scores and columns that its evaluation told."""

    architecture: str
    replicate: int
    columns: dict[str, Any]
    scores: dict[str, tuple[float, str]]
    outputs: Outputs


def translation(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scorer:
    """BLEU and chrF from sacrebleu's statistics of each segment, which add up over a corpus."""
    from sacrebleu.metrics import BLEU, CHRF

    metrics = {"bleu": BLEU(tokenize="zh" if language == "zh" else "13a"), "chrf": CHRF()}
    statistics = {
        name: np.asarray(metric._extract_corpus_statistics(outputs, [references])) for name, metric in metrics.items()
    }

    def score(counts: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: np.asarray(
                [metric._compute_score_from_stats(sums).score for sums in (counts @ statistics[name]).tolist()]
            )
            for name, metric in metrics.items()
        }

    return score


def summarization(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scorer:
    """Means of ROUGE-1, -2 and -L."""
    from rouge_score.rouge_scorer import RougeScorer

    names = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(names, use_stemmer=True)
    told = [scorer.score(reference, output) for output, reference in zip(outputs, references, strict=True)]
    values = 100 * np.asarray([[row[name].fmeasure for name in names] for row in told])

    def score(counts: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, (counts @ values / counts.sum(1, keepdims=True)).T, strict=True))

    return score


def classification(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scorer:
    """Accuracy and macro-averaged F1 over the classes of the references."""
    given, true = np.asarray(outputs), np.asarray(references)
    classes = np.unique(true)
    is_given, is_true = given[:, None] == classes, true[:, None] == classes

    def score(counts: np.ndarray) -> dict[str, np.ndarray]:
        hits, truths = counts @ (is_given & is_true), counts @ is_true
        f1 = 2 * hits / np.maximum(1, counts @ is_given + truths)
        seen = truths > 0  # a class that this sample of items lacks has no F1
        accuracy = counts @ (given == true) / counts.sum(1)
        return {"accuracy": 100 * accuracy, "f1": 100 * (f1 * seen).sum(1) / seen.sum(1)}

    return score


SCORERS: dict[str, Callable[..., Scorer]] = {
    "translation": translation,
    "summarization": summarization,
    "classification": classification,
}


def resamples(items: int, count: int, seed: int, block: int = 1) -> np.ndarray:
    """How often each item is drawn in each sample: (count, items).

    ``block`` neighbours are drawn together (Künsch 1989, blocks that do not overlap; the last may be short).
    """
    blocks = -(-items // block)
    drawn = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=count)
    return np.repeat(drawn, block, axis=1)[:, :items]


def read(folder: Path) -> list[Scored]:
    """What was scored in a run, by variant; empty for a run without outputs."""
    rows = read_rows(folder / "evaluation.json")
    outputs = list(read_json_lines(folder / "outputs.jsonl"))
    found = []
    for variant in sorted({row["variant"] for row in rows if row["unit"] == "%"}):
        told = [row for row in rows if row["unit"] == "%" and row["variant"] == variant]
        columns = {name: told[0][name] for name in ("task", "variant", "matching", "size", "device", "at")}
        scores = {row["metric"]: (row["value"], row["unit"]) for row in told}
        own = [output for output in outputs if output.get("variant", variant) == variant]
        if not own or any("output" not in each or "reference" not in each for each in own):
            raise UserError(f"{folder}/outputs.jsonl lacks outputs that were scored; evaluate that run again")
        found.append(Scored(told[0]["architecture"], told[0]["replicate"], columns, scores, own))
    return found


def drawn_scores(run: Scored, counts: np.ndarray, language: str) -> dict[str, np.ndarray]:
    """Scores of a run in each sample; raises ``UserError`` when the whole outputs do not score what was told."""
    texts = [row["output"] for row in run.outputs], [row["reference"] for row in run.outputs]
    scorer = SCORERS[run.columns["task"]](*texts, language)
    whole = scorer(np.ones((1, len(run.outputs)), dtype=int))
    for metric, (value, _) in run.scores.items():
        if abs(whole[metric][0] - value) > 1e-6:
            raise UserError(
                f"the outputs of {run.architecture}, seed {run.replicate}, score {whole[metric][0]:.4f} in {metric}, "
                f"but its evaluation.json says {value:.4f}; evaluate that run again"
            )
    return scorer(counts)


def shared_error(differences: np.ndarray) -> float:
    """Standard error due to test items that all seeds share, from differences (seeds, resamples).

    It is the covariance over resamples between two different seeds, averaged over their pairs. What items do to one
    seed and not to another averages out over seeds and already stands in the spread over them: the variance of the mean
    difference would count it twice. A single seed has its own variance.
    """
    together = np.atleast_2d(np.cov(differences))
    seeds = len(together)
    if seeds == 1:
        return math.sqrt(float(together[0, 0]))
    return math.sqrt(max(0.0, float(together.sum() - np.trace(together)) / (seeds * (seeds - 1))))


def errors(scores: Mapping[str, Mapping[int, np.ndarray]]) -> dict[tuple[str, str], float]:
    """``shared_error`` of every pair over the seeds both have, from scores[architecture][seed] (resamples)."""
    found = {}
    for one, two in combinations(sorted(scores), 2):
        seeds = sorted(scores[one].keys() & scores[two].keys())
        if seeds:
            found[one, two] = shared_error(np.stack([scores[one][seed] - scores[two][seed] for seed in seeds]))
    return found


def run(settings: Settings, folders: Sequence[Path], out: Path) -> None:
    """Write the rows of a stage."""
    report = Report(f"items/{settings.stage}", {"settings": asdict(settings)}, experiment="items")
    groups: dict[tuple[Any, ...], list[Scored]] = {}
    for folder in folders:
        for scored in read(folder):
            groups.setdefault(tuple(scored.columns.values()), []).append(scored)
    for runs in groups.values():
        first = runs[0]
        asked = [(row.get("source", row.get("text")), row["reference"]) for row in first.outputs]
        for other in runs:
            if [(row.get("source", row.get("text")), row["reference"]) for row in other.outputs] != asked:
                raise UserError(
                    f"the runs of {settings.stage} were not evaluated on the same records: {first.architecture}, seed "
                    f"{first.replicate}, and {other.architecture}, seed {other.replicate}; evaluate them again"
                )
        counts = resamples(len(asked), settings.resamples, settings.seed, settings.block)
        drawn = [(each, drawn_scores(each, counts, settings.language)) for each in runs]
        for metric, (_, unit) in first.scores.items():
            by_architecture: dict[str, dict[int, np.ndarray]] = {}
            for each, scores in drawn:
                by_architecture.setdefault(each.architecture, {})[each.replicate] = scores[metric]
            for (one, two), error in errors(by_architecture).items():
                report.add(
                    f"{metric}.items_error", error, unit, "neither",
                    **first.columns, architecture=one, variable=f"against:{two}",
                )  # fmt: skip
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.items", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="the settings as JSON")
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="folders of all evaluated runs of a stage"
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    run(filled(Settings, given.settings, "--settings"), given.models, given.out)


if __name__ == "__main__":
    run_command(main)
