"""``python -m verdict.measure.items``: how far a difference of scores hangs on which test items were drawn.

Takes the folders of all evaluated runs of a stage (evaluation.json, outputs.jsonl), its encoded task and its corpus;
leaves rows: for every pair of architectures, variant and metric the standard error of their difference, averaged over
seeds, that is due to the sample of test items and that the spread over seeds does not show, since all seeds are scored
on the same items. It is found by the paired bootstrap (Efron 1979; Koehn 2004): items (whole groups of them, where the
corpus holds out whole groups) are drawn with replacement, the same for every run, and corpus scores are made anew from
the sums of the items' statistics, as the scorers of ``verdict.measure.scores`` make them. The full sample's score must
be the one that evaluation.json tells.

The same is told of what ``verdict.measure.buckets`` measures: the scores of groups of records of about one length, and
the slope over them. The whole test set is drawn and then dealt to the groups, whose edges stay: a draw that is rich in
long records says more of those and less of the short ones, so that slope, groups and the whole's score hang together.

Bits per byte are no scores of outputs; ``verdict.measure.likelihoods`` tells the same of them.
"""

import argparse
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from verdict.arguments import filled, json_argument
from verdict.errors import UserError, run_command
from verdict.files import read_json_lines
from verdict.measure import buckets
from verdict.measure.buckets import PLACE, SLOPE, SLOPE_UNIT, Bucket, Ruler
from verdict.measure.scores import SCORERS, Scorer
from verdict.metrics import ITEMS_AGAINST, ITEMS_ERROR, ITEMS_GROUPS, Report, read_rows
from verdict.tokens.arrays import read_records

Outputs = list[dict[str, str]]
UNIT = "%"


@dataclass(frozen=True)
class Settings:
    """How to draw test items anew."""

    stage: str
    #: samples of the test set that are drawn; a standard error is then known to 1/√(2·resamples), 2 % for 1000
    resamples: int = 1000
    seed: int = 0
    #: language of the outputs, as the scorers need it
    language: str = ""
    #: how the stage's quality is told by length, if it is
    by_length: buckets.Settings | None = None


@dataclass(frozen=True)
class Scored:
    """The outputs of one run that were scored together, with the scores and columns that its evaluation told."""

    architecture: str
    replicate: int
    columns: dict[str, Any]
    scores: dict[str, float]
    outputs: Outputs


def resamples(groups: Sequence[Hashable], count: int, seed: int) -> np.ndarray:
    """How often each item is drawn in each sample: (count, items), for items of these groups, of which there are two
    or more.

    Whole groups are drawn (the cluster bootstrap: Field & Welsh 2007): items of a group that was held out as a whole
    resemble each other, and are worth less than their number. An item of its own group is drawn alone. One group fewer
    is drawn than there are, so that the variance over samples is that of the mean and not too small (Rao & Wu 1988).
    """
    names, member = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names) - 1, np.full(len(names), 1 / len(names)), size=count)
    return drawn[:, member]


def effective(sizes: Sequence[float] | np.ndarray) -> int:
    """How many groups of equal size would tell a mean as well as these (Kish 1965), rounded down: a few large ones are
    most of it, and its error is known as badly as theirs."""
    shares = np.asarray(sizes) / np.sum(sizes)
    return int(1 / (shares**2).sum() + 1e-9)


def groups_of(outputs: Outputs, corpus: Path) -> list[str]:
    """The group of each output's record in the test split of a corpus; its own text where records stand alone.

    Raises ``UserError`` for an output of which the corpus has no record.
    """
    asked = "source" if "source" in outputs[0] else "text"
    records = ((record.get(asked, ""), record) for record in read_records(corpus / "test.jsonl"))
    known = {text: record.get("group", text) for text, record in records}
    return buckets.of_outputs(known, [row.get(asked, "") for row in outputs])


def read(folder: Path) -> list[Scored]:
    """What was scored in a run, by variant; empty for a run without outputs."""
    rows = read_rows(folder / "evaluation.json")
    outputs = list(read_json_lines(folder / "outputs.jsonl"))
    found = []
    for variant in sorted({row["variant"] for row in rows if row["unit"] == UNIT}):
        told = [row for row in rows if row["unit"] == UNIT and row["variant"] == variant]
        columns = {name: told[0][name] for name in ("task", "variant", "matching", "size", "device", "at")}
        scores = {row["metric"]: row["value"] for row in told}
        own = [output for output in outputs if output.get("variant", variant) == variant]
        if not own or any("output" not in each or "reference" not in each for each in own):
            raise UserError(f"{folder}/outputs.jsonl lacks outputs that were scored; evaluate that run again")
        found.append(Scored(told[0]["architecture"], told[0]["replicate"], columns, scores, own))
    return found


def scorer_of(run: Scored, language: str) -> Scorer:
    """Scores a run in samples; raises ``UserError`` when its whole outputs do not score what was told."""
    texts = [row["output"] for row in run.outputs], [row["reference"] for row in run.outputs]
    scorer = SCORERS[run.columns["task"]](*texts, language)
    whole = scorer(np.ones((1, len(run.outputs)), dtype=int))
    for metric, value in run.scores.items():
        if abs(whole[metric][0] - value) > 1e-6:
            raise UserError(
                f"the outputs of {run.architecture}, seed {run.replicate}, score {whole[metric][0]:.4f} in {metric}, "
                f"but its evaluation.json says {value:.4f}; evaluate that run again"
            )
    return scorer


def reaching(counts: np.ndarray, groups: Sequence[Bucket]) -> np.ndarray:
    """The samples that hold a record of every bucket. Of small tests drawn in groups some do not; they are left out,
    since there is no score of nothing."""
    return counts[np.all([counts[:, each.numbers].any(1) for each in groups], axis=0)]


def scores_by_length(scorer: Scorer, counts: np.ndarray, groups: Sequence[Bucket]) -> list[dict[str, np.ndarray]]:
    """The scores of each bucket in each sample of the whole test set."""
    records = np.arange(counts.shape[1])
    return [scorer(counts * np.isin(records, each.numbers)) for each in groups]


def mean_lengths(lengths: np.ndarray, counts: np.ndarray, groups: Sequence[Bucket]) -> np.ndarray:
    """The mean length of each bucket's records in each sample: (samples, buckets)."""
    drawn = [counts[:, each.numbers] for each in groups]
    means = [own @ lengths[each.numbers] / own.sum(1) for own, each in zip(drawn, groups, strict=True)]
    return np.stack(means, axis=1)


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


def tell(
    report: Report, metric: str, scores: Mapping[str, Mapping[int, np.ndarray]], unit: str, groups: int, **columns: Any
) -> None:
    """Add the rows of a metric for every pair of architectures: ``errors`` of its scores, and of how many groups of
    items, by their ``effective`` number, samples were drawn."""
    for (one, two), error in errors(scores).items():
        columns |= {"architecture": one, "variable": ITEMS_AGAINST.format(architecture=two)}
        report.add(ITEMS_ERROR.format(metric=metric), error, unit, "neither", **columns)
        report.add(ITEMS_GROUPS.format(metric=metric), groups, "group", "neither", **columns)


def tell_scores(
    report: Report, drawn: Sequence[tuple[Scored, Mapping[str, np.ndarray]]], unit: str, groups: int, **columns: Any
) -> None:
    """Add the rows of every metric, from the scores of each run in each sample."""
    for metric in drawn[0][1]:
        scores: dict[str, dict[int, np.ndarray]] = {}
        for each, found in drawn:
            scores.setdefault(each.architecture, {})[each.replicate] = found[metric]
        tell(report, metric, scores, unit, groups, **columns)


def tell_by_length(
    report: Report, scorers: Sequence[tuple[Scored, Scorer]], counts: np.ndarray, ruler: Ruler, drawn: int
) -> None:
    """Add the rows of what ``verdict.measure.buckets`` tells of these runs; none where that tells nothing."""
    first = scorers[0][0]
    lengths = ruler.lengths(first.outputs)
    groups = ruler.buckets(lengths)
    if not groups or len(counts := reaching(counts, groups)) < 2:
        return
    columns = {"task": first.columns["task"], "variant": first.columns["variant"], **PLACE}
    found = [(each, scores_by_length(scorer, counts, groups)) for each, scorer in scorers]
    for number, group in enumerate(groups):
        tell_scores(report, [(each, scores[number]) for each, scores in found], UNIT, drawn, **columns, at=group.length)
    means = mean_lengths(lengths, counts, groups)
    slopes = [
        (each, {SLOPE: buckets.slopes(means, np.stack([own[ruler.settings.quality] for own in scores], axis=1))})
        for each, scores in found
    ]
    tell_scores(report, slopes, SLOPE_UNIT, drawn, **columns)


def same_records(runs: Sequence[Scored], stage: str) -> None:
    """Raise ``UserError`` unless all runs were evaluated on the same records in the same order."""
    asked = [[(row.get("source", row.get("text")), row["reference"]) for row in each.outputs] for each in runs]
    for other, theirs in zip(runs, asked, strict=True):
        if theirs != asked[0]:
            raise UserError(
                f"the runs of {stage} were not evaluated on the same records: {runs[0].architecture}, seed "
                f"{runs[0].replicate}, and {other.architecture}, seed {other.replicate}; evaluate them again"
            )


def run(settings: Settings, folders: Sequence[Path], out: Path, tokens: Path, corpus: Path) -> None:
    """Write the rows of a stage. ``tokens``, ``corpus``: its encoded task and corpus."""
    report = Report(f"items/{settings.stage}", {"settings": asdict(settings)}, experiment="items")
    ruler = Ruler.of(settings.by_length, tokens, corpus) if settings.by_length else None
    by_length = {buckets.best_search(folder)[0] for folder in folders} if ruler else set()
    alike: dict[tuple[Any, ...], list[Scored]] = {}
    for folder in folders:
        for scored in read(folder):
            alike.setdefault(tuple(scored.columns.values()), []).append(scored)
    for runs in alike.values():
        same_records(runs, settings.stage)
        first = runs[0]
        groups = groups_of(first.outputs, corpus)
        if (drawn := effective(list(Counter(groups).values()))) < 2:
            continue  # of one group nobody knows what another would have said
        counts = resamples(groups, settings.resamples, settings.seed)
        scorers = [(each, scorer_of(each, settings.language)) for each in runs]
        tell_scores(report, [(each, scorer(counts)) for each, scorer in scorers], UNIT, drawn, **first.columns)
        if ruler and first.columns["variant"] in by_length:
            tell_by_length(report, scorers, counts, ruler, drawn)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.items", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="the settings as JSON")
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="folders of all evaluated runs of a stage"
    )
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    run(filled(Settings, given.settings, "--settings"), given.models, given.out, given.tokens, given.corpus)


if __name__ == "__main__":
    run_command(main)
