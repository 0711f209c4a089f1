"""What models are asked as they are trained: the model that a run leaves says what was written down of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from verdict.device import prepare
from verdict.files import read_json
from verdict.tokens import algorithms
from verdict.tokens.arrays import encoded_records
from verdict.training import outputs, runs, store
from verdict.training.batches import open_split, spread
from verdict.training.loop import lowest
from verdict.training.settings import Job

CPU = torch.device("cpu")
ALGORITHM = {"vocabulary": 12, "lengths": [2, 4], "test_lengths": [4, 8], "records": 400, "test_records": 10}


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copying") / "copying"
    algorithms.write(algorithms.Settings.from_dict({**ALGORITHM, "task": "copying"}), folder)
    return folder


def asked(world: Path, copying: Path, objective: str) -> tuple[Job, Path]:
    task = {"sequence_pairs": "translation", "classification": "classification", "answers": "copying"}[objective]
    job = tiny.job(task, task, objective, "lstm", budget_tokens=4000, validations=3, output_records=7)
    return job, copying if objective == "answers" else world / "tokens" / task


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / outputs.OUTPUTS).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("objective", ["sequence_pairs", "classification", "answers"])
def test_the_model_that_is_left_says_what_stands_at_its_validation(
    objective: str, world: Path, copying: Path, tmp_path: Path
):
    prepare(1)
    job, tokens = asked(world, copying, objective)
    runs.run(job, tokens, tmp_path, None)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    best = [point["valid_loss"] for point in history].index(lowest(history))
    questions = outputs.questions(job, tokens, CPU)
    assert questions is not None
    model = store.load(tmp_path)
    again = questions.outputs(model, questions.batches())
    told = lines(tmp_path)
    assert [row["outputs"][best] for row in told] == again
    assert [row["reference"] for row in told] == list(questions.references.values())
    assert all(len(row["outputs"]) == len(history) == 3 for row in told)
    assert model.training  # as it was


@pytest.mark.parametrize(("task", "field"), [("translation", "target"), ("classification", "label")])
def test_references_are_those_of_the_corpus(world: Path, task: str, field: str):
    """Evenly spread over the validation split, each with its own number."""
    objective = "sequence_pairs" if task == "translation" else task
    tokens = world / "tokens" / task
    questions = outputs.questions(tiny.job(task, task, objective, "lstm", output_records=9), tokens, CPU)
    records = encoded_records(world / "corpus" / task, tokens, "valid")
    assert questions is not None
    assert questions.references == {int(n): records[n][field] for n in spread(len(records), 9)}


def test_answers_are_split_among_their_sequences(copying: Path):
    """Lengths are mixed, so that batches are not in the order of the file."""
    job = tiny.job("copying", "copying", "answers", "transformer", output_records=20)
    questions = outputs.questions(job, copying, CPU)
    assert questions is not None
    data = open_split(copying, "answers", "valid", job.training, read_json(copying / "tokens.json")["vocabulary"])
    for number, reference in questions.references.items():
        batch = data.collate(torch.tensor([number]).numpy())
        assert reference == " ".join(map(str, batch["truth"].tolist()))
    assert len({len(reference.split()) for reference in questions.references.values()}) == 2


def test_nothing_is_asked_where_nothing_is_kept(world: Path):
    job = tiny.job("lm", "lm", "language_model", "lstm")
    assert outputs.questions(job, world / "tokens/lm", CPU) is None
