"""``python -m verdict.measure.quality``: what a trained model is worth on the test split.

Takes folders of models, the encoded task and its corpus; leaves in each evaluation.json (rows) and outputs.jsonl (each
output beside its reference). One path for every architecture: teacher-forced loss in fp32, the same search, the same
scorers.
"""

import argparse
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from verdict.arguments import filled, job_of, json_argument
from verdict.device import choose_device, device_name, prepare
from verdict.errors import run_command
from verdict.files import read_json, write_text
from verdict.measure.scores import SCORES
from verdict.metrics import Report
from verdict.models.families import EncoderDecoder, MaskedEncoder
from verdict.tokens import tokenizer as bpe
from verdict.tokens.arrays import encoded_records, load_array
from verdict.training import store
from verdict.training.batches import Source, open_split
from verdict.training.loop import evaluate, loss_of
from verdict.training.objectives import OBJECTIVES
from verdict.training.outputs import classify, search
from verdict.training.settings import IN_NATS


@dataclass(frozen=True)
class Evaluation:
    """How to evaluate."""

    #: records of the test split to read (0: all)
    test_records: int = 0
    #: beams of each search, 1 is greedy
    beams: list[int] = field(default_factory=lambda: [1])
    length_penalty: float = 1.0
    #: most pieces of an output
    longest_output: int = 48
    #: language of the outputs, as the scorers need it
    language: str = ""


@dataclass(frozen=True)
class Places:
    """Where the records of a task are."""

    task: str
    #: folder of the encoded task
    tokens: Path
    #: folder of its corpus
    corpus: Path


def score_pairs(
    model: EncoderDecoder, data: Source, evaluation: Evaluation, device: torch.device, places: Places, report: Report
) -> list[dict[str, str]]:
    """Add the scores of each search to the report; the outputs, each beside its reference."""
    records = encoded_records(places.corpus, places.tokens, "test")
    tokenizer = bpe.load(places.tokens / "tokenizer.json")
    outputs = []
    for beams in evaluation.beams:
        variant = "greedy" if beams == 1 else "beam"
        batches = data.in_order(evaluation.test_records)
        found = search(model, batches, beams, evaluation.longest_output, evaluation.length_penalty, device)
        numbers = sorted(found)
        texts = tokenizer.decode_batch([found[i] for i in numbers])
        scores, signature = SCORES[places.task](texts, [records[i]["target"] for i in numbers], evaluation.language)
        report.job[f"signature.{variant}"] = signature
        for metric, value in scores.items():
            report.add(metric, value, "%", "higher", variant=variant)
        outputs += [
            {"source": records[i]["source"], "reference": records[i]["target"], "output": text, "variant": variant}
            for i, text in zip(numbers, texts, strict=True)
        ]
    return outputs


def score_labels(
    model: MaskedEncoder, data: Source, evaluation: Evaluation, device: torch.device, places: Places, report: Report
) -> list[dict[str, str]]:
    """Add the scores of the chosen classes to the report; the choices, each beside its reference."""
    records = encoded_records(places.corpus, places.tokens, "test")
    labels = read_json(places.tokens / "tokens.json")["labels"]
    chosen = classify(model, data.in_order(evaluation.test_records), device)
    numbers = sorted(chosen)
    given = [labels[chosen[i]] for i in numbers]
    scores, signature = SCORES[places.task](given, [records[i]["label"] for i in numbers])
    report.job["signature"] = signature
    for metric, value in scores.items():
        report.add(metric, value, "%", "higher")
    return [
        {"text": records[i]["text"], "reference": records[i]["label"], "output": label}
        for i, label in zip(numbers, given, strict=True)
    ]


def run(evaluation: Evaluation, folder: Path, tokens: Path, corpus: Path) -> None:
    """Evaluate the model in ``folder`` and write evaluation.json and outputs.jsonl there."""
    job = job_of(folder)
    device = choose_device(job.device)
    model = store.load(folder).to(device).eval()
    pieces = read_json(tokens / "tokens.json")["vocabulary"]
    data: Source = open_split(tokens, job.objective, "test", job.training, pieces)
    piece_bytes = torch.from_numpy(load_array(tokens / "piece_bytes.npy")).to(device)
    settings = {"evaluation": asdict(evaluation), "train": job.to_dict()}
    report = Report(
        f"evaluate/{job.name}", settings, experiment="training", matching="parameters", device=device_name(device),
        implementation="kernel", **job.columns,
    )  # fmt: skip
    if job.objective not in IN_NATS:  # of classes the scores alone are told
        totals = evaluate(model, data.in_order(evaluation.test_records), OBJECTIVES[job.objective], piece_bytes)
        report.add("bits_per_byte", loss_of(totals), "bit/byte", "lower")
    outputs: list[dict[str, str]] = []
    places = Places(job.task, tokens, corpus)
    if job.objective == "sequence_pairs":
        assert isinstance(model, EncoderDecoder)
        outputs = score_pairs(model, data, evaluation, device, places, report)
    if job.objective == "classification":
        assert isinstance(model, MaskedEncoder)
        outputs = score_labels(model, data, evaluation, device, places, report)
    write_text(folder / "outputs.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in outputs))
    report.write(folder / "evaluation.json")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.quality", description=__doc__)
    parser.add_argument("--evaluation", type=json_argument, required=True, help="the evaluation as JSON")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders of trained models of one task")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    given = parser.parse_args()
    prepare(given.threads, job_of(given.models[0]).device)
    evaluation = filled(Evaluation, given.evaluation, "--evaluation")
    for folder in given.models:
        run(evaluation, folder, given.tokens, given.corpus)


if __name__ == "__main__":
    run_command(main)
