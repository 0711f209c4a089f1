"""``python -m verdict.measure.buckets``: does quality fall with the length of the source?

Takes folders of evaluated models of a task with sources and outputs, the encoded task and its corpus; leaves rows
(experiment ``length_buckets``): each score within groups of test records of about one source length, and
``quality_slope``, by how many points a score changes when the source is twice as long. Slopes are taken per model, so
that the difference of two architectures' slopes, seed by seed, is the slope of the gap between them.

Sources that were cut are left out: how long they are is not known, and what was cut off is missed by every model, which
in a slope would look like length. A source of exactly as many pieces as are kept at most cannot be told from one that
was cut, and is left out with them.

How far these rows hang on which records were tested is told by ``verdict.measure.items``.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from verdict.arguments import filled, job_of, json_argument
from verdict.errors import UserError, run_command
from verdict.files import read_json
from verdict.measure.scores import SCORES, Scores
from verdict.metrics import Report
from verdict.tokens.arrays import Records, encoded_records, read_records

Told = TypeVar("Told")
#: a record of outputs.jsonl: source, reference, output, variant
Output = dict[str, str]
#: columns that all rows about lengths share, those of ``verdict.measure.items`` too; scores are worked out on a CPU
#: wherever models run
PLACE = {"matching": "parameters", "device": "cpu"}
SLOPE, SLOPE_UNIT = "quality_slope", "points per doubling"


@dataclass(frozen=True)
class Settings:
    """How to group and score."""

    task: str
    #: the score whose slope is taken
    quality: str
    #: groups of about equal numbers of test records
    buckets: int = 5
    #: language of the outputs, as the scorers need it
    language: str = ""
    #: pieces of a source that were kept at most, END counted; None: all
    longest: int | None = None


class Bucket(NamedTuple):
    """The records of about one source length."""

    length: float  # mean source length in pieces
    numbers: np.ndarray  # which records


def edges(lengths: np.ndarray, count: int) -> np.ndarray:
    """Inner edges of ``count`` buckets: quantiles of the lengths.

    Where many records have one length (a cut source), an edge that would leave a bucket less than half its share of the
    records is left out: the score of a handful is noise, and would weigh in a slope like any other.
    """
    if len(lengths) == 0:
        return np.array([])
    least, below, found = len(lengths) / count / 2, 0, []
    for edge in np.unique(np.quantile(lengths, np.arange(1, count) / count)):
        shorter = int((lengths < edge).sum())
        if shorter - below >= least and len(lengths) - shorter >= least:
            found.append(float(edge))
            below = shorter
    return np.array(found)


def uncut(lengths: np.ndarray, longest: int | None) -> np.ndarray:
    """The numbers of the records [N] whose sources were surely read whole."""
    return np.arange(len(lengths)) if longest is None else np.flatnonzero(lengths < longest)


def split(lengths: np.ndarray, inner: np.ndarray, longest: int | None = None) -> list[Bucket]:
    """Deal records [N] to buckets by inner edges (a length on an edge goes above it); records whose source may have
    been cut, and empty buckets, are left out."""
    whole = uncut(lengths, longest)
    where = np.searchsorted(inner, lengths[whole], side="right")
    members = [whole[where == bucket] for bucket in np.unique(where)]
    return [Bucket(float(lengths[numbers].mean()), numbers) for numbers in members]


def score(
    outputs: Sequence[Output], buckets: Sequence[Bucket], scorer: Callable[..., Scores], language: str
) -> dict[str, list[float]]:
    """The scores of each bucket in their order, by metric."""
    found: dict[str, list[float]] = {}
    for bucket in buckets:
        rows = [outputs[i] for i in bucket.numbers]
        scores, _ = scorer([row["output"] for row in rows], [row["reference"] for row in rows], language)
        for metric, value in scores.items():
            found.setdefault(metric, []).append(value)
    return found


def slope(lengths: Sequence[float], scores: Sequence[float]) -> float:
    """Least-squares slope of scores over the logarithm of length to base 2: points per doubling."""
    return float(slopes(np.asarray(lengths), np.asarray(scores)))


def slopes(lengths: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The slope of each row of scores […, buckets] over its lengths."""
    doublings = np.log2(lengths)
    centred = doublings - doublings.mean(-1, keepdims=True)
    return np.asarray((centred * scores).sum(-1) / (centred**2).sum(-1))


def best_search(folder: Path) -> tuple[str, list[Output]]:
    """Variant and outputs of the search with most beams in the folder of an evaluated model.

    Raises ``UserError`` if the folder holds no outputs of a search.
    """
    beams: list[int] = read_json(folder / "evaluation.json")["job"]["evaluation"]["beams"]
    variant = "beam" if max(beams) > 1 else "greedy"
    outputs = [row for row in read_records(folder / "outputs.jsonl") if row.get("variant") == variant]
    if not outputs:
        raise UserError(f"{folder}/outputs.jsonl has no outputs of a search; give `--models` of translation or such")
    # searches of one variant stand one after another in the order of their beams, each with all records
    searches = [count for count in beams if (count > 1) == (variant == "beam")]
    size = len(outputs) // len(searches)
    first = searches.index(max(searches)) * size
    return variant, outputs[first : first + size]


def of_outputs(known: Mapping[str, Told], texts: Sequence[str]) -> list[Told]:
    """What is known of the records that outputs answer; raises ``UserError`` for a text that the corpus lacks."""
    if unknown := set(texts) - known.keys():
        raise UserError(f"the corpus lacks '{min(unknown)[:40]}', of which there is an output; evaluate all anew")
    return [known[text] for text in texts]


@dataclass(frozen=True)
class Ruler:
    """What the sources of a task are measured by: the same for all models, and for test records drawn anew."""

    settings: Settings
    #: pieces of each source of the test split as the models read it (cut, END counted)
    known: dict[str, int]
    #: edges between buckets
    inner: np.ndarray

    @classmethod
    def of(cls, settings: Settings, tokens: Path, corpus: Path) -> "Ruler":
        """The ruler of an encoded task; the edges are those of its whole test split, even if less was evaluated."""
        lengths = Records.open(tokens, "test.source").lengths
        records = encoded_records(corpus, tokens, "test")
        known = {record["source"]: length for record, length in zip(records, lengths.tolist(), strict=True)}
        return cls(settings, known, edges(lengths[uncut(lengths, settings.longest)], settings.buckets))

    def lengths(self, outputs: Sequence[Output]) -> np.ndarray:
        """Pieces of each output's source; raises ``UserError`` if the corpus lacks one."""
        return np.array(of_outputs(self.known, [row["source"] for row in outputs]))

    def buckets(self, lengths: np.ndarray) -> list[Bucket]:
        """Records of these lengths, dealt to their buckets; none if there is only one, which says nothing of length."""
        found = split(lengths, self.inner, self.settings.longest)
        return found if len(found) > 1 else []


def run(settings: Settings, folders: Sequence[Path], tokens: Path, corpus: Path, out: Path) -> None:
    """Score the outputs of each folder in buckets and write the rows of all; none if the sources that were not cut are
    all of one length, for then nothing can be said about it.

    Raises ``UserError`` if the models were not evaluated on the same sources.
    """
    ruler = Ruler.of(settings, tokens, corpus)
    told = asdict(settings)
    report = Report(
        f"buckets/{settings.task}", {"settings": told, "models": [str(folder) for folder in folders]},
        experiment="length_buckets", task=settings.task, **PLACE,
    )  # fmt: skip
    sources: Counter[str] | None = None
    for folder in folders:
        job = job_of(folder)
        variant, outputs = best_search(folder)
        read = Counter(row["source"] for row in outputs)
        if (sources := sources or read) != read:
            raise UserError(f"{folder}/outputs.jsonl has other sources than the rest; evaluate all models anew")
        buckets = ruler.buckets(ruler.lengths(outputs))
        lengths = [bucket.length for bucket in buckets]
        if not buckets:
            print(
                f"the test sources of {corpus} that were not cut are of about one length; nothing is told by length",
                file=sys.stderr,
            )
            break
        scores = score(outputs, buckets, SCORES[settings.task], settings.language)
        if settings.quality not in scores:
            raise UserError(f"`quality` is {settings.quality}; write a score of {settings.task}: {', '.join(scores)}")
        columns = {"architecture": job.architecture_name, "replicate": job.seed, "variant": variant}
        for metric, values in scores.items():
            for length, value in zip(lengths, values, strict=True):
                report.add(metric, value, "%", "higher", variable="length", at=length, **columns)
        report.add(SLOPE, slope(lengths, scores[settings.quality]), SLOPE_UNIT, "higher", **columns)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.buckets", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="the settings as JSON")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders of evaluated models of one task")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    run(filled(Settings, given.settings, "--settings"), given.models, given.tokens, given.corpus, given.out)


if __name__ == "__main__":
    run_command(main)
