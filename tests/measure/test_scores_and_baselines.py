"""Scores against the definitions and libraries they stand for; baselines on texts small enough to check by eye."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from verdict.files import read_json
from verdict.measure.baselines import lead, naive_bayes, nearest, outputs_of
from verdict.measure.ngrams import Bigram, Unigram
from verdict.measure.scores import SCORES

SENTENCES = [
    "Open the door and close the window now.",
    "Save all files before you leave.",
    "The list is empty today, sir.",
]


@pytest.mark.parametrize("task", ["translation", "summarization", "classification"])
def test_an_output_that_is_its_reference_scores_a_hundred_and_one_without_a_letter_of_it_next_to_nothing(task: str):
    scores, signature = SCORES[task](SENTENCES, SENTENCES)
    assert scores
    assert all(value == pytest.approx(100) for value in scores.values()), scores
    assert signature
    wrong, _ = SCORES[task](["zzz qqq xxx jjj"] * 3, SENTENCES)
    assert all(value < 5 for value in wrong.values()), wrong


@pytest.mark.parametrize("task", ["translation", "summarization"])
def test_an_empty_output_is_scored_and_scores_nothing(task: str):
    scores, _ = SCORES[task](["", "", ""], SENTENCES)
    assert all(value < 1 for value in scores.values())


def test_chinese_is_scored_by_character():
    scores, signature = SCORES["translation"](["打开文件夹并且保存"], ["打开文件夹并且退出"], "zh")
    assert scores["bleu"] > 30
    assert "zh" in signature


LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40)


@settings(deadline=None)
@given(rows=LABELS)
def test_classification_is_scored_as_sklearn_scores_it(rows: list[tuple[str, str]]):
    """Macro F1 over the classes of the references: a class that only outputs name is no class."""
    true, given_ = [row[0] for row in rows], [row[1] for row in rows]
    scores, _ = SCORES["classification"](given_, true)
    expected = f1_score(true, given_, labels=sorted(set(true)), average="macro", zero_division=0)
    assert scores["f1"] == pytest.approx(100 * expected)
    assert scores["accuracy"] == pytest.approx(100 * accuracy_score(true, given_))


PIECES = st.lists(st.integers(0, 6), min_size=2, max_size=60).map(np.asarray)


@given(pieces=PIECES, weight=st.sampled_from(Bigram.WEIGHTS))
def test_count_models_are_distributions(pieces: np.ndarray, weight: float):
    """After every piece, also one never seen, probabilities sum to one and none is zero."""
    unigram, bigram, every = Unigram(pieces, 9), Bigram(pieces, 9), np.arange(9)
    bigram.weight = weight
    assert sum(math.exp(-unigram.nats(every[i : i + 1])) for i in every) == pytest.approx(1)
    for before in every:
        chances = [math.exp(-bigram.nats(np.asarray([before]), np.asarray([after]))) for after in every]
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert min(chances) > 0


def markov(size: int, seed: int) -> np.ndarray:
    """Each piece is followed by the next one, nine times in ten."""
    rng, found = np.random.default_rng(seed), [0]
    for _ in range(size):
        found.append((found[-1] + 1) % 8 if rng.random() < 0.9 else int(rng.integers(8)))
    return np.asarray(found)


def test_a_bigram_beats_a_unigram_on_markov_text_and_nears_its_entropy():
    learned, held_out, test = markov(5000, 0), markov(500, 1), markov(2000, 2)
    bigram = Bigram(learned, 8)
    bigram.tune(held_out[:-1], held_out[1:])
    unigram = Unigram(learned, 8).nats(test[1:]) / 2000
    found = bigram.nats(test[:-1], test[1:]) / 2000
    stays, other = 0.9 + 0.1 / 8, 0.1 / 8
    entropy = -(stays * math.log(stays) + 7 * other * math.log(other))
    assert unigram == pytest.approx(math.log(8), abs=0.02)
    assert entropy - 0.05 < found < entropy + 0.1


def test_tuning_takes_the_best_weight_of_the_grid():
    learned, held_out = markov(300, 0), markov(300, 1)
    bigram = Bigram(learned, 8)
    bigram.tune(held_out[:-1], held_out[1:])
    chosen, best = bigram.weight, bigram.nats(held_out[:-1], held_out[1:])
    for weight in Bigram.WEIGHTS:
        bigram.weight = weight
        assert bigram.nats(held_out[:-1], held_out[1:]) >= best
    assert chosen in Bigram.WEIGHTS


def test_the_nearest_text_is_the_one_that_shares_rare_words():
    known = ["open the file", "close the window", "the the the", "delete the account"]
    assert nearest(known, ["a window", "please open a file", "account"]).tolist() == [1, 0, 3]
    many = [f"word{i} common" for i in range(600)]  # more than one block of 256
    assert nearest(many, many).tolist() == list(range(600))


def test_naive_bayes_learns_which_words_go_with_which_label():
    texts, labels = ["good fine", "nice good", "bad awful", "awful dull"], ["+", "+", "-", "-"]
    assert naive_bayes(texts, labels, ["good", "awful bad", "nice"]) == ["+", "-", "+"]


def test_lead_is_the_first_words():
    assert lead("one two  three\nfour", 3) == "one two three"
    assert lead("one", 3) == "one"


def test_every_baseline_answers_every_record():
    train = [{"source": s, "target": t} for s, t in [("a b", "x y"), ("c d", "x y"), ("e f", "z z")]]
    test = [{"source": "e g", "target": "?"}, {"source": "c", "target": "?"}]
    found = outputs_of("summarization", train, test)
    assert found == {
        "copy": ["e g", "c"], "lead": ["e g", "c"], "most_frequent": ["x y", "x y"], "nearest": ["z z", "x y"],
    }  # fmt: skip
    assert "lead" not in outputs_of("translation", train, test)
    labelled = [{"text": "good fine", "label": "+"}, {"text": "good", "label": "+"}, {"text": "awful", "label": "-"}]
    found = outputs_of("classification", labelled, [{"text": "awful", "label": "-"}])
    assert found == {"majority": ["+"], "naive_bayes": ["-"]}


def test_baselines_are_scored_beside_the_models(world: Path):
    found = {}
    for task in ("lm", "translation", "classification"):
        rows = read_json(world / f"measurements/baselines/{task}.json")["rows"]
        found[task] = {(row["variant"], row["metric"]): row["value"] for row in rows}
    assert found["lm"].keys() == {("bigram", "bits_per_byte"), ("unigram", "bits_per_byte")}
    assert found["lm"]["bigram", "bits_per_byte"] < found["lm"]["unigram", "bits_per_byte"]
    names = {"copy", "most_frequent", "nearest"}
    assert {variant for variant, metric in found["translation"] if metric == "chrf"} == names
    # the words of a line read backwards are the same words
    assert found["translation"]["copy", "chrf"] > found["translation"]["most_frequent", "chrf"]
    assert {variant for variant, metric in found["classification"] if metric == "f1"} == {"majority", "naive_bayes"}
    assert found["classification"]["majority", "accuracy"] == pytest.approx(50)
    assert found["classification"]["naive_bayes", "accuracy"] > 60
