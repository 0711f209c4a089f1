"""Scores of outputs against references, by the libraries the field uses; all as percentages (0–100)."""

from collections.abc import Callable, Sequence

import numpy as np

#: metric -> value, and the signature that makes it repeatable
Scores = tuple[dict[str, float], str]


def translation(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scores:
    """Corpus BLEU and chrF2 by sacrebleu (Post 2018; Popović 2015); Chinese is split into characters for BLEU."""
    from sacrebleu.metrics import BLEU, CHRF

    bleu, chrf = BLEU(tokenize="zh" if language == "zh" else "13a"), CHRF()
    scores = {
        "bleu": bleu.corpus_score(outputs, [references]).score,
        "chrf": chrf.corpus_score(outputs, [references]).score,
    }
    return scores, f"{bleu.get_signature()} {chrf.get_signature()}"


def summarization(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scores:
    """Mean F of ROUGE-1, -2 and -L by rouge-score with stemming (Lin 2004). It reads a–z and digits alone."""
    from rouge_score.rouge_scorer import RougeScorer

    names = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(names, use_stemmer=True)
    scored = [scorer.score(reference, output) for output, reference in zip(outputs, references, strict=True)]
    return {name: 100 * float(np.mean([row[name].fmeasure for row in scored])) for name in names}, "rouge-score stemmed"


def classification(outputs: Sequence[str], references: Sequence[str], language: str = "") -> Scores:
    """Accuracy and macro-averaged F1 over the classes of the references."""
    given, true = np.asarray(outputs), np.asarray(references)
    f1 = []
    for label in np.unique(true):
        hit = float(((given == label) & (true == label)).sum())
        f1.append(2 * hit / float((given == label).sum() + (true == label).sum()))
    return {"accuracy": 100 * float((given == true).mean()), "f1": 100 * float(np.mean(f1))}, "macro F1"


SCORES: dict[str, Callable[..., Scores]] = {
    "translation": translation,
    "summarization": summarization,
    "classification": classification,
}
