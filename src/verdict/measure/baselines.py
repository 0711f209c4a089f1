"""``python -m verdict.measure.baselines``: what a task scores without any neural network.

Takes the corpus and the encoded task; leaves baselines.json (rows). Trivial ones (copy, lead words, most frequent
answer, unigram) and strong classical ones (nearest training example, bigram, naive Bayes), scored like the models.
"""

import argparse
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verdict.arguments import filled, json_argument
from verdict.errors import run_command
from verdict.files import read_json
from verdict.measure.ngrams import Bigram, Unigram
from verdict.measure.scores import SCORES
from verdict.metrics import Report
from verdict.tokens.arrays import Records, load_array, read_records
from verdict.training.batches import open_split, spread


@dataclass(frozen=True)
class Settings:
    """Which baselines, on what."""

    task: str
    #: the objectives trained on this task (see ``verdict.training.objectives``)
    objectives: list[str]
    #: window and masked share of the models' evaluation, so that the same pieces are predicted
    window: int = 128
    masked: float = 0.15
    batch_tokens: int = 4096
    test_records: int = 0
    #: records of the validation split that models are asked as they are trained (0: none)
    valid_records: int = 0
    language: str = ""


def nearest(known: list[str], asked: list[str]) -> np.ndarray:
    """For each asked text the number of the known text nearest in TF-IDF cosine similarity."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", dtype=np.float32)
    known_vectors, asked_vectors = vectorizer.fit_transform(known), vectorizer.transform(asked)
    found = []
    for start in range(0, len(asked), 256):  # 256 rows at a time bound the memory
        found.append(np.asarray((asked_vectors[start : start + 256] @ known_vectors.T).todense()).argmax(1))
    return np.concatenate(found)


def naive_bayes(texts: list[str], labels: list[str], asked: list[str]) -> list[str]:
    """Multinomial naive Bayes on words and pairs of words (Wang & Manning 2012 call it hard to beat on snippets)."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(ngram_range=(1, 2), binary=True), MultinomialNB())
    return list(model.fit(texts, labels).predict(asked))


def lead(text: str, words: int) -> str:
    """The first words of a text."""
    return " ".join(text.split()[:words])


def outputs_of(task: str, train: list[dict[str, str]], test: list[dict[str, str]]) -> dict[str, list[str]]:
    """The outputs of each baseline for the test records."""
    if task == "classification":
        majority = Counter(record["label"] for record in train).most_common(1)[0][0]
        texts, labels = [r["text"] for r in train], [r["label"] for r in train]
        asked = [r["text"] for r in test]
        return {"majority": [majority] * len(test), "naive_bayes": naive_bayes(texts, labels, asked)}
    targets = Counter(record["target"] for record in train)
    similar = nearest([r["source"] for r in train], [r["source"] for r in test])
    words = round(float(np.mean([len(record["target"].split()) for record in train])))
    first = {"lead": [lead(r["source"], words) for r in test]} if task == "summarization" else {}
    return {
        "copy": [record["source"] for record in test],
        **first,
        "most_frequent": [min(targets, key=lambda target: (-targets[target], target))] * len(test),
        "nearest": [train[i]["target"] for i in similar],
    }


def bits(nats: float, piece_bytes: np.ndarray, pieces: np.ndarray) -> float:
    """Bits per byte of the pieces."""
    return nats / math.log(2) / float(piece_bytes[pieces].sum())


def likelihoods(settings: Settings, tokens: Path) -> list[tuple[str, str, float]]:
    """(baseline, objective, bits per byte) of count models on the pieces that the models predict."""
    vocabulary = read_json(tokens / "tokens.json")["vocabulary"]
    piece_bytes = load_array(tokens / "piece_bytes.npy")
    found = []
    for objective in settings.objectives:
        if objective == "classification":
            continue
        field_name = "target" if objective == "sequence_pairs" else "text"
        learned = np.asarray(Records.open(tokens, f"train.{field_name}").pieces)
        unigram = Unigram(learned, vocabulary)
        source = open_split(tokens, objective, "test", settings, vocabulary)
        batches = list(source.in_order(settings.test_records))
        if objective == "language_model":
            bigram = Bigram(learned, vocabulary)
            held_out = np.asarray(Records.open(tokens, "valid.text").pieces)
            bigram.tune(held_out[:-1], held_out[1:])
            before = np.concatenate([b["tokens"][:, :-1].flatten().numpy() for b in batches])
            truth = np.concatenate([b["tokens"][:, 1:].flatten().numpy() for b in batches])
            found.append(("bigram", objective, bits(bigram.nats(before, truth), piece_bytes, truth)))
        elif objective == "sequence_pairs":
            truth = np.concatenate(
                [t[:n].numpy() for b in batches for t, n in zip(b["target"], b["target_lengths"], strict=True)]
            )
        else:
            truth = np.concatenate([b["truth"].numpy() for b in batches])
        found.append(("unigram", objective, bits(unigram.nats(truth), piece_bytes, truth)))
    return found


def run(settings: Settings, corpus: Path, tokens: Path, out: Path) -> None:
    """Write the rows of every baseline of a task."""
    report = Report(
        f"baselines/{settings.task}", {"settings": vars(settings)}, experiment="baseline", task=settings.task,
        architecture="baseline", device="cpu",
    )  # fmt: skip
    for baseline, _, value in likelihoods(settings, tokens):
        report.add("bits_per_byte", value, "bit/byte", "lower", variant=baseline)
    if settings.task in SCORES:
        train, test, valid = (list(read_records(corpus / f"{split}.jsonl")) for split in ("train", "test", "valid"))
        test = [test[number] for number in spread(len(test), settings.test_records)]
        _add_scores(report, "{metric}", settings, train, test)
        if settings.valid_records:
            valid = [valid[number] for number in spread(len(valid), settings.valid_records)]
            _add_scores(report, "valid_{metric}", settings, train, valid)
    report.write(out)


def _add_scores(
    report: Report, name: str, settings: Settings, train: list[dict[str, str]], asked: list[dict[str, str]]
) -> None:
    """Add the scores of every baseline's answers to records, each metric under its name."""
    references = [record["label" if settings.task == "classification" else "target"] for record in asked]
    for baseline, outputs in outputs_of(settings.task, train, asked).items():
        scores, _ = SCORES[settings.task](outputs, references, settings.language)
        for metric, value in scores.items():
            report.add(name.format(metric=metric), value, "%", "higher", variant=baseline)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m verdict.measure.baselines", description=__doc__)
    parser.add_argument("--settings", type=json_argument, required=True, help="the settings as JSON")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the encoded task")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    given = parser.parse_args()
    run(filled(Settings, given.settings, "--settings"), given.corpus, given.tokens, given.out)


if __name__ == "__main__":
    run_command(main)
