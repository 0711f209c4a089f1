"""``python -m verdict.measure.matched``: scores of a stage's models at equal cost.

Takes the runs of a stage and of its task's other sizes (metrics.json, model.json, history.jsonl, and validation.jsonl,
what the model of each validation said), the stage's speed.json where it was timed, and the corpus of texts; leaves
{stage}.json (rows): each score of the validation split (``valid_chrf``, ``valid_accuracy``, …), as the scorers of
``verdict.measure.scores`` make them,

- at equal training FLOPs and, where the stage was timed, at equal seconds: where the cheaper run ends, as
  ``verdict.measure.curves`` reads the loss. A run leaves the model that was best on validation, so its score at a cost
  is that of the model with the lowest loss up to there; between two validations it is read off the straight line.
- at equal memory for inference: between two sizes, as ``verdict.measure.scaling`` reads the loss.

Beside them stands how far each difference hangs on which records were asked, as ``verdict.measure.items`` tells it of
the test split.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from verdict.arguments import filled, job_of, json_argument
from verdict.errors import UserError, run_command
from verdict.files import read_json_lines
from verdict.measure import curves, items, scaling
from verdict.measure.curves import Point
from verdict.measure.scaling import at_equal_memory
from verdict.measure.scores import SCORERS, Scorer, answers_of_samples
from verdict.metrics import Report, read_rows
from verdict.tokens.arrays import read_records
from verdict.training.outputs import OUTPUTS
from verdict.training.settings import Job

METRIC, UNIT = "valid_{metric}", "%"

#: a run and the number of a validation: what that model said
Said = tuple["Run", int]
#: what lies between models: the share of each
Mixture = dict[Said, float]


@dataclass(frozen=True)
class Settings:
    """What to read."""

    stage: str
    #: stages of the task's sizes, this one among them; empty: it has one
    sizes: list[str] = field(default_factory=list)
    #: texts generated at once, and pieces in each (and in its source), for the memory of inference
    texts: int = 8
    context: int = 128
    #: samples of the records that are drawn
    resamples: int = 1000
    seed: int = 0
    #: language of the outputs, as the scorers need it
    language: str = ""


@dataclass(frozen=True, eq=False)
class Run:
    """One run's curve and outputs."""

    folder: Path
    job: Job
    device: str
    points: list[Point]
    #: numbers of the records that were asked, and what would have been right
    records: list[int]
    references: list[str]
    #: for each validation what its model said to each record
    outputs: list[list[str]]

    def left_at(self, cost: str, at: float) -> Mixture | None:
        """The outputs of the model that it leaves at a cost; None where the curve does not reach it."""
        shares = curves.between([point[cost] for point in self.points], at)
        if shares is None:
            return None
        return mixed([(share, {(self, self.points[number]["validation"]): 1.0}) for number, share in shares.items()])


def mixed(parts: Sequence[tuple[float, Mixture]]) -> Mixture:
    """A mixture of mixtures, each with its share."""
    found: Mixture = {}
    for share, part in parts:
        for said, inner in part.items():
            found[said] = found.get(said, 0.0) + share * inner
    return found


def read(folder: Path) -> Run:
    """The run in a folder; raises ``UserError`` if it has kept no outputs, or not of every validation."""
    job, points = job_of(folder), curves.read(folder)
    rows = list(read_json_lines(folder / OUTPUTS))
    if not rows:
        raise UserError(f"{folder}/{OUTPUTS} holds no outputs; set training.output_records of stages.{job.stage}")
    try:
        records, references = [int(row["record"]) for row in rows], [str(row["reference"]) for row in rows]
        outputs = [list(said) for said in zip(*(row["outputs"] for row in rows), strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}/{OUTPUTS} is damaged; remove {folder} and run again") from error
    if len(outputs) != len(points):
        raise UserError(f"{folder}/{OUTPUTS} and history.jsonl do not fit; remove {folder} and run again")
    device = str(read_rows(folder / "metrics.json")[0]["device"])
    return Run(folder, job, device, points, records, references, outputs)


def at_equal_cost(runs: Sequence[Run], cost: str) -> dict[Run, Mixture]:
    """What the runs of each seed leave where the cheapest of them ends; runs whose curves begin later are left out."""
    found = {}
    for run in runs:
        budget = min(other.points[-1][cost] for other in runs if other.job.seed == run.job.seed)
        if mixture := run.left_at(cost, budget):
            found[run] = mixture
    return found


def between_sizes(runs: Sequence[Run], settings: Settings) -> dict[Run, Mixture]:
    """What lies between the sizes at equal memory for inference, after as many tokens as all of them have seen, by the
    run of the stage itself."""
    told = scaling.Settings("", settings.sizes, [], texts=settings.texts, context=settings.context)
    sized = {scaling.read_curve(run.folder, told): run for run in runs}
    trained = [{run.job.architecture_name for run in runs if run.job.stage == stage} for stage in settings.sizes]
    chosen = [curve for curve in sized if curve.architecture in set.intersection(*trained)]
    end = min(curve.points[-1]["tokens"] for curve in chosen)
    left = {curve: sized[curve].left_at("tokens", end) for curve in chosen}
    if None in left.values():
        return {}  # a size's first validation comes later than another's end
    own = {(run.job.architecture_name, run.job.seed): run for run in runs if run.job.stage == settings.stage}
    return {
        own[key]: mixed([(share, left[curve] or {}) for curve, share in sizes.items()])
        for key, sizes in at_equal_memory(chosen).items()
    }


def scorer(run: Run, validation: int, language: str) -> Scorer:
    """Scores what the model of a validation said."""
    make = answers_of_samples if run.job.objective == "answers" else SCORERS[run.job.task]
    return make(run.outputs[validation], run.references, language)


class Scores:
    """Scores mixtures: of all records, and of samples of their groups."""

    def __init__(self, groups: Sequence[str], settings: Settings) -> None:
        self.all, self.groups = np.ones((1, len(groups)), dtype=int), items.effective(list(Counter(groups).values()))
        # of one group nobody knows what another would have said
        self.samples = items.resamples(groups, settings.resamples, settings.seed) if self.groups > 1 else None
        self.language = settings.language
        self.known: dict[Said, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = {}

    def _of(self, said: Said) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        if said not in self.known:
            score = scorer(*said, self.language)
            self.known[said] = score(self.all), {} if self.samples is None else score(self.samples)
        return self.known[said]

    def whole(self, mixture: Mixture) -> dict[str, float]:
        """metric → score of all records."""
        return {name: float(values[0]) for name, values in self._mixed(mixture, 0).items()}

    def sampled(self, mixture: Mixture) -> dict[str, np.ndarray]:
        """metric → score of each sample; empty where none are drawn."""
        return self._mixed(mixture, 1)

    def _mixed(self, mixture: Mixture, which: int) -> dict[str, np.ndarray]:
        parts = [(share, self._of(said)[which]) for said, share in mixture.items()]
        return {name: np.sum([share * found[name] for share, found in parts], axis=0) for name in parts[0][1]}


def tell(report: Report, matching: str, found: Mapping[Run, Mixture], scores: Scores) -> None:
    """Add the rows of a matching: the scores of each run, and what their differences owe to the records."""
    if not found:
        return
    samples: dict[str, dict[str, dict[int, np.ndarray]]] = {}
    for run, mixture in found.items():
        for name, value in scores.whole(mixture).items():
            report.add(
                METRIC.format(metric=name), value, UNIT, "higher",
                experiment="training", implementation="kernel", matching=matching, **run.job.columns,
            )  # fmt: skip
        for name, values in scores.sampled(mixture).items():
            of_metric = samples.setdefault(name, {})
            of_metric.setdefault(run.job.architecture_name, {})[run.job.seed] = values
    place = {name: value for name, value in report.rows[-1].items() if name in ("task", "variant", "size", "at")}
    for name, by_architecture in samples.items():
        items.tell(
            report, METRIC.format(metric=name), by_architecture, UNIT, scores.groups,
            experiment="items", matching=matching, **place,
        )  # fmt: skip


def groups_of(run: Run, corpus: Path | None) -> list[str]:
    """The group of each record that was asked; its own number where records stand alone, as those of algorithms do."""
    if corpus is None:
        return [str(number) for number in run.records]
    records = list(read_records(corpus / "valid.jsonl"))
    if run.records and max(run.records) >= len(records):
        raise UserError(f"{corpus}/valid.jsonl has fewer records than {run.folder} was asked; make the corpus again")
    return [records[number].get("group", str(number)) for number in run.records]


def run(settings: Settings, folders: Sequence[Path], speed: Path | None, corpus: Path | None, out: Path) -> None:
    """Write the rows of a stage. ``speed``: what its timing told; ``corpus``: that of its task, if it is of texts.

    Raises ``UserError`` unless all runs were asked the same records.
    """
    runs = [read(folder) for folder in folders]
    for other in runs:
        if (other.records, other.references) != (runs[0].records, runs[0].references):
            raise UserError(f"{other.folder} was asked other records than {runs[0].folder}; train both anew")
    report = Report(f"matched/{settings.stage}", {"settings": asdict(settings)}, device=runs[0].device)
    scores = Scores(groups_of(runs[0], corpus), settings)
    own = [each for each in runs if each.job.stage == settings.stage]
    costs = {"flops": "flops"}
    if speed:
        costs["seconds"] = "isolated_seconds"
        rounds = curves.seconds_per_token(read_rows(speed))
        own = [each for each in own if each.job.architecture_name in rounds]
        for each in own:
            curves.count_seconds(each.points, rounds[each.job.architecture_name], each.job.seed, speed)
    for matching, cost in costs.items():
        tell(report, matching, at_equal_cost(own, cost), scores)
    if settings.sizes:
        tell(report, "memory", between_sizes(runs, settings), scores)
    out.parent.mkdir(parents=True, exist_ok=True)
    report.write(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.matched", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="what to read, as JSON")
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, help="folders of the stage's and the sizes' runs"
    )
    parser.add_argument("--speed", type=Path, help="speed.json of the stage, if it was timed")
    parser.add_argument("--corpus", type=Path, help="folder of the corpus, if the task is of texts")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    run(filled(Settings, given.settings, "--settings"), given.runs, given.speed, given.corpus, given.out)


if __name__ == "__main__":
    run_command(main)
