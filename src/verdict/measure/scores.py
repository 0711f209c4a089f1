"""Scores of outputs against references, by the libraries the field uses; all as percentages (0–100).

``SCORES`` are those of a whole test set. ``SCORERS`` make the same of samples of its items, from the items' statistics,
which add up. (sacrebleu makes its own bootstrap of them, of one system; its version is pinned.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

#: metric -> value, and the signature that makes it repeatable
Scores = tuple[dict[str, float], str]
#: metric -> scores, one for each row of item counts (resamples × items)
Scorer = Callable[[np.ndarray], dict[str, np.ndarray]]


def _sacrebleu(language: str) -> dict[str, Any]:
    """BLEU and chrF2 by sacrebleu (Post 2018; Popović 2015); Chinese is split into characters for BLEU."""
    from sacrebleu.metrics import BLEU, CHRF

    return {"bleu": BLEU(tokenize="zh" if language == "zh" else "13a"), "chrf": CHRF()}


def _rouge(outputs: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
    """F of ROUGE-1, -2 and -L of every item by rouge-score with stemming (Lin 2004). It reads a–z and digits alone."""
    from rouge_score.rouge_scorer import RougeScorer

    names = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(names, use_stemmer=True)
    told = [scorer.score(reference, output) for output, reference in zip(outputs, references, strict=True)]
    return {name: np.asarray([100 * row[name].fmeasure for row in told]) for name in names}


def translation(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scores:
    """Corpus BLEU and chrF, as sacrebleu makes them."""
    metrics = _sacrebleu(language)
    scores = {name: metric.corpus_score(outputs, [references]).score for name, metric in metrics.items()}
    return scores, " ".join(str(metric.get_signature()) for metric in metrics.values())


def summarization(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scores:
    """Mean F of ROUGE-1, -2 and -L."""
    return _of_all(summarization_of_samples(outputs, references), len(outputs)), "rouge-score stemmed"


def classification(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scores:
    """Accuracy and macro-averaged F1 over the classes of the references."""
    return _of_all(classification_of_samples(outputs, references), len(outputs)), "macro F1"


def _of_all(scorer: Scorer, items: int) -> dict[str, float]:
    """The scores of all items, each once."""
    return {name: float(values[0]) for name, values in scorer(np.ones((1, items), dtype=int)).items()}


def translation_of_samples(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scorer:
    """BLEU and chrF from sacrebleu's statistics of each segment, which add up over a corpus."""
    metrics = _sacrebleu(language)
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


def summarization_of_samples(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scorer:
    """Means of ROUGE-1, -2 and -L."""
    values = _rouge(outputs, references)
    return lambda counts: {name: counts @ each / counts.sum(1) for name, each in values.items()}


def classification_of_samples(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scorer:
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


def answers_of_samples(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scorer:
    """Share of right answers, where each item asks for several pieces in a row, with blanks between."""
    said, asked = [text.split() for text in outputs], [text.split() for text in references]
    right = np.asarray([sum(map(str.__eq__, *pair)) for pair in zip(said, asked, strict=True)])
    count = np.asarray([len(pieces) for pieces in asked])
    return lambda counts: {"accuracy": 100 * (counts @ right) / (counts @ count)}


SCORES: dict[str, Callable[..., Scores]] = {
    "translation": translation,
    "summarization": summarization,
    "classification": classification,
}
SCORERS: dict[str, Callable[..., Scorer]] = {
    "translation": translation_of_samples,
    "summarization": summarization_of_samples,
    "classification": classification_of_samples,
}
